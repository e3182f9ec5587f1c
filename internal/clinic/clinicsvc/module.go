// Package clinicsvc is the behaviour of the clinic context.
package clinicsvc

import (
	"embed"
	"io/fs"

	"xinglin/internal/clinic"
	"xinglin/internal/directory"
	"xinglin/internal/kernel/event"
	"xinglin/internal/patient"
	"xinglin/internal/platform/module"
	"xinglin/internal/platform/state"
	"xinglin/internal/scheduling"
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
		Name: "clinic", Migrations: sub, Policies: policy, PolicyTests: policyTests, Data: data(),
		Events: []event.Event{clinic.TurnCheckedIn{}, clinic.TurnCalled{}, clinic.TurnMissed{}, clinic.TurnFinished{}},
	}
}

// New builds the context.
func New(base module.Base, dir directory.Service, patients patient.Service, bookings scheduling.Service) (*Service, *module.Module) {
	s := &Service{base: base, dir: dir, patients: patients, bookings: bookings, fresh: newFresh(), beat: wallBeat}
	s.store = store{db: base.DB, moved: s.moved}
	s.fanOut()
	return s, &module.Module{
		Name:     "clinic",
		Held:     held(),
		Routes:   s.routes,
		Hears:    s.hears(),
		Checks:   checks(),
		Sets:     sets(),
		Machines: []state.Diagram{turns},
		Facts:    s.sources(),
		Settings: s.settings(),
		Start:    s.start,
	}
}

var _ clinic.Service = (*Service)(nil)
