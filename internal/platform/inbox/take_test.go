package inbox

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/fstest"
	"time"

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

type rang struct {
	N int `json:"n"`
}

func (rang) EventName() string { return "tower.bell.rang.v1" }

var (
	tenant = id.Must[auth.Tenant]("0190aaaa-0000-7000-8000-00000000000a")
	start  = time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
	sets   = []db.Set{{Name: "ear", FS: fstest.MapFS{}}}
)

func message(data string) bus.Msg {
	return bus.Msg{ID: id.New[event.Row](start).String(), Subject: outbox.Subject("tower.bell.rang.v1"), Data: []byte(data), Header: map[string]string{
		outbox.HeaderTenant: tenant.String(), outbox.HeaderName: "tower.bell.rang.v1", outbox.HeaderAt: "1700000000000000",
	}}
}

func ear(t *testing.T, srv *db.Server, c clock.Clock, f func(ctx context.Context, tx db.Tx, m event.Meta, e rang) error) (*Consumer, context.Context) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	d, err := srv.Context(ctx, "ear")
	if err != nil {
		t.Fatal(err)
	}
	return &Consumer{DB: d, Clock: c, Log: slog.New(slog.DiscardHandler), Handlers: []Handler{On(f)}}, ctx
}

// A failing handler is tried eight times with growing pauses; then a person replays it.
func TestBoundedRedelivery(t *testing.T) {
	dbtest.Each(t, sets, func(t *testing.T, srv *db.Server) {
		calls := 0
		broken := errors.New("broken")
		fail := broken
		c, ctx := ear(t, srv, clock.System{}, func(context.Context, db.Tx, event.Meta, rang) error {
			calls++
			if calls == 3 {
				panic("a patient's name")
			}
			return fail
		})
		m := message(`[{"n":1}]`)
		for attempt := 1; attempt < maxAttempts; attempt++ {
			out := c.take(ctx, m, attempt)
			low := min(firstPause<<(attempt-1), maxPause) / 2
			if out.word != wordRetry || out.pause < low || out.pause > 2*low {
				t.Errorf("attempt %d: %+v, want a pause of %s to %s", attempt, out, low, 2*low)
			}
		}
		if out := c.take(ctx, m, maxAttempts); out.word != wordDead {
			t.Errorf("the last attempt: %+v", out)
		}
		letters, err := deadletter.Open(ctx, c.DB)
		if err != nil || len(letters) != 1 || letters[0].ID.String() != m.ID || letters[0].Attempts != 8 || letters[0].Error != "broken" {
			t.Fatalf("letters %+v, %v", letters, err)
		}
		if err := c.Replay(ctx, letters[0].ID); !errors.Is(err, broken) {
			t.Errorf("replay while it is broken: %v", err)
		}
		fail, calls = nil, 10
		if err := c.Replay(ctx, letters[0].ID); err != nil || calls != 11 {
			t.Errorf("replay: %v, %d calls", err, calls)
		}
		if err := c.Replay(ctx, letters[0].ID); !errors.Is(err, deadletter.ErrMissing) {
			t.Errorf("replay again: %v", err)
		}
		if out := c.take(ctx, m, 9); out.word != wordRepeat || calls != 11 {
			t.Errorf("the message comes after its replay: %+v, %d calls", out, calls)
		}
	})
}

// Repeats are dropped for thirty days; a failed effect leaves no inbox row.
func TestRepeatsAndSweep(t *testing.T) {
	c := clock.NewManual(start)
	dbtest.Each(t, sets, func(t *testing.T, srv *db.Server) {
		c.Set(start)
		calls := 0
		var fail error
		e, ctx := ear(t, srv, c, func(context.Context, db.Tx, event.Meta, rang) error { calls++; return fail })
		m := message(`[{"n":1},{"n":2}]`)
		fail = errors.New("not now")
		if out := e.take(ctx, m, 1); out.word != wordRetry || calls != 1 {
			t.Errorf("failed: %+v, %d calls", out, calls)
		}
		fail = nil
		for _, want := range []string{wordDone, wordRepeat, wordRepeat} {
			if out := e.take(ctx, m, 2); out.word != want || calls != 3 {
				t.Errorf("%+v, %d calls, want %s", out, calls, want)
			}
		}
		for _, s := range []struct {
			after time.Duration
			want  int64
		}{{Keep, 0}, {time.Second, 1}, {0, 0}} {
			c.Add(s.after)
			if n, err := e.Sweep(ctx); n != s.want || err != nil {
				t.Errorf("swept %d, %v, want %d", n, err, s.want)
			}
		}
	}, dbtest.WithClock(c))
}
