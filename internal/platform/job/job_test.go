package job_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/deadletter"
	"xinglin/internal/platform/job"
	"xinglin/internal/platform/obs"
	"xinglin/internal/testkit/dbtest"
)

var (
	tenant = id.Must[auth.Tenant]("0190aaaa-0000-7000-8000-00000000000a")
	start  = time.Date(2026, 3, 2, 8, 30, 0, 0, clock.Shanghai)
	sets   = []db.Set{{Name: "shelf", FS: fstest.MapFS{"0001_init.sql": {Data: []byte(`-- +goose Up
CREATE TABLE effect (
    tenant_id {{uuid}} NOT NULL,
    what      {{text}} NOT NULL,
    n         {{int}} NOT NULL,
    PRIMARY KEY (tenant_id, what)
){{strict}};
{{rls "effect"}}
`)}}}}
	quiet = slog.New(slog.DiscardHandler)
)

type payload struct {
	What string `json:"what"`
}

type bench struct {
	t   *testing.T
	d   *db.DB
	ctx context.Context
	c   *clock.Manual
}

func each(t *testing.T, f func(b *bench)) {
	c := clock.NewManual(start)
	dbtest.Each(t, sets, func(t *testing.T, srv *db.Server) {
		c.Set(start)
		f(newBench(t, srv, c))
	}, dbtest.WithClock(c))
}

func newBench(t *testing.T, srv *db.Server, c *clock.Manual) *bench {
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	t.Cleanup(cancel)
	d, err := srv.Context(ctx, "shelf")
	if err != nil {
		t.Fatal(err)
	}
	return &bench{t, d, ctx, c}
}

func (b *bench) write(f func(ctx context.Context, tx db.Tx) error) {
	b.t.Helper()
	if err := b.d.Write(b.ctx, tenant, f); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) enqueue(s job.Spec) {
	b.t.Helper()
	b.write(func(ctx context.Context, tx db.Tx) error { return job.Enqueue(ctx, tx, s) })
}

func (b *bench) runner(o job.Options) *job.Runner {
	b.t.Helper()
	o.DB, o.Log = b.d, quiet
	if o.Clock == nil {
		o.Clock = b.c
	}
	r, err := job.NewRunner(o)
	if err != nil {
		b.t.Fatal(err)
	}
	return r
}

func (b *bench) due(r *job.Runner, want int) {
	b.t.Helper()
	n, err := r.RunDue(b.ctx)
	if err != nil || n != want {
		b.t.Fatalf("%d attempts, %v; want %d", n, err, want)
	}
}

func (b *bench) list(state string) []job.Row {
	b.t.Helper()
	rows, err := job.List(b.ctx, b.d, state)
	if err != nil {
		b.t.Fatal(err)
	}
	return rows
}

