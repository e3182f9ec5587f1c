// Package privacysvc is the behaviour of the privacy context.
package privacysvc

import (
	"context"
	"embed"
	"io/fs"

	"xinglin/internal/audit"
	"xinglin/internal/identity"
	"xinglin/internal/kernel/event"
	"xinglin/internal/patient"
	"xinglin/internal/platform/authz"
	"xinglin/internal/platform/calendar"
	"xinglin/internal/platform/holdings"
	"xinglin/internal/platform/module"
	"xinglin/internal/platform/state"
	"xinglin/internal/privacy"
)

//go:embed migrations/*.sql
var migrations embed.FS

//go:embed policy.cedar
var policy []byte

//go:embed policy.tests
var policyTests []byte

// Holder is what one context holds of persons; *holdings.Set is one.
type Holder interface {
	Copy(ctx context.Context, of holdings.Subject) ([]holdings.Section, error)
	Waiting(ctx context.Context, of holdings.Subject) ([]holdings.Waiting, error)
	Keeps(ctx context.Context, of holdings.Subject) ([]holdings.KeptRows, error)
	Erase(ctx context.Context, of holdings.Subject, action, policy string) error
	IDs(ctx context.Context, of holdings.Subject) ([]string, error)
}

// Describe is the context without running it.
func Describe() module.Description {
	sub, err := fs.Sub(migrations, "migrations")
	if err != nil {
		panic(err) // embedded at build time
	}
	return module.Description{
		Name: "privacy", Migrations: sub, Policies: policy, PolicyTests: policyTests, Data: data(), Keys: keyed(), Masks: masks(),
		Events: []event.Event{privacy.ConsentChanged{}, privacy.TextPublished{}, privacy.RequestDue{}, privacy.PersonErased{}},
	}
}

// New builds the context; it does no I/O. The calendar says which days are worked, called what an action is called. UseHolders comes before
// anything runs.
func New(base module.Base, accounts identity.Service, patients patient.Service, acts audit.Service, days *calendar.Calendar,
	called func(action string) authz.Words,
) (*Service, *module.Module) {
	s := &Service{base: base, store: store{base.DB}, accounts: accounts, patients: patients, trail: acts, days: days, called: called}
	return s, &module.Module{
		Name:     "privacy",
		Held:     held(),
		Routes:   s.routes,
		Jobs:     s.jobs(),
		Checks:   checks(),
		Sets:     sets(),
		Machines: []state.Diagram{requests},
		Facts:    s.sources(),
	}
}

// UseHolders hands over what all contexts hold of persons, in the order in which a copy tells it.
func (s *Service) UseHolders(all ...Holder) { s.holders = all }

var _ privacy.Service = (*Service)(nil)
