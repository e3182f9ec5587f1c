package schedulingsvc

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/money"
	"xinglin/internal/platform/calendar"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/job"
	"xinglin/internal/platform/trail"
	"xinglin/internal/scheduling"
	"xinglin/internal/scheduling/rotaplan"
	"xinglin/internal/scheduling/schedulingsvc/rotas"
)

// A change of the rota may leave sessions to come without a rule. A file's import stops them
// in the transaction that writes the rota, and those with visits only by consent. The
// extension, which nobody watches, stops those without visits alone: after another change
// they stay as they were sold, until the operator stops them one by one.

// incoming is a rota file on its way in.
type incoming struct {
	rotas.Imported
	Cal      *calendar.Calendar
	Today    clock.Date
	Through  clock.Date // schedules are made up to this day
	Consent  bool       // sessions with visits may stop
	Foretell bool       // of an import that is only tried: make the schedules too, and count them
}

// imported is what became of it.
type imported struct {
	Rules, Exceptions scheduling.Change
	Stops             []falling // most visits first
	Made              made      // when it was foretold
}

// visits is how many people hold a seat in what stops.
func (v imported) visits() int { return visitsOf(v.Stops) }

// falling is a session to come that the rota no longer has, with the visits that its stop cancels.
type falling struct {
	scheduleRow
	Visits int
	Refund money.Fen // what they have paid
}

func visitsOf(all []falling) (n int) {
	for _, f := range all {
		n += f.Visits
	}
	return n
}

// importRota brings a file into the rota and stops the sessions that fall out by it: both, or
// neither. Code: scheduling.import_stops without consent; out.Stops has them.
func (s store) importRota(ctx context.Context, t scheduling.TenantID, in incoming) (out imported, err error) {
	rules, exceptions, err := s.rotas.Import(ctx, t, in.Imported, func(ctx context.Context, tx db.Tx, was rotas.Rota) (err error) {
		out = imported{}
		if out.Stops, err = fallingOut(ctx, tx, in, was); err != nil {
			return err
		}
		if in.Foretell {
			out.Made, err = s.extendIn(ctx, tx, in.Cal, in.Today, in.Through, in.Policy)
			return err
		}
		if out.visits() > 0 && !in.Consent {
			return scheduling.ErrImportStops.New()
		}
		if in.Try || len(out.Stops) == 0 {
			return nil
		}
		if err := s.haltAll(ctx, tx, out.Stops); err != nil {
			return err
		}
		_, err = trail.Record(ctx, tx, trail.Entry{
			Action: "scheduling.import_rota", Noun: "Rota", ID: t.String(), Policy: in.Policy, Changed: []string{"schedule"},
			Why: fmt.Sprintf("%d sessions stop, %d visits", len(out.Stops), out.visits()),
		})
		return err
	})
	switch {
	case err == nil:
		out.Rules, out.Exceptions = rules, exceptions
	case !errors.Is(err, scheduling.ErrImportStops):
		out = imported{}
	}
	return out, err
}

// fallingOut are the sessions that a file takes from its doctors, whose rota was another
// before. Unless it is only tried, nobody takes a seat from here to the end of the transaction.
func fallingOut(ctx context.Context, tx db.Tx, in incoming, was rotas.Rota) ([]falling, error) {
	who := was.Doctors()
	if len(who) == 0 {
		return nil, nil
	}
	last, err := lastDay(ctx, tx, in.Today)
	if err != nil || last == 0 {
		return nil, err
	}
	rules, exceptions, err := rotas.In(ctx, tx, in.Today, last)
	if err != nil {
		return nil, err
	}
	is := rotas.Rota{Rules: rules, Exceptions: exceptions}
	ids, err := lostBetween(ctx, tx, in.Cal, was, is.Of(who), in.Today, last)
	if err != nil || len(ids) == 0 {
		return nil, err
	}
	if !in.Try {
		if err := lockPlans(ctx, tx); err != nil {
			return nil, err
		}
	}
	return standing(ctx, tx, ids)
}

// fallingByRule are the sessions that their doctors would lose if a rule of the rota read as r.
func (s store) fallingByRule(ctx context.Context, t scheduling.TenantID, cal *calendar.Calendar, r scheduling.RotaRule, today clock.Date) (out []falling, err error) {
	err = s.db.Read(ctx, t, func(ctx context.Context, tx db.Tx) error {
		last, err := lastDay(ctx, tx, today)
		if err != nil || last == 0 {
			return err
		}
		rules, exceptions, err := rotas.In(ctx, tx, today, last)
		if err != nil {
			return err
		}
		was := rotas.Rota{Rules: rules, Exceptions: exceptions}
		who := map[scheduling.PractitionerID]bool{}
		for _, v := range rules {
			if v.ID == r.ID {
				who[v.Duty.Practitioner], who[r.Duty.Practitioner] = true, true
			}
		}
		was = was.Of(who)
		ids, err := lostBetween(ctx, tx, cal, was, was.With(r), today, last)
		if err == nil && len(ids) > 0 {
			out, err = standing(ctx, tx, ids)
		}
		return err
	})
	return out, err
}

