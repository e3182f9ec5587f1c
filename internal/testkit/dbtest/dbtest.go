// Package dbtest gives a test a fresh, migrated database on each engine: a copy of
// migrated SQLite files in a temporary folder, and a copy of a migrated template in the
// run's PostgreSQL, reached as the login role of serve, never as superuser.
package dbtest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"xinglin/internal/kernel/clock"
	"xinglin/internal/platform/db"
	"xinglin/internal/testkit/pgcluster"
)

// Engines are the two engines, in the order in which Each runs them.
var Engines = []db.Engine{db.SQLite, db.Postgres}

const migrateTime = 2 * time.Minute

// Option changes how a server is opened.
type Option func(*db.Options)

// WithClock makes the database tell the time of c.
func WithClock(c clock.Clock) Option { return func(o *db.Options) { o.Clock = c } }

// Each runs f as the subtests "sqlite" and "postgres", each on a fresh database with
// the frame tables and the tables of the sets. The server is closed afterwards.
func Each(t *testing.T, sets []db.Set, f func(t *testing.T, srv *db.Server), opts ...Option) {
	t.Helper()
	EachDatabase(t, sets, func(t *testing.T, d *Database) { f(t, d.Open(t, opts...)) })
}

// EachDatabase is Each for tests that open several servers (processes) on one database
// or look at its files.
func EachDatabase(t *testing.T, sets []db.Set, f func(t *testing.T, d *Database)) {
	t.Helper()
	for _, e := range Engines {
		t.Run(string(e), func(t *testing.T) { f(t, Make(t, e, sets)) })
	}
}

// Database is one fresh database; it goes when the test ends.
type Database struct {
	Engine     db.Engine
	Dir        string // SQLite
	DSN        string // PostgreSQL, as the login role
	MigrateDSN string // PostgreSQL, as the owner of the tables
}

// Open opens a server on it, as a process of its own would; it is closed when t ends.
func (d *Database) Open(t testing.TB, opts ...Option) *db.Server {
	t.Helper()
	o := db.Options{Dir: d.Dir, DSN: d.DSN, MaxConns: 12}
	for _, f := range opts {
		f(&o)
	}
	ctx, cancel := context.WithTimeout(context.Background(), migrateTime)
	defer cancel()
	srv, err := db.Open(ctx, o)
	if err != nil {
		t.Fatalf("dbtest: open: %v", err)
	}
	t.Cleanup(func() {
		if err := srv.Close(); err != nil {
			t.Errorf("dbtest: close: %v", err)
		}
	})
	return srv
}

// Make makes a fresh database on one engine.
func Make(t testing.TB, e db.Engine, sets []db.Set) *Database {
	t.Helper()
	version, err := fingerprint(sets)
	if err != nil {
		t.Fatalf("dbtest: %v", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), migrateTime)
	defer cancel()
	if e == db.SQLite {
		from, err := migratedFiles(ctx, version, sets)
		if err != nil {
			t.Fatalf("dbtest: %v", err)
		}
		dir := t.TempDir()
		if err := os.CopyFS(dir, from); err != nil {
			t.Fatalf("dbtest: %v", err)
		}
		return &Database{Engine: e, Dir: dir}
	}
	c := pgcluster.For(t)
	template, err := c.Template(ctx, "dbtest", version, func(dsn string) error {
		return db.MigratePostgres(ctx, dsn, pgcluster.App, sets)
	})
	if err != nil {
		t.Fatalf("dbtest: %v", err)
	}
	name := c.NewDatabase(t, template)
	return &Database{Engine: e, DSN: c.AppDSN(name), MigrateDSN: c.MigrateDSN(name)}
}

// fingerprint names a state of all migration texts and context names.
func fingerprint(sets []db.Set) (string, error) {
	h := sha256.New()
	if err := digest(h, "frame", db.FrameFS()); err != nil {
		return "", err
	}
	for _, s := range sets {
		if err := digest(h, s.Name, s.FS); err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(h.Sum(nil)[:8]), nil
}

func digest(h io.Writer, name string, src fs.FS) error {
	fmt.Fprintf(h, "set %s\n", name)
	return fs.WalkDir(src, ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(p, ".sql") {
			return err
		}
		b, err := fs.ReadFile(src, p)
		fmt.Fprintf(h, "file %s %d\n%s", p, len(b), b)
		return err
	})
}

var (
	filesMu sync.Mutex
	files   = map[string]fs.FS{} // fingerprint to migrated files, in memory
)

// migratedFiles are migrated SQLite files, made once a process.
func migratedFiles(ctx context.Context, version string, sets []db.Set) (fs.FS, error) {
	filesMu.Lock()
	defer filesMu.Unlock()
	if f, ok := files[version]; ok {
		return f, nil
	}
	dir, err := os.MkdirTemp("", "xinglin-dbtest-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	if err := db.MigrateSQLite(ctx, dir, sets); err != nil {
		return nil, err
	}
	kept := fstest.MapFS{}
	err = fs.WalkDir(os.DirFS(dir), ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(filepath.Join(dir, p))
		kept[p] = &fstest.MapFile{Data: b, Mode: 0o600}
		return err
	})
	if err != nil {
		return nil, err
	}
	files[version] = kept
	return kept, nil
}
