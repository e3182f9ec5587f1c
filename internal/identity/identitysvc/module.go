// Package identitysvc is how people prove who they are: codes to phones, passwords
// with TOTP, sessions and tokens, roles.
package identitysvc

import (
	"embed"
	"io/fs"

	"xinglin/internal/identity"
	"xinglin/internal/identity/identitysvc/provider"
	"xinglin/internal/kernel/event"
	"xinglin/internal/notify"
	"xinglin/internal/platform/module"
	"xinglin/internal/platform/state"
	"xinglin/internal/tenant"
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
	return module.Description{
		Name: "identity", Migrations: sub, Policies: policies, PolicyTests: policyTests, Data: data(), Keys: keyed(), Masks: masks(),
		Events: []event.Event{identity.SessionRevoked{}},
	}
}

// New builds the context; it does no I/O.
func New(base module.Base, tenants tenant.Service, notices notify.Service) (*Service, *module.Module) {
	s := newService(base, tenants, notices)
	return s, &module.Module{
		Name:     "identity",
		Held:     held(),
		Routes:   s.routes,
		Jobs:     s.jobs(),
		Checks:   checks(),
		Machines: append([]state.Diagram{accounts, sessions}, provider.Machines...),
		Start:    s.listen,
		Facts:    s.sources(),
	}
}
