package schedulingsvc

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/obs"
	"xinglin/internal/scheduling"
	"xinglin/internal/scheduling/bookingrules"
)

// A sold-out session answers from memory, behind an idempotency check: the tails of its
// appointments' keys are kept with the mark, so that a booked patient whose reply was lost
// and who asks again gets the booking, not a refusal. A seat that comes back clears the mark
// in this process within its commit, in the others by a signal; what gets lost ends with
// markTime.
const (
	markTime  = time.Second     // a mark says nothing after it
	markRenew = markTime / 2    // from here on one request reads it anew
	maxMarks  = 20000           // sessions a process
	markRead  = 2 * time.Second // time of one read
)

type markAnswer int

const (
	markNothing markAnswer = iota // ask the writer
	markSold                      // no seat, and the key is new
	markKnown                     // the key has an appointment
)

// mark is a session as it was read.
type mark struct {
	read     time.Time // on the monotonic clock
	renewing atomic.Bool
	sold     bool                            // no slot to come has a seat
	full     map[id.ID[scheduling.Slot]]bool // slots without a seat
	tails    map[bookingrules.Tail]bool      // of the appointments that have the seats
}

// marks are the sold-out sessions of a process.
type marks struct {
	load   func(ctx context.Context, k scheduleKey) (*mark, error)
	gone   func(k scheduleKey) // a session sold out
	back   func(k scheduleKey) // a seat came back
	clears atomic.Uint64       // a read that began before a clearing is not kept

	mu      sync.RWMutex
	by      map[scheduleKey]*mark
	reading map[scheduleKey]bool // a crowd that is refused at once reads its session once
}

func newMarks(load func(context.Context, scheduleKey) (*mark, error)) *marks {
	return &marks{load: load, by: map[scheduleKey]*mark{}, reading: map[scheduleKey]bool{}}
}

// look answers a request from memory if it can.
func (m *marks) look(ctx context.Context, k scheduleKey, h *holding) markAnswer {
	m.mu.RLock()
	v := m.by[k]
	m.mu.RUnlock()
	if v == nil {
		return markNothing
	}
	age := clock.Mono().Sub(v.read)
	if age > markTime {
		return markNothing
	}
	if age > markRenew && v.renewing.CompareAndSwap(false, true) {
		go m.set(context.WithoutCancel(ctx), k)
	}
	switch {
	case v.tails[bookingrules.TailOf(h.Request.ID)]:
		return markKnown
	case v.sold, !h.Request.Any && v.full[h.Request.Slot]:
		return markSold
	}
	return markNothing
}

// set reads the session and keeps it if it has something to say. One reader at a time:
// the others go on with what there is.
func (m *marks) set(ctx context.Context, k scheduleKey) {
	m.mu.RLock()
	v, n := m.by[k], len(m.by)
	m.mu.RUnlock()
	if v != nil && clock.Mono().Sub(v.read) < markRenew || v == nil && n >= maxMarks && !m.sweep() {
		return
	}
	if !m.begin(k) {
		return
	}
	defer m.end(k)
	before := m.clears.Load()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), markRead)
	defer cancel()
	now := clock.Mono()
	fresh, err := m.load(ctx, k)
	if err != nil {
		obs.Log(ctx).Debug("scheduling: a sold-out session was not read")
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.clears.Load() != before:
	case len(fresh.full) == 0 && !fresh.sold:
		delete(m.by, k)
	default:
		fresh.read = now
		first := m.by[k] == nil || !m.by[k].sold
		m.by[k] = fresh
		if fresh.sold && first && m.gone != nil {
			m.gone(k)
		}
	}
}

// begin takes the turn to read a session; false: somebody has it.
func (m *marks) begin(k scheduleKey) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.reading[k] {
		return false
	}
	m.reading[k] = true
	return true
}

func (m *marks) end(k scheduleKey) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.reading, k)
}

// clear forgets a session in which a seat came free.
func (m *marks) clear(k scheduleKey) {
	m.mu.Lock()
	m.clears.Add(1)
	delete(m.by, k)
	m.mu.Unlock()
	if m.back != nil {
		m.back(k)
	}
}

// sweep drops what says nothing any more; false: the memory is full of marks that do.
func (m *marks) sweep() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := clock.Mono()
	for k, v := range m.by {
		if now.Sub(v.read) > markTime {
			delete(m.by, k)
		}
	}
	return len(m.by) < maxMarks
}
