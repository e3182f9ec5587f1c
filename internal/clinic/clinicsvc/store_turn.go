package clinicsvc

import (
	"context"
	"errors"
	"fmt"
	"time"

	"xinglin/internal/clinic"
	"xinglin/internal/clinic/turnorder"
	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/id"
	"xinglin/internal/patient"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/trail"
	"xinglin/internal/scheduling"
)

// booked is what an event or a read of scheduling says of a turn.
type booked struct {
	scheduling.Visit
	Number int
}

func (b booked) line() lineKey {
	return lineKey{b.Schedule, b.Date, b.Session, b.Campus, b.Department, b.Practitioner}
}

// turnRow is a turn as stored.
type turnRow struct {
	ID          appointmentID
	Schedule    scheduleID
	Account     id.ID[auth.Account]
	Patient     patient.ID
	Number      int
	StartsAt    time.Time
	State       clinic.State
	Late        bool
	Special     bool
	Joined      int64
	JoinedAt    time.Time
	Passed      int64
	Back        int
	CheckedInAt time.Time
	CalledAt    time.Time
	AnnouncedAt time.Time
	LeftAt      time.Time
	Calls       int
}

func (v turnRow) waiting() turnorder.Waiting[appointmentID] {
	return turnorder.Waiting[appointmentID]{Key: v.ID, Number: v.Number, Special: v.Special, Joined: v.Joined, Since: v.JoinedAt, Passed: v.Passed}
}

const turnColumns = `id, line_id, account_id, patient_id, number, starts_at, state, late, special, joined, joined_at, passed, back, checked_in_at, called_at, announced_at, left_at, calls`

func scanTurn(r db.Row, v *turnRow) error {
	return r.Scan(&v.ID, &v.Schedule, &v.Account, &v.Patient, &v.Number, db.Instant(&v.StartsAt), (*string)(&v.State), &v.Late, &v.Special,
		&v.Joined, db.Instant(&v.JoinedAt), &v.Passed, &v.Back, db.Instant(&v.CheckedInAt), db.Instant(&v.CalledAt), db.Instant(&v.AnnouncedAt), db.Instant(&v.LeftAt), &v.Calls)
}

func (s store) turn(ctx context.Context, t clinic.TenantID, turn appointmentID) (v turnRow, err error) {
	err = s.db.Read(ctx, t, func(ctx context.Context, tx db.Tx) error {
		v, err = turnIn(ctx, tx, turn)
		return err
	})
	return v, err
}

func turnIn(ctx context.Context, tx db.Tx, turn appointmentID) (v turnRow, err error) {
	err = one(scanTurn(tx.QueryRow(ctx, `SELECT `+turnColumns+` FROM turn WHERE tenant_id = $1 AND id = $2`, tx.Tenant(), turn), &v))
	return v, err
}

// queueRows is a line with its turns at one moment.
type queueRows struct {
	line  lineRow
	turns []turnRow
	pace  []time.Duration
}

// queue reads a line with those who are there and, if all, the others too.
func (s store) queue(ctx context.Context, t clinic.TenantID, line scheduleID, all bool) (q queueRows, err error) {
	err = s.db.Read(ctx, t, func(ctx context.Context, tx db.Tx) error {
		if q.line, err = lineIn(ctx, tx, line); err != nil {
			return err
		}
		q.turns, err = turnsIn(ctx, tx, line, all)
		if err != nil {
			return err
		}
		q.pace, err = paceIn(ctx, tx, line)
		return err
	})
	return q, err
}

// turnsIn reads who is called or waits and, if all, who is missed, expected or done.
func turnsIn(ctx context.Context, tx db.Tx, line scheduleID, all bool) ([]turnRow, error) {
	states := `('called', 'waiting')`
	if all {
		states = `('called', 'waiting', 'missed', 'expected', 'done')`
	}
	rows, err := tx.Query(ctx, `SELECT `+turnColumns+` FROM turn WHERE tenant_id = $1 AND line_id = $2 AND state IN `+states+`
		ORDER BY CASE state WHEN 'called' THEN 1 WHEN 'waiting' THEN 2 WHEN 'missed' THEN 3 WHEN 'expected' THEN 4 ELSE 5 END, number, id LIMIT $3`,
		tx.Tenant(), line, clinic.MaxTurns)
	return db.Collect(rows, err, func(r db.Rows, v *turnRow) error { return scanTurn(r, v) })
}

