package job

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/deadletter"
	"xinglin/internal/platform/obs"
)

// Keep is how long a finished job stays for a look.
const Keep = 7 * 24 * time.Hour

const (
	lease      = 20 * time.Second // so long people wait for what a killed process had in hand
	heartbeat  = lease / 4
	inTxTime   = 30 * time.Second // of an InTx handler, whose row is locked from its first statement on: its lease may end meanwhile
	callTime   = 10 * time.Minute // a Call may take so long, with heartbeats
	stopTime   = 20 * time.Second // what runs when the process stops may take so long
	poll       = time.Second
	firstPause = time.Second
	maxPause   = 10 * time.Minute
	cronMax    = 3
	sweepEach  = time.Hour
	sweepBatch = 500
)

// Runner does one context's due jobs. Run one a context in each process; on PostgreSQL
// they share the work.
type Runner struct {
	o       Options
	byKind  map[string]Handler
	kinds   []any
	running sync.WaitGroup
	free    chan struct{} // one token a worker
	claims  atomic.Int64
}

// Options of a runner.
type Options struct {
	DB       *db.DB
	Handlers []Handler
	Clock    clock.Clock
	Log      *slog.Logger
	Owner    string   // this process, anew at each start; empty: random
	Workers  int      // jobs at once; 0 means 4
	Sole     bool     // no other process uses the database (SQLite): leases of a former one end at start
	Metrics  *Metrics // nil: none
}

// Metrics of all runners of a process.
type Metrics struct {
	runs *prometheus.CounterVec
	late *prometheus.HistogramVec
}

// NewMetrics registers the runners' metrics.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	m := &Metrics{
		runs: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "xinglin_job_runs_total", Help: "Attempts by outcome: done, retry, dead, lost."},
			[]string{"context", "kind", "outcome"}),
		late: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "xinglin_job_late_seconds", Help: "From the due time to the start.",
			Buckets: []float64{.01, .05, .1, .25, .5, 1, 2.5, 5, 15, 60, 300, 3600},
		}, []string{"context", "kind"}),
	}
	reg.MustRegister(m.runs, m.late)
	return m
}

// NewRunner refuses two handlers of one kind and malformed periods.
func NewRunner(o Options) (*Runner, error) {
	if o.Workers == 0 {
		o.Workers = 4
	}
	if o.Owner == "" {
		o.Owner = id.Random[Runner]().String()
	}
	r := &Runner{o: o, byKind: map[string]Handler{}, free: make(chan struct{}, o.Workers)}
	for range o.Workers {
		r.free <- struct{}{}
	}
	for _, h := range o.Handlers {
		if _, twice := r.byKind[h.Kind]; twice || h.Kind == "" {
			return nil, fmt.Errorf("job: %s: kind %q twice or empty", o.DB.Name(), h.Kind)
		}
		if h.cron != nil {
			if err := h.cron.check(); err != nil {
				return nil, fmt.Errorf("%s: %w", h.Kind, err)
			}
		}
		r.byKind[h.Kind] = h
		r.kinds = append(r.kinds, h.Kind)
	}
	return r, nil
}

// Run does jobs until ctx ends, then waits for those in hand, at most 20 s; what is not
// done by then is given back. A due job starts within a second, at once when it was
// enqueued in this process.
func (r *Runner) Run(ctx context.Context) error {
	if len(r.kinds) == 0 {
		<-ctx.Done()
		return nil
	}
	woken, stop := r.o.DB.Listen(topic)
	defer stop()
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer r.running.Wait()
	defer cancel()
	if r.o.Sole {
		r.warn(ctx, "job: former leases", takeBack(ctx, r.o.DB))
	}
	var planned bool
	var nextSweep time.Time
	for ctx.Err() == nil {
		if !planned {
			err := r.plan(ctx)
			r.warn(ctx, "job: periods", err)
			planned = err == nil
		}
		wait, err := r.dispatch(ctx, work)
		r.warn(ctx, "job: claim", err)
		if now := clock.Mono(); now.After(nextSweep) {
			nextSweep = now.Add(sweepEach)
			_, err := sweep(ctx, r.o.DB, r.o.Clock.Now().Add(-Keep))
			r.warn(ctx, "job: sweep", err)
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-woken:
		case <-timer.C:
		}
		timer.Stop()
	}
	r.drain()
	return nil
}

