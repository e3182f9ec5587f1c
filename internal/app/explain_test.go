package app

import (
	"context"
	"io"
	"log/slog"
	"net/url"
	"strings"
	"testing"
	"time"

	"xinglin/internal/directory"
	"xinglin/internal/identity"
	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/id"
	"xinglin/internal/kernel/secret"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/httpx"
	"xinglin/internal/tenant"
	"xinglin/internal/testkit"
	"xinglin/internal/testkit/apitest"
	"xinglin/internal/testkit/dbtest"
)

// asking is a house with two tenants, people of the staff, and a waiting line in each.
type asking struct {
	*apitest.Harness
	h      *House
	tenant [2]id.ID[auth.Tenant]
	line   [2]string
	people map[string]string // account by name
}

var (
	eastCampus = id.Must[directory.Campus]("01900000-0000-7000-8000-0000000000c1")
	westCampus = id.Must[directory.Campus]("01900000-0000-7000-8000-0000000000c2")
	drLin      = id.Must[id.Any]("01900000-0000-7000-8000-0000000000c4")
	drZhou     = id.Must[id.Any]("01900000-0000-7000-8000-0000000000c5")
)

func newAsking(t *testing.T, d *dbtest.Database) *asking {
	t.Helper()
	clk := clock.NewManual(time.Date(2026, 3, 2, 1, 0, 0, 0, time.UTC))
	srv := d.Open(t, dbtest.WithClock(clk))
	h, err := Wire(t.Context(), Machines{
		DB: srv, Clock: clk, Crypt: testkit.Ring(t, srv, clk), Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Signals: testkit.Signals(),
	})
	if err != nil {
		t.Fatal(err)
	}
	w := &asking{h: h, people: map[string]string{}}
	cli := auth.With(t.Context(), auth.Principal{Kind: auth.CLI, Name: "test"})
	for i, code := range []string{"east", "west"} {
		made, err := h.Tenants.Ensure(cli, tenant.Tenant{Code: code, Name: code, Hosts: []string{code + ".test"}})
		if err != nil {
			t.Fatal(err)
		}
		w.tenant[i], w.line[i] = made.ID, id.New[id.Any](clk.Now()).String()
		w.put(t, "clinic", made.ID, `INSERT INTO line (tenant_id, id, day, session, campus_id, department_id, practitioner_id, known, stopped, starts_at, ends_at, location,
			periods, version, created_at, updated_at) VALUES ($1, $2, $3, 'morning', $4, $4, $5, $6, $7, $8, $9, '301', '[]', 1, $8, $8)`,
			made.ID, id.Must[id.Any](w.line[i]), clock.DateOf(clk.Now()), eastCampus, drLin, true, false, clk.Now().UnixMicro(), clk.Now().Add(time.Hour).UnixMicro())
	}
	here := auth.With(t.Context(), auth.Principal{Kind: auth.CLI, Tenant: w.tenant[0], Name: "test"})
	for name, spec := range map[string]identity.StaffSpec{
		"lin":     {Practitioner: drLin, Grants: []auth.Grant{{Role: auth.Doctor}}},
		"zhou":    {Practitioner: drZhou, Grants: []auth.Grant{{Role: auth.Doctor}}},
		"western": {Grants: []auth.Grant{{Role: auth.Nurse, Organization: id.As[auth.Organization](westCampus)}}},
		"guard":   {Grants: []auth.Grant{{Role: auth.SecurityAdmin}}},
		"watcher": {Grants: []auth.Grant{{Role: auth.AuditAdmin}}},
		"gone":    {Grants: []auth.Grant{{Role: auth.Nurse}}},
	} {
		spec.Username, spec.Name, spec.Password = name, "张晓明", secret.New("mango-river-42-kite")
		a, err := h.Identity.EnsureStaff(here, spec)
		if err != nil {
			t.Fatal(err)
		}
		w.people[name] = a.ID.String()
	}
	w.put(t, "identity", w.tenant[0], `UPDATE account SET state = 'disabled' WHERE tenant_id = $1 AND id = $2`, w.tenant[0], id.Must[auth.Account](w.people["gone"]))
	p, err := h.Identity.EnsurePatient(here, secret.New("13800000001"))
	if err != nil {
		t.Fatal(err)
	}
	w.people["patient"] = p.String()
	routes := []func(*httpx.API){(&operator{house: h}).routes}
	for _, m := range h.Modules {
		routes = append(routes, m.Routes)
	}
	w.Harness = apitest.With(t, httpx.Options{Clock: clk}, routes...)
	return w
}

