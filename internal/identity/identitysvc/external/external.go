// Package external is the part of identity that knows identity providers (others that prove who somebody is), who is linked to
// them, and logins that are under way there. It speaks the protocols by platform/relying and opens no session: that is identity's.
//
// Rules: a login is bound to the browser by a cookie of its own, to its provider, and good for one answer within ten minutes; an
// unknown subject never makes or finds an account of staff; staff link themselves, in a session and right after a proof; an account
// has one subject of a provider and a subject one account. Every refusal is in the trail with a word for its reason, which is ours.
package external

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"xinglin/internal/identity"
	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/id"
	"xinglin/internal/kernel/secret"
	"xinglin/internal/platform/authz"
	"xinglin/internal/platform/blind"
	"xinglin/internal/platform/crypt"
	"xinglin/internal/platform/relying"
)

const (
	loginTime = 10 * time.Minute // for the provider's answer, and for what follows it
	maxHandle = 64               // characters of a state or cookie that are worth hashing
	maxNext   = 2048
)

// byProof is the policy of acts that a proof permits.
const byProof = "identity.by_proof"

const indexSubject = "identity.idp_subject"

// Link names the noun.
type Link struct{}

// LinkID names a link.
type LinkID = id.ID[Link]

// Options are what the package is built on: machines, and identity's own acts.
type Options struct {
	Store Store
	Clock clock.Clock
	Authz *authz.Engine
	Crypt *crypt.Ring
	// Private allows providers on this machine and network, without TLS: the demo and tests.
	Private bool
	// Network is the blind index of the caller's network, nil where it is not counted.
	Network func(context.Context, identity.TenantID) ([]byte, error)
	// Ended tells that sessions of a provider that was disabled have ended.
	Ended func(context.Context, identity.TenantID, []Session)
}

// Session is a session that ended with its provider.
type Session struct {
	Account identity.AccountID
	Session identity.SessionID
}

// Service knows identity providers.
type Service struct {
	Options
	client *relying.Client
}

// New builds it; it does no I/O.
func New(o Options) *Service {
	return &Service{Options: o, client: relying.New(relying.Options{Clock: o.Clock, Private: o.Private})}
}

// now is the instant in whole microseconds, as columns keep it.
func (s *Service) now() time.Time { return s.Clock.Now().UTC().Truncate(time.Microsecond) }

func hashOf(handle string) []byte {
	h := sha256.Sum256([]byte(handle))
	return h[:]
}

func field(t identity.TenantID, table, column, row string) crypt.Field {
	return crypt.Field{Tenant: t, Table: table, Column: column, Row: row}
}

func secretField(t identity.TenantID, p identity.IDPID) crypt.Field {
	return field(t, "idp", "secret", p.String())
}

func subjectField(t identity.TenantID, l LinkID) crypt.Field {
	return field(t, "idp_link", "subject", l.String())
}

func waitingField(t identity.TenantID, hash []byte) crypt.Field {
	return field(t, "idp_login", "sealed", hex.EncodeToString(hash))
}

// stage is how far a login is.
type stage string

const (
	asked      stage = "asked" // of the provider
	needsTOTP  stage = "totp"  // of staff, beside what the provider proved
	needsPhone stage = "phone" // of a person who comes for the first time
)

// waiting is a row of the table.
type waiting struct {
	hash, browser []byte
	stage         stage
	idp           identity.IDPID
	account       identity.AccountID // of a link, and of staff who lack the second factor
	session       identity.SessionID // of a link
	sealed        []byte
	next          string
	expires       time.Time
}

// inside is what a row has sealed.
type inside struct {
	Verifier string `json:"verifier,omitempty"`
	Nonce    string `json:"nonce,omitempty"`
	Redirect string `json:"redirect,omitempty"`
	Subject  string `json:"subject,omitempty"`
}

func (s *Service) seal(ctx context.Context, t identity.TenantID, hash []byte, in inside) ([]byte, error) {
	b, err := json.Marshal(in)
	if err != nil {
		return nil, err
	}
	return s.Crypt.SealText(ctx, waitingField(t, hash), secret.New(string(b)))
}

func (s *Service) open(ctx context.Context, t identity.TenantID, w waiting) (in inside, err error) {
	text, err := s.Crypt.OpenText(ctx, waitingField(t, w.hash), w.sealed)
	if err != nil {
		return in, err
	}
	return in, json.Unmarshal([]byte(text.Reveal()), &in)
}

// Begun is a login that was begun: where the browser goes, and the cookie by which it is known again.
type Begun struct {
	Address string
	Cookie  secret.Text
}

// Site is how a provider's browser comes back: our origin with the path of the API, and the login page of each sort of account.
type Site struct{ Origin, Prefix string }

