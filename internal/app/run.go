// Package app wires the product and runs it: the only place that knows every context's
// behaviour.
package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"runtime/pprof"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	sdk "go.opentelemetry.io/otel/sdk/trace"

	"xinglin/internal/demo"
	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/admission"
	"xinglin/internal/platform/bus"
	"xinglin/internal/platform/config"
	"xinglin/internal/platform/crypt"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/httpx"
	"xinglin/internal/platform/inbox"
	"xinglin/internal/platform/job"
	"xinglin/internal/platform/obs"
	"xinglin/internal/platform/outbox"
	"xinglin/internal/platform/process"
	tlsfiles "xinglin/internal/platform/tls"
)

// Version of this build.
const Version = "0.1.0-dev"

// Process is one running serve.
type Process struct {
	cfg     config.Serve
	bench   *Bench // nil in the product
	clk     clock.Clock
	log     *slog.Logger
	out     io.Writer
	metrics *prometheus.Registry

	db      *db.Server
	ring    *crypt.Ring
	bus     bus.Bus
	peers   *tlsfiles.Peers // nil: inner doors are plain
	sims    *simulators
	demo    demo.Hospital // with --demo
	house   *House
	desk    *admission.Desk
	api     *httpx.API
	ops     *operator
	relays  []*outbox.Relay
	hearers []*inbox.Consumer
	runners []*job.Runner

	token  string // of the command line
	ready  atomic.Bool
	failed chan error
	undo   []func() // in reverse order at the end

	overdue *time.Timer // runs once draining has begun
}

// Serve runs until ctx ends, then drains: no new requests, those inside finish, jobs in
// hand finish or are given back, the broker is drained. out gets the lines for people.
func Serve(ctx context.Context, cfg config.Serve, out, logs io.Writer) error {
	return serve(ctx, cfg, nil, out, logs)
}

func serve(ctx context.Context, cfg config.Serve, bench *Bench, out, logs io.Writer) (err error) {
	if err := check(cfg); err != nil {
		return err
	}
	p := &Process{cfg: cfg, bench: bench, out: out, failed: make(chan error, 8), metrics: prometheus.NewRegistry()}
	if p.clk, err = clock.Parse(cfg.Clock); err != nil {
		return ErrFlags.Wrap(err)
	}
	var level slog.Level
	_ = level.UnmarshalText([]byte(cfg.LogLevel)) // the flag's enum checked it
	p.log = obs.Logger(logs, level)
	ctx = obs.WithLog(ctx, p.log)
	defer func() {
		if p.overdue != nil {
			p.overdue.Stop()
		}
	}()
	defer p.end()
	if !cfg.Peer.Zero() {
		if p.peers, err = tlsfiles.NewPeers(cfg.Peer); err != nil {
			return ErrFlags.Wrap(err)
		}
	}
	if err := p.open(ctx); err != nil {
		return err
	}
	if err := p.wire(ctx); err != nil {
		return err
	}
	return p.run(ctx)
}

// later registers what ends with the process.
func (p *Process) later(f func()) { p.undo = append(p.undo, f) }

func (p *Process) end() {
	for _, f := range slices.Backward(p.undo) {
		f()
	}
}

