package schedulingsvc

import (
	"context"
	"fmt"
	"testing"
	"time"

	"xinglin/internal/clinic"
	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/event"
	"xinglin/internal/kernel/id"
	"xinglin/internal/kernel/money"
	"xinglin/internal/platform/db"
	"xinglin/internal/scheduling"
	"xinglin/internal/scheduling/bookingrules"
	"xinglin/internal/scheduling/lottery"
	"xinglin/internal/testkit"
	"xinglin/internal/testkit/apitest"
)

// stop stops a session as the operator; its visits wait for the job.
func (w *world) stop(schedule scheduleID) bookingrules.Stop {
	w.t.Helper()
	v, _, err := w.s.store.sessionNow(context.Background(), w.tenant, schedule)
	if err != nil {
		w.t.Fatal(err)
	}
	_, stop, _, err := w.s.stopSession(w.as(w.operator), key(w.clock.Now()).String(), schedule, v.Version, "医师临时外出")
	if err != nil {
		w.t.Fatal(err)
	}
	return stop
}

func (w *world) resume(schedule scheduleID) error {
	w.t.Helper()
	v, _, err := w.s.store.sessionNow(context.Background(), w.tenant, schedule)
	if err != nil {
		w.t.Fatal(err)
	}
	_, _, err = w.s.resumeSession(w.as(w.operator), key(w.clock.Now()).String(), schedule, v.Version)
	return err
}

// turn delivers what the waiting line says.
func (w *world) turn(e event.Event) error {
	w.t.Helper()
	ctx := testkit.AsSystem(context.Background(), w.tenant, "consumer:scheduling")
	return w.base.DB.Write(ctx, w.tenant, func(ctx context.Context, tx db.Tx) error {
		switch e := e.(type) {
		case clinic.TurnCheckedIn:
			if err := w.s.lockCheckedIn(ctx, tx, []clinic.TurnCheckedIn{e}); err != nil {
				return err
			}
			return w.s.onCheckedIn(ctx, tx, event.Meta{Tenant: w.tenant}, e)
		case clinic.TurnFinished:
			if err := w.s.lockFinished(ctx, tx, []clinic.TurnFinished{e}); err != nil {
				return err
			}
			return w.s.onFinished(ctx, tx, event.Meta{Tenant: w.tenant}, e)
		}
		return fmt.Errorf("no such turn: %T", e)
	})
}

func (w *world) arrives(a scheduling.Appointment) {
	w.t.Helper()
	if err := w.turn(clinic.TurnCheckedIn{Step: clinic.Step{Appointment: a.ID}}); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) seen(a scheduling.Appointment) {
	w.t.Helper()
	if err := w.turn(clinic.TurnFinished{Step: clinic.Step{Appointment: a.ID}}); err != nil {
		w.t.Fatal(err)
	}
}

