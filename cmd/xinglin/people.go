package main

import (
	"context"
	"os"
	"strings"

	"xinglin/internal/app"
	"xinglin/internal/kernel/secret"
	"xinglin/internal/platform/config"
)

type addTenantCmd struct {
	config.Where
	Code   string   `help:"Short plain name: a-z, 0-9 and -; with a bundle it is the bundle's."`
	Name   string   `help:"Name of the legal operator; with a bundle it is the bundle's."`
	Host   []string `help:"Public host name; needed when there is more than one tenant."`
	Admins bool     `help:"Make the three administrators' first accounts; their passwords and TOTP secrets are printed once."`
	Bundle string   `arg:"" optional:"" help:"First configuration: name, hosts, institution, campuses, brand, rules (docs/guide/tenants.md)." type:"existingfile"`
}

// Run implements the command.
func (c *addTenantCmd) Run(ctx context.Context) error {
	spec := app.TenantSpec{Code: c.Code, Name: c.Name, Hosts: c.Host, Admins: c.Admins}
	if c.Bundle != "" {
		var err error
		if spec.Bundle, err = bundleFile(c.Bundle); err != nil {
			return err
		}
	}
	return app.AddTenant(ctx, c.Where, spec, os.Stdout)
}

type listTenantsCmd struct {
	config.Where
}

// Run implements the command.
func (c *listTenantsCmd) Run(ctx context.Context) error {
	return app.ListTenants(ctx, c.Where, os.Stdout)
}

type addStaffCmd struct {
	config.Where
	Tenant   string   `help:"Code of the tenant." default:"main"`
	Username string   `required:"" help:"Login name."`
	Name     string   `required:"" help:"Name of the person."`
	Role     []string `required:"" help:"doctor, nurse, registrar, operator, privacy_officer, system_admin, security_admin, audit_admin."`
	Password string   `required:"" help:"Reference of the first password: file:PATH or env:NAME."`
}

// Run implements the command.
func (c *addStaffCmd) Run(ctx context.Context) error {
	b, err := config.Secret(c.Password)
	if err != nil {
		return err
	}
	return app.AddStaff(ctx, c.Where, app.StaffSpec{
		Tenant: c.Tenant, Username: c.Username, Name: c.Name, Roles: c.Role, Password: secret.New(strings.TrimSpace(string(b))),
	}, os.Stdout)
}

type addClientCmd struct {
	config.Where
	Tenant      string   `help:"Code of the tenant." default:"main"`
	Name        string   `required:"" help:"Name as the consent page shows it."`
	NameEN      string   `name:"name-en" help:"The same in English."`
	Accounts    string   `required:"" help:"Whose logins: patient, staff or any." enum:"patient,staff,any"`
	Public      bool     `help:"A program that cannot keep a secret: PKCE alone."`
	FirstParty  bool     `help:"A system of the hospital itself: no consent page, and it may introspect the tokens of others."`
	Grant       []string `help:"authorization_code, refresh_token, client_credentials, device_code." default:"authorization_code,refresh_token"`
	Scope       []string `help:"What it may ask for beside openid: profile, phone, roles, offline_access, or names of the hospital's own."`
	Redirect    []string `help:"Redirect URI, compared character by character."`
	Logout      []string `help:"Where a browser may go after a logout."`
	BackChannel string   `help:"Where ended sessions are told to."`
	Sector      string   `help:"Clients of one sector see the same subject for a person."`
}

// Run implements the command.
func (c *addClientCmd) Run(ctx context.Context) error {
	return app.AddClient(ctx, c.Where, app.ClientSpec{
		Tenant: c.Tenant, Name: c.Name, NameEN: c.NameEN, Accounts: c.Accounts, Public: c.Public, FirstParty: c.FirstParty, Grants: c.Grant, Scopes: c.Scope,
		Redirects: c.Redirect, Logouts: c.Logout, BackChannel: c.BackChannel, Sector: c.Sector,
	}, os.Stdout)
}
