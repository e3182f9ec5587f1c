package proof

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"xinglin/internal/demo/client"
	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/id"
	"xinglin/test/rig"
)

// operation is one of the OpenAPI document.
type operation struct {
	method, path string // path with {id}
	versioned    bool
	public       bool
}

// operations reads GET /openapi.json.
func operations(t *testing.T, p *rig.Process, host string) map[string]operation {
	t.Helper()
	var doc struct {
		Paths map[string]map[string]struct {
			OperationID string `json:"operationId"`
			Security    []any
			Parameters  []struct{ Name, In string }
		}
	}
	c := client.New(p.URL)
	c.Host = host
	res, err := c.Raw(context.Background(), "GET", "/openapi.json", nil)
	must(t, err)
	must(t, json.Unmarshal(res.Body, &doc))
	out := map[string]operation{}
	for path, methods := range doc.Paths {
		for method, o := range methods {
			op := operation{method: strings.ToUpper(method), path: strings.TrimPrefix(path, client.Prefix), public: len(o.Security) == 0}
			for _, x := range o.Parameters {
				op.versioned = op.versioned || x.In == "header" && x.Name == "If-Match"
			}
			out[o.OperationID] = op
		}
	}
	if len(out) < 50 {
		t.Fatalf("the document has %d operations only", len(out))
	}
	return out
}

// TestRoutes: two tenants on one installation. First each tries, over every operation of
// the OpenAPI document, to reach the other; then every operation is tried on its own
// tenant with its success, denied, stale and repeat cases; at last everything that came
// out meanwhile is looked through for the people of both.
func TestRoutes(t *testing.T) {
	for _, e := range rig.Engines {
		t.Run(string(e), func(t *testing.T) {
			w := rig.NewWorld(t, e)
			a := newScene(t, w, "alpha", 1000)
			b := newScene(t, w, "beta", 2000)
			p := w.Serve(t, "--log-level", "debug")
			ops := operations(t, p, a.Host)
			declared(t, ops)
			a.play(t, p)
			b.play(t, p)
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
			defer cancel()
			t.Run("other tenant", func(t *testing.T) { foreign(ctx, t, ops, a, b) })
			t.Run("own tenant", func(t *testing.T) {
				for _, r := range Routes {
					if r.Elsewhere == "" {
						t.Run(r.Op, func(t *testing.T) { r.try(ctx, t, ops[r.Op], a) })
					}
				}
			})
			t.Run("raw identifiers", func(t *testing.T) { identifiers(ctx, t, w, p, a, b) })
			w.Verify(t)
		})
	}
}

// declared fails for an operation without a row, a row without an operation, and a row
// that lacks a case.
func declared(t *testing.T, ops map[string]operation) {
	t.Helper()
	seen := map[string]bool{}
	for _, r := range Routes {
		op, ok := ops[r.Op]
		switch {
		case !ok:
			t.Errorf("%s: the OpenAPI document has no such operation", r.Op)
		case seen[r.Op]:
			t.Errorf("%s: two rows", r.Op)
		case r.Elsewhere != "":
		case r.Want == 0:
			t.Errorf("%s: no success case", r.Op)
		case !op.public && len(r.Deny) == 0:
			t.Errorf("%s: no denied case", r.Op)
		case op.method != "GET" && r.Repeat == 0:
			t.Errorf("%s: no repeat case", r.Op)
		case op.versioned && (r.Match == "" || r.Stale == 0):
			t.Errorf("%s: no stale case", r.Op)
		case strings.Contains(op.path, "{") && r.ID == "":
			t.Errorf("%s: no id", r.Op)
		}
		seen[r.Op] = true
	}
	for name := range ops {
		if !seen[name] {
			t.Errorf("%s: a route without cases; give it a row in test/proof/routes.go", name)
		}
	}
}

// request is a filled row.
type request struct {
	path, body string
	headers    []client.Header
	ids        []string // words that are ids
}

// request fills the row; words in other come from another scene.
func (r Route) request(op operation, s *Scene, other map[string]string) request {
	var q request
	take := func(text string) string {
		out, ids := s.fill(text, other)
		q.ids = append(q.ids, ids...)
		return out
	}
	q.path = word.ReplaceAllLiteralString(op.path, take(r.ID)) + take(r.Query)
	q.body = take(r.Body)
	if r.Key {
		q.headers = append(q.headers, client.Key(client.NewKey()))
	}
	if r.Match != "" {
		q.headers = append(q.headers, client.Header{Name: "If-Match", Value: `"` + take(r.Match) + `"`})
	}
	return q
}

