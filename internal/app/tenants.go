package app

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"text/tabwriter"

	"xinglin/internal/identity"
	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/secret"
	"xinglin/internal/platform/config"
	"xinglin/internal/platform/settings"
	"xinglin/internal/tenant"
	"xinglin/internal/tenant/tenantsvc"
)

// TenantSpec is what `xinglin tenant add` makes.
type TenantSpec struct {
	Code, Name string
	Hosts      []string
	Admins     bool
	Bundle     []byte // first configuration; empty for none
	List       bool   // make nothing
}

// MadeTenant is what it came to. Passwords and secrets are in it once.
type MadeTenant struct {
	Tenants []tenant.Tenant
	Diff    []settings.Change
	Admins  []MadeAdmin
}

// MadeAdmin is a first account; an account that was there has neither password nor TOTP here.
type MadeAdmin struct{ Username, Password, TOTP string }

// AddTenant is `xinglin tenant add`: idempotent by its code, in the folder or database, or through the process that serves the folder.
func AddTenant(ctx context.Context, where config.Where, s TenantSpec, out io.Writer) error {
	made, err := tenantAct(ctx, where, s)
	for _, t := range made.Tenants {
		fmt.Fprintf(out, "tenant %s is %s\n", t.Code, t.ID)
	}
	PrintDiff(out, made.Diff)
	for _, a := range made.Admins {
		if a.TOTP == "" {
			fmt.Fprintf(out, "account %s was there\n", a.Username)
			continue
		}
		fmt.Fprintf(out, "account %s password %s totp %s\n", a.Username, a.Password, a.TOTP)
	}
	return err
}

// ListTenants is `xinglin tenant list`.
func ListTenants(ctx context.Context, where config.Where, out io.Writer) error {
	made, err := tenantAct(ctx, where, TenantSpec{List: true})
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	for _, t := range made.Tenants {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", t.Code, t.ID, t.Name, strings.Join(t.Hosts, " "))
	}
	_ = w.Flush()
	return err
}

func tenantAct(ctx context.Context, where config.Where, s TenantSpec) (MadeTenant, error) {
	body, err := json.Marshal(s)
	if err != nil {
		return MadeTenant{}, err
	}
	return importing[MadeTenant]{
		kind: "tenant", within: configTime, answer: configSize,
		do:   func(ctx context.Context, h *House) (MadeTenant, error) { return h.addTenant(ctx, s) },
		body: func() (io.ReadCloser, string) { return io.NopCloser(bytes.NewReader(body)), "" },
	}.into(ctx, where)
}

func (p *Process) addTenantDoor(ctx context.Context, w http.ResponseWriter, r *http.Request, _ bool) (MadeTenant, error) {
	var s TenantSpec
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 2*settings.MaxBundle)).Decode(&s); err != nil {
		return MadeTenant{}, settings.ErrMalformed.New()
	}
	return p.house.addTenant(ctx, s)
}

// addTenant makes the tenant, its keys, its first configuration and its administrators, as the operator of ctx. Every step may be
// repeated; what was there already stays.
func (h *House) addTenant(ctx context.Context, s TenantSpec) (made MadeTenant, err error) {
	if s.List {
		made.Tenants, err = h.Tenants.List(ctx)
		return made, err
	}
	who, err := auth.From(ctx)
	if err != nil {
		return made, err
	}
	var f settings.File
	if len(s.Bundle) > 0 {
		if f, err = settings.Read(s.Bundle); err != nil {
			return made, err
		}
		if err := s.named(f.Bundle); err != nil {
			return made, err
		}
	}
	demo, err := h.demoInstallation(ctx)
	if err != nil {
		return made, err
	}
	t, err := h.Tenants.Ensure(ctx, tenant.Tenant{Code: s.Code, Name: s.Name, Hosts: s.Hosts, Demo: demo})
	if err != nil {
		return made, err
	}
	made.Tenants = []tenant.Tenant{t}
	at := auth.With(ctx, auth.Principal{Kind: auth.CLI, Tenant: t.ID, Name: who.Name})
	if _, err := h.ring.Signers(at, t.ID, 1); err != nil { // the first use of a tenant makes its keys
		return made, err
	}
	if len(s.Bundle) > 0 {
		if made.Diff, err = h.firstConfiguration(at, f); err != nil {
			return made, err
		}
	}
	if s.Admins {
		made.Admins, err = h.firstAdministrators(at)
	}
	return made, err
}

// named takes the code, the name and the hosts from the bundle where they were not given.
func (s *TenantSpec) named(b settings.Bundle) error {
	if s.Code != "" && s.Code != b.Tenant {
		return tenant.ErrOtherTenant.At("bundle.tenant", b.Tenant)
	}
	s.Code = b.Tenant
	raw, ok := b.Sections["tenant.site"]
	if !ok {
		return nil
	}
	site, err := settings.Decode[struct {
		Name  string   `json:"name"`
		Hosts []string `json:"hosts"`
	}](raw)
	if err != nil {
		return err
	}
	s.Name, s.Hosts = site.Name, site.Hosts
	return nil
}

func (h *House) demoInstallation(ctx context.Context) (bool, error) {
	ts, err := h.Tenants.List(ctx)
	return len(ts) > 0 && ts[0].Demo, err
}

// firstConfiguration applies the bundle under the tenant's own signatures: no key of another one is trusted yet, and the operator
// of the machine answers for it. A tenant that has it already is left alone.
func (h *House) firstConfiguration(ctx context.Context, f settings.File) ([]settings.Change, error) {
	lives, err := h.Configuration.Export(ctx, f.Bundle.Sections.Names()...)
	if err != nil {
		return nil, err
	}
	diff, err := settings.Diff(lives.Bundle.Sections, f.Bundle.Sections)
	if err != nil || len(diff) == 0 {
		return nil, err
	}
	f.Bundle.Base, f.Signatures = lives.Bundle.Base, []settings.Signature{}
	raw, err := settings.Encode(f)
	if err != nil {
		return nil, err
	}
	if f, err = h.Configuration.Sign(ctx, raw); err != nil {
		return nil, err
	}
	if raw, err = settings.Encode(f); err != nil {
		return nil, err
	}
	b, diff, err := h.Configuration.Stage(ctx, raw)
	if err != nil {
		return diff, err
	}
	if b, err = h.Configuration.Apply(ctx, b.ID, tenantsvc.Decision{Why: "tenant add", Alone: true}); err != nil {
		return diff, err
	}
	if b, _, err = h.carry(ctx, b.ID); err != nil {
		return diff, err
	}
	if b.State == tenantsvc.Halted {
		return diff, ErrHalted.At(b.HaltedAt, b.HaltedBy)
	}
	return diff, nil
}

// firstAdministrators makes the three (R58), each with a password that nobody chose.
func (h *House) firstAdministrators(ctx context.Context) (out []MadeAdmin, err error) {
	for _, a := range []struct {
		role           auth.Role
		username, name string
	}{{auth.SystemAdmin, "sysadmin", "系统管理员"}, {auth.SecurityAdmin, "secadmin", "安全管理员"}, {auth.AuditAdmin, "auditadmin", "审计管理员"}} {
		password := rand.Text() + "-7x"
		made, err := h.Identity.EnsureStaff(ctx, identity.StaffSpec{
			Username: a.username, Name: a.name, Password: secret.New(password), Grants: []auth.Grant{{Role: a.role}},
		})
		if err != nil {
			return out, err
		}
		m := MadeAdmin{Username: a.username}
		if !made.TOTP.Empty() {
			m.Password, m.TOTP = password, made.TOTP.Reveal()
		}
		out = append(out, m)
	}
	return out, nil
}
