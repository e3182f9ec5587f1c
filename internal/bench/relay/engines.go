package relay

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"xinglin/internal/platform/db"
	"xinglin/internal/testkit/pgcluster"
)

// frame is a context with the platform's tables only.
var frame = []db.Set{{Name: Owner, FS: db.NoMigrations}}

// SQLite measures on a file of its own below o.Dir.
func SQLite(ctx context.Context, o Options) (out []Result, err error) {
	dir := filepath.Join(o.Dir, "sqlite")
	if err := db.MigrateSQLite(ctx, dir, frame); err != nil {
		return nil, err
	}
	srv, err := db.Open(ctx, db.Options{Dir: dir})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, srv.Close()) }()
	return Run(ctx, srv, o)
}

// Postgres measures on a database that is migrated, as the login role of serve. Without
// a DSN it starts a cluster of its own, with fsync.
func Postgres(ctx context.Context, dsn string, o Options) (out []Result, err error) {
	if dsn == "" {
		c, err := pgcluster.Start(ctx, pgcluster.WithFsync())
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, c.Stop()) }()
		name, drop, err := c.CreateDatabase(ctx, "")
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, drop()) }()
		if err := db.MigratePostgres(ctx, c.MigrateDSN(name), pgcluster.App, frame); err != nil {
			return nil, fmt.Errorf("migrate: %w", err)
		}
		dsn = c.AppDSN(name)
	}
	srv, err := db.Open(ctx, db.Options{DSN: dsn})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, srv.Close()) }()
	return Run(ctx, srv, o)
}
