package identitysvc

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"xinglin/internal/identity"
	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/httpx"
	"xinglin/internal/testkit"
	"xinglin/internal/testkit/apitest"
	"xinglin/internal/testkit/dbtest"
)

func TestDiscovery(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		m := b.api.Do(visitorOf(apitest.Main), "GET", "/oidc/.well-known/openid-configuration", nil).Want(t, 200).Map(t)
		if m["issuer"] != issuer || m["token_endpoint"] != issuer+"/token" || m["authorization_response_iss_parameter_supported"] != true {
			t.Fatal(m)
		}
		other := b.api.Do(visitorOf(apitest.Other), "GET", "/oidc/.well-known/openid-configuration", nil).Want(t, 200).Map(t)
		if other["issuer"] == m["issuer"] {
			t.Fatal("two tenants are one issuer")
		}
		mine, theirs := b.api.Do(visitorOf(apitest.Main), "GET", "/oidc/jwks", nil), b.api.Do(visitorOf(apitest.Other), "GET", "/oidc/jwks", nil)
		if mine.Want(t, 200).Header.Get("Cache-Control") != "public, max-age=300" || string(mine.Body) == string(theirs.Want(t, 200).Body) || strings.Contains(string(mine.Body), `"d"`) {
			t.Fatalf("%s\n%s", mine.Body, theirs.Body)
		}
	})
}

// The same with a clock that does not stand still between two looks.
func TestFirstKeyByRealTime(t *testing.T) {
	dbtest.Each(t, testkit.Sets(Describe()), func(t *testing.T, srv *db.Server) {
		s, mod := New(testkit.Base(t, srv, Describe(), testkit.WithClock(clock.System{})), operators{}, &outbound{})
		api := apitest.With(t, httpx.Options{Auth: s}, mod.Routes)
		api.Do(visitorOf(apitest.Main), "GET", "/oidc/jwks", nil).Want(t, 200)
		sec := testkit.As(t.Context(), apitest.Staff(apitest.Main, auth.SecurityAdmin))
		if err := s.openid.Tend(sec, apitest.Main); err != nil {
			t.Fatal(err)
		}
		b := &bench{Service: s, t: t, mod: mod, api: api}
		if n := len(b.broken(t)); n != 0 || b.count(t, `SELECT COUNT(*) FROM signing_key`) != 1 {
			t.Fatal(n)
		}
	})
}

