package schedulingsvc

import (
	"context"
	"errors"

	"xinglin/internal/kernel/event"
	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/idem"
	"xinglin/internal/platform/job"
	"xinglin/internal/platform/obs"
	"xinglin/internal/platform/outbox"
	"xinglin/internal/platform/trail"
	"xinglin/internal/scheduling"
	"xinglin/internal/scheduling/bookingrules"
	"xinglin/internal/scheduling/schedulingsvc/rotas"
)

// halting asks to stop a session, or to hold it after all; the right was checked.
type halting struct {
	Schedule scheduleID
	Version  int64
	Why      string // for the audit
	Key      idem.Key
	Policy   string
}

// statusOK is the HTTP status that a repeat is remembered with.
const statusOK = 200

// Jobs about sessions, keyed by them.
const (
	jobStop = "scheduling.cancel_stopped" // cancels the visits of a stopped session
	jobMiss = "scheduling.miss_visits"    // notes who has not come, some time after the end
)

// aboutSession is the payload of these jobs.
type aboutSession struct {
	Schedule scheduleID `json:"schedule"`
}

const toCome = rotas.ToCome

// stopSession stops a session once: nobody books from this commit on, and a job cancels who
// is booked. hit: the key has had its effect.
func (s store) stopSession(ctx context.Context, t scheduling.TenantID, h halting) (hit bool, err error) {
	return s.once(ctx, t, h, "scheduling.stop_session", func(ctx context.Context, tx db.Tx, v scheduleRow, f bookingrules.StopFacts) (event.Event, error) {
		if err := bookingrules.DecideStop(f, tx.Now()); err != nil {
			return nil, err
		}
		return v.stopEvent(), s.halt(ctx, tx, v)
	})
}

// resumeSession holds a stopped session after all, once. What was cancelled stays so.
func (s store) resumeSession(ctx context.Context, t scheduling.TenantID, h halting) (hit bool, err error) {
	return s.once(ctx, t, h, "scheduling.resume_session", func(ctx context.Context, tx db.Tx, v scheduleRow, f bookingrules.StopFacts) (event.Event, error) {
		if err := bookingrules.DecideResume(f, tx.Now()); err != nil {
			return nil, err
		}
		n, err := tx.Exec(ctx, `UPDATE schedule SET stopped = $3, version = version + 1, updated_at = $4 WHERE tenant_id = $1 AND id = $2 AND version = $5`,
			t, v.ID, false, tx.Now().UnixMicro(), v.Version)
		if err == nil && n == 0 {
			err = errRaced
		}
		if err != nil {
			return nil, err
		}
		s.freed(ctx, tx, v.ID)
		return scheduling.ScheduleResumed{ScheduleStopped: v.stopEvent()}, forgetStop(ctx, tx, v.ID)
	})
}

func (v scheduleRow) stopEvent() scheduling.ScheduleStopped {
	return scheduling.ScheduleStopped{Schedule: v.ID, Practitioner: v.Practitioner, Date: v.Date, Session: v.Session}
}

// once claims the key, decides and does one act on a session under its lock, and tells it.
func (s store) once(ctx context.Context, t scheduling.TenantID, h halting, action string,
	do func(ctx context.Context, tx db.Tx, v scheduleRow, f bookingrules.StopFacts) (event.Event, error),
) (hit bool, err error) {
	err = s.db.Write(ctx, t, func(ctx context.Context, tx db.Tx) error {
		if _, hit, err = idem.Claim(ctx, tx, h.Key, tx.Now()); err != nil || hit {
			return err
		}
		v, err := lockSchedule(ctx, tx, h.Schedule)
		if err != nil {
			return err
		}
		was, err := stopIn(ctx, tx, v)
		if err != nil {
			return err
		}
		told, err := do(ctx, tx, v, bookingrules.StopFacts{Version: v.Version, Seen: h.Version, Stopped: v.Stopped, ByRota: was.ByRota, Left: was.Pending, EndsAt: v.EndsAt})
		if err != nil {
			return err
		}
		tx.OnCommit(s.forget)
		_, err = trail.Record(ctx, tx, trail.Entry{Action: action, Noun: "Schedule", ID: h.Schedule.String(), Policy: h.Policy, Why: h.Why, Changed: []string{"stopped"}})
		if err != nil {
			return err
		}
		if err := outbox.Add(ctx, tx, told); err != nil {
			return err
		}
		return idem.Done(ctx, tx, h.Key, statusOK, h.Schedule.String())
	})
	return hit, err
}

