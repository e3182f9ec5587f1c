package identitysvc

import (
	"encoding/base32"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"xinglin/internal/identity"
	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/fault"
	"xinglin/internal/kernel/id"
	"xinglin/internal/kernel/secret"
	"xinglin/internal/testkit"
	"xinglin/internal/testkit/apitest"
)

// The vectors of RFC 6238, appendix B, cut to six digits.
func TestTOTPVectors(t *testing.T) {
	key := []byte("12345678901234567890")
	for at, want := range map[int64]string{
		59: "287082", 1111111109: "081804", 1111111111: "050471", 1234567890: "005924", 2000000000: "279037", 20000000000: "353130",
	} {
		now := time.Unix(at, 0)
		if got := totpAt(key, stepOf(now)); got != want {
			t.Errorf("%d: %s, want %s", at, got, want)
		}
		if totpMatch(key, want, now) != stepOf(now) || totpMatch(key, want, now.Add(30*time.Second)) != stepOf(now) ||
			totpMatch(key, want, now.Add(-30*time.Second)) != stepOf(now) || totpMatch(key, want, now.Add(60*time.Second)) != 0 {
			t.Errorf("%d: the window", at)
		}
	}
	if k := readTOTP(secret.New("gezd gnbv gy3t qojq gezd gnbv gy3t qojq")); string(k) != string(key) {
		t.Errorf("typed secret: %q", k)
	}
	if readTOTP(secret.New("GEZDGNBV")) != nil || readTOTP(secret.New("no base32!")) != nil {
		t.Error("a short or malformed secret passes")
	}
}

func TestPasswordPolicy(t *testing.T) {
	for p, ok := range map[string]bool{
		strong: true, "": false, "elevenchars": false, "aaaaaaaaaaaaaaa": false, "Password1234": false, "123456789012": false,
		"my zhang.san rocks": false, "七个字七个字七个字一二三": true, strings.Repeat("ab", 65): false,
	} {
		if err := checkPassword("zhang.san", secret.New(p)); (err == nil) != ok {
			t.Errorf("%q: %v", p, err)
		}
	}
}

