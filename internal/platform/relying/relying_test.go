package relying

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	jose "github.com/go-jose/go-jose/v4"

	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/secret"
)

var at = time.Date(2026, 11, 2, 8, 0, 0, 0, time.UTC)

// side is the other side: a provider that says what the test wants.
type side struct {
	*httptest.Server
	mu       sync.Mutex
	about    map[string]any
	keys     any
	token    map[string]any
	userinfo map[string]any
	status   int
	asked    map[string]int
	basic    string
	form     map[string]string
}

func newSide(t *testing.T) *side {
	s := &side{asked: map[string]int{}, status: http.StatusOK}
	mux := http.NewServeMux()
	say := func(path string, what func() any) {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.asked[path]++
			if path == "/token" {
				s.basic, _, _ = r.BasicAuth()
				_ = r.ParseForm()
				s.form = map[string]string{}
				for k := range r.PostForm {
					s.form[k] = r.PostForm.Get(k)
				}
			}
			w.Header().Set("Content-Type", "application/json")
			if path == "/token" {
				w.WriteHeader(s.status)
			}
			_ = json.NewEncoder(w).Encode(what())
		})
	}
	say("/.well-known/openid-configuration", func() any { return s.about })
	say("/jwks", func() any { return s.keys })
	say("/token", func() any { return s.token })
	say("/userinfo", func() any { return s.userinfo })
	s.Server = httptest.NewServer(mux)
	t.Cleanup(s.Close)
	s.about = map[string]any{
		"issuer": s.URL, "authorization_endpoint": s.URL + "/authorize?tenant=1", "token_endpoint": s.URL + "/token", "jwks_uri": s.URL + "/jwks",
		"userinfo_endpoint": s.URL + "/userinfo", "response_types_supported": []string{"code"}, "code_challenge_methods_supported": []string{"S256"},
	}
	s.userinfo = map[string]any{"sub": "u1"}
	return s
}

func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func jwk(key any, kid, alg string) jose.JSONWebKey {
	return jose.JSONWebKey{Key: key, KeyID: kid, Algorithm: alg, Use: "sig"}
}

func sign(t *testing.T, alg jose.SignatureAlgorithm, key any, kid string, claims map[string]any, head map[jose.HeaderKey]any) string {
	t.Helper()
	o := &jose.SignerOptions{ExtraHeaders: head}
	if kid != "" {
		o = o.WithHeader("kid", kid)
	}
	sg := must[jose.Signer](t)(jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, o))
	payload := must[[]byte](t)(json.Marshal(claims))
	return must[string](t)(must[*jose.JSONWebSignature](t)(sg.Sign(payload)).CompactSerialize())
}

func unsigned(head, claims map[string]any) string {
	h, _ := json.Marshal(head)
	c, _ := json.Marshal(claims)
	return base64.RawURLEncoding.EncodeToString(h) + "." + base64.RawURLEncoding.EncodeToString(c) + "."
}

