// Package wechatpay speaks the WeChat Pay v3 protocol from the merchant's side: signed requests, verified answers, and the
// verifier of the channel's callbacks. It knows no context and no database and uses the standard library's cryptography only.
//
// Amounts are int64 fen. Every request names the merchant's own number (out_trade_no, out_refund_no), which makes all of them
// idempotent at the channel; that is why each may be repeated on a network failure, a 5xx or a 429, a bounded number of times.
//
// Replay of callbacks: ParseNotify proves that a message is authentic, fresh (5 minutes either way) and ours. Whether the very
// same message was used before is the caller's to know: store Notification.ReplayKey until Notification.ReplayUntil, in the
// transaction of the effect, and answer ErrCallbackReplayed when it is there. A repeated Notification.ID under another replay
// key is the channel's own redelivery: answer success without a second effect.
package wechatpay

import (
	"context"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"time"

	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/secret"
)

// DefaultBaseURL is the channel's address for merchants in mainland China.
const DefaultBaseURL = "https://api.mch.weixin.qq.com"

// Window is how far a signed timestamp may be from our clock, either way.
const Window = 5 * time.Minute

// MaxCallback is the largest body of a callback, bytes.
const MaxCallback = 64 << 10

const (
	maxAnswer   = 1 << 20 // bytes of one answer of the channel
	minKeyBits  = 2048
	apiKeyBytes = 32
)

// Config is one merchant's account at the channel. Zero values of BaseURL, Timeout, Attempts, RetryBase and Clock mean their
// defaults.
type Config struct {
	MchID          string          // merchant number
	AppID          string          // application that the merchant number is bound to
	MerchantKey    *rsa.PrivateKey // signs our requests
	MerchantSerial string          // serial of the certificate that belongs to MerchantKey, hex
	APIv3Key       secret.Text     // 32 bytes; opens callbacks and downloaded certificates
	BaseURL        string          // scheme and host; DefaultBaseURL when empty; plain http on loopback only
	NotifyURL      string          // where the channel reports payments, absolute, without a query
	RefundURL      string          // where the channel reports refunds; NotifyURL when empty

	PlatformCerts []*x509.Certificate       // certificate mode; more are downloaded when an unknown serial shows up
	PublicKeys    map[string]*rsa.PublicKey // public key mode, by PUB_KEY_ID_...; one of them is asked for in each request

	Timeout   time.Duration // of one attempt; 10 s
	Attempts  int           // of one call in all, 1 to 10; 3
	RetryBase time.Duration // wait before the second attempt, doubled each time, with jitter; 200 ms
	Clock     clock.Clock   // the system's clock

	Wrap func(http.RoundTripper) http.RoundTripper // goes between client and network (platform/breaker); none
}

// Client is one merchant's signed client. It is safe for concurrent use.
type Client struct {
	cfg     Config
	http    *http.Client
	ring    *keyring
	ask     string // serial that requests ask the channel to sign with
	refresh chan struct{}

	mu       sync.Mutex
	notUntil time.Time // no certificate download before
}

// New checks cfg and makes its client; ErrMisconfigured says what is wrong. It does not touch the network.
func New(cfg Config) (*Client, error) {
	cfg.setDefaults()
	if err := cfg.check(); err != nil {
		return nil, ErrMisconfigured.Wrap(err)
	}
	ring, err := newKeyring(cfg.PlatformCerts, cfg.PublicKeys)
	if err != nil {
		return nil, ErrMisconfigured.Wrap(err)
	}
	c := &Client{cfg: cfg, ring: ring, ask: ring.preferred(), refresh: make(chan struct{}, 1)}
	c.http = &http.Client{
		Transport: &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			DialContext:            (&net.Dialer{Timeout: cfg.Timeout}).DialContext,
			TLSHandshakeTimeout:    cfg.Timeout,
			ResponseHeaderTimeout:  cfg.Timeout,
			MaxResponseHeaderBytes: 64 << 10,
			MaxIdleConnsPerHost:    16,
			IdleConnTimeout:        time.Minute,
			ForceAttemptHTTP2:      true,
		},
		Timeout:       cfg.Timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	if cfg.Wrap != nil {
		c.http.Transport = cfg.Wrap(c.http.Transport)
	}
	return c, nil
}

// MchID is the merchant number of this client.
func (c *Client) MchID() string { return c.cfg.MchID }

// Shutdown drops idle connections.
func (c *Client) Shutdown() { c.http.CloseIdleConnections() }

func (cfg *Config) setDefaults() {
	if cfg.BaseURL == "" {
		cfg.BaseURL = DefaultBaseURL
	}
	cfg.BaseURL = strings.TrimSuffix(cfg.BaseURL, "/")
	if cfg.RefundURL == "" {
		cfg.RefundURL = cfg.NotifyURL
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = 10 * time.Second
	}
	if cfg.Attempts == 0 {
		cfg.Attempts = 3
	}
	if cfg.RetryBase == 0 {
		cfg.RetryBase = 200 * time.Millisecond
	}
	if cfg.Clock == nil {
		cfg.Clock = clock.System{}
	}
}

var (
	mchIDForm  = regexp.MustCompile(`^[0-9]{6,32}$`)
	appIDForm  = regexp.MustCompile(`^[0-9A-Za-z_-]{4,32}$`)
	serialForm = regexp.MustCompile(`^[0-9A-Fa-f]{2,64}$`)
)

func (cfg *Config) check() error {
	switch {
	case !mchIDForm.MatchString(cfg.MchID):
		return fmt.Errorf("merchant number: 6 to 32 digits wanted")
	case !appIDForm.MatchString(cfg.AppID):
		return fmt.Errorf("appid: 4 to 32 letters and digits wanted")
	case cfg.MerchantKey == nil || cfg.MerchantKey.N.BitLen() < minKeyBits:
		return fmt.Errorf("merchant key: an RSA key of at least %d bits wanted", minKeyBits)
	case !serialForm.MatchString(cfg.MerchantSerial):
		return fmt.Errorf("merchant certificate serial: hex digits wanted")
	case len(cfg.APIv3Key.Reveal()) != apiKeyBytes:
		return fmt.Errorf("APIv3 key: %d bytes wanted", apiKeyBytes)
	case cfg.Attempts < 1 || cfg.Attempts > 10:
		return fmt.Errorf("attempts: 1 to 10 wanted")
	case cfg.Timeout < 0 || cfg.RetryBase < 0:
		return fmt.Errorf("timeout and retry base: positive durations wanted")
	}
	if err := checkURL("base address", cfg.BaseURL, true); err != nil {
		return err
	}
	if err := checkURL("notify address", cfg.NotifyURL, false); err != nil {
		return err
	}
	return checkURL("refund notify address", cfg.RefundURL, false)
}

// checkURL wants an absolute http(s) address without user, query and fragment; bare also without a path, and https unless it
// is on the loopback.
func checkURL(what, raw string, bare bool) error {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") {
		return fmt.Errorf("%s: an absolute http(s) address wanted", what)
	}
	if u.User != nil || u.RawQuery != "" || u.Fragment != "" || (bare && u.Path != "") {
		return fmt.Errorf("%s: no user, query, fragment or extra path allowed", what)
	}
	if bare && u.Scheme == "http" && !loopback(u.Hostname()) {
		return fmt.Errorf("%s: https wanted outside the loopback", what)
	}
	return nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || (ip != nil && ip.IsLoopback())
}

// wait sleeps d or until ctx ends.
func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
