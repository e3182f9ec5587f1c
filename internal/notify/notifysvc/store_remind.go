package notifysvc

import (
	"context"

	"xinglin/internal/kernel/id"
	"xinglin/internal/notify"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/job"
	"xinglin/internal/scheduling"
)

// callOff ends the reminder of a visit, also one whose booking is heard later.
func (store) callOff(ctx context.Context, tx db.Tx, v scheduling.Visit) error {
	over := v.Date.Add(1).At(0)
	if !tx.Now().Before(over) {
		return nil
	}
	_, err := tx.Exec(ctx, `INSERT INTO called_off (tenant_id, appointment_id, until) VALUES ($1, $2, $3) ON CONFLICT (tenant_id, appointment_id) DO NOTHING`,
		tx.Tenant(), v.Appointment, over.UnixMicro())
	if err != nil {
		return err
	}
	if err := sweepLater(ctx, tx); err != nil {
		return err
	}
	return job.Cancel(ctx, tx, remindKind, v.Appointment.String())
}

func (store) calledOff(ctx context.Context, d *db.DB, tenant notify.TenantID, a id.ID[scheduling.Appointment]) (off bool, err error) {
	err = d.Read(ctx, tenant, func(ctx context.Context, tx db.Tx) error {
		return tx.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM called_off WHERE tenant_id = $1 AND appointment_id = $2)`, tenant, a).Scan(&off)
	})
	return off, err
}
