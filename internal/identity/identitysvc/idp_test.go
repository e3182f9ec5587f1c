package identitysvc

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"xinglin/internal/identity"
	"xinglin/internal/idpsim"
	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/secret"
	"xinglin/internal/testkit"
	"xinglin/internal/testkit/apitest"
)

// group is the other side with what the hospital knows of it.
type group struct {
	*idpsim.Server
	staff, wechat map[string]any
}

// group begins a simulator and registers both of its sides, as the security administrator sec does.
func (b *bench) group(t *testing.T, sec apitest.Header) group {
	t.Helper()
	s, err := idpsim.New(idpsim.Options{
		Listen: "127.0.0.1:0", Public: true, Clock: b.clk, OIDC: idpsim.App{ID: "hospital", Secret: secret.New("s3cret")}, WeChat: idpsim.App{ID: "wx1", Secret: secret.New("wxsecret")},
		Staff:   []idpsim.Person{{Subject: "weak", Name: "弱"}, {Subject: "strong", Name: "强", Strong: true}},
		Members: []idpsim.Person{{Subject: "open-1", Name: "微信一"}, {Subject: "open-2", Name: "微信二"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx) }()
	t.Cleanup(func() { stop(); <-done })
	g := group{Server: s}
	g.staff = b.do("POST", "/identity-providers", map[string]any{
		"key": "group", "kind": "oidc", "accounts": "staff", "name": "集团统一登录", "name_en": "Group", "issuer": s.Issuer(), "client_id": "hospital", "secret": "s3cret",
		"scopes": "profile", "strong": []string{"mfa"}, "enabled": true,
	}, sec).Want(t, 201).Map(t)
	g.wechat = b.do("POST", "/identity-providers", map[string]any{
		"key": "wechat", "kind": "wechat", "accounts": "patient", "name": "微信", "issuer": s.WeChatURL(), "pages": s.WeChatURL(), "client_id": "wx1", "secret": "wxsecret", "enabled": true,
	}, sec).Want(t, 201).Map(t)
	return g
}

// visit is a browser on its way to a provider and back.
type visit struct {
	b        *bench
	cookie   apitest.Header
	callback string // path and query that the provider led to
}

// visit begins at a path (logins or links) and lets a person log in at the provider.
func (b *bench) visit(t *testing.T, path, key, subject string, headers ...apitest.Header) visit {
	t.Helper()
	r := b.do("POST", "/auth/idp/"+path, map[string]any{"provider": key, "next": Next(key)}, headers...).Want(t, 201)
	return visit{b, idpCookie(t, r), b.choose(t, r.Map(t)["address"].(string), subject)}
}

// Next is a page that a login of the provider may go to.
func Next(key string) string {
	if key == "wechat" {
		return "/m/visits"
	}
	return "/console/queue"
}

func idpCookie(t *testing.T, r apitest.Response) apitest.Header {
	t.Helper()
	for _, line := range r.Header.Values("Set-Cookie") {
		c, err := http.ParseSetCookie(line)
		if err == nil && c.Name == "xinglin_idp" && c.HttpOnly && c.SameSite == http.SameSiteLaxMode && c.Path == "/" {
			return apitest.H("Cookie", c.Name+"="+c.Value)
		}
	}
	t.Fatalf("no cookie in %v", r.Header)
	return apitest.Header{}
}

// choose logs a person in at the provider, and gives the way back.
func (b *bench) choose(t *testing.T, address, subject string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	q.Set("login_hint", subject)
	u.RawQuery, u.Fragment = q.Encode(), ""
	c := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := c.Get(u.String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	to, err := url.Parse(res.Header.Get("Location"))
	if err != nil || res.StatusCode != http.StatusSeeOther || to.Host != apitest.Host(apitest.Main) {
		t.Fatalf("the provider led to %v: %d %v", to, res.StatusCode, err)
	}
	return to.RequestURI()
}

// arrive comes back and gives where it leads.
func (v visit) arrive(t *testing.T, more ...string) (apitest.Response, string) {
	t.Helper()
	cookies := []string{v.cookie.Value}
	r := v.b.do("GET", v.callback, nil, browser, apitest.H("Cookie", strings.Join(append(cookies, more...), "; "))).Want(t, 303)
	return r, r.Header.Get("Location")
}

// sessionIn is the session cookie of an answer, "" without one.
func sessionIn(r apitest.Response) string {
	for _, line := range r.Header.Values("Set-Cookie") {
		if c, err := http.ParseSetCookie(line); err == nil && c.Name != "xinglin_idp" && c.MaxAge > 0 {
			return c.Name + "=" + c.Value
		}
	}
	return ""
}

func (b *bench) security(t *testing.T) (identity.StaffAccount, apitest.Header) {
	t.Helper()
	a := b.employ(t, "sec", auth.SecurityAdmin)
	return a, b.loginAs(t, "sec", a)
}

func TestStaffByProvider(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		_, sec := b.security(t)
		g := b.group(t, sec)
		a := b.employ(t, "zhang.san", auth.Doctor)
		in := b.loginAs(t, "zhang.san", a)
		if l := b.do("GET", "/auth/idp?accounts=staff", nil).Want(t, 200).Items(t); len(l) != 1 || l[0]["key"] != "group" || l[0]["issuer"] != nil {
			t.Fatalf("%v", l)
		}

		// Nobody is linked by what the provider says of them.
		_, to := b.visit(t, "logins", "group", "strong").arrive(t)
		if to != "/console/login?next=%2Fconsole%2Fqueue&refused=identity.not_linked" {
			t.Fatal(to)
		}
		if n := b.count(t, `SELECT COUNT(*) FROM account`); n != 2 {
			t.Fatalf("%d accounts", n)
		}

		// Linked in the own session, and in no other.
		v := b.visit(t, "links", "group", "strong", in)
		if _, to := v.arrive(t); to != "/console/queue?refused=identity.idp_refused" {
			t.Fatal(to)
		}
		v = b.visit(t, "links", "group", "strong", in)
		if _, to := v.arrive(t, sec.Value); to != "/console/queue?refused=identity.idp_refused" {
			t.Fatal(to)
		}
		v = b.visit(t, "links", "group", "strong", in)
		if r, to := v.arrive(t, in.Value); to != "/console/queue" || sessionIn(r) != "" {
			t.Fatal(to)
		}
		links := b.do("GET", "/auth/idp/links", nil, in).Want(t, 200)
		if l := links.Items(t); len(l) != 1 || l[0]["name"] != "集团统一登录" || len(links.Map(t)["more"].([]any)) != 0 {
			t.Fatalf("%v", links.Map(t))
		}
		if _, to := b.visit(t, "links", "group", "strong", sec).arrive(t, sec.Value); to != "/console/queue?refused=identity.link_taken" {
			t.Fatal(to)
		}
		if _, to := b.visit(t, "links", "group", "weak", in).arrive(t, in.Value); to != "/console/queue?refused=identity.link_exists" {
			t.Fatal(to)
		}

		// The provider asked for two factors and says so: straight in, with no fresh proof here.
		r, to := b.visit(t, "logins", "group", "strong").arrive(t)
		if to != "/console/queue" || sessionIn(r) == "" {
			t.Fatal(to)
		}
		by := apitest.H("Cookie", sessionIn(r))
		if me := b.do("GET", "/auth/me", nil, by).Want(t, 200).Map(t); me["account_id"] != a.ID.String() || me["factors"] != 2.0 {
			t.Fatalf("%v", me)
		}
		b.do("POST", "/auth/passkeys/options", nil, by).Refused(t, 403, "auth.step_up")
		b.do("POST", "/auth/idp/links", map[string]any{"provider": "group"}, by).Refused(t, 403, "auth.step_up")
		if l := b.do("GET", "/auth/sessions", nil, by).Items(t); l[0]["method"] != "idp" {
			t.Fatalf("%v", l)
		}

		// Disabled: its sessions end at once, the others live.
		path := "/identity-providers/" + g.staff["id"].(string)
		b.do("POST", path+"/disable", nil, sec).Want(t, 200)
		b.do("GET", "/auth/me", nil, by).Refused(t, 401, "identity.session_ended")
		b.do("GET", "/auth/me", nil, in).Want(t, 200)
		b.do("POST", "/auth/idp/logins", map[string]any{"provider": "group"}).Refused(t, 404, "identity.idp_not_found")
		if got := b.broken(t); len(got) != 0 {
			t.Fatalf("%v", got)
		}
	}, testkit.Demo())
}

// A provider that does not say that it asked for two factors is one: the second is proved here.
func TestSecondFactorHere(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		_, sec := b.security(t)
		b.group(t, sec)
		a := b.employ(t, "li.si", auth.Nurse)
		in := b.loginAs(t, "li.si", a)
		if _, to := b.visit(t, "links", "group", "weak", in).arrive(t, in.Value); to != "/console/queue" {
			t.Fatal(to)
		}
		r, to := b.visit(t, "logins", "group", "weak").arrive(t)
		if to != "/console/login?more=totp&next=%2Fconsole%2Fqueue" || sessionIn(r) != "" {
			t.Fatal(to)
		}
		held := idpCookie(t, r)
		show := func(code string, c apitest.Header) apitest.Response {
			return b.do("POST", "/auth/idp/sessions", map[string]any{"totp": code}, c, browser)
		}
		b.clk.Add(30_000_000_000)
		code := b.totp(a)
		show(code, apitest.H("Cookie", "xinglin_idp=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")).Refused(t, 401, "identity.idp_expired")
		show("", held).Refused(t, 401, "identity.login_wrong")
		show(flip(code), held).Refused(t, 401, "identity.login_wrong")
		ok := show(code, held).Want(t, 201)
		if m := ok.Map(t); m["factors"] != 2.0 || m["account_id"] != a.ID.String() {
			t.Fatalf("%v", m)
		}
		by := apitest.H("Cookie", sessionIn(ok))
		b.do("POST", "/auth/passkeys/options", nil, by).Want(t, 200) // the code was proved here
	}, testkit.Demo())
}

