package db

import (
	"context"
	"time"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/id"
)

// Bounds of a sweep: short transactions, and an end. What is left is for the next time.
const (
	sweepBatch = 500
	sweepTurns = 40
)

// Sweep deletes old rows in short transactions. text deletes at most $3 rows of tenant $1 from before $2 (microseconds).
func (d *DB) Sweep(ctx context.Context, tenant id.ID[auth.Tenant], text string, before time.Time) error {
	for range sweepTurns {
		var n int64
		err := d.Write(ctx, tenant, func(ctx context.Context, tx Tx) (err error) {
			n, err = tx.Exec(ctx, text, tenant, before.UnixMicro(), sweepBatch)
			return err
		})
		if err != nil || n < sweepBatch {
			return err
		}
	}
	return nil
}
