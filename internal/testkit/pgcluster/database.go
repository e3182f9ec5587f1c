package pgcluster

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	databaseWait = 60 * time.Second
	templateWait = 5 * time.Minute
	templateLock = 0x78696e676c696e // "xinglin": one builder at a time in the whole cluster
)

// Template gives the name of a database that build has filled, made once per cluster,
// name and version (a hash of whatever build depends on). Several test processes may
// ask at the same time: one builds, the others wait. Builders of different templates
// take turns too, because roles belong to the cluster. build gets the DSN of the
// migration role, which owns the database, and must close its connections.
func (c *Cluster) Template(ctx context.Context, name, version string, build func(migrateDSN string) error) (db string, err error) {
	ctx, cancel := context.WithTimeout(ctx, templateWait)
	defer cancel()
	db = templateName(name, version)
	conn, err := pgx.Connect(ctx, c.SuperDSN())
	if err != nil {
		return "", fmt.Errorf("pgcluster: %w", err)
	}
	defer func() { err = errors.Join(err, conn.Close(context.WithoutCancel(ctx))) }() // frees the lock too
	if done, err := finished(ctx, conn, db); done || err != nil {
		return db, err
	}
	if _, err := conn.Exec(ctx, "SELECT pg_advisory_lock($1) -- global: test cluster", int64(templateLock)); err != nil {
		return "", fmt.Errorf("pgcluster: %w", err)
	}
	if done, err := finished(ctx, conn, db); done || err != nil {
		return db, err
	}
	// What an interrupted builder left is not a template.
	for _, q := range []string{"DROP DATABASE IF EXISTS " + db + " WITH (FORCE)", "CREATE DATABASE " + db + " OWNER " + Migrate} {
		if _, err := conn.Exec(ctx, q); err != nil {
			return "", fmt.Errorf("pgcluster: %s: %w", q, err)
		}
	}
	if err := build(c.MigrateDSN(db)); err != nil {
		return "", fmt.Errorf("pgcluster: template %s: %w", name, err)
	}
	if _, err := conn.Exec(ctx, "ALTER DATABASE "+db+" IS_TEMPLATE true"); err != nil {
		return "", fmt.Errorf("pgcluster: %w", err)
	}
	return db, nil
}

// finished reports whether the template was built to its end.
func finished(ctx context.Context, conn *pgx.Conn, db string) (bool, error) {
	var ok bool
	err := conn.QueryRow(ctx, "SELECT EXISTS (SELECT 1 FROM pg_database WHERE datname = $1 AND datistemplate) -- global: test cluster", db).Scan(&ok)
	if err != nil {
		return false, fmt.Errorf("pgcluster: %w", err)
	}
	return ok, nil
}

// templateName is a plain SQL name: letters of name, then a hash of both.
func templateName(name, version string) string {
	plain := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '_' {
			return r
		}
		return '_'
	}, strings.ToLower(name))
	sum := sha256.Sum256([]byte(name + "\x00" + version))
	return "tpl_" + plain[:min(len(plain), 30)] + "_" + hex.EncodeToString(sum[:8])
}

// NewDatabase copies a template (or template0 when it is empty) into a database of the
// test's own, owned by xinglin_migrate, and drops it when the test ends.
func (c *Cluster) NewDatabase(t testing.TB, template string) (db string) {
	t.Helper()
	db, drop, err := c.CreateDatabase(context.Background(), template)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := drop(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// CreateDatabase is NewDatabase for callers without a test, such as TestMain. drop ends
// the connections that are still open.
func (c *Cluster) CreateDatabase(ctx context.Context, template string) (db string, drop func() error, err error) {
	ctx, cancel := context.WithTimeout(ctx, databaseWait)
	defer cancel()
	if template == "" {
		template = "template0"
	}
	db = "t_" + strings.ToLower(rand.Text())
	if err := c.super(ctx, "postgres", "CREATE DATABASE "+db+" TEMPLATE "+template+" OWNER "+Migrate); err != nil {
		return "", nil, err
	}
	return db, func() error {
		ctx, cancel := context.WithTimeout(context.Background(), databaseWait)
		defer cancel()
		return c.super(ctx, "postgres", "DROP DATABASE IF EXISTS "+db+" WITH (FORCE)")
	}, nil
}