// paceIn is how long the last calls of the line took, the latest first.
func paceIn(ctx context.Context, tx db.Tx, line scheduleID) ([]time.Duration, error) {
	rows, err := tx.Query(ctx, `SELECT left_at - called_at FROM turn WHERE tenant_id = $1 AND line_id = $2 AND left_at IS NOT NULL AND state <> 'gone'
		ORDER BY left_at DESC LIMIT $3`, tx.Tenant(), line, turnorder.MaxPace)
	return db.Collect(rows, err, func(r db.Rows, d *time.Duration) error {
		var us int64
		err := r.Scan(&us)
		*d = time.Duration(us) * time.Microsecond
		return err
	})
}

// booked makes the turns of new bookings. One that is there, or gone, stays as it is.
func (s store) booked(ctx context.Context, tx db.Tx, all []booked) error {
	lines, ids := make([]lineKey, len(all)), make([]scheduleID, len(all))
	rows := make([][]any, len(all))
	for i, b := range all {
		lines[i], ids[i] = b.line(), b.Schedule
		rows[i] = b.row(tx, clinic.Expected)
	}
	if err := s.published(ctx, tx, lines); err != nil {
		return err
	}
	if err := s.changed(ctx, tx, ids); err != nil {
		return err
	}
	return insertMany(ctx, tx, insertTurn, 12, rows)
}

const insertTurn = `INSERT INTO turn (tenant_id, id, line_id, account_id, patient_id, number, starts_at, state, late, special, created_at, updated_at) VALUES `

func (b booked) row(tx db.Tx, to clinic.State) []any {
	now := tx.Now().UnixMicro()
	return []any{tx.Tenant(), b.Appointment, b.Schedule, id.Null(b.Account), b.Patient, b.Number, b.StartsAt.UnixMicro(), string(to), false, false, now, now}
}

// adopt is booked for one that was read from scheduling before its event came.
func (s store) adopt(ctx context.Context, t clinic.TenantID, b booked) error {
	return s.db.Write(ctx, t, func(ctx context.Context, tx db.Tx) error { return s.booked(ctx, tx, []booked{b}) })
}

// giveUp ends the turn of a cancelled appointment. One that is not there yet is made as
// gone, so that its booking, when it comes, changes nothing. Who was seen stays seen.
func (s store) giveUp(ctx context.Context, tx db.Tx, b booked, why scheduling.CancelReason) error {
	if err := s.published(ctx, tx, []lineKey{b.line()}); err != nil {
		return err
	}
	if err := s.changed(ctx, tx, []scheduleID{b.Schedule}); err != nil {
		return err
	}
	v, err := turnIn(ctx, tx, b.Appointment)
	switch {
	case errors.Is(err, clinic.ErrNotFound):
		if err := insertMany(ctx, tx, insertTurn, 12, [][]any{b.row(tx, clinic.Expected)}); err != nil {
			return err
		}
		v = turnRow{ID: b.Appointment, State: clinic.Expected}
	case err != nil:
		return err
	case !turns.Can(v.State, clinic.Gone): // seen, or gone already
		return nil
	}
	if err := s.set(ctx, tx, v, clinic.Gone, ``); err != nil {
		return err
	}
	if v.State == clinic.Called { // the key of the doctor must not take the next one for this one
		if _, err := s.move(ctx, tx, b.Schedule, anyVersion); err != nil {
			return err
		}
	}
	act, err := trail.Record(ctx, tx, trail.Entry{
		Action: "clinic.give_up", Noun: "Appointment", ID: v.ID.String(), Policy: "clinic.machine", Why: string(why),
		Changed: map[string]trail.Change{"state": {From: string(v.State), To: string(clinic.Gone)}},
	})
	if err != nil {
		return err
	}
	return note(ctx, tx, v.ID, v.State, clinic.Gone, act)
}

// set makes a step of a turn that has this state; more are further columns, whose
// arguments begin with $6.
func (s store) set(ctx context.Context, tx db.Tx, v turnRow, to clinic.State, more string, args ...any) error {
	if !turns.Can(v.State, to) {
		return clinic.ErrState.New()
	}
	n, err := tx.Exec(ctx, `UPDATE turn SET state = $4, updated_at = $5`+more+` WHERE tenant_id = $1 AND id = $2 AND state = $3`,
		append([]any{tx.Tenant(), v.ID, string(v.State), string(to), tx.Now().UnixMicro()}, args...)...)
	if err == nil && n != 1 {
		err = clinic.ErrState.Because("%d rows", n)
	}
	return err
}