// open takes the folder or the database, the keys and the broker, in this order.
func (p *Process) open(ctx context.Context) error {
	var exporters []sdk.SpanExporter
	if p.cfg.OTLP != "" {
		e, err := spans(ctx, p.cfg.OTLP)
		if err != nil {
			return ErrFlags.At("otlp", "want an http(s) URL")
		}
		exporters = append(exporters, e)
	}
	stop := obs.Tracing(exporters...)
	p.later(func() {
		c, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = stop(c)
	})
	p.metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))

	keys := p.cfg.Keys
	if p.cfg.DB == "" {
		release, err := process.LockDir(p.cfg.Data)
		if err != nil {
			return err
		}
		p.later(release)
		if err := db.MigrateSQLite(ctx, p.cfg.Data, Sets()); err != nil {
			return err
		}
		if keys == "" {
			keys = KeysOf(p.cfg.Data)
		}
	}
	var err error
	if p.db, err = db.Open(ctx, db.Options{Dir: p.cfg.Data, DSN: p.cfg.DB, MaxConns: p.cfg.DBConns, Clock: p.clk}); err != nil {
		return err
	}
	p.later(func() { _ = p.db.Close() })
	if err := p.db.CheckSchema(ctx, Sets()); err != nil {
		return err
	}
	store, err := p.db.Context(ctx, "keys")
	if err != nil {
		return err
	}
	p.ring, err = crypt.Open(ctx, crypt.Options{DB: store, Keys: keys, Create: p.cfg.DB == "", Algorithm: p.cfg.Algorithm, Clock: p.clk})
	if err != nil {
		return err
	}
	return p.register(ctx)
}

// spans is the exporter of traces to a collector's URL.
func spans(ctx context.Context, raw string) (sdk.SpanExporter, error) {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" {
		return nil, errors.New("malformed URL")
	}
	opts := []otlptracehttp.Option{otlptracehttp.WithEndpoint(u.Host)}
	if u.Scheme == "http" {
		opts = append(opts, otlptracehttp.WithInsecure())
	}
	if u.Path != "" && u.Path != "/" {
		opts = append(opts, otlptracehttp.WithURLPath(u.Path))
	}
	return otlptracehttp.New(ctx, opts...)
}

// uploads is where a process keeps files while it imports them.
func uploads(data string) string {
	if data == "" {
		return ""
	}
	return filepath.Join(data, "imports")
}

// KeysOf is where a single machine keeps its root key.
func KeysOf(dir string) string { return "file:" + filepath.Join(dir, "keys", "root") }

// register enters the process register before a broker is started or joined, so that a
// second process that lacks --nats or has other keys is refused with the flag's name.
func (p *Process) register(ctx context.Context) error {
	reg, err := p.db.Context(ctx, "process")
	if err != nil {
		return err
	}
	broker := process.Embedded
	if p.cfg.NATS != "" {
		if p.bus, err = bus.Dial(ctx, bus.DialOptions{URL: p.cfg.NATS, Name: "xinglin", Log: p.log, Peers: p.peers}); err != nil {
			return err
		}
		p.later(func() { _ = p.bus.Close() })
		at, err := p.bus.Position(ctx)
		if err != nil {
			return err
		}
		broker = "nats " + at.Incarnation
	}
	leave, err := process.Register(ctx, reg, process.Process{
		ID: id.New[process.Process](clock.System{}.Now()), Version: Version, Modules: strings.Join(p.cfg.Modules, ","),
		Broker: broker, Keys: p.ring.Fingerprint(), Sole: p.cfg.DB == "",
	})
	if err != nil {
		return err
	}
	p.later(leave)
	if p.bus == nil {
		if p.bus, err = bus.Embed(ctx, bus.EmbedOptions{Dir: filepath.Join(p.cfg.Data, "broker"), Log: p.log}); err != nil {
			return err
		}
		p.later(func() { _ = p.bus.Close() })
	}
	return nil
}

// opens tells which modules' doors, consumers and jobs this process runs.
func (p *Process) opens(module string) bool {
	return module == "ops" || module == "http" || slices.Contains(p.cfg.Modules, "all") || slices.Contains(p.cfg.Modules, module)
}