// halt stops a session for the operator: a lottery that takes entries ends, and a job cancels
// the visits to come. The caller holds the session's lock.
func (s store) halt(ctx context.Context, tx db.Tx, v scheduleRow) error {
	now := tx.Now().UnixMicro()
	if v.Window > 0 {
		if err := endWindow(ctx, tx, v.ID); err != nil {
			return err
		}
	}
	n, err := tx.Exec(ctx, `UPDATE schedule SET stopped = $3, version = version + 1, updated_at = $4 WHERE tenant_id = $1 AND id = $2 AND version = $5`, tx.Tenant(), v.ID, true, now, v.Version)
	if err == nil && n == 0 {
		err = errRaced
	}
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `INSERT INTO session_stop (tenant_id, schedule_id, stopped_at, by_rota, affected, refund_fen, cancelled)
		SELECT $1, $2, $4, $5, COUNT(*), CAST(COALESCE(SUM(CASE WHEN a.settlement = 'applied' THEN a.fee_fen ELSE 0 END), 0) AS BIGINT), 0
		FROM appointment a JOIN slot s ON s.tenant_id = a.tenant_id AND s.id = a.slot_id
		WHERE a.tenant_id = $1 AND a.day = $3 AND s.schedule_id = $2 AND `+toCome, tx.Tenant(), v.ID, v.Date, now, false)
	if err != nil {
		return err
	}
	s.changed(ctx, tx, v.ID)
	return job.Enqueue(ctx, tx, job.Spec{Kind: jobStop, Key: v.ID.String(), Payload: aboutSession{v.ID}, Max: workMax})
}

// haltAll stops sessions that the rota no longer has, as halt stops one, and tells it. They
// were read under the lock of all plans: one without visits gets none any more.
func (s store) haltAll(ctx context.Context, tx db.Tx, of []rotas.Falling) error {
	if len(of) == 0 {
		return nil
	}
	var jobs []job.Spec
	var told []scheduling.ScheduleStopped
	for _, v := range of {
		if v.Window > 0 {
			if err := endWindow(ctx, tx, v.Schedule); err != nil {
				return err
			}
		}
		if v.Visits > 0 {
			jobs = append(jobs, job.Spec{Kind: jobStop, Key: v.Schedule.String(), Payload: aboutSession{v.Schedule}, Max: workMax})
		}
		told = append(told, v.ScheduleStopped)
		s.changed(ctx, tx, v.Schedule)
	}
	if err := rotas.Stop(ctx, tx, of); err != nil {
		return err
	}
	if err := job.Enqueue(ctx, tx, jobs...); err != nil {
		return err
	}
	s.changed(ctx, tx, everySession)
	return addAll(ctx, tx, told)
}

// endWindow closes a lottery that takes entries now; its job then tells each entry that the
// session is stopped. One that has not begun waits: the session may be held after all.
func endWindow(ctx context.Context, tx db.Tx, schedule scheduleID) error {
	now := tx.Now().UnixMicro()
	n, err := tx.Exec(ctx, `UPDATE lottery SET closes_at = $3, updated_at = $3 WHERE tenant_id = $1 AND id = $2 AND state = 'open' AND opens_at < $3 AND closes_at > $3`,
		tx.Tenant(), schedule, now)
	if err != nil || n == 0 {
		return err
	}
	return job.Enqueue(ctx, tx, job.Spec{Kind: jobDraw, Key: schedule.String(), RunAt: tx.Now(), Payload: aboutLottery{schedule}, Max: workMax})
}

func forgetStop(ctx context.Context, tx db.Tx, schedule scheduleID) error {
	_, err := tx.Exec(ctx, `DELETE FROM session_stop WHERE tenant_id = $1 AND schedule_id = $2`, tx.Tenant(), schedule)
	return err
}

