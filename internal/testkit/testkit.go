// Package testkit builds what a context stands on, for tests: a module.Base with real
// keys and real policies on a database of dbtest, a clock that stands still, signals
// within the process, and principals in a context. It knows no behaviour of a context.
//
//	clk := testkit.Clock()
//	dbtest.Each(t, testkit.Sets(Describe()), func(t *testing.T, srv *db.Server) {
//		base := testkit.Base(t, srv, Describe(), testkit.WithClock(clk))
//		...
//	}, dbtest.WithClock(clk))
package testkit

import (
	"context"
	"encoding/hex"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/authz"
	"xinglin/internal/platform/crypt"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/module"
)

// Start is where Clock begins: Monday 2026-03-02, 09:00 in Shanghai.
var Start = time.Date(2026, 3, 2, 1, 0, 0, 0, time.UTC)

// Clock is a manual clock at Start. Give it to dbtest.WithClock too, so that Tx.Now agrees.
func Clock() *clock.Manual { return clock.NewManual(Start) }

// Sets are the migrations of the contexts and of the key store.
func Sets(ds ...module.Description) []db.Set {
	out := []db.Set{crypt.Migrations()}
	for _, d := range ds {
		out = append(out, d.Set())
	}
	return out
}

type options struct {
	clock   clock.Clock
	demo    bool
	signals module.Signals
	others  []module.Description
}

// Option changes a Base.
type Option func(*options)

// WithClock makes the base tell the time of c.
func WithClock(c clock.Clock) Option { return func(o *options) { o.clock = c } }

// Demo is a process of --demo.
func Demo() Option { return func(o *options) { o.demo = true } }

// WithSignals shares signals between several bases: processes that hear each other.
func WithSignals(s module.Signals) Option { return func(o *options) { o.signals = s } }

// WithPolicies adds the policies of other contexts to the engine.
func WithPolicies(ds ...module.Description) Option {
	return func(o *options) { o.others = append(o.others, ds...) }
}

// Base is what the wiring would hand to the context d on this server. The server's
// database has Sets(d); bases on one database share the root key.
func Base(t testing.TB, srv *db.Server, d module.Description, opts ...Option) module.Base {
	t.Helper()
	o := options{clock: Clock(), signals: Signals()}
	for _, f := range opts {
		f(&o)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	own, err := srv.Context(ctx, d.Name)
	if err != nil {
		t.Fatalf("testkit: %v", err)
	}
	var policies []authz.Policies
	for _, x := range append([]module.Description{d}, o.others...) {
		policies = append(policies, authz.Policies{Context: x.Name, Text: x.Policies})
	}
	engine, err := authz.New(policies...)
	if err != nil {
		t.Fatalf("testkit: %v", err)
	}
	return module.Base{
		DB: own, Clock: o.clock, Authz: engine, Crypt: Ring(t, srv, o.clock), Signals: o.signals, Demo: o.demo,
		Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	}
}

// Ring opens the key store of the server with the root key of all tests.
func Ring(t testing.TB, srv *db.Server, c clock.Clock) *crypt.Ring {
	t.Helper()
	keys, err := srv.Context(context.Background(), "keys")
	if err != nil {
		t.Fatalf("testkit: keys: %v", err)
	}
	file := filepath.Join(t.TempDir(), "root")
	root := hex.EncodeToString([]byte("the root key of every test: 32 B"))
	if err := os.WriteFile(file, []byte(root), 0o600); err != nil {
		t.Fatalf("testkit: keys: %v", err)
	}
	ring, err := crypt.Open(context.Background(), crypt.Options{DB: keys, Keys: "file:" + file, Clock: c})
	if err != nil {
		t.Fatalf("testkit: keys: %v", err)
	}
	return ring
}

// As puts a principal into ctx.
func As(ctx context.Context, p auth.Principal) context.Context { return auth.With(ctx, p) }

// AsCLI is an operator at the command line, on the tenant.
func AsCLI(ctx context.Context, tenant id.ID[auth.Tenant]) context.Context {
	return auth.With(ctx, auth.Principal{Kind: auth.CLI, Tenant: tenant, Name: "tester"})
}

// AsSystem is a job or consumer of the tenant (zero: of all).
func AsSystem(ctx context.Context, tenant id.ID[auth.Tenant], name string) context.Context {
	return auth.With(ctx, auth.Principal{Kind: auth.System, Tenant: tenant, Name: name})
}

// Signals are signals within the process, heard before Signal returns.
func Signals() module.Signals { return &local{heard: map[string]map[int]func([]byte){}} }

type local struct {
	mu    sync.Mutex
	next  int
	heard map[string]map[int]func([]byte)
}

// Signal implements module.Signals.
func (l *local) Signal(_ context.Context, topic string, data []byte) error {
	l.mu.Lock()
	var fs []func([]byte)
	for _, f := range l.heard[topic] {
		fs = append(fs, f)
	}
	l.mu.Unlock()
	for _, f := range fs {
		f(data)
	}
	return nil
}

// OnSignal implements module.Signals.
func (l *local) OnSignal(topic string, f func([]byte)) (stop func(), err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := l.next
	l.next++
	if l.heard[topic] == nil {
		l.heard[topic] = map[int]func([]byte){}
	}
	l.heard[topic][n] = f
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.heard[topic], n)
	}, nil
}

// KeyAt is a client's UUIDv7 of an instant. id.New never goes back within a process, and
// tests have servers with clocks of their own, and clients whose clocks are off.
func KeyAt[T any](at time.Time) id.ID[T] {
	v, ms := id.Random[T](), at.UnixMilli()
	for i := range 6 {
		v[i] = byte(ms >> (40 - 8*i))
	}
	v[6], v[8] = 0x70|v[6]&15, 0x80|v[8]&63
	return v
}