func TestCodeFlow(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		r := b.relying(t, nil)
		next := r.begin(t)
		// Without a session a page asks how to come in; the way back is ours.
		a := b.do("GET", next, nil).Want(t, 200)
		if !strings.Contains(string(a.Body), `href="/m/login?next=`+strings.ReplaceAll(url.QueryEscape(next), "&", "&amp;")+`"`) || !strings.Contains(string(a.Body), "随访系统") {
			t.Fatalf("%s", a.Body)
		}
		csp := a.Header.Get("Content-Security-Policy")
		if !strings.Contains(csp, "default-src 'none'") || !strings.Contains(csp, "frame-ancestors 'none'") || a.Header.Get("Referrer-Policy") != "same-origin" || strings.Contains(string(a.Body), "<script") {
			t.Fatal(csp)
		}
		in := b.login(t, phone)
		a = b.do("GET", next, nil, in, apitest.H("Accept-Language", "en")).Want(t, 200)
		if !strings.Contains(string(a.Body), "Your mobile number") || !strings.Contains(a.Header.Get("Content-Security-Policy"), "form-action 'self' https://his.example.com") {
			t.Fatalf("%s\n%s", a.Header, a.Body)
		}
		u, err := url.Parse(next)
		if err != nil {
			t.Fatal(err)
		}
		answer := url.Values{"request": {u.Query().Get("request")}, "decision": {"yes"}}.Encode()
		// Another site cannot answer for the person.
		b.api.Do(visitorOf(apitest.Main), "POST", "/oidc/continue", answer, in, formType, apitest.H("Origin", "https://evil.example")).Refused(t, 403, "http.origin")
		b.api.Do(visitorOf(apitest.Main), "POST", "/oidc/continue", answer, in, formType).Refused(t, 403, "http.origin")
		code := back(t, b.do("POST", "/oidc/continue", answer, in, formType)).Get("code")
		b.do("POST", "/oidc/continue", answer, in, formType).Want(t, 404) // answered once

		var k answered
		got := r.exchange(code).Want(t, 200)
		got.JSON(t, &k)
		if k.Type != "Bearer" || k.Expires != 600 || k.Scope != "openid phone" || k.Refresh == "" || got.Header.Get("Cache-Control") != "no-store" {
			t.Fatalf("%+v", k)
		}
		head, c := b.claims(t, k.ID)
		if head["alg"] != "ES256" || c["iss"] != issuer || c["aud"] != r.id || c["nonce"] != "no" || c["acr"] != "urn:xinglin:acr:1" || fmt.Sprint(c["amr"]) != "[sms]" || c["exp"].(float64)-c["iat"].(float64) != 600 || c["sid"] == "" {
			t.Fatal(head, c)
		}
		for name := range c {
			if slices.Contains([]string{"name", "phone_number", "roles", "preferred_username"}, name) {
				t.Fatalf("%s is in the ID token", name)
			}
		}
		sum := sha256.Sum256([]byte(k.Access))
		if c["at_hash"] != base64.RawURLEncoding.EncodeToString(sum[:16]) {
			t.Fatal(c)
		}
		info := b.userinfo(k.Access).Want(t, 200).Map(t)
		if len(info) != 3 || info["sub"] != c["sub"] || info["phone_number"] != "+86"+phone || info["phone_number_verified"] != true {
			t.Fatal(info)
		}
		if got := b.form("/oidc/userinfo", url.Values{"access_token": {k.Access}}).Want(t, 200).Map(t); got["sub"] != c["sub"] {
			t.Fatal(got)
		}
		// It is no key to the product's own API.
		b.api.Do(visitorOf(apitest.Main), "GET", "/auth/me", nil, apitest.H("Authorization", "Bearer "+k.Access)).Refused(t, 401, "identity.session_ended")
		// The consent stands; the next login goes through, also by a form and silently.
		posted := location(t, b.api.Do(visitorOf(apitest.Main), "POST", "/oidc/authorize", r.asks("prompt", "none").Encode(), formType, apitest.H("Origin", "https://his.example.com")))
		code = back(t, b.do("GET", posted.RequestURI(), nil, in)).Get("code")
		if r.exchange(code).Want(t, 200); b.count(t, `SELECT COUNT(*) FROM login_request`) != 0 {
			t.Fatal("a request stays")
		}
		if got := b.broken(t); len(got) != 0 {
			t.Fatalf("%v", got)
		}
	})
}

// What each sort of account tells, and that a client of the one gets nobody of the other.
func TestWhoLogsIn(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		staff := b.relying(t, func(s *identity.ClientSpec) { s.Accounts = identity.StaffAccounts; s.FirstParty = true })
		doctor := b.loginAs(t, "zhang.san", b.employ(t, "zhang.san", auth.Doctor))
		k := staff.tokens(t, doctor, "scope", "openid profile phone roles")
		_, c := b.claims(t, k.ID)
		info := b.userinfo(k.Access).Want(t, 200).Map(t)
		if info["name"] != "张三" || info["preferred_username"] != "zhang.san" || info["phone_number"] != nil || c["acr"] != "urn:xinglin:acr:2" || fmt.Sprint(c["amr"]) != "[pwd otp mfa]" {
			t.Fatal(info, c)
		}
		if roles, ok := info["roles"].([]any); !ok || len(roles) != 1 || roles[0] != "doctor" {
			t.Fatal(info)
		}
		patient := b.login(t, phone)
		u := location(t, b.do("GET", staff.begin(t), nil, patient))
		if u.Path != "/console/login" || !strings.HasPrefix(u.Query().Get("next"), "/api/v1/oidc/continue?request=") {
			t.Fatal(u)
		}
		if q := back(t, b.do("GET", staff.begin(t, "prompt", "none"), nil, patient)); q.Get("error") != "login_required" {
			t.Fatal(q)
		}
		// The same person is somebody else to another client, and the same within a sector.
		subject := func(r relying) any { _, c := b.claims(t, r.tokens(t, patient).ID); return c["sub"] }
		one := b.relying(t, own)
		group := func(s *identity.ClientSpec) { s.FirstParty, s.Sector = true, "his" }
		two, three := b.relying(t, group), b.relying(t, group)
		first, second := subject(one), subject(two)
		if first == second || second != subject(three) || first != subject(one) {
			t.Fatal("subjects")
		}
	})
}