// TestStop: a stop ends the sale at once, cancels and refunds all visits to come, counts
// against nobody and frees the limits; seen visits stay. Resumed, it sells what is free.
func TestStop(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		w.rota(2500, 10, 30)
		sch := w.on("2026-03-04")
		type visit struct {
			who auth.Principal
			p   scheduling.PatientID
			a   scheduling.Appointment
		}
		var all []visit
		for range 5 {
			p, v := w.person()
			all = append(all, visit{p, v, w.hold(p, w.ask(v, sch.ID))})
		}
		for _, x := range all[1:] {
			if err := w.paid(x.a); err != nil {
				t.Fatal(err)
			}
		}
		w.arrives(all[2].a)
		w.arrives(all[3].a)
		w.seen(all[3].a)
		if _, err := w.s.Cancel(w.as(all[4].who), scheduling.CancelRequest{ID: all[4].a.ID, Version: 2}); err != nil {
			t.Fatal(err)
		}
		w.due()
		before := w.payments.refunded()
		stop := w.stop(sch.ID)
		if stop.Affected != 3 || stop.Refund != 5000 || stop.Pending != 3 || stop.Cancelled != 0 || stop.ByRota {
			t.Errorf("%+v", stop)
		}
		p, v := w.person()
		_, _, err := w.s.Hold(w.as(p), w.ask(v, sch.ID))
		want(t, err, scheduling.ErrScheduleStopped)
		want(t, w.resume(sch.ID), scheduling.ErrStopRunning)
		w.due()
		for i, state := range []scheduling.State{scheduling.Cancelled, scheduling.Cancelled, scheduling.Cancelled, scheduling.Fulfilled, scheduling.Cancelled} {
			a := w.get(all[i].who, all[i].a.ID)
			if a.State != state || i < 3 && a.CancelReason != scheduling.ByStop {
				t.Errorf("%d: %s %s", i, a.State, a.CancelReason)
			}
		}
		stop, err = w.s.readStop(w.as(w.operator), sch.ID)
		if err != nil || stop.Cancelled != 3 || stop.Pending != 0 || stop.Affected != 3 || w.payments.refunded()-before != 5000 {
			t.Errorf("%v %+v, %d back", err, stop, w.payments.refunded()-before)
		}
		if n := w.number(`SELECT COUNT(*) FROM incident WHERE tenant_id = $1`, w.tenant); n != 1 { // the one that the patient gave back
			t.Errorf("%d incidents", n)
		}
		if w.told(scheduling.ScheduleStopped{}) != 1 || w.told(scheduling.AppointmentCancelled{}) != 2 { // the patient's, and the three of the stop together
			t.Errorf("%d and %d messages", w.told(scheduling.ScheduleStopped{}), w.told(scheduling.AppointmentCancelled{}))
		}
		w.sound()
		if _, err := w.s.ExtendRota(testkit.AsCLI(context.Background(), w.tenant), day("2026-03-20")); err != nil {
			t.Fatal(err)
		}
		if got := w.on("2026-03-04"); got.State != scheduling.ScheduleHalted {
			t.Errorf("the rota has resumed it: %s", got.State)
		}
		if err := w.resume(sch.ID); err != nil {
			t.Fatal(err)
		}
		_, err = w.s.readStop(w.as(w.operator), sch.ID)
		want(t, err, scheduling.ErrNotFound)
		again := w.hold(all[1].who, w.ask(all[1].p, sch.ID)) // neither limit nor seat is used
		if got := w.on("2026-03-04"); got.State != scheduling.ScheduleOpen || got.Remaining != 8 || again.State != scheduling.Pending || w.told(scheduling.ScheduleResumed{}) != 1 {
			t.Errorf("%+v", got)
		}
		want(t, w.resume(sch.ID), scheduling.ErrState)
		w.sound()
	})
}

// TestStopGoesOn: a process that dies between two transactions of the job leaves the rest to
// the next run, which ends the same: everybody once.
func TestStopGoesOn(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		const people = 2*stopTogether + 5
		w.rota(2500, people, 30)
		sch := w.on("2026-03-04")
		for range people {
			p, v := w.person()
			if err := w.paid(w.hold(p, w.ask(v, sch.ID))); err != nil {
				t.Fatal(err)
			}
		}
		w.stop(sch.ID)
		due, err := w.s.store.stoppedVisits(context.Background(), w.tenant, sch.ID)
		if err != nil || len(due) != people {
			t.Fatal(len(due), err)
		}
		for range 2 { // the same part twice: it died before the job's end was written
			if err := w.s.store.cancelStopped(testkit.AsSystem(context.Background(), w.tenant, "job"), w.tenant, sch.ID, due[:stopTogether], ""); err != nil {
				t.Fatal(err)
			}
		}
		stop, err := w.s.readStop(w.as(w.operator), sch.ID)
		if err != nil || stop.Cancelled != stopTogether || stop.Pending != people-stopTogether {
			t.Fatalf("%v %+v", err, stop)
		}
		w.due()
		stop, err = w.s.readStop(w.as(w.operator), sch.ID)
		if err != nil || stop.Cancelled != people || stop.Pending != 0 || w.payments.refunded() != people*2500 {
			t.Errorf("%v %+v, %d back", err, stop, w.payments.refunded())
		}
		if n := w.number(`SELECT COUNT(*) FROM appointment_history WHERE tenant_id = $1 AND to_state = 'cancelled'`, w.tenant); n != people {
			t.Errorf("%d cancelled", n)
		}
		w.sound()
	})
}