func (r Route) send(ctx context.Context, t *testing.T, op operation, c *client.Client, q request) client.Answer {
	t.Helper()
	if r.Stream {
		a, err := c.Head(ctx, q.path)
		must(t, err)
		return a
	}
	var body any
	if q.body != "" {
		body = q.body
	}
	token := c.Cookie()
	a, err := c.Raw(ctx, op.method, q.path, body, q.headers...)
	must(t, err)
	c.SetCookie(token) // a login or logout in the table changes no actor
	return a
}

// try is a row on its own tenant.
func (r Route) try(ctx context.Context, t *testing.T, op operation, s *Scene) {
	for _, who := range slices.Sorted(maps.Keys(r.Deny)) {
		a := s.ask(ctx, t, r, op, who, r.request(op, s, nil))
		if a.Status != r.Deny[who] || a.Code == "" {
			t.Errorf("%s: %d %s, want %d\n%s", who, a.Status, a.Code, r.Deny[who], a.Body)
		}
	}
	if r.Stale != 0 {
		old := r
		old.Match = "99"
		if a := old.send(ctx, t, op, s.Actors[r.Who], old.request(op, s, nil)); a.Status != r.Stale {
			t.Errorf("stale: %d %s, want %d\n%s", a.Status, a.Code, r.Stale, a.Body)
		}
	}
	if r.Prepare != nil {
		must(t, r.Prepare(ctx, s))
	}
	q := r.request(op, s, nil)
	a := s.ask(ctx, t, r, op, r.Who, q)
	if a.Status != r.Want {
		t.Fatalf("%d %s, want %d\n%s", a.Status, a.Code, r.Want, a.Body)
	}
	if r.Repeat == 0 {
		return
	}
	again := s.ask(ctx, t, r, op, r.Who, q)
	if again.Status != r.Repeat || (r.Repeat >= 400) != (again.Code != "") {
		t.Errorf("again: %d %s, want %d\n%s", again.Status, again.Code, r.Repeat, again.Body)
	}
	if first, second := idIn(a), idIn(again); again.Status < 300 && first != second && !r.Anew {
		t.Errorf("again: made %s beside %s", second, first)
	}
	if r.Key && again.Header.Get("Idempotency-Hit") != "true" {
		t.Errorf("again: no Idempotency-Hit")
	}
}

func idIn(a client.Answer) string {
	var x named
	_ = json.Unmarshal(a.Body, &x) // lists and empty answers have none
	return x.ID
}

// foreign lets b's people, each in the role that may, reach for a's things: all of them
// at once and one at a time among b's own. Items do not exist, lists have no foreign row,
// and a's rows stay as they were. A session of a's is none on b's host.
func foreign(ctx context.Context, t *testing.T, ops map[string]operation, a, b *Scene) {
	theirs := map[string]bool{}
	for _, v := range a.Words {
		if uuidRE.MatchString(v) {
			theirs[v] = true
		}
	}
	before, messages := settledRows(t, a), a.messages(t)
	tried := 0
	try := func(r Route, all request) {
		op := ops[r.Op]
		mixes := []map[string]string{a.Words}
		if len(all.ids) > 1 {
			for _, w := range all.ids {
				mixes = append(mixes, map[string]string{w: a.Words[w]})
			}
		}
		for _, mix := range mixes {
			if len(all.ids) == 0 && op.method != "GET" {
				continue // it names nothing of anybody's
			}
			tried++
			q := r.request(op, b, mix)
			got := b.ask(ctx, t, r, op, r.Who, q)
			switch {
			case len(all.ids) == 0 || r.Query != "":
				leaks(t, r.Op, got, theirs, q)
			case got.Status != either(r.Foreign, 404):
				t.Errorf("%s with %v of the other tenant: %d %s\n%s", r.Op, names(mix, all.ids), got.Status, got.Code, got.Body)
			}
		}
		if !op.public { // a session of the one tenant on the other's host
			stolen := client.New(b.p.URL)
			stolen.Host = b.Host
			stolen.SetCookie(a.Actors[r.Who].Cookie())
			if got := r.send(ctx, t, op, stolen, all); got.Status != 401 {
				t.Errorf("%s with the other tenant's session: %d %s", r.Op, got.Status, got.Code)
			}
		}
	}
	// What names nothing comes first: b's audit log tells of a's things once b's people have asked for them.
	for _, naming := range []bool{false, true} {
		for _, r := range Routes {
			if r.Elsewhere != "" || r.Secret {
				continue
			}
			if all := r.request(ops[r.Op], b, a.Words); naming == (len(all.ids) > 0 || r.Query != "") {
				try(r, all)
			}
		}
	}
	t.Logf("%d requests for the other tenant's things", tried)
	after := settledRows(t, a)
	// The channel repeats the callbacks that were refused before, at its own times: those
	// rows come from it and not from the other tenant, whose requests cannot write any.
	delete(before, "payment.callback")
	// So does notify with messages that a browser's push service did not take: their number stays.
	delete(before, "notify.delivery")
	if n := a.messages(t); n != messages {
		t.Errorf("notify.delivery: %d rows, was %d", n, messages)
	}
	for table, was := range before {
		if after[table] != was {
			t.Errorf("%s: %s, was %s", table, after[table], was)
		}
	}
	if len(before) < 20 {
		t.Errorf("%d tables were compared only", len(before))
	}
}

