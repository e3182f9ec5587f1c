package db

import (
	"bytes"
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"testing/fstest"
	"text/template"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	"xinglin/internal/kernel/fault"
)

//go:embed frame/*.sql
var frameFS embed.FS

// ErrSchema is returned when the database's schema is not one that this binary knows.
var ErrSchema = fault.Register(fault.Unavailable, "db.schema_version",
	"数据库版本与程序不符", "The database schema is not a version that this program knows; run xinglin migrate")

const (
	frameTable = "frame_version"
	ownTable   = "schema_version"
)

// NoMigrations is for a Set without tables of its own.
var NoMigrations fs.FS = fstest.MapFS{}

// FrameFS has the tables that every context carries (outbox, inbox, jobs, trail, idempotency).
func FrameFS() fs.FS {
	sub, err := fs.Sub(frameFS, "frame")
	if err != nil {
		panic(err) // embedded at build time
	}
	return sub
}

// render turns the portable migration texts into one engine's.
func render(e Engine, name string, src fs.FS) (fs.FS, error) {
	types := map[Engine]map[string]string{
		SQLite:   {"uuid": "BLOB", "bigint": "INTEGER", "int": "INTEGER", "text": "TEXT", "bool": "INTEGER", "json": "TEXT", "bytes": "BLOB", "strict": " STRICT"},
		Postgres: {"uuid": "uuid", "bigint": "bigint", "int": "integer", "text": `text COLLATE "C"`, "bool": "boolean", "json": "jsonb", "bytes": "bytea", "strict": ""},
	}[e]
	fn := template.FuncMap{
		"rls": func(table string) string { return rls(e, name, table) },
		"pg":  func() bool { return e == Postgres }, // for changes of tables, which SQLite does in other steps
	}
	for k, v := range types {
		fn[k] = func() string { return v }
	}
	out := fstest.MapFS{}
	err := fs.WalkDir(src, ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(p, ".sql") {
			return err
		}
		b, err := fs.ReadFile(src, p)
		if err != nil {
			return err
		}
		t, err := template.New(p).Funcs(fn).Parse(string(b))
		if err != nil {
			return err
		}
		var buf bytes.Buffer
		if err := t.Execute(&buf, nil); err != nil {
			return err
		}
		out[p] = &fstest.MapFile{Data: buf.Bytes(), Mode: 0o444}
		return nil
	})
	return out, err
}

// rls is the second lock on one table: the tenant's role sees only rows of
// app.tenant, the platform's role sees all, the owner sees nothing (FORCE).
func rls(e Engine, name, table string) string {
	if e != Postgres {
		return ""
	}
	const own = "tenant_id = NULLIF(current_setting('app.tenant', true), '')::uuid"
	r := "ctx_" + name
	return strings.Join([]string{
		"ALTER TABLE " + table + " ENABLE ROW LEVEL SECURITY;",
		"ALTER TABLE " + table + " FORCE ROW LEVEL SECURITY;",
		"CREATE POLICY own_tenant ON " + table + " TO " + r + " USING (" + own + ") WITH CHECK (" + own + ");",
		"CREATE POLICY every_tenant ON " + table + " TO " + r + "_all USING (true) WITH CHECK (true);",
		"GRANT SELECT, INSERT, UPDATE, DELETE ON " + table + " TO " + r + ", " + r + "_all;",
	}, "\n")
}

// MigrateSQLite brings every context's file in dir to the newest schema.
func MigrateSQLite(ctx context.Context, dir string, sets []Set) error {
	for _, s := range sets {
		e, err := openSQLite(ctx, Options{Dir: dir, Readers: 1}, s.Name)
		if err != nil {
			return fmt.Errorf("migrate %s: %w", s.Name, err)
		}
		if err = up(ctx, e.db, SQLite, s); err == nil {
			err = tellShape(ctx, e.db)
		}
		if err := errors.Join(err, e.close()); err != nil {
			return fmt.Errorf("migrate %s: %w", s.Name, err)
		}
	}
	return nil
}

var plainName = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)

// MigratePostgres brings every schema up. dsn is the migration role's: it owns the
// tables and may create roles; login is the role that serve connects with.
func MigratePostgres(ctx context.Context, dsn, login string, sets []Set) error {
	cfg, err := pgx.ParseConfig(dsn)
	if err != nil {
		return errors.New("migrate: the DSN cannot be read")
	}
	if !plainName.MatchString(login) {
		return fmt.Errorf("migrate: login role %q is no plain name", login)
	}
	for _, s := range sets {
		if err := migrateSchema(ctx, cfg, login, s); err != nil {
			return fmt.Errorf("migrate %s: %w", s.Name, err)
		}
	}
	return nil
}

