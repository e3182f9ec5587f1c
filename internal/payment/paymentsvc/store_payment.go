package paymentsvc

import (
	"bytes"
	"context"
	"slices"
	"time"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/event"
	"xinglin/internal/kernel/id"
	"xinglin/internal/payment"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/job"
	"xinglin/internal/platform/obs"
	"xinglin/internal/platform/outbox"
	"xinglin/internal/platform/trail"
	"xinglin/internal/scheduling"
)

// opening is a payment to be made, and who may.
type opening struct {
	payment.Request
	change
	act id.ID[trail.Act] // of its audit row and its history
}

// open makes the payment, or finds the same one.
func (s store) open(ctx context.Context, d *db.DB, o opening) (p record, err error) {
	err = d.Write(ctx, o.Tenant, func(ctx context.Context, tx db.Tx) error {
		made, err := s.openAll(ctx, tx, []opening{o})
		if err != nil {
			return err
		}
		if p, err = s.read(ctx, tx, o.ID); err != nil {
			return err
		}
		r := o.Request
		if made == 0 && (p.Account != r.Account || p.Purpose != r.Purpose || p.Reference != r.Reference || p.Number != r.Number ||
			p.Amount != r.Amount || p.Deadline.UnixMicro() != r.Deadline.UnixMicro()) {
			return payment.ErrReused.New()
		}
		return nil
	})
	return p, err
}

