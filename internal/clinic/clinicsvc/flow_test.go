package clinicsvc

import (
	"errors"
	"testing"
	"time"

	"xinglin/internal/clinic"
	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/fault"
	"xinglin/internal/kernel/id"
	"xinglin/internal/patient"
	"xinglin/internal/scheduling"
	"xinglin/internal/testkit/apitest"
)

// refused wants a code.
func refused(t *testing.T, err error, want *fault.Code) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%v, want %s", err, want.Name)
	}
}

// TestMorning is a session from the first check-in to its end.
func TestMorning(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		line := w.session(3)
		vs := w.book(line, 6)
		w.want(line, "expected 1 2 3 4 5 6")
		refusedCall := func(want *fault.Code) {
			t.Helper()
			_, _, err := w.s.CallNext(w.as(w.doctor), line, w.queue(line).Version, w.key())
			refused(t, err, want)
		}
		refusedCall(clinic.ErrNobodyWaiting)
		w.checkIn(vs[2], vs[0], vs[1])
		w.want(line, "waiting 1 2 3, expected 4 5 6")
		if n := w.next(line); n != 1 {
			t.Errorf("called %d first", n)
		}
		if n := w.next(line); n != 2 { // finishes 1
			t.Errorf("called %d", n)
		}
		w.want(line, "called 2, waiting 3, expected 4 5 6, done 1")
		if _, _, err := w.s.Skip(w.as(w.doctor), vs[1].turn, w.key()); err != nil {
			t.Fatal(err)
		}
		w.checkIn(vs[3], vs[4])
		w.want(line, "waiting 3 4 5, missed 2, expected 6, done 1")
		if _, _, err := w.s.Recall(w.as(w.nurse), vs[1].turn, w.key()); err != nil { // back after the next two
			t.Fatal(err)
		}
		w.want(line, "waiting 3 4 2 5, expected 6, done 1")
		for _, want := range []int{3, 4, 2, 5} {
			if n := w.next(line); n != want {
				t.Errorf("called %d, want %d", n, want)
			}
		}
		refusedCall(clinic.ErrNobodyWaiting)
		w.want(line, "called 5, expected 6, done 1 2 3 4") // the refused key has finished nobody
		q, _, err := w.s.Recall(w.as(w.doctor), vs[4].turn, w.key())
		if err != nil || q.Current.Calls != 2 {
			t.Errorf("recalled: %v %v", q.Current, err)
		}
		if _, _, err := w.s.Finish(w.as(w.doctor), vs[4].turn, w.key()); err != nil {
			t.Fatal(err)
		}
		for e, want := range map[interface{ EventName() string }]int64{
			clinic.TurnCheckedIn{}: 5, clinic.TurnCalled{}: 7, clinic.TurnMissed{}: 1, clinic.TurnFinished{}: 5,
		} {
			if n := w.told(e); n != want {
				t.Errorf("%d events %s, want %d", n, e.EventName(), want)
			}
		}
		w.clock.Set(clock.NewDate(2026, 3, 2).At(12*60 + 1))
		if q := w.queue(line); q.State != clinic.Ended {
			t.Errorf("the session is %s after its end", q.State)
		}
		refusedCall(clinic.ErrNotRunning)
		w.checkIn(vs[5]) // late, by the desk: the session goes on
		if q := w.queue(line); q.State != clinic.Running || !q.Turns[0].Late {
			t.Errorf("the session is %s with one who waits: %+v", q.State, q.Turns[0])
		}
		if n := w.next(line); n != 6 {
			t.Errorf("called %d", n)
		}
		w.clean()
	})
}

// TestLate: who comes after the own period goes after the next two who wait.
func TestLate(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		line := w.session(3)
		vs := w.book(line, 8)
		w.clock.Set(clock.NewDate(2026, 3, 2).At(9*60 + 25)) // 1 and 2 are late
		w.checkIn(vs[4], vs[5], vs[6], vs[0])
		w.want(line, "waiting 5 6 1 7, expected 2 3 4 8")
		w.checkIn(vs[2]) // in time, with a lower number: the late one waits for no more than two
		w.want(line, "waiting 3 5 1 6 7, expected 2 4 8")
		if n := w.next(line); n != 3 {
			t.Errorf("called %d", n)
		}
		w.checkIn(vs[3])
		w.want(line, "called 3, waiting 4 1 5 6 7, expected 2 8")
		w.clean()
	})
}

