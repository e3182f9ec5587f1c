package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"sync"
	"time"

	_ "modernc.org/sqlite" // the only SQLite in the process

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/id"
)

// sqliteEngine is one context's file: one writer connection and a few readers, each
// with the statements it has prepared. Serial writers hide races that PostgreSQL
// shows, so race tests run there.
type sqliteEngine struct {
	db      *sql.DB
	writer  chan *liteConn // one
	readers chan *liteConn
	clock   clock.Clock
	closing sync.Once
	closed  chan struct{}
}

type liteConn struct {
	conn  *sql.Conn
	stmts map[string]*sql.Stmt
}

func sqlitePath(dir, name string) string { return filepath.Join(dir, "db", name+".db") }

func sqliteDSN(path string, bulk bool) string {
	sync, refer := "synchronous(FULL)", "foreign_keys(ON)"
	if bulk {
		sync, refer = "synchronous(OFF)", "foreign_keys(OFF)"
	}
	q := url.Values{}
	for _, p := range []string{
		"journal_mode(WAL)", sync, "busy_timeout(5000)", refer,
		"cache_size(-1024)", "wal_autocheckpoint(16000)", "temp_store(MEMORY)",
	} {
		q.Add("_pragma", p)
	}
	return "file:" + path + "?" + q.Encode()
}

func openSQLite(ctx context.Context, opt Options, name string) (*sqliteEngine, error) {
	path := sqlitePath(opt.Dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	pool, err := sql.Open("sqlite", sqliteDSN(path, opt.Bulk))
	if err != nil {
		return nil, err
	}
	n := opt.Readers
	if n == 0 {
		n = 4
	}
	if opt.Clock == nil { // migrations
		opt.Clock = clock.System{}
	}
	e := &sqliteEngine{db: pool, clock: opt.Clock, closed: make(chan struct{}), writer: make(chan *liteConn, 1), readers: make(chan *liteConn, n)}
	for i := range n + 1 {
		c, err := pool.Conn(ctx)
		if err != nil {
			return nil, errors.Join(err, pool.Close())
		}
		lc := &liteConn{conn: c, stmts: map[string]*sql.Stmt{}}
		if i == 0 {
			e.writer <- lc
			continue
		}
		if _, err := c.ExecContext(ctx, "PRAGMA query_only = ON"); err != nil {
			return nil, errors.Join(err, pool.Close())
		}
		e.readers <- lc
	}
	return e, nil
}

func (e *sqliteEngine) kind() Engine { return SQLite }

// close waits for the transactions in hand; later ones are refused. A second close
// does nothing.
func (e *sqliteEngine) close() (err error) {
	e.closing.Do(func() {
		close(e.closed)
		// Closing the pool alone would leave the checked-out connections open, and with them the WAL.
		for _, ch := range []chan *liteConn{e.writer, e.readers} {
			for range cap(ch) {
				c := <-ch
				for _, s := range c.stmts {
					_ = s.Close()
				}
				_ = c.conn.Close()
			}
		}
		err = e.db.Close()
	})
	return err
}

func (e *sqliteEngine) run(ctx context.Context, m mode, fn func(context.Context, Tx) error) (hooks []func(), err error) {
	from, begin := e.readers, "BEGIN"
	if m.write {
		from, begin = e.writer, "BEGIN IMMEDIATE"
	}
	var c *liteConn
	select {
	case c = <-from:
	case <-ctx.Done():
		return nil, ErrBusy.Wrap(ctx.Err())
	case <-e.closed:
		return nil, ErrUnavailable.Because("closed")
	}
	defer func() { from <- c }()
	if err := c.plain(ctx, begin); err != nil {
		if ctx.Err() != nil { // it may have begun all the same
			_ = c.plain(context.WithoutCancel(ctx), "ROLLBACK")
		}
		return nil, err
	}
	tx := &liteTx{c: c, m: m, now: instantOf(e.clock)}
	done := false
	defer func() {
		if !done { // also when fn panics
			_ = c.plain(context.WithoutCancel(ctx), "ROLLBACK")
		}
	}()
	if err := fn(ctx, tx); err != nil {
		return nil, err
	}
	if err := runSteps(ctx, tx, tx.last); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, ErrBusy.Wrap(err)
	}
	// The commit itself is never cancelled: its outcome must be known.
	if err := c.plain(context.WithoutCancel(ctx), "COMMIT"); err != nil {
		return nil, fmt.Errorf("commit: %w", err)
	}
	done = true
	return tx.hooks, nil
}

