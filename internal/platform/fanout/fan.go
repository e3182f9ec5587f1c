package fanout

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"xinglin/internal/kernel/clock"
)

// fan serves some of the process's readers, one after the other, in one goroutine.
type fan struct {
	hub  *Hub
	wake chan struct{}
	slow time.Duration // after which a reader that takes nothing is dropped

	mu      sync.Mutex
	ready   []*Reader
	readers map[*Reader]bool
	closed  bool

	// Of the loop: who waits for its turn, by the tick.
	wheel   [ticks][]*Reader
	tick    int
	waiting int
	buf     []byte
}

func newFan(h *Hub) *fan {
	return &fan{hub: h, slow: slowTime, wake: make(chan struct{}, 1), readers: map[*Reader]bool{}}
}

func (f *fan) push(r *Reader) {
	f.mu.Lock()
	f.ready = append(f.ready, r)
	f.mu.Unlock()
	nudge(f.wake)
}

func (f *fan) add(r *Reader) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.closed {
		f.readers[r] = true
	}
	return !f.closed
}

func (f *fan) open() {
	f.mu.Lock()
	f.closed = false
	f.mu.Unlock()
}

func (f *fan) run(ctx context.Context) {
	sweep := time.NewTicker(sweepTime)
	defer sweep.Stop()
	tick := time.NewTicker(tickTime)
	defer tick.Stop()
	ticking := true
	for {
		if on := f.waiting > 0; on != ticking { // an idle process does not wake up
			if ticking = on; on {
				tick.Reset(tickTime)
			} else {
				tick.Stop()
			}
		}
		select {
		case <-ctx.Done():
			f.end()
			return
		case <-f.wake:
			f.mu.Lock()
			ready := f.ready
			f.ready = nil
			f.mu.Unlock()
			f.serve(ready)
		case <-tick.C:
			f.tick = (f.tick + 1) % ticks
			due := f.wheel[f.tick]
			f.wheel[f.tick] = nil
			f.waiting -= len(due)
			f.serve(due)
		case <-sweep.C:
			f.sweep(clock.Mono())
		}
	}
}

func (f *fan) serve(readers []*Reader) {
	for _, r := range readers {
		f.turn(r, clock.Mono())
	}
}

// wait puts a queued reader where its time comes.
func (f *fan) wait(r *Reader, d time.Duration) {
	n := min(max(int(d/tickTime)+1, 1), ticks-1) // a longer wait comes back and waits on
	at := (f.tick + n) % ticks
	f.wheel[at] = append(f.wheel[at], r)
	f.waiting++
}

// turn serves one reader that is queued.
func (f *fan) turn(r *Reader, now time.Time) {
	if r.over {
		return
	}
	if d := r.next.Sub(now); d > 0 {
		f.wait(r, d)
		return
	}
	r.queued.Store(false) // what comes from here on queues it again
	done, err := r.line.Flush()
	if err != nil {
		f.drop(r)
		return
	}
	if done {
		places := r.pending.Swap(0)
		f.buf, places = r.events(f.buf[:0], places)
		r.pending.Or(places)
		if len(f.buf) == 0 {
			r.stuck = time.Time{}
			return
		}
		if done, err = f.send(r, now); err != nil {
			f.drop(r)
			return
		}
	}
	f.after(r, done, now)
}

// send gives the buffer to the reader; true: all of it is out.
func (f *fan) send(r *Reader, now time.Time) (bool, error) {
	taken, err := r.line.Send(f.buf)
	if err != nil || !taken {
		return false, err
	}
	r.paced(now)
	f.hub.met.writes.Inc()
	return r.line.Flush()
}

// after says when the reader is looked at again. One that takes nothing is dropped in time.
func (f *fan) after(r *Reader, done bool, now time.Time) {
	switch {
	case done:
		r.stuck = time.Time{}
		if r.pending.Load() == 0 {
			return
		}
	case r.stuck.IsZero():
		r.stuck = now
	case now.Sub(r.stuck) > f.slow:
		f.hub.met.dropped.Inc()
		f.drop(r)
		return
	}
	if !done { // look again whether it takes the rest
		r.next = now.Add(pauseTime)
	}
	if r.queued.CompareAndSwap(false, true) {
		f.wait(r, r.next.Sub(now))
	}
}

func (f *fan) drop(r *Reader) {
	r.over = true
	f.mu.Lock()
	delete(f.readers, r)
	f.mu.Unlock()
	f.hub.leave(r)
	r.line.Close()
}

// sweep lets those go who left, and sends a beat where nothing was sent for long.
func (f *fan) sweep(now time.Time) {
	f.mu.Lock()
	all := slices.Collect(maps.Keys(f.readers))
	f.mu.Unlock()
	for _, r := range all {
		switch {
		case r.line.Gone():
			f.drop(r)
		case r.stuck.IsZero() && now.Sub(r.last) >= beatTime:
			f.buf = append(f.buf[:0], ": beat\n\n"...)
			done, err := f.send(r, now)
			if err != nil {
				f.drop(r)
				continue
			}
			f.after(r, done, now)
		}
	}
}

// end closes every stream.
func (f *fan) end() {
	f.mu.Lock()
	f.closed = true
	all := slices.Collect(maps.Keys(f.readers))
	f.mu.Unlock()
	for _, r := range all {
		f.drop(r)
	}
}
