package identitysvc

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"xinglin/internal/identity"
	"xinglin/internal/identity/identitysvc/provider"
	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/secret"
	"xinglin/internal/platform/db"
	"xinglin/internal/testkit"
	"xinglin/internal/testkit/apitest"
)

// totpOf is the secret of an account, for a second login.
func (b *bench) totpOf(t *testing.T, username string) secret.Text {
	t.Helper()
	a, err := b.store.staffByName(t.Context(), apitest.Main, username)
	if err != nil {
		t.Fatal(err)
	}
	text, err := b.crypt.OpenText(t.Context(), totpField(apitest.Main, a.id), a.totp)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// whys are the reasons of refusals in the trail, in order.
func (b *bench) whys(t *testing.T) (out []string) {
	t.Helper()
	for _, l := range b.trailOf(t) {
		if strings.HasPrefix(l, "client ") && strings.Contains(l, ": ") {
			out = append(out, l)
		}
	}
	return out
}

// An address that is not registered to the letter gets nothing, and the person stays on our page.
func TestRedirectAttacks(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		r := b.relying(t, own)
		other := b.relying(t, func(s *identity.ClientSpec) { s.RedirectURIs = []string{"https://evil.example/cb"} })
		twice := r.asks()
		twice.Add("redirect_uri", "https://evil.example/cb")
		attacks := map[string]url.Values{
			"prefix":          r.asks("redirect_uri", callback+"/../evil"),
			"longer":          r.asks("redirect_uri", callback+"&next=https://evil.example"),
			"no query":        r.asks("redirect_uri", "https://his.example.com/cb"),
			"userinfo":        r.asks("redirect_uri", "https://his.example.com@evil.example/cb?from=xinglin"),
			"fragment":        r.asks("redirect_uri", callback+"#x"),
			"case":            r.asks("redirect_uri", "https://HIS.example.com/cb?from=xinglin"),
			"port":            r.asks("redirect_uri", "https://his.example.com:443/cb?from=xinglin"),
			"scheme":          r.asks("redirect_uri", "http://his.example.com/cb?from=xinglin"),
			"subdomain":       r.asks("redirect_uri", "https://his.example.com.evil.example/cb?from=xinglin"),
			"encoded":         r.asks("redirect_uri", "https://his.example.com/%63b?from=xinglin"),
			"backslash":       r.asks("redirect_uri", `https://his.example.com\@evil.example/cb?from=xinglin`),
			"missing":         r.asks("redirect_uri", ""),
			"twice":           twice,
			"another's":       r.asks("redirect_uri", "https://evil.example/cb"),
			"unknown client":  r.asks("client_id", "01900000-0000-7000-8000-00000000ffff"),
			"no client":       r.asks("client_id", ""),
			"nonsense client": r.asks("client_id", "' OR 1=1 --"),
			"of another":      other.asks(),
		}
		for name, q := range attacks {
			a := b.api.Do(visitorOf(apitest.Main), "GET", "/oidc/authorize?"+q.Encode(), nil)
			if a.Status != 400 || a.Header.Get("Location") != "" || strings.Contains(string(a.Body), "evil.example") || !strings.HasPrefix(a.Header.Get("Content-Type"), "text/html") {
				t.Errorf("%s: %d %s\n%s", name, a.Status, a.Header.Get("Location"), a.Body)
			}
		}
		if n := len(b.whys(t)); n != len(attacks) {
			t.Fatalf("%d refusals in the trail, want %d", n, len(attacks))
		}
		if b.count(t, `SELECT COUNT(*) FROM login_request`) != 0 {
			t.Fatal("a request came to be")
		}
		// A client of another tenant is none here.
		foreign := b.relyingOf(t, apitest.Other, own)
		b.api.Do(visitorOf(apitest.Main), "GET", "/oidc/authorize?"+foreign.asks().Encode(), nil).Want(t, 400)
		// A disabled one neither.
		if _, err := b.openidDisable(t, r.id); err != nil {
			t.Fatal(err)
		}
		b.api.Do(visitorOf(apitest.Main), "GET", "/oidc/authorize?"+r.asks().Encode(), nil).Want(t, 400)
	})
}

