// Package passkey is the part of identity that knows passkeys (通行密钥, WebAuthn Level 3): keys that a person's own device
// holds, each good on one host of the tenant, discoverable, and used only after the device has recognised its person (user
// verification). One of them is therefore two factors.
//
// Rules: a challenge is 256 random bits, kept here, bound to the origin, the purpose and (but for logins) the account, good
// for five minutes and for one answer, whatever comes of it; attestation is not asked for; the user handle is random; a
// counter that went back blocks the key. Every refusal of an answer is in the trail.
package passkey

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"net/netip"
	"strings"
	"time"
	"unicode/utf8"

	"xinglin/internal/identity"
	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/id"
	"xinglin/internal/kernel/secret"
	"xinglin/internal/platform/authz"
	"xinglin/internal/platform/crypt"
)

const (
	askTime   = 5 * time.Minute // for an answer
	maxKeys   = 20              // of an account
	maxName   = 40              // characters
	maxHandle = 64              // characters of a handle that are worth hashing
	secretLen = 32              // bytes of a challenge, a user handle and a ceremony's handle
)

// Passkey names the noun.
type Passkey struct{}

// ID names a passkey.
type ID = id.ID[Passkey]

// Kind is what a ceremony is for.
type Kind string

// The kinds. Login is a visitor's, the others an account's own.
const (
	Add    Kind = "add"
	Login  Kind = "login"
	StepUp Kind = "step_up"
)

// Site is where the person's browser is: Origin with the port, Host without.
type Site struct{ Origin, Host string }

// usable refuses a site that no authenticator makes keys for: identity.passkey_site.
func (s Site) usable() error {
	if _, err := netip.ParseAddr(strings.Trim(s.Host, "[]")); err == nil || s.Host == "" {
		return identity.ErrPasskeySite.New()
	}
	return nil
}

// Options are what the package is built on: machines, and identity's own acts.
type Options struct {
	Store Store
	Clock clock.Clock
	Authz *authz.Engine
	Crypt *crypt.Ring
	// Label is what an authenticator calls the account in its own list: a user name, or a phone that only its owner recognises.
	Label func(context.Context, identity.TenantID, identity.AccountID) (string, error)
	// Network is the blind index of the caller's network, nil where it is not counted.
	Network func(context.Context, identity.TenantID) ([]byte, error)
}

// Service knows the passkeys.
type Service struct{ Options }

// New builds it; it does no I/O.
func New(o Options) *Service { return &Service{o} }

// now is the instant in whole microseconds, as columns keep it.
func (s *Service) now() time.Time { return s.Clock.Now().UTC().Truncate(time.Microsecond) }

// stored is a row of the table.
type stored struct {
	id         ID
	account    identity.AccountID
	credential []byte
	publicKey  []byte
	host       string
	name       []byte // sealed
	transports []string
	synced     bool
	count      int64
	created    time.Time
	used       time.Time
	blocked    time.Time

	handle []byte    // of its owner
	kind   auth.Kind // of the account
	live   bool      // the account is active
}

// ceremony is a row of the table.
type ceremony struct {
	hash      []byte
	kind      Kind
	challenge []byte
	account   identity.AccountID
	origin    string
	expires   time.Time
}

// Asked is what a browser needs to ask the person's authenticator.
type Asked struct {
	Handle    string // comes back with the answer
	Challenge []byte
	Host      string
	Timeout   time.Duration
	Keys      []Known // of the account; none for a login, which any discoverable key may answer
}

// Known is a key that the account has already.
type Known struct {
	Credential []byte
	Transports []string
}

// Offered is Asked for a key that is to be made.
type Offered struct {
	Asked
	UserHandle []byte
	Label      string
}

func random() []byte {
	b := make([]byte, secretLen)
	_, _ = rand.Read(b) // never fails
	return b
}

func hashOf(handle string) []byte {
	h := sha256.Sum256([]byte(handle))
	return h[:]
}

// begin makes a ceremony that is not saved yet.
func (s *Service) begin(k Kind, a identity.AccountID, site Site) (Asked, ceremony, error) {
	if err := site.usable(); err != nil {
		return Asked{}, ceremony{}, err
	}
	handle := base64.RawURLEncoding.EncodeToString(random())
	c := ceremony{hash: hashOf(handle), kind: k, challenge: random(), account: a, origin: site.Origin, expires: s.now().Add(askTime)}
	return Asked{Handle: handle, Challenge: c.challenge, Host: site.Host, Timeout: askTime}, c, nil
}

// field is the place of a passkey's name. It is sealed: people call their phone by their name.
func field(t identity.TenantID, p ID) crypt.Field {
	return crypt.Field{Tenant: t, Table: "passkey", Column: "name", Row: p.String()}
}

// own is the principal of ctx with the policy that lets it act on its own passkeys.
func (s *Service) own(ctx context.Context, action string, p ID) (auth.Principal, string, error) {
	who, err := auth.From(ctx)
	if err != nil {
		return who, "", err
	}
	item := ""
	if !p.IsZero() {
		item = p.String()
	}
	d, err := s.Authz.Check(ctx, authz.Request{Action: action, Noun: "Passkey", ID: item, Attrs: map[string]any{"account": who.Account.String()}})
	return who, d.Policy, err
}

