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
	Code string   `required:"" help:"Short plain name: a-z, 0-9 and -."`
	Name string   `required:"" help:"Name of the legal operator."`
	Host []string `help:"Public host name; needed when there is more than one tenant."`
}

// Run implements the command.
func (c *addTenantCmd) Run(ctx context.Context) error {
	return app.AddTenant(ctx, c.Where, app.TenantSpec{Code: c.Code, Name: c.Name, Hosts: c.Host}, os.Stdout)
}

type addStaffCmd struct {
	config.Where
	Tenant   string   `help:"Code of the tenant." default:"main"`
	Username string   `required:"" help:"Login name."`
	Name     string   `required:"" help:"Name of the person."`
	Role     []string `required:"" help:"doctor, nurse, registrar, operator, system_admin, security_admin, audit_admin."`
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
