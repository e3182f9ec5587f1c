package tenantsvc

import (
	"context"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/authz"
	"xinglin/internal/platform/crypt"
	"xinglin/internal/platform/module"
	"xinglin/internal/platform/settings"
	"xinglin/internal/tenant"
)

// Bounds of the registry.
const (
	maxTenants = 1000
	maxHosts   = 32 // of one tenant
	maxName    = 100
)

// Service implements tenant.Service.
type Service struct {
	store store
	authz *authz.Engine
	clock clock.Clock
	crypt *crypt.Ring
	known *register
	// sections of all contexts, handed over when all are there.
	sections []settings.Section
}

var _ tenant.Service = (*Service)(nil)

func newService(base module.Base) *Service {
	s := &Service{store: store{base.DB}, authz: base.Authz, clock: base.Clock, crypt: base.Crypt}
	s.known = newRegister(s.store)
	return s
}

// ByHost implements tenant.Service. What another process changed shows within a second.
func (s *Service) ByHost(ctx context.Context, host string) (tenant.ID, error) {
	r, err := s.known.now(ctx)
	if err != nil {
		return tenant.ID{}, err
	}
	if t, ok := r.hosts[strings.TrimSuffix(strings.ToLower(host), ".")]; ok {
		return t, nil
	}
	if len(r.tenants) == 1 && len(r.hosts) == 0 {
		return r.tenants[0].ID, nil
	}
	return tenant.ID{}, tenant.ErrUnknownHost.New()
}

// List implements tenant.Service.
func (s *Service) List(ctx context.Context) ([]tenant.Tenant, error) {
	r, err := s.store.load(ctx)
	if err != nil {
		return nil, err
	}
	return r.tenants, nil
}

var (
	codeRE = regexp.MustCompile(`^[a-z][a-z0-9-]{1,31}$`)
	hostRE = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
)

// Ensure implements tenant.Service.
func (s *Service) Ensure(ctx context.Context, t tenant.Tenant) (tenant.Tenant, error) {
	d, err := s.authz.Check(ctx, authz.Request{Action: "tenant.ensure", Noun: "Tenant", ID: t.Code})
	if err != nil {
		return tenant.Tenant{}, err
	}
	if t, err = normal(t); err != nil {
		return tenant.Tenant{}, err
	}
	if t.ID.IsZero() {
		t.ID = id.New[auth.Tenant](s.clock.Now())
	}
	made, err := s.store.ensure(ctx, t, d.Policy)
	if err != nil {
		return tenant.Tenant{}, err
	}
	s.known.forget()
	return made, nil
}

// normal brings the hosts into the form in which they are compared and refuses what
// cannot be a tenant.
func normal(t tenant.Tenant) (tenant.Tenant, error) {
	t.Name = strings.TrimSpace(t.Name)
	if !codeRE.MatchString(t.Code) {
		return t, tenant.ErrInvalid.At("code", "want 2 to 32 of a-z, 0-9 and -")
	}
	if n := utf8.RuneCountInString(t.Name); n == 0 || n > maxName {
		return t, tenant.ErrInvalid.At("name", "want 1 to 100 characters")
	}
	var hosts []string
	for _, h := range t.Hosts {
		h = strings.TrimSuffix(strings.ToLower(strings.TrimSpace(h)), ".")
		if len(h) > 253 || !hostRE.MatchString(h) {
			return t, tenant.ErrInvalid.At("hosts", "want host names without a port")
		}
		// An international name can look like another tenant's in the address bar, letter for letter.
		if strings.HasPrefix(h, "xn--") || strings.Contains(h, ".xn--") {
			return t, tenant.ErrInvalid.At("hosts", "no international names: they can look like another one")
		}
		hosts = append(hosts, h)
	}
	slices.Sort(hosts)
	t.Hosts = slices.Compact(hosts)
	if len(t.Hosts) > maxHosts {
		return t, tenant.ErrInvalid.At("hosts", "want at most 32")
	}
	return t, nil
}
