package schedulingsvc

import (
	"context"
	"errors"
	"time"

	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/id"
	"xinglin/internal/kernel/money"
	"xinglin/internal/kernel/page"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/job"
	"xinglin/internal/platform/obs"
	"xinglin/internal/platform/outbox"
	"xinglin/internal/platform/trail"
	"xinglin/internal/scheduling"
)

// appointmentRow is an appointment as stored.
type appointmentRow struct {
	scheduling.Appointment
	AnySlot  bool
	LimitKey string
}

const appointmentColumns = `id, reg_no, account_id, patient_id, schedule_id, slot_id, any_slot, day, session, starts_at, ends_at, campus_id, department_id,
	practitioner_id, class, location, fee_fen, number, state, cancel_reason, limit_key, hold_expires_at, cancel_before, payment_id, settlement, version, created_at`

func scanAppointment(r db.Row, v *appointmentRow) error {
	return r.Scan(&v.ID, &v.RegNo, &v.Account, &v.Patient, &v.Schedule, &v.Slot, &v.AnySlot, &v.Date, (*string)(&v.Session), db.Instant(&v.StartsAt), db.Instant(&v.EndsAt),
		&v.Campus, &v.Department, &v.Practitioner, (*string)(&v.Class), &v.Location, (*int64)(&v.Fee), &v.Number, (*string)(&v.State), (*string)(&v.CancelReason),
		&v.LimitKey, db.Instant(&v.HoldExpiresAt), db.Instant(&v.CancelBefore), &v.Payment, (*string)(&v.Settlement), &v.Version, db.Instant(&v.CreatedAt))
}

// appointmentIn reads one within a transaction; scheduling.not_found.
func appointmentIn(ctx context.Context, tx db.Tx, a id.ID[scheduling.Appointment]) (v appointmentRow, err error) {
	err = one(scanAppointment(tx.QueryRow(ctx, `SELECT `+appointmentColumns+` FROM appointment WHERE tenant_id = $1 AND id = $2`, tx.Tenant(), a), &v))
	return v, err
}

// lockAppointment locks the appointment's session and reads both under the lock.
func lockAppointment(ctx context.Context, tx db.Tx, a id.ID[scheduling.Appointment]) (v appointmentRow, sch scheduleRow, err error) {
	if v, err = appointmentIn(ctx, tx, a); err != nil {
		return v, sch, err
	}
	if sch, err = lockSchedule(ctx, tx, v.Schedule); err != nil {
		return v, sch, err
	}
	v, err = appointmentIn(ctx, tx, a)
	return v, sch, err
}

func (s store) appointment(ctx context.Context, t scheduling.TenantID, a id.ID[scheduling.Appointment]) (v appointmentRow, err error) {
	err = s.db.Read(ctx, t, func(ctx context.Context, tx db.Tx) error {
		if v, err = appointmentIn(ctx, tx, a); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, `SELECT from_state, to_state, at, by_what FROM appointment_history WHERE tenant_id = $1 AND appointment_id = $2 ORDER BY seq LIMIT 100`, t, a)
		v.History, err = db.Collect(rows, err, func(r db.Rows, h *scheduling.Transition) error {
			return r.Scan((*string)(&h.From), (*string)(&h.To), db.Instant(&h.At), &h.By)
		})
		return err
	})
	return v, err
}

// mark is where a page of a list begins: before this creation, newest first.
type mark struct {
	At int64
	ID id.ID[scheduling.Appointment]
}

func (s store) list(ctx context.Context, t scheduling.TenantID, account scheduling.AccountID, state scheduling.State, from mark, p page.Request) (out []scheduling.Appointment, more bool, err error) {
	size := p.Size()
	err = s.db.Read(ctx, t, func(ctx context.Context, tx db.Tx) error {
		rows, err := tx.Query(ctx, `SELECT `+appointmentColumns+` FROM appointment WHERE tenant_id = $1 AND account_id = $2 AND ($3 = '' OR state = $3)
			AND (created_at, id) < ($4, $5) ORDER BY created_at DESC, id DESC LIMIT $6`, t, account, string(state), from.At, from.ID, size+1)
		found, err := db.Collect(rows, err, func(r db.Rows, v *appointmentRow) error { return scanAppointment(r, v) })
		out = make([]scheduling.Appointment, 0, len(found))
		for _, v := range found {
			out = append(out, v.Appointment)
		}
		return err
	})
	if len(out) > size {
		return out[:size], true, err
	}
	return out, false, err
}

// transition is a step of an appointment's life.
type transition struct {
	From, To scheduling.State
	By       string
	Action   string // of the audit row
	Policy   string
	Why      string
}

