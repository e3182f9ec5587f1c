package app

import (
	"slices"
	"strings"
	"testing"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/platform/authz"
	"xinglin/internal/platform/httpx"
	"xinglin/internal/reference"
)

func described(t *testing.T) reference.Input {
	t.Helper()
	in, err := describe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return in
}

// Everything that an explanation says has its words in both languages, and nothing stands in the lists that is not there.
func TestAccessWords(t *testing.T) {
	in := described(t)
	asked := map[string]bool{}
	for _, op := range in.Ops {
		if op.Public || op.Machine || !in.Policies.Knows(op.ID) {
			continue
		}
		asked[op.ID] = true
		if actionWords[op.ID] == "" {
			t.Errorf("access_words.go has no Chinese words for %s", op.ID)
		}
	}
	for a := range actionWords {
		if !asked[a] {
			t.Errorf("access_words.go: %s is no operation that a policy decides about", a)
		}
	}
	for a := range otherWords {
		if asked[a] || !in.Policies.Knows(a) {
			t.Errorf("access_words.go: %s has a route, or no policy decides about it", a)
		}
	}
	facts := map[string]bool{}
	for _, p := range in.Permissions {
		if p.Words.ZH == "" || p.Words.EN == "" {
			t.Errorf("policy %s has no @zh or no @en", p.Policy)
		}
		for _, f := range in.Policies.Looks(p.Action) {
			facts[f] = true
			if w := factWords[f]; w.ZH == "" || w.EN == "" {
				t.Errorf("policy %s looks at resource.%s, which has no words", p.Policy, f)
			}
		}
	}
	for f := range factWords {
		if !facts[f] {
			t.Errorf("access_words.go: no policy looks at %s", f)
		}
	}
}

// An operation whose policies look at an item says where its facts come from; else an explanation would decide without them.
func TestEveryFactHasASource(t *testing.T) {
	in := described(t)
	for _, op := range in.Ops {
		if op.Public || op.Machine {
			continue
		}
		if _, ok := in.Facts[op.ID]; !ok && len(in.Policies.Looks(op.ID)) > 0 {
			t.Errorf("the policies of %s look at %v, and no source of a module gives it", op.ID, in.Policies.Looks(op.ID))
		}
	}
	for a := range in.Facts {
		if !in.Policies.Knows(a) {
			t.Errorf("a module gives facts for %s, which no policy decides about", a)
		}
	}
}

// ownAffairs are the policies by which everybody keeps their own account: sessions, proofs, consents, notices.
var ownAffairs = []string{"identity.own_sessions", "identity.own_factors", "identity.own_proofs", "identity.own_totp", "identity.own_consents", "notify.own"}

// breaches says where the three administrators are not what they must be (R58): the audit administrator changes something,
// or one of them reaches what belongs to patients.
func breaches(t *testing.T, e *authz.Engine, ops []httpx.Op) (out []string) {
	t.Helper()
	for _, c := range authz.Callers() {
		if !authz.Administers(c.Role) {
			continue
		}
		for _, op := range ops {
			if op.Public || op.Machine || !e.Knows(op.ID) {
				continue
			}
			may, err := e.Cell(op.ID, c, authz.Source{})
			if err != nil {
				t.Fatal(err)
			}
			if len(may) == 0 {
				continue
			}
			records := slices.Contains([]string{"patient", "scheduling", "clinic", "payment"}, op.Module)
			changes := op.Method != "GET" && !own(e, op.ID) && !slices.Contains([]string{"audit.sign_head", "audit.search_events"}, op.ID) // the one signs what is there, the other reads by POST
			if records || changes && c.Role == auth.AuditAdmin {
				out = append(out, c.Name+" "+op.ID)
			}
		}
	}
	return out
}

// own reports whether nothing but policies of one's own affairs permit the action to staff.
func own(e *authz.Engine, action string) bool {
	for _, p := range e.Permissions() {
		if p.Action == action && !p.Forbids && !slices.Contains(ownAffairs, p.Policy) && strings.Contains(p.Text, "audit_admin") {
			return false
		}
	}
	return slices.ContainsFunc(e.Permissions(), func(p authz.Permission) bool { return p.Action == action && slices.Contains(ownAffairs, p.Policy) })
}

// TestAdministrators goes over every route of the program: the audit administrator changes nothing but the own account, and no
// administrator reads or changes what belongs to patients. A planted policy is found.
func TestAdministrators(t *testing.T) {
	in := described(t)
	if got := breaches(t, in.Policies, in.Ops); len(got) > 0 {
		t.Errorf("%v", got)
	}
	// Whoever is signed in may do these, without a policy: a place in the waiting room is the caller's own.
	for _, op := range in.Ops {
		if !op.Public && !op.Machine && !in.Policies.Knows(op.ID) && !strings.HasPrefix(op.ID, "queue.") {
			t.Errorf("no policy decides about %s", op.ID)
		}
	}
	planted := []authz.Policies{{Context: "ops", Text: opsPolicy}}
	for _, d := range Descriptions() {
		text := string(d.Policies)
		switch d.Name {
		case "scheduling":
			text += `@id("scheduling.x") permit (principal is Staff, action == Action::"scheduling.stop_session", resource) when { principal.roles.contains("audit_admin") };`
		case "patient": // the second lock holds here
			text += `@id("patient.x") permit (principal is Staff, action == Action::"patient.search_at_desk", resource) when { principal.roles.contains("system_admin") };`
		case "notify":
			text += `@id("notify.x") permit (principal is Staff, action == Action::"notify.retry_delivery", resource) when { principal.roles.contains("audit_admin") };`
		}
		planted = append(planted, authz.Policies{Context: d.Name, Text: []byte(text)})
	}
	e, err := authz.New(planted...)
	if err != nil {
		t.Fatal(err)
	}
	got := breaches(t, e, in.Ops)
	slices.Sort(got)
	if strings.Join(got, ", ") != "audit_admin notify.retry_delivery, audit_admin scheduling.stop_session" {
		t.Errorf("of three planted policies: %v", got)
	}
}
