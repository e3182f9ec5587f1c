// Package httpx is the HTTP door: one route table, one slice of middleware, strict
// decoding, problem+json, OpenAPI 3.1. Contexts register operations; they never see
// cookies, hosts or headers that choose a tenant.
package httpx

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"log/slog"
	"net/http"
	"reflect"
	"sort"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/prometheus/client_golang/prometheus"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/id"
)

// Prefix is the path of the API's first version.
const Prefix = "/api/v1"

// Op is one row of the route table.
type Op struct {
	ID         string // context.verb_noun: permission, metric and span name
	Method     string
	Path       string // below Prefix
	Summary    string
	Tag        string
	Status     int   // of success; 0 = 200 (201 for Idempotent POST)
	Public     bool  // no session needed
	Idempotent bool  // Idempotency-Key: the client's UUIDv7 is required
	Versioned  bool  // If-Match is required
	MaxBody    int64 // 0 = 64 KiB
	Machine    bool  // signed by another means (callbacks): no Origin check, no session
	Stream     bool  // long answer (SSE): no write deadline
	Upload     bool  // the body is a file, which the handler reads (huma.Resolver) under deadlines of its own
	Module     string
	Class      Class // whom it waits with; by the method when empty
	Pass       bool  // takes a Queue-Pass while its waiting room is open

	quick Quick // before the typed handler
}

// Tenants finds the tenant of a public host name.
type Tenants interface {
	ByHost(ctx context.Context, host string) (id.ID[auth.Tenant], error)
}

// Credential is what a request shows. At most one is set.
type Credential struct{ Cookie, Bearer string }

// Authenticator turns a credential into a principal of the tenant.
type Authenticator interface {
	Authenticate(ctx context.Context, tenant id.ID[auth.Tenant], c Credential) (auth.Principal, error)
}

// Options of the door.
type Options struct {
	Tenants    Tenants
	Auth       Authenticator
	Clock      clock.Clock
	Log        *slog.Logger
	Metrics    prometheus.Registerer
	CursorKey  []byte              // 32 bytes; the same in all processes
	PublicURL  string              // https://… : Secure cookies and the allowed Origin; empty: the request's own host over http
	Open       func(m string) bool // which modules' doors this process opens
	Inside     int                 // holds inside at once, at most; the other classes have gates of their own in proportion; 0 = 512
	Wait       time.Duration       // how long one more waits for a place; 0 = 5 s
	Streams    int                 // long answers (SSE) at once, and as many of the queue; 0 = 8192
	PerAddress float64             // requests a second of one address; 0 = 100
	PerAccount float64             // holds a second of one account, thirty at once; 0 = 1
	// Guard is asked about each hold of an account within its budget, before any work.
	Guard   func(r *http.Request, who auth.Principal) error
	Trusted bool // a proxy in front sets X-Forwarded-For
}

// API is the route table and its handler.
type API struct {
	opt  Options
	mux  *http.ServeMux
	huma huma.API
	ops  map[string]*Op // by mux pattern
	long chan struct{}  // streams
	line chan struct{}  // streams of the queue, so that neither takes the other's places
	aead cipher.AEAD
	met  *metrics
	end  context.Context // streams live under it
	cut  context.CancelFunc

	gates     map[Class]*gate
	addresses *Budget[string]
	accounts  *Budget[id.ID[auth.Account]]
	bodies    atomic.Int64 // bytes of bodies beyond the first read
	dated     atomic.Pointer[dated]

	naming string // module whose operation is being registered
}

// holdsAtOnce is what an account may ask for in one go: a family of ten that tries three
// doctors each.
const holdsAtOnce = 30

