package schedulingsvc

import (
	"context"
	"errors"
	"time"

	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/id"
	"xinglin/internal/payment"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/outbox"
	"xinglin/internal/scheduling"
)

// offer is what a request names, as it is before the transaction.
type offer struct {
	Known    *appointmentRow // the key is known already
	Rules    scheduling.BookingRules
	Schedule scheduleRow
	Slot     scheduling.Slot // for any: the last one
	Past     incidents
}

// offer reads all that a hold is decided by in one transaction.
func (s store) offer(ctx context.Context, t scheduling.TenantID, r scheduling.HoldRequest, today clock.Date) (o offer, err error) {
	err = s.db.Read(ctx, t, func(ctx context.Context, tx db.Tx) error {
		o = offer{}
		v, err := appointmentIn(ctx, tx, r.ID)
		if err == nil {
			o.Known = &v
			return nil
		}
		if !errors.Is(err, scheduling.ErrNotFound) {
			return err
		}
		if o.Rules, _, err = rulesIn(ctx, tx); err != nil {
			return err
		}
		text, key := `SELECT `+slotColumns+` FROM slot WHERE tenant_id = $1 AND id = $2 AND capacity > 0`, any(r.Slot)
		if r.Any {
			text, key = `SELECT `+slotColumns+` FROM slot WHERE tenant_id = $1 AND schedule_id = $2 AND capacity > 0 ORDER BY starts_at DESC LIMIT 1`, any(r.Schedule)
		}
		if err := one(scanSlot(tx.QueryRow(ctx, text, t, key), &o.Slot)); err != nil {
			return err
		}
		if o.Schedule, err = scheduleIn(ctx, tx, o.Slot.Schedule); err != nil {
			return err
		}
		if o.Rules.NoShow.Count > 0 || len(o.Rules.Returns) > 0 {
			o.Past, err = incidentsIn(ctx, tx, r.Patient, today)
		}
		return err
	})
	return o, err
}

// holding is a decided request.
type holding struct {
	Request  scheduling.HoldRequest
	Account  scheduling.AccountID
	RegNo    string
	LimitKey string
	Policy   string
	offer
}

// same reports whether a known appointment came of the same request.
func (h holding) same(v appointmentRow) bool {
	if v.Account != h.Account || v.Patient != h.Request.Patient || v.AnySlot != h.Request.Any {
		return false
	}
	if v.AnySlot {
		return v.Schedule == h.Request.Schedule
	}
	return v.Slot == h.Request.Slot
}

var (
	errHit   = errors.New("hit")   // the same request won; roll back and answer it
	errAgain = errors.New("again") // what stood in the way is gone
)

// holdTries bounds how often a hold meets a rival that is gone a moment later.
const holdTries = 5

// hold takes a seat and makes the appointment in one transaction.
func (s store) hold(ctx context.Context, t scheduling.TenantID, h holding) (v appointmentRow, hit bool, err error) {
	for range holdTries {
		err = s.db.Write(ctx, t, func(ctx context.Context, tx db.Tx) error {
			v, err = s.holdIn(ctx, tx, h)
			return err
		})
		if !errors.Is(err, errAgain) {
			break
		}
	}
	switch {
	case errors.Is(err, errHit):
		return v, true, nil
	case errors.Is(err, errAgain):
		return v, false, db.ErrBusy.After(time.Second)
	}
	return v, false, err
}

func (s store) holdIn(ctx context.Context, tx db.Tx, h holding) (appointmentRow, error) {
	now := tx.Now()
	if len(h.Rules.Caps) > 0 {
		if err := takePersonTurn(ctx, tx, h); err != nil {
			if !errors.Is(err, scheduling.ErrCapReached) {
				return appointmentRow{}, err
			}
			return rival(ctx, tx, h, err)
		}
	}
	free := h.Schedule.Fee == 0
	n, err := tx.Exec(ctx, `UPDATE schedule SET taken = taken + 1, version = version + 1, updated_at = $3 WHERE tenant_id = $1 AND id = $2 AND taken < capacity AND NOT stopped`,
		tx.Tenant(), h.Schedule.ID, now.UnixMicro())
	if err != nil {
		return appointmentRow{}, err
	}
	if n == 0 {
		return rival(ctx, tx, h, full(ctx, tx, h))
	}
	slot, bit, err := takeSlot(ctx, tx, h, free)
	if errors.Is(err, db.ErrNoRows) {
		return rival(ctx, tx, h, full(ctx, tx, h))
	}
	if err != nil {
		return appointmentRow{}, err
	}
	seat := seatOf(bit)
	v := h.appointment(slot, seat, now)
	made, err := insertAppointment(ctx, tx, v)
	if err != nil {
		return v, err
	}
	if !made {
		return rival(ctx, tx, h, errAgain)
	}
	s.changed(ctx, tx, v.Schedule)
	if free {
		return v, bookFree(ctx, tx, v, h.Policy)
	}
	return v, holdSeat(ctx, tx, v, seat, h.Policy)
}

