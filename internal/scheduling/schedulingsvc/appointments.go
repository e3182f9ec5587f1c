package schedulingsvc

import (
	"context"
	"strings"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/fault"
	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/authz"
	"xinglin/internal/platform/obs"
	"xinglin/internal/scheduling"
	"xinglin/internal/scheduling/bookingrules"
)

// shown adds what depends on the moment.
func (s *Service) shown(a scheduling.Appointment) scheduling.Appointment {
	a.Cancellable = bookingrules.Cancellable(bookingrules.CancelFacts{State: a.State, Settlement: a.Settlement, Fee: a.Fee, Cutoff: a.CancelBefore}, s.base.Clock.Now())
	return a
}

// find reads an appointment and asks for a right on it. What the caller has no right on
// does not exist for patients; staff learn that they may not.
func (s *Service) find(ctx context.Context, action string, a id.ID[scheduling.Appointment]) (scheduling.Appointment, auth.Principal, string, error) {
	who, err := auth.From(ctx)
	if err != nil {
		return scheduling.Appointment{}, who, "", err
	}
	v, err := s.store.appointment(ctx, who.Tenant, a)
	if err != nil {
		return scheduling.Appointment{}, who, "", err
	}
	facts, err := s.visitFacts(ctx, who, v.Appointment)
	if err != nil {
		return scheduling.Appointment{}, who, "", err
	}
	d, err := s.base.Authz.Check(ctx, authz.Request{Action: action, Noun: "Appointment", ID: a.String(), Attrs: facts})
	if who.Kind == auth.Patient && fault.KindOf(err) == fault.Forbidden {
		err = scheduling.ErrNotFound.Wrap(err)
	}
	return v.Appointment, who, d.Policy, err
}

// Get reads one with its history.
func (s *Service) Get(ctx context.Context, a id.ID[scheduling.Appointment]) (scheduling.Appointment, error) {
	v, _, _, err := s.find(ctx, "scheduling.read_appointment", a)
	if err != nil {
		return scheduling.Appointment{}, err
	}
	obs.SetNumber(ctx, v.RegNo)
	return s.shown(v), nil
}

// maxWhy bounds the staff's reason for the audit, in characters.
const maxWhy = 200

// Cancel gives up a hold or a booking; a repeat answers the appointment as it is.
func (s *Service) Cancel(ctx context.Context, r scheduling.CancelRequest) (scheduling.Appointment, error) {
	none := scheduling.Appointment{}
	v, who, policy, err := s.find(ctx, "scheduling.cancel", r.ID)
	if err != nil {
		return none, err
	}
	if r.Reason, err = cancelReason(who.Kind, r); err != nil {
		return none, err
	}
	rules, _, err := s.store.rules(ctx, who.Tenant)
	if err != nil {
		return none, err
	}
	if who.Kind == auth.Patient {
		r.Why = "" // people's words may name people: they stay out of the audit
	}
	ctx = obs.WithNumber(ctx, v.RegNo)
	if err := s.store.cancel(ctx, who.Tenant, cancelling{CancelRequest: r, Rules: rules, Policy: policy, Pick: s.pick}); err != nil {
		return none, err
	}
	after, err := s.store.appointment(ctx, who.Tenant, r.ID)
	return s.shown(after.Appointment), err
}

// cancelReason follows from who asks: people cancel their own, the staff with a reason.
func cancelReason(k auth.Kind, r scheduling.CancelRequest) (scheduling.CancelReason, error) {
	if k == auth.Patient {
		if r.Reason != "" && r.Reason != scheduling.ByPatient {
			return "", scheduling.ErrInput.At("reason", "patient")
		}
		return scheduling.ByPatient, nil
	}
	switch {
	case strings.TrimSpace(r.Why) == "" || len([]rune(r.Why)) > maxWhy:
		return "", scheduling.ErrInput.At("reason", "the staff say why, at most 200 characters")
	case r.Reason == "":
		return scheduling.ByStaff, nil
	case r.Reason == scheduling.ByStaff || r.Reason == scheduling.ByStop:
		return r.Reason, nil
	}
	return "", scheduling.ErrInput.At("reason", "staff, stopped")
}
