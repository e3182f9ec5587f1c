package job

import (
	"context"
	"time"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/deadletter"
)

// The states of a job.
const (
	Ready     = "ready"
	Running   = "running"
	Done      = "done"
	Dead      = "dead"
	Cancelled = "cancelled"
)

const maxList = 100

// Row is a job as the operator sees it.
type Row struct {
	Tenant   id.ID[auth.Tenant]
	ID       id.ID[Job]
	Kind     string
	Key      string
	State    string
	RunAt    time.Time
	Attempts int
	Max      int
	Owner    string
	Error    string
	Number   string
}

// List shows the jobs of all tenants in a state, in the order of their time, at most 100.
func List(ctx context.Context, d *db.DB, state string) ([]Row, error) {
	var out []Row
	err := d.ReadAll(ctx, func(ctx context.Context, tx db.Tx) error {
		out = nil
		rows, err := tx.Query(ctx, `-- global: for the operator
			SELECT tenant_id, id, kind, key, state, run_at, attempts, max, owner, error, number FROM job
			WHERE state = $1 ORDER BY run_at, id LIMIT $2`, state, maxList)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var r Row
			err := rows.Scan(&r.Tenant, &r.ID, &r.Kind, &r.Key, &r.State, db.Instant(&r.RunAt), &r.Attempts, &r.Max, &r.Owner, &r.Error, &r.Number)
			if err != nil {
				return err
			}
			out = append(out, r)
		}
		return rows.Err()
	})
	return out, err
}

// Retry makes a dead job ready at once, with all its attempts, and marks its letter
// replayed. A cron that failed in its period runs now. Codes: deadletter.missing,
// job.missing.
func Retry(ctx context.Context, d *db.DB, job id.ID[Job]) error {
	letter, err := deadletter.Get(ctx, d, deadletter.Job, id.As[deadletter.Letter](job))
	if err != nil {
		return err
	}
	return d.WriteAll(ctx, func(ctx context.Context, tx db.Tx) error {
		n, err := tx.Exec(ctx, `UPDATE job SET state = 'ready', attempts = 0, run_at = $3, error = '' WHERE tenant_id = $1 AND id = $2
			AND (state = 'ready' OR state = 'dead' AND NOT EXISTS (SELECT 1 FROM job o WHERE o.tenant_id = job.tenant_id
				AND o.kind = job.kind AND o.key = job.key AND o.state IN ('ready', 'running')))`,
			letter.Tenant, job, tx.Now().UnixMicro())
		if err != nil {
			return err
		}
		if n == 0 {
			return ErrMissing.New()
		}
		tx.Wake(topic)
		return deadletter.Replayed(ctx, tx, letter.Tenant, letter.ID)
	})
}