// drain waits for the jobs in hand, at most stopTime.
func (r *Runner) drain() {
	done := make(chan struct{})
	go func() {
		r.running.Wait()
		close(done)
	}()
	timer := time.NewTimer(stopTime)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
	}
}

// dispatch starts what is due, as far as workers are free, and says how long to wait.
func (r *Runner) dispatch(ctx, work context.Context) (time.Duration, error) {
	for {
		n := r.take(ctx)
		if n == 0 {
			return poll, nil // ctx ended, or a worker's end wakes through its token
		}
		jobs, err := claim(ctx, r.o.DB, r.token(), r.kinds, n)
		for range n - len(jobs) {
			r.free <- struct{}{}
		}
		for _, j := range jobs {
			r.running.Go(func() {
				defer func() { r.free <- struct{}{} }()
				r.do(work, j)
			})
		}
		if err != nil {
			return poll, err
		}
		if len(jobs) < n {
			next, err := nextDue(ctx, r.o.DB, r.kinds)
			if err != nil || next.IsZero() {
				return poll, err
			}
			return min(max(next.Sub(r.o.Clock.Now()), time.Millisecond), poll), nil
		}
	}
}

// token is the owner of one claim: an attempt that lost its lease can never be taken
// for a later one, not even of the same process.
func (r *Runner) token() string { return fmt.Sprintf("%s#%d", r.o.Owner, r.claims.Add(1)) }

// take waits for a free worker and takes all that are free; 0 when ctx ends first.
func (r *Runner) take(ctx context.Context) int {
	select {
	case <-ctx.Done():
		return 0
	case <-r.free:
	}
	n := 1
	for {
		select {
		case <-r.free:
			n++
		default:
			return n
		}
	}
}

// RunDue does everything that is due now, one after the other, and says how many
// attempts that were. It is for tests and the simulator, which move the clock.
func (r *Runner) RunDue(ctx context.Context) (int, error) {
	if err := r.plan(ctx); err != nil {
		return 0, err
	}
	total := 0
	for len(r.kinds) > 0 {
		jobs, err := claim(ctx, r.o.DB, r.token(), r.kinds, 1)
		if err != nil || len(jobs) == 0 {
			return total, err
		}
		for _, j := range jobs {
			r.do(ctx, j)
			total++
		}
	}
	return total, nil
}

// plan makes sure that each cron has its row.
func (r *Runner) plan(ctx context.Context) error {
	for _, h := range r.o.Handlers {
		if h.cron == nil {
			continue
		}
		err := r.o.DB.WriteAll(ctx, func(ctx context.Context, tx db.Tx) error {
			var n int
			err := tx.QueryRow(ctx, "SELECT COUNT(*) FROM job WHERE tenant_id = $1 AND kind = $2 AND key = '' AND state IN ('ready', 'running') AND run_at <= $3",
				tx.Tenant(), h.Kind, h.cron.Next(tx.Now()).UnixMicro()).Scan(&n)
			if err != nil || n > 0 {
				return err
			}
			return Enqueue(ctx, tx, Spec{Kind: h.Kind, RunAt: h.cron.Next(tx.Now()), Max: cronMax})
		})
		if err != nil {
			return err
		}
	}
	return nil
}

var errLost = errors.New("the lease was lost or the job was cancelled")

// do makes one attempt and keeps what came of it.
func (r *Runner) do(ctx context.Context, j claimed) {
	ctx = auth.With(ctx, auth.Principal{Kind: auth.System, Tenant: j.tenant, Name: "job:" + j.kind})
	ctx = obs.WithOrigin(obs.WithLog(ctx, r.o.Log), "job")
	ctx = obs.WithNumber(obs.WithTrace(ctx, j.trace), j.number)
	ctx, end := obs.Start(ctx, "job "+j.kind)
	if r.o.Metrics != nil {
		r.o.Metrics.late.WithLabelValues(r.o.DB.Name(), j.kind).Observe(r.o.Clock.Now().Sub(j.runAt).Seconds())
	}
	err := r.attempt(ctx, j)
	word := "done"
	if err != nil {
		word = r.failed(ctx, j, err)
	}
	if r.o.Metrics != nil {
		r.o.Metrics.runs.WithLabelValues(r.o.DB.Name(), j.kind, word).Inc()
	}
	end(err)
}

