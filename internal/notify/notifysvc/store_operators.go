package notifysvc

import (
	"context"
	"time"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/id"
	"xinglin/internal/kernel/page"
	"xinglin/internal/notify"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/job"
	"xinglin/internal/platform/trail"
)

const sightColumns = `SELECT id, channel, template, state, attempts, why, created_at, due_at, sent_at FROM delivery WHERE tenant_id = $1 AND id < $2 AND id >= $3`

// sights pages by id, which grows with time. Each state that has an index has a text of
// its own, so that it is found by it.
func (store) sights(ctx context.Context, d *db.DB, tenant notify.TenantID, l look, r page.Request, since time.Time) (out page.Page[sight], err error) {
	before, from := notify.DeliveryID{}, notify.DeliveryID{}
	for i := range before {
		before[i] = 0xff
	}
	if r.Cursor != "" {
		if before, err = id.Parse[notify.Delivery](r.Cursor); err != nil {
			return out, notify.ErrNotFound.New()
		}
	}
	text := sightColumns
	switch l.state {
	case notify.Failed:
		text += ` AND state = 'failed'`
	case notify.Queued:
		text += ` AND state = 'queued'`
	default:
		from = id.New[notify.Delivery](since)
		clear(from[6:])
	}
	text += ` AND ($4 = '' OR channel = $4) AND ($5 = '' OR state = $5) ORDER BY id DESC LIMIT $6`
	size := r.Size()
	err = d.Read(ctx, tenant, func(ctx context.Context, tx db.Tx) error {
		out.Items = nil
		rows, err := tx.Query(ctx, text, tenant, before, from, string(l.channel), string(l.state), size+1)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var v sight
			if err := rows.Scan(&v.id, &v.channel, &v.template, &v.state, &v.attempts, &v.why, db.Instant(&v.created), db.Instant(&v.due), db.Instant(&v.sent)); err != nil {
				return err
			}
			out.Items = append(out.Items, v)
		}
		return rows.Err()
	})
	if len(out.Items) > size {
		out.Items = out.Items[:size]
		out.Next = out.Items[size-1].id.String()
	}
	return out, err
}

// again lets a delivery that failed wait anew, with a job of its own. Of several who do it
// at once, one does.
func (store) again(ctx context.Context, d *db.DB, who auth.Principal, policy string, v delivery) error {
	return d.Write(ctx, who.Tenant, func(ctx context.Context, tx db.Tx) error {
		n, err := tx.Exec(ctx, `UPDATE delivery SET state = 'queued', attempts = 0, why = '', due_at = $3 WHERE tenant_id = $1 AND id = $2
			AND state = 'failed' AND (expires_at IS NULL OR expires_at > $4)`, tx.Tenant(), v.id, db.Micros(v.due), tx.Now().UnixMicro())
		switch {
		case err != nil:
			return err
		case n == 0 && v.state == notify.Failed && !v.expires.IsZero() && !v.expires.After(tx.Now()):
			return notify.ErrOver.New()
		case n == 0:
			return notify.ErrNotFailed.New()
		}
		if err := job.Enqueue(ctx, tx, jobOf(tx.Tenant(), v, v.due)); err != nil {
			return err
		}
		_, err = trail.Record(ctx, tx, trail.Entry{Action: "notify.retry_delivery", Noun: "Delivery", ID: v.id.String(), Policy: policy, Why: string(v.channel)})
		return err
	})
}
