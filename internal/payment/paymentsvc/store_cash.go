package paymentsvc

import (
	"context"
	"errors"

	"xinglin/internal/kernel/id"
	"xinglin/internal/payment"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/trail"
)

// same tells whether the very same movement is there; payment.id_reused when its key has another one.
func (store) same(ctx context.Context, tx db.Tx, m movement) (bool, error) {
	was := movement{ID: m.ID}
	err := tx.QueryRow(ctx, `SELECT payment_id, refund_id, account_id, amount_fen, received_fen FROM cash_movement WHERE tenant_id = $1 AND id = $2`, tx.Tenant(), m.ID).
		Scan(&was.Payment, &was.Refund, &was.Account, (*int64)(&was.Amount), (*int64)(&was.Received))
	switch {
	case errors.Is(err, db.ErrNoRows):
		return false, nil
	case err != nil:
		return false, err
	case was != m:
		return false, payment.ErrReused.New()
	}
	return true, nil
}

// keep writes a movement under the payment's lock; payment.id_reused when its key is known.
func (store) keep(ctx context.Context, tx db.Tx, m movement) error {
	n, err := tx.Exec(ctx, `INSERT INTO cash_movement (tenant_id, id, payment_id, refund_id, account_id, amount_fen, received_fen, at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (tenant_id, id) DO NOTHING`,
		tx.Tenant(), m.ID, m.Payment, id.Null(m.Refund), m.Account, fen(m.Amount), fen(m.Received), tx.Now().UnixMicro())
	if err == nil && n == 0 {
		return payment.ErrReused.New()
	}
	return err
}

// takeCash pays an open payment in cash. channel is the one that nobody can pay at any more: errPrepaid, with the payment
// as it is, when a prepay began since. hit: the very same was taken before.
func (s store) takeCash(ctx context.Context, d *db.DB, tenant payment.TenantID, m movement, channel string, c change) (p record, hit bool, err error) {
	prepaid := false
	err = d.Write(ctx, tenant, func(ctx context.Context, tx db.Tx) error {
		p, err = s.lock(ctx, tx, m.Payment)
		if err != nil {
			return err
		}
		if prepaid = p.State == payment.Open && p.Channel != channel; prepaid {
			return nil
		}
		if hit, err = s.same(ctx, tx, m); err != nil || hit {
			return err
		}
		if err := payable(p, tx.Now()); err != nil {
			return err
		}
		if err := s.keep(ctx, tx, m); err != nil {
			return err
		}
		if err := s.receive(ctx, tx, p, payment.Cash, m.number(), tx.Now(), c); err != nil {
			return err
		}
		p, err = s.read(ctx, tx, m.Payment)
		return err
	})
	if err == nil && prepaid {
		err = errPrepaid
	}
	return p, hit, err
}

// payOut ends a refund that waits at a window. hit: the very same was handed out before.
func (s store) payOut(ctx context.Context, d *db.DB, tenant payment.TenantID, m movement, c change) (r refundRecord, hit bool, err error) {
	err = d.Write(ctx, tenant, func(ctx context.Context, tx db.Tx) error {
		p, err := s.lock(ctx, tx, m.Payment)
		if err != nil {
			return err
		}
		if r, err = s.readRefund(ctx, tx, m.Refund); err != nil {
			return err
		}
		if hit, err = s.same(ctx, tx, m); err != nil || hit {
			return err
		}
		if r.State != payment.RefundRequested {
			return payment.ErrRefundState.Because("it is %s", r.State)
		}
		if err := s.keep(ctx, tx, m); err != nil {
			return err
		}
		if err := s.refunded(ctx, tx, p, r, m.number(), tx.Now(), c); err != nil {
			return err
		}
		r, err = s.readRefund(ctx, tx, m.Refund)
		return err
	})
	return r, hit, err
}

// retry asks for a failed refund anew, under another id, once.
func (s store) retry(ctx context.Context, d *db.DB, tenant payment.TenantID, rid, key payment.RefundID, c change) (r refundRecord, hit bool, err error) {
	_, at, err := s.refundWith(ctx, d, tenant, rid)
	if err != nil {
		return r, false, err
	}
	err = d.Write(ctx, tenant, func(ctx context.Context, tx db.Tx) error {
		p, err := s.lock(ctx, tx, at.ID)
		if err != nil {
			return err
		}
		old, err := s.readRefund(ctx, tx, rid)
		if err != nil {
			return err
		}
		if old.ReplacedBy == key {
			hit = true
			r, err = s.readRefund(ctx, tx, key)
			return err
		}
		if old.State != payment.RefundFailed || old.Held || !old.ReplacedBy.IsZero() {
			return payment.ErrRefundState.Because("it was asked for anew")
		}
		if c.Why == "" {
			c.Why = old.Reason
		}
		q := payment.RefundRequest{ID: key, Tenant: tenant, Payment: p.ID, Amount: old.Amount, Reason: old.Reason}
		var known bool
		if r, known, err = s.requestIn(ctx, tx, p, q, c); err != nil {
			return err
		}
		if known {
			return payment.ErrReused.New()
		}
		err = one(tx.Exec(ctx, `UPDATE refund SET replaced_by = $3, version = version + 1 WHERE tenant_id = $1 AND id = $2 AND state = 'failed' AND held = 0 AND replaced_by IS NULL`,
			tx.Tenant(), rid, key))
		if err != nil {
			return err
		}
		_, err = trail.Record(ctx, tx, trail.Entry{Action: c.Action, Noun: "Refund", ID: rid.String(), Policy: c.Policy, Why: c.Why, Changed: []string{"replaced_by"}})
		return err
	})
	return r, hit, err
}
