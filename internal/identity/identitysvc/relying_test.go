package identitysvc

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"net/url"
	"strings"
	"testing"

	"xinglin/internal/identity"
	"xinglin/internal/testkit"
	"xinglin/internal/testkit/apitest"
)

const (
	callback = "https://his.example.com/cb?from=xinglin"
	verifier = "a-verifier-of-the-client-that-is-long-enough-0123456789"
)

var formType = apitest.H("Content-Type", "application/x-www-form-urlencoded")

// relying is a client as its owner knows it.
type relying struct {
	id, secret string
	b          *bench
}

func (b *bench) relying(t *testing.T, change func(*identity.ClientSpec)) relying {
	t.Helper()
	return b.relyingOf(t, apitest.Main, change)
}

func (b *bench) relyingOf(t *testing.T, tenant identity.TenantID, change func(*identity.ClientSpec)) relying {
	t.Helper()
	spec := identity.ClientSpec{
		Name: "随访系统", NameEN: "Follow-up", Accounts: identity.AnyAccounts, Grants: []identity.GrantType{identity.ByCode, identity.ByRefresh},
		Scopes: []string{"profile", "phone", "roles", "offline_access"}, RedirectURIs: []string{callback},
	}
	if change != nil {
		change(&spec)
	}
	m, err := b.AddClient(testkit.AsCLI(t.Context(), tenant), spec)
	if err != nil {
		t.Fatal(err)
	}
	return relying{m.ID.String(), m.Secret.Reveal(), b}
}

func own(s *identity.ClientSpec) { s.FirstParty = true }

// asks are the parameters of an authorization request; change is name, value pairs, an empty value takes one away.
func (r relying) asks(change ...string) url.Values {
	sum := sha256.Sum256([]byte(verifier))
	q := url.Values{
		"client_id": {r.id}, "redirect_uri": {callback}, "response_type": {"code"}, "scope": {"openid phone"}, "state": {"st"}, "nonce": {"no"},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"},
	}
	return with(q, change)
}

func with(q url.Values, change []string) url.Values {
	for i := 0; i+1 < len(change); i += 2 {
		q.Del(change[i])
		if change[i+1] != "" {
			q.Set(change[i], change[i+1])
		}
	}
	return q
}

// form posts a form as a program.
func (b *bench) form(path string, q url.Values, headers ...apitest.Header) apitest.Response {
	b.t.Helper()
	return b.api.Do(visitorOf(apitest.Main), "POST", path, q.Encode(), append(headers, formType)...)
}

func basic(name, secret string) apitest.Header {
	return apitest.H("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(name)+":"+url.QueryEscape(secret))))
}

// refusedWith fails unless the answer is the standard's error.
func refusedWith(t *testing.T, r apitest.Response, status int, code string) {
	t.Helper()
	var e struct {
		Error string `json:"error"`
		Words string `json:"error_description"`
	}
	if r.Status == status {
		r.JSON(t, &e)
	}
	if r.Status != status || e.Error != code || e.Words == "" {
		t.Fatalf("%d %s, want %d %s", r.Status, r.Body, status, code)
	}
}

// location reads a redirect.
func location(t *testing.T, r apitest.Response) *url.URL {
	t.Helper()
	u, err := url.Parse(r.Want(t, 303).Header.Get("Location"))
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// begin sends the authorization request and gives the page that goes on with it.
func (r relying) begin(t *testing.T, change ...string) string {
	t.Helper()
	u := location(t, r.b.api.Do(visitorOf(apitest.Main), "GET", "/oidc/authorize?"+r.asks(change...).Encode(), nil))
	if u.Host != "" || u.Path != "/api/v1/oidc/continue" || u.Query().Get("request") == "" {
		t.Fatal(u)
	}
	return u.RequestURI()
}

// back reads the answer to the client.
func back(t *testing.T, r apitest.Response) url.Values {
	t.Helper()
	u := location(t, r)
	q := u.Query()
	if u.Host != "his.example.com" || u.Path != "/cb" || q.Get("from") != "xinglin" || q.Get("iss") != issuer || q.Get("state") != "st" {
		t.Fatalf("the way back is %s", u)
	}
	return q
}

var issuer = "http://" + apitest.Host(apitest.Main) + "/api/v1/oidc"

// code logs in with a session and gives the code; the person agrees when asked.
func (r relying) code(t *testing.T, in apitest.Header, change ...string) string {
	t.Helper()
	next := r.begin(t, change...)
	a := r.b.do("GET", next, nil, in)
	if a.Status == 200 {
		u, err := url.Parse(next)
		if err != nil {
			t.Fatal(err)
		}
		a = r.b.do("POST", "/oidc/continue", url.Values{"request": {u.Query().Get("request")}, "decision": {"yes"}}.Encode(), in, formType)
	}
	code := back(t, a).Get("code")
	if code == "" {
		t.Fatalf("no code: %s", a.Header.Get("Location"))
	}
	return code
}

type answered struct {
	Access  string `json:"access_token"`
	Type    string `json:"token_type"`
	Expires int    `json:"expires_in"`
	Refresh string `json:"refresh_token"`
	ID      string `json:"id_token"`
	Scope   string `json:"scope"`
}

func (r relying) token(q url.Values) apitest.Response {
	r.b.t.Helper()
	if r.secret == "" {
		q.Set("client_id", r.id)
		return r.b.form("/oidc/token", q)
	}
	return r.b.form("/oidc/token", q, basic(r.id, r.secret))
}

func (r relying) exchange(code string, change ...string) apitest.Response {
	r.b.t.Helper()
	return r.token(with(url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {callback}, "code_verifier": {verifier}}, change))
}

func (r relying) refresh(token string, change ...string) apitest.Response {
	r.b.t.Helper()
	return r.token(with(url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}}, change))
}

// tokens is a whole login.
func (r relying) tokens(t *testing.T, in apitest.Header, change ...string) (a answered) {
	t.Helper()
	r.exchange(r.code(t, in, change...)).Want(t, 200).JSON(t, &a)
	return a
}

func (b *bench) userinfo(token string) apitest.Response {
	b.t.Helper()
	return b.api.Do(visitorOf(apitest.Main), "GET", "/oidc/userinfo", nil, apitest.H("Authorization", "Bearer "+token))
}

// claims verifies a token with the published keys, as a client would, and reads it.
func (b *bench) claims(t *testing.T, text string) (head, body map[string]any) {
	t.Helper()
	parts := strings.Split(text, ".")
	if len(parts) != 3 {
		t.Fatalf("token %q", text)
	}
	read := func(s string) []byte {
		v, err := base64.RawURLEncoding.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	if json.Unmarshal(read(parts[0]), &head) != nil || json.Unmarshal(read(parts[1]), &body) != nil {
		t.Fatal(text)
	}
	var set struct {
		Keys []struct{ Kid, Kty, Crv, Alg, Use, X, Y string }
	}
	b.api.Do(visitorOf(apitest.Main), "GET", "/oidc/jwks", nil).Want(t, 200).JSON(t, &set)
	for _, k := range set.Keys {
		if k.Kid != head["kid"] {
			continue
		}
		key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), append(append([]byte{4}, read(k.X)...), read(k.Y)...))
		if err != nil {
			t.Fatal(err)
		}
		sum, sig := sha256.Sum256([]byte(parts[0]+"."+parts[1])), read(parts[2])
		if k.Kty == "EC" && k.Crv == "P-256" && k.Alg == "ES256" && k.Use == "sig" && ecdsa.Verify(key, sum[:], new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:])) {
			return head, body
		}
	}
	t.Fatalf("no published key fits %v", head)
	return nil, nil
}