// full says why no seat was to be had.
func full(ctx context.Context, tx db.Tx, h holding) error {
	v, err := scheduleIn(ctx, tx, h.Schedule.ID)
	switch {
	case err != nil:
		return err
	case v.Stopped:
		return scheduling.ErrScheduleStopped.New()
	case h.Request.Any:
		return scheduling.ErrFull.New()
	}
	return scheduling.ErrSlotTaken.New()
}

// rival looks for what stood in the way, the key first: the same request (a hit),
// another one under the key, or an active visit with the limit key; else it is otherwise.
func rival(ctx context.Context, tx db.Tx, h holding, otherwise error) (appointmentRow, error) {
	v, err := appointmentIn(ctx, tx, h.Request.ID)
	switch {
	case err == nil && h.same(v):
		return v, errHit
	case err == nil:
		return appointmentRow{}, scheduling.ErrKeyReused.New()
	case !errors.Is(err, scheduling.ErrNotFound):
		return v, err
	}
	var n int
	err = tx.QueryRow(ctx, `SELECT COUNT(*) FROM appointment WHERE tenant_id = $1 AND day = $2 AND limit_key = $3 AND state <> 'cancelled'`,
		tx.Tenant(), h.Schedule.Date, h.LimitKey).Scan(&n)
	switch {
	case err != nil:
		return v, err
	case n > 0:
		return appointmentRow{}, scheduling.ErrLimitReached.New()
	}
	return appointmentRow{}, otherwise
}

// takePersonTurn makes the person's bookings go one after the other and counts them.
func takePersonTurn(ctx context.Context, tx db.Tx, h holding) error {
	_, err := tx.Exec(ctx, `INSERT INTO person_turn (tenant_id, patient_id, turns) VALUES ($1, $2, 1)
		ON CONFLICT (tenant_id, patient_id) DO UPDATE SET turns = person_turn.turns + 1`, tx.Tenant(), h.Request.Patient)
	if err != nil {
		return err
	}
	rows, err := tx.Query(ctx, `SELECT day FROM appointment WHERE tenant_id = $1 AND patient_id = $2 AND day >= $3 AND day <= $4 AND state <> 'cancelled' LIMIT 1000`,
		tx.Tenant(), h.Request.Patient, h.Schedule.Date.Add(-92), h.Schedule.Date.Add(92))
	days, err := db.Collect(rows, err, func(r db.Rows, d *clock.Date) error { return r.Scan(d) })
	if err != nil {
		return err
	}
	return checkCaps(h.Rules.Caps, h.Schedule.Date, days)
}

// takeSlot takes the lowest free seat of the slot, or of the earliest slot that has one
// and has not begun.
func takeSlot(ctx context.Context, tx db.Tx, h holding, free bool) (v scheduling.Slot, bit int64, err error) {
	held, booked := 1, 0
	if free {
		held, booked = 0, 1
	}
	const takeSeatText = `UPDATE slot SET last_bit = ~taken & (taken + 1), taken = taken | (taken + 1), held = held + $3, booked = booked + $4, version = version + 1`
	const back = ` RETURNING last_bit, ` + slotColumns
	var row db.Row
	if h.Request.Any {
		row = tx.QueryRow(ctx, takeSeatText+` WHERE tenant_id = $1 AND taken <> full_mask AND id = (SELECT id FROM slot WHERE tenant_id = $1 AND schedule_id = $2
			AND taken <> full_mask AND starts_at > $5 ORDER BY starts_at LIMIT 1)`+back, tx.Tenant(), h.Schedule.ID, held, booked, tx.Now().UnixMicro())
	} else {
		row = tx.QueryRow(ctx, takeSeatText+` WHERE tenant_id = $1 AND id = $2 AND taken <> full_mask`+back, tx.Tenant(), h.Request.Slot, held, booked)
	}
	err = scanSlot(bitRow{row, &bit}, &v)
	return v, bit, err
}

