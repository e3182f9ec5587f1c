package paymentsvc

import (
	"context"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/id"
	"xinglin/internal/payment"
	"xinglin/internal/platform/authz"
)

// sources says where decisions about payments take their facts.
func (s *Service) sources() []authz.Source {
	return []authz.Source{{
		Noun: "Payment", Look: s.look,
		Actions: []string{"payment.read", "payment.prepay", "payment.query", "payment.list_refunds"},
	}}
}

// facts are what the policies see of a payment.
func facts(p record) map[string]any {
	return map[string]any{"account": p.Account.String(), "purpose": string(p.Purpose)}
}

func (s *Service) look(ctx context.Context, who auth.Principal, item string) (authz.Item, error) {
	pid, err := id.Parse[payment.Payment](item)
	if err != nil {
		return authz.Item{}, payment.ErrNotFound.Wrap(err)
	}
	p, err := s.store.get(ctx, s.base.DB, who.Tenant, pid)
	return authz.Item{Attrs: facts(p)}, err
}