// TestStopRace: many stop at once while people book and pay: one stop takes effect, and
// nobody keeps a seat or loses money.
func TestStopRace(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		w.rota(2500, 40, 30)
		sch := w.on("2026-03-04")
		version := w.number(`SELECT version FROM schedule WHERE tenant_id = $1 AND id = $2`, w.tenant, sch.ID)
		type visit struct {
			who auth.Principal
			p   scheduling.PatientID
		}
		var people []visit
		for range 40 {
			p, v := w.person()
			people = append(people, visit{p, v})
		}
		errs := many(48, func(i int) error {
			if i%6 == 5 {
				return busy(func() error {
					_, _, _, err := w.s.stopSession(w.as(w.operator), key(w.clock.Now()).String(), sch.ID, int64(version), "停诊")
					return err
				})
			}
			x := people[i-i/6]
			a, _, err := w.s.Hold(w.as(x.who), w.ask(x.p, sch.ID))
			if err == nil {
				err = busy(func() error { return w.paid(a) })
			}
			if err != nil {
				return err
			}
			return fmt.Errorf("held")
		})
		got := codes(errs)
		if got["ok"] != 1 || got["scheduling.stale"]+got["scheduling.schedule_stopped"] < 7 {
			t.Errorf("%v", got)
		}
		w.due()
		if n := w.number(`SELECT COUNT(*) FROM appointment WHERE tenant_id = $1 AND state <> 'cancelled'`, w.tenant); n != 0 {
			t.Errorf("%d keep their visit", n)
		}
		paid := w.number(`SELECT COUNT(*) FROM appointment WHERE tenant_id = $1 AND settlement <> ''`, w.tenant)
		if w.payments.refunded() != money.Fen(2500*paid) {
			t.Errorf("%d back for %d paid", w.payments.refunded(), paid)
		}
		w.sound()
	})
}

// TestTurns: arrivals and ends as the waiting line tells them, repeated and in any order.
func TestTurns(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		w.rota(2500, 10, 30)
		sch := w.on("2026-03-04")
		p, v := w.person()
		a := w.hold(p, w.ask(v, sch.ID))
		w.arrives(a) // unpaid: nothing to arrive for
		if got := w.get(p, a.ID); got.State != scheduling.Pending {
			t.Errorf("%s", got.State)
		}
		if err := w.paid(a); err != nil {
			t.Fatal(err)
		}
		w.arrives(a)
		w.arrives(a)
		if got := w.get(p, a.ID); got.State != scheduling.Arrived || got.Cancellable || got.Version != 3 {
			t.Errorf("%+v", got)
		}
		_, err := w.s.Cancel(w.as(p), scheduling.CancelRequest{ID: a.ID, Version: 3})
		want(t, err, scheduling.ErrState)
		w.seen(a)
		w.seen(a)
		w.arrives(a)
		got := w.get(p, a.ID)
		if got.State != scheduling.Fulfilled || got.Version != 4 || len(got.History) != 4 || got.History[3].By != byFinish {
			t.Errorf("%+v", got)
		}
		q, x := w.person()
		b := w.booked(q, w.ask(x, sch.ID))
		w.seen(b) // heard before the check-in
		w.arrives(b)
		if got := w.get(q, b.ID); got.State != scheduling.Fulfilled {
			t.Errorf("%s", got.State)
		}
		want(t, w.turn(clinic.TurnFinished{Step: clinic.Step{Appointment: id.Random[scheduling.Appointment]()}}), scheduling.ErrNotFound)
		w.sound()
	})
}

// TestMiss: who has not come is a no-show some time after the end, paid or free, once; a
// check-in that is heard late takes it back; stopped sessions and those who came do not count.
func TestMiss(t *testing.T) {
	for _, fee := range []int{2500, 0} {
		t.Run(fmt.Sprint(fee), func(t *testing.T) {
			eachWorld(t, func(t *testing.T, w *world) {
				w.rota(money.Fen(fee), 10, 30)
				sch, stopped := w.on("2026-03-04"), w.on("2026-03-05")
				book := func(schedule scheduleID) (auth.Principal, scheduling.Appointment) {
					p, v := w.person()
					a := w.hold(p, w.ask(v, schedule))
					if fee > 0 {
						if err := w.paid(a); err != nil {
							t.Fatal(err)
						}
					}
					return p, a
				}
				p, missed := book(sch.ID)
				q, came := book(sch.ID)
				r, late := book(sch.ID)
				_, _ = book(stopped.ID)
				w.clock.Set(day("2026-03-04").At(10 * 60))
				w.due() // the night's job sets the timers
				w.arrives(came)
				state := func(who auth.Principal, a scheduling.Appointment, want scheduling.State) {
					t.Helper()
					if got := w.get(who, a.ID); got.State != want {
						t.Errorf("%s, want %s", got.State, want)
					}
				}
				w.clock.Set(sch.EndsAt.Add(30*time.Minute - time.Second))
				w.due()
				state(p, missed, scheduling.Booked)
				w.clock.Set(sch.EndsAt.Add(30 * time.Minute))
				w.due()
				state(p, missed, scheduling.NoShow)
				state(q, came, scheduling.Arrived)
				state(r, late, scheduling.NoShow)
				if n := w.number(`SELECT COUNT(*) FROM incident WHERE tenant_id = $1 AND kind = 'missed'`, w.tenant); n != 2 || w.told(scheduling.AppointmentMissed{}) != 1 || w.payments.refunded() != 0 {
					t.Errorf("%d incidents, %d messages", n, w.told(scheduling.AppointmentMissed{}))
				}
				w.arrives(late)
				state(r, late, scheduling.Arrived)
				if n := w.number(`SELECT COUNT(*) FROM incident WHERE tenant_id = $1`, w.tenant); n != 1 {
					t.Errorf("%d incidents", n)
				}
				w.sound()
				w.stop(stopped.ID)
				w.clock.Set(stopped.EndsAt.Add(time.Hour))
				w.due()
				w.clock.Set(stopped.EndsAt.Add(24 * time.Hour))
				w.due()
				if n := w.number(`SELECT COUNT(*) FROM appointment WHERE tenant_id = $1 AND state = 'noshow'`, w.tenant); n != 1 {
					t.Errorf("%d no-shows", n)
				}
				w.sound()
			})
		})
	}
}

