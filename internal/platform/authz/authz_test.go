package authz_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/fault"
	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/authz"
	"xinglin/internal/testkit"
)

const shelf = `
@id("shelf.own")
permit (principal is Person, action in [Action::"shelf.read", Action::"shelf.write"], resource)
when { resource.account == principal.account };

@id("shelf.keeper")
permit (principal is Staff, action == Action::"shelf.read", resource is Book)
when { principal.roles.contains("nurse") && principal.organizations.contains(resource.organization) };

@id("shelf.any_keeper")
permit (principal is Staff, action == Action::"shelf.read", resource is Book)
when { principal.roles.contains("doctor") };

@id("shelf.a_keeper")
permit (principal is Staff, action == Action::"shelf.read", resource is Book)
when { principal.roles.contains("doctor") };

@id("shelf.two_factors")
permit (principal is Staff, action == Action::"shelf.burn", resource)
when { principal.factors >= 2 && resource.old && resource.pages < 10 && resource.tags.contains("torn") };

@id("shelf.locked")
forbid (principal, action in [Action::"shelf.read", Action::"shelf.burn"], resource)
when { resource has locked && resource.locked };

@id("shelf.machines")
permit (principal, action == Action::"shelf.sweep", resource)
when { principal is CLI || principal is System };

@id("shelf.partner")
permit (principal is Client, action == Action::"shelf.list", resource);
`

type book struct{}

var (
	tenant = id.Must[auth.Tenant]("0190aaaa-0000-7000-8000-00000000000a")
	mine   = id.Must[auth.Account]("0190aaaa-0000-7000-8000-0000000000ac")
	ward   = id.Must[auth.Organization]("0190aaaa-0000-7000-8000-0000000000ad")
)

