package paymentsvc

import (
	"context"

	"xinglin/internal/kernel/id"
	"xinglin/internal/payment"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/job"
)

// addFact keeps what the ledger must learn, and plans its posting.
func (store) addFact(ctx context.Context, tx db.Tx, f fact) error {
	n, err := tx.Exec(ctx, `INSERT INTO fact (tenant_id, id, payment_id, refund_id, kind, amount_fen, number, at, channel)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (tenant_id, id) DO NOTHING`,
		tx.Tenant(), f.ID, f.Payment, id.Null(f.Refund), f.Kind, fen(f.Amount), f.Number, f.At.UnixMicro(), f.Channel)
	if err != nil || n == 0 {
		return err
	}
	return job.Enqueue(ctx, tx, job.Spec{Kind: jobPost, Key: f.ID.String(), Payload: posting{Fact: f.ID}, Max: postTries})
}

func (store) fact(ctx context.Context, d *db.DB, tenant payment.TenantID, a posting) (f fact, posted bool, err error) {
	err = d.Read(ctx, tenant, func(ctx context.Context, tx db.Tx) error {
		return tx.QueryRow(ctx, `SELECT id, payment_id, refund_id, kind, channel, amount_fen, number, at, posted_at IS NOT NULL FROM fact
			WHERE tenant_id = $1 AND id = $2`, tx.Tenant(), a.Fact).
			Scan(&f.ID, &f.Payment, &f.Refund, &f.Kind, &f.Channel, (*int64)(&f.Amount), &f.Number, db.Instant(&f.At), &posted)
	})
	return f, posted, err
}

func (store) posted(ctx context.Context, d *db.DB, tenant payment.TenantID, a posting) error {
	return d.Write(ctx, tenant, func(ctx context.Context, tx db.Tx) error {
		_, err := tx.Exec(ctx, `UPDATE fact SET posted_at = $3 WHERE tenant_id = $1 AND id = $2 AND posted_at IS NULL`,
			tx.Tenant(), a.Fact, tx.Now().UnixMicro())
		return err
	})
}
