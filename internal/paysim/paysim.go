// Package paysim is the other side of package wechatpay: a simulator of the WeChat Pay v3 protocol over real HTTP, for the demo
// and the tests. It verifies merchants' signatures, keeps transactions and refunds in its folder, shows a cashier page,
// delivers signed callbacks on the channel's retry schedule and makes faults on demand. No money moves.
//
// It listens on the loopback unless Options.Public is set, since whoever reaches it may declare orders paid.
//
// The folder holds the simulated platform's own keys (platform/), the merchants it knows (merchants/), what Provision made for
// the merchant's side (merchant/) and the journal of orders and refunds (journal.jsonl).
package paysim

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"xinglin/internal/kernel/clock"
	"xinglin/internal/platform/httpx"
)

const (
	maxBody    = 64 << 10 // bytes of one request
	maxWorkers = 16       // callbacks under way at once
	ioTimeout  = 15 * time.Second
	hookWait   = 5 * time.Second // the channel waits so long for a merchant's answer
)

// Options say how a simulator runs. Only Dir is required.
type Options struct {
	Dir         string        // the simulator's folder, made if missing
	Listen      string        // HOST:PORT; empty: no socket, use Handler
	PublicURL   string        // how browsers reach the cashier; empty: the address of the socket or of the request
	Public      bool          // allow another address than the loopback
	Clock       clock.Clock   // the system's clock when nil
	Log         *slog.Logger  // slog.Default when nil
	RetryScale  int           // how many times faster than the channel's retry schedule callbacks are repeated; 1 when zero
	RefundDelay time.Duration // from PROCESSING to SUCCESS; 1 s when zero
}

// Server is one simulator. It is safe for concurrent use.
type Server struct {
	o         Options
	platform  *platform
	merchants map[string]*merchant
	book      *book
	faults    *faults
	hooks     *http.Client
	slots     chan struct{}
	listener  net.Listener
	mux       *http.ServeMux

	ctx    context.Context
	cancel context.CancelFunc
	mu     sync.Mutex // guards closed, so that no work starts after Close
	closed bool
	work   sync.WaitGroup
}

// New opens the folder and the socket and takes up unfinished callbacks and refunds. Call Serve, or Handler and Close.
func New(o Options) (*Server, error) {
	o.setDefaults()
	if err := o.check(); err != nil {
		return nil, fmt.Errorf("paysim: %w", err)
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("paysim: %w", err)
	}
	s := &Server{o: o, faults: &faults{}, slots: make(chan struct{}, maxWorkers)}
	var err error
	if s.platform, err = loadPlatform(o.Dir, o.Clock.Now()); err != nil {
		return nil, fmt.Errorf("paysim: platform keys: %w", err)
	}
	if s.merchants, err = loadMerchants(o.Dir); err != nil {
		return nil, fmt.Errorf("paysim: merchants: %w", err)
	}
	if o.Listen != "" {
		if s.listener, err = net.Listen("tcp", o.Listen); err != nil {
			return nil, fmt.Errorf("paysim: %w", err)
		}
	}
	if s.book, err = openBook(filepath.Join(o.Dir, "journal.jsonl")); err != nil {
		if s.listener != nil {
			s.listener.Close()
		}
		return nil, fmt.Errorf("paysim: journal: %w", err)
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.hooks = &http.Client{
		Timeout:       hookWait,
		Transport:     &http.Transport{MaxIdleConnsPerHost: maxWorkers, IdleConnTimeout: time.Minute},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	s.mux = s.routes()
	s.resume()
	return s, nil
}

func (o *Options) setDefaults() {
	if o.Clock == nil {
		o.Clock = clock.System{}
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.RetryScale == 0 {
		o.RetryScale = 1
	}
	if o.RefundDelay == 0 {
		o.RefundDelay = time.Second
	}
	o.PublicURL = strings.TrimSuffix(o.PublicURL, "/")
}

func (o *Options) check() error {
	if o.Dir == "" {
		return errors.New("a folder wanted")
	}
	if o.RetryScale < 1 || o.RefundDelay < 0 {
		return errors.New("retry scale of at least 1 and a positive refund delay wanted")
	}
	if o.Listen == "" || o.Public {
		return nil
	}
	host, _, err := net.SplitHostPort(o.Listen)
	if err != nil {
		return err
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return fmt.Errorf("%s is not on the loopback: whoever reaches the simulator may declare orders paid", o.Listen)
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

// Serve answers on the socket until ctx ends, then drains for at most 5 s and closes the simulator.
func (s *Server) Serve(ctx context.Context) error {
	defer s.Close()
	if s.listener == nil {
		return errors.New("paysim: Serve without Options.Listen")
	}
	srv := &http.Server{
		Handler: s.Handler(), ReadHeaderTimeout: ioTimeout, ReadTimeout: ioTimeout, WriteTimeout: 2 * ioTimeout,
		IdleTimeout: time.Minute, MaxHeaderBytes: 64 << 10,
		ErrorLog: slog.NewLogLogger(s.o.Log.Handler(), slog.LevelDebug),
	}
	done := make(chan error, 1)
	go func() { done <- srv.Serve(s.listener) }()
	select {
	case err := <-done:
		return fmt.Errorf("paysim: %w", err)
	case <-ctx.Done():
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := srv.Shutdown(drain); err != nil {
		srv.Close()
	}
	return nil
}

// Close stops callbacks and refunds, which a new Server on the same folder takes up again, and closes the journal. Closing
// twice is allowed.
func (s *Server) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	s.mu.Unlock()
	s.cancel()
	s.work.Wait()
	if s.listener != nil {
		s.listener.Close()
	}
	s.hooks.CloseIdleConnections()
	return s.book.close()
}

// later runs f after d unless the simulator closes first. f gets a context that ends with the simulator.
func (s *Server) later(d time.Duration, f func(context.Context)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	s.work.Go(func() {
		t := time.NewTimer(d)
		defer t.Stop()
		select {
		case <-s.ctx.Done():
			return
		case <-t.C:
		}
		f(s.ctx)
	})
}