// note writes history and audit of a step whose outcome is v.
func note(ctx context.Context, tx db.Tx, v *appointmentRow, st transition) error {
	act, err := trail.Record(ctx, tx, trail.Entry{
		Action: st.Action, Noun: "Appointment", ID: v.ID.String(), Policy: st.Policy, Why: st.Why,
		Changed: map[string]trail.Change{"state": {From: string(st.From), To: string(st.To)}},
	})
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `INSERT INTO appointment_history (tenant_id, appointment_id, seq, from_state, to_state, at, by_what, act_id) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
		tx.Tenant(), v.ID, v.Version, string(st.From), string(st.To), tx.Now().UnixMicro(), st.By, act)
	return err
}

// errRaced means that a conditional write found another state than the one read before
// it. Under the schedule's lock it cannot happen; it ends the transaction if it does.
var errRaced = errors.New("scheduling: the appointment moved under its lock")

// move makes a step conditional on the state and version that were decided about. v
// holds the new values and is counted up.
func move(ctx context.Context, tx db.Tx, v *appointmentRow, from scheduling.State) error {
	var cancelled any
	if v.State == scheduling.Cancelled {
		cancelled = tx.Now().UnixMicro()
	}
	n, err := tx.Exec(ctx, `UPDATE appointment SET state = $3, number = $4, cancel_reason = $5, cancelled_at = COALESCE(CASE WHEN $3 = 'cancelled' THEN cancelled_at END, $6),
			hold_expires_at = CASE WHEN $3 = 'pending' THEN hold_expires_at END, settlement = $7, starts_at = $8, ends_at = $9, version = version + 1, updated_at = $10
		WHERE tenant_id = $1 AND id = $2 AND state = $11 AND version = $12`,
		tx.Tenant(), v.ID, string(v.State), v.Number, string(v.CancelReason), cancelled, string(v.Settlement), v.StartsAt.UnixMicro(), v.EndsAt.UnixMicro(),
		tx.Now().UnixMicro(), string(from), v.Version)
	if err != nil {
		return err
	}
	if n == 0 {
		return errRaced
	}
	v.Version++
	if v.State != scheduling.Pending {
		v.HoldExpiresAt = time.Time{}
	}
	return nil
}

// visit is the part that all events share.
func (v appointmentRow) visit() scheduling.Visit {
	return scheduling.Visit{
		Appointment: v.ID, Account: v.Account, Patient: v.Patient, Schedule: v.Schedule, Slot: v.Slot, Campus: v.Campus, Department: v.Department,
		Practitioner: v.Practitioner, Date: v.Date, Session: v.Session, StartsAt: v.StartsAt, Class: v.Class, Fee: v.Fee,
	}
}

// bookedEvent tells that the appointment has its number.
func bookedEvent(ctx context.Context, tx db.Tx, v appointmentRow) error {
	return outbox.Add(ctx, tx, scheduling.AppointmentBooked{Visit: v.visit(), Number: v.Number, Payment: v.Payment})
}

// Jobs about one appointment, keyed by it.
const (
	jobExpire = "scheduling.expire_hold"
	jobReturn = "scheduling.return_seat"
	jobOpen   = "scheduling.open_payment"
	jobClose  = "scheduling.close_payment"
	jobRefund = "scheduling.refund_payment"
)

// about is the payload of these jobs: ids, codes and amounts.
type about struct {
	Appointment id.ID[scheduling.Appointment] `json:"appointment"`
	Amount      money.Fen                     `json:"amount_fen,omitempty"` // of a refund
	Reason      string                        `json:"reason,omitempty"`     // of a refund, a code
}

// workMax is how often such a job is tried before a person must look: with pauses of up
// to ten minutes about three hours.
const workMax = 25

func enqueue(ctx context.Context, tx db.Tx, kind string, at time.Time, p about) error {
	return job.Enqueue(ctx, tx, job.Spec{Kind: kind, Key: p.Appointment.String(), RunAt: at, Payload: p, Max: workMax})
}

func cancelJob(ctx context.Context, tx db.Tx, kind string, a id.ID[scheduling.Appointment]) error {
	return job.Cancel(ctx, tx, kind, a.String())
}

// giveBack frees the seat of a pending or booked appointment at once or, by the rules,
// later. The caller holds the schedule's lock.
func (s store) giveBack(ctx context.Context, tx db.Tx, v appointmentRow, from scheduling.State, at time.Time) error {
	seat, err := seatIn(ctx, tx, v, from)
	if err != nil {
		return err
	}
	held, booked := 0, 1
	if from == scheduling.Pending {
		held, booked = 1, 0
		if _, err := tx.Exec(ctx, `DELETE FROM hold WHERE tenant_id = $1 AND appointment_id = $2`, tx.Tenant(), v.ID); err != nil {
			return err
		}
	}
	if at.After(tx.Now()) {
		return s.giveBackLater(ctx, tx, v, seat, held, booked, at)
	}
	return s.freeSeat(ctx, tx, v, seat, held, booked)
}

// giveBackLater keeps the seat's bit, counted as held, until its timer.
func (s store) giveBackLater(ctx context.Context, tx db.Tx, v appointmentRow, seat, held, booked int, at time.Time) error {
	_, err := tx.Exec(ctx, `UPDATE slot SET held = held - $3 + 1, booked = booked - $4, version = version + 1 WHERE tenant_id = $1 AND id = $2`, tx.Tenant(), v.Slot, held, booked)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `INSERT INTO seat_return (tenant_id, appointment_id, slot_id, seat, return_at) VALUES ($1, $2, $3, $4, $5)`,
		tx.Tenant(), v.ID, v.Slot, seat, at.UnixMicro())
	if err != nil {
		return err
	}
	return enqueue(ctx, tx, jobReturn, at, about{Appointment: v.ID})
}

// freeSeat clears the seat's bit and counts it off.
func (s store) freeSeat(ctx context.Context, tx db.Tx, v appointmentRow, seat, held, booked int) error {
	n, err := tx.Exec(ctx, `UPDATE slot SET taken = taken - $3, held = held - $4, booked = booked - $5, version = version + 1 WHERE tenant_id = $1 AND id = $2 AND (taken & $3) <> 0`,
		tx.Tenant(), v.Slot, bitOf(seat), held, booked)
	if err != nil {
		return err
	}
	if n == 0 {
		return errRaced
	}
	_, err = tx.Exec(ctx, `UPDATE schedule SET taken = taken - 1, version = version + 1, updated_at = $3 WHERE tenant_id = $1 AND id = $2`,
		tx.Tenant(), v.Schedule, tx.Now().UnixMicro())
	s.changed(ctx, tx, v.Schedule)
	return err
}

// seatIn is the seat that the appointment has.
func seatIn(ctx context.Context, tx db.Tx, v appointmentRow, from scheduling.State) (seat int, err error) {
	if from == scheduling.Pending {
		err = tx.QueryRow(ctx, `SELECT seat FROM hold WHERE tenant_id = $1 AND appointment_id = $2`, tx.Tenant(), v.ID).Scan(&seat)
		return seat, err
	}
	err = tx.QueryRow(ctx, `SELECT first FROM slot WHERE tenant_id = $1 AND id = $2`, tx.Tenant(), v.Slot).Scan(&seat)
	return v.Number - seat, err
}

// returnSeat puts a waiting seat back on sale, once.
func (s store) returnSeat(ctx context.Context, tx db.Tx, a id.ID[scheduling.Appointment], policy string) error {
	v, _, err := lockAppointment(ctx, tx, a)
	if err != nil {
		return err
	}
	ctx = obs.WithNumber(ctx, v.RegNo)
	var seat int
	err = tx.QueryRow(ctx, `DELETE FROM seat_return WHERE tenant_id = $1 AND appointment_id = $2 RETURNING seat`, tx.Tenant(), a).Scan(&seat)
	if errors.Is(err, db.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := s.freeSeat(ctx, tx, v, seat, 1, 0); err != nil {
		return err
	}
	_, err = trail.Record(ctx, tx, trail.Entry{Action: "scheduling.return_seat", Noun: "Appointment", ID: a.String(), Policy: policy, Changed: []string{"seat"}})
	return err
}

// incidents are a person's missed and returned visits of the last two years.
type incidents struct {
	missed, returned, returnedSameDay []clock.Date
}

func incidentsIn(ctx context.Context, tx db.Tx, p scheduling.PatientID, today clock.Date) (out incidents, err error) {
	rows, err := tx.Query(ctx, `SELECT day, state, cancelled_at FROM appointment WHERE tenant_id = $1 AND patient_id = $2 AND day >= $3
		AND (state = 'noshow' OR state = 'cancelled' AND cancel_reason = 'patient' AND number > 0) ORDER BY day DESC LIMIT 500`, tx.Tenant(), p, today.Add(-760))
	if err != nil {
		return out, err
	}
	defer rows.Close()
	for rows.Next() {
		var day clock.Date
		var state string
		var at time.Time
		if err := rows.Scan(&day, &state, db.Instant(&at)); err != nil {
			return out, err
		}
		if state == string(scheduling.NoShow) {
			out.missed = append(out.missed, day)
			continue
		}
		d := clock.DateOf(at)
		out.returned = append(out.returned, d)
		if d == day {
			out.returnedSameDay = append(out.returnedSameDay, d)
		}
	}
	return out, rows.Err()
}