func migrateSchema(ctx context.Context, base *pgx.ConnConfig, login string, s Set) error {
	cfg := base.Copy()
	cfg.RuntimeParams["search_path"] = s.Name
	cfg.RuntimeParams["application_name"] = "xinglin-migrate"
	pool := stdlib.OpenDB(*cfg)
	defer pool.Close()
	if err := prepareSchema(ctx, pool, login, s.Name); err != nil {
		return err
	}
	if err := up(ctx, pool, Postgres, s); err != nil {
		return err
	}
	tables := frameTable
	if top, err := newest(s.FS); err != nil {
		return err
	} else if top > 0 {
		tables += ", " + ownTable
	}
	r := "ctx_" + s.Name
	_, err := pool.ExecContext(ctx, "GRANT SELECT ON "+tables+" TO "+r+", "+r+"_all")
	return err
}

// prepareSchema makes the roles and the schema. Roles belong to the whole cluster, so
// another migration may make them at the same moment: that is no error.
func prepareSchema(ctx context.Context, pool *sql.DB, login, name string) error {
	r := "ctx_" + name
	for _, role := range []string{r, r + "_all"} {
		_, err := pool.ExecContext(ctx, `DO $$ BEGIN
  IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = '`+role+`') THEN
    CREATE ROLE `+role+` NOLOGIN NOINHERIT;
  END IF;
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
END $$`)
		if err != nil {
			return fmt.Errorf("role %s: %w", role, err)
		}
		_, err = pool.ExecContext(ctx, `DO $$ BEGIN
  IF NOT pg_has_role('`+login+`', '`+role+`', 'MEMBER') THEN GRANT `+role+` TO `+login+`; END IF;
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
END $$`)
		if err != nil {
			return fmt.Errorf("grant %s to %s: %w", role, login, err)
		}
	}
	for _, q := range []string{
		"CREATE SCHEMA IF NOT EXISTS " + name,
		"GRANT USAGE ON SCHEMA " + name + " TO " + r + ", " + r + "_all",
	} {
		if _, err := pool.ExecContext(ctx, q); err != nil {
			return err
		}
	}
	return nil
}

func up(ctx context.Context, pool *sql.DB, e Engine, s Set) error {
	for _, part := range []struct {
		table string
		fs    fs.FS
	}{{frameTable, FrameFS()}, {ownTable, s.FS}} {
		p, err := provider(pool, e, s.Name, part.table, part.fs)
		if errors.Is(err, goose.ErrNoMigrations) {
			continue
		}
		if err != nil {
			return err
		}
		if _, err := p.Up(ctx); err != nil {
			return err
		}
	}
	return nil
}

func provider(pool *sql.DB, e Engine, name, table string, src fs.FS) (*goose.Provider, error) {
	texts, err := render(e, name, src)
	if err != nil {
		return nil, err
	}
	opts := []goose.ProviderOption{goose.WithTableName(table), goose.WithDisableGlobalRegistry(true)}
	dialect := goose.DialectSQLite3
	if e == Postgres {
		dialect = goose.DialectPostgres
		l, err := lock.NewPostgresSessionLocker()
		if err != nil {
			return nil, err
		}
		opts = append(opts, goose.WithSessionLocker(l))
	}
	return goose.NewProvider(dialect, pool, texts, opts...)
}

// newest is the highest version number of a migration folder.
func newest(src fs.FS) (int64, error) {
	names, err := fs.Glob(src, "*.sql")
	if err != nil {
		return 0, err
	}
	sort.Strings(names)
	var top int64
	for _, n := range names {
		num, _, _ := strings.Cut(n, "_")
		v, err := strconv.ParseInt(num, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("migration %q has no number", n)
		}
		top = max(top, v)
	}
	return top, nil
}

// CheckSchema refuses a database whose schema is neither the newest that this binary
// knows (N) nor the next one (N+1: expand and contract keep it readable).
func (s *Server) CheckSchema(ctx context.Context, sets []Set) error {
	for _, set := range sets {
		d, err := s.Context(ctx, set.Name)
		if err != nil {
			return err
		}
		for table, src := range map[string]fs.FS{frameTable: FrameFS(), ownTable: set.FS} {
			want, err := newest(src)
			if err != nil {
				return err
			}
			if want == 0 {
				continue
			}
			var have int64
			err = d.ReadAll(ctx, func(ctx context.Context, tx Tx) error {
				return tx.QueryRow(ctx, "-- global: schema version\nSELECT COALESCE(MAX(version_id), 0) FROM "+table).Scan(&have)
			})
			if err != nil {
				return ErrSchema.Because("%s: %w", set.Name, err)
			}
			if have != want && have != want+1 {
				return ErrSchema.Because("%s: schema %d, program knows %d", set.Name, have, want)
			}
		}
	}
	return nil
}
