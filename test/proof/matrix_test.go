package proof

import (
	"context"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"xinglin/internal/demo/client"
	"xinglin/test/rig"
)

// member is somebody who asks: a column of the permission matrix, and what the scene's items are to them.
type member struct {
	name, caller string
	session      bool // the doctor of the scene's line
	elsewhere    bool // has the role at another campus
}

// members are one for each column and relation that can be told apart over HTTP.
var members = []member{
	{name: patient, caller: "patient"},
	{name: stranger, caller: "patient"},
	{name: "seen", caller: "doctor", session: true},
	{name: "unseen", caller: "doctor"},
	{name: nurse, caller: "nurse"},
	{name: "nurse_here", caller: "nurse"},
	{name: "nurse_there", caller: "nurse", elsewhere: true},
	{name: desk, caller: "registrar"},
	{name: operator, caller: "operator"},
	{name: officer, caller: "privacy_officer"},
	{name: system, caller: "system_admin"},
	{name: security, caller: "security_admin"},
	{name: auditor, caller: "audit_admin"},
}

var rowRE = regexp.MustCompile("(?m)^\\| [A-Z]+ `[^`]+` \\| `([a-z_.]+)` \\| (.+) \\|$")

// readMatrix reads docs/reference/permission-matrix.md: operation, column, cell.
func readMatrix(t *testing.T) map[string]map[string]string {
	t.Helper()
	b, err := os.ReadFile("../../docs/reference/permission-matrix.md")
	must(t, err)
	head := regexp.MustCompile(`(?m)^\| Route \| Operation \| (.+) \|$`).FindStringSubmatch(string(b))
	if head == nil {
		t.Fatal("the matrix has no head")
	}
	columns := strings.Split(head[1], " | ")
	out := map[string]map[string]string{}
	for _, m := range rowRE.FindAllStringSubmatch(string(b), -1) {
		out[m[1]] = map[string]string{}
		for i, cell := range strings.Split(m[2], " | ") {
			out[m[1]][columns[i]] = cell
		}
	}
	if len(out) < 100 {
		t.Fatalf("the matrix has %d rows only", len(out))
	}
	return out
}

// may is what the cell says to a member about the item that the row names.
func (m member) may(t *testing.T, cell string, r Route) bool {
	t.Helper()
	item := r.ID != "" || strings.Contains(r.Body, "{patient}")
	line := strings.Contains(r.ID, "{line}") || strings.Contains(r.ID, "{turn_")
	own := !item || m.name == r.Who
	if r.Who == patient && m.caller != "patient" || r.Who == guest || r.Who == leaver {
		own = !item
	}
	switch cell {
	case "yes", "any session":
		return true
	case "–":
		return false
	case "own", "own, family":
		return own
	case "own session":
		return line && m.session
	case "own, own session":
		return own || line && m.session
	case "own campus":
		return !m.elsewhere
	case "others'":
		return true // the scene's account is nobody's of these
	}
	t.Fatalf("%s: a cell of no known form: %q", r.Op, cell)
	return false
}

// cast makes the members that the scene has not.
func cast(ctx context.Context, t *testing.T, s *Scene, p *rig.Process) {
	t.Helper()
	for username, grant := range map[string]map[string]any{
		"seen":        {"grants": []any{map[string]any{"role": "doctor"}}, "practitioner_id": s.Words["practitioner"]},
		"unseen":      {"grants": []any{map[string]any{"role": "doctor"}}},
		"nurse_here":  {"grants": []any{map[string]any{"role": "nurse", "organization_id": s.Words["campus"]}}},
		"nurse_there": {"grants": []any{map[string]any{"role": "nurse", "organization_id": s.Words["practitioner"]}}}, // no campus of the scene's has this id
	} {
		s.hire(ctx, t, username, "doctor")
		var staff listOf
		s.get(ctx, t, security, "/staff/accounts?limit=100", &staff)
		for _, a := range staff.Items {
			if a.Username == username {
				_, err := s.Actors[security].Do(ctx, "PUT", "/staff/accounts/"+a.ID+"/grants", grant, nil, client.IfMatch(a.Version))
				must(t, err)
			}
		}
		s.Actors[username] = rig.LoginStaff(t, p, s.Host, username, s.totp[username])
	}
}