// New makes the door. Register operations before Handler is used.
func New(opt Options) (*API, error) {
	if opt.Inside == 0 {
		opt.Inside = 512
	}
	if opt.Wait == 0 {
		opt.Wait = 5 * time.Second
	}
	if opt.Streams == 0 {
		opt.Streams = 8192
	}
	if opt.PerAddress == 0 {
		opt.PerAddress = 100
	}
	if opt.Clock == nil {
		opt.Clock = clock.System{}
	}
	if opt.PerAccount == 0 {
		opt.PerAccount = 1
	}
	now := clock.Mono()
	a := &API{
		opt: opt, mux: http.NewServeMux(), ops: map[string]*Op{}, long: make(chan struct{}, opt.Streams), line: make(chan struct{}, opt.Streams), gates: gates(opt.Inside, opt.Wait),
		addresses: NewBudget[string](opt.PerAddress, float64(int(opt.PerAddress*4)+1), now),
		accounts:  NewBudget[id.ID[auth.Account]](opt.PerAccount, holdsAtOnce, now),
	}
	a.end, a.cut = context.WithCancel(context.Background())
	key := opt.CursorKey
	if len(key) == 0 {
		key = make([]byte, 32)
		if _, err := rand.Read(key); err != nil {
			return nil, err
		}
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	if a.aead, err = cipher.NewGCM(block); err != nil {
		return nil, err
	}
	if a.met, err = newMetrics(opt.Metrics, a.gates); err != nil {
		return nil, err
	}
	ourErrors.Do(func() {
		huma.DefaultArrayNullable = false // an empty list is []
		huma.NewError = func(st int, msg string, errs ...error) huma.StatusError { return fromHuma(nil, st, msg, errs...) }
		huma.NewErrorWithContext = fromHuma
	})
	cfg := document()
	cfg.Components.Schemas = huma.NewMapRegistry("#/components/schemas/", a.schemaName)
	a.huma = humago.New(door{a}, cfg)
	a.publish("/openapi.json", "application/openapi+json", func() ([]byte, error) { return json.Marshal(a.huma.OpenAPI()) })
	a.publish("/openapi.yaml", "application/openapi+yaml", a.OpenAPI)
	a.mux.HandleFunc("/api/", a.outer(&Op{ID: "http.unknown", Public: true, Machine: true, Class: ClassRead}, a.unknown))
	return a, nil
}

var ourErrors sync.Once // huma keeps the maker of errors and this default in globals

// document is the frame of the OpenAPI document.
func document() huma.Config {
	cfg := huma.DefaultConfig("Xinglin", "1")
	cfg.CreateHooks = nil                                       // no $schema links in answers
	cfg.DocsPath, cfg.SchemasPath, cfg.OpenAPIPath = "", "", "" // the document: publish
	cfg.Info.Description = "Internet hospital API. Errors are RFC 9457 problems with stable codes (docs/reference/errors.md)."
	cfg.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"session": {Type: "apiKey", In: "cookie", Name: CookieName, Description: "Of browsers, over https as " + HostCookie + "; unsafe methods need a same-origin Origin header"},
		"bearer":  {Type: "http", Scheme: "bearer", Description: "Of programs: POST /auth/tokens"},
	}
	json := cfg.Formats["application/json"]
	read := json.Unmarshal
	json.Unmarshal = func(b []byte, v any) error {
		if hasNUL(b) {
			return errNUL
		}
		if tooDeep(b) {
			return errDeep
		}
		return read(b, v)
	}
	cfg.Formats = map[string]huma.Format{"application/json": json, "json": json}
	return cfg
}

// unknown answers what no operation answers: another method's path 405, else 404.
func (a *API) unknown(w http.ResponseWriter, r *http.Request) {
	var allow []string
	for _, m := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
		probe := http.Request{Method: m, URL: r.URL, Host: r.Host}
		if _, pattern := a.mux.Handler(&probe); strings.HasPrefix(pattern, m+" ") {
			allow = append(allow, m)
		}
	}
	if len(allow) == 0 {
		writeProblem(w, r, ErrNotFound.New())
		return
	}
	w.Header().Set("Allow", strings.Join(allow, ", "))
	writeProblem(w, r, ErrMethod.New())
}

// schemaName keeps two contexts' structs of one name apart: the module comes first.
func (a *API) schemaName(t reflect.Type, hint string) string {
	name := huma.DefaultSchemaNamer(t, hint)
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	if p := t.PkgPath(); p != "" && !strings.Contains(p, "svc") && !strings.HasSuffix(p, "/app") {
		return name // kernel, httpx and contracts: one meaning everywhere
	}
	return strings.ToUpper(a.naming[:1]) + a.naming[1:] + name
}

