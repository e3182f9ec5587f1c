package provider

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"net/url"
	"slices"
	"strings"
	"time"

	"xinglin/internal/identity"
	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/id"
	"xinglin/internal/kernel/secret"
)

// grant is a row of the table: the family of a code and its tokens.
type grant struct {
	id            id.ID[grant]
	client        identity.ClientID
	account       identity.AccountID // zero: the client by itself
	session       identity.SessionID
	issuer        string
	subject       string
	scopes        []string
	nonce         string
	redirect      string
	challenge     string
	offline       bool
	kind          auth.Kind
	factors       int
	method        string // of the login: code, password, passkey; empty without a person
	authenticated time.Time
	created       time.Time
	expires       time.Time
}

type tokenKind string

const (
	codeToken    tokenKind = "code"
	accessToken  tokenKind = "access"
	refreshToken tokenKind = "refresh"
)

// token is a row of the table.
type token struct {
	hash    []byte
	kind    tokenKind
	scopes  []string
	created time.Time
	expires time.Time
}

// credential is how a client shows who it is: by HTTP Basic or in the body, not both.
type credential struct {
	basic    bool
	id       string
	password string
}

// authenticate finds the client of a request to the token endpoint and its kin. needSecret: public clients have no business
// here. Whatever is wrong says the same.
func (s *Service) authenticate(ctx context.Context, t identity.TenantID, basic credential, q url.Values, needSecret bool) (identity.Client, error) {
	inBody, err := once(q, "client_id")
	if err != nil {
		return identity.Client{}, err
	}
	password, err := once(q, "client_secret")
	if err != nil {
		return identity.Client{}, err
	}
	c := basic
	switch {
	case basic.basic && password != "":
		return identity.Client{}, refuse(invalidRequest, "the client shows two credentials")
	case basic.basic && inBody != "" && inBody != basic.id:
		return identity.Client{}, refuse(invalidRequest, "client_id differs from the credential")
	case !basic.basic:
		c = credential{id: inBody, password: password}
	}
	wrong := refuse(invalidClient, "the client is unknown or its credential is wrong")
	cid, err := id.Parse[identity.Client](c.id)
	if err != nil {
		return identity.Client{}, wrong
	}
	found, hashes, err := s.Store.clientSecrets(ctx, t, cid, s.now())
	if errors.Is(err, identity.ErrClientNotFound) {
		return identity.Client{}, wrong
	}
	if err != nil {
		return identity.Client{}, err
	}
	ok := found.Public && c.password == "" && !needSecret
	if !found.Public && len(c.password) <= maxToken {
		shown := tokenHash(c.password)
		for _, h := range hashes {
			ok = subtle.ConstantTimeCompare(shown, h) == 1 || ok
		}
	}
	if !ok || found.Disabled {
		return found, wrong
	}
	return found, nil
}

// tokens is the answer of the token endpoint.
type tokens struct {
	Access  string `json:"access_token"`
	Type    string `json:"token_type"`
	Expires int64  `json:"expires_in"`
	Refresh string `json:"refresh_token,omitempty"`
	ID      string `json:"id_token,omitempty"`
	Scope   string `json:"scope"`
}

// exchange is the token endpoint.
func (s *Service) exchange(ctx context.Context, t identity.TenantID, issuer string, basic credential, q url.Values) (tokens, error) {
	const action = "identity.issue_token"
	c, err := s.authenticate(ctx, t, basic, q, false)
	if err != nil {
		return tokens{}, s.refused(ctx, t, action, c.ID, err)
	}
	out, err := s.exchangeOf(ctx, t, issuer, c, q)
	return out, s.refused(ctx, t, action, c.ID, err)
}

func (s *Service) exchangeOf(ctx context.Context, t identity.TenantID, issuer string, c identity.Client, q url.Values) (out tokens, err error) {
	text := map[string]string{}
	for _, name := range []string{"grant_type", "code", "redirect_uri", "code_verifier", "refresh_token", "scope", "device_code"} {
		if text[name], err = once(q, name); err != nil {
			return out, err
		}
	}
	kind := identity.GrantType(text["grant_type"])
	switch {
	case kind == "":
		return out, refuse(invalidRequest, "grant_type is missing")
	case !slices.Contains([]identity.GrantType{identity.ByCode, identity.ByRefresh, identity.ByClient, identity.ByDevice}, kind):
		return out, refuse(unsupportedGrant, "unknown grant_type")
	case !slices.Contains(c.Grants, kind):
		return out, refuse(unauthorizedClient, "the grant_type is not for this client")
	}
	switch kind {
	case identity.ByCode:
		return s.useCode(ctx, t, c, text)
	case identity.ByRefresh:
		return s.useRefresh(ctx, t, c, text)
	case identity.ByDevice:
		return s.useDevice(ctx, t, c, text["device_code"])
	}
	return s.byItself(ctx, t, issuer, c, text["scope"])
}

