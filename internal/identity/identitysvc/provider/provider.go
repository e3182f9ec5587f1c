// Package provider is the OpenID Connect provider over identity's accounts and sessions:
// clients, their grants and tokens, the keys that sign. Tokens of clients are opaque and
// looked up each time they are shown, so what is revoked is refused at once by every
// process. They open the provider's own doors only, none of the product's API.
//
// Standards: RFC 6749, 6750, 7009, 7636 (S256 only), 7662, 8414, 8628, 9207, 9700;
// OpenID Connect Core, Discovery, RP-Initiated Logout, Back-Channel Logout (all 1.0).
package provider

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"time"

	"xinglin/internal/identity"
	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/secret"
	"xinglin/internal/platform/authz"
	"xinglin/internal/platform/crypt"
)

// Times. Codes and access tokens are short because they are not asked for again; what a
// session gave ends with it.
const (
	requestTime = 15 * time.Minute // for the login itself, with its code by text message
	codeTime    = time.Minute
	accessTime  = 10 * time.Minute
	idTime      = 10 * time.Minute
	offlineTime = 90 * 24 * time.Hour // of a grant that outlives its session
	deviceTime  = 10 * time.Minute
	deviceEvery = 5 * time.Second
	skew        = time.Minute // what another clock may be ahead
)

const (
	tokenSize = 32 // bytes
	maxToken  = 64 // characters that are worth hashing
)

// Profile is what userinfo may tell of an account.
type Profile struct {
	Kind     auth.Kind
	Name     secret.Text // of staff
	Username string      // of staff
	Phone    secret.Text // of patients
	Roles    []string    // of staff
}

// Options are what the provider is built on: machines, and identity's own acts.
type Options struct {
	Store Store
	Clock clock.Clock
	Authz *authz.Engine
	Crypt *crypt.Ring
	// Private allows back-channel addresses of this machine and network: demo and tests.
	Private bool
	// Profile reads an account.
	Profile func(context.Context, identity.TenantID, identity.AccountID) (Profile, error)
	// Logout ends the session of the context's principal.
	Logout func(context.Context) error
}

// Service is the provider.
type Service struct {
	Options
	keys   *keyring
	out    sender
	failed *failures
}

// New builds it; it does no I/O.
func New(o Options) *Service {
	return &Service{Options: o, keys: newKeyring(), out: newSender(o.Private), failed: newFailures()}
}

// now is the instant in whole microseconds, as columns keep it.
func (s *Service) now() time.Time { return s.Clock.Now().UTC().Truncate(time.Microsecond) }

// newToken is 256 random bits for the caller and their SHA-256 for the store.
func newToken() (secret.Text, []byte) {
	b := make([]byte, tokenSize)
	_, _ = rand.Read(b) // never fails
	t := base64.RawURLEncoding.EncodeToString(b)
	return secret.New(t), tokenHash(t)
}

func tokenHash(t string) []byte {
	h := sha256.Sum256([]byte(t))
	return h[:]
}

// sid names a session to one client: the same for all its tokens, another one elsewhere.
func sid(c identity.ClientID, session identity.SessionID) string {
	h := sha256.Sum256([]byte("xinglin/sid/v1 " + c.String() + " " + session.String()))
	return base64.RawURLEncoding.EncodeToString(h[:16])
}

// clientActor is a client in the trail.
func clientActor(t identity.TenantID, c identity.ClientID) auth.Principal {
	name := "unknown"
	if !c.IsZero() {
		name = c.String()
	}
	return auth.Principal{Kind: auth.Client, Tenant: t, Name: name}
}

// refusal is an error of the protocol: one of the standards' codes, with words for a
// developer that repeat nothing of the input.
type refusal struct {
	code  string
	words string
}

// Error implements error.
func (r *refusal) Error() string { return r.code + ": " + r.words }

func refuse(code, words string) *refusal { return &refusal{code, words} }

// The codes of RFC 6749, 6750, 7009, 8628 and OpenID Connect Core that we use.
const (
	invalidRequest       = "invalid_request"
	invalidClient        = "invalid_client"
	invalidGrant         = "invalid_grant"
	invalidScope         = "invalid_scope"
	invalidToken         = "invalid_token"
	unauthorizedClient   = "unauthorized_client"
	unsupportedGrant     = "unsupported_grant_type"
	unsupportedResponse  = "unsupported_response_type"
	accessDenied         = "access_denied"
	loginRequired        = "login_required"
	consentRequired      = "consent_required"
	requestUnsupported   = "request_not_supported"
	requestURIRefused    = "request_uri_not_supported"
	registrationRefused  = "registration_not_supported"
	insufficientScope    = "insufficient_scope"
	authorizationPending = "authorization_pending"
	slowDown             = "slow_down"
	expiredToken         = "expired_token"
)
