// Package db is one context's database on either engine: SQLite (one file a
// context, one process) or PostgreSQL (one schema and one pair of roles a context,
// one bounded pool a process). A context sees DB and Tx; which engine is behind them
// shows only in the dialect files store_*_pg.go and store_*_sqlite.go.
package db

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/fault"
	"xinglin/internal/kernel/id"
)

// Engine is the database behind a Tx.
type Engine string

// The two engines; there is no third.
const (
	SQLite   Engine = "sqlite"
	Postgres Engine = "postgres"
)

// Refusals that a caller may see when the database cannot serve.
var (
	ErrBusy           = fault.Register(fault.Unavailable, "db.busy", "系统繁忙，请稍后再试", "The system is busy, try again")
	ErrUnavailable    = fault.Register(fault.Unavailable, "db.unavailable", "数据暂时不可用", "The data is not available at the moment")
	ErrOutcomeUnknown = fault.Register(fault.Unavailable, "db.outcome_unknown", "结果未知，请用同一请求号重试", "The outcome is unknown, repeat with the same key")
)

// ErrNoRows is returned by Row.Scan when there is no row.
var ErrNoRows = errors.New("no rows")

// Row is one result row.
type Row interface {
	Scan(dest ...any) error
}

// Rows is a result; Close is idempotent and must be called.
type Rows interface {
	Next() bool
	Scan(dest ...any) error
	Err() error
	Close()
}

// Tx is one transaction of one context, for one tenant (or for all, in platform code).
type Tx interface {
	Exec(ctx context.Context, sql string, args ...any) (int64, error)
	Query(ctx context.Context, sql string, args ...any) (Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) Row
	// Send runs the statements of a pipeline in order: PostgreSQL in one round trip.
	Send(ctx context.Context, p *Pipeline) error
	// Last puts a statement off to the end of the transaction, into the round trip of the
	// commit: for writes whose outcome nothing depends on. When one fails nothing is committed.
	Last(sql string, args ...any)
	Tenant() id.ID[auth.Tenant]
	Engine() Engine
	// Context is the owning context's name.
	Context() string
	// Now is the instant of this transaction by the process's clock, UTC, in whole
	// microseconds (what a column keeps): the same for every row that it writes.
	Now() time.Time
	// OnCommit runs f after a successful commit, never when it fails.
	OnCommit(f func())
	// Wake tells the machine of this topic in this process, after a successful commit,
	// that there is work (see DB.Listen).
	Wake(topic string)
}

// DB is one context's database.
type DB struct {
	name string
	eng  engine

	mu    sync.Mutex // guards heard
	heard map[string][]chan struct{}
}

type engine interface {
	kind() Engine
	// run executes fn in one transaction and commits; hooks are those of the attempt that committed.
	run(ctx context.Context, m mode, fn func(context.Context, Tx) error) (hooks []func(), err error)
	close() error
}

// mode of one transaction.
type mode struct {
	name   string // context
	tenant id.ID[auth.Tenant]
	all    bool
	write  bool
	wake   func(topic string)
}

// instantOf is what Tx.Now tells: the clock cut to what a column keeps.
func instantOf(c clock.Clock) time.Time { return c.Now().UTC().Truncate(time.Microsecond) }

// Name is the owning context.
func (d *DB) Name() string { return d.name }

// Engine is the engine behind it.
func (d *DB) Engine() Engine { return d.eng.kind() }

// Listen gives a channel that gets a value after each commit that woke the topic in
// this process; values that nobody has taken yet count as one. stop ends it.
func (d *DB) Listen(topic string) (woken <-chan struct{}, stop func()) {
	ch := make(chan struct{}, 1)
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.heard == nil {
		d.heard = map[string][]chan struct{}{}
	}
	d.heard[topic] = append(d.heard[topic], ch)
	return ch, func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.heard[topic] = slices.DeleteFunc(d.heard[topic], func(c chan struct{}) bool { return c == ch })
	}
}

func (d *DB) wake(topic string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, ch := range d.heard[topic] {
		select {
		case ch <- struct{}{}:
		default:
		}
	}
}

type inTx struct{}

const (
	attempts = 5
	backoff  = 4 * time.Millisecond
)

// Repeat is the error of a transaction that lacks something which can only be had outside of it: nothing is committed, Between
// runs with the caller's context, and the whole is repeated, within the same five attempts. db.busy after the last one.
type Repeat struct {
	Between func(context.Context) error
}

func (*Repeat) Error() string { return "db: the transaction is to be repeated" }

// Write runs fn in one transaction of the tenant and commits it. It is repeated as a
// whole, at most five times with jitter, when the engine reports busy, deadlock or
// serialization; so fn must have no effect outside the transaction. Nesting panics.
func (d *DB) Write(ctx context.Context, tenant id.ID[auth.Tenant], fn func(context.Context, Tx) error) error {
	return d.do(ctx, mode{name: d.name, wake: d.wake, tenant: tenant, write: true}, fn)
}

