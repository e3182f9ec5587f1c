package inbox_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
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
	"xinglin/internal/platform/inbox"
	"xinglin/internal/platform/obs"
	"xinglin/internal/platform/outbox"
	"xinglin/internal/testkit/dbtest"
)

const effects = `-- +goose Up
CREATE TABLE effect (
    tenant_id {{uuid}} NOT NULL,
    n         {{bigint}} NOT NULL,
    times     {{int}} NOT NULL,
    PRIMARY KEY (tenant_id, n)
){{strict}};
{{rls "effect"}}
`

var (
	tenant = id.Must[auth.Tenant]("0190aaaa-0000-7000-8000-00000000000a")
	sets   = []db.Set{
		{Name: "baker", FS: db.NoMigrations},
		{Name: "eater", FS: fstest.MapFS{"0001_init.sql": {Data: []byte(effects)}}},
	}
	quiet = slog.New(slog.DiscardHandler)
)

type baked struct {
	N int64 `json:"n"`
}

func (baked) EventName() string { return "baker.bread.baked.v1" }

// house is two contexts and a broker in one process.
type house struct {
	t            *testing.T
	ctx          context.Context
	baker, eater *db.DB
	dir          string // of the broker
	bus          bus.Bus
	fail         atomic.Pointer[error]
	seen         atomic.Pointer[event.Meta]
	who          atomic.Pointer[string]
}

func newHouse(t *testing.T, srv *db.Server) *house {
	ctx, cancel := context.WithTimeout(context.Background(), 120*time.Second)
	t.Cleanup(cancel)
	h := &house{t: t, ctx: ctx, dir: t.TempDir()}
	h.use(srv)
	h.start()
	t.Cleanup(func() {
		if err := h.bus.Close(); err != nil {
			t.Error(err)
		}
	})
	return h
}

func (h *house) use(srv *db.Server) {
	var err1, err2 error
	h.baker, err1 = srv.Context(h.ctx, "baker")
	h.eater, err2 = srv.Context(h.ctx, "eater")
	if err := errors.Join(err1, err2); err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) start() {
	h.t.Helper()
	b, err := bus.Embed(h.ctx, bus.EmbedOptions{Dir: h.dir, Log: quiet})
	if err != nil {
		h.t.Fatal(err)
	}
	h.bus = b
}

func (h *house) relay() *outbox.Relay {
	return &outbox.Relay{
		DB: h.baker, Bus: h.bus, Clock: clock.System{}, Log: quiet,
		Hearers: []outbox.Hearer{{Consumer: inbox.Durable("eater"), Events: h.consumer().Events()}},
	}
}

func (h *house) consumer() *inbox.Consumer {
	return &inbox.Consumer{DB: h.eater, Bus: h.bus, Clock: clock.System{}, Log: quiet, Handlers: []inbox.Handler{
		inbox.On(func(ctx context.Context, tx db.Tx, m event.Meta, e baked) error {
			who, err := auth.From(ctx)
			if err != nil {
				return err
			}
			actor := who.Actor() + "@" + who.Tenant.String() + " " + obs.TraceID(ctx) + " " + obs.Number(ctx)
			h.who.Store(&actor)
			h.seen.Store(&m)
			if f := h.fail.Load(); f != nil && *f != nil {
				return *f
			}
			_, err = tx.Exec(ctx, `INSERT INTO effect (tenant_id, n, times) VALUES ($1, $2, 1)
				ON CONFLICT (tenant_id, n) DO UPDATE SET times = effect.times + 1`, tx.Tenant(), e.N)
			return err
		}),
	}}
}

// run starts machines and gives a function that stops them and waits.
func (h *house) run(machines ...interface{ Run(context.Context) error }) (stop func()) {
	ctx, cancel := context.WithCancel(h.ctx)
	var wg sync.WaitGroup
	for _, m := range machines {
		wg.Go(func() {
			if err := m.Run(ctx); err != nil {
				h.t.Error(err)
			}
		})
	}
	return sync.OnceFunc(func() {
		cancel()
		wg.Wait()
	})
}