// TestMissOff: a hospital without check-in switches no-shows off; later rules hold for timers that were set before.
func TestMissOff(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		w.rota(0, 10, 30)
		sch := w.on("2026-03-03")
		p, v := w.person()
		a := w.hold(p, w.ask(v, sch.ID))
		w.clock.Set(day("2026-03-03").At(9 * 60))
		w.due()
		w.rules(func(r *scheduling.BookingRules) { r.MissMinutes = 120 })
		w.clock.Set(sch.EndsAt.Add(time.Hour))
		w.due() // the timer of the former rules looks again later
		if got := w.get(p, a.ID); got.State != scheduling.Booked {
			t.Errorf("%s", got.State)
		}
		w.rules(func(r *scheduling.BookingRules) { r.MissMinutes = 0 })
		w.clock.Set(sch.EndsAt.Add(3 * time.Hour))
		w.due()
		if got := w.get(p, a.ID); got.State != scheduling.Booked {
			t.Errorf("%s", got.State)
		}
		w.sound()
	})
}

// TestStopLottery: a stop ends a lottery that takes entries and tells them; one that has not
// begun waits, and goes on when the session is resumed in time.
func TestStopLottery(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		w.rota(2500, 8, 30)
		l := w.lottery("2026-03-20", time.Minute, lottery.PerPerson)
		w.stop(l.Lottery)
		w.due()
		if err := w.resume(l.Lottery); err != nil {
			t.Fatal(err)
		}
		w.clock.Set(l.OpensAt.Add(time.Second))
		e := w.entered(l)
		w.stop(l.Lottery)
		p, v := w.person()
		_, _, err := w.s.enter(w.as(p), w.wish(l, v))
		want(t, err, scheduling.ErrScheduleStopped)
		w.due()
		if m := w.mine(e); m.State != lottery.EntryRefused || m.Reason != "scheduling.schedule_stopped" || w.stored(l).State != lottery.Done || w.told(scheduling.LotteryDecided{}) != 1 {
			t.Errorf("%+v", m)
		}
		w.verified(l, lottery.Trust{})
		w.sound()
	})
}