func TestHashes(t *testing.T) {
	h := newHasher()
	s, err := h.hash(t.Context(), secret.New(strong))
	if err != nil || !strings.HasPrefix(s, "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Fatal(s, err)
	}
	for stored, c := range map[string]struct {
		p  string
		ok bool
	}{s: {strong, true}, s + "": {strong, true}, "": {strong, false}} {
		if ok, err := h.matches(stored, secret.New(c.p)); err != nil || ok != c.ok {
			t.Errorf("%q: %v %v", stored, ok, err)
		}
	}
	if ok, err := h.matches(s, secret.New("another one")); err != nil || ok {
		t.Error(ok, err)
	}
	if _, err := h.matches("$argon2id$v=19$m=1,t=1,p=1$AA$AA", secret.New(strong)); err == nil {
		t.Error("another form passes")
	}
	for range hashesAtOnce {
		if _, err := h.take(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := h.take(t.Context()); !errors.Is(err, identity.ErrBusy) || fault.Of(err).RetryAfter != hashWait {
		t.Errorf("the fifth: %v", err)
	}
}

func TestGrantDecisions(t *testing.T) {
	org := id.Random[auth.Organization]()
	g := func(rs ...auth.Role) (out []auth.Grant) {
		for _, r := range rs {
			out = append(out, auth.Grant{Role: r})
		}
		return out
	}
	for name, c := range map[string]struct {
		in   []auth.Grant
		want string
		n    int
	}{
		"none":            {nil, "", 0},
		"all but admins":  {g(auth.Doctor, auth.Nurse, auth.Registrar, auth.Operator), "", 4},
		"repeated":        {g(auth.Doctor, auth.Doctor), "", 1},
		"two places":      {[]auth.Grant{{Role: auth.Doctor}, {Role: auth.Doctor, Organization: org}}, "", 2},
		"one admin":       {g(auth.AuditAdmin), "", 1},
		"system+security": {g(auth.SystemAdmin, auth.SecurityAdmin), "identity.roles_exclusive", 0},
		"security+audit":  {g(auth.SecurityAdmin, auth.AuditAdmin), "identity.roles_exclusive", 0},
		"system+audit":    {g(auth.SystemAdmin, auth.AuditAdmin), "identity.roles_exclusive", 0},
		"admin and work":  {g(auth.AuditAdmin, auth.Operator), "identity.administrator_alone", 0},
		"work and admin":  {g(auth.Doctor, auth.SecurityAdmin), "identity.administrator_alone", 0},
		"admin, repeated": {g(auth.SystemAdmin, auth.SystemAdmin), "", 1},
		"admin somewhere": {[]auth.Grant{{Role: auth.AuditAdmin, Organization: org}}, "identity.invalid", 0},
		"unknown":         {g("king"), "identity.invalid", 0},
		"too many":        {make([]auth.Grant, maxGrants+1), "identity.invalid", 0},
	} {
		got, err := checkGrants(c.in)
		code := ""
		if f := fault.Of(err); f != nil {
			code = f.Code.Name
		}
		if code != c.want || len(got) != c.n {
			t.Errorf("%s: %v %v", name, got, err)
		}
	}
}

func TestStaffLogin(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		a := b.employ(t, "zhang.san", auth.Doctor)
		try := func(user, password, totp string) apitest.Response {
			return b.do("POST", "/auth/staff/sessions", map[string]any{"username": user, "password": password, "totp": totp}, browser)
		}
		code := b.totp(a)
		try("zhang.san", strong, flip(code)).Refused(t, 401, "identity.login_wrong")
		try("zhang.san", "wrong", code).Refused(t, 401, "identity.login_wrong")
		try("nobody", strong, code).Refused(t, 401, "identity.login_wrong")
		me := try("Zhang.San ", strong, code).Want(t, 201).Map(t)
		if me["kind"] != "staff" || me["name"] != "张三" || me["factors"] != 2.0 || me["phone_masked"] != "" ||
			fmt.Sprint(me["roles"]) != "[map[role:doctor]]" {
			t.Fatalf("me %v", me)
		}
		// A step works once.
		try("zhang.san", strong, code).Refused(t, 401, "identity.login_wrong")
		b.clk.Add(30 * time.Second)
		try("zhang.san", strong, b.totp(a)).Want(t, 201)
		b.api.Do(apitest.Nobody(apitest.Other), "POST", "/auth/staff/sessions",
			map[string]any{"username": "zhang.san", "password": strong, "totp": b.totp(a)}).Refused(t, 401, "identity.login_wrong")
		want := []string{
			"cli ensure_staff", "system login_staff identity.login_wrong", "system login_staff identity.login_wrong",
			"system login_staff identity.login_wrong", "staff login_staff", "system login_staff identity.login_wrong", "staff login_staff",
		}
		if got := b.trailOf(t); !slices.Equal(got, want) {
			t.Fatalf("trail %q, want %q", got, want)
		}
	})
}

func TestLockOut(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		a := b.employ(t, "zhang.san")
		for _, user := range []string{"zhang.san", "nobody"} { // known or not, the same
			try := func(password string) apitest.Response {
				return b.do("POST", "/auth/staff/sessions", map[string]any{"username": user, "password": password, "totp": b.totp(a)})
			}
			for range loginTries {
				try("wrong").Refused(t, 401, "identity.login_wrong")
			}
			r := try(strong).Refused(t, 429, "identity.locked")
			if r.Header.Get("Retry-After") != "900" {
				t.Fatalf("%s: Retry-After %q", user, r.Header.Get("Retry-After"))
			}
		}
		b.clk.Add(lockTime - time.Second)
		b.do("POST", "/auth/staff/sessions", map[string]any{"username": "zhang.san", "password": strong, "totp": b.totp(a)}).Refused(t, 429, "identity.locked")
		b.clk.Add(time.Second)
		b.loginAs(t, "zhang.san", a)
		for range loginTries - 1 { // a success gives the tries back
			b.do("POST", "/auth/staff/sessions", map[string]any{"username": "zhang.san", "password": "wrong", "totp": "1"}).Refused(t, 401, "identity.login_wrong")
		}
	})
}

