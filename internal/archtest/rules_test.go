package archtest

import (
	"strings"
	"testing"
	"testing/fstest"
)

// clean is a small repository that keeps every rule: two contexts, a door, the table.
var clean = map[string]string{
	"go.mod":                         "module xinglin\n",
	"cmd/xinglin/main.go":            "// Command xinglin is it.\npackage main\n\nimport _ \"xinglin/internal/app\"\n",
	"internal/kernel/clock/clock.go": "// Package clock tells time.\npackage clock\n\nimport \"time\"\n\nfunc now() time.Time { return time.Now() }\n",
	"internal/app/contexts.go": `// Package app wires.
package app

import _ "xinglin/internal/seats/seatssvc"

// Context is a row.
type Context struct { Name string; Calls, Hears []string }

var Contexts = []Context{
	{Name: "purse"},
	{Name: "seats", Calls: []string{"purse"}, Hears: []string{"purse"}},
}
`,
	"internal/purse/purse.go": `// Package purse is a contract.
package purse

import "xinglin/internal/kernel/clock"

// Service is the purse.
type Service interface { Open(); Close() }
`,
	"internal/purse/events.go": `package purse

// Paid says so.
type Paid struct { PaymentID string; AmountFen int64 }

// EventName names it.
func (Paid) EventName() string { return "purse.payment.paid.v1" }
`,
	"internal/purse/errors.go": `package purse

import "xinglin/internal/kernel/fault"

var ErrEmpty = fault.Register(fault.Conflict, "purse.empty", "空", "Empty")
`,
	"internal/purse/pursesvc/module.go":  "// Package pursesvc behaves.\npackage pursesvc\n\nfunc New() {}\n",
	"internal/seats/seats.go":            "// Package seats is a contract.\npackage seats\n",
	"internal/seats/words/words.go":      "// Package words are the sums of seats.\npackage words\n\nimport \"xinglin/internal/seats\"\n",
	"internal/seats/seatssvc/service.go": "// Package seatssvc behaves.\npackage seatssvc\n\nimport (\n\t\"xinglin/internal/purse\"\n\t\"xinglin/internal/seats/words\"\n)\n\nfunc New(p purse.Service) {}\n",
	"internal/seats/seatssvc/on_purse.go": "package seatssvc\n\nimport (\n\t\"xinglin/internal/platform/inbox\"\n\t\"xinglin/internal/purse\"\n)\n\n" +
		"var h = inbox.On(func(e purse.Paid) error { return nil })\n",
	"internal/seats/seatssvc/store.go": "package seatssvc\n\nimport \"xinglin/internal/platform/db\"\n\n" +
		"const head = `SELECT id FROM slot `\n\nvar q1, q2 = head + `WHERE tenant_id = $1`, `-- global: a clock\nSELECT 1`\n\nvar _ db.DB\n",
	"internal/seats/seatssvc/store_claim_pg.go":     "package seatssvc\n",
	"internal/seats/seatssvc/store_claim_sqlite.go": "package seatssvc\n",
	"internal/seats/seatssvc/http.go":               "package seatssvc\n\nimport _ \"net/http\"\n",
	"internal/seats/seatssvc/seats_test.go": "package seatssvc\n\nimport (\n\t\"io\"\n\t\"testing\"\n\n\t\"xinglin/internal/kernel/auth\"\n\t\"xinglin/internal/testkit\"\n)\n\n" +
		"func TestX(t *testing.T) { auth.With(nil, nil); io.ReadAll(nil); testkit.New(t) }\n",
	"internal/seats/seatssvc/migrations/0001_init.sql": "CREATE TABLE slot (\n  tenant_id {{uuid}} NOT NULL,\n  id {{uuid}} NOT NULL,\n  PRIMARY KEY (tenant_id, id)\n){{strict}};\n{{rls \"slot\"}}\n" +
		"CREATE TABLE holiday (\n  -- global: one calendar for all\n  day {{int}}\n){{strict}};\n",
	"internal/platform/httpx/door.go":   "// Package httpx is a door.\npackage httpx\n\nimport (\n\t\"xinglin/internal/kernel/auth\"\n\t\"xinglin/internal/kernel/fault\"\n)\n\nvar _ = auth.With(nil, nil)\n\nvar E = fault.Register(fault.Invalid, \"http.x\", \"\", \"\")\n",
	"internal/platform/db/db.go":        "// Package db stores.\npackage db\n\nimport _ \"database/sql\"\n\nfunc x(d DB) { d.WriteAll() }\n",
	"internal/testkit/testkit.go":       "// Package testkit is for tests.\npackage testkit\n\nimport (\n\t\"testing\"\n\t\"time\"\n)\n\nfunc New(t *testing.T) { time.Now() }\n",
	"docs/reference/errors.md":          "| purse.empty | 空 |\n| http.x |\n",
	"docs/reference/events.md":          "purse.payment.paid.v1\n",
	"web/node_modules/flatted/x.go":     "package util\n",
	"internal/seats/testdata/broken.go": "no Go\n",
}