// door is the mux that huma registers on: each operation gets its own chain.
type door struct{ a *API }

// HandleFunc implements humago.Mux.
func (d door) HandleFunc(pattern string, h func(http.ResponseWriter, *http.Request)) {
	op := d.a.ops[pattern]
	if quick := op.quick; quick != nil {
		typed := h
		h = func(w http.ResponseWriter, r *http.Request) {
			if !quick(w, r) {
				typed(w, r)
			}
		}
	}
	d.a.mux.HandleFunc(pattern, d.a.outer(op, h))
}

// ServeHTTP implements humago.Mux.
func (d door) ServeHTTP(w http.ResponseWriter, r *http.Request) { d.a.mux.ServeHTTP(w, r) }

// ServeHTTP serves /api/ and /openapi.*.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) { a.mux.ServeHTTP(w, r) }

// EndStreams ends the long answers, so that draining need not wait for them.
func (a *API) EndStreams() { a.cut() }

// Ops is the route table, by path and method, for generated tests and references.
func (a *API) Ops() []Op {
	out := make([]Op, 0, len(a.ops))
	for _, o := range a.ops {
		out = append(out, *o)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Path+" "+out[i].Method < out[j].Path+" "+out[j].Method })
	return out
}

// publish serves a form of the document, which is written once, when somebody asks first: it is large, and many may ask at once.
func (a *API) publish(path, media string, write func() ([]byte, error)) {
	text := sync.OnceValues(write)
	a.mux.HandleFunc("GET "+path, a.outer(&Op{ID: "http.openapi", Public: true, Class: ClassRead}, func(w http.ResponseWriter, r *http.Request) {
		b, err := text()
		if err != nil {
			writeProblem(w, r, err)
			return
		}
		w.Header().Set("Content-Type", media)
		_, _ = w.Write(b)
	}))
}

// OpenAPI is the document, 3.1, YAML.
func (a *API) OpenAPI() ([]byte, error) { return a.huma.OpenAPI().YAML() }

func (a *API) add(op Op) *Op {
	if op.Module == "" {
		op.Module, _, _ = strings.Cut(op.ID, ".")
	}
	if op.Status == 0 {
		op.Status = http.StatusOK
		if op.Idempotent {
			op.Status = http.StatusCreated
		}
	}
	if op.MaxBody == 0 {
		op.MaxBody = 64 << 10
	}
	if op.Class == "" {
		op.Class = classOf(op)
	}
	if op.Tag == "" {
		op.Tag = op.Module
	}
	op.Path = Prefix + op.Path
	a.naming = op.Module
	o := &op
	a.ops[op.Method+" "+op.Path] = o
	return o
}

func classOf(op Op) Class {
	switch {
	case op.Machine:
		return ClassMachine
	case unsafe(op.Method):
		return ClassWrite
	}
	return ClassRead
}

func (o *Op) huma() huma.Operation {
	sec := []map[string][]string{{"session": {}}, {"bearer": {}}}
	if o.Public || o.Machine {
		sec = []map[string][]string{}
	}
	read := time.Duration(-1) // the door has read it
	if o.MaxBody > smallBody {
		read = 5 * time.Second
	}
	hop := huma.Operation{
		OperationID: o.ID, Method: o.Method, Path: o.Path, Summary: o.Summary, Tags: []string{o.Tag}, Security: sec,
		DefaultStatus: o.Status, MaxBodyBytes: o.MaxBody, BodyReadTimeout: read,
		Errors: []int{400, 401, 403, 404, 409, 412, 413, 421, 422, 429, 500, 503},
	}
	if o.Upload {
		hop.RequestBody = &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{
			"application/octet-stream": {Schema: &huma.Schema{Type: "string", Format: "binary"}},
		}}
	}
	if o.Pass {
		hop.Parameters = append(hop.Parameters, &huma.Param{Name: PassHeader, In: "header", Description: "The pass that the waiting room gave, while it is open", Schema: &huma.Schema{Type: "string"}})
	}
	return hop
}

// PassHeader carries the waiting room's pass.
const PassHeader = "Queue-Pass"

