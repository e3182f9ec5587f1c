package schedulingsvc

import (
	"context"
	"slices"
	"time"

	"xinglin/internal/kernel/id"
	"xinglin/internal/kernel/money"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/job"
	"xinglin/internal/platform/obs"
	"xinglin/internal/platform/outbox"
	"xinglin/internal/platform/trail"
	"xinglin/internal/scheduling"
	"xinglin/internal/scheduling/bookingrules"
)

// settle gives a confirmed payment its one effect, in the consumer's transaction.
func (s store) settle(ctx context.Context, tx db.Tx, a id.ID[scheduling.Appointment], paid money.Fen, policy string) error {
	v, sch, err := lockAppointment(ctx, tx, a)
	if err != nil {
		return err
	}
	ctx = obs.WithNumber(ctx, v.RegNo)
	facts := bookingrules.PaidFacts{
		State: v.State, Reason: v.CancelReason, Settlement: v.Settlement, Fee: v.Fee, Paid: paid,
		Stopped: sch.Stopped, Past: !tx.Now().Before(v.StartsAt),
	}
	d := bookingrules.DecidePaid(facts)
	if d.Repeat {
		return nil
	}
	if d.Retake {
		ok, err := s.retake(ctx, tx, &v)
		if err != nil {
			return err
		}
		if !ok {
			d = bookingrules.RefundInstead(facts)
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
	if err := move(ctx, tx, &v, from); err != nil {
		return err
	}
	if v.State == scheduling.Cancelled && from != v.State {
		if err := fileVisit(ctx, tx, v); err != nil {
			return err
		}
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
	v.Number = v.Seat
	n, err := tx.Exec(ctx, `UPDATE slot SET held = held - 1, booked = booked + 1, version = version + 1 WHERE tenant_id = $1 AND id = $2`, tx.Tenant(), v.Slot)
	if err == nil && n != 1 {
		return errRaced
	}
	return err
}

// retake tries to get back a seat of the slot for an appointment whose hold expired
// before the money came. false: the seat or the person's day is taken.
func (s store) retake(ctx context.Context, tx db.Tx, v *appointmentRow) (bool, error) {
	var n int
	err := tx.QueryRow(ctx, `SELECT COUNT(*) FROM appointment WHERE tenant_id = $1 AND day = $2 AND scope = $3 AND state <> 'cancelled'
		AND (patient_id = $4 OR account_id = $5 AND per_account AND $6)`, tx.Tenant(), v.Date, v.Scope, v.Patient, v.Account, v.PerAccount).Scan(&n)
	if err != nil || n > 0 {
		return false, err
	}
	var taken, full int64
	var first int
	var by bookingrules.Holders
	err = tx.QueryRow(ctx, `SELECT taken, full_mask, first, holders FROM slot WHERE tenant_id = $1 AND id = $2`, tx.Tenant(), v.Slot).Scan(&taken, &full, &first, (*[]byte)(&by))
	if err != nil {
		return false, err
	}
	_, bit, ok := bookingrules.TakeSeat(taken, full)
	if !ok {
		return false, nil
	}
	seat := bookingrules.SeatOf(bit)
	n64, err := tx.Exec(ctx, `UPDATE slot SET taken = taken | $3, holders = $4, booked = booked + 1, version = version + 1 WHERE tenant_id = $1 AND id = $2 AND (taken & $3) = 0`,
		tx.Tenant(), v.Slot, bit, []byte(by.With(seat, v.ID)))
	if err == nil && n64 != 1 {
		return false, errRaced
	}
	v.Seat = bookingrules.NumberOf(first, seat)
	v.Number = v.Seat
	s.changed(ctx, tx, v.Schedule)
	return true, err
}

// stillHeld are those of the appointments that wait for a payment, in the order of their
// sessions: the order of the locks.
func (s store) stillHeld(ctx context.Context, t scheduling.TenantID, as []id.ID[scheduling.Appointment]) (out []id.ID[scheduling.Appointment], err error) {
	for some := range slices.Chunk(as, maxBatch) {
		list, args := db.Few([]any{t}, some)
		err = s.db.Read(ctx, t, func(ctx context.Context, tx db.Tx) error {
			rows, err := tx.Query(ctx, `SELECT a.id FROM appointment a JOIN slot s ON s.tenant_id = a.tenant_id AND s.id = a.slot_id
				WHERE a.tenant_id = $1 AND a.state = 'pending' AND a.id IN (`+list+`) ORDER BY s.schedule_id, a.id`, args...)
			found, err := db.Collect(rows, err, func(r db.Rows, a *id.ID[scheduling.Appointment]) error { return r.Scan(a) })
			out = append(out, found...)
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// lockSessionsOf locks the sessions of appointments.
func lockSessionsOf(ctx context.Context, tx db.Tx, as []id.ID[scheduling.Appointment]) error {
	var of []scheduleID
	for some := range slices.Chunk(as, maxBatch) {
		list, args := db.Few([]any{tx.Tenant()}, some)
		rows, err := tx.Query(ctx, `SELECT DISTINCT s.schedule_id FROM appointment a JOIN slot s ON s.tenant_id = a.tenant_id AND s.id = a.slot_id
			WHERE a.tenant_id = $1 AND a.id IN (`+list+`)`, args...)
		found, err := db.Collect(rows, err, func(r db.Rows, v *scheduleID) error { return r.Scan(v) })
		if err != nil {
			return err
		}
		of = append(of, found...)
	}
	p := &db.Pipeline{}
	lockSessions(tx, p, of...)
	return tx.Send(ctx, p)
}

// expireAll ends some holds, which are in the order of their sessions, in one transaction.
func (s store) expireAll(ctx context.Context, t scheduling.TenantID, as []id.ID[scheduling.Appointment], policy string) error {
	return s.db.Write(ctx, t, func(ctx context.Context, tx db.Tx) error {
		for _, a := range as {
			if err := s.expire(ctx, tx, a, policy); err != nil {
				return err
			}
		}
		return nil
	})
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
	if !bookingrules.DecideExpire(v.State, v.HoldExpiresAt, tx.Now()) { // the clock was moved
		return job.Enqueue(ctx, tx, job.Spec{Kind: jobExpire, Key: a.String(), RunAt: v.HoldExpiresAt, Payload: expiring{[]id.ID[scheduling.Appointment]{a}}, Max: workMax})
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
	if err := fileVisit(ctx, tx, v); err != nil {
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
	Pick   bookingrules.Pick
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
		refund, err := bookingrules.DecideCancel(bookingrules.CancelFacts{State: v.State, Settlement: v.Settlement, Fee: v.Fee, Cutoff: v.CancelBefore}, c.Reason, now)
		if err != nil {
			return err
		}
		from, at := v.State, now
		if from != scheduling.Pending { // a hold was never sold: its seat is free at once
			at = bookingrules.SeatReturnAt(c.Rules, c.Reason, now, c.Pick)
		}
		e := ending{Reason: c.Reason, Refund: refund, SeatAt: at, By: byCancel, Action: "scheduling.cancel", Policy: c.Policy, Why: c.Why}
		if c.Reason == scheduling.ByStop {
			e.By = byStop
		}
		told, err := s.end(ctx, tx, &v, e)
		if err != nil {
			return err
		}
		if c.Reason == scheduling.ByPatient && from == scheduling.Booked {
			if err := noteIncident(ctx, tx, v, "returned"); err != nil {
				return err
			}
		}
		return outbox.Add(ctx, tx, told)
	})
}

// ending is how an appointment is cancelled once that is decided.
type ending struct {
	Reason                  scheduling.CancelReason
	Refund                  money.Fen
	SeatAt                  time.Time // when its seat is free
	By, Action, Policy, Why string
}

// end cancels an appointment under its session's lock and gives the event that tells it.
func (s store) end(ctx context.Context, tx db.Tx, v *appointmentRow, e ending) (told scheduling.AppointmentCancelled, err error) {
	from := v.State
	v.State, v.CancelReason = scheduling.Cancelled, e.Reason
	if !e.SeatAt.Before(v.StartsAt) {
		e.SeatAt = tx.Now() // never wait for a moment when nobody can use it
	}
	if err := s.giveBack(ctx, tx, *v, from, e.SeatAt); err != nil {
		return told, err
	}
	if err := move(ctx, tx, v, from); err != nil {
		return told, err
	}
	if err := note(ctx, tx, v, transition{From: from, To: v.State, By: e.By, Action: e.Action, Policy: e.Policy, Why: e.Why}); err != nil {
		return told, err
	}
	if err := afterCancel(ctx, tx, *v, from, e.Refund); err != nil {
		return told, err
	}
	if err := fileVisit(ctx, tx, *v); err != nil {
		return told, err
	}
	return scheduling.AppointmentCancelled{Visit: v.visit(), Reason: v.CancelReason, Number: v.Number, Payment: v.Payment, Refund: e.Refund}, nil
}

// afterCancel leaves the work with the payment to jobs.
func afterCancel(ctx context.Context, tx db.Tx, v appointmentRow, from scheduling.State, refund money.Fen) error {
	if from == scheduling.Pending {
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
