// Package ledgersvc is the behaviour of the ledger context.
package ledgersvc

import (
	"embed"
	"io/fs"

	"xinglin/internal/ledger"
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
	return module.Description{Name: "ledger", Migrations: sub, Policies: policy, PolicyTests: policyTests, Data: data()}
}

// New builds the context. It has no routes: contexts post, an operator's report reads.
func New(base module.Base) (*Service, *module.Module) {
	s := &Service{base: base, store: store{}}
	return s, &module.Module{Name: "ledger", Checks: checks(), Sets: sets()}
}

var _ ledger.Service = (*Service)(nil)
