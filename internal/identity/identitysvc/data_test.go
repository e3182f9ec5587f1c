package identitysvc

import (
	"testing"
	"time"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/mask"
)

// The user names of a copy are names that one may log in with, one for each account.
func TestCopyNames(t *testing.T) {
	seen := map[string]bool{}
	for range 1000 {
		n := copyName(id.New[auth.Account](time.UnixMicro(1)))
		if !usernameRE.MatchString(n) || seen[n] {
			t.Fatalf("%s", n)
		}
		seen[n] = true
	}
	if err := checkPassword("staff-000000000000", new(mask.Copy).Password()); err != nil {
		t.Errorf("the password of a copy: %v", err)
	}
	if readTOTP(new(mask.Copy).TOTP()) == nil {
		t.Error("the one-time secret of a copy cannot be read")
	}
}

// The demo's page of a copy names nobody.
func TestMaskDemo(t *testing.T) {
	r := mask.NewRow("demo_account", map[string]any{"position": int64(3), "label": "患者 张明远", "label_en": "Patient Zhang", "password_sealed": nil})
	if err := maskDemo(t.Context(), &mask.Copy{}, r); err != nil || r.Text("label") != "账号 3" || r.Text("label_en") != "Account 3" {
		t.Errorf("%q %q %v", r.Text("label"), r.Text("label_en"), err)
	}
}
