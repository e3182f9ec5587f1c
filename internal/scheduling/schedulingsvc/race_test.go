package schedulingsvc

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/id"
	"xinglin/internal/payment"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/verify"
	"xinglin/internal/scheduling"
)

// sound runs every check of verify and fails on a finding.
func (w *world) sound() {
	w.t.Helper()
	var b bytes.Buffer
	rep, err := verify.Run(context.Background(), []verify.Unit{{Context: "scheduling", DB: w.base.DB, Checks: w.m.Checks, Sets: w.m.Sets}}, nil, &b)
	if err != nil || !rep.Clean() {
		w.t.Fatalf("%v\n%s", err, b.String())
	}
}

// busy repeats a request that the engine was too busy for, as a client with a key does.
func busy(f func() error) error {
	for {
		if err := f(); !errors.Is(err, db.ErrBusy) {
			return err
		}
	}
}

// TestThousandForForty: 1,000 people for 40 seats of several slots: exactly 40 get one,
// each another number (A1).
func TestThousandForForty(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		w.rota(2500, 40, 30)
		sch := w.on("2026-03-04")
		const n = 1000
		people := make([]auth.Principal, n)
		asks := make([]scheduling.HoldRequest, n)
		for i := range n {
			p, v := w.person()
			people[i], asks[i] = p, w.ask(v, sch.ID)
		}
		got := codes(many(n, func(i int) error {
			return busy(func() error { _, _, err := w.s.Hold(w.as(people[i]), asks[i]); return err })
		}))
		if got["ok"] != 40 || got["scheduling.session_full"] != n-40 {
			t.Fatalf("%v", got)
		}
		if w.on("2026-03-04").Remaining != 0 || w.number(`SELECT COUNT(*) FROM appointment WHERE tenant_id = $1 AND state = 'pending'`, w.tenant) != 40 {
			t.Error("40 holds")
		}
		won := 0
		got = codes(many(n, func(i int) error {
			a, err := w.s.Get(w.as(people[i]), asks[i].ID)
			if errors.Is(err, scheduling.ErrNotFound) {
				return nil
			}
			if err != nil {
				return err
			}
			return busy(func() error { return w.paid(a) })
		}))
		if got["ok"] != n {
			t.Fatalf("%v", got)
		}
		won = w.number(`SELECT COUNT(DISTINCT number) FROM appointment WHERE tenant_id = $1 AND state = 'booked' AND number > 0 AND number <= 40`, w.tenant)
		if won != 40 {
			t.Errorf("%d numbers", won)
		}
		w.sound()
	})
}

// TestSharedChild: two accounts that share a child, the same department and day: one
// booking (A3), on the same session and on another doctor's.
func TestSharedChild(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		w.rota(2500, 100, 30)
		sch := w.on("2026-03-04")
		for range 5 {
			p, child := w.person()
			q, _ := w.person()
			w.patients.link(q.Account, child)
			got := codes(many(40, func(i int) error {
				who := []auth.Principal{p, q}[i%2]
				return busy(func() error { _, _, err := w.s.Hold(w.as(who), w.ask(child, sch.ID)); return err })
			}))
			if got["ok"] != 1 || got["scheduling.limit_reached"] != 39 {
				t.Fatalf("%v", got)
			}
		}
		w.sound()
	})
}

// TestKeyRace: the same request many times at once is one appointment and many hits.
func TestKeyRace(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		w.rota(2500, 1, 30)
		p, v := w.person()
		r := w.ask(v, w.on("2026-03-04").ID)
		hits := make([]bool, 30)
		got := codes(many(30, func(i int) error {
			return busy(func() (err error) { _, hits[i], err = w.s.Hold(w.as(p), r); return err })
		}))
		if got["ok"] != 30 {
			t.Fatalf("%v", got)
		}
		fresh := 0
		for _, h := range hits {
			if !h {
				fresh++
			}
		}
		if fresh != 1 {
			t.Errorf("%d made it", fresh)
		}
		w.sound()
	})
}

