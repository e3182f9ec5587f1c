package job

import (
	"context"
	"errors"
	"fmt"
	"time"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/deadletter"
)

type claimed struct {
	tenant    id.ID[auth.Tenant]
	id        id.ID[Job]
	kind, key string
	payload   []byte
	runAt     time.Time
	attempts  int // this one included
	max       int
	trace     string
	number    string
	owner     string // token of the claim
}

// leaseNow is the instant by which leases are measured: the database's clock where
// several machines share it.
func leaseNow(ctx context.Context, tx db.Tx) (int64, error) {
	if tx.Engine() == db.Postgres {
		return leaseNowPG(ctx, tx)
	}
	return tx.Now().UnixMicro(), nil
}

const returned = " RETURNING job.tenant_id, job.id, job.kind, job.key, job.payload, job.run_at, job.attempts, job.max, job.trace, job.number"

// claim takes up to limit jobs: first those whose process let its lease end, then what is due.
func claim(ctx context.Context, d *db.DB, owner string, kinds []any, limit int) (out []claimed, err error) {
	err = d.WriteAll(ctx, func(ctx context.Context, tx db.Tx) error {
		now, err := leaseNow(ctx, tx)
		if err != nil {
			return err
		}
		// Asked for again while its process died: it is due when that was asked for.
		_, err = tx.Exec(ctx, `-- global: a runner
			UPDATE job SET state = 'ready', again = 0, attempts = 0, owner = '', lease_until = 0
			WHERE state = 'running' AND again = 1 AND lease_until < $1`, now)
		if err != nil {
			return err
		}
		expired, due := claimExpiredSQLite, claimDueSQLite
		if tx.Engine() == db.Postgres {
			expired, due = claimExpiredPG, claimDuePG
		}
		in := "(" + db.In(5, len(kinds)) + ")"
		until := now + lease.Microseconds()
		out, err = take(ctx, tx, fmt.Sprintf(expired, in)+returned, append([]any{owner, until, now, limit}, kinds...))
		if err != nil || len(out) == limit {
			return err
		}
		more, err := take(ctx, tx, fmt.Sprintf(due, in)+returned, append([]any{owner, until, tx.Now().UnixMicro(), limit - len(out)}, kinds...))
		out = append(out, more...)
		return err
	})
	if err != nil {
		return nil, err
	}
	for i := range out {
		out[i].owner = owner
	}
	return out, nil
}

