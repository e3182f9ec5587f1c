package outbox_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/event"
	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/bus"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/deadletter"
	"xinglin/internal/platform/outbox"
	"xinglin/internal/testkit/dbtest"
)

var (
	tenant = id.Must[auth.Tenant]("0190aaaa-0000-7000-8000-00000000000a")
	start  = time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
	sets   = []db.Set{{Name: "baker", FS: db.NoMigrations}}
)

type baked struct {
	N int `json:"n"`
}

func (baked) EventName() string { return "baker.bread.baked.v1" }

type named string

func (n named) EventName() string { return string(n) }

// stream is a broker in memory that can lose things.
type stream struct {
	mu     sync.Mutex
	inc    string
	last   uint64
	times  map[string]int // message id to publications
	floors map[string]uint64
	fail   error
	limit  int // bytes, 0: none
}

func newStream() *stream {
	return &stream{inc: "one", times: map[string]int{}, floors: map[string]uint64{}}
}

func (s *stream) Publish(_ context.Context, msgs []bus.Msg) (acks []bus.Ack, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, m := range msgs {
		if s.fail != nil && i == len(msgs)/2 { // half of it is stored
			return acks, s.fail
		}
		if s.limit > 0 && len(m.Data) > s.limit {
			return acks, bus.ErrTooLarge.New()
		}
		s.last++
		s.times[m.ID]++
		acks = append(acks, bus.Ack{Incarnation: s.inc, Seq: s.last})
	}
	return acks, nil
}

func (s *stream) Position(context.Context) (bus.Position, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return bus.Position{Incarnation: s.inc, LastSeq: s.last, FirstSeq: 1}, nil
}

func (s *stream) AckFloor(_ context.Context, consumer string) (string, uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.inc, s.floors[consumer], nil
}

// counts is how many messages were published, and how often the most frequent one was.
func (s *stream) counts() (n, most int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.times {
		most = max(most, t)
	}
	return len(s.times), most
}

func baker(t *testing.T, srv *db.Server) (*db.DB, context.Context) {
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	t.Cleanup(cancel)
	d, err := srv.Context(ctx, "baker")
	if err != nil {
		t.Fatal(err)
	}
	return d, ctx
}