func TestConsents(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		r := b.relying(t, nil)
		in := b.login(t, phone)
		if q := back(t, b.do("GET", r.begin(t, "prompt", "none"), nil, in)); q.Get("error") != "consent_required" {
			t.Fatal(q)
		}
		next := r.begin(t)
		u, err := url.Parse(next)
		if err != nil {
			t.Fatal(err)
		}
		b.do("GET", next, nil, in).Want(t, 200)
		q := back(t, b.do("POST", "/oidc/continue", url.Values{"request": {u.Query().Get("request")}, "decision": {"no"}}.Encode(), in, formType))
		if q.Get("error") != "access_denied" || q.Get("code") != "" {
			t.Fatal(q)
		}
		k := r.tokens(t, in, "scope", "openid phone offline_access")
		b.do("GET", r.begin(t, "scope", "openid profile"), nil, in).Want(t, 200) // more than was allowed
		b.do("GET", r.begin(t, "prompt", "consent"), nil, in).Want(t, 200)
		list := b.do("GET", "/auth/consents", nil, in).Want(t, 200).Items(t)
		if len(list) != 1 || list[0]["client_id"] != r.id || list[0]["name"] != "随访系统" || len(list[0]["scopes"].([]any)) != 3 {
			t.Fatal(list)
		}
		other := b.login(t, "13900000000")
		b.do("DELETE", "/auth/consents/"+r.id, nil, other).Refused(t, 404, "identity.consent_not_found")
		b.do("DELETE", "/auth/consents/"+r.id, nil).Refused(t, 401, "auth.required")
		b.userinfo(k.Access).Want(t, 200)
		b.do("DELETE", "/auth/consents/"+r.id, nil, in).Want(t, 204)
		b.do("DELETE", "/auth/consents/"+r.id, nil, in).Refused(t, 404, "identity.consent_not_found")
		refusedWith(t, b.userinfo(k.Access), 401, "invalid_token")
		refusedWith(t, r.refresh(k.Refresh), 400, "invalid_grant")
		b.do("GET", r.begin(t), nil, in).Want(t, 200) // asked again
		// The same on a page.
		k = r.tokens(t, in)
		b.do("GET", "/oidc/consents", nil).Want(t, 200) // how to come in
		page := string(b.do("GET", "/oidc/consents", nil, in).Want(t, 200).Body)
		if !strings.Contains(page, "随访系统") || !strings.Contains(page, "您的手机号码") || strings.Contains(string(b.do("GET", "/oidc/consents", nil, other).Body), "随访系统") {
			t.Fatal(page)
		}
		back := url.Values{"client_id": {r.id}}.Encode()
		b.api.Do(visitorOf(apitest.Main), "POST", "/oidc/consents", back, in, formType, apitest.H("Origin", "https://evil.example")).Refused(t, 403, "http.origin")
		b.userinfo(k.Access).Want(t, 200)
		for range 2 {
			if u := location(t, b.do("POST", "/oidc/consents", back, in, formType)); u.Path != "/api/v1/oidc/consents" {
				t.Fatal(u)
			}
		}
		refusedWith(t, b.userinfo(k.Access), 401, "invalid_token")
	})
}

