package schedulingsvc

import (
	"context"
	"errors"
	"time"

	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/id"
	"xinglin/internal/kernel/money"
	"xinglin/internal/payment"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/job"
	"xinglin/internal/platform/obs"
	"xinglin/internal/platform/outbox"
	"xinglin/internal/platform/trail"
	"xinglin/internal/scheduling"
	"xinglin/internal/scheduling/bookingrules"
)

// appointmentRow is an appointment as stored. Seat is the number that belongs to its seat,
// also before it is booked.
type appointmentRow struct {
	scheduling.Appointment
	Seat       int
	Scope      int32
	AnySlot    bool
	PerAccount bool
}

const (
	appointmentColumns = `a.id, a.account_id, a.patient_id, s.schedule_id, a.slot_id, a.any_slot, a.per_account, a.scope, a.day, c.session, s.starts_at, s.ends_at,
	c.campus_id, c.department_id, c.practitioner_id, c.class, c.location, a.fee_fen, a.number, a.state, a.cancel_reason, a.state_at, a.cancel_before, a.settlement,
	a.version, a.created_at`
	appointmentTables = ` FROM appointment a` + appointmentPlan
	appointmentPlan   = ` JOIN slot s ON s.tenant_id = a.tenant_id AND s.id = a.slot_id JOIN schedule c ON c.tenant_id = s.tenant_id AND c.id = s.schedule_id`
)

func scanAppointment(r db.Row, v *appointmentRow) error {
	var moved time.Time
	err := r.Scan(&v.ID, &v.Account, &v.Patient, &v.Schedule, &v.Slot, &v.AnySlot, &v.PerAccount, &v.Scope, &v.Date, (*string)(&v.Session), db.Instant(&v.StartsAt), db.Instant(&v.EndsAt),
		&v.Campus, &v.Department, &v.Practitioner, (*string)(&v.Class), &v.Location, (*int64)(&v.Fee), &v.Seat, (*string)(&v.State), (*string)(&v.CancelReason),
		db.Instant(&moved), db.Instant(&v.CancelBefore), (*string)(&v.Settlement), &v.Version, db.Instant(&v.CreatedAt))
	v.RegNo = bookingrules.RegNo(v.ID, v.Date)
	v.HoldExpiresAt = time.Time{}
	if v.State == scheduling.Pending {
		v.HoldExpiresAt = moved
	}
	if v.Fee > 0 {
		v.Payment = id.As[payment.Payment](v.ID)
	}
	if v.Fee == 0 || v.Settlement == scheduling.Applied { // it was booked: the number was given
		v.Number = v.Seat
	}
	return err
}

// stateAt is what a new row keeps of its state's time.
func (v *appointmentRow) stateAt() time.Time {
	if v.State == scheduling.Pending {
		return v.HoldExpiresAt
	}
	return v.CreatedAt
}

// appointmentIn reads one within a transaction; scheduling.not_found.
func appointmentIn(ctx context.Context, tx db.Tx, a id.ID[scheduling.Appointment]) (v appointmentRow, err error) {
	err = one(scanAppointment(tx.QueryRow(ctx, `SELECT `+appointmentColumns+appointmentTables+` WHERE a.tenant_id = $1 AND a.id = $2`, tx.Tenant(), a), &v))
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
		later, err := db.Collect(rows, err, func(r db.Rows, h *scheduling.Transition) error {
			return r.Scan((*string)(&h.From), (*string)(&h.To), db.Instant(&h.At), &h.By)
		})
		v.History = append([]scheduling.Transition{{To: bookingrules.FirstState(v.Fee), At: v.CreatedAt, By: byHold}}, later...)
		return err
	})
	return v, err
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
	n, err := tx.Exec(ctx, `UPDATE appointment SET state = $3, number = $4, cancel_reason = $5, state_at = CASE WHEN $3 = 'pending' THEN state_at ELSE $7 END,
			settlement = $6, version = version + 1
		WHERE tenant_id = $1 AND id = $2 AND state = $8 AND version = $9`,
		tx.Tenant(), v.ID, string(v.State), v.Seat, string(v.CancelReason), string(v.Settlement), tx.Now().UnixMicro(), string(from), v.Version)
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

// Jobs about appointments, keyed by them.
const (
	jobExpire = "scheduling.expire_holds" // of the holds of one batch that end together
	jobReturn = "scheduling.return_seat"
	jobClose  = "scheduling.close_payment"
	jobRefund = "scheduling.refund_payment"
)

