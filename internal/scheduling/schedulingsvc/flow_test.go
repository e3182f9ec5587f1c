package schedulingsvc

import (
	"testing"
	"time"

	"xinglin/internal/kernel/id"
	"xinglin/internal/kernel/page"
	"xinglin/internal/payment"
	"xinglin/internal/scheduling"
)

// TestHoldPayBookCancel is the main road: hold, pay, booked with a number, cancelled, the
// money and the seat back.
func TestHoldPayBookCancel(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		w.rota(2500, 40, 20)
		sch := w.on("2026-03-04")
		if sch.State != scheduling.ScheduleOpen || sch.Remaining != 40 || sch.Location != "3层A区" {
			t.Fatalf("%+v", sch)
		}
		p, child := w.person()
		r := w.ask(child, sch.ID)
		a := w.hold(p, r)
		if a.State != scheduling.Pending || a.Number != 0 || !a.HoldExpiresAt.Equal(w.clock.Now().Add(15*minute)) || a.Payment.IsZero() || !a.Cancellable {
			t.Fatalf("%+v", a)
		}
		if q := w.payments.get(a.Payment); q.State != payment.Open || q.Amount != 2500 || !q.Deadline.Equal(a.HoldExpiresAt) {
			t.Fatalf("%+v", q)
		}
		again, hit, err := w.s.Hold(w.as(p), r)
		if err != nil || !hit || again.ID != a.ID || again.RegNo != a.RegNo {
			t.Fatalf("%v %v %+v", err, hit, again)
		}
		if err := w.paid(a); err != nil {
			t.Fatal(err)
		}
		if err := w.paid(a); err != nil { // a repeated event has no effect
			t.Fatal(err)
		}
		b := w.get(p, a.ID)
		if b.State != scheduling.Booked || b.Number != 1 || b.Settlement != scheduling.Applied || b.Version != 2 || len(b.History) != 2 || !b.Cancellable {
			t.Fatalf("%+v", b)
		}
		if sch = w.on("2026-03-04"); sch.Remaining != 39 {
			t.Fatalf("%d remain", sch.Remaining)
		}
		c, err := w.s.Cancel(w.as(p), scheduling.CancelRequest{ID: a.ID, Version: b.Version})
		if err != nil || c.State != scheduling.Cancelled || c.CancelReason != scheduling.ByPatient || c.Version != 3 || c.Cancellable {
			t.Fatalf("%v %+v", err, c)
		}
		if c, err = w.s.Cancel(w.as(p), scheduling.CancelRequest{ID: a.ID, Version: b.Version}); err != nil || c.Version != 3 {
			t.Fatalf("a repeat answers the same: %v %+v", err, c)
		}
		w.due()
		if w.payments.refunded() != 2500 || w.on("2026-03-04").Remaining != 40 {
			t.Fatalf("%d refunded, %d remain", w.payments.refunded(), w.on("2026-03-04").Remaining)
		}
		for e, n := range map[string]int{
			scheduling.AppointmentHeld{}.EventName(): 1, scheduling.AppointmentBooked{}.EventName(): 1,
			scheduling.AppointmentSettled{}.EventName(): 1, scheduling.AppointmentCancelled{}.EventName(): 1,
		} {
			if got := w.number(`SELECT COUNT(*) FROM outbox WHERE tenant_id = $1 AND name = $2 AND number = $3`, w.tenant, e, a.RegNo); got != n {
				t.Errorf("%s: %d events with the number, want %d", e, got, n)
			}
		}
		// The day is free again for the person, and the seat has the same number.
		if d := w.booked(p, w.ask(child, sch.ID)); d.Number != 1 {
			t.Errorf("number %d", d.Number)
		}
		list, err := w.s.List(w.as(p), "", page.Request{Limit: 1})
		if err != nil || len(list.Items) != 1 || list.Next == "" {
			t.Fatalf("%v %+v", err, list)
		}
		rest, err := w.s.List(w.as(p), "", page.Request{Limit: 1, Cursor: list.Next})
		if err != nil || len(rest.Items) != 1 || rest.Next != "" || rest.Items[0].ID == list.Items[0].ID {
			t.Fatalf("%v %+v", err, rest)
		}
	})
}

