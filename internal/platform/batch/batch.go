// Package batch combines requests: what waits at a writer becomes one transaction, and
// everybody is answered after its commit. The time of the commit is the window, there
// is no timer; so a lone request is as fast as ever, and under load the contention that
// kills row locks becomes the batching that makes it fast. The database stays the only
// truth, and several processes may work on the same rows.
//
// Every hot write of the product goes this way: seats, and then stock, coupons,
// redemptions and readings.
package batch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"sync"
	"time"

	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/fault"
)

// Refusals. Both ask to come again: nothing was done (busy), or the key decides on the
// repeat (unknown).
var (
	ErrBusy    = fault.Register(fault.Unavailable, "batch.busy", "当前请求过多，请稍后再试", "Too many requests at the moment, try again")
	ErrUnknown = fault.Register(fault.Unavailable, "batch.outcome_unknown", "结果未知，请用同一请求号重试", "The outcome is unknown, repeat with the same key")
)

// Result is what one item came to.
type Result[Out any] struct {
	Out Out
	Err error
}

// ErrAgain marks a Result.Err that is tried once more in a later batch, at most Options.Tries
// times: a rival stood in the way that is gone now.
var ErrAgain = errors.New("batch: again")

// Work runs one batch in one transaction and returns a result for each item, in order.
// Items are of one scope (a tenant). ctx has the batch's own deadline and no client's.
// An error means that the transaction as a whole failed: it is repeated, then split in
// halves, until each item that fails alone is found. The keys of the items must decide
// what was done already, because the outcome of a lost commit is unknown.
type Work[Scope comparable, In, Out any] func(ctx context.Context, scope Scope, items []In) ([]Result[Out], error)

// Options of a combiner.
type Options struct {
	Name    string        // of the metrics: scheduling.hold
	Writers int           // 0 means 2; SQLite needs 1
	Max     int           // items of one batch; 0 means 512
	Queue   int           // items that may wait at one writer; 0 means 4096; more is ErrBusy
	Wait    time.Duration // an item that waited longer is refused before it is begun; 0 means 5 s
	Time    time.Duration // one transaction; 0 means 10 s
	Tries   int           // of a failed transaction, and of an item that said Again; 0 means 5
	Log     *slog.Logger
	Metrics *Metrics // nil: none
}

// Combiner is the queue and its writers.
type Combiner[Scope comparable, In, Out any] struct {
	opt     Options
	work    Work[Scope, In, Out]
	writers []*writer[Scope, In, Out]
	running sync.WaitGroup
	ends    chan struct{}
	end     sync.Once
}

type item[In, Out any] struct {
	in    In
	since time.Time
	tries int
	done  chan Result[Out] // buffered: a writer never waits for a client
}

// writer takes what waits; it lives while something does. Scopes take turns, so one
// tenant's rush does not starve the others.
type writer[Scope comparable, In, Out any] struct {
	mu      sync.Mutex
	busy    bool // its goroutine runs
	waiting map[Scope][]*item[In, Out]
	turns   []Scope // scopes with waiting items, each once
	count   int
	closed  bool
}

// New makes a combiner. Nothing runs until something waits.
func New[Scope comparable, In, Out any](opt Options, work Work[Scope, In, Out]) *Combiner[Scope, In, Out] {
	opt = opt.filled()
	c := &Combiner[Scope, In, Out]{opt: opt, work: work, ends: make(chan struct{})}
	for range opt.Writers {
		c.writers = append(c.writers, &writer[Scope, In, Out]{waiting: map[Scope][]*item[In, Out]{}})
	}
	return c
}

func (o Options) filled() Options {
	set := func(v *int, otherwise int) {
		if *v == 0 {
			*v = otherwise
		}
	}
	set(&o.Writers, 2)
	set(&o.Max, 512)
	set(&o.Queue, 4096)
	set(&o.Tries, 5)
	if o.Wait == 0 {
		o.Wait = 5 * time.Second
	}
	if o.Time == 0 {
		o.Time = 10 * time.Second
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

// Close refuses what comes, finishes what waits and ends the writers.
func (c *Combiner[Scope, In, Out]) Close() {
	c.end.Do(func() {
		for _, w := range c.writers {
			w.mu.Lock()
			w.closed = true
			w.mu.Unlock()
		}
		close(c.ends)
	})
	c.running.Wait()
}

// Do hands an item in and waits for its result. hash chooses the writer: items that
// contend for one row should share one. When ctx ends the caller learns ErrUnknown and
// the item still runs: one client never cancels the others' batch. batch.busy,
// batch.outcome_unknown, or the work's own error.
func (c *Combiner[Scope, In, Out]) Do(ctx context.Context, scope Scope, hash uint64, in In) (Out, error) {
	it := &item[In, Out]{in: in, since: clock.Mono(), done: make(chan Result[Out], 1)}
	w := c.writers[hash%uint64(len(c.writers))]
	if !c.put(w, scope, c.opt.Queue, it) {
		c.opt.Metrics.refused(c.opt.Name)
		var none Out
		return none, ErrBusy.After(time.Second + rand.N(time.Second))
	}
	select {
	case r := <-it.done:
		return r.Out, r.Err
	case <-ctx.Done():
		var none Out
		return none, ErrUnknown.Wrap(ctx.Err())
	}
}

func (c *Combiner[Scope, In, Out]) put(w *writer[Scope, In, Out], scope Scope, bound int, items ...*item[In, Out]) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed || w.count+len(items) > bound {
		return false
	}
	if len(w.waiting[scope]) == 0 {
		w.turns = append(w.turns, scope)
	}
	w.waiting[scope] = append(w.waiting[scope], items...)
	w.count += len(items)
	if !w.busy {
		w.busy = true
		c.running.Go(func() { c.run(w) })
	}
	return true
}

// take gives the next scope's items, at most limit; none when nothing waits, and then the
// writer ends.
func (w *writer[Scope, In, Out]) take(limit int) (scope Scope, out []*item[In, Out]) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.turns) == 0 {
		w.busy = false
		return scope, nil
	}
	scope, w.turns = w.turns[0], w.turns[1:]
	out = w.waiting[scope]
	if len(out) > limit {
		rest := out[limit:]
		out = out[:limit:limit]
		w.waiting[scope] = append([]*item[In, Out](nil), rest...)
		w.turns = append(w.turns, scope)
	} else {
		delete(w.waiting, scope)
	}
	w.count -= len(out)
	return scope, out
}

