package outbox

import (
	"context"

	"xinglin/internal/platform/bus"
	"xinglin/internal/platform/db"
)

// claimSQLite: there is one process and one relay, so looking is enough.
func claimSQLite(ctx context.Context, d *db.DB, after place) (out []row, err error) {
	err = d.ReadAll(ctx, func(ctx context.Context, tx db.Tx) error {
		rows, err := tx.Query(ctx, `-- global: the relay
			SELECT tenant_id, id, name, payload, trace, number, created_at FROM outbox
			WHERE seq = 0 AND (created_at, id) > ($1, $2) ORDER BY created_at, id LIMIT $3`, after.at, after.id, claimRows)
		if err != nil {
			return err
		}
		out, err = scanRows(rows, claimBytes)
		return err
	})
	return out, err
}

// markSQLite is a prepared statement a row: the fastest way in one process.
func markSQLite(ctx context.Context, tx db.Tx, rows []row, acks []bus.Ack) error {
	for i, a := range acks {
		_, err := tx.Exec(ctx, "UPDATE outbox SET incarnation = $3, seq = $4, claimed = 0 WHERE tenant_id = $1 AND id = $2 AND seq = 0",
			rows[i].tenant, rows[i].id, a.Incarnation, int64(a.Seq)) //nolint:gosec // stream sequences stay far below 2^63
		if err != nil {
			return err
		}
	}
	return nil
}
