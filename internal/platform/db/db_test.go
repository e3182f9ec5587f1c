package db_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/jackc/pgx/v5"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/fault"
	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/db"
	"xinglin/internal/testkit/dbtest"
)

type thing struct{}

var (
	tenantA = id.Must[auth.Tenant]("0190aaaa-0000-7000-8000-00000000000a")
	tenantB = id.Must[auth.Tenant]("0190bbbb-0000-7000-8000-00000000000b")
	start   = time.Date(2026, 3, 2, 8, 30, 0, 123456789, clock.Shanghai)
)

const schema = `-- +goose Up
CREATE TABLE thing (
    tenant_id {{uuid}} NOT NULL,
    id        {{uuid}} NOT NULL,
    parent    {{uuid}},
    name      {{text}} NOT NULL,
    day       {{bigint}} NOT NULL,
    at        {{bigint}},
    ok        {{bool}} NOT NULL,
    doc       {{json}} NOT NULL,
    raw       {{bytes}},
    n         {{int}} NOT NULL DEFAULT 0 CHECK (n >= 0),
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, parent) REFERENCES thing (tenant_id, id)
){{strict}};
{{rls "thing"}}
CREATE UNIQUE INDEX thing_name ON thing (tenant_id, name);
`

func sets(names ...string) []db.Set {
	var out []db.Set
	for _, n := range names {
		out = append(out, db.Set{Name: n, FS: fstest.MapFS{"0001_init.sql": {Data: []byte(schema)}}})
	}
	return out
}

var shelf = sets("shelf")

