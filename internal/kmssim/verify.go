package kmssim

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"slices"
	"strings"
	"time"
)

// verify checks what the service checks of a request, from the request alone: which headers are signed is the client's word, but host, action,
// version, date, nonce and the body's hash must be.
func (s *Server) verify(r *http.Request, body []byte) error {
	scheme, rest, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	part := map[string]string{}
	for p := range strings.SplitSeq(rest, ",") {
		name, v, _ := strings.Cut(p, "=")
		part[name] = v
	}
	if scheme != "ACS3-HMAC-SHA256" || part["Credential"] == "" || part["Signature"] == "" {
		return &refusal{http.StatusBadRequest, "MissingSecurityToken"}
	}
	if part["Credential"] != s.account.AccessKeyID {
		return &refusal{http.StatusNotFound, "InvalidAccessKeyId.NotFound"}
	}
	signed := strings.Split(part["SignedHeaders"], ";")
	for _, must := range []string{"host", "x-acs-action", "x-acs-version", "x-acs-date", "x-acs-signature-nonce", "x-acs-content-sha256"} {
		if !slices.Contains(signed, must) {
			return &refusal{http.StatusBadRequest, "IncompleteSignature"}
		}
	}
	if want := sum(body); r.Header.Get("X-Acs-Content-Sha256") != want {
		return &refusal{http.StatusBadRequest, "SignatureDoesNotMatch"}
	}
	if want := s.signature(r, signed); !hmac.Equal([]byte(want), []byte(part["Signature"])) {
		return &refusal{http.StatusBadRequest, "SignatureDoesNotMatch"}
	}
	at, err := time.Parse(time.RFC3339, r.Header.Get("X-Acs-Date"))
	now := s.clock.Now()
	if err != nil || at.Before(now.Add(-skew)) || at.After(now.Add(skew)) {
		return &refusal{http.StatusBadRequest, "InvalidTimeStamp.Expired"}
	}
	return s.once(r.Header.Get("X-Acs-Signature-Nonce"), now)
}

func (s *Server) signature(r *http.Request, signed []string) string {
	canonical := r.Method + "\n" + r.URL.EscapedPath() + "\n" + r.URL.RawQuery + "\n"
	for _, name := range signed {
		v := r.Header.Get(name)
		if name == "host" {
			v = r.Host
		}
		canonical += name + ":" + strings.TrimSpace(v) + "\n"
	}
	canonical += "\n" + strings.Join(signed, ";") + "\n" + r.Header.Get("X-Acs-Content-Sha256")
	mac := hmac.New(sha256.New, []byte(s.account.AccessKeySecret))
	mac.Write([]byte("ACS3-HMAC-SHA256\n" + sum([]byte(canonical))))
	return hex.EncodeToString(mac.Sum(nil))
}

func sum(b []byte) string {
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:])
}

// once remembers a nonce as long as its date would be accepted.
func (s *Server) once(nonce string, now time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, used := s.nonces[nonce]; used || nonce == "" {
		return &refusal{http.StatusBadRequest, "SignatureNonceUsed"}
	}
	if len(s.nonces) >= maxNonces {
		for n, at := range s.nonces {
			if now.Sub(at) > 2*skew {
				delete(s.nonces, n)
			}
		}
		if len(s.nonces) >= maxNonces {
			return &refusal{http.StatusTooManyRequests, "Throttling.User"}
		}
	}
	s.nonces[nonce] = now
	return nil
}