// Register adds a typed operation. In and Out are huma structs (path, query, header
// tags; Body field). Unknown fields, wrong types and huge bodies are refused before h.
func Register[In, Out any](a *API, op Op, h func(context.Context, *In) (*Out, error)) {
	o := a.add(op)
	huma.Register(a.huma, o.huma(), func(ctx context.Context, in *In) (*Out, error) {
		out, err := h(ctx, in)
		if err != nil {
			return nil, problemOf(ctx, err)
		}
		return out, nil
	})
}

// Handle adds a plain handler (streams, callbacks, hot paths) to the same table and document.
func Handle(a *API, op Op, h func(http.ResponseWriter, *http.Request) error) {
	o := a.add(op)
	hop := o.huma()
	hop.Responses = map[string]*huma.Response{strconv.Itoa(o.Status): {Description: o.Summary}}
	for _, name := range wildcards(o.Path) {
		hop.Parameters = append(hop.Parameters, &huma.Param{Name: name, In: "path", Required: true, Schema: &huma.Schema{Type: "string"}})
	}
	if o.Idempotent {
		hop.Parameters = append(hop.Parameters, &huma.Param{Name: "Idempotency-Key", In: "header", Required: true, Schema: &huma.Schema{Type: "string", Format: "uuid"}})
	}
	if o.Versioned {
		hop.Parameters = append(hop.Parameters, &huma.Param{Name: "If-Match", In: "header", Required: true, Schema: &huma.Schema{Type: "string"}})
	}
	a.huma.OpenAPI().AddOperation(&hop)
	pattern := o.Method + " " + o.Path
	a.mux.HandleFunc(pattern, a.outer(o, func(w http.ResponseWriter, r *http.Request) {
		if err := h(w, r); err != nil {
			writeProblem(w, r, err)
		}
	}))
}

func wildcards(path string) []string {
	var out []string
	for _, p := range strings.Split(path, "/") {
		if strings.HasPrefix(p, "{") {
			out = append(out, strings.Trim(p, "{}"))
		}
	}
	return out
}

// ---- small values that http files share ----

// Seal hides a keyset cursor from the client; it is bound to the tenant.
func (a *API) Seal(ctx context.Context, raw string) string {
	if raw == "" {
		return ""
	}
	nonce := make([]byte, a.aead.NonceSize())
	if _, err := rand.Read(nonce); err != nil {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(a.aead.Seal(nonce, nonce, []byte(raw), cursorScope(ctx)))
}

// Unseal reads a cursor; ErrCursor when it is not ours or another tenant's.
func (a *API) Unseal(ctx context.Context, sealed string) (string, error) {
	if sealed == "" {
		return "", nil
	}
	b, err := base64.RawURLEncoding.DecodeString(sealed)
	if err != nil || len(b) < a.aead.NonceSize() || len(sealed) > 1024 {
		return "", ErrCursor.New()
	}
	raw, err := a.aead.Open(nil, b[:a.aead.NonceSize()], b[a.aead.NonceSize():], cursorScope(ctx))
	if err != nil {
		return "", ErrCursor.New()
	}
	return string(raw), nil
}

func cursorScope(ctx context.Context) []byte {
	t := TenantOf(ctx)
	return t[:]
}

// Version reads If-Match: "3".
func Version(ifMatch string) (int64, error) {
	v, err := strconv.ParseInt(strings.Trim(strings.TrimPrefix(ifMatch, "W/"), `"`), 10, 64)
	if err != nil || v < 0 {
		return 0, ErrMatch.New()
	}
	return v, nil
}

// ETag writes a version.
func ETag(version int64) string { return `"` + strconv.FormatInt(version, 10) + `"` }

// Key reads an Idempotency-Key, which must be a UUIDv7 (RFC 9562).
func Key[T any](header string) (id.ID[T], error) {
	v, err := id.Parse[T](header)
	if err != nil || v.Time().IsZero() {
		return v, ErrKeyRequired.New()
	}
	return v, nil
}

// ID reads an id from a path or query; what cannot be an id does not exist.
func ID[T any](s string) (id.ID[T], error) {
	v, err := id.Parse[T](s)
	if err != nil {
		return v, ErrNotFound.New()
	}
	return v, nil
}
