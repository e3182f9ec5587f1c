package schedulingsvc

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/batch"
	"xinglin/internal/scheduling"
	"xinglin/internal/scheduling/bookingrules"
)

// Peers are other ways to take a seat, which `xinglin bench` measures beside the
// product's: everything before and after the seat is the same code, and the rows are
// the same. No product process has one.

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
			s.seats = &memorySeats{clock: s.base.Clock}
		case "row-lock":
			s.seats = oneByOne{s.store.sellAlone}
		case "conditional":
			s.seats = oneByOne{s.store.sellConditionally}
		case "statement":
			s.seats = oneByOne{s.store.sellInOne}
		case "redis":
			s.seats = newRedisSeats(p.Redis, s.store)
		case "redis-combined":
			r := newRedisSeats(p.Redis, s.store)
			r.combine = batch.New(batch.Options{Name: "bench.redis", Log: s.base.Log}, s.store.writeTaken)
			s.seats = r
		default:
			s.seats = unknownPeer{}
		}
		if p.Slow > 0 {
			s.seats = slowSeats{s.seats, p.Slow}
		}
	}
}

// unknownPeer refuses.
type unknownPeer struct{}

func (unknownPeer) hold(context.Context, scheduling.TenantID, *holding) (appointmentRow, bool, error) {
	return appointmentRow{}, false, scheduling.ErrInput.Because("there is no such peer")
}

// slowSeats makes every hold cost more CPU by a known amount: a known slower machine.
type slowSeats struct {
	next seller
	by   time.Duration
}

func (s slowSeats) hold(ctx context.Context, t scheduling.TenantID, h *holding) (appointmentRow, bool, error) {
	for end := clock.Mono().Add(s.by); clock.Mono().Before(end); {
		continue // the CPU is to be busy
	}
	return s.next.hold(ctx, t, h)
}

// oneByOne is a transaction for each request.
type oneByOne struct {
	sell func(ctx context.Context, t scheduling.TenantID, h *holding) (batch.Result[sold], error)
}

// peerTries bounds how often a request meets a rival that is gone a moment later.
const peerTries = 10

func (p oneByOne) hold(ctx context.Context, t scheduling.TenantID, h *holding) (appointmentRow, bool, error) {
	for range peerTries {
		r, err := p.sell(ctx, t, h)
		switch {
		case err != nil:
			return appointmentRow{}, false, err
		case r.Err == batch.ErrAgain: //nolint:errorlint // it is never wrapped
			continue
		}
		return r.Out.row, r.Out.hit, r.Err
	}
	return appointmentRow{}, false, batch.ErrBusy.After(time.Second)
}

// memorySeats is the bound: seats and appointments in this process, nothing durable,
// no outbox and no audit row.
type memorySeats struct {
	clock    clock.Clock
	sessions sync.Map // id of the schedule: memorySession
	limits   sync.Map // memoryLimit: true
	sold     sync.Map // id of the appointment: appointmentRow
}

// memorySession has the taken seats of each slot, by start.
type memorySession []atomic.Int64

type memoryLimit struct {
	day    clock.Date
	person scheduling.PatientID
	scope  int32
}

func (m *memorySeats) hold(_ context.Context, _ scheduling.TenantID, h *holding) (appointmentRow, bool, error) {
	if v, ok := m.sold.Load(h.Request.ID); ok {
		v := v.(appointmentRow)
		if !h.same(v) {
			return appointmentRow{}, false, scheduling.ErrKeyReused.New()
		}
		return v, true, nil
	}
	found, ok := m.sessions.Load(h.Session.ID)
	if !ok {
		found, _ = m.sessions.LoadOrStore(h.Session.ID, make(memorySession, len(h.Session.slots)))
	}
	taken := found.(memorySession)
	limit := memoryLimit{h.Session.Date, h.Request.Patient, bookingrules.Scope(h.Rules.Limit, h.Session.Schedule)}
	if _, busy := m.limits.LoadOrStore(limit, true); busy {
		return appointmentRow{}, false, scheduling.ErrLimitReached.New()
	}
	for i := range h.Session.slots {
		slot := &h.Session.slots[i]
		if !h.Request.Any && slot.ID != h.Request.Slot {
			continue
		}
		if bit := takeAtomically(&taken[i], bookingrules.FullMask(slot.Capacity)); bit != 0 {
			b := bid{h: h, tray: &tray{slot: slot}, bit: bit}
			v := b.appointment(&till{session: h.Session}, m.clock.Now())
			m.sold.Store(v.ID, v)
			return v, false, nil
		}
	}
	m.limits.Delete(limit)
	return appointmentRow{}, false, noSeat(h.Request)
}

// takeAtomically takes the lowest free seat; 0 when there is none.
func takeAtomically(taken *atomic.Int64, full int64) int64 {
	for {
		was := taken.Load()
		after, bit, ok := bookingrules.TakeSeat(was, full)
		if !ok {
			return 0
		}
		if taken.CompareAndSwap(was, after) {
			return bit
		}
	}
}

// echoed is the appointment that the echo answers: as large as a real one.
func echoed(r scheduling.HoldRequest, now time.Time) scheduling.Appointment {
	day := clock.DateOf(now).Add(3)
	return scheduling.Appointment{
		ID: r.ID, RegNo: bookingrules.RegNo(r.ID, day), Patient: r.Patient, Schedule: id.As[scheduling.Schedule](r.ID), Slot: id.As[scheduling.Slot](r.ID), Date: day, Session: scheduling.Morning,
		StartsAt: day.At(8 * 60), EndsAt: day.At(9 * 60), Department: scheduling.DepartmentID(r.ID), Practitioner: scheduling.PractitionerID(r.ID), Class: scheduling.Ordinary,
		Location: "门诊楼3层", Number: 18, State: scheduling.Booked, CancelBefore: day.At(0), Cancellable: true, Version: 1, CreatedAt: now,
	}
}
