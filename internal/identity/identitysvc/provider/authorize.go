package provider

import (
	"context"
	"errors"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"xinglin/internal/identity"
	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/id"
	"xinglin/internal/kernel/secret"
)

// request is an authorization request.
type request struct {
	hash      []byte // of the handle
	client    identity.ClientID
	issuer    string
	redirect  string
	scopes    []string
	state     string
	nonce     string
	challenge string
	prompts   []string
	maxAge    int64  // seconds; -1: any
	hint      string // the subject that id_token_hint named
	created   time.Time
	expires   time.Time
}

const (
	maxText   = 1024 // bytes of state and nonce
	maxPrompt = 4
)

var (
	challengeRE = regexp.MustCompile(`^[A-Za-z0-9_-]{43}$`) // SHA-256 in base64url
	verifierRE  = regexp.MustCompile(`^[A-Za-z0-9._~-]{43,128}$`)
)

// once reads a parameter that may come at most once (RFC 6749, 3.1); empty counts as absent.
func once(q url.Values, name string) (string, error) {
	switch v := q[name]; len(v) {
	case 0:
		return "", nil
	case 1:
		return v[0], nil
	}
	return "", refuse(invalidRequest, name+" came more than once")
}

// target is where an answer may go: a client and one of its registered addresses. Before it is known nothing is sent anywhere.
func (s *Service) target(ctx context.Context, t identity.TenantID, q url.Values) (c identity.Client, redirect string, err error) {
	name, err := once(q, "client_id")
	if err != nil {
		return c, "", err
	}
	cid, err := id.Parse[identity.Client](name)
	if err != nil {
		return c, "", refuse(invalidClient, "there is no such client")
	}
	if c, err = s.Store.client(ctx, t, cid); errors.Is(err, identity.ErrClientNotFound) {
		return c, "", refuse(invalidClient, "there is no such client")
	} else if err != nil {
		return c, "", err
	}
	if c.Disabled {
		return c, "", refuse(unauthorizedClient, "the client is disabled")
	}
	if redirect, err = once(q, "redirect_uri"); err != nil {
		return c, "", err
	}
	if !slices.Contains(c.RedirectURIs, redirect) { // the whole text, whatever it means
		return c, "", refuse(invalidRequest, "redirect_uri is not registered for this client")
	}
	return c, redirect, nil
}

// readRequest is the decision about an authorization request of a known client.
func readRequest(q url.Values, c identity.Client) (r request, err error) {
	r = request{client: c.ID, maxAge: -1}
	text := map[string]string{}
	for _, name := range []string{
		"response_type", "response_mode", "scope", "state", "nonce", "code_challenge", "code_challenge_method", "prompt", "max_age",
		"request", "request_uri", "registration", "id_token_hint",
	} {
		if text[name], err = once(q, name); err != nil {
			return r, err
		}
	}
	r.state, r.nonce, r.challenge = text["state"], text["nonce"], text["code_challenge"]
	switch {
	case text["request"] != "":
		return r, refuse(requestUnsupported, "request is not supported")
	case text["request_uri"] != "":
		return r, refuse(requestURIRefused, "request_uri is not supported")
	case text["registration"] != "":
		return r, refuse(registrationRefused, "registration is not supported")
	case text["response_type"] == "":
		return r, refuse(invalidRequest, "response_type is missing")
	case text["response_type"] != "code":
		return r, refuse(unsupportedResponse, "response_type must be code")
	case text["response_mode"] != "" && text["response_mode"] != "query":
		return r, refuse(invalidRequest, "response_mode must be query")
	case !slices.Contains(c.Grants, identity.ByCode):
		return r, refuse(unauthorizedClient, "authorization_code is not for this client")
	case r.state == "":
		return r, refuse(invalidRequest, "state is missing")
	case len(r.state) > maxText || len(r.nonce) > maxText:
		return r, refuse(invalidRequest, "state or nonce is too long")
	case r.challenge == "":
		return r, refuse(invalidRequest, "code_challenge is missing")
	case text["code_challenge_method"] != "S256":
		return r, refuse(invalidRequest, "code_challenge_method must be S256")
	case !challengeRE.MatchString(r.challenge):
		return r, refuse(invalidRequest, "code_challenge is no SHA-256")
	}
	if r.scopes, err = readScopes(text["scope"], c.Scopes); err != nil {
		return r, err
	}
	if !slices.Contains(r.scopes, defaultScope) {
		return r, refuse(invalidScope, "openid is missing")
	}
	if text["max_age"] != "" {
		if r.maxAge, err = strconv.ParseInt(text["max_age"], 10, 32); err != nil || r.maxAge < 0 {
			return r, refuse(invalidRequest, "max_age is no number of seconds")
		}
	}
	r.prompts, err = readPrompts(text["prompt"])
	return r, err
}