func (c *Combiner[Scope, In, Out]) run(w *writer[Scope, In, Out]) {
	for {
		// Requests that are ready to run come in first: of a crowd that arrives at once the
		// first would else be a batch of its own. Alone it costs nothing.
		runtime.Gosched()
		scope, items := w.take(c.opt.Max)
		if len(items) == 0 {
			return
		}
		c.batch(w, scope, c.fresh(items))
	}
}

// fresh refuses what waited too long: its client has gone, and nothing was begun.
func (c *Combiner[Scope, In, Out]) fresh(items []*item[In, Out]) []*item[In, Out] {
	now, kept := clock.Mono(), items[:0]
	for _, it := range items {
		if now.Sub(it.since) > c.opt.Wait {
			it.done <- Result[Out]{Err: ErrBusy.After(time.Second + rand.N(time.Second))}
			c.opt.Metrics.refused(c.opt.Name)
			continue
		}
		kept = append(kept, it)
	}
	return kept
}

// batch runs the items until each has its result, or has said Again and waits anew.
func (c *Combiner[Scope, In, Out]) batch(w *writer[Scope, In, Out], scope Scope, items []*item[In, Out]) {
	if len(items) == 0 {
		return
	}
	begin := clock.Mono()
	results, err := c.attempt(scope, items)
	c.opt.Metrics.ran(c.opt.Name, len(items), clock.Mono().Sub(begin))
	if err == nil {
		c.answer(w, scope, items, results)
		return
	}
	if len(items) == 1 {
		items[0].done <- Result[Out]{Err: err}
		return
	}
	// One bad item must not fail the others.
	c.opt.Metrics.split(c.opt.Name)
	c.opt.Log.Warn("batch: split", "name", c.opt.Name, "items", len(items))
	half := len(items) / 2
	c.batch(w, scope, items[:half])
	c.batch(w, scope, items[half:])
}

// attempt repeats a transaction that failed as a whole while that may help: after a lost
// connection the keys tell what had been done. No try begins later than Time after the
// first one: who has hung up shall not be served after everybody has forgotten it.
func (c *Combiner[Scope, In, Out]) attempt(scope Scope, items []*item[In, Out]) (out []Result[Out], err error) {
	ins := make([]In, len(items))
	for i, it := range items {
		ins[i] = it.in
	}
	begin := clock.Mono()
	for try := range c.opt.Tries {
		if out, err = c.once(scope, ins); err == nil {
			return out, nil
		}
		if fault.KindOf(err) != fault.Unavailable || clock.Mono().Sub(begin) > c.opt.Time {
			return nil, err
		}
		pause := time.Millisecond << min(3*try, 10)
		timer := time.NewTimer(pause/2 + rand.N(pause))
		select {
		case <-timer.C:
		case <-c.ends:
			timer.Stop()
			return nil, err
		}
	}
	return nil, err
}

func (c *Combiner[Scope, In, Out]) once(scope Scope, ins []In) (out []Result[Out], err error) {
	ctx, cancel := context.WithTimeout(context.Background(), c.opt.Time)
	defer cancel()
	defer func() {
		if recover() != nil { // not the value: it may hold personal data
			c.opt.Log.Error("batch: panic", "name", c.opt.Name, "stack", string(debug.Stack()))
			out, err = nil, fmt.Errorf("batch: %s panicked", c.opt.Name)
		}
	}()
	out, err = c.work(ctx, scope, ins)
	if err == nil && len(out) != len(ins) {
		err = fmt.Errorf("batch: %s gave %d results for %d items", c.opt.Name, len(out), len(ins))
	}
	return out, err
}

func (c *Combiner[Scope, In, Out]) answer(w *writer[Scope, In, Out], scope Scope, items []*item[In, Out], results []Result[Out]) {
	var again []*item[In, Out]
	for i, it := range items {
		r := results[i]
		if errors.Is(r.Err, ErrAgain) {
			if it.tries++; it.tries < c.opt.Tries {
				again = append(again, it)
				continue
			}
			r.Err = ErrBusy.After(time.Second)
		}
		it.done <- r
	}
	if len(again) > 0 && !c.put(w, scope, c.opt.Queue+len(again), again...) { // they had their places already
		for _, it := range again {
			it.done <- Result[Out]{Err: ErrBusy.After(time.Second)}
		}
	}
}

// Waiting is how many items wait at the writers.
func (c *Combiner[Scope, In, Out]) Waiting() int {
	n := 0
	for _, w := range c.writers {
		w.mu.Lock()
		n += w.count
		w.mu.Unlock()
	}
	return n
}
