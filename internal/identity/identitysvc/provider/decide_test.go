package provider

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"xinglin/internal/identity"
	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/id"
)

var at = time.Date(2026, 3, 2, 1, 0, 0, 0, time.UTC)

func TestRedirects(t *testing.T) {
	t.Parallel()
	tooLong := "https://a.example/" + strings.Repeat("x", maxURI)
	for text, want := range map[string][2]bool{ // confidential, public
		"https://his.example.com/cb":            {true, true},
		"https://his.example.com:8443/cb?x=1":   {true, true},
		"http://127.0.0.1:9000/cb":              {true, true},
		"http://[::1]/cb":                       {true, true},
		"http://localhost/cb":                   {true, true},
		"com.example.app:/cb":                   {false, true},
		"app:/cb":                               {false, false},
		"javascript:alert(1)":                   {false, false},
		"data:text/html,x":                      {false, false},
		"http://his.example.com/cb":             {false, false},
		"http://127.0.0.1.evil.example/cb":      {false, false},
		"https://his.example.com/cb#x":          {false, false},
		"https://his.example.com/cb#":           {false, false},
		"https://his.example.com@evil.example/": {false, false},
		"https://his.example.com/a/../b":        {false, false},
		"https://his.example.com/\\evil":        {false, false},
		"https://his.example.com/*":             {false, false},
		"https://":                              {false, false},
		"/cb":                                   {false, false},
		"":                                      {false, false},
		"https://his.example.com/\u4e2d":        {false, false},
		tooLong:                                 {false, false},
	} {
		for i, public := range []bool{false, true} {
			if goodRedirect(text, public) != want[i] {
				t.Errorf("%.60s, public %v", text, public)
			}
		}
	}
}

func good() identity.ClientSpec {
	return identity.ClientSpec{
		Name: "检验系统", Accounts: identity.StaffAccounts, Grants: []identity.GrantType{identity.ByCode, identity.ByRefresh},
		Scopes: []string{"profile", offlineScope}, RedirectURIs: []string{"https://his.example.com/cb"},
	}
}

