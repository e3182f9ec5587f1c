package signed

import (
	"bytes"
	"context"
	"crypto/hmac"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"xinglin/internal/kernel/clock"
)

// DefaultTimeout bounds one call from connecting to the last byte.
const DefaultTimeout = 10 * time.Second

// Options make a Client.
type Options struct {
	URL     string // https, or http on the loopback; a path is kept as prefix
	Key     Key
	Clock   clock.Clock   // nil is the system's
	Timeout time.Duration // 0 is DefaultTimeout
}

// Client makes signed calls, one attempt each: repeating is the caller's job.
type Client struct {
	base  string
	key   Key
	clock clock.Clock
	http  *http.Client
}

// Refusal is the other side's no: repeating the same will not help. Code is the
// other side's, letters, digits, dots, dashes and underscores only.
type Refusal struct {
	Status int
	Code   string
}

// Error names status and code.
func (r *Refusal) Error() string { return fmt.Sprintf("refused with %d %s", r.Status, r.Code) }

// NewClient checks the options.
func NewClient(o Options) (*Client, error) {
	u, err := url.Parse(o.URL)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, errors.New("an address of the form https://HOST/PREFIX wanted") // the text may hold a password
	}
	if u.Scheme != "https" && (u.Scheme != "http" || !loopback(u.Hostname())) {
		return nil, errors.New("https wanted: plain http only on the loopback")
	}
	if err := o.Key.check(); err != nil {
		return nil, err
	}
	if o.Clock == nil {
		o.Clock = clock.System{}
	}
	if o.Timeout <= 0 {
		o.Timeout = DefaultTimeout
	}
	return &Client{
		base: strings.TrimSuffix(u.String(), "/"), key: o.Key, clock: o.Clock,
		http: &http.Client{
			Timeout: o.Timeout,
			Transport: &http.Transport{
				Proxy:               http.ProxyFromEnvironment,
				MaxConnsPerHost:     16,
				MaxIdleConnsPerHost: 4,
				IdleConnTimeout:     time.Minute,
				TLSHandshakeTimeout: o.Timeout,
				ForceAttemptHTTP2:   true,
			},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// Close drops idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Do sends in as JSON (nil: no body) and reads the answer into out. It returns a
// *Refusal when the other side says no; any other error means that the outcome is
// unknown and the same may be tried again. No error shows what was sent.
func (c *Client) Do(ctx context.Context, method, path string, in, out any) error {
	var body []byte
	if in != nil {
		var err error
		if body, err = json.Marshal(in); err != nil {
			return fmt.Errorf("encode: %w", err)
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	c.key.Sign(req, body, c.clock.Now())
	res, err := c.http.Do(req)
	if err != nil {
		return plain(err)
	}
	defer res.Body.Close()
	got, err := io.ReadAll(io.LimitReader(res.Body, MaxBody+1))
	if err != nil {
		return fmt.Errorf("answer: %w", plain(err))
	}
	if len(got) > MaxBody {
		return fmt.Errorf("answer larger than %d bytes", MaxBody)
	}
	if res.StatusCode != http.StatusOK {
		return refused(res.StatusCode, got)
	}
	want := c.key.answer(res.StatusCode, req.Header.Get(HeaderNonce), got)
	if !hmac.Equal([]byte(want), []byte(res.Header.Get(HeaderSignature))) {
		return errors.New("answer with a wrong signature")
	}
	if json.Unmarshal(got, out) != nil { // its error would quote the answer
		return errors.New("answer is not the JSON expected")
	}
	return nil
}

// refused tells a final no from trouble that passes: 408, 429 and 5xx.
func refused(status int, body []byte) error {
	if status < 400 || status >= 500 || status == http.StatusRequestTimeout || status == http.StatusTooManyRequests {
		return fmt.Errorf("status %d", status)
	}
	var b struct {
		Code string `json:"code"`
	}
	_ = json.Unmarshal(body, &b) // another body is a refusal without a code
	if b.Code == CodeReplayed {
		return errors.New("the request arrived twice") // what the first one did is not known
	}
	return &Refusal{Status: status, Code: plainCode(b.Code)}
}

const maxCode = 64

func plainCode(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '.', r == '-', r == '_':
			return r
		}
		return -1
	}, s[:min(len(s), maxCode)])
	if s == "" {
		return "none"
	}
	return s
}

// plain drops the address from an error of net/http.
func plain(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}
