package external

import (
	"context"
	"errors"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"xinglin/internal/identity"
	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/fault"
	"xinglin/internal/kernel/id"
	"xinglin/internal/kernel/page"
	"xinglin/internal/platform/authz"
	"xinglin/internal/platform/job"
	"xinglin/internal/platform/relying"
)

// Bounds of a provider's description.
const (
	maxIDPs   = 50 // of a tenant
	maxName   = 30 // characters
	maxURL    = 300
	maxClient = 200
	maxSecret = 500
	maxScopes = 300
	maxStrong = 10
)

var (
	keyRE   = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,29}$`)
	valueRE = regexp.MustCompile(`^[!-~]{1,200}$`)
	scopeRE = regexp.MustCompile(`^[!#-\[\]-~]+( [!#-\[\]-~]+)*$`) // RFC 6749, 3.3
)

// checkSpec is the decision about a provider's description; what it returns is in one form.
func checkSpec(s identity.IDPSpec, address func(string) error) (identity.IDPSpec, error) {
	bad := identity.ErrIDP.At
	s.Name, s.NameEN = strings.TrimSpace(s.Name), strings.TrimSpace(s.NameEN)
	if s.NameEN == "" {
		s.NameEN = s.Name
	}
	for _, n := range []string{s.Name, s.NameEN} {
		if k := utf8.RuneCountInString(n); k == 0 || k > maxName || strings.ContainsFunc(n, func(r rune) bool { return !unicode.IsPrint(r) }) {
			return s, bad("name", "want 1 to 30 visible characters")
		}
	}
	if s.Kind == identity.WeChat {
		if s.Issuer == "" && s.Pages == "" {
			s.Issuer, s.Pages = relying.WeChatAPI, relying.WeChatPages
		}
		if s.Scopes == "" {
			s.Scopes = relying.WebsiteScope
		}
	}
	switch {
	case !keyRE.MatchString(s.Key):
		return s, bad("key", "want a-z, 0-9 and -, at most 30")
	case s.Kind != identity.OIDC && s.Kind != identity.WeChat:
		return s, bad("kind", "want oidc or wechat")
	case s.Accounts != identity.PatientAccounts && s.Accounts != identity.StaffAccounts:
		return s, bad("accounts", "want patient or staff")
	case len(s.Issuer) > maxURL || address(s.Issuer) != nil || strings.Contains(s.Issuer, "?"):
		return s, bad("issuer", "want https:// and a public host, without a query")
	case s.Kind == identity.WeChat && (len(s.Pages) > maxURL || address(s.Pages) != nil || strings.Contains(s.Pages, "?")):
		return s, bad("pages", "want https:// and a public host, without a query")
	case s.Kind == identity.OIDC && s.Pages != "":
		return s, bad("pages", "of WeChat only")
	case len(s.ClientID) > maxClient || !valueRE.MatchString(s.ClientID):
		return s, bad("client_id", "want what the provider gave")
	case len(s.Secret.Reveal()) > maxSecret:
		return s, bad("secret", "at most 500 characters")
	case len(s.Scopes) > maxScopes || s.Scopes != "" && !scopeRE.MatchString(s.Scopes):
		return s, bad("scopes", "want names with a space between them")
	case s.Kind == identity.WeChat && !slices.Contains([]string{relying.WebsiteScope, relying.InsideScope, relying.SilentScope}, s.Scopes):
		return s, bad("scopes", "want snsapi_login, snsapi_userinfo or snsapi_base")
	case len(s.Strong) > maxStrong || slices.ContainsFunc(s.Strong, func(v string) bool { return !valueRE.MatchString(v) }):
		return s, bad("strong", "want at most 10 values of acr or amr")
	case s.Kind == identity.WeChat && len(s.Strong) > 0:
		return s, bad("strong", "WeChat does not say how it asked")
	}
	if s.Strong == nil {
		s.Strong = []string{}
	}
	return s, nil
}

// may asks the policies about a provider as an administrator's.
func (s *Service) may(ctx context.Context, action string, p identity.IDPID) (auth.Principal, string, error) {
	who, err := auth.From(ctx)
	if err != nil {
		return who, "", err
	}
	item := ""
	if !p.IsZero() {
		item = p.String()
	}
	d, err := s.Authz.Check(ctx, authz.Request{Action: action, Noun: "IDP", ID: item})
	return who, d.Policy, err
}

// opened opens a provider's secret.
func (s *Service) opened(ctx context.Context, t identity.TenantID, p sealedIDP, err error) (identity.IDP, error) {
	if err != nil {
		return identity.IDP{}, err
	}
	p.Secret, err = s.Crypt.OpenText(ctx, secretField(t, p.ID), p.secret)
	return p.IDP, err
}

