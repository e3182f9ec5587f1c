package schedulingsvc

import (
	"context"
	"errors"

	"xinglin/internal/kernel/clock"
	"xinglin/internal/platform/batch"
	"xinglin/internal/platform/db"
	"xinglin/internal/scheduling"
)

// readSaleSQLite reads a sale with prepared statements in a loop: the file has one writer,
// which is us, so there is nothing to lock.
func readSaleSQLite(ctx context.Context, tx db.Tx, v *sale, seats seatsRead) error {
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
		p.Query(seats.each, `SELECT id, taken, holders FROM slot WHERE tenant_id = $1 AND schedule_id = $2 AND taken <> full_mask AND starts_at > $3 ORDER BY starts_at LIMIT $4`,
			tx.Tenant(), schedule, v.now.UnixMicro(), counts[schedule])
		if err := tx.Send(ctx, p); err != nil {
			return err
		}
	}
	p := &db.Pipeline{}
	for _, slot := range named {
		p.Query(seats.each, `SELECT id, taken, holders FROM slot WHERE tenant_id = $1 AND id = $2`, tx.Tenant(), slot)
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

// decideSQLite decides and writes one bid. The file's constraints see what stands in its
// way at less cost than a look before; only then it is looked for.
func decideSQLite(ctx context.Context, tx db.Tx, v *sale, b *bid) error {
	refusal := v.give(b)
	if refusal == nil {
		made, err := insertSQLite(ctx, tx, &b.row)
		if err != nil {
			return err
		}
		if made {
			b.state = bidSold
			return nil
		}
		v.takeBack(b)
		refusal = batch.ErrAgain
	}
	switch row, err := appointmentIn(ctx, tx, b.h.Request.ID); {
	case err == nil:
		v.known[row.ID] = row
	case !errors.Is(err, scheduling.ErrNotFound):
		return err
	default:
		uses := v.uses(b)
		if v.limits[uses[0]], err = limited(ctx, tx, uses); err != nil {
			return err
		}
	}
	if !v.hindered(b) {
		b.refuse(refusal)
	}
	return nil
}

func insertSQLite(ctx context.Context, tx db.Tx, v *appointmentRow) (made bool, err error) {
	n, err := tx.Exec(ctx, `INSERT INTO appointment (tenant_id, id, account_id, patient_id, slot_id, fee_fen, created_at, state_at, cancel_before, scope, day, number, version,
			any_slot, per_account, state, cancel_reason, settlement)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, 1, $13, $14, $15, '', '') ON CONFLICT DO NOTHING`,
		tx.Tenant(), v.ID, v.Account, v.Patient, v.Slot, int64(v.Fee), tx.Now().UnixMicro(), v.stateAt().UnixMicro(), v.CancelBefore.UnixMicro(), v.Scope, v.Date, v.Seat,
		v.AnySlot, v.PerAccount, string(v.State))
	return n == 1, err
}

// saveTraysSQLite counts the seats before the commit.
func saveTraysSQLite(tx db.Tx, v *sale) {
	for _, t := range v.tills {
		for _, y := range t.trays {
			if y.bits != 0 {
				tx.Last(`UPDATE slot SET taken = CASE WHEN taken & $3 = 0 THEN taken | $3 ELSE -1 END, held = held + $4, booked = booked + $5, holders = $6, version = version + 1
					WHERE tenant_id = $1 AND id = $2`, tx.Tenant(), y.slot.ID, y.bits, y.held, y.booked, []byte(y.holders))
			}
		}
	}
}
