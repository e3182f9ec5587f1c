// Package relying is the relying party of logins that somebody else proves: an OpenID Connect
// provider (authorization code with PKCE), and OAuth 2.0 as WeChat speaks it. It knows the
// protocols and no account: what comes out is who the provider says it was, or why that is
// not to be believed.
//
// All calls go through package outward, one after the other, with a time-out and a limit on
// what is read; redirects are not followed. Errors name neither an address nor a value, since
// WeChat wants its secret in the address.
//
// Standards: RFC 6749, 7636 (S256), 9207, 9700; OpenID Connect Core and Discovery 1.0.
package relying

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/secret"
	"xinglin/internal/platform/outward"
)

const (
	callTime  = 5 * time.Second
	maxAnswer = 256 << 10 // bytes of any answer
	maxToken  = 16 << 10  // bytes of an ID token
	maxKnown  = 1000      // providers whose description and keys are kept
)

// ErrUnreachable: the provider did not answer, or not in its protocol.
var ErrUnreachable = errors.New("relying: the provider does not answer as it should")

// Refusal is why an answer of a provider is not believed. Why is a word of this package's, never of the provider's.
type Refusal struct{ Why string }

// Error implements error.
func (r *Refusal) Error() string { return "relying: " + r.Why }

func refuse(why string) error { return &Refusal{why} }

// Person is who the provider says has logged in.
type Person struct {
	Subject string
	// Proofs are how, in the provider's words: the ID token's acr and amr. WeChat says nothing.
	Proofs []string
}

// Options are what the client is built on.
type Options struct {
	Clock clock.Clock
	// Private allows plain http and addresses of this machine and network: the demo and tests.
	Private bool
}

// Client speaks with providers. It is safe for concurrent use.
type Client struct {
	clock   clock.Clock
	private bool
	http    *http.Client

	mu    sync.Mutex
	known map[string]*known // by issuer
}

// New builds it; it does no I/O.
func New(o Options) *Client {
	return &Client{clock: o.Clock, private: o.Private, http: outward.Client(callTime, o.Private), known: map[string]*known{}}
}

// Random is 256 random bits, for a state, a nonce or a PKCE verifier.
func Random() secret.Text {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // never fails
	return secret.New(base64.RawURLEncoding.EncodeToString(b))
}

func challenge(verifier secret.Text) string {
	h := sha256.Sum256([]byte(verifier.Reveal()))
	return base64.RawURLEncoding.EncodeToString(h[:])
}

// Check says what is wrong with an address that a provider is to have; nil for a good one.
func (c *Client) Check(address string) error { return outward.Check(address, c.private) }

// read makes one call and decodes its JSON. The status is the caller's to judge; what cannot be read is ErrUnreachable.
func (c *Client) read(ctx context.Context, req *http.Request, media string, into any) (status int, err error) {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	req.Header.Set("Accept", "application/json")
	res, err := c.http.Do(req.WithContext(ctx))
	if err != nil {
		return 0, ErrUnreachable // the error of net/http has the address in it
	}
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	if err != nil {
		return res.StatusCode, ErrUnreachable
	}
	if len(b) > maxAnswer {
		return res.StatusCode, refuse("answer_too_large")
	}
	kind, _, err := mime.ParseMediaType(res.Header.Get("Content-Type"))
	if err != nil || media != "" && kind != media && !(media == jsonMedia && strings.HasSuffix(kind, "+json")) {
		return res.StatusCode, ErrUnreachable
	}
	if json.Unmarshal(b, into) != nil {
		return res.StatusCode, ErrUnreachable
	}
	return res.StatusCode, nil
}

const jsonMedia = "application/json"

// get reads an address of the provider's.
func (c *Client) get(ctx context.Context, address, media string, into any) error {
	if c.Check(address) != nil {
		return refuse("address")
	}
	req, err := http.NewRequest(http.MethodGet, address, nil)
	if err != nil {
		return refuse("address")
	}
	status, err := c.read(ctx, req, media, into)
	if err == nil && status != http.StatusOK {
		err = ErrUnreachable
	}
	return err
}

// withQuery adds parameters to an address that may have some.
func withQuery(address string, q url.Values) (string, error) {
	u, err := url.Parse(address)
	if err != nil {
		return "", refuse("address")
	}
	all := u.Query()
	for k, v := range q {
		all[k] = v
	}
	u.RawQuery = all.Encode()
	return u.String(), nil
}

// printable refuses what is no plain text of at most n bytes.
func printable(s string, n int) bool {
	return s != "" && len(s) <= n && !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\uFFFD' })
}
