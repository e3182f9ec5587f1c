package relay

import (
	"context"

	"xinglin/internal/platform/bus"
	"xinglin/internal/platform/db"
)

// waiting counts the rows of the outbox, whatever their state.
func waiting(ctx context.Context, d *db.DB) (n int, err error) {
	err = d.ReadAll(ctx, func(ctx context.Context, tx db.Tx) error {
		return tx.QueryRow(ctx, "-- global: the bench\nSELECT COUNT(*) FROM outbox").Scan(&n)
	})
	return n, err
}

// marks counts the rows that the stream holds by their mark, the places in the stream
// that they name, and the rows without a mark.
func marks(ctx context.Context, d *db.DB, p bus.Position) (marked, places, open int, err error) {
	err = d.ReadAll(ctx, func(ctx context.Context, tx db.Tx) error {
		return tx.QueryRow(ctx, `-- global: the bench
			SELECT COUNT(*), COUNT(DISTINCT seq), (SELECT COUNT(*) FROM outbox WHERE seq = 0)
			FROM outbox WHERE incarnation = $1 AND seq BETWEEN 1 AND $2`, p.Incarnation, int64(p.LastSeq)).Scan(&marked, &places, &open) //nolint:gosec // of one run
	})
	return marked, places, open, err
}
