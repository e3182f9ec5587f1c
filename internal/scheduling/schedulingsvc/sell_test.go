package schedulingsvc

import (
	"context"
	"errors"
	"testing"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/batch"
	"xinglin/internal/platform/db"
	"xinglin/internal/scheduling"
	"xinglin/internal/scheduling/soldout"
)

// batchOf makes holdings of one world's session, as Hold would hand them to the combiner.
func (w *world) batchOf(rs ...scheduling.HoldRequest) []*holding {
	w.t.Helper()
	var out []*holding
	for _, r := range rs {
		sess, err := w.s.sessionOf(context.Background(), w.tenant, r)
		if err != nil {
			w.t.Fatal(err)
		}
		rules, err := w.s.rulesOf(context.Background(), w.tenant)
		if err != nil {
			w.t.Fatal(err)
		}
		out = append(out, &holding{Request: r, Account: id.Random[auth.Account](), Actor: "patient:x", Policy: "p", Rules: rules, Session: sess})
	}
	return out
}

func (w *world) sell(hs []*holding) []batch.Result[sold] {
	w.t.Helper()
	out, err := w.s.store.sell(context.Background(), w.tenant, hs)
	if err != nil {
		w.t.Fatal(err)
	}
	return out
}

// TestOneBatch: in one transaction a session with two seats meets a booking, the same key
// twice, the key with other content, the same person under another key, one more booking
// and one too many. Each gets its own answer, and a seat that a refused one had is sold.
func TestOneBatch(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		w.rota(0, 2, 120) // 2 slots of one seat
		sch := w.on("2026-03-04")
		_, a := w.person()
		_, b := w.person()
		_, c := w.person()
		first := w.ask(a, sch.ID)
		other := first
		other.Patient = c
		hs := w.batchOf(first, first, other, w.ask(a, sch.ID), w.ask(b, sch.ID), w.ask(c, sch.ID))
		hs[1].Account = hs[0].Account
		got := w.sell(hs)
		if got[0].Err != nil || got[0].Out.hit || got[0].Out.row.Number != 1 {
			t.Errorf("first: %+v", got[0])
		}
		if got[1].Err != nil || !got[1].Out.hit || got[1].Out.row.ID != first.ID {
			t.Errorf("the same key: %+v", got[1])
		}
		want(t, got[2].Err, scheduling.ErrKeyReused)
		want(t, got[3].Err, scheduling.ErrLimitReached)
		if got[4].Err != nil || got[4].Out.row.Number != 2 {
			t.Errorf("the seat of the refused one: %+v", got[4])
		}
		want(t, got[5].Err, scheduling.ErrFull)
		if n := w.told(scheduling.AppointmentBooked{}); n != 1 {
			t.Errorf("%d outbox rows of a batch", n)
		}
		if n := w.number(`SELECT COUNT(*) FROM trail WHERE tenant_id = $1 AND action = 'scheduling.hold'`, w.tenant); n != 1 {
			t.Errorf("%d audit rows of a batch", n)
		}
		// All of it again, as after a lost commit: the keys decide.
		for i, r := range w.sell(hs) {
			if i == 0 || i == 1 || i == 4 {
				if r.Err != nil || !r.Out.hit {
					t.Errorf("again %d: %+v", i, r)
				}
			} else if r.Err == nil {
				t.Errorf("again %d: %+v", i, r)
			}
		}
		w.sound()
	})
}

// TestSeatTwice: a seat whose bit is set cannot be taken by a process that believes it free.
func TestSeatTwice(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		w.rota(0, 2, 240)
		sch := w.on("2026-03-04")
		_, v := w.person()
		hs := w.batchOf(w.ask(v, sch.ID))
		err := w.s.store.db.Write(context.Background(), w.tenant, func(ctx context.Context, tx db.Tx) error {
			x := newSale(hs)
			x.now = tx.Now()
			if err := w.s.store.openSale(ctx, tx, x); err != nil {
				return err
			}
			x.decide()
			if _, err := tx.Exec(ctx, `UPDATE slot SET taken = 1, held = 1 WHERE tenant_id = $1`, tx.Tenant()); err != nil {
				return err
			}
			return w.s.store.closeSale(ctx, tx, x)
		})
		if !db.IsCheck(err) {
			t.Errorf("%v", err)
		}
	})
}

