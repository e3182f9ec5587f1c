package paymentsvc

import (
	"context"
	"errors"
	"fmt"
	"time"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/id"
	"xinglin/internal/kernel/money"
	"xinglin/internal/payment"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/trail"
)

// store is the SQL of the payment context. Whatever changes a payment or one of its refunds locks the payment's row first.
type store struct{}

// Effects of a paid payment.
const (
	effectNone     = "none"
	effectApplied  = "applied"
	effectRefunded = "refunded"
)

// record is a payment's row.
type record struct {
	payment.Payment
	Number      string
	Description string
	Effect      string
	Transaction string // the channel's number, once paid
	PayURL      string
	PayURLUntil time.Time
	GivingUp    bool
}

// history is a new row of a history table.
type history struct{}

const paymentColumns = `id, account_id, purpose, reference_id, number, description, amount_fen, refunded_fen, pending_fen, state, effect,
	deadline, channel, COALESCE(channel_transaction, ''), pay_url, pay_url_until, giving_up, paid_at, version`

func scanPayment(r db.Row) (p record, err error) {
	var giving int
	err = r.Scan(&p.ID, &p.Account, (*string)(&p.Purpose), &p.Reference, &p.Number, &p.Description, (*int64)(&p.Amount),
		(*int64)(&p.Refunded), (*int64)(&p.Pending), (*string)(&p.State), &p.Effect, db.Instant(&p.Deadline), &p.Channel,
		&p.Transaction, &p.PayURL, db.Instant(&p.PayURLUntil), &giving, db.Instant(&p.PaidAt), &p.Version)
	p.GivingUp = giving == 1
	if errors.Is(err, db.ErrNoRows) {
		err = payment.ErrNotFound.New()
	}
	return p, err
}

func (s store) get(ctx context.Context, d *db.DB, tenant payment.TenantID, pid payment.ID) (p record, err error) {
	err = d.Read(ctx, tenant, func(ctx context.Context, tx db.Tx) (err error) {
		p, err = s.read(ctx, tx, pid)
		return err
	})
	return p, err
}

func (store) read(ctx context.Context, tx db.Tx, pid payment.ID) (record, error) {
	return scanPayment(tx.QueryRow(ctx, `SELECT `+paymentColumns+` FROM payment WHERE tenant_id = $1 AND id = $2`, tx.Tenant(), pid))
}

// lock reads a payment and keeps everybody else from changing it or its refunds until the commit.
func (store) lock(ctx context.Context, tx db.Tx, pid payment.ID) (record, error) {
	return scanPayment(tx.QueryRow(ctx, `UPDATE payment SET version = version WHERE tenant_id = $1 AND id = $2
		RETURNING `+paymentColumns, tx.Tenant(), pid))
}

// states reads a batch; account restricts it to that account's and nobody's unless it is zero.
func (store) states(ctx context.Context, d *db.DB, tenant payment.TenantID, account id.ID[auth.Account], ps []payment.ID) (map[payment.ID]payment.Payment, error) {
	out := map[payment.ID]payment.Payment{}
	err := d.Read(ctx, tenant, func(ctx context.Context, tx db.Tx) error {
		args := []any{tx.Tenant()}
		for _, p := range ps {
			args = append(args, p)
		}
		rows, err := tx.Query(ctx, `SELECT `+paymentColumns+` FROM payment WHERE tenant_id = $1 AND id IN (`+db.In(2, len(ps))+`)`, args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			p, err := scanPayment(rows)
			if err != nil {
				return err
			}
			if account.IsZero() || p.Account.IsZero() || p.Account == account {
				out[p.ID] = p.Payment
			}
		}
		return rows.Err()
	})
	return out, err
}

// change is who may do what and why, for the trail.
type change struct {
	Action string
	Policy string
	Why    string
}

// step writes the audit row and the history of a payment's transition.
func (store) step(ctx context.Context, tx db.Tx, pid payment.ID, from, to payment.State, c change) error {
	if from != "" && !paymentLife.Can(from, to) {
		return fmt.Errorf("payment: no step from %s to %s", from, to)
	}
	act, err := trail.Record(ctx, tx, trail.Entry{
		Action: c.Action, Noun: "Payment", ID: pid.String(), Policy: c.Policy, Why: c.Why,
		Changed: map[string]trail.Change{"state": {From: string(from), To: string(to)}},
	})
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `INSERT INTO payment_history (tenant_id, payment_id, id, from_state, to_state, act_id, at)
		VALUES ($1, $2, $3, $4, $5, $6, $7)`, tx.Tenant(), pid, id.New[history](tx.Now()), string(from), string(to), act, tx.Now().UnixMicro())
	return err
}

// one fails unless a conditional update, made under the row's lock, hit its row.
func one(n int64, err error) error {
	if err != nil {
		return err
	}
	if n != 1 {
		return fmt.Errorf("payment: %d rows changed under the lock, want 1", n)
	}
	return nil
}

func fen(m money.Fen) int64 { return int64(m) }
