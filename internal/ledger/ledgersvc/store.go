package ledgersvc

import (
	"bytes"
	"context"

	"xinglin/internal/kernel/money"
	"xinglin/internal/ledger"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/trail"
)

// store is the SQL of the ledger.
type store struct{}

func (s store) post(ctx context.Context, d *db.DB, t ledger.Transaction, debit money.Fen, hash []byte, policy string) error {
	return d.Write(ctx, t.Tenant, func(ctx context.Context, tx db.Tx) error {
		n, err := tx.Exec(ctx, `INSERT INTO ledger_transaction
			(tenant_id, id, kind, reference_id, number, at, debit_fen, credit_fen, lines, hash, posted_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $7, $8, $9, $10) ON CONFLICT (tenant_id, id) DO NOTHING`,
			t.Tenant, t.ID, t.Kind, t.Reference, t.Number, t.At.UnixMicro(), int64(debit), len(t.Postings), hash, tx.Now().UnixMicro())
		if err != nil {
			return err
		}
		if n == 0 {
			return s.repeated(ctx, tx, t, hash)
		}
		for i, p := range t.Postings {
			_, err := tx.Exec(ctx, `INSERT INTO posting (tenant_id, transaction_id, line, account, amount_fen, posted_at)
				VALUES ($1, $2, $3, $4, $5, $6)`, t.Tenant, t.ID, i+1, p.Account, int64(p.Amount), tx.Now().UnixMicro())
			if err != nil {
				return err
			}
		}
		_, err = trail.Record(ctx, tx, trail.Entry{
			Action: "ledger.post", Noun: "Transaction", ID: t.ID.String(), Policy: policy, Why: t.Kind, Changed: []string{"postings"},
		})
		return err
	})
}

// repeated tells whether the transaction that is there already has the same content.
func (store) repeated(ctx context.Context, tx db.Tx, t ledger.Transaction, hash []byte) error {
	var known []byte
	err := tx.QueryRow(ctx, `SELECT hash FROM ledger_transaction WHERE tenant_id = $1 AND id = $2`, t.Tenant, t.ID).Scan(&known)
	if err != nil {
		return err
	}
	if !bytes.Equal(known, hash) {
		return ledger.ErrReused.New()
	}
	return nil
}

func (store) balance(ctx context.Context, d *db.DB, tenant ledger.TenantID, account string) (sum money.Fen, err error) {
	err = d.Read(ctx, tenant, func(ctx context.Context, tx db.Tx) error {
		return tx.QueryRow(ctx, `SELECT CAST(COALESCE(SUM(amount_fen), 0) AS BIGINT) FROM posting WHERE tenant_id = $1 AND account = $2`,
			tenant, account).Scan((*int64)(&sum))
	})
	return sum, err
}