// TestOwnCheckIn is the window of a person's own check-in.
func TestOwnCheckIn(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		day := clock.NewDate(2026, 3, 2)
		for name, x := range map[string]struct {
			minute int // of the day of the session
			want   *fault.Code
			late   bool
		}{
			"a minute too early":     {9*60 - 21, clinic.ErrTooEarly, false},
			"the first minute":       {9*60 - 20, nil, false},
			"within the own period":  {9*60 + 59, nil, false},
			"at its end":             {10 * 60, nil, true},
			"half an hour after it":  {10*60 + 30, nil, true},
			"a minute later: a desk": {10*60 + 31, clinic.ErrTooLate, false},
			"the day before":         {-14 * 60, clinic.ErrTooEarly, false},
			"the day after":          {33 * 60, clinic.ErrTooLate, false},
		} {
			day = day.Add(3)
			w.clock.Set(day.At(x.minute))
			line := w.sessionOf(linID, heartID, day, 9*60, 3)
			me := w.book(line, 5)[4] // 9:40 to 10:00
			before, err := w.s.Place(w.as(me.Principal), me.turn)
			if err != nil || before.CanCheckIn != (x.want == nil) {
				t.Errorf("%s: can check in: %v %v", name, before.CanCheckIn, err)
			}
			p, _, err := w.s.CheckIn(w.as(me.Principal), me.turn, w.key())
			if x.want != nil {
				refused(t, err, x.want)
				continue
			}
			if err != nil || p.State != clinic.Waiting || p.Late != x.late || p.Position != 1 || p.CanCheckIn {
				t.Errorf("%s: %+v %v", name, p, err)
			}
		}
		w.clean()
	})
}

// TestNobodysTurn: the place of somebody whom the window booked without an account is shown to an account that proved to act
// for the person, which checks in as well; not to one that merely entered the person.
func TestNobodysTurn(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		line := w.session(3)
		v := w.visit(line, 1)
		v.event.Account = id.ID[auth.Account]{}
		hearAll(w, w.s.onBooked, v.event)
		me, entered := apitest.Patient(w.tenant), apitest.Patient(w.tenant)
		w.patients.links[me.Account] = []patient.Link{{Patient: id.Random[patient.Patient](), Proven: true}, {Patient: v.event.Patient, Proven: true}}
		w.patients.links[entered.Account] = []patient.Link{{Patient: v.event.Patient}}
		for _, who := range []auth.Principal{entered, apitest.Patient(w.tenant)} {
			_, err := w.s.Place(w.as(who), v.turn)
			refused(t, err, clinic.ErrNotFound)
			_, _, err = w.s.CheckIn(w.as(who), v.turn, w.key())
			refused(t, err, clinic.ErrNotFound)
		}
		if p, err := w.s.Place(w.as(me), v.turn); err != nil || !p.CanCheckIn {
			t.Errorf("%+v %v", p, err)
		}
		if p, _, err := w.s.CheckIn(w.as(me), v.turn, w.key()); err != nil || p.State != clinic.Waiting {
			t.Errorf("%+v %v", p, err)
		}
		w.clean()
	})
}

// TestBackAgain: a missed person comes back by themselves twice, then by the desk; and
// does not overtake the same person twice.
func TestBackAgain(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		line := w.session(3)
		vs := w.book(line, 12)
		w.checkIn(vs...)
		me := vs[0]
		miss := func() {
			t.Helper()
			if _, _, err := w.s.Skip(w.as(w.doctor), me.turn, w.key()); err != nil {
				t.Fatal(err)
			}
		}
		w.next(line)
		miss()
		if p, _, err := w.s.CheckIn(w.as(me.Principal), me.turn, w.key()); err != nil || p.Position != 3 || p.Ahead != 2 {
			t.Fatalf("%+v %v", p, err)
		}
		for range 3 {
			w.next(line) // 2, 3, 1
		}
		miss()
		if _, _, err := w.s.CheckIn(w.as(me.Principal), me.turn, w.key()); err != nil {
			t.Fatal(err)
		}
		w.want(line, "waiting 4 5 6 7 8 9 10 11 12 1, done 2 3") // all of them were overtaken once
		for range 10 {
			w.next(line)
		}
		miss()
		_, _, err := w.s.CheckIn(w.as(me.Principal), me.turn, w.key())
		refused(t, err, clinic.ErrTooOften)
		if _, _, err := w.s.Recall(w.as(w.desk), me.turn, w.key()); err != nil {
			t.Fatal(err)
		}
		if n := w.next(line); n != 1 {
			t.Errorf("called %d", n)
		}
		w.clean()
	})
}