func (s Site) redirect(key string) string {
	return s.Origin + s.Prefix + "/auth/idp/" + key + "/callback"
}

// Home is where people of an account's kind are after a login.
func Home(k identity.Accounts) string {
	if k == identity.StaffAccounts {
		return "/console/"
	}
	return "/m/"
}

// ways are the addresses of ours that a login may lead to.
var ways = []string{"/m/", "/console/", "/api/v1/oidc/continue", "/api/v1/oidc/device", "/api/v1/oidc/consents"}

// SafeNext is next when it leads to a page of ours, else the home of the accounts: nobody is led away by an address.
func SafeNext(next string, k identity.Accounts) string {
	bad := func(r rune) bool { return r <= ' ' || r >= 0x7f || r == '\\' }
	if len(next) > maxNext || strings.ContainsFunc(next, bad) || strings.HasPrefix(next, "//") {
		return Home(k)
	}
	path, _, _ := strings.Cut(next, "?")
	path, _, _ = strings.Cut(path, "#")
	if strings.Contains(path, "..") || strings.Contains(path, "//") || strings.Contains(path, "%") {
		return Home(k)
	}
	for _, w := range ways {
		if path == w || strings.HasSuffix(w, "/") && strings.HasPrefix(path, w) {
			return next
		}
	}
	return Home(k)
}

// Begin begins a login at an enabled provider: identity.idp_not_found, identity.idp_too_often, identity.idp_down.
func (s *Service) Begin(ctx context.Context, t identity.TenantID, site Site, key, next string) (Begun, error) {
	p, err := s.byKey(ctx, t, key)
	if err == nil && !p.Enabled {
		err = identity.ErrIDPNotFound.New()
	}
	if err != nil {
		return Begun{}, err
	}
	return s.begin(ctx, t, site, p, waiting{next: SafeNext(next, p.Accounts)})
}

// BeginLink begins a link of the session's own account: auth.step_up, identity.idp_not_found, identity.link_exists.
func (s *Service) BeginLink(ctx context.Context, site Site, key, next string) (Begun, error) {
	who, err := auth.From(ctx)
	if err != nil {
		return Begun{}, err
	}
	if _, err := s.own(ctx, who, "identity.begin_link", LinkID{}); err != nil {
		return Begun{}, err
	}
	p, err := s.byKey(ctx, who.Tenant, key)
	if err == nil && (!p.Enabled || !of(p, who.Kind)) {
		err = identity.ErrIDPNotFound.New()
	}
	if err != nil {
		return Begun{}, err
	}
	return s.begin(ctx, who.Tenant, site, p, waiting{next: SafeNext(next, p.Accounts), account: who.Account, session: who.Session})
}

// of tells whether a provider is for accounts of the kind.
func of(p identity.IDP, k auth.Kind) bool { return string(p.Accounts) == string(k) }

func (s *Service) begin(ctx context.Context, t identity.TenantID, site Site, p identity.IDP, w waiting) (Begun, error) {
	network, err := s.Network(ctx, t)
	if err != nil {
		return Begun{}, err
	}
	a := relying.Asked{Redirect: site.redirect(p.Key), State: relying.Random(), Nonce: relying.Random(), Verifier: relying.Random()}
	to, err := s.address(ctx, t, p, a)
	if err != nil {
		return Begun{}, err
	}
	b := Begun{Address: to, Cookie: relying.Random()}
	w.hash, w.browser, w.stage, w.idp, w.expires = hashOf(a.State.Reveal()), hashOf(b.Cookie.Reveal()), asked, p.ID, s.now().Add(loginTime)
	w.sealed, err = s.seal(ctx, t, w.hash, inside{Verifier: a.Verifier.Reveal(), Nonce: a.Nonce.Reveal(), Redirect: a.Redirect})
	if err != nil {
		return Begun{}, err
	}
	return b, s.Store.begin(ctx, t, w, network)
}

// address is where the browser goes to log in.
func (s *Service) address(ctx context.Context, t identity.TenantID, p identity.IDP, a relying.Asked) (to string, err error) {
	if p.Kind == identity.WeChat {
		return s.wechat(p).Address(a)
	}
	to, err = s.client.Address(ctx, s.provider(p), a)
	if err != nil {
		return "", s.refused(ctx, refusal{tenant: t, action: "identity.begin_idp_login", idp: p.ID, err: err})
	}
	return to, nil
}

func (s *Service) provider(p identity.IDP) relying.Provider {
	return relying.Provider{Issuer: p.Issuer, ClientID: p.ClientID, Secret: p.Secret, Post: p.SecretPost, Scopes: p.Scopes}
}

func (s *Service) wechat(p identity.IDP) relying.WeChat {
	return relying.WeChat{Pages: p.Pages, API: p.Issuer, AppID: p.ClientID, Secret: p.Secret, Scope: p.Scopes}
}

