package identitysvc

import (
	"strings"
	"testing"

	"xinglin/internal/identity"
	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/id"
	"xinglin/internal/kernel/secret"
	"xinglin/internal/platform/httpx"
	"xinglin/internal/testkit/apitest"
)

// TestPractitioner: whose sessions an account works on is said when it is made or with its
// rights, and stands in the principal of its sessions.
func TestPractitioner(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		sec := b.loginAs(t, "guard", b.employ(t, "guard", auth.SecurityAdmin))
		lin, zhou := id.Random[id.Any](), id.Random[id.Any]()
		r := b.do("POST", "/staff/accounts", map[string]any{"username": "lin", "name": "林", "practitioner_id": lin.String()}, sec).Want(t, 201).Map(t)
		b.do("POST", "/staff/accounts", map[string]any{"username": "bad", "name": "x", "practitioner_id": "nonsense"}, sec).Refused(t, 422, "http.invalid")
		path := "/staff/accounts/" + r["id"].(string)
		login := b.do("POST", "/auth/staff/sessions", map[string]any{"username": "lin", "password": r["initial_password"], "totp": b.totp(identity.StaffAccount{TOTP: secret.New(r["totp_secret"].(string))})}).Want(t, 201)
		cookie := cookieOf(t, login)
		wants := func(want id.ID[id.Any]) {
			t.Helper()
			p, err := b.authenticate(t.Context(), apitest.Main, "cookie", strings.TrimPrefix(cookie.Value, httpx.CookieName+"="))
			if err != nil || p.Practitioner != want {
				t.Errorf("%v %v, want %v", p.Practitioner, err, want)
			}
			if got := b.do("GET", "/auth/me", nil, cookie).Want(t, 200).Map(t)["practitioner_id"]; want.IsZero() != (got == nil) || got != nil && got != want.String() {
				t.Errorf("me: %v", got)
			}
		}
		wants(lin)
		put := func(version int64, body map[string]any) apitest.Response {
			return b.do("PUT", path+"/grants", body, sec, apitest.IfMatch(version))
		}
		doctor := []any{map[string]any{"role": "doctor"}}
		put(1, map[string]any{"grants": doctor}).Want(t, 200)
		wants(lin) // left out: as it is
		put(2, map[string]any{"grants": doctor, "practitioner_id": "nonsense"}).Refused(t, 422, "identity.invalid")
		if got := put(2, map[string]any{"grants": doctor, "practitioner_id": zhou.String()}).Want(t, 200).Map(t); got["practitioner_id"] != zhou.String() {
			t.Errorf("%v", got)
		}
		wants(zhou)
		put(3, map[string]any{"grants": doctor, "practitioner_id": ""}).Want(t, 200)
		wants(id.ID[id.Any]{})
	})
}
