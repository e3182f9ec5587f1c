// Package signed is JSON over HTTP between two parties that share a key: each request
// and each answer carries an HMAC, so neither can be forged, changed or replayed. The
// SMS and the real-name clients speak it, and so do their simulators.
//
// A request carries
//
//	X-Key-Id     which key
//	X-Timestamp  seconds since 1970 UTC, at most Window away from the receiver's clock
//	X-Nonce      32 hex digits, never used twice within the window
//	X-Signature  hex HMAC-SHA256 under the key over the lines, each ended by LF:
//	             request, method, path with query, timestamp, nonce, hex SHA-256 of the body
//
// and a successful answer carries X-Signature over the lines: answer, status, the
// request's nonce, hex SHA-256 of the body. Refusals have the body {"code": "..."}.
package signed

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"xinglin/internal/kernel/secret"
)

// The headers.
const (
	HeaderKeyID     = "X-Key-Id"
	HeaderTimestamp = "X-Timestamp"
	HeaderNonce     = "X-Nonce"
	HeaderSignature = "X-Signature"
)

const (
	// Window is how far the clocks of both sides may be apart.
	Window = 5 * time.Minute
	// MaxBody bounds requests and answers, in bytes.
	MaxBody   = 64 << 10
	minKey    = 16
	nonceSize = 16
)

// Key is what both parties share.
type Key struct {
	ID     string
	Secret secret.Text // at least 16 bytes; space around it is cut
}

func (k Key) check() error {
	if k.ID == "" || strings.ContainsAny(k.ID, "\r\n") || len(k.ID) > 128 {
		return errors.New("a key id of at most 128 characters wanted")
	}
	if len(k.bytes()) < minKey {
		return errors.New("a key of at least 16 bytes wanted")
	}
	return nil
}

func (k Key) bytes() []byte { return []byte(strings.TrimSpace(k.Secret.Reveal())) }

func (k Key) sign(lines ...string) string {
	h := hmac.New(sha256.New, k.bytes())
	for _, l := range lines {
		h.Write([]byte(l))
		h.Write([]byte{'\n'})
	}
	return hex.EncodeToString(h.Sum(nil))
}

func digest(body []byte) string {
	s := sha256.Sum256(body)
	return hex.EncodeToString(s[:])
}

func newNonce() string {
	b := make([]byte, nonceSize)
	_, _ = rand.Read(b) // never fails on supported systems
	return hex.EncodeToString(b)
}

// Sign puts the headers on a request with that body.
func (k Key) Sign(r *http.Request, body []byte, now time.Time) {
	stamp, nonce := strconv.FormatInt(now.Unix(), 10), newNonce()
	r.Header.Set(HeaderKeyID, k.ID)
	r.Header.Set(HeaderTimestamp, stamp)
	r.Header.Set(HeaderNonce, nonce)
	r.Header.Set(HeaderSignature, k.sign("request", r.Method, r.URL.RequestURI(), stamp, nonce, digest(body)))
}

func (k Key) answer(status int, nonce string, body []byte) string {
	return k.sign("answer", strconv.Itoa(status), nonce, digest(body))
}
