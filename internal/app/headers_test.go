package app

import (
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"xinglin/internal/kernel/clock"
	"xinglin/internal/platform/config"
	"xinglin/internal/platform/obs"
)

// wired is the program as serve wires it, on a folder of its own, without its sockets and machines.
func wired(t *testing.T, change func(*config.Serve)) *Process {
	t.Helper()
	cfg := config.Serve{
		Data: t.TempDir(), Listen: "127.0.0.1:8080", Private: "127.0.0.1:8081", Demo: true, DemoPay: "127.0.0.1:0", DemoIDP: "127.0.0.1:0",
		Modules: []string{"all"}, Algorithm: "aes-256-gcm", RatePerAddress: 1e6, RatePerAccount: 1e6,
	}
	if change != nil {
		change(&cfg)
	}
	p := &Process{cfg: cfg, clk: clock.System{}, out: io.Discard, log: obs.Logger(io.Discard, 8), failed: make(chan error, 8), metrics: prometheus.NewRegistry()}
	t.Cleanup(p.end)
	if err := p.open(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := p.wire(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := p.house.ensureTenant(t.Context(), nil, cfg.Demo); err != nil {
		t.Fatal(err)
	}
	return p
}

// lacks are the headers that an answer should have and has not.
func lacks(h http.Header, page, secure bool) (out []string) {
	want := func(name string, ok bool) {
		if !ok {
			out = append(out, name+": "+h.Get(name))
		}
	}
	csp := h.Get("Content-Security-Policy")
	want("Content-Security-Policy", strings.HasPrefix(csp, "default-src 'none'; ") && strings.Contains(csp, "frame-ancestors 'none'") && strings.Contains(csp, "base-uri 'none'") &&
		strings.Contains(csp, "form-action ") && !strings.Contains(csp, "unsafe") && !strings.Contains(csp, "*"))
	want("X-Content-Type-Options", h.Get("X-Content-Type-Options") == "nosniff")
	want("Referrer-Policy", h.Get("Referrer-Policy") == "same-origin" || h.Get("Referrer-Policy") == "no-referrer") // the latter where the address has a code
	want("X-Frame-Options", h.Get("X-Frame-Options") == "DENY")
	want("Cross-Origin-Resource-Policy", h.Get("Cross-Origin-Resource-Policy") == "same-origin")
	want("Cache-Control", h.Get("Cache-Control") != "")
	hsts := h.Get("Strict-Transport-Security")
	want("Strict-Transport-Security", secure == strings.HasPrefix(hsts, "max-age=31536000"))
	if page {
		want("Cross-Origin-Opener-Policy", h.Get("Cross-Origin-Opener-Policy") == "same-origin")
		want("Permissions-Policy", strings.Contains(h.Get("Permissions-Policy"), "camera=()") && strings.Contains(h.Get("Permissions-Policy"), "geolocation=()"))
	}
	want("Access-Control-Allow-Origin", h.Get("Access-Control-Allow-Origin") == "")
	want("Server", h.Get("Server") == "")
	return out
}

// kept are the answers that caches may keep: they are the same for everybody.
var kept = []string{
	"/m/", "/console/", "/wall/", // files of the apps
	"/api/v1/oidc/.well-known/openid-configuration", "/api/v1/oidc/jwks",
	"/api/v1/schedules/calendar", // public, and asked for again each time
}

// TestHeaders walks through every door of the wired program: each answer, also a refusal, has the headers of its sort, and what may
// be about a person is stored nowhere.
func TestHeaders(t *testing.T) {
	for site, secure := range map[string]bool{"http://127.0.0.1:8080": false, "https://hospital.test": true} {
		p := wired(t, func(c *config.Serve) { c.PublicURL = site })
		pages := 0
		ask := func(door http.Handler, host string, secure bool, method, path string) {
			r := httptest.NewRequest(method, path, nil)
			r.Host = host
			rec := httptest.NewRecorder()
			door.ServeHTTP(rec, r)
			h := rec.Header()
			page := strings.HasPrefix(h.Get("Content-Type"), "text/html") && rec.Code/100 != 3
			if page {
				pages++
			}
			for _, l := range lacks(h, page, secure) {
				t.Errorf("%s: %s %s (%d): %s", site, method, path, rec.Code, l)
			}
			open := slices.ContainsFunc(kept, func(k string) bool { return strings.HasPrefix(path, k) })
			if !open && h.Get("Cache-Control") != "no-store" {
				t.Errorf("%s: %s %s (%d) may be kept: %s", site, method, path, rec.Code, h.Get("Cache-Control"))
			}
		}
		_, host, _ := strings.Cut(site, "://")
		public, private := p.public(), p.private()
		operations := 0
		for _, op := range p.api.Ops() {
			if op.Stream && op.Public {
				continue // it does not end; its headers: TestStreamHeaders of platform/httpx
			}
			ask(public, host, secure, op.Method, wildcard.ReplaceAllString(op.Path, "01900000-0000-7000-8000-000000000001"))
			operations++
		}
		if operations < 150 || pages < 8 { // the OpenID provider's
			t.Errorf("only %d operations, %d pages of them", operations, pages)
		}
		for _, path := range []string{"/healthz", "/readyz", "/", "/openapi.json", "/openapi.yaml", "/nowhere", "/api/", "/api/v1/nowhere", "/.git/config", "//evil.example/"} {
			ask(public, host, secure, "GET", path)
		}
		ask(public, host, secure, "TRACE", "/m/")
		for _, path := range []string{"/m/", "/m/visits/1", "/m/queue", "/m/sw.js", "/m/assets/gone.js", "/console/", "/wall/"} {
			ask(public, host, secure, "GET", path)
		}
		for _, path := range []string{"/metrics", "/debug/pprof/", "/nowhere", "/debug/pprof/cmdline"} {
			ask(private, p.cfg.Private, false, "GET", path)
			ask(private, "evil.example", false, "GET", path)
		}
		ask(private, p.cfg.Private, false, "POST", "/cli/import/rota")
		for name, h := range map[string]http.Handler{"payment simulator": p.sims.pay.Handler(), "SMS simulator": p.sims.sms.Handler(), "real-name simulator": p.sims.name.Handler()} {
			rec := httptest.NewRecorder()
			h.ServeHTTP(rec, httptest.NewRequest("GET", "/nowhere", nil))
			if l := lacks(rec.Header(), false, false); len(l) > 0 {
				t.Errorf("%s: %v", name, l)
			}
		}
		rec := httptest.NewRecorder()
		p.sims.pay.Handler().ServeHTTP(rec, httptest.NewRequest("GET", "/h5/unknown", nil))
		if l := lacks(rec.Header(), true, false); len(l) > 0 || !strings.Contains(rec.Body.String(), "<style>") {
			t.Errorf("cashier: %v", l)
		}
	}
}

var wildcard = regexp.MustCompile(`\{[^}]*\}`)

// A handler that nobody wrapped is found: the check above can fail.
func TestHeadersFindABareDoor(t *testing.T) {
	rec := httptest.NewRecorder()
	http.NotFound(rec, httptest.NewRequest("GET", "/", nil))
	if l := lacks(rec.Header(), true, true); len(l) < 8 {
		t.Errorf("only %v", l)
	}
}

// A name of somebody else's that leads to this machine opens no private door.
func TestPrivateDoorHasNoOtherName(t *testing.T) {
	p := wired(t, nil)
	for listen, hosts := range map[string]map[string]int{
		"127.0.0.1:8081": {"127.0.0.1:8081": 200, "localhost:9": 200, "localhost": 200, "[::1]:8081": 200, "evil.example": 421, "evil.example:8081": 421, "10.0.0.1:8081": 421, "": 421},
		"10.0.0.1:8081":  {"metrics.hospital.test:8081": 200},
	} {
		p.cfg.Private = listen
		for host, want := range hosts {
			r := httptest.NewRequest("GET", "/metrics", nil)
			r.Host = host
			rec := httptest.NewRecorder()
			p.private().ServeHTTP(rec, r)
			if rec.Code != want {
				t.Errorf("%s asked as %q: %d, want %d", listen, host, rec.Code, want)
			}
		}
	}
}