// bitRow scans a leading column into bit.
type bitRow struct {
	db.Row
	bit *int64
}

// Scan implements db.Row.
func (r bitRow) Scan(dest ...any) error { return r.Row.Scan(append([]any{r.bit}, dest...)...) }

// appointment is the new appointment, pending.
func (h holding) appointment(slot scheduling.Slot, seat int, now time.Time) appointmentRow {
	sch := h.Schedule
	v := appointmentRow{AnySlot: h.Request.Any, LimitKey: h.LimitKey, Appointment: scheduling.Appointment{
		ID: h.Request.ID, RegNo: h.RegNo, Account: h.Account, Patient: h.Request.Patient, Schedule: sch.ID, Slot: slot.ID, Date: sch.Date, Session: sch.Session,
		StartsAt: slot.StartsAt, EndsAt: slot.EndsAt, Campus: sch.Campus, Department: sch.Department, Practitioner: sch.Practitioner, Class: sch.Class,
		Location: sch.Location, Fee: sch.Fee, State: firstState(sch.Fee), CancelBefore: cancelBefore(h.Rules.Cancel, sch.Date, sch.Class, slot.StartsAt),
		Version: 1, CreatedAt: now,
	}}
	if v.State == scheduling.Booked {
		v.Number = numberOf(slot.First, seat)
		return v
	}
	v.HoldExpiresAt = holdExpiry(h.Rules, now, slot.EndsAt)
	v.Payment = id.As[payment.Payment](v.ID)
	return v
}

func insertAppointment(ctx context.Context, tx db.Tx, v appointmentRow) (bool, error) {
	n, err := tx.Exec(ctx, `INSERT INTO appointment (tenant_id, id, reg_no, account_id, patient_id, schedule_id, slot_id, any_slot, day, session, starts_at, ends_at,
			campus_id, department_id, practitioner_id, class, location, fee_fen, number, state, cancel_reason, limit_key, hold_expires_at, cancel_before, payment_id,
			settlement, version, created_at, updated_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, '', $21, $22, $23, $24, '', $25, $26, $26) ON CONFLICT DO NOTHING`,
		tx.Tenant(), v.ID, v.RegNo, v.Account, v.Patient, v.Schedule, v.Slot, v.AnySlot, v.Date, string(v.Session), v.StartsAt.UnixMicro(), v.EndsAt.UnixMicro(),
		v.Campus, v.Department, v.Practitioner, string(v.Class), v.Location, int64(v.Fee), v.Number, string(v.State), v.LimitKey, db.Micros(v.HoldExpiresAt),
		v.CancelBefore.UnixMicro(), id.Null(v.Payment), v.Version, v.CreatedAt.UnixMicro())
	return n == 1, err
}

// holdSeat keeps the seat for the payment, with the timer that ends it and the job that
// opens the payment if the request does not come to it.
func holdSeat(ctx context.Context, tx db.Tx, v appointmentRow, seat int, policy string) error {
	_, err := tx.Exec(ctx, `INSERT INTO hold (tenant_id, appointment_id, slot_id, seat, expires_at) VALUES ($1, $2, $3, $4, $5)`,
		tx.Tenant(), v.ID, v.Slot, seat, v.HoldExpiresAt.UnixMicro())
	if err != nil {
		return err
	}
	if err := note(ctx, tx, &v, transition{To: scheduling.Pending, By: byHold, Action: "scheduling.hold", Policy: policy}); err != nil {
		return err
	}
	if err := enqueue(ctx, tx, jobExpire, v.HoldExpiresAt, about{Appointment: v.ID}); err != nil {
		return err
	}
	if err := enqueue(ctx, tx, jobOpen, tx.Now().Add(openGrace), about{Appointment: v.ID}); err != nil {
		return err
	}
	return outbox.Add(ctx, tx, scheduling.AppointmentHeld{Visit: v.visit(), ExpiresAt: v.HoldExpiresAt})
}

// openGrace is how long the request itself has to open the payment.
const openGrace = 2 * time.Second

// bookFree books a number without a fee in the transaction of its hold.
func bookFree(ctx context.Context, tx db.Tx, v appointmentRow, policy string) error {
	if err := note(ctx, tx, &v, transition{To: scheduling.Booked, By: byHold, Action: "scheduling.hold", Policy: policy}); err != nil {
		return err
	}
	return bookedEvent(ctx, tx, v)
}
