package tenantsvc

import (
	"bytes"
	"context"
	"encoding/binary"
	"image/png"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/authz"
	"xinglin/internal/platform/settings"
	"xinglin/internal/tenant"
)

// minContrast is that of text on a page (WCAG 2.2 AA, GB/T 37668).
const minContrast = 4.5

// Bounds of a logo.
const (
	maxLogo = 64 << 10
	maxSide = 1024
)

// siteSection is the tenant in the registry.
type siteSection struct {
	Name  string   `json:"name"`
	Hosts []string `json:"hosts"`
}

// Brand is how the tenant looks to the public. Empty fields are the product's own look.
type Brand struct {
	ShortName string `json:"short_name"`
	Phone     string `json:"phone"`
	Accent    string `json:"accent"` // #rrggbb
	Logo      []byte `json:"logo"`   // PNG
}

func (s *Service) ownSections() []settings.Section {
	return []settings.Section{
		settings.Of("tenant.site", settings.Words{ZH: "机构名称与域名", EN: "Name and host names"}, s.siteSection, s.checkSite, s.setSite),
		settings.Of("tenant.brand", settings.Words{ZH: "品牌", EN: "Brand"}, func(ctx context.Context) (Brand, error) {
			who, err := auth.From(ctx)
			if err != nil {
				return Brand{}, err
			}
			return s.Brand(ctx, who.Tenant)
		}, func(_ context.Context, b Brand) error { return b.check() }, s.setBrand),
	}
}

func (s *Service) siteSection(ctx context.Context) (siteSection, error) {
	who, err := auth.From(ctx)
	if err != nil {
		return siteSection{}, err
	}
	t, err := s.byID(ctx, who.Tenant)
	if t.Hosts == nil {
		t.Hosts = []string{}
	}
	return siteSection{t.Name, t.Hosts}, err
}

// checkSite also refuses a name without a host beside other tenants, and a host of another one.
func (s *Service) checkSite(ctx context.Context, v siteSection) error {
	who, err := auth.From(ctx)
	if err != nil {
		return err
	}
	ts, err := s.List(ctx)
	if err != nil {
		return err
	}
	for _, t := range ts {
		if t.ID == who.Tenant {
			continue
		}
		if len(v.Hosts) == 0 {
			return tenant.ErrInvalid.At("hosts", "needed, there are other tenants")
		}
		for _, h := range v.Hosts {
			if slices.Contains(t.Hosts, strings.ToLower(h)) {
				return tenant.ErrHostTaken.At("hosts", h)
			}
		}
	}
	t, err := normal(tenant.Tenant{Code: "check", Name: v.Name, Hosts: v.Hosts})
	if err == nil && (v.Hosts == nil || !slices.Equal(t.Hosts, v.Hosts)) {
		return tenant.ErrInvalid.At("hosts", "want them sorted, in lower case, each once")
	}
	return err
}

func (s *Service) setSite(ctx context.Context, v siteSection) error {
	who, err := auth.From(ctx)
	if err != nil {
		return err
	}
	if err := s.checkSite(ctx, v); err != nil {
		return err
	}
	t, err := s.byID(ctx, who.Tenant)
	if err != nil {
		return err
	}
	_, err = s.Ensure(ctx, tenant.Tenant{ID: t.ID, Code: t.Code, Name: v.Name, Hosts: v.Hosts, Demo: t.Demo})
	return err
}

// Brand is public.
func (s *Service) Brand(ctx context.Context, t tenant.ID) (Brand, error) {
	return s.store.brand(ctx, t)
}

func (s *Service) setBrand(ctx context.Context, b Brand) error {
	who, err := auth.From(ctx)
	if err != nil {
		return err
	}
	d, err := s.authz.Check(ctx, authz.Request{Action: "tenant.set_brand", Noun: "Tenant", ID: id.ID[id.Any](who.Tenant).String()})
	if err != nil {
		return err
	}
	if err := b.check(); err != nil {
		return err
	}
	return s.store.setBrand(ctx, who.Tenant, b, d.Policy)
}

var (
	accentRE = regexp.MustCompile(`^#[0-9a-f]{6}$`)
	phoneRE  = regexp.MustCompile(`^[0-9+ -]{0,24}$`)
)

func (b Brand) check() error {
	if strings.TrimSpace(b.ShortName) != b.ShortName || utf8.RuneCountInString(b.ShortName) > 12 || strings.ContainsFunc(b.ShortName, control) {
		return tenant.ErrBrand.At("short_name", "at most 12 characters")
	}
	if !phoneRE.MatchString(b.Phone) {
		return tenant.ErrBrand.At("phone", "digits, +, - and spaces, at most 24")
	}
	if b.Accent != "" {
		if !accentRE.MatchString(b.Accent) {
			return tenant.ErrBrand.At("accent", "want #rrggbb in lower case")
		}
		if c := contrast(b.Accent); c < minContrast {
			return tenant.ErrContrast.At("accent", strconv.FormatFloat(c, 'f', 2, 64)+" : 1")
		}
	}
	if b.Logo == nil || len(b.Logo) > 0 && !picture(b.Logo) {
		return tenant.ErrLogo.At("logo", "PNG, nothing else in the file, at most 64 KB and 1,024 pixels a side")
	}
	return nil
}

func control(r rune) bool { return r < ' ' || r == '\u202e' || r == '\u200b' }

// contrast is the colour's contrast with white (WCAG 2.2): from 1 for white itself to 21 for black.
func contrast(accent string) float64 {
	var l float64
	for i, weight := range []float64{0.2126, 0.7152, 0.0722} {
		v, err := strconv.ParseUint(accent[1+2*i:3+2*i], 16, 8)
		if err != nil {
			return 0
		}
		if x := float64(v) / 255; x <= 0.04045 {
			l += weight * x / 12.92
		} else {
			l += weight * math.Pow((x+0.055)/1.055, 2.4)
		}
	}
	return 1.05 / (l + 0.05)
}

// plain are the chunks of a PNG that are nothing but the picture.
var plain = []string{"IHDR", "PLTE", "tRNS", "gAMA", "cHRM", "sRGB", "pHYs", "IDAT", "IEND"}

// picture tells whether the bytes are a PNG and nothing else: no text, no profile, nothing behind the end.
func picture(b []byte) bool {
	if len(b) > maxLogo || !bytes.HasPrefix(b, []byte("\x89PNG\r\n\x1a\n")) {
		return false
	}
	for at := 8; ; {
		if at+12 > len(b) {
			return false
		}
		n, kind := int(binary.BigEndian.Uint32(b[at:])), string(b[at+4:at+8])
		if n > len(b) || !slices.Contains(plain, kind) {
			return false
		}
		if at += 12 + n; kind == "IEND" {
			if at != len(b) {
				return false
			}
			break
		}
	}
	c, err := png.DecodeConfig(bytes.NewReader(b))
	if err != nil || c.Width > maxSide || c.Height > maxSide {
		return false
	}
	_, err = png.Decode(bytes.NewReader(b))
	return err == nil
}
