// Package tenantsvc is the registry of tenants and their host names.
package tenantsvc

import (
	"context"
	"embed"
	"io/fs"

	"xinglin/internal/platform/job"
	"xinglin/internal/platform/module"
	"xinglin/internal/platform/state"
)

//go:embed migrations/*.sql
var migrations embed.FS

//go:embed policy.cedar
var policies []byte

//go:embed policy.tests
var policyTests []byte

// Describe is the context without running it.
func Describe() module.Description {
	sub, err := fs.Sub(migrations, "migrations")
	if err != nil {
		panic(err) // embedded at build time
	}
	return module.Description{Name: "tenant", Migrations: sub, Policies: policies, PolicyTests: policyTests, Data: data(), Masks: masks()}
}

// New builds the context; it does no I/O.
func New(base module.Base) (*Service, *module.Module) {
	s := newService(base)
	return s, &module.Module{
		Name: "tenant", Checks: checks(), Settings: s.ownSections(), Machines: []state.Diagram{bundles},
		Jobs: []job.Handler{job.Call(bundleJob, func(ctx context.Context, c carried) error { return s.Carry(ctx, c.Bundle) })},
	}
}