func engine(t testing.TB) *authz.Engine {
	t.Helper()
	e, err := authz.New(authz.Policies{Context: "shelf", Text: []byte(shelf)})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func staff(factors int, grants ...auth.Grant) auth.Principal {
	return auth.Principal{Kind: auth.Staff, Tenant: tenant, Account: mine, Grants: grants, Factors: factors}
}

func TestCheck(t *testing.T) {
	e := engine(t)
	patient := auth.Principal{Kind: auth.Patient, Tenant: tenant, Account: mine}
	nurse := staff(1, auth.Grant{Role: auth.Nurse, Organization: ward})
	doctor := staff(1, auth.Grant{Role: auth.Doctor})
	own := map[string]any{"account": mine.String()}
	there := map[string]any{"organization": ward.String()}
	worn := map[string]any{"old": true, "pages": 9, "tags": []string{"red", "torn"}}
	for _, tc := range []struct {
		name   string
		who    auth.Principal
		action string
		noun   string
		attrs  map[string]any
		want   string // the policy, or "" when denied
	}{
		{"own", patient, "shelf.read", "Book", own, "shelf.own"},
		{"own, the other action", patient, "shelf.write", "Book", own, "shelf.own"},
		{"somebody else's", patient, "shelf.read", "Book", map[string]any{"account": id.Random[auth.Account]().String()}, ""},
		{"without the attribute", patient, "shelf.read", "Book", nil, ""},
		{"an attribute of another type", patient, "shelf.read", "Book", map[string]any{"account": int64(1)}, ""},
		{"staff is no person", staff(2), "shelf.write", "Book", own, ""},
		{"role and organization", nurse, "shelf.read", "Book", there, "shelf.keeper"},
		{"another organization", nurse, "shelf.read", "Book", map[string]any{"organization": id.Random[auth.Organization]().String()}, ""},
		{"another noun", nurse, "shelf.read", "Paper", there, ""},
		{"no role", staff(2), "shelf.read", "Book", there, ""},
		{"a policy's error does not stop another", doctor, "shelf.read", "Book", nil, "shelf.a_keeper"},
		{"forbidden", nurse, "shelf.read", "Book", map[string]any{"organization": ward.String(), "locked": true}, ""},
		{"not forbidden", nurse, "shelf.read", "Book", map[string]any{"organization": ward.String(), "locked": false}, "shelf.keeper"},
		{"all types", staff(2), "shelf.burn", "Book", worn, "shelf.two_factors"},
		{"int64", staff(2), "shelf.burn", "Book", map[string]any{"old": true, "pages": int64(9), "tags": []string{"torn"}}, "shelf.two_factors"},
		{"one factor", staff(1), "shelf.burn", "Book", worn, ""},
		{"a number too large", staff(2), "shelf.burn", "Book", map[string]any{"old": true, "pages": 10, "tags": []string{"torn"}}, ""},
		{"not in the set", staff(2), "shelf.burn", "Book", map[string]any{"old": true, "pages": 9, "tags": []string{}}, ""},
		{"command line", auth.Principal{Kind: auth.CLI, Tenant: tenant, Name: "root"}, "shelf.sweep", "Book", nil, "shelf.machines"},
		{"job", auth.Principal{Kind: auth.System, Name: "job:x"}, "shelf.sweep", "Book", nil, "shelf.machines"},
		{"person at the machines' work", patient, "shelf.sweep", "Book", nil, ""},
		{"partner", auth.Principal{Kind: auth.Client, Name: "app"}, "shelf.list", "Book", nil, "shelf.partner"},
		{"partner at another action", auth.Principal{Kind: auth.Client, Name: "app"}, "shelf.read", "Book", nil, ""},
		{"no account is not an empty account", auth.Principal{Kind: auth.Patient}, "shelf.read", "Book", map[string]any{"account": id.ID[auth.Account]{}.String()}, ""},
		{"unknown action", patient, "shelf.steal", "Book", own, ""},
		{"no action", patient, "", "Book", own, ""},
		{"quotes in the action", patient, `shelf.read", Action::"x`, "Book", own, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			ctx := testkit.As(context.Background(), tc.who)
			for range 20 { // the policy named is the same each time
				d, err := e.Check(ctx, authz.Request{Action: tc.action, Noun: tc.noun, ID: "1", Attrs: tc.attrs})
				if d.Policy != tc.want || (err == nil) != (tc.want != "") || err != nil && !errors.Is(err, authz.ErrDenied) {
					t.Fatalf("%+v, %v; want %q", d, err, tc.want)
				}
			}
		})
	}
}

func TestCheckWithoutDecision(t *testing.T) {
	e := engine(t)
	if _, err := e.Check(context.Background(), authz.Request{Action: "shelf.read", Noun: "Book"}); !errors.Is(err, auth.ErrNone) {
		t.Errorf("nobody: %v", err)
	}
	ctx := testkit.As(context.Background(), staff(1))
	_, err := e.Check(ctx, authz.Request{Action: "shelf.read", Noun: "Book", Attrs: map[string]any{"x": 1.5}})
	if err == nil || fault.Of(err) != nil {
		t.Errorf("an attribute of no type: %v", err)
	}
}

