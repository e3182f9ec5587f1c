package outbox

import (
	"context"

	"xinglin/internal/platform/bus"
	"xinglin/internal/platform/db"
)

// claimPG: several processes publish at the same time; each takes rows that no other
// holds, by the database's clock. The claim is a column and not a lock, because nothing
// remote happens inside a transaction.
func claimPG(ctx context.Context, d *db.DB) (out []row, err error) {
	err = d.WriteAll(ctx, func(ctx context.Context, tx db.Tx) error {
		rows, err := tx.Query(ctx, `-- global: the relay
			WITH clock AS (SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS bigint) AS now),
			due AS MATERIALIZED (
				SELECT o.tenant_id, o.id, o.created_at, octet_length(o.payload) AS size FROM outbox o
				WHERE o.seq = 0 AND o.claimed < (SELECT now FROM clock)
				ORDER BY o.created_at LIMIT $1 FOR UPDATE SKIP LOCKED),
			fit AS (
				SELECT s.tenant_id, s.id FROM (SELECT due.tenant_id, due.id, due.size,
					SUM(due.size) OVER (ORDER BY due.created_at, due.id ROWS UNBOUNDED PRECEDING) AS total FROM due) s
				WHERE s.total - s.size < $3)
			UPDATE outbox SET claimed = (SELECT now FROM clock) + $2 FROM fit
			WHERE outbox.tenant_id = fit.tenant_id AND outbox.id = fit.id
			RETURNING outbox.tenant_id, outbox.id, outbox.name, outbox.payload, outbox.trace, outbox.number, outbox.created_at`,
			claimRows, claimTime.Microseconds(), claimBytes)
		if err != nil {
			return err
		}
		out, err = scanRows(rows, claimRows*bus.MaxBytes) // the statement has bounded it
		return err
	})
	return out, err
}

// markPG is one statement for all rows, in the order of their keys.
func markPG(ctx context.Context, tx db.Tx, rows []row, acks []bus.Ack) error {
	tenants, ids := make([][16]byte, len(acks)), make([][16]byte, len(acks))
	incarnations, seqs := make([]string, len(acks)), make([]int64, len(acks))
	for i, a := range acks {
		tenants[i], ids[i], incarnations[i], seqs[i] = rows[i].tenant, rows[i].id, a.Incarnation, int64(a.Seq) //nolint:gosec // stream sequences stay far below 2^63
	}
	_, err := tx.Exec(ctx, `-- global: the relay
		UPDATE outbox SET incarnation = m.incarnation, seq = m.seq, claimed = 0
		FROM unnest(CAST($1 AS uuid[]), CAST($2 AS uuid[]), CAST($3 AS text[]), CAST($4 AS bigint[])) AS m (tenant_id, id, incarnation, seq)
		WHERE outbox.tenant_id = m.tenant_id AND outbox.id = m.id AND outbox.seq = 0`, tenants, ids, incarnations, seqs)
	return err
}
