package schedulingsvc

import (
	"slices"
	"time"

	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/id"
	"xinglin/internal/payment"
	"xinglin/internal/scheduling"
	"xinglin/internal/scheduling/bookingrules"
)

// sale is one batch of requests under the locks of its sessions: what was read there,
// and what is decided. It does no I/O. Requests are decided in the order of arrival.
type sale struct {
	now    time.Time
	bids   []*bid
	tills  map[id.ID[scheduling.Schedule]]*till
	known  map[id.ID[scheduling.Appointment]]appointmentRow // earlier appointments under the keys
	limits map[limit]bool                                   // what was used up before, and by this sale
	past   map[scheduling.PatientID]*bookingrules.Incidents
	days   map[scheduling.PatientID][]clock.Date // of the person's active visits, as far as the caps count
}

// limit is what a person, or by the rules also an account, has once.
type limit struct {
	day   clock.Date
	scope int32
	who   [16]byte
	phone bool
}

// bid is one request of a sale.
type bid struct {
	h     *holding
	twin  *bid // an earlier request of the batch with the same key
	tray  *tray
	bit   int64
	row   appointmentRow
	state bidState
	err   error // of a refused one
}

type bidState int

const (
	bidOpen    bidState = iota
	bidGiven            // has a seat, its appointment may be dropped by a constraint
	bidSold             // has a seat and its appointment
	bidRefused          // err
	bidKnown            // row is an earlier appointment of the same request
)

// till is a locked session.
type till struct {
	*session
	stopped  bool
	released time.Time
	trays    []*tray // by start: the slots that were asked for, and for any the earliest free ones
}

// tray is a slot's seats. bits, held and booked are what this sale takes.
type tray struct {
	slot    *scheduling.Slot
	taken   int64
	holders bookingrules.Holders
	bits    int64
	held    int
	booked  int
}

// newSale pairs the requests that carry one key: the first decides.
func newSale(hs []*holding) *sale {
	s := &sale{
		tills: map[id.ID[scheduling.Schedule]]*till{}, known: map[id.ID[scheduling.Appointment]]appointmentRow{}, limits: map[limit]bool{},
		past: map[scheduling.PatientID]*bookingrules.Incidents{}, days: map[scheduling.PatientID][]clock.Date{},
	}
	first := make(map[id.ID[scheduling.Appointment]]*bid, len(hs))
	for _, h := range hs {
		b := &bid{h: h, twin: first[h.Request.ID]}
		if b.twin == nil {
			first[h.Request.ID] = b
		}
		s.bids = append(s.bids, b)
	}
	return s
}

// each calls f for the bids that decide and are in a state.
func (s *sale) each(state bidState, f func(*bid)) {
	for _, b := range s.bids {
		if b.twin == nil && b.state == state {
			f(b)
		}
	}
}

func (s *sale) all(state bidState) (out []*bid) {
	s.each(state, func(b *bid) { out = append(out, b) })
	return out
}

// decide answers each bid by what was read under the locks: what stood in its way before,
// then what the earlier ones of this sale took.
func (s *sale) decide() {
	s.each(bidOpen, func(b *bid) {
		if s.hindered(b) {
			return
		}
		if err := s.give(b); err != nil {
			b.refuse(err)
			return
		}
		b.state = bidSold
		for _, l := range s.uses(b) {
			s.limits[l] = true
		}
	})
}

// hindered answers a bid that something stands in the way of, the key first: the same
// request had its effect, another one under the key, or the person's day is taken.
func (s *sale) hindered(b *bid) bool {
	row, again := s.known[b.h.Request.ID]
	switch {
	case again && b.h.same(row):
		b.state, b.row, b.err = bidKnown, row, nil
	case again:
		b.row = row
		b.refuse(scheduling.ErrKeyReused.New())
	case slices.ContainsFunc(s.uses(b), func(l limit) bool { return s.limits[l] }):
		b.refuse(scheduling.ErrLimitReached.New())
	default:
		return false
	}
	return true
}

func (b *bid) refuse(err error) { b.state, b.err = bidRefused, err }

// uses are the limits that an appointment of the bid uses up, by the plan under the lock:
// the kept one may have had another department.
func (s *sale) uses(b *bid) []limit {
	v := b.h.Session.Schedule
	if t := s.tills[v.ID]; t != nil {
		v = t.Schedule
	}
	return usesOf(b.h.Rules.Limit, v, b.h.Request.Patient, b.h.Account)
}