// wire builds the house, its door and its machines.
func (p *Process) wire(ctx context.Context) (err error) {
	o, err := outside(p.cfg, p.clk, p.metrics)
	if err != nil {
		return err
	}
	if p.cfg.Demo {
		if o, p.sims, err = simulate(p.cfg, p.clk, p.log, p.metrics); err != nil {
			return err
		}
		p.later(p.sims.close)
	}
	if err := o.evidence(p.cfg); err != nil {
		return err
	}
	own := &ownPhone{}
	if p.desk, err = desk(p.cfg, p.ring.Derive("admission"), p.clk, p.log, p.metrics, own); err != nil {
		return err
	}
	p.house, err = Wire(ctx, Machines{
		DB: p.db, Clock: p.clk, Crypt: p.ring, Log: p.log, Metrics: p.metrics, Signals: p.bus, Demo: p.cfg.Demo, Outside: o, Seats: p.bench.seats(), Admission: p.desk, Uploads: uploads(p.cfg.Data),
	})
	if err != nil {
		return err
	}
	own.identity = p.house.Identity
	p.api, err = httpx.New(httpx.Options{
		Tenants: p.house.Hosts, Auth: p.house.Auth, Clock: p.clk, Log: p.log, Metrics: p.metrics,
		CursorKey: p.ring.Derive("httpx cursor"), PublicURL: publicURL(p.cfg), Open: p.opens,
		Inside: p.cfg.Inside, PerAddress: p.cfg.RatePerAddress, PerAccount: p.cfg.RatePerAccount, Trusted: p.cfg.BehindHTTP, Guard: p.desk.Guard,
	})
	if err != nil {
		return err
	}
	p.machines(ctx)
	for _, m := range p.house.Modules {
		if m.Routes != nil {
			m.Routes(p.api)
		}
	}
	reg, err := p.db.Context(ctx, "process")
	if err != nil {
		return err
	}
	p.ops = &operator{house: p.house, consumers: map[string]*inbox.Consumer{}, process: reg}
	for _, c := range p.hearers {
		p.ops.consumers[c.DB.Name()] = c
	}
	p.ops.routes(p.api)
	p.desk.Routes(p.api)
	return p.jobs()
}

// machines makes a relay and a consumer for each context whose module is open here.
func (p *Process) machines(context.Context) {
	rm, im := outbox.NewMetrics(p.metrics), inbox.NewMetrics(p.metrics)
	for _, m := range p.house.Modules {
		own := p.house.DBs[m.Name]
		if !p.opens(m.Name) {
			continue
		}
		p.relays = append(p.relays, &outbox.Relay{
			DB: own, Bus: p.bus, Hearers: hearersOf(p.house, m.Name), Clock: p.clk, Log: p.log, Metrics: rm,
		})
		if len(m.Hears) > 0 {
			p.hearers = append(p.hearers, &inbox.Consumer{DB: own, Bus: p.bus, Handlers: m.Hears, Clock: p.clk, Log: p.log, Metrics: im})
		}
	}
}

// hearersOf lists who hears a context, from the handlers of the others.
func hearersOf(h *House, owner string) []outbox.Hearer {
	var out []outbox.Hearer
	for _, m := range h.Modules {
		var events []string
		for _, x := range m.Hears {
			if strings.HasPrefix(x.Event, owner+".") {
				events = append(events, x.Event)
			}
		}
		if len(events) > 0 {
			out = append(out, outbox.Hearer{Consumer: inbox.Durable(m.Name), Events: events})
		}
	}
	return out
}

func (p *Process) jobs() error {
	jm := job.NewMetrics(p.metrics)
	for _, m := range p.house.Modules {
		if !p.opens(m.Name) {
			continue
		}
		r, err := job.NewRunner(job.Options{
			DB: p.house.DBs[m.Name], Handlers: m.Jobs, Clock: p.clk, Log: p.log, Sole: p.cfg.DB == "", Metrics: jm,
		})
		if err != nil {
			return err
		}
		p.runners = append(p.runners, r)
	}
	return nil
}