// fits decides whether the client that shows a code is the one that it was made for.
func fits(g grant, c identity.ClientID, redirect, verifier string) error {
	sum := sha256.Sum256([]byte(verifier))
	switch {
	case g.client != c:
		return refuse(invalidGrant, "the code was made for another client")
	case g.redirect != redirect:
		return refuse(invalidGrant, "redirect_uri differs from that of the request")
	case !verifierRE.MatchString(verifier), subtle.ConstantTimeCompare([]byte(b64.EncodeToString(sum[:])), []byte(g.challenge)) != 1:
		return refuse(invalidGrant, "code_verifier does not fit")
	}
	return nil
}

// useCode exchanges a code, once. A code that comes again, from elsewhere, or with the wrong proof was stolen or guessed: all
// that came of it ends.
func (s *Service) useCode(ctx context.Context, t identity.TenantID, c identity.Client, text map[string]string) (tokens, error) {
	if text["code"] == "" || len(text["code"]) > maxToken {
		return tokens{}, refuse(invalidGrant, "the code is unknown or over")
	}
	k, err := s.signer(ctx, t)
	if err != nil {
		return tokens{}, err
	}
	var b bundle
	g, err := s.Store.use(ctx, t, codeToken, tokenHash(text["code"]), s.now(), func(g grant, _ []string) ([]token, error) {
		if err := fits(g, c.ID, text["redirect_uri"], text["code_verifier"]); err != nil {
			return nil, err
		}
		b = s.bundleOf(g, g.scopes, c)
		return b.rows, nil
	}, clientActor(t, c.ID))
	if err != nil {
		return tokens{}, err
	}
	return s.answer(k, g, b, c, true)
}

// useRefresh exchanges a refresh token, once; a second use ends the family.
func (s *Service) useRefresh(ctx context.Context, t identity.TenantID, c identity.Client, text map[string]string) (tokens, error) {
	if text["refresh_token"] == "" || len(text["refresh_token"]) > maxToken {
		return tokens{}, refuse(invalidGrant, "the refresh token is unknown or over")
	}
	k, err := s.signer(ctx, t)
	if err != nil {
		return tokens{}, err
	}
	var b bundle
	g, err := s.Store.use(ctx, t, refreshToken, tokenHash(text["refresh_token"]), s.now(), func(g grant, scopes []string) ([]token, error) {
		if g.client != c.ID {
			return nil, refuse(invalidGrant, "the refresh token was made for another client")
		}
		if text["scope"] != "" {
			narrow, err := readScopes(text["scope"], scopes)
			if err != nil {
				return nil, err
			}
			scopes = narrow
		}
		b = s.bundleOf(g, scopes, c)
		return b.rows, nil
	}, clientActor(t, c.ID))
	if err != nil {
		return tokens{}, err
	}
	return s.answer(k, g, b, c, false)
}

// byItself gives a client a token of its own.
func (s *Service) byItself(ctx context.Context, t identity.TenantID, issuer string, c identity.Client, scope string) (tokens, error) {
	own := slices.DeleteFunc(slices.Clone(c.Scopes), func(x string) bool { return slices.Contains(ofPeople, x) })
	scopes, err := readScopes(scope, own)
	if err != nil {
		return tokens{}, err
	}
	if scope == "" {
		scopes = own
	}
	now := s.now()
	g := grant{id: id.New[grant](now), client: c.ID, issuer: issuer, subject: c.ID.String(), scopes: scopes, authenticated: now, created: now, expires: now.Add(accessTime)}
	access, hash := newToken()
	row := token{hash: hash, kind: accessToken, scopes: scopes, created: now, expires: g.expires}
	if err := s.Store.addGrant(ctx, t, g, row, clientActor(t, c.ID), byClient); err != nil {
		return tokens{}, err
	}
	return tokens{Access: access.Reveal(), Type: "Bearer", Expires: int64(accessTime.Seconds()), Scope: strings.Join(scopes, " ")}, nil
}