// usesOf are the limits that a visit of the session uses up.
func usesOf(by scheduling.LimitScope, v scheduling.Schedule, p scheduling.PatientID, a scheduling.AccountID) []limit {
	l := limit{day: v.Date, scope: bookingrules.Scope(by, v), who: p}
	if by.Per != scheduling.PerAccount {
		return []limit{l}
	}
	phone := l
	phone.who, phone.phone = a, true
	return []limit{l, phone}
}

func (s *sale) give(b *bid) error {
	t := s.tills[b.h.Session.ID]
	if t == nil {
		return scheduling.ErrNotFound.New()
	}
	start := t.slots[len(t.slots)-1].StartsAt
	if !b.h.Request.Any {
		named := t.slot(b.h.Request.Slot)
		if named == nil {
			return scheduling.ErrNotFound.New() // the plan was cut anew
		}
		start = named.StartsAt
	}
	err := bookingrules.Bookable(*b.h.Rules, bookingrules.SlotFacts{Day: t.Date, SlotStart: start, ReleasedAt: t.released, Stopped: t.stopped}, s.now)
	if err != nil {
		return err
	}
	if err := bookingrules.CheckPast(b.h.Rules, s.past[b.h.Request.Patient], clock.DateOf(s.now)); err != nil {
		return err
	}
	if err := bookingrules.CheckCaps(b.h.Rules.Caps, t.Date, s.days[b.h.Request.Patient]); err != nil {
		return err
	}
	free := t.Fee == 0
	for _, y := range t.trays {
		if !b.h.Request.Any && y.slot.ID != b.h.Request.Slot || b.h.Request.Any && !y.slot.StartsAt.After(s.now) {
			continue
		}
		after, bit, ok := bookingrules.TakeSeat(y.taken, bookingrules.FullMask(y.slot.Capacity))
		if !ok {
			continue
		}
		y.taken, b.tray, b.bit = after, y, bit
		y.holders = y.holders.With(bookingrules.SeatOf(bit), b.h.Request.ID)
		y.count(bit, free, 1)
		s.days[b.h.Request.Patient] = append(s.days[b.h.Request.Patient], t.Date)
		b.row = b.appointment(t, s.now)
		return nil
	}
	return noSeat(b.h.Request)
}

func (y *tray) count(bit int64, free bool, n int) {
	if n > 0 {
		y.bits |= bit
	} else {
		y.bits &^= bit
	}
	if free {
		y.booked += n
	} else {
		y.held += n
	}
}

// takeBack frees the seat of a bid whose appointment could not be written.
func (s *sale) takeBack(b *bid) {
	b.tray.taken &^= b.bit
	b.tray.count(b.bit, b.row.Fee == 0, -1)
	p := b.h.Request.Patient
	for i, d := range s.days[p] {
		if d == b.row.Date {
			s.days[p] = append(s.days[p][:i:i], s.days[p][i+1:]...)
			break
		}
	}
	b.tray, b.bit = nil, 0
}

// appointment is the new appointment of a bid with a seat.
func (b *bid) appointment(t *till, now time.Time) appointmentRow {
	h, slot := b.h, b.tray.slot
	v := appointmentRow{
		AnySlot: h.Request.Any, Scope: bookingrules.Scope(h.Rules.Limit, t.Schedule), PerAccount: h.Rules.Limit.Per == scheduling.PerAccount,
		Seat: bookingrules.NumberOf(slot.First, bookingrules.SeatOf(b.bit)),
		Appointment: scheduling.Appointment{
			ID: h.Request.ID, RegNo: bookingrules.RegNo(h.Request.ID, t.Date), Account: h.Account, Patient: h.Request.Patient, Schedule: t.ID, Slot: slot.ID, Date: t.Date, Session: t.Session,
			StartsAt: slot.StartsAt, EndsAt: slot.EndsAt, Campus: t.Campus, Department: t.Department, Practitioner: t.Practitioner, Class: t.Class,
			Location: t.Location, Fee: t.Fee, State: bookingrules.FirstState(t.Fee), CancelBefore: bookingrules.CancelBefore(h.Rules.Cancel, t.Date, t.Class, slot.StartsAt),
			Version: 1, CreatedAt: now,
		},
	}
	if v.State == scheduling.Booked {
		v.Number = v.Seat
		return v
	}
	v.HoldExpiresAt = bookingrules.HoldExpiry(*h.Rules, now, slot.EndsAt)
	v.Payment = id.As[payment.Payment](v.ID)
	return v
}
