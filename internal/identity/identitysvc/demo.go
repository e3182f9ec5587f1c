package identitysvc

import (
	"context"

	"xinglin/internal/identity"
	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/secret"
	"xinglin/internal/platform/authz"
)

const maxDemo = 50

// demoRow is an account on the demo's login page.
type demoRow struct {
	account  account
	label    string
	labelEN  string
	password []byte // sealed
	position int
}

// ShowDemo implements identity.Demo.
func (s *Service) ShowDemo(ctx context.Context, l identity.DemoLogin) error {
	if !s.demo {
		return identity.ErrNotFound.New()
	}
	who, err := auth.From(ctx)
	if err != nil {
		return err
	}
	d, err := s.authz.Check(ctx, authz.Request{Action: "identity.show_demo", Noun: "Account", ID: l.Account.String()})
	if err != nil {
		return err
	}
	row := demoRow{account: account{id: l.Account}, label: l.Label, labelEN: l.LabelEN, position: l.Position}
	row.password, err = s.crypt.SealText(ctx, field(who.Tenant, "demo_account", "password", l.Account.String()), l.Password)
	if err != nil {
		return err
	}
	return s.store.showDemo(ctx, who.Tenant, row, d.Policy)
}

// DemoAccounts implements identity.Demo.
func (s *Service) DemoAccounts(ctx context.Context, t identity.TenantID) ([]identity.DemoAccount, error) {
	if !s.demo {
		return nil, identity.ErrNotFound.New()
	}
	rows, err := s.store.demoRows(ctx, t)
	if err != nil {
		return nil, err
	}
	var out []identity.DemoAccount
	for _, r := range rows {
		a := r.account
		phone, err := s.crypt.OpenText(ctx, phoneField(t, a.id), a.phone)
		if err != nil {
			return nil, err
		}
		password, err := s.crypt.OpenText(ctx, field(t, "demo_account", "password", a.id.String()), r.password)
		if err != nil {
			return nil, err
		}
		totp, err := s.crypt.OpenText(ctx, totpField(t, a.id), a.totp)
		if err != nil {
			return nil, err
		}
		out = append(out, identity.DemoAccount{
			Kind: a.kind, Label: r.label, LabelEN: r.labelEN, Phone: phone.Reveal(), Username: a.username,
			Password: password, TOTP: secret.New(s.codeNow(totp)),
		})
	}
	return out, nil
}

// codeNow is the one-time code of this moment, "" without a secret.
func (s *Service) codeNow(t secret.Text) string {
	key := readTOTP(t)
	if key == nil {
		return ""
	}
	return totpAt(key, stepOf(s.now()))
}
