package idpsim

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"

	jose "github.com/go-jose/go-jose/v4"
)

const kid = "simulator-1"

func (s *Server) oidcRoutes() {
	s.mux.HandleFunc("GET /oidc/.well-known/openid-configuration", s.discovery)
	s.mux.HandleFunc("GET /oidc/jwks", s.keySet)
	s.mux.HandleFunc("GET /oidc/authorize", s.authorize)
	s.mux.HandleFunc("POST /oidc/authorize", s.authorize)
	s.mux.HandleFunc("POST /oidc/token", s.token)
	s.mux.HandleFunc("GET /oidc/userinfo", s.userinfo)
}

func (s *Server) discovery(w http.ResponseWriter, _ *http.Request) {
	i := s.Issuer()
	named := i
	if s.wrong(BadDiscovery) != "" {
		named = "https://other.example"
	}
	answer(w, http.StatusOK, "application/json", map[string]any{
		"issuer": named, "authorization_endpoint": i + "/authorize", "token_endpoint": i + "/token", "userinfo_endpoint": i + "/userinfo", "jwks_uri": i + "/jwks",
		"response_types_supported": []string{"code"}, "subject_types_supported": []string{"public"}, "id_token_signing_alg_values_supported": []string{"ES256"},
		"code_challenge_methods_supported": []string{"S256"}, "token_endpoint_auth_methods_supported": []string{"client_secret_basic", "client_secret_post"},
		"authorization_response_iss_parameter_supported": true,
	})
}

func (s *Server) keySet(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, "application/jwk-set+json", jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: &s.key.PublicKey, KeyID: kid, Algorithm: "ES256", Use: "sig"}}})
}

// authorize asks who logs in, and leads back with a code for that person.
func (s *Server) authorize(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	to := q.Get("redirect_uri")
	if !s.safe(to) || q.Get("client_id") != s.OIDC.ID {
		refuse(w, http.StatusBadRequest, "invalid_request")
		return
	}
	out := url.Values{"state": {q.Get("state")}, "iss": {s.Issuer()}}
	switch {
	case q.Get("response_type") != "code", q.Get("code_challenge_method") != "S256", q.Get("code_challenge") == "", !strings.Contains(" "+q.Get("scope")+" ", " openid "):
		out.Set("error", "invalid_request")
		back(w, r, to, out)
		return
	}
	who, chosen := s.chosen(w, r, s.Staff, page{Title: "集团统一登录", TitleEN: "Group sign-in", Text: "模拟的集团身份提供方：选择一位演示人员", TextEN: "A simulated identity provider: choose a demo person"})
	switch {
	case !chosen:
		return
	case who.Subject == "":
		out.Set("error", "access_denied")
	default:
		out.Set("code", s.put(s.codes, &login{
			who: who, redirect: to, nonce: q.Get("nonce"), challenge: q.Get("code_challenge"), client: s.OIDC.ID, until: s.Clock.Now().Add(codeTime),
		}))
	}
	switch s.wrong(NoIss, OtherIss) {
	case NoIss:
		out.Del("iss")
	case OtherIss:
		out.Set("iss", "https://other.example")
	}
	back(w, r, to, out)
}

func same(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// token checks all that a provider has to check, and answers, well or wrongly.
func (s *Server) token(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 16<<10)
	if r.ParseForm() != nil {
		refuse(w, http.StatusBadRequest, "invalid_request")
		return
	}
	id, pass, basic := r.BasicAuth()
	if basic {
		id, _ = url.QueryUnescape(id)
		pass, _ = url.QueryUnescape(pass)
	} else {
		id, pass = r.PostForm.Get("client_id"), r.PostForm.Get("client_secret")
	}
	if id != s.OIDC.ID || !same(pass, s.OIDC.Secret.Reveal()) {
		refuse(w, http.StatusUnauthorized, "invalid_client")
		return
	}
	h := sha256.Sum256([]byte(r.PostForm.Get("code_verifier")))
	l := s.take(r.PostForm.Get("code"))
	if l == nil || l.redirect != r.PostForm.Get("redirect_uri") || !same(base64.RawURLEncoding.EncodeToString(h[:]), l.challenge) {
		refuse(w, http.StatusBadRequest, "invalid_grant")
		return
	}
	switch s.wrong(Down, NotJSON, HugeToken, Lead) {
	case Down:
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	case NotJSON:
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte("<p>busy</p>"))
		return
	case HugeToken:
		answer(w, http.StatusOK, "application/json", map[string]string{"id_token": strings.Repeat("x", 1<<20)})
		return
	case Lead:
		http.Redirect(w, r, s.Issuer()+"/elsewhere", http.StatusTemporaryRedirect)
		return
	}
	access := s.put(s.tokens, l)
	body := map[string]any{"access_token": access, "token_type": "Bearer", "expires_in": 600, "id_token": s.idToken(l, access)}
	if s.wrong(NoIDToken) != "" {
		delete(body, "id_token")
	}
	answer(w, http.StatusOK, "application/json", body)
}

