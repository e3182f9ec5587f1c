package app

import (
	"net"
	"net/http"
	"net/http/pprof"
	"strings"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"xinglin/internal/platform/httpx"
)

// public is everything that people, phones and partners reach.
func (p *Process) public() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { plain(w, http.StatusOK, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if !p.ready.Load() {
			plain(w, http.StatusServiceUnavailable, "not ready")
			return
		}
		plain(w, http.StatusOK, "ready")
	})
	mux.Handle("/api/", p.api)
	mux.Handle("GET /openapi.json", p.api)
	mux.Handle("GET /openapi.yaml", p.api)
	pages(mux)
	return httpx.Harden(strings.HasPrefix(publicURL(p.cfg), "https://"), mux)
}

// private is for the machine's operator: metrics, profiles and the command line's door.
func (p *Process) private() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(p.metrics, promhttp.HandlerOpts{MaxRequestsInFlight: 4}))
	mux.HandleFunc("GET /debug/pprof/", func(w http.ResponseWriter, r *http.Request) {
		httpx.AsPage(w, "form-action 'none'")
		pprof.Index(w, r)
	})
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	mux.HandleFunc("POST /cli/import/rota", importDoor(p, importTime, p.importRotaDoor))
	mux.HandleFunc("POST /cli/import/fhir", importDoor(p, fhirTime, p.importFHIRDoor))
	mux.HandleFunc("POST /cli/import/config", importDoor(p, configTime, p.configDoor))
	mux.HandleFunc("POST /cli/import/tenant", importDoor(p, configTime, p.addTenantDoor))
	mux.HandleFunc("POST /cli/import/icd10", importDoor(p, importTime, p.importCodesDoor))
	mux.HandleFunc("POST /cli/import/"+rotateAct, importDoor(p, rotateTime, p.rotateDoor))
	mux.HandleFunc("POST /cli/import/"+exportAct, importDoor(p, exportActTime, p.exportActDoor))
	mux.HandleFunc("POST /cli/import/"+auditRotateAct, importDoor(p, turnActTime, p.rotateAuditDoor))
	mux.HandleFunc("POST /cli/import/"+auditBeginAct, importDoor(p, turnActTime, p.beginAuditDoor))
	return httpx.Harden(false, named(p.cfg.Private, mux))
}

// named refuses other names than this machine's at an address of this machine only: a name of somebody else's that leads here
// (DNS rebinding) would let their page read what the operator's browser reaches.
func named(listen string, next http.Handler) http.Handler {
	if !loopback(listen) {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := r.Host
		if _, _, err := net.SplitHostPort(host); err != nil { // no port
			host = net.JoinHostPort(strings.Trim(host, "[]"), "80")
		}
		if !loopback(host) {
			plain(w, http.StatusMisdirectedRequest, "another name than this machine's")
			return
		}
		next.ServeHTTP(w, r)
	})
}

func plain(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text + "\n"))
}
