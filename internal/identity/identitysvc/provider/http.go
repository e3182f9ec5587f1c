package provider

import (
	"encoding/json"
	"errors"
	"mime"
	"net/http"
	"net/url"
	"strings"

	"xinglin/internal/platform/httpx"
	"xinglin/internal/platform/obs"
)

// base is the path of the provider; the issuer is the public origin with it.
const base = "/oidc"

// Routes registers the provider's doors: for programs (Machine: no session, no Origin), for the browsers of people (pages), for
// administrators and for accounts.
func (s *Service) Routes(a *httpx.API) {
	s.programRoutes(a)
	s.pageRoutes(a)
	s.clientRoutes(a)
}

func (s *Service) programRoutes(a *httpx.API) {
	op := func(name, method, path, summary string, h func(http.ResponseWriter, *http.Request) error) {
		httpx.Handle(a, httpx.Op{ID: "identity." + name, Method: method, Path: base + path, Summary: summary, Machine: true, Public: true}, h)
	}
	op("read_openid_configuration", "GET", "/.well-known/openid-configuration", "OpenID Connect Discovery", s.httpDiscovery)
	op("read_openid_keys", "GET", "/jwks", "Public keys of the provider (JWK set)", s.httpKeySet)
	op("authorize", "GET", "/authorize", "A client asks for a login: code with PKCE S256", s.httpAuthorize)
	op("authorize_by_form", "POST", "/authorize", "The same, by a form", s.httpAuthorizeForm)
	op("issue_token", "POST", "/token", "Tokens: by code, refresh token, client credentials or device code", s.guarded(s.httpToken))
	op("read_userinfo", "GET", "/userinfo", "What the token's scopes tell of the person", s.guarded(s.httpUserinfo))
	op("read_userinfo_by_form", "POST", "/userinfo", "The same, by POST", s.guarded(s.httpUserinfo))
	op("introspect_token", "POST", "/introspect", "Whether a token is good, for confidential clients (RFC 7662)", s.guarded(s.httpIntrospect))
	op("revoke_token", "POST", "/revoke", "End a token (RFC 7009)", s.guarded(s.httpRevoke))
	op("start_device", "POST", "/device_authorization", "A device without a keyboard asks for a login (RFC 8628)", s.guarded(s.httpStartDevice))
	op("logout_by_form", "POST", "/logout", "A client asks for a logout, by a form", s.httpLogoutForm)
}

// issuer names the provider of the tenant whose host was asked.
func issuer(r *http.Request) string { return httpx.Origin(r) + httpx.Prefix + base }

// guarded counts refusals by address, and turns the protocol's into their form.
func (s *Service) guarded(h func(http.ResponseWriter, *http.Request) error) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		address := obs.Origin(r.Context())
		if wait := s.failed.wait(address); wait > 0 {
			return httpx.ErrRate.After(wait)
		}
		err := h(w, r)
		var why *refusal
		if !errors.As(err, &why) {
			return err
		}
		if why.code != authorizationPending {
			s.failed.note(address)
		}
		writeRefusal(w, r, why)
		return nil
	}
}

// statusOf is the status of a refusal; without a line here it is 400.
var statusOf = map[string]int{invalidClient: http.StatusUnauthorized, invalidToken: http.StatusUnauthorized, insufficientScope: http.StatusForbidden}

func writeRefusal(w http.ResponseWriter, r *http.Request, why *refusal) {
	status := http.StatusBadRequest
	if st, ok := statusOf[why.code]; ok {
		status = st
	}
	switch _, _, basic := r.BasicAuth(); {
	case why.code == invalidToken || why.code == insufficientScope:
		w.Header().Set("WWW-Authenticate", `Bearer realm="xinglin", error="`+why.code+`", error_description="`+why.words+`"`)
	case why.code == invalidClient && basic:
		w.Header().Set("WWW-Authenticate", `Basic realm="xinglin", charset="UTF-8"`)
	}
	writeJSON(w, status, map[string]string{"error": why.code, "error_description": why.words})
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Pragma", "no-cache") // RFC 6749, 5.1
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the caller has gone
}

