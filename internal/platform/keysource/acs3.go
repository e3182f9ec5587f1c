package keysource

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"xinglin/internal/kernel/secret"
)

// Signature of Alibaba Cloud's OpenAPI, version 3.
const (
	acs3         = "ACS3-HMAC-SHA256"
	headerAction = "X-Acs-Action"
	headerVer    = "X-Acs-Version"
	headerDate   = "X-Acs-Date"
	headerNonce  = "X-Acs-Signature-Nonce"
	headerBody   = "X-Acs-Content-Sha256"
	acsTime      = "2006-01-02T15:04:05Z"
)

// accessKey signs.
type accessKey struct {
	id     string
	secret secret.Text
}

// sign puts the headers on a request that has action, version and, with a body, its content type.
func (k accessKey) sign(r *http.Request, body []byte, now time.Time, nonce string) {
	sum := sha256.Sum256(body)
	r.Header.Set(headerBody, hex.EncodeToString(sum[:]))
	r.Header.Set(headerDate, now.UTC().Format(acsTime))
	r.Header.Set(headerNonce, nonce)
	headers := map[string]string{"host": r.URL.Host}
	for name, v := range r.Header {
		if low := strings.ToLower(name); strings.HasPrefix(low, "x-acs-") || low == "content-type" {
			headers[low] = strings.TrimSpace(v[0])
		}
	}
	names := make([]string, 0, len(headers))
	for n := range headers {
		names = append(names, n)
	}
	slices.Sort(names)
	signed := strings.Join(names, ";")
	var lines strings.Builder
	for _, n := range names {
		lines.WriteString(n + ":" + headers[n] + "\n")
	}
	canonical := strings.Join([]string{
		r.Method, r.URL.EscapedPath(), percent(r.URL.Query()), lines.String(), signed, hex.EncodeToString(sum[:]),
	}, "\n")
	hashed := sha256.Sum256([]byte(canonical))
	mac := hmac.New(sha256.New, []byte(k.secret.Reveal()))
	mac.Write([]byte(acs3 + "\n" + hex.EncodeToString(hashed[:])))
	r.Header.Set("Authorization", acs3+" Credential="+k.id+",SignedHeaders="+signed+",Signature="+hex.EncodeToString(mac.Sum(nil)))
}

// percent writes values sorted by name, encoded as RFC 3986 wants it.
func percent(v url.Values) string {
	return strings.NewReplacer("+", "%20", "%7E", "~").Replace(v.Encode())
}
