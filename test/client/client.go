// Package client is a small typed client of the product's HTTP API, for tests and for
// the clerk: it acts as a browser does (cookie, Origin), or as an attacker does (Raw).
// It knows the wire only and imports nothing of the product's contexts.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/id"
)

// Prefix is the path of the API.
const Prefix = "/api/v1"

const (
	maxAnswer = 8 << 20
	callTime  = 40 * time.Second
	pollEach  = 50 * time.Millisecond
)

// Client is one visitor's browser. It is safe for concurrent use after login.
type Client struct {
	Base    string // http://127.0.0.1:8080
	Host    string // the Host header, when it differs from Base
	Address string // X-Forwarded-For, for servers behind --trust-proxy
	Bearer  string

	http *http.Client

	mu     sync.Mutex
	cookie string
}

// transport is shared: thousands of clients on one machine need few sockets.
var transport = &http.Transport{MaxIdleConns: 2048, MaxIdleConnsPerHost: 1024, IdleConnTimeout: 30 * time.Second}

// New is a visitor who has not logged in.
func New(base string) *Client {
	return &Client{Base: strings.TrimSuffix(base, "/"), http: &http.Client{
		Transport: transport, Timeout: callTime,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// At is the same visitor, session included, at another server.
func (c *Client) At(base string) *Client {
	o := New(base)
	o.Host, o.Address, o.Bearer, o.cookie = c.Host, c.Address, c.Bearer, c.Cookie()
	return o
}

// Cookie is the session's token, "" before login.
func (c *Client) Cookie() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cookie
}

// SetCookie takes a session's token over; "" logs out on this side only.
func (c *Client) SetCookie(token string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cookie = token
}

// Header is one more header of a request; an empty value takes one away.
type Header struct{ Name, Value string }

// Key is an Idempotency-Key.
func Key(key string) Header { return Header{"Idempotency-Key", key} }

// IfMatch is the version that the caller saw.
func IfMatch(version int64) Header { return Header{"If-Match", fmt.Sprintf("%q", fmt.Sprint(version))} }

// NewKey is a fresh UUIDv7.
func NewKey() string { return id.New[id.Any](clock.System{}.Now()).String() }

// Problem is a refusal: RFC 9457 with the product's code.
type Problem struct {
	Status int    `json:"status"`
	Code   string `json:"code"`
	Title  string `json:"title_en"`
	Errors []struct {
		Path    string `json:"path"`
		Code    string `json:"code"`
		Message string `json:"message"`
	} `json:"errors"`
}

// Error implements error.
func (p *Problem) Error() string { return fmt.Sprintf("%d %s %v", p.Status, p.Code, p.Errors) }

// CodeOf is the code of a refusal, "" for everything else.
func CodeOf(err error) string {
	var p *Problem
	if errors.As(err, &p) {
		return p.Code
	}
	return ""
}

// StatusOf is the status of a refusal, 0 for everything else (also no answer at all).
func StatusOf(err error) int {
	var p *Problem
	if errors.As(err, &p) {
		return p.Status
	}
	return 0
}

// Answer is a whole answer.
type Answer struct {
	Status int
	Code   string // of the problem, "" on success
	Header http.Header
	Body   []byte
}

// Raw sends one request and reads the whole answer; err means that there was none. body
// is nil, raw ([]byte, string, io.Reader) or marshalled to JSON. A path without /api/ or
// /openapi or a leading // lies below Prefix.
func (c *Client) Raw(ctx context.Context, method, path string, body any, headers ...Header) (Answer, error) {
	r, err := c.request(ctx, method, path, body)
	if err != nil {
		return Answer{}, err
	}
	for _, h := range headers {
		switch {
		case strings.EqualFold(h.Name, "Host"):
			r.Host = h.Value
		case h.Value == "":
			r.Header.Del(h.Name)
		default:
			r.Header.Set(h.Name, h.Value)
		}
	}
	res, err := c.http.Do(r)
	if err != nil {
		return Answer{}, err
	}
	defer res.Body.Close()
	a := Answer{Status: res.StatusCode, Header: res.Header}
	if a.Body, err = io.ReadAll(io.LimitReader(res.Body, maxAnswer)); err != nil {
		return Answer{}, err
	}
	if strings.HasPrefix(res.Header.Get("Content-Type"), "application/problem+json") {
		var p Problem
		if err := json.Unmarshal(a.Body, &p); err != nil {
			return a, fmt.Errorf("client: problem: %w", err)
		}
		a.Code = p.Code
	}
	for _, k := range res.Cookies() {
		if k.Name == "xinglin_session" && a.Status < 400 {
			c.SetCookie(k.Value)
		}
	}
	return a, nil
}

// Path puts the API's prefix before a path; paths of other doors stay.
func Path(path string) string {
	for _, own := range []string{"/api/", "/openapi", "/healthz", "/readyz", "/m/", "/metrics", "/sim/"} {
		if strings.HasPrefix(path, own) {
			return path
		}
	}
	return Prefix + path
}

func (c *Client) request(ctx context.Context, method, path string, body any) (*http.Request, error) {
	var in io.Reader
	switch b := body.(type) {
	case nil:
	case []byte:
		in = bytes.NewReader(b)
	case string:
		in = strings.NewReader(b)
	case io.Reader:
		in = b
	default:
		raw, err := json.Marshal(b)
		if err != nil {
			return nil, err
		}
		in = bytes.NewReader(raw)
	}
	r, err := http.NewRequestWithContext(ctx, method, c.Base+Path(path), in)
	if err != nil {
		return nil, err
	}
	if c.Host != "" {
		r.Host = c.Host
	}
	if in != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if c.Address != "" {
		r.Header.Set("X-Forwarded-For", c.Address)
	}
	if token := c.Cookie(); token != "" {
		r.AddCookie(&http.Cookie{Name: "xinglin_session", Value: token})
	} else if c.Bearer != "" {
		r.Header.Set("Authorization", "Bearer "+c.Bearer)
	}
	if method != http.MethodGet && method != http.MethodHead {
		r.Header.Set("Origin", "http://"+r.Host)
	}
	return r, nil
}

// Do is Raw for those who expect success: a refusal is a *Problem. The answer is decoded
// into out unless that is nil.
func (c *Client) Do(ctx context.Context, method, path string, body, out any, headers ...Header) (Answer, error) {
	a, err := c.Raw(ctx, method, path, body, headers...)
	if err != nil {
		return a, err
	}
	if a.Status >= 400 {
		p := &Problem{}
		_ = json.Unmarshal(a.Body, p) // what is no problem has no code
		p.Status = a.Status
		return a, p
	}
	if out == nil || len(a.Body) == 0 {
		return a, nil
	}
	if err := json.Unmarshal(a.Body, out); err != nil {
		return a, fmt.Errorf("client: %s %s: %w", method, path, err)
	}
	return a, nil
}

// Until asks again and again until done says so, at most as long as ctx lives.
func Until(ctx context.Context, what string, done func(context.Context) (bool, error)) error {
	tick := time.NewTicker(pollEach)
	defer tick.Stop()
	for {
		ok, err := done(ctx)
		if ok && err == nil {
			return nil
		}
		if err != nil && ctx.Err() == nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: did not come in time", what)
		case <-tick.C:
		}
	}
}

// Head is Raw for long answers: it reads until the first bytes and hangs up.
func (c *Client) Head(ctx context.Context, path string) (Answer, error) {
	r, err := c.request(ctx, http.MethodGet, path, nil)
	if err != nil {
		return Answer{}, err
	}
	res, err := c.http.Do(r)
	if err != nil {
		return Answer{}, err
	}
	defer res.Body.Close()
	a := Answer{Status: res.StatusCode, Header: res.Header, Body: make([]byte, 4096)}
	n, err := res.Body.Read(a.Body)
	a.Body = a.Body[:n]
	if n > 0 {
		err = nil
	}
	if a.Status >= 400 { // a refusal is short
		p := &Problem{}
		_ = json.Unmarshal(a.Body, p)
		a.Code = p.Code
	}
	return a, err
}
