package tenantsvc

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"strings"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/fault"
	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/authz"
	"xinglin/internal/platform/settings"
	"xinglin/internal/tenant"
)

// keyGeneration is the generation of the tenant's signing keys under which bundles are signed.
const keyGeneration = 1

// UseSections hands over the sections of all contexts, in the order in which they are put.
func (s *Service) UseSections(all []settings.Section) { s.sections = all }

// Sections are what a configuration consists of.
func (s *Service) Sections() []settings.Section { return s.sections }

func (s *Service) section(name string) (settings.Section, bool) {
	i := slices.IndexFunc(s.sections, func(x settings.Section) bool { return x.Name == name })
	if i < 0 {
		return settings.Section{}, false
	}
	return s.sections[i], true
}

func (s *Service) may(ctx context.Context, action string, b id.ID[Bundle]) (auth.Principal, authz.Decision, error) {
	who, err := auth.From(ctx)
	if err != nil {
		return who, authz.Decision{}, err
	}
	of := b.String()
	if b.IsZero() {
		of = id.ID[id.Any](who.Tenant).String()
	}
	d, err := s.authz.Check(ctx, authz.Request{Action: action, Noun: "Bundle", ID: of})
	return who, d, err
}

// live reads these sections as they live, all without names.
func (s *Service) live(ctx context.Context, names ...string) (settings.Sections, error) {
	out := settings.Sections{}
	for _, x := range s.sections {
		if len(names) > 0 && !slices.Contains(names, x.Name) {
			continue
		}
		raw, err := x.Get(ctx)
		if err != nil {
			return nil, err
		}
		out[x.Name] = raw
	}
	return out, nil
}

// Configuration is every section as it lives.
func (s *Service) Configuration(ctx context.Context) (settings.Sections, error) {
	if _, _, err := s.may(ctx, "tenant.read_configuration", id.ID[Bundle]{}); err != nil {
		return nil, err
	}
	return s.live(ctx)
}

// Export is the configuration as a signed bundle, all of it or the named sections.
func (s *Service) Export(ctx context.Context, names ...string) (settings.File, error) {
	who, d, err := s.may(ctx, "tenant.export_bundle", id.ID[Bundle]{})
	if err != nil {
		return settings.File{}, err
	}
	for _, n := range names {
		if _, ok := s.section(n); !ok {
			return settings.File{}, settings.ErrUnknown.At(n, "")
		}
	}
	lives, err := s.live(ctx, names...)
	if err != nil {
		return settings.File{}, err
	}
	digest, err := lives.Digest()
	if err != nil {
		return settings.File{}, err
	}
	t, err := s.byID(ctx, who.Tenant)
	if err != nil {
		return settings.File{}, err
	}
	b := settings.Bundle{Tenant: t.Code, Base: digest, MadeAt: s.clock.Now(), MadeBy: who.Actor(), Sections: lives}
	return s.signed(ctx, who, b, "tenant.export_bundle", d.Policy)
}

// Sign puts the tenant's own signatures under a bundle that somebody has edited.
func (s *Service) Sign(ctx context.Context, raw []byte) (settings.File, error) {
	who, d, err := s.may(ctx, "tenant.sign_bundle", id.ID[Bundle]{})
	if err != nil {
		return settings.File{}, err
	}
	f, err := settings.Read(raw)
	if err != nil {
		return f, err
	}
	if err := s.own(ctx, who, f.Bundle); err != nil {
		return f, err
	}
	f.Bundle.MadeAt, f.Bundle.MadeBy = s.clock.Now(), who.Actor()
	return s.signed(ctx, who, f.Bundle, "tenant.sign_bundle", d.Policy)
}

func (s *Service) signed(ctx context.Context, who auth.Principal, b settings.Bundle, action, policy string) (settings.File, error) {
	own, err := s.crypt.Signers(ctx, who.Tenant, keyGeneration)
	if err != nil {
		return settings.File{}, err
	}
	signers := make([]settings.Signer, len(own))
	for i := range own {
		signers[i] = own[i]
	}
	f, err := b.Signed(signers...)
	if err != nil {
		return f, err
	}
	return f, s.store.record(ctx, who.Tenant, action, policy, "", b.Sections.Names())
}

// own refuses a bundle of another tenant.
func (s *Service) own(ctx context.Context, who auth.Principal, b settings.Bundle) error {
	t, err := s.byID(ctx, who.Tenant)
	if err != nil {
		return err
	}
	if b.Tenant != t.Code {
		return tenant.ErrOtherTenant.At("bundle.tenant", "want "+t.Code)
	}
	return nil
}

func (s *Service) byID(ctx context.Context, t tenant.ID) (tenant.Tenant, error) {
	ts, err := s.List(ctx)
	if err != nil {
		return tenant.Tenant{}, err
	}
	for _, x := range ts {
		if x.ID == t {
			return x, nil
		}
	}
	return tenant.Tenant{}, tenant.ErrInvalid.At("tenant", "not in the registry")
}

// Checked is what staging a bundle would say of it.
type Checked struct {
	File  settings.File
	Diff  []settings.Change // to what lives
	Stale bool              // what lives is not what it was made from
	lives settings.Sections
}