// Back is what the browser brings back from a provider.
type Back struct {
	Key                        string // of the address
	State, Code, Issuer, Error string
	Cookie                     string
}

// Proved is a provider's answer that holds.
type Proved struct {
	IDP     identity.IDP
	Next    string
	Account identity.AccountID // zero: nobody is linked
	Strong  bool               // the provider asked for two factors and says so
	Linked  bool               // it was a link, and it is made
	linking bool
	subject string
}

// Linking tells that it was to be a link, which may have been refused.
func (p Proved) Linking() bool { return p.linking }

// Finish takes the provider's answer: identity.idp_expired, identity.idp_denied, identity.idp_refused, identity.idp_down,
// identity.idp_disabled, of a link identity.link_taken and identity.link_exists. What comes with an error tells the page to lead
// to: its provider and next may be zero. Each login is used up by the first answer, whatever it is.
func (s *Service) Finish(ctx context.Context, t identity.TenantID, b Back) (got Proved, err error) {
	r := refusal{tenant: t, action: "identity.finish_idp_login"}
	network, err := s.Network(ctx, t)
	if err != nil {
		return got, err
	}
	if err := s.Store.room(ctx, t, network); err != nil {
		return got, err
	}
	w, err := s.take(ctx, t, b)
	if err != nil {
		return got, s.refused(ctx, r.because(err, ""))
	}
	if got.IDP, err = s.read(ctx, t, w.idp); err != nil {
		return got, err
	}
	got.Next, got.linking, r.idp, r.account = w.next, !w.session.IsZero(), w.idp, w.account
	switch {
	case got.IDP.Key != b.Key:
		return got, s.refused(ctx, r.because(identity.ErrIDPAnswer.New(), "mixed_up"))
	case !got.IDP.Enabled:
		return got, s.refused(ctx, r.because(identity.ErrIDPDisabled.New(), ""))
	case b.Error != "", b.Code == "" && got.IDP.Kind == identity.WeChat: // WeChat leads back without a code
		return got, s.refused(ctx, r.because(identity.ErrIDPDenied.New(), ""))
	}
	who, err := s.ask(ctx, t, got.IDP, w, b)
	if err != nil {
		return got, s.refused(ctx, r.because(err, ""))
	}
	got.subject = who.Subject
	got.Strong = slices.ContainsFunc(who.Proofs, func(x string) bool { return slices.Contains(got.IDP.Strong, x) })
	if got.linking {
		err = s.link(ctx, r, w, got)
		got.Linked = err == nil
		return got, err
	}
	got.Account, err = s.Store.linked(ctx, t, value(got.IDP.ID, who.Subject))
	return got, err
}

// take consumes the login of a state in its browser: identity.idp_expired.
func (s *Service) take(ctx context.Context, t identity.TenantID, b Back) (waiting, error) {
	if b.State == "" || len(b.State) > maxHandle || b.Cookie == "" || len(b.Cookie) > maxHandle {
		return waiting{}, identity.ErrIDPExpired.New()
	}
	return s.Store.take(ctx, t, hashOf(b.State), hashOf(b.Cookie), asked, s.now())
}

// ask lets the provider say who it was.
func (s *Service) ask(ctx context.Context, t identity.TenantID, p identity.IDP, w waiting, b Back) (relying.Person, error) {
	if p.Kind == identity.WeChat {
		return s.client.FinishWeChat(ctx, s.wechat(p), b.Code)
	}
	in, err := s.open(ctx, t, w)
	if err != nil {
		return relying.Person{}, err
	}
	return s.client.Finish(ctx, s.provider(p), relying.Answer{Code: b.Code, Issuer: b.Issuer, Asked: relying.Asked{
		Redirect: in.Redirect, Nonce: secret.New(in.Nonce), Verifier: secret.New(in.Verifier),
	}})
}

// value is what a link is found by: a subject means nothing without its provider.
func value(p identity.IDPID, subject string) blind.Value {
	return blind.Of(indexSubject, secret.New(p.String()+" "+subject))
}

// refusal is an answer that does not hold, or an act that is refused.
type refusal struct {
	tenant  identity.TenantID
	action  string
	idp     identity.IDPID
	account identity.AccountID
	err     error
	why     string // beyond the code: one word
}

func (r refusal) because(err error, why string) refusal {
	r.err, r.why = err, why
	return r
}

// coded turns the protocol's refusals into ours, with one word for the reason.
func coded(err error) (why string, code error) {
	var no *relying.Refusal
	switch {
	case errors.As(err, &no):
		return no.Why, identity.ErrIDPAnswer.New()
	case errors.Is(err, relying.ErrUnreachable):
		return "", identity.ErrIDPDown.New()
	}
	return "", err
}
