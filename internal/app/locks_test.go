package app

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"xinglin/internal/demo"
	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/id"
	"xinglin/internal/kernel/secret"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/httpx"
	"xinglin/internal/scheduling/rotagen"
	"xinglin/internal/tenant"
	"xinglin/internal/testkit"
	"xinglin/internal/testkit/apitest"
	"xinglin/internal/testkit/dbtest"
)

// twoHospitals is one installation with two tenants, each with its own demo hospital.
type twoHospitals struct {
	api     *apitest.Harness
	clk     *clock.Manual
	tenants [2]id.ID[auth.Tenant]
	patient [2]auth.Principal
	staff   [2][]auth.Principal
	db      *dbtest.Database
}

// firstLock finds the explicit tenant predicate of a statement.
var firstLock = regexp.MustCompile(`\b([a-z0-9_]+\.)?tenant_id = (\$\d+)`)

// lockOff takes the first lock off: the parameter stays, the comparison goes. It counts
// the statements that it changed.
func lockOff(changed *sync.Map) func(string) string {
	return func(text string) string {
		out := firstLock.ReplaceAllString(text, "(CAST($2 AS uuid) IS NOT NULL)")
		if out != text {
			changed.Store(text, true)
		}
		return out
	}
}

// build makes both hospitals.
func build(t *testing.T) *twoHospitals {
	t.Helper()
	w := &twoHospitals{db: dbtest.Make(t, db.Postgres, Sets()), clk: clock.NewManual(time.Date(2026, 3, 2, 1, 0, 0, 0, time.UTC))}
	h := w.wire(t, nil)
	ctx := context.Background()
	cli := auth.With(ctx, auth.Principal{Kind: auth.CLI, Name: "test"})
	for i, code := range []string{"east", "west"} {
		want := tenant.Tenant{Code: code, Name: code, Demo: true, Hosts: []string{code + ".test"}}
		made, err := h.Tenants.Ensure(cli, want)
		if err != nil {
			t.Fatal(err)
		}
		w.tenants[i] = made.ID
		seedHospital(t, h, made.ID, w.clk)
		own := auth.With(ctx, auth.Principal{Kind: auth.CLI, Tenant: made.ID, Name: "test"})
		a, err := h.Identity.EnsurePatient(own, secret.New("13800000001"))
		if err != nil {
			t.Fatal(err)
		}
		w.patient[i] = auth.Principal{Kind: auth.Patient, Tenant: made.ID, Account: a, Factors: 1}
		w.staff[i] = []auth.Principal{ // no administrator has other work
			apitest.Staff(made.ID, auth.Doctor, auth.Nurse, auth.Registrar, auth.Operator),
			apitest.Staff(made.ID, auth.SystemAdmin, auth.SecurityAdmin, auth.AuditAdmin),
		}
	}
	return w
}