// Who logged in too long ago, or is asked to again, comes back with another session.
func TestLogInAgain(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		r := b.relying(t, func(s *identity.ClientSpec) { s.Accounts, s.FirstParty = identity.PatientAccounts, true })
		in := b.login(t, phone)
		b.clk.Add(2 * time.Minute)
		for _, change := range [][]string{{"max_age", "60"}, {"prompt", "login"}} {
			next := r.begin(t, change...)
			if u := location(t, b.do("GET", next, nil, in)); u.Path != "/m/login" {
				t.Fatal(u)
			}
			b.clk.Add(time.Second)
			again := b.login(t, phone)
			code := back(t, b.do("GET", next, nil, again)).Get("code")
			var k answered
			r.exchange(code).Want(t, 200).JSON(t, &k)
			if _, c := b.claims(t, k.ID); int64(c["auth_time"].(float64)) != b.clk.Now().Unix() {
				t.Fatal(c)
			}
			b.clk.Add(2 * time.Minute)
		}
		next := r.begin(t)
		b.clk.Add(15 * time.Minute)
		b.do("GET", next, nil, in).Want(t, 404)
	})
}

var formField = regexp.MustCompile(`name="([a-z_]+)" value="([^"]*)"`)

func TestLogoutByClient(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		const to = "https://his.example.com/bye"
		r := b.relying(t, func(s *identity.ClientSpec) { s.FirstParty, s.LogoutURIs = true, []string{to} })
		in := b.login(t, phone)
		k := r.tokens(t, in)
		off := r.tokens(t, in, "scope", "openid offline_access")
		// The hint proves which session is meant: no question.
		q := url.Values{"id_token_hint": {k.ID}, "post_logout_redirect_uri": {to}, "state": {"x"}}
		posted := location(t, b.api.Do(visitorOf(apitest.Main), "POST", "/oidc/logout", q.Encode(), formType, apitest.H("Origin", "https://his.example.com")))
		a := b.do("GET", posted.RequestURI(), nil, in)
		if u := location(t, a); u.String() != to+"?state=x" || !strings.Contains(a.Header.Get("Set-Cookie"), "Max-Age=0") {
			t.Fatal(u, a.Header)
		}
		b.do("GET", "/auth/me", nil, in).Refused(t, 401, "identity.session_ended")
		refusedWith(t, b.userinfo(k.Access), 401, "invalid_token")
		refusedWith(t, r.refresh(k.Refresh), 400, "invalid_grant")
		r.refresh(off.Refresh).Want(t, 200)
		// Without the session's hint the person is asked.
		b.clk.Add(codeGap)
		in = b.login(t, phone)
		page := b.do("GET", "/oidc/logout?"+q.Encode(), nil, in).Want(t, 200)
		b.do("GET", "/auth/me", nil, in).Want(t, 200)
		fields := url.Values{"decision": {"no"}}
		for _, m := range formField.FindAllStringSubmatch(string(page.Body), -1) {
			if m[1] != "decision" {
				fields.Set(m[1], strings.ReplaceAll(m[2], "&amp;", "&"))
			}
		}
		b.do("POST", "/oidc/logout/confirm", fields.Encode(), in, formType).Want(t, 200)
		b.do("GET", "/auth/me", nil, in).Want(t, 200)
		fields.Set("decision", "yes")
		b.api.Do(visitorOf(apitest.Main), "POST", "/oidc/logout/confirm", fields.Encode(), in, formType, apitest.H("Origin", "https://evil.example")).Refused(t, 403, "http.origin")
		if u := location(t, b.do("POST", "/oidc/logout/confirm", fields.Encode(), in, formType)); u.String() != to+"?state=x" {
			t.Fatal(u)
		}
		b.do("GET", "/auth/me", nil, in).Refused(t, 401, "identity.session_ended")
		b.do("GET", "/oidc/logout", nil).Want(t, 200) // nobody to log out
		if got := b.broken(t); len(got) != 0 {
			t.Fatalf("%v", got)
		}
	})
}

