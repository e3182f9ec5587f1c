package db

import (
	"context"
	"fmt"
)

// CheckReferences looks for rows that refer to none, after a Bulk load. PostgreSQL refuses them at once: there it does nothing.
func (d *DB) CheckReferences(ctx context.Context) error {
	if d.Engine() == Postgres {
		return nil
	}
	return d.ReadAll(ctx, func(ctx context.Context, tx Tx) error {
		rows, err := tx.Query(ctx, `SELECT "table", parent, COUNT(*) FROM pragma_foreign_key_check() GROUP BY "table", parent LIMIT 1 -- global: the schema`)
		if err != nil {
			return err
		}
		defer rows.Close()
		if rows.Next() {
			var table, parent string
			var n int64
			if err := rows.Scan(&table, &parent, &n); err != nil {
				return err
			}
			return fmt.Errorf("db: %d rows of %s refer to rows of %s that are not there", n, table, parent)
		}
		return rows.Err()
	})
}
