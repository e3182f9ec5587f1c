package paymentsvc

import (
	"context"
	"errors"
	"fmt"
	"time"

	"xinglin/internal/kernel/id"
	"xinglin/internal/payment"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/job"
	"xinglin/internal/platform/obs"
	"xinglin/internal/platform/outbox"
	"xinglin/internal/platform/trail"
	"xinglin/internal/platform/wechatpay"
)

const maxRefunds = 100

// refundRecord is a refund's row.
type refundRecord struct {
	payment.Refund
	Held       bool
	Attempts   int
	ReplacedBy payment.RefundID // the refund that a person asked for instead of a failed one
}

const refundColumns = `r.id, r.payment_id, r.amount_fen, r.reason, r.state, r.held, r.attempts, r.replaced_by, r.created_at, r.done_at`

func scanRefund(r db.Row) (v refundRecord, err error) {
	var held int
	err = r.Scan(v.fields(&held)...)
	v.Held = held == 1
	if errors.Is(err, db.ErrNoRows) {
		err = payment.ErrNotFound.New()
	}
	return v, err
}

func (v *refundRecord) fields(held *int) []any {
	return []any{
		&v.ID, &v.Payment, (*int64)(&v.Amount), &v.Reason, (*string)(&v.State), held, &v.Attempts, &v.ReplacedBy, db.Instant(&v.At), db.Instant(&v.DoneAt),
	}
}

func (store) readRefund(ctx context.Context, tx db.Tx, rid payment.RefundID) (refundRecord, error) {
	return scanRefund(tx.QueryRow(ctx, `SELECT `+refundColumns+` FROM refund r WHERE r.tenant_id = $1 AND r.id = $2`, tx.Tenant(), rid))
}

// refundWith reads a refund and its payment.
func (s store) refundWith(ctx context.Context, d *db.DB, tenant payment.TenantID, rid payment.RefundID) (r refundRecord, p record, err error) {
	err = d.Read(ctx, tenant, func(ctx context.Context, tx db.Tx) (err error) {
		if r, err = s.readRefund(ctx, tx, rid); err != nil {
			return err
		}
		p, err = s.read(ctx, tx, r.Payment)
		return err
	})
	return r, p, err
}

func (store) refunds(ctx context.Context, d *db.DB, tenant payment.TenantID, pid payment.ID) (out []payment.Refund, err error) {
	err = d.Read(ctx, tenant, func(ctx context.Context, tx db.Tx) error {
		out = nil
		rows, err := tx.Query(ctx, `SELECT `+refundColumns+` FROM refund r WHERE r.tenant_id = $1 AND r.payment_id = $2 ORDER BY r.created_at, r.id LIMIT $3`,
			tx.Tenant(), pid, maxRefunds)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			r, err := scanRefund(rows)
			if err != nil {
				return err
			}
			out = append(out, r.Refund)
		}
		return rows.Err()
	})
	return out, err
}

// request reserves the amount and plans the refund; hit tells that the id is known with the same content.
func (s store) request(ctx context.Context, d *db.DB, q payment.RefundRequest, c change) (r refundRecord, hit bool, err error) {
	err = d.Write(ctx, q.Tenant, func(ctx context.Context, tx db.Tx) error {
		p, err := s.lock(ctx, tx, q.Payment)
		if err == nil {
			r, hit, err = s.requestIn(ctx, tx, p, q, c)
		}
		return err
	})
	return r, hit, err
}

// requestIn is request for a locked payment.
func (s store) requestIn(ctx context.Context, tx db.Tx, p record, q payment.RefundRequest, c change) (r refundRecord, hit bool, err error) {
	ctx = obs.WithNumber(ctx, p.Number)
	n, err := tx.Exec(ctx, `INSERT INTO refund (tenant_id, id, payment_id, amount_fen, reason, state, held, version, created_at)
		VALUES ($1, $2, $3, $4, $5, 'requested', 1, 1, $6) ON CONFLICT (tenant_id, id) DO NOTHING`,
		tx.Tenant(), q.ID, q.Payment, fen(q.Amount), q.Reason, tx.Now().UnixMicro())
	if err != nil {
		return r, false, err
	}
	if r, err = s.readRefund(ctx, tx, q.ID); err != nil {
		return r, false, err
	}
	switch hit = n == 0; {
	case hit && (r.Payment != q.Payment || r.Amount != q.Amount || r.Reason != q.Reason):
		return r, hit, payment.ErrReused.New()
	case hit:
		return r, hit, nil
	case p.PaidAt.IsZero():
		return r, false, payment.ErrNotPaid.New()
	}
	return r, false, s.reserve(ctx, tx, p, r, c)
}

