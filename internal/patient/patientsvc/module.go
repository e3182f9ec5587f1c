// Package patientsvc is the behaviour of the patient context.
package patientsvc

import (
	"context"
	"embed"
	"io/fs"

	"xinglin/internal/identity"
	"xinglin/internal/kernel/event"
	"xinglin/internal/patient"
	"xinglin/internal/platform/batch"
	"xinglin/internal/platform/blind"
	"xinglin/internal/platform/module"
	"xinglin/internal/platform/realname"
	"xinglin/internal/platform/state"
)

//go:embed migrations/*.sql
var migrations embed.FS

//go:embed policy.cedar
var policy []byte

//go:embed policy.tests
var policyTests []byte

// Verifier asks whether name, document and phone belong to one person; *realname.Client is one.
type Verifier interface {
	Verify(ctx context.Context, p realname.Person) (realname.Result, error)
}

// Describe is the context without running it.
func Describe() module.Description {
	sub, err := fs.Sub(migrations, "migrations")
	if err != nil {
		panic(err) // embedded at build time
	}
	return module.Description{
		Name: "patient", Migrations: sub, Policies: policy, PolicyTests: policyTests, Data: data(), Keys: keyed(), Masks: masks(),
		Events: []event.Event{patient.Created{}, patient.LinkChanged{}},
	}
}

// New builds the context; it does no I/O. Without a verifier (nil) the real-name check
// answers patient.realname_down.
func New(base module.Base, accounts identity.Service, v Verifier) (*Service, *module.Module) {
	s := &Service{clock: base.Clock, authz: base.Authz, crypt: base.Crypt, accounts: accounts, verifier: v, store: store{base.DB, blind.New(base.Crypt)}, bookers: newBookers()}
	s.askBookers = batch.New(batch.Options{Name: "patient.booker", Writers: 1, Max: bookersRead, Log: base.Log, Metrics: base.Batches}, s.readBookers)
	return s, &module.Module{
		Name:     "patient",
		Held:     held(),
		Routes:   s.routes,
		Jobs:     s.jobs(),
		Checks:   checks(),
		Sets:     sets(),
		Machines: []state.Diagram{links, claims},
		Facts:    s.sources(),
	}
}

var _ patient.Service = (*Service)(nil)
