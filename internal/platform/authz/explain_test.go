package authz_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/authz"
	"xinglin/internal/testkit"
)

const ward2 = `
@id("ward.own_line")
@zh("医生自己的队列")
@en("A doctor's own line")
permit (principal is Staff, action in [Action::"ward.call", Action::"ward.look"], resource)
when { principal.roles.contains("doctor") && resource.own };

@id("ward.nurse")
permit (principal is Staff, action in [Action::"ward.call", Action::"ward.look"], resource) when { principal.roles.contains("nurse") };

@id("ward.person")
permit (principal is Person, action == Action::"ward.look", resource) when { resource.account == principal.account || resource.proven };

@id("ward.grant")
permit (principal is Staff, action == Action::"ward.grant", resource)
when { principal.roles.contains("security_admin") && principal.factors >= 2 && resource.account != principal.account };

@id("ward.no_administrator")
forbid (principal is Staff, action in [Action::"ward.call", Action::"ward.look"], resource)
when { principal.roles.containsAny(["system_admin", "security_admin", "audit_admin"]) };
`

func wardEngine(t *testing.T) *authz.Engine {
	t.Helper()
	e, err := authz.New(authz.Policies{Context: "ward", Text: []byte(ward2)})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// told is an explanation in one line.
func told(x authz.Explanation) string {
	var policies, needs []string
	for _, p := range x.Policies {
		policies = append(policies, p.Policy)
	}
	for _, n := range x.Needs {
		if n.Instead {
			n.Role = "instead " + n.Role
		}
		needs = append(needs, strings.ReplaceAll(fmt.Sprintf("%s%v%d=%v", n.Role, n.Facts, n.Factors, n.Policies), "map", ""))
	}
	return fmt.Sprintf("%v by %v, facts %v, needs %v", x.Allowed, policies, x.Facts, needs)
}

func TestExplain(t *testing.T) {
	e := wardEngine(t)
	doctor, nurse := auth.Grant{Role: auth.Doctor}, auth.Grant{Role: auth.Nurse}
	elsewhere := auth.Grant{Role: auth.Nurse, Organization: id.Random[auth.Organization]()}
	other := id.Random[auth.Account]().String()
	for name, tc := range map[string]struct {
		who    auth.Principal
		action string
		attrs  map[string]any
		want   string
	}{
		"own line":         {staff(2, doctor), "ward.call", map[string]any{"own": true}, "true by [ward.own_line], facts map[own:true], needs []"},
		"both policies":    {staff(2, doctor, nurse), "ward.call", map[string]any{"own": true}, "true by [ward.nurse ward.own_line], facts map[own:true], needs []"},
		"another's line":   {staff(2, doctor), "ward.call", map[string]any{"own": false}, "false by [], facts map[own:false], needs [nurse[]0=[ward.nurse] [own:true]0=[ward.own_line]]"},
		"no role":          {staff(2), "ward.call", map[string]any{"own": false}, "false by [], facts map[own:false], needs [nurse[]0=[ward.nurse] doctor[own:true]0=[ward.own_line]]"},
		"another campus":   {staff(2, elsewhere), "ward.call", map[string]any{"own": false}, "false by [], facts map[own:false], needs [nurse[]0=[ward.nurse] doctor[own:true]0=[ward.own_line]]"},
		"forbidden":        {staff(2, nurse, auth.Grant{Role: auth.AuditAdmin}), "ward.call", map[string]any{"own": false}, "false by [ward.no_administrator], facts map[own:false], needs [instead nurse[]0=[ward.nurse] instead doctor[own:true]0=[ward.own_line]]"},
		"own rights":       {staff(2, auth.Grant{Role: auth.SecurityAdmin}), "ward.grant", map[string]any{"account": mine.String()}, "false by [], facts map[account:true], needs [[account:false]0=[ward.grant]]"},
		"one factor":       {staff(1), "ward.grant", map[string]any{"account": other}, "false by [], facts map[account:false], needs [security_admin[]2=[ward.grant]]"},
		"a person":         {auth.Principal{Kind: auth.Patient, Account: mine, Factors: 2}, "ward.look", map[string]any{"account": other, "proven": false, "own": false}, "false by [], facts map[account:false own:false proven:false], needs [[account:true]0=[ward.person] [proven:true]0=[ward.person]]"},
		"words of no fact": {staff(2, nurse), "ward.look", map[string]any{"purpose": "x"}, "true by [ward.nurse], facts map[], needs []"},
	} {
		x, err := e.Explain(tc.who, authz.Request{Action: tc.action, Noun: "Line", ID: "1", Attrs: tc.attrs, At: []id.ID[auth.Organization]{ward}})
		if got := told(x); err != nil || got != tc.want {
			t.Errorf("%s: %v\n got %s\nwant %s", name, err, got, tc.want)
		}
		// What is explained is what is decided, and a need that is met permits.
		d, err := e.Check(testkit.As(t.Context(), tc.who), authz.Request{Action: tc.action, Noun: "Line", ID: "1", Attrs: tc.attrs, At: []id.ID[auth.Organization]{ward}})
		if (err == nil) != x.Allowed || x.Allowed && d.Policy != x.Policies[0].Policy {
			t.Errorf("%s: explained %v, decided %v by %s", name, x.Allowed, err, d.Policy)
		}
	}
	if _, err := e.Explain(staff(2), authz.Request{Action: "ward.burn", Noun: "Line"}); err == nil {
		t.Error("an action without a policy was explained")
	}
	if x, _ := e.Explain(staff(2, doctor), authz.Request{Action: "ward.call", Noun: "Line", Attrs: map[string]any{"own": true}}); x.Policies[0].Words != (authz.Words{ZH: "医生自己的队列", EN: "A doctor's own line"}) || strings.Contains(x.Policies[0].Text, "@zh") {
		t.Errorf("%+v", x.Policies[0])
	}
}

// TestPlaces: a role counts where it was granted for, everywhere when it was granted for the whole tenant, and for what lies
// nowhere.
func TestPlaces(t *testing.T) {
	e := wardEngine(t)
	other := id.Random[auth.Organization]()
	for name, tc := range map[string]struct {
		granted id.ID[auth.Organization]
		at      []id.ID[auth.Organization]
		want    bool
	}{
		"here":              {ward, []id.ID[auth.Organization]{ward}, true},
		"elsewhere":         {other, []id.ID[auth.Organization]{ward}, false},
		"above":             {other, []id.ID[auth.Organization]{ward, other}, true},
		"whole tenant":      {id.ID[auth.Organization]{}, []id.ID[auth.Organization]{ward}, true},
		"lies nowhere":      {other, nil, true},
		"granted, nowhere":  {ward, nil, true},
		"no place is known": {other, []id.ID[auth.Organization]{{}}, false},
	} {
		ctx := testkit.As(t.Context(), staff(2, auth.Grant{Role: auth.Nurse, Organization: tc.granted}))
		_, err := e.Check(ctx, authz.Request{Action: "ward.call", Noun: "Line", Attrs: map[string]any{"own": false}, At: tc.at})
		if (err == nil) != tc.want {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCells(t *testing.T) {
	e := wardEngine(t)
	for name, tc := range map[string]struct {
		action, caller string
		placed, self   bool
		want           string
	}{
		"nurse":                 {"ward.call", "nurse", false, false, "[own here elsewhere]"},
		"nurse at a campus":     {"ward.call", "nurse", true, false, "[own here]"},
		"doctor":                {"ward.call", "doctor", true, false, "[session]"},
		"registrar":             {"ward.call", "registrar", true, false, "[]"},
		"person":                {"ward.look", "patient", true, false, "[own family]"},
		"administrator":         {"ward.look", "audit_admin", true, false, "[]"},
		"grants are for others": {"ward.grant", "security_admin", true, false, "[here elsewhere]"},
		"only oneself":          {"ward.look", "patient", false, true, "[own]"},
		"not even oneself":      {"ward.grant", "security_admin", false, true, "[]"},
		"no such action":        {"ward.burn", "nurse", true, false, "[]"},
	} {
		i := slices.IndexFunc(authz.Callers(), func(c authz.Caller) bool { return c.Name == tc.caller })
		c := authz.Callers()[i]
		got, err := e.Cell(tc.action, c, authz.Source{Placed: tc.placed, Self: tc.self})
		if err != nil || fmt.Sprint(got) != tc.want {
			t.Errorf("%s: %v, %v; want %s", name, got, err, tc.want)
		}
		if c.All(got) != (len(got) == len(c.Relations)) {
			t.Errorf("%s: all is %v", name, c.All(got))
		}
	}
	if got := fmt.Sprint(e.Looks("ward.look"), e.Looks("ward.grant"), e.Looks("ward.burn")); got != "[account own proven] [account] []" {
		t.Errorf("looks: %s", got)
	}
	if !e.Knows("ward.call") || e.Knows("ward.burn") {
		t.Error("known actions")
	}
}

// TestCases: what a policy must and must not permit is written in words, and every word is understood or refused.
func TestCases(t *testing.T) {
	e := wardEngine(t)
	good := `
# a comment
allow doctor         ward.call   own                  by ward.own_line   # another
deny  doctor         ward.call
allow nurse@east     ward.call   at=east at=house     by ward.nurse
deny  nurse@west     ward.call   at=east at=house
allow patient        ward.look   account=own          by ward.person
deny  patient        ward.look   account=other
allow security_admin ward.grant  account=other        by ward.grant
deny  security_admin:1  ward.grant
deny  nurse+audit_admin ward.call                     by ward.no_administrator
`
	cases, err := authz.ReadCases("ward.tests", []byte(good))
	if err != nil {
		t.Fatal(err)
	}
	if ran := e.Run(cases); ran.Cases != 9 || ran.Policies != 5 || len(ran.Failed) != 0 {
		t.Errorf("%+v", ran)
	}
	wrong, err := authz.ReadCases("w", []byte("deny nurse ward.call\nallow nurse ward.call by ward.own_line\nallow nurse ward.burn\nallow nurse ward.call purple\nallow cli ward.call\nallow system ward.call\nallow client ward.call\nallow staff ward.call\n"))
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Join(e.Run(wrong).Failed, "\n")
	want := `w:1: deny nurse ward.call: is allowed by ward.nurse
w:2: allow nurse ward.call by ward.own_line: decided by ward.nurse
w:3: allow nurse ward.burn: no policy names this action
w:4: allow nurse ward.call purple: no policy of the action looks at purple
w:5: allow cli ward.call: is denied by no policy
w:6: allow system ward.call: is denied by no policy
w:7: allow client ward.call: is denied by no policy
w:8: allow staff ward.call: is denied by no policy
ward.grant: no test is decided by it
ward.no_administrator: no test is decided by it
ward.own_line: no test is decided by it
ward.person: no test is decided by it`
	if got != want {
		t.Errorf("%s", got)
	}
	for _, bad := range []string{
		"permit nurse ward.call", "allow nurse", "allow king ward.call", "allow nurse@ ward.call", "allow nurse:3 ward.call", "allow nurse ward.call account=mine",
		"allow nurse ward.call at=", "allow nurse ward.call by", "allow nurse ward.call by ward.nurse own", "allow nurse ward.call own=yes", "allow nurse+ ward.call",
	} {
		if _, err := authz.ReadCases("bad", []byte(bad)); err == nil || !strings.Contains(err.Error(), "bad:1") {
			t.Errorf("%q was read: %v", bad, err)
		}
	}
}