// A person's first login by WeChat proves a phone once; the next leads straight in.
func TestPatientByWeChat(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		_, sec := b.security(t)
		b.group(t, sec)
		r, to := b.visit(t, "logins", "wechat", "open-1").arrive(t)
		if to != "/m/login?more=phone&next=%2Fm%2Fvisits" || sessionIn(r) != "" {
			t.Fatal(to)
		}
		held := idpCookie(t, r)
		ch, code := b.sendCode(t, phone)
		show := func(code string) apitest.Response {
			return b.do("POST", "/auth/idp/sessions", map[string]any{"challenge_id": ch, "code": code}, held, browser)
		}
		show(flip(code)).Refused(t, 401, "identity.code_wrong")
		ok := show(code).Want(t, 201)
		if m := ok.Map(t); m["kind"] != "patient" || m["phone_masked"] != "138****0000" || m["factors"] != 1.0 {
			t.Fatalf("%v", m)
		}
		show(code).Refused(t, 401, "identity.idp_expired")
		r, to = b.visit(t, "logins", "wechat", "open-1").arrive(t)
		if to != "/m/visits" || sessionIn(r) == "" {
			t.Fatal(to)
		}
		in := apitest.H("Cookie", sessionIn(ok))
		link := b.do("GET", "/auth/idp/links", nil, in).Want(t, 200).Items(t)[0]["id"].(string)
		b.do("DELETE", "/auth/idp/links/"+link, nil, sec).Refused(t, 404, "identity.link_not_found")
		b.do("DELETE", "/auth/idp/links/"+link, nil, apitest.H("Cookie", sessionIn(r))).Refused(t, 403, "auth.step_up")
		b.do("DELETE", "/auth/idp/links/"+link, nil, in).Want(t, 204)
		b.do("GET", "/auth/me", nil, apitest.H("Cookie", sessionIn(r))).Refused(t, 401, "identity.session_ended") // it came by the link
		b.do("GET", "/auth/me", nil, in).Want(t, 200)
		if got := b.broken(t); len(got) != 0 {
			t.Fatalf("%v", got)
		}
	}, testkit.Demo())
}

