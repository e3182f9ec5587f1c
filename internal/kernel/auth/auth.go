// Package auth carries who acts. Only doors (HTTP, jobs, consumers, the command
// line, tests) put a principal into a context; everything else reads it.
package auth

import (
	"context"

	"xinglin/internal/kernel/fault"
	"xinglin/internal/kernel/id"
)

// Tenant and Account are the nouns that a principal names. The tenant and identity
// contracts alias them.
type (
	Tenant  struct{}
	Account struct{}
	Session struct{}
	// Organization scopes a staff role to a hospital, campus or pharmacy.
	Organization struct{}
)

// Kind is the sort of a principal.
type Kind string

// The kinds of principals.
const (
	Patient Kind = "patient" // a person with an account; may act for family members
	Staff   Kind = "staff"
	Client  Kind = "client" // a partner's program
	CLI     Kind = "cli"    // an operator on the machine; Name is the OS user
	System  Kind = "system" // jobs and consumers
)

// Role is a right's bundle. Patients have none; staff have one or more.
type Role string

// The roles of the foundation. The three administrators exclude each other: the
// first runs the system, the second grants rights, the third reads the trail (R58).
const (
	Doctor    Role = "doctor"
	Nurse     Role = "nurse"
	Registrar Role = "registrar"
	Operator  Role = "operator"
	// PrivacyOfficer answers to persons and authorities for what is done with personal data (个人信息保护负责人, PIPL art. 52).
	PrivacyOfficer Role = "privacy_officer"
	SystemAdmin    Role = "system_admin"
	SecurityAdmin  Role = "security_admin"
	AuditAdmin     Role = "audit_admin"
)

// Grant is a role within an organization of the tenant.
type Grant struct {
	Role         Role
	Organization id.ID[Organization]
}

// Principal is who acts, on which tenant. It never comes from a header: the session,
// the job row or the command line decides.
type Principal struct {
	Kind    Kind
	Tenant  id.ID[Tenant]
	Account id.ID[Account]
	Session id.ID[Session]
	Name    string // cli:<os user>, job:<kind>, consumer:<context>; empty for people
	Grants  []Grant
	Factors int // how many factors this session proved
	// Fresh: a person proved within the last minutes that they are there (identity says how many). Nobody else has to.
	Fresh bool
	// Practitioner is the directory's id of a doctor or nurse, zero for others.
	Practitioner id.ID[id.Any]
}

// Has reports whether the principal holds the role in any organization.
func (p Principal) Has(r Role) bool {
	for _, g := range p.Grants {
		if g.Role == r {
			return true
		}
	}
	return false
}

// Person reports whether somebody sits behind the principal, who can be asked to prove it again.
func (p Principal) Person() bool { return p.Kind == Patient || p.Kind == Staff }

// Actor names the principal in audit rows: kind and account or name, no personal data.
func (p Principal) Actor() string {
	if !p.Account.IsZero() {
		return string(p.Kind) + ":" + p.Account.String()
	}
	return string(p.Kind) + ":" + p.Name
}

// ErrNone is the refusal for a request without a principal.
var ErrNone = fault.Register(fault.Unauthenticated, "auth.required", "请先登录", "Sign in first")

// ErrStepUp is the refusal of an act that its permission allows only right after a proof: POST /auth/step-up, then the same again.
// It is no 401, because the session is good for everything else.
var ErrStepUp = fault.Register(fault.Forbidden, "auth.step_up", "请先再次验证身份", "Prove once more that it is you")

type key struct{}

// With puts the principal in. Only doors may call it (archtest).
func With(ctx context.Context, p Principal) context.Context {
	return context.WithValue(ctx, key{}, p)
}

// From reads the principal; ErrNone when there is none.
func From(ctx context.Context) (Principal, error) {
	if p, ok := ctx.Value(key{}).(Principal); ok {
		return p, nil
	}
	return Principal{}, ErrNone.New()
}