// Guesses at the same moment get no more tries than guesses one by one.
func TestLockOutRace(t *testing.T) {
	onPostgres(t, func(t *testing.T, b *bench) {
		b.employ(t, "zhang.san")
		var wg sync.WaitGroup
		var mu sync.Mutex
		got := map[string]int{}
		for range 12 {
			wg.Add(1)
			go func() {
				defer wg.Done()
				r := b.do("POST", "/auth/staff/sessions", map[string]any{"username": "zhang.san", "password": "wrong", "totp": "000000"})
				mu.Lock()
				got[r.Code]++
				mu.Unlock()
			}()
		}
		wg.Wait()
		// A slow machine may say busy to some, which costs nobody a try.
		for got["identity.login_wrong"] < loginTries {
			got[b.do("POST", "/auth/staff/sessions", map[string]any{"username": "zhang.san", "password": "wrong", "totp": "000000"}).Refused(t, 401, "identity.login_wrong").Code]++
		}
		b.do("POST", "/auth/staff/sessions", map[string]any{"username": "zhang.san", "password": "wrong", "totp": "000000"}).Refused(t, 429, "identity.locked")
		if got["identity.login_wrong"] != loginTries || got[""] != 0 {
			t.Fatalf("%v", got)
		}
	})
}

// One code at the same moment opens one session.
func TestTOTPRace(t *testing.T) {
	onPostgres(t, func(t *testing.T, b *bench) {
		a := b.employ(t, "zhang.san")
		code := b.totp(a)
		var wg sync.WaitGroup
		var mu sync.Mutex
		won := 0
		for range 4 {
			wg.Add(1)
			go func() {
				defer wg.Done()
				r := b.do("POST", "/auth/staff/sessions", map[string]any{"username": "zhang.san", "password": strong, "totp": code})
				mu.Lock()
				defer mu.Unlock()
				if r.Status == 201 {
					won++
				}
			}()
		}
		wg.Wait()
		if won != 1 {
			t.Fatalf("%d sessions by one code", won)
		}
	})
}

