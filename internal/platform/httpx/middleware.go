package httpx

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"runtime/debug"
	"strings"
	"time"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/obs"
)

// CookieName is the session cookie over plain http, which is for one's own machine; over
// https it is HostCookie: browsers take that from this very host and over https only, so
// that no other site below the hospital's name can plant a session.
const (
	CookieName = "xinglin_session"
	HostCookie = "__Host-" + CookieName
)

// CookieMark begins the value of each session cookie. Cookies of before there was
// HostCookie have no mark; over https such a one opens still under the old name, and
// moves to the new one. Whoever has a marked value under the old name planted it.
const CookieMark = "h."

// carried is how long a moved cookie stays; its session ends when it would have.
const carried = 30 * 24 * time.Hour

// step is one layer: it calls next or answers itself.
type step func(op *Op, next layer) layer

// outer is the one slice of middleware, from the socket inward. All layers work on one
// call; the request is copied once.
func (a *API) outer(op *Op, h http.HandlerFunc) http.HandlerFunc {
	steps := []step{
		a.recover,      // a panic is one failed request
		a.limitAddress, // requests a second of one address
		a.limitBody,    // huge bodies; small ones are read here, so that who sends slowly holds no place inside
		a.admit,        // requests inside at once, by class; the rest wait a while
		a.openDoor,     // --modules
		a.findTenant,   // from the host, never from a header of the caller's choice
		a.checkOrigin,  // unsafe methods with a cookie
		a.authenticate, // session or bearer
		a.requireKey,   // Idempotency-Key and If-Match
		a.guard,        // an account's budget and risk, before costly work
	}
	next := layer(func(c *call, r *http.Request) { h(c, r) })
	for i := len(steps) - 1; i >= 0; i-- {
		next = steps[i](op, next)
	}
	return a.observe(op, next)
}

func (a *API) recover(_ *Op, next layer) layer {
	return func(c *call, r *http.Request) {
		defer func() {
			v := recover()
			if v == nil {
				return
			}
			if v == http.ErrAbortHandler {
				panic(v)
			}
			obs.Log(r.Context()).Error("panic", "stack", string(debug.Stack())) // not the value: it may hold personal data
			if c.status != 0 {
				panic(http.ErrAbortHandler) // half an answer is out: the caller must not take it for whole
			}
			writeProblem(c, r, ErrInternal.New())
		}()
		next(c, r)
	}
}