func TestFreeNumber(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		w.rota(0, 12, 20)
		p, v := w.person()
		a := w.hold(p, w.ask(v, w.on("2026-03-05").ID))
		if a.State != scheduling.Booked || a.Number != 1 || !a.Payment.IsZero() || !a.HoldExpiresAt.IsZero() {
			t.Fatalf("%+v", a)
		}
		if w.told(scheduling.AppointmentBooked{}) != 1 || w.told(scheduling.AppointmentHeld{}) != 0 || len(w.payments.known) != 0 {
			t.Error("a free number is booked at once and has no payment")
		}
		c, err := w.s.Cancel(w.as(p), scheduling.CancelRequest{ID: a.ID, Version: a.Version})
		if err != nil || c.State != scheduling.Cancelled {
			t.Fatal(err)
		}
		w.due()
		if len(w.payments.asked) != 0 {
			t.Error("nothing to give back")
		}
	})
}

func TestHoldExpires(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		w.rota(2500, 1, 20)
		sch := w.on("2026-03-04")
		p, v := w.person()
		a := w.hold(p, w.ask(v, sch.ID))
		if w.on("2026-03-04").State != scheduling.ScheduleFull {
			t.Error("one seat, held")
		}
		w.clock.Add(15*minute - time.Millisecond)
		w.due()
		if w.get(p, a.ID).State != scheduling.Pending {
			t.Fatal("expired early")
		}
		w.clock.Add(time.Millisecond)
		w.due()
		b := w.get(p, a.ID)
		if b.State != scheduling.Cancelled || b.CancelReason != scheduling.ByExpiry || w.on("2026-03-04").Remaining != 1 {
			t.Fatalf("%+v", b)
		}
		if w.payments.get(a.Payment).State != payment.Closed || w.told(scheduling.AppointmentExpired{}) != 1 {
			t.Error("the payment is closed and the event told")
		}
		// The money comes after all: the seat is free, so it is booked.
		if err := w.paid(a); err != nil {
			t.Fatal(err)
		}
		if b = w.get(p, a.ID); b.State != scheduling.Booked || b.Number != 1 || b.CancelReason != "" || b.Settlement != scheduling.Applied {
			t.Fatalf("%+v", b)
		}
	})
}

func TestPaidTooLate(t *testing.T) {
	for name, x := range map[string]func(w *world, sch scheduling.Schedule, v scheduling.PatientID){
		"the seat is taken": func(w *world, sch scheduling.Schedule, _ scheduling.PatientID) {
			q, other := w.person()
			w.booked(q, w.ask(other, sch.ID))
		},
		"the person has the day elsewhere": func(w *world, sch scheduling.Schedule, v scheduling.PatientID) {
			q, _ := w.person()
			w.patients.link(q.Account, v)
			w.booked(q, w.ask(v, sch.ID))
		},
		"the slot is past": func(w *world, sch scheduling.Schedule, _ scheduling.PatientID) { w.clock.Set(sch.StartsAt) },
	} {
		t.Run(name, func(t *testing.T) {
			eachWorld(t, func(t *testing.T, w *world) {
				seats := 1
				if name == "the person has the day elsewhere" {
					seats = 2
				}
				w.rota(2500, seats, 20)
				sch := w.on("2026-03-04")
				p, v := w.person()
				a := w.hold(p, w.ask(v, sch.ID))
				w.clock.Add(16 * minute)
				w.due()
				x(w, sch, v)
				settled := w.told(scheduling.AppointmentSettled{})
				for range 3 {
					if err := w.paid(a); err != nil {
						t.Fatal(err)
					}
					w.due()
				}
				b := w.get(p, a.ID)
				if b.State != scheduling.Cancelled || b.Settlement != scheduling.Refund {
					t.Fatalf("%+v", b)
				}
				if n := w.told(scheduling.AppointmentSettled{}) - settled; n != 1 {
					t.Errorf("settled %d times", n)
				}
				rid := id.As[payment.Refund](a.ID)
				if w.payments.asked[rid] != 1 || w.payments.refunds[rid].Amount != 2500 {
					t.Errorf("asked %d times: %+v", w.payments.asked[rid], w.payments.refunds[rid])
				}
			})
		})
	}
}
