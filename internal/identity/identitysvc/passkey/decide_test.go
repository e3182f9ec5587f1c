package passkey

import (
	"crypto/sha256"
	"errors"
	"strings"
	"testing"

	"github.com/go-webauthn/webauthn/protocol"

	"xinglin/internal/identity"
)

// Browsers make keys for names, not for addresses.
func TestUsableSites(t *testing.T) {
	for host, ok := range map[string]bool{
		"hospital.example": true, "localhost": true, "127.0.0.1": false, "[::1]": false, "::1": false, "2001:db8::1": false, "": false,
	} {
		if err := (Site{Origin: "https://" + host, Host: host}).usable(); (err == nil) != ok || err != nil && !errors.Is(err, identity.ErrPasskeySite) {
			t.Errorf("%q: %v", host, err)
		}
	}
}

func TestNames(t *testing.T) {
	for name, want := range map[string]string{
		" 我的手机 ": "我的手机", strings.Repeat("长", maxName): strings.Repeat("长", maxName), "": "", "  ": "", strings.Repeat("长", maxName+1): "",
	} {
		got, err := readName(name)
		if got.Reveal() != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q %v", name, got.Reveal(), err)
		}
	}
}

// Nobody may vouch for an authenticator: what brings certificates is refused before it is looked at.
func TestAttestations(t *testing.T) {
	for _, c := range []struct {
		name   string
		format string
		says   map[string]any
		ok     bool
	}{
		{"none", "none", nil, true},
		{"none that says something", "none", map[string]any{"sig": 1}, false},
		{"self", "packed", map[string]any{"alg": -7, "sig": []byte{1}}, true},
		{"packed with a chain", "packed", map[string]any{"alg": -7, "sig": []byte{1}, "x5c": []any{[]byte{1}}}, false},
		{"a TPM's", "tpm", map[string]any{}, false},
		{"Android's", "android-key", map[string]any{}, false},
		{"SafetyNet's", "android-safetynet", map[string]any{}, false},
		{"several", "compound", nil, false},
		{"nothing", "", nil, false},
	} {
		if got := plain(protocol.AttestationObject{Format: c.format, AttStatement: c.says}); got != c.ok {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

// The first thing that is wrong is what the trail says.
func TestBlame(t *testing.T) {
	site, challenge := Site{Origin: "https://a.example", Host: "a.example"}, []byte("01234567890123456789012345678901")
	here, there := sha256.Sum256([]byte("a.example")), sha256.Sum256([]byte("b.example"))
	right := protocol.CollectedClientData{Type: protocol.AssertCeremony, Challenge: base64url(challenge), Origin: site.Origin}
	known := protocol.AuthenticatorData{RPIDHash: here[:], Flags: protocol.FlagUserPresent | protocol.FlagUserVerified}
	for want, change := range map[string]func(*protocol.CollectedClientData, *protocol.AuthenticatorData){
		"signature": func(*protocol.CollectedClientData, *protocol.AuthenticatorData) {},
		"type":      func(c *protocol.CollectedClientData, _ *protocol.AuthenticatorData) { c.Type = protocol.CreateCeremony },
		"challenge": func(c *protocol.CollectedClientData, _ *protocol.AuthenticatorData) { c.Challenge = "x" },
		"origin": func(c *protocol.CollectedClientData, _ *protocol.AuthenticatorData) {
			c.Origin = "https://a.example:8443"
		},
		"host": func(_ *protocol.CollectedClientData, a *protocol.AuthenticatorData) { a.RPIDHash = there[:] },
		"unverified": func(_ *protocol.CollectedClientData, a *protocol.AuthenticatorData) {
			a.Flags = protocol.FlagUserPresent
		},
	} {
		c, a := right, known
		change(&c, &a)
		if got := blame(c, a, protocol.AssertCeremony, site, challenge); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	framed := right
	framed.CrossOrigin = true
	if got := blame(framed, known, protocol.AssertCeremony, site, challenge); got != "origin" {
		t.Errorf("in another page's frame: %s", got)
	}
}
