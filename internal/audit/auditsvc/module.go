// Package auditsvc is the behaviour of the audit context.
package auditsvc

import (
	"embed"
	"io/fs"

	"xinglin/internal/audit"
	"xinglin/internal/platform/module"
)

//go:embed migrations/*.sql
var migrations embed.FS

//go:embed policy.cedar
var policy []byte

//go:embed policy.tests
var policyTests []byte

// Describe is the context without running it.
func Describe() module.Description {
	sub, err := fs.Sub(migrations, "migrations")
	if err != nil {
		panic(err) // embedded at build time
	}
	return module.Description{Name: "audit", Migrations: sub, Policies: policy, PolicyTests: policyTests, Data: data(), Masks: masks()}
}

// New builds the context. The Service is also the sink of the platform's trail collector.
func New(base module.Base) (*Service, *module.Module) {
	s := &Service{base: base}
	return s, &module.Module{
		Name:   "audit",
		Routes: s.routes,
		Jobs:   s.jobs(),
		Checks: checks(),
		Sets:   sets(),
	}
}

var _ audit.Service = (*Service)(nil)
