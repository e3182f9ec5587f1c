package db

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/fault"
	"xinglin/internal/kernel/id"
)

// ErrLoginRole is returned when the login role could see around the second lock.
var ErrLoginRole = fault.Register(fault.Unavailable, "db.login_role",
	"数据库登录角色权限过大", "The database login role must be NOINHERIT, no superuser and without BYPASSRLS")

// pgEngine is one bounded pool for every context of the process. Each transaction
// puts on the context's role, its search path and the tenant in the same round trip
// as BEGIN, so that row-level security is the second lock on every statement.
type pgEngine struct {
	pool    *pgxpool.Pool
	clock   clock.Clock
	rewrite func(string) string
}

func openPG(ctx context.Context, opt Options) (*pgEngine, error) {
	cfg, err := pgxpool.ParseConfig(opt.DSN)
	if err != nil {
		return nil, fmt.Errorf("db: the DSN cannot be read") // the cause would print the password
	}
	cfg.MaxConns = int32(opt.MaxConns)
	if opt.MaxConns == 0 {
		cfg.MaxConns = 24
	}
	cfg.ConnConfig.StatementCacheCapacity = 1024
	ms := strconv.FormatInt(opt.Timeout.Milliseconds(), 10)
	rp := cfg.ConnConfig.RuntimeParams
	rp["statement_timeout"] = ms
	rp["lock_timeout"] = "5000"
	rp["idle_in_transaction_session_timeout"] = "30000"
	rp["default_transaction_isolation"] = "read committed"
	if rp["application_name"] == "" { // the DSN may tell the processes apart
		rp["application_name"] = "xinglin"
	}
	rp["timezone"] = "UTC"
	renewing(cfg, opt.DSN)
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, ErrUnavailable.Wrap(err)
	}
	e := &pgEngine{pool: pool, clock: opt.Clock, rewrite: opt.Rewrite}
	if e.rewrite == nil {
		e.rewrite = func(text string) string { return text }
	}
	if err := e.checkLogin(ctx); err != nil {
		pool.Close()
		return nil, err
	}
	return e, nil
}

// renewing has each new connection read the certificates that the DSN names: they may have been renewed. Half-written ones leave those from
// before.
func renewing(cfg *pgxpool.Config, dsn string) {
	encrypted(cfg.ConnConfig)
	cfg.BeforeConnect = func(_ context.Context, c *pgx.ConnConfig) error {
		if fresh, err := pgx.ParseConfig(dsn); err == nil {
			encrypted(fresh)
			c.TLSConfig, c.Fallbacks = fresh.TLSConfig, fresh.Fallbacks
		}
		return nil
	}
}

// encrypted wants TLS 1.3 where the DSN wants TLS (K12). Where plain text is good enough for it, an old server must not come to that.
func encrypted(c *pgx.ConnConfig) {
	if c.TLSConfig == nil {
		return
	}
	for _, f := range c.Fallbacks {
		if f.TLSConfig == nil {
			return
		}
	}
	c.TLSConfig.MinVersion = tls.VersionTLS13
	for _, f := range c.Fallbacks {
		f.TLSConfig.MinVersion = tls.VersionTLS13
	}
}

func (e *pgEngine) checkLogin(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	var super, bypass, inherit bool
	err := e.pool.QueryRow(ctx, `-- global: the login role itself
		SELECT rolsuper, rolbypassrls, rolinherit FROM pg_roles WHERE rolname = current_user`).
		Scan(&super, &bypass, &inherit)
	if err != nil {
		return ErrUnavailable.Wrap(err)
	}
	if super || bypass || inherit {
		return ErrLoginRole.New()
	}
	return nil
}

func (e *pgEngine) kind() Engine { return Postgres }

func (e *pgEngine) close() error {
	e.pool.Close()
	return nil
}

func (m mode) role() string {
	if m.all {
		return "ctx_" + m.name + "_all"
	}
	return "ctx_" + m.name
}

// begin is one simple-protocol message. Nothing in it comes from outside: the name
// is a context of the table, the tenant an id.
func (m mode) begin() string {
	access := "READ ONLY"
	if m.write {
		access = "READ WRITE"
	}
	tenant := ""
	if !m.all {
		tenant = m.tenant.String()
	}
	return "BEGIN ISOLATION LEVEL READ COMMITTED " + access +
		"; SET LOCAL ROLE " + m.role() +
		"; SET LOCAL search_path = " + m.name +
		"; SET LOCAL app.tenant = '" + tenant + "'"
}