// Two browsers come for the first time with one subject, each with a phone of its own: one of them is linked.
func TestFirstLoginsAtOnce(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		_, sec := b.security(t)
		b.group(t, sec)
		type one struct {
			held     apitest.Header
			ch, code string
		}
		var all []one
		for _, n := range []string{"13800000001", "13800000002", "13800000003", "13800000004"} {
			r, _ := b.visit(t, "logins", "wechat", "open-1").arrive(t)
			ch, code := b.sendCode(t, n)
			all = append(all, one{idpCookie(t, r), ch, code})
		}
		var mu sync.Mutex
		var got []string
		var wg sync.WaitGroup
		for _, o := range all {
			wg.Go(func() {
				r := b.do("POST", "/auth/idp/sessions", map[string]any{"challenge_id": o.ch, "code": o.code}, o.held, browser)
				mu.Lock()
				defer mu.Unlock()
				got = append(got, r.Code)
			})
		}
		wg.Wait()
		slices.Sort(got)
		if want := []string{"", "identity.link_taken", "identity.link_taken", "identity.link_taken"}; !slices.Equal(got, want) {
			t.Fatalf("%q", got)
		}
		if n := b.count(t, `SELECT COUNT(*) FROM idp_link`); n != 1 {
			t.Fatalf("%d links", n)
		}
		if n := b.count(t, `SELECT COUNT(*) FROM session s JOIN account a ON a.tenant_id = s.tenant_id AND a.id = s.account_id WHERE a.kind = 'patient'`); n != 1 {
			t.Fatalf("%d sessions", n)
		}
	}, testkit.Demo())
}

