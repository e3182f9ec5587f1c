package simulate

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"strconv"
	"strings"
	"time"
)

const (
	apiPrefix = "/api/v1"
	callTime  = 12 * time.Second
	maxAnswer = 4 << 20
	atOnce    = 384 // requests on the way; the other people stand in line, as in a socket's
)

// wire sends requests as browsers do. It is safe for concurrent use.
type wire struct {
	http *http.Client
	gate chan struct{}
}

func newWire() *wire {
	return &wire{
		http: &http.Client{
			Transport:     &http.Transport{MaxIdleConns: 2 * atOnce, MaxIdleConnsPerHost: atOnce, IdleConnTimeout: 30 * time.Second, DisableCompression: true},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		gate: make(chan struct{}, atOnce),
	}
}

// call is one request.
type call struct {
	base, method, path string
	who                *account // nil: a visitor
	body               any
	key                string // Idempotency-Key
	match              string // If-Match
	slow               time.Duration
	lose               time.Duration // the client hangs up so long after it has sent everything; 0: it waits
	sent               func()        // when the request leaves the line
}

// answer is a whole answer.
type answer struct {
	status int
	code   string // of a refusal
	hit    bool   // Idempotency-Hit
	retry  time.Duration
	cookie string
	body   []byte
}

// refusal is an answer of 400 and above as an error.
type refusal struct{ answer }

// Error implements error.
func (r *refusal) Error() string {
	return fmt.Sprintf("%d %s %.300s", r.status, r.code, r.body)
}

// do sends one request and reads the whole answer; err means that none came.
func (w *wire) do(ctx context.Context, c call) (answer, error) {
	select {
	case w.gate <- struct{}{}:
		defer func() { <-w.gate }()
	case <-ctx.Done():
		return answer{}, ctx.Err()
	}
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	if c.lose > 0 {
		ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
			WroteRequest: func(httptrace.WroteRequestInfo) { time.AfterFunc(c.lose, cancel) },
		})
	}
	r, err := c.request(ctx)
	if err != nil {
		return answer{}, err
	}
	if c.sent != nil {
		c.sent()
	}
	res, err := w.http.Do(r)
	if err != nil {
		return answer{}, err
	}
	defer res.Body.Close()
	a := answer{status: res.StatusCode, hit: res.Header.Get("Idempotency-Hit") == "true"}
	if a.body, err = io.ReadAll(io.LimitReader(res.Body, maxAnswer)); err != nil {
		return answer{}, err
	}
	if n, err := strconv.Atoi(res.Header.Get("Retry-After")); err == nil {
		a.retry = time.Duration(min(n, 60)) * time.Second
	}
	for _, k := range res.Cookies() {
		if k.Name == "xinglin_session" && a.status < 400 {
			a.cookie = k.Value
		}
	}
	if a.status >= 400 {
		var p struct {
			Code string `json:"code"`
		}
		_ = json.Unmarshal(a.body, &p) // what is no problem has no code
		a.code = p.Code
	}
	return a, nil
}

func (c call) request(ctx context.Context) (*http.Request, error) {
	var raw []byte
	if c.body != nil {
		var err error
		if raw, err = json.Marshal(c.body); err != nil {
			return nil, err
		}
	}
	var in io.Reader
	switch {
	case c.body == nil:
	case c.slow > 0:
		in = &dribble{raw: raw, pause: c.slow, ctx: ctx}
	default:
		in = bytes.NewReader(raw)
	}
	path := c.path
	if !strings.HasPrefix(path, "/sim/") {
		path = apiPrefix + path
	}
	r, err := http.NewRequestWithContext(ctx, c.method, c.base+path, in)
	if err != nil {
		return nil, err
	}
	if c.body != nil {
		r.ContentLength = int64(len(raw))
		r.Header.Set("Content-Type", "application/json")
	}
	if c.key != "" {
		r.Header.Set("Idempotency-Key", c.key)
	}
	if c.match != "" {
		r.Header.Set("If-Match", c.match)
	}
	if c.method != http.MethodGet {
		r.Header.Set("Origin", c.base)
	}
	if c.who != nil {
		r.Header.Set("X-Forwarded-For", c.who.address)
		if c.who.cookie != "" {
			r.AddCookie(&http.Cookie{Name: "xinglin_session", Value: c.who.cookie})
		}
	}
	return r, nil
}

// dribble is the body of a slow client: a few bytes at a time.
type dribble struct {
	raw   []byte
	pause time.Duration
	ctx   context.Context //nolint:containedctx // it ends the pauses
}

// Read implements io.Reader.
func (d *dribble) Read(p []byte) (int, error) {
	if len(d.raw) == 0 {
		return 0, io.EOF
	}
	if err := wait(d.ctx, d.pause); err != nil {
		return 0, err
	}
	n := copy(p, d.raw[:min(len(d.raw), 32)])
	d.raw = d.raw[n:]
	return n, nil
}

// wait pauses, or ends with ctx.
func wait(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

const (
	tries    = 60
	tryPause = 200 * time.Millisecond
)

// must repeats a request until it gets an answer that is no failure of the server, at
// most a minute: processes are killed while people are at the door. A refusal is an error.
func (w *wire) must(ctx context.Context, c call, out any) (answer, error) {
	var a answer
	err := errors.New("not tried")
	for range tries {
		if a, err = w.do(ctx, c); err == nil && a.status < 400 {
			if out == nil || len(a.body) == 0 {
				return a, nil
			}
			return a, json.Unmarshal(a.body, out)
		}
		if err == nil && a.status != http.StatusTooManyRequests && a.status < 500 {
			return a, fmt.Errorf("%s %s: %w", c.method, c.path, &refusal{a})
		}
		if e := wait(ctx, max(tryPause, min(a.retry, time.Second))); e != nil {
			return a, e
		}
	}
	if err == nil {
		err = &refusal{a}
	}
	return a, fmt.Errorf("%s %s: %w", c.method, c.path, err)
}