// What is wrong with a request of a known client is told to the client, with our name on it.
func TestRequestAttacks(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		r := b.relying(t, own)
		for code, list := range map[string][][]string{
			"invalid_request": {
				{"code_challenge", ""},
				{"code_challenge_method", ""},
				{"code_challenge_method", "plain"},
				{"response_mode", "fragment"},
				{"prompt", "none login"},
				{"id_token_hint", "eyJhbGciOiJub25lIn0.e30."},
				{"max_age", "-5"},
			},
			"unsupported_response_type": {{"response_type", "token"}, {"response_type", "code token"}},
			"invalid_scope":             {{"scope", "openid admin"}, {"scope", "phone"}},
			"request_not_supported":     {{"request", "x"}},
			"request_uri_not_supported": {{"request_uri", "http://169.254.169.254/"}},
		} {
			for _, change := range list {
				q := back(t, b.api.Do(visitorOf(apitest.Main), "GET", "/oidc/authorize?"+r.asks(change...).Encode(), nil))
				if q.Get("error") != code || q.Get("code") != "" || q.Get("error_description") == "" {
					t.Errorf("%v: %v, want %s", change, q, code)
				}
			}
		}
		// Without a state the client could not tell its own request from another's.
		u := location(t, b.api.Do(visitorOf(apitest.Main), "GET", "/oidc/authorize?"+r.asks("state", "").Encode(), nil))
		if u.Query().Get("error") != "invalid_request" || u.Query().Has("state") || u.Query().Get("iss") != issuer {
			t.Fatal(u)
		}
		for name, next := range map[string]string{"nothing": "/oidc/continue", "nonsense": "/oidc/continue?request=x", "huge": "/oidc/continue?request=" + strings.Repeat("A", 500)} {
			if a := b.do("GET", next, nil); a.Status != 404 {
				t.Errorf("%s: %d", name, a.Status)
			}
		}
	})
}

func TestCodeAttacks(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		r, thief := b.relying(t, own), b.relying(t, own)
		in := b.login(t, phone)
		// A code that comes twice ends what its first use gave.
		code := r.code(t, in)
		var k answered
		r.exchange(code).Want(t, 200).JSON(t, &k)
		b.userinfo(k.Access).Want(t, 200)
		refusedWith(t, r.exchange(code), 400, "invalid_grant")
		refusedWith(t, b.userinfo(k.Access), 401, "invalid_token")
		refusedWith(t, r.refresh(k.Refresh), 400, "invalid_grant")
		// A code has one try.
		for name, try := range map[string]func(code string) apitest.Response{
			"another client":   func(code string) apitest.Response { return thief.exchange(code) },
			"no verifier":      func(code string) apitest.Response { return r.exchange(code, "code_verifier", "") },
			"another verifier": func(code string) apitest.Response { return r.exchange(code, "code_verifier", strings.Repeat("x", 43)) },
			"the challenge": func(code string) apitest.Response {
				return r.exchange(code, "code_verifier", r.asks().Get("code_challenge"))
			},
			"another redirect": func(code string) apitest.Response { return r.exchange(code, "redirect_uri", callback+"/") },
			"no redirect":      func(code string) apitest.Response { return r.exchange(code, "redirect_uri", "") },
			"method plain, again": func(code string) apitest.Response {
				return r.exchange(code, "code_challenge_method", "plain", "code_verifier", r.asks().Get("code_challenge"))
			},
		} {
			code := r.code(t, in)
			if a := try(code); a.Status != 400 || !strings.Contains(string(a.Body), `"invalid_grant"`) {
				t.Errorf("%s: %d %s", name, a.Status, a.Body)
			}
			refusedWith(t, r.exchange(code), 400, "invalid_grant")
		}
		refusedWith(t, r.exchange(""), 400, "invalid_grant")
		refusedWith(t, r.exchange(strings.Repeat("A", 43)), 400, "invalid_grant")
		refusedWith(t, r.exchange(k.Access), 400, "invalid_grant")  // a token of another kind
		refusedWith(t, r.exchange(k.Refresh), 400, "invalid_grant") // likewise
		old := r.code(t, in)
		b.clk.Add(time.Minute)
		refusedWith(t, r.exchange(old), 400, "invalid_grant")
		if got := b.broken(t); len(got) != 0 {
			t.Fatalf("%v", got)
		}
	})
}