func (a *API) address(r *http.Request) string {
	if a.opt.Trusted { // the last entry is the proxy's own; what comes before it is the caller's claim
		if f := r.Header["X-Forwarded-For"]; len(f) > 0 {
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

func (a *API) limitAddress(op *Op, next layer) layer {
	return func(c *call, r *http.Request) {
		if wait := a.addresses.Take(network(c.scope.Address), c.begin); wait > 0 {
			a.met.shed(op.Class, "address")
			writeProblem(c, r, ErrRate.After(min(max(wait, time.Second), time.Minute)))
			return
		}
		next(c, r)
	}
}

func (a *API) limitBody(op *Op, next layer) layer {
	return func(c *call, r *http.Request) {
		if op.MaxBody > 0 && r.ContentLength > op.MaxBody {
			writeProblem(c, r, ErrTooLarge.New())
			return
		}
		if r.URL.RawQuery != "" {
			if query, err := url.QueryUnescape(r.URL.RawQuery); err != nil || strings.IndexByte(query, 0) >= 0 {
				writeProblem(c, r, ErrMalformed.New())
				return
			}
		}
		switch {
		case op.Stream:
			_ = http.NewResponseController(c).SetReadDeadline(time.Time{})
		case op.MaxBody > 0 && op.MaxBody <= smallBody && r.ContentLength != 0 && r.Body != nil && r.Body != http.NoBody:
			if err := a.readBody(c, r, op.MaxBody); err != nil {
				writeProblem(c, r, err)
				return
			}
		}
		if op.MaxBody > smallBody || op.Stream {
			r.Body = http.MaxBytesReader(c, r.Body, op.MaxBody)
		}
		next(c, r)
	}
}

// Bodies of ordinary operations are read before the gate, with the server's ReadTimeout
// as their deadline. Memory grows with what was really sent; all of them together have
// a bound.
const (
	smallBody   = 64 << 10
	firstRead   = 2 << 10
	allBodies   = 64 << 20 // bytes beyond firstRead of all requests that are being read or worked on
	bodyRefused = 2 * time.Second
)

// readBody replaces the body by its bytes.
func (a *API) readBody(c *call, r *http.Request, most int64) error {
	size := int64(firstRead)
	if r.ContentLength > 0 {
		size = min(size, r.ContentLength+1) // room to see its end
	}
	b := make([]byte, 0, size)
	for {
		n, err := r.Body.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		if err == io.EOF {
			break
		}
		if err != nil {
			return ErrMalformed.Wrap(err)
		}
		if int64(len(b)) > most {
			return ErrTooLarge.New()
		}
		if len(b) == cap(b) {
			more := int64(cap(b))
			if a.bodies.Add(more) > allBodies {
				a.bodies.Add(-more)
				return ErrBusy.After(bodyRefused)
			}
			c.buffered += more
			b = append(make([]byte, 0, 2*cap(b)), b...)
		}
	}
	if int64(len(b)) > most {
		return ErrTooLarge.New()
	}
	c.body.Reset(b)
	r.Body = &c.body
	return nil
}

// bytesBody is a body that is all here.
type bytesBody struct{ bytes.Reader }

// Close implements io.Closer.
func (*bytesBody) Close() error { return nil }

func (a *API) admit(op *Op, next layer) layer {
	long := a.long
	if op.Class == ClassQueue {
		long = a.line
	}
	if op.Stream { // streams have their own bound and end when draining begins
		return func(c *call, r *http.Request) {
			select {
			case long <- struct{}{}:
				defer func() { <-long }()
			default:
				writeProblem(c, r, ErrBusy.After(10*time.Second))
				return
			}
			ctx, cancel := context.WithCancel(c.inner)
			defer cancel()
			defer context.AfterFunc(a.end, cancel)()
			c.inner = ctx
			next(c, r)
		}
	}
	g := a.gates[op.Class]
	return func(c *call, r *http.Request) {
		if !g.enter(c.inner) {
			a.met.shed(op.Class, "gate")
			writeProblem(c, r, ErrBusy.After(2*time.Second)) // a caller who has gone does not read it; the count shows it
			return
		}
		defer func() { g.leave(c.status > 0 && c.status < 500) }()
		next(c, r)
	}
}

func (a *API) openDoor(op *Op, next layer) layer {
	if a.opt.Open == nil || op.Module == "" || a.opt.Open(op.Module) {
		return next
	}
	return func(c *call, r *http.Request) { writeProblem(c, r, ErrClosedDoor.At("module", op.Module)) }
}

func (a *API) findTenant(_ *Op, next layer) layer {
	if a.opt.Tenants == nil {
		return next
	}
	return func(c *call, r *http.Request) {
		t, err := a.opt.Tenants.ByHost(r.Context(), hostName(r.Host))
		if err != nil {
			writeProblem(c, r, err)
			return
		}
		c.tenant = t
		next(c, r)
	}
}

// hostName is the host in lower case without its port and last dot.
func hostName(host string) string {
	if strings.IndexByte(host, ':') >= 0 {
		if h, _, err := net.SplitHostPort(host); err == nil {
			host = h
		}
	}
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

func unsafe(method string) bool {
	return method != http.MethodGet && method != http.MethodHead && method != http.MethodOptions
}

// checkOrigin refuses a cross-site write. Browsers send Origin on every unsafe
// request; programs without a cookie need none.
func (a *API) checkOrigin(op *Op, next layer) layer {
	return func(c *call, r *http.Request) {
		c.credential.Cookie, c.cookie = cookie(r.Header, CookieName)
		if c.secure {
			old, hadOld := c.credential.Cookie, c.cookie
			if c.credential.Cookie, c.cookie = cookie(r.Header, HostCookie); !c.cookie && hadOld && !strings.HasPrefix(old, CookieMark) {
				c.credential.Cookie, c.cookie, c.old = old, true, true
			}
		}
		if !op.Machine && unsafe(r.Method) {
			origin := r.Header.Get("Origin")
			if (origin != "" || c.cookie) && !a.sameOrigin(origin, r) {
				writeProblem(c, r, ErrOrigin.New())
				return
			}
		}
		next(c, r)
	}
}

// cookie finds a cookie without reading the others.
func cookie(h http.Header, wanted string) (value string, has bool) {
	for _, line := range h["Cookie"] {
		for line != "" {
			var one string
			one, line, _ = strings.Cut(line, ";")
			if name, v, ok := strings.Cut(strings.TrimSpace(one), "="); ok && name == wanted {
				return strings.Trim(v, `"`), true
			}
		}
	}
	return "", false
}

func (a *API) sameOrigin(origin string, r *http.Request) bool {
	scheme := a.scheme(r)
	if rest, ok := strings.CutPrefix(origin, scheme); ok { // what browsers send, without parsing
		if rest, ok = strings.CutPrefix(rest, "://"); ok && rest == r.Host && rest != "" {
			return true
		}
	}
	o, err := url.Parse(origin)
	return err == nil && o.Host != "" && o.Host == r.Host && o.Scheme == scheme
}

func (a *API) scheme(r *http.Request) string {
	if r.TLS != nil || strings.HasPrefix(a.opt.PublicURL, "https://") {
		return "https"
	}
	return "http"
}

func (a *API) authenticate(op *Op, next layer) layer {
	if op.Machine || a.opt.Auth == nil {
		return next
	}
	return func(c *call, r *http.Request) {
		if !c.cookie {
			if kind, token, ok := strings.Cut(r.Header.Get("Authorization"), " "); ok && strings.EqualFold(kind, "Bearer") {
				c.credential.Bearer = token
			}
		}
		if c.credential != (Credential{}) {
			p, err := a.opt.Auth.Authenticate(r.Context(), c.tenant, c.credential)
			if err == nil {
				c.inner = auth.With(c.inner, p)
				c.principal = p
				if c.old && !op.Public { // what is public may be kept by caches, and a cookie with it
					c.move()
				}
			} else if !op.Public {
				writeProblem(c, r, err)
				return
			}
		} else if !op.Public {
			writeProblem(c, r, auth.ErrNone.New())
			return
		}
		next(c, r)
	}
}

func (a *API) requireKey(op *Op, next layer) layer {
	if !op.Idempotent && !op.Versioned {
		return next
	}
	return func(c *call, r *http.Request) {
		if op.Idempotent {
			if _, err := Key[id.Any](r.Header.Get("Idempotency-Key")); err != nil {
				writeProblem(c, r, err)
				return
			}
		}
		if op.Versioned {
			if _, err := Version(r.Header.Get("If-Match")); err != nil {
				writeProblem(c, r, err)
				return
			}
		}
		next(c, r)
	}
}

// guard spends one of the account's holds and asks the risk rules: a script that asks a
// hundred times more often gets the excess back before it costs a look at the database.
func (a *API) guard(op *Op, next layer) layer {
	if op.Class != ClassHold || op.Public || op.Machine {
		return next
	}
	return func(c *call, r *http.Request) {
		if op.Pass {
			c.pass = r.Header.Get(PassHeader)
		}
		if wait := a.accounts.Take(c.principal.Account, c.begin); wait > 0 && !c.principal.Account.IsZero() {
			a.met.shed(op.Class, "account")
			writeProblem(c, r, ErrAccountRate.After(min(max(wait, time.Second), time.Minute)))
			return
		}
		if a.opt.Guard != nil {
			if err := a.opt.Guard(r, c.principal); err != nil {
				writeProblem(c, r, err)
				return
			}
		}
		next(c, r)
	}
}

// PassOf is the waiting room's pass that the request shows, "" when none.
func PassOf(ctx context.Context) string {
	if c := callOf(ctx); c != nil {
		return c.pass
	}
	return ""
}

// SessionCookie is the cookie for a new session; an empty token deletes it.
func SessionCookie(ctx context.Context, token string, ttl time.Duration) http.Cookie {
	k := callOf(ctx)
	c := sessionCookie(CookieName, k != nil && k.secure, token, ttl)
	if c.Secure {
		c.Name = HostCookie
	}
	return c
}

func sessionCookie(name string, secure bool, token string, ttl time.Duration) http.Cookie {
	c := http.Cookie{Name: name, Value: token, Path: "/", HttpOnly: true, Secure: secure, SameSite: http.SameSiteLaxMode, MaxAge: int(ttl.Seconds())}
	if token == "" {
		c.MaxAge = -1
	}
	return c
}

// move gives the browser its session under the new name too. The old cookie stays: while
// processes are replaced one after the other, an older one may be asked next.
func (c *call) move() {
	k := sessionCookie(HostCookie, true, c.credential.Cookie, carried)
	http.SetCookie(c, &k)
}