func TestStaffAdministration(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		sec := b.loginAs(t, "guard", b.employ(t, "guard", auth.SecurityAdmin))
		sys := b.loginAs(t, "root", b.employ(t, "root", auth.SystemAdmin))
		pat := b.login(t, phone)

		r := b.do("POST", "/staff/accounts", map[string]any{"username": "li.si", "name": "李四"}, sec).Want(t, 201).Map(t)
		made := identity.StaffAccount{TOTP: secret.New(r["totp_secret"].(string))}
		if !strings.HasPrefix(r["totp_uri"].(string), "otpauth://totp/Xinglin:li.si?") || readTOTP(made.TOTP) == nil {
			t.Fatalf("%v", r)
		}
		if _, err := base32.StdEncoding.DecodeString(r["totp_secret"].(string)); err != nil {
			t.Fatal(err)
		}
		path := "/staff/accounts/" + r["id"].(string)
		login := b.do("POST", "/auth/staff/sessions", map[string]any{"username": "li.si", "password": r["initial_password"], "totp": b.totp(made)}).Want(t, 201)
		nurse := cookieOf(t, login)

		// Denied, other tenant, malformed, repeated.
		for _, c := range []apitest.Header{sys, pat, nurse} {
			b.do("POST", "/staff/accounts", map[string]any{"username": "wang", "name": "王五"}, c).Refused(t, 403, "authz.denied")
			b.do("GET", "/staff/accounts", nil, c).Refused(t, 403, "authz.denied")
			b.do("GET", path, nil, c).Refused(t, 403, "authz.denied")
			b.do("PUT", path+"/grants", map[string]any{"grants": []any{}}, c, apitest.IfMatch(1)).Refused(t, 403, "authz.denied")
			b.do("POST", path+"/disable", nil, c).Refused(t, 403, "authz.denied")
		}
		b.do("POST", "/staff/accounts", map[string]any{"username": "li.si", "name": "李四"}, sec).Refused(t, 409, "identity.username_taken")
		b.do("POST", "/staff/accounts", map[string]any{"username": "Ü", "name": "x"}, sec).Refused(t, 422, "http.invalid")
		b.do("POST", "/staff/accounts", map[string]any{"username": "1abc", "name": "x"}, sec).Refused(t, 422, "identity.invalid")
		b.do("POST", "/staff/accounts", map[string]any{"username": "wang", "name": "x", "initial_password": "short"}, sec).Refused(t, 422, "identity.password_weak")
		b.do("GET", "/staff/accounts/"+id.Random[auth.Account]().String(), nil, sec).Refused(t, 404, "identity.not_found")
		b.do("GET", "/staff/accounts/zero", nil, sec).Refused(t, 404, "http.not_found")

		// Rights: stale, exclusive, own; effective at once.
		put := func(version int64, who apitest.Header, grants ...any) apitest.Response {
			return b.do("PUT", path+"/grants", map[string]any{"grants": grants}, who, apitest.IfMatch(version))
		}
		role := func(r string) map[string]any { return map[string]any{"role": r} }
		b.do("PUT", path+"/grants", map[string]any{"grants": []any{}}, sec).Refused(t, 400, "http.match_required")
		put(7, sec, role("nurse")).Refused(t, 412, "identity.stale")
		put(1, sec, role("system_admin"), role("audit_admin")).Refused(t, 422, "identity.roles_exclusive")
		put(1, sec, role("audit_admin"), role("nurse")).Refused(t, 422, "identity.administrator_alone")
		put(1, sec, role("king")).Refused(t, 422, "http.invalid")
		got := put(1, sec, role("nurse"), map[string]any{"role": "doctor", "organization_id": id.Random[auth.Organization]().String()}).Want(t, 200)
		if got.Header.Get("ETag") != `"2"` || len(got.Map(t)["grants"].([]any)) != 2 {
			t.Fatalf("%s", got.Body)
		}
		put(1, sec, role("nurse")).Refused(t, 412, "identity.stale")
		if m := b.do("GET", "/auth/me", nil, nurse).Want(t, 200).Map(t); len(m["roles"].([]any)) != 2 {
			t.Fatalf("%v", m)
		}
		var own string
		for _, x := range b.do("GET", "/staff/accounts?limit=100", nil, sec).Want(t, 200).Items(t) {
			if x["username"] == "guard" {
				own = x["id"].(string)
			}
		}
		for begins, want := range map[string]string{"li": "[li.si]", "%20LI.S": "[li.si]", "l_.": "[]", "%25": "[]", "gua": "[guard]", "li.si.more": "[]"} {
			var got []any
			for _, x := range b.do("GET", "/staff/accounts?username="+begins, nil, sec).Want(t, 200).Items(t) {
				got = append(got, x["username"])
			}
			if fmt.Sprint(got) != want {
				t.Errorf("user names that begin with %q: %v, want %s", begins, got, want)
			}
		}
		b.do("PUT", "/staff/accounts/"+own+"/grants", map[string]any{"grants": []any{}}, sec, apitest.IfMatch(1)).Refused(t, 403, "identity.own_grants")
		b.do("POST", "/staff/accounts/"+own+"/disable", nil, sec).Refused(t, 403, "identity.own_grants")
		patient := b.do("GET", "/auth/me", nil, pat).Map(t)["account_id"].(string)
		b.do("PUT", "/staff/accounts/"+patient+"/grants", map[string]any{"grants": []any{role("operator")}}, sec, apitest.IfMatch(1)).Refused(t, 404, "identity.not_found")
		b.do("GET", "/staff/accounts/"+patient, nil, sec).Refused(t, 404, "identity.not_found")

		// Disabled: its sessions end, it cannot come in again, a repeat changes nothing.
		b.do("POST", path+"/disable", nil, sec).Want(t, 200)
		b.do("GET", "/auth/me", nil, nurse).Refused(t, 401, "identity.session_ended")
		b.clk.Add(time.Minute)
		b.do("POST", "/auth/staff/sessions", map[string]any{"username": "li.si", "password": r["initial_password"], "totp": b.totp(made)}).Refused(t, 401, "identity.login_wrong")
		if m := b.do("POST", path+"/disable", nil, sec).Want(t, 200).Map(t); m["state"] != "disabled" || m["version"] != 3.0 {
			t.Fatalf("%v", m)
		}
	})
}