func TestClientAttacks(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		r := b.relying(t, own)
		public := b.relying(t, func(s *identity.ClientSpec) { s.Public = true })
		foreign := b.relyingOf(t, apitest.Other, own)
		grant := url.Values{"grant_type": {"authorization_code"}, "code": {"x"}}
		body := func(change ...string) url.Values {
			q := url.Values{}
			for k, v := range grant {
				q[k] = v
			}
			return with(q, change)
		}
		for name, a := range map[string]apitest.Response{
			"no client":                  b.form("/oidc/token", body()),
			"no secret":                  b.form("/oidc/token", body("client_id", r.id)),
			"wrong secret":               b.form("/oidc/token", body(), basic(r.id, strings.Repeat("A", 43))),
			"wrong secret in the body":   b.form("/oidc/token", body("client_id", r.id, "client_secret", "x")),
			"huge secret":                b.form("/oidc/token", body("client_id", r.id, "client_secret", strings.Repeat("A", 5000))),
			"a secret for a public one":  b.form("/oidc/token", body("client_id", public.id, "client_secret", "x")),
			"another tenant's client":    b.form("/oidc/token", body(), basic(foreign.id, foreign.secret)),
			"another tenant's secret":    b.form("/oidc/token", body(), basic(r.id, foreign.secret)),
			"malformed basic":            b.form("/oidc/token", body(), apitest.H("Authorization", "Basic !!!")),
			"malformed percent encoding": b.form("/oidc/token", body(), apitest.H("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(r.id+":%zz")))),
			"bearer":                     b.form("/oidc/token", body("client_id", public.id), apitest.H("Authorization", "Bearer x")),
			"public introspects":         b.form("/oidc/introspect", url.Values{"token": {"x"}, "client_id": {public.id}}),
		} {
			if a.Status != 401 || !strings.Contains(string(a.Body), `"invalid_client"`) {
				t.Errorf("%s: %d %s", name, a.Status, a.Body)
			}
		}
		if h := b.form("/oidc/token", body(), basic(r.id, "x")).Header.Get("WWW-Authenticate"); !strings.HasPrefix(h, "Basic ") {
			t.Error(h)
		}
		double := body("client_id", r.id)
		double["client_id"] = []string{r.id, r.id}
		for name, a := range map[string]apitest.Response{
			"two credentials": b.form("/oidc/token", body("client_id", r.id, "client_secret", r.secret), basic(r.id, r.secret)),
			"two clients":     b.form("/oidc/token", body("client_id", public.id), basic(r.id, r.secret)),
			"client_id twice": b.form("/oidc/token", double),
			"no grant type":   b.form("/oidc/token", body("grant_type", ""), basic(r.id, r.secret)),
			"JSON":            b.api.Do(visitorOf(apitest.Main), "POST", "/oidc/token", map[string]any{"grant_type": "authorization_code"}, basic(r.id, r.secret)),
			"in the query":    b.api.Do(visitorOf(apitest.Main), "POST", "/oidc/token?"+body().Encode(), "", formType, basic(r.id, r.secret)),
			"NUL":             b.form("/oidc/token", body("code", "a\x00b"), basic(r.id, r.secret)),
		} {
			if a.Status != 400 || !strings.Contains(string(a.Body), `"invalid_request"`) {
				t.Errorf("%s: %d %s", name, a.Status, a.Body)
			}
		}
		for _, kind := range []string{"password", "implicit", "urn:ietf:params:oauth:grant-type:jwt-bearer"} {
			refusedWith(t, b.form("/oidc/token", body("grant_type", kind), basic(r.id, r.secret)), 400, "unsupported_grant_type")
		}
		// Another tenant's tokens are none here.
		in := b.login(t, phone)
		k := r.tokens(t, in)
		if a := b.api.Do(visitorOf(apitest.Other), "GET", "/oidc/userinfo", nil, apitest.H("Authorization", "Bearer "+k.Access)); a.Status != 401 {
			t.Fatal(a.Status)
		}
		for _, h := range []string{"", "Bearer", "Bearer ", "Basic " + k.Access, "Bearer " + k.Refresh, "Bearer " + k.ID, "Bearer " + strings.Repeat("A", 9000)} {
			a := b.api.Do(visitorOf(apitest.Main), "GET", "/oidc/userinfo", nil, apitest.H("Authorization", h))
			if a.Status != 401 || !strings.HasPrefix(a.Header.Get("WWW-Authenticate"), `Bearer realm="xinglin", error="invalid_token"`) {
				t.Errorf("%.20s: %d %s", h, a.Status, a.Header)
			}
		}
		refusedWith(t, b.api.Do(visitorOf(apitest.Main), "GET", "/oidc/userinfo?access_token="+k.Access, nil), 401, "invalid_token") // not in an address
		b.clk.Add(10 * time.Minute)
		refusedWith(t, b.userinfo(k.Access), 401, "invalid_token")
		for _, line := range b.trailOf(t) {
			if strings.Contains(line, r.secret) || strings.Contains(line, k.Access) {
				t.Fatal("a secret in the trail")
			}
		}
	})
}