func TestClientSpecs(t *testing.T) {
	t.Parallel()
	s, err := checkSpec(good())
	if err != nil || s.NameEN != "检验系统" || !slices.Equal(s.Scopes, []string{offlineScope, "openid", "profile"}) {
		t.Fatalf("%+v %v", s, err)
	}
	for name, change := range map[string]func(*identity.ClientSpec){
		"name":                    func(s *identity.ClientSpec) { s.Name = " " },
		"name too long":           func(s *identity.ClientSpec) { s.Name = strings.Repeat("名", 61) },
		"name turned around":      func(s *identity.ClientSpec) { s.Name = "a\u202eb" },
		"name with nothing in it": func(s *identity.ClientSpec) { s.NameEN = "a\u200bb" },
		"accounts":                func(s *identity.ClientSpec) { s.Accounts = "all" },
		"no grants":               func(s *identity.ClientSpec) { s.Grants = nil },
		"unknown grant":           func(s *identity.ClientSpec) { s.Grants = append(s.Grants, "implicit") },
		"password grant":          func(s *identity.ClientSpec) { s.Grants = []identity.GrantType{"password"} },
		"public by itself":        func(s *identity.ClientSpec) { s.Public, s.Grants = true, append(s.Grants, identity.ByClient) },
		"refresh alone":           func(s *identity.ClientSpec) { s.Grants, s.RedirectURIs = []identity.GrantType{identity.ByRefresh}, nil },
		"code without redirect":   func(s *identity.ClientSpec) { s.RedirectURIs = nil },
		"redirect without code":   func(s *identity.ClientSpec) { s.Grants = []identity.GrantType{identity.ByDevice, identity.ByRefresh} },
		"redirect twice":          func(s *identity.ClientSpec) { s.RedirectURIs = append(s.RedirectURIs, s.RedirectURIs[0]) },
		"bad redirect":            func(s *identity.ClientSpec) { s.RedirectURIs[0] = "http://his.example.com/cb" },
		"bad logout":              func(s *identity.ClientSpec) { s.LogoutURIs = []string{"//his.example.com"} },
		"back channel of public":  func(s *identity.ClientSpec) { s.Public, s.BackChannelURI = true, "https://his.example.com/out" },
		"long back channel": func(s *identity.ClientSpec) {
			s.BackChannelURI = "https://his.example.com/" + strings.Repeat("x", maxURI)
		},
		"bad scope":               func(s *identity.ClientSpec) { s.Scopes = []string{"a b"} },
		"offline without refresh": func(s *identity.ClientSpec) { s.Grants = []identity.GrantType{identity.ByCode} },
		"people's scopes": func(s *identity.ClientSpec) {
			s.Grants, s.RedirectURIs, s.Scopes = []identity.GrantType{identity.ByClient}, nil, []string{"phone"}
		},
		"bad sector": func(s *identity.ClientSpec) { s.Sector = "HIS" },
	} {
		s := good()
		change(&s)
		if _, err := checkSpec(s); !errors.Is(err, identity.ErrClient) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func asking(change ...string) url.Values {
	q := url.Values{
		"response_type": {"code"}, "scope": {"openid profile"}, "state": {"s"}, "nonce": {"n"}, "code_challenge": {strings.Repeat("A", 43)}, "code_challenge_method": {"S256"},
	}
	for i := 0; i+1 < len(change); i += 2 {
		if q.Del(change[i]); change[i+1] != "" {
			q.Set(change[i], change[i+1])
		}
	}
	return q
}

func TestRequests(t *testing.T) {
	t.Parallel()
	spec, err := checkSpec(good())
	if err != nil {
		t.Fatal(err)
	}
	c := identity.Client{ClientSpec: spec}
	r, err := readRequest(asking("max_age", "60", "prompt", "login consent"), c)
	if err != nil || r.maxAge != 60 || !slices.Equal(r.prompts, []string{"consent", "login"}) || !slices.Equal(r.scopes, []string{"openid", "profile"}) {
		t.Fatalf("%+v %v", r, err)
	}
	twice := asking()
	twice.Add("state", "t")
	for want, list := range map[string][]url.Values{
		invalidRequest: {
			asking("response_type", ""), asking("state", ""), asking("state", strings.Repeat("s", maxText+1)), asking("code_challenge", ""), asking("code_challenge", "short"),
			asking("code_challenge_method", ""), asking("code_challenge_method", "plain"), asking("code_challenge_method", "s256"), asking("response_mode", "fragment"),
			asking("response_mode", "form_post"), asking("max_age", "-1"), asking("max_age", "x"), asking("prompt", "none login"), asking("prompt", "create"), twice,
		},
		unsupportedResponse: {asking("response_type", "token"), asking("response_type", "code id_token"), asking("response_type", "id_token")},
		invalidScope:        {asking("scope", ""), asking("scope", "profile"), asking("scope", "openid phone"), asking("scope", "openid "+strings.Repeat("profile ", maxScopes))},
		requestUnsupported:  {asking("request", "eyJ")},
		requestURIRefused:   {asking("request_uri", "https://evil.example/")},
		registrationRefused: {asking("registration", "{}")},
	} {
		for _, q := range list {
			var why *refusal
			if _, err := readRequest(q, c); !errors.As(err, &why) || why.code != want {
				t.Errorf("%v: %v, want %s", q, err, want)
			}
		}
	}
	c.Grants = []identity.GrantType{identity.ByDevice}
	var why *refusal
	if _, err := readRequest(asking(), c); !errors.As(err, &why) || why.code != unauthorizedClient {
		t.Error(err)
	}
}

// The table of prompt, max_age, hint and consent.
func TestDecide(t *testing.T) {
	t.Parallel()
	someone := person{principal: auth.Principal{Account: id.Random[auth.Account]()}, authenticated: at.Add(-time.Minute), subject: "sub", consented: []string{"openid"}}
	with := func(change func(*person)) person { p := someone; change(&p); return p }
	for name, c := range map[string]struct {
		prompts []string
		maxAge  int64
		hint    string
		scopes  []string
		first   bool
		who     person
		want    string
	}{
		"goes through":              {maxAge: -1, who: someone, want: "code"},
		"nobody":                    {maxAge: -1, want: "login"},
		"nobody, silently":          {maxAge: -1, prompts: []string{"none"}, want: loginRequired},
		"again":                     {maxAge: -1, prompts: []string{"login"}, who: someone, want: "login"},
		"another account":           {maxAge: -1, prompts: []string{"select_account"}, who: someone, want: "login"},
		"was again":                 {maxAge: -1, prompts: []string{"login"}, who: with(func(p *person) { p.authenticated = at.Add(time.Second) }), want: "code"},
		"young enough":              {maxAge: 60, who: someone, want: "code"},
		"too old":                   {maxAge: 59, who: someone, want: "login"},
		"too old, silently":         {maxAge: 0, prompts: []string{"none"}, who: someone, want: loginRequired},
		"the one who was meant":     {maxAge: -1, hint: "sub", who: someone, want: "code"},
		"somebody else":             {maxAge: -1, hint: "other", who: someone, want: "login"},
		"somebody else, silently":   {maxAge: -1, hint: "other", prompts: []string{"none"}, who: someone, want: loginRequired},
		"more than was allowed":     {maxAge: -1, scopes: []string{"openid", "phone"}, who: someone, want: "consent"},
		"more, silently":            {maxAge: -1, scopes: []string{"openid", "phone"}, prompts: []string{"none"}, who: someone, want: consentRequired},
		"more, the hospital's own":  {maxAge: -1, scopes: []string{"openid", "phone"}, first: true, who: someone, want: "code"},
		"asked to ask":              {maxAge: -1, prompts: []string{"consent"}, who: someone, want: "consent"},
		"asked, the hospital's own": {maxAge: -1, prompts: []string{"consent"}, first: true, who: someone, want: "code"},
	} {
		r := request{prompts: c.prompts, maxAge: c.maxAge, hint: c.hint, scopes: c.scopes, created: at, redirect: "https://a.example/cb", issuer: "https://h.example", state: "s"}
		if r.scopes == nil {
			r.scopes = []string{"openid"}
		}
		st := decide(r, identity.Client{ClientSpec: identity.ClientSpec{FirstParty: c.first}}, c.who, at)
		got := "code"
		switch u, _ := url.Parse(st.back); {
		case st.login:
			got = "login"
		case st.consent:
			got = "consent"
		case st.back != "":
			got = u.Query().Get("error")
			if u.Query().Get("state") != "s" || u.Query().Get("iss") != "https://h.example" {
				t.Errorf("%s: %s", name, st.back)
			}
		}
		if got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

func TestAnswerKeepsTheClientsQuery(t *testing.T) {
	t.Parallel()
	got := answer(request{redirect: "https://a.example/cb?x=1", state: "a&b=c", issuer: "https://h.example/oidc"}, url.Values{"code": {"k"}})
	u, err := url.Parse(got)
	if err != nil || u.Host != "a.example" || u.Query().Get("x") != "1" || u.Query().Get("state") != "a&b=c" || u.Query().Get("code") != "k" || len(u.Query()) != 4 {
		t.Fatal(got, err)
	}
}

func TestFits(t *testing.T) {
	t.Parallel()
	c, verifier := id.Random[identity.Client](), strings.Repeat("v", 43)
	sum := sha256.Sum256([]byte(verifier))
	g := grant{client: c, redirect: "https://a.example/cb", challenge: b64.EncodeToString(sum[:])}
	if err := fits(g, c, g.redirect, verifier); err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{
		"another client":     fits(g, id.Random[identity.Client](), g.redirect, verifier),
		"another redirect":   fits(g, c, g.redirect+"/", verifier),
		"no redirect":        fits(g, c, "", verifier),
		"another verifier":   fits(g, c, g.redirect, strings.Repeat("w", 43)),
		"no verifier":        fits(g, c, g.redirect, ""),
		"the challenge":      fits(g, c, g.redirect, g.challenge),
		"a short verifier":   fits(g, c, g.redirect, "v"),
		"an empty challenge": fits(grant{client: c, redirect: g.redirect}, c, g.redirect, ""),
	} {
		var why *refusal
		if !errors.As(err, &why) || why.code != invalidGrant {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestPolling(t *testing.T) {
	t.Parallel()
	c := id.Random[identity.Client]()
	d := waitingDevice{client: c, state: "approved", interval: 5, polled: at.Add(-5 * time.Second), expires: at.Add(time.Minute)}
	with := func(change func(*waitingDevice)) waitingDevice { x := d; change(&x); return x }
	for name, v := range map[string]struct {
		d    waitingDevice
		want string
	}{
		"approved":       {d, ""},
		"pending":        {with(func(d *waitingDevice) { d.state = "pending" }), authorizationPending},
		"denied":         {with(func(d *waitingDevice) { d.state = "denied" }), accessDenied},
		"used":           {with(func(d *waitingDevice) { d.state = "used" }), invalidGrant},
		"too late":       {with(func(d *waitingDevice) { d.expires = at }), expiredToken},
		"too soon":       {with(func(d *waitingDevice) { d.polled = at.Add(-4 * time.Second) }), slowDown},
		"another client": {with(func(d *waitingDevice) { d.client = id.Random[identity.Client]() }), invalidGrant},
	} {
		var why *refusal
		if err := polling(v.d, c, at); v.want == "" && err != nil || v.want != "" && (!errors.As(err, &why) || why.code != v.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestUserCodes(t *testing.T) {
	t.Parallel()
	for typed, want := range map[string]string{
		"BCDF-GHJK": "BCDFGHJK", "bcdf ghjk": "BCDFGHJK", " bcdfghjk ": "BCDFGHJK", "BCDF-GHJ": "", "BCDF-GHJKL": "", "BCDA-GHJK": "", "BCDF_GHJK": "", "": "", "１２３４": "",
	} {
		if got := readUserCode(typed); got != want {
			t.Errorf("%q: %q, want %q", typed, got, want)
		}
	}
	for range 100 {
		c, err := newUserCode()
		if err != nil || len(readUserCode(c.Reveal())) != codeLetters {
			t.Fatal(c.Reveal(), err)
		}
	}
}

// Whatever a token claims about how it is to be checked, it is checked with our key and algorithm.
func TestForgedTokens(t *testing.T) {
	t.Parallel()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	public, err := point(&private.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	find := func(kid string) *ecdsa.PublicKey {
		if kid != "k1" {
			return nil
		}
		return &private.PublicKey
	}
	claims := map[string]any{"iss": "https://h.example", "sub": "s"}
	right, err := signJWS(signer{"k1", private}, "JWT", claims)
	if err != nil {
		t.Fatal(err)
	}
	var out map[string]any
	if err := openJWS(right, find, &out); err != nil || out["sub"] != "s" {
		t.Fatal(out, err)
	}
	parts := strings.Split(right, ".")
	part := func(v any) string {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return b64.EncodeToString(b)
	}
	mac := func(text string, key []byte) string {
		h := hmac.New(sha256.New, key)
		h.Write([]byte(text))
		return b64.EncodeToString(h.Sum(nil))
	}
	thief, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	stolen, err := signJWS(signer{"k1", thief}, "JWT", claims)
	if err != nil {
		t.Fatal(err)
	}
	logout, err := signJWS(signer{"k1", private}, "logout+jwt", claims)
	if err != nil {
		t.Fatal(err)
	}
	hs := part(map[string]any{"alg": "HS256", "kid": "k1"}) + "." + parts[1]
	for name, text := range map[string]string{
		"alg none":                  part(map[string]any{"alg": "none", "kid": "k1"}) + "." + parts[1] + ".",
		"alg None":                  part(map[string]any{"alg": "None", "kid": "k1"}) + "." + parts[1] + "." + parts[2],
		"no signature":              parts[0] + "." + parts[1] + ".",
		"HS256 with the public key": hs + "." + mac(hs, public),
		"HS256 with the key's X":    hs + "." + mac(hs, public[1:33]),
		"ES384":                     part(map[string]any{"alg": "ES384", "kid": "k1"}) + "." + parts[1] + "." + parts[2],
		"another kid":               part(map[string]any{"alg": "ES256", "kid": "k2"}) + "." + parts[1] + "." + parts[2],
		"a path as kid":             part(map[string]any{"alg": "ES256", "kid": "../../dev/null"}) + "." + parts[1] + "." + parts[2],
		"SQL as kid":                part(map[string]any{"alg": "ES256", "kid": "k1' OR '1'='1"}) + "." + parts[1] + "." + parts[2],
		"no kid":                    part(map[string]any{"alg": "ES256"}) + "." + parts[1] + "." + parts[2],
		"a number as kid":           part(map[string]any{"alg": "ES256", "kid": 1}) + "." + parts[1] + "." + parts[2],
		"a key in the header":       part(map[string]any{"alg": "ES256", "kid": "k1", "jwk": map[string]any{"kty": "EC"}}) + "." + parts[1] + "." + parts[2],
		"an address of keys":        part(map[string]any{"alg": "ES256", "kid": "k1", "jku": "https://evil.example/jwks"}) + "." + parts[1] + "." + parts[2],
		"critical":                  part(map[string]any{"alg": "ES256", "kid": "k1", "crit": []string{"b64"}}) + "." + parts[1] + "." + parts[2],
		"another person":            parts[0] + "." + part(map[string]any{"iss": "https://h.example", "sub": "t"}) + "." + parts[2],
		"zeros":                     parts[0] + "." + parts[1] + "." + b64.EncodeToString(make([]byte, 64)),
		"cut":                       right[:len(right)-2],
		"another key":               stolen,
		"a logout token":            logout,
		"five parts":                right + ".x.y",
		"padding":                   right + "=",
		"huge":                      strings.Repeat("A", maxJWS) + "." + parts[1] + "." + parts[2],
		"nothing":                   "",
	} {
		out = nil
		if err := openJWS(text, find, &out); err == nil {
			t.Errorf("%s: taken: %v", name, out)
		}
	}
}

// A key is published before it signs and for a while after; there is one that signs at each instant.
func TestKeyTimes(t *testing.T) {
	t.Parallel()
	rows := []storedKey{{number: 1, kid: "a", signs: at}, {number: 2, kid: "b", signs: at.Add(keyTime)}}
	names := func(now time.Time) (out string) {
		for _, k := range published(rows, now, keyAfter) {
			out += k.kid
		}
		return out
	}
	for when, want := range map[time.Duration][2]string{
		0: {"a", "ab"}, keyTime - 1: {"a", "ab"}, keyTime: {"b", "ab"}, keyTime + idTime + keyAfter: {"b", "ab"}, keyTime + idTime + keyAfter + 1: {"b", "b"},
	} {
		k, _ := current(rows, at.Add(when))
		if got := [2]string{k.kid, names(at.Add(when))}; got != want {
			t.Errorf("%s: %v, want %v", when, got, want)
		}
	}
	if _, i := current(rows, at.Add(-1)); i != -1 {
		t.Error("a key signs before its time")
	}
}

func TestFailures(t *testing.T) {
	t.Parallel()
	f, now := newFailures(), at
	f.mono = func() time.Time { return now }
	for range maxFailures {
		if f.wait("a") != 0 {
			t.Fatal("too early")
		}
		f.note("a")
	}
	if f.wait("a") != failureTime || f.wait("b") != 0 {
		t.Fatal(f.wait("a"), f.wait("b"))
	}
	if now = now.Add(failureTime); f.wait("a") != 0 {
		t.Fatal("for ever")
	}
	f.note("a")
	if f.m["a"].n != 1 {
		t.Fatal(f.m["a"])
	}
}

func TestLanguage(t *testing.T) {
	t.Parallel()
	for in, want := range map[[2]string]string{
		{"", ""}: "zh", {"", "en-GB,en;q=0.9,zh;q=0.1"}: "en", {"", "zh-CN,en"}: "zh", {"en", "zh-CN"}: "en", {"fr en", "zh"}: "en", {"", "fr-FR"}: "zh",
	} {
		if got := language(in[0], in[1]); got != want {
			t.Errorf("%v: %s", in, got)
		}
	}
	for word := range words["zh"] {
		if words["en"][word] == "" {
			t.Errorf("%s has no English words", word)
		}
	}
	if len(words["zh"]) != len(words["en"]) {
		t.Error("a word without Chinese")
	}
}

// A back-channel address of this machine is neither registered nor called.
func TestOutsideOnly(t *testing.T) {
	t.Parallel()
	called := 0
	there := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { called++ }))
	defer there.Close()
	spec := good()
	for _, to := range []string{there.URL, "https://127.0.0.1/", "https://localhost/", "https://10.0.0.1/", "https://169.254.169.254/", "ftp://his.example.com/", "https://his.example.com:8443/"} {
		spec.BackChannelURI = to
		if _, err := (&Service{}).checked(spec); !errors.Is(err, identity.ErrClient) {
			t.Errorf("%s: %v", to, err)
		}
		if err := newSender(false).logout(t.Context(), to, "x"); err == nil || strings.Contains(err.Error(), "127.0.0.1") {
			t.Errorf("%s: %v", to, err)
		}
	}
	if err := newSender(true).logout(t.Context(), there.URL, "x"); err != nil || called != 1 {
		t.Fatal(err, called)
	}
}