// A client without people.
func TestClientCredentials(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		r := b.relying(t, func(s *identity.ClientSpec) {
			s.Grants, s.RedirectURIs, s.Scopes = []identity.GrantType{identity.ByClient}, nil, []string{"lab.read", "lab.write"}
		})
		ask := func(scope string) apitest.Response {
			return r.token(url.Values{"grant_type": {"client_credentials"}, "scope": {scope}})
		}
		var k answered
		ask("lab.read").Want(t, 200).JSON(t, &k)
		if k.Scope != "lab.read" || k.Refresh != "" || k.ID != "" {
			t.Fatalf("%+v", k)
		}
		refusedWith(t, ask("openid"), 400, "invalid_scope")
		refusedWith(t, b.userinfo(k.Access), 403, "insufficient_scope")
		in := b.form("/oidc/introspect", url.Values{"token": {k.Access}}, basic(r.id, r.secret)).Want(t, 200).Map(t)
		if in["active"] != true || in["sub"] != r.id || in["client_id"] != r.id || in["scope"] != "lab.read" || in["iss"] != issuer {
			t.Fatal(in)
		}
		b.clk.Add(10 * time.Minute)
		if in = b.form("/oidc/introspect", url.Values{"token": {k.Access}}, basic(r.id, r.secret)).Want(t, 200).Map(t); in["active"] != false || len(in) != 1 {
			t.Fatal(in)
		}
		refusedWith(t, r.exchange("x"), 400, "unauthorized_client")
		person := b.relying(t, nil)
		refusedWith(t, person.token(url.Values{"grant_type": {"client_credentials"}}), 400, "unauthorized_client")
	})
}

func TestRefresh(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		r := b.relying(t, func(s *identity.ClientSpec) { s.Public, s.FirstParty = true, true })
		staff := b.loginAs(t, "zhang.san", b.employ(t, "zhang.san", auth.Doctor))
		k := r.tokens(t, staff, "scope", "openid profile")
		// Use of the client is use of the session: it goes on beyond the idle time.
		for range 3 {
			b.clk.Add(staffIdle - time.Minute)
			var next answered
			r.refresh(k.Refresh).Want(t, 200).JSON(t, &next)
			if _, c := b.claims(t, next.ID); c["nonce"] != nil || next.Refresh == k.Refresh {
				t.Fatal(c)
			}
			b.userinfo(next.Access).Want(t, 200)
			k = next
		}
		refusedWith(t, r.refresh(k.Refresh, "scope", "openid phone"), 400, "invalid_scope") // more than was given; the token stays good
		var narrow answered
		r.refresh(k.Refresh, "scope", "openid").Want(t, 200).JSON(t, &narrow)
		if info := b.userinfo(narrow.Access).Want(t, 200).Map(t); narrow.Scope != "openid" || len(info) != 1 {
			t.Fatal(narrow, info)
		}
		// A token that comes a second time ends the family.
		refusedWith(t, r.refresh(k.Refresh), 400, "invalid_grant")
		refusedWith(t, r.refresh(narrow.Refresh), 400, "invalid_grant")
		refusedWith(t, b.userinfo(narrow.Access), 401, "invalid_token")
		if got := b.broken(t); len(got) != 0 {
			t.Fatalf("%v", got)
		}
		b.clk.Add(staffIdle)
		again := r.tokens(t, b.loginAs(t, "zhang.san", identity.StaffAccount{TOTP: b.totpOf(t, "zhang.san")}), "scope", "openid")
		b.clk.Add(staffIdle)
		refusedWith(t, r.refresh(again.Refresh), 400, "invalid_grant") // the session was idle
	})
}

// Of many uses at the same moment one wins, and the others end what it got.
func TestOneUse(t *testing.T) {
	onPostgres(t, func(t *testing.T, b *bench) {
		r := b.relying(t, own)
		in := b.login(t, phone)
		code := r.code(t, in)
		race := func(use func() apitest.Response) (won []answered) {
			var mu sync.Mutex
			var group sync.WaitGroup
			for range 8 {
				group.Go(func() {
					if a := use(); a.Status == 200 {
						var k answered
						a.JSON(t, &k)
						mu.Lock()
						won = append(won, k)
						mu.Unlock()
					}
				})
			}
			group.Wait()
			return won
		}
		won := race(func() apitest.Response { return r.exchange(code) })
		if len(won) != 1 {
			t.Fatalf("%d exchanged one code", len(won))
		}
		refusedWith(t, b.userinfo(won[0].Access), 401, "invalid_token")
		k := r.tokens(t, in)
		if won = race(func() apitest.Response { return r.refresh(k.Refresh) }); len(won) != 1 {
			t.Fatalf("%d used one refresh token", len(won))
		}
		refusedWith(t, b.userinfo(won[0].Access), 401, "invalid_token")
		// Two answers to one request give one code.
		next := r.begin(t)
		codes := 0
		var mu sync.Mutex
		var group sync.WaitGroup
		for range 8 {
			group.Go(func() {
				if a := b.do("GET", next, nil, in); a.Status == 303 {
					mu.Lock()
					codes++
					mu.Unlock()
				}
			})
		}
		if group.Wait(); codes != 1 {
			t.Fatalf("%d codes of one request", codes)
		}
	})
}

