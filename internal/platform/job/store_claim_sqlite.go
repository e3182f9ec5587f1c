package job

// The single writer is the lock. $1 owner, $2 lease end, $3 instant, $4 limit, then the kinds.
const (
	claimExpiredSQLite = `-- global: a runner
		UPDATE job SET owner = $1, lease_until = $2, attempts = attempts + 1 WHERE (tenant_id, id) IN
			(SELECT tenant_id, id FROM job WHERE state = 'running' AND lease_until < $3 AND kind IN %s ORDER BY lease_until LIMIT $4)`
	claimDueSQLite = `-- global: a runner
		UPDATE job SET state = 'running', owner = $1, lease_until = $2, attempts = attempts + 1 WHERE (tenant_id, id) IN
			(SELECT tenant_id, id FROM job WHERE state = 'ready' AND run_at <= $3 AND kind IN %s ORDER BY run_at LIMIT $4)`
)
