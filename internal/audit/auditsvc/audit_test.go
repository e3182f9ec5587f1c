package auditsvc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"xinglin/internal/audit"
	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/id"
	"xinglin/internal/kernel/page"
	"xinglin/internal/platform/authz"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/module"
	"xinglin/internal/platform/trail"
	"xinglin/internal/platform/verify"
	"xinglin/internal/testkit"
	"xinglin/internal/testkit/apitest"
	"xinglin/internal/testkit/dbtest"
)

type bench struct {
	*apitest.Harness
	t    *testing.T
	s    *Service
	mod  *module.Module
	base module.Base
	srv  *db.Server
	clk  *clock.Manual
	boss auth.Principal
	own  audit.TenantID // zero: apitest.Main
}

// tenant is whose log is looked at.
func (b *bench) tenant() audit.TenantID {
	if b.own.IsZero() {
		return apitest.Main
	}
	return b.own
}

func each(t *testing.T, f func(t *testing.T, b *bench)) {
	t.Helper()
	clk := testkit.Clock()
	sets := append(testkit.Sets(Describe()), db.Set{Name: "shelf", FS: db.NoMigrations})
	dbtest.Each(t, sets, func(t *testing.T, srv *db.Server) {
		clk.Set(testkit.Start)
		base := testkit.Base(t, srv, Describe(), testkit.WithClock(clk))
		s, mod := New(base)
		f(t, &bench{Harness: apitest.New(t, mod.Routes), t: t, s: s, mod: mod, base: base, srv: srv, clk: clk, boss: apitest.Staff(apitest.Main, auth.AuditAdmin)})
	}, dbtest.WithClock(clk))
}

// rows makes n acts of a tenant, the youngest last.
func rows(tenant audit.TenantID, n int) (out []trail.Row) {
	for i := range n {
		at := testkit.Start.Add(time.Duration(i) * time.Second)
		out = append(out, trail.Row{
			Tenant: tenant, ID: id.New[trail.Act](at), At: at, Actor: fmt.Sprintf("staff:%d", i%2), Action: "shelf.put", Noun: []string{"Book", "Box", "Pen"}[i%3],
			Object: fmt.Sprintf("o-%d", i%4), Policy: "shelf.own", Why: "asked", Changed: json.RawMessage(`["name"]`), Origin: "http 192.0.2.1", Trace: "t", Number: "REG-1",
		})
	}
	return out
}

func (b *bench) collect(rs []trail.Row) {
	b.t.Helper()
	if err := b.s.Collect(context.Background(), "shelf", rs); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) count(table string, tenant audit.TenantID) (n int) {
	b.t.Helper()
	err := b.base.DB.Read(context.Background(), tenant, func(ctx context.Context, tx db.Tx) error {
		return tx.QueryRow(ctx, "SELECT COUNT(*) FROM "+table+" WHERE tenant_id = $1", tenant).Scan(&n)
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return n
}

// lastAct is the newest row of the own trail.
func (b *bench) lastAct() (text string) {
	b.t.Helper()
	err := b.base.DB.Read(context.Background(), b.tenant(), func(ctx context.Context, tx db.Tx) error {
		var action, object string
		err := tx.QueryRow(ctx, "SELECT action, object FROM trail WHERE tenant_id = $1 ORDER BY id DESC LIMIT 1", tx.Tenant()).Scan(&action, &object)
		text = action + " " + object
		return err
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return text
}

func TestCollectKeepsEachOnce(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		mine, theirs := rows(apitest.Main, 2*batch+5), rows(apitest.Other, 3)
		var mixed []trail.Row // several tenants in turn, and one after the other
		for i, r := range theirs {
			mixed = append(mixed, mine[i], r)
		}
		mixed = append(mixed, mine[len(theirs):]...)
		b.collect(nil)
		for range 2 {
			b.collect(mixed)
			b.collect(mine[:7])
		}
		if m, o := b.count("audit_event", apitest.Main), b.count("audit_event", apitest.Other); m != len(mine) || o != len(theirs) {
			t.Errorf("%d and %d rows", m, o)
		}
		changed := mine[:1]
		changed[0].Why = "another story"
		b.collect(changed)
		got, err := b.s.List(testkit.As(t.Context(), b.boss), audit.Query{Object: "o-0", Noun: "Book"})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range got.Items {
			if e.Why != "asked" {
				t.Errorf("a row was changed: %+v", e)
			}
		}
	})
}

func TestListNewestFirst(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		const n = 30
		mine := rows(apitest.Main, n)
		b.collect(mine)
		b.collect(rows(apitest.Other, n))
		read := func(query string) (ids []string) {
			t.Helper()
			next := ""
			for range 20 {
				r := b.Do(b.boss, "GET", "/audit/events?limit=7&"+query+"&cursor="+next, nil).Want(t, 200)
				for _, e := range r.Items(t) {
					ids = append(ids, e["id"].(string))
				}
				if next = r.Map(t)["next"].(string); next == "" {
					return ids
				}
			}
			t.Fatal("the pages do not end")
			return nil
		}
		for query, keep := range map[string]func(trail.Row) bool{
			"":                              func(trail.Row) bool { return true },
			"actor=staff:1":                 func(r trail.Row) bool { return r.Actor == "staff:1" },
			"noun=Box":                      func(r trail.Row) bool { return r.Noun == "Box" },
			"id=o-2":                        func(r trail.Row) bool { return r.Object == "o-2" },
			"actor=staff:0&noun=Pen&id=o-2": func(r trail.Row) bool { return r.Actor == "staff:0" && r.Noun == "Pen" && r.Object == "o-2" },
			"actor=nobody":                  func(trail.Row) bool { return false },
		} {
			var want []string
			for i := len(mine) - 1; i >= 0; i-- {
				if keep(mine[i]) {
					want = append(want, mine[i].ID.String())
				}
			}
			if got := read(query); fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("%s: %d rows, want %d", query, len(got), len(want))
			}
		}
		e := b.Do(b.boss, "GET", "/audit/events?limit=1", nil).Want(t, 200).Items(t)[0]
		if e["context"] != "shelf" || e["policy"] != "shelf.own" || e["origin"] != "http 192.0.2.1" || e["number"] != "REG-1" || fmt.Sprint(e["changed"]) != "map[name:<nil>]" {
			t.Errorf("%v", e)
		}
	})
}