// Guesses of one address are cut off before they cost anything.
func TestGuessing(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		r := b.relying(t, own)
		limited := 0
		for range 70 {
			if a := b.form("/oidc/token", url.Values{"grant_type": {"client_credentials"}}, basic(r.id, "guess")); a.Status == 429 && a.Code == "http.rate" {
				limited++
			}
		}
		if limited != 10 || len(b.whys(t)) != 60 {
			t.Fatalf("%d limited, %d in the trail", limited, len(b.whys(t)))
		}
	})
}

func TestLogoutAttacks(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		const to = "https://his.example.com/bye"
		r := b.relying(t, func(s *identity.ClientSpec) { s.FirstParty, s.LogoutURIs = true, []string{to} })
		other := b.relying(t, func(s *identity.ClientSpec) { s.LogoutURIs = []string{"https://evil.example/"} })
		in := b.login(t, phone)
		k := r.tokens(t, in)
		parts := strings.Split(k.ID, ".")
		forged := func(head map[string]any) string {
			h, err := json.Marshal(head)
			if err != nil {
				t.Fatal(err)
			}
			return base64.RawURLEncoding.EncodeToString(h) + "." + parts[1] + "." + parts[2]
		}
		head, _ := b.claims(t, k.ID)
		for name, q := range map[string]url.Values{
			"open redirect":         {"id_token_hint": {k.ID}, "post_logout_redirect_uri": {"https://evil.example/"}},
			"open redirect, longer": {"id_token_hint": {k.ID}, "post_logout_redirect_uri": {to + "/../evil"}},
			"protocol relative":     {"id_token_hint": {k.ID}, "post_logout_redirect_uri": {"//evil.example/"}},
			"script":                {"id_token_hint": {k.ID}, "post_logout_redirect_uri": {"javascript:alert(1)"}},
			"another's address":     {"client_id": {r.id}, "post_logout_redirect_uri": {"https://evil.example/"}},
			"no client":             {"post_logout_redirect_uri": {to}},
			"another client":        {"id_token_hint": {k.ID}, "client_id": {other.id}},
			"unknown client":        {"client_id": {"x"}},
			"address twice":         {"client_id": {r.id}, "post_logout_redirect_uri": {to, "https://evil.example/"}},
			"alg none":              {"id_token_hint": {forged(map[string]any{"alg": "none"})}},
			"HS256":                 {"id_token_hint": {forged(map[string]any{"alg": "HS256", "kid": head["kid"]})}},
			"kid injection":         {"id_token_hint": {forged(map[string]any{"alg": "ES256", "kid": "../../../dev/null"})}},
			"a key of its own":      {"id_token_hint": {forged(map[string]any{"alg": "ES256", "kid": head["kid"], "jku": "https://evil.example/jwks"})}},
			"nonsense":              {"id_token_hint": {"x.y.z"}},
		} {
			a := b.do("GET", "/oidc/logout?"+q.Encode(), nil, in)
			if a.Status != 400 || a.Header.Get("Location") != "" {
				t.Errorf("%s: %d %s", name, a.Status, a.Header.Get("Location"))
			}
		}
		b.do("GET", "/auth/me", nil, in).Want(t, 200)
		// Another issuer's token: the other tenant's host.
		a := b.api.Do(visitorOf(apitest.Other), "GET", "/oidc/logout?"+url.Values{"id_token_hint": {k.ID}}.Encode(), nil)
		if a.Status != 400 {
			t.Fatal(a.Status)
		}
		// A clock may be a minute ahead, no more; an old hint is one for three months.
		hint := func(want int) {
			t.Helper()
			if a := b.do("GET", "/oidc/logout?"+url.Values{"id_token_hint": {k.ID}}.Encode(), nil); a.Status != want {
				t.Fatalf("%s: %d, want %d", b.clk.Now(), a.Status, want)
			}
		}
		start := b.clk.Now()
		for at, want := range map[time.Duration]int{-time.Minute: 200, -time.Minute - time.Second: 400, 11 * time.Minute: 200, 90 * 24 * time.Hour: 200, 90*24*time.Hour + time.Second: 400} {
			b.clk.Set(start.Add(at))
			hint(want)
		}
	})
}