// TestPlanMoved: the plan changed after the process kept the session: what is written
// follows the plan under the lock.
func TestPlanMoved(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		rule := w.rota(0, 4, 120)
		_, v := w.person()
		hs := w.batchOf(w.ask(v, w.on("2026-03-04").ID))
		rule.Duty.Fee, rule.Duty.SlotMinutes = 900, 60
		if _, err := w.s.updateRota(w.as(w.operator), rule); err != nil {
			t.Fatal(err)
		}
		w.due()
		got := w.sell(hs)
		if got[0].Err != nil || got[0].Out.row.Fee != 900 || got[0].Out.row.State != scheduling.Pending {
			t.Fatalf("%+v", got[0])
		}
		if got[0].Out.row.EndsAt.Sub(got[0].Out.row.StartsAt).Minutes() != 60 {
			t.Errorf("%v", got[0].Out.row.EndsAt)
		}
		w.sound()
	})
}

// TestCapInBatch: an earlier visit counts once for a person who is in a batch twice.
func TestCapInBatch(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		w.rota(0, 4, 120)
		w.rules(func(r *scheduling.BookingRules) { r.Caps = []scheduling.Cap{{Days: 7, Max: 2}} })
		p, v := w.person()
		w.hold(p, w.ask(v, w.on("2026-03-04").ID))
		got := w.sell(w.batchOf(w.ask(v, w.on("2026-03-05").ID), w.ask(v, w.on("2026-03-06").ID)))
		if got[0].Err != nil {
			t.Errorf("the second of two: %v", got[0].Err)
		}
		want(t, got[1].Err, scheduling.ErrCapReached)
		w.sound()
	})
}

// TestDepartmentMoved: the session moved to another department after the process kept it:
// the visit that the person has there counts.
func TestDepartmentMoved(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		rule := w.rota(0, 4, 120)
		sch := w.on("2026-03-04").ID
		p, v := w.person()
		hs := w.batchOf(w.ask(v, sch))
		_, other, doctor := w.dir.doctor("本部", "呼吸科", "李四", "110310000000002")
		there := rule
		there.ID, there.Version = id.ID[scheduling.RotaRule]{}, 0
		there.Duty.Department, there.Duty.Practitioner = other, doctor
		if _, err := w.s.createRota(w.as(w.operator), there); err != nil {
			t.Fatal(err)
		}
		rule.Duty.Department = other
		if _, err := w.s.updateRota(w.as(w.operator), rule); err != nil {
			t.Fatal(err)
		}
		w.due()
		all, err := w.s.Schedules(t.Context(), w.tenant, scheduling.ScheduleQuery{Practitioner: doctor, From: day("2026-03-04"), To: day("2026-03-04")})
		if err != nil || len(all) != 1 {
			t.Fatal(all, err)
		}
		w.hold(p, w.ask(v, all[0].ID))
		out, err := w.s.store.sell(t.Context(), w.tenant, hs)
		if err != nil {
			t.Fatal(err)
		}
		want(t, out[0].Err, scheduling.ErrLimitReached)
		w.sound()
	})
}

// TestSoldOutRetry: after the sell-out the mark answers; a booked patient who asks again
// gets the booking, a used key with other content a conflict, and a freed seat is sold at once.
func TestSoldOutRetry(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		w.rota(0, 1, 240)
		sch := w.on("2026-03-04")
		p, v := w.person()
		r := w.ask(v, sch.ID)
		a := w.hold(p, r)
		q, x := w.person()
		for range 3 {
			_, _, err := w.s.Hold(w.as(q), w.ask(x, sch.ID))
			want(t, err, scheduling.ErrFull)
		}
		if w.s.marks.Look(context.Background(), soldout.Key{Tenant: w.tenant, Schedule: sch.ID}, w.ask(x, sch.ID)) != soldout.Sold {
			t.Fatal("no mark")
		}
		_, _, err := w.s.Hold(w.as(q), w.ask(v, sch.ID))
		want(t, err, scheduling.ErrFull) // of somebody else's person nothing was asked
		again, hit, err := w.s.Hold(w.as(p), r)
		if err != nil || !hit || again.ID != a.ID {
			t.Fatalf("%v %v %+v", err, hit, again)
		}
		other := r
		other.Any, other.Schedule, other.Slot = false, id.ID[scheduling.Schedule]{}, a.Slot
		_, _, err = w.s.Hold(w.as(p), other)
		want(t, err, scheduling.ErrKeyReused)
		if _, err := w.s.Cancel(w.as(p), scheduling.CancelRequest{ID: a.ID, Version: a.Version}); err != nil {
			t.Fatal(err)
		}
		if b := w.hold(q, w.ask(x, sch.ID)); b.Number != 1 || errors.Is(err, scheduling.ErrFull) {
			t.Errorf("%+v", b)
		}
		w.sound()
	})
}