// messages are how many the tenant's people were sent.
func (s *Scene) messages(t *testing.T) int64 {
	return s.w.Count(t, "notify", s.tenant, `SELECT COUNT(*) FROM delivery WHERE tenant_id = $1`, s.tenant)
}

// settledRows are the tenant's rows when its machines have nothing to do.
func settledRows(t *testing.T, s *Scene) map[string]string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	must(t, client.Until(ctx, "quiet", func(context.Context) (bool, error) {
		busy := int64(0)
		for _, owner := range rig.Contexts {
			busy += s.w.Count(t, owner, s.tenant, `SELECT COUNT(*) FROM job WHERE tenant_id = $1 AND (state = 'running' OR state = 'ready' AND run_at <= $2)`,
				s.tenant, clock.System{}.Now().UnixMicro())
			busy += s.w.Count(t, owner, s.tenant, `SELECT COUNT(*) FROM outbox WHERE tenant_id = $1 AND seq = 0`, s.tenant)
		}
		return busy == 0, nil
	}))
	return s.w.Fingerprint(t, s.tenant)
}

// leaks fails for an answer that has another tenant's ids in it, except those that the
// request itself named.
func leaks(t *testing.T, op string, a client.Answer, theirs map[string]bool, q request) {
	t.Helper()
	if a.Status != 200 && a.Status != 404 {
		t.Errorf("%s: %d %s\n%s", op, a.Status, a.Code, a.Body)
	}
	for v := range theirs {
		if strings.Contains(string(a.Body), v) && !strings.Contains(q.path, v) {
			t.Errorf("%s shows the other tenant's %s\n%s", op, v, a.Body)
		}
	}
	var list struct{ Items []json.RawMessage }
	if json.Unmarshal(a.Body, &list) == nil && len(list.Items) > 0 {
		for v := range theirs {
			if strings.Contains(q.path, v) {
				t.Errorf("%s lists %d items for the other tenant's %s", op, len(list.Items), v)
			}
		}
	}
}

func names(mix map[string]string, ids []string) []string {
	if len(mix) > len(ids) {
		return ids
	}
	return slices.Sorted(maps.Keys(mix))
}

func either(v, fallback int) int {
	if v == 0 {
		return fallback
	}
	return v
}

// TestUnknownIDs: ids of nobody look exactly like another tenant's.
func TestUnknownIDs(t *testing.T) {
	w := rig.NewWorld(t, rig.SQLite)
	s := newScene(t, w, "alpha", 1000)
	p := w.Serve(t)
	s.play(t, p)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for op, o := range operations(t, p, s.Host) {
		for _, r := range Routes {
			if r.Op != op || r.ID == "" {
				continue
			}
			mix := map[string]string{strings.Trim(r.ID, "{}"): id.New[id.Any](clock.System{}.Now()).String()}
			if got := r.send(ctx, t, o, s.Actors[r.Who], r.request(o, s, mix)); got.Status != 404 {
				t.Errorf("%s: %d %s", op, got.Status, got.Code)
			}
		}
	}
}
