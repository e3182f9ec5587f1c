// Package outward is for calls to addresses that somebody else chose (push endpoints,
// back-channel logouts): https on the usual port of a public address only, looked at
// again after the name is resolved; no redirects, no proxy. Otherwise a caller could
// make this server speak to its own network (SSRF).
package outward

import (
	"errors"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"syscall"
	"time"
)

// special are ranges that package netip calls neither private nor local and that lead
// into a network or nowhere: shared (RFC 6598), tests, benchmarks, IPv4 within IPv6.
var special = func() (out []netip.Prefix) {
	for _, p := range []string{"0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4", "64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/23", "100::/64", "fec0::/10"} {
		out = append(out, netip.MustParsePrefix(p))
	}
	return out
}()

// Public reports whether an address is one of the Internet's.
func Public(a netip.Addr) bool {
	a = a.Unmap()
	if !a.IsGlobalUnicast() || a.IsPrivate() || a.IsLoopback() || a.IsLinkLocalUnicast() {
		return false
	}
	for _, p := range special {
		if p.Contains(a) {
			return false
		}
	}
	return true
}

// Check refuses addresses that Client would not call. private is for demos and tests:
// plain http and any host are allowed. The error's words repeat nothing of the address.
func Check(text string, private bool) error {
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" || u.User != nil || u.Fragment != "" || u.Opaque != "" {
		return errors.New("want an address without user and fragment")
	}
	if private && u.Scheme == "http" {
		return nil
	}
	if u.Scheme != "https" {
		return errors.New("want https")
	}
	if private {
		return nil
	}
	host := strings.TrimSuffix(strings.ToLower(u.Hostname()), ".")
	ip, notIP := netip.ParseAddr(host)
	switch {
	case u.Port() != "" && u.Port() != "443":
		return errors.New("want the usual port")
	case notIP == nil && !Public(ip), host == "localhost", strings.HasSuffix(host, ".localhost"), notIP != nil && !strings.Contains(host, "."):
		return errors.New("want a public address")
	}
	return nil
}

// Client calls such addresses; timeout bounds one call as a whole. Ask Check first.
func Client(timeout time.Duration, private bool) *http.Client {
	dial := &net.Dialer{Timeout: timeout}
	if !private {
		dial.Control = func(_, address string, _ syscall.RawConn) error {
			at, err := netip.ParseAddrPort(address)
			if err != nil || !Public(at.Addr()) {
				return errors.New("not a public address")
			}
			return nil
		}
	}
	return &http.Client{
		Timeout:       timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			DialContext: dial.DialContext, TLSHandshakeTimeout: timeout, ResponseHeaderTimeout: timeout, ForceAttemptHTTP2: true,
			MaxIdleConnsPerHost: 8, IdleConnTimeout: time.Minute, MaxResponseHeaderBytes: 16 << 10,
		},
	}
}
