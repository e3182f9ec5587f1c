package app

import (
	"context"
	"fmt"
	"io"

	"xinglin/internal/identity"
	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/id"
	"xinglin/internal/kernel/secret"
	"xinglin/internal/platform/config"
	"xinglin/internal/tenant"
)

// StaffSpec is what `xinglin staff add` makes.
type StaffSpec struct {
	Tenant, Username, Name string
	Password               secret.Text
	Roles                  []string
}

// AddStaff is `xinglin staff add`: the first administrators of an installation. The
// TOTP secret is printed once.
func AddStaff(ctx context.Context, where config.Where, s StaffSpec, out io.Writer) error {
	return inTenant(ctx, where, s.Tenant, func(ctx context.Context, h *House, t tenant.Tenant) error {
		spec := identity.StaffSpec{Username: s.Username, Name: s.Name, Password: s.Password}
		for _, r := range s.Roles {
			g := auth.Grant{Role: auth.Role(r), Organization: id.As[auth.Organization](t.ID)}
			switch g.Role {
			case auth.SystemAdmin, auth.SecurityAdmin, auth.AuditAdmin:
				g.Organization = id.ID[auth.Organization]{} // they look after the tenant as a whole
			}
			spec.Grants = append(spec.Grants, g)
		}
		a, err := h.Identity.EnsureStaff(ctx, spec)
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "account %s\n", a.ID)
		if !a.TOTP.Empty() {
			fmt.Fprintf(out, "totp %s\n", a.TOTP.Reveal())
		}
		return nil
	})
}

// inTenant runs f as the operator on the tenant of this code.
func inTenant(ctx context.Context, where config.Where, code string, f func(context.Context, *House, tenant.Tenant) error) error {
	h, closeAll, err := Offline(ctx, where, false)
	if err != nil {
		return err
	}
	defer closeAll()
	if _, err := h.ensureTenant(ctx, nil, false); err != nil {
		return err
	}
	ts, err := h.Tenants.List(ctx)
	if err != nil {
		return err
	}
	for _, t := range ts {
		if t.Code == code {
			return f(auth.With(ctx, auth.Principal{Kind: auth.CLI, Tenant: t.ID, Name: OSUser()}), h, t)
		}
	}
	return ErrFlags.At("tenant", "there is no tenant "+code)
}

// ClientSpec is what `xinglin client add` makes.
type ClientSpec struct {
	Tenant, Name, NameEN, Accounts     string
	Public, FirstParty                 bool
	Grants, Scopes, Redirects, Logouts []string
	BackChannel, Sector                string
}

// AddClient is `xinglin client add`: an OpenID Connect client. Its secret is printed once.
func AddClient(ctx context.Context, where config.Where, s ClientSpec, out io.Writer) error {
	return inTenant(ctx, where, s.Tenant, func(ctx context.Context, h *House, _ tenant.Tenant) error {
		spec := identity.ClientSpec{
			Name: s.Name, NameEN: s.NameEN, Public: s.Public, FirstParty: s.FirstParty, Accounts: identity.Accounts(s.Accounts), Scopes: s.Scopes,
			RedirectURIs: s.Redirects, LogoutURIs: s.Logouts, BackChannelURI: s.BackChannel, Sector: s.Sector,
		}
		for _, g := range s.Grants {
			if g == "device_code" {
				g = string(identity.ByDevice)
			}
			spec.Grants = append(spec.Grants, identity.GrantType(g))
		}
		c, err := h.Identity.AddClient(ctx, spec)
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "client_id %s\n", c.ID)
		if !c.Secret.Empty() {
			fmt.Fprintf(out, "client_secret %s\n", c.Secret.Reveal())
		}
		return nil
	})
}
