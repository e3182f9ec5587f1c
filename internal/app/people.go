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

// TenantSpec is what `xinglin tenant add` makes.
type TenantSpec struct {
	Code, Name string
	Hosts      []string
}

// AddTenant is `xinglin tenant add`: idempotent by its code.
func AddTenant(ctx context.Context, where config.Where, s TenantSpec, out io.Writer) error {
	h, closeAll, err := Offline(ctx, where, false)
	if err != nil {
		return err
	}
	defer closeAll()
	ctx = auth.With(ctx, auth.Principal{Kind: auth.CLI, Name: OSUser()})
	t, err := h.Tenants.Ensure(ctx, tenant.Tenant{Code: s.Code, Name: s.Name, Hosts: s.Hosts})
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "tenant %s is %s\n", t.Code, t.ID)
	return nil
}

// StaffSpec is what `xinglin staff add` makes.
type StaffSpec struct {
	Tenant, Username, Name string
	Password               secret.Text
	Roles                  []string
}

// AddStaff is `xinglin staff add`: the first administrators of an installation. The
// TOTP secret is printed once.
func AddStaff(ctx context.Context, where config.Where, s StaffSpec, out io.Writer) error {
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
		if t.Code != s.Tenant {
			continue
		}
		spec := identity.StaffSpec{Username: s.Username, Name: s.Name, Password: s.Password}
		for _, r := range s.Roles {
			g := auth.Grant{Role: auth.Role(r), Organization: id.As[auth.Organization](t.ID)}
			switch g.Role {
			case auth.SystemAdmin, auth.SecurityAdmin, auth.AuditAdmin:
				g.Organization = id.ID[auth.Organization]{} // they look after the tenant as a whole
			}
			spec.Grants = append(spec.Grants, g)
		}
		a, err := h.Identity.EnsureStaff(auth.With(ctx, auth.Principal{Kind: auth.CLI, Tenant: t.ID, Name: OSUser()}), spec)
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "account %s\n", a.ID)
		if !a.TOTP.Empty() {
			fmt.Fprintf(out, "totp %s\n", a.TOTP.Reveal())
		}
		return nil
	}
	return ErrFlags.At("tenant", "there is no tenant "+s.Tenant)
}