func (w *asking) put(t *testing.T, owner string, tenant id.ID[auth.Tenant], sql string, args ...any) {
	t.Helper()
	err := w.h.DBs[owner].Write(t.Context(), tenant, func(ctx context.Context, tx db.Tx) error {
		_, err := tx.Exec(ctx, sql, args...)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// why asks, as somebody.
func (w *asking) why(who auth.Principal, name, action, item string) apitest.Response {
	account := name
	if a, ok := w.people[name]; ok {
		account = a
	}
	q := url.Values{"account_id": {account}, "action": {action}}
	if item != "" {
		q.Set("resource_id", item)
	}
	return w.Do(who, "GET", "/access/explanation?"+q.Encode(), nil)
}

// TestExplainAccess: the security administrator learns which rule decides and what is missing, and nothing else.
func TestExplainAccess(t *testing.T) {
	dbtest.EachDatabase(t, Sets(), func(t *testing.T, d *dbtest.Database) {
		w := newAsking(t, d)
		boss := apitest.Staff(w.tenant[0], auth.SecurityAdmin)
		asked := 0
		for _, tc := range []struct{ name, action, item, want string }{
			{"lin", "clinic.call_next", w.line[0], `"allowed":true,"disabled":false`},
			{"lin", "clinic.call_next", w.line[0], `"facts":[{"name":"own","words":{"zh":"是本人出诊的班次","en":"It is the own session"},"holds":true}],"policies":[{"id":"clinic.own_line","forbids":false`},
			{"zhou", "clinic.call_next", w.line[0], `"allowed":false,"disabled":false,"roles":[{"role":"doctor","counts":true}]`},
			{"zhou", "clinic.call_next", w.line[0], `"holds":false}],"policies":[],"needs":[{"policies":[{"id":"clinic.nurse"`},
			{"zhou", "clinic.call_next", w.line[0], `"role":"nurse","instead":false,"facts":[]},{"policies":[{"id":"clinic.own_line"`},
			{"western", "clinic.read_queue", w.line[0], `"allowed":false,"disabled":false,"roles":[{"role":"nurse","organization_id":"` + westCampus.String() + `","counts":false}]`},
			{"western", "patient.search_at_desk", "", `"allowed":true`},
			{"watcher", "clinic.list_sessions", "", `"policies":[{"id":"clinic.no_administrator","forbids":true`},
			{"watcher", "clinic.list_sessions", "", `"role":"nurse","instead":true`},
			{"watcher", "audit.list_events", "", `"allowed":true`},
			{"guard", "identity.put_grants", w.people["guard"], `"facts":[{"name":"account","words":{"zh":"属于本人的账号","en":"It belongs to the own account"},"holds":true}]`},
			{"guard", "identity.put_grants", w.people["lin"], `"allowed":true`},
			{"lin", "identity.read_me", "", `"allowed":true`},
			{"gone", "patient.search_at_desk", "", `"allowed":false,"disabled":true`},
			{"lin", "patient.read", id.Random[id.Any]().String(), `"allowed":false`},
		} {
			r := w.why(boss, tc.name, tc.action, tc.item).Want(t, 200)
			asked++
			if !strings.Contains(string(r.Body), tc.want) {
				t.Errorf("%s, %s: no %s in\n%s", tc.name, tc.action, tc.want, r.Body)
			}
			for _, told := range []string{"张晓明", "13800000001", "301", drLin.String()} { // a name, a phone, what stands in the line
				if strings.Contains(string(r.Body), told) {
					t.Errorf("%s, %s: the answer tells %s", tc.name, tc.action, told)
				}
			}
		}
		for _, tc := range []struct {
			name, action, item string
			status             int
			code               string
		}{
			{"patient", "patient.read", "", 404, "identity.not_found"},
			{id.Random[auth.Account]().String(), "clinic.call_next", w.line[0], 404, "identity.not_found"},
			{"lin", "clinic.call_next", w.line[1], 404, "clinic.not_found"},
			{"lin", "clinic.call_next", id.Random[id.Any]().String(), 404, "clinic.not_found"},
			{"guard", "identity.read_staff", w.people["patient"], 404, "identity.not_found"},
			{"lin", "clinic.call_next", "", 422, "app.item_needed"},
			{"lin", "clinic.call_next", "line-1", 404, "http.not_found"},
			{"lin", "clinic.burn", w.line[0], 422, "app.no_action"},
			{"lin", "scheduling.expire_hold", "", 422, "app.no_action"}, // no route of anybody's
			{"lin", "identity.login_staff", "", 422, "app.no_action"},
		} {
			w.why(boss, tc.name, tc.action, tc.item).Refused(t, tc.status, tc.code)
		}
		short := boss
		short.Factors = 1
		for _, who := range []auth.Principal{
			short, apitest.Patient(w.tenant[0]), apitest.Staff(w.tenant[0], auth.SystemAdmin), apitest.Staff(w.tenant[0], auth.AuditAdmin), apitest.Staff(w.tenant[0], auth.Operator, auth.Doctor),
		} {
			w.why(who, "lin", "clinic.call_next", w.line[0]).Refused(t, 403, "authz.denied")
			w.Do(who, "GET", "/access/actions", nil).Refused(t, 403, "authz.denied")
		}
		w.why(apitest.Nobody(w.tenant[0]), "lin", "clinic.call_next", w.line[0]).Refused(t, 401, "auth.required")
		w.why(apitest.Staff(w.tenant[1], auth.SecurityAdmin), "lin", "clinic.call_next", w.line[1]).Refused(t, 404, "identity.not_found")

		// Each answer is an act in the trail; a question that was refused is none.
		rows := 0
		err := w.h.DBs["identity"].Read(t.Context(), w.tenant[0], func(ctx context.Context, tx db.Tx) error {
			return tx.QueryRow(ctx, `SELECT COUNT(*) FROM trail WHERE tenant_id = $1 AND action = 'ops.explain_access' AND policy = 'ops.explains' AND noun = 'Account'`, w.tenant[0]).Scan(&rows)
		})
		if err != nil || rows != asked {
			t.Errorf("%d rows in the trail for %d answers, %v", rows, asked, err)
		}
		if n := len(w.Do(boss, "GET", "/access/actions", nil).Want(t, 200).Items(t)); n != len(actionWords) {
			t.Errorf("%d actions, want %d", n, len(actionWords))
		}
	})
}
