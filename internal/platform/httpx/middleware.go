package httpx

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/attribute"
	"golang.org/x/time/rate"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/obs"
)

// CookieName is the session cookie.
const CookieName = "xinglin_session"

type (
	tenantKey struct{}
	secureKey struct{}
)

// TenantOf is the tenant of the request's host, also before login.
func TenantOf(ctx context.Context) id.ID[auth.Tenant] {
	t, _ := ctx.Value(tenantKey{}).(id.ID[auth.Tenant])
	return t
}

// WithTenant is for doors and tests.
func WithTenant(ctx context.Context, t id.ID[auth.Tenant]) context.Context {
	return context.WithValue(ctx, tenantKey{}, t)
}

// step is one layer: it calls next or answers itself.
type step func(op *Op, next http.HandlerFunc) http.HandlerFunc

// outer is the one slice of middleware, from the socket inward.
func (a *API) outer(op *Op, h http.HandlerFunc) http.HandlerFunc {
	steps := []step{
		a.observe,      // request id, trace, metrics, access log
		a.recover,      // a panic is one failed request
		a.limitAddress, // requests a second of one address
		a.limitBody,    // huge bodies
		a.admit,        // requests inside at once; the rest wait a while
		a.openDoor,     // --modules
		a.findTenant,   // from the host, never from a header of the caller's choice
		a.checkOrigin,  // unsafe methods with a cookie
		a.authenticate, // session or bearer
		a.requireKey,   // Idempotency-Key and If-Match
	}
	for i := len(steps) - 1; i >= 0; i-- {
		h = steps[i](op, h)
	}
	return h
}

type recorder struct {
	http.ResponseWriter
	status int
}

// WriteHeader notes the status.
func (r *recorder) WriteHeader(s int) {
	if r.status == 0 {
		r.status = s
	}
	r.ResponseWriter.WriteHeader(s)
}

// Write implies 200.
func (r *recorder) Write(b []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	return r.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController reach the connection.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

func (a *API) observe(op *Op, next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		begin := clock.Mono()
		ctx := r.Context()
		if a.opt.Log != nil {
			ctx = obs.WithLog(ctx, a.opt.Log)
		}
		if t := r.Header.Get("Traceparent"); traceparent.MatchString(t) && t[3:35] != noTrace {
			ctx = obs.WithTrace(ctx, t)
		}
		ctx = obs.WithOrigin(ctx, "http "+a.address(r))
		ctx, note := obs.WithNote(ctx)
		ctx, end := obs.Start(ctx, op.ID, attribute.String("http.method", r.Method))
		rec := &recorder{ResponseWriter: w}
		h := rec.Header()
		h.Set("X-Trace-Id", obs.TraceID(ctx))
		h.Set("Date", a.opt.Clock.Now().UTC().Format(http.TimeFormat)) // clients make their keys by it
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin")
		if h.Get("Cache-Control") == "" {
			h.Set("Cache-Control", "no-store")
		}
		defer func() { // also when the answer was cut off half-way
			var err error
			if rec.status >= 500 {
				err = ErrInternal.New()
			}
			end(err)
			took := clock.Mono().Sub(begin)
			a.met.requests.WithLabelValues(op.ID, strconv.Itoa(rec.status)).Inc()
			if !op.Stream {
				a.met.seconds.WithLabelValues(op.ID).Observe(took.Seconds())
			}
			obs.Log(ctx).Debug("request", "op", op.ID, "status", rec.status, "ms", took.Milliseconds(), "number", note.Number())
		}()
		next(rec, r.WithContext(ctx))
	}
}

// traceparent is version 00 of the W3C header; anything else begins a trace of our own.
var traceparent = regexp.MustCompile(`^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$`)

const noTrace = "00000000000000000000000000000000"

