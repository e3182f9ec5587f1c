package identitysvc

import (
	"context"

	"xinglin/internal/identity"
	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/authz"
)

// sources says where decisions about accounts take their facts.
func (s *Service) sources() []authz.Source {
	return []authz.Source{
		{Noun: "Account", Look: s.lookStaff, Actions: []string{"identity.read_staff", "identity.put_grants", "identity.disable_staff"}},
		{Noun: "Account", Self: true, Actions: []string{
			"identity.read_me", "identity.list_sessions", "identity.revoke_session", "identity.end_session", "identity.list_consents",
			"identity.withdraw_consent", "identity.list_passkeys", "identity.rename_passkey", "identity.list_logins", "identity.begin_step_up",
			"identity.send_step_up_code", "identity.step_up", "identity.offer_passkey", "identity.offer_totp",
			"identity.add_passkey", "identity.remove_passkey", "identity.replace_totp", "identity.begin_link", "identity.link_idp", "identity.list_links", "identity.unlink_idp",
		}},
	}
}

func (s *Service) lookStaff(ctx context.Context, who auth.Principal, item string) (authz.Item, error) {
	a, err := id.Parse[auth.Account](item)
	if err != nil {
		return authz.Item{}, identity.ErrNotFound.Wrap(err)
	}
	acc, err := s.store.account(ctx, who.Tenant, a)
	if err == nil && acc.kind != auth.Staff {
		err = identity.ErrNotFound.New()
	}
	return authz.Item{Attrs: map[string]any{"account": a.String()}}, err
}

// Acting implements identity.Service.
func (s *Service) Acting(ctx context.Context, t identity.TenantID, a identity.AccountID) (auth.Principal, bool, error) {
	acc, err := s.store.account(ctx, t, a)
	if err != nil {
		return auth.Principal{}, false, err
	}
	p := auth.Principal{Kind: acc.kind, Tenant: t, Account: a, Grants: acc.grants, Factors: 1, Practitioner: acc.practitioner}
	if acc.kind == auth.Staff {
		p.Factors = 2 // staff sign in with a password and a one-time code
	}
	return p, acc.state == active, nil
}
