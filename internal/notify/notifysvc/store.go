package notifysvc

import (
	"context"
	"errors"

	"xinglin/internal/kernel/id"
	"xinglin/internal/kernel/page"
	"xinglin/internal/notify"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/job"
)

// store is the SQL of notify.
type store struct{}

// smsJob names one delivery.
type smsJob struct {
	Tenant   notify.TenantID   `json:"tenant"`
	Delivery notify.DeliveryID `json:"delivery"`
}

const smsKind = "notify.sms"

func (store) setContact(ctx context.Context, d *db.DB, tenant notify.TenantID, a notify.AccountID, sealed []byte) error {
	return d.Write(ctx, tenant, func(ctx context.Context, tx db.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO contact (tenant_id, account_id, phone, at) VALUES ($1, $2, $3, $4)
			ON CONFLICT (tenant_id, account_id) DO UPDATE SET phone = excluded.phone, at = excluded.at`, tenant, a, sealed, tx.Now().UnixMicro())
		return err
	})
}

func (store) contact(ctx context.Context, d *db.DB, tenant notify.TenantID, a notify.AccountID) (sealed []byte, err error) {
	err = d.Read(ctx, tenant, func(ctx context.Context, tx db.Tx) error {
		return tx.QueryRow(ctx, `SELECT phone FROM contact WHERE tenant_id = $1 AND account_id = $2`, tenant, a).Scan(&sealed)
	})
	if errors.Is(err, db.ErrNoRows) {
		return nil, notify.ErrRecipient.New()
	}
	return sealed, err
}

// queue writes the deliveries of one message and their jobs; a repeated message writes nothing.
func (store) queue(ctx context.Context, d *db.DB, tenant notify.TenantID, rows []delivery) error {
	return d.Write(ctx, tenant, func(ctx context.Context, tx db.Tx) error {
		for _, r := range rows {
			n, err := tx.Exec(ctx, `INSERT INTO delivery (tenant_id, id, message_id, account_id, channel, template, params, phone, state, expires_at, created_at)
				VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT (tenant_id, message_id, channel) DO NOTHING`,
				tenant, r.id, r.message, id.Null(r.account), string(r.channel), r.template, r.params, r.phone, string(r.state), db.Micros(r.expires), tx.Now().UnixMicro())
			if err != nil {
				return err
			}
			if n == 0 || r.channel != notify.SMS {
				continue
			}
			if err := job.Enqueue(ctx, tx, job.Spec{Kind: smsKind, Key: r.id.String(), Payload: smsJob{tenant, r.id}}); err != nil {
				return err
			}
		}
		return nil
	})
}

const deliveryColumns = `SELECT id, message_id, account_id, channel, template, params, phone, state, expires_at, created_at, read_at, reference FROM delivery`

func scanDelivery(r db.Row, v *delivery) error {
	return r.Scan(&v.id, &v.message, &v.account, &v.channel, &v.template, &v.params, &v.phone, &v.state,
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
		var at any // when the gateway took it
		if to == notify.Sent {
			at = tx.Now().UnixMicro()
		}
		_, err := tx.Exec(ctx, `UPDATE delivery SET state = $3, reference = $4, why = $5, sent_at = $6 WHERE tenant_id = $1 AND id = $2 AND state = 'queued'`,
			tenant, did, string(to), ref, why, at)
		return err
	})
}

func (store) notices(ctx context.Context, d *db.DB, tenant notify.TenantID, a notify.AccountID, r page.Request) (out page.Page[delivery], err error) {
	before := notify.DeliveryID{}
	for i := range before {
		before[i] = 0xff
	}
	if r.Cursor != "" {
		if before, err = id.Parse[notify.Delivery](r.Cursor); err != nil {
			return out, notify.ErrNotFound.New()
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
		return rows.Err()
	})
	if len(out.Items) > size {
		out.Items = out.Items[:size]
		out.Next = out.Items[size-1].id.String()
	}
	return out, err
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