// lostBetween are the schedules to come whose sessions one rota has and the other has not.
func lostBetween(ctx context.Context, tx db.Tx, cal *calendar.Calendar, was, is rotas.Rota, from, to clock.Date) ([]scheduleID, error) {
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
func (s store) hasPlans(ctx context.Context, t scheduling.TenantID, from clock.Date) (has bool, err error) {
	err = s.db.Read(ctx, t, func(ctx context.Context, tx db.Tx) error {
		last, err := lastDay(ctx, tx, from)
		has = last != 0
		return err
	})
	return has, err
}

// madeOf are the schedules that were made of planned sessions.
func madeOf(ctx context.Context, tx db.Tx, planned []rotaplan.Session) (out []scheduleID, err error) {
	if len(planned) == 0 {
		return nil, nil
	}
	want := map[sessionKey]bool{}
	first, last := planned[0].Date, planned[0].Date
	for _, p := range planned {
		want[sessionKey{p.Date, p.Duty.Practitioner, p.Duty.Session}] = true
		first, last = min(first, p.Date), max(last, p.Date)
	}
	rows, err := tx.Query(ctx, `SELECT `+scheduleColumns+` FROM schedule WHERE tenant_id = $1 AND day >= $2 AND day <= $3 AND starts_at > $4 AND NOT stopped ORDER BY id`,
		tx.Tenant(), first, last, tx.Now().UnixMicro())
	found, err := db.Collect(rows, err, func(r db.Rows, v *scheduleRow) error { return scanSchedule(r, v) })
	for _, v := range found {
		if want[sessionKey{v.Date, v.Practitioner, v.Session}] {
			out = append(out, v.ID)
		}
	}
	return out, err
}

// standing reads which of some sessions are not stopped, with their visits to come; most
// visits first, then as the days go.
func standing(ctx context.Context, tx db.Tx, ids []scheduleID) (out []falling, err error) {
	for some := range slices.Chunk(ids, maxAsked) {
		list, args := db.Few([]any{tx.Tenant()}, some)
		rows, err := tx.Query(ctx, `SELECT `+scheduleColumns+`, (SELECT COUNT(*) FROM slot l WHERE l.tenant_id = schedule.tenant_id AND l.schedule_id = schedule.id AND l.taken <> 0)
			FROM schedule WHERE tenant_id = $1 AND NOT stopped AND id IN (`+list+`)`, args...)
		found, err := db.Collect(rows, err, func(r db.Rows, v *falling) error { return scanSchedule(r, &v.scheduleRow, &v.Visits) })
		if err != nil {
			return nil, err
		}
		out = append(out, found...)
	}
	err = countVisits(ctx, tx, out)
	slices.SortFunc(out, func(a, b falling) int {
		return cmp.Or(cmp.Compare(b.Visits, a.Visits), a.StartsAt.Compare(b.StartsAt), slices.Compare(a.ID[:], b.ID[:]))
	})
	return out, err
}

// countVisits makes the number of slots with a seat taken the number of visits to come: a seat
// may be taken without one while it waits for its return. Visits are found by their day.
func countVisits(ctx context.Context, tx db.Tx, of []falling) error {
	byDay, at := map[clock.Date][]scheduleID{}, map[scheduleID]*falling{}
	for i := range of {
		if v := &of[i]; v.Visits > 0 {
			v.Visits, at[v.ID] = 0, v
			byDay[v.Date] = append(byDay[v.Date], v.ID)
		}
	}
	for day, ids := range byDay {
		for some := range slices.Chunk(ids, maxAsked) {
			list, args := db.Few([]any{tx.Tenant(), day}, some)
			rows, err := tx.Query(ctx, `SELECT s.schedule_id, COUNT(*), CAST(COALESCE(SUM(CASE WHEN a.settlement = 'applied' THEN a.fee_fen ELSE 0 END), 0) AS BIGINT)
				FROM appointment a JOIN slot s ON s.tenant_id = a.tenant_id AND s.id = a.slot_id
				WHERE a.tenant_id = $1 AND a.day = $2 AND s.schedule_id IN (`+list+`) AND `+toCome+` GROUP BY s.schedule_id`, args...)
			_, err = db.Collect(rows, err, func(r db.Rows, v *falling) error {
				if err := r.Scan(&v.ID, &v.Visits, (*int64)(&v.Refund)); err != nil {
					return err
				}
				at[v.ID].Visits, at[v.ID].Refund = v.Visits, v.Refund
				return nil
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// haltAll stops sessions that the rota no longer has, as halt stops one, and tells it. They
// were read under the lock of all plans: one without visits gets none any more.
func (s store) haltAll(ctx context.Context, tx db.Tx, of []falling) error {
	if len(of) == 0 {
		return nil
	}
	now := tx.Now().UnixMicro()
	var stops [][]any
	var jobs []job.Spec
	var told []scheduling.ScheduleStopped
	for some := range slices.Chunk(of, maxAsked) {
		ids := make([]scheduleID, 0, len(some))
		for _, v := range some {
			ids = append(ids, v.ID)
		}
		list, args := db.Few([]any{tx.Tenant(), true, now}, ids)
		n, err := tx.Exec(ctx, `UPDATE schedule SET stopped = $2, version = version + 1, updated_at = $3 WHERE tenant_id = $1 AND NOT stopped AND id IN (`+list+`)`, args...)
		if err == nil && n != int64(len(ids)) {
			err = errRaced
		}
		if err != nil {
			return err
		}
	}
	for _, v := range of {
		if v.Window > 0 {
			if err := endWindow(ctx, tx, v.ID); err != nil {
				return err
			}
		}
		stops = append(stops, []any{tx.Tenant(), v.ID, now, true, v.Visits, int64(v.Refund), 0})
		if v.Visits > 0 {
			jobs = append(jobs, job.Spec{Kind: jobStop, Key: v.ID.String(), Payload: aboutSession{v.ID}, Max: workMax})
		}
		told = append(told, v.stopEvent())
		s.changed(ctx, tx, v.ID)
	}
	err := db.InsertMany(ctx, tx, `INSERT INTO session_stop (tenant_id, schedule_id, stopped_at, by_rota, affected, refund_fen, cancelled) VALUES `, 7, stops)
	if err != nil {
		return err
	}
	if err := job.Enqueue(ctx, tx, jobs...); err != nil {
		return err
	}
	s.changed(ctx, tx, everySession)
	return addAll(ctx, tx, told)
}
