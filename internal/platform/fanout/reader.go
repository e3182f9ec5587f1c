package fanout

import (
	"context"
	"math/bits"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"xinglin/internal/kernel/clock"
)

// How a reader is served.
const (
	writeRate = 4                      // writes to one reader within any second
	pauseTime = 250 * time.Millisecond // between two of them
	restTime  = 600 * time.Millisecond // after a rest like this the second write need not wait
	beatTime  = 15 * time.Second       // keeps idle streams open through proxies
	sweepTime = 5 * time.Second        // looks for readers that left
	slowTime  = 10 * time.Second       // a reader that takes nothing for so long is dropped
	maxWrite  = 64 << 10               // bytes of one write; the rest follows with the next
	tickTime  = 10 * time.Millisecond
	ticks     = 32 // more than pauseTime
)

// Line is where a reader's events go. Nothing waits in it.
type Line interface {
	// Send takes whole events; false: what was given before is not out yet.
	Send(events []byte) (taken bool, err error)
	// Flush goes on with what is not out yet; true: nothing is left.
	Flush() (done bool, err error)
	// Gone reports whether the reader has left; it is asked every few seconds.
	Gone() bool
	// Close ends the stream; it may be called again.
	Close()
}

// Reader is one stream. It keeps only which of its items have news: when its turn
// comes it gets their latest frames, so a slow reader skips what was in between and
// costs no memory.
type Reader struct {
	hub     *Hub
	fan     *fan
	tenant  Tenant
	watches []*watch // in the order of Watch; nil: not the tenant's
	left    bool     // under the hub's lock

	pending atomic.Uint64 // places with news
	queued  atomic.Bool   // its fan will come to it

	// Of the fan's loop, from Begin on.
	line  Line
	sent  []int64 // the version of each place that the reader has
	next  time.Time
	last  time.Time
	wrote [writeRate]time.Time // its last writes, in turn
	turns int
	stuck time.Time // since when it takes nothing; zero: it does
	over  bool
}

// pend notes news at a place.
func (r *Reader) pend(place int) {
	r.pending.Or(1 << place)
	r.call()
}

func (r *Reader) call() {
	if r.queued.CompareAndSwap(false, true) {
		r.fan.push(r)
	}
}

// Look reads what no other reader has made known yet; the tenant's items among the
// reader's are known afterwards, the rest is let go. false: there are none.
func (r *Reader) Look(ctx context.Context) (bool, error) {
	var fresh []Item
	for _, w := range r.watches {
		if w.frame.Load() == nil {
			fresh = append(fresh, w.key.Item)
		}
	}
	h := r.hub
	if len(fresh) > 0 {
		found, err := h.source.Frames(ctx, r.tenant, fresh)
		if err != nil {
			return false, err
		}
		h.spread(r.tenant, found)
	}
	any := false
	h.mu.Lock()
	defer h.mu.Unlock()
	for i, w := range r.watches {
		if w.frame.Load() == nil {
			h.forget(w, r)
			r.watches[i] = nil
			continue
		}
		any = true
	}
	return any, nil
}

// Begin sends what the reader does not have yet, and from now on what changes, after Look
// has found something. known are the versions it had when it was cut off (Positions);
// nil: none.
func (r *Reader) Begin(l Line, known []int64) {
	r.line = l
	var news uint64
	for i, w := range r.watches {
		if w == nil {
			continue
		}
		f := w.frame.Load()
		if known != nil && known[i] <= f.Version { // a higher one is not of this database
			r.sent[i] = known[i]
		}
		if f.Version > r.sent[i] {
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

// paced notes a write and says when the next may come. A reader whose items change now
// and then hardly waits; one whose items change all the time gets 4 writes a second.
func (r *Reader) paced(now time.Time) {
	gap := pauseTime
	if now.Sub(r.last) >= restTime {
		gap = gatherTime
	}
	r.wrote[r.turns%writeRate] = now
	r.turns++
	r.last, r.next = now, now.Add(gap)
	if oldest := r.wrote[r.turns%writeRate]; oldest.Add(time.Second).After(r.next) {
		r.next = oldest.Add(time.Second)
	}
}

// Close ends a stream that was not begun, or whose handler ended; it may be called again.
func (r *Reader) Close() { r.hub.leave(r) }

// position is the reader's place in all of its items, the value of Last-Event-ID.
func (r *Reader) position(b []byte) []byte {
	for i, v := range r.sent {
		if i > 0 {
			b = append(b, '.')
		}
		b = strconv.AppendInt(b, v, 36)
	}
	return b
}

// Positions reads a Last-Event-ID, the versions of n items; nil when it is not ours.
func Positions(text string, n int) []int64 {
	parts := strings.Split(text, ".")
	if len(parts) != n || len(text) > n*14 {
		return nil
	}
	out := make([]int64, n)
	for i, p := range parts {
		v, err := strconv.ParseInt(p, 36, 64)
		if err != nil || v < 0 {
			return nil
		}
		out[i] = v
	}
	return out
}

// events writes out the latest frames of the places, at most about maxWrite bytes; rest
// are the places that did not fit.
func (r *Reader) events(b []byte, places uint64) (out []byte, rest uint64) {
	for left := places; left != 0; left &= left - 1 {
		if i := bits.TrailingZeros64(left); r.watches[i].frame.Load().Version <= r.sent[i] {
			places &^= 1 << i
		}
	}
	for places != 0 && len(b) < maxWrite {
		i := bits.TrailingZeros64(places)
		places &^= 1 << i
		f := r.watches[i].frame.Load()
		r.sent[i] = f.Version
		// Only the last event of a write has an id: a reader cut off in the middle asks for all of it again.
		if places == 0 || len(b)+len(f.Event) >= maxWrite {
			b = append(r.position(append(b, "id: "...)), '\n')
		}
		b = append(b, f.Event...)
	}
	return b, places
}
