package external

import (
	"strings"
	"testing"

	"xinglin/internal/identity"
	"xinglin/internal/kernel/fault"
	"xinglin/internal/kernel/secret"
	"xinglin/internal/platform/outward"
)

// Nobody is led away from the hospital by an address.
func TestSafeNext(t *testing.T) {
	for next, ok := range map[string]bool{
		"/m/": true, "/m/visits?x=1": true, "/console/queue#a": true, "/api/v1/oidc/continue?request=x": true,
		"": false, "https://evil.example/m/": false, "//evil.example/m/": false, `/\evil.example`: false, `/m/\..\x`: false, "/m/../api/v1/auth": false, "/m//evil.example": false,
		"/m/%2e%2e/x": false, "/m": false, "/mall": false, "javascript:alert(1)": false, "/api/v1/oidc/logout": false, "/api/v1/oidc/continued": false, "/m/\n": false, "/m/x y": false,
		"m/": false, "/console": false, "/m/" + strings.Repeat("x", maxNext): false,
	} {
		want := "/m/"
		if ok {
			want = next
		}
		if got := SafeNext(next, identity.PatientAccounts); got != want {
			t.Errorf("%q leads to %q", next, got)
		}
	}
}

func TestSpec(t *testing.T) {
	good := identity.IDPSpec{
		Key: "group", Kind: identity.OIDC, Accounts: identity.StaffAccounts, Name: "集团", Issuer: "https://id.example.com/x", ClientID: "us", Secret: secret.New("s"), Strong: []string{"mfa"},
	}
	for name, c := range map[string]struct {
		edit func(*identity.IDPSpec)
		ok   bool
	}{
		"good":             {func(*identity.IDPSpec) {}, true},
		"WeChat itself":    {func(s *identity.IDPSpec) { s.Kind, s.Issuer, s.Strong = identity.WeChat, "", nil }, true},
		"no key":           {func(s *identity.IDPSpec) { s.Key = "" }, false},
		"a key with /":     {func(s *identity.IDPSpec) { s.Key = "a/b" }, false},
		"for any":          {func(s *identity.IDPSpec) { s.Accounts = identity.AnyAccounts }, false},
		"saml":             {func(s *identity.IDPSpec) { s.Kind = "saml" }, false},
		"plain http":       {func(s *identity.IDPSpec) { s.Issuer = "http://id.example.com" }, false},
		"this machine":     {func(s *identity.IDPSpec) { s.Issuer = "https://127.0.0.1" }, false},
		"a private net":    {func(s *identity.IDPSpec) { s.Issuer = "https://10.0.0.1" }, false},
		"a query":          {func(s *identity.IDPSpec) { s.Issuer = "https://id.example.com/?a=b" }, false},
		"no name":          {func(s *identity.IDPSpec) { s.Name = " " }, false},
		"a turned name":    {func(s *identity.IDPSpec) { s.Name = "a\u202eb" }, false},
		"no client":        {func(s *identity.IDPSpec) { s.ClientID = "" }, false},
		"scopes in a line": {func(s *identity.IDPSpec) { s.Scopes = "a\nb" }, false},
		"WeChat's scopes":  {func(s *identity.IDPSpec) { s.Kind, s.Issuer, s.Strong, s.Scopes = identity.WeChat, "", nil, "openid" }, false},
		"a strong WeChat":  {func(s *identity.IDPSpec) { s.Kind, s.Issuer = identity.WeChat, "" }, false},
		"pages of OIDC":    {func(s *identity.IDPSpec) { s.Pages = "https://id.example.com" }, false},
	} {
		s := good
		c.edit(&s)
		_, err := checkSpec(s, func(a string) error { return outward.Check(a, false) })
		if f := fault.Of(err); (err == nil) != c.ok || err != nil && (f == nil || f.Code != identity.ErrIDP) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
