package schedulingsvc

import (
	"context"
	"errors"

	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/db"
	"xinglin/internal/scheduling"
)

// readSaleSQLite reads a sale with prepared statements in a loop: the file has one writer,
// which is us, so there is nothing to lock.
func readSaleSQLite(ctx context.Context, tx db.Tx, v *sale, seats map[id.ID[scheduling.Slot]]int64) error {
	schedules, counts, any, named, people := v.asked()
	for _, schedule := range schedules {
		l := lockedRow{schedule: schedule}
		err := tx.QueryRow(ctx, `SELECT version, stopped, released_at FROM schedule WHERE tenant_id = $1 AND id = $2`, tx.Tenant(), schedule).Scan(&l.version, &l.stopped, db.Instant(&l.released))
		if errors.Is(err, db.ErrNoRows) {
			continue
		}
		if err != nil {
			return err
		}
		v.locked(l)
		if !any[schedule] {
			continue
		}
		p := &db.Pipeline{}
		p.Query(seatsInto(seats), `SELECT id, taken FROM slot WHERE tenant_id = $1 AND schedule_id = $2 AND taken <> full_mask AND starts_at > $3 ORDER BY starts_at LIMIT $4`,
			tx.Tenant(), schedule, v.now.UnixMicro(), counts[schedule])
		if err := tx.Send(ctx, p); err != nil {
			return err
		}
	}
	p := &db.Pipeline{}
	for _, slot := range named {
		p.Query(seatsInto(seats), `SELECT id, taken FROM slot WHERE tenant_id = $1 AND id = $2`, tx.Tenant(), slot)
	}
	days, past := v.capDays(), v.asksPast()
	for _, who := range people {
		for _, day := range days {
			p.Query(db.Each(func(r db.Rows) error {
				v.days[who] = append(v.days[who], day)
				return nil
			}), `SELECT 1 FROM appointment WHERE tenant_id = $1 AND day = $2 AND patient_id = $3 AND state <> 'cancelled'`, tx.Tenant(), day, who)
		}
		if past {
			p.Query(db.Each(func(r db.Rows) error { return v.incident(r) }),
				`SELECT patient_id, kind, day, on_day FROM incident WHERE tenant_id = $1 AND patient_id = $2 AND day >= $3`, tx.Tenant(), who, clock.DateOf(v.now).Add(-pastDays))
		}
	}
	return tx.Send(ctx, p)
}

func seatsInto(seats map[id.ID[scheduling.Slot]]int64) func(db.Rows) error {
	return db.Each(func(r db.Rows) error {
		var slot id.ID[scheduling.Slot]
		var taken int64
		err := r.Scan(&slot, &taken)
		seats[slot] = taken
		return err
	})
}

func insertGivenSQLite(ctx context.Context, tx db.Tx, given []*bid) (map[id.ID[scheduling.Appointment]]bool, error) {
	made := make(map[id.ID[scheduling.Appointment]]bool, len(given))
	for _, b := range given {
		v := &b.row
		n, err := tx.Exec(ctx, `INSERT INTO appointment (tenant_id, id, account_id, patient_id, schedule_id, slot_id, scope, fee_fen, hold_expires_at, cancel_before,
				version, created_at, updated_at, day, number, any_slot, per_account, state, cancel_reason, settlement)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 1, $11, $11, $12, $13, $14, $15, $16, '', '') ON CONFLICT DO NOTHING`,
			tx.Tenant(), v.ID, v.Account, v.Patient, v.Schedule, v.Slot, v.Scope, int64(v.Fee), db.Micros(v.HoldExpiresAt), v.CancelBefore.UnixMicro(),
			tx.Now().UnixMicro(), v.Date, v.Seat, v.AnySlot, v.PerAccount, string(v.State))
		if err != nil {
			return nil, err
		}
		if n == 1 {
			made[v.ID] = true
		}
	}
	return made, nil
}

func rivalsSQLite(ctx context.Context, tx db.Tx, open []*bid) (known map[id.ID[scheduling.Appointment]]appointmentRow, busy map[*bid]bool, err error) {
	known, busy = map[id.ID[scheduling.Appointment]]appointmentRow{}, map[*bid]bool{}
	for _, b := range open {
		v, err := appointmentIn(ctx, tx, b.h.Request.ID)
		if err == nil {
			known[v.ID] = v
			continue
		}
		if !errors.Is(err, scheduling.ErrNotFound) {
			return nil, nil, err
		}
		if busy[b], err = limited(ctx, tx, b.h.Rules.Limit, b.h.Session.scheduleRow, b.h.Request.Patient, b.h.Account); err != nil {
			return nil, nil, err
		}
	}
	return known, busy, nil
}

// saveTraysSQLite counts the seats before the commit.
func saveTraysSQLite(tx db.Tx, v *sale) {
	for _, t := range v.tills {
		for _, y := range t.trays {
			if y.bits != 0 {
				tx.Last(`UPDATE slot SET taken = taken | $3, held = held + $4, booked = booked + $5, version = version + 1 WHERE tenant_id = $1 AND id = $2`,
					tx.Tenant(), y.slot.ID, y.bits, y.held, y.booked)
			}
		}
	}
}
