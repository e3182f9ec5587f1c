package schedulingsvc

import (
	"context"
	"errors"
	"time"

	"xinglin/internal/kernel/id"
	"xinglin/internal/kernel/money"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/obs"
	"xinglin/internal/platform/outbox"
	"xinglin/internal/platform/trail"
	"xinglin/internal/scheduling"
)

// settle gives a confirmed payment its one effect, in the consumer's transaction.
func (s store) settle(ctx context.Context, tx db.Tx, a id.ID[scheduling.Appointment], paid money.Fen, policy string) error {
	v, sch, err := lockAppointment(ctx, tx, a)
	if err != nil {
		return err
	}
	ctx = obs.WithNumber(ctx, v.RegNo)
	facts := paidFacts{
		State: v.State, Reason: v.CancelReason, Settlement: v.Settlement, Fee: v.Fee, Paid: paid,
		Stopped: sch.Stopped, Past: !tx.Now().Before(v.StartsAt),
	}
	d := decidePaid(facts)
	if d.Repeat {
		return nil
	}
	if d.Retake {
		ok, err := s.retake(ctx, tx, &v)
		if err != nil {
			return err
		}
		if !ok {
			d = refundInstead(facts)
		}
	}
	from := v.State
	v.State, v.Settlement = d.To, d.Settle
	switch {
	case from == scheduling.Pending && d.To == scheduling.Booked:
		err = bookHeld(ctx, tx, &v)
	case from == scheduling.Pending:
		v.CancelReason = scheduling.ByStaff
		if sch.Stopped {
			v.CancelReason = scheduling.ByStop
		}
		err = s.giveBack(ctx, tx, v, from, tx.Now())
	case d.To == scheduling.Booked:
		v.CancelReason = ""
	}
	if err != nil {
		return err
	}
	if from == scheduling.Pending {
		if err := cancelJob(ctx, tx, jobExpire, a); err != nil {
			return err
		}
	}
	if err := move(ctx, tx, &v, from); err != nil {
		return err
	}
	if err := s.tellSettled(ctx, tx, v, from, policy); err != nil {
		return err
	}
	if d.Settle == scheduling.Refund {
		if err := enqueue(ctx, tx, jobRefund, time.Time{}, about{Appointment: a, Amount: paid, Reason: refundReason(v.CancelReason)}); err != nil {
			return err
		}
	}
	return outbox.Add(ctx, tx, scheduling.AppointmentSettled{Appointment: a, Payment: v.Payment, Outcome: d.Settle, Amount: paid})
}

// tellSettled writes history, audit and event of what the payment did to the appointment.
func (s store) tellSettled(ctx context.Context, tx db.Tx, v appointmentRow, from scheduling.State, policy string) error {
	if v.State == from {
		_, err := trail.Record(ctx, tx, trail.Entry{
			Action: "scheduling.settle", Noun: "Appointment", ID: v.ID.String(), Policy: policy,
			Changed: map[string]trail.Change{"settlement": {To: string(v.Settlement)}},
		})
		return err
	}
	if err := note(ctx, tx, &v, transition{From: from, To: v.State, By: byPaid, Action: "scheduling.settle", Policy: policy}); err != nil {
		return err
	}
	if v.State == scheduling.Booked {
		return bookedEvent(ctx, tx, v)
	}
	return outbox.Add(ctx, tx, scheduling.AppointmentCancelled{Visit: v.visit(), Reason: v.CancelReason, Payment: v.Payment, Refund: v.Fee})
}

// bookHeld turns the hold into a booking of the same seat.
func bookHeld(ctx context.Context, tx db.Tx, v *appointmentRow) error {
	var seat, first int
	err := tx.QueryRow(ctx, `DELETE FROM hold WHERE tenant_id = $1 AND appointment_id = $2 RETURNING seat`, tx.Tenant(), v.ID).Scan(&seat)
	if err != nil {
		return err
	}
	err = tx.QueryRow(ctx, `UPDATE slot SET held = held - 1, booked = booked + 1, version = version + 1 WHERE tenant_id = $1 AND id = $2 RETURNING first`, tx.Tenant(), v.Slot).Scan(&first)
	v.Number = numberOf(first, seat)
	return err
}