func bake(t *testing.T, ctx context.Context, d *db.DB, rows int) {
	t.Helper()
	err := d.Write(ctx, tenant, func(ctx context.Context, tx db.Tx) error {
		for i := range rows {
			if err := outbox.Add(ctx, tx, baked{i}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func count(t *testing.T, ctx context.Context, d *db.DB, where string) (n int) {
	t.Helper()
	err := d.ReadAll(ctx, func(ctx context.Context, tx db.Tx) error {
		return tx.QueryRow(ctx, "-- global: test\nSELECT COUNT(*) FROM outbox WHERE "+where).Scan(&n)
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func relay(d *db.DB, s *stream, c clock.Clock) *outbox.Relay {
	return &outbox.Relay{
		DB: d, Bus: s, Clock: c, Log: slog.New(slog.DiscardHandler), Metrics: outbox.NewMetrics(prometheus.NewRegistry()),
		Hearers: []outbox.Hearer{{Consumer: "ctx_a", Events: []string{"baker.bread.baked.v1"}}, {Consumer: "ctx_b", Events: []string{"baker.bread.baked.v1", "baker.x.v1"}}},
	}
}

// all relays until nothing is open.
func all(t *testing.T, ctx context.Context, r *outbox.Relay) {
	t.Helper()
	if _, err := r.Drain(ctx); err != nil {
		t.Fatal(err)
	}
}

func TestAdd(t *testing.T) {
	dbtest.Each(t, sets, func(t *testing.T, srv *db.Server) {
		d, ctx := baker(t, srv)
		add := func(ev ...event.Event) error {
			return d.Write(ctx, tenant, func(ctx context.Context, tx db.Tx) error { return outbox.Add(ctx, tx, ev...) })
		}
		many := make([]event.Event, outbox.MaxEvents+1)
		for i := range many {
			many[i] = baked{i}
		}
		for name, ev := range map[string][]event.Event{
			"two kinds": {baked{1}, named("baker.bread.burnt.v1")}, "a foreign fact": {named("eater.bread.eaten.v1")},
			"too many": many, "too large": {longEvent(strings.Repeat("x", outbox.MaxBytes))},
		} {
			if err := add(ev...); err == nil {
				t.Errorf("%s: accepted", name)
			}
		}
		if err := errors.Join(add(), add(baked{1}, baked{2}), add(many[:outbox.MaxEvents]...)); err != nil {
			t.Fatal(err)
		}
		if n := count(t, ctx, d, "seq = 0"); n != 2 {
			t.Errorf("%d rows", n)
		}
	})
	if got := outbox.Subject("baker.bread.baked.v1"); got != "ev.baker.baker.bread.baked.v1" {
		t.Error(got)
	}
}

type longEvent string

func (longEvent) EventName() string { return "baker.bread.long.v1" }

func TestRelayWakesOnCommit(t *testing.T) {
	dbtest.Each(t, sets, func(t *testing.T, srv *db.Server) {
		d, ctx := baker(t, srv)
		s := newStream()
		ctx, cancel := context.WithCancel(ctx)
		r, reg := relay(d, s, clock.System{}), prometheus.NewRegistry()
		r.Metrics = outbox.NewMetrics(reg)
		done := make(chan error, 1)
		go func() { done <- r.Run(ctx) }()
		bake(t, ctx, d, 3)
		for n := 0; n < 3; n, _ = s.counts() {
			if ctx.Err() != nil {
				t.Fatal("nothing was published")
			}
			pause(ctx)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if f, err := reg.Gather(); err != nil || len(f) == 0 || f[0].GetName() == "" {
			t.Errorf("metrics %v, %v", f, err)
		}
	})
}

// pause lets others run for a moment.
func pause(ctx context.Context) {
	timer := time.NewTimer(5 * time.Millisecond)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// A broker that fails in the middle of a batch: what it took is marked, the rest goes later.
func TestPartOfABatch(t *testing.T) {
	dbtest.Each(t, sets, func(t *testing.T, srv *db.Server) {
		d, ctx := baker(t, srv)
		s := newStream()
		r := relay(d, s, clock.System{})
		bake(t, ctx, d, 10)
		s.fail = bus.ErrUnreachable.New()
		if n, err := r.Once(ctx); n != 5 || !errors.Is(err, bus.ErrUnreachable) || count(t, ctx, d, "seq > 0") != 5 {
			t.Errorf("%d rows, %v", n, err)
		}
		s.fail = nil
		all(t, ctx, r)
		if n, most := s.counts(); n != 10 || most != 1 {
			t.Errorf("%d messages, at most %d times", n, most)
		}
	})
}

// Two processes share the rows: on PostgreSQL no row is published twice.
func TestTwoRelays(t *testing.T) {
	base := dbtest.Make(t, db.Postgres, sets)
	one, ctx := baker(t, base.Open(t))
	two, _ := baker(t, base.Open(t))
	s := newStream()
	bake(t, ctx, one, 2000)
	var wg sync.WaitGroup
	for _, d := range []*db.DB{one, two} {
		wg.Go(func() { all(t, ctx, relay(d, s, clock.System{})) })
	}
	wg.Wait()
	if n, most := s.counts(); n != 2000 || most != 1 {
		t.Errorf("%d messages, at most %d times", n, most)
	}
}

func TestLostAndShorterStreams(t *testing.T) {
	for name, lose := range map[string]func(s *stream){
		"another incarnation": func(s *stream) { s.inc, s.last = "two", 0 },
		"a shorter stream":    func(s *stream) { s.last = 4 },
	} {
		t.Run(name, func(t *testing.T) {
			dbtest.Each(t, sets, func(t *testing.T, srv *db.Server) {
				d, ctx := baker(t, srv)
				s := newStream()
				bake(t, ctx, d, 10)
				all(t, ctx, relay(d, s, clock.System{}))
				lose(s)
				kept := int(s.last)
				run, cancel := context.WithCancel(ctx)
				done := make(chan error, 1)
				go func() { done <- relay(d, s, clock.System{}).Run(run) }()
				for s2, _ := s.Position(ctx); s2.LastSeq < 10; s2, _ = s.Position(ctx) {
					if ctx.Err() != nil {
						t.Fatal("the lost rows were not published again")
					}
					pause(ctx)
				}
				cancel()
				if err := <-done; err != nil {
					t.Error(err)
				}
				again := 0
				for _, n := range s.times {
					again += n - 1
				}
				if again != 10-kept || count(t, ctx, d, "seq = 0") != 0 {
					t.Errorf("%d published again, want %d; %d open", again, 10-kept, count(t, ctx, d, "seq = 0"))
				}
			})
		})
	}
}

func TestSweep(t *testing.T) {
	c := clock.NewManual(start)
	dbtest.Each(t, sets, func(t *testing.T, srv *db.Server) {
		c.Set(start)
		d, ctx := baker(t, srv)
		s := newStream()
		r := relay(d, s, c)
		bake(t, ctx, d, 600)
		err := d.Write(ctx, tenant, func(ctx context.Context, tx db.Tx) error { return outbox.Add(ctx, tx, named("baker.unheard.v1")) })
		if err != nil {
			t.Fatal(err)
		}
		all(t, ctx, r)
		bake(t, ctx, d, 1) // never published
		c.Add(outbox.Keep)
		bake(t, ctx, d, 1)
		sweep := func(what string, want int64) {
			t.Helper()
			if n, err := r.Sweep(ctx); n != want || err != nil {
				t.Errorf("%s: swept %d, %v, want %d", what, n, err, want)
			}
		}
		s.floors["ctx_a"], s.floors["ctx_b"] = 601, 601
		sweep("seven days", 0)
		c.Add(time.Second)
		s.floors["ctx_b"] = 0
		sweep("one hearer heard nothing; nobody hears one event", 1)
		s.floors["ctx_b"] = 100
		sweep("one hearer is behind", 100)
		s.floors["ctx_b"] = 601
		sweep("all have heard", 500)
		if n := count(t, ctx, d, "seq = 0"); n != 2 {
			t.Errorf("%d open rows", n)
		}
	}, dbtest.WithClock(c))
}

// What no broker can hold goes to the dead letters, and comes back when a person says so.
func TestTooLarge(t *testing.T) {
	dbtest.Each(t, sets, func(t *testing.T, srv *db.Server) {
		d, ctx := baker(t, srv)
		s := newStream()
		r := relay(d, s, clock.System{})
		bake(t, ctx, d, 2)
		if err := d.Write(ctx, tenant, func(ctx context.Context, tx db.Tx) error {
			return outbox.Add(ctx, tx, longEvent(strings.Repeat("x", 100)))
		}); err != nil {
			t.Fatal(err)
		}
		bake(t, ctx, d, 2)
		s.limit = 50
		all(t, ctx, r)
		letters, err := deadletter.Open(ctx, d)
		if n, _ := s.counts(); err != nil || n != 4 || len(letters) != 1 || letters[0].Kind != "baker.bread.long.v1" {
			t.Fatalf("%d messages, letters %+v, %v", n, letters, err)
		}
		s.limit = 0
		if err := outbox.Replay(ctx, d, letters[0].ID); err != nil {
			t.Fatal(err)
		}
		if err := outbox.Replay(ctx, d, letters[0].ID); !errors.Is(err, deadletter.ErrMissing) {
			t.Errorf("replayed twice: %v", err)
		}
		all(t, ctx, r)
		if n, most := s.counts(); n != 5 || most != 1 {
			t.Error(fmt.Sprint(n, " messages, at most ", most, " times"))
		}
	})
}
