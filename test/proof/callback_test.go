package proof

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"xinglin/internal/demo/client"
	"xinglin/internal/kernel/clock"
	"xinglin/test/rig"
)

// healTime is how long a payment whose callback was lost may wait for its effect.
const healTime = 30 * time.Second

// TestCallbacks: a lost callback is healed by the query; forged, replayed and late ones
// change nothing.
func TestCallbacks(t *testing.T) {
	w := rig.NewWorld(t, rig.SQLite)
	w.Import(t, rig.Rota(rig.Clinic{Doctor: 1, Day: rig.InDays(3), Seats: 20, Fee: "25"}))
	p := w.Serve(t)
	people := w.People(t, p, "", 0, 4, 1)
	sch := rig.FindSchedules(t, people[0].Client, "测试科", rig.InDays(3))[0]
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	hold := func(t *testing.T, who rig.Booker) client.Appointment {
		t.Helper()
		a, _, err := who.Hold(ctx, client.NewKey(), client.Wish{PatientID: who.Patients[0].ID, ScheduleID: sch.ID, Any: true})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := who.Prepay(ctx, a.PaymentID); err != nil {
			t.Fatal(err)
		}
		return a
	}
	t.Run("lost", func(t *testing.T) { lost(ctx, t, w, people[0], hold(t, people[0])) })
	t.Run("forged", func(t *testing.T) { forged(ctx, t, w, people[1], hold(t, people[1])) })
	t.Run("replayed", func(t *testing.T) { replayed(ctx, t, w, people[2], hold(t, people[2])) })
	t.Run("late", func(t *testing.T) { late(ctx, t, w, people[3], hold(t, people[3])) })
	w.Verify(t)
}

func lost(ctx context.Context, t *testing.T, w *rig.World, who rig.Booker, a client.Appointment) {
	must(t, w.Pay.Faults(ctx, map[string]any{"lose_callbacks": 1}))
	begin := clock.Mono()
	must(t, w.Pay.Pay(ctx, a.PaymentID))
	short, cancel := context.WithTimeout(ctx, healTime)
	defer cancel()
	if _, err := who.Wait(short, a.ID, client.InState("booked")); err != nil {
		t.Fatal(err)
	}
	t.Logf("healed by the query in %s", clock.Mono().Sub(begin).Round(time.Millisecond))
	ds, err := w.Pay.Deliveries(ctx, a.PaymentID)
	must(t, err)
	if len(ds) != 0 {
		t.Errorf("%d callbacks were delivered, want none", len(ds))
	}
}

// forged: a callback that the channel did not sign is refused and changes nothing; the
// true one then has its effect.
func forged(ctx context.Context, t *testing.T, w *rig.World, who rig.Booker, a client.Appointment) {
	must(t, w.Pay.Faults(ctx, map[string]any{"wrong_signature": 1}))
	must(t, w.Pay.Pay(ctx, a.PaymentID))
	if _, err := who.Wait(ctx, a.ID, client.InState("booked")); err != nil {
		t.Fatal(err)
	}
	must(t, client.Until(ctx, "two deliveries", func(ctx context.Context) (bool, error) {
		ds, err := w.Pay.Deliveries(ctx, a.PaymentID)
		return len(ds) >= 2, err
	}))
	ds, err := w.Pay.Deliveries(ctx, a.PaymentID)
	must(t, err)
	if ds[0].Status != http.StatusUnauthorized {
		t.Errorf("a callback with a wrong signature was answered %d, want 401", ds[0].Status)
	}
	good := ds[len(ds)-1]
	for name, change := range map[string]func(*client.Delivery){
		"other body":      func(d *client.Delivery) { d.Body = strings.Replace(d.Body, "SUCCESS", "CLOSED!", 1) },
		"other time":      func(d *client.Delivery) { d.Headers["Wechatpay-Timestamp"] = "1" },
		"no signature":    func(d *client.Delivery) { delete(d.Headers, "Wechatpay-Signature") },
		"unknown serial":  func(d *client.Delivery) { d.Headers["Wechatpay-Serial"] = "00112233445566778899AABBCCDDEEFF00112233" },
		"no headers":      func(d *client.Delivery) { d.Headers = nil },
		"no body":         func(d *client.Delivery) { d.Body = "" },
		"signature of 1s": func(d *client.Delivery) { d.Headers["Wechatpay-Signature"] = strings.Repeat("A", 344) },
	} {
		bad := client.Delivery{Body: good.Body, Headers: map[string]string{}}
		for k, v := range good.Headers {
			bad.Headers[k] = v
		}
		change(&bad)
		if res := deliver(ctx, t, who.Base, bad); res.Status < 400 || res.Status >= 500 {
			t.Errorf("%s: answered %d, want a refusal", name, res.Status)
		}
	}
}

// replayed: the very same message a second time is refused and has no second effect.
func replayed(ctx context.Context, t *testing.T, w *rig.World, who rig.Booker, a client.Appointment) {
	must(t, w.Pay.Faults(ctx, map[string]any{}))
	must(t, w.Pay.Pay(ctx, a.PaymentID))
	booked, err := who.Wait(ctx, a.ID, client.InState("booked"))
	must(t, err)
	ds, err := w.Pay.Deliveries(ctx, a.PaymentID)
	must(t, err)
	if len(ds) != 1 {
		t.Fatalf("%d deliveries, want 1", len(ds))
	}
	for range 3 {
		if res := deliver(ctx, t, who.Base, ds[0]); res.Status < 400 || res.Status >= 500 {
			t.Errorf("a replay was answered %d, want a refusal", res.Status)
		}
	}
	again, err := who.Appointment(ctx, a.ID)
	must(t, err)
	if again.Version != booked.Version || again.State != "booked" {
		t.Errorf("after replays: %+v, want %+v", again, booked)
	}
}

// late: a message signed ten minutes ago is refused; the payment heals all the same.
func late(ctx context.Context, t *testing.T, w *rig.World, who rig.Booker, a client.Appointment) {
	must(t, w.Pay.Faults(ctx, map[string]any{"late": true}))
	must(t, w.Pay.Pay(ctx, a.PaymentID))
	must(t, client.Until(ctx, "the late delivery", func(ctx context.Context) (bool, error) {
		ds, err := w.Pay.Deliveries(ctx, a.PaymentID)
		return len(ds) > 0 && ds[0].Status != 0, err
	}))
	ds, err := w.Pay.Deliveries(ctx, a.PaymentID)
	must(t, err)
	if ds[0].Status < 400 || ds[0].Status >= 500 {
		t.Errorf("a late callback was answered %d, want a refusal", ds[0].Status)
	}
	must(t, w.Pay.Faults(ctx, map[string]any{}))
	short, cancel := context.WithTimeout(ctx, healTime)
	defer cancel()
	if _, err := who.Wait(short, a.ID, client.InState("booked")); err != nil {
		t.Fatal(err)
	}
}

// deliver posts a callback as it was recorded.
func deliver(ctx context.Context, t *testing.T, base string, d client.Delivery) client.Answer {
	t.Helper()
	hs := []client.Header{{Name: "Origin"}}
	for k, v := range d.Headers {
		hs = append(hs, client.Header{Name: k, Value: v})
	}
	res, err := client.New(base).Raw(ctx, http.MethodPost, "/callbacks/wechatpay", d.Body, hs...)
	if err != nil {
		t.Fatal(err)
	}
	return res
}