// A security administrator of another tenant finds nothing.
func TestStaffOtherTenant(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		a := b.employ(t, "zhang.san", auth.Doctor)
		there := testkit.As(t.Context(), apitest.Staff(apitest.Other, auth.SecurityAdmin))
		if _, err := b.readStaff(there, a.ID); !errors.Is(err, identity.ErrNotFound) {
			t.Error(err)
		}
		if _, err := b.putGrants(there, a.ID, nil, nil, 1); !errors.Is(err, identity.ErrNotFound) {
			t.Error(err)
		}
		if _, err := b.disableStaff(there, a.ID); !errors.Is(err, identity.ErrNotFound) {
			t.Error(err)
		}
		if err := b.Revoke(there, a.ID, identity.SessionID{}); !errors.Is(err, identity.ErrNotFound) {
			t.Error(err)
		}
		p, err := b.staff(there, "", pageOf("", 10))
		if err != nil || len(p.Items) != 0 {
			t.Error(p, err)
		}
		m, err := b.readMe(t.Context(), apitest.Main, a.ID)
		if err != nil || m.account.version != 1 || len(m.account.grants) != 1 || m.account.state != active {
			t.Errorf("changed: %+v %v", m, err)
		}
	})
}

func TestStaffPages(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		sec := b.loginAs(t, "guard", b.employ(t, "guard", auth.SecurityAdmin))
		for i := range 4 {
			b.do("POST", "/staff/accounts", map[string]any{"username": fmt.Sprintf("user%d", i), "name": "x", "initial_password": strong}, sec).Want(t, 201)
		}
		var names []string
		next := ""
		for {
			r := b.do("GET", "/staff/accounts?limit=2&cursor="+next, nil, sec).Want(t, 200)
			for _, x := range r.Items(t) {
				names = append(names, x["username"].(string))
			}
			if next, _ = r.Map(t)["next"].(string); next == "" {
				break
			}
		}
		if want := []string{"guard", "user0", "user1", "user2", "user3"}; !slices.Equal(names, want) {
			t.Fatalf("%v", names)
		}
		b.do("GET", "/staff/accounts?cursor=nonsense", nil, sec).Refused(t, 400, "http.cursor")
	})
}

