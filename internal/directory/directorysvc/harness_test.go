package directorysvc

import (
	"context"
	"strings"
	"testing"

	"xinglin/internal/directory"
	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/clock"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/module"
	"xinglin/internal/platform/verify"
	"xinglin/internal/testkit"
	"xinglin/internal/testkit/apitest"
	"xinglin/internal/testkit/dbtest"
)

// bench is the context on one engine.
type bench struct {
	*apitest.Harness
	t    *testing.T
	s    *Service
	mod  *module.Module
	base module.Base
	op   auth.Principal
}

func each(t *testing.T, f func(t *testing.T, b *bench)) {
	t.Helper()
	clk := testkit.Clock()
	dbtest.Each(t, testkit.Sets(Describe()), func(t *testing.T, srv *db.Server) { f(t, newBench(t, srv, clk)) }, dbtest.WithClock(clk))
}

func newBench(t *testing.T, srv *db.Server, clk *clock.Manual) *bench {
	t.Helper()
	base := testkit.Base(t, srv, Describe(), testkit.WithClock(clk))
	s, mod := New(base)
	return &bench{Harness: apitest.New(t, mod.Routes), t: t, s: s, mod: mod, base: base, op: apitest.Staff(apitest.Main, auth.Operator)}
}

func cli(tenant directory.TenantID) context.Context {
	return testkit.AsCLI(context.Background(), tenant)
}

func (b *bench) place(r directory.Roster) directory.Placed {
	b.t.Helper()
	p, err := b.s.Place(cli(apitest.Main), r, false)
	if err != nil {
		b.t.Fatal(err)
	}
	return p
}

func doctor(licence, name, campus, department, specialty string) directory.RosterDoctor {
	return directory.RosterDoctor{Licence: licence, Name: name, Title: "主任医师", Campus: campus, Department: department, Specialty: specialty}
}

// count asks for one number over all that the tenant has.
func (b *bench) count(tenant directory.TenantID, query string) (n int) {
	b.t.Helper()
	err := b.base.DB.Read(context.Background(), tenant, func(ctx context.Context, tx db.Tx) error {
		return tx.QueryRow(ctx, query, tenant).Scan(&n)
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return n
}

func (b *bench) rows() (n int) {
	for _, table := range []string{"organization", "campus", "department", "practitioner", "practitioner_role", "outbox", "trail"} {
		n += b.count(apitest.Main, "SELECT COUNT(*) FROM "+table+" WHERE tenant_id = $1")
	}
	return n
}

// broken runs verify and names the lines that see a violation.
func (b *bench) broken() map[string]int {
	b.t.Helper()
	var actions []string
	for _, p := range b.base.Authz.Permissions() {
		actions = append(actions, p.Action)
	}
	var text strings.Builder
	rep, err := verify.Run(context.Background(), []verify.Unit{{
		Context: "directory", DB: b.base.DB, Checks: b.mod.Checks, Events: []string{directory.PractitionerChanged{}.EventName()}, Actions: actions, Jobs: []string{},
	}}, nil, &text)
	if err != nil {
		b.t.Fatalf("%v\n%s", err, text.String())
	}
	out := map[string]int{}
	for _, l := range rep.Lines {
		if n := l.Violations + l.InFlight; n > 0 {
			out[l.Name] = n
		}
	}
	return out
}