func (a *API) recover(_ *Op, next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			v := recover()
			if v == nil {
				return
			}
			if v == http.ErrAbortHandler {
				panic(v)
			}
			obs.Log(r.Context()).Error("panic", "stack", string(debug.Stack())) // not the value: it may hold personal data
			if rec, ok := w.(*recorder); ok && rec.status != 0 {
				panic(http.ErrAbortHandler) // half an answer is out: the caller must not take it for whole
			}
			writeProblem(w, r, ErrInternal.New())
		}()
		next(w, r)
	}
}

func (a *API) address(r *http.Request) string {
	if a.opt.Trusted { // the last entry is the proxy's own; what comes before it is the caller's claim
		if f := r.Header.Values("X-Forwarded-For"); len(f) > 0 {
			last := f[len(f)-1]
			if ip, err := netip.ParseAddr(strings.TrimSpace(last[strings.LastIndexByte(last, ',')+1:])); err == nil {
				return ip.Unmap().String()
			}
		}
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// network is what one caller can choose addresses from: an IPv6 caller has a /64.
func network(address string) string {
	ip, err := netip.ParseAddr(address)
	if err != nil || ip.Is4() || ip.Is4In6() {
		return address
	}
	p, err := ip.WithZone("").Prefix(64)
	if err != nil {
		return address
	}
	return p.String()
}

func (a *API) limitAddress(_ *Op, next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if !a.rate.allow(network(a.address(r))) {
			writeProblem(w, r, ErrRate.After(time.Second))
			return
		}
		next(w, r)
	}
}

func (a *API) limitBody(op *Op, next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if op.MaxBody > 0 && r.ContentLength > op.MaxBody {
			writeProblem(w, r, ErrTooLarge.New())
			return
		}
		if query, err := url.QueryUnescape(r.URL.RawQuery); err != nil || strings.ContainsRune(query, 0) {
			writeProblem(w, r, ErrMalformed.New())
			return
		}
		if op.Stream {
			_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
		}
		if op.MaxBody > 0 {
			r.Body = http.MaxBytesReader(w, r.Body, op.MaxBody)
		}
		next(w, r)
	}
}

func (a *API) admit(op *Op, next http.HandlerFunc) http.HandlerFunc {
	if op.Stream { // streams have their own bound and end when draining begins
		return func(w http.ResponseWriter, r *http.Request) {
			select {
			case a.long <- struct{}{}:
				defer func() { <-a.long }()
			default:
				writeProblem(w, r, ErrBusy.After(10*time.Second))
				return
			}
			ctx, cancel := context.WithCancel(r.Context())
			defer cancel()
			defer context.AfterFunc(a.end, cancel)()
			next(w, r.WithContext(ctx))
		}
	}
	return func(w http.ResponseWriter, r *http.Request) {
		select {
		case a.gate <- struct{}{}:
		default:
			t := time.NewTimer(a.opt.Wait)
			select {
			case a.gate <- struct{}{}:
				t.Stop()
			case <-t.C:
				writeProblem(w, r, ErrBusy.After(2*time.Second))
				return
			case <-r.Context().Done():
				t.Stop()
				writeProblem(w, r, ErrBusy.After(2*time.Second)) // nobody reads it; the count shows it
				return
			}
		}
		defer func() { <-a.gate }()
		next(w, r)
	}
}

func (a *API) openDoor(op *Op, next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if a.opt.Open != nil && op.Module != "" && !a.opt.Open(op.Module) {
			writeProblem(w, r, ErrClosedDoor.At("module", op.Module))
			return
		}
		next(w, r)
	}
}

func (a *API) findTenant(op *Op, next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if a.opt.Tenants == nil {
			next(w, r)
			return
		}
		host := r.Host
		if h, _, err := net.SplitHostPort(host); err == nil {
			host = h
		}
		t, err := a.opt.Tenants.ByHost(r.Context(), strings.ToLower(strings.TrimSuffix(host, ".")))
		if err != nil {
			writeProblem(w, r, err)
			return
		}
		next(w, r.WithContext(WithTenant(r.Context(), t)))
	}
}

func unsafe(method string) bool {
	return method != http.MethodGet && method != http.MethodHead && method != http.MethodOptions
}

