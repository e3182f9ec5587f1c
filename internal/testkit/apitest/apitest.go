// Package apitest drives a context's routes as callers would: the real door (httpx)
// with tenants found by host name and principals found by bearer token, both fakes
// that the test fills by using them. A request goes to the host of its principal's
// tenant.
//
//	h := apitest.New(t, module.Routes)
//	p := apitest.Patient(apitest.Main)
//	r := h.Do(p, "POST", "/appointments", map[string]any{"slot_id": id}, apitest.Key(key))
//	r.Want(t, 201)
package apitest

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/httpx"
)

// Main and Other are two tenants. Any other id works as well.
var (
	Main  = id.Must[auth.Tenant]("01900000-0000-7000-8000-00000000a001")
	Other = id.Must[auth.Tenant]("01900000-0000-7000-8000-00000000a002")
)

// Harness is one door with the routes of some modules.
type Harness struct {
	API *httpx.API
	t   testing.TB
	who *people
	own bool // the test brought its own Authenticator
}

// New makes a door with the routes.
func New(t testing.TB, routes ...func(*httpx.API)) *Harness {
	t.Helper()
	return With(t, httpx.Options{}, routes...)
}

// With is New with options: what the test leaves empty gets the fake. With an
// Authenticator of the test's own, principals passed to Do only choose the host, and
// credentials come as headers.
func With(t testing.TB, opt httpx.Options, routes ...func(*httpx.API)) *Harness {
	t.Helper()
	h := &Harness{t: t, who: &people{known: map[string]auth.Principal{}}, own: opt.Auth != nil}
	if opt.Tenants == nil {
		opt.Tenants = h.who
	}
	if opt.Auth == nil {
		opt.Auth = h.who
	}
	if opt.Log == nil {
		opt.Log = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	if opt.PerAddress == 0 {
		opt.PerAddress = 1e6 // the rate is the door's own test
	}
	api, err := httpx.New(opt)
	if err != nil {
		t.Fatalf("apitest: %v", err)
	}
	for _, f := range routes {
		if f != nil {
			f(api)
		}
	}
	h.API = api
	return h
}

// Host is the public host name of a tenant in every harness: its id below .test.
func Host(tenant id.ID[auth.Tenant]) string { return tenant.String() + ".test" }

// Header is one more header of a request.
type Header struct{ Name, Value string }

// H is any header.
func H(name, value string) Header { return Header{name, value} }

// Key is an Idempotency-Key.
func Key[T any](k id.ID[T]) Header { return Header{"Idempotency-Key", k.String()} }

// IfMatch is the version that the caller saw.
func IfMatch(version int64) Header { return Header{"If-Match", httpx.ETag(version)} }

// Token is the bearer token of a principal, for requests that a test builds itself.
func (h *Harness) Token(p auth.Principal) string { return h.who.add(p) }

// Request builds one request: path lies below /api/v1 unless it begins with /api/ or
// /openapi; body is nothing (nil), raw ([]byte, string) or marshalled to JSON. A
// principal without a Kind (Nobody) shows no credential.
func (h *Harness) Request(p auth.Principal, method, path string, body any, headers ...Header) *http.Request {
	h.t.Helper()
	if !strings.HasPrefix(path, "/api/") && !strings.HasPrefix(path, "/openapi") {
		path = httpx.Prefix + path
	}
	var in io.Reader
	switch b := body.(type) {
	case nil:
	case []byte:
		in = bytes.NewReader(b)
	case string:
		in = strings.NewReader(b)
	default:
		raw, err := json.Marshal(b)
		if err != nil {
			h.t.Fatalf("apitest: body: %v", err)
		}
		in = bytes.NewReader(raw)
	}
	r := httptest.NewRequest(method, path, in)
	tenant := p.Tenant
	if tenant.IsZero() {
		tenant = Main
	}
	r.Host = Host(tenant)
	if in != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if p.Kind != "" && !h.own {
		r.Header.Set("Authorization", "Bearer "+h.who.add(p))
	}
	for _, x := range headers {
		if strings.EqualFold(x.Name, "Host") {
			r.Host = x.Value
			continue
		}
		r.Header.Set(x.Name, x.Value)
	}
	return r
}

// Do sends one request and reads the whole answer. It is safe for concurrent use.
func (h *Harness) Do(p auth.Principal, method, path string, body any, headers ...Header) Response {
	h.t.Helper()
	return h.Send(h.Request(p, method, path, body, headers...))
}

// Send is Do for a request that the test has changed.
func (h *Harness) Send(r *http.Request) Response {
	h.t.Helper()
	rec := httptest.NewRecorder()
	h.API.ServeHTTP(rec, r)
	return h.response(rec)
}

func (h *Harness) response(rec *httptest.ResponseRecorder) Response {
	out := Response{Status: rec.Code, Header: rec.Header(), Body: rec.Body.Bytes()}
	if strings.HasPrefix(rec.Header().Get("Content-Type"), "application/problem+json") {
		var p httpx.Problem
		if err := json.Unmarshal(out.Body, &p); err != nil {
			h.t.Errorf("apitest: problem: %v", err)
		}
		out.Code = p.Code
	}
	return out
}

// Serve listens on 127.0.0.1 for streams (SSE); send requests with the Host header and
// Token. It ends with the test.
func (h *Harness) Serve() *httptest.Server {
	s := httptest.NewServer(h.API)
	h.t.Cleanup(s.Close)
	return s
}

// Response is a whole answer.
type Response struct {
	Status int
	Code   string // of the problem, "" on success
	Header http.Header
	Body   []byte
}

// JSON reads the body into v.
func (r Response) JSON(t testing.TB, v any) {
	t.Helper()
	if err := json.Unmarshal(r.Body, v); err != nil {
		t.Fatalf("apitest: %d %s: %v", r.Status, r.Body, err)
	}
}

// Map reads the body as an object.
func (r Response) Map(t testing.TB) map[string]any {
	t.Helper()
	m := map[string]any{}
	r.JSON(t, &m)
	return m
}

// Items reads the items of a list.
func (r Response) Items(t testing.TB) []map[string]any {
	t.Helper()
	var l struct{ Items []map[string]any }
	r.JSON(t, &l)
	return l.Items
}

// Want fails the test unless the answer has this status.
func (r Response) Want(t testing.TB, status int) Response {
	t.Helper()
	if r.Status != status {
		t.Fatalf("status %d, want %d: %s", r.Status, status, r.Body)
	}
	return r
}

// Refused fails the test unless the answer is this problem.
func (r Response) Refused(t testing.TB, status int, code string) Response {
	t.Helper()
	if r.Status != status || r.Code != code {
		t.Fatalf("%d %s, want %d %s: %s", r.Status, r.Code, status, code, r.Body)
	}
	return r
}

// ---- principals ----

// Patient is a person with a fresh account of the tenant, who has just logged in.
func Patient(tenant id.ID[auth.Tenant]) auth.Principal {
	return auth.Principal{
		Kind: auth.Patient, Tenant: tenant, Account: id.Random[auth.Account](), Session: id.Random[auth.Session](), Factors: 1, Fresh: true,
	}
}

// Staff is a fresh member of staff who holds the roles in the whole tenant and has just logged in.
func Staff(tenant id.ID[auth.Tenant], roles ...auth.Role) auth.Principal {
	p := auth.Principal{
		Kind: auth.Staff, Tenant: tenant, Account: id.Random[auth.Account](), Session: id.Random[auth.Session](), Factors: 2, Fresh: true,
	}
	for _, r := range roles {
		p.Grants = append(p.Grants, auth.Grant{Role: r})
	}
	return p
}

// Stale is the same person some time after the last proof: what asks for a fresh one refuses.
func Stale(p auth.Principal) auth.Principal {
	p.Fresh, p.Session = false, id.Random[auth.Session]()
	return p
}

// Nobody is a visitor of the tenant who has not logged in.
func Nobody(tenant id.ID[auth.Tenant]) auth.Principal { return auth.Principal{Tenant: tenant} }

// people is both fakes: hosts name tenants, tokens name the principals seen by Do.
type people struct {
	mu    sync.Mutex
	known map[string]auth.Principal
}

func (w *people) add(p auth.Principal) string {
	token := "test:" + p.Actor() + ":" + p.Session.String()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.known[token] = p
	return token
}

// ByHost implements httpx.Tenants: Host(tenant) is the tenant's.
func (w *people) ByHost(_ context.Context, host string) (id.ID[auth.Tenant], error) {
	name, ok := strings.CutSuffix(host, ".test")
	t, err := id.Parse[auth.Tenant](name)
	if !ok || err != nil {
		return id.ID[auth.Tenant]{}, httpx.ErrHost.New()
	}
	return t, nil
}

// Authenticate implements httpx.Authenticator: a token is good on its own tenant's host only.
func (w *people) Authenticate(_ context.Context, tenant id.ID[auth.Tenant], c httpx.Credential) (auth.Principal, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	p, ok := w.known[c.Bearer]
	if !ok || p.Tenant != tenant {
		return auth.Principal{}, auth.ErrNone.New()
	}
	return p, nil
}