func TestDeviceFlow(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		r := b.relying(t, func(s *identity.ClientSpec) {
			s.Public, s.Grants, s.RedirectURIs = true, []identity.GrantType{identity.ByDevice, identity.ByRefresh}, nil
			s.Accounts = identity.StaffAccounts
		})
		type started struct {
			Device   string `json:"device_code"`
			User     string `json:"user_code"`
			URI      string `json:"verification_uri"`
			Complete string `json:"verification_uri_complete"`
			Expires  int    `json:"expires_in"`
			Interval int    `json:"interval"`
		}
		start := func() (d started) {
			t.Helper()
			b.form("/oidc/device_authorization", url.Values{"client_id": {r.id}, "scope": {"openid profile offline_access"}}).Want(t, 200).JSON(t, &d)
			return d
		}
		poll := func(d started) apitest.Response {
			return r.token(url.Values{"grant_type": {string(identity.ByDevice)}, "device_code": {d.Device}})
		}
		d := start()
		if d.URI != issuer+"/device" || d.Complete != d.URI+"?user_code="+d.User || d.Expires != 600 || d.Interval != 5 || len(d.User) != 9 {
			t.Fatalf("%+v", d)
		}
		refusedWith(t, poll(d), 400, "authorization_pending")
		refusedWith(t, poll(d), 400, "slow_down")
		b.clk.Add(5 * time.Second)
		refusedWith(t, poll(d), 400, "slow_down") // it waits ten seconds now
		b.clk.Add(15 * time.Second)
		refusedWith(t, poll(d), 400, "authorization_pending")
		b.do("GET", "/oidc/device", nil).Want(t, 200) // how to come in
		patient := b.login(t, phone)
		doctor := b.loginAs(t, "zhang.san", b.employ(t, "zhang.san", auth.Doctor))
		b.do("GET", "/oidc/device?user_code="+d.User, nil, doctor).Want(t, 200)
		answer := func(code, decision string, in apitest.Header) apitest.Response {
			return b.do("POST", "/oidc/device", url.Values{"user_code": {code}, "decision": {decision}}.Encode(), in, formType)
		}
		b.api.Do(visitorOf(apitest.Main), "POST", "/oidc/device", url.Values{"user_code": {d.User}, "decision": {"yes"}}.Encode(), doctor, formType, apitest.H("Origin", "https://evil.example")).
			Refused(t, 403, "http.origin")
		if u := location(t, answer(d.User, "yes", patient)); u.Path != "/console/login" { // a device of staff
			t.Fatal(u)
		}
		page := answer(strings.ToLower(d.User), "look", doctor).Want(t, 200)
		if !strings.Contains(string(page.Body), d.User) || !strings.Contains(string(page.Body), "随访系统") {
			t.Fatalf("%s", page.Body)
		}
		refusedWith(t, poll(d), 400, "slow_down")
		answer(d.User, "yes", doctor).Want(t, 200)
		if a := answer(d.User, "yes", doctor); !strings.Contains(string(a.Body), "代码不正确") {
			t.Fatalf("answered twice: %s", a.Body)
		}
		b.clk.Add(time.Minute)
		var k answered
		poll(d).Want(t, 200).JSON(t, &k)
		if info := b.userinfo(k.Access).Want(t, 200).Map(t); info["name"] != "张三" {
			t.Fatal(info)
		}
		// The code again: somebody else has it too.
		b.clk.Add(time.Minute)
		refusedWith(t, poll(d), 400, "invalid_grant")
		refusedWith(t, b.userinfo(k.Access), 401, "invalid_token")
		no := start()
		answer(no.User, "no", doctor).Want(t, 200)
		refusedWith(t, poll(no), 400, "access_denied")
		late := start()
		b.clk.Add(10 * time.Minute)
		refusedWith(t, poll(late), 400, "expired_token")
		if a := answer(late.User, "yes", doctor); !strings.Contains(string(a.Body), "代码不正确") {
			t.Fatalf("%s", a.Body)
		}
		refusedWith(t, b.form("/oidc/device_authorization", url.Values{"client_id": {r.id}, "scope": {"profile"}}), 400, "invalid_scope")
		if got := b.broken(t); len(got) != 0 {
			t.Fatalf("%v", got)
		}
	})
}