// checkOrigin refuses a cross-site write. Browsers send Origin on every unsafe
// request; programs without a cookie need none.
func (a *API) checkOrigin(op *Op, next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		origin := r.Header.Get("Origin")
		_, err := r.Cookie(CookieName)
		if unsafe(r.Method) && !op.Machine && (origin != "" || err == nil) && !a.sameOrigin(origin, r) {
			writeProblem(w, r, ErrOrigin.New())
			return
		}
		next(w, r)
	}
}

func (a *API) sameOrigin(origin string, r *http.Request) bool {
	o, err := url.Parse(origin)
	if err != nil || o.Host == "" {
		return false
	}
	if o.Host != r.Host {
		return false
	}
	return o.Scheme == a.scheme(r)
}

func (a *API) scheme(r *http.Request) string {
	if r.TLS != nil || strings.HasPrefix(a.opt.PublicURL, "https://") {
		return "https"
	}
	return "http"
}

func (a *API) authenticate(op *Op, next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx := context.WithValue(r.Context(), secureKey{}, a.scheme(r) == "https")
		if op.Machine || a.opt.Auth == nil {
			next(w, r.WithContext(ctx))
			return
		}
		var c Credential
		if k, err := r.Cookie(CookieName); err == nil {
			c.Cookie = k.Value
		} else if kind, token, ok := strings.Cut(r.Header.Get("Authorization"), " "); ok && strings.EqualFold(kind, "Bearer") {
			c.Bearer = token
		}
		if c != (Credential{}) {
			p, err := a.opt.Auth.Authenticate(ctx, TenantOf(ctx), c)
			if err == nil {
				ctx = auth.With(ctx, p)
			} else if !op.Public {
				writeProblem(w, r.WithContext(ctx), err)
				return
			}
		} else if !op.Public {
			writeProblem(w, r, auth.ErrNone.New())
			return
		}
		next(w, r.WithContext(ctx))
	}
}

func (a *API) requireKey(op *Op, next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if op.Idempotent {
			if _, err := Key[id.Any](r.Header.Get("Idempotency-Key")); err != nil {
				writeProblem(w, r, err)
				return
			}
		}
		if op.Versioned {
			if _, err := Version(r.Header.Get("If-Match")); err != nil {
				writeProblem(w, r, err)
				return
			}
		}
		next(w, r)
	}
}

// SessionCookie is the cookie for a new session; an empty token deletes it.
func SessionCookie(ctx context.Context, token string, ttl time.Duration) http.Cookie {
	secure, _ := ctx.Value(secureKey{}).(bool)
	c := http.Cookie{
		Name: CookieName, Value: token, Path: "/", HttpOnly: true, Secure: secure,
		SameSite: http.SameSiteLaxMode, MaxAge: int(ttl.Seconds()),
	}
	if token == "" {
		c.MaxAge = -1
	}
	return c
}

// ---- rates ----

const maxAddresses = 65536

// rates holds one bucket an address; when there are too many, the oldest half goes.
type rates struct {
	perSecond rate.Limit
	mu        sync.Mutex
	young     map[string]*rate.Limiter
	old       map[string]*rate.Limiter
}

func newRates(perSecond float64) *rates {
	return &rates{perSecond: rate.Limit(perSecond), young: map[string]*rate.Limiter{}}
}

func (r *rates) allow(address string) bool {
	r.mu.Lock()
	l := r.young[address]
	if l == nil {
		if l = r.old[address]; l == nil {
			l = rate.NewLimiter(r.perSecond, int(r.perSecond*4)+1)
		}
		if len(r.young) >= maxAddresses/2 {
			r.old, r.young = r.young, map[string]*rate.Limiter{}
		}
		r.young[address] = l
	}
	r.mu.Unlock()
	return l.Allow()
}

// ---- metrics ----

type metrics struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "xinglin_http_requests_total", Help: "Requests by operation and status.",
		}, []string{"op", "status"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "xinglin_http_request_seconds", Help: "Time of requests by operation.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}, []string{"op"}),
	}
	if reg == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.requests, m.seconds} {
		if err := reg.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}