// form reads a body of parameters; the query counts for nothing, so that secrets cannot come in an address.
func form(r *http.Request) (url.Values, error) {
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || media != "application/x-www-form-urlencoded" {
		return nil, refuse(invalidRequest, "send application/x-www-form-urlencoded")
	}
	if err := r.ParseForm(); err != nil {
		return nil, refuse(invalidRequest, "the form cannot be read")
	}
	for _, list := range r.PostForm {
		for _, v := range list {
			if strings.ContainsRune(v, 0) {
				return nil, refuse(invalidRequest, "a NUL character")
			}
		}
	}
	return r.PostForm, nil
}

// shows reads how the client shows itself and the form.
func shows(r *http.Request) (credential, url.Values, error) {
	q, err := form(r)
	if err != nil {
		return credential{}, nil, err
	}
	name, password, ok := r.BasicAuth()
	if !ok {
		if r.Header.Get("Authorization") != "" {
			return credential{}, nil, refuse(invalidClient, "the client is unknown or its credential is wrong")
		}
		return credential{}, q, nil
	}
	c := credential{basic: true} // each half is form-encoded (RFC 6749, 2.3.1)
	if c.id, err = url.QueryUnescape(name); err == nil {
		c.password, err = url.QueryUnescape(password)
	}
	if err != nil {
		return c, nil, refuse(invalidClient, "the client is unknown or its credential is wrong")
	}
	return c, q, nil
}

// discovery is the provider's metadata.
type discovery struct {
	Issuer              string   `json:"issuer"`
	Authorization       string   `json:"authorization_endpoint"`
	Token               string   `json:"token_endpoint"`
	Userinfo            string   `json:"userinfo_endpoint"`
	Keys                string   `json:"jwks_uri"`
	Logout              string   `json:"end_session_endpoint"`
	Introspection       string   `json:"introspection_endpoint"`
	Revocation          string   `json:"revocation_endpoint"`
	Device              string   `json:"device_authorization_endpoint"`
	ResponseTypes       []string `json:"response_types_supported"`
	ResponseModes       []string `json:"response_modes_supported"`
	Grants              []string `json:"grant_types_supported"`
	Subjects            []string `json:"subject_types_supported"`
	Algorithms          []string `json:"id_token_signing_alg_values_supported"`
	ClientAuth          []string `json:"token_endpoint_auth_methods_supported"`
	IntrospectionAuth   []string `json:"introspection_endpoint_auth_methods_supported"`
	RevocationAuth      []string `json:"revocation_endpoint_auth_methods_supported"`
	Challenges          []string `json:"code_challenge_methods_supported"`
	Scopes              []string `json:"scopes_supported"`
	Claims              []string `json:"claims_supported"`
	ACR                 []string `json:"acr_values_supported"`
	Prompts             []string `json:"prompt_values_supported"`
	Locales             []string `json:"ui_locales_supported"`
	IssuerInAnswer      bool     `json:"authorization_response_iss_parameter_supported"`
	BackChannel         bool     `json:"backchannel_logout_supported"`
	BackChannelSession  bool     `json:"backchannel_logout_session_supported"`
	RequestParameter    bool     `json:"request_parameter_supported"`
	RequestURIParameter bool     `json:"request_uri_parameter_supported"`
	ClaimsParameter     bool     `json:"claims_parameter_supported"`
}

// keySetAge is how long others may keep discovery and keys; shorter than keyUrgent, so that a key is known before it signs.
const keySetAge = "public, max-age=300"

