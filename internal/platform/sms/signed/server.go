package signed

import (
	"bytes"
	"crypto/hmac"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"

	"xinglin/internal/kernel/clock"
)

// maxNonces bounds the memory of the replay check; 64 bytes each, and a few minutes long.
const maxNonces = 100_000

// Why a request is refused; each is also the code in the answer's body.
const (
	CodeTooLarge  = "body_too_large"
	CodeUnsigned  = "signature_missing"
	CodeUnknown   = "key_unknown"
	CodeLate      = "timestamp_outside_window"
	CodeForged    = "signature_wrong"
	CodeReplayed  = "nonce_used"
	CodeBusy      = "too_many_requests"
	CodeMalformed = "body_malformed"
)

// Verifier is the receiving side. It is safe for concurrent use.
type Verifier struct {
	key   Key
	clock clock.Clock

	mu    sync.Mutex
	used  map[string]time.Time // nonce -> when it may be forgotten
	sweep time.Time
}

// NewVerifier checks the key; a nil clock is the system's.
func NewVerifier(k Key, c clock.Clock) (*Verifier, error) {
	if err := k.check(); err != nil {
		return nil, err
	}
	if c == nil {
		c = clock.System{}
	}
	return &Verifier{key: k, clock: c, used: map[string]time.Time{}}, nil
}

// Read reads and verifies a request. A refusal is a *Refusal with the status to answer.
func (v *Verifier) Read(r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(r.Body, MaxBody+1))
	switch {
	case err != nil:
		return nil, &Refusal{http.StatusBadRequest, CodeMalformed}
	case len(body) > MaxBody:
		return nil, &Refusal{http.StatusRequestEntityTooLarge, CodeTooLarge}
	}
	h := r.Header
	kid, stamp, nonce, sig := h.Get(HeaderKeyID), h.Get(HeaderTimestamp), h.Get(HeaderNonce), h.Get(HeaderSignature)
	if kid == "" || stamp == "" || len(nonce) != 2*nonceSize || sig == "" {
		return nil, &Refusal{http.StatusUnauthorized, CodeUnsigned}
	}
	if kid != v.key.ID {
		return nil, &Refusal{http.StatusUnauthorized, CodeUnknown}
	}
	want := v.key.sign("request", r.Method, r.URL.RequestURI(), stamp, nonce, digest(body))
	if !hmac.Equal([]byte(want), []byte(sig)) {
		return nil, &Refusal{http.StatusUnauthorized, CodeForged}
	}
	sec, err := strconv.ParseInt(stamp, 10, 64)
	now := v.clock.Now()
	at := time.Unix(sec, 0)
	if err != nil || at.Before(now.Add(-Window)) || at.After(now.Add(Window)) {
		return nil, &Refusal{http.StatusUnauthorized, CodeLate}
	}
	return body, v.once(nonce, now, at.Add(Window))
}

// once remembers a nonce as long as its timestamp would be accepted.
func (v *Verifier) once(nonce string, now, until time.Time) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if _, ok := v.used[nonce]; ok {
		return &Refusal{http.StatusUnauthorized, CodeReplayed}
	}
	if !now.Before(v.sweep) || len(v.used) >= maxNonces {
		for n, t := range v.used {
			if t.Before(now) {
				delete(v.used, n)
			}
		}
		v.sweep = now.Add(time.Minute)
	}
	if len(v.used) >= maxNonces {
		return &Refusal{http.StatusTooManyRequests, CodeBusy}
	}
	v.used[nonce] = until
	return nil
}

// Answer writes out as a signed answer with status 200.
func (v *Verifier) Answer(w http.ResponseWriter, r *http.Request, out any) {
	body, err := json.Marshal(out)
	if err != nil {
		Refuse(w, &Refusal{http.StatusInternalServerError, "internal"})
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set(HeaderSignature, v.key.answer(http.StatusOK, r.Header.Get(HeaderNonce), body))
	_, _ = w.Write(body) // the caller is gone: nothing to do
}

// Refuse writes a refusal; errors that are none become 500.
func Refuse(w http.ResponseWriter, err error) {
	ref := &Refusal{http.StatusInternalServerError, "internal"}
	errors.As(err, &ref)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(ref.Status)
	_ = json.NewEncoder(w).Encode(map[string]string{"code": ref.Code})
}

// Decode reads a body strictly: one JSON value, no unknown fields.
func Decode(body []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if d.Decode(into) != nil || d.More() {
		return &Refusal{http.StatusBadRequest, CodeMalformed}
	}
	return nil
}
