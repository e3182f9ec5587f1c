package notifysvc

import (
	"context"
	"errors"
	"time"

	"xinglin/internal/kernel/id"
	"xinglin/internal/kernel/page"
	"xinglin/internal/notify"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/job"
)

// store is the SQL of notify.
type store struct{}

// sendJob names one delivery. Its kind is the channel's.
type sendJob struct {
	Tenant   notify.TenantID   `json:"tenant"`
	Delivery notify.DeliveryID `json:"delivery"`
}

const (
	smsKind  = "notify.sms"
	mailKind = "notify.mail"
	pushKind = "notify.push"
)

func jobOf(tenant notify.TenantID, d delivery, at time.Time) job.Spec {
	return job.Spec{Kind: "notify." + string(d.channel), Key: d.id.String(), RunAt: at, Payload: sendJob{tenant, d.id}, Max: 2 * tries}
}

func (store) setContact(ctx context.Context, d *db.DB, tenant notify.TenantID, a notify.AccountID, sealed []byte) error {
	return d.Write(ctx, tenant, func(ctx context.Context, tx db.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO contact (tenant_id, account_id, phone, at) VALUES ($1, $2, $3, $4)
			ON CONFLICT (tenant_id, account_id) DO UPDATE SET phone = excluded.phone, at = excluded.at`, tenant, a, sealed, tx.Now().UnixMicro())
		return err
	})
}

// reach reads in one statement how the account can be reached and what it wants.
func (store) reach(ctx context.Context, d *db.DB, tenant notify.TenantID, a notify.AccountID) (r reach, err error) {
	err = d.Read(ctx, tenant, func(ctx context.Context, tx db.Tx) (err error) {
		r, err = reachIn(ctx, tx, a)
		return err
	})
	return r, err
}

func reachIn(ctx context.Context, tx db.Tx, a notify.AccountID) (r reach, err error) {
	r.preferences = usual()
	var quiet *bool
	var from, to *int
	var version *int64
	err = tx.QueryRow(ctx, `SELECT
			(SELECT phone FROM contact WHERE tenant_id = $1 AND account_id = $2),
			(SELECT mail FROM mailbox WHERE tenant_id = $1 AND account_id = $2),
			(SELECT COUNT(*) FROM device WHERE tenant_id = $1 AND account_id = $2),
			p.topics, p.quiet, p.quiet_from, p.quiet_to, p.version
		FROM (SELECT 1 AS one) o LEFT JOIN preference p ON p.tenant_id = $1 AND p.account_id = $2`, tx.Tenant(), a).
		Scan(&r.phone, &r.mail, &r.devices, db.JSONInto(&r.topics), &quiet, &from, &to, &version)
	if err == nil && version != nil {
		r.quiet, r.from, r.to, r.version = *quiet, *from, *to, *version
	}
	return r, err
}

// queue writes the deliveries of one message and their jobs, and gives those that were
// written; a repeated message writes nothing.
func (store) queue(ctx context.Context, d *db.DB, tenant notify.TenantID, rows []delivery) (written []delivery, err error) {
	if len(rows) == 0 {
		return nil, nil
	}
	err = d.Write(ctx, tenant, func(ctx context.Context, tx db.Tx) (err error) {
		written, err = queueIn(ctx, tx, rows)
		return err
	})
	return written, err
}

func queueIn(ctx context.Context, tx db.Tx, rows []delivery) (written []delivery, err error) {
	for _, r := range rows {
		n, err := tx.Exec(ctx, `INSERT INTO delivery (tenant_id, id, message_id, account_id, channel, template, params, address, state, expires_at, due_at, created_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) ON CONFLICT (tenant_id, message_id, channel) DO NOTHING`,
			tx.Tenant(), r.id, r.message, id.Null(r.account), string(r.channel), r.template, r.params, r.address, string(r.state), db.Micros(r.expires), db.Micros(r.due), tx.Now().UnixMicro())
		if err != nil {
			return nil, err
		}
		if n == 0 {
			continue
		}
		written = append(written, r)
		if r.channel == notify.InApp {
			continue
		}
		if err := job.Enqueue(ctx, tx, jobOf(tx.Tenant(), r, r.due)); err != nil {
			return nil, err
		}
	}
	return written, nil
}

const deliveryColumns = `SELECT id, message_id, account_id, channel, template, params, address, state, attempts, expires_at, created_at, read_at, reference FROM delivery`

func scanDelivery(r db.Row, v *delivery) error {
	return r.Scan(&v.id, &v.message, &v.account, &v.channel, &v.template, &v.params, &v.address, &v.state, &v.attempts,
		db.Instant(&v.expires), db.Instant(&v.created), db.Instant(&v.read), &v.reference)
}

func (store) delivery(ctx context.Context, d *db.DB, tenant notify.TenantID, did notify.DeliveryID) (v delivery, err error) {
	err = d.Read(ctx, tenant, func(ctx context.Context, tx db.Tx) error {
		return scanDelivery(tx.QueryRow(ctx, deliveryColumns+` WHERE tenant_id = $1 AND id = $2`, tenant, did), &v)
	})
	if errors.Is(err, db.ErrNoRows) {
		err = notify.ErrNotFound.New()
	}
	return v, err
}

func (store) finish(ctx context.Context, d *db.DB, tenant notify.TenantID, did notify.DeliveryID, to notify.State, ref, why string) error {
	return d.Write(ctx, tenant, func(ctx context.Context, tx db.Tx) error {
		_, err := finishIn(ctx, tx, did, to, ref, why)
		return err
	})
}

// finishIn ends a delivery that waits; false when it had ended before.
func finishIn(ctx context.Context, tx db.Tx, did notify.DeliveryID, to notify.State, ref, why string) (bool, error) {
	var at any // when the gateway took it
	if to == notify.Sent {
		at = tx.Now().UnixMicro()
	}
	n, err := tx.Exec(ctx, `UPDATE delivery SET state = $3, reference = $4, why = $5, sent_at = $6 WHERE tenant_id = $1 AND id = $2 AND state = 'queued'`,
		tx.Tenant(), did, string(to), ref, why, at)
	return n == 1, err
}

// fail ends a delivery for good and queues what goes instead.
func (store) fail(ctx context.Context, d *db.DB, tenant notify.TenantID, did notify.DeliveryID, why string, instead []delivery) (written []delivery, err error) {
	err = d.Write(ctx, tenant, func(ctx context.Context, tx db.Tx) error {
		written = nil
		ended, err := finishIn(ctx, tx, did, notify.Failed, "", why)
		if err == nil && ended {
			written, err = queueIn(ctx, tx, instead)
		}
		return err
	})
	return written, err
}

// tried counts a failed attempt.
func (store) tried(ctx context.Context, d *db.DB, tenant notify.TenantID, did notify.DeliveryID) (attempts int, err error) {
	err = d.Write(ctx, tenant, func(ctx context.Context, tx db.Tx) error {
		return tx.QueryRow(ctx, `UPDATE delivery SET attempts = attempts + 1 WHERE tenant_id = $1 AND id = $2 RETURNING attempts`, tenant, did).Scan(&attempts)
	})
	return attempts, err
}

// putOff lets the delivery's job come again at a later time.
func (store) putOff(ctx context.Context, d *db.DB, tenant notify.TenantID, v delivery, at time.Time) error {
	return d.Write(ctx, tenant, func(ctx context.Context, tx db.Tx) error {
		_, err := tx.Exec(ctx, `UPDATE delivery SET due_at = $3 WHERE tenant_id = $1 AND id = $2 AND state = 'queued'`, tenant, v.id, at.UnixMicro())
		if err != nil {
			return err
		}
		return job.Enqueue(ctx, tx, jobOf(tenant, v, at))
	})
}

func (store) notices(ctx context.Context, d *db.DB, tenant notify.TenantID, a notify.AccountID, r page.Request) (out page.Page[delivery], unread int, err error) {
	before := notify.DeliveryID{}
	for i := range before {
		before[i] = 0xff
	}
	if r.Cursor != "" {
		if before, err = id.Parse[notify.Delivery](r.Cursor); err != nil {
			return out, 0, notify.ErrNotFound.New()
		}
	}
	size := r.Size()
	err = d.Read(ctx, tenant, func(ctx context.Context, tx db.Tx) error {
		rows, err := tx.Query(ctx, deliveryColumns+` WHERE tenant_id = $1 AND account_id = $2 AND channel = 'in_app' AND id < $3 ORDER BY id DESC LIMIT $4`,
			tenant, a, before, size+1)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var v delivery
			if err := scanDelivery(rows, &v); err != nil {
				return err
			}
			out.Items = append(out.Items, v)
		}
		if err := rows.Err(); err != nil {
			return err
		}
		rows.Close()
		return tx.QueryRow(ctx, `SELECT COUNT(*) FROM (SELECT 1 AS one FROM delivery
			WHERE tenant_id = $1 AND account_id = $2 AND channel = 'in_app' AND state = 'sent' LIMIT $3) u`, tenant, a, maxUnread).Scan(&unread)
	})
	if len(out.Items) > size {
		out.Items = out.Items[:size]
		out.Next = out.Items[size-1].id.String()
	}
	return out, unread, err
}

func (store) markRead(ctx context.Context, d *db.DB, tenant notify.TenantID, a notify.AccountID, did notify.DeliveryID) error {
	return d.Write(ctx, tenant, func(ctx context.Context, tx db.Tx) error {
		n, err := tx.Exec(ctx, `UPDATE delivery SET state = 'read', read_at = COALESCE(read_at, $4) WHERE tenant_id = $1 AND account_id = $2 AND id = $3 AND channel = 'in_app'`,
			tenant, a, did, tx.Now().UnixMicro())
		if err == nil && n == 0 {
			err = notify.ErrNotFound.New()
		}
		return err
	})
}

func (store) markAllRead(ctx context.Context, d *db.DB, tenant notify.TenantID, a notify.AccountID) error {
	return d.Write(ctx, tenant, func(ctx context.Context, tx db.Tx) error {
		_, err := tx.Exec(ctx, `UPDATE delivery SET state = 'read', read_at = $3 WHERE tenant_id = $1 AND account_id = $2 AND channel = 'in_app' AND state = 'sent'`,
			tenant, a, tx.Now().UnixMicro())
		return err
	})
}