func ctxOf(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func open(t *testing.T, srv *db.Server, name string) *db.DB {
	t.Helper()
	d, err := srv.Context(ctxOf(t), name)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

const insert = `INSERT INTO thing (tenant_id, id, name, day, ok, doc) VALUES ($1, $2, $3, 0, $4, $5)`

func add(ctx context.Context, tx db.Tx, tenant id.ID[auth.Tenant], name string) error {
	_, err := tx.Exec(ctx, insert, tenant, id.New[thing](start), name, true, db.JSON([]int{}))
	return err
}

func count(t *testing.T, d *db.DB, tenant id.ID[auth.Tenant]) (n int) {
	t.Helper()
	err := d.Read(ctxOf(t), tenant, func(ctx context.Context, tx db.Tx) error {
		return tx.QueryRow(ctx, "SELECT COUNT(*) FROM thing WHERE tenant_id = $1", tenant).Scan(&n)
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestRoundTrips(t *testing.T) {
	dbtest.Each(t, shelf, func(t *testing.T, srv *db.Server) {
		d, ctx := open(t, srv, "shelf"), ctxOf(t)
		type doc struct {
			Name string `json:"name"`
			N    []int  `json:"n"`
		}
		parent, child := id.New[thing](start), id.New[thing](start)
		day, at := clock.NewDate(2026, 2, 28), start.UTC().Truncate(time.Microsecond)
		err := d.Write(ctx, tenantA, func(ctx context.Context, tx db.Tx) error {
			if tx.Engine() != srv.Engine() || tx.Tenant() != tenantA || tx.Context() != "shelf" {
				return fmt.Errorf("tx says %v %v %v", tx.Engine(), tx.Tenant(), tx.Context())
			}
			if err := add(ctx, tx, tenantA, "parent"); err != nil {
				return err
			}
			if _, err := tx.Exec(ctx, "UPDATE thing SET id = $2 WHERE tenant_id = $1", tenantA, parent); err != nil {
				return err
			}
			n, err := tx.Exec(ctx, `INSERT INTO thing (tenant_id, id, parent, name, day, at, ok, doc, raw, n)
				VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`, tenantA, child, id.Null(parent), "杏林 $1 'x'", day,
				db.Micros(at), false, db.JSON(doc{"a", []int{1, 2}}), []byte{0, 1, 255}, int64(7))
			if n != 1 {
				t.Errorf("rows = %d", n)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		read := func(which id.ID[thing]) (gotParent id.ID[thing], name string, gotDay clock.Date, gotAt time.Time, ok bool, gotDoc doc, list []int, raw []byte, n int) {
			err := d.Read(ctx, tenantA, func(ctx context.Context, tx db.Tx) error {
				var into any = &gotDoc
				if which == parent {
					into = &list
				}
				return tx.QueryRow(ctx, "SELECT parent, name, day, at, ok, doc, raw, n FROM thing WHERE tenant_id = $1 AND id = $2", tenantA, which).
					Scan(&gotParent, &name, &gotDay, db.Instant(&gotAt), &ok, db.JSONInto(into), &raw, &n)
			})
			if err != nil {
				t.Fatal(err)
			}
			return
		}
		p, name, gotDay, gotAt, ok, gotDoc, _, raw, n := read(child)
		if p != parent || name != "杏林 $1 'x'" || gotDay != day || !gotAt.Equal(at) || ok || gotDoc.Name != "a" ||
			len(gotDoc.N) != 2 || string(raw) != "\x00\x01\xff" || n != 7 {
			t.Errorf("read back %v %q %v %v %v %v %v %d", p, name, gotDay, gotAt, ok, gotDoc, raw, n)
		}
		p, _, gotDay, gotAt, ok, _, list, raw, n := read(parent)
		if !p.IsZero() || gotDay != 0 || !gotAt.IsZero() || !ok || list == nil || len(list) != 0 || raw != nil || n != 0 {
			t.Errorf("nulls read back %v %v %v %v %v %v %d", p, gotDay, gotAt, ok, list, raw, n)
		}
		// IN lists, nullable scans, many rows, and no row.
		err = d.Read(ctx, tenantA, func(ctx context.Context, tx db.Tx) error {
			rows, err := tx.Query(ctx, "SELECT id FROM thing WHERE tenant_id = $1 AND id IN ("+db.In(2, 2)+") ORDER BY id", tenantA, parent, child)
			if err != nil {
				return err
			}
			defer rows.Close()
			var got []id.ID[thing]
			for rows.Next() {
				var v id.ID[thing]
				if err := rows.Scan(&v); err != nil {
					return err
				}
				got = append(got, v)
			}
			if len(got) != 2 || got[0] != parent || got[1] != child {
				t.Errorf("listed %v", got)
			}
			rows.Close()
			var s string
			err = tx.QueryRow(ctx, "SELECT name FROM thing WHERE tenant_id = $1 AND n = 99", tenantA).Scan(&s)
			if !errors.Is(err, db.ErrNoRows) {
				t.Errorf("no row gives %v", err)
			}
			return rows.Err()
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}

func TestCommitAndRollback(t *testing.T) {
	dbtest.Each(t, shelf, func(t *testing.T, srv *db.Server) {
		d, ctx := open(t, srv, "shelf"), ctxOf(t)
		woken, stop := d.Listen("shelf")
		defer stop()
		hooks := 0
		work := func(name string, end error) error {
			return d.Write(ctx, tenantA, func(ctx context.Context, tx db.Tx) error {
				tx.OnCommit(func() { hooks++ })
				tx.Wake("shelf")
				return errors.Join(add(ctx, tx, tenantA, name), end)
			})
		}
		refused := errors.New("refused")
		if err := work("a", refused); !errors.Is(err, refused) || hooks != 0 || count(t, d, tenantA) != 0 || len(woken) != 0 {
			t.Errorf("refused: %v, %d hooks, %d rows, %d wakes", err, hooks, count(t, d, tenantA), len(woken))
		}
		if err := errors.Join(work("a", nil), work("b", nil)); err != nil || hooks != 2 || count(t, d, tenantA) != 2 || len(woken) != 1 {
			t.Errorf("committed: %v, %d hooks, %d wakes", err, hooks, len(woken))
		}
		func() {
			defer func() { _ = recover() }()
			_ = d.Write(ctx, tenantA, func(ctx context.Context, tx db.Tx) error {
				_ = add(ctx, tx, tenantA, "panicked")
				panic("stop")
			})
		}()
		gone, cancel := context.WithCancel(ctx)
		err := d.Write(gone, tenantA, func(ctx context.Context, tx db.Tx) error {
			defer cancel()
			return add(ctx, tx, tenantA, "cancelled")
		})
		if !errors.Is(err, db.ErrBusy) || count(t, d, tenantA) != 2 {
			t.Errorf("cancelled: %v, %d rows", err, count(t, d, tenantA))
		}
	})
}

func TestNestedPanics(t *testing.T) {
	dbtest.Each(t, shelf, func(t *testing.T, srv *db.Server) {
		d := open(t, srv, "shelf")
		panicked := false
		_ = d.Read(ctxOf(t), tenantA, func(ctx context.Context, _ db.Tx) error {
			defer func() { panicked = recover() != nil }()
			return d.Read(ctx, tenantA, func(context.Context, db.Tx) error { return nil })
		})
		if !panicked {
			t.Error("a nested transaction did not panic")
		}
		err := d.Read(ctxOf(t), tenantA, func(ctx context.Context, _ db.Tx) error {
			return d.Read(db.Outside(ctx), tenantA, func(context.Context, db.Tx) error { return nil })
		})
		if err != nil {
			t.Errorf("a context taken outside: %v", err)
		}
	})
}

func TestConstraints(t *testing.T) {
	dbtest.Each(t, shelf, func(t *testing.T, srv *db.Server) {
		d, ctx := open(t, srv, "shelf"), ctxOf(t)
		if err := d.Write(ctx, tenantA, func(ctx context.Context, tx db.Tx) error { return add(ctx, tx, tenantA, "a") }); err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			name string
			is   func(error) bool
			do   func(ctx context.Context, tx db.Tx) error
		}{
			{"unique", db.IsUnique, func(ctx context.Context, tx db.Tx) error { return add(ctx, tx, tenantA, "a") }},
			{"check", db.IsCheck, func(ctx context.Context, tx db.Tx) error {
				_, err := tx.Exec(ctx, "UPDATE thing SET n = -1 WHERE tenant_id = $1", tenantA)
				return err
			}},
			{"foreign", db.IsForeign, func(ctx context.Context, tx db.Tx) error {
				_, err := tx.Exec(ctx, "UPDATE thing SET parent = $2 WHERE tenant_id = $1", tenantA, id.New[thing](start))
				return err
			}},
		} {
			err := d.Write(ctx, tenantA, c.do)
			if !c.is(err) {
				t.Errorf("%s: %v", c.name, err)
			}
			for _, is := range []func(error) bool{db.IsUnique, db.IsCheck, db.IsForeign} {
				if is(nil) {
					t.Error("nil is a broken constraint")
				}
			}
		}
		err := d.Read(ctx, tenantA, func(ctx context.Context, tx db.Tx) error { return add(ctx, tx, tenantA, "read") })
		if err == nil || count(t, d, tenantA) != 1 {
			t.Errorf("a write in Read: %v", err)
		}
	})
}

func TestNow(t *testing.T) {
	c := clock.NewManual(start)
	dbtest.Each(t, shelf, func(t *testing.T, srv *db.Server) {
		c.Set(start)
		err := open(t, srv, "shelf").Write(ctxOf(t), tenantA, func(_ context.Context, tx db.Tx) error {
			want := start.UTC().Truncate(time.Microsecond)
			c.Add(time.Hour)
			if got := tx.Now(); !got.Equal(want) || got.Location() != time.UTC || !db.Time(got.UnixMicro()).Equal(got) {
				t.Errorf("now %v, want %v", got, want)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}, dbtest.WithClock(c))
}

func TestConcurrentIncrements(t *testing.T) {
	dbtest.Each(t, shelf, func(t *testing.T, srv *db.Server) {
		d, ctx := open(t, srv, "shelf"), ctxOf(t)
		if err := d.Write(ctx, tenantA, func(ctx context.Context, tx db.Tx) error { return add(ctx, tx, tenantA, "n") }); err != nil {
			t.Fatal(err)
		}
		const workers, each = 8, 10
		var wg sync.WaitGroup
		for range workers {
			wg.Go(func() {
				for range each {
					err := d.Write(ctx, tenantA, func(ctx context.Context, tx db.Tx) error {
						_, err := tx.Exec(ctx, "UPDATE thing SET n = n + 1 WHERE tenant_id = $1", tenantA)
						return err
					})
					if err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		var n int
		err := d.Read(ctx, tenantA, func(ctx context.Context, tx db.Tx) error {
			return tx.QueryRow(ctx, "SELECT n FROM thing WHERE tenant_id = $1", tenantA).Scan(&n)
		})
		if err != nil || n != workers*each {
			t.Errorf("n = %d, %v", n, err)
		}
	})
}

// Two transactions that lock two rows in opposite order: one is the victim, is repeated
// as a whole, and both commit. SQLite's single writer makes them serial.
func TestDeadlockIsRepeated(t *testing.T) {
	dbtest.Each(t, shelf, func(t *testing.T, srv *db.Server) {
		d, ctx := open(t, srv, "shelf"), ctxOf(t)
		err := d.Write(ctx, tenantA, func(ctx context.Context, tx db.Tx) error {
			return errors.Join(add(ctx, tx, tenantA, "a"), add(ctx, tx, tenantA, "b"))
		})
		if err != nil {
			t.Fatal(err)
		}
		bump := func(ctx context.Context, tx db.Tx, name string) error {
			_, err := tx.Exec(ctx, "UPDATE thing SET n = n + 1 WHERE tenant_id = $1 AND name = $2", tenantA, name)
			return err
		}
		var both sync.WaitGroup // both have their first row, on the first attempt
		both.Add(2)
		var mu sync.Mutex
		attempts := 0
		work := func(first, second string) error {
			once := sync.OnceFunc(both.Done)
			tried := false
			return d.Write(ctx, tenantA, func(ctx context.Context, tx db.Tx) error {
				mu.Lock()
				attempts++
				mu.Unlock()
				if err := bump(ctx, tx, first); err != nil {
					return err
				}
				once()
				if !tried && tx.Engine() == db.Postgres {
					tried = true
					both.Wait()
				}
				return bump(ctx, tx, second)
			})
		}
		errs := make(chan error, 2)
		go func() { errs <- work("a", "b") }()
		go func() { errs <- work("b", "a") }()
		if err := errors.Join(<-errs, <-errs); err != nil {
			t.Fatal(err)
		}
		var sum int
		err = d.Read(ctx, tenantA, func(ctx context.Context, tx db.Tx) error {
			return tx.QueryRow(ctx, "SELECT SUM(n) FROM thing WHERE tenant_id = $1", tenantA).Scan(&sum)
		})
		if err != nil || sum != 4 {
			t.Errorf("sum = %d, %v", sum, err)
		}
		if srv.Engine() == db.Postgres && attempts < 3 {
			t.Errorf("%d attempts: there was no deadlock", attempts)
		}
	})
}

func TestContextsAreApart(t *testing.T) {
	dbtest.Each(t, sets("shelf", "cellar"), func(t *testing.T, srv *db.Server) {
		a, b, ctx := open(t, srv, "shelf"), open(t, srv, "cellar"), ctxOf(t)
		if err := a.Write(ctx, tenantA, func(ctx context.Context, tx db.Tx) error { return add(ctx, tx, tenantA, "a") }); err != nil {
			t.Fatal(err)
		}
		if count(t, a, tenantA) != 1 || count(t, b, tenantA) != 0 {
			t.Error("the same text on two contexts reads the same table")
		}
		err := b.Read(ctx, tenantA, func(ctx context.Context, tx db.Tx) error {
			_, err := tx.Query(ctx, "SELECT id FROM shelf.thing WHERE tenant_id = $1", tenantA)
			if srv.Engine() == db.Postgres && err == nil {
				var rows db.Rows
				rows, err = tx.Query(ctx, "SELECT id FROM shelf.thing WHERE tenant_id = $1 AND n = 0", tenantA)
				if err == nil {
					defer rows.Close()
					rows.Next()
					err = rows.Err()
				}
			}
			return err
		})
		if err == nil {
			t.Error("one context read another's table")
		}
	})
}

func TestRowLevelSecurity(t *testing.T) {
	d := dbtest.Make(t, db.Postgres, shelf)
	srv, ctx := d.Open(t), ctxOf(t)
	x := open(t, srv, "shelf")
	for _, tenant := range []id.ID[auth.Tenant]{tenantA, tenantB} {
		if err := x.Write(ctx, tenant, func(ctx context.Context, tx db.Tx) error { return add(ctx, tx, tenant, "mine") }); err != nil {
			t.Fatal(err)
		}
	}
	// A statement that forgets the tenant sees only its own; a row of another tenant is refused.
	err := x.Write(ctx, tenantA, func(ctx context.Context, tx db.Tx) error {
		var n int
		if err := tx.QueryRow(ctx, "SELECT COUNT(*) FROM thing -- global: the test forgets tenant_id").Scan(&n); err != nil || n != 1 {
			t.Errorf("without WHERE: %d rows, %v", n, err)
		}
		if n, err := tx.Exec(ctx, "UPDATE thing SET n = 1 WHERE tenant_id = $1", tenantB); n != 0 || err != nil {
			t.Errorf("foreign update: %d rows, %v", n, err)
		}
		return add(ctx, tx, tenantB, "foreign")
	})
	if !db.IsDenied(err) {
		t.Errorf("foreign insert: %v", err)
	}
	all := 0
	err = x.ReadAll(ctx, func(ctx context.Context, tx db.Tx) error {
		return tx.QueryRow(ctx, "SELECT COUNT(*) FROM thing -- global: test").Scan(&all)
	})
	if err != nil || all != 2 {
		t.Errorf("the platform sees %d rows, %v", all, err)
	}
	// The login role itself: nothing without a role; nothing without a tenant.
	conn, err := pgx.Connect(ctx, d.DSN)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	n := -1
	if err := conn.QueryRow(ctx, "SELECT COUNT(*) FROM shelf.thing -- global: test").Scan(&n); err == nil {
		t.Errorf("the bare login role read %d rows", n)
	}
	for _, q := range []string{"SET ROLE ctx_shelf", "SET app.tenant = ''"} {
		if _, err := conn.Exec(ctx, q); err != nil {
			t.Fatal(err)
		}
		if err := conn.QueryRow(ctx, "SELECT COUNT(*) FROM shelf.thing -- global: test").Scan(&n); err != nil || n != 0 {
			t.Errorf("%s: %d rows, %v", q, n, err)
		}
	}
	for _, q := range []string{"DROP TABLE shelf.thing", "ALTER TABLE shelf.thing DISABLE ROW LEVEL SECURITY", "CREATE TABLE shelf.more (id int)", "TRUNCATE shelf.thing"} {
		if _, err := conn.Exec(ctx, q); err == nil {
			t.Errorf("the context's role may: %s", q)
		}
	}
	// The owner of the tables sees nothing either (FORCE).
	owner, err := pgx.Connect(ctx, d.MigrateDSN)
	if err != nil {
		t.Fatal(err)
	}
	defer owner.Close(ctx)
	if err := owner.QueryRow(ctx, "SELECT COUNT(*) FROM shelf.thing -- global: test").Scan(&n); err != nil || n != 0 {
		t.Errorf("the owner sees %d rows, %v", n, err)
	}
}

func TestLoginRoleWithTooManyRights(t *testing.T) {
	d := dbtest.Make(t, db.Postgres, shelf)
	_, err := db.Open(ctxOf(t), db.Options{DSN: d.MigrateDSN})
	if !errors.Is(err, db.ErrLoginRole) {
		t.Errorf("the migration role as login: %v", err)
	}
	_, err = db.Open(ctxOf(t), db.Options{DSN: "postgres://x:secret@h:bad/"})
	if err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("a malformed DSN: %v", err)
	}
}

// Every table that the frame or a context makes has row-level security forced.
func TestFrameTablesAreLocked(t *testing.T) {
	d := dbtest.Make(t, db.Postgres, shelf)
	ctx := ctxOf(t)
	conn, err := pgx.Connect(ctx, d.MigrateDSN)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	rows, err := conn.Query(ctx, `SELECT relname, relrowsecurity AND relforcerowsecurity FROM pg_class
		WHERE relnamespace = 'shelf'::regnamespace AND relkind = 'r' -- global: catalogue`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	seen := 0
	for rows.Next() {
		var name string
		var locked bool
		if err := rows.Scan(&name, &locked); err != nil {
			t.Fatal(err)
		}
		if !locked && !strings.HasSuffix(name, "_version") {
			t.Errorf("%s has no forced row-level security", name)
		}
		seen++
	}
	if seen < 9 {
		t.Errorf("only %d tables", seen)
	}
}

func TestSchemaVersion(t *testing.T) {
	dbtest.EachDatabase(t, shelf, func(t *testing.T, d *dbtest.Database) {
		srv, ctx := d.Open(t), ctxOf(t)
		step := func(numbers ...string) []db.Set {
			m := fstest.MapFS{"0001_init.sql": {Data: []byte(schema)}}
			for _, n := range numbers {
				m[n+"_more.sql"] = &fstest.MapFile{Data: []byte("-- +goose Up\nCREATE TABLE more_" + n + " (tenant_id {{uuid}} NOT NULL PRIMARY KEY){{strict}};\n{{rls \"more_" + n + "\"}}\n")}
			}
			return []db.Set{{Name: "shelf", FS: m}}
		}
		for _, c := range []struct {
			name  string
			known []db.Set
			ok    bool
		}{
			{"the same", shelf, true},
			{"the program is newer", step("0002"), false},
			{"no such context", sets("attic"), false},
		} {
			if err := srv.CheckSchema(ctx, c.known); (err == nil) != c.ok || (err != nil && !errors.Is(err, db.ErrSchema)) {
				t.Errorf("%s: %v", c.name, err)
			}
		}
		migrate := func(s []db.Set) {
			t.Helper()
			var err error
			if d.Engine == db.Postgres {
				err = db.MigratePostgres(ctx, d.MigrateDSN, "xinglin_app", s)
			} else {
				err = db.MigrateSQLite(ctx, d.Dir, s)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		migrate(shelf) // again: nothing to do
		migrate(step("0002"))
		if err := srv.CheckSchema(ctx, shelf); err != nil {
			t.Errorf("one version ahead (N+1): %v", err)
		}
		migrate(step("0002", "0003"))
		if err := srv.CheckSchema(ctx, shelf); !errors.Is(err, db.ErrSchema) {
			t.Errorf("two versions ahead: %v", err)
		}
	})
}

// A process that is killed between two statements leaves nothing of its transaction.
func TestLostConnection(t *testing.T) {
	d := dbtest.Make(t, db.Postgres, shelf)
	srv, ctx := d.Open(t), ctxOf(t)
	x := open(t, srv, "shelf")
	killer, err := pgx.Connect(ctx, d.DSN)
	if err != nil {
		t.Fatal(err)
	}
	defer killer.Close(ctx)
	err = x.Write(ctx, tenantA, func(ctx context.Context, tx db.Tx) error {
		if err := add(ctx, tx, tenantA, "lost"); err != nil {
			return err
		}
		var pid int
		if err := tx.QueryRow(ctx, "SELECT pg_backend_pid() -- global: test").Scan(&pid); err != nil {
			return err
		}
		if _, err := killer.Exec(ctx, "SELECT pg_terminate_backend($1) -- global: test", pid); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, "UPDATE thing SET n = 2 WHERE tenant_id = $1", tenantA)
		return err
	})
	if fault.KindOf(err) != fault.Unavailable {
		t.Errorf("terminated: %v", err)
	}
	if n := count(t, x, tenantA); n != 0 {
		t.Errorf("%d rows after a lost connection", n)
	}
}

func TestOpenRefusesNothing(t *testing.T) {
	if _, err := db.Open(ctxOf(t), db.Options{}); err == nil {
		t.Error("neither folder nor DSN was accepted")
	}
}

func TestClose(t *testing.T) {
	dbtest.EachDatabase(t, shelf, func(t *testing.T, base *dbtest.Database) {
		srv := base.Open(t)
		d := open(t, srv, "shelf")
		if err := errors.Join(srv.Close(), srv.Close()); err != nil {
			t.Errorf("closed twice: %v", err)
		}
		err := d.Read(ctxOf(t), tenantA, func(context.Context, db.Tx) error { return nil })
		if !errors.Is(err, db.ErrUnavailable) {
			t.Errorf("a transaction after Close: %v", err)
		}
	})
}

func TestSQLiteFiles(t *testing.T) {
	d := dbtest.Make(t, db.SQLite, sets("shelf", "cellar"))
	entries, err := fs.Glob(os.DirFS(d.Dir), "db/*.db")
	if err != nil || len(entries) != 2 {
		t.Errorf("files %v, %v", entries, err)
	}
}

// TestPipeline: the statements of a pipeline run in order with their results; what is put
// off to the end is committed with the rest, or nothing is.
func TestPipeline(t *testing.T) {
	dbtest.Each(t, shelf, func(t *testing.T, srv *db.Server) {
		d, ctx := open(t, srv, "shelf"), ctxOf(t)
		err := d.Write(ctx, tenantA, func(ctx context.Context, tx db.Tx) error {
			if err := add(ctx, tx, tenantA, "a"); err != nil {
				return err
			}
			var seen []int64
			p := &db.Pipeline{}
			number := db.Each(func(r db.Rows) error {
				var n int64
				err := r.Scan(&n)
				seen = append(seen, n)
				return err
			})
			p.Query(number, `SELECT COUNT(*) FROM thing WHERE tenant_id = $1`, tenantA)
			p.Exec(`DELETE FROM thing WHERE tenant_id = $1`, tenantA)
			p.Query(number, `SELECT COUNT(*) FROM thing WHERE tenant_id = $1`, tenantA)
			if err := tx.Send(ctx, p); err != nil {
				return err
			}
			if len(seen) != 2 || seen[0] != 1 || seen[1] != 0 {
				t.Errorf("seen %v", seen)
			}
			if err := add(ctx, tx, tenantA, "b"); err != nil {
				return err
			}
			tx.Last(`DELETE FROM thing WHERE tenant_id = $1`, tenantA)
			return add(ctx, tx, tenantA, "c") // before what was put off
		})
		if err != nil || count(t, d, tenantA) != 0 {
			t.Errorf("%v, %d rows", err, count(t, d, tenantA))
		}
		hooks := 0
		err = d.Write(ctx, tenantA, func(ctx context.Context, tx db.Tx) error {
			tx.OnCommit(func() { hooks++ })
			tx.Last(`INSERT INTO nowhere (tenant_id) VALUES ($1)`, tenantA)
			return add(ctx, tx, tenantA, "d")
		})
		if err == nil || hooks != 0 || count(t, d, tenantA) != 0 {
			t.Errorf("a statement put off failed: %v, %d hooks, %d rows", err, hooks, count(t, d, tenantA))
		}
		if err := d.Write(ctx, tenantA, func(ctx context.Context, tx db.Tx) error { return add(ctx, tx, tenantA, "e") }); err != nil {
			t.Errorf("the connection is of no use afterwards: %v", err)
		}
	})
}
