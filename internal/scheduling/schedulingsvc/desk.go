package schedulingsvc

import (
	"context"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/fault"
	"xinglin/internal/platform/authz"
	"xinglin/internal/scheduling"
)

// bookAtDesk takes a seat for a person at the window (R67): the road of a hold, by the rules of the window, without a place
// in the waiting room. The appointment is the account's that the person has for oneself; without one it is nobody's. The
// payment is open when it answers, so that cash can be taken. Codes: those of Hold.
func (s *Service) bookAtDesk(ctx context.Context, r scheduling.HoldRequest) (out held, err error) {
	who, err := auth.From(ctx)
	if err != nil {
		return out, err
	}
	d, err := s.base.Authz.Check(ctx, authz.Request{Action: "scheduling.book_at_desk", Noun: "Patient", ID: r.Patient.String()})
	if err != nil {
		return out, err
	}
	if err := checkRequest(r, s.base.Clock.Now()); err != nil {
		return out, err
	}
	booker, account, err := s.patients.DeskBooker(ctx, r.Patient)
	if fault.KindOf(err) == fault.NotFound {
		return out, scheduling.ErrPatientNotYours.Wrap(err)
	}
	if err != nil {
		return out, err
	}
	out, err = s.take(ctx, who, booker, &holding{Request: r, Account: account, Policy: d.Policy, Desk: true})
	if err == nil && out.State == scheduling.Pending {
		s.openNow(ctx, who.Tenant, out.Appointment)
	}
	return out, err
}

// deskAppointments lists a person's visits of today and to come that are not cancelled, the next first, at most 100. It is
// an audit row.
func (s *Service) deskAppointments(ctx context.Context, p scheduling.PatientID) (out []scheduling.Appointment, err error) {
	who, err := auth.From(ctx)
	if err != nil {
		return nil, err
	}
	d, err := s.base.Authz.Check(ctx, authz.Request{Action: "scheduling.list_desk_appointments", Noun: "Patient", ID: p.String()})
	if err != nil {
		return nil, err
	}
	rows, err := s.store.deskVisits(ctx, who.Tenant, p, clock.DateOf(s.base.Clock.Now()), d.Policy)
	for _, v := range rows {
		out = append(out, s.shown(v.Appointment))
	}
	return out, err
}