// TestKeyReuse: a known key with another content, or of another account.
func TestKeyReuse(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		w.rota(2500, 10, 30)
		sch, other := w.on("2026-03-04"), w.on("2026-03-05")
		p, v := w.person()
		r := w.ask(v, sch.ID)
		w.hold(p, r)
		second := r
		second.Schedule = other.ID
		_, _, err := w.s.Hold(w.as(p), second)
		want(t, err, scheduling.ErrKeyReused)
		slot := scheduling.HoldRequest{ID: r.ID, Patient: v, Slot: w.slots(sch.ID)[0].ID}
		_, _, err = w.s.Hold(w.as(p), slot)
		want(t, err, scheduling.ErrKeyReused)
		q, _ := w.person()
		w.patients.link(q.Account, v)
		_, _, err = w.s.Hold(w.as(q), r)
		want(t, err, scheduling.ErrKeyReused)
		r.ID = id.Random[scheduling.Appointment]()
		_, _, err = w.s.Hold(w.as(p), r)
		want(t, err, scheduling.ErrKeyClock)
		r.ID = key(w.clock.Now().Add(-25 * 60 * minute))
		_, _, err = w.s.Hold(w.as(p), r)
		want(t, err, scheduling.ErrKeyClock)
		w.sound()
	})
}

// TestPaidAgainstExpiry: the payment and the timer at the same moment: whoever comes
// first, the money has one effect and the seat one owner.
func TestPaidAgainstExpiry(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		w.rota(2500, 30, 30)
		sch := w.on("2026-03-04")
		const n = 20
		as := make([]scheduling.Appointment, n)
		people := make([]auth.Principal, n)
		for i := range n {
			p, v := w.person()
			people[i], as[i] = p, w.hold(p, w.ask(v, sch.ID))
		}
		w.clock.Add(16 * minute)
		errs := many(n+2, func(i int) error {
			if i >= n {
				_, err := w.runner.RunDue(context.Background())
				return err
			}
			return busy(func() error { return w.paid(as[i]) })
		})
		if got := codes(errs); got["ok"] != n+2 {
			t.Fatalf("%v", got)
		}
		w.due()
		for i, a := range as {
			if b := w.get(people[i], a.ID); b.State != scheduling.Booked || b.Settlement != scheduling.Applied {
				t.Errorf("%+v", b)
			}
		}
		if w.told(scheduling.AppointmentSettled{}) != n || w.payments.refunded() != 0 {
			t.Error("each payment settled once")
		}
		w.sound()
	})
}

// TestCancelAgainstPaid: the patient gives up while the money comes.
func TestCancelAgainstPaid(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		w.rota(2500, 40, 30)
		sch := w.on("2026-03-04")
		for range 8 {
			p, v := w.person()
			a := w.hold(p, w.ask(v, sch.ID))
			errs := many(4, func(i int) error {
				if i%2 == 0 {
					return busy(func() error { return w.paid(a) })
				}
				return busy(func() error {
					_, err := w.s.Cancel(w.as(p), scheduling.CancelRequest{ID: a.ID, Version: a.Version})
					return err
				})
			})
			b := w.get(p, a.ID)
			got := codes(errs)
			if b.State == scheduling.Booked && got["scheduling.stale"] != 2 || b.State == scheduling.Cancelled && got["ok"] != 4 {
				t.Fatalf("%s: %v", b.State, got)
			}
			w.due()
			rid := id.As[payment.Refund](a.ID)
			if refunded := w.payments.asked[rid] > 0; refunded != (b.State == scheduling.Cancelled) || b.Settlement == scheduling.Unsettled {
				t.Fatalf("refunded %v: %+v", refunded, b)
			}
		}
		if n := w.told(scheduling.AppointmentSettled{}); n != 8 {
			t.Errorf("settled %d times", n)
		}
		w.sound()
	})
}

// TestDoubleCancel: many cancellations of one booking give one refund and one seat back.
func TestDoubleCancel(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		w.rota(2500, 40, 30)
		p, v := w.person()
		a := w.booked(p, w.ask(v, w.on("2026-03-04").ID))
		got := codes(many(20, func(int) error {
			return busy(func() error {
				_, err := w.s.Cancel(w.as(p), scheduling.CancelRequest{ID: a.ID, Version: a.Version})
				return err
			})
		}))
		w.due()
		if got["ok"] != 20 || w.told(scheduling.AppointmentCancelled{}) != 1 || w.payments.refunded() != 2500 || w.on("2026-03-04").Remaining != 40 {
			t.Errorf("%v, %d events, %d fen", got, w.told(scheduling.AppointmentCancelled{}), w.payments.refunded())
		}
		w.sound()
	})
}