// about is the payload of these jobs: ids, codes and amounts.
type about struct {
	Appointment id.ID[scheduling.Appointment] `json:"appointment"`
	Amount      money.Fen                     `json:"amount_fen,omitempty"` // of a refund
	Reason      string                        `json:"reason,omitempty"`     // of a refund, a code
}

// expiring is the payload of jobExpire.
type expiring struct {
	Appointments []id.ID[scheduling.Appointment] `json:"appointments"`
}

// workMax is how often such a job is tried before a person must look: with pauses of up
// to ten minutes about three hours.
const workMax = 25

func enqueue(ctx context.Context, tx db.Tx, kind string, at time.Time, p about) error {
	return job.Enqueue(ctx, tx, job.Spec{Kind: kind, Key: p.Appointment.String(), RunAt: at, Payload: p, Max: workMax})
}

// giveBack frees the seat of a pending or booked appointment at once or, by the rules,
// later. The caller holds the schedule's lock.
func (s store) giveBack(ctx context.Context, tx db.Tx, v appointmentRow, from scheduling.State, at time.Time) error {
	var first int
	err := tx.QueryRow(ctx, `SELECT first FROM slot WHERE tenant_id = $1 AND id = $2`, tx.Tenant(), v.Slot).Scan(&first)
	if err != nil {
		return err
	}
	seat, held, booked := v.Seat-first, 0, 1
	if from == scheduling.Pending {
		held, booked = 1, 0
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
		tx.Tenant(), v.Slot, bookingrules.BitOf(seat), held, booked)
	if err != nil {
		return err
	}
	if n == 0 {
		return errRaced
	}
	s.freed(ctx, tx, v.Schedule)
	return nil
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

// incidentsIn reads what counts against a person; today bounds how far back.
func incidentsIn(ctx context.Context, tx db.Tx, p scheduling.PatientID, today clock.Date) (out bookingrules.Incidents, err error) {
	rows, err := tx.Query(ctx, `SELECT patient_id, kind, day, on_day FROM incident WHERE tenant_id = $1 AND patient_id = $2 AND day >= $3 ORDER BY day DESC LIMIT 500`,
		tx.Tenant(), p, today.Add(-pastDays))
	_, err = db.Collect(rows, err, func(r db.Rows, _ *struct{}) error {
		return scanIncident(r, func(scheduling.PatientID) *bookingrules.Incidents { return &out })
	})
	return out, err
}

// scanIncident adds a row of person, kind, day and the day on which it happened.
func scanIncident(r db.Row, of func(scheduling.PatientID) *bookingrules.Incidents) error {
	var who scheduling.PatientID
	var kind string
	var day, on clock.Date
	if err := r.Scan(&who, &kind, &day, &on); err != nil {
		return err
	}
	of(who).Add(kind == "missed", day, on)
	return nil
}

// limited reports whether a person has a visit that counts against one of the limits.
func limited(ctx context.Context, tx db.Tx, uses []limit) (bool, error) {
	for _, l := range uses {
		text := `SELECT COUNT(*) FROM appointment WHERE tenant_id = $1 AND day = $2 AND patient_id = $3 AND scope = $4 AND state <> 'cancelled'`
		if l.phone {
			text = `SELECT COUNT(*) FROM appointment WHERE tenant_id = $1 AND day = $2 AND account_id = $3 AND scope = $4 AND per_account AND state <> 'cancelled'`
		}
		var n int
		if err := tx.QueryRow(ctx, text, tx.Tenant(), l.day, id.ID[id.Any](l.who), l.scope).Scan(&n); err != nil || n > 0 {
			return n > 0, err
		}
	}
	return false, nil
}

// fileVisit keeps a visit that will not be found among those to come, for its account's list; nobody's (booked at the
// window) for its person, whose account may come later.
func fileVisit(ctx context.Context, tx db.Tx, v appointmentRow) error {
	owner := id.As[id.Any](v.Account)
	if owner.IsZero() {
		owner = id.As[id.Any](v.Patient)
	}
	_, err := tx.Exec(ctx, `INSERT INTO filed_visit (tenant_id, owner_id, day, appointment_id) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING`,
		tx.Tenant(), owner, v.Date, v.ID)
	return err
}

// noteIncident counts a visit that was missed, or returned by the patient.
func noteIncident(ctx context.Context, tx db.Tx, v appointmentRow, kind string) error {
	_, err := tx.Exec(ctx, `INSERT INTO incident (tenant_id, patient_id, appointment_id, kind, day, on_day) VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING`,
		tx.Tenant(), v.Patient, v.ID, kind, v.Date, clock.DateOf(tx.Now()))
	return err
}