// read reads one with its secret: identity.idp_not_found.
func (s *Service) read(ctx context.Context, t identity.TenantID, p identity.IDPID) (identity.IDP, error) {
	v, err := s.Store.one(ctx, t, "id", p)
	return s.opened(ctx, t, v, err)
}

// byKey is read by what addresses call it.
func (s *Service) byKey(ctx context.Context, t identity.TenantID, key string) (identity.IDP, error) {
	if !keyRE.MatchString(key) {
		return identity.IDP{}, identity.ErrIDPNotFound.New()
	}
	v, err := s.Store.one(ctx, t, "key", key)
	return s.opened(ctx, t, v, err)
}

// create makes one: auth.step_up, identity.idp_invalid, identity.idp_key_taken, identity.too_many_idps.
func (s *Service) create(ctx context.Context, spec identity.IDPSpec) (identity.IDP, error) {
	who, policy, err := s.may(ctx, "identity.create_idp", identity.IDPID{})
	if err != nil {
		return identity.IDP{}, err
	}
	p, err := s.made(ctx, who.Tenant, spec)
	if err != nil {
		return identity.IDP{}, err
	}
	return p.IDP, s.Store.add(ctx, who.Tenant, p, "identity.create_idp", policy)
}

// made is a new one, sealed and ready to be saved.
func (s *Service) made(ctx context.Context, t identity.TenantID, spec identity.IDPSpec) (p sealedIDP, err error) {
	if p.IDPSpec, err = checkSpec(spec, s.client.Check); err != nil {
		return p, err
	}
	if p.Secret.Empty() {
		return p, identity.ErrIDP.At("secret", "want what the provider gave")
	}
	p.ID, p.Version, p.CreatedAt = id.New[identity.IDP](s.now()), 1, s.now()
	p.secret, err = s.Crypt.SealText(ctx, secretField(t, p.ID), p.Secret)
	return p, err
}

// update replaces what may be replaced: auth.step_up, identity.stale, identity.idp_fixed.
func (s *Service) update(ctx context.Context, p identity.IDPID, spec identity.IDPSpec, version int64) (identity.IDP, error) {
	who, policy, err := s.may(ctx, "identity.update_idp", p)
	if err != nil {
		return identity.IDP{}, err
	}
	old, err := s.Store.one(ctx, who.Tenant, "id", p)
	if err != nil {
		return identity.IDP{}, err
	}
	next := sealedIDP{IDP: identity.IDP{ID: p}}
	if next.IDPSpec, err = checkSpec(spec, s.client.Check); err != nil {
		return identity.IDP{}, err
	}
	if next.Key != old.Key || next.Kind != old.Kind || next.Accounts != old.Accounts || next.Issuer != old.Issuer || next.Pages != old.Pages || next.ClientID != old.ClientID {
		return identity.IDP{}, identity.ErrIDPFixed.New()
	}
	if !next.Secret.Empty() {
		if next.secret, err = s.Crypt.SealText(ctx, secretField(who.Tenant, p), next.Secret); err != nil {
			return identity.IDP{}, err
		}
	}
	if err := s.Store.update(ctx, who.Tenant, next, version, policy); err != nil {
		return identity.IDP{}, err
	}
	if !next.Enabled {
		if err := s.endAll(ctx, who.Tenant, p); err != nil {
			return identity.IDP{}, err
		}
	}
	return s.read(ctx, who.Tenant, p)
}

// disable stops one and ends the sessions that came by it.
func (s *Service) disable(ctx context.Context, p identity.IDPID) (identity.IDP, error) {
	who, policy, err := s.may(ctx, "identity.disable_idp", p)
	if err != nil {
		return identity.IDP{}, err
	}
	if err := s.Store.disable(ctx, who.Tenant, p, policy); err != nil {
		return identity.IDP{}, err
	}
	if err := s.endAll(ctx, who.Tenant, p); err != nil {
		return identity.IDP{}, err
	}
	return s.read(ctx, who.Tenant, p)
}

// list lists them by id, without their secrets.
func (s *Service) list(ctx context.Context, r page.Request) (out page.Page[identity.IDP], err error) {
	who, _, err := s.may(ctx, "identity.list_idps", identity.IDPID{})
	if err != nil {
		return out, err
	}
	var after identity.IDPID
	if r.Cursor != "" {
		if after, err = id.Parse[identity.IDP](r.Cursor); err != nil {
			return out, identity.ErrInvalid.At("cursor", "not a cursor of this list")
		}
	}
	rows, err := s.Store.list(ctx, who.Tenant, after, r.Size()+1)
	for i, p := range rows {
		if i == r.Size() {
			out.Next = rows[i-1].ID.String()
			break
		}
		out.Items = append(out.Items, p.IDP)
	}
	return out, err
}