// retake tries to get back a seat of the slot for an appointment whose hold expired
// before the money came. false: the seat or the person's day is taken.
func (s store) retake(ctx context.Context, tx db.Tx, v *appointmentRow) (bool, error) {
	var n int
	err := tx.QueryRow(ctx, `SELECT COUNT(*) FROM appointment WHERE tenant_id = $1 AND day = $2 AND limit_key = $3 AND state <> 'cancelled'`,
		tx.Tenant(), v.Date, v.LimitKey).Scan(&n)
	if err != nil || n > 0 {
		return false, err
	}
	h := holding{Request: scheduling.HoldRequest{Slot: v.Slot}}
	slot, bit, err := takeSlot(ctx, tx, h, true)
	if errors.Is(err, db.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	_, err = tx.Exec(ctx, `UPDATE schedule SET taken = taken + 1, version = version + 1, updated_at = $3 WHERE tenant_id = $1 AND id = $2`,
		tx.Tenant(), v.Schedule, tx.Now().UnixMicro())
	v.Number = numberOf(slot.First, seatOf(bit))
	v.StartsAt, v.EndsAt = slot.StartsAt, slot.EndsAt
	s.changed(ctx, tx, v.Schedule)
	return true, err
}

// expire ends a hold whose time is over. A payment that is settled at the same moment
// waits for the lock, or is waited for: one of the two finds the other's work.
func (s store) expire(ctx context.Context, tx db.Tx, a id.ID[scheduling.Appointment], policy string) error {
	v, _, err := lockAppointment(ctx, tx, a)
	if err != nil {
		return err
	}
	ctx = obs.WithNumber(ctx, v.RegNo)
	if v.State != scheduling.Pending {
		return nil
	}
	if !decideExpire(v.State, v.HoldExpiresAt, tx.Now()) { // the clock was moved
		return enqueue(ctx, tx, jobExpire, v.HoldExpiresAt, about{Appointment: a})
	}
	from := v.State
	v.State, v.CancelReason = scheduling.Cancelled, scheduling.ByExpiry
	if err := s.giveBack(ctx, tx, v, from, tx.Now()); err != nil {
		return err
	}
	if err := move(ctx, tx, &v, from); err != nil {
		return err
	}
	if err := note(ctx, tx, &v, transition{From: from, To: v.State, By: byExpire, Action: "scheduling.expire_hold", Policy: policy}); err != nil {
		return err
	}
	if err := enqueue(ctx, tx, jobClose, time.Time{}, about{Appointment: a}); err != nil {
		return err
	}
	return outbox.Add(ctx, tx, scheduling.AppointmentExpired{Visit: v.visit(), Payment: v.Payment})
}

// cancelling is a request to cancel whose right was checked.
type cancelling struct {
	scheduling.CancelRequest
	Rules  scheduling.BookingRules
	Policy string
	Pick   pick
}

// cancel ends an appointment. One that is cancelled already is the answer as it is.
func (s store) cancel(ctx context.Context, t scheduling.TenantID, c cancelling) error {
	return s.db.Write(ctx, t, func(ctx context.Context, tx db.Tx) error {
		v, _, err := lockAppointment(ctx, tx, c.ID)
		if err != nil {
			return err
		}
		switch {
		case v.State == scheduling.Cancelled:
			return nil
		case v.Version != c.Version:
			return scheduling.ErrStale.New()
		}
		now := tx.Now()
		refund, err := decideCancel(cancelFacts{State: v.State, Settlement: v.Settlement, Fee: v.Fee, Cutoff: v.CancelBefore}, c.Reason, now)
		if err != nil {
			return err
		}
		from := v.State
		v.State, v.CancelReason = scheduling.Cancelled, c.Reason
		at := now
		if from != scheduling.Pending { // a hold was never sold: its seat is free at once
			at = seatReturnAt(c.Rules, c.Reason, now, c.Pick)
		}
		if !at.Before(v.StartsAt) {
			at = now // never wait for a moment when nobody can use it
		}
		if err := s.giveBack(ctx, tx, v, from, at); err != nil {
			return err
		}
		if err := move(ctx, tx, &v, from); err != nil {
			return err
		}
		by := byCancel
		if c.Reason == scheduling.ByStop {
			by = byStop
		}
		if err := note(ctx, tx, &v, transition{From: from, To: v.State, By: by, Action: "scheduling.cancel", Policy: c.Policy, Why: c.Why}); err != nil {
			return err
		}
		if err := afterCancel(ctx, tx, v, from, refund); err != nil {
			return err
		}
		return outbox.Add(ctx, tx, scheduling.AppointmentCancelled{Visit: v.visit(), Reason: v.CancelReason, Number: v.Number, Payment: v.Payment, Refund: refund})
	})
}

// afterCancel leaves the work with the payment to jobs.
func afterCancel(ctx context.Context, tx db.Tx, v appointmentRow, from scheduling.State, refund money.Fen) error {
	if from == scheduling.Pending {
		if err := cancelJob(ctx, tx, jobExpire, v.ID); err != nil {
			return err
		}
		return enqueue(ctx, tx, jobClose, time.Time{}, about{Appointment: v.ID})
	}
	if refund == 0 {
		return nil
	}
	return enqueue(ctx, tx, jobRefund, time.Time{}, about{Appointment: v.ID, Amount: refund, Reason: refundReason(v.CancelReason)})
}

// refundReason is the code of a refund's reason for the payment context.
func refundReason(r scheduling.CancelReason) string {
	switch r {
	case scheduling.ByExpiry:
		return "expired"
	case scheduling.ByStop:
		return "stopped"
	}
	return "cancelled"
}
