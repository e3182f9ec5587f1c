// Package soldout answers for sessions without a seat from memory, behind an idempotency
// check: the tails of its appointments' keys are kept with the mark, so that a booked patient
// whose reply was lost and who asks again gets the booking, not a refusal. A seat that comes
// back clears the mark in this process within its commit, in the others by a signal; what
// gets lost ends after a second.
package soldout

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/id"
	"xinglin/internal/scheduling"
	"xinglin/internal/scheduling/bookingrules"
)

const (
	lifetime = time.Second     // a mark says nothing after it
	renewAge = lifetime / 2    // from here on one request reads it anew
	maxMarks = 20000           // sessions a process
	readTime = 2 * time.Second // time of one read
)

// Answer is what a mark says to a request.
type Answer int

// The answers.
const (
	Nothing Answer = iota // ask the writer
	Sold                  // no seat, and the key is new
	Known                 // the key has an appointment
)

// Key is a session of a tenant.
type Key struct {
	Tenant   scheduling.TenantID
	Schedule id.ID[scheduling.Schedule]
}

// Mark is a session as it was read.
type Mark struct {
	read     time.Time // on the monotonic clock
	renewing atomic.Bool
	Sold     bool                            // no slot to come has a seat
	Full     map[id.ID[scheduling.Slot]]bool // slots without a seat
	Tails    map[bookingrules.Tail]bool      // of the appointments that have the seats
}

// Marks are the sold-out sessions of a process. What is exported is set before the first use.
type Marks struct {
	Load func(ctx context.Context, k Key) (*Mark, error)
	Gone func(k Key) // a session sold out; nil: nobody asks
	Back func(k Key) // a seat came back; nil: nobody asks
	Log  *slog.Logger

	clears  atomic.Uint64 // a read that began before a clearing is not kept
	mu      sync.RWMutex
	by      map[Key]*Mark
	reading map[Key]bool // a crowd that is refused at once reads its session once
}

// New reads sessions by load.
func New(load func(context.Context, Key) (*Mark, error)) *Marks {
	return &Marks{Load: load, Log: slog.New(slog.DiscardHandler), by: map[Key]*Mark{}, reading: map[Key]bool{}}
}

// Look answers a request from memory if it can.
func (m *Marks) Look(ctx context.Context, k Key, r scheduling.HoldRequest) Answer {
	m.mu.RLock()
	v := m.by[k]
	m.mu.RUnlock()
	if v == nil {
		return Nothing
	}
	age := clock.Mono().Sub(v.read)
	if age > lifetime {
		return Nothing
	}
	if age > renewAge && v.renewing.CompareAndSwap(false, true) {
		go m.Set(context.WithoutCancel(ctx), k)
	}
	switch {
	case v.Tails[bookingrules.TailOf(r.ID)]:
		return Known
	case v.Sold, !r.Any && v.Full[r.Slot]:
		return Sold
	}
	return Nothing
}

// Set reads the session and keeps it if it has something to say. One reader at a time:
// the others go on with what there is.
func (m *Marks) Set(ctx context.Context, k Key) {
	m.mu.RLock()
	v, n := m.by[k], len(m.by)
	m.mu.RUnlock()
	if v != nil && clock.Mono().Sub(v.read) < renewAge || v == nil && n >= maxMarks && !m.sweep() {
		return
	}
	if !m.begin(k) {
		return
	}
	defer m.end(k)
	before := m.clears.Load()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), readTime)
	defer cancel()
	now := clock.Mono()
	fresh, err := m.Load(ctx, k)
	if err != nil {
		m.Log.Debug("scheduling: a sold-out session was not read")
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.clears.Load() != before:
	case len(fresh.Full) == 0 && !fresh.Sold:
		delete(m.by, k)
	default:
		fresh.read = now
		first := m.by[k] == nil || !m.by[k].Sold
		m.by[k] = fresh
		if fresh.Sold && first && m.Gone != nil {
			m.Gone(k)
		}
	}
}

// begin takes the turn to read a session; false: somebody has it.
func (m *Marks) begin(k Key) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.reading[k] {
		return false
	}
	m.reading[k] = true
	return true
}

func (m *Marks) end(k Key) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.reading, k)
}

// Clear forgets a session in which a seat came free.
func (m *Marks) Clear(k Key) {
	m.mu.Lock()
	m.clears.Add(1)
	delete(m.by, k)
	m.mu.Unlock()
	if m.Back != nil {
		m.Back(k)
	}
}

// sweep drops what says nothing any more; false: the memory is full of marks that do.
func (m *Marks) sweep() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := clock.Mono()
	for k, v := range m.by {
		if now.Sub(v.read) > lifetime {
			delete(m.by, k)
		}
	}
	return len(m.by) < maxMarks
}
