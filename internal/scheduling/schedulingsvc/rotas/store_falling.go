package rotas

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/id"
	"xinglin/internal/kernel/money"
	"xinglin/internal/platform/calendar"
	"xinglin/internal/platform/db"
	"xinglin/internal/scheduling"
	"xinglin/internal/scheduling/rotaplan"
)

// A change of the rota may leave sessions to come without a rule. A file's import stops them
// in the transaction that writes the rota, and those with visits only by consent. The
// extension, which nobody watches, stops those without visits alone: after another change
// they stay as they were sold, until the operator stops them one by one.

// Falling is a session to come that the rota no longer has, with the visits that its stop cancels.
type Falling struct {
	scheduling.ScheduleStopped // what is told when it stops
	Campus                     scheduling.CampusID
	Department                 scheduling.DepartmentID
	StartsAt                   time.Time
	Window                     int // of a lottery that is not over, in seconds
	Visits                     int
	Refund                     money.Fen // what they have paid
}

// Visits is how many people hold a seat in some sessions.
func Visits(of []Falling) (n int) {
	for _, f := range of {
		n += f.Visits
	}
	return n
}

// ToCome are the visits, as a, that a stop cancels.
const ToCome = `a.state <> 'cancelled' AND a.state IN ('pending', 'booked', 'arrived')`

// atOnce is how many sessions one statement names.
const atOnce = 512

type scheduleID = id.ID[scheduling.Schedule]

// FallingByRule are the sessions that their doctors would lose if a rule of the rota read as r.
func (s Store) FallingByRule(ctx context.Context, t scheduling.TenantID, cal *calendar.Calendar, r scheduling.RotaRule, today clock.Date) (out []Falling, err error) {
	err = s.DB.Read(ctx, t, func(ctx context.Context, tx db.Tx) error {
		last, err := lastDay(ctx, tx, today)
		if err != nil || last == 0 {
			return err
		}
		rules, exceptions, err := In(ctx, tx, today, last)
		if err != nil {
			return err
		}
		who := map[scheduling.PractitionerID]bool{}
		for _, v := range rules {
			if v.ID == r.ID {
				who[v.Duty.Practitioner], who[r.Duty.Practitioner] = true, true
			}
		}
		was := Rota{Rules: rules, Exceptions: exceptions}.Of(who)
		ids, err := lostBetween(ctx, tx, cal, was, was.With(r), today, last)
		if err == nil && len(ids) > 0 {
			out, err = Standing(ctx, tx, ids)
		}
		return err
	})
	return out, err
}

// lostBetween are the schedules to come whose sessions one rota has and the other has not.
func lostBetween(ctx context.Context, tx db.Tx, cal *calendar.Calendar, was, is Rota, from, to clock.Date) ([]scheduleID, error) {
	before, _, err := rotaplan.Plan(was.Rules, was.Exceptions, cal, from, to)
	if err != nil {
		return nil, err
	}
	after, _, err := rotaplan.Plan(is.Rules, is.Exceptions, cal, from, to)
	if err != nil {
		return nil, err
	}
	return madeOf(ctx, tx, rotaplan.Lost(before, after))
}

// lastDay is the last one from a day on that has schedules, within one plan's days; 0 for none.
func lastDay(ctx context.Context, tx db.Tx, from clock.Date) (last clock.Date, err error) {
	err = tx.QueryRow(ctx, `SELECT COALESCE(MAX(day), 0) FROM schedule WHERE tenant_id = $1 AND day >= $2 AND day <= $3`, tx.Tenant(), from, from.Add(rotaplan.MaxDays-1)).Scan(&last)
	return last, err
}

// hasPlans reports whether there are schedules from a day on.
func (s Store) hasPlans(ctx context.Context, t scheduling.TenantID, from clock.Date) (has bool, err error) {
	err = s.DB.Read(ctx, t, func(ctx context.Context, tx db.Tx) error {
		last, err := lastDay(ctx, tx, from)
		has = last != 0
		return err
	})
	return has, err
}

const fallingColumns = `id, practitioner_id, day, session, campus_id, department_id, starts_at, lottery_s`

func scanFalling(r db.Row, v *Falling, more ...any) error {
	return r.Scan(append([]any{&v.Schedule, &v.Practitioner, &v.Date, (*string)(&v.Session), &v.Campus, &v.Department, db.Instant(&v.StartsAt), &v.Window}, more...)...)
}

// madeOf are the schedules that were made of planned sessions.
func madeOf(ctx context.Context, tx db.Tx, planned []rotaplan.Session) (out []scheduleID, err error) {
	if len(planned) == 0 {
		return nil, nil
	}
	type turn struct {
		day     clock.Date
		doctor  scheduling.PractitionerID
		session scheduling.Session
	}
	want := map[turn]bool{}
	first, last := planned[0].Date, planned[0].Date
	for _, p := range planned {
		want[turn{p.Date, p.Duty.Practitioner, p.Duty.Session}] = true
		first, last = min(first, p.Date), max(last, p.Date)
	}
	rows, err := tx.Query(ctx, `SELECT `+fallingColumns+` FROM schedule WHERE tenant_id = $1 AND day >= $2 AND day <= $3 AND starts_at > $4 AND NOT stopped ORDER BY id`,
		tx.Tenant(), first, last, tx.Now().UnixMicro())
	found, err := db.Collect(rows, err, func(r db.Rows, v *Falling) error { return scanFalling(r, v) })
	for _, v := range found {
		if want[turn{v.Date, v.Practitioner, v.Session}] {
			out = append(out, v.Schedule)
		}
	}
	return out, err
}

