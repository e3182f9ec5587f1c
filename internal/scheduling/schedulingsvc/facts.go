package schedulingsvc

import (
	"context"
	"slices"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/id"
	"xinglin/internal/patient"
	"xinglin/internal/platform/authz"
	"xinglin/internal/scheduling"
)

// sources says where decisions about visits and persons take their facts.
func (s *Service) sources() []authz.Source {
	return []authz.Source{
		{Noun: "Appointment", Look: s.lookVisit, Actions: []string{"scheduling.read_appointment", "scheduling.cancel"}},
		{Noun: "Schedule", Look: s.lookSession, Placed: true, Actions: []string{
			"scheduling.list_session_appointments", "scheduling.read_stop", "scheduling.stop_session", "scheduling.resume_session",
		}},
		{Noun: "Patient", Look: s.lookPerson, Actions: []string{"scheduling.hold", "scheduling.enter_lottery"}},
	}
}

// visitFacts are what the policies see of a visit.
func (s *Service) visitFacts(ctx context.Context, who auth.Principal, a scheduling.Appointment) (map[string]any, error) {
	proven, err := patient.ProvenFor(ctx, s.patients, who, a.Account, a.Patient)
	return map[string]any{"account": a.Account.String(), "proven": proven}, err
}

func (s *Service) lookVisit(ctx context.Context, who auth.Principal, item string) (authz.Item, error) {
	a, err := id.Parse[scheduling.Appointment](item)
	if err != nil {
		return authz.Item{}, scheduling.ErrNotFound.Wrap(err)
	}
	v, err := s.store.appointment(ctx, who.Tenant, a)
	if err != nil {
		return authz.Item{}, err
	}
	facts, err := s.visitFacts(ctx, who, v.Appointment)
	return authz.Item{Attrs: facts}, err
}

// ofOneCampus reports whether a role of the principal's was granted for less than the whole institution, whose id is the
// tenant's.
func ofOneCampus(who auth.Principal) bool {
	whole := []id.ID[auth.Organization]{id.As[auth.Organization](who.Tenant)}
	return slices.ContainsFunc(who.Grants, func(g auth.Grant) bool { return !authz.Counts(g, whole) })
}

func (s *Service) lookSession(ctx context.Context, who auth.Principal, item string) (authz.Item, error) {
	schedule, err := id.Parse[scheduling.Schedule](item)
	if err != nil {
		return authz.Item{}, scheduling.ErrNotFound.Wrap(err)
	}
	v, _, err := s.now(ctx, who.Tenant, schedule)
	return authz.Item{At: []id.ID[auth.Organization]{id.As[auth.Organization](v.Campus), id.As[auth.Organization](who.Tenant)}}, err
}

// lookPerson tells whether the account is linked to the person, and nothing about whether there is such a person.
func (s *Service) lookPerson(ctx context.Context, who auth.Principal, item string) (authz.Item, error) {
	p, err := id.Parse[patient.Patient](item)
	if err != nil {
		return authz.Item{}, scheduling.ErrPatientNotYours.Wrap(err)
	}
	linked := false
	if who.Kind == auth.Patient {
		links, err := s.patients.Linked(ctx, who.Tenant, who.Account)
		if err != nil {
			return authz.Item{}, err
		}
		linked = slices.ContainsFunc(links, func(l patient.Link) bool { return l.Patient == p })
	}
	return authz.Item{Attrs: map[string]any{"linked": linked}}, nil
}
