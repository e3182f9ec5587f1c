package keysource

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	mrand "math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/fault"
	"xinglin/internal/kernel/secret"
)

// KMSVersion is the version of the service's API.
const KMSVersion = "2016-01-20"

const (
	kmsTries   = 4
	kmsAttempt = 5 * time.Second
	kmsPause   = 250 * time.Millisecond // doubles
	maxAnswer  = 64 << 10
)

// kmsFile describes a key of Alibaba Cloud KMS.
type kmsFile struct {
	Kind     string `json:"kind"`
	Endpoint string `json:"endpoint"` // https://kms.REGION.aliyuncs.com, or https://ID.cryptoservice.kms.aliyuncs.com with ca
	Key      string `json:"key"`      // key id or alias/NAME
	KeyID    string `json:"access_key_id"`
	Secret   string `json:"access_key_secret"` // reference
	CA       string `json:"ca,omitempty"`      // PEM of the authority to trust in place of the system's
}

// kms is the service's client: RPC calls as POST with a form, so that nothing stands in an address.
type kms struct {
	base  string
	key   string
	who   accessKey
	clock clock.Clock
	http  *http.Client
	pause time.Duration
}

func openKMS(b []byte, dir string) (*kms, error) {
	var f kmsFile
	if err := decode(b, &f); err != nil {
		return nil, err
	}
	u, err := url.Parse(f.Endpoint)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || strings.Trim(u.Path, "/") != "" {
		return nil, ErrFile.At("endpoint", "want https://HOST")
	}
	if u.Scheme != "https" && (u.Scheme != "http" || !loopback(u.Hostname())) {
		return nil, ErrFile.At("endpoint", "want https: plain http only on the loopback")
	}
	if f.Key == "" || f.KeyID == "" {
		return nil, ErrFile.At("key", "want key and access_key_id")
	}
	text, err := reveal(dir, f.Secret)
	if err != nil {
		return nil, err
	}
	conf := &tls.Config{MinVersion: tls.VersionTLS12} // the cloud's; 1.3 where it has it
	if f.CA != "" {
		pem, err := os.ReadFile(beside(dir, f.CA))
		if err != nil {
			return nil, ErrMissing.Wrap(err)
		}
		conf.RootCAs = x509.NewCertPool()
		if !conf.RootCAs.AppendCertsFromPEM(pem) {
			return nil, ErrFile.At("ca", "no certificate in the file")
		}
	}
	return &kms{
		base: u.Scheme + "://" + u.Host + "/", key: f.Key, who: accessKey{f.KeyID, secret.New(text)}, clock: clock.System{}, pause: kmsPause,
		http: &http.Client{
			Timeout:       kmsAttempt,
			Transport:     &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: conf, DisableKeepAlives: true, ForceAttemptHTTP2: true},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// Name implements Source.
func (k *kms) Name() Name { return Name{"kms", k.key} }

// Wrap implements Source.
func (k *kms) Wrap(ctx context.Context, key []byte, about About) ([]byte, error) {
	out, err := k.call(ctx, "Encrypt", url.Values{
		"KeyId": {k.key}, "Plaintext": {base64.StdEncoding.EncodeToString(key)}, "EncryptionContext": {about.json()},
	})
	if err != nil {
		return nil, err
	}
	if out.CiphertextBlob == "" {
		return nil, ErrRefused.Because("Encrypt: answer without CiphertextBlob")
	}
	return []byte(out.CiphertextBlob), nil
}

// Unwrap implements Source.
func (k *kms) Unwrap(ctx context.Context, wrapped []byte, about About) ([]byte, error) {
	out, err := k.call(ctx, "Decrypt", url.Values{"CiphertextBlob": {string(wrapped)}, "EncryptionContext": {about.json()}})
	if err != nil {
		return nil, err
	}
	key, err := base64.StdEncoding.DecodeString(out.Plaintext)
	if err != nil || len(key) != KeySize {
		return nil, ErrRefused.Because("Decrypt: the answer holds no key of %d bytes", KeySize)
	}
	return key, nil
}

// json is the encryption context: the service binds it, asks for it again, and logs it.
func (a About) json() string {
	b, err := json.Marshal(map[string]string{"program": "xinglin", "installation": a.Installation, "fingerprint": a.Fingerprint})
	if err != nil {
		panic(err) // strings
	}
	return string(b)
}

// kmsAnswer has the fields of all answers.
type kmsAnswer struct {
	CiphertextBlob string
	Plaintext      string
	Code           string
	RequestID      string `json:"RequestId"`
}

// call asks until there is an answer, at most kmsTries times: only what passes by itself is repeated.
func (k *kms) call(ctx context.Context, action string, form url.Values) (kmsAnswer, error) {
	var last error
	for n := range kmsTries {
		if n > 0 {
			d := k.pause << (n - 1)
			t := time.NewTimer(d + mrand.N(d/2+1))
			select {
			case <-t.C:
			case <-ctx.Done():
				t.Stop()
				return kmsAnswer{}, ErrUnavailable.Because("%s: %w", action, errors.Join(ctx.Err(), last))
			}
		}
		out, err := k.once(ctx, action, form)
		if err == nil || fault.Of(err) != nil {
			return out, err
		}
		last = err
	}
	return kmsAnswer{}, ErrUnavailable.Because("%s, asked %d times: %w", action, kmsTries, last)
}

// once returns a fault when repeating does not help.
func (k *kms) once(ctx context.Context, action string, form url.Values) (out kmsAnswer, err error) {
	body := []byte(percent(form))
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, k.base, bytes.NewReader(body))
	if err != nil {
		return out, ErrFile.Wrap(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Accept", "application/json")
	r.Header.Set(headerAction, action)
	r.Header.Set(headerVer, KMSVersion)
	nonce := make([]byte, 16)
	_, _ = rand.Read(nonce) // never fails on supported systems
	k.who.sign(r, body, k.clock.Now(), hex.EncodeToString(nonce))
	res, err := k.http.Do(r)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err
		}
		var bad *tls.CertificateVerificationError
		if errors.As(err, &bad) {
			return out, ErrRefused.Because("the service's certificate: %w", err)
		}
		return out, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return out, err
	}
	bad := json.Unmarshal(b, &out) // its error would quote the answer
	if res.StatusCode == http.StatusOK && bad == nil && out.Code == "" {
		return out, nil
	}
	code := plainCode(out.Code)
	if passes(res.StatusCode, code) {
		return out, fmt.Errorf("status %d, code %s", res.StatusCode, code)
	}
	e := ErrRefused
	if strings.HasPrefix(code, "Forbidden.KeyNotFound") || strings.HasPrefix(code, "Forbidden.AliasNotFound") {
		e = ErrMissing
	}
	return out, e.Because("%s: status %d, code %s, request %s", action, res.StatusCode, code, plainCode(out.RequestID))
}

// passes tells trouble that passes by itself from a no.
func passes(status int, code string) bool {
	return status >= 500 || status == http.StatusTooManyRequests || status == http.StatusRequestTimeout || status == http.StatusOK ||
		strings.Contains(code, "Throttling") || code == "SignatureNonceUsed"
}

const maxCode = 80

// plainCode keeps an answer from writing into our log.
func plainCode(s string) string {
	s = strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune(".-_", r) {
			return r
		}
		return -1
	}, s[:min(len(s), maxCode)])
	if s == "" {
		return "none"
	}
	return s
}
