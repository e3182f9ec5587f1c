package notifysvc

import (
	"context"
	"time"

	"xinglin/internal/kernel/clock"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/job"
)

const (
	sweepKind  = "notify.sweep"
	sweepBatch = 500
	sweepAt    = 3*60 + 50 // minutes of the day in Shanghai
)

// sweepJob is one tenant's housekeeping. It comes again every night while there is
// something to forget some day.
type sweepJob struct{}

// sweepLater plans the housekeeping of the next night, once.
func sweepLater(ctx context.Context, tx db.Tx) error {
	return job.Enqueue(ctx, tx, job.Spec{Kind: sweepKind, RunAt: clock.DateOf(tx.Now()).Add(1).At(sweepAt), Payload: sweepJob{}})
}

// sweep forgets what has no use any more: notes of pushed messages after thirty days,
// budgets of codes after two, codes that have ended, visits that would be over.
func (store) sweep(ctx context.Context, tx db.Tx) error {
	now := tx.Now()
	more, left := false, false
	for _, x := range []struct {
		forget, rest string
		before       time.Time
	}{
		{
			`DELETE FROM pushed WHERE tenant_id = $1 AND (delivery_id, device_id) IN
			(SELECT delivery_id, device_id FROM pushed WHERE tenant_id = $1 AND at < $2 ORDER BY at LIMIT $3)`,
			`SELECT EXISTS (SELECT 1 FROM pushed WHERE tenant_id = $1)`, now.Add(-30 * day),
		},
		{
			`DELETE FROM mail_budget WHERE tenant_id = $1 AND (kind, subject) IN
			(SELECT kind, subject FROM mail_budget WHERE tenant_id = $1 AND last_at < $2 ORDER BY last_at LIMIT $3)`,
			`SELECT EXISTS (SELECT 1 FROM mail_budget WHERE tenant_id = $1)`, now.Add(-2 * day),
		},
		{
			`DELETE FROM mail_proof WHERE tenant_id = $1 AND account_id IN
			(SELECT account_id FROM mail_proof WHERE tenant_id = $1 AND expires_at < $2 LIMIT $3)`,
			`SELECT EXISTS (SELECT 1 FROM mail_proof WHERE tenant_id = $1)`, now,
		},
		{
			`DELETE FROM called_off WHERE tenant_id = $1 AND appointment_id IN
			(SELECT appointment_id FROM called_off WHERE tenant_id = $1 AND until < $2 ORDER BY until LIMIT $3)`,
			`SELECT EXISTS (SELECT 1 FROM called_off WHERE tenant_id = $1)`, now,
		},
	} {
		n, err := tx.Exec(ctx, x.forget, tx.Tenant(), x.before.UnixMicro(), sweepBatch)
		if err != nil {
			return err
		}
		more = more || n == sweepBatch
		var rest bool
		if err := tx.QueryRow(ctx, x.rest, tx.Tenant()).Scan(&rest); err != nil {
			return err
		}
		left = left || rest
	}
	switch {
	case more:
		return job.Enqueue(ctx, tx, job.Spec{Kind: sweepKind, Payload: sweepJob{}})
	case left:
		return sweepLater(ctx, tx)
	}
	return nil
}
