// Package directorysvc is the behaviour of the directory context.
package directorysvc

import (
	"embed"
	"io/fs"

	"xinglin/internal/directory"
	"xinglin/internal/kernel/event"
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
	return module.Description{
		Name: "directory", Migrations: sub, Policies: policy, PolicyTests: policyTests, Data: data(), Masks: masks(),
		Events: []event.Event{directory.PractitionerChanged{}},
	}
}

// New builds the context.
func New(base module.Base) (*Service, *module.Module) {
	s := &Service{base: base, store: store{}}
	return s, &module.Module{
		Name:     "directory",
		Routes:   s.routes,
		Checks:   checks(),
		Settings: s.settings(),
	}
}

var _ directory.Service = (*Service)(nil)
