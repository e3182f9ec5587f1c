package privacysvc

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"

	"xinglin/internal/audit"
	"xinglin/internal/identity"
	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/id"
	"xinglin/internal/kernel/page"
	"xinglin/internal/kernel/secret"
	"xinglin/internal/privacy"
	"xinglin/internal/testkit/apitest"
)

// logbook is the audit log as this context uses it.
type logbook struct {
	audit.Service
	mu     sync.Mutex
	events []audit.AuditEvent // the newest last
}

func (l *logbook) Touched(_ context.Context, t audit.TenantID, q audit.Touch) (out page.Page[audit.AuditEvent], _ error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range slices.Backward(l.events) {
		older := q.Page.Cursor == "" || e.ID.String() < q.Page.Cursor
		if t != apitest.Main || !slices.Contains(q.Objects, e.Object) || slices.Contains(q.But, e.Actor) || !older || !q.Only.IsZero() && q.Only != e.ID {
			continue
		}
		if len(out.Items) == q.Page.Size() {
			out.Next = out.Items[len(out.Items)-1].ID.String()
			break
		}
		out.Items = append(out.Items, e)
	}
	return out, nil
}

// did writes an act into the log.
func (h *house) did(actor, action, object string) audit.EventID {
	h.clk.Add(1e9)
	e := audit.AuditEvent{ID: id.New[audit.AuditEvent](h.clk.Now()), At: h.clk.Now(), Actor: actor, Action: action, Object: object, Policy: "privacy.own"}
	h.log.events = append(h.log.events, e)
	return e.ID
}

func (a *accounts) StaffNames(_ context.Context, _ identity.TenantID, as []identity.AccountID) (map[identity.AccountID]identity.StaffName, error) {
	out := map[identity.AccountID]identity.StaffName{}
	for _, v := range as {
		if n, ok := a.p.staff[v]; ok {
			out[v] = n
		}
	}
	return out, nil
}

// objection is a request's body.
func objection(e audit.EventID) string {
	return fmt.Sprintf(`{"kind":"object","reason":"这不是我的医生","event_id":%q}`, e)
}

// TestAccesses: a person sees who did what with the record and with what is the person's, page by page, and nobody else sees it.
func TestAccesses(t *testing.T) {
	each(t, func(h *house) {
		t := h.T
		who, p := h.adult()
		_, other := h.adult()
		doctor := id.Random[auth.Account]()
		h.people.staff[doctor] = identity.StaffName{Name: secret.New("李四"), Roles: []auth.Role{auth.Doctor}}
		turn := id.Random[id.Any]().String()
		h.holder.ids = []string{turn}
		h.did("staff:"+doctor.String(), "patient.read", p.String())
		h.did(who.Actor(), "patient.update", p.String())
		h.did("staff:"+doctor.String(), "patient.read", other.String())
		h.did("staff:"+doctor.String(), "clinic.call_next", turn)
		h.did("client:fhir-partner", "patient.read", p.String())
		path := "/privacy/patients/" + p.String() + "/accesses"
		got := h.api.Do(who, "GET", path, nil).Want(t, 200).Items(t)
		if len(got) != 3 {
			t.Fatalf("%d accesses: %v", len(got), got)
		}
		for i, want := range []string{"client  [] patient.read", "staff 李四 [doctor] clinic.call_next", "staff 李四 [doctor] patient.read"} {
			if is := fmt.Sprint(got[i]["by"], " ", got[i]["name"], " ", got[i]["roles"], " ", got[i]["action"]); is != want {
				t.Errorf("%d: %s, want %s", i, is, want)
			}
		}
		if w := got[0]["policy"].(map[string]any); w["zh"] == "" || w["en"] == "" {
			t.Error("nobody says why it was permitted")
		}
		if w := h.api.Do(who, "GET", path+"?limit=1", nil).Want(t, 200).Map(t); w["next"] == "" || len(w["items"].([]any)) != 1 {
			t.Errorf("the first page: %v", w)
		} else if rest := h.api.Do(who, "GET", path+"?limit=5&cursor="+w["next"].(string), nil).Want(t, 200).Items(t); len(rest) != 2 {
			t.Errorf("the second page: %v", rest)
		}
		for range 100 { // a full page has a next one too
			h.did("staff:"+doctor.String(), "clinic.recall", turn)
		}
		if w := h.api.Do(who, "GET", path+"?limit=100", nil).Want(t, 200).Map(t); w["next"] == "" || len(w["items"].([]any)) != 100 {
			t.Errorf("a page of 100: %d, next %v", len(w["items"].([]any)), w["next"])
		}
		h.api.Do(who, "GET", path+"?cursor=x", nil).Refused(t, 400, "http.cursor")
		h.api.Do(apitest.Patient(apitest.Main), "GET", path, nil).Refused(t, 404, "patient.not_found")
		h.api.Do(apitest.Patient(apitest.Other), "GET", path, nil).Refused(t, 404, "patient.not_found")
		h.api.Do(h.officer, "GET", path, nil).Want(t, 403)
		if n := h.number(`SELECT COUNT(*) FROM trail WHERE tenant_id = $1 AND action = 'privacy.list_accesses' AND object = $2`, p.String()); n != 4 {
			t.Errorf("%d audit rows of reading it", n)
		}
	})
}