// wire is a process on their database.
func (w *twoHospitals) wire(t *testing.T, rewrite func(string) string) *House {
	t.Helper()
	srv := w.db.Open(t, dbtest.WithClock(w.clk), func(o *db.Options) { o.Rewrite = rewrite })
	h, err := Wire(context.Background(), Machines{
		DB: srv, Clock: w.clk, Crypt: testkit.Ring(t, srv, w.clk), Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
		Signals: testkit.Signals(), Demo: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// open opens their doors, with every statement rewritten.
func (w *twoHospitals) open(t *testing.T, rewrite func(string) string) {
	t.Helper()
	h := w.wire(t, rewrite)
	routes := []func(*httpx.API){(&operator{house: h}).routes}
	for _, m := range h.Modules {
		routes = append(routes, m.Routes)
	}
	w.api = apitest.With(t, httpx.Options{Clock: w.clk}, routes...)
}

func seedHospital(t *testing.T, h *House, tid id.ID[auth.Tenant], clk clock.Clock) {
	t.Helper()
	seed := demo.Hospital{
		Tenant: tid, Clock: clk, Directory: h.Directory, Identity: h.Identity, Logins: h.Demo, Patients: h.Patients, Scheduling: h.Scheduling, Privacy: h.Privacy,
		Rota: func(w io.Writer, seed uint64, rows int, from clock.Date) error {
			_, err := rotagen.Write(w, rotagen.Options{Seed: seed, Rows: rows, From: from})
			return err
		},
		As: auth.With,
	}
	if err := seed.Seed(context.Background()); err != nil {
		t.Fatal(err)
	}
}

// TestLocks: the other tenant reaches nothing over any route, with the first lock (the
// tenant in each statement) on, and with it off, when row-level security holds alone.
func TestLocks(t *testing.T) {
	var changed sync.Map
	w := build(t)
	for name, rewrite := range map[string]func(string) string{"both": nil, "second only": lockOff(&changed)} {
		t.Run(name, func(t *testing.T) {
			w.open(t, rewrite)
			if rewrite == nil {
				w.askTables(t)
			}
			foreign := w.idsOf(t, w.tenants[0])
			before := w.fingerprint(t, w.tenants[0])
			for _, op := range w.api.API.Ops() {
				w.tryAs(t, op, foreign)
			}
			if after := w.fingerprint(t, w.tenants[0]); after != before {
				t.Error("the other tenant changed rows")
			}
		})
	}
	n := 0
	changed.Range(func(any, any) bool { n++; return true })
	if n < 40 {
		t.Errorf("the first lock was taken off %d statements only", n)
	}
}

// tryAs calls one operation as people of the second tenant, with every id of the first.
func (w *twoHospitals) tryAs(t *testing.T, op httpx.Op, foreign map[string][]string) {
	path := strings.TrimPrefix(op.Path, httpx.Prefix)
	if op.Stream || op.Machine {
		return
	}
	headers := []apitest.Header{apitest.IfMatch(1), apitest.Key(id.New[id.Any](testkit.Start))}
	for _, who := range append([]auth.Principal{w.patient[1]}, w.staff[1]...) {
		paths := []string{path}
		if strings.Contains(path, "{id}") {
			paths = nil
			for _, ids := range foreign {
				paths = append(paths, strings.ReplaceAll(path, "{id}", ids[0]))
			}
		}
		for _, p := range paths {
			var body any
			if op.Method != "GET" && op.Method != "DELETE" {
				body = map[string]any{}
			}
			r := w.api.Do(who, op.Method, p, body, headers...)
			if len(paths) > 1 && r.Status < 300 {
				t.Errorf("%s %s answered %d for another tenant's id", op.Method, path, r.Status)
			}
			for table, ids := range foreign {
				for _, x := range ids {
					if strings.Contains(string(r.Body), x) && !strings.Contains(p, x) {
						t.Fatalf("%s %s shows %s %s of the other tenant", op.Method, path, table, x)
					}
				}
			}
		}
	}
}

// tables lists every table of every schema that carries a tenant.
func (w *twoHospitals) tables(t *testing.T) []string {
	t.Helper()
	out, _, err := w.db.Owner(t).In("", "", `-- global: the catalogue
		SELECT table_schema || '.' || table_name FROM information_schema.columns WHERE column_name = 'tenant_id' ORDER BY 1`)
	if err != nil || len(out) < 40 {
		t.Fatalf("%d tables, %v", len(out), err)
	}
	return out
}

// idsOf gives some ids of the tenant from every table that has them.
func (w *twoHospitals) idsOf(t *testing.T, tid id.ID[auth.Tenant]) map[string][]string {
	t.Helper()
	raw, out := w.db.Login(t), map[string][]string{}
	for _, table := range w.tables(t) {
		schema, name, _ := strings.Cut(table, ".")
		if slices.Contains([]string{"keys", "process", "tenant"}, schema) || slices.Contains([]string{"outbox", "trail", "job", "inbox"}, name) {
			continue
		}
		ids, _, err := raw.In("ctx_"+schema+"_all", "", "SELECT CAST(id AS TEXT) FROM "+table+" WHERE tenant_id = $1 ORDER BY id LIMIT 3", tid)
		if err == nil && len(ids) > 0 && ids[0] != tid.String() { // a table may have another key
			out[table] = ids
		}
	}
	if len(out) < 8 {
		t.Fatalf("only %d tables have rows of the first tenant", len(out))
	}
	return out
}

// fingerprint is a hash over all rows of a tenant in every table.
func (w *twoHospitals) fingerprint(t *testing.T, tid id.ID[auth.Tenant]) string {
	t.Helper()
	raw, sum := w.db.Login(t), sha256.New()
	for _, table := range w.tables(t) {
		schema, _, _ := strings.Cut(table, ".")
		got, _, err := raw.In("ctx_"+schema+"_all", "", "SELECT count(*) || ' ' || COALESCE(md5(string_agg(md5(CAST(x AS TEXT)), '' ORDER BY md5(CAST(x AS TEXT)))), '') FROM "+
			table+" x WHERE tenant_id = $1", tid)
		if err != nil {
			t.Fatalf("%s: %v", table, err)
		}
		fmt.Fprintln(sum, table, got)
	}
	return hex.EncodeToString(sum.Sum(nil))
}

// askTables asks every table directly: the login role may read nothing, a context's
// role without a tenant sees no row, with a tenant only its rows, and can change no other.
func (w *twoHospitals) askTables(t *testing.T) {
	t.Helper()
	raw, full := w.db.Login(t), 0
	first, second := w.tenants[0].String(), w.tenants[1].String()
	for _, table := range w.tables(t) {
		schema, _, _ := strings.Cut(table, ".")
		role := "ctx_" + schema
		if _, _, err := raw.In("", "", "SELECT '' FROM "+table); err == nil {
			t.Errorf("%s: the login role may read it", table)
		}
		count := func(as, tenant, where string) string {
			n, _, err := raw.In(as, tenant, "SELECT CAST(count(*) AS TEXT) FROM "+table+where)
			if err != nil {
				t.Fatalf("%s as %s: %v", table, as, err)
			}
			return n[0]
		}
		if n := count(role, "", ""); n != "0" {
			t.Errorf("%s: %s rows without a tenant", table, n)
		}
		if n := count(role, second, " WHERE tenant_id = '"+first+"'"); n != "0" {
			t.Errorf("%s: %s rows of the first tenant for the second", table, n)
		}
		if all := count(role+"_all", "", " WHERE tenant_id = '"+first+"'"); all != "0" {
			full++
			if n := count(role, first, ""); n != all {
				t.Errorf("%s: the tenant sees %s of its %s rows", table, n, all)
			}
		}
		for _, change := range []string{
			"DELETE FROM " + table + " WHERE tenant_id = '" + first + "'",
			"UPDATE " + table + " SET tenant_id = '" + second + "' WHERE tenant_id = '" + first + "'",
		} {
			if _, n, err := raw.In(role, second, change); err == nil && n != 0 {
				t.Errorf("%s: %d rows of the first tenant moved", table, n)
			}
		}
	}
	if full < 12 {
		t.Errorf("only %d tables had rows to protect", full)
	}
}
