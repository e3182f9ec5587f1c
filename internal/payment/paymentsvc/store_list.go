package paymentsvc

import (
	"context"

	"xinglin/internal/payment"
	"xinglin/internal/platform/db"
)

// list reads payments by their ids, the latest first: from the one and before the other, opened on the days of the query.
func (store) list(ctx context.Context, d *db.DB, tenant payment.TenantID, q listQuery, from, before payment.ID, limit int) (out []listedPayment, err error) {
	err = d.Read(ctx, tenant, func(ctx context.Context, tx db.Tx) error {
		rows, err := tx.Query(ctx, `SELECT id, purpose, number, amount_fen, refunded_fen, pending_fen, state, channel, created_at, paid_at FROM payment
			WHERE tenant_id = $1 AND id >= $2 AND id < $3 AND created_at >= $4 AND created_at < $5 AND ($6 = '' OR state = $6) ORDER BY id DESC LIMIT $7`,
			tx.Tenant(), from, before, q.From.At(0).UnixMicro(), q.To.Add(1).At(0).UnixMicro(), string(q.State), limit)
		out, err = db.Collect(rows, err, func(r db.Rows, p *listedPayment) error {
			return r.Scan(&p.ID, (*string)(&p.Purpose), &p.Number, (*int64)(&p.Amount), (*int64)(&p.Refunded), (*int64)(&p.Pending), (*string)(&p.State), &p.Channel,
				db.Instant(&p.CreatedAt), db.Instant(&p.PaidAt))
		})
		return err
	})
	return out, err
}

// allRefunds reads refunds before an instant and id, the latest first.
func (store) allRefunds(ctx context.Context, d *db.DB, tenant payment.TenantID, q refundQuery, at int64, before payment.RefundID, limit int) (out []listedRefund, err error) {
	where, args := "", []any{tenant, at, before, q.Channel, limit}
	if q.State != "" { // the index by state
		where, args = ` AND r.state = $6`, append(args, string(q.State))
	}
	err = d.Read(ctx, tenant, func(ctx context.Context, tx db.Tx) error {
		rows, err := tx.Query(ctx, `SELECT `+refundColumns+`, p.number, p.channel FROM refund r JOIN payment p ON p.tenant_id = r.tenant_id AND p.id = r.payment_id
			WHERE r.tenant_id = $1 AND (r.created_at, r.id) < ($2, $3) AND ($4 = '' OR p.channel = $4)`+where+` ORDER BY r.created_at DESC, r.id DESC LIMIT $5`, args...)
		out, err = db.Collect(rows, err, func(r db.Rows, v *listedRefund) error {
			var held int
			err := r.Scan(append(v.fields(&held), &v.Number, &v.Channel)...)
			v.Held = held == 1
			return err
		})
		return err
	})
	return out, err
}
