// Package module is what a context hands to the wiring, and what it gets from it.
package module

import (
	"context"
	"io/fs"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"

	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/dataclass"
	"xinglin/internal/kernel/event"
	"xinglin/internal/platform/admission"
	"xinglin/internal/platform/authz"
	"xinglin/internal/platform/batch"
	"xinglin/internal/platform/crypt"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/holdings"
	"xinglin/internal/platform/httpx"
	"xinglin/internal/platform/inbox"
	"xinglin/internal/platform/job"
	"xinglin/internal/platform/mask"
	"xinglin/internal/platform/rekey"
	"xinglin/internal/platform/settings"
	"xinglin/internal/platform/state"
	"xinglin/internal/platform/verify"
)

// Base is what every context is built on: its own database and the shared machines.
type Base struct {
	DB      *db.DB
	Clock   clock.Clock
	Authz   *authz.Engine
	Crypt   *crypt.Ring
	Log     *slog.Logger
	Metrics prometheus.Registerer
	Signals Signals
	Batches *batch.Metrics // of the request combiners; nil counts nothing
	// Admission is asked before something scarce is taken; nil admits everybody.
	Admission *admission.Desk
	Demo      bool // shown codes, inbox page; never true without --demo
}

// Signals reach all processes at once and may get lost: a hint to look, never a truth.
type Signals interface {
	Signal(ctx context.Context, topic string, data []byte) error
	OnSignal(topic string, f func(data []byte)) (stop func(), err error)
}

// Module is a context as the wiring sees it.
type Module struct {
	Name     string
	Routes   func(*httpx.API)
	Hears    []inbox.Handler
	Jobs     []job.Handler
	Checks   []verify.Check
	Sets     []verify.Set
	Machines []state.Diagram
	// Facts are where the decisions about the context's items take what they look at, for those who ask why.
	Facts []authz.Source
	// Held are the tables that hold something of persons, for copies and erasures that they ask for.
	Held []holdings.Table
	// Settings are the sections of a tenant's configuration that the context keeps, in the order in which a bundle puts them.
	Settings []settings.Section
	// Start begins what runs as long as the process (fan-out of live counts); stop ends it. Optional.
	Start func() (stop func(), err error)
}

// Description is what a context is without running it: schema, policies, events, what its data is.
type Description struct {
	Name       string
	Migrations fs.FS
	Policies   []byte
	// PolicyTests say what the policies must and must not permit (authz.ReadCases).
	PolicyTests []byte
	Events      []event.Event
	Data        dataclass.Schema // the class of every column of its tables
	Keys        rekey.Columns    // what of it lies under keys
	Masks       []mask.Rule      // how its rows go into a copy without people, where the classes do not say all
}

// Set is the description's migrations for platform/db.
func (d Description) Set() db.Set { return db.Set{Name: d.Name, FS: d.Migrations} }