// Offer begins a registration for the account of ctx: auth.step_up, identity.passkey_site, identity.too_many_passkeys,
// identity.passkey_too_often.
func (s *Service) Offer(ctx context.Context, site Site) (Offered, error) {
	who, _, err := s.own(ctx, "identity.offer_passkey", ID{})
	if err != nil {
		return Offered{}, err
	}
	asked, c, err := s.begin(Add, who.Account, site)
	if err != nil {
		return Offered{}, err
	}
	o := Offered{Asked: asked}
	if o.Label, err = s.Label(ctx, who.Tenant, who.Account); err != nil {
		return Offered{}, err
	}
	network, err := s.Network(ctx, who.Tenant)
	if err != nil {
		return Offered{}, err
	}
	if o.UserHandle, err = s.Store.offer(ctx, who.Tenant, c, network, random()); err != nil {
		return Offered{}, err
	}
	keys, err := s.Store.keys(ctx, who.Tenant, who.Account)
	if err != nil {
		return Offered{}, err
	}
	if len(keys) >= maxKeys {
		return Offered{}, identity.ErrTooManyPasskeys.New()
	}
	o.Keys = known(keys, site.Host)
	return o, nil
}

// known are the keys that work on the host.
func known(keys []stored, host string) []Known {
	out := []Known{}
	for _, k := range keys {
		if k.host == host && k.blocked.IsZero() {
			out = append(out, Known{k.credential, k.transports})
		}
	}
	return out
}

// shown is a passkey as its owner sees it.
type shown struct {
	stored
	title secret.Text
}

// add finishes a registration: identity.passkey_expired, identity.passkey_invalid, identity.passkey_taken,
// identity.too_many_passkeys.
func (s *Service) add(ctx context.Context, site Site, handle, name string, n NewCredential) (shown, error) {
	who, policy, err := s.own(ctx, "identity.add_passkey", ID{})
	if err != nil {
		return shown{}, err
	}
	title, err := readName(name)
	if err != nil {
		return shown{}, err
	}
	c, err := s.taken(ctx, who.Tenant, handle, Add, site, who.Account)
	if err != nil {
		return shown{}, s.refused(ctx, refusal{who: who, tenant: who.Tenant, action: "identity.add_passkey", account: who.Account, code: err, policy: policy})
	}
	owner, err := s.Store.handle(ctx, who.Tenant, who.Account)
	if err != nil {
		return shown{}, err
	}
	made, why := readNew(site, owner, c.challenge, n)
	if why != "" {
		return shown{}, s.refused(ctx, refusal{
			who: who, tenant: who.Tenant, action: "identity.add_passkey", account: who.Account, code: identity.ErrPasskeyInvalid.New(), why: why, policy: policy,
		})
	}
	made.id, made.account, made.host, made.created = id.New[Passkey](s.now()), who.Account, site.Host, s.now()
	if made.name, err = s.Crypt.SealText(ctx, field(who.Tenant, made.id), title); err != nil {
		return shown{}, err
	}
	return shown{made, title}, s.Store.add(ctx, who.Tenant, made, policy)
}

// readName is 1 to 40 characters: identity.passkey_invalid.
func readName(name string) (secret.Text, error) {
	name = strings.TrimSpace(name)
	if n := utf8.RuneCountInString(name); n == 0 || n > maxName {
		return secret.Text{}, identity.ErrPasskeyInvalid.At("name", "want 1 to 40 characters")
	}
	return secret.New(name), nil
}

// list are the account's passkeys, the oldest first; an account has at most twenty.
func (s *Service) list(ctx context.Context) ([]shown, error) {
	who, _, err := s.own(ctx, "identity.list_passkeys", ID{})
	if err != nil {
		return nil, err
	}
	keys, err := s.Store.keys(ctx, who.Tenant, who.Account)
	if err != nil {
		return nil, err
	}
	var out []shown
	for _, k := range keys {
		title, err := s.Crypt.OpenText(ctx, field(who.Tenant, k.id), k.name)
		if err != nil {
			return nil, err
		}
		out = append(out, shown{k, title})
	}
	return out, nil
}

// rename changes what the owner calls it: identity.passkey_not_found.
func (s *Service) rename(ctx context.Context, p ID, name string) error {
	who, policy, err := s.own(ctx, "identity.rename_passkey", p)
	if err != nil {
		return err
	}
	title, err := readName(name)
	if err != nil {
		return err
	}
	sealed, err := s.Crypt.SealText(ctx, field(who.Tenant, p), title)
	if err != nil {
		return err
	}
	return s.Store.rename(ctx, who.Tenant, who.Account, p, sealed, policy)
}

// remove takes it away: auth.step_up, identity.passkey_not_found.
func (s *Service) remove(ctx context.Context, p ID) error {
	who, policy, err := s.own(ctx, "identity.remove_passkey", p)
	if err != nil {
		return err
	}
	return s.Store.remove(ctx, who.Tenant, who.Account, p, policy)
}