func TestTokensOfOthers(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		in := b.login(t, phone)
		a, thief, hospital := b.relying(t, nil), b.relying(t, nil), b.relying(t, own)
		k := a.tokens(t, in)
		look := func(r relying, token string) any {
			return b.form("/oidc/introspect", url.Values{"token": {token}}, basic(r.id, r.secret)).Want(t, 200).Map(t)["active"]
		}
		if look(a, k.Access) != true || look(hospital, k.Access) != true || look(thief, k.Access) != false || look(a, k.Refresh) != true || look(a, "nonsense") != false {
			t.Fatal("introspection")
		}
		end := func(r relying, token string) apitest.Response {
			return b.form("/oidc/revoke", url.Values{"token": {token}, "token_type_hint": {"access_token"}}, basic(r.id, r.secret))
		}
		refusedWith(t, end(thief, k.Access), 400, "unauthorized_client")
		end(a, "nonsense").Want(t, 200)
		b.userinfo(k.Access).Want(t, 200)
		end(a, k.Access).Want(t, 200)
		end(a, k.Access).Want(t, 200)
		refusedWith(t, b.userinfo(k.Access), 401, "invalid_token")
		var next answered
		a.refresh(k.Refresh).Want(t, 200).JSON(t, &next)
		end(a, next.Refresh).Want(t, 200)
		refusedWith(t, b.userinfo(next.Access), 401, "invalid_token")
		refusedWith(t, a.refresh(next.Refresh), 400, "invalid_grant")
		// Another client's refresh token: refused, and it was stolen, so it ends.
		k = a.tokens(t, in)
		refusedWith(t, thief.refresh(k.Refresh), 400, "invalid_grant")
		refusedWith(t, b.userinfo(k.Access), 401, "invalid_token")
	})
}

// A revocation at one process is seen by the other at once: a token is looked up each time it is shown.
func TestRevokedEverywhere(t *testing.T) {
	clk := testkit.Clock()
	d := dbtest.Make(t, db.Postgres, testkit.Sets(Describe()))
	a := newBench(t, d.Open(t, dbtest.WithClock(clk)), clk)
	b := newBench(t, d.Open(t, dbtest.WithClock(clk)), clk) // hears no signal of a
	for name, end := range map[string]func(r relying, in apitest.Header, k answered) error{
		"token": func(r relying, _ apitest.Header, k answered) error {
			a.form("/oidc/revoke", url.Values{"token": {k.Access}}, basic(r.id, r.secret)).Want(t, 200)
			return nil
		},
		"session": func(_ relying, in apitest.Header, _ answered) error {
			a.do("DELETE", "/auth/sessions/current", nil, in).Want(t, 204)
			return nil
		},
		"client": func(r relying, _ apitest.Header, _ answered) error {
			_, err := a.openidDisable(t, r.id)
			return err
		},
	} {
		r := a.relying(t, own)
		in := a.login(t, phone)
		k := r.tokens(t, in)
		b.userinfo(k.Access).Want(t, 200)
		if err := end(r, in, k); err != nil {
			t.Fatal(name, err)
		}
		ended := clock.Mono()
		refusedWith(t, b.userinfo(k.Access), 401, "invalid_token")
		t.Logf("%s: refused by the other process after %s", name, clock.Mono().Sub(ended))
		clk.Add(codeGap)
	}
}