// readOne reads one for its administrator.
func (s *Service) readOne(ctx context.Context, p identity.IDPID) (identity.IDP, error) {
	who, _, err := s.may(ctx, "identity.read_idp", p)
	if err != nil {
		return identity.IDP{}, err
	}
	v, err := s.Store.one(ctx, who.Tenant, "id", p)
	return v.IDP, err
}

// report is what a test of a provider found.
type report struct {
	ok       bool
	problem  string // a word of platform/relying, or unreachable
	about    relying.Metadata
	redirect string // what has to be registered there
}

// test asks the provider for its description, as it is now. Of WeChat nothing can be asked before somebody logs in.
func (s *Service) test(ctx context.Context, site Site, p identity.IDPID) (r report, err error) {
	who, _, err := s.may(ctx, "identity.test_idp", p)
	if err != nil {
		return r, err
	}
	v, err := s.Store.one(ctx, who.Tenant, "id", p)
	if err != nil {
		return r, err
	}
	r.redirect = site.redirect(v.Key)
	if v.Kind == identity.WeChat {
		r.ok = true
		return r, nil
	}
	s.client.Forget(v.Issuer)
	var no *relying.Refusal
	switch r.about, err = s.client.Describe(ctx, v.Issuer); {
	case err == nil:
		r.ok = true
	case errors.As(err, &no):
		r.problem = no.Why
	case errors.Is(err, relying.ErrUnreachable):
		r.problem = "unreachable"
	default:
		return r, err
	}
	return r, nil
}

// ---- the sessions of a provider that was disabled ----

// EndKind is the job that ends the sessions of a provider that was disabled.
const EndKind = "identity.end_idp_sessions"

// endJob ends what is left when the process that disabled the provider did not come to it.
type endJob struct {
	Tenant identity.TenantID `json:"tenant_id"`
	IDP    identity.IDPID    `json:"idp_id"`
}

// Jobs are the package's.
func (s *Service) Jobs() []job.Handler {
	return []job.Handler{job.Call(EndKind, func(ctx context.Context, j endJob) error { return s.endAll(ctx, j.Tenant, j.IDP) })}
}

// maxRounds bounds one run: 200,000 sessions.
const maxRounds = 1000

func (s *Service) endAll(ctx context.Context, t identity.TenantID, p identity.IDPID) error {
	for range maxRounds {
		ended, err := s.Store.endSome(ctx, t, p)
		if err != nil || len(ended) == 0 {
			return err
		}
		s.Ended(ctx, t, ended)
	}
	return nil
}

// ---- the demo ----

// Ensure is identity.Demo's EnsureIDP.
func (s *Service) Ensure(ctx context.Context, spec identity.IDPSpec) (identity.IDPID, error) {
	who, policy, err := s.may(ctx, "identity.ensure_idp", identity.IDPID{})
	if err != nil {
		return identity.IDPID{}, err
	}
	p, err := s.made(ctx, who.Tenant, spec)
	if err != nil {
		return identity.IDPID{}, err
	}
	err = s.Store.add(ctx, who.Tenant, p, "identity.ensure_idp", policy)
	if f := fault.Of(err); f == nil || f.Code != identity.ErrIDPKey {
		return p.ID, err
	}
	old, err := s.Store.one(ctx, who.Tenant, "key", spec.Key)
	if err != nil {
		return identity.IDPID{}, err
	}
	p.ID = old.ID
	if p.secret, err = s.Crypt.SealText(ctx, secretField(who.Tenant, p.ID), p.Secret); err != nil {
		return identity.IDPID{}, err
	}
	return p.ID, s.Store.ensure(ctx, who.Tenant, p, policy)
}

// EnsureLink is identity.Demo's.
func (s *Service) EnsureLink(ctx context.Context, p identity.IDPID, a identity.AccountID, subject string) error {
	who, policy, err := s.may(ctx, "identity.ensure_idp", p)
	if err != nil {
		return err
	}
	n, err := s.prepare(ctx, who.Tenant, p, a, subject)
	if err != nil {
		return err
	}
	err = s.Store.link(ctx, who, n, policy)
	if errors.Is(err, identity.ErrLinkExists) || errors.Is(err, identity.ErrLinkTaken) || errors.Is(err, identity.ErrIDPDisabled) { // somebody tried the demo
		return nil
	}
	return err
}