// readScopes reads a list of scopes, of which the client may have each.
func readScopes(text string, allowed []string) ([]string, error) {
	list := strings.Fields(text)
	if len(list) > maxScopes {
		return nil, refuse(invalidScope, "too many scopes")
	}
	for _, x := range list {
		if !slices.Contains(allowed, x) {
			return nil, refuse(invalidScope, "a scope is not for this client")
		}
	}
	return sorted(list), nil
}

func readPrompts(text string) ([]string, error) {
	list := sorted(strings.Fields(text))
	if len(list) > maxPrompt || slices.Contains(list, "none") && len(list) > 1 {
		return nil, refuse(invalidRequest, "prompt none goes with no other")
	}
	for _, p := range list {
		if !slices.Contains([]string{"none", "login", "consent", "select_account"}, p) {
			return nil, refuse(invalidRequest, "unknown prompt")
		}
	}
	return list, nil
}

// begun is what came of an authorization request: a handle for the person's browser, or (with why) an address that tells the
// client.
type begun struct {
	handle secret.Text
	back   string
}

// begin takes an authorization request. An error that is no way back to the client is for the person who sees the page.
func (s *Service) begin(ctx context.Context, t identity.TenantID, issuer string, q url.Values) (begun, error) {
	c, redirect, err := s.target(ctx, t, q)
	if err != nil {
		return begun{}, s.refused(ctx, t, "identity.authorize", c.ID, err)
	}
	r, err := readRequest(q, c)
	if err == nil {
		r.hint, err = s.hinted(ctx, t, issuer, q.Get("id_token_hint"))
	}
	r.issuer, r.redirect = issuer, redirect
	if err != nil {
		err = s.refused(ctx, t, "identity.authorize", c.ID, err)
		var why *refusal
		if errors.As(err, &why) {
			if len(r.state) > maxText {
				r.state = ""
			}
			return begun{back: answer(r, url.Values{"error": {why.code}, "error_description": {why.words}})}, nil
		}
		return begun{}, err
	}
	r.created = s.now()
	r.expires = r.created.Add(requestTime)
	var b begun
	b.handle, r.hash = newToken()
	return b, s.Store.addRequest(ctx, t, r)
}

// answer is the redirect address with an answer; iss says who answers (RFC 9207), so that a client that talks to several
// providers cannot be led to take one's code to another.
func answer(r request, more url.Values) string {
	u, err := url.Parse(r.redirect)
	if err != nil {
		return r.redirect // it was registered, so it parses
	}
	q := u.Query()
	for name, v := range more {
		q[name] = v
	}
	if r.state != "" {
		q.Set("state", r.state)
	}
	q.Set("iss", r.issuer)
	u.RawQuery = q.Encode()
	return u.String()
}

// step is what the browser does next.
type step struct {
	back    string // to the client
	login   bool   // first prove who you are, again when there is a session
	consent bool   // ask
	request request
	client  identity.Client
}

// resume looks at a waiting request with whoever has a session now: identity.client_not_found when it waited too long.
func (s *Service) resume(ctx context.Context, t identity.TenantID, handle string) (step, error) {
	r, c, err := s.waiting(ctx, t, handle)
	if err != nil {
		return step{}, err
	}
	who, _ := auth.From(ctx) // without a session: nobody
	known, err := s.known(ctx, t, c, who)
	if err != nil {
		return step{}, err
	}
	st := decide(r, c, known, s.now())
	switch {
	case st.back != "":
		return st, s.Store.endRequest(ctx, t, r.hash)
	case !st.login && !st.consent:
		st.back, err = s.allow(ctx, r, c, known, false)
	}
	return st, err
}

// person is who has a session, as far as the client's request is concerned; the zero value is nobody.
type person struct {
	principal     auth.Principal
	authenticated time.Time
	method        string // what opened the session: code, password, passkey
	ends          time.Time
	subject       string
	consented     []string
}