func TestOnlyTheAuditAdministratorReads(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		b.collect(rows(apitest.Main, 3))
		for _, who := range []auth.Principal{
			apitest.Patient(apitest.Main), apitest.Staff(apitest.Main), apitest.Staff(apitest.Main, auth.SystemAdmin, auth.SecurityAdmin, auth.Operator, auth.Doctor),
		} {
			b.Do(who, "GET", "/audit/events", nil).Refused(t, 403, "authz.denied")
		}
		b.Do(apitest.Nobody(apitest.Main), "GET", "/audit/events", nil).Refused(t, 401, "auth.required")
		if _, err := b.s.List(testkit.AsCLI(t.Context(), apitest.Main), audit.Query{}); !errors.Is(err, authz.ErrDenied) {
			t.Errorf("the command line: %v", err)
		}
		if n := b.count("trail", apitest.Main); n != 0 {
			t.Errorf("refusals left %d rows", n)
		}
		r := b.Do(b.boss, "GET", "/audit/events?limit=1", nil).Want(t, 200)
		next := r.Map(t)["next"].(string)
		if n := b.count("trail", apitest.Main); n != 1 {
			t.Errorf("reading left %d rows in the trail", n)
		}
		theirs := apitest.Staff(apitest.Other, auth.AuditAdmin)
		if got := b.Do(theirs, "GET", "/audit/events", nil).Want(t, 200).Items(t); len(got) != 0 {
			t.Errorf("another tenant's: %v", got)
		}
		b.Do(theirs, "GET", "/audit/events?cursor="+next, nil).Refused(t, 400, "http.cursor")
		for _, q := range []string{"cursor=x", "limit=101", "limit=0", "actor=" + strings.Repeat("x", 81)} {
			if r := b.Do(b.boss, "GET", "/audit/events?"+q, nil); r.Status != 400 && r.Status != 422 {
				t.Errorf("%s: %d", q, r.Status)
			}
		}
	})
}

// From a context's transaction to the reader, and the reading itself after it.
func TestFromTrailToReader(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		shelf, err := b.srv.Context(t.Context(), "shelf")
		if err != nil {
			t.Fatal(err)
		}
		who := apitest.Patient(apitest.Main)
		err = shelf.Write(testkit.As(t.Context(), who), apitest.Main, func(ctx context.Context, tx db.Tx) error {
			_, err := trail.Record(ctx, tx, trail.Entry{Action: "shelf.put", Noun: "Book", ID: "b-1", Changed: map[string]trail.Change{"state": {From: "in", To: "out"}}})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		collector := &trail.Collector{DBs: []*db.DB{shelf, b.base.DB}, Sink: b.s}
		list := func() []map[string]any {
			t.Helper()
			if err := collector.Collect(t.Context()); err != nil {
				t.Fatal(err)
			}
			return b.Do(b.boss, "GET", "/audit/events", nil).Want(t, 200).Items(t)
		}
		first := list()
		if len(first) != 1 || first[0]["actor"] != who.Actor() || first[0]["context"] != "shelf" || fmt.Sprint(first[0]["changed"]) != "map[state:map[from:in to:out]]" {
			t.Fatalf("%v", first)
		}
		b.clk.Add(time.Second)
		second := list()
		if len(second) != 2 || second[0]["action"] != "audit.list_events" || second[0]["actor"] != b.boss.Actor() || second[0]["context"] != "audit" || second[0]["policy"] != "audit.administrator" {
			t.Errorf("%v", second)
		}
		var text strings.Builder
		rep, err := verify.Run(t.Context(), []verify.Unit{{Context: "audit", DB: b.base.DB, Checks: b.mod.Checks, Sets: b.mod.Sets, Events: []string{}, Actions: []string{"audit.list_events"}, Jobs: []string{jobSign, jobAnchor, jobKeep}}}, nil, &text)
		if err != nil || !rep.Clean() {
			t.Errorf("%v %s", err, text.String())
		}
		if len(b.mod.Sets) != 1 || b.mod.Sets[0].Name != "audit.acts" {
			t.Errorf("sets %v", b.mod.Sets)
		}
	})
}