// openAll makes those of the payments that are not there, and says how many: one statement
// on PostgreSQL, one for their timers, and one audit row. They are written in the order of
// their ids, so that two transactions never wait for each other in a circle.
func (s store) openAll(ctx context.Context, tx db.Tx, all []opening) (int, error) {
	who, err := auth.From(ctx)
	if err != nil {
		return 0, err
	}
	all = slices.SortedStableFunc(slices.Values(all), func(a, b opening) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	all = slices.CompactFunc(all, func(a, b opening) bool { return a.ID == b.ID }) // the first wins
	for i := range all {
		all[i].act = id.New[trail.Act](tx.Now())
	}
	insert := insertOpenSQLite
	if tx.Engine() == db.Postgres {
		insert = insertOpenPG
	}
	made, err := insert(ctx, tx, all)
	if err != nil || len(made) == 0 {
		return 0, err
	}
	acts, timers := make([]trail.Part, 0, len(made)), make([]job.Spec, 0, len(made))
	for _, o := range all {
		if !made[o.ID] {
			continue
		}
		acts = append(acts, trail.Part{
			ID: o.act, Actor: who.Actor(), Object: o.ID.String(), Policy: o.Policy, Origin: obs.Origin(ctx), Trace: obs.Trace(ctx), Number: o.Number,
		})
		timers = append(timers, job.Spec{
			Kind: jobClose, Key: o.ID.String(), RunAt: o.Deadline.Add(closeGrace), Payload: about{Payment: o.ID}, Max: closeTries, Number: o.Number,
		})
	}
	if err := job.Enqueue(ctx, tx, timers...); err != nil {
		return 0, err
	}
	return len(made), trail.RecordAll(ctx, tx, trail.Entry{
		Action: actionOpen, Noun: "Payment", Changed: map[string]trail.Change{"state": {To: string(payment.Open)}},
	}, acts)
}

// beginPrepay notes, before the channel is asked, that the channel may know the payment, and plans the active queries.
func (s store) beginPrepay(ctx context.Context, d *db.DB, tenant payment.TenantID, pid payment.ID, c change) error {
	return d.Write(ctx, tenant, func(ctx context.Context, tx db.Tx) error {
		p, err := s.lock(ctx, tx, pid)
		if err != nil {
			return err
		}
		if err := payable(p, tx.Now()); err != nil {
			return err
		}
		err = one(tx.Exec(ctx, `UPDATE payment SET channel = $3, version = version + 1 WHERE tenant_id = $1 AND id = $2 AND state = 'open'`,
			tx.Tenant(), pid, wechat))
		if err != nil {
			return err
		}
		_, err = trail.Record(ctx, tx, trail.Entry{Action: c.Action, Noun: "Payment", ID: pid.String(), Policy: c.Policy, Changed: []string{"channel"}})
		if err != nil {
			return err
		}
		return job.Enqueue(ctx, tx, job.Spec{Kind: jobCheck, Key: pid.String(), RunAt: tx.Now().Add(checkAfter(0)), Payload: about{Payment: pid}})
	})
}

// keepURL stores the pay page; when the payment was closed meanwhile, the order at the channel is closed too.
func (s store) keepURL(ctx context.Context, d *db.DB, tenant payment.TenantID, pid payment.ID, url string, until time.Time) (open bool, err error) {
	err = d.Write(ctx, tenant, func(ctx context.Context, tx db.Tx) error {
		n, err := tx.Exec(ctx, `UPDATE payment SET pay_url = $3, pay_url_until = $4, version = version + 1
			WHERE tenant_id = $1 AND id = $2 AND state = 'open' AND giving_up = 0`, tx.Tenant(), pid, url, until.UnixMicro())
		if open = n == 1; err != nil || open {
			return err
		}
		return job.Enqueue(ctx, tx, job.Spec{Kind: jobClose, Key: pid.String(), Payload: about{Payment: pid}, Max: closeTries})
	})
	return open, err
}

// mayAsk lets one caller in two seconds ask the channel.
func (store) mayAsk(ctx context.Context, d *db.DB, tenant payment.TenantID, pid payment.ID) (yes bool, err error) {
	err = d.Write(ctx, tenant, func(ctx context.Context, tx db.Tx) error {
		n, err := tx.Exec(ctx, `UPDATE payment SET asked_at = $3 WHERE tenant_id = $1 AND id = $2 AND asked_at <= $4`,
			tx.Tenant(), pid, tx.Now().UnixMicro(), tx.Now().Add(-askEach).UnixMicro())
		yes = n == 1
		return err
	})
	return yes, err
}

// checkLater plans the next active query from within the running one.
func (store) checkLater(ctx context.Context, d *db.DB, tenant payment.TenantID, pid payment.ID, n int) error {
	return d.Write(ctx, tenant, func(ctx context.Context, tx db.Tx) error {
		return job.Enqueue(ctx, tx, job.Spec{
			Kind: jobCheck, Key: pid.String(), RunAt: tx.Now().Add(checkAfter(n)), Payload: about{Payment: pid, N: n},
		})
	})
}

// paid is the one step by which money comes in, from whichever side it was heard.
func (s store) paid(ctx context.Context, d *db.DB, tenant payment.TenantID, pid payment.ID, transaction string, at time.Time, c change) (p record, err error) {
	err = d.Write(ctx, tenant, func(ctx context.Context, tx db.Tx) (err error) {
		if err = s.paidIn(ctx, tx, pid, transaction, at, c); err != nil {
			return err
		}
		p, err = s.read(ctx, tx, pid)
		return err
	})
	return p, err
}

func (s store) paidIn(ctx context.Context, tx db.Tx, pid payment.ID, transaction string, at time.Time, c change) error {
	p, err := s.lock(ctx, tx, pid)
	if err != nil {
		return err
	}
	if !paymentLife.Can(p.State, payment.Paid) || !p.PaidAt.IsZero() {
		if p.Channel != wechat || p.Transaction != transaction {
			return payment.ErrMismatch.Because("paid by two transactions")
		}
		return nil
	}
	return s.receive(ctx, tx, p, wechat, transaction, at, c)
}

// receive takes in the money of a locked payment that was not paid before.
func (s store) receive(ctx context.Context, tx db.Tx, p record, channel, transaction string, at time.Time, c change) error {
	ctx = obs.WithNumber(ctx, p.Number)
	at = at.UTC().Truncate(time.Microsecond)
	err := one(tx.Exec(ctx, `UPDATE payment SET state = 'paid', channel = $3, channel_transaction = $4, paid_at = $5, pay_url = '',
			version = version + 1 WHERE tenant_id = $1 AND id = $2 AND state IN ('open', 'closed')`,
		tx.Tenant(), p.ID, channel, transaction, at.UnixMicro()))
	if db.IsUnique(err) {
		return payment.ErrMismatch.Because("the transaction paid for something else")
	}
	if err != nil {
		return err
	}
	if err := s.step(ctx, tx, p.ID, p.State, payment.Paid, c); err != nil {
		return err
	}
	err = outbox.Add(ctx, tx, payment.PaidEvent{Payment: p.ID, Purpose: p.Purpose, Reference: p.Reference, Amount: p.Amount, PaidAt: at})
	if err != nil {
		return err
	}
	return s.addFact(ctx, tx, fact{ID: factID(factPaid, p.ID), Payment: p.ID, Kind: factPaid, Channel: channel, Amount: p.Amount, Number: p.Number, At: at})
}

// giveUp closes at once what the channel never heard of; else the close job asks the channel first.
func (s store) giveUp(ctx context.Context, d *db.DB, tenant payment.TenantID, pid payment.ID, c change) error {
	return d.Write(ctx, tenant, func(ctx context.Context, tx db.Tx) error {
		p, err := s.lock(ctx, tx, pid)
		if err != nil || p.State != payment.Open || p.GivingUp {
			return err
		}
		ctx = obs.WithNumber(ctx, p.Number)
		if p.Channel == "" {
			return s.closeIn(ctx, tx, p, c)
		}
		err = one(tx.Exec(ctx, `UPDATE payment SET giving_up = 1, pay_url = '', version = version + 1
			WHERE tenant_id = $1 AND id = $2 AND state = 'open'`, tx.Tenant(), pid))
		if err != nil {
			return err
		}
		_, err = trail.Record(ctx, tx, trail.Entry{Action: c.Action, Noun: "Payment", ID: pid.String(), Policy: c.Policy, Why: c.Why, Changed: []string{"giving_up"}})
		if err != nil {
			return err
		}
		return job.Enqueue(ctx, tx, job.Spec{Kind: jobClose, Key: pid.String(), Payload: about{Payment: pid}, Max: closeTries})
	})
}

// close ends an open payment that the channel has no money for; known is the channel that was asked. A prepay that began
// meanwhile must be closed at the channel first: then it is done again.
func (s store) close(ctx context.Context, d *db.DB, tenant payment.TenantID, pid payment.ID, known string, c change) (closed bool, err error) {
	err = d.Write(ctx, tenant, func(ctx context.Context, tx db.Tx) error {
		p, err := s.lock(ctx, tx, pid)
		if err != nil {
			return err
		}
		if closed = p.State != payment.Open || p.Channel == known; !closed || p.State != payment.Open {
			return nil
		}
		return s.closeIn(obs.WithNumber(ctx, p.Number), tx, p, c)
	})
	return closed, err
}

func (s store) closeIn(ctx context.Context, tx db.Tx, p record, c change) error {
	err := one(tx.Exec(ctx, `UPDATE payment SET state = 'closed', pay_url = '', version = version + 1
		WHERE tenant_id = $1 AND id = $2 AND state = 'open'`, tx.Tenant(), p.ID))
	if err != nil {
		return err
	}
	if err := s.step(ctx, tx, p.ID, payment.Open, payment.Closed, c); err != nil {
		return err
	}
	return outbox.Add(ctx, tx, payment.ClosedEvent{Payment: p.ID, Purpose: p.Purpose, Reference: p.Reference})
}

// settled hears what the money did. A refund comes as a command of its own; here only the effect is noted.
func (s *Service) settled(ctx context.Context, tx db.Tx, _ event.Meta, e scheduling.AppointmentSettled) error {
	pid := e.Payment
	if pid.IsZero() {
		return nil // a free number
	}
	p, err := s.store.lock(ctx, tx, pid)
	if err != nil {
		return err
	}
	if p.PaidAt.IsZero() {
		return payment.ErrNotPaid.Because("settled as %s", e.Outcome)
	}
	if e.Outcome != scheduling.Applied || p.Effect != effectNone {
		return nil
	}
	c, err := s.may(ctx, tx.Tenant(), "payment.settle", p)
	if err != nil {
		return err
	}
	err = one(tx.Exec(ctx, `UPDATE payment SET effect = 'applied', version = version + 1
		WHERE tenant_id = $1 AND id = $2 AND effect = 'none'`, tx.Tenant(), pid))
	if err != nil {
		return err
	}
	_, err = trail.Record(obs.WithNumber(ctx, p.Number), tx, trail.Entry{
		Action: c.Action, Noun: "Payment", ID: pid.String(), Policy: c.Policy,
		Changed: map[string]trail.Change{"effect": {From: effectNone, To: effectApplied}},
	})
	return err
}
