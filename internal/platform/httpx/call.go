package httpx

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/obs"
)

// layer answers a call or hands it on.
type layer func(c *call, r *http.Request)

// call is one request as the door sees it: the answer's writer and the request's context
// at once, so that what each layer finds out costs no further copy of the request. Only
// the layers change it, one after the other, before the handler runs.
type call struct {
	http.ResponseWriter
	status int

	inner context.Context // grows by what the layers add
	scope obs.Scope
	begin time.Time // monotonic

	tenant     id.ID[auth.Tenant]
	credential Credential
	cookie     bool   // the session cookie is there, maybe empty
	old        bool   // under its old name
	secure     bool   // https
	host       string // as the caller named it
	principal  auth.Principal

	pass string // Queue-Pass

	body     bytesBody
	buffered int64
	trace    [1]string // header value
}

type (
	tenantKey struct{}
	callKey   struct{}
)

// callContext is the request's context.
type callContext struct{ *call }

// Deadline implements context.Context.
func (c callContext) Deadline() (time.Time, bool) { return c.inner.Deadline() }

// Done implements context.Context.
func (c callContext) Done() <-chan struct{} { return c.inner.Done() }

// Err implements context.Context.
func (c callContext) Err() error { return c.inner.Err() }

// Value implements context.Context.
func (c callContext) Value(key any) any {
	switch key.(type) {
	case callKey, tenantKey:
		return c.call
	}
	if v := c.inner.Value(key); v != nil { // a span's traceparent counts before the caller's
		return v
	}
	return c.scope.Value(key)
}

func callOf(ctx context.Context) *call {
	c, _ := ctx.Value(callKey{}).(*call)
	return c
}

// TenantOf is the tenant of the request's host, also before login.
func TenantOf(ctx context.Context) id.ID[auth.Tenant] {
	switch v := ctx.Value(tenantKey{}).(type) {
	case id.ID[auth.Tenant]:
		return v
	case *call:
		return v.tenant
	}
	return id.ID[auth.Tenant]{}
}

// WithTenant is for doors and tests.
func WithTenant(ctx context.Context, t id.ID[auth.Tenant]) context.Context {
	return context.WithValue(ctx, tenantKey{}, t)
}

// WriteHeader notes the status.
func (c *call) WriteHeader(s int) {
	if c.status == 0 {
		c.status = s
	}
	c.ResponseWriter.WriteHeader(s)
}

// Write implies 200.
func (c *call) Write(b []byte) (int, error) {
	if c.status == 0 {
		c.status = http.StatusOK
	}
	return c.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController reach the connection.
func (c *call) Unwrap() http.ResponseWriter { return c.ResponseWriter }

// observe is the outermost layer: trace, metrics, access log.
func (a *API) observe(op *Op, next layer) http.HandlerFunc {
	seen := a.met.of(op)
	return func(w http.ResponseWriter, r *http.Request) {
		c := &call{ResponseWriter: w, inner: r.Context(), begin: clock.Mono(), host: r.Host, secure: a.scheme(r) == "https"}
		c.scope.Log, c.scope.Door, c.scope.Address = a.opt.Log, "http", a.address(r)
		c.scope.Trace = traceOf(op, r)
		end := func(error) {}
		if obs.Spans() {
			c.inner, end = obs.Start(obs.WithTrace(c.inner, c.scope.Trace), op.ID, attribute.String("http.method", r.Method))
		}
		ctx := callContext{c}
		a.headers(c, obs.TraceID(ctx))
		defer a.observed(c, op, seen, end) // also when the answer was cut off half-way
		next(c, r.WithContext(ctx))
	}
}

// traceOf is the trace of a request: the caller's, that of its key, or one that begins
// here; none where a span will bring it.
func traceOf(op *Op, r *http.Request) string {
	if t := r.Header.Get("Traceparent"); obs.IsTrace(t) {
		return t
	}
	if obs.Spans() {
		return ""
	}
	if op.Idempotent {
		if key, err := Key[id.Any](r.Header.Get("Idempotency-Key")); err == nil {
			return obs.TraceOf(key)
		}
	}
	return obs.NewTrace()
}

func (a *API) observed(c *call, op *Op, seen *seen, end func(error)) {
	if c.buffered > 0 {
		a.bodies.Add(-c.buffered)
	}
	var err error
	if c.status >= 500 {
		err = ErrInternal.New()
	}
	end(err)
	took := clock.Mono().Sub(c.begin)
	seen.count(c.status)
	if !op.Stream {
		seen.seconds.Observe(took.Seconds())
	}
	if a.opt.Log != nil && a.opt.Log.Enabled(c.inner, slog.LevelDebug) {
		obs.Log(callContext{c}).Debug("request", "op", op.ID, "status", c.status, "ms", took.Milliseconds(), "number", c.scope.Note.Number())
	}
}

func (a *API) headers(c *call, trace string) {
	h := c.Header()
	harden(h, c.secure) // where the API is the whole listener
	c.trace[0] = trace
	h["X-Trace-Id"] = c.trace[:]
	h["Date"] = a.date() // clients make their keys by it
}

// dated is the Date header of one second.
type dated struct {
	second int64
	text   []string
}

func (a *API) date() []string {
	now := a.opt.Clock.Now()
	d := a.dated.Load()
	if d == nil || d.second != now.Unix() {
		d = &dated{now.Unix(), []string{now.UTC().Format(http.TimeFormat)}}
		a.dated.Store(d)
	}
	return d.text
}

// Site is the site that the caller asked: its origin, and its host name without the port. Empty outside a request.
func Site(ctx context.Context) (origin, host string) {
	c := callOf(ctx)
	if c == nil || c.host == "" {
		return "", ""
	}
	scheme := "http://"
	if c.secure {
		scheme = "https://"
	}
	return scheme + strings.ToLower(c.host), hostName(c.host)
}

// Origin is the public origin that the caller asked: scheme and host, whose tenant the door has found.
func Origin(r *http.Request) string {
	if c := callOf(r.Context()); c != nil && c.secure {
		return "https://" + r.Host
	}
	return "http://" + r.Host
}
