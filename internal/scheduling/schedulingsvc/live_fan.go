package schedulingsvc

import (
	"context"
	"math/bits"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"xinglin/internal/kernel/clock"
	"xinglin/internal/scheduling"
)

// How a reader is served.
const (
	liveRate  = 4                      // writes to one reader within any second
	livePause = 250 * time.Millisecond // between two of them
	liveRest  = 600 * time.Millisecond // after a rest like this the second write need not wait
	liveBeat  = 15 * time.Second       // keeps idle streams open through proxies
	liveSweep = 5 * time.Second        // looks for readers that left
	liveSlow  = 10 * time.Second       // a reader that takes nothing for so long is dropped
	liveWrite = 64 << 10               // bytes of one write; the rest follows with the next
	liveTick  = 10 * time.Millisecond
	liveTicks = 32 // more than livePause
)

// line is where a reader's events go. Nothing waits in it.
type line interface {
	// Send takes whole events; false: what was given before is not out yet.
	Send(events []byte) (taken bool, err error)
	// Flush goes on with what is not out yet; true: nothing is left.
	Flush() (done bool, err error)
	Gone() bool
	Close()
}

// reader is one stream. It keeps only which of its sessions have news: when its turn
// comes it gets their latest frames, so a slow reader skips what was in between and
// costs no memory.
type reader struct {
	hub     *hub
	fan     *fan
	tenant  scheduling.TenantID
	watches []*watch // in the order of the request; nil: not the tenant's
	left    bool     // under the hub's lock

	pending atomic.Uint64 // places with news
	queued  atomic.Bool   // its fan will come to it

	// Of the fan's loop, from begin on.
	line  line
	sent  []int64 // the version of each place that the reader has
	next  time.Time
	last  time.Time
	wrote [liveRate]time.Time // its last writes, in turn
	turns int
	stuck time.Time // since when it takes nothing; zero: it does
	over  bool
}

// pend notes news at a place.
func (r *reader) pend(place int) {
	r.pending.Or(1 << place)
	r.call()
}

func (r *reader) call() {
	if r.queued.CompareAndSwap(false, true) {
		r.fan.push(r)
	}
}

// begin sends what the reader does not have yet, and from now on what changes. known are
// the versions it had when it was cut off; nil: none.
func (r *reader) begin(l line, known []int64) {
	r.line = l
	var news uint64
	for i, w := range r.watches {
		if w == nil {
			continue
		}
		f := w.frame.Load()
		if known != nil && known[i] <= f.version { // a higher one is not of this database
			r.sent[i] = known[i]
		}
		if f.version > r.sent[i] {
			news |= 1 << i
		}
	}
	r.last = clock.Mono()
	r.pending.Or(news)
	if !r.fan.add(r) { // the process stops
		l.Close()
		r.hub.leave(r)
		return
	}
	r.queued.Store(false)
	if r.pending.Load() != 0 {
		r.call()
	}
}

// paced notes a write and says when the next may come. A reader whose sessions change now
// and then hardly waits; one whose sessions change all the time gets 4 writes a second.
func (r *reader) paced(now time.Time) {
	gap := livePause
	if now.Sub(r.last) >= liveRest {
		gap = liveGather
	}
	r.wrote[r.turns%liveRate] = now
	r.turns++
	r.last, r.next = now, now.Add(gap)
	if oldest := r.wrote[r.turns%liveRate]; oldest.Add(time.Second).After(r.next) {
		r.next = oldest.Add(time.Second)
	}
}

// close ends a stream that was not begun, or whose handler ended.
func (r *reader) close() { r.hub.leave(r) }

// position is the reader's place in all of its sessions, the value of Last-Event-ID.
func (r *reader) position(b []byte) []byte {
	for i, v := range r.sent {
		if i > 0 {
			b = append(b, '.')
		}
		b = strconv.AppendInt(b, v, 36)
	}
	return b
}

// events writes out the latest frames of the places, at most about liveWrite bytes; rest
// are the places that did not fit.
func (r *reader) events(b []byte, places uint64) (out []byte, rest uint64) {
	for left := places; left != 0; left &= left - 1 {
		if i := bits.TrailingZeros64(left); r.watches[i].frame.Load().version <= r.sent[i] {
			places &^= 1 << i
		}
	}
	for places != 0 && len(b) < liveWrite {
		i := bits.TrailingZeros64(places)
		places &^= 1 << i
		f := r.watches[i].frame.Load()
		r.sent[i] = f.version
		// Only the last event of a write has an id: a reader cut off in the middle asks for all of it again.
		if places == 0 || len(b)+len(f.event) >= liveWrite {
			b = append(r.position(append(b, "id: "...)), '\n')
		}
		b = append(b, f.event...)
	}
	return b, places
}

// fan serves some of the process's readers, one after the other, in one goroutine.
type fan struct {
	hub  *hub
	wake chan struct{}
	slow time.Duration // after which a reader that takes nothing is dropped

	mu      sync.Mutex
	ready   []*reader
	readers map[*reader]bool
	closed  bool

	// Of the loop: who waits for its turn, by the tick.
	wheel   [liveTicks][]*reader
	tick    int
	waiting int
	buf     []byte
}

func newFan(h *hub) *fan {
	return &fan{hub: h, slow: liveSlow, wake: make(chan struct{}, 1), readers: map[*reader]bool{}}
}

func (f *fan) push(r *reader) {
	f.mu.Lock()
	f.ready = append(f.ready, r)
	f.mu.Unlock()
	nudge(f.wake)
}

func (f *fan) add(r *reader) bool {
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
	sweep := time.NewTicker(liveSweep)
	defer sweep.Stop()
	tick := time.NewTicker(liveTick)
	defer tick.Stop()
	ticking := true
	for {
		if on := f.waiting > 0; on != ticking { // an idle process does not wake up
			if ticking = on; on {
				tick.Reset(liveTick)
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
			f.tick = (f.tick + 1) % liveTicks
			due := f.wheel[f.tick]
			f.wheel[f.tick] = nil
			f.waiting -= len(due)
			f.serve(due)
		case <-sweep.C:
			f.sweep(clock.Mono())
		}
	}
}

func (f *fan) serve(readers []*reader) {
	for _, r := range readers {
		f.turn(r, clock.Mono())
	}
}

// wait puts a queued reader where its time comes.
func (f *fan) wait(r *reader, d time.Duration) {
	n := min(max(int(d/liveTick)+1, 1), liveTicks-1) // a longer wait comes back and waits on
	at := (f.tick + n) % liveTicks
	f.wheel[at] = append(f.wheel[at], r)
	f.waiting++
}

// turn serves one reader that is queued.
func (f *fan) turn(r *reader, now time.Time) {
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
func (f *fan) send(r *reader, now time.Time) (bool, error) {
	taken, err := r.line.Send(f.buf)
	if err != nil || !taken {
		return false, err
	}
	r.paced(now)
	f.hub.met.writes.Inc()
	return r.line.Flush()
}

// after says when the reader is looked at again. One that takes nothing is dropped in time.
func (f *fan) after(r *reader, done bool, now time.Time) {
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
		r.next = now.Add(livePause)
	}
	if r.queued.CompareAndSwap(false, true) {
		f.wait(r, r.next.Sub(now))
	}
}

func (f *fan) drop(r *reader) {
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
	all := keys(f.readers)
	f.mu.Unlock()
	for _, r := range all {
		switch {
		case r.line.Gone():
			f.drop(r)
		case r.stuck.IsZero() && now.Sub(r.last) >= liveBeat:
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
	all := keys(f.readers)
	f.mu.Unlock()
	for _, r := range all {
		f.drop(r)
	}
}
