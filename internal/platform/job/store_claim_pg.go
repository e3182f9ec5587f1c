package job

import (
	"context"

	"xinglin/internal/platform/db"
)

// Several processes claim at the same time: each locks rows that no other has locked.
// $1 owner, $2 lease end, $3 instant, $4 limit, then the kinds.
const (
	claimExpiredPG = `-- global: a runner
		WITH due AS MATERIALIZED (SELECT tenant_id, id FROM job WHERE state = 'running' AND lease_until < $3 AND kind IN %s
			ORDER BY lease_until LIMIT $4 FOR UPDATE SKIP LOCKED)
		UPDATE job SET owner = $1, lease_until = $2, attempts = attempts + 1 FROM due
		WHERE job.tenant_id = due.tenant_id AND job.id = due.id`
	claimDuePG = `-- global: a runner
		WITH due AS MATERIALIZED (SELECT tenant_id, id FROM job WHERE state = 'ready' AND run_at <= $3 AND kind IN %s
			ORDER BY run_at LIMIT $4 FOR UPDATE SKIP LOCKED)
		UPDATE job SET state = 'running', owner = $1, lease_until = $2, attempts = attempts + 1 FROM due
		WHERE job.tenant_id = due.tenant_id AND job.id = due.id`
)

func leaseNowPG(ctx context.Context, tx db.Tx) (now int64, err error) {
	err = tx.QueryRow(ctx, "-- global: the clock\nSELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS bigint)").Scan(&now)
	return now, err
}