func (s *Service) httpDiscovery(w http.ResponseWriter, r *http.Request) error {
	i := issuer(r)
	auth := []string{"client_secret_basic", "client_secret_post"}
	w.Header().Set("Cache-Control", keySetAge)
	writeJSON(w, http.StatusOK, discovery{
		Issuer: i, Authorization: i + "/authorize", Token: i + "/token", Userinfo: i + "/userinfo", Keys: i + "/jwks", Logout: i + "/logout",
		Introspection: i + "/introspect", Revocation: i + "/revoke", Device: i + "/device_authorization",
		ResponseTypes: []string{"code"}, ResponseModes: []string{"query"},
		Grants:   []string{"authorization_code", "refresh_token", "client_credentials", "urn:ietf:params:oauth:grant-type:device_code"},
		Subjects: []string{"pairwise"}, Algorithms: []string{algorithm},
		ClientAuth: append([]string{"none"}, auth...), IntrospectionAuth: auth, RevocationAuth: append([]string{"none"}, auth...),
		Challenges: []string{"S256"}, Scopes: ofPeople,
		Claims: []string{
			"sub", "iss", "aud", "exp", "iat", "auth_time", "nonce", "acr", "amr", "azp", "sid", "at_hash", "name", "preferred_username", "phone_number",
			"phone_number_verified", "roles",
		},
		ACR: []string{oneFactor, twoFactors}, Prompts: []string{"none", "login", "consent", "select_account"}, Locales: []string{"zh-CN", "en"},
		IssuerInAnswer: true, BackChannel: true, BackChannelSession: true,
	})
	return nil
}

// jwk is a public key (RFC 7517).
type jwk struct {
	Type  string `json:"kty"`
	Curve string `json:"crv"`
	Use   string `json:"use"`
	Alg   string `json:"alg"`
	ID    string `json:"kid"`
	X     string `json:"x"`
	Y     string `json:"y"`
}

func (s *Service) httpKeySet(w http.ResponseWriter, r *http.Request) error {
	rows, err := s.signingKeys(r.Context(), httpx.TenantOf(r.Context()))
	if err != nil {
		return err
	}
	keys := []jwk{}
	for _, k := range published(rows, s.now(), keyAfter) {
		if len(k.public) != pointSize {
			continue
		}
		keys = append(keys, jwk{Type: "EC", Curve: "P-256", Use: "sig", Alg: algorithm, ID: k.kid, X: b64.EncodeToString(k.public[1:33]), Y: b64.EncodeToString(k.public[33:])})
	}
	w.Header().Set("Cache-Control", keySetAge)
	writeJSON(w, http.StatusOK, map[string]any{"keys": keys})
	return nil
}

func (s *Service) httpToken(w http.ResponseWriter, r *http.Request) error {
	c, q, err := shows(r)
	if err != nil {
		return err
	}
	out, err := s.exchange(r.Context(), httpx.TenantOf(r.Context()), issuer(r), c, q)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, out)
	return nil
}

func (s *Service) httpUserinfo(w http.ResponseWriter, r *http.Request) error {
	kind, text, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(kind, "Bearer") {
		text = ""
		if r.Method == http.MethodPost && r.Header.Get("Authorization") == "" {
			if q, err := form(r); err == nil {
				text = q.Get("access_token")
			}
		}
	}
	out, err := s.userinfo(r.Context(), httpx.TenantOf(r.Context()), text)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, out)
	return nil
}

func (s *Service) httpIntrospect(w http.ResponseWriter, r *http.Request) error {
	c, q, err := shows(r)
	if err != nil {
		return err
	}
	out, err := s.introspect(r.Context(), httpx.TenantOf(r.Context()), c, q)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, out)
	return nil
}

func (s *Service) httpRevoke(w http.ResponseWriter, r *http.Request) error {
	c, q, err := shows(r)
	if err != nil {
		return err
	}
	if err := s.revoke(r.Context(), httpx.TenantOf(r.Context()), c, q); err != nil {
		return err
	}
	w.WriteHeader(http.StatusOK)
	return nil
}

func (s *Service) httpStartDevice(w http.ResponseWriter, r *http.Request) error {
	c, q, err := shows(r)
	if err != nil {
		return err
	}
	out, err := s.startDevice(r.Context(), httpx.TenantOf(r.Context()), issuer(r), c, q)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, out)
	return nil
}
