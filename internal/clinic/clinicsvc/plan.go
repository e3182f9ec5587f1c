package clinicsvc

import (
	"context"
	"time"

	"github.com/maypok86/otter/v2"

	"xinglin/internal/clinic"
	"xinglin/internal/kernel/clock"
	"xinglin/internal/scheduling"
)

// What a line keeps of scheduling's plan (times, place, periods, stop) is read through its
// contract when somebody looks at the line and this process has not asked for a minute:
// no event needs to be complete, and a lost one costs a minute.
const (
	planTime = time.Minute
	maxFresh = 20000
)

type freshKey struct {
	tenant clinic.TenantID
	line   scheduleID
}

// fresh remembers which lines this process has compared with the plan.
type fresh struct {
	kept *otter.Cache[freshKey, struct{}]
}

func newFresh() *fresh {
	return &fresh{otter.Must(&otter.Options[freshKey, struct{}]{MaximumSize: maxFresh, ExpiryCalculator: otter.ExpiryWriting[freshKey, struct{}](planTime)})}
}

func (f *fresh) has(t clinic.TenantID, line scheduleID) bool {
	_, ok := f.kept.GetIfPresent(freshKey{t, line})
	return ok
}

func (f *fresh) add(t clinic.TenantID, line scheduleID) { f.kept.Set(freshKey{t, line}, struct{}{}) }

// line reads a line as the plan is now.
func (s *Service) line(ctx context.Context, t clinic.TenantID, line scheduleID) (lineRow, error) {
	l, err := s.store.line(ctx, t, line)
	if err != nil {
		return l, err
	}
	behind := s.behind(t, l)
	if behind {
		if err := s.follow(ctx, t, []lineRow{l}); err != nil {
			return l, err
		}
	}
	if behind || !l.Known { // somebody else may have followed since it was read
		if l, err = s.store.line(ctx, t, line); err != nil {
			return l, err
		}
	}
	if !l.Known { // scheduling has no such session any more
		return l, clinic.ErrNotFound.New()
	}
	return l, nil
}

// lines reads the lines of a day that scheduling has, as the plan is now.
func (s *Service) lines(ctx context.Context, t clinic.TenantID, q lineQuery) ([]lineRow, error) {
	found, err := s.store.lines(ctx, t, q)
	if err != nil {
		return nil, err
	}
	var old []lineRow
	unknown := false // or somebody else followed since it was read
	for _, l := range found {
		unknown = unknown || !l.Known
		if s.behind(t, l) {
			old = append(old, l)
		}
	}
	if len(old) == 0 && !unknown {
		return found, nil
	}
	if err := s.follow(ctx, t, old); err != nil {
		return nil, err
	}
	return s.store.lines(ctx, t, q)
}

// behind tells that the line was not compared with the plan lately. What is past does not
// change any more.
func (s *Service) behind(t clinic.TenantID, l lineRow) bool {
	return (!l.Known || l.Day >= clock.DateOf(s.now())) && !s.fresh.has(t, l.ID)
}

// follow brings lines in line with the plan: one question a department and day.
func (s *Service) follow(ctx context.Context, t clinic.TenantID, ls []lineRow) error {
	type place struct {
		department scheduling.DepartmentID
		day        clock.Date
	}
	asked := map[place]map[scheduleID]scheduling.Schedule{}
	for _, l := range ls {
		p := place{l.Department, l.Day}
		if asked[p] == nil {
			found, err := s.bookings.Schedules(ctx, t, scheduling.ScheduleQuery{Department: l.Department, From: l.Day, To: l.Day})
			if err != nil {
				return err
			}
			asked[p] = map[scheduleID]scheduling.Schedule{}
			for _, v := range found {
				asked[p][v.ID] = v
			}
		}
		v, ok := asked[p][l.ID]
		if ok {
			if err := s.followOne(ctx, t, l, v); err != nil {
				return err
			}
		}
		s.fresh.add(t, l.ID)
	}
	return nil
}

// followOne writes what differs. The periods are read when the line is not known or the
// session's hours changed.
func (s *Service) followOne(ctx context.Context, t clinic.TenantID, l lineRow, v scheduling.Schedule) error {
	stopped := v.State == scheduling.ScheduleHalted
	same := l.Known && l.StartsAt.Equal(v.StartsAt) && l.EndsAt.Equal(v.EndsAt)
	if same && l.Stopped == stopped && l.Location == v.Location {
		return nil
	}
	next := l
	next.Known, next.Stopped, next.StartsAt, next.EndsAt, next.Location = true, stopped, v.StartsAt, v.EndsAt, v.Location
	next.Campus, next.Department, next.Practitioner = v.Campus, v.Department, v.Practitioner
	if !same {
		slots, err := s.bookings.Slots(ctx, t, l.ID)
		if err != nil {
			return err
		}
		next.Periods = make([]period, 0, len(slots))
		for _, p := range slots {
			next.Periods = append(next.Periods, period{p.StartsAt.UnixMicro(), p.EndsAt.UnixMicro(), p.Capacity})
		}
	}
	return s.store.follow(ctx, t, next)
}