// run listens, seeds the demo, starts the machines and waits for the end.
func (p *Process) run(ctx context.Context) error {
	public, private, err := p.listen(ctx)
	if err != nil {
		return err
	}
	work, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var machines sync.WaitGroup
	start := func(name string, f func(context.Context) error) {
		machines.Go(func() {
			if err := f(work); err != nil && work.Err() == nil {
				p.fail(fmt.Errorf("%s: %w", name, err))
			}
		})
	}
	if p.sims != nil {
		p.sims.serve(work, p.fail)
	}
	if err := p.begin(ctx); err != nil {
		return err
	}
	for _, m := range p.house.Modules {
		if m.Start != nil && p.opens(m.Name) {
			end, err := m.Start()
			if err != nil {
				return err
			}
			p.later(end)
		}
	}
	if p.bench != nil && !p.bench.Machines {
		p.relays, p.hearers, p.runners = nil, nil, nil
	}
	start("waiting rooms", p.desk.Run)
	for i := range p.relays {
		start("relay", p.relays[i].Run)
	}
	for i := range p.hearers {
		start("consumer", p.hearers[i].Run)
	}
	for i := range p.runners {
		start("jobs", p.runners[i].Run)
	}
	p.ready.Store(true)
	p.enliven(start)
	fmt.Fprintf(p.out, "xinglin %s ready on %s (private %s)\n", Version, publicURL(p.cfg), p.cfg.Private)
	p.welcome(work)
	select {
	case <-ctx.Done():
	case err = <-p.failed:
		p.log.Error("a machine stopped", "error", err.Error())
	}
	p.ready.Store(false)
	p.overdue = time.AfterFunc(config.DrainTime+config.EndTime, p.cutOff)
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), config.DrainTime)
	defer cancel()
	_ = public.Shutdown(drain)
	stop()
	waited := make(chan struct{})
	go func() { machines.Wait(); close(waited) }()
	select {
	case <-waited:
	case <-drain.Done():
		p.log.Warn("drain: machines did not stop in time")
	}
	_ = p.bus.Drain(drain)
	_ = private.Shutdown(drain)
	return err
}

// cutOff ends a process that does not end by itself, and says what it waits for: who
// restarts it must not wait for ever, and what was not acknowledged is repeated.
func (p *Process) cutOff() {
	p.log.Error("drain: the process did not end in time and is cut off; what its goroutines do follows")
	_ = pprof.Lookup("goroutine").WriteTo(os.Stderr, 1)
	os.Exit(1)
}

func (p *Process) fail(err error) {
	select {
	case p.failed <- err:
	default:
	}
}

// listen opens both sockets before anything else runs, so that a taken port is a clear error.
func (p *Process) listen(ctx context.Context) (public, private *http.Server, err error) {
	base, cut := context.WithCancel(context.WithoutCancel(ctx))
	p.later(cut)
	public = &http.Server{
		Handler: p.public(), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 15 * time.Second, WriteTimeout: 60 * time.Second,
		IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 32 << 10, BaseContext: func(net.Listener) context.Context { return base },
		ErrorLog: slog.NewLogLogger(p.log.Handler(), slog.LevelDebug),
	}
	public.RegisterOnShutdown(p.api.EndStreams)
	private = &http.Server{
		Handler: p.private(), ReadHeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute, ErrorLog: public.ErrorLog,
		BaseContext: func(net.Listener) context.Context { return base },
	}
	if p.cfg.TLSCert != "" {
		if public.TLSConfig, err = tlsfiles.Server(p.cfg.TLSCert, p.cfg.TLSKey); err != nil {
			return nil, nil, ErrFlags.Wrap(err)
		}
	}
	if p.peers != nil {
		private.TLSConfig = p.peers.Server()
	}
	for _, s := range []struct {
		srv     *http.Server
		address string
	}{{public, p.cfg.Listen}, {private, p.cfg.Private}} {
		l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", s.address)
		if err == nil && s.srv == public {
			l = p.bounded(l, public)
		}
		if err != nil {
			return nil, nil, ErrFlags.Because("listen %s: %w", s.address, err)
		}
		p.later(func() { _ = s.srv.Close() })
		go func() {
			var err error
			if s.srv.TLSConfig != nil {
				err = s.srv.ServeTLS(l, "", "")
			} else {
				err = s.srv.Serve(l)
			}
			if !errors.Is(err, http.ErrServerClosed) {
				p.fail(err)
			}
		}()
	}
	return public, private, nil
}
