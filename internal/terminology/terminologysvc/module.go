// Package terminologysvc is the behaviour of the terminology context.
package terminologysvc

import (
	"embed"
	"io/fs"

	"xinglin/internal/platform/module"
	"xinglin/internal/terminology"
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
	return module.Description{Name: "terminology", Migrations: sub, Policies: policy, PolicyTests: policyTests, Data: data()}
}

// New builds the context.
func New(base module.Base) (*Service, *module.Module) {
	s := &Service{base: base}
	return s, &module.Module{Name: "terminology", Routes: s.routes, Checks: checks()}
}

var _ terminology.Service = (*Service)(nil)
