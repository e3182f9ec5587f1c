package schedulingsvc

import (
	"context"
	"crypto/rand"
	"math/big"
	"time"

	"xinglin/internal/directory"
	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/id"
	"xinglin/internal/patient"
	"xinglin/internal/payment"
	"xinglin/internal/platform/authz"
	"xinglin/internal/platform/batch"
	"xinglin/internal/platform/calendar"
	"xinglin/internal/platform/fanout"
	"xinglin/internal/platform/module"
	"xinglin/internal/scheduling"
	"xinglin/internal/scheduling/bookingrules"
	"xinglin/internal/scheduling/labels"
	"xinglin/internal/scheduling/seatboard"
	"xinglin/internal/scheduling/soldout"
	"xinglin/internal/tenant"
)

// Service implements scheduling.Service.
type Service struct {
	base     module.Base
	tenants  tenant.Service
	dir      directory.Service
	patients patient.Service
	payments payment.Service
	cal      *calendar.Calendar
	store    store
	seats    seller
	echo     bool        // of the bench: holds are answered without a seat
	under    batch.Bound // holds
	close    func()      // ends the seller's writers
	marks    *soldout.Marks
	kept     *sessions
	labels   *labels.Keeper
	live     *fanout.Hub
	boards   *seatboard.Boards
	told     *fanout.Teller
	pick     bookingrules.Pick
	lots     lots // lotteries: the witness and what is read often
}

// Limits of reads.
const (
	maxQueryDays = 31
	maxSchedules = 2000
	maxBatch     = 200 // ids in one question to another context
)

// randomPick chooses when a seat comes back, so that nobody can wait for it.
func randomPick(n int) int {
	v, _ := rand.Int(rand.Reader, big.NewInt(int64(n))) // the reader never fails
	return int(v.Int64())
}

// may asks for a right on a kind as a whole and tells who asks.
func (s *Service) may(ctx context.Context, action, noun string) (auth.Principal, string, error) {
	who, err := auth.From(ctx)
	if err != nil {
		return who, "", err
	}
	d, err := s.base.Authz.Check(ctx, authz.Request{Action: action, Noun: noun, ID: who.Tenant.String()})
	return who, d.Policy, err
}

// Schedules lists the sessions of a department or a practitioner.
func (s *Service) Schedules(ctx context.Context, t scheduling.TenantID, q scheduling.ScheduleQuery) ([]scheduling.Schedule, error) {
	switch {
	case q.Department.IsZero() == q.Practitioner.IsZero():
		return nil, scheduling.ErrInput.At("department_id", "a department or a practitioner")
	case q.To < q.From || int(q.To-q.From) >= maxQueryDays:
		return nil, scheduling.ErrInput.At("to", "from..to within 31 days")
	}
	return s.store.schedules(ctx, t, q, s.base.Clock.Now())
}

// Slots lists the periods of a session.
func (s *Service) Slots(ctx context.Context, t scheduling.TenantID, schedule id.ID[scheduling.Schedule]) ([]scheduling.Slot, error) {
	slots, rules, err := s.store.slots(ctx, t, schedule, s.base.Clock.Now())
	if err != nil {
		return nil, err
	}
	now := s.base.Clock.Now()
	_, paused := bookingrules.PausedUntil(rules, now)
	for i := range slots {
		day := clock.DateOf(slots[i].StartsAt)
		closed := paused || !now.Before(bookingrules.ClosesAt(rules, day, slots[i].StartsAt))
		if closed && now.Before(slots[i].StartsAt) {
			slots[i].State = scheduling.SlotClosed
		}
	}
	return slots, nil
}

// Rules reads the hospital's booking rules; version 0 is the default preset.
func (s *Service) Rules(ctx context.Context) (scheduling.BookingRules, int64, error) {
	who, _, err := s.may(ctx, "scheduling.read_booking_rules", "BookingRules")
	if err != nil {
		return scheduling.BookingRules{}, 0, err
	}
	return s.store.rules(ctx, who.Tenant)
}

// SetRules replaces the booking rules if nobody was faster. What is not released yet
// is released by the new ones.
func (s *Service) SetRules(ctx context.Context, r scheduling.BookingRules, version int64) (int64, error) {
	who, policy, err := s.may(ctx, "scheduling.update_booking_rules", "BookingRules")
	if err != nil {
		return 0, err
	}
	if err := bookingrules.Check(r); err != nil {
		return 0, err
	}
	return s.store.setRules(ctx, who.Tenant, r, version, policy)
}

// horizon is how far ahead a tenant's schedules are made: past the longest window, so
// that a day is there before it is released.
func horizon(r scheduling.BookingRules, now time.Time) clock.Date {
	return clock.DateOf(now).Add(max(30, r.LastDay+1))
}