// Ten wrong codes in a row, and the account waits; a right one gives the tries back.
func TestGuessingDevices(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		r := b.relying(t, func(s *identity.ClientSpec) {
			s.Grants, s.RedirectURIs = []identity.GrantType{identity.ByDevice, identity.ByRefresh}, nil
		})
		var d struct {
			User string `json:"user_code"`
		}
		b.form("/oidc/device_authorization", url.Values{"scope": {"openid"}}, basic(r.id, r.secret)).Want(t, 200).JSON(t, &d)
		in := b.login(t, phone)
		look := func(code string) apitest.Response {
			return b.do("POST", "/oidc/device", url.Values{"user_code": {code}, "decision": {"look"}}.Encode(), in, formType)
		}
		for range provider.DeviceTries - 1 {
			look("BBBB-BBBB").Want(t, 200)
		}
		if a := look(d.User).Want(t, 200); !strings.Contains(string(a.Body), d.User) {
			t.Fatalf("%s", a.Body)
		}
		for range provider.DeviceTries {
			look("BBBB-BBBB").Want(t, 200)
		}
		look(d.User).Want(t, 429)
		b.clk.Add(provider.DeviceLock)
		if a := look("nonsense").Want(t, 200); !strings.Contains(string(a.Body), "代码不正确") {
			t.Fatalf("%s", a.Body)
		}
	})
}