// TestOrderOfEvents: a cancel before its booking, each event twice, a booking of a line
// that nobody has published, a cancel of one who waits.
func TestOrderOfEvents(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		line := w.session(2)
		early, waits, seen := w.visit(line, 1), w.visit(line, 2), w.visit(line, 3)
		cancel := func(v visitor) {
			t.Helper()
			for range 2 {
				hear(w, w.s.onCancelled, scheduling.AppointmentCancelled{Visit: v.event.Visit, Number: v.event.Number, Reason: scheduling.ByPatient})
			}
		}
		cancel(early)
		for range 2 {
			hearAll(w, w.s.onBooked, early.event, waits.event, seen.event)
		}
		w.want(line, "expected 2 3")
		w.checkIn(seen, waits)
		cancel(waits)
		w.want(line, "waiting 3")
		w.next(line)
		if _, _, err := w.s.Finish(w.as(w.doctor), seen.turn, w.key()); err != nil {
			t.Fatal(err)
		}
		cancel(seen) // stays seen
		w.want(line, "done 3")
		hear(w, w.s.onCancelled, scheduling.AppointmentCancelled{Visit: w.visit(line, 4).event.Visit}) // a hold
		if n := w.count(`SELECT COUNT(*) FROM turn WHERE tenant_id = $1`); n != 3 {
			t.Errorf("%d turns", n)
		}
		_, _, err := w.s.CheckInAtDesk(w.as(w.desk), early.turn, w.key())
		refused(t, err, clinic.ErrState)
		w.clean()
	})
}

// TestCancelledInTheRoom: the appointment of who is called is cancelled; the next key
// calls the next one and finishes nobody.
func TestCancelledInTheRoom(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		line := w.session(2)
		vs := w.book(line, 2)
		w.checkIn(vs...)
		w.next(line)
		seen := w.queue(line).Version
		hear(w, w.s.onCancelled, scheduling.AppointmentCancelled{Visit: vs[0].event.Visit, Number: 1, Reason: scheduling.ByStop})
		_, _, err := w.s.CallNext(w.as(w.doctor), line, seen, w.key())
		refused(t, err, clinic.ErrStale)
		if n := w.next(line); n != 2 {
			t.Errorf("called %d", n)
		}
		if n := w.told(clinic.TurnFinished{}); n != 0 {
			t.Errorf("%d finished", n)
		}
		w.clean()
	})
}

// TestStopped: a stop is seen by its event, or within a minute by the plan; so is that
// the session goes on.
func TestStopped(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		line := w.session(2)
		vs := w.book(line, 2)
		w.checkIn(vs[0])
		plan := func(state scheduling.ScheduleState) {
			v := w.bookings.sessions[line]
			v.State = state
			w.bookings.sessions[line] = v
		}
		plan(scheduling.ScheduleHalted)
		hearAll(w, w.s.onStopped, scheduling.ScheduleStopped{Schedule: line, Practitioner: linID})
		if q := w.queue(line); q.State != clinic.Stopped {
			t.Errorf("the session is %s", q.State)
		}
		_, _, err := w.s.CallNext(w.as(w.doctor), line, w.queue(line).Version, w.key())
		refused(t, err, clinic.ErrNotRunning)
		_, _, err = w.s.CheckIn(w.as(vs[1].Principal), vs[1].turn, w.key())
		refused(t, err, clinic.ErrNotRunning)
		_, _, err = w.s.CheckInAtDesk(w.as(w.desk), vs[1].turn, w.key())
		refused(t, err, clinic.ErrNotRunning)
		w.clock.Add(2 * time.Minute)
		plan(scheduling.ScheduleOpen)
		w.s.fresh = newFresh() // another process, or this one a minute later
		if q := w.queue(line); q.State != clinic.Running {
			t.Errorf("the session is %s", q.State)
		}
		w.next(line)
		plan(scheduling.ScheduleHalted) // its event is lost
		w.s.fresh = newFresh()
		if q := w.queue(line); q.State != clinic.Stopped {
			t.Errorf("the session is %s", q.State)
		}
		w.clean()
	})
}

