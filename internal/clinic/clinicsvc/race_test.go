package clinicsvc

import (
	"context"
	"errors"
	"sync"
	"testing"

	"xinglin/internal/clinic"
	"xinglin/internal/kernel/auth"
	"xinglin/internal/platform/db"
	"xinglin/internal/testkit"
	"xinglin/internal/testkit/dbtest"
)

// processes are two of them on one database (one on SQLite), with one plan.
func processes(t *testing.T, d *dbtest.Database) []*world {
	t.Helper()
	clk := testkit.Clock()
	srv := d.Open(t, dbtest.WithClock(clk))
	near := worldOn(t, srv, clk, nil)
	if d.Engine == db.Postgres {
		srv = d.Open(t, dbtest.WithClock(clk))
	}
	far := worldOn(t, srv, clk, nil)
	far.bookings = near.bookings
	far.s.bookings = near.bookings
	return []*world{near, far}
}

// each runs f in n goroutines at once.
func each(n int, f func(i int)) {
	var all sync.WaitGroup
	begin := make(chan struct{})
	for i := range n {
		all.Go(func() {
			<-begin
			f(i)
		})
	}
	close(begin)
	all.Wait()
}

const pressers = 32

// TestRaceCallNext: 32 keys are pressed at once, again and again, on a line where 20
// wait. Each press that is not refused calls one person, and each person is called once.
func TestRaceCallNext(t *testing.T) {
	dbtest.EachDatabase(t, testkit.Sets(Describe()), func(t *testing.T, d *dbtest.Database) {
		ws := processes(t, d)
		line := ws[0].session(4)
		ws[0].checkIn(ws[0].book(line, 20)...)
		var mu sync.Mutex
		called := map[int]int{}
		for round := 0; len(called) < 20; round++ {
			if round > 200 {
				t.Fatalf("only %d called", len(called))
			}
			seen := ws[0].queue(line).Version
			won := 0
			each(pressers, func(i int) {
				w := ws[i%2]
				who := []auth.Principal{w.doctor, w.nurse}[i/2%2]
				q, _, err := w.s.CallNext(w.as(who), line, seen, w.key())
				switch {
				case err == nil:
					mu.Lock()
					won++
					called[q.Current.Number]++
					mu.Unlock()
				case !errors.Is(err, clinic.ErrStale):
					t.Errorf("call next: %v", err)
				}
			})
			if won != 1 {
				t.Fatalf("%d of %d keys have called somebody", won, pressers)
			}
		}
		for number, n := range called {
			if n != 1 {
				t.Errorf("%d was called %d times", number, n)
			}
		}
		if n := ws[0].told(clinic.TurnCalled{}); n != 20 {
			t.Errorf("%d events", n)
		}
		ws[0].clean()
	})
}

// TestRaceSameKey: the same key arrives 32 times at once: one person is called.
func TestRaceSameKey(t *testing.T) {
	dbtest.EachDatabase(t, testkit.Sets(Describe()), func(t *testing.T, d *dbtest.Database) {
		ws := processes(t, d)
		line := ws[0].session(4)
		ws[0].checkIn(ws[0].book(line, 20)...)
		seen, key := ws[0].queue(line).Version, ws[0].key()
		doctor := ws[0].doctor
		each(pressers, func(i int) {
			w := ws[i%2]
			if q, _, err := w.s.CallNext(w.as(doctor), line, seen, key); err != nil || q.Current.Number != 1 {
				t.Errorf("%v", err)
			}
		})
		ws[0].want(line, "called 1, waiting 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20")
		ws[0].clean()
	})
}

// TestRaceCheckIn: a person checks in at the phone and at the desk at once, while others
// do, the doctor calls, and a booking is cancelled: one check-in each, nobody is lost.
func TestRaceCheckIn(t *testing.T) {
	dbtest.EachDatabase(t, testkit.Sets(Describe()), func(t *testing.T, d *dbtest.Database) {
		ws := processes(t, d)
		line := ws[0].session(2)
		vs := ws[0].book(line, 6)
		each(pressers, func(i int) {
			w, v := ws[i%2], vs[i%6]
			var err error
			if i%4 < 2 {
				_, _, err = w.s.CheckIn(w.as(v.Principal), v.turn, w.key())
			} else {
				_, _, err = w.s.CheckInAtDesk(w.as(w.desk), v.turn, w.key())
			}
			if err != nil && !errors.Is(err, clinic.ErrState) { // seen meanwhile
				t.Errorf("check-in: %v", err)
			}
			if i%8 == 7 {
				_, _, err := w.s.CallNext(w.as(w.doctor), line, anyVersion, w.key())
				if err != nil && !errors.Is(err, clinic.ErrNobodyWaiting) {
					t.Errorf("call next: %v", err)
				}
			}
		})
		if n := ws[0].told(clinic.TurnCheckedIn{}); n != 6 {
			t.Errorf("%d check-ins", n)
		}
		q := ws[0].queue(line)
		if len(q.Turns) != 6 || q.Waiting+q.Done+1 != 6 || q.Current == nil {
			t.Errorf("%s", shape(q))
		}
		ws[0].clean()
	})
}

// TestRaceEvents: bookings and cancels of one line arrive at two processes at once.
func TestRaceEvents(t *testing.T) {
	dbtest.EachDatabase(t, testkit.Sets(Describe()), func(t *testing.T, d *dbtest.Database) {
		ws := processes(t, d)
		line := ws[0].session(4)
		var vs []visitor
		for i := range 16 {
			vs = append(vs, ws[0].visit(line, i+1))
		}
		each(pressers, func(i int) {
			w, v := ws[i%2], vs[i/2]
			ctx := testkit.AsSystem(context.Background(), w.tenant, "consumer:clinic")
			err := w.base.DB.Write(ctx, w.tenant, func(ctx context.Context, tx db.Tx) error {
				if i%2 == 0 {
					return w.s.store.booked(ctx, tx, []booked{{v.event.Visit, v.event.Number}})
				}
				return w.s.store.giveUp(ctx, tx, booked{v.event.Visit, v.event.Number}, "patient")
			})
			if err != nil {
				t.Errorf("%v", err)
			}
		})
		if q := ws[0].queue(line); len(q.Turns) != 0 {
			t.Errorf("left: %s", shape(q))
		}
		if n := ws[0].count(`SELECT COUNT(*) FROM turn WHERE tenant_id = $1 AND state = 'gone'`); n != 16 {
			t.Errorf("%d gone", n)
		}
		ws[0].clean()
	})
}
