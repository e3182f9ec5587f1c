// Package tenant knows the legal operators of the installation (租户): a hospital or
// a hospital group. The tenant of a request comes from the host name before login and
// from the session after it, never from a header.
//
// Invariants: a host name belongs to one tenant; there is always at least one tenant;
// with exactly one tenant and no configured hosts every host is its.
package tenant

import (
	"context"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/id"
)

// ID names a tenant.
type ID = id.ID[auth.Tenant]

// Tenant is one legal operator.
type Tenant struct {
	ID    ID
	Code  string // short plain name: main, renji
	Name  string
	Hosts []string
	Demo  bool // its data was made by --demo
}

// Service is what others may ask.
type Service interface {
	// ByHost finds the tenant of a public host name; tenant.unknown_host when none has it.
	ByHost(ctx context.Context, host string) (ID, error)
	// List gives every tenant, at most 1,000; for jobs and the command line.
	List(ctx context.Context) ([]Tenant, error)
	// Ensure makes the tenant with this code, or changes its name and hosts to these. Idempotent.
	Ensure(ctx context.Context, t Tenant) (Tenant, error)
}
