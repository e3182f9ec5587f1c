package identitysvc

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"xinglin/internal/identity"
	"xinglin/internal/identity/identitysvc/passkey"
	"xinglin/internal/identity/identitysvc/provider"
	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/id"
	"xinglin/internal/kernel/secret"
	"xinglin/internal/notify"
	"xinglin/internal/platform/authz"
	"xinglin/internal/platform/batch"
	"xinglin/internal/platform/blind"
	"xinglin/internal/platform/config"
	"xinglin/internal/platform/crypt"
	"xinglin/internal/platform/module"
	"xinglin/internal/tenant"
)

// Times of sessions beside config.SessionTime and config.StaffSession, which are the
// absolute ones.
const (
	patientIdle = 14 * 24 * time.Hour // without any request
	staffIdle   = time.Hour
	accessTime  = 10 * time.Minute // of a bearer token
	seenEvery   = 5 * time.Minute  // how often last_seen_at is written
	maxSessions = 50               // live ones of an account; the one unseen for the longest goes
	freshTime   = 5 * time.Minute  // how long a proof counts for acts that ask for one
)

// Service implements identity.Service, identity.Demo and httpx.Authenticator.
type Service struct {
	store   store
	clock   clock.Clock
	authz   *authz.Engine
	crypt   *crypt.Ring
	log     *slog.Logger
	signals module.Signals
	tenants tenant.Service
	notices notify.Service
	demo    bool
	cache   *cache
	asked   *batch.Combiner[identity.TenantID, tokenAsk, liveSession] // many requests' sessions in one read
	hashes  *hasher
	openid  *provider.Service
	keys    *passkey.Service
}

var (
	_ identity.Service = (*Service)(nil)
	_ identity.Demo    = (*Service)(nil)
)

func newService(base module.Base, tenants tenant.Service, notices notify.Service) *Service {
	s := &Service{
		store: store{base.DB, blind.New(base.Crypt)}, clock: base.Clock, authz: base.Authz, crypt: base.Crypt, log: base.Log,
		signals: base.Signals, tenants: tenants, notices: notices, demo: base.Demo,
		cache: newCache(clock.Mono), hashes: newHasher(),
	}
	s.openid = provider.New(provider.Options{
		Store: s.store.provider(), Clock: base.Clock, Authz: base.Authz, Crypt: base.Crypt, Private: base.Demo,
		Profile: s.profile, Logout: s.logout,
	})
	s.keys = passkey.New(passkey.Options{
		Store: s.store.passkeys(), Clock: base.Clock, Authz: base.Authz, Crypt: base.Crypt, Label: s.label, Network: s.network,
	})
	s.asked = batch.New(batch.Options{Name: "identity.authenticate", Writers: 1, Max: maxAsked, Log: base.Log, Metrics: base.Batches}, s.store.sessionsOf(s.now))
	return s
}

// now is the instant in whole microseconds, as columns keep it.
func (s *Service) now() time.Time { return s.clock.Now().UTC().Truncate(time.Microsecond) }

// visitor is who acts before anybody has proved who they are.
func visitor(t identity.TenantID) auth.Principal {
	return auth.Principal{Kind: auth.System, Tenant: t, Name: "login"}
}

// lasts is how long a session of this kind lasts at most, and how long unused.
func lasts(k auth.Kind) (absolute, idle time.Duration) {
	if k == auth.Staff {
		return config.StaffSession, staffIdle
	}
	return config.SessionTime, patientIdle
}

// The places of sealed values. They are sealed under the tenant's key: an account is
// a way in, not the person.
func field(t identity.TenantID, table, column, row string) crypt.Field {
	return crypt.Field{Tenant: t, Table: table, Column: column, Row: row}
}

func phoneField(t identity.TenantID, a identity.AccountID) crypt.Field {
	return field(t, "account", "phone", a.String())
}

func nameField(t identity.TenantID, a identity.AccountID) crypt.Field {
	return field(t, "account", "name", a.String())
}

func totpField(t identity.TenantID, a identity.AccountID) crypt.Field {
	return field(t, "account", "totp", a.String())
}

// nextTOTPField is the place of a secret that waits for its first code.
func nextTOTPField(t identity.TenantID, a identity.AccountID) crypt.Field {
	return field(t, "ceremony", "totp", a.String())
}

// Purposes of blind indexes.
const (
	indexPhone    = "identity.phone"
	indexAddress  = "identity.address"
	indexUser     = "identity.username"
	indexCode     = "identity.code"
	indexCodeDraw = "identity.code_draw"
)

// may asks the policies about one account's item.
func (s *Service) may(ctx context.Context, action, noun, item string, account identity.AccountID) (string, error) {
	d, err := s.authz.Check(ctx, authz.Request{
		Action: action, Noun: noun, ID: item, Attrs: map[string]any{"account": account.String()},
	})
	return d.Policy, err
}

// Phone implements identity.Service.
func (s *Service) Phone(ctx context.Context, t identity.TenantID, a identity.AccountID) (secret.Text, error) {
	acc, err := s.store.account(ctx, t, a)
	if err != nil {
		return secret.Text{}, err
	}
	if len(acc.phone) == 0 {
		return secret.Text{}, identity.ErrNotFound.New()
	}
	return s.crypt.OpenText(ctx, phoneField(t, a), acc.phone)
}

// AddClient implements identity.Service.
func (s *Service) AddClient(ctx context.Context, spec identity.ClientSpec) (identity.MadeClient, error) {
	return s.openid.AddClient(ctx, spec)
}

// profile is what userinfo may tell of an account.
func (s *Service) profile(ctx context.Context, t identity.TenantID, a identity.AccountID) (provider.Profile, error) {
	m, err := s.readMe(ctx, t, a)
	if err != nil {
		return provider.Profile{}, err
	}
	p := provider.Profile{Kind: m.account.kind, Name: m.name, Username: m.account.username, Phone: m.phone, Roles: []string{}}
	for _, g := range m.account.grants {
		if !slices.Contains(p.Roles, string(g.Role)) {
			p.Roles = append(p.Roles, string(g.Role))
		}
	}
	return p, nil
}

// logout ends the session of ctx.
func (s *Service) logout(ctx context.Context) error {
	who, err := auth.From(ctx)
	if err != nil {
		return err
	}
	return s.end(ctx, "identity.end_session", who.Account, who.Session)
}

// EnsurePatient implements identity.Service.
func (s *Service) EnsurePatient(ctx context.Context, phone secret.Text) (identity.AccountID, error) {
	who, err := auth.From(ctx)
	if err != nil {
		return identity.AccountID{}, err
	}
	d, err := s.authz.Check(ctx, authz.Request{Action: "identity.ensure_patient", Noun: "Account"})
	if err != nil {
		return identity.AccountID{}, err
	}
	phone, err = normalPhone(phone)
	if err != nil {
		return identity.AccountID{}, err
	}
	fresh, err := s.newPatient(ctx, who.Tenant, phone)
	if err != nil {
		return identity.AccountID{}, err
	}
	return s.store.ensurePatient(ctx, who.Tenant, fresh, d.Policy)
}

// newPatient is the account that a phone would get, sealed and ready to be saved.
func (s *Service) newPatient(ctx context.Context, t identity.TenantID, phone secret.Text) (account, error) {
	a := account{id: id.New[auth.Account](s.now()), kind: auth.Patient, state: active, phoneKey: blind.Of(indexPhone, phone)}
	var err error
	a.phone, err = s.crypt.SealText(ctx, phoneField(t, a.id), phone)
	return a, err
}