// Standing reads which of some sessions are not stopped, with their visits to come; most
// visits first, then as the days go.
func Standing(ctx context.Context, tx db.Tx, ids []scheduleID) (out []Falling, err error) {
	for some := range slices.Chunk(ids, atOnce) {
		list, args := db.Few([]any{tx.Tenant()}, some)
		rows, err := tx.Query(ctx, `SELECT `+fallingColumns+`, (SELECT COUNT(*) FROM slot l WHERE l.tenant_id = schedule.tenant_id AND l.schedule_id = schedule.id AND l.taken <> 0)
			FROM schedule WHERE tenant_id = $1 AND NOT stopped AND id IN (`+list+`)`, args...)
		found, err := db.Collect(rows, err, func(r db.Rows, v *Falling) error { return scanFalling(r, v, &v.Visits) })
		if err != nil {
			return nil, err
		}
		out = append(out, found...)
	}
	err = countVisits(ctx, tx, out)
	slices.SortFunc(out, func(a, b Falling) int {
		return cmp.Or(cmp.Compare(b.Visits, a.Visits), a.StartsAt.Compare(b.StartsAt), slices.Compare(a.Schedule[:], b.Schedule[:]))
	})
	return out, err
}

// countVisits makes the number of slots with a seat taken the number of visits to come: a seat
// may be taken without one while it waits for its return. Visits are found by their day.
func countVisits(ctx context.Context, tx db.Tx, of []Falling) error {
	byDay, at := map[clock.Date][]scheduleID{}, map[scheduleID]*Falling{}
	for i := range of {
		if v := &of[i]; v.Visits > 0 {
			v.Visits, at[v.Schedule] = 0, v
			byDay[v.Date] = append(byDay[v.Date], v.Schedule)
		}
	}
	for day, ids := range byDay {
		for some := range slices.Chunk(ids, atOnce) {
			list, args := db.Few([]any{tx.Tenant(), day}, some)
			rows, err := tx.Query(ctx, `SELECT s.schedule_id, COUNT(*), CAST(COALESCE(SUM(CASE WHEN a.settlement = 'applied' THEN a.fee_fen ELSE 0 END), 0) AS BIGINT)
				FROM appointment a JOIN slot s ON s.tenant_id = a.tenant_id AND s.id = a.slot_id
				WHERE a.tenant_id = $1 AND a.day = $2 AND s.schedule_id IN (`+list+`) AND `+ToCome+` GROUP BY s.schedule_id`, args...)
			_, err = db.Collect(rows, err, func(r db.Rows, v *Falling) error {
				if err := r.Scan(&v.Schedule, &v.Visits, (*int64)(&v.Refund)); err != nil {
					return err
				}
				at[v.Schedule].Visits, at[v.Schedule].Refund = v.Visits, v.Refund
				return nil
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// Stop marks sessions as stopped by the rota; their visits were counted under the lock of all plans.
func Stop(ctx context.Context, tx db.Tx, of []Falling) error {
	now := tx.Now().UnixMicro()
	var stops [][]any
	for some := range slices.Chunk(of, atOnce) {
		ids := make([]scheduleID, 0, len(some))
		for _, v := range some {
			ids = append(ids, v.Schedule)
			stops = append(stops, []any{tx.Tenant(), v.Schedule, now, true, v.Visits, int64(v.Refund), 0})
		}
		list, args := db.Few([]any{tx.Tenant(), true, now}, ids)
		n, err := tx.Exec(ctx, `UPDATE schedule SET stopped = $2, version = version + 1, updated_at = $3 WHERE tenant_id = $1 AND NOT stopped AND id IN (`+list+`)`, args...)
		if err == nil && n != int64(len(ids)) {
			err = errMoved
		}
		if err != nil {
			return err
		}
	}
	return db.InsertMany(ctx, tx, `INSERT INTO session_stop (tenant_id, schedule_id, stopped_at, by_rota, affected, refund_fen, cancelled) VALUES `, 7, stops)
}

// errMoved means that a lock was missing.
var errMoved = errors.New("rotas: a session was stopped under the lock of all plans")

// HeldStops are the sessions of from..to that the operator stopped: the rota leaves them so.
func HeldStops(ctx context.Context, tx db.Tx, from, to clock.Date) (out map[scheduleID]bool, err error) {
	out = map[scheduleID]bool{}
	rows, err := tx.Query(ctx, `SELECT c.id FROM session_stop x JOIN schedule c ON c.tenant_id = x.tenant_id AND c.id = x.schedule_id
		WHERE x.tenant_id = $1 AND c.day >= $2 AND c.day <= $3 AND NOT x.by_rota`, tx.Tenant(), from, to)
	_, err = db.Collect(rows, err, func(r db.Rows, v *scheduleID) error {
		err := r.Scan(v)
		out[*v] = true
		return err
	})
	return out, err
}