func (h *house) bake(from, to, each int64) {
	h.t.Helper()
	ctx := obs.WithNumber(obs.WithTrace(h.ctx, "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"), "REG-7")
	for lo := from; lo < to; lo += 500 {
		err := h.baker.Write(ctx, tenant, func(ctx context.Context, tx db.Tx) error {
			for n := lo; n < min(lo+500, to); n += each {
				var ev []event.Event
				for k := n; k < min(n+each, to); k++ {
					ev = append(ev, baked{k})
				}
				if err := outbox.Add(ctx, tx, ev...); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			h.t.Fatal(err)
		}
	}
}

// publish relays until nothing is open.
func (h *house) publish(r *outbox.Relay) {
	h.t.Helper()
	for {
		n, err := r.Once(h.ctx)
		if err != nil {
			h.t.Fatal(err)
		}
		if n == 0 {
			return
		}
	}
}

func (h *house) eaten() (rows, most int) {
	h.t.Helper()
	err := h.eater.Read(h.ctx, tenant, func(ctx context.Context, tx db.Tx) error {
		return tx.QueryRow(ctx, "SELECT COUNT(*), COALESCE(MAX(times), 0) FROM effect WHERE tenant_id = $1", tenant).Scan(&rows, &most)
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return rows, most
}

// until waits for a condition, at most as long as the test may take.
func (h *house) until(what string, cond func() bool) {
	h.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-h.ctx.Done():
			rows, most := h.eaten2()
			h.t.Fatalf("waiting for %s: %d effects, at most %d times", what, rows, most)
		case <-tick.C:
		}
	}
}

func (h *house) eaten2() (rows, most int) { // when the test's time is over
	ctx, cancel := context.WithTimeout(context.WithoutCancel(h.ctx), 5*time.Second)
	defer cancel()
	_ = h.eater.Read(ctx, tenant, func(ctx context.Context, tx db.Tx) error {
		return tx.QueryRow(ctx, "SELECT COUNT(*), COALESCE(MAX(times), 0) FROM effect WHERE tenant_id = $1", tenant).Scan(&rows, &most)
	})
	return rows, most
}

func (h *house) want(n int) {
	h.t.Helper()
	h.until(fmt.Sprintf("%d effects", n), func() bool { rows, _ := h.eaten(); return rows >= n })
	if rows, most := h.eaten(); rows != n || most != 1 {
		h.t.Errorf("%d effects, at most %d times; want %d once", rows, most, n)
	}
}

func TestFlow(t *testing.T) {
	dbtest.Each(t, sets, func(t *testing.T, srv *db.Server) {
		h := newHouse(t, srv)
		defer h.run(h.relay(), h.consumer())()
		h.bake(0, 10, 1)
		h.bake(10, 1000, 100) // batches: one row, one message, many events
		h.want(1000)
		m := h.seen.Load()
		if m.Name != "baker.bread.baked.v1" || m.Tenant != tenant || m.Number != "REG-7" || m.At.IsZero() || m.ID.IsZero() {
			t.Errorf("meta %+v", m)
		}
		if got, want := *h.who.Load(), "system:consumer:eater@"+tenant.String()+" 4bf92f3577b34da6a3ce929d0e0e4736 REG-7"; got != want {
			t.Errorf("context %q, want %q", got, want)
		}
	})
}

// The broker loses its folder with 10,000 events published and not consumed: each has
// its effect once.
func TestStreamLost(t *testing.T) {
	dbtest.Each(t, sets, func(t *testing.T, srv *db.Server) {
		h := newHouse(t, srv)
		h.bake(0, 10_000, 50)
		h.publish(h.relay())
		if p, err := h.bus.Position(h.ctx); err != nil || p.LastSeq != 200 {
			t.Fatalf("position %+v, %v", p, err)
		}
		if err := h.bus.Close(); err != nil {
			t.Fatal(err)
		}
		if err := os.RemoveAll(h.dir); err != nil {
			t.Fatal(err)
		}
		h.start()
		defer h.run(h.relay(), h.consumer())()
		h.want(10_000)
	})
}

// The stream is lost while relay and consumer run and half of it is consumed.
func TestStreamLostUnderWay(t *testing.T) {
	dbtest.Each(t, sets, func(t *testing.T, srv *db.Server) {
		h := newHouse(t, srv)
		stop := h.run(h.relay(), h.consumer())
		h.bake(0, 300, 3)
		h.want(300)
		stop()
		h.bake(300, 600, 3)
		h.publish(h.relay())
		if err := h.bus.Close(); err != nil {
			t.Fatal(err)
		}
		if err := os.RemoveAll(h.dir); err != nil {
			t.Fatal(err)
		}
		h.start()
		defer h.run(h.relay(), h.consumer())()
		h.bake(600, 900, 3)
		h.want(900)
	})
}

// The consumer's database is an older copy than the broker's acknowledgements.
func TestConsumerRestored(t *testing.T) {
	base := dbtest.Make(t, db.SQLite, sets)
	srv := base.Open(t)
	h := newHouse(t, srv)
	stop := h.run(h.relay(), h.consumer())
	h.bake(0, 100, 1)
	h.want(100)
	stop()
	// The copy, as a backup of this moment.
	if err := srv.Close(); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(base.Dir, "db", "eater.db")
	backup, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	h.use(base.Open(t))
	stop = h.run(h.relay(), h.consumer())
	h.bake(100, 300, 1)
	h.want(300)
	h.until("acknowledgements", func() bool {
		_, floor, err := h.bus.AckFloor(h.ctx, inbox.Durable("eater"))
		return err == nil && floor == 300
	})
	stop()
	again := dbtest.Make(t, db.SQLite, sets) // the other files of now, this one of then
	copyFiles(t, base.Dir, again.Dir)
	if err := os.WriteFile(filepath.Join(again.Dir, "db", "eater.db"), backup, 0o600); err != nil {
		t.Fatal(err)
	}
	h.use(again.Open(t))
	if rows, _ := h.eaten(); rows != 100 {
		t.Fatalf("the copy has %d effects", rows)
	}
	defer h.run(h.relay(), h.consumer())()
	h.bake(300, 350, 1)
	h.want(350)
}

// copyFiles copies the closed or idle database files of one folder over another's.
func copyFiles(t *testing.T, from, to string) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(from, "db", "baker.db*"))
	if err != nil || len(names) == 0 {
		t.Fatal(names, err)
	}
	for _, n := range names {
		b, err := os.ReadFile(n)
		if err == nil {
			err = os.WriteFile(filepath.Join(to, "db", filepath.Base(n)), b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// The same on PostgreSQL, where rows are taken back as a restore would.
func TestConsumerRestoredPostgres(t *testing.T) {
	base := dbtest.Make(t, db.Postgres, sets)
	h := newHouse(t, base.Open(t))
	stop := h.run(h.relay(), h.consumer())
	h.bake(0, 200, 1)
	h.want(200)
	stop()
	err := h.eater.WriteAll(h.ctx, func(ctx context.Context, tx db.Tx) error {
		for _, q := range []string{
			"-- global: a restore\nDELETE FROM effect WHERE n >= 100",
			"-- global: a restore\nDELETE FROM inbox WHERE (tenant_id, id) NOT IN (SELECT tenant_id, id FROM inbox ORDER BY id LIMIT 100)",
			"-- global: a restore\nUPDATE inbox_position SET seq = 80",
		} {
			if _, err := tx.Exec(ctx, q); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	defer h.run(h.relay(), h.consumer())()
	h.want(200)
}

func TestPoisonAndReplay(t *testing.T) {
	dbtest.Each(t, sets, func(t *testing.T, srv *db.Server) {
		h := newHouse(t, srv)
		c := h.consumer()
		defer h.run(c)()
		good := map[string]string{outbox.HeaderTenant: tenant.String(), outbox.HeaderName: "baker.bread.baked.v1", outbox.HeaderAt: "1700000000000000"}
		newID := func() string { return id.New[event.Row](time.Unix(1_700_000_000, 0)).String() }
		unknown := map[string]string{outbox.HeaderTenant: tenant.String(), outbox.HeaderName: "baker.bread.stolen.v1", outbox.HeaderAt: "1"}
		subject := outbox.Subject("baker.bread.baked.v1")
		_, err := h.bus.Publish(h.ctx, []bus.Msg{
			{ID: newID(), Subject: subject, Header: good, Data: []byte(`{not json \u0000`)},
			{ID: newID(), Subject: subject, Header: good, Data: []byte(`[{"n":"text"}]`)},
			{ID: newID(), Subject: subject, Header: unknown, Data: []byte(`[]`)},
			{ID: "no-uuid", Subject: subject, Header: good, Data: []byte(`[]`)},
			{ID: newID(), Subject: subject, Data: []byte(`[]`)},
			{ID: newID(), Subject: subject, Header: good, Data: []byte(`[{"n":1}]`)},
		})
		if err != nil {
			t.Fatal(err)
		}
		h.want(1)
		var letters []deadletter.Row
		h.until("five letters", func() bool {
			letters, err = deadletter.Open(h.ctx, h.eater)
			return err == nil && len(letters) == 5
		})
		codes := map[string]int{}
		for _, l := range letters {
			codes[l.Error]++
			if err := c.Replay(h.ctx, l.ID); err == nil {
				t.Errorf("poison was replayed: %+v", l)
			}
		}
		if codes["inbox.unknown_event"] != 1 || len(codes) != 3 {
			t.Errorf("codes %v", codes)
		}
		if err := c.Replay(h.ctx, id.New[deadletter.Letter](time.Unix(0, 0))); !errors.Is(err, deadletter.ErrMissing) {
			t.Errorf("an unknown letter: %v", err)
		}
		h.until("acknowledgements", func() bool {
			_, floor, err := h.bus.AckFloor(h.ctx, inbox.Durable("eater"))
			return err == nil && floor == 6
		})
	})
}