// known reads what counts about the session; a session of the wrong sort of account is none.
func (s *Service) known(ctx context.Context, t identity.TenantID, c identity.Client, who auth.Principal) (p person, err error) {
	sort := map[auth.Kind]identity.Accounts{auth.Patient: identity.PatientAccounts, auth.Staff: identity.StaffAccounts}[who.Kind]
	if sort == "" || who.Session.IsZero() || c.Accounts != identity.AnyAccounts && c.Accounts != sort {
		return p, nil
	}
	p.principal = who
	err = s.Store.person(ctx, t, c, &p, s.now())
	return p, err
}

// decide is the decision table of prompt, max_age and consent.
func decide(r request, c identity.Client, p person, now time.Time) step {
	st := step{request: r, client: c}
	none := slices.Contains(r.prompts, "none")
	again := slices.Contains(r.prompts, "login") || slices.Contains(r.prompts, "select_account")
	nobody := p.principal.Account.IsZero()
	switch {
	case nobody,
		again && !p.authenticated.After(r.created),
		r.maxAge >= 0 && now.Sub(p.authenticated) > time.Duration(r.maxAge)*time.Second,
		r.hint != "" && r.hint != p.subject:
		st.login = true
	case !c.FirstParty && (slices.Contains(r.prompts, "consent") || !within(r.scopes, p.consented)):
		st.consent = true
	}
	if none && st.login {
		return step{request: r, client: c, back: answer(r, url.Values{"error": {loginRequired}, "error_description": {"the person has to log in"}})}
	}
	if none && st.consent {
		return step{request: r, client: c, back: answer(r, url.Values{"error": {consentRequired}, "error_description": {"the person has to agree"}})}
	}
	return st
}

// within reports whether all of a are in b.
func within(a, b []string) bool {
	return !slices.ContainsFunc(a, func(x string) bool { return !slices.Contains(b, x) })
}

// waiting finds a request by its handle.
func (s *Service) waiting(ctx context.Context, t identity.TenantID, handle string) (r request, c identity.Client, err error) {
	if handle == "" || len(handle) > maxToken {
		return r, c, identity.ErrClientNotFound.New()
	}
	return s.Store.request(ctx, t, tokenHash(handle), s.now())
}

// answerConsent takes the person's answer on the consent page and gives the way back to the client.
func (s *Service) answerConsent(ctx context.Context, t identity.TenantID, handle string, yes bool) (step, error) {
	r, c, err := s.waiting(ctx, t, handle)
	if err != nil {
		return step{}, err
	}
	who, err := auth.From(ctx)
	if err != nil {
		return step{}, err
	}
	known, err := s.known(ctx, t, c, who)
	if err != nil {
		return step{}, err
	}
	st := decide(r, c, known, s.now())
	switch {
	case st.back != "" || st.login: // the session changed meanwhile: look again
		return st, nil
	case !yes:
		st.back = answer(r, url.Values{"error": {accessDenied}, "error_description": {"the person does not agree"}})
		return st, s.Store.refuseConsent(ctx, t, r, who, byPerson)
	}
	st.back, err = s.allow(ctx, r, c, known, true)
	return st, err
}

// allow makes the grant and its code, and is the way back to the client with it.
func (s *Service) allow(ctx context.Context, r request, c identity.Client, p person, consented bool) (string, error) {
	g := s.grantOf(r.issuer, r.scopes, c, p)
	g.nonce, g.redirect, g.challenge = r.nonce, r.redirect, r.challenge
	code, hash := newToken()
	t := p.principal.Tenant
	err := s.Store.allow(ctx, t, r, g, token{hash: hash, kind: codeToken, scopes: g.scopes, expires: s.now().Add(codeTime)}, c, consented, p.principal)
	if err != nil {
		return "", err
	}
	return answer(r, url.Values{"code": {code.Reveal()}}), nil
}

// grantOf is a person's grant that is not saved yet.
func (s *Service) grantOf(issuer string, scopes []string, c identity.Client, p person) grant {
	now := s.now()
	g := grant{
		id: id.New[grant](now), client: c.ID, account: p.principal.Account, session: p.principal.Session, issuer: issuer, subject: p.subject,
		scopes: scopes, kind: p.principal.Kind, factors: p.principal.Factors, method: p.method, authenticated: p.authenticated, created: now, expires: p.ends,
		offline: slices.Contains(scopes, offlineScope),
	}
	if g.offline {
		g.expires = now.Add(offlineTime)
	}
	return g
}
