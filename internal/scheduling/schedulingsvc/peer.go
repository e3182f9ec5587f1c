package schedulingsvc

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/id"
	"xinglin/internal/scheduling"
)

// Peers are other ways to take a seat, which `xinglin bench` measures beside the
// product's: everything before and after the seat is the same code. No product process
// has one.

// Option changes what New builds.
type Option func(*Service)

// Peer names a way to take a seat.
type Peer struct {
	Name  string        // product, echo, memory, row-lock, conditional, statement, redis, redis-combined
	Redis string        // socket of the Redis server
	Slow  time.Duration // CPU time burnt before each seat
}

// WithPeer takes seats in the peer's way. An unknown name refuses every hold.
func WithPeer(p Peer) Option {
	return func(s *Service) {
		s.echo = p.Name == "echo"
		switch p.Name {
		case "product", "echo":
		case "memory":
			s.seats = newMemorySeats(s.store, s.base.Clock)
		default:
			s.seats = s.peerSeats(p)
		}
		if p.Slow > 0 {
			s.seats = slowSeats{s.seats, p.Slow}
		}
	}
}

// unknownPeer refuses.
type unknownPeer struct{}

func (unknownPeer) hold(context.Context, scheduling.TenantID, holding) (appointmentRow, bool, error) {
	return appointmentRow{}, false, scheduling.ErrInput.Because("there is no such peer")
}

// slowSeats makes every hold cost more CPU by a known amount: a known slower machine.
type slowSeats struct {
	next seller
	by   time.Duration
}

func (s slowSeats) hold(ctx context.Context, t scheduling.TenantID, h holding) (appointmentRow, bool, error) {
	for end := clock.Mono().Add(s.by); clock.Mono().Before(end); {
		continue // the CPU is to be busy
	}
	return s.next.hold(ctx, t, h)
}

// memorySeats is the bound: seats and appointments in this process, nothing durable,
// no outbox and no audit row.
type memorySeats struct {
	store    store
	clock    clock.Clock
	sessions sync.Map // id of the schedule: *memorySession
	limits   sync.Map // day and limit key: id of the appointment
	sold     sync.Map // id of the appointment: appointmentRow
}

type memorySession struct {
	load  sync.Once
	err   error
	slots []memorySlot
}

type memorySlot struct {
	slot  scheduling.Slot
	full  int64
	taken *atomic.Int64
}

type memoryLimit struct {
	day clock.Date
	key string
}

func newMemorySeats(s store, c clock.Clock) *memorySeats { return &memorySeats{store: s, clock: c} }

func (m *memorySeats) hold(ctx context.Context, t scheduling.TenantID, h holding) (appointmentRow, bool, error) {
	if v, ok := m.sold.Load(h.Request.ID); ok {
		v := v.(appointmentRow)
		if !h.same(v) {
			return appointmentRow{}, false, scheduling.ErrKeyReused.New()
		}
		return v, true, nil
	}
	s, err := m.session(ctx, t, h)
	if err != nil {
		return appointmentRow{}, false, err
	}
	limit := memoryLimit{h.Schedule.Date, h.LimitKey}
	if _, taken := m.limits.LoadOrStore(limit, h.Request.ID); taken {
		return appointmentRow{}, false, scheduling.ErrLimitReached.New()
	}
	for i := range s.slots {
		x := &s.slots[i]
		if !h.Request.Any && x.slot.ID != h.Request.Slot {
			continue
		}
		if bit := x.take(); bit != 0 {
			v := h.appointment(x.slot, seatOf(bit), m.clock.Now())
			m.sold.Store(v.ID, v)
			return v, false, nil
		}
	}
	m.limits.Delete(limit)
	if h.Request.Any {
		return appointmentRow{}, false, scheduling.ErrFull.New()
	}
	return appointmentRow{}, false, scheduling.ErrSlotTaken.New()
}

// session reads the slots of a session once.
func (m *memorySeats) session(ctx context.Context, t scheduling.TenantID, h holding) (*memorySession, error) {
	v, _ := m.sessions.LoadOrStore(h.Schedule.ID, &memorySession{})
	s := v.(*memorySession)
	s.load.Do(func() {
		var slots []scheduling.Slot
		slots, _, s.err = m.store.slots(context.WithoutCancel(ctx), t, h.Schedule.ID, m.clock.Now())
		for _, x := range slots {
			s.slots = append(s.slots, memorySlot{slot: x, full: fullMask(x.Capacity), taken: &atomic.Int64{}})
		}
	})
	return s, s.err
}

// take takes the lowest free seat; 0 when there is none.
func (x *memorySlot) take() int64 {
	for {
		was := x.taken.Load()
		after, bit, ok := takeSeat(was, x.full)
		if !ok {
			return 0
		}
		if x.taken.CompareAndSwap(was, after) {
			return bit
		}
	}
}

// echoed is the appointment that the echo answers: as large as a real one.
func echoed(r scheduling.HoldRequest, now time.Time) scheduling.Appointment {
	day := clock.DateOf(now).Add(3)
	return scheduling.Appointment{
		ID: r.ID, RegNo: regNo(r.ID, day), Patient: r.Patient, Schedule: id.As[scheduling.Schedule](r.ID), Slot: id.As[scheduling.Slot](r.ID), Date: day, Session: scheduling.Morning,
		StartsAt: day.At(8 * 60), EndsAt: day.At(9 * 60), Department: scheduling.DepartmentID(r.ID), Practitioner: scheduling.PractitionerID(r.ID), Class: scheduling.Ordinary,
		Location: "门诊楼3层", Number: 18, State: scheduling.Booked, CancelBefore: day.At(0), Cancellable: true, Version: 1, CreatedAt: now,
	}
}