// openidDisable disables a client as the security administrator.
func (b *bench) openidDisable(t *testing.T, client string) (apitest.Response, error) {
	t.Helper()
	sec := b.loginAs(t, "guard", b.employ(t, "guard", auth.SecurityAdmin))
	r := b.do("POST", "/clients/"+client+"/disable", nil, sec)
	if r.Status != 200 {
		return r, errors.New(r.Code)
	}
	return r, nil
}

// Keys roll without anybody noticing: published a day before, kept a day after, and old hints are known for longer.
func TestKeysRoll(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		r := b.relying(t, func(s *identity.ClientSpec) {
			s.FirstParty, s.LogoutURIs = true, []string{"https://his.example.com/bye"}
		})
		in := b.login(t, phone)
		kid := func(text string) any { h, _ := b.claims(t, text); return h["kid"] }
		k := r.tokens(t, in, "scope", "openid offline_access")
		first := kid(k.ID)
		tend := func() {
			t.Helper()
			if err := b.openid.Tend(testkit.AsSystem(t.Context(), identity.TenantID{}, "job"), apitest.Main); err != nil {
				t.Fatal(err)
			}
		}
		renew := func() {
			t.Helper()
			r.refresh(k.Refresh).Want(t, 200).JSON(t, &k)
		}
		tend()
		b.clk.Add(29 * 24 * time.Hour)
		tend()
		tend()
		if n := b.count(t, `SELECT COUNT(*) FROM signing_key`); n != 2 {
			t.Fatalf("%d keys", n)
		}
		if renew(); kid(k.ID) != first {
			t.Fatal("the next key signs too early")
		}
		old := k.ID
		b.clk.Add(24 * time.Hour)
		if renew(); kid(k.ID) == first || kid(old) != first {
			t.Fatal("keys")
		}
		// An hour later the old one's tokens are still verified; the hint is known after the key left the set.
		b.clk.Add(3 * 24 * time.Hour)
		tend()
		u := location(t, b.do("GET", "/oidc/logout?"+url.Values{"id_token_hint": {old}, "post_logout_redirect_uri": {"https://his.example.com/bye"}}.Encode(), nil))
		if u.Host != "his.example.com" {
			t.Fatal(u)
		}
		sec := b.loginAs(t, "guard", b.employ(t, "guard", auth.SecurityAdmin))
		b.do("POST", "/signing-keys", nil, in).Refused(t, 401, "identity.session_ended")
		states := func(r apitest.Response) (out []string) {
			for _, x := range r.Items(t) {
				out = append(out, x["state"].(string))
			}
			return out
		}
		if got := states(b.do("POST", "/signing-keys", nil, sec).Want(t, 201)); !slices.Equal(got, []string{"retired", "signing", "published"}) {
			t.Fatal(got)
		}
		b.do("POST", "/signing-keys", nil, sec).Refused(t, 409, "identity.key_waits")
		b.clk.Add(10 * time.Minute)
		if got := states(b.do("GET", "/signing-keys", nil, sec).Want(t, 200)); !slices.Equal(got, []string{"retired", "retired", "signing"}) {
			t.Fatal(got)
		}
		b.clk.Add(120 * 24 * time.Hour)
		tend()
		tend()
		if got := b.broken(t); len(got) != 0 {
			t.Fatalf("%v", got)
		}
	})
}

