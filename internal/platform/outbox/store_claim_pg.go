package outbox

import (
	"context"

	"xinglin/internal/platform/db"
)

// claimPG: several processes publish at the same time; each takes rows that no other
// holds, by the database's clock. The claim is a column and not a lock, because nothing
// remote happens inside a transaction.
func claimPG(ctx context.Context, d *db.DB, limit int) (out []row, err error) {
	err = d.WriteAll(ctx, func(ctx context.Context, tx db.Tx) error {
		rows, err := tx.Query(ctx, `-- global: the relay
			WITH clock AS (SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS bigint) AS now),
			due AS MATERIALIZED (
				SELECT o.tenant_id, o.id FROM outbox o WHERE o.seq = 0 AND o.claimed < (SELECT now FROM clock)
				ORDER BY o.created_at LIMIT $1 FOR UPDATE SKIP LOCKED)
			UPDATE outbox SET claimed = (SELECT now FROM clock) + $2 FROM due
			WHERE outbox.tenant_id = due.tenant_id AND outbox.id = due.id
			RETURNING outbox.tenant_id, outbox.id, outbox.name, outbox.payload, outbox.trace, outbox.number, outbox.created_at`,
			limit, claimTime.Microseconds())
		if err != nil {
			return err
		}
		out, err = scanRows(rows)
		return err
	})
	return out, err
}
