// Package brake holds a real process in the middle of a transaction, at a row that the test names, so that it
// can be killed there and nowhere else. It is a trigger on the table: on PostgreSQL the row's writer waits for a lock
// that the test has, on SQLite it counts for ever, with the file's write lock.
//
// The process knows nothing of it, and what it had done in the transaction goes with it.
package brake

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	_ "modernc.org/sqlite" // the same as platform/db's

	"xinglin/internal/kernel/clock"
	"xinglin/internal/testkit/pgcluster"
)

// At names the row.
type At struct {
	Context string // whose table it is
	Table   string
	Where   string // which rows count, a condition over the columns; empty: all
	Rows    int    // who makes a tenant have so many of them is held, and so is who writes one more
}

const (
	wait   = 60 * time.Second // for what is to be held, and for the end of who was killed
	look   = 10 * time.Millisecond
	firmly = time.Second // a write lock that is held for so long is held by the brake: the product's transactions are short
)

// Brake is one row's. The zero value is not for use.
type Brake struct {
	at At

	lite *sql.DB // SQLite

	owner *pgx.Conn // PostgreSQL: has the tables and the lock
	login *pgx.Conn // the role of the processes, which sees their sessions
	key   int64
}

// keys of locks; they are a database's own, and low enough for one half of a key.
var keys atomic.Int64

// SQLite puts a brake into the files of a folder. A process may have them open.
func SQLite(t testing.TB, dir string, at At) *Brake {
	t.Helper()
	pool, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "db", at.Context+".db")+"?_pragma=busy_timeout(0)")
	if err != nil {
		t.Fatal(err)
	}
	pool.SetMaxOpenConns(1)
	b := &Brake{at: at, lite: pool}
	t.Cleanup(func() { _ = pool.Close() })
	for _, event := range []string{"INSERT", "UPDATE"} {
		// More joins of the schema with itself than anybody waits for.
		b.write(t, fmt.Sprintf(`CREATE TRIGGER brake_%s_%s AFTER %s ON %s WHEN (%s) >= %d BEGIN
			SELECT COUNT(*) FROM sqlite_master a, sqlite_master b, sqlite_master c, sqlite_master d, sqlite_master e,
				sqlite_master f, sqlite_master g, sqlite_master h;
		END`, at.Table, event, event, at.Table, at.count(at.Table), at.Rows))
	}
	return b
}

// Postgres puts a brake into the database of a DSN, which is that of the processes' login role.
func Postgres(t testing.TB, dsn string, at At) *Brake {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	cfg, err := pgx.ParseConfig(dsn)
	if err != nil {
		t.Fatal(err)
	}
	b := &Brake{at: at, key: keys.Add(1)}
	for dsn, into := range map[string]**pgx.Conn{pgcluster.For(t).MigrateDSN(cfg.Database): &b.owner, dsn: &b.login} {
		conn, err := pgx.Connect(ctx, dsn)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close(context.Background()) }) // frees the lock too
		*into = conn
	}
	b.exec(ctx, t, "SELECT pg_advisory_lock($1)", b.key)
	b.exec(ctx, t, fmt.Sprintf(`CREATE FUNCTION %[1]s.brake_%[2]s() RETURNS trigger LANGUAGE plpgsql AS $brake$
		BEGIN
			IF (%[3]s) >= %[4]d THEN PERFORM pg_advisory_xact_lock(%[5]d); END IF;
			RETURN NULL;
		END $brake$`, at.Context, at.Table, at.count(at.Context+"."+at.Table), at.Rows, b.key))
	b.exec(ctx, t, fmt.Sprintf(`CREATE TRIGGER brake AFTER INSERT OR UPDATE ON %[1]s.%[2]s FOR EACH ROW EXECUTE FUNCTION %[1]s.brake_%[2]s()`, at.Context, at.Table))
	return b
}

