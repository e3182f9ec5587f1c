package identitysvc

import (
	"net/netip"
	"regexp"
	"strings"

	"xinglin/internal/identity"
	"xinglin/internal/kernel/secret"
)

var mobileRE = regexp.MustCompile(`^1[3-9][0-9]{9}$`)

// normalPhone is the eleven digits of a Chinese mobile number: identity.phone_invalid.
func normalPhone(p secret.Text) (secret.Text, error) {
	s := strings.NewReplacer(" ", "", "-", "").Replace(p.Reveal())
	if rest, ok := strings.CutPrefix(s, "+86"); ok {
		s = rest
	} else if rest, ok := strings.CutPrefix(s, "0086"); ok {
		s = rest
	}
	if !mobileRE.MatchString(s) {
		return secret.Text{}, identity.ErrPhone.New()
	}
	return secret.New(s), nil
}

// addressOf is the network that a request came from: an IPv4 address, or the /64 of an
// IPv6 address, which one household owns. Empty for the command line and jobs.
func addressOf(origin string) (subject string, loopback bool) {
	text, ok := strings.CutPrefix(origin, "http ")
	if !ok {
		return "", false
	}
	a, err := netip.ParseAddr(text)
	if err != nil {
		return text, false
	}
	a = a.Unmap().WithZone("")
	if a.Is6() {
		if p, err := a.Prefix(64); err == nil {
			return p.String(), a.IsLoopback()
		}
	}
	return a.String(), a.IsLoopback()
}
