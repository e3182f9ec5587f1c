package patientsvc

import (
	"context"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/fault"
	"xinglin/internal/kernel/id"
	"xinglin/internal/patient"
	"xinglin/internal/platform/authz"
)

// sources says where decisions about persons and claims take their facts.
func (s *Service) sources() []authz.Source {
	return []authz.Source{
		{Noun: "Patient", Look: s.lookPerson, Actions: []string{"patient.read", "patient.update", "patient.unlink", "patient.verify", "patient.book"}},
		{Noun: "Claim", Look: s.lookClaim, Actions: []string{"patient.prove"}},
	}
}

// linkFacts are what the policies see of a person whom the account is linked to.
func linkFacts(v linked) map[string]any {
	return map[string]any{"linked": true, "relationship": string(v.rel)}
}

// claimFacts are what they see of a claim.
func claimFacts(c claimRow) map[string]any { return map[string]any{"account": c.account.String()} }

// lookPerson tells whether the account is linked to the person, and nothing about whether there is such a person.
func (s *Service) lookPerson(ctx context.Context, who auth.Principal, item string) (authz.Item, error) {
	p, err := id.Parse[patient.Patient](item)
	if err != nil {
		return authz.Item{}, patient.ErrNotFound.Wrap(err)
	}
	v, err := s.store.linked(ctx, who.Tenant, who.Account, p)
	if fault.KindOf(err) == fault.NotFound {
		return authz.Item{Attrs: map[string]any{"linked": false}}, nil
	}
	return authz.Item{Attrs: linkFacts(v)}, err
}

func (s *Service) lookClaim(ctx context.Context, who auth.Principal, item string) (authz.Item, error) {
	c, err := id.Parse[patient.Claim](item)
	if err != nil {
		return authz.Item{}, patient.ErrNotFound.Wrap(err)
	}
	v, err := s.store.claim(ctx, who.Tenant, c)
	return authz.Item{Attrs: claimFacts(v)}, err
}
