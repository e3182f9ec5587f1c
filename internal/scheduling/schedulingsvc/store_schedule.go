package schedulingsvc

import (
	"context"
	"strconv"
	"time"

	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/db"
	"xinglin/internal/scheduling"
	"xinglin/internal/scheduling/bookingrules"
	"xinglin/internal/scheduling/seatview"
)

const scheduleColumns = `id, day, session, campus_id, department_id, practitioner_id, class, fee_fen, starts_at, ends_at, location, released_at, stopped, capacity, updated_at, version, lottery_s`

// leftOf is the column that counts a session's free seats: its slots are the only truth.
const leftOf = `, (SELECT COALESCE(SUM(l.capacity - l.held - l.booked), 0) FROM slot l WHERE l.tenant_id = schedule.tenant_id AND l.schedule_id = schedule.id)`

// scheduleRow is a schedule as stored. Remaining is set only where a query counts it.
type scheduleRow struct {
	scheduling.Schedule
	Stopped bool
	Window  int // of the lottery that decides, in seconds; 0: none, or it is over
}

func scanSchedule(r db.Row, v *scheduleRow, more ...any) error {
	err := r.Scan(append([]any{
		&v.ID, &v.Date, (*string)(&v.Session), &v.Campus, &v.Department, &v.Practitioner, (*string)(&v.Class), (*int64)(&v.Fee),
		db.Instant(&v.StartsAt), db.Instant(&v.EndsAt), &v.Location, db.Instant(&v.ReleasedAt), &v.Stopped, &v.Capacity, db.Instant(&v.UpdatedAt), &v.Version, &v.Window,
	}, more...)...)
	v.Lottery = v.Window > 0
	return err
}

// shown is the schedule as callers see it now.
func (v scheduleRow) shown(now time.Time) scheduling.Schedule {
	v.Schedule.State = seatview.State(v.Stopped, v.ReleasedAt, v.EndsAt, v.Remaining, now)
	return v.Schedule
}

func (s store) schedules(ctx context.Context, t scheduling.TenantID, q scheduling.ScheduleQuery, now time.Time) (out []scheduling.Schedule, err error) {
	text, key := `SELECT `+scheduleColumns+leftOf+` FROM schedule WHERE tenant_id = $1 AND department_id = $2 AND day >= $3 AND day <= $4 ORDER BY day, starts_at, id LIMIT $5`, any(q.Department)
	if q.Department.IsZero() {
		text, key = `SELECT `+scheduleColumns+leftOf+` FROM schedule WHERE tenant_id = $1 AND practitioner_id = $2 AND day >= $3 AND day <= $4 ORDER BY day, starts_at, id LIMIT $5`, any(q.Practitioner)
	}
	err = s.db.Read(ctx, t, func(ctx context.Context, tx db.Tx) error {
		rows, err := tx.Query(ctx, text, t, key, q.From, q.To, maxSchedules)
		found, err := db.Collect(rows, err, func(r db.Rows, v *scheduleRow) error { return scanSchedule(r, v, &v.Remaining) })
		out = make([]scheduling.Schedule, 0, len(found))
		for _, v := range found {
			out = append(out, v.shown(now))
		}
		return err
	})
	return out, err
}

// scheduleIn reads one schedule within a transaction.
func scheduleIn(ctx context.Context, tx db.Tx, schedule id.ID[scheduling.Schedule]) (v scheduleRow, err error) {
	err = one(scanSchedule(tx.QueryRow(ctx, `SELECT `+scheduleColumns+` FROM schedule WHERE tenant_id = $1 AND id = $2`, tx.Tenant(), schedule), &v))
	return v, err
}

const slotColumns = `id, schedule_id, starts_at, ends_at, first, capacity, held, booked`

func scanSlot(r db.Row, v *scheduling.Slot) error {
	var held, booked int
	err := r.Scan(&v.ID, &v.Schedule, db.Instant(&v.StartsAt), db.Instant(&v.EndsAt), &v.First, &v.Capacity, &held, &booked)
	v.Remaining = v.Capacity - held - booked
	return err
}

func (s store) slots(ctx context.Context, t scheduling.TenantID, schedule id.ID[scheduling.Schedule], now time.Time) (out []scheduling.Slot, rules scheduling.BookingRules, err error) {
	err = s.db.Read(ctx, t, func(ctx context.Context, tx db.Tx) error {
		v, err := scheduleIn(ctx, tx, schedule)
		if err != nil {
			return err
		}
		if rules, _, err = rulesIn(ctx, tx); err != nil {
			return err
		}
		if out, err = slotsIn(ctx, tx, schedule); err != nil {
			return err
		}
		for _, l := range out {
			v.Remaining += l.Remaining
		}
		state := seatview.State(v.Stopped, v.ReleasedAt, v.EndsAt, v.Remaining, now)
		for i := range out {
			out[i].State = bookingrules.SlotState(state, out[i].StartsAt, out[i].Remaining, out[i].Capacity, now)
		}
		return nil
	})
	return out, rules, err
}

func slotsIn(ctx context.Context, tx db.Tx, schedule id.ID[scheduling.Schedule]) ([]scheduling.Slot, error) {
	rows, err := tx.Query(ctx, `SELECT `+slotColumns+` FROM slot WHERE tenant_id = $1 AND schedule_id = $2 AND capacity > 0 ORDER BY starts_at LIMIT `+strconv.Itoa(slotsMax), tx.Tenant(), schedule)
	return db.Collect(rows, err, func(r db.Rows, v *scheduling.Slot) error { return scanSlot(r, v) })
}