// A client that wants to know is told of the end of a session, signed, once a session and again until it answers.
func TestBackChannelLogout(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		var got []string
		status := http.StatusServiceUnavailable
		there := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			q, err := url.ParseQuery(string(body))
			if err != nil || r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/x-www-form-urlencoded" {
				t.Errorf("%s %s", r.Method, body)
			}
			got = append(got, q.Get("logout_token"))
			w.WriteHeader(status)
		}))
		defer there.Close()
		r := b.relying(t, func(s *identity.ClientSpec) { s.FirstParty, s.BackChannelURI = true, there.URL+"/logout" })
		quiet := b.relying(t, own)
		in := b.login(t, phone)
		one, two := r.tokens(t, in), r.tokens(t, in, "scope", "openid offline_access")
		quiet.tokens(t, in)
		b.do("DELETE", "/auth/sessions/current", nil, in).Want(t, 204)
		if n := b.count(t, `SELECT COUNT(*) FROM job WHERE kind = 'identity.tell_logout'`); n != 1 {
			t.Fatalf("%d jobs, want one for the client's session", n)
		}
		refusedWith(t, b.userinfo(one.Access), 401, "invalid_token")
		b.userinfo(two.Access).Want(t, 200)
		if err := b.runLogout(t); err == nil || strings.Contains(err.Error(), "127.0.0.1") {
			t.Fatalf("a busy client: %v", err)
		}
		status = http.StatusBadRequest
		if err := b.runLogout(t); err == nil {
			t.Fatal("a refusal is taken for an answer")
		}
		status = http.StatusOK
		if err := b.runLogout(t); err != nil {
			t.Fatal(err)
		}
		head, c := b.claims(t, got[2])
		_, first := b.claims(t, one.ID)
		events, _ := c["events"].(map[string]any)
		if head["typ"] != "logout+jwt" || c["sid"] != first["sid"] || c["sub"] != first["sub"] || c["iss"] != issuer || c["aud"] != r.id || c["nonce"] != nil || c["jti"] == "" ||
			events["http://schemas.openid.net/event/backchannel-logout"] == nil || len(events) != 1 {
			t.Fatal(head, c)
		}
	}, testkit.Demo())
}

// runLogout runs the job's work, as the runner would.
func (b *bench) runLogout(t *testing.T) error {
	t.Helper()
	var payload string
	err := b.store.db.Read(t.Context(), apitest.Main, func(ctx context.Context, tx db.Tx) error {
		return tx.QueryRow(ctx, `SELECT CAST(payload AS TEXT) FROM job WHERE kind = 'identity.tell_logout' LIMIT 1`).Scan(&payload)
	})
	if err != nil {
		t.Fatal(err)
	}
	var j provider.LogoutJob
	if err := json.Unmarshal([]byte(payload), &j); err != nil {
		t.Fatal(err)
	}
	return b.openid.TellLogout(testkit.AsSystem(t.Context(), apitest.Main, "job"), j)
}

// Without --demo an address of this machine is not even registered.
func TestBackChannelStaysOutside(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		spec := identity.ClientSpec{Name: "x", Accounts: identity.AnyAccounts, Grants: []identity.GrantType{identity.ByCode}, RedirectURIs: []string{callback}, BackChannelURI: "http://127.0.0.1:1/"}
		if _, err := b.AddClient(testkit.AsCLI(t.Context(), apitest.Main), spec); !errors.Is(err, identity.ErrClient) {
			t.Fatal(err)
		}
	})
}

// Each refusal of an attack is in the trail with the standard's code.
func TestRefusalsInTheTrail(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		r := b.relying(t, own)
		in := b.login(t, phone)
		code := r.code(t, in)
		r.exchange(code).Want(t, 200)
		r.exchange(code).Want(t, 400)
		b.form("/oidc/token", url.Values{"grant_type": {"client_credentials"}}, basic(r.id, "x")).Want(t, 401)
		r.refresh("x").Want(t, 400)
		b.api.Do(visitorOf(apitest.Main), "GET", "/oidc/authorize?"+r.asks("scope", "openid x").Encode(), nil).Want(t, 303)
		want := []string{
			"client issue_token invalid_grant: the code or refresh token was used before",
			"client issue_token invalid_client: the client is unknown or its credential is wrong",
			"client issue_token invalid_grant: the code or refresh token is unknown or over",
			"client authorize invalid_scope: a scope is not for this client",
		}
		if got := b.whys(t); !slices.Equal(got, want) {
			t.Fatalf("%q", got)
		}
	})
}
