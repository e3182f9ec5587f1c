package schedulingsvc

import (
	"context"
	"slices"
	"time"

	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/job"
	"xinglin/internal/platform/obs"
	"xinglin/internal/scheduling"
	"xinglin/internal/scheduling/bookingrules"
)

// turn moves a visit as the waiting line says, in the consumer's transaction. What does not
// follow from its state (a repeat, one that came late, a cancelled visit) changes nothing.
func (s store) turn(ctx context.Context, tx db.Tx, a id.ID[scheduling.Appointment], turn bookingrules.Turn, st transition) error {
	v, _, err := lockAppointment(ctx, tx, a)
	if err != nil {
		return err
	}
	to, moves := bookingrules.DecideTurn(v.State, turn)
	if !moves {
		return nil
	}
	st.From, st.To, st.By = v.State, to, byArrive
	if turn == bookingrules.Seen {
		st.By = byFinish
	}
	v.State = to
	if err := move(ctx, tx, &v, st.From); err != nil {
		return err
	}
	if st.From == scheduling.NoShow {
		_, err := tx.Exec(ctx, `DELETE FROM incident WHERE tenant_id = $1 AND patient_id = $2 AND appointment_id = $3 AND kind = 'missed'`, tx.Tenant(), v.Patient, v.ID)
		if err != nil {
			return err
		}
	}
	return note(obs.WithNumber(ctx, v.RegNo), tx, &v, st)
}

// ---- who has not come ----

const (
	// missBack is how many days a process that was down looks back for visits that were missed.
	missBack = 7
	// missAtOnce is how many timers one transaction writes.
	missAtOnce = 500
)

// planMisses has each session of the last days, of today and of tomorrow looked at when its
// people should have come. Repeating it changes nothing.
func (s store) planMisses(ctx context.Context, t scheduling.TenantID, today clock.Date) error {
	var specs []job.Spec
	err := s.db.Read(ctx, t, func(ctx context.Context, tx db.Tx) error {
		specs = nil
		rules, _, err := rulesIn(ctx, tx)
		if err != nil {
			return err
		}
		rows, err := tx.Query(ctx, `SELECT c.id, c.ends_at FROM schedule c WHERE c.tenant_id = $1 AND c.day >= $2 AND c.day <= $3 AND NOT c.stopped
			AND (c.ends_at > $4 OR c.id IN (SELECT s.schedule_id FROM appointment a JOIN slot s ON s.tenant_id = a.tenant_id AND s.id = a.slot_id
				WHERE a.tenant_id = $1 AND a.day >= $2 AND a.day <= $3 AND a.state <> 'cancelled' AND a.state = 'booked')) ORDER BY c.id`,
			t, today.Add(-missBack), today.Add(1), tx.Now().UnixMicro())
		_, err = db.Collect(rows, err, func(r db.Rows, _ *struct{}) error {
			var v scheduleID
			var ends time.Time
			err := r.Scan(&v, db.Instant(&ends))
			if at, counts := bookingrules.MissedAt(rules, ends); counts {
				specs = append(specs, missTimer(v, at))
			}
			return err
		})
		return err
	})
	for some := range slices.Chunk(specs, missAtOnce) {
		if err == nil {
			err = s.db.Write(ctx, t, func(ctx context.Context, tx db.Tx) error { return job.Enqueue(ctx, tx, some...) })
		}
	}
	return err
}

func missTimer(v scheduleID, at time.Time) job.Spec {
	return job.Spec{Kind: jobMiss, Key: v.String(), RunAt: at, Payload: aboutSession{v}, Max: workMax}
}

// missing are the visits of a session whose people have not come, by their ids. When it is
// too early to tell (the plan or the rules changed), the session is looked at again later.
func (s store) missing(ctx context.Context, t scheduling.TenantID, schedule scheduleID) (out []id.ID[scheduling.Appointment], err error) {
	err = s.db.Write(ctx, t, func(ctx context.Context, tx db.Tx) error {
		out = nil
		v, err := scheduleIn(ctx, tx, schedule)
		if err != nil {
			return err
		}
		rules, _, err := rulesIn(ctx, tx)
		if err != nil {
			return err
		}
		at, counts := bookingrules.MissedAt(rules, v.EndsAt)
		switch {
		case !counts || v.Stopped:
			return nil
		case tx.Now().Before(at):
			return job.Enqueue(ctx, tx, missTimer(schedule, at))
		}
		out, err = visitsIn(ctx, tx, v, `a.state <> 'cancelled' AND a.state = 'booked'`)
		return err
	})
	return out, err
}

// miss notes some visits as missed in one transaction, under the session's lock. A check-in
// that is heard at the same moment comes before it, or takes it back.
func (s store) miss(ctx context.Context, t scheduling.TenantID, schedule scheduleID, as []id.ID[scheduling.Appointment], policy string) error {
	return s.db.Write(ctx, t, func(ctx context.Context, tx db.Tx) error {
		sch, err := lockSchedule(ctx, tx, schedule)
		if err != nil {
			return err
		}
		rules, _, err := rulesIn(ctx, tx)
		if err != nil {
			return err
		}
		var told []scheduling.AppointmentMissed
		for _, a := range as {
			v, err := appointmentIn(ctx, tx, a)
			if err != nil {
				return err
			}
			if !bookingrules.DecideMiss(rules, v.State, sch.EndsAt, sch.Stopped, tx.Now()) {
				continue
			}
			from := v.State
			v.State = scheduling.NoShow
			if err := move(ctx, tx, &v, from); err != nil {
				return err
			}
			if err := note(obs.WithNumber(ctx, v.RegNo), tx, &v, transition{From: from, To: v.State, By: byMiss, Action: "scheduling.miss_visit", Policy: policy}); err != nil {
				return err
			}
			if err := noteIncident(ctx, tx, v, "missed"); err != nil {
				return err
			}
			told = append(told, scheduling.AppointmentMissed{Visit: v.visit(), Number: v.Number})
		}
		return addAll(ctx, tx, told)
	})
}

// sessionVisits lists the visits of a session that are not cancelled, by their numbers.
func (s store) sessionVisits(ctx context.Context, t scheduling.TenantID, schedule scheduleID, after, limit int) (out []appointmentRow, err error) {
	err = s.db.Read(ctx, t, func(ctx context.Context, tx db.Tx) error {
		v, err := scheduleIn(ctx, tx, schedule)
		if err != nil {
			return err
		}
		rows, err := tx.Query(ctx, `SELECT `+appointmentColumns+appointmentTables+` WHERE a.tenant_id = $1 AND a.day = $2 AND s.schedule_id = $3 AND a.state <> 'cancelled' AND a.number > $4
			ORDER BY a.number LIMIT $5`, t, v.Date, schedule, after, limit)
		out, err = db.Collect(rows, err, func(r db.Rows, v *appointmentRow) error { return scanAppointment(r, v) })
		return err
	})
	return out, err
}
