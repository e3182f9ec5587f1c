package identitysvc

import (
	"context"

	"xinglin/internal/identity"
	"xinglin/internal/kernel/auth"
)

// Close implements identity.Service.
func (s *Service) Close(ctx context.Context, a identity.AccountID) error {
	who, err := auth.From(ctx)
	if err != nil {
		return err
	}
	policy, err := s.may(ctx, "identity.close_account", "Account", a.String(), a)
	if err != nil {
		return err
	}
	if err := s.store.closeAccount(ctx, who.Tenant, a, policy); err != nil {
		return err
	}
	s.tell(ctx, who.Tenant, a, identity.SessionID{})
	return nil
}