// change is what a case puts over the clean tree: whole files, or +text appended.
type change map[string]string

func overlay(t *testing.T, c change) *Tree {
	t.Helper()
	files := fstest.MapFS{}
	for name, body := range clean {
		files[name] = &fstest.MapFile{Data: []byte(body)}
	}
	for name, body := range c {
		if more, ok := strings.CutPrefix(body, "+"); ok {
			if files[name] == nil {
				t.Fatalf("%s is not in the clean tree", name)
			}
			body = string(files[name].Data) + more
		}
		files[name] = &fstest.MapFile{Data: []byte(body)}
	}
	tree, err := Load(files)
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

func TestCleanTreeKeepsEveryRule(t *testing.T) {
	t.Parallel()
	for _, v := range Check(overlay(t, nil)) {
		t.Error(v)
	}
}

// svc is a file of seats' behaviour with one import and a line.
func svc(imports, line string) string {
	return "package seatssvc\n\nimport \"" + imports + "\"\n\n" + line + "\n"
}

const seatsSvc = "internal/seats/seatssvc/"

// broken are the ways to break each rule: the change, and what must be reported.
var broken = []struct {
	rule   string
	change change
	want   string // the beginning of a violation without the rule, or a part of it
}{
	{"contract-imports", change{"internal/seats/more.go": "package seats\n\nimport _ \"xinglin/internal/platform/bus\"\n"}, "internal/seats/more.go:3: "},
	{"contract-imports", change{"internal/seats/more.go": "package seats\n\nimport _ \"github.com/x/y\"\n"}, "github.com/x/y"},
	{"contract-imports", change{"internal/seats/more.go": "package seats\n\nimport _ \"net/http\"\n"}, "net/http"},
	{"contract-imports", change{"internal/seats/more.go": "package seats\n\nimport _ \"xinglin/internal/app\"\n"}, "internal/app"},
	{"svc-only-by-app", change{seatsSvc + "a.go": svc("xinglin/internal/purse/pursesvc", "")}, seatsSvc + "a.go:3: "},
	{"svc-only-by-app", change{seatsSvc + "a_test.go": svc("xinglin/internal/purse/pursesvc", "")}, "the inside of purse"},
	{"svc-only-by-app", change{"cmd/xinglin/a.go": "package main\n\nimport _ \"xinglin/internal/purse/pursesvc\"\n"}, "cmd/xinglin/a.go:3: "},
	{"svc-only-by-app", change{"internal/demo/a.go": "// Package demo plays.\npackage demo\n\nimport _ \"xinglin/internal/purse/pursesvc\"\n"}, "internal/demo/a.go:4: "},
	{"svc-only-by-app", change{"internal/testkit/a.go": "package testkit\n\nimport _ \"xinglin/internal/purse/pursesvc\"\n"}, "internal/testkit/a.go:3: "},
	{"svc-only-by-app", change{"internal/purse/pursesvc/a.go": "package pursesvc\n\nimport _ \"xinglin/internal/seats/words\"\n"}, "the inside of seats"},
	{"cmd-imports", change{"cmd/xinglin/a.go": "package main\n\nimport _ \"xinglin/internal/purse\"\n"}, "cmd/xinglin/a.go:3: "},
	{"cmd-imports", change{"cmd/xinglin/a.go": "package main\n\nimport _ \"xinglin/internal/platform/db\"\n"}, "cmd/xinglin/a.go:3: "},
	{"kernel-imports", change{"internal/kernel/clock/a.go": "package clock\n\nimport _ \"golang.org/x/time/rate\"\n"}, "internal/kernel/clock/a.go:3: "},
	{"kernel-imports", change{"internal/kernel/clock/a.go": "package clock\n\nimport _ \"xinglin/internal/platform/db\"\n"}, "internal/kernel/clock/a.go:3: "},
	{"platform-knows-no-context", change{"internal/platform/db/a.go": "package db\n\nimport _ \"xinglin/internal/seats\"\n"}, "internal/platform/db/a.go:3: "},
	{"platform-knows-no-context", change{"internal/platform/db/a_test.go": "package db\n\nimport _ \"xinglin/internal/app\"\n"}, "internal/platform/db/a_test.go:3: "},
	{"platform-knows-no-context", change{"internal/paysim/a.go": "// Package paysim pays.\npackage paysim\n\nimport _ \"xinglin/internal/purse\"\n"}, "internal/paysim/a.go:4: "},
	{"platform-knows-no-context", change{"internal/platform/db/a.go": "package db\n\nimport _ \"xinglin/internal/paysim\"\n"}, "the simulator"},
	{"platform-knows-no-context", change{"internal/platform/db/a.go": "package db\n\nimport _ \"xinglin/internal/bench/booking\"\n"}, "internal/bench/booking"},
	{"test-only", change{"internal/purse/pursesvc/a.go": "package pursesvc\n\nimport _ \"xinglin/internal/bench/booking\"\n"}, "the wiring knows contexts"},
	{"svc-only-by-app", change{"internal/bench/x/a.go": "// Package x measures.\npackage x\n\nimport _ \"xinglin/internal/purse/pursesvc\"\n"}, "internal/bench/x/a.go:4: "},
	{"tenant-in-sql", change{"internal/bench/x/a.go": "// Package x measures.\npackage x\n\nvar q = `SELECT id FROM slot`\n"}, "internal/bench/x/a.go:4: "},
	{"test-only", change{seatsSvc + "a.go": svc("xinglin/internal/testkit", "")}, seatsSvc + "a.go:3: "},
	{"test-only", change{"internal/app/a.go": "package app\n\nimport _ \"testing\"\n"}, "internal/app/a.go:3: "},
	{"test-only", change{seatsSvc + "a.go": svc("xinglin/internal/paysim", "")}, "the wiring knows contexts"},
	{"two-rooms", change{"internal/seats/words/a.go": "package words\n\nimport _ \"xinglin/internal/platform/db\"\n"}, "internal/seats/words/a.go:3: "},
	{"db-in-store", change{seatsSvc + "hold.go": svc("xinglin/internal/platform/db", "")}, seatsSvc + "hold.go:3: "},
	{"db-in-store", change{seatsSvc + "on_x.go": svc("xinglin/internal/platform/db", "func f(tx db.Tx) { db.Time(1) }")}, seatsSvc + "on_x.go:5: "},
	{"http-in-http", change{seatsSvc + "hold.go": svc("net/http", "")}, seatsSvc + "hold.go:3: "},
	{"http-in-http", change{seatsSvc + "hold.go": svc("xinglin/internal/platform/httpx", "")}, seatsSvc + "hold.go:3: "},
	{"http-in-http", change{seatsSvc + "store_x.go": svc("github.com/danielgtaylor/huma/v2", "")}, seatsSvc + "store_x.go:3: "},
	{"sql-in-store", change{seatsSvc + "hold.go": "package seatssvc\n\nvar q = `SELECT id FROM slot WHERE tenant_id = $1`\n"}, seatsSvc + "hold.go:3: "},
	{"drivers", change{seatsSvc + "store_x.go": svc("database/sql", "")}, seatsSvc + "store_x.go:3: "},
	{"drivers", change{"internal/platform/bus/a_test.go": "// Package bus carries.\npackage bus\n\nimport _ \"github.com/jackc/pgx/v5/pgconn\"\n"}, "pgconn"},
	{"text-pairs", change{seatsSvc + "store_hold_pg.go": "package seatssvc\n"}, seatsSvc + "store_hold_pg.go: text-pairs: store_hold_sqlite.go"},
	{"text-pairs", change{seatsSvc + "store_hold_sqlite.go": "package seatssvc\n"}, "store_hold_pg.go is missing"},
	{"context-table", change{"internal/app/contexts.go": "// Package app wires.\npackage app\n"}, "is missing"},
	{"context-table", change{"internal/app/contexts.go": table(`{Name: "purse"}, {Name: "seats", Hears: []string{"purse"}}`)}, "Calls of seats lacks purse"},
	{"context-table", change{"internal/app/contexts.go": table(`{Name: "purse"}, {Name: "seats", Calls: []string{"purse"}}`)}, "Hears of seats lacks purse"},
	{"context-table", change{"internal/app/contexts.go": table(`{Name: "purse", Hears: []string{"seats"}}, {Name: "seats", Calls: []string{"purse"}, Hears: []string{"purse"}}`)}, "Hears of purse has seats"},
	{"context-table", change{"internal/app/contexts.go": table(`{Name: "purse", Calls: []string{"seats"}}, {Name: "seats", Calls: []string{"purse"}, Hears: []string{"purse"}}`)}, "calls in a ring: purse -> seats -> purse"},
	{"context-table", change{"internal/app/contexts.go": table(`{Name: "seats", Calls: []string{"purse"}, Hears: []string{"purse"}}`)}, "the context purse is not in the table"},
	{"context-table", change{"internal/app/contexts.go": table(`{Name: "purse"}, {Name: "ghost"}, {Name: "seats", Calls: []string{"purse"}, Hears: []string{"purse"}}`)}, "ghost has no folder"},
	{"context-table", change{"internal/app/contexts.go": table(`{Name: "purse"}, {Name: seats}`)}, "Name is no literal"},
	{"package-comment", change{"internal/platform/bus/a.go": "// bus carries.\npackage bus\n"}, "internal/platform/bus/a.go:2: "},
	{"package-comment", change{"cmd/xinglin/main.go": "package main\n"}, "cmd/xinglin/main.go:1: "},
	{"package-name", change{"internal/platform/helper/a.go": "// Package helper helps.\npackage helper\n"}, "internal/platform/helper/a.go:2: "},
	{"package-name", change{seatsSvc + "words/a_test.go": "// Package types_test is odd.\npackage types_test\n"}, "types"},
	{"tenant-in-sql", change{seatsSvc + "store_a.go": "package seatssvc\n\nvar q = `\n  UPDATE slot SET held = 0`\n"}, seatsSvc + "store_a.go:3: "},
	{"tenant-in-sql", change{seatsSvc + "verify.go": "package seatssvc\n\nfunc f() { g(`WITH x AS (SELECT 1) SELECT * FROM x`) }\n"}, seatsSvc + "verify.go:3: "},
	{"tenant-in-sql", change{seatsSvc + "store_a.go": "package seatssvc\n\nfunc f() { g(head) }\n"}, seatsSvc + "store.go:5: "},
	{"tenant-in-sql", change{seatsSvc + "store_a.go": "package seatssvc\n\nfunc f() { g(head + `WHERE id = $1`) }\n"}, seatsSvc + "store_a.go:3: "},
	{"tenant-in-sql", change{seatsSvc + "store_a.go": "package seatssvc\n\nfunc f() {\n\twhere := `id = $1`\n\tg(`SELECT id FROM slot WHERE ` + where)\n}\n\nfunc h() { where := `tenant_id = $1`; g(where) }\n"}, seatsSvc + "store_a.go:5: "},
	{"tenant-in-sql", change{"internal/platform/job/a.go": "// Package job works.\npackage job\n\nvar q = \"DELETE FROM job\"\n"}, "internal/platform/job/a.go:4: "},
	{"migrations", change{seatsSvc + "migrations/0002.sql": "\nCREATE TABLE hold (\n  id {{uuid}}\n){{strict}};\n{{rls \"hold\"}}\n"}, seatsSvc + "migrations/0002.sql:2: migrations: table hold has no primary key that begins with tenant_id"},
	{"migrations", change{seatsSvc + "migrations/0002.sql": "CREATE TABLE hold (\n  tenant_id {{uuid}} PRIMARY KEY\n){{strict}};\n{{rls \"slot\"}}\n"}, "has no {{rls \"hold\"}}"},
	{"migrations", change{seatsSvc + "migrations/0002.sql": "CREATE TABLE hold (\n  tenant_id {{uuid}}\n);\n{{rls \"hold\"}}\n"}, "does not close with ){{strict}};"},
	{"migrations", change{seatsSvc + "migrations/0002.sql": "CREATE TABLE hold (tenant_id {{uuid}}){{strict}};\n{{rls \"hold\"}}\n"}, "cannot be read"},
	{"no-floats", change{"internal/payment/a.go": "// Package payment pays.\npackage payment\n\ntype rate float64\n"}, "internal/payment/a.go:4: "},
	{"no-floats", change{"internal/scheduling/a.go": "// Package scheduling books.\npackage scheduling\n\nvar fee, _ = strconv.ParseFloat(s, 64)\n"}, "ParseFloat"},
	{"clock", change{seatsSvc + "a.go": svc("time", "var n = time.Now")}, seatsSvc + "a.go:5: "},
	{"clock", change{seatsSvc + "a_test.go": "package seatssvc\n\nimport hour \"time\"\n\nvar d = hour.Since(x)\n"}, seatsSvc + "a_test.go:5: "},
	{"clock", change{"internal/platform/db/a.go": "package db\n\nimport \"time\"\n\nvar d = time.Until(x)\n"}, "internal/platform/db/a.go:5: "},
	{"doors", change{seatsSvc + "a.go": svc("xinglin/internal/kernel/auth", "var c = auth.With(nil, nil)")}, seatsSvc + "a.go:5: "},
	{"doors", change{"internal/platform/db/a.go": "package db\n\nimport \"xinglin/internal/kernel/auth\"\n\nvar f = auth.With\n"}, "internal/platform/db/a.go:5: "},
	{"every-tenant", change{seatsSvc + "store_a.go": "package seatssvc\n\nfunc f() { s.db.ReadAll(ctx, fn) }\n"}, seatsSvc + "store_a.go:3: "},
	{"every-tenant", change{"internal/app/a_test.go": "package app\n\nfunc f() { g(d.WriteAll) }\n"}, "internal/app/a_test.go:3: "},
	{"fault-codes", change{"internal/purse/errors.go": "+\nvar E2 = fault.Register(fault.Conflict, \"seats.full\", \"\", \"\")\n"}, "want purse."},
	{"fault-codes", change{"internal/purse/errors.go": "+\nvar E2 = fault.Register(fault.Conflict, \"purse.empty\", \"\", \"\")\n"}, "registered in internal/purse/errors.go too"},
	{"fault-codes", change{"internal/purse/errors.go": "+\nvar E2 = fault.Register(fault.Conflict, name, \"\", \"\")\n"}, "no literal"},
	{"fault-codes", change{"internal/purse/pursesvc/a.go": "package pursesvc\n\nimport \"xinglin/internal/kernel/fault\"\n\nvar E = fault.Register(fault.Conflict, \"purse.full\", \"\", \"\")\n"}, "belongs into the contract internal/purse"},
	{"event-names", change{"internal/purse/events.go": "+\ntype Gone struct{}\n\nfunc (Gone) EventName() string { return \"purse.payment.paid.v1\" }\n"}, "the name of an event"},
	{"event-names", change{"internal/purse/events.go": "+\ntype Gone struct{}\n\nfunc (Gone) EventName() string { return \"purse.gone\" }\n"}, "want purse.noun.verb.vN"},
	{"event-names", change{"internal/purse/events.go": "+\ntype Gone struct{}\n\nfunc (Gone) EventName() string { return \"seats.seat.gone.v1\" }\n"}, "want purse.noun.verb.vN"},
	{"event-names", change{seatsSvc + "a.go": "package seatssvc\n\ntype Gone struct{}\n\nfunc (*Gone) EventName() string { return \"seats.seat.gone.v1\" }\n"}, "outside a contract"},
	{"event-fields", change{"internal/purse/events.go": paid("PatientName string")}, "carries PatientName"},
	{"event-fields", change{"internal/purse/events.go": paid("To []Line") + "\ntype Line struct { Phone string }\n"}, "the event Paid carries Phone"},
	{"event-fields", change{"internal/purse/events.go": paid("X secret.Text")}, "carries a secret"},
	{"golden", change{"docs/reference/errors.md": "purse.empty_handed http.x\n"}, "does not list purse.empty"},
	{"golden", change{"docs/reference/events.md": "purse.payment.paid.v12\n"}, "does not list purse.payment.paid.v1"},
	{"sizes", change{"internal/purse/purse.go": "// Package purse is.\npackage purse\n\ntype Service interface { A(); B(); C(); D(); E(); F(); G(); H(); I(); J(); K(); L(); M() }\n"}, "13 methods"},
	{"sizes", change{"internal/purse/purse.go": "// Package purse is.\npackage purse\n\ntype Service interface { More }\n"}, "methods"},
	{"sizes", change{"internal/purse/pursesvc/module.go": "// Package pursesvc behaves.\npackage pursesvc\n\nfunc New(a, b, c, d, e, f, g int, h, i string) {}\n"}, "takes 9 parameters"},
	{"sizes", change{seatsSvc + "a_test.go": "package seatssvc\n" + strings.Repeat("\n", 800)}, "801 lines; a file"},
	{"sizes", change{seatsSvc + "a.go": "package seatssvc\n\nfunc long() {" + strings.Repeat("\n", 70) + "}\n"}, "long has 71 lines"},
	{"sizes", change{"internal/seats/a.go": "package seats\n" + strings.Repeat("\n", 700)}, "the contract has"},
	{"root-entries", change{"a1": "", "a2": "", "a3": "", "a4": "", "a5": "", "a6": "", "a7": "", "a8": "", "a9": "", "b1": "", "b2": "", "b3": "", "b4": "", "b5": ""}, "19 visible entries"},
	{"honest-tests", change{seatsSvc + "a_test.go": svc("time", "func f() { time.Sleep(1) }")}, seatsSvc + "a_test.go:5: "},
	{"honest-tests", change{seatsSvc + "a_test.go": "package seatssvc\n\nfunc TestA(t *testing.T) { t.Skip() }\n"}, seatsSvc + "a_test.go:3: "},
	{"honest-tests", change{seatsSvc + "a_test.go": "package seatssvc\n\nimport \"pgregory.net/rapid\"\n\nfunc f(t *rapid.T) { g(func(t *testing.T) { t.Skip() }) }\n"}, seatsSvc + "a_test.go:5: "},
	{"honest-tests", change{"internal/testkit/a.go": "package testkit\n\nfunc f(tb testing.TB) { tb.Skipf(\"no\") }\n"}, "internal/testkit/a.go:3: "},
}

func table(rows string) string {
	return "// Package app wires.\npackage app\n\nvar Contexts = []Context{" + rows + "}\n"
}

func paid(field string) string {
	return "package purse\n\nimport \"xinglin/internal/kernel/secret\"\n\ntype Paid struct { " + field + " }\n\nfunc (Paid) EventName() string { return \"purse.payment.paid.v1\" }\n"
}

func TestEachRuleCatchesItsBreach(t *testing.T) {
	t.Parallel()
	caught := map[string]bool{}
	for _, tc := range broken {
		vs := check(tc.rule, overlay(t, tc.change))
		found := false
		for _, v := range vs {
			found = found || v.Rule == tc.rule && strings.Contains(v.String(), tc.want)
		}
		if !found {
			t.Errorf("%s: no %q among %v", tc.rule, tc.want, vs)
		}
		caught[tc.rule] = caught[tc.rule] || found
	}
	for _, r := range Rules {
		if !caught[r.Name] {
			t.Errorf("no test breaks the rule %s", r.Name)
		}
	}
}

func check(rule string, tree *Tree) []Violation {
	for _, r := range Rules {
		if r.Name == rule {
			return r.Check(tree)
		}
	}
	return nil
}

// TestRulesLeaveTheRestAlone holds what looks like a breach and is none.
func TestRulesLeaveTheRestAlone(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]change{
		"own svc in an external test": {seatsSvc + "x_test.go": "package seatssvc_test\n\nimport _ \"xinglin/internal/seats/seatssvc\"\n"},
		"a word that begins like SQL": {seatsSvc + "a.go": "package seatssvc\n\nvar s = \"SELECTED seats\"\n"},
		"generated and long":          {seatsSvc + "gen.go": "// Code generated by us. DO NOT EDIT.\n\npackage seatssvc\n" + strings.Repeat("\n", 900)},
		"sum split over lines":        {seatsSvc + "store_a.go": "package seatssvc\n\nvar q = `SELECT ` + cols + ` FROM slot ` +\n\t`WHERE tenant_id = $1`\n"},
		"a method named With":         {seatsSvc + "a.go": "package seatssvc\n\nvar x = ErrX.With(1)\n"},
		"ids in events":               {"internal/purse/events.go": paid("TenantID, Rename, Context string")},
		"a condition put together":    {seatsSvc + "store_a.go": "package seatssvc\n\nfunc f() {\n\twhere := `tenant_id = $1`\n\tg(`SELECT id FROM slot WHERE ` + where)\n}\n"},
		"a CSV writer":                {seatsSvc + "a.go": "package seatssvc\n\nfunc f() { c.WriteAll(rows) }\n"},
		"a consumer's transaction":    {seatsSvc + "on_x.go": svc("xinglin/internal/platform/db", "func f(tx db.Tx) {}")},
		"JSON numbers in a test":      {"internal/paysim/a_test.go": "// Package paysim pays.\npackage paysim\n\nvar f = x.(float64)\n"},
		"a generated input":           {seatsSvc + "a_test.go": "package seatssvc\n\nimport (\n\t\"testing\"\n\n\t\"pgregory.net/rapid\"\n)\n\nfunc TestA(t *testing.T) {\n\trapid.Check(t, func(t *rapid.T) { t.Skip() })\n}\n"},
		"a queue's Skip":              {seatsSvc + "a_test.go": "package seatssvc\n\nfunc f() { queue.Skip(1) }\n"},
	} {
		for _, v := range Check(overlay(t, c)) {
			t.Errorf("%s: %v", name, v)
		}
	}
}

func TestWords(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"PatientName": "Patient Name", "IDCard": "ID Card", "PaymentID": "Payment ID", "Rename": "Rename", "A": "A", "HTTPBody": "HTTP Body",
	} {
		if got := strings.Join(words(in), " "); got != want {
			t.Errorf("words(%s) = %s, want %s", in, got, want)
		}
	}
}

func TestLoadRefusesBrokenGo(t *testing.T) {
	t.Parallel()
	if _, err := Load(fstest.MapFS{"cmd/a.go": {Data: []byte("package")}}); err == nil {
		t.Error("a file that does not parse is accepted")
	}
}
