// Package simserver is what the simulators of signed services share: the socket, the
// check of signatures and faults on demand. Only for the demo and tests.
package simserver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/secret"
	"xinglin/internal/platform/httpx"
	"xinglin/internal/platform/sms/signed"
)

const (
	ioTimeout = 15 * time.Second
	drainTime = 5 * time.Second
	maxFaults = 100              // in the queue
	maxDelay  = 30 * time.Second // of a slow answer
)

// Options of every simulator.
type Options struct {
	Listen string      // HOST:PORT; empty: no socket, use Handler
	Public bool        // allow another address than the loopback
	KeyID  string      // shared with the client
	Key    secret.Text // at least 16 bytes
	Clock  clock.Clock // nil is the system's
	Log    *slog.Logger
}

// FaultKind is a sort of trouble.
type FaultKind string

// The faults. Refuse, Down, Limit and Drop come before any effect, Lost, Garbage and
// Unsigned after it.
const (
	Refuse   FaultKind = "refuse"   // 422 with Code
	Down     FaultKind = "down"     // 503
	Limit    FaultKind = "limit"    // 429
	Slow     FaultKind = "slow"     // Delay, then as usual
	Drop     FaultKind = "drop"     // the connection ends
	Lost     FaultKind = "lost"     // done, and the connection ends
	Garbage  FaultKind = "garbage"  // done, and the answer is no JSON
	Unsigned FaultKind = "unsigned" // done, and the answer is not signed
)

// Fault makes the next Times requests fail.
type Fault struct {
	Kind  FaultKind
	Code  string        // of Refuse; "refused" when empty
	Times int           // 0 is 1
	Delay time.Duration // of Slow, at most 30 s
}

// Server is one simulator's door.
type Server struct {
	Verifier *signed.Verifier
	Clock    clock.Clock
	Log      *slog.Logger

	listener net.Listener
	mux      *http.ServeMux
	mu       sync.Mutex
	faults   []Fault
}

// New opens the socket. POST /faults {"kind","code","times","delay_ms"}, signed like
// everything, queues a fault.
func New(o Options) (*Server, error) {
	if o.Clock == nil {
		o.Clock = clock.System{}
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	v, err := signed.NewVerifier(signed.Key{ID: o.KeyID, Secret: o.Key}, o.Clock)
	if err != nil {
		return nil, err
	}
	s := &Server{Verifier: v, Clock: o.Clock, Log: o.Log, mux: http.NewServeMux()}
	if o.Listen != "" {
		if err := allowed(o.Listen, o.Public); err != nil {
			return nil, err
		}
		if s.listener, err = net.Listen("tcp", o.Listen); err != nil {
			return nil, err
		}
	}
	s.Control("POST /faults", s.postFault)
	return s, nil
}

func allowed(listen string, public bool) error {
	host, _, err := net.SplitHostPort(listen)
	if err != nil {
		return err
	}
	if ip := net.ParseIP(host); !public && host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return fmt.Errorf("%s is not on the loopback", listen)
	}
	return nil
}

// Handler is the simulator without its socket.
func (s *Server) Handler() http.Handler { return httpx.Harden(false, s.mux) }

// URL is the address of the socket; empty without one.
func (s *Server) URL() string {
	if s.listener == nil {
		return ""
	}
	return "http://" + s.listener.Addr().String()
}

// Serve answers until ctx ends, then drains for at most 5 s and closes the socket.
func (s *Server) Serve(ctx context.Context) error {
	if s.listener == nil {
		return errors.New("no address to listen on")
	}
	srv := &http.Server{
		Handler: s.Handler(), ReadHeaderTimeout: ioTimeout, ReadTimeout: ioTimeout, WriteTimeout: ioTimeout + maxDelay,
		IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
		ErrorLog: slog.NewLogLogger(s.Log.Handler(), slog.LevelDebug),
	}
	done := make(chan error, 1)
	go func() { done <- srv.Serve(s.listener) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
	defer cancel()
	if srv.Shutdown(drain) != nil {
		_ = srv.Close()
	}
	return nil
}

// Close closes the socket of a simulator that is not served; closing twice is allowed.
func (s *Server) Close() {
	if s.listener != nil {
		_ = s.listener.Close()
	}
}

// Handle answers a pattern of net/http: the request is verified, a queued fault
// happens, and what do returns is signed. Its errors are *signed.Refusal.
func (s *Server) Handle(pattern string, do func(body []byte, r *http.Request) (any, error)) {
	s.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) { s.serve(w, r, s.next, do) })
}

