package schedulingsvc

import (
	"context"

	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/db"
	"xinglin/internal/scheduling"
	"xinglin/internal/scheduling/seatview"
)

// Reads of the live counts and of the calendar. A session's live version is the sum of
// its own and its slots' versions: every change of a seat or of the plan raises it, so
// of two reads the one with the higher version is the newer. Each text is one statement,
// so that version and seats are of one moment.

type scheduleID = id.ID[scheduling.Schedule]

// maxAsked is how many sessions one statement names.
const maxAsked = 512

// counts reads the seats of at most maxAsked schedules, slot by slot.
func (s store) counts(ctx context.Context, t scheduling.TenantID, ids []scheduleID) (out []seatview.Count, err error) {
	if len(ids) == 0 {
		return nil, nil
	}
	list, args := db.Few([]any{t}, ids)
	err = s.db.Read(ctx, t, func(ctx context.Context, tx db.Tx) error {
		out = nil
		rows, err := tx.Query(ctx, `SELECT s.id, s.version, l.id, l.version, l.capacity, l.held + l.booked
			FROM schedule s JOIN slot l ON l.tenant_id = s.tenant_id AND l.schedule_id = s.id
			WHERE s.tenant_id = $1 AND s.id IN (`+list+`) ORDER BY s.id, l.starts_at`, args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var schedule scheduleID
			var slot id.ID[scheduling.Slot]
			var own, version int64
			var capacity, used int
			if err := rows.Scan(&schedule, &own, &slot, &version, &capacity, &used); err != nil {
				return err
			}
			if len(out) == 0 || out[len(out)-1].Schedule != schedule {
				out = append(out, seatview.Count{Schedule: schedule, Version: own, At: tx.Now()})
			}
			c := &out[len(out)-1]
			c.Version += version
			if capacity > 0 { // else cut away by a later plan
				c.Remaining += capacity - used
				c.Slots = append(c.Slots, seatview.SlotLeft{ID: slot, Remaining: capacity - used})
			}
		}
		return rows.Err()
	})
	return out, err
}

// versions reads only the live versions of at most maxAsked schedules.
func (s store) versions(ctx context.Context, t scheduling.TenantID, ids []scheduleID) (out map[scheduleID]int64, err error) {
	out = make(map[scheduleID]int64, len(ids))
	if len(ids) == 0 {
		return out, nil
	}
	list, args := db.Few([]any{t}, ids)
	err = s.db.Read(ctx, t, func(ctx context.Context, tx db.Tx) error {
		rows, err := tx.Query(ctx, `SELECT s.id, s.version + CAST(SUM(l.version) AS BIGINT)
			FROM schedule s JOIN slot l ON l.tenant_id = s.tenant_id AND l.schedule_id = s.id
			WHERE s.tenant_id = $1 AND s.id IN (`+list+`) GROUP BY s.id, s.version`, args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var v scheduleID
			var version int64
			if err := rows.Scan(&v, &version); err != nil {
				return err
			}
			out[v] = version
		}
		return rows.Err()
	})
	return out, err
}

const viewColumns = `s.id, s.day, s.campus_id, s.department_id, s.practitioner_id, s.starts_at, s.ends_at, s.released_at, s.stopped, s.version + CAST(SUM(l.version) AS BIGINT),
	CAST(SUM(l.capacity - l.held - l.booked) AS BIGINT) FROM schedule s JOIN slot l ON l.tenant_id = s.tenant_id AND l.schedule_id = s.id`

const viewGroup = ` GROUP BY s.id, s.day, s.campus_id, s.department_id, s.practitioner_id, s.starts_at, s.ends_at, s.released_at, s.stopped, s.version`

func scanSeats(r db.Rows, v *seatview.Session) error {
	return r.Scan(&v.ID, &v.Day, &v.Row.Campus, &v.Row.Department, &v.Row.Practitioner, &v.Starts, &v.Ends, &v.Released, &v.Stopped, &v.Version, &v.Remaining)
}

// seatsOf reads sessions for the calendar, at most maxAsked.
func (s store) seatsOf(ctx context.Context, t scheduling.TenantID, ids []scheduleID) (out []seatview.Session, err error) {
	if len(ids) == 0 {
		return nil, nil
	}
	list, args := db.Few([]any{t}, ids)
	err = s.db.Read(ctx, t, func(ctx context.Context, tx db.Tx) error {
		rows, err := tx.Query(ctx, `SELECT `+viewColumns+` WHERE s.tenant_id = $1 AND s.id IN (`+list+`)`+viewGroup, args...)
		out, err = db.Collect(rows, err, scanSeats)
		return err
	})
	return out, err
}

// seatsOn reads the sessions of from..to for the calendar, at most limit.
func (s store) seatsOn(ctx context.Context, t scheduling.TenantID, from, to clock.Date, limit int) (out []seatview.Session, err error) {
	err = s.db.Read(ctx, t, func(ctx context.Context, tx db.Tx) error {
		rows, err := tx.Query(ctx, `SELECT `+viewColumns+` WHERE s.tenant_id = $1 AND s.day >= $2 AND s.day <= $3`+viewGroup+` LIMIT $4`, t, from, to, limit)
		out, err = db.Collect(rows, err, scanSeats)
		return err
	})
	return out, err
}