// TestThings: of more things than may be asked for the newest stay, and the person's own id always does.
func TestThings(t *testing.T) {
	each(t, func(h *house) {
		_, p := h.adult()
		h.holder.ids = nil
		for range maxItems + 200 {
			h.clk.Add(1e6)
			h.holder.ids = append(h.holder.ids, id.New[id.Any](h.clk.Now()).String())
		}
		got, err := h.s.things(h.Context(), apitest.Main, p)
		if err != nil || len(got) != maxItems || got[0] != p.String() || got[1] != h.holder.ids[len(h.holder.ids)-1] || slices.Contains(got, h.holder.ids[0]) {
			h.Errorf("%d things, the first %s: %v", len(got), got[:min(2, len(got))], err)
		}
	})
}

// TestObjection: against what was done to the own record only, once at a time for each act; the officer sees what it is about and
// answers in either case.
func TestObjection(t *testing.T) {
	each(t, func(h *house) {
		t := h.T
		who, p := h.adult()
		_, other := h.adult()
		doctor := id.Random[auth.Account]()
		h.people.staff[doctor] = identity.StaffName{Name: secret.New("李四"), Roles: []auth.Role{auth.Doctor}}
		first, second := h.did("staff:"+doctor.String(), "patient.read", p.String()), h.did("staff:"+doctor.String(), "patient.read", p.String())
		theirs := h.did("staff:"+doctor.String(), "patient.read", other.String())
		path := "/privacy/patients/" + p.String() + "/requests"
		try := func(body string) apitest.Response {
			return h.api.Do(who, "POST", path, body, apitest.Key(id.New[privacy.Request](h.clk.Now())))
		}
		try(objection(theirs)).Refused(t, 404, "privacy.not_found")
		try(`{"kind":"object","reason":"不认识的医生"}`).Refused(t, 422, "privacy.request_invalid")
		try(`{"kind":"copy","event_id":"`+first.String()+`"}`).Refused(t, 422, "privacy.request_invalid")
		try(`{"kind":"object","event_id":"`+first.String()+`"}`).Refused(t, 422, "privacy.request_invalid")
		r := h.ask(who, p, objection(first))
		try(objection(first)).Refused(t, 409, "privacy.request_open")
		again := h.ask(who, p, objection(second))
		seen := h.api.Do(h.officer, "GET", "/privacy/requests/"+r, nil).Want(t, 200).Map(t)
		if a, _ := seen["access"].(map[string]any); a == nil || a["id"] != first.String() || a["name"] != "李四" {
			t.Errorf("the officer sees %v", seen["access"])
		}
		decide := func(r, body string) apitest.Response {
			return h.api.Do(h.officer, "POST", "/privacy/requests/"+r+"/decision", body, apitest.IfMatch(1))
		}
		decide(r, `{"accept":true}`).Refused(t, 422, "privacy.request_invalid")
		decide(r, `{"accept":true,"note":"越权查阅，已处理当事人"}`).Want(t, 200)
		decide(again, `{"accept":false,"note":"会诊需要"}`).Want(t, 200)
		if a, b := h.state(who, p, r), h.state(who, p, again); a != "done" || b != "refused" {
			t.Errorf("states %s and %s", a, b)
		}
		h.api.Do(apitest.Stale(who), "POST", path, objection(first), apitest.Key(id.New[privacy.Request](h.clk.Now()))).Refused(t, 403, "auth.step_up")
		h.clean()
	})
}

// TestActorOf: what a principal's Actor says, read back.
func TestActorOf(t *testing.T) {
	a := id.Random[auth.Account]()
	for _, p := range []auth.Principal{{Kind: auth.Staff, Account: a}, {Kind: auth.Patient, Account: a}, {Kind: auth.CLI, Name: "root"}, {Kind: auth.Client, Name: "x:y"}} {
		kind, account := actorOf(p.Actor())
		if kind != p.Kind || account != p.Account {
			t.Errorf("%s: %s %s", p.Actor(), kind, account)
		}
	}
}