// Control is Handle without faults: for looking inside.
func (s *Server) Control(pattern string, do func(body []byte, r *http.Request) (any, error)) {
	s.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		s.serve(w, r, func() Fault { return Fault{} }, do)
	})
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request, next func() Fault, do func([]byte, *http.Request) (any, error)) {
	body, err := s.Verifier.Read(r)
	if err != nil {
		s.Log.WarnContext(r.Context(), "simulator: request refused", "path", r.URL.Path, "reason", err.Error())
		signed.Refuse(w, err)
		return
	}
	f := next()
	if !s.before(w, r, f) {
		return
	}
	out, err := do(body, r)
	if err != nil {
		signed.Refuse(w, err)
		return
	}
	switch f.Kind {
	case Lost:
		panic(http.ErrAbortHandler)
	case Garbage:
		_, _ = w.Write([]byte("<html>"))
	case Unsigned:
		rec := http.Header{}
		s.Verifier.Answer(stripped{w, rec}, r, out)
	default:
		s.Verifier.Answer(w, r, out)
	}
}

// before lets faults happen that come before the effect; false when the request is over.
func (s *Server) before(w http.ResponseWriter, r *http.Request, f Fault) bool {
	switch f.Kind {
	case Refuse:
		signed.Refuse(w, &signed.Refusal{Status: http.StatusUnprocessableEntity, Code: f.Code})
	case Down:
		signed.Refuse(w, &signed.Refusal{Status: http.StatusServiceUnavailable, Code: "down"})
	case Limit:
		signed.Refuse(w, &signed.Refusal{Status: http.StatusTooManyRequests, Code: signed.CodeBusy})
	case Drop:
		panic(http.ErrAbortHandler)
	case Slow:
		t := time.NewTimer(min(f.Delay, maxDelay))
		defer t.Stop()
		select {
		case <-t.C:
			return true
		case <-r.Context().Done():
			return false
		}
	default:
		return true
	}
	return false
}

// stripped writes the body to w and the headers to nowhere.
type stripped struct {
	http.ResponseWriter
	header http.Header
}

func (s stripped) Header() http.Header { return s.header }

// Fault queues a fault for the next requests; false when the queue is full or the kind unknown.
func (s *Server) Fault(f Fault) bool {
	switch f.Kind {
	case Refuse, Down, Limit, Slow, Drop, Lost, Garbage, Unsigned:
	default:
		return false
	}
	f.Times = max(f.Times, 1)
	if f.Code == "" {
		f.Code = "refused"
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.faults) >= maxFaults {
		return false
	}
	s.faults = append(s.faults, f)
	return true
}

func (s *Server) next() Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.faults) == 0 {
		return Fault{}
	}
	f := s.faults[0]
	if s.faults[0].Times--; s.faults[0].Times == 0 {
		s.faults = s.faults[1:]
	}
	return f
}

func (s *Server) postFault(body []byte, _ *http.Request) (any, error) {
	var in struct {
		Kind    FaultKind `json:"kind"`
		Code    string    `json:"code"`
		Times   int       `json:"times"`
		DelayMS int64     `json:"delay_ms"`
	}
	if err := signed.Decode(body, &in); err != nil {
		return nil, err
	}
	f := Fault{Kind: in.Kind, Code: in.Code, Times: in.Times, Delay: time.Duration(in.DelayMS) * time.Millisecond}
	if !s.Fault(f) {
		return nil, &signed.Refusal{Status: http.StatusUnprocessableEntity, Code: "fault_unknown_or_too_many"}
	}
	return struct{}{}, nil
}
