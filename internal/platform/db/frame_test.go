package db_test

import (
	"context"
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/db"
	"xinglin/internal/testkit/dbtest"
	"xinglin/internal/testkit/pgcluster"
)

// What waited in an outbox of version 1 (payload was {{json}}) is there byte for byte in meaning after the migration,
// other columns and indexes too.
func TestOutboxPayloadMigration(t *testing.T) {
	old := map[db.Engine][]string{
		db.SQLite: {
			"ALTER TABLE outbox DROP COLUMN payload",
			"ALTER TABLE outbox ADD COLUMN payload TEXT NOT NULL DEFAULT ''",
		},
		db.Postgres: {
			"ALTER TABLE shelf.outbox ALTER COLUMN payload TYPE jsonb USING CAST(convert_from(payload, 'UTF8') AS jsonb)",
			"ALTER TABLE shelf.outbox ALTER COLUMN payload SET STORAGE EXTENDED",
		},
	}
	const forget = "DELETE FROM frame_version WHERE version_id > 1"
	payloads := []string{`[]`, `[{"n": 1, "s": "back\\slash \"quoted\" 药 \\101 \n"}]`}
	dbtest.EachDatabase(t, shelf, func(t *testing.T, base *dbtest.Database) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		d, err := base.Open(t).Context(ctx, "shelf")
		if err != nil {
			t.Fatal(err)
		}
		all := func(texts ...string) {
			t.Helper()
			err := d.WriteAll(ctx, func(ctx context.Context, tx db.Tx) error {
				for _, q := range texts {
					if _, err := tx.Exec(ctx, q); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		var owner *pgx.Conn
		if base.Engine == db.SQLite {
			all(append(old[db.SQLite], forget)...)
		} else {
			if owner, err = pgx.Connect(ctx, base.MigrateDSN); err != nil {
				t.Fatal(err)
			}
			defer owner.Close(ctx)
			for _, q := range append(old[db.Postgres], "DELETE FROM shelf.frame_version WHERE version_id > 1") {
				if _, err := owner.Exec(ctx, q); err != nil {
					t.Fatal(err)
				}
			}
		}
		err = d.Write(ctx, tenantA, func(ctx context.Context, tx db.Tx) error {
			for i, p := range payloads {
				_, err := tx.Exec(ctx, `INSERT INTO outbox (tenant_id, id, name, payload, trace, number, created_at, incarnation, seq)
					VALUES ($1, $2, 'shelf.book.put.v1', $3, 't', 'n', $4, 'inc', $4)`, tenantA, num(i), p, i)
				if err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if base.Engine == db.SQLite {
			err = db.MigrateSQLite(ctx, base.Dir, shelf)
		} else {
			err = db.MigratePostgres(ctx, base.MigrateDSN, pgcluster.App, shelf)
		}
		if err != nil {
			t.Fatal(err)
		}
		fresh, err := base.Open(t).Context(ctx, "shelf")
		if err != nil {
			t.Fatal(err)
		}
		for i, p := range payloads {
			var got []byte
			var name string
			var seq int
			err := fresh.Write(ctx, tenantA, func(ctx context.Context, tx db.Tx) error {
				return tx.QueryRow(ctx, "SELECT payload, name, seq FROM outbox WHERE tenant_id = $1 AND id = $2", tenantA, num(i)).Scan(&got, &name, &seq)
			})
			if err != nil || name != "shelf.book.put.v1" || seq != i || !sameJSON(got, []byte(p)) {
				t.Errorf("row %d: %s, %q, %d, %v; want %s", i, got, name, seq, err, p)
			}
		}
		// What is no text fits now.
		err = fresh.Write(ctx, tenantA, func(ctx context.Context, tx db.Tx) error {
			_, err := tx.Exec(ctx, "UPDATE outbox SET payload = $2 WHERE tenant_id = $1", tenantA, []byte{0x28, 0xb5, 0x2f, 0xfd, 0, 0xff})
			return err
		})
		if err != nil {
			t.Error(err)
		}
	})
}

func sameJSON(a, b []byte) bool {
	var x, y any
	return json.Unmarshal(a, &x) == nil && json.Unmarshal(b, &y) == nil && reflect.DeepEqual(x, y)
}

func num(i int) id.ID[thing] { return id.ID[thing]{15: byte(i + 1)} }
