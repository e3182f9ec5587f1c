package relying

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	jose "github.com/go-jose/go-jose/v4"

	"xinglin/internal/kernel/secret"
)

// Provider is an OpenID Connect provider and who we are to it.
type Provider struct {
	Issuer   string
	ClientID string
	Secret   secret.Text
	Post     bool   // the secret goes in the form (client_secret_post) and not in a header (client_secret_basic)
	Scopes   string // openid is always among them
}

// Asked is one login that was begun.
type Asked struct {
	Redirect               string
	State, Nonce, Verifier secret.Text
}

// Answer is what the browser brought back.
type Answer struct {
	Code, Issuer string // Issuer is the parameter iss of RFC 9207
	Asked
}

// Times of what is kept of a provider.
const (
	descriptionTime = time.Hour
	keysTime        = time.Hour
	downPause       = 5 * time.Second  // before a provider that did not answer is asked again
	keysPause       = 30 * time.Second // before an unknown kid makes us read the keys again
)

// Metadata is the part of a provider's description that we need.
type Metadata struct {
	Issuer        string   `json:"issuer"`
	Authorization string   `json:"authorization_endpoint"`
	Token         string   `json:"token_endpoint"`
	Userinfo      string   `json:"userinfo_endpoint"`
	Keys          string   `json:"jwks_uri"`
	ResponseTypes []string `json:"response_types_supported"`
	Algorithms    []string `json:"id_token_signing_alg_values_supported"`
	Challenges    []string `json:"code_challenge_methods_supported"`
	ClientAuth    []string `json:"token_endpoint_auth_methods_supported"`
	IssuerInBack  bool     `json:"authorization_response_iss_parameter_supported"`
}

// known is what is kept of one issuer; its lock lets one call at a time read for all.
type known struct {
	mu    sync.Mutex
	about Metadata
	read  time.Time
	down  time.Time // when it last did not answer
	keys  []jose.JSONWebKey
	keyed time.Time
}

// of is what is kept of an issuer.
func (c *Client) of(issuer string) *known {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := c.known[issuer]
	if k == nil {
		if len(c.known) >= maxKnown {
			clear(c.known) // reading again is cheap
		}
		k = &known{}
		c.known[issuer] = k
	}
	return k
}

// Forget drops what is kept of an issuer.
func (c *Client) Forget(issuer string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.known, issuer)
}

// Describe reads the provider's description, or what is kept of it.
func (c *Client) Describe(ctx context.Context, issuer string) (Metadata, error) {
	k := c.of(issuer)
	k.mu.Lock()
	defer k.mu.Unlock()
	return c.describe(ctx, k, issuer)
}

func (c *Client) describe(ctx context.Context, k *known, issuer string) (Metadata, error) {
	if age := c.clock.Now().Sub(k.read); age >= 0 && age < descriptionTime {
		return k.about, nil
	}
	if age := c.clock.Now().Sub(k.down); age >= 0 && age < downPause { // who waited for the lock need not wait for the time-out too
		return Metadata{}, ErrUnreachable
	}
	var m Metadata
	if err := c.get(ctx, strings.TrimSuffix(issuer, "/")+"/.well-known/openid-configuration", jsonMedia, &m); err != nil {
		k.down = c.clock.Now()
		return m, err
	}
	if err := c.judge(m, issuer); err != nil {
		return m, err
	}
	k.about, k.read = m, c.clock.Now()
	return m, nil
}

// judge refuses a description that is another's or cannot be used.
func (c *Client) judge(m Metadata, issuer string) error {
	if m.Issuer != issuer { // to the letter, or one provider could speak for another
		return refuse("issuer")
	}
	for _, a := range []string{m.Authorization, m.Token, m.Keys} {
		if c.Check(a) != nil {
			return refuse("address")
		}
	}
	switch {
	case m.Userinfo != "" && c.Check(m.Userinfo) != nil:
		return refuse("address")
	case !slices.Contains(m.ResponseTypes, "code"):
		return refuse("no_code_flow")
	case m.Challenges != nil && !slices.Contains(m.Challenges, "S256"):
		return refuse("no_pkce")
	case m.Algorithms != nil && !slices.ContainsFunc(m.Algorithms, func(a string) bool { return slices.Contains(algorithms, jose.SignatureAlgorithm(a)) }):
		return refuse("algorithm")
	}
	return nil
}

