package schedulingsvc

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/bus"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/module"
	"xinglin/internal/scheduling"
	"xinglin/internal/scheduling/seatview"
	"xinglin/internal/testkit"
	"xinglin/internal/testkit/apitest"
	"xinglin/internal/testkit/dbtest"
)

// eventually waits until f holds.
func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(20 * time.Second)
	for !f() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("not within 20 s: %s", what)
		}
	}
}

func someSession() scheduleID { return id.Random[scheduling.Schedule]() }

// deaf lets signals get lost.
type deaf struct {
	module.Signals
	lose atomic.Bool
	sent atomic.Int64
}

func (d *deaf) Signal(ctx context.Context, topic string, data []byte) error {
	d.sent.Add(1)
	if d.lose.Load() {
		return errors.New("lost")
	}
	return d.Signals.Signal(ctx, topic, data)
}

// pair is two processes on one database and one broker, each with its machines running.
func pair(t *testing.T, d *dbtest.Database) (near, far *world, signals *deaf) {
	t.Helper()
	ctx := context.Background()
	b, err := bus.Embed(ctx, bus.EmbedOptions{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	clk := testkit.Clock()
	srv := d.Open(t, dbtest.WithClock(clk))
	near = worldOn(t, srv, clk)
	if d.Engine == db.Postgres {
		srv = d.Open(t, dbtest.WithClock(clk))
	}
	far = worldOn(t, srv, clk)
	far.dir, far.patients, far.payments = near.dir, near.patients, near.payments
	far.campus, far.dept, far.doctor = near.campus, near.dept, near.doctor
	signals = &deaf{Signals: b}
	for i, w := range []*world{near, far} {
		w.base.Signals = []module.Signals{b, signals}[i]
		w.s, w.m = New(w.base, fakeTenants{apitest.Main, apitest.Other}, near.dir, near.patients, near.payments, cal)
		stop, err := w.m.Start()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(stop)
	}
	return near, far, signals
}

// TestOtherProcess: what another process books shows here, with its signal and without,
// on the live stream and in the calendar; many bookings make few signals.
func TestOtherProcess(t *testing.T) {
	dbtest.EachDatabase(t, testkit.Sets(Describe()), func(t *testing.T, d *dbtest.Database) {
		near, far, signals := pair(t, d)
		near.rota(0, 40, 30)
		sch := near.on("2026-03-04")
		s := listen(t, near, apitest.New(t, near.m.Routes), sch.ID.String())
		s.until(40)
		q := seatview.Query{From: day("2026-03-04"), To: day("2026-03-04")}
		shows := func(n int) {
			t.Helper()
			eventually(t, fmt.Sprintf("the calendar with %d", n), func() bool {
				r, err := near.s.boards.Reply(context.Background(), near.tenant, q)
				return err == nil && strings.Contains(string(r.Body), fmt.Sprintf(`"days":"o","remaining":[%d]`, n))
			})
		}
		shows(40)
		before := signals.sent.Load()
		begin := clock.Mono()
		for range 20 {
			p, v := far.person()
			far.hold(p, far.ask(v, sch.ID))
		}
		s.until(20)
		shows(20)
		seconds := int64(clock.Mono().Sub(begin)/time.Second) + 1
		if n := signals.sent.Load() - before; n < 1 || n > 5*seconds+2 {
			t.Errorf("%d messages within %d s", n, seconds)
		}
		signals.lose.Store(true)
		p, v := far.person()
		far.hold(p, far.ask(v, sch.ID))
		s.until(19) // the poll
		signals.lose.Store(false)
		shows(19) // the gap in the numbers
	})
}