// TestPause: somebody waits longer, the key ends the pause.
func TestPause(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		line := w.session(2)
		vs := w.book(line, 2)
		w.checkIn(vs...)
		q, _, err := w.s.pause(w.as(w.doctor), line, 15, clinic.Round, w.key())
		if err != nil || q.State != clinic.Paused || !q.PausedUntil.Equal(w.clock.Now().Add(15*time.Minute)) || q.PauseReason != clinic.Round {
			t.Fatalf("%+v %v", q.Line, err)
		}
		p, err := w.s.Place(w.as(vs[0].Principal), vs[0].turn)
		if err != nil || p.WaitFrom.Before(q.PausedUntil) || p.WaitTo.Before(p.WaitFrom) || !p.PausedUntil.Equal(q.PausedUntil) {
			t.Errorf("%+v %v", p, err)
		}
		if q, _, err = w.s.resume(w.as(w.doctor), line, w.key()); err != nil || q.State != clinic.Running || !q.PausedUntil.IsZero() {
			t.Errorf("%+v %v", q.Line, err)
		}
		if q, _, err = w.s.pause(w.as(w.nurse), line, 15, clinic.Emergency, w.key()); err != nil || q.State != clinic.Paused {
			t.Errorf("%+v %v", q.Line, err)
		}
		w.next(line)
		if q := w.queue(line); q.State != clinic.Running {
			t.Errorf("after a call the session is %s", q.State)
		}
		for _, bad := range []struct {
			minutes int
			reason  clinic.PauseReason
		}{{0, clinic.Round}, {481, clinic.Round}, {5, "lunch"}} {
			_, _, err := w.s.pause(w.as(w.doctor), line, bad.minutes, bad.reason, w.key())
			refused(t, err, clinic.ErrInput)
		}
		w.clean()
	})
}

// TestStaleKey: bookings and check-ins refuse no key of the doctor; another key does.
func TestStaleKey(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		line := w.session(2)
		vs := w.book(line, 3)
		w.checkIn(vs[1])
		seen := w.queue(line).Version
		w.checkIn(vs[0]) // meanwhile
		hearAll(w, w.s.onBooked, w.visit(line, 4).event)
		key := w.key()
		q, hit, err := w.s.CallNext(w.as(w.doctor), line, seen, key)
		if err != nil || hit || q.Current.Number != 1 {
			t.Fatalf("%v %v %v", q.Current, hit, err)
		}
		again, hit, err := w.s.CallNext(w.as(w.doctor), line, seen, key) // the answer was lost
		if err != nil || !hit || again.Current.Number != 1 || again.Waiting != 1 {
			t.Errorf("%v %v %v", again.Current, hit, err)
		}
		_, _, err = w.s.CallNext(w.as(w.nurse), line, seen, w.key())
		refused(t, err, clinic.ErrStale)
		w.clean()
	})
}

// TestDay: a session is called on its day only, from an hour before it begins.
func TestDay(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		day := clock.NewDate(2026, 3, 3)
		line := w.sessionOf(linID, heartID, day, 9*60, 2)
		vs := w.book(line, 2)
		call := func() error {
			_, _, err := w.s.CallNext(w.as(w.doctor), line, w.queue(line).Version, w.key())
			return err
		}
		_, _, err := w.s.CheckInAtDesk(w.as(w.desk), vs[0].turn, w.key())
		refused(t, err, clinic.ErrTooEarly)
		refused(t, call(), clinic.ErrNotRunning)
		w.clock.Set(day.At(7*60 + 30))
		w.checkIn(vs...) // early birds at the desk
		refused(t, call(), clinic.ErrNotRunning)
		if q := w.queue(line); q.State != clinic.Planned {
			t.Errorf("the session is %s", q.State)
		}
		w.clock.Set(day.At(8 * 60))
		if n := w.next(line); n != 1 || w.queue(line).State != clinic.Running {
			t.Errorf("called %d", n)
		}
		w.clock.Set(day.Add(1).At(0))
		refused(t, call(), clinic.ErrNotRunning)
		w.clean()
	})
}
