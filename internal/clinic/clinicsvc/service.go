package clinicsvc

import (
	"context"
	"errors"
	"time"

	"xinglin/internal/clinic"
	"xinglin/internal/directory"
	"xinglin/internal/kernel/auth"
	"xinglin/internal/patient"
	"xinglin/internal/platform/authz"
	"xinglin/internal/platform/fanout"
	"xinglin/internal/platform/idem"
	"xinglin/internal/platform/module"
	"xinglin/internal/scheduling"
)

type (
	scheduleID    = clinic.ScheduleID
	appointmentID = clinic.AppointmentID
)

// Service implements clinic.Service.
type Service struct {
	base     module.Base
	dir      directory.Service
	patients patient.Service
	bookings scheduling.Service
	store    store
	fresh    *fresh
	queues   *fanout.Hub // of the staff, by line
	places   *fanout.Hub // of those who wait, by line
	walls    *fanout.Hub // by display
	told     *fanout.Teller
	beat     time.Duration // of walls
}

// maxBatch bounds the ids of one question to another context.
const maxBatch = 200

func (s *Service) now() time.Time { return s.base.Clock.Now() }

// may asks for a right on a kind as a whole.
func (s *Service) may(ctx context.Context, action, noun string) (auth.Principal, string, error) {
	who, err := auth.From(ctx)
	if err != nil {
		return who, "", err
	}
	d, err := s.base.Authz.Check(ctx, authz.Request{Action: action, Noun: noun, ID: who.Tenant.String()})
	return who, d.Policy, err
}

// mayLine asks for a right on a line: clinic.not_found for one that the tenant has not.
func (s *Service) mayLine(ctx context.Context, action string, line scheduleID) (who auth.Principal, l lineRow, policy string, err error) {
	if who, err = auth.From(ctx); err != nil {
		return who, l, "", err
	}
	if l, err = s.line(ctx, who.Tenant, line); err != nil {
		return who, l, "", err
	}
	d, err := s.base.Authz.Check(ctx, authz.Request{Action: action, Noun: "Line", ID: line.String(), Attrs: lineFacts(who, l), At: places(who.Tenant, l.Campus)})
	return who, l, d.Policy, err
}

// mayTurn asks the staff's right on a turn by that on its line.
func (s *Service) mayTurn(ctx context.Context, action string, turn appointmentID) (who auth.Principal, l lineRow, policy string, err error) {
	if who, err = auth.From(ctx); err != nil {
		return who, l, "", err
	}
	v, err := s.turn(ctx, who, turn)
	if err != nil {
		return who, l, "", err
	}
	return s.mayLine(ctx, action, v.Schedule)
}

// mayOwn asks the right of a person on the own turn: clinic.not_found for another's.
func (s *Service) mayOwn(ctx context.Context, action string, turn appointmentID) (who auth.Principal, v turnRow, policy string, err error) {
	if who, err = auth.From(ctx); err != nil {
		return who, v, "", err
	}
	if v, err = s.turn(ctx, who, turn); err != nil {
		return who, v, "", err
	}
	facts, err := s.turnFacts(ctx, who, v)
	if err != nil {
		return who, v, "", err
	}
	d, err := s.base.Authz.Check(ctx, authz.Request{Action: action, Noun: "Turn", ID: turn.String(), Attrs: facts})
	if err != nil && who.Kind == auth.Patient {
		err = clinic.ErrNotFound.Wrap(err)
	}
	return who, v, d.Policy, err
}

// turn reads a turn. One that was booked a moment ago, whose event is still on its way,
// is taken from scheduling, if the caller may read the appointment there.
func (s *Service) turn(ctx context.Context, who auth.Principal, turn appointmentID) (turnRow, error) {
	v, err := s.store.turn(ctx, who.Tenant, turn)
	if !errors.Is(err, clinic.ErrNotFound) {
		return v, err
	}
	a, asked := s.bookings.Get(ctx, turn)
	if asked != nil || a.State != scheduling.Booked {
		return v, err
	}
	if err := s.store.adopt(ctx, who.Tenant, booked{visitOf(a), a.Number}); err != nil {
		return v, err
	}
	return s.store.turn(ctx, who.Tenant, turn)
}

func visitOf(a scheduling.Appointment) scheduling.Visit {
	return scheduling.Visit{
		Appointment: a.ID, Account: a.Account, Patient: a.Patient, Schedule: a.Schedule, Slot: a.Slot, Campus: a.Campus, Department: a.Department,
		Practitioner: a.Practitioner, Date: a.Date, Session: a.Session, StartsAt: a.StartsAt, Class: a.Class, Fee: a.Fee,
	}
}

// act is one request of somebody, which takes effect once.
type act struct {
	who    auth.Principal
	action string
	policy string
	key    idem.Key
	now    time.Time
}

func (s *Service) act(who auth.Principal, action, policy string, key clinic.Key, input any) act {
	return act{
		who: who, action: action, policy: policy, now: s.now(),
		key: idem.Key{Op: action, Actor: who.Actor(), Key: key.String(), Hash: idem.HashOf(input)},
	}
}