func (e *pgEngine) run(ctx context.Context, m mode, fn func(context.Context, Tx) error) (hooks []func(), err error) {
	conn, err := e.pool.Acquire(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ErrBusy.Wrap(err)
		}
		return nil, ErrUnavailable.Wrap(err)
	}
	mine := true
	defer func() {
		if mine {
			conn.Release()
		}
	}()
	raw := conn.Conn()
	if err := raw.PgConn().Exec(ctx, m.begin()).Close(); err != nil {
		_ = raw.Close(context.WithoutCancel(ctx)) // half put on: never back into the pool
		if lostConnection(err) {
			return nil, ErrUnavailable.Wrap(err)
		}
		return nil, fmt.Errorf("begin: %w", err)
	}
	tx := &pgTx{conn: raw, m: m, now: instantOf(e.clock), mark: "/*" + m.role() + "*/ ", rewrite: e.rewrite}
	done := false
	defer func() {
		if done || raw.IsClosed() {
			return
		}
		c, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		if raw.PgConn().Exec(c, "ROLLBACK").Close() != nil {
			_ = raw.Close(c)
		}
	}()
	if err := fn(ctx, tx); err != nil {
		if lostConnection(err) && fault.Of(err) == nil {
			return nil, ErrUnavailable.Wrap(err)
		}
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, ErrBusy.Wrap(err)
	}
	if !m.write && len(tx.last) == 0 { // there is nothing to lose: nobody waits for the end of a read
		done, mine = true, false
		go end(ctx, conn)
		return tx.hooks, nil
	}
	if err := tx.commit(ctx); err != nil {
		return nil, err
	}
	done = true
	return tx.hooks, nil
}

// end ends a read and gives its connection back.
func end(ctx context.Context, conn *pgxpool.Conn) {
	defer conn.Release()
	c, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if conn.Conn().PgConn().Exec(c, "COMMIT").Close() != nil {
		_ = conn.Conn().Close(c) // a transaction may be open: never back into the pool
	}
}

type pgTx struct {
	conn  *pgx.Conn
	m     mode
	now   time.Time
	last  []step
	mark  string // keeps prepared statements of two contexts apart: the same text has another plan under another role and path
	hooks []func()

	rewrite func(string) string
}

// commit is never cancelled by the caller. A connection lost here leaves the outcome
// unknown; the caller's key decides on repeat.
func (t *pgTx) commit(ctx context.Context) error {
	c, cancel := context.WithTimeout(context.WithoutCancel(ctx), 15*time.Second)
	defer cancel()
	ended := ""
	err := t.pipe(c, append(t.last, step{text: "COMMIT"}), func(tag string) { ended = tag })
	if err != nil {
		if pgCode(err) != "" && !lostConnection(err) {
			return fmt.Errorf("commit: %w", err)
		}
		return ErrOutcomeUnknown.Wrap(err)
	}
	if ended != "COMMIT" {
		return errors.New("commit: the transaction had failed and was rolled back")
	}
	return nil
}

// pipe sends statements in one round trip; ended gets the tag of the last one.
func (t *pgTx) pipe(ctx context.Context, steps []step, ended func(tag string)) error {
	b := &pgx.Batch{}
	for _, s := range steps {
		text := t.mark + t.rewrite(s.text)
		if s.text == "COMMIT" {
			text = s.text
		}
		b.Queue(text, s.args...)
	}
	res := t.conn.SendBatch(ctx, b)
	for _, s := range steps {
		if err := one(res, s, ended); err != nil {
			_ = res.Close()
			return err
		}
	}
	return res.Close()
}

func one(res pgx.BatchResults, s step, ended func(tag string)) error {
	if s.scan == nil {
		tag, err := res.Exec()
		if err == nil && ended != nil {
			ended(tag.String())
		}
		return err
	}
	rows, err := res.Query()
	if err != nil {
		return err
	}
	defer rows.Close()
	if err := s.scan(rows); err != nil {
		return err
	}
	rows.Close()
	return rows.Err()
}

// Send implements Tx.
func (t *pgTx) Send(ctx context.Context, p *Pipeline) error {
	if len(p.steps) == 0 {
		return nil
	}
	return t.pipe(ctx, p.steps, nil)
}

// Last implements Tx.
func (t *pgTx) Last(text string, args ...any) { t.last = append(t.last, step{text: text, args: args}) }

func (t *pgTx) Tenant() id.ID[auth.Tenant] { return t.m.tenant }
func (t *pgTx) Engine() Engine             { return Postgres }
func (t *pgTx) Context() string            { return t.m.name }
func (t *pgTx) Now() time.Time             { return t.now }
func (t *pgTx) OnCommit(f func())          { t.hooks = append(t.hooks, f) }
func (t *pgTx) Wake(topic string)          { t.OnCommit(func() { t.m.wake(topic) }) }

func (t *pgTx) Exec(ctx context.Context, text string, args ...any) (int64, error) {
	tag, err := t.conn.Exec(ctx, t.mark+t.rewrite(text), args...)
	return tag.RowsAffected(), err
}

func (t *pgTx) Query(ctx context.Context, text string, args ...any) (Rows, error) {
	return t.conn.Query(ctx, t.mark+t.rewrite(text), args...)
}

func (t *pgTx) QueryRow(ctx context.Context, text string, args ...any) Row {
	return pgRow{t.conn.QueryRow(ctx, t.mark+t.rewrite(text), args...)}
}

type pgRow struct{ pgx.Row }

func (r pgRow) Scan(dest ...any) error {
	err := r.Row.Scan(dest...)
	if errors.Is(err, pgx.ErrNoRows) {
		return ErrNoRows
	}
	return err
}