func (c *liteConn) plain(ctx context.Context, text string) error {
	s, err := c.prepare(ctx, text)
	if err != nil {
		return err
	}
	_, err = s.ExecContext(ctx)
	return err
}

const maxStatements = 512 // a connection; statements are literals, so this is a bound on mistakes

func (c *liteConn) prepare(ctx context.Context, text string) (*sql.Stmt, error) {
	if s, ok := c.stmts[text]; ok {
		return s, nil
	}
	if len(c.stmts) >= maxStatements {
		for k, s := range c.stmts {
			_ = s.Close()
			delete(c.stmts, k)
			break
		}
	}
	s, err := c.conn.PrepareContext(ctx, numbered(text))
	if err != nil {
		return nil, fmt.Errorf("prepare: %w", err)
	}
	c.stmts[text] = s
	return s, nil
}

var (
	dollar  = regexp.MustCompile(`\$(\d+)`)
	rewrote sync.Map
)

// numbered turns $1 into ?1; SQL texts are literals, so the cache is bounded by the code.
func numbered(text string) string {
	if v, ok := rewrote.Load(text); ok {
		return v.(string)
	}
	out := dollar.ReplaceAllString(text, "?$1")
	rewrote.Store(text, out)
	return out
}

type liteTx struct {
	c     *liteConn
	m     mode
	now   time.Time
	hooks []func()
	last  []step
}

func (t *liteTx) Send(ctx context.Context, p *Pipeline) error { return runSteps(ctx, t, p.steps) }
func (t *liteTx) Last(text string, args ...any) {
	t.last = append(t.last, step{text: text, args: args})
}

func (t *liteTx) Tenant() id.ID[auth.Tenant] { return t.m.tenant }
func (t *liteTx) Engine() Engine             { return SQLite }
func (t *liteTx) Context() string            { return t.m.name }
func (t *liteTx) Now() time.Time             { return t.now }
func (t *liteTx) OnCommit(f func())          { t.hooks = append(t.hooks, f) }
func (t *liteTx) Wake(topic string)          { t.OnCommit(func() { t.m.wake(topic) }) }

func (t *liteTx) Exec(ctx context.Context, text string, args ...any) (int64, error) {
	s, err := t.c.prepare(ctx, text)
	if err != nil {
		return 0, err
	}
	r, err := s.ExecContext(ctx, args...)
	if err != nil {
		return 0, err
	}
	return r.RowsAffected()
}

func (t *liteTx) Query(ctx context.Context, text string, args ...any) (Rows, error) {
	s, err := t.c.prepare(ctx, text)
	if err != nil {
		return nil, err
	}
	r, err := s.QueryContext(ctx, args...)
	if err != nil {
		return nil, err
	}
	return liteRows{r}, nil
}

func (t *liteTx) QueryRow(ctx context.Context, text string, args ...any) Row {
	rows, err := t.Query(ctx, text, args...)
	return oneRow{rows, err}
}

type liteRows struct{ *sql.Rows }

func (r liteRows) Close() { _ = r.Rows.Close() }

// oneRow scans the first row of a result and closes it.
type oneRow struct {
	rows Rows
	err  error
}

func (r oneRow) Scan(dest ...any) error {
	if r.err != nil {
		return r.err
	}
	defer r.rows.Close()
	if !r.rows.Next() {
		if err := r.rows.Err(); err != nil {
			return err
		}
		return ErrNoRows
	}
	if err := r.rows.Scan(dest...); err != nil {
		return err
	}
	r.rows.Close()
	return r.rows.Err()
}