func (s store) reserve(ctx context.Context, tx db.Tx, p record, r refundRecord, c change) error {
	n, err := tx.Exec(ctx, `UPDATE payment SET pending_fen = pending_fen + $3, state = 'refunding', version = version + 1,
			effect = CASE WHEN refunded_fen + pending_fen + $3 = amount_fen THEN 'refunded' ELSE effect END
		WHERE tenant_id = $1 AND id = $2 AND state IN ('paid', 'refunding') AND refunded_fen + pending_fen + $3 <= amount_fen`,
		tx.Tenant(), p.ID, fen(r.Amount))
	if err != nil {
		return err
	}
	if n == 0 {
		return payment.ErrRefundExceeds.New()
	}
	if p.State != payment.Refunding {
		if err := s.step(ctx, tx, p.ID, p.State, payment.Refunding, c); err != nil {
			return err
		}
	}
	if err := s.refundStep(ctx, tx, r.ID, "", payment.RefundRequested, c); err != nil {
		return err
	}
	err = s.addFact(ctx, tx, fact{
		ID: factID(factRequested, r.ID), Payment: p.ID, Refund: r.ID, Kind: factRequested, Channel: p.Channel, Amount: r.Amount, Number: p.Number, At: tx.Now(),
	})
	if err != nil || p.Channel == payment.Cash { // cash is handed out by a person
		return err
	}
	return job.Enqueue(ctx, tx, job.Spec{Kind: jobRefund, Key: r.ID.String(), Payload: about{Payment: p.ID, Refund: r.ID}, Max: refundTries})
}

// attempted counts an attempt at the channel.
func (store) attempted(ctx context.Context, d *db.DB, tenant payment.TenantID, rid payment.RefundID) error {
	return d.Write(ctx, tenant, func(ctx context.Context, tx db.Tx) error {
		_, err := tx.Exec(ctx, `UPDATE refund SET attempts = attempts + 1 WHERE tenant_id = $1 AND id = $2`, tx.Tenant(), rid)
		return err
	})
}

// moved takes in what the channel says about a refund; next is when to ask again, zero for never.
func (s store) moved(ctx context.Context, d *db.DB, tenant payment.TenantID, w *wechatpay.Refund, a about, next time.Duration, c change) error {
	return d.Write(ctx, tenant, func(ctx context.Context, tx db.Tx) error {
		if err := s.movedIn(ctx, tx, w, a, c); err != nil || next == 0 {
			return err
		}
		a.N++
		return job.Enqueue(ctx, tx, job.Spec{Kind: jobRefund, Key: a.Refund.String(), RunAt: tx.Now().Add(next), Payload: a, Max: refundTries})
	})
}

func (s store) movedIn(ctx context.Context, tx db.Tx, w *wechatpay.Refund, a about, c change) error {
	p, err := s.lock(ctx, tx, a.Payment)
	if err != nil {
		return err
	}
	r, err := s.readRefund(ctx, tx, a.Refund) // under the payment's lock
	if err != nil {
		return err
	}
	if err := refundFits(r.Refund, w); err != nil {
		return err
	}
	ctx = obs.WithNumber(ctx, p.Number)
	switch w.State {
	case wechatpay.RefundProcessing:
		if r.State != payment.RefundRequested {
			return nil
		}
		err := one(tx.Exec(ctx, `UPDATE refund SET state = 'processing', channel_refund = $3, version = version + 1
			WHERE tenant_id = $1 AND id = $2 AND state = 'requested'`, tx.Tenant(), r.ID, w.RefundID))
		if err != nil {
			return err
		}
		return s.refundStep(ctx, tx, r.ID, r.State, payment.RefundProcessing, c)
	case wechatpay.RefundDone:
		if r.State == payment.RefundDone {
			return nil
		}
		if !r.Held {
			return payment.ErrMismatch.Because("a refund that the channel had closed is done")
		}
		at := w.DoneAt
		if at.IsZero() {
			at = tx.Now()
		}
		return s.refunded(ctx, tx, p, r, w.RefundID, at, c)
	}
	return s.failed(ctx, tx, p, r, w, c)
}