func TestEnsureStaff(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		ctx := testkit.AsCLI(t.Context(), apitest.Main)
		known, _ := newTOTP()
		spec := identity.StaffSpec{Username: "zhang.san", Name: "张三", Password: secret.New(strong), TOTP: known, Grants: []auth.Grant{{Role: auth.Doctor}}}
		one, err := b.EnsureStaff(ctx, spec)
		if err != nil || !one.TOTP.Equal(known) {
			t.Fatal(err)
		}
		spec.Grants = nil
		two, err := b.EnsureStaff(ctx, spec)
		if err != nil || two.ID != one.ID || !two.TOTP.Empty() {
			t.Fatalf("%v %v", two, err)
		}
		if m, err := b.readMe(ctx, apitest.Main, one.ID); err != nil || len(m.account.grants) != 1 {
			t.Fatalf("changed: %v %v", m.account.grants, err)
		}
		for name, change := range map[string]func(*identity.StaffSpec){
			"weak": func(s *identity.StaffSpec) { s.Password = secret.New("short") },
			"totp": func(s *identity.StaffSpec) { s.TOTP = secret.New("AAAA") },
			"name": func(s *identity.StaffSpec) { s.Name = "" },
			"exclusive": func(s *identity.StaffSpec) {
				s.Grants = []auth.Grant{{Role: auth.AuditAdmin}, {Role: auth.SystemAdmin}}
			},
		} {
			bad := spec
			bad.Username = "other"
			change(&bad)
			if _, err := b.EnsureStaff(ctx, bad); fault.KindOf(err) != fault.Invalid {
				t.Errorf("%s: %v", name, err)
			}
		}
		if _, err := b.EnsureStaff(testkit.As(t.Context(), apitest.Staff(apitest.Main, auth.SecurityAdmin)), spec); fault.KindOf(err) != fault.Forbidden {
			t.Errorf("staff: %v", err)
		}
	})
}

// The schema holds the exclusion too: two grants at the same moment cannot make two administrators of one.
func TestExclusiveRace(t *testing.T) {
	onPostgres(t, func(t *testing.T, b *bench) {
		a := b.employ(t, "zhang.san")
		ctx := testkit.As(t.Context(), apitest.Staff(apitest.Main, auth.SecurityAdmin))
		var wg sync.WaitGroup
		errs := make([]error, 3)
		for i, r := range []auth.Role{auth.SystemAdmin, auth.SecurityAdmin, auth.AuditAdmin} {
			wg.Add(1)
			go func() {
				defer wg.Done()
				_, errs[i] = b.putGrants(ctx, a.ID, []auth.Grant{{Role: r}}, nil, 1)
			}()
		}
		wg.Wait()
		stale := 0
		for _, err := range errs {
			if errors.Is(err, identity.ErrStale) {
				stale++
			} else if err != nil {
				t.Fatal(err)
			}
		}
		if n := b.count(t, `SELECT COUNT(*) FROM role_grant`); n != 1 || stale != 2 {
			t.Fatalf("%d rights, %d stale", n, stale)
		}
	})
}

// TestStaffNames: of staff alone, with the roles of now; other accounts and tenants have none.
func TestStaffNames(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		doctor := b.employ(t, "zhang.san", auth.Doctor)
		cookie := b.login(t, phone)
		me := id.Must[auth.Account](b.do("GET", "/auth/me", nil, cookie).Want(t, 200).Map(t)["account_id"].(string))
		ask := []identity.AccountID{doctor.ID, me, id.Random[auth.Account]()}
		got, err := b.StaffNames(t.Context(), apitest.Main, ask)
		if n := got[doctor.ID]; err != nil || len(got) != 1 || n.Name.Reveal() != "张三" || !slices.Equal(n.Roles, []auth.Role{auth.Doctor}) {
			t.Errorf("%d names, roles %v: %v", len(got), got[doctor.ID].Roles, err)
		}
		if got, err := b.StaffNames(t.Context(), apitest.Other, ask); err != nil || len(got) != 0 {
			t.Errorf("another tenant: %d names, %v", len(got), err)
		}
		if got, err := b.StaffNames(t.Context(), apitest.Main, nil); err != nil || len(got) != 0 {
			t.Errorf("nobody: %v %v", got, err)
		}
		if _, err := b.StaffNames(t.Context(), apitest.Main, make([]identity.AccountID, 101)); err == nil {
			t.Error("101 at once")
		}
	})
}
