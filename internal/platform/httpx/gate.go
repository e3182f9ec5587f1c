package httpx

import (
	"context"
	"sync"
	"time"

	"xinglin/internal/kernel/clock"
)

// Class says which gate a request waits at. Each class has a gate of its own, so reads
// and the queue page never wait behind writers, payments never behind new holds, and a
// flood of holds sheds nothing but holds.
type Class string

// The classes.
const (
	ClassHold    Class = "hold"    // takes a scarce thing: the way to the writer
	ClassPay     Class = "pay"     // clients that pay; never shrinks
	ClassWrite   Class = "write"   // every other change; the default of unsafe methods
	ClassRead    Class = "read"    // the default of GET
	ClassQueue   Class = "queue"   // places in the waiting room; touches no database
	ClassMachine Class = "machine" // callbacks; never shrinks
)

// Classes lists them, for metrics.
func Classes() []Class {
	return []Class{ClassHold, ClassPay, ClassWrite, ClassRead, ClassQueue, ClassMachine}
}

// The adaption of a gate. A limit that follows latency alone starves a writer that
// combines requests: there a longer queue is more goodput (docs/adr/0014).
const (
	adaptEach   = 250 * time.Millisecond // at least, a window of measuring
	adaptCount  = 64                     // answers that a window needs
	adaptTarget = 250 * time.Millisecond // time inside that is fine when goodput does not tell
	adaptNoise  = 0.05                   // a smaller change of goodput is none
	adaptStep   = 8                      // a move is an eighth of the limit
	adaptFloor  = 16
)

// gate lets at most limit requests inside; the others wait in line, first come, first
// served. Where lo < hi the limit adapts to the goodput that it measures, while
// requests wait: it goes on in the direction that raised it, turns when it fell, and when
// nothing can be told keeps the time inside near adaptTarget.
type gate struct {
	lo, hi  int
	line    int           // most that wait
	wait    time.Duration // how long
	measure func() time.Time

	mu      sync.Mutex
	limit   int
	inside  int
	waiting waiters

	began  time.Time // of the window
	good   int       // answers of use in it
	ended  int       // all answers
	full   bool      // somebody waited
	before float64   // goodput of the last full window
	rising bool      // the last move
}

func newGate(lo, hi, line int, wait time.Duration) *gate {
	g := &gate{lo: max(1, min(lo, hi)), hi: max(1, hi), line: line, wait: wait, measure: clock.Mono, rising: true}
	g.limit = g.hi
	g.began = g.measure()
	return g
}

// waiter is one request in line; its channel is closed when it may go in.
type waiter struct {
	turn chan struct{}
	next *waiter
	gone bool // it gave up
}

// waiters is a queue; who gave up stays until its turn comes.
type waiters struct {
	first, last *waiter
	n           int // that have not given up
}

func (q *waiters) push() *waiter {
	w := &waiter{turn: make(chan struct{})}
	if q.last == nil {
		q.first = w
	} else {
		q.last.next = w
	}
	q.last = w
	q.n++
	return w
}

func (q *waiters) pop() *waiter {
	for q.first != nil {
		w := q.first
		if q.first = w.next; q.first == nil {
			q.last = nil
		}
		if !w.gone {
			q.n--
			return w
		}
	}
	return nil
}

// enter waits for a place; false when the line is too long, the wait too long or ctx over.
func (g *gate) enter(ctx context.Context) bool {
	g.mu.Lock()
	if g.inside < g.limit && g.waiting.n == 0 {
		g.inside++
		g.mu.Unlock()
		return true
	}
	g.full = true
	if g.waiting.n >= g.line {
		g.mu.Unlock()
		return false
	}
	w := g.waiting.push()
	g.mu.Unlock()
	t := time.NewTimer(g.wait)
	defer t.Stop()
	select {
	case <-w.turn:
		return true
	case <-t.C:
	case <-ctx.Done():
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	select {
	case <-w.turn: // it came meanwhile
		return true
	default:
	}
	w.gone = true
	g.waiting.n--
	return false
}

// leave gives the place to the next in line. good tells that the answer was of use.
func (g *gate) leave(good bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inside--
	g.ended++
	if good {
		g.good++
	}
	if g.lo < g.hi && g.ended%adaptCount == 0 { // the clock is not free
		g.adapt()
	}
	for g.inside < g.limit {
		w := g.waiting.pop()
		if w == nil {
			return
		}
		g.inside++
		close(w.turn)
	}
}

// adapt ends the window when it is long enough and moves the limit.
func (g *gate) adapt() {
	now := g.measure()
	took := now.Sub(g.began)
	if took < adaptEach {
		return
	}
	goodput := float64(g.good) / took.Seconds()
	full := g.full
	g.began, g.good, g.ended, g.full = now, 0, 0, g.waiting.n > 0
	if !full {
		return // nobody waited: the load was the limit
	}
	change := 0.0
	if g.before > 0 {
		change = goodput/g.before - 1
	}
	g.before = goodput
	switch {
	case change > adaptNoise: // on as before
	case change < -adaptNoise:
		g.rising = !g.rising
	default:
		g.rising = float64(g.limit) < goodput*adaptTarget.Seconds() || g.limit == g.lo // at the floor only a try upward tells more
	}
	step := max(1, g.limit/adaptStep)
	if !g.rising {
		step = -step
	}
	g.limit = min(g.hi, max(g.lo, g.limit+step))
}

// state is for metrics.
func (g *gate) state() (limit, inside, waiting int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.limit, g.inside, g.waiting.n
}

// gates makes the gate of each class from the number of holds that may be inside. The
// gates of payments and callbacks have room for all that can come of the holds and wait
// longer; those of reads adapt, those of the queue touch no database.
func gates(inside int, wait time.Duration) map[Class]*gate {
	return map[Class]*gate{
		ClassHold:    newGate(adaptFloor, inside, 16*inside, wait),
		ClassWrite:   newGate(adaptFloor, inside, 8*inside, wait),
		ClassRead:    newGate(adaptFloor, inside, 8*inside, wait),
		ClassPay:     newGate(inside, inside, 8*inside, 2*wait),
		ClassQueue:   newGate(inside, inside, 8*inside, wait),
		ClassMachine: newGate(max(1, inside/2), max(1, inside/2), 8*inside, 2*wait),
	}
}
