package provider

import (
	"context"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"xinglin/internal/identity"
	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/id"
	"xinglin/internal/kernel/page"
	"xinglin/internal/platform/authz"
	"xinglin/internal/platform/outward"
)

// Bounds of a client's description.
const (
	maxClients   = 500 // of a tenant
	maxName      = 60  // characters
	maxURIs      = 20
	maxURI       = 500 // bytes
	maxScopes    = 40
	maxOverlap   = 7 * 24 * time.Hour // the old secret beside the new one
	defaultScope = "openid"
	offlineScope = "offline_access"
)

// ofPeople are the scopes that say something about a person; a client that acts by itself has none of them.
var ofPeople = []string{defaultScope, "profile", "phone", "roles", offlineScope}

var (
	scopeRE  = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:/*?=-]{0,79}$`)
	sectorRE = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{0,62}$`)
	schemeRE = regexp.MustCompile(`^[a-z][a-z0-9+-]*\.[a-z0-9.+-]+$`) // a name that its owner controls, RFC 8252
)

// checkSpec is the decision about a client's description; what it returns is in one form.
func checkSpec(s identity.ClientSpec) (identity.ClientSpec, error) {
	bad := identity.ErrClient.At
	s.Name, s.NameEN = strings.TrimSpace(s.Name), strings.TrimSpace(s.NameEN)
	if s.NameEN == "" {
		s.NameEN = s.Name
	}
	for _, n := range []string{s.Name, s.NameEN} {
		if k := utf8.RuneCountInString(n); k == 0 || k > maxName || strings.ContainsFunc(n, hidden) {
			return s, bad("name", "want 1 to 60 visible characters")
		}
	}
	people := slices.Contains(s.Grants, identity.ByCode) || slices.Contains(s.Grants, identity.ByDevice)
	switch {
	case !slices.Contains([]identity.Accounts{identity.PatientAccounts, identity.StaffAccounts, identity.AnyAccounts}, s.Accounts):
		return s, bad("accounts", "want patient, staff or any")
	case len(s.Grants) == 0 || len(s.Grants) > 4:
		return s, bad("grants", "want at least one")
	case s.Public && slices.Contains(s.Grants, identity.ByClient):
		return s, bad("grants", "a public client cannot act by itself")
	case slices.Contains(s.Grants, identity.ByRefresh) && !people:
		return s, bad("grants", "refresh_token goes with authorization_code or the device code")
	case slices.Contains(s.Grants, identity.ByCode) != (len(s.RedirectURIs) > 0):
		return s, bad("redirect_uris", "go with authorization_code")
	case s.Sector != "" && !sectorRE.MatchString(s.Sector):
		return s, bad("sector", "want a-z, 0-9, . and -")
	}
	for _, g := range s.Grants {
		if !slices.Contains([]identity.GrantType{identity.ByCode, identity.ByRefresh, identity.ByClient, identity.ByDevice}, g) {
			return s, bad("grants", "unknown")
		}
	}
	s.Grants = sorted(s.Grants)
	if people {
		s.Scopes = append([]string{defaultScope}, s.Scopes...)
	}
	s.Scopes = sorted(s.Scopes)
	if err := checkScopes(s, people); err != nil {
		return s, err
	}
	return s, checkURIs(s)
}

// hidden are characters that a name must not have: one that turns the text around or shows nothing would
// let a client look like another on the consent page.
func hidden(r rune) bool {
	return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || unicode.Is(unicode.Co, r) || r == utf8.RuneError
}

func checkScopes(s identity.ClientSpec, people bool) error {
	if len(s.Scopes) > maxScopes {
		return identity.ErrClient.At("scopes", "too many")
	}
	for _, x := range s.Scopes {
		switch {
		case !scopeRE.MatchString(x):
			return identity.ErrClient.At("scopes", "malformed")
		case !people && slices.Contains(ofPeople, x):
			return identity.ErrClient.At("scopes", "openid, profile, phone, roles and offline_access are about people who log in")
		case x == offlineScope && !slices.Contains(s.Grants, identity.ByRefresh):
			return identity.ErrClient.At("scopes", "offline_access goes with refresh_token")
		}
	}
	return nil
}

func checkURIs(s identity.ClientSpec) error {
	for field, list := range map[string][]string{"redirect_uris": s.RedirectURIs, "logout_uris": s.LogoutURIs} {
		if len(list) > maxURIs || len(slices.Compact(slices.Sorted(slices.Values(list)))) != len(list) {
			return identity.ErrClient.At(field, "at most 20, each once")
		}
		for _, u := range list {
			if !goodRedirect(u, s.Public) {
				return identity.ErrClient.At(field, "want https://, http:// on a loopback address, or for public clients com.example.app:/; no user, no fragment")
			}
		}
	}
	if s.BackChannelURI == "" {
		return nil
	}
	if s.Public || len(s.BackChannelURI) > maxURI {
		return identity.ErrClient.At("back_channel_uri", "of confidential clients only, at most 500 bytes")
	}
	return nil
}

// goodRedirect decides which addresses a client may register.
func goodRedirect(text string, public bool) bool {
	if len(text) > maxURI || strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune(`"'<>\^{|}`+"`*", r) }) {
		return false
	}
	u, err := url.Parse(text)
	if err != nil || u.Fragment != "" || strings.Contains(text, "#") || u.User != nil {
		return false
	}
	for _, step := range strings.Split(u.Path, "/") {
		if step == ".." || step == "." {
			return false
		}
	}
	switch u.Scheme {
	case "https":
		return u.Hostname() != "" && u.Opaque == ""
	case "http":
		ip, err := netip.ParseAddr(u.Hostname())
		return u.Opaque == "" && (u.Hostname() == "localhost" || err == nil && ip.IsLoopback())
	}
	return public && schemeRE.MatchString(u.Scheme) && u.Host == ""
}

func sorted[T ~string](in []T) []T { return slices.Compact(slices.Sorted(slices.Values(in))) }

// checked is checkSpec, and that this server would call the back-channel address.
func (s *Service) checked(spec identity.ClientSpec) (identity.ClientSpec, error) {
	spec, err := checkSpec(spec)
	if err != nil || spec.BackChannelURI == "" {
		return spec, err
	}
	if err := outward.Check(spec.BackChannelURI, s.Private); err != nil {
		return spec, identity.ErrClient.At("back_channel_uri", err.Error())
	}
	return spec, nil
}

// AddClient is identity.Service's.
func (s *Service) AddClient(ctx context.Context, spec identity.ClientSpec) (m identity.MadeClient, err error) {
	who, err := auth.From(ctx)
	if err != nil {
		return m, err
	}
	d, err := s.Authz.Check(ctx, authz.Request{Action: "identity.create_client", Noun: "Client"})
	if err != nil {
		return m, err
	}
	m.ID, m.Version, m.CreatedAt = id.New[identity.Client](s.now()), 1, s.now()
	if m.ClientSpec, err = s.checked(spec); err != nil {
		return m, err
	}
	var hash []byte
	if !m.Public {
		m.Secret, hash = newToken()
	}
	return m, s.Store.addClient(ctx, who.Tenant, m.Client, hash, d.Policy)
}

// clients lists them by id.
func (s *Service) clients(ctx context.Context, r page.Request) (p page.Page[identity.Client], err error) {
	who, err := auth.From(ctx)
	if err != nil {
		return p, err
	}
	if _, err := s.Authz.Check(ctx, authz.Request{Action: "identity.list_clients", Noun: "Client"}); err != nil {
		return p, err
	}
	var after identity.ClientID
	if r.Cursor != "" {
		if after, err = id.Parse[identity.Client](r.Cursor); err != nil {
			return p, identity.ErrInvalid.At("cursor", "not a cursor of this list")
		}
	}
	if p.Items, err = s.Store.clients(ctx, who.Tenant, after, r.Size()+1); err != nil {
		return p, err
	}
	if len(p.Items) > r.Size() {
		p.Items = p.Items[:r.Size()]
		p.Next = p.Items[r.Size()-1].ID.String()
	}
	return p, nil
}

// readClient reads one: identity.client_not_found.
func (s *Service) readClient(ctx context.Context, c identity.ClientID) (identity.Client, error) {
	who, _, err := s.mayChange(ctx, "identity.read_client", c)
	if err != nil {
		return identity.Client{}, err
	}
	return s.Store.client(ctx, who.Tenant, c)
}

func (s *Service) mayChange(ctx context.Context, action string, c identity.ClientID) (auth.Principal, string, error) {
	who, err := auth.From(ctx)
	if err != nil {
		return who, "", err
	}
	d, err := s.Authz.Check(ctx, authz.Request{Action: action, Noun: "Client", ID: c.String()})
	return who, d.Policy, err
}

// updateClient replaces what the client may: identity.stale. What it was granted before ends when it would no longer get it.
func (s *Service) updateClient(ctx context.Context, c identity.ClientID, spec identity.ClientSpec, version int64) (identity.Client, error) {
	who, policy, err := s.mayChange(ctx, "identity.update_client", c)
	if err != nil {
		return identity.Client{}, err
	}
	if spec, err = s.checked(spec); err != nil {
		return identity.Client{}, err
	}
	if err := s.Store.updateClient(ctx, who.Tenant, c, spec, version, policy); err != nil {
		return identity.Client{}, err
	}
	return s.Store.client(ctx, who.Tenant, c)
}

// rotateSecret makes a new secret; the one before stays good for the overlap, at most a week.
func (s *Service) rotateSecret(ctx context.Context, c identity.ClientID, overlap time.Duration) (m identity.MadeClient, err error) {
	who, policy, err := s.mayChange(ctx, "identity.rotate_client_secret", c)
	if err != nil {
		return m, err
	}
	if overlap < 0 || overlap > maxOverlap {
		return m, identity.ErrClient.At("overlap_hours", "at most a week")
	}
	plain, hash := newToken()
	if err := s.Store.rotateSecret(ctx, who.Tenant, c, hash, s.now().Add(overlap), policy); err != nil {
		return m, err
	}
	m.Secret = plain
	m.Client, err = s.Store.client(ctx, who.Tenant, c)
	return m, err
}

// disableClient ends a client with everything that it was granted. One that is disabled stays so.
func (s *Service) disableClient(ctx context.Context, c identity.ClientID) (identity.Client, error) {
	who, policy, err := s.mayChange(ctx, "identity.disable_client", c)
	if err != nil {
		return identity.Client{}, err
	}
	if err := s.Store.disableClient(ctx, who.Tenant, c, policy); err != nil {
		return identity.Client{}, err
	}
	return s.Store.client(ctx, who.Tenant, c)
}
