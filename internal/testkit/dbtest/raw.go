package dbtest

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"
)

// Raw is a connection past platform/db: for tests of the database's own locks.
type Raw struct{ conn *pgx.Conn }

// Login connects as the role that serve uses, Owner as the one that owns the tables.
func (d *Database) Login(t testing.TB) *Raw { return connect(t, d.DSN) }

// Owner connects as the role that owns the tables.
func (d *Database) Owner(t testing.TB) *Raw { return connect(t, d.MigrateDSN) }

func connect(t testing.TB, dsn string) *Raw {
	t.Helper()
	conn, err := pgx.Connect(context.Background(), dsn)
	if err != nil {
		t.Fatalf("dbtest: %v", err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return &Raw{conn}
}

// In runs one statement as a role and tenant (both may be empty) and rolls it back. It
// gives the first column of the rows, which must be text, and how many rows it touched.
func (r *Raw) In(role, tenant, statement string, args ...any) (texts []string, touched int64, err error) {
	ctx := context.Background()
	tx, err := r.conn.Begin(ctx)
	if err != nil {
		return nil, 0, err
	}
	defer func() { _ = tx.Rollback(ctx) }()
	if role != "" {
		if _, err := tx.Exec(ctx, "SET LOCAL ROLE "+role); err != nil {
			return nil, 0, err
		}
	}
	if _, err := tx.Exec(ctx, "SELECT set_config('app.tenant', $1, true)", tenant); err != nil {
		return nil, 0, err
	}
	rows, err := tx.Query(ctx, statement, args...)
	if err != nil {
		return nil, 0, err
	}
	texts, err = pgx.CollectRows(rows, pgx.RowTo[string])
	return texts, rows.CommandTag().RowsAffected(), err
}
