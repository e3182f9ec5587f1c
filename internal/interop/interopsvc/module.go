// Package interopsvc is the behaviour of the interop context.
package interopsvc

import (
	"embed"
	"io/fs"

	"xinglin/internal/directory"
	"xinglin/internal/interop"
	"xinglin/internal/interop/fhirfile"
	"xinglin/internal/patient"
	"xinglin/internal/platform/job"
	"xinglin/internal/platform/module"
	life "xinglin/internal/platform/state"
	"xinglin/internal/scheduling"
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
	return module.Description{Name: "interop", Migrations: sub, Policies: policy, PolicyTests: policyTests, Data: data(), Masks: masks()}
}

// New builds the context. Files that are being imported lie in folder; empty is the system's.
func New(base module.Base, dir directory.Service, patients patient.Service, rotas scheduling.Service, terms terminology.Service, folder string) (*Service, *module.Module) {
	s := &Service{base: base, dir: dir, patients: patients, rotas: rotas, terms: terms, runs: newRuns(folder)}
	return s, &module.Module{
		Name: "interop", Routes: s.routes, Checks: checks(), Machines: []life.Diagram{importLife},
		Jobs:  []job.Handler{job.InTx(watchJob, s.watchImport)},
		Start: func() (func(), error) { return s.runs.stop, nil },
	}
}

// Service implements interop.Service.
type Service struct {
	base     module.Base
	store    store
	dir      directory.Service
	patients patient.Service
	rotas    scheduling.Service
	terms    terminology.Service
	runs     *runs
	limits   fhirfile.Options
}

var _ interop.Service = (*Service)(nil)