// Answers that are forged, repeated, of another browser, provider or tenant.
func TestForgedAnswers(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		_, sec := b.security(t)
		g := b.group(t, sec)
		refusedAs := func(name, want string, v visit) {
			t.Helper()
			if r, to := v.arrive(t); !strings.HasSuffix(to, "refused="+want) || sessionIn(r) != "" {
				t.Errorf("%s: %s", name, to)
			}
		}
		begin := func() visit { return b.visit(t, "logins", "wechat", "open-1") }
		v := begin()
		other := begin()
		foreign := visit{b, other.cookie, v.callback}
		refusedAs("another browser", "identity.idp_expired", foreign)
		forged := v
		forged.callback = strings.Replace(v.callback, "state=", "state=x", 1)
		refusedAs("a forged state", "identity.idp_expired", forged)
		twice := v
		twice.callback += "&state=y"
		refusedAs("two states", "identity.idp_expired", twice)
		_, _ = v.arrive(t)
		refusedAs("a second time", "identity.idp_expired", v)
		mixed := begin()
		mixed.callback = strings.Replace(mixed.callback, "/idp/wechat/", "/idp/group/", 1)
		refusedAs("at another provider's address", "identity.idp_refused", mixed)
		late := begin()
		b.clk.Add(11 * 60_000_000_000)
		refusedAs("too late", "identity.idp_expired", late)
		// Whatever the provider says wrongly, each with the word that the trail has for it.
		for kind, want := range map[idpsim.Kind]string{
			idpsim.AlgNone: "algorithm", idpsim.HMAC: "algorithm", idpsim.OtherKey: "signature", idpsim.UnknownKid: "key", idpsim.KeyInToken: "header", idpsim.Expired: "expired",
			idpsim.Future: "issued_at", idpsim.OtherIssuer: "issuer", idpsim.OtherAudience: "audience", idpsim.OtherParty: "authorized_party", idpsim.OtherNonce: "nonce",
			idpsim.NoNonce: "nonce", idpsim.OtherAtHash: "access_token", idpsim.NoIDToken: "tokens", idpsim.HugeToken: "answer_too_large", idpsim.OtherUserinfo: "userinfo",
			idpsim.NoIss: "mixed_up", idpsim.OtherIss: "mixed_up",
		} {
			g.Next(idpsim.Fault{Kind: kind})
			before := len(b.trailOf(t))
			refusedAs(string(kind), "identity.idp_refused", b.visit(t, "logins", "group", "strong"))
			if got := b.trailOf(t); len(got) != before+1 || got[before] != "system finish_idp_login identity.idp_refused "+want {
				t.Errorf("%s: the trail has %q", kind, got[before:])
			}
		}
		for _, kind := range []idpsim.Kind{idpsim.Down, idpsim.NotJSON, idpsim.Lead} {
			g.Next(idpsim.Fault{Kind: kind})
			refusedAs(string(kind), "identity.idp_down", b.visit(t, "logins", "group", "strong"))
		}
		g.Next(idpsim.Fault{Kind: idpsim.OtherUserinfo})
		refusedAs("another's openid", "identity.idp_refused", begin())
		g.Next(idpsim.Fault{Kind: idpsim.ErrCode})
		refusedAs("errcode in a 200 answer", "identity.idp_refused", begin())
		b.api.Do(apitest.Nobody(apitest.Other), "POST", "/auth/idp/logins", map[string]any{"provider": "wechat"}).Refused(t, 404, "identity.idp_not_found")
		b.api.Do(apitest.Nobody(apitest.Main), "POST", "/auth/idp/logins", map[string]any{"provider": "wechat"}, apitest.H("Origin", "https://evil.example")).Refused(t, 403, "http.origin")
		// A network that had fifty refusals gets no work done and no row any more.
		for range 50 {
			_, _ = visit{b, other.cookie, "/api/v1/auth/idp/wechat/callback?state=x&code=y"}.arrive(t)
		}
		rows := len(b.trailOf(t))
		refusedAs("after fifty", "identity.idp_too_often", visit{b, other.cookie, "/api/v1/auth/idp/wechat/callback?state=x&code=y"})
		if n := len(b.trailOf(t)); n != rows {
			t.Errorf("%d rows more", n-rows)
		}
		if n := b.count(t, `SELECT COUNT(*) FROM session s JOIN account a ON a.tenant_id = s.tenant_id AND a.id = s.account_id WHERE s.method = 'idp'`); n != 0 {
			t.Errorf("%d sessions came of it", n)
		}
	}, testkit.Demo())
}

