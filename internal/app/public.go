package app

import (
	"net/http"
	"net/http/pprof"

	"github.com/prometheus/client_golang/prometheus/promhttp"
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
	return mux
}

// private is for the machine's operator: metrics, profiles and the command line's door.
func (p *Process) private() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(p.metrics, promhttp.HandlerOpts{MaxRequestsInFlight: 4}))
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
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
	return mux
}

func plain(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text + "\n"))
}
