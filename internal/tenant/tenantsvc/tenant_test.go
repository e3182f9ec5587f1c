package tenantsvc

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/fault"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/httpx"
	"xinglin/internal/tenant"
	"xinglin/internal/testkit"
	"xinglin/internal/testkit/dbtest"
	"xinglin/internal/testkit/pgcluster"
)

func TestMain(m *testing.M) {
	code := m.Run()
	if c, err := pgcluster.Shared(); err == nil && os.Getenv(pgcluster.Env) == "" {
		_ = c.Stop()
	}
	os.Exit(code)
}

var _ httpx.Tenants = (*Service)(nil)

// each gives a fresh registry on each engine.
func each(t *testing.T, f func(t *testing.T, d *dbtest.Database)) {
	dbtest.EachDatabase(t, testkit.Sets(Describe()), f)
}

func open(t *testing.T, d *dbtest.Database) *Service {
	t.Helper()
	s, m := New(testkit.Base(t, d.Open(t), Describe()))
	if m.Name != "tenant" {
		t.Fatalf("module %q", m.Name)
	}
	return s
}

func operator(t *testing.T) context.Context { return testkit.AsCLI(t.Context(), tenant.ID{}) }

func ensure(t *testing.T, s *Service, x tenant.Tenant) tenant.Tenant {
	t.Helper()
	got, err := s.Ensure(operator(t), x)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestByHost(t *testing.T) {
	each(t, func(t *testing.T, d *dbtest.Database) {
		s := open(t, d)
		if _, err := s.ByHost(t.Context(), "any.example"); !errors.Is(err, tenant.ErrUnknownHost) {
			t.Fatalf("no tenant: %v", err)
		}
		main := ensure(t, s, tenant.Tenant{Code: "main", Name: "杏林医院"})
		if got, err := s.ByHost(t.Context(), "any.example"); err != nil || got != main.ID {
			t.Fatalf("one tenant, no hosts: %v %v", got, err)
		}
		ensure(t, s, tenant.Tenant{Code: "main", Name: "杏林医院", Hosts: []string{"A.Example", "b.example."}})
		renji := ensure(t, s, tenant.Tenant{Code: "renji", Name: "仁济医院", Hosts: []string{"renji.example"}})
		for host, want := range map[string]tenant.ID{"a.example": main.ID, "B.EXAMPLE": main.ID, "renji.example.": renji.ID, "c.example": {}, "": {}} {
			got, err := s.ByHost(t.Context(), host)
			if got != want || (want.IsZero() && !errors.Is(err, tenant.ErrUnknownHost)) {
				t.Errorf("%q: %v %v, want %v", host, got, err, want)
			}
		}
		list, err := s.List(t.Context())
		if err != nil || len(list) != 2 || strings.Join(list[0].Hosts, " ") != "a.example b.example" || list[1].Name != "仁济医院" {
			t.Fatalf("list %+v %v", list, err)
		}
	})
}

// A second tenant would take the first one's people away, as long as that one is found under every name.
func TestOfSeveralEachHasAHost(t *testing.T) {
	each(t, func(t *testing.T, d *dbtest.Database) {
		s := open(t, d)
		ensure(t, s, tenant.Tenant{Code: "main", Name: "m"})
		renji := tenant.Tenant{Code: "renji", Name: "仁济医院", Hosts: []string{"renji.example"}}
		if _, err := s.Ensure(operator(t), renji); !errors.Is(err, tenant.ErrHostNeeded) {
			t.Fatal(err)
		}
		ensure(t, s, tenant.Tenant{Code: "main", Name: "m", Hosts: []string{"a.example"}})
		ensure(t, s, renji)
		for _, x := range []tenant.Tenant{{Code: "third", Name: "t"}, {Code: "main", Name: "m"}} {
			if _, err := s.Ensure(operator(t), x); !errors.Is(err, tenant.ErrHostNeeded) {
				t.Fatalf("%s: %v", x.Code, err)
			}
		}
		if list, err := s.List(t.Context()); err != nil || len(list) != 2 || len(list[0].Hosts) != 1 {
			t.Fatalf("%+v %v", list, err)
		}
	})
}

func TestOneTenantWithHostsRefusesOthers(t *testing.T) {
	each(t, func(t *testing.T, d *dbtest.Database) {
		s := open(t, d)
		ensure(t, s, tenant.Tenant{Code: "main", Name: "m", Hosts: []string{"a.example"}})
		if _, err := s.ByHost(t.Context(), "b.example"); !errors.Is(err, tenant.ErrUnknownHost) {
			t.Fatal(err)
		}
	})
}

func TestEnsureIsIdempotentAndAudited(t *testing.T) {
	each(t, func(t *testing.T, d *dbtest.Database) {
		s := open(t, d)
		a := ensure(t, s, tenant.Tenant{Code: "main", Name: "m", Hosts: []string{"a.example"}})
		b := ensure(t, s, tenant.Tenant{Code: "main", Name: "m", Hosts: []string{"a.example"}})
		c := ensure(t, s, tenant.Tenant{Code: "main", Name: "n"})
		if a.ID != b.ID || a.ID != c.ID || c.Name != "n" {
			t.Fatalf("%v %v %v", a, b, c)
		}
		var acts []string
		err := s.store.db.Read(t.Context(), installation, func(ctx context.Context, tx db.Tx) error {
			acts = nil
			rows, err := tx.Query(ctx, `SELECT actor, CAST(changed AS TEXT) FROM trail WHERE tenant_id = $1 ORDER BY id`, installation)
			if err != nil {
				return err
			}
			defer rows.Close()
			for rows.Next() {
				var who, what string
				if err := rows.Scan(&who, &what); err != nil {
					return err
				}
				acts = append(acts, who+strings.ReplaceAll(what, " ", ""))
			}
			return rows.Err()
		})
		want := []string{`cli:tester["code","name","hosts"]`, `cli:tester["name","hosts"]`}
		if err != nil || fmt.Sprint(acts) != fmt.Sprint(want) {
			t.Fatalf("%v %v, want %v", acts, err, want)
		}
	})
}

func TestRefusals(t *testing.T) {
	each(t, func(t *testing.T, d *dbtest.Database) {
		s := open(t, d)
		ensure(t, s, tenant.Tenant{Code: "main", Name: "m", Hosts: []string{"a.example"}})
		long := make([]string, maxHosts+1)
		for i := range long {
			long[i] = fmt.Sprintf("h%d.example", i)
		}
		staff := testkit.As(t.Context(), auth.Principal{Kind: auth.Staff, Grants: []auth.Grant{{Role: auth.SystemAdmin}}})
		for name, c := range map[string]struct {
			ctx  context.Context
			t    tenant.Tenant
			want string
		}{
			"code":       {operator(t), tenant.Tenant{Code: "Main", Name: "m"}, "tenant.invalid"},
			"name":       {operator(t), tenant.Tenant{Code: "other", Name: " "}, "tenant.invalid"},
			"host":       {operator(t), tenant.Tenant{Code: "other", Name: "m", Hosts: []string{"a.example:80"}}, "tenant.invalid"},
			"many hosts": {operator(t), tenant.Tenant{Code: "other", Name: "m", Hosts: long}, "tenant.invalid"},
			"taken":      {operator(t), tenant.Tenant{Code: "other", Name: "m", Hosts: []string{"a.example"}}, "tenant.host_taken"},
			"demo":       {operator(t), tenant.Tenant{Code: "other", Name: "m", Demo: true}, "tenant.demo_mixed"},
			"staff":      {staff, tenant.Tenant{Code: "other", Name: "m"}, "authz.denied"},
			"nobody":     {t.Context(), tenant.Tenant{Code: "other", Name: "m"}, "auth.required"},
		} {
			_, err := s.Ensure(c.ctx, c.t)
			if f := fault.Of(err); f == nil || f.Code.Name != c.want {
				t.Errorf("%s: %v, want %s", name, err, c.want)
			}
		}
		if list, err := s.List(t.Context()); err != nil || len(list) != 1 {
			t.Fatalf("half done: %v %v", list, err)
		}
	})
}

// Another process's change shows when the second is over, and not a query sooner.
func TestOtherProcessWithinASecond(t *testing.T) {
	d := dbtest.Make(t, db.Postgres, testkit.Sets(Describe()))
	a, b := open(t, d), open(t, d)
	now := testkit.Start
	b.known.mono = func() time.Time { return now }
	main := ensure(t, a, tenant.Tenant{Code: "main", Name: "m", Hosts: []string{"a.example"}})
	if got, err := b.ByHost(t.Context(), "a.example"); err != nil || got != main.ID {
		t.Fatal(got, err)
	}
	ensure(t, a, tenant.Tenant{Code: "main", Name: "m", Hosts: []string{"b.example"}})
	if got, err := a.ByHost(t.Context(), "b.example"); err != nil || got != main.ID {
		t.Fatalf("the process itself: %v %v", got, err)
	}
	now = now.Add(fresh - 1)
	if _, err := b.ByHost(t.Context(), "b.example"); !errors.Is(err, tenant.ErrUnknownHost) {
		t.Fatalf("not cached: %v", err)
	}
	now = now.Add(1)
	if got, err := b.ByHost(t.Context(), "b.example"); err != nil || got != main.ID {
		t.Fatalf("after a second: %v %v", got, err)
	}
}

// Many processes start at once and want the same tenant and, some of them, the same host.
func TestRace(t *testing.T) {
	d := dbtest.Make(t, db.Postgres, testkit.Sets(Describe()))
	s := open(t, d)
	ctx := operator(t)
	var wg sync.WaitGroup
	errs := make([]error, 16)
	for i := range errs {
		wg.Add(1)
		go func() {
			defer wg.Done()
			_, errs[i] = s.Ensure(ctx, tenant.Tenant{Code: fmt.Sprintf("t%d", i%2), Name: "m", Hosts: []string{"same.example"}})
		}()
	}
	wg.Wait()
	won := map[int]int{}
	for i, err := range errs {
		switch {
		case err == nil:
			won[i%2]++
		case !errors.Is(err, tenant.ErrHostTaken):
			t.Fatal(err)
		}
	}
	list, err := s.List(ctx)
	if err != nil || len(list) != 1 || len(won) != 1 {
		t.Fatalf("%v %v %v", list, won, err)
	}
}