// Who may keep providers, what of one cannot be changed, and that no answer has a secret in it.
func TestProvidersAreKept(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		_, sec := b.security(t)
		g := b.group(t, sec)
		path := "/identity-providers/" + g.staff["id"].(string)
		nurse := b.loginAs(t, "nurse", b.employ(t, "nurse", auth.Nurse))
		for _, in := range []apitest.Header{nurse, b.login(t, phone)} {
			b.do("GET", "/identity-providers", nil, in).Refused(t, 403, "authz.denied")
			b.do("POST", path+"/disable", nil, in).Refused(t, 403, "authz.denied")
			b.do("POST", path+"/test", nil, in).Refused(t, 403, "authz.denied")
		}
		b.api.Do(apitest.Nobody(apitest.Other), "GET", path, nil, sec).Refused(t, 401, "identity.session_ended")
		read := b.do("GET", path, nil, sec).Want(t, 200)
		if strings.Contains(string(read.Body), "s3cret") || read.Map(t)["redirect_uri"] != "http://"+apitest.Host(apitest.Main)+"/api/v1/auth/idp/group/callback" {
			t.Fatalf("%s", read.Body)
		}
		spec := func(change ...any) map[string]any {
			m := map[string]any{}
			for _, k := range []string{"key", "kind", "accounts", "name", "name_en", "issuer", "client_id", "scopes", "strong", "enabled"} {
				m[k] = read.Map(t)[k]
			}
			for i := 0; i < len(change); i += 2 {
				m[change[i].(string)] = change[i+1]
			}
			return m
		}
		for _, k := range [][2]any{{"key", "other"}, {"accounts", "patient"}, {"issuer", g.Issuer() + "2"}, {"client_id", "x"}} {
			b.do("PUT", path, spec(k[0], k[1]), sec, apitest.IfMatch(1)).Refused(t, 409, "identity.idp_fixed")
		}
		b.do("POST", "/identity-providers", spec("secret", "s"), sec).Refused(t, 409, "identity.idp_key_taken")
		b.do("POST", "/identity-providers", spec("key", "b"), sec).Refused(t, 422, "identity.idp_invalid")
		b.do("PUT", path, spec("name", "新名"), sec, apitest.IfMatch(1)).Want(t, 200)
		b.do("PUT", path, spec("name", "旧名"), sec, apitest.IfMatch(1)).Refused(t, 412, "identity.stale")
		if m := b.do("POST", path+"/test", nil, sec).Want(t, 200).Map(t); m["ok"] != true || m["issuer_back"] != true {
			t.Fatalf("%v", m)
		}
		g.Next(idpsim.Fault{Kind: idpsim.BadDiscovery})
		if m := b.do("POST", path+"/test", nil, sec).Want(t, 200).Map(t); m["ok"] != false || m["problem"] != "issuer" {
			t.Fatalf("%v", m)
		}
		b.do("PUT", path, spec("enabled", false), sec, apitest.IfMatch(2)).Want(t, 200)
		b.do("POST", path+"/disable", nil, sec).Want(t, 200)
		if l := b.do("GET", "/auth/idp?accounts=staff", nil).Items(t); len(l) != 0 {
			t.Fatalf("%v", l)
		}
		b.clk.Add(6 * 60_000_000_000)
		b.do("POST", "/identity-providers", spec("key", "c", "secret", "s"), sec).Refused(t, 403, "auth.step_up")
		b.do("POST", path+"/disable", nil, sec).Want(t, 200) // to stop is never asked twice
	}, testkit.Demo())
}
