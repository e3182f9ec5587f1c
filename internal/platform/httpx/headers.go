package httpx

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strings"
)

// The security headers of every answer are set here and nowhere else (docs/adr/0027).

// strict is the policy of what is no page: should a browser show it, it does nothing.
const strict = "default-src 'none'; base-uri 'none'; frame-ancestors 'none'; form-action 'none'"

// Header values that never change are shared: Set and Add replace a slice, they do not
// write into it.
var (
	strictPolicy = []string{strict}
	nosniff      = []string{"nosniff"}
	sameOrigin   = []string{"same-origin"}
	noStore      = []string{"no-store"}
	deny         = []string{"DENY"}
	// A body in chunks may also have had a length, which net/http drops: a proxy in front that counted by it takes what comes next
	// for something else (request smuggling), so nothing comes next. Browsers send no chunks.
	closing = []string{"close"}
	// Of the name itself, not of the names below it: what else the hospital serves there we do not know.
	transport = []string{"max-age=31536000"}
	// What a page may do with the device: passkeys, and nothing that it does not ask for.
	permissions = []string{"accelerometer=(), camera=(), display-capture=(), geolocation=(), gyroscope=(), magnetometer=(), microphone=(), midi=(), payment=(), " +
		"serial=(), usb=(), publickey-credentials-create=(self), publickey-credentials-get=(self)"}
)

// Harden sets the headers that every answer of a listener has, before next adds its own
// or makes them those of a page. secure: people reach it over https.
func Harden(secure bool, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		harden(h, secure || r.TLS != nil)
		if len(r.TransferEncoding) > 0 {
			h["Connection"] = closing
		}
		next.ServeHTTP(w, r)
	})
}

func harden(h http.Header, secure bool) {
	if _, done := h["Content-Security-Policy"]; done { // by the listener
		return
	}
	h["Content-Security-Policy"] = strictPolicy
	h["X-Content-Type-Options"] = nosniff
	h["Referrer-Policy"] = sameOrigin
	h["X-Frame-Options"] = deny // browsers in hospitals can be older than frame-ancestors
	h["Cross-Origin-Resource-Policy"] = sameOrigin
	h["Cache-Control"] = noStore
	if secure {
		h["Strict-Transport-Security"] = transport
	}
}

// AsPage makes the answer a page: source says what it loads and where its forms lead, by
// the directives of a Content-Security-Policy; nothing else is loaded, and nobody frames it.
func AsPage(w http.ResponseWriter, source string) {
	h := w.Header()
	h.Set("Content-Security-Policy", "default-src 'none'; base-uri 'none'; frame-ancestors 'none'; "+source)
	h["Cross-Origin-Opener-Policy"] = sameOrigin
	h["Permissions-Policy"] = permissions
}

// Inline is the source of the one block of a page between <tag> and </tag>: this text runs, or styles, and no other.
func Inline(page, tag string) string {
	_, rest, _ := strings.Cut(page, "<"+tag+">")
	block, _, _ := strings.Cut(rest, "</"+tag+">")
	sum := sha256.Sum256([]byte(block))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}