func take(ctx context.Context, tx db.Tx, text string, args []any) ([]claimed, error) {
	rows, err := tx.Query(ctx, text, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []claimed
	for rows.Next() {
		var j claimed
		err := rows.Scan(&j.tenant, &j.id, &j.kind, &j.key, &j.payload, db.Instant(&j.runAt), &j.attempts, &j.max, &j.trace, &j.number)
		if err != nil {
			return nil, err
		}
		out = append(out, j)
	}
	return out, rows.Err()
}

// mine is the condition under which an attempt may still write about the job.
const mine = " WHERE tenant_id = $1 AND id = $2 AND state = 'running' AND owner = $3"

func one(n int64, err error) error {
	if err == nil && n != 1 {
		return errLost
	}
	return err
}

// done ends the job, or makes it ready once more when that was asked for meanwhile.
func done(ctx context.Context, tx db.Tx, j claimed) error {
	return one(tx.Exec(ctx, `UPDATE job SET state = CASE WHEN again = 1 THEN 'ready' ELSE 'done' END,
		attempts = CASE WHEN again = 1 THEN 0 ELSE attempts END, done_at = CASE WHEN again = 1 THEN NULL ELSE CAST($4 AS BIGINT) END,
		again = 0, owner = '', lease_until = 0, error = ''`+mine, j.tenant, j.id, j.owner, tx.Now().UnixMicro()))
}

// again makes a cron's row ready for its next period.
func again(ctx context.Context, tx db.Tx, j claimed, next time.Time) error {
	return one(tx.Exec(ctx, `UPDATE job SET state = 'ready', attempts = 0, again = 0, owner = '', lease_until = 0, error = '', run_at = $4`+mine,
		j.tenant, j.id, j.owner, next.UnixMicro()))
}

// retry makes the job ready after a pause; a newer request for it decides instead.
func retry(ctx context.Context, d *db.DB, j claimed, after time.Duration, attempts int, why error) error {
	return d.WriteAll(ctx, func(ctx context.Context, tx db.Tx) error {
		return one(tx.Exec(ctx, `UPDATE job SET state = 'ready', owner = '', lease_until = 0, error = $4,
			run_at = CASE WHEN again = 1 THEN run_at ELSE $5 END, attempts = CASE WHEN again = 1 THEN 0 ELSE $6 END, again = 0`+mine,
			j.tenant, j.id, j.owner, deadletter.Describe(why), tx.Now().Add(after).UnixMicro(), attempts))
	})
}

// bury gives the job up: dead, or for a cron ready at its next period, with a dead
// letter; a newer request for it decides instead.
func bury(ctx context.Context, d *db.DB, j claimed, next time.Time, why error) error {
	return d.WriteAll(ctx, func(ctx context.Context, tx db.Tx) error {
		state := "dead"
		if !next.IsZero() {
			state = "ready"
		} else {
			next = j.runAt
		}
		err := one(tx.Exec(ctx, `UPDATE job SET state = CASE WHEN again = 1 THEN 'ready' ELSE $4 END, run_at = CASE WHEN again = 1 THEN run_at ELSE $5 END,
			attempts = CASE WHEN again = 1 OR $4 = 'ready' THEN 0 ELSE attempts END, again = 0, owner = '', lease_until = 0, error = $6`+mine,
			j.tenant, j.id, j.owner, state, next.UnixMicro(), deadletter.Describe(why)))
		if err != nil {
			return err
		}
		return deadletter.Put(ctx, tx, deadletter.Row{
			Tenant: j.tenant, ID: id.As[deadletter.Letter](j.id), Source: deadletter.Job, Kind: j.kind, Payload: j.payload,
			Attempts: j.attempts, Error: deadletter.Describe(why), Trace: j.trace, Number: j.number,
		})
	})
}

// extend is a heartbeat.
func extend(ctx context.Context, d *db.DB, j claimed) error {
	return d.WriteAll(ctx, func(ctx context.Context, tx db.Tx) error {
		now, err := leaseNow(ctx, tx)
		if err != nil {
			return err
		}
		return one(tx.Exec(ctx, "UPDATE job SET lease_until = $4"+mine, j.tenant, j.id, j.owner, now+lease.Microseconds()))
	})
}

// takeBack ends every lease: their processes are gone.
func takeBack(ctx context.Context, d *db.DB) error {
	return d.WriteAll(ctx, func(ctx context.Context, tx db.Tx) error {
		_, err := tx.Exec(ctx, "-- global: the only process\nUPDATE job SET lease_until = 0 WHERE state = 'running'")
		return err
	})
}

// nextDue is when the next waiting job is due; the zero time if none waits.
func nextDue(ctx context.Context, d *db.DB, kinds []any) (t time.Time, err error) {
	err = d.ReadAll(ctx, func(ctx context.Context, tx db.Tx) error {
		err := tx.QueryRow(ctx, "-- global: a runner\nSELECT run_at FROM job WHERE state = 'ready' AND kind IN ("+db.In(1, len(kinds))+
			") ORDER BY run_at LIMIT 1", kinds...).Scan(db.Instant(&t))
		if errors.Is(err, db.ErrNoRows) {
			return nil
		}
		return err
	})
	return t, err
}

// sweep deletes what ended before an instant, in batches.
func sweep(ctx context.Context, d *db.DB, before time.Time) (int64, error) {
	var total int64
	for {
		var n int64
		err := d.WriteAll(ctx, func(ctx context.Context, tx db.Tx) (err error) {
			n, err = tx.Exec(ctx, `-- global: a sweep over all tenants
				DELETE FROM job WHERE (tenant_id, id) IN (SELECT tenant_id, id FROM job
				WHERE state IN ('done', 'cancelled') AND done_at < $1 ORDER BY done_at LIMIT $2)`, before.UnixMicro(), sweepBatch)
			return err
		})
		total += n
		if err != nil || n < sweepBatch {
			return total, err
		}
	}
}
