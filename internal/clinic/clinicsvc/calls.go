package clinicsvc

import (
	"context"
	"slices"
	"time"

	"xinglin/internal/clinic"
	"xinglin/internal/clinic/turnorder"
	"xinglin/internal/kernel/clock"
	"xinglin/internal/patient"
)

// CallNext implements clinic.Service.
func (s *Service) CallNext(ctx context.Context, line scheduleID, version int64, key clinic.Key) (q clinic.Queue, hit bool, err error) {
	who, _, policy, err := s.mayLine(ctx, "clinic.call_next", line)
	if err != nil {
		return q, false, err
	}
	a := s.act(who, "clinic.call_next", policy, key, []any{line, version})
	if hit, err = s.store.callNext(ctx, a, line, version); err != nil {
		return q, false, err
	}
	q, err = s.queueOf(ctx, who.Tenant, line)
	return q, hit, err
}

// maxPause bounds a pause.
const maxPause = 8 * 60

// pause stops a line for some minutes.
func (s *Service) pause(ctx context.Context, line scheduleID, minutes int, reason clinic.PauseReason, key clinic.Key) (q clinic.Queue, hit bool, err error) {
	who, _, policy, err := s.mayLine(ctx, "clinic.pause", line)
	switch {
	case err != nil:
		return q, false, err
	case minutes < 1 || minutes > maxPause:
		return q, false, clinic.ErrInput.At("minutes", "1 to 480")
	case !slices.Contains([]clinic.PauseReason{clinic.Round, clinic.Emergency, clinic.Break, clinic.Other}, reason):
		return q, false, clinic.ErrInput.At("reason", "round, emergency, break or other")
	}
	a := s.act(who, "clinic.pause", policy, key, []any{line, minutes, reason})
	if hit, err = s.store.pause(ctx, a, line, a.now.Add(time.Duration(minutes)*time.Minute), reason); err != nil {
		return q, false, err
	}
	q, err = s.queueOf(ctx, who.Tenant, line)
	return q, hit, err
}

// resume ends a pause; without one it changes nothing that anybody sees.
func (s *Service) resume(ctx context.Context, line scheduleID, key clinic.Key) (q clinic.Queue, hit bool, err error) {
	who, _, policy, err := s.mayLine(ctx, "clinic.resume", line)
	if err != nil {
		return q, false, err
	}
	if hit, err = s.store.pause(ctx, s.act(who, "clinic.resume", policy, key, line), line, time.Time{}, ""); err != nil {
		return q, false, err
	}
	q, err = s.queueOf(ctx, who.Tenant, line)
	return q, hit, err
}

// moveBy is a use case of the staff on one turn.
func (s *Service) moveBy(ctx context.Context, action string, turn appointmentID, key clinic.Key, do func(ctx context.Context, a act, turn appointmentID) (bool, error)) (q clinic.Queue, hit bool, err error) {
	who, l, policy, err := s.mayTurn(ctx, action, turn)
	if err != nil {
		return q, false, err
	}
	if hit, err = do(ctx, s.act(who, action, policy, key, turn), turn); err != nil {
		return q, false, err
	}
	q, err = s.queueOf(ctx, who.Tenant, l.ID)
	return q, hit, err
}

// Recall implements clinic.Service.
func (s *Service) Recall(ctx context.Context, turn appointmentID, key clinic.Key) (clinic.Queue, bool, error) {
	return s.moveBy(ctx, "clinic.recall", turn, key, s.store.recall)
}

// Skip implements clinic.Service.
func (s *Service) Skip(ctx context.Context, turn appointmentID, key clinic.Key) (clinic.Queue, bool, error) {
	return s.moveBy(ctx, "clinic.skip", turn, key, s.store.skip)
}

// Finish implements clinic.Service.
func (s *Service) Finish(ctx context.Context, turn appointmentID, key clinic.Key) (clinic.Queue, bool, error) {
	return s.moveBy(ctx, "clinic.finish", turn, key, s.store.done)
}

// CheckInAtDesk implements clinic.Service.
func (s *Service) CheckInAtDesk(ctx context.Context, turn appointmentID, key clinic.Key) (clinic.Queue, bool, error) {
	return s.moveBy(ctx, "clinic.check_in_at_desk", turn, key, func(ctx context.Context, a act, turn appointmentID) (bool, error) {
		return s.store.checkIn(ctx, a, turn, func(l lineRow, _ turnRow) error { return onTheDay(l, a.now) })
	})
}

// CheckIn implements clinic.Service.
func (s *Service) CheckIn(ctx context.Context, turn appointmentID, key clinic.Key) (p clinic.Place, hit bool, err error) {
	who, v, policy, err := s.mayOwn(ctx, "clinic.check_in", turn)
	if err != nil {
		return p, false, err
	}
	if _, err := s.line(ctx, who.Tenant, v.Schedule); err != nil { // the periods of the plan
		return p, false, err
	}
	rules, _, err := s.store.rules(ctx, who.Tenant)
	if err != nil {
		return p, false, err
	}
	a := s.act(who, "clinic.check_in", policy, key, turn)
	hit, err = s.store.checkIn(ctx, a, turn, func(l lineRow, v turnRow) error { return mayCheckIn(rules, l, v, a.now) })
	if err != nil {
		return p, false, err
	}
	p, err = s.placeOf(ctx, who.Tenant, turn)
	return p, hit, err
}

// onTheDay: somebody may be checked in at the desk on the session's day, unless it is
// stopped.
func onTheDay(l lineRow, now time.Time) error {
	switch today := clock.DateOf(now); {
	case l.Stopped || today > l.Day:
		return clinic.ErrNotRunning.New()
	case today < l.Day:
		return clinic.ErrTooEarly.New()
	}
	return nil
}

// maxBack is how often a missed person may come back without the desk.
const maxBack = 2

// mayCheckIn decides whether the person may check in without the desk.
func mayCheckIn(r clinic.Rules, l lineRow, v turnRow, now time.Time) error {
	from, until := turnorder.Period(r, v.StartsAt, l.endOf(v.StartsAt))
	switch v.State {
	case clinic.Missed: // was there in time; the line is still open
		if turnorder.State(l.facts(), now) == clinic.Ended || l.Stopped {
			return clinic.ErrNotRunning.New()
		}
		if v.Back >= maxBack {
			return clinic.ErrTooOften.New()
		}
		return nil
	case clinic.Expected:
	default:
		return clinic.ErrState.Because("%s", v.State)
	}
	switch {
	case l.Stopped:
		return clinic.ErrNotRunning.New()
	case now.Before(from):
		return clinic.ErrTooEarly.New()
	case now.After(until):
		return clinic.ErrTooLate.New()
	}
	return nil
}

// reveal shows who a person is to the staff of the line; the act is audited.
func (s *Service) reveal(ctx context.Context, turn appointmentID) (patient.Person, error) {
	who, _, policy, err := s.mayTurn(ctx, "clinic.reveal", turn)
	if err != nil {
		return patient.Person{}, err
	}
	v, err := s.store.turn(ctx, who.Tenant, turn)
	if err != nil {
		return patient.Person{}, err
	}
	p, err := s.patients.Person(ctx, v.Patient)
	if err != nil {
		return patient.Person{}, err
	}
	// The row is written before anything is shown; without it nothing is.
	return p, s.store.revealed(ctx, who.Tenant, v, policy)
}
