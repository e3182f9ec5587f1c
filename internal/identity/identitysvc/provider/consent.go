package provider

import (
	"context"
	"time"

	"xinglin/internal/identity"
	"xinglin/internal/kernel/auth"
	"xinglin/internal/platform/authz"
)

// consent is what somebody allowed a client.
type consent struct {
	client identity.Client
	scopes []string
	given  time.Time
}

// maxConsents is how many the list shows: a tenant has at most maxClients clients.
const maxConsents = maxClients

// ownConsents lists the account's, the newest first.
func (s *Service) ownConsents(ctx context.Context) ([]consent, error) {
	who, err := auth.From(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := s.Authz.Check(ctx, authz.Request{Action: "identity.list_consents", Noun: "Account", ID: who.Account.String(), Attrs: map[string]any{"account": who.Account.String()}}); err != nil {
		return nil, err
	}
	return s.Store.consents(ctx, who.Tenant, who.Account)
}

// withdraw takes a consent back and ends what the client got by it: identity.consent_not_found.
func (s *Service) withdraw(ctx context.Context, c identity.ClientID) error {
	who, err := auth.From(ctx)
	if err != nil {
		return err
	}
	d, err := s.Authz.Check(ctx, authz.Request{Action: "identity.withdraw_consent", Noun: "Account", ID: who.Account.String(), Attrs: map[string]any{"account": who.Account.String()}})
	if err != nil {
		return err
	}
	return s.Store.withdraw(ctx, who.Tenant, who.Account, c, d.Policy)
}