func (b *bench) effects(what string) (n int) {
	b.t.Helper()
	err := b.d.Read(b.ctx, tenant, func(ctx context.Context, tx db.Tx) error {
		return tx.QueryRow(ctx, "SELECT COALESCE(MAX(n), 0) FROM effect WHERE tenant_id = $1 AND what = $2", tenant, what).Scan(&n)
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return n
}

func effect(ctx context.Context, tx db.Tx, p payload) error {
	_, err := tx.Exec(ctx, `INSERT INTO effect (tenant_id, what, n) VALUES ($1, $2, 1)
		ON CONFLICT (tenant_id, what) DO UPDATE SET n = effect.n + 1`, tx.Tenant(), p.What)
	return err
}

func TestTimer(t *testing.T) {
	each(t, func(b *bench) {
		var who auth.Principal
		var number, trace string
		r := b.runner(job.Options{Handlers: []job.Handler{job.InTx("shelf.expire", func(ctx context.Context, tx db.Tx, p payload) error {
			who, _ = auth.From(ctx)
			number, trace = obs.Number(ctx), obs.TraceID(ctx)
			return effect(ctx, tx, p)
		})}})
		const parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
		ctx := obs.WithNumber(obs.WithTrace(b.ctx, parent), "REG-1")
		err := b.d.Write(ctx, tenant, func(ctx context.Context, tx db.Tx) error {
			return job.Enqueue(ctx, tx, job.Spec{Kind: "shelf.expire", Key: "1", RunAt: start.AddDate(0, 7, 0), Payload: payload{"a"}})
		})
		if err != nil {
			t.Fatal(err)
		}
		b.due(r, 0)
		b.c.Set(start.AddDate(0, 7, 0).Add(-time.Second))
		b.due(r, 0)
		b.c.Add(time.Second)
		b.due(r, 1)
		b.due(r, 0)
		if n := b.effects("a"); n != 1 {
			t.Errorf("%d effects", n)
		}
		if who.Kind != auth.System || who.Name != "job:shelf.expire" || who.Tenant != tenant {
			t.Errorf("principal %+v", who)
		}
		if number != "REG-1" || trace != parent[3:35] {
			t.Errorf("number %q, trace %q", number, trace)
		}
		if rows := b.list(job.Done); len(rows) != 1 || rows[0].Attempts != 1 {
			t.Errorf("done: %+v", rows)
		}
	})
}

func TestKeyIsUniqueWhileOpen(t *testing.T) {
	each(t, func(b *bench) {
		r := b.runner(job.Options{Handlers: []job.Handler{job.InTx("shelf.k", effect)}})
		spec := func(after time.Duration, what string) job.Spec {
			return job.Spec{Kind: "shelf.k", Key: "1", RunAt: start.Add(after), Payload: payload{what}}
		}
		b.enqueue(spec(time.Hour, "first"))
		b.enqueue(spec(2*time.Hour, "later"))
		if rows := b.list(job.Ready); len(rows) != 1 || !rows[0].RunAt.Equal(start.Add(time.Hour)) {
			t.Fatalf("after a later one: %+v", rows)
		}
		b.enqueue(spec(time.Minute, "earlier"))
		b.c.Add(time.Minute)
		b.due(r, 1)
		if b.effects("first") != 1 || b.effects("later")+b.effects("earlier") != 0 {
			t.Error("not the first payload, or more than one run")
		}
		b.enqueue(spec(time.Minute, "second")) // the key is free again
		b.due(r, 1)
		b.enqueue(spec(time.Minute, "cancelled"))
		b.write(func(ctx context.Context, tx db.Tx) error { return job.Cancel(ctx, tx, "shelf.k", "1") })
		b.due(r, 0)
		if b.effects("second") != 1 || b.effects("cancelled") != 0 || len(b.list(job.Cancelled)) != 1 {
			t.Error("second or cancelled")
		}
	})
}

// Many jobs in one call are what they are one by one: new, asked for again while they
// wait, and asked for again while they run.
func TestEnqueueMany(t *testing.T) {
	each(t, func(b *bench) {
		ctx := obs.WithNumber(b.ctx, "REG-1")
		var specs []job.Spec
		for i := range 5 {
			specs = append(specs, job.Spec{Kind: "shelf.k", Key: fmt.Sprint(i), RunAt: start.Add(time.Duration(5-i) * time.Minute), Payload: payload{fmt.Sprint("w", i)}})
		}
		specs[3].Number, specs[3].Max = "REG-3", 2
		write := func(specs ...job.Spec) error {
			return b.d.Write(db.Outside(ctx), tenant, func(ctx context.Context, tx db.Tx) error { return job.Enqueue(ctx, tx, specs...) })
		}
		runs := 0
		r := b.runner(job.Options{Handlers: []job.Handler{job.Call("shelf.k", func(ctx context.Context, p payload) error {
			if runs++; runs == 1 { // 4 runs, the others wait
				return write(specs...)
			}
			return nil
		})}})
		if err := write(specs[4], specs[0]); err != nil {
			b.t.Fatal(err)
		}
		b.c.Add(time.Minute)
		b.due(r, 2) // 4, and once more since it was asked for
		rows := b.list(job.Ready)
		if len(rows) != 4 || rows[0].Key != "3" || rows[0].Number != "REG-3" || rows[0].Max != 2 || rows[3].Key != "0" || rows[3].Number != "REG-1" || rows[3].Max != 10 {
			b.t.Fatalf("%+v", rows)
		}
		if err := write(); err != nil {
			b.t.Fatal(err)
		}
		if err := write(specs[1], job.Spec{}); err == nil {
			b.t.Fatal("a malformed spec was taken")
		}
	})
}

// A job that is asked for while it runs may have read old facts: it runs once more.
func TestAskedForWhileRunning(t *testing.T) {
	each(t, func(b *bench) {
		runs := 0
		r := b.runner(job.Options{Handlers: []job.Handler{job.Call("shelf.sync", func(ctx context.Context, p payload) error {
			if runs++; runs > 1 {
				return nil
			}
			return errors.Join(
				b.d.Write(ctx, tenant, func(ctx context.Context, tx db.Tx) error {
					return job.Enqueue(ctx, tx, job.Spec{Kind: "shelf.sync", Key: "1", RunAt: start.Add(time.Hour), Payload: p})
				}),
				b.d.Write(ctx, tenant, func(ctx context.Context, tx db.Tx) error {
					return job.Enqueue(ctx, tx, job.Spec{Kind: "shelf.sync", Key: "1", RunAt: start.Add(2 * time.Hour), Payload: p})
				}))
		})}})
		b.enqueue(job.Spec{Kind: "shelf.sync", Key: "1", Payload: payload{"a"}})
		b.due(r, 1)
		b.c.Add(time.Hour)
		b.due(r, 1)
		b.c.Add(2 * time.Hour)
		b.due(r, 0)
	})
}

// An InTx handler enqueues its own successor: the running job counts as done.
func TestSuccessor(t *testing.T) {
	each(t, func(b *bench) {
		r := b.runner(job.Options{Handlers: []job.Handler{job.InTx("shelf.loop", func(ctx context.Context, tx db.Tx, p payload) error {
			return errors.Join(effect(ctx, tx, p),
				job.Enqueue(ctx, tx, job.Spec{Kind: "shelf.loop", Key: "1", RunAt: tx.Now().Add(time.Hour), Payload: p}))
		})}})
		b.enqueue(job.Spec{Kind: "shelf.loop", Key: "1", Payload: payload{"a"}})
		for n := 1; n <= 3; n++ {
			b.due(r, 1)
			if b.effects("a") != n || len(b.list(job.Ready)) != 1 {
				t.Fatalf("round %d: %d effects", n, b.effects("a"))
			}
			b.c.Add(time.Hour)
		}
	})
}

func TestRetriesEndInADeadLetter(t *testing.T) {
	each(t, func(b *bench) {
		broken := true
		attempts := map[string]int{}
		work := func(kind string) func(ctx context.Context) error {
			return func(context.Context) error {
				attempts[kind]++
				if broken && kind == "shelf.panic" {
					panic("a patient's name")
				}
				if broken {
					return errors.New("broken")
				}
				return nil
			}
		}
		r := b.runner(job.Options{Handlers: []job.Handler{
			job.InTx("shelf.tx", func(ctx context.Context, tx db.Tx, p payload) error {
				return errors.Join(effect(ctx, tx, p), work("shelf.tx")(ctx))
			}),
			job.Call("shelf.call", func(ctx context.Context, _ payload) error { return work("shelf.call")(ctx) }),
			job.Call("shelf.panic", func(ctx context.Context, _ payload) error { return work("shelf.panic")(ctx) }),
		}})
		for _, k := range []string{"shelf.tx", "shelf.call", "shelf.panic"} {
			b.enqueue(job.Spec{Kind: k, Key: "1", Payload: payload{"x"}, Max: 3})
		}
		for range 3 {
			b.due(r, 3)
			b.due(r, 0) // not before its pause
			b.c.Add(time.Hour)
		}
		b.due(r, 0)
		letters, err := deadletter.Open(b.ctx, b.d)
		if err != nil || len(letters) != 3 || len(b.list(job.Dead)) != 3 || b.effects("x") != 0 {
			t.Fatalf("%d letters, %v, %d dead, %d effects", len(letters), err, len(b.list(job.Dead)), b.effects("x"))
		}
		for _, l := range letters {
			want := "broken"
			if l.Kind == "shelf.panic" {
				want = "job: shelf.panic panicked with string"
			}
			if l.Error != want || l.Attempts != 3 || l.Source != deadletter.Job || attempts[l.Kind] != 3 {
				t.Errorf("letter %+v after %d attempts", l, attempts[l.Kind])
			}
		}
		broken = false
		for _, l := range letters {
			if err := job.Retry(b.ctx, b.d, id.As[job.Job](l.ID)); err != nil {
				t.Fatal(err)
			}
			if err := job.Retry(b.ctx, b.d, id.As[job.Job](l.ID)); !errors.Is(err, deadletter.ErrMissing) {
				t.Errorf("retried twice: %v", err)
			}
		}
		b.due(r, 3)
		if letters, _ := deadletter.Open(b.ctx, b.d); len(letters) != 0 || b.effects("x") != 1 || len(b.list(job.Done)) != 3 {
			t.Errorf("after the retry: %d letters, %d effects", len(letters), b.effects("x"))
		}
	})
}

func TestRetryWithAnOpenJobOfTheSameKey(t *testing.T) {
	each(t, func(b *bench) {
		r := b.runner(job.Options{Handlers: []job.Handler{job.Call("shelf.call", func(context.Context, payload) error { return errors.New("no") })}})
		b.enqueue(job.Spec{Kind: "shelf.call", Key: "1", Max: 1})
		b.due(r, 1)
		b.enqueue(job.Spec{Kind: "shelf.call", Key: "1", RunAt: start.Add(time.Hour)})
		if err := job.Retry(b.ctx, b.d, b.list(job.Dead)[0].ID); !errors.Is(err, job.ErrMissing) {
			t.Errorf("retry beside an open job: %v", err)
		}
	})
}

// A stalled process: its lease ends, another does the job, and what the first one does
// afterwards counts for nothing.
func TestLeaseOfAKilledProcess(t *testing.T) {
	each(t, func(b *bench) {
		entered, release := make(chan struct{}), make(chan struct{})
		var calls atomic.Int32
		handlers := []job.Handler{job.Call("shelf.call", func(context.Context, payload) error {
			if calls.Add(1) == 1 {
				close(entered)
				<-release
			}
			return nil
		})}
		killed, heir := b.runner(job.Options{Handlers: handlers, Owner: "a"}), b.runner(job.Options{Handlers: handlers, Owner: "b"})
		b.enqueue(job.Spec{Kind: "shelf.call", Key: "1"})
		done := make(chan error, 1)
		go func() {
			_, err := killed.RunDue(b.ctx)
			done <- err
		}()
		<-entered
		b.due(heir, 0) // the lease holds
		if b.d.Engine() == db.SQLite {
			b.c.Add(21 * time.Second)
		} else { // leases on PostgreSQL go by the database's clock: end it there
			b.write(func(ctx context.Context, tx db.Tx) error {
				_, err := tx.Exec(ctx, "UPDATE job SET lease_until = lease_until - 21000000 WHERE tenant_id = $1", tenant)
				return err
			})
		}
		b.due(heir, 1)
		rows := b.list(job.Done)
		if len(rows) != 1 || rows[0].Attempts != 2 {
			t.Errorf("done by the heir: %+v", rows)
		}
		close(release)
		if err := <-done; err != nil {
			t.Error(err)
		}
		if after := b.list(job.Done); len(after) != 1 || after[0] != rows[0] {
			t.Errorf("the killed process changed the job: %+v", after)
		}
	})
}

// A process dies in each attempt: the attempts still end.
func TestDyingProcessesEndInADeadLetter(t *testing.T) {
	each(t, func(b *bench) {
		r := b.runner(job.Options{Handlers: []job.Handler{job.InTx("shelf.tx", effect)}})
		b.enqueue(job.Spec{Kind: "shelf.tx", Key: "1", Payload: payload{"x"}, Max: 2})
		b.write(func(ctx context.Context, tx db.Tx) error {
			_, err := tx.Exec(ctx, "UPDATE job SET state = 'running', owner = 'gone', attempts = 2, lease_until = 1 WHERE tenant_id = $1", tenant)
			return err
		})
		b.due(r, 1)
		if len(b.list(job.Dead)) != 1 || b.effects("x") != 0 {
			t.Errorf("dead: %+v", b.list(job.Dead))
		}
	})
}

func TestCron(t *testing.T) {
	each(t, func(b *bench) {
		runs, broken := 0, false
		handlers := func() []job.Handler {
			return []job.Handler{job.Every("shelf.daily", job.Cron{At: "03:30"}, func(ctx context.Context) error {
				if who, err := auth.From(ctx); err != nil || !who.Tenant.IsZero() || who.Name != "job:shelf.daily" {
					t.Errorf("principal %+v, %v", who, err)
				}
				runs++
				if broken {
					return errors.New("broken")
				}
				return nil
			})}
		}
		a, other := b.runner(job.Options{Handlers: handlers(), Owner: "a"}), b.runner(job.Options{Handlers: handlers(), Owner: "b"})
		b.due(a, 0)
		b.due(other, 0)
		b.c.Set(time.Date(2026, 3, 3, 3, 30, 0, 0, clock.Shanghai))
		b.due(a, 1)
		b.due(other, 0)
		b.c.Set(time.Date(2026, 3, 9, 12, 0, 0, 0, clock.Shanghai)) // nobody ran for days: once
		b.due(other, 1)
		b.due(a, 0)
		broken = true
		for range 10 { // three attempts a period, then a letter, and the next period comes as ever
			b.c.Add(24 * time.Hour)
			if _, err := a.RunDue(b.ctx); err != nil {
				t.Fatal(err)
			}
		}
		letters, err := deadletter.Open(b.ctx, b.d)
		if err != nil || len(letters) != 1 || len(b.list(job.Ready)) != 1 {
			t.Errorf("%d letters, %v, ready %+v", len(letters), err, b.list(job.Ready))
		}
		if runs != 12 {
			t.Errorf("%d runs", runs)
		}
	})
}

func TestNext(t *testing.T) {
	at := func(s string) time.Time {
		v, err := time.ParseInLocation("2006-01-02 15:04:05", s, clock.Shanghai)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	for _, c := range []struct {
		cron      job.Cron
		now, want string
	}{
		{job.Cron{Every: 5 * time.Minute}, "2026-03-02 08:31:00", "2026-03-02 08:35:00"},
		{job.Cron{Every: 5 * time.Minute}, "2026-03-02 08:35:00", "2026-03-02 08:40:00"},
		{job.Cron{At: "00:00"}, "2026-12-31 23:59:59", "2027-01-01 00:00:00"},
		{job.Cron{At: "08:00"}, "2026-03-02 07:59:59", "2026-03-02 08:00:00"},
		{job.Cron{At: "08:00"}, "2026-03-02 08:00:00", "2026-03-03 08:00:00"},
		{job.Cron{At: "02:15", Day: 28}, "2026-02-28 02:15:00", "2026-03-28 02:15:00"},
		{job.Cron{At: "02:15", Day: 1}, "2026-12-15 00:00:00", "2027-01-01 02:15:00"},
	} {
		if got := c.cron.Next(at(c.now)); !got.Equal(at(c.want)) {
			t.Errorf("%+v after %s: %s, want %s", c.cron, c.now, got.In(clock.Shanghai), c.want)
		}
	}
}

func TestNewRunnerRefuses(t *testing.T) {
	d := newBench(t, dbtest.Make(t, db.SQLite, sets).Open(t), clock.NewManual(start)).d
	nop := func(context.Context) error { return nil }
	for name, hs := range map[string][]job.Handler{
		"twice":        {job.Every("a", job.Cron{At: "01:00"}, nop), job.Every("a", job.Cron{At: "01:00"}, nop)},
		"empty kind":   {job.Every("", job.Cron{At: "01:00"}, nop)},
		"no period":    {job.Every("a", job.Cron{}, nop)},
		"two periods":  {job.Every("a", job.Cron{Every: time.Hour, At: "01:00"}, nop)},
		"no such hour": {job.Every("a", job.Cron{At: "25:00"}, nop)},
		"no such day":  {job.Every("a", job.Cron{At: "01:00", Day: 31}, nop)},
	} {
		if _, err := job.NewRunner(job.Options{DB: d, Handlers: hs}); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// Two processes race for 500 jobs: each has its effect once.
func TestTwoRunnersRace(t *testing.T) {
	dbtest.EachDatabase(t, sets, func(t *testing.T, base *dbtest.Database) {
		const jobs = 500
		first := newBench(t, base.Open(t), nil)
		second := first
		if base.Engine == db.Postgres { // a process of its own; SQLite has one process
			second = newBench(t, base.Open(t), nil)
		}
		for lo := 0; lo < jobs; lo += 50 {
			first.write(func(ctx context.Context, tx db.Tx) error {
				for i := lo; i < lo+50; i++ {
					if err := job.Enqueue(ctx, tx, job.Spec{Kind: "shelf.tx", Key: fmt.Sprint(i), Payload: payload{fmt.Sprint(i)}}); err != nil {
						return err
					}
				}
				return nil
			})
		}
		var left atomic.Int32
		left.Store(jobs)
		finished := make(chan struct{})
		h := []job.Handler{job.InTx("shelf.tx", func(ctx context.Context, tx db.Tx, p payload) error {
			tx.OnCommit(func() {
				if left.Add(-1) == 0 {
					close(finished)
				}
			})
			return effect(ctx, tx, p)
		})}
		ctx, stop := context.WithCancel(first.ctx)
		var wg sync.WaitGroup
		for i, b := range []*bench{first, second} {
			r := b.runner(job.Options{Handlers: h, Clock: clock.System{}, Owner: fmt.Sprint(i)})
			wg.Go(func() {
				if err := r.Run(ctx); err != nil {
					t.Error(err)
				}
			})
		}
		select {
		case <-finished:
		case <-ctx.Done():
			t.Fatal("not all jobs ran")
		}
		stop()
		wg.Wait()
		var rows, most int
		err := first.d.Read(first.ctx, tenant, func(ctx context.Context, tx db.Tx) error {
			return tx.QueryRow(ctx, "SELECT COUNT(*), MAX(n) FROM effect WHERE tenant_id = $1", tenant).Scan(&rows, &most)
		})
		if err != nil || rows != jobs || most != 1 || len(first.list(job.Ready)) != 0 {
			t.Errorf("%d effects, at most %d times, %v", rows, most, err)
		}
	})
}

// Run wakes on a commit, and gives back what it could not finish.
func TestRunStops(t *testing.T) {
	dbtest.Each(t, sets, func(t *testing.T, srv *db.Server) {
		b := newBench(t, srv, nil)
		entered := make(chan struct{}, 1)
		stop := make(chan struct{})
		r := b.runner(job.Options{Clock: clock.System{}, Sole: srv.Engine() == db.SQLite, Handlers: []job.Handler{
			job.Call("shelf.call", func(ctx context.Context, _ payload) error {
				entered <- struct{}{}
				<-stop
				return nil
			}),
		}})
		ctx, cancel := context.WithCancel(b.ctx)
		done := make(chan error, 1)
		go func() { done <- r.Run(ctx) }()
		b.enqueue(job.Spec{Kind: "shelf.call", Key: "1"})
		select {
		case <-entered:
		case <-b.ctx.Done():
			t.Fatal("the job did not start")
		}
		cancel()
		close(stop)
		if err := <-done; err != nil {
			t.Error(err)
		}
		if rows := b.list(job.Done); len(rows) != 1 {
			t.Errorf("a job in hand was not finished: %+v", b.list(job.Running))
		}
	})
}
