package job

import (
	"context"

	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/obs"
)

// enqueueSQLite writes the jobs with one prepared statement.
func enqueueSQLite(ctx context.Context, tx db.Tx, specs []Spec) error {
	for _, s := range specs {
		_, err := tx.Exec(ctx, `INSERT INTO job (tenant_id, id, kind, key, payload, run_at, state, max, trace, number, created_at)
			VALUES ($1, $2, $3, $4, $5, $6, 'ready', $7, $8, $9, $10)`+onOpen,
			tx.Tenant(), id.New[Job](tx.Now()), s.Kind, s.Key, db.JSON(s.Payload), s.RunAt.UnixMicro(), s.Max, obs.Trace(ctx), s.Number, tx.Now().UnixMicro())
		if err != nil {
			return err
		}
	}
	return nil
}
