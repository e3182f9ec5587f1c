// Package interopsvc is the behaviour of the interop context.
package interopsvc

import (
	_ "embed"

	"xinglin/internal/directory"
	"xinglin/internal/interop"
	"xinglin/internal/interop/fhirfile"
	"xinglin/internal/patient"
	"xinglin/internal/platform/module"
)

//go:embed policy.cedar
var policy []byte

// Describe is the context without running it. It has no tables of its own.
func Describe() module.Description {
	return module.Description{Name: "interop", Migrations: migrations, Policies: policy}
}

// New builds the context.
func New(base module.Base, dir directory.Service, patients patient.Service) (*Service, *module.Module) {
	return &Service{base: base, dir: dir, patients: patients}, &module.Module{Name: "interop"}
}

// Service implements interop.Service.
type Service struct {
	base     module.Base
	dir      directory.Service
	patients patient.Service
	limits   fhirfile.Options
}

var _ interop.Service = (*Service)(nil)