// refunded ends a held refund whose money is back; number is the channel's.
func (s store) refunded(ctx context.Context, tx db.Tx, p record, r refundRecord, number string, at time.Time, c change) error {
	err := one(tx.Exec(ctx, `UPDATE refund SET state = 'done', held = 0, channel_refund = $3, done_at = $4, version = version + 1
		WHERE tenant_id = $1 AND id = $2 AND held = 1`, tx.Tenant(), r.ID, number, at.UnixMicro()))
	if err != nil {
		return err
	}
	var to payment.State
	err = tx.QueryRow(ctx, `UPDATE payment SET refunded_fen = refunded_fen + $3, pending_fen = pending_fen - $3, version = version + 1,
			state = CASE WHEN refunded_fen + $3 = amount_fen THEN 'refunded' WHEN pending_fen > $3 THEN 'refunding' ELSE 'paid' END
		WHERE tenant_id = $1 AND id = $2 AND pending_fen >= $3 RETURNING state`, tx.Tenant(), p.ID, fen(r.Amount)).Scan((*string)(&to))
	if err != nil {
		return err
	}
	if err := s.ended(ctx, tx, p, r, to, payment.RefundDone, c); err != nil {
		return err
	}
	err = outbox.Add(ctx, tx, payment.RefundedEvent{
		Payment: p.ID, Refund: r.ID, Purpose: p.Purpose, Reference: p.Reference, Account: p.Account, Amount: r.Amount, At: at,
	})
	if err != nil {
		return err
	}
	return s.addFact(ctx, tx, fact{ID: factID(factDone, r.ID), Payment: p.ID, Refund: r.ID, Kind: factDone, Channel: p.Channel, Amount: r.Amount, Number: p.Number, At: at})
}

// failed ends a refund that the channel gave up. What it closed may be asked for again under a new id; what its bank
// refused stays held, because a person makes the channel pay it out.
func (s store) failed(ctx context.Context, tx db.Tx, p record, r refundRecord, w *wechatpay.Refund, c change) error {
	if r.State == payment.RefundDone || r.State == payment.RefundFailed {
		return nil
	}
	held := 0
	if w.State == wechatpay.RefundAbnormal {
		held = 1
	}
	err := one(tx.Exec(ctx, `UPDATE refund SET state = 'failed', held = $3, channel_refund = $4, version = version + 1
		WHERE tenant_id = $1 AND id = $2 AND state IN ('requested', 'processing')`, tx.Tenant(), r.ID, held, w.RefundID))
	if err != nil {
		return err
	}
	to := p.State
	if held == 0 {
		err := tx.QueryRow(ctx, `UPDATE payment SET pending_fen = pending_fen - $3, version = version + 1,
				state = CASE WHEN pending_fen > $3 THEN 'refunding' ELSE 'paid' END
			WHERE tenant_id = $1 AND id = $2 AND pending_fen >= $3 RETURNING state`, tx.Tenant(), p.ID, fen(r.Amount)).Scan((*string)(&to))
		if err != nil {
			return err
		}
		err = s.addFact(ctx, tx, fact{ID: factID(factFailed, r.ID), Payment: p.ID, Refund: r.ID, Kind: factFailed, Channel: p.Channel, Amount: r.Amount, Number: p.Number, At: tx.Now()})
		if err != nil {
			return err
		}
	}
	if err := s.ended(ctx, tx, p, r, to, payment.RefundFailed, c); err != nil {
		return err
	}
	return job.Enqueue(ctx, tx, job.Spec{Kind: jobAlarm, Key: r.ID.String(), Payload: about{Payment: p.ID, Refund: r.ID}, Max: 1})
}

func (s store) ended(ctx context.Context, tx db.Tx, p record, r refundRecord, to payment.State, rto payment.RefundState, c change) error {
	if to != p.State {
		if err := s.step(ctx, tx, p.ID, p.State, to, c); err != nil {
			return err
		}
	}
	return s.refundStep(ctx, tx, r.ID, r.State, rto, c)
}

// refundStep writes the audit row and the history of a refund's transition.
func (store) refundStep(ctx context.Context, tx db.Tx, rid payment.RefundID, from, to payment.RefundState, c change) error {
	if from != "" && !refundLife.Can(from, to) {
		return fmt.Errorf("payment: no step of a refund from %s to %s", from, to)
	}
	act, err := trail.Record(ctx, tx, trail.Entry{
		Action: c.Action, Noun: "Refund", ID: rid.String(), Policy: c.Policy, Why: c.Why,
		Changed: map[string]trail.Change{"state": {From: string(from), To: string(to)}},
	})
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `INSERT INTO refund_history (tenant_id, refund_id, id, from_state, to_state, act_id, at)
		VALUES ($1, $2, $3, $4, $5, $6, $7)`, tx.Tenant(), rid, id.New[history](tx.Now()), string(from), string(to), act, tx.Now().UnixMicro())
	return err
}