func (r *Runner) attempt(ctx context.Context, j claimed) (err error) {
	h := r.byKind[j.kind]
	defer func() {
		if p := recover(); p != nil { // its value may quote data
			err = fmt.Errorf("job: %s panicked with %T", j.kind, p)
		}
	}()
	switch {
	case j.attempts > j.max:
		return errors.New("job: its process ended in the last attempt")
	case h.inTx != nil:
		ctx, cancel := context.WithTimeout(ctx, inTxTime)
		defer cancel()
		return r.o.DB.Write(ctx, j.tenant, func(ctx context.Context, tx db.Tx) error {
			// First, so that the row is ours until the commit, and the handler may enqueue the same key again.
			if err := done(ctx, tx, j); err != nil {
				return err
			}
			return h.inTx(ctx, tx, j.payload)
		})
	}
	if err := r.call(ctx, h, j); err != nil {
		return err
	}
	keep, cancel := context.WithTimeout(context.WithoutCancel(ctx), inTxTime)
	defer cancel()
	return r.o.DB.WriteAll(keep, func(ctx context.Context, tx db.Tx) error {
		if h.cron != nil {
			return again(ctx, tx, j, h.cron.Next(tx.Now()))
		}
		return done(ctx, tx, j)
	})
}

// call runs a handler outside a transaction while its lease is extended; it is told to
// stop when the lease is lost.
func (r *Runner) call(ctx context.Context, h Handler, j claimed) error {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	var beat sync.WaitGroup
	beating, stop := context.WithCancel(ctx)
	beat.Go(func() {
		tick := time.NewTicker(heartbeat)
		defer tick.Stop()
		for {
			select {
			case <-beating.Done():
				return
			case <-tick.C:
			}
			err := extend(beating, r.o.DB, j)
			if errors.Is(err, errLost) {
				cancel()
				return
			}
			r.warn(beating, "job: heartbeat", err)
		}
	})
	defer beat.Wait()
	defer stop()
	return h.call(ctx, j.payload)
}

// failed decides about another attempt and says what became of the job.
func (r *Runner) failed(ctx context.Context, j claimed, why error) string {
	if errors.Is(why, errLost) {
		return "lost"
	}
	stopped := ctx.Err() != nil // told to stop: no fault of the job
	keep, cancel := context.WithTimeout(context.WithoutCancel(ctx), inTxTime)
	defer cancel()
	word := "retry"
	var err error
	switch {
	case stopped:
		err = retry(keep, r.o.DB, j, 0, j.attempts-1, why)
	case j.attempts < j.max:
		err = retry(keep, r.o.DB, j, pause(j.attempts), j.attempts, why)
	default:
		word = "dead"
		var next time.Time
		if h := r.byKind[j.kind]; h.cron != nil {
			next = h.cron.Next(r.o.Clock.Now())
		}
		err = bury(keep, r.o.DB, j, next, why)
	}
	switch {
	case errors.Is(err, errLost):
		return "lost"
	case err != nil: // the lease ends and the job comes again
		r.warn(ctx, "job: outcome not kept", err)
	case word == "dead":
		obs.Log(ctx).Error("job: dead letter", "context", r.o.DB.Name(), "kind", j.kind, "job", j.id.String(), "attempts", j.attempts, "error", deadletter.Describe(why))
	default:
		obs.Log(ctx).Warn("job: failed, will come again", "context", r.o.DB.Name(), "kind", j.kind, "job", j.id.String(), "attempt", j.attempts, "error", deadletter.Describe(why))
	}
	return word
}

// pause before the next attempt: doubling to ten minutes, half of it random.
func pause(attempt int) time.Duration {
	p := min(firstPause<<min(attempt-1, 20), maxPause)
	return p/2 + rand.N(p/2)
}

func (r *Runner) warn(ctx context.Context, what string, err error) {
	if err != nil && ctx.Err() == nil {
		r.o.Log.Warn(what, "context", r.o.DB.Name(), "error", deadletter.Describe(err))
	}
}