// callNext finishes who is called and calls the next one, if nobody has moved the line
// since the version that was seen.
func (s store) callNext(ctx context.Context, a act, line scheduleID, seen int64) (hit bool, err error) {
	return s.once(ctx, a, line.String(), func(ctx context.Context, tx db.Tx) error {
		l, err := s.move(ctx, tx, line, seen)
		if err != nil {
			return err
		}
		if !turnorder.MayCall(l.facts(), a.now) {
			return clinic.ErrNotRunning.New()
		}
		there, err := turnsIn(ctx, tx, line, false)
		if err != nil {
			return err
		}
		byID, all := map[appointmentID]turnRow{}, []turnorder.Waiting[appointmentID]{}
		for _, v := range there {
			byID[v.ID] = v
			if v.State == clinic.Waiting {
				all = append(all, v.waiting())
			}
		}
		w, ok := turnorder.Next(l.Made, all)
		if !ok {
			return clinic.ErrNobodyWaiting.New()
		}
		for _, v := range there {
			if v.State == clinic.Called {
				if err := s.finish(ctx, tx, a, v); err != nil {
					return err
				}
			}
		}
		made := turnorder.After(l.Made, w)
		_, err = tx.Exec(ctx, `UPDATE line SET calls = $3, special = $4, paused_until = 0, pause_reason = '' WHERE tenant_id = $1 AND id = $2`,
			tx.Tenant(), line, made.Calls, made.Special)
		if err != nil {
			return err
		}
		return s.call(ctx, tx, a, byID[w.Key], made)
	})
}

// call asks one who waits into the room.
func (s store) call(ctx context.Context, tx db.Tx, a act, v turnRow, made turnorder.Made) error {
	passed := v.Passed
	if v.Special {
		passed = made.Calls
	}
	err := s.set(ctx, tx, v, clinic.Called, `, called_at = $5, announced_at = $5, left_at = NULL, calls = calls + 1, passed = $6`, passed)
	if err != nil {
		return err
	}
	return s.step(ctx, tx, a, v, clinic.Called)
}

func (s store) finish(ctx context.Context, tx db.Tx, a act, v turnRow) error {
	if err := s.set(ctx, tx, v, clinic.Done, `, left_at = $5`); err != nil {
		return err
	}
	return s.step(ctx, tx, a, v, clinic.Done)
}

// moveTurn does an effect on a turn under the lock of its line, whose move it is.
func (s store) moveTurn(ctx context.Context, a act, turn appointmentID, effect func(ctx context.Context, tx db.Tx, l lineRow, v turnRow) error) (hit bool, err error) {
	return s.once(ctx, a, turn.String(), func(ctx context.Context, tx db.Tx) error {
		v, err := turnIn(ctx, tx, turn)
		if err != nil {
			return err
		}
		l, err := s.move(ctx, tx, v.Schedule, anyVersion)
		if err != nil {
			return err
		}
		if v, err = turnIn(ctx, tx, turn); err != nil { // as it is under the lock
			return err
		}
		return effect(ctx, tx, l, v)
	})
}

// skip notes that the called person did not come.
func (s store) skip(ctx context.Context, a act, turn appointmentID) (bool, error) {
	return s.moveTurn(ctx, a, turn, func(ctx context.Context, tx db.Tx, _ lineRow, v turnRow) error {
		if err := s.set(ctx, tx, v, clinic.Missed, `, left_at = $5`); err != nil {
			return err
		}
		return s.step(ctx, tx, a, v, clinic.Missed)
	})
}

// done ends the visit of the called person.
func (s store) done(ctx context.Context, a act, turn appointmentID) (bool, error) {
	return s.moveTurn(ctx, a, turn, func(ctx context.Context, tx db.Tx, _ lineRow, v turnRow) error {
		return s.finish(ctx, tx, a, v)
	})
}

