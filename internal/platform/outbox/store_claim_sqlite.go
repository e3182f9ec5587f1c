package outbox

import (
	"context"

	"xinglin/internal/platform/db"
)

// claimSQLite: there is one process and one relay, so looking is enough.
func claimSQLite(ctx context.Context, d *db.DB, limit int) (out []row, err error) {
	err = d.ReadAll(ctx, func(ctx context.Context, tx db.Tx) error {
		rows, err := tx.Query(ctx, `-- global: the relay
			SELECT tenant_id, id, name, payload, trace, number, created_at FROM outbox
			WHERE seq = 0 ORDER BY created_at, id LIMIT $1`, limit)
		if err != nil {
			return err
		}
		out, err = scanRows(rows)
		return err
	})
	return out, err
}