// Check says what a bundle would change and refuses what could not be applied. Nothing is changed.
func (s *Service) Check(ctx context.Context, raw []byte) (Checked, error) {
	who, _, err := s.may(ctx, "tenant.read_configuration", id.ID[Bundle]{})
	if err != nil {
		return Checked{}, err
	}
	return s.check(ctx, who, raw)
}

func (s *Service) check(ctx context.Context, who auth.Principal, raw []byte) (c Checked, err error) {
	if c.File, err = settings.Read(raw); err != nil {
		return c, err
	}
	if err := s.own(ctx, who, c.File.Bundle); err != nil {
		return c, err
	}
	trusted, err := s.trusted(ctx, who.Tenant)
	if err != nil {
		return c, err
	}
	if err := c.File.Verify(trusted); err != nil {
		return c, err
	}
	if err := s.compare(ctx, &c); err != nil {
		return c, err
	}
	return c, s.checkSections(ctx, c.File.Bundle.Sections, c.lives)
}

// compare fills in what lives and how the bundle differs from it.
func (s *Service) compare(ctx context.Context, c *Checked) (err error) {
	b := c.File.Bundle
	if c.lives, err = s.live(ctx, b.Sections.Names()...); err != nil {
		return err
	}
	digest, err := c.lives.Digest()
	if err != nil {
		return err
	}
	c.Stale = digest != b.Base
	c.Diff, err = settings.Diff(c.lives, b.Sections)
	return err
}

// checkSections asks the context of every section that would change; all refusals together, by section and path.
func (s *Service) checkSections(ctx context.Context, in, lives settings.Sections) error {
	var ds []fault.Detail
	for _, name := range in.Names() {
		x, ok := s.section(name)
		if !ok {
			return settings.ErrUnknown.At(name, "")
		}
		if same(in[name], lives[name]) {
			continue
		}
		err := x.Check(ctx, in[name])
		if err == nil {
			continue
		}
		f := fault.Of(err)
		if f == nil {
			return err
		}
		if len(f.Details) == 0 {
			ds = append(ds, fault.Detail{Path: name, Code: f.Code.Name, Message: f.Code.EN})
		}
		for _, d := range f.Details {
			ds = append(ds, fault.Detail{Path: strings.TrimSuffix(name+"."+d.Path, "."), Code: f.Code.Name, Message: d.Message})
		}
	}
	if len(ds) > 0 {
		return settings.ErrRefused.With(ds[:min(len(ds), 50)]...)
	}
	return nil
}

// trusted are the tenant's own keys and those that it was told to trust.
func (s *Service) trusted(ctx context.Context, t tenant.ID) ([]settings.Key, error) {
	own, err := s.crypt.Signers(ctx, t, keyGeneration)
	if err != nil {
		return nil, err
	}
	var out []settings.Key
	for _, x := range own {
		k, err := settings.ParseKey(x.Public())
		if err != nil {
			return nil, err
		}
		out = append(out, k)
	}
	others, err := s.store.trustedKeys(ctx, t)
	for _, k := range others {
		out = append(out, k.Key)
	}
	return out, err
}

// Trust takes bundles under this key from now on.
func (s *Service) Trust(ctx context.Context, title string, public []byte) (settings.Key, error) {
	who, d, err := s.may(ctx, "tenant.trust_key", id.ID[Bundle]{})
	if err != nil {
		return settings.Key{}, err
	}
	k, err := settings.ParseKey(public)
	if err != nil {
		return k, err
	}
	if title = strings.TrimSpace(title); title == "" || len(title) > maxName {
		return k, tenant.ErrInvalid.At("name", "want 1 to 100 bytes")
	}
	return k, s.store.trust(ctx, who.Tenant, TrustedKey{k, title}, d.Policy)
}

// Distrust takes no more bundles under this key. What is staged under it is checked again before it is applied.
func (s *Service) Distrust(ctx context.Context, name string) error {
	who, d, err := s.may(ctx, "tenant.trust_key", id.ID[Bundle]{})
	if err != nil {
		return err
	}
	return s.store.distrust(ctx, who.Tenant, name, d.Policy)
}

// Trusted are the keys whose bundles the tenant takes; its own have no title.
func (s *Service) Trusted(ctx context.Context) ([]TrustedKey, error) {
	who, _, err := s.may(ctx, "tenant.read_configuration", id.ID[Bundle]{})
	if err != nil {
		return nil, err
	}
	all, err := s.trusted(ctx, who.Tenant)
	if err != nil {
		return nil, err
	}
	titled, err := s.store.trustedKeys(ctx, who.Tenant)
	var out []TrustedKey
	for _, k := range all {
		title := ""
		for _, x := range titled {
			if x.Name == k.Name {
				title = x.Title
			}
		}
		out = append(out, TrustedKey{k, title})
	}
	return out, err
}

// same tells whether two sections' texts are one.
func same(a, b json.RawMessage) bool {
	x, errX := settings.Canonical(a)
	y, errY := settings.Canonical(b)
	return errX == nil && errY == nil && bytes.Equal(x, y)
}