func TestNewRefuses(t *testing.T) {
	for name, text := range map[string]string{
		"without @id":           `permit (principal, action == Action::"shelf.read", resource);`,
		"another context's":     `@id("tower.own") permit (principal, action == Action::"shelf.read", resource);`,
		"without action":        `@id("shelf.all") permit (principal, action, resource);`,
		"no Cedar":              `@id("shelf.all") allow everything`,
		"a name twice":          `@id("shelf.a") permit (principal, action == Action::"shelf.read", resource); @id("shelf.a") forbid (principal, action == Action::"shelf.read", resource);`,
		"forbid without action": `@id("shelf.none") forbid (principal, action, resource);`,
	} {
		if _, err := authz.New(authz.Policies{Context: "shelf", Text: []byte(text)}); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	if _, err := authz.New(authz.Policies{Context: "shelf"}); err != nil {
		t.Errorf("no policies: %v", err)
	}
}

func TestPermissions(t *testing.T) {
	var got []string
	for _, p := range engine(t).Permissions() {
		if p.Context != "shelf" || !strings.Contains(p.Text, p.Policy) {
			t.Errorf("%+v", p)
		}
		got = append(got, p.Action+" "+p.Policy)
	}
	want := "shelf.burn shelf.locked, shelf.burn shelf.two_factors, shelf.list shelf.partner, shelf.read shelf.a_keeper, " +
		"shelf.read shelf.any_keeper, shelf.read shelf.keeper, shelf.read shelf.locked, shelf.read shelf.own, shelf.sweep shelf.machines, shelf.write shelf.own"
	if s := strings.Join(got, ", "); s != want {
		t.Errorf("%s", s)
	}
}

// BenchmarkCheck decides among many contexts' policies: the time must not grow with their number.
func BenchmarkCheck(b *testing.B) {
	for _, contexts := range []int{1, 40} {
		b.Run(fmt.Sprint(contexts), func(b *testing.B) {
			sets := []authz.Policies{{Context: "shelf", Text: []byte(shelf)}}
			for i := range contexts - 1 {
				name := "x" + string(rune('a'+i%26)) + string(rune('a'+i/26))
				sets = append(sets, authz.Policies{Context: name, Text: []byte(strings.ReplaceAll(shelf, "shelf.", name+"."))})
			}
			e, err := authz.New(sets...)
			if err != nil {
				b.Fatal(err)
			}
			ctx := testkit.As(context.Background(), auth.Principal{Kind: auth.Patient, Tenant: tenant, Account: mine})
			r := authz.Request{Action: "shelf.write", Noun: "Book", ID: id.Random[book]().String(), Attrs: map[string]any{"account": mine.String()}}
			for b.Loop() {
				if _, err := e.Check(ctx, r); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// TestAlike: a decision is remembered only where nothing but kind, factors and one flag can matter.
func TestAlike(t *testing.T) {
	e, err := authz.New(authz.Policies{Context: "door", Text: []byte(`
@id("door.linked")
permit (principal is Person, action == Action::"door.hold", resource) when { resource.linked };
@id("door.own")
permit (principal is Person, action == Action::"door.read", resource) when { resource.account == principal.account };
@id("door.itself")
permit (principal is Person, action == Action::"door.leave", resource) when { principal == Person::"patient:0190aaaa-0000-7000-8000-0000000000ac" };
@id("door.one")
permit (principal is Person, action == Action::"door.one", resource == Book::"1");
`)})
	if err != nil {
		t.Fatal(err)
	}
	me := auth.Principal{Kind: auth.Patient, Tenant: tenant, Account: mine}
	other := auth.Principal{Kind: auth.Patient, Tenant: tenant, Account: id.Must[auth.Account]("0190aaaa-0000-7000-8000-0000000000ae")}
	for range 2 { // the second time from memory
		for _, tc := range []struct {
			who    auth.Principal
			action string
			id     string
			attrs  map[string]any
			ok     bool
		}{
			{me, "door.hold", "1", map[string]any{"linked": true}, true},
			{other, "door.hold", "2", map[string]any{"linked": true}, true},
			{me, "door.hold", "1", map[string]any{"linked": false}, false},
			{me, "door.hold", "1", nil, false},
			{me, "door.hold", "1", map[string]any{"other": true}, false},
			{staff(1), "door.hold", "1", map[string]any{"linked": true}, false},
			{me, "door.read", "1", map[string]any{"account": mine.String()}, true},
			{other, "door.read", "1", map[string]any{"account": mine.String()}, false},
			{me, "door.leave", "1", nil, true},
			{other, "door.leave", "1", nil, false},
			{me, "door.one", "1", nil, true},
			{me, "door.one", "2", nil, false},
		} {
			_, err := e.Check(testkit.As(t.Context(), tc.who), authz.Request{Action: tc.action, Noun: "Book", ID: tc.id, Attrs: tc.attrs})
			if (err == nil) != tc.ok {
				t.Errorf("%s by %s on %s with %v: %v", tc.action, tc.who.Actor(), tc.id, tc.attrs, err)
			}
		}
	}
}

// What @step_up marks is permitted to a person only right after a proof, unless another policy permits it anyway; who is no
// person has nobody to ask.
func TestStepUp(t *testing.T) {
	e, err := authz.New(authz.Policies{Context: "safe", Text: []byte(`
@id("safe.keeper")
@step_up("safe.open safe.change")
permit (principal is Staff, action in [Action::"safe.open", Action::"safe.change", Action::"safe.look"], resource)
when { principal.roles.contains("nurse") };

@id("safe.doctor")
permit (principal is Staff, action == Action::"safe.open", resource)
when { principal.roles.contains("doctor") };

@id("safe.all")
@step_up("safe.own")
permit (principal, action == Action::"safe.own", resource);
`)})
	if err != nil {
		t.Fatal(err)
	}
	nurse, both := auth.Grant{Role: auth.Nurse}, []auth.Grant{{Role: auth.Nurse}, {Role: auth.Doctor}}
	fresh := func(p auth.Principal) auth.Principal {
		p.Fresh = true
		return p
	}
	patient := auth.Principal{Kind: auth.Patient, Tenant: tenant, Account: mine}
	for _, c := range []struct {
		name, action, policy string
		who                  auth.Principal
		want                 error
	}{
		{"old", "safe.open", "", staff(2, nurse), auth.ErrStepUp},
		{"old, another act", "safe.look", "safe.keeper", staff(2, nurse), nil},
		{"fresh", "safe.open", "safe.keeper", fresh(staff(2, nurse)), nil},
		{"fresh, second act", "safe.change", "safe.keeper", fresh(staff(2, nurse)), nil},
		{"old, but another policy asks for nothing", "safe.open", "safe.doctor", staff(2, both...), nil},
		{"fresh, both", "safe.open", "safe.doctor", fresh(staff(2, both...)), nil},
		{"fresh without the role", "safe.open", "", fresh(staff(2)), authz.ErrDenied},
		{"old without the role", "safe.open", "", staff(2), authz.ErrDenied},
		{"old patient", "safe.own", "", patient, auth.ErrStepUp},
		{"fresh patient", "safe.own", "safe.all", fresh(patient), nil},
		{"old patient after a fresh one", "safe.own", "", patient, auth.ErrStepUp},
		{"a job", "safe.own", "safe.all", auth.Principal{Kind: auth.System, Tenant: tenant, Name: "job:x"}, nil},
		{"the command line", "safe.own", "safe.all", auth.Principal{Kind: auth.CLI, Tenant: tenant, Name: "root"}, nil},
	} {
		d, err := e.Check(auth.With(t.Context(), c.who), authz.Request{Action: c.action, Noun: "Safe"})
		if d.Policy != c.policy || !errors.Is(err, c.want) {
			t.Errorf("%s: %q %v, want %q %v", c.name, d.Policy, err, c.policy, c.want)
		}
	}
	marked := map[string]bool{}
	for _, p := range e.Permissions() {
		if p.StepUp {
			marked[p.Action+" "+p.Policy] = true
		}
	}
	if len(marked) != 3 || !marked["safe.open safe.keeper"] || !marked["safe.change safe.keeper"] || !marked["safe.own safe.all"] {
		t.Errorf("marked %v", marked)
	}
	if _, err := authz.New(authz.Policies{Context: "safe", Text: []byte(`@id("safe.x") @step_up("safe.y") permit (principal, action == Action::"safe.x", resource);`)}); err == nil {
		t.Error("a mark on an act that the policy does not permit passes")
	}
}