// Nothing in the context changes a row, and only the disposal of closed segments removes
// one (R57).
func TestNoOtherWayToDelete(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil || len(files) == 0 {
		t.Fatal(err)
	}
	path := regexp.MustCompile(`(?i)(delete\s+from|update|truncate|drop)\s+(table\s+)?(audit_event|log_leaf)`)
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(f, "_test.go") && f != "store_keep.go" && path.Match(b) {
			t.Errorf("%s changes or removes audit rows", f)
		}
	}
}

// What the installation does to a tenant stands in the tenant's log, which alone is signed and read.
func TestInstallationRowsStandInTheTenantsLog(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		made := rows(audit.TenantID{}, 3)
		for i, object := range []string{apitest.Main.String(), apitest.Other.String(), apitest.Main.String()} {
			made[i].Noun, made[i].Object = "Tenant", object
		}
		b.collect(made)
		b.collect(made[:2])
		if m, o, none := b.count("audit_event", apitest.Main), b.count("audit_event", apitest.Other), b.count("audit_event", audit.TenantID{}); m != 2 || o != 1 || none != 0 {
			t.Errorf("%d, %d and %d rows", m, o, none)
		}
		if n := b.count("job", audit.TenantID{}); n != 0 {
			t.Errorf("%d jobs for a log without keys", n)
		}
	})
}

// TestTouched: what others did with a few items, the newest first; not the program, not whom the question leaves out, not another tenant.
func TestTouched(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		rs := rows(apitest.Main, 12) // objects o-0 to o-3 in turn, actors staff:0 and staff:1 in turn
		rs[4].Actor = "system:job"   // an act on o-0
		b.collect(rs)
		b.collect(rows(apitest.Other, 12))
		ask := func(q audit.Touch) (out []int) {
			t.Helper()
			got, err := b.s.Touched(t.Context(), apitest.Main, q)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range got.Items {
				out = append(out, int(e.At.Sub(testkit.Start)/time.Second))
			}
			return out
		}
		two := []string{"o-0", "o-3"}
		event := func(n int) audit.EventID { return audit.EventID(rs[n].ID) }
		size := func(n int) page.Request { return page.Request{Limit: n} }
		for _, c := range []struct {
			name string
			q    audit.Touch
			want string
		}{
			{"all", audit.Touch{Objects: two, Page: size(100)}, "[11 8 7 3 0]"},
			{"a page", audit.Touch{Objects: two, Page: size(2)}, "[11 8]"},
			{"the next page", audit.Touch{Objects: two, Page: page.Request{Limit: 2, Cursor: event(8).String()}}, "[7 3]"},
			{"but one actor", audit.Touch{Objects: two, But: []string{"staff:1"}, Page: size(100)}, "[8 0]"},
			{"one event", audit.Touch{Objects: two, Only: event(3)}, "[3]"},
			{"an event of another item", audit.Touch{Objects: two, Only: event(2)}, "[]"},
			{"no items", audit.Touch{}, "[]"},
		} {
			if got := fmt.Sprint(ask(c.q)); got != c.want {
				t.Errorf("%s: %s, want %s", c.name, got, c.want)
			}
		}
		first, err := b.s.Touched(t.Context(), apitest.Main, audit.Touch{Objects: two, Page: size(2)})
		if err != nil || first.Next != event(8).String() {
			t.Errorf("the next page begins behind %q: %v", first.Next, err)
		}
		if all, err := b.s.Touched(t.Context(), apitest.Main, audit.Touch{Objects: two, Page: size(5)}); err != nil || all.Next != "" {
			t.Errorf("a page that holds all has a next one: %q %v", all.Next, err)
		}
		if _, err := b.s.Touched(t.Context(), apitest.Main, audit.Touch{Objects: make([]string, maxTouched+1)}); err == nil {
			t.Error("more items than a question may name")
		}
	})
}