// TestSessionRoutes: success, denied, another tenant, stale, repeat of the session's routes.
func TestSessionRoutes(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		w.rota(2500, 10, 30)
		h := apitest.New(t, w.m.Routes)
		sch := w.on("2026-03-04")
		for range 3 {
			p, v := w.person()
			w.booked(p, w.ask(v, sch.ID))
		}
		registrar, nurse, auditor := apitest.Staff(w.tenant, auth.Registrar), apitest.Staff(w.tenant, auth.Nurse), apitest.Staff(w.tenant, auth.AuditAdmin)
		person, stranger := apitest.Patient(w.tenant), apitest.Staff(apitest.Other, auth.Operator)
		path := "/schedules/" + sch.ID.String()

		page := h.Do(nurse, "GET", path+"/appointments?limit=2", nil).Want(t, 200)
		items := page.Items(t)
		if len(items) != 2 || items[0]["number"] != float64(1) || items[0]["patient_name_masked"] != "张*三" || items[0]["state"] != "booked" || page.Map(t)["next"] == "" {
			t.Fatalf("%v", page.Map(t))
		}
		if rest := h.Do(registrar, "GET", path+"/appointments?cursor="+fmt.Sprint(page.Map(t)["next"]), nil).Want(t, 200).Items(t); len(rest) != 1 || rest[0]["number"] != float64(3) {
			t.Errorf("%v", rest)
		}
		h.Do(person, "GET", path+"/appointments", nil).Refused(t, 403, "authz.denied")
		h.Do(stranger, "GET", path+"/appointments", nil).Refused(t, 404, "scheduling.not_found")
		h.Do(apitest.Nobody(w.tenant), "GET", path+"/appointments", nil).Refused(t, 401, "auth.required")
		h.Do(nurse, "GET", path+"/appointments?cursor=x", nil).Want(t, 400)

		h.Do(w.operator, "GET", path+"/stop", nil).Refused(t, 404, "scheduling.not_found")
		listed := h.Do(apitest.Nobody(w.tenant), "GET", "/schedules?from=2026-03-04&to=2026-03-04&practitioner_id="+w.doctor.String(), nil).Want(t, 200).Items(t)
		version := int64(listed[0]["version"].(float64))
		why := map[string]any{"reason": "医师临时外出"}
		k := apitest.Key(key(w.clock.Now()))
		h.Do(registrar, "POST", path+"/stop", why, k, apitest.IfMatch(version)).Refused(t, 403, "authz.denied")
		h.Do(stranger, "POST", path+"/stop", why, k, apitest.IfMatch(version)).Refused(t, 404, "scheduling.not_found")
		h.Do(w.operator, "POST", path+"/stop", why, k, apitest.IfMatch(version+1)).Refused(t, 412, "scheduling.stale")
		h.Do(w.operator, "POST", path+"/stop", map[string]any{"reason": " "}, k, apitest.IfMatch(version)).Refused(t, 422, "scheduling.input")
		h.Do(w.operator, "POST", path+"/stop", why, apitest.IfMatch(version)).Refused(t, 400, "http.key_required")
		r := h.Do(w.operator, "POST", path+"/stop", why, k, apitest.IfMatch(version)).Want(t, 200)
		if b := r.Map(t); b["affected"] != float64(3) || b["refund_fen"] != float64(7500) || b["schedule"].(map[string]any)["state"] != "stopped" || r.Header.Get("Idempotency-Hit") != "" {
			t.Errorf("%v", b)
		}
		if again := h.Do(w.operator, "POST", path+"/stop", why, k, apitest.IfMatch(version)).Want(t, 200); again.Header.Get("Idempotency-Hit") != "true" || again.Map(t)["affected"] != float64(3) {
			t.Errorf("%v", again.Map(t))
		}
		h.Do(w.operator, "POST", path+"/stop", map[string]any{"reason": "other"}, k, apitest.IfMatch(version)).Refused(t, 422, "idem.key_reused")
		h.Do(w.operator, "POST", path+"/stop", why, apitest.Key(key(w.clock.Now())), apitest.IfMatch(version+1)).Refused(t, 409, "scheduling.schedule_stopped")
		resume := apitest.Key(key(w.clock.Now()))
		h.Do(w.operator, "POST", path+"/resume", nil, resume, apitest.IfMatch(version+1)).Refused(t, 409, "scheduling.stop_running")
		w.due()
		if b := h.Do(nurse, "GET", path+"/stop", nil).Want(t, 200).Map(t); b["cancelled"] != float64(3) || b["pending"] != float64(0) || b["affected"] != float64(3) {
			t.Errorf("%v", b)
		}
		h.Do(auditor, "GET", path+"/stop", nil).Refused(t, 403, "authz.denied")
		h.Do(stranger, "GET", path+"/stop", nil).Refused(t, 404, "scheduling.not_found")

		h.Do(registrar, "POST", path+"/resume", nil, resume, apitest.IfMatch(version+1)).Refused(t, 403, "authz.denied")
		h.Do(stranger, "POST", path+"/resume", nil, resume, apitest.IfMatch(version+1)).Refused(t, 404, "scheduling.not_found")
		h.Do(w.operator, "POST", path+"/resume", nil, resume, apitest.IfMatch(version)).Refused(t, 412, "scheduling.stale")
		r = h.Do(w.operator, "POST", path+"/resume", nil, resume, apitest.IfMatch(version+1)).Want(t, 200)
		if b := r.Map(t); b["state"] != "open" || b["remaining"] != float64(10) {
			t.Errorf("%v", b)
		}
		if again := h.Do(w.operator, "POST", path+"/resume", nil, resume, apitest.IfMatch(version+1)).Want(t, 200); again.Header.Get("Idempotency-Hit") != "true" {
			t.Errorf("%v", again.Header)
		}
		if n := w.number(`SELECT COUNT(*) FROM trail WHERE tenant_id = $1 AND action = 'scheduling.stop_session' AND why = '医师临时外出'`, w.tenant); n != 1 {
			t.Errorf("%d audit rows with the reason", n)
		}
		w.sound()
	})
}