// stopIn reads how far the stop of a session is; nothing for one that is held.
func stopIn(ctx context.Context, tx db.Tx, v scheduleRow) (out bookingrules.Stop, err error) {
	err = tx.QueryRow(ctx, `SELECT x.stopped_at, x.by_rota, x.affected, x.refund_fen, x.cancelled, (SELECT COUNT(*)
			FROM appointment a JOIN slot s ON s.tenant_id = a.tenant_id AND s.id = a.slot_id
			WHERE a.tenant_id = $1 AND a.day = $3 AND s.schedule_id = $2 AND `+toCome+`)
		FROM session_stop x WHERE x.tenant_id = $1 AND x.schedule_id = $2`, tx.Tenant(), v.ID, v.Date).
		Scan(db.Instant(&out.StoppedAt), &out.ByRota, &out.Affected, (*int64)(&out.Refund), &out.Cancelled, &out.Pending)
	if errors.Is(err, db.ErrNoRows) {
		err = nil
	}
	return out, err
}

// sessionNow reads a session as it is, with its stop.
func (s store) sessionNow(ctx context.Context, t scheduling.TenantID, schedule scheduleID) (v scheduleRow, stop bookingrules.Stop, err error) {
	err = s.db.Read(ctx, t, func(ctx context.Context, tx db.Tx) error {
		err := one(scanSchedule(tx.QueryRow(ctx, `SELECT `+scheduleColumns+leftOf+` FROM schedule WHERE tenant_id = $1 AND id = $2`, t, schedule), &v, &v.Remaining))
		if err == nil {
			stop, err = stopIn(ctx, tx, v)
		}
		return err
	})
	return v, stop, err
}

// stoppedVisits are the visits that a stopped session still has to cancel, by their ids.
func (s store) stoppedVisits(ctx context.Context, t scheduling.TenantID, schedule scheduleID) (out []id.ID[scheduling.Appointment], err error) {
	err = s.db.Read(ctx, t, func(ctx context.Context, tx db.Tx) error {
		out = nil
		v, err := scheduleIn(ctx, tx, schedule)
		if err == nil && v.Stopped {
			out, err = visitsIn(ctx, tx, v, toCome)
		}
		return err
	})
	return out, err
}

// visitsIn are the visits of a session in some states, by their ids.
func visitsIn(ctx context.Context, tx db.Tx, v scheduleRow, states string) ([]id.ID[scheduling.Appointment], error) {
	rows, err := tx.Query(ctx, `SELECT a.id FROM appointment a JOIN slot s ON s.tenant_id = a.tenant_id AND s.id = a.slot_id
		WHERE a.tenant_id = $1 AND a.day = $2 AND s.schedule_id = $3 AND `+states+` ORDER BY a.id`, tx.Tenant(), v.Date, v.ID)
	return db.Collect(rows, err, func(r db.Rows, a *id.ID[scheduling.Appointment]) error { return r.Scan(a) })
}

// cancelStopped cancels some visits of a stopped session in one transaction: all of the
// money goes back, and it never counts against anybody. What has moved meanwhile is left.
func (s store) cancelStopped(ctx context.Context, t scheduling.TenantID, schedule scheduleID, as []id.ID[scheduling.Appointment], policy string) error {
	return s.db.Write(ctx, t, func(ctx context.Context, tx db.Tx) error {
		sch, err := lockSchedule(ctx, tx, schedule)
		if err != nil || !sch.Stopped {
			return err
		}
		var told []scheduling.AppointmentCancelled
		for _, a := range as {
			v, err := appointmentIn(ctx, tx, a)
			if err != nil {
				return err
			}
			refund, err := bookingrules.DecideCancel(bookingrules.CancelFacts{State: v.State, Settlement: v.Settlement, Fee: v.Fee}, scheduling.ByStop, tx.Now())
			if errors.Is(err, scheduling.ErrState) { // cancelled or seen meanwhile
				continue
			}
			if err != nil {
				return err
			}
			e := ending{Reason: scheduling.ByStop, Refund: refund, SeatAt: tx.Now(), By: byStop, Action: "scheduling.cancel_stopped", Policy: policy}
			ev, err := s.end(obs.WithNumber(ctx, v.RegNo), tx, &v, e)
			if err != nil {
				return err
			}
			told = append(told, ev)
		}
		if len(told) == 0 {
			return nil
		}
		if _, err := tx.Exec(ctx, `UPDATE session_stop SET cancelled = cancelled + $3 WHERE tenant_id = $1 AND schedule_id = $2`, t, schedule, len(told)); err != nil {
			return err
		}
		return addAll(ctx, tx, told)
	})
}