// count is the number of the tenant's rows that count, as SQL within the trigger.
func (at At) count(table string) string {
	text := "SELECT COUNT(*) FROM " + table + " WHERE tenant_id = NEW.tenant_id"
	if at.Where != "" {
		text += " AND " + at.Where
	}
	return text
}

// Reached waits until somebody is held. On PostgreSQL it gives the session's application_name.
func (b *Brake) Reached(t testing.TB) (name string) {
	t.Helper()
	var since time.Time
	b.until(t, "somebody to come to the brake", func(ctx context.Context) (held bool, err error) {
		if b.lite == nil {
			name, err = b.waiting(ctx)
			return name != "", err
		}
		free, err := b.free(ctx)
		switch {
		case err != nil:
			return false, err
		case free:
			since = time.Time{}
		case since.IsZero():
			since = clock.Mono()
		default:
			held = clock.Mono().Sub(since) >= firmly
		}
		return held, nil
	})
	return name
}

// waiting is who waits for the lock, "" when nobody does.
func (b *Brake) waiting(ctx context.Context) (name string, err error) {
	err = b.login.QueryRow(ctx, `SELECT a.application_name FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
		WHERE l.locktype = 'advisory' AND NOT l.granted AND l.classid = 0 AND CAST(CAST(l.objid AS text) AS bigint) = $1
			AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())`, b.key).Scan(&name)
	if errors.Is(err, pgx.ErrNoRows) {
		err = nil
	}
	return name, err
}

// free tells that nobody has the file's write lock.
func (b *Brake) free(ctx context.Context) (bool, error) {
	_, err := b.lite.ExecContext(ctx, "BEGIN IMMEDIATE")
	if busy(err) {
		return false, nil
	}
	if err == nil {
		_, err = b.lite.ExecContext(ctx, "ROLLBACK")
	}
	return err == nil, err
}

// busy tells that somebody else has a lock: SQLITE_BUSY with its kinds.
func busy(err error) bool {
	var coded interface{ Code() int }
	return errors.As(err, &coded) && coded.Code()&0xff == 5
}

// Release takes the brake away, once who was held is dead or has been told to stop.
func (b *Brake) Release(t testing.TB) {
	t.Helper()
	if b.lite != nil {
		for _, event := range []string{"INSERT", "UPDATE"} {
			b.write(t, fmt.Sprintf("DROP TRIGGER brake_%s_%s", b.at.Table, event))
		}
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	b.exec(ctx, t, "SELECT pg_advisory_unlock($1)", b.key)
	b.exec(ctx, t, fmt.Sprintf("DROP FUNCTION %[1]s.brake_%[2]s() CASCADE", b.at.Context, b.at.Table)) // waits for the end of who was held
}

// write does one statement on SQLite as soon as nobody else writes.
func (b *Brake) write(t testing.TB, text string) {
	t.Helper()
	b.until(t, "the file's write lock", func(ctx context.Context) (bool, error) {
		_, err := b.lite.ExecContext(ctx, text)
		if busy(err) {
			return false, nil
		}
		return err == nil, err
	})
}

func (b *Brake) exec(ctx context.Context, t testing.TB, text string, args ...any) {
	t.Helper()
	if _, err := b.owner.Exec(ctx, text, args...); err != nil {
		t.Fatalf("brake: %v", err)
	}
}

// until looks again and again.
func (b *Brake) until(t testing.TB, what string, done func(context.Context) (bool, error)) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	tick := time.NewTicker(look)
	defer tick.Stop()
	for {
		ok, err := done(ctx)
		if ok {
			return
		}
		if err != nil && ctx.Err() == nil {
			t.Fatalf("brake: %s: %v", what, err)
		}
		select {
		case <-ctx.Done():
			t.Fatalf("brake: waited in vain for %s (%s.%s, %d rows)", what, b.at.Context, b.at.Table, b.at.Rows)
		case <-tick.C:
		}
	}
}