// idToken is the truth about a login, unless a fault asks for something else.
func (s *Server) idToken(l *login, access string) string {
	now := s.Clock.Now().Unix()
	half := sha256.Sum256([]byte(access))
	c := map[string]any{
		"iss": s.Issuer(), "sub": l.who.Subject, "aud": s.OIDC.ID, "iat": now, "exp": now + 300, "nonce": l.nonce,
		"at_hash": base64.RawURLEncoding.EncodeToString(half[:16]), "amr": []string{"pwd"}, "acr": "1",
	}
	if l.who.Strong {
		c["amr"], c["acr"] = []string{"pwd", "otp", "mfa"}, "2"
	}
	key, name, alg := any(s.key), kid, jose.ES256
	var embed *jose.JSONWebKey
	switch s.wrong(AlgNone, HMAC, OtherKey, UnknownKid, KeyInToken, Expired, Future, OtherIssuer, OtherAudience, OtherParty, OtherNonce, NoNonce, OtherAtHash) {
	case AlgNone:
		head, _ := json.Marshal(map[string]string{"alg": "none", "kid": kid})
		payload, _ := json.Marshal(c)
		return base64.RawURLEncoding.EncodeToString(head) + "." + base64.RawURLEncoding.EncodeToString(payload) + "."
	case HMAC:
		point, _ := s.key.PublicKey.Bytes()
		key, alg = point, jose.HS256
	case OtherKey:
		key = s.other
	case UnknownKid:
		name = "../" + kid
	case KeyInToken:
		key, embed = s.other, &jose.JSONWebKey{Key: &s.other.PublicKey, KeyID: kid, Algorithm: "ES256"}
	case Expired:
		c["exp"] = now - 120
	case Future:
		c["iat"] = now + 3600
	case OtherIssuer:
		c["iss"] = "https://other.example"
	case OtherAudience:
		c["aud"] = "another-client"
	case OtherParty:
		c["azp"] = "another-client"
	case OtherNonce:
		c["nonce"] = random()
	case NoNonce:
		delete(c, "nonce")
	case OtherAtHash:
		c["at_hash"] = random()
	}
	return sign(alg, key, name, embed, c)
}

func sign(alg jose.SignatureAlgorithm, key any, name string, embed *jose.JSONWebKey, c map[string]any) string {
	o := (&jose.SignerOptions{}).WithHeader("kid", name)
	if embed != nil {
		o = o.WithHeader("jwk", embed)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, o)
	if err != nil {
		return ""
	}
	payload, err := json.Marshal(c)
	if err != nil {
		return ""
	}
	jws, err := signer.Sign(payload)
	if err != nil {
		return ""
	}
	text, err := jws.CompactSerialize()
	if err != nil {
		return ""
	}
	return text
}

func (s *Server) userinfo(w http.ResponseWriter, r *http.Request) {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	s.mu.Lock()
	l := s.tokens[token]
	s.mu.Unlock()
	if !ok || l == nil {
		refuse(w, http.StatusUnauthorized, "invalid_token")
		return
	}
	sub := l.who.Subject
	if s.wrong(OtherUserinfo) != "" {
		sub = "somebody-else"
	}
	answer(w, http.StatusOK, "application/json", map[string]string{"sub": sub, "name": l.who.Name})
}