// Address is where the browser goes to log in.
func (c *Client) Address(ctx context.Context, p Provider, a Asked) (string, error) {
	m, err := c.Describe(ctx, p.Issuer)
	if err != nil {
		return "", err
	}
	return withQuery(m.Authorization, url.Values{
		"response_type": {"code"}, "client_id": {p.ClientID}, "redirect_uri": {a.Redirect}, "scope": {withOpenID(p.Scopes)},
		"state": {a.State.Reveal()}, "nonce": {a.Nonce.Reveal()}, "code_challenge": {challenge(a.Verifier)}, "code_challenge_method": {"S256"},
	})
}

func withOpenID(scopes string) string {
	all := strings.Fields(scopes)
	if !slices.Contains(all, "openid") {
		all = append([]string{"openid"}, all...)
	}
	return strings.Join(all, " ")
}

// tokens is a provider's answer to a code.
type tokens struct {
	ID     string `json:"id_token"`
	Access string `json:"access_token"`
	Type   string `json:"token_type"`
	Error  string `json:"error"`
}

// Finish turns the code into the person: a *Refusal, or ErrUnreachable.
func (c *Client) Finish(ctx context.Context, p Provider, a Answer) (Person, error) {
	m, err := c.Describe(ctx, p.Issuer)
	if err != nil {
		return Person{}, err
	}
	switch {
	case a.Issuer != "" && a.Issuer != p.Issuer, a.Issuer == "" && m.IssuerInBack: // RFC 9207: somebody mixes providers up
		return Person{}, refuse("mixed_up")
	case !printable(a.Code, 2048):
		return Person{}, refuse("code")
	}
	t, err := c.exchange(ctx, p, m, a)
	if err != nil {
		return Person{}, err
	}
	got, err := c.verify(ctx, p, t, a.Nonce)
	if err != nil {
		return Person{}, err
	}
	if m.Userinfo != "" {
		if err := c.compare(ctx, m.Userinfo, t.Access, got.Subject); err != nil {
			return Person{}, err
		}
	}
	return got, nil
}

// exchange shows the code and our secret.
func (c *Client) exchange(ctx context.Context, p Provider, m Metadata, a Answer) (t tokens, err error) {
	form := url.Values{"grant_type": {"authorization_code"}, "code": {a.Code}, "redirect_uri": {a.Redirect}, "code_verifier": {a.Verifier.Reveal()}}
	if p.Post {
		form.Set("client_id", p.ClientID)
		form.Set("client_secret", p.Secret.Reveal())
	}
	req, err := http.NewRequest(http.MethodPost, m.Token, strings.NewReader(form.Encode()))
	if err != nil {
		return t, refuse("address")
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if !p.Post { // each half is form-encoded (RFC 6749, 2.3.1)
		req.SetBasicAuth(url.QueryEscape(p.ClientID), url.QueryEscape(p.Secret.Reveal()))
	}
	status, err := c.read(ctx, req, jsonMedia, &t)
	switch {
	case err != nil:
		return t, err
	case t.Error == "invalid_client":
		return t, refuse("client")
	case t.Error != "":
		return t, refuse("code")
	case status != http.StatusOK:
		return t, ErrUnreachable
	case !strings.EqualFold(t.Type, "Bearer"), !printable(t.Access, maxToken), t.ID == "":
		return t, refuse("tokens")
	case len(t.ID) > maxToken:
		return t, refuse("answer_too_large")
	}
	return t, nil
}

// compare asks userinfo whose token it is: an access token of somebody else beside the ID token is refused.
func (c *Client) compare(ctx context.Context, address, access, subject string) error {
	req, err := http.NewRequest(http.MethodGet, address, nil)
	if err != nil {
		return refuse("address")
	}
	req.Header.Set("Authorization", "Bearer "+access)
	var u struct {
		Subject string `json:"sub"`
	}
	status, err := c.read(ctx, req, jsonMedia, &u)
	switch {
	case err != nil:
		return err
	case status != http.StatusOK:
		return ErrUnreachable
	case u.Subject != subject:
		return refuse("userinfo")
	}
	return nil
}