// Read is Write without the right to change anything.
func (d *DB) Read(ctx context.Context, tenant id.ID[auth.Tenant], fn func(context.Context, Tx) error) error {
	return d.do(ctx, mode{name: d.name, wake: d.wake, tenant: tenant}, fn)
}

// WriteAll and ReadAll see every tenant. Only platform code may call them (archtest).
func (d *DB) WriteAll(ctx context.Context, fn func(context.Context, Tx) error) error {
	return d.do(ctx, mode{name: d.name, wake: d.wake, all: true, write: true}, fn)
}

// ReadAll is WriteAll without the right to change anything.
func (d *DB) ReadAll(ctx context.Context, fn func(context.Context, Tx) error) error {
	return d.do(ctx, mode{name: d.name, wake: d.wake, all: true}, fn)
}

func (d *DB) do(ctx context.Context, m mode, fn func(context.Context, Tx) error) error {
	if ctx.Value(inTx{}) != nil {
		panic("db: a transaction inside a transaction")
	}
	inner := context.WithValue(ctx, inTx{}, true)
	var err error
	for n := range attempts {
		var hooks []func()
		hooks, err = d.eng.run(inner, m, fn)
		if err == nil {
			for _, h := range hooks {
				h()
			}
			return nil
		}
		if again := (*Repeat)(nil); errors.As(err, &again) {
			if n == attempts-1 {
				break
			}
			if err := again.Between(ctx); err != nil {
				return err
			}
			continue
		}
		if !retryable(err) {
			return err
		}
		wait := backoff << n
		select {
		case <-ctx.Done():
			return ErrBusy.Wrap(ctx.Err())
		case <-time.After(wait/2 + rand.N(wait)):
		}
	}
	return ErrBusy.Wrap(err)
}

// Outside is a context without the mark of a transaction: for handlers that the
// platform starts after a commit with the values of the request.
func Outside(ctx context.Context) context.Context { return context.WithValue(ctx, inTx{}, nil) }

// Options opens a Server: Dir for SQLite, DSN for PostgreSQL.
type Options struct {
	Dir      string
	DSN      string
	MaxConns int           // PostgreSQL, a process; 0 means 24
	Readers  int           // SQLite, a context; 0 means 4
	Timeout  time.Duration // one statement; 0 means 15 s
	Clock    clock.Clock   // what Tx.Now tells; nil means the machine's clock

	// Bulk is for filling a new folder of SQLite files that is thrown away when that fails: rows may come before those that
	// they refer to (CheckReferences looks at the end), and nothing is synced. It must not be served.
	Bulk bool

	// Rewrite changes statements on PostgreSQL, for the test that takes the first lock
	// (tenant_id = $1) off to see that row-level security holds alone. Nil everywhere else.
	Rewrite func(sql string) string
}

// Server is the engine of one process: it gives out each context's DB.
type Server struct {
	opt Options
	pg  *pgEngine

	mu   sync.Mutex
	open map[string]*DB
}

// Open connects to PostgreSQL (when DSN is set) or prepares DIR for SQLite files.
func Open(ctx context.Context, opt Options) (*Server, error) {
	if opt.Timeout == 0 {
		opt.Timeout = 15 * time.Second
	}
	if opt.Clock == nil {
		opt.Clock = clock.System{}
	}
	s := &Server{opt: opt, open: map[string]*DB{}}
	if opt.DSN != "" {
		pg, err := openPG(ctx, opt)
		if err != nil {
			return nil, err
		}
		s.pg = pg
		return s, nil
	}
	if opt.Dir == "" {
		return nil, errors.New("db: neither a folder nor a DSN")
	}
	return s, nil
}

// Engine is the engine of this server.
func (s *Server) Engine() Engine {
	if s.pg != nil {
		return Postgres
	}
	return SQLite
}

// Context gives the database of one context; on SQLite it opens the file.
func (s *Server) Context(ctx context.Context, name string) (*DB, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if d, ok := s.open[name]; ok {
		return d, nil
	}
	d := &DB{name: name}
	if s.pg != nil {
		d.eng = s.pg
	} else {
		e, err := openSQLite(ctx, s.opt, name)
		if err != nil {
			return nil, fmt.Errorf("open %s: %w", name, err)
		}
		d.eng = e
	}
	s.open[name] = d
	return d, nil
}

// Close ends all connections; transactions in flight fail.
func (s *Server) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	if s.pg != nil {
		return s.pg.close()
	}
	for _, d := range s.open {
		errs = append(errs, d.eng.close())
	}
	return errors.Join(errs...)
}

// Set is one context's migrations: goose files below the root of FS.
type Set struct {
	Name string
	FS   fs.FS
}