// bundle are new tokens of a grant: for the caller and for the store.
type bundle struct {
	access, refresh secret.Text
	scopes          []string
	expires         time.Time
	rows            []token
}

// bundleOf makes them; neither outlives the grant.
func (s *Service) bundleOf(g grant, scopes []string, c identity.Client) (b bundle) {
	now := s.now()
	b.scopes, b.expires = scopes, earlier(now.Add(accessTime), g.expires)
	var hash []byte
	b.access, hash = newToken()
	b.rows = []token{{hash: hash, kind: accessToken, scopes: scopes, created: now, expires: b.expires}}
	if slices.Contains(c.Grants, identity.ByRefresh) {
		b.refresh, hash = newToken()
		b.rows = append(b.rows, token{hash: hash, kind: refreshToken, scopes: g.scopes, created: now, expires: g.expires})
	}
	return b
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// answer is the answer with an ID token; the nonce belongs to the first one only.
func (s *Service) answer(k signer, g grant, b bundle, c identity.Client, first bool) (tokens, error) {
	out := tokens{
		Access: b.access.Reveal(), Type: "Bearer", Expires: int64(b.expires.Sub(s.now()).Seconds()), Refresh: b.refresh.Reveal(), Scope: strings.Join(b.scopes, " "),
	}
	if !slices.Contains(b.scopes, defaultScope) {
		return out, nil
	}
	claims := s.idToken(g, c.ID)
	claims.AtHash = atHash(out.Access)
	if first {
		claims.Nonce = g.nonce
	}
	var err error
	out.ID, err = signJWS(k, "JWT", claims)
	return out, err
}

// idClaims are the claims of an ID token. There is nothing of the person in it but who they are to this client; what scopes
// ask for is at userinfo.
type idClaims struct {
	Issuer    string   `json:"iss"`
	Subject   string   `json:"sub"`
	Audience  string   `json:"aud"`
	Expires   int64    `json:"exp"`
	Issued    int64    `json:"iat"`
	AuthTime  int64    `json:"auth_time"`
	Nonce     string   `json:"nonce,omitempty"`
	ACR       string   `json:"acr"`
	AMR       []string `json:"amr"`
	Session   string   `json:"sid"`
	AtHash    string   `json:"at_hash,omitempty"`
	AuthParty string   `json:"azp"`
}

// The classes of logins (acr): by how many factors were proved.
const (
	oneFactor  = "urn:xinglin:acr:1"
	twoFactors = "urn:xinglin:acr:2"
)

// amrOf are the methods of a login as RFC 8176 and its registry name them.
func amrOf(method string) []string {
	switch method {
	case "password":
		return []string{"pwd", "otp"}
	case "passkey":
		return []string{"pop", "user"}
	case "idp": // how it was proved is between the person and that provider
		return nil
	}
	return []string{"sms"}
}

func (s *Service) idToken(g grant, c identity.ClientID) idClaims {
	now := s.now()
	out := idClaims{
		Issuer: g.issuer, Subject: g.subject, Audience: c.String(), AuthParty: c.String(), Issued: now.Unix(), Expires: now.Add(idTime).Unix(),
		AuthTime: g.authenticated.Unix(), ACR: oneFactor, AMR: amrOf(g.method), Session: sid(c, g.session),
	}
	if g.factors >= 2 {
		out.ACR = twoFactors
		out.AMR = append(out.AMR, "mfa")
	}
	return out
}

func atHash(access string) string {
	h := sha256.Sum256([]byte(access))
	return b64.EncodeToString(h[:16])
}

// shown is a live access or refresh token with its grant.
type shown struct {
	grant
	token
}

// live finds a token that is good at this moment; invalid_token when it is not.
func (s *Service) live(ctx context.Context, t identity.TenantID, text string, kinds ...tokenKind) (shown, error) {
	if text == "" || len(text) > maxToken {
		return shown{}, refuse(invalidToken, "the token is unknown, over or revoked")
	}
	v, err := s.Store.live(ctx, t, tokenHash(text), s.now())
	if err != nil {
		return v, err
	}
	if v.token.hash == nil || !slices.Contains(kinds, v.token.kind) {
		return shown{}, refuse(invalidToken, "the token is unknown, over or revoked")
	}
	return v, nil
}

// userinfo tells what the token's scopes ask for.
func (s *Service) userinfo(ctx context.Context, t identity.TenantID, text string) (map[string]any, error) {
	v, err := s.live(ctx, t, text, accessToken)
	if err != nil {
		return nil, err
	}
	scopes := v.token.scopes
	if v.account.IsZero() || !slices.Contains(scopes, defaultScope) {
		return nil, refuse(insufficientScope, "the token is not about a person")
	}
	p, err := s.Profile(ctx, t, v.account)
	if err != nil {
		return nil, err
	}
	out := map[string]any{"sub": v.subject}
	if slices.Contains(scopes, "profile") && p.Kind == auth.Staff {
		out["name"], out["preferred_username"] = p.Name.Reveal(), p.Username
	}
	if slices.Contains(scopes, "phone") && !p.Phone.Empty() {
		out["phone_number"], out["phone_number_verified"] = "+86"+p.Phone.Reveal(), true
	}
	if slices.Contains(scopes, "roles") && p.Kind == auth.Staff {
		out["roles"] = p.Roles
	}
	return out, s.Store.told(ctx, t, v.grant)
}

// introspection is RFC 7662's answer.
type introspection struct {
	Active   bool   `json:"active"`
	Scope    string `json:"scope,omitempty"`
	ClientID string `json:"client_id,omitempty"`
	Type     string `json:"token_type,omitempty"`
	Expires  int64  `json:"exp,omitempty"`
	Issued   int64  `json:"iat,omitempty"`
	Subject  string `json:"sub,omitempty"`
	Audience string `json:"aud,omitempty"`
	Issuer   string `json:"iss,omitempty"`
}

// introspect tells a confidential client about its own tokens, and a first-party one about everybody's; for others a token is
// just not active.
func (s *Service) introspect(ctx context.Context, t identity.TenantID, basic credential, q url.Values) (introspection, error) {
	c, err := s.authenticate(ctx, t, basic, q, true)
	if err != nil {
		return introspection{}, s.refused(ctx, t, "identity.introspect_token", c.ID, err)
	}
	text, err := once(q, "token")
	if err != nil || text == "" {
		return introspection{}, s.refused(ctx, t, "identity.introspect_token", c.ID, refuse(invalidRequest, "token is missing or came more than once"))
	}
	v, err := s.live(ctx, t, text, accessToken, refreshToken)
	var why *refusal
	if errors.As(err, &why) || err == nil && v.client != c.ID && !c.FirstParty {
		return introspection{}, nil
	}
	if err != nil {
		return introspection{}, err
	}
	out := introspection{
		Active: true, Scope: strings.Join(v.token.scopes, " "), ClientID: v.client.String(), Expires: v.token.expires.Unix(), Issued: v.token.created.Unix(),
		Subject: v.subject, Audience: v.client.String(), Issuer: v.issuer,
	}
	if v.token.kind == accessToken {
		out.Type = "Bearer"
	}
	return out, nil
}

// revoke ends a token of the client: an access token alone, a refresh token with its family. A token that is none is no error
// (RFC 7009); another client's is refused.
func (s *Service) revoke(ctx context.Context, t identity.TenantID, basic credential, q url.Values) error {
	const action = "identity.revoke_token"
	c, err := s.authenticate(ctx, t, basic, q, false)
	if err != nil {
		return s.refused(ctx, t, action, c.ID, err)
	}
	text, err := once(q, "token")
	if err != nil || text == "" {
		return s.refused(ctx, t, action, c.ID, refuse(invalidRequest, "token is missing or came more than once"))
	}
	v, err := s.live(ctx, t, text, accessToken, refreshToken)
	var why *refusal
	switch {
	case errors.As(err, &why):
		return nil
	case err != nil:
		return err
	case v.client != c.ID:
		return s.refused(ctx, t, action, c.ID, refuse(unauthorizedClient, "the token was made for another client"))
	}
	return s.Store.revoke(ctx, t, v, clientActor(t, c.ID))
}

// refused keeps a refusal of the protocol in the trail and returns it; other errors pass.
func (s *Service) refused(ctx context.Context, t identity.TenantID, action string, c identity.ClientID, err error) error {
	var why *refusal
	if err == nil || !errors.As(err, &why) || why.code == authorizationPending {
		return err
	}
	if e := s.Store.refused(ctx, t, action, c, why.Error(), clientActor(t, c)); e != nil {
		return e
	}
	return err
}