// Every way in which an ID token or what comes beside it may be wrong, and those that are right.
func TestIDToken(t *testing.T) {
	ec := must[*ecdsa.PrivateKey](t)(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	stranger := must[*ecdsa.PrivateKey](t)(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	p384 := must[*ecdsa.PrivateKey](t)(ecdsa.GenerateKey(elliptic.P384(), rand.Reader))
	rs := must[*rsa.PrivateKey](t)(rsa.GenerateKey(rand.Reader, 2048))
	edPublic, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s := newSide(t)
	s.keys = jose.JSONWebKeySet{Keys: []jose.JSONWebKey{
		jwk(&ec.PublicKey, "ec", "ES256"), jwk(&rs.PublicKey, "rs", ""), jwk(edPublic, "ed", "EdDSA"), jwk(&p384.PublicKey, "p384", ""), jwk([]byte("a shared secret of the provider's"), "oct", ""),
	}}
	p := Provider{Issuer: s.URL, ClientID: "us", Secret: secret.New("s:ä"), Scopes: "profile"}
	asked := Asked{Redirect: "https://h.example/cb", State: Random(), Nonce: Random(), Verifier: Random()}
	good := map[string]any{
		"iss": s.URL, "aud": "us", "sub": "u1", "exp": at.Add(time.Minute).Unix(), "iat": at.Unix(), "nonce": asked.Nonce.Reveal(), "at_hash": halfHash("ES256", "at"),
		"amr": []string{"pwd", "mfa"}, "acr": "2",
	}
	with := func(more ...any) map[string]any {
		m := maps.Clone(good)
		for i := 0; i < len(more); i += 2 {
			if m[more[i].(string)] = more[i+1]; more[i+1] == nil {
				delete(m, more[i].(string))
			}
		}
		return m
	}
	es := func(more ...any) string { return sign(t, jose.ES256, ec, "ec", with(more...), nil) }
	sec := func(d time.Duration) int64 { return at.Add(d).Unix() }
	own := jwk(&stranger.PublicKey, "ec", "ES256")
	public := []byte(string(rs.PublicKey.N.Bytes()))
	for name, c := range map[string]struct {
		token string
		iss   string
		edit  func()
		why   string
	}{
		"good":                       {token: es()},
		"RS256":                      {token: sign(t, jose.RS256, rs, "rs", with("at_hash", nil), nil)},
		"PS256":                      {token: sign(t, jose.PS256, rs, "rs", good, nil)},
		"EdDSA":                      {token: sign(t, jose.EdDSA, ed, "ed", with("at_hash", halfHash("EdDSA", "at")), nil)},
		"no kid, one key fits":       {token: sign(t, jose.ES256, ec, "", good, nil)},
		"fifty seconds old":          {token: es("exp", sec(-50*time.Second))},
		"a clock ahead":              {token: es("iat", sec(50*time.Second))},
		"among others, for us":       {token: es("aud", []string{"x", "us"}, "azp", "us")},
		"iss of RFC 9207":            {token: es(), iss: s.URL},
		"alg none":                   {token: unsigned(map[string]any{"alg": "none"}, good), why: "algorithm"},
		"alg None, signed by nobody": {token: unsigned(map[string]any{"alg": "NoNe", "kid": "ec"}, good), why: "algorithm"},
		"HS256 with the public key":  {token: sign(t, jose.HS256, public, "rs", good, nil), why: "algorithm"},
		"HS256 with a key of theirs": {token: sign(t, jose.HS256, []byte("a shared secret of the provider's"), "oct", good, nil), why: "algorithm"},
		"RS512":                      {token: sign(t, jose.RS512, rs, "rs", good, nil), why: "algorithm"},
		"ES384":                      {token: sign(t, jose.ES384, p384, "p384", good, nil), why: "algorithm"},
		"another's key":              {token: sign(t, jose.ES256, stranger, "ec", good, nil), why: "signature"},
		"an unknown kid":             {token: sign(t, jose.ES256, ec, "../ec", good, nil), why: "key"},
		"a kid of another kind":      {token: sign(t, jose.ES256, ec, "rs", good, nil), why: "key"},
		"a key in the token":         {token: sign(t, jose.ES256, stranger, "ec", good, map[jose.HeaderKey]any{"jwk": own}), why: "header"},
		"an address of keys":         {token: sign(t, jose.ES256, stranger, "ec", good, map[jose.HeaderKey]any{"jku": "https://evil.example/jwks"}), why: "header"},
		"crit":                       {token: sign(t, jose.ES256, ec, "ec", good, map[jose.HeaderKey]any{"crit": []string{"b64"}, "b64": true}), why: "header"},
		"another payload":            {token: graft(es(), with("sub", "u2")), why: "signature"},
		"the JSON form":              {token: `{"payload":"e30","signatures":[]}`, why: "malformed"},
		"four parts":                 {token: es() + ".x", why: "malformed"},
		"too large":                  {token: es("x", strings.Repeat("x", maxToken)), why: "answer_too_large"},
		"another issuer":             {token: es("iss", s.URL+"/"), why: "issuer"},
		"ISS beside iss":             {token: es("iss", nil, "ISS", s.URL), why: "issuer"},
		"for another":                {token: es("aud", "x"), why: "audience"},
		"for nobody":                 {token: es("aud", nil), why: "audience"},
		"among others":               {token: es("aud", []string{"x", "us"}), why: "authorized_party"},
		"asked for by another":       {token: es("azp", "x"), why: "authorized_party"},
		"azp is no text":             {token: es("azp", 1), why: "authorized_party"},
		"expired":                    {token: es("exp", sec(-61*time.Second)), why: "expired"},
		"without an end":             {token: es("exp", nil), why: "expired"},
		"an end that is none":        {token: es("exp", "soon"), why: "expired"},
		"an endless end":             {token: es("exp", 1e300), why: "expired"},
		"of the future":              {token: es("iat", sec(62*time.Second)), why: "issued_at"},
		"made long ago":              {token: es("iat", sec(-11*time.Minute)), why: "issued_at"},
		"not yet":                    {token: es("nbf", sec(5*time.Minute)), why: "not_yet"},
		"another nonce":              {token: es("nonce", "x"), why: "nonce"},
		"no nonce":                   {token: es("nonce", nil), why: "nonce"},
		"another access token":       {token: es("at_hash", halfHash("ES256", "x")), why: "access_token"},
		"no subject":                 {token: es("sub", nil), why: "subject"},
		"a number for a subject":     {token: es("sub", 7), why: "subject"},
		"a subject with a line":      {token: es("sub", "u1\nu2"), why: "subject"},
		"a subject of 256":           {token: es("sub", strings.Repeat("u", 256)), why: "subject"},
		"another's userinfo":         {token: es(), edit: func() { s.userinfo = map[string]any{"sub": "u2"} }, why: "userinfo"},
		"iss of another provider":    {token: es(), iss: "https://other.example", why: "mixed_up"},
		"iss is announced, none":     {token: es(), edit: func() { s.about["authorization_response_iss_parameter_supported"] = true }, why: "mixed_up"},
		"a description of another":   {token: es(), edit: func() { s.about["issuer"] = "https://other.example" }, why: "issuer"},
		"no PKCE":                    {token: es(), edit: func() { s.about["code_challenge_methods_supported"] = []string{"plain"} }, why: "no_pkce"},
		"a code that was used":       {edit: func() { s.token = map[string]any{"error": "invalid_grant"}; s.status = 400 }, why: "code"},
		"our secret is wrong":        {edit: func() { s.token = map[string]any{"error": "invalid_client"}; s.status = 401 }, why: "client"},
		"no bearer":                  {edit: func() { s.token = map[string]any{"id_token": es(), "access_token": "at", "token_type": "mac"} }, why: "tokens"},
		"too many keys": {token: es(), edit: func() {
			many := make([]jose.JSONWebKey, maxKeys+1)
			for i := range many {
				many[i] = jwk(&ec.PublicKey, "ec", "ES256")
			}
			s.keys = jose.JSONWebKeySet{Keys: many}
		}, why: "keys"},
		"an endless set": {token: es(), edit: func() { s.keys = map[string]any{"keys": []any{}, "x": strings.Repeat("x", maxAnswer)} }, why: "answer_too_large"},
	} {
		about, keys, info := maps.Clone(s.about), s.keys, s.userinfo
		s.token, s.status = map[string]any{"id_token": c.token, "access_token": "at", "token_type": "Bearer"}, 200
		if c.edit != nil {
			c.edit()
		}
		got, err := New(Options{Clock: clock.NewManual(at), Private: true}).Finish(context.Background(), p, Answer{Code: "c", Issuer: c.iss, Asked: asked})
		s.about, s.keys, s.userinfo = about, keys, info
		var why *Refusal
		switch {
		case c.why == "" && (err != nil || got.Subject != "u1" || strings.Join(got.Proofs, " ") != "pwd mfa 2"):
			t.Errorf("%s: %+v, %v", name, got, err)
		case c.why != "" && (!errors.As(err, &why) || why.Why != c.why):
			t.Errorf("%s: want %s, got %+v, %v", name, c.why, got, err)
		}
	}
	if s.basic != "us" || s.form["code_verifier"] != asked.Verifier.Reveal() || s.form["client_secret"] != "" {
		t.Errorf("the token request: %q %v", s.basic, s.form)
	}
}

// graft puts other claims under a signature.
func graft(token string, claims map[string]any) string {
	parts := strings.Split(token, ".")
	c, _ := json.Marshal(claims)
	return parts[0] + "." + base64.RawURLEncoding.EncodeToString(c) + "." + parts[2]
}

// A key that the provider begins to use is found by reading the set again, and a flood of unknown ones reads it once.
func TestKeysAreReadAgain(t *testing.T) {
	s := newSide(t)
	ec := must[*ecdsa.PrivateKey](t)(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	s.keys = jose.JSONWebKeySet{Keys: []jose.JSONWebKey{}}
	now := clock.NewManual(at)
	c := New(Options{Clock: now, Private: true})
	find := func(kid string) error {
		_, err := c.keysFor(context.Background(), s.URL, jose.Header{KeyID: kid, Algorithm: "ES256"})
		return err
	}
	for range 20 {
		if err := find("new"); err == nil {
			t.Fatal("found")
		}
	}
	if s.asked["/jwks"] != 1 {
		t.Fatalf("%d reads", s.asked["/jwks"])
	}
	s.keys = jose.JSONWebKeySet{Keys: []jose.JSONWebKey{jwk(&ec.PublicKey, "new", "")}}
	now.Add(keysPause)
	if err := find("new"); err != nil || s.asked["/jwks"] != 2 || s.asked["/.well-known/openid-configuration"] != 1 {
		t.Fatalf("%v %v", err, s.asked)
	}
}

// Without Private nothing of this machine or network is called, and one that does not answer is none.
func TestOutward(t *testing.T) {
	s := newSide(t)
	_, err := New(Options{Clock: clock.NewManual(at)}).Describe(context.Background(), s.URL)
	var why *Refusal
	if !errors.As(err, &why) || why.Why != "address" || len(s.asked) != 0 {
		t.Fatalf("%v %v", err, s.asked)
	}
	c := New(Options{Clock: clock.NewManual(at), Private: true})
	s.about = nil
	for range 5 {
		if _, err := c.Describe(context.Background(), s.URL+"/down"); !errors.Is(err, ErrUnreachable) {
			t.Fatal(err)
		}
	}
}