// recall calls the called person again, or brings a missed one back.
func (s store) recall(ctx context.Context, a act, turn appointmentID) (bool, error) {
	return s.moveTurn(ctx, a, turn, func(ctx context.Context, tx db.Tx, l lineRow, v turnRow) error {
		if l.Stopped {
			return clinic.ErrNotRunning.New()
		}
		switch v.State {
		case clinic.Missed:
			return s.back(ctx, tx, a, l, v)
		case clinic.Called:
			_, err := tx.Exec(ctx, `UPDATE turn SET calls = calls + 1, announced_at = $3, updated_at = $3 WHERE tenant_id = $1 AND id = $2 AND state = 'called'`,
				tx.Tenant(), v.ID, tx.Now().UnixMicro())
			if err != nil {
				return err
			}
			return s.step(ctx, tx, a, v, clinic.Called)
		}
		return clinic.ErrState.New()
	})
}

// back brings a missed person into the line again.
func (s store) back(ctx context.Context, tx db.Tx, a act, l lineRow, v turnRow) error {
	err := s.set(ctx, tx, v, clinic.Waiting, `, special = $6, joined = $7, joined_at = $5, back = back + 1`, true, l.Made.Calls)
	if err != nil {
		return err
	}
	return s.step(ctx, tx, a, v, clinic.Waiting)
}

// allowed decides about a check-in under the lock of the line.
type allowed func(l lineRow, v turnRow) error

// checkIn makes an expected person wait, or brings a missed one back. Who is there
// already stays as they are.
func (s store) checkIn(ctx context.Context, a act, turn appointmentID, may allowed) (hit bool, err error) {
	return s.once(ctx, a, turn.String(), func(ctx context.Context, tx db.Tx) error {
		v, err := turnIn(ctx, tx, turn)
		if err != nil {
			return err
		}
		l, err := s.lock(ctx, tx, v.Schedule)
		if err != nil {
			return err
		}
		if v, err = turnIn(ctx, tx, turn); err != nil {
			return err
		}
		if v.State == clinic.Waiting || v.State == clinic.Called {
			return nil
		}
		if err := may(l, v); err != nil {
			return err
		}
		switch v.State {
		case clinic.Missed:
			return s.back(ctx, tx, a, l, v)
		case clinic.Expected:
			late := !a.now.Before(l.endOf(v.StartsAt))
			err := s.set(ctx, tx, v, clinic.Waiting, `, checked_in_at = $5, joined_at = $5, joined = $6, late = $7, special = $7`, l.Made.Calls, late)
			if err != nil {
				return err
			}
			return s.step(ctx, tx, a, v, clinic.Waiting)
		}
		return clinic.ErrState.Because("%s", v.State)
	})
}

// calledIn are the latest calls of some lines.
func calledIn(ctx context.Context, tx db.Tx, lines []scheduleID, limit int) ([]turnRow, error) {
	if len(lines) == 0 {
		return nil, nil
	}
	list, args := db.Few([]any{tx.Tenant(), limit}, lines)
	rows, err := tx.Query(ctx, fmt.Sprintf(`SELECT %s FROM turn WHERE tenant_id = $1 AND line_id IN (%s) AND announced_at IS NOT NULL AND state IN ('called', 'missed', 'done')
		ORDER BY announced_at DESC, id LIMIT $2`, turnColumns, list), args...)
	return db.Collect(rows, err, func(r db.Rows, v *turnRow) error { return scanTurn(r, v) })
}

// revealed writes the audit row of a look at who a person is.
func (s store) revealed(ctx context.Context, t clinic.TenantID, v turnRow, policy string) error {
	return s.db.Write(ctx, t, func(ctx context.Context, tx db.Tx) error {
		_, err := trail.Record(ctx, tx, trail.Entry{
			Action: "clinic.reveal", Noun: "Patient", ID: v.Patient.String(), Policy: policy, Why: "appointment " + v.ID.String(), Changed: []string{},
		})
		return err
	})
}

// current are those who are called, by line.
func (s store) current(ctx context.Context, t clinic.TenantID, lines []scheduleID) (map[scheduleID]turnRow, error) {
	out := map[scheduleID]turnRow{}
	if len(lines) == 0 {
		return out, nil
	}
	err := s.db.Read(ctx, t, func(ctx context.Context, tx db.Tx) error {
		list, args := db.Few([]any{t, clinic.MaxLines}, lines)
		rows, err := tx.Query(ctx, `SELECT `+turnColumns+` FROM turn WHERE tenant_id = $1 AND line_id IN (`+list+`) AND state = 'called' LIMIT $2`, args...)
		found, err := db.Collect(rows, err, func(r db.Rows, v *turnRow) error { return scanTurn(r, v) })
		for _, v := range found {
			out[v.Schedule] = v
		}
		return err
	})
	return out, err
}
