package paymentsvc

import (
	"context"

	"xinglin/internal/payment"
	"xinglin/internal/platform/db"
)

// insertOpenSQLite is insertOpenPG with two prepared statements in a loop.
func insertOpenSQLite(ctx context.Context, tx db.Tx, all []opening) (map[payment.ID]bool, error) {
	made := make(map[payment.ID]bool, len(all))
	now := tx.Now().UnixMicro()
	for _, o := range all {
		n, err := tx.Exec(ctx, `INSERT INTO payment
			(tenant_id, id, account_id, purpose, reference_id, number, description, amount_fen, state, deadline, version, created_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'open', $9, 1, $10) ON CONFLICT (tenant_id, id) DO NOTHING`,
			tx.Tenant(), o.ID, o.Account, string(o.Purpose), o.Reference, o.Number, o.Description, fen(o.Amount), o.Deadline.UnixMicro(), now)
		if err != nil {
			return nil, err
		}
		if n == 0 {
			continue
		}
		made[o.ID] = true
		_, err = tx.Exec(ctx, `INSERT INTO payment_history (tenant_id, payment_id, id, from_state, to_state, act_id, at)
			VALUES ($1, $2, $3, '', 'open', $3, $4)`, tx.Tenant(), o.ID, o.act, now)
		if err != nil {
			return nil, err
		}
	}
	return made, nil
}