// TestPermissionMatrix asks the running program what the generated matrix says: every route of the table with every member of
// a hospital. First all that the matrix refuses, after which no row has changed; then all that it permits.
func TestPermissionMatrix(t *testing.T) {
	w := rig.NewWorld(t, rig.SQLite)
	s := newScene(t, w, "alpha", 1000)
	p := w.Serve(t)
	s.play(t, p)
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	cast(ctx, t, s, p)
	cells, ops := readMatrix(t), operations(t, p, s.Host)
	rows := slices.DeleteFunc(slices.Clone(Routes), func(r Route) bool { return r.Elsewhere != "" || ops[r.Op].public })
	before, refused := settledRows(t, s), 0
	for _, r := range rows {
		if cells[r.Op] == nil {
			t.Errorf("%s has no row in the matrix", r.Op)
			continue
		}
		for _, m := range members {
			if m.may(t, cells[r.Op][m.caller], r) {
				continue
			}
			refused++
			a := r.send(ctx, t, ops[r.Op], s.Actors[m.name], r.request(ops[r.Op], s, nil))
			hidden := a.Status == 404 && (r.ID != "" || strings.Contains(r.Body, "{")) // to whom it is nothing, the item is not there
			if a.Status != 403 && !hidden {
				t.Errorf("%s by %s: %d %s, the matrix says %q\n%s", r.Op, m.name, a.Status, a.Code, cells[r.Op][m.caller], a.Body)
			}
		}
	}
	unchanged(t, before, settledRows(t, s))
	permitted := s.permitted(ctx, t, rows, cells, ops)
	t.Logf("%d routes, %d refusals, %d permissions as the matrix says; %d routes are proved elsewhere", len(rows), refused, permitted, len(Routes)-len(rows))
	if refused < 500 || permitted < 150 {
		t.Errorf("only %d refusals and %d permissions were tried", refused, permitted)
	}
}

// permitted tries what the matrix permits, in the order of the table, which ends with the ends of sessions.
func (s *Scene) permitted(ctx context.Context, t *testing.T, rows []Route, cells map[string]map[string]string, ops map[string]operation) (n int) {
	t.Helper()
	// A person of the family is found as the own one is.
	if _, err := s.rich.Do(ctx, "GET", "/patients/"+s.rich.Patients[1].ID, nil, nil); err != nil {
		t.Errorf("a person of the family: %v", err)
	}
	for _, r := range rows {
		op, done := ops[r.Op], false
		for _, m := range members {
			if cells[r.Op] == nil || !m.may(t, cells[r.Op][m.caller], r) {
				continue
			}
			if r.Prepare != nil && !done {
				must(t, r.Prepare(ctx, s))
			}
			n++
			a := r.send(ctx, t, op, s.Actors[m.name], r.request(op, s, nil))
			gone := a.Status == 404 && done // somebody before has taken it away
			if a.Status == 401 || a.Status == 403 || a.Status >= 500 || a.Status == 404 && !gone {
				t.Errorf("%s by %s: %d %s, the matrix says %q\n%s", r.Op, m.name, a.Status, a.Code, cells[r.Op][m.caller], a.Body)
			}
			done = done || a.Status < 300
		}
		if !done && slices.ContainsFunc(members, func(m member) bool { return m.name == r.Who }) {
			t.Errorf("%s: nobody had success", r.Op)
		}
	}
	return n
}

// unchanged compares all rows of a tenant, but for those that move by themselves: callbacks repeated by the channel, messages
// that a push service did not take.
func unchanged(t *testing.T, before, after map[string]string) {
	t.Helper()
	for _, table := range slices.Sorted(maps.Keys(before)) {
		if table != "payment.callback" && table != "notify.delivery" && after[table] != before[table] {
			t.Errorf("%s changed by requests that were refused", table)
		}
	}
	if len(before) < 20 {
		t.Errorf("only %d tables were compared", len(before))
	}
}