func TestClientRoutes(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		sec := b.loginAs(t, "guard", b.employ(t, "guard", auth.SecurityAdmin))
		sys := b.loginAs(t, "system", b.employ(t, "system", auth.SystemAdmin))
		body := map[string]any{
			"name": "检验系统", "accounts": "staff", "grants": []string{"authorization_code", "client_credentials"}, "redirect_uris": []string{callback}, "scopes": []string{"lab.read"},
		}
		b.do("POST", "/clients", body, sys).Refused(t, 403, "authz.denied")
		b.do("POST", "/clients", body).Refused(t, 401, "auth.required")
		bad := map[string]any{"name": "x", "accounts": "staff", "grants": []string{"authorization_code"}, "redirect_uris": []string{"http://his.example.com/"}}
		b.do("POST", "/clients", bad, sec).Refused(t, 422, "identity.client_invalid")
		made := b.do("POST", "/clients", body, sec).Want(t, 201).Map(t)
		path, secret := "/clients/"+made["id"].(string), made["secret"].(string)
		if b.count(t, `SELECT COUNT(*) FROM client WHERE tenant_id IS NOT NULL`) != 1 || len(secret) != 43 {
			t.Fatal(made)
		}
		if got := b.do("GET", "/clients", nil, sec).Want(t, 200); strings.Contains(string(got.Body), secret) || len(got.Items(t)) != 1 {
			t.Fatalf("%s", got.Body)
		}
		b.do("GET", "/clients/"+id.Random[identity.Client]().String(), nil, sec).Refused(t, 404, "identity.client_not_found")
		got := b.do("GET", path, nil, sec).Want(t, 200)
		if got.Header.Get("ETag") != `"1"` || got.Map(t)["name_en"] != "检验系统" {
			t.Fatalf("%s", got.Body)
		}
		ask := func(secret string) apitest.Response {
			return b.form("/oidc/token", url.Values{"grant_type": {"client_credentials"}, "client_id": {made["id"].(string)}, "client_secret": {secret}})
		}
		ask(secret).Want(t, 200)
		// A new secret, the old one beside it for an hour.
		next := b.do("POST", path+"/secret", map[string]any{"overlap_hours": 1}, sec).Want(t, 201).Map(t)["secret"].(string)
		ask(secret).Want(t, 200)
		ask(next).Want(t, 200)
		b.clk.Add(time.Hour)
		sec = b.loginAs(t, "guard", identity.StaffAccount{TOTP: b.totpOf(t, "guard")})
		refusedWith(t, ask(secret), 401, "invalid_client")
		last := b.do("POST", path+"/secret", map[string]any{"overlap_hours": 0}, sec).Want(t, 201).Map(t)["secret"].(string)
		refusedWith(t, ask(next), 401, "invalid_client")
		var k answered
		ask(last).Want(t, 200).JSON(t, &k)
		// Less than before: what it was granted ends.
		look := func() any {
			return b.form("/oidc/introspect", url.Values{"token": {k.Access}}, basic(made["id"].(string), last)).Want(t, 200).Map(t)["active"]
		}
		body["scopes"] = []string{"lab.read", "lab.write"}
		b.do("PUT", path, body, sec, apitest.IfMatch(1)).Refused(t, 412, "identity.stale")
		b.do("PUT", path, body, sec, apitest.IfMatch(3)).Want(t, 200)
		if look() != true {
			t.Fatal("more than before ended something")
		}
		body["scopes"] = []string{"lab.write"}
		b.do("PUT", path, body, sec, apitest.IfMatch(4)).Want(t, 200)
		if look() != false {
			t.Fatal("less than before ended nothing")
		}
		body["public"] = true
		body["grants"] = []string{"authorization_code"}
		body["scopes"] = []string{}
		b.do("PUT", path, body, sec, apitest.IfMatch(5)).Refused(t, 422, "identity.client_invalid")
		b.do("POST", path+"/disable", nil, sec).Want(t, 200)
		b.do("POST", path+"/disable", nil, sec).Want(t, 200)
		refusedWith(t, ask(last), 401, "invalid_client")
		b.do("POST", path+"/secret", map[string]any{"overlap_hours": 0}, sec).Refused(t, 409, "identity.client_disabled")
		public := b.relying(t, func(s *identity.ClientSpec) { s.Public = true })
		b.do("POST", "/clients/"+public.id+"/secret", map[string]any{"overlap_hours": 0}, sec).Refused(t, 409, "identity.client_has_no_secret")
		// Another tenant's client does not exist.
		foreign := b.relyingOf(t, apitest.Other, nil)
		b.do("GET", "/clients/"+foreign.id, nil, sec).Refused(t, 404, "identity.client_not_found")
		b.do("POST", "/clients/"+foreign.id+"/disable", nil, sec).Refused(t, 404, "identity.client_not_found")
		if got := b.broken(t); len(got) != 0 {
			t.Fatalf("%v", got)
		}
	})
}
