package notifysvc

import (
	"context"
	"errors"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/id"
	"xinglin/internal/notify"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/trail"
	"xinglin/internal/platform/webpush"
)

// pushKey is the tenant's row.
type pushKey struct {
	id      id.ID[webpush.Keys]
	public  string
	private []byte // sealed
}

func pushKeyIn(ctx context.Context, tx db.Tx) (k pushKey, err error) {
	err = tx.QueryRow(ctx, `SELECT id, public, private FROM push_key WHERE tenant_id = $1`, tx.Tenant()).Scan(&k.id, &k.public, &k.private)
	if errors.Is(err, db.ErrNoRows) {
		return pushKey{}, nil
	}
	return k, err
}

// pushKey is the tenant's; empty when nobody has asked for one.
func (store) pushKey(ctx context.Context, d *db.DB, tenant notify.TenantID) (k pushKey, err error) {
	err = d.Read(ctx, tenant, func(ctx context.Context, tx db.Tx) (err error) {
		k, err = pushKeyIn(ctx, tx)
		return err
	})
	return k, err
}

// addPushKey keeps the key unless there is one, and gives the one that is kept.
func (store) addPushKey(ctx context.Context, d *db.DB, tenant notify.TenantID, fresh pushKey) (k pushKey, err error) {
	err = d.Write(ctx, tenant, func(ctx context.Context, tx db.Tx) (err error) {
		_, err = tx.Exec(ctx, `INSERT INTO push_key (tenant_id, id, public, private, created_at) VALUES ($1, $2, $3, $4, $5) ON CONFLICT (tenant_id) DO NOTHING`,
			tenant, fresh.id, fresh.public, fresh.private, tx.Now().UnixMicro())
		if err != nil {
			return err
		}
		k, err = pushKeyIn(ctx, tx)
		return err
	})
	return k, err
}

// addDevice keeps the device, and only the newest maxDevices of its account.
func (store) addDevice(ctx context.Context, d *db.DB, who auth.Principal, policy string, v device) error {
	return d.Write(ctx, who.Tenant, func(ctx context.Context, tx db.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO device (tenant_id, id, account_id, sealed, created_at) VALUES ($1, $2, $3, $4, $5)
			ON CONFLICT (tenant_id, id) DO UPDATE SET account_id = excluded.account_id, sealed = excluded.sealed, created_at = excluded.created_at`,
			tx.Tenant(), v.id, who.Account, v.sealed, tx.Now().UnixMicro())
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `DELETE FROM device WHERE tenant_id = $1 AND account_id = $2 AND id NOT IN
			(SELECT id FROM device WHERE tenant_id = $1 AND account_id = $2 ORDER BY created_at DESC, id LIMIT $3)`, tx.Tenant(), who.Account, maxDevices)
		if err != nil {
			return err
		}
		_, err = trail.Record(ctx, tx, trail.Entry{Action: "notify.add_device", Noun: "Device", ID: v.id.String(), Policy: policy})
		return err
	})
}

func scanDevices(ctx context.Context, tx db.Tx, sql string, args ...any) (out []device, err error) {
	rows, err := tx.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var v device
		if err := rows.Scan(&v.id, &v.sealed, db.Instant(&v.created)); err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, rows.Err()
}

func (store) devices(ctx context.Context, d *db.DB, tenant notify.TenantID, a notify.AccountID) (out []device, err error) {
	err = d.Read(ctx, tenant, func(ctx context.Context, tx db.Tx) (err error) {
		out, err = scanDevices(ctx, tx, `SELECT id, sealed, created_at FROM device WHERE tenant_id = $1 AND account_id = $2 ORDER BY created_at DESC, id LIMIT $3`, tenant, a, maxDevices)
		return err
	})
	return out, err
}

// devicesFor are the account's that have not had the delivery, and how many have.
func (store) devicesFor(ctx context.Context, d *db.DB, tenant notify.TenantID, a notify.AccountID, did notify.DeliveryID) (out []device, had int, err error) {
	err = d.Read(ctx, tenant, func(ctx context.Context, tx db.Tx) (err error) {
		out, err = scanDevices(ctx, tx, `SELECT id, sealed, created_at FROM device v WHERE v.tenant_id = $1 AND v.account_id = $2
			AND NOT EXISTS (SELECT 1 FROM pushed p WHERE p.tenant_id = v.tenant_id AND p.delivery_id = $3 AND p.device_id = v.id)
			ORDER BY created_at DESC, id LIMIT $4`, tenant, a, did, maxDevices)
		if err != nil {
			return err
		}
		return tx.QueryRow(ctx, `SELECT COUNT(*) FROM pushed WHERE tenant_id = $1 AND delivery_id = $2`, tenant, did).Scan(&had)
	})
	return out, had, err
}

// pushed notes that a device has had the delivery.
func (store) pushed(ctx context.Context, d *db.DB, tenant notify.TenantID, did notify.DeliveryID, v id.ID[device]) error {
	return d.Write(ctx, tenant, func(ctx context.Context, tx db.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO pushed (tenant_id, delivery_id, device_id, at) VALUES ($1, $2, $3, $4) ON CONFLICT (tenant_id, delivery_id, device_id) DO NOTHING`,
			tenant, did, v, tx.Now().UnixMicro())
		if err != nil {
			return err
		}
		return sweepLater(ctx, tx)
	})
}

// dropDevice forgets a device that its push service has forgotten, unless another account has it now.
func (store) dropDevice(ctx context.Context, d *db.DB, tenant notify.TenantID, a notify.AccountID, v id.ID[device]) error {
	return d.Write(ctx, tenant, func(ctx context.Context, tx db.Tx) error {
		_, err := tx.Exec(ctx, `DELETE FROM device WHERE tenant_id = $1 AND account_id = $2 AND id = $3`, tenant, a, v)
		return err
	})
}

func (store) removeDevice(ctx context.Context, d *db.DB, who auth.Principal, policy string, v id.ID[device]) error {
	return d.Write(ctx, who.Tenant, func(ctx context.Context, tx db.Tx) error {
		n, err := tx.Exec(ctx, `DELETE FROM device WHERE tenant_id = $1 AND account_id = $2 AND id = $3`, tx.Tenant(), who.Account, v)
		if err != nil {
			return err
		}
		if n == 0 {
			return notify.ErrNotFound.New()
		}
		_, err = trail.Record(ctx, tx, trail.Entry{Action: "notify.remove_device", Noun: "Device", ID: v.String(), Policy: policy})
		return err
	})
}
