package outbox_test

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"xinglin/internal/kernel/clock"
	"xinglin/internal/platform/bus"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/outbox"
	"xinglin/internal/testkit/dbtest"
)

// dying is a broker whose client's process ends right after a publication, before it can mark anything.
type dying struct {
	outbox.Broker
	after func(round int) bool
	round int
}

type death struct{}

func (d *dying) Publish(ctx context.Context, msgs []bus.Msg) ([]bus.Ack, error) {
	acks, err := d.Broker.Publish(ctx, msgs)
	d.round++
	if d.after(d.round) {
		panic(death{})
	}
	return acks, err
}

// once is Once of a process that may end in it.
func once(ctx context.Context, r *outbox.Relay) (n int, died bool, err error) {
	defer func() {
		if p := recover(); p != nil {
			if _, ok := p.(death); !ok {
				panic(p)
			}
			died = true
		}
	}()
	n, err = r.Once(ctx)
	return n, false, err
}

func realBroker(t *testing.T) *bus.Broker {
	t.Helper()
	b, err := bus.Serve(t.Context(), bus.ServeOptions{Listen: "127.0.0.1:0", Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b
}

func dial(t *testing.T, b *bus.Broker) bus.Bus {
	t.Helper()
	c, err := bus.Dial(t.Context(), bus.DialOptions{URL: b.URL()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// expire lets all claims of dead processes run out.
func expire(t *testing.T, ctx context.Context, d *db.DB) {
	t.Helper()
	err := d.WriteAll(ctx, func(ctx context.Context, tx db.Tx) error {
		_, err := tx.Exec(ctx, "-- global: test\nUPDATE outbox SET claimed = 0 WHERE seq = 0")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// value is a counter's sum over its labels.
func value(t *testing.T, reg *prometheus.Registry, name string) (sum float64) {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			for _, m := range f.GetMetric() {
				sum += m.GetCounter().GetValue()
			}
		}
	}
	return sum
}

// placed checks that each row is marked with a place of its own in the stream, and that the stream has no other message.
func placed(t *testing.T, ctx context.Context, d *db.DB, b outbox.Broker, rows int) {
	t.Helper()
	p, err := b.Position(ctx)
	if err != nil {
		t.Fatal(err)
	}
	var marked, places, low, high int
	err = d.ReadAll(ctx, func(ctx context.Context, tx db.Tx) error {
		return tx.QueryRow(ctx, "-- global: test\nSELECT COUNT(*), COUNT(DISTINCT seq), MIN(seq), MAX(seq) FROM outbox WHERE incarnation = $1 AND seq > 0", p.Incarnation).
			Scan(&marked, &places, &low, &high)
	})
	if err != nil || marked != rows || places != rows || low != 1 || high != rows || p.LastSeq != uint64(rows) || count(t, ctx, d, "seq = 0") != 0 {
		t.Errorf("%d rows: %d marked at %d places from %d to %d, the stream is at %+v, %v", rows, marked, places, low, high, p, err)
	}
}

// A relay ends between publishing and marking. The next one publishes the same rows with other boundaries: the broker
// refuses the batch, the rows are repaired one by one, and nothing is in the stream twice.
func TestDiedBeforeMarking(t *testing.T) {
	dbtest.Each(t, sets, func(t *testing.T, srv *db.Server) {
		d, ctx := baker(t, srv)
		b := dial(t, realBroker(t))
		bake(t, ctx, d, 30)
		first := &outbox.Relay{DB: d, Bus: &dying{Broker: b, after: func(int) bool { return true }}, Clock: clock.System{}, Log: slog.New(slog.DiscardHandler)}
		if _, died, err := once(ctx, first); !died || err != nil {
			t.Fatal(died, err)
		}
		if n := count(t, ctx, d, "seq = 0"); n != 30 {
			t.Fatalf("%d rows open after the death", n)
		}
		expire(t, ctx, d)
		bake(t, ctx, d, 20)
		reg := prometheus.NewRegistry()
		second := &outbox.Relay{DB: d, Bus: b, Clock: clock.System{}, Log: slog.New(slog.DiscardHandler), Metrics: outbox.NewMetrics(reg)}
		all(t, ctx, second)
		placed(t, ctx, d, b, 50)
		if n := value(t, reg, "xinglin_outbox_repaired_total"); n != 30 {
			t.Errorf("%v rows repaired", n)
		}
		if n := value(t, reg, "xinglin_outbox_alone_total"); n != 50 {
			t.Errorf("%v rows went alone", n)
		}
		bake(t, ctx, d, 100)
		all(t, ctx, second)
		placed(t, ctx, d, b, 150)
		if n := value(t, reg, "xinglin_outbox_alone_total"); n != 50 {
			t.Errorf("%v rows went alone: batches do not come back", n)
		}
	})
}

// Two processes with a connection each relay at once, and die again and again after publishing: nothing is lost, each
// row is marked once, and the stream has each message once.
func TestTwoProcessesDie(t *testing.T) {
	base := dbtest.Make(t, db.Postgres, sets)
	broker := realBroker(t)
	one, ctx := baker(t, base.Open(t))
	const rows, deaths = 6000, 4
	bake(t, ctx, one, rows)
	var all sync.WaitGroup
	for process := range 2 {
		d, _ := baker(t, base.Open(t))
		b := dial(t, broker)
		all.Go(func() {
			died := 0
			for {
				r := &outbox.Relay{DB: d, Clock: clock.System{}, Log: slog.New(slog.DiscardHandler)}
				r.Bus = &dying{Broker: b, after: func(round int) bool { return died < deaths && round == 1+(process+died)%2 }}
				for {
					n, dead, err := once(ctx, r)
					if err != nil {
						t.Errorf("process %d: %v", process, err)
						return
					}
					if dead {
						died++
						expire(t, ctx, d) // of the other process too: it may publish what is under way there
						break
					}
					if n == 0 {
						return
					}
				}
			}
		})
	}
	all.Wait()
	left := &outbox.Relay{DB: one, Bus: dial(t, broker), Clock: clock.System{}, Log: slog.New(slog.DiscardHandler)}
	expire(t, ctx, one)
	for n := 1; n > 0; {
		var err error
		if n, err = left.Once(ctx); err != nil {
			t.Fatal(err)
		}
	}
	placed(t, ctx, one, left.Bus, rows)
}

// A sweep of many rows is some short transactions, and stops where a hearer is.
func TestSweepMany(t *testing.T) {
	c := clock.NewManual(start)
	dbtest.Each(t, sets, func(t *testing.T, srv *db.Server) {
		c.Set(start)
		d, ctx := baker(t, srv)
		s := newStream()
		r := relay(d, s, c)
		for range 7 {
			bake(t, ctx, d, 1000)
		}
		err := d.Write(ctx, tenant, func(ctx context.Context, tx db.Tx) error {
			for range 500 {
				if err := outbox.Add(ctx, tx, named("baker.x.v1")); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		all(t, ctx, r)
		c.Add(outbox.Keep)
		bake(t, ctx, d, 10) // young
		all(t, ctx, r)
		c.Add(time.Second)
		s.floors["ctx_a"], s.floors["ctx_b"] = 5500, 7400
		for i, want := range []int64{5500 + 400, 0} {
			if n, err := r.Sweep(ctx); n != want || err != nil {
				t.Errorf("sweep %d: %d rows, %v, want %d", i, n, err, want)
			}
		}
		if left := fmt.Sprint(count(t, ctx, d, "name = 'baker.x.v1'"), " ", count(t, ctx, d, "1 = 1")); left != "100 1610" {
			t.Errorf("left: %s", left)
		}
	}, dbtest.WithClock(c))
}
