package clinicsvc

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"xinglin/internal/clinic"
	"xinglin/internal/clinic/turnorder"
	"xinglin/internal/directory"
	"xinglin/internal/kernel/clock"
	"xinglin/internal/platform/db"
	"xinglin/internal/scheduling"
)

// period is a slot of the plan, in microseconds.
type period struct {
	From     int64 `json:"f"`
	To       int64 `json:"t"`
	Capacity int   `json:"n"`
}

// lineKey is what an event knows of a line.
type lineKey struct {
	ID           scheduleID
	Day          clock.Date
	Session      scheduling.Session
	Campus       directory.CampusID
	Department   directory.DepartmentID
	Practitioner directory.PractitionerID
}

// lineRow is a line as stored, with its counts.
type lineRow struct {
	lineKey
	Known       bool
	Stopped     bool
	StartsAt    time.Time
	EndsAt      time.Time
	Location    string
	Periods     []period
	PausedUntil time.Time
	PauseReason clinic.PauseReason
	Made        turnorder.Made
	Moved       int64
	Version     int64
	counts
}

// counts are of the turns of a line by state.
type counts struct{ Expected, Waiting, Called, Missed, Done int }

// facts are what the state of the line follows from.
func (l lineRow) facts() turnorder.Facts {
	return turnorder.Facts{
		Date: l.Day, StartsAt: l.StartsAt, EndsAt: l.EndsAt, Stopped: l.Stopped, PausedUntil: l.PausedUntil,
		Calls: l.Made.Calls, Waiting: l.Waiting, Called: l.Called,
	}
}

// endOf is the end of the period that begins at an instant; of the line's when the plan
// has no such period any more.
func (l lineRow) endOf(starts time.Time) time.Time {
	for _, p := range l.Periods {
		if p.From == starts.UnixMicro() {
			return db.Time(p.To)
		}
	}
	return l.EndsAt
}

// slot is what the plan gives one person.
func (l lineRow) slot() time.Duration {
	seats, all := 0, time.Duration(0)
	for _, p := range l.Periods {
		seats += p.Capacity
		all += db.Time(p.To).Sub(db.Time(p.From))
	}
	if seats == 0 {
		return 10 * time.Minute
	}
	return all / time.Duration(seats)
}

const lineColumns = `l.id, l.day, l.session, l.campus_id, l.department_id, l.practitioner_id, l.known, l.stopped, l.starts_at, l.ends_at, l.location, l.periods,
	l.paused_until, l.pause_reason, l.calls, l.special, l.moved, l.version`

// lineCounts are the columns of counts, joined as c.
const (
	lineCounts = `, COALESCE(c.expected, 0), COALESCE(c.waiting, 0), COALESCE(c.called, 0), COALESCE(c.missed, 0), COALESCE(c.done, 0)`
	lineJoin   = ` LEFT JOIN (SELECT tenant_id, line_id, SUM(CASE WHEN state = 'expected' THEN 1 ELSE 0 END) AS expected,
			SUM(CASE WHEN state = 'waiting' THEN 1 ELSE 0 END) AS waiting, SUM(CASE WHEN state = 'called' THEN 1 ELSE 0 END) AS called,
			SUM(CASE WHEN state = 'missed' THEN 1 ELSE 0 END) AS missed, SUM(CASE WHEN state = 'done' THEN 1 ELSE 0 END) AS done
		FROM turn WHERE tenant_id = $1 AND line_id IN (`
	lineJoinEnd = `) GROUP BY tenant_id, line_id) c ON c.tenant_id = l.tenant_id AND c.line_id = l.id`
)

func scanLine(r db.Row, v *lineRow) error {
	return r.Scan(&v.ID, &v.Day, (*string)(&v.Session), &v.Campus, &v.Department, &v.Practitioner, &v.Known, &v.Stopped,
		db.Instant(&v.StartsAt), db.Instant(&v.EndsAt), &v.Location, db.JSONInto(&v.Periods), db.Instant(&v.PausedUntil), (*string)(&v.PauseReason),
		&v.Made.Calls, &v.Made.Special, &v.Moved, &v.Version,
		&v.Expected, &v.Waiting, &v.counts.Called, &v.Missed, &v.Done)
}

func (s store) line(ctx context.Context, t clinic.TenantID, line scheduleID) (v lineRow, err error) {
	err = s.db.Read(ctx, t, func(ctx context.Context, tx db.Tx) error {
		v, err = lineIn(ctx, tx, line)
		return err
	})
	return v, err
}

func lineIn(ctx context.Context, tx db.Tx, line scheduleID) (v lineRow, err error) {
	err = one(scanLine(tx.QueryRow(ctx, `SELECT `+lineColumns+lineCounts+` FROM line l`+lineJoin+`$2`+lineJoinEnd+` WHERE l.tenant_id = $1 AND l.id = $2`,
		tx.Tenant(), line), &v))
	return v, err
}

// lineQuery lists lines of a day; zero ids do not narrow it.
type lineQuery struct {
	Day         clock.Date
	Campus      directory.CampusID
	Departments []directory.DepartmentID // none: all
	Within      *reach                   // of somebody; nil: all
}

// lines are those of a day by start, at most clinic.MaxLines.
func (s store) lines(ctx context.Context, t clinic.TenantID, q lineQuery) (out []lineRow, err error) {
	err = s.db.Read(ctx, t, func(ctx context.Context, tx db.Tx) error {
		out, err = linesIn(ctx, tx, q)
		return err
	})
	return out, err
}

func linesIn(ctx context.Context, tx db.Tx, q lineQuery) ([]lineRow, error) {
	where, args := q.where([]any{tx.Tenant(), q.Day, clinic.MaxLines})
	rows, err := tx.Query(ctx, `SELECT `+lineColumns+lineCounts+` FROM line l`+lineJoin+`SELECT id FROM line WHERE tenant_id = $1 AND day = $2`+lineJoinEnd+`
		WHERE l.tenant_id = $1 AND l.day = $2`+where+` ORDER BY l.starts_at, l.id LIMIT $3`, args...)
	return db.Collect(rows, err, func(r db.Rows, v *lineRow) error { return scanLine(r, v) })
}

// where are the further conditions of a query.
func (q lineQuery) where(args []any) (string, []any) {
	where := ""
	if !q.Campus.IsZero() {
		args = append(args, q.Campus)
		where += fmt.Sprintf(" AND l.campus_id = $%d", len(args))
	}
	if q.Within != nil {
		within := ""
		within, args = q.Within.where(args)
		where += " AND " + within
	}
	if len(q.Departments) > 0 {
		list := ""
		list, args = db.Few(args, q.Departments)
		where += " AND l.department_id IN (" + list + ")"
	}
	return where, args
}

// where is the reach as a condition.
func (r *reach) where(args []any) (string, []any) {
	list, parts := "", []string{}
	if len(r.desks) > 0 {
		list, args = db.Few(args, r.desks)
		parts = append(parts, "l.campus_id IN ("+list+")")
	}
	if !r.practitioner.IsZero() && len(r.own) > 0 {
		args = append(args, r.practitioner)
		one := fmt.Sprintf("l.practitioner_id = $%d", len(args))
		if !r.ownAll {
			list, args = db.Few(args, r.own)
			one += " AND l.campus_id IN (" + list + ")"
		}
		parts = append(parts, one)
	}
	return "(" + strings.Join(parts, " OR ") + ")", args
}

// ahead is the sum of the versions of a day's lines: it grows with every change of one.
func (s store) ahead(ctx context.Context, tx db.Tx, q lineQuery) (sum int64, err error) {
	where, args := q.where([]any{tx.Tenant(), q.Day})
	err = tx.QueryRow(ctx, `SELECT CAST(COALESCE(SUM(l.version), 0) AS BIGINT) FROM line l WHERE l.tenant_id = $1 AND l.day = $2`+where, args...).Scan(&sum)
	return sum, err
}

// lineVersions are for the streams.
func (s store) lineVersions(ctx context.Context, t clinic.TenantID, ids []scheduleID) (map[scheduleID]int64, error) {
	out := map[scheduleID]int64{}
	err := s.db.Read(ctx, t, func(ctx context.Context, tx db.Tx) error {
		list, args := db.Few([]any{t}, ids)
		rows, err := tx.Query(ctx, `SELECT id, version FROM line WHERE tenant_id = $1 AND id IN (`+list+`)`, args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var line scheduleID
			var version int64
			if err := rows.Scan(&line, &version); err != nil {
				return err
			}
			out[line] = version
		}
		return rows.Err()
	})
	return out, err
}

// changed notes a change of lines and announces them after the commit. The rows are
// locked by it, in the order of their ids.
func (s store) changed(ctx context.Context, tx db.Tx, ids []scheduleID) error {
	ids = slices.Clone(ids)
	slices.SortFunc(ids, func(a, b scheduleID) int { return bytes.Compare(a[:], b[:]) })
	ids = slices.Compact(ids)
	for some := range slices.Chunk(ids, 64) {
		list, args := db.Few([]any{tx.Tenant(), tx.Now().UnixMicro()}, some)
		if _, err := tx.Exec(ctx, `UPDATE line SET version = version + 1, updated_at = $2 WHERE tenant_id = $1 AND id IN (`+list+`)`, args...); err != nil {
			return err
		}
	}
	t := tx.Tenant()
	tx.OnCommit(func() {
		for _, v := range ids {
			s.moved(t, v)
		}
	})
	return nil
}

// lock takes a line's turn before one of its turns moves.
func (s store) lock(ctx context.Context, tx db.Tx, line scheduleID) (lineRow, error) {
	if err := s.changed(ctx, tx, []scheduleID{line}); err != nil {
		return lineRow{}, err
	}
	return lineIn(ctx, tx, line)
}

// move is lock for a move of who is called: a key that saw an older move is refused.
// anyVersion asks for no version.
const anyVersion = int64(1<<63 - 1)

func (s store) move(ctx context.Context, tx db.Tx, line scheduleID, seen int64) (lineRow, error) {
	t := tx.Tenant()
	n, err := tx.Exec(ctx, `UPDATE line SET version = version + 1, moved = version + 1, updated_at = $4 WHERE tenant_id = $1 AND id = $2 AND moved <= $3`,
		t, line, seen, tx.Now().UnixMicro())
	if err != nil {
		return lineRow{}, err
	}
	if n == 0 {
		if _, err := lineIn(ctx, tx, line); err != nil {
			return lineRow{}, err
		}
		return lineRow{}, clinic.ErrStale.New()
	}
	tx.OnCommit(func() { s.moved(t, line) })
	return lineIn(ctx, tx, line)
}

// published makes lines that are not there yet.
func (s store) published(ctx context.Context, tx db.Tx, lines []lineKey) error {
	rows := make([][]any, 0, len(lines))
	seen := map[scheduleID]bool{}
	now := tx.Now().UnixMicro()
	for _, l := range lines {
		if seen[l.ID] {
			continue
		}
		seen[l.ID] = true
		rows = append(rows, []any{
			tx.Tenant(), l.ID, l.Day, string(l.Session), l.Campus, l.Department, l.Practitioner, false, false, int64(0), int64(0), "", db.JSON([]period{}), int64(1), now, now,
		})
	}
	return insertMany(ctx, tx, `INSERT INTO line (tenant_id, id, day, session, campus_id, department_id, practitioner_id, known, stopped, starts_at, ends_at, location, periods,
		version, created_at, updated_at) VALUES `, 16, rows)
}

// stopped notes a stop. A line that is not there yet reads it from the plan.
func (s store) stopped(ctx context.Context, tx db.Tx, ids []scheduleID) error {
	for some := range slices.Chunk(ids, 64) {
		list, args := db.Few([]any{tx.Tenant(), true}, some)
		if _, err := tx.Exec(ctx, `UPDATE line SET stopped = $2 WHERE tenant_id = $1 AND id IN (`+list+`)`, args...); err != nil {
			return err
		}
	}
	return s.changed(ctx, tx, ids)
}

// follow writes what the plan says of a line.
func (s store) follow(ctx context.Context, t clinic.TenantID, l lineRow) error {
	return s.db.Write(ctx, t, func(ctx context.Context, tx db.Tx) error {
		_, err := tx.Exec(ctx, `UPDATE line SET known = $3, stopped = $4, starts_at = $5, ends_at = $6, location = $7, periods = $8,
				campus_id = $9, department_id = $10, practitioner_id = $11
			WHERE tenant_id = $1 AND id = $2`,
			t, l.ID, l.Known, l.Stopped, l.StartsAt.UnixMicro(), l.EndsAt.UnixMicro(), l.Location, db.JSON(l.Periods), l.Campus, l.Department, l.Practitioner)
		if err != nil {
			return err
		}
		return s.changed(ctx, tx, []scheduleID{l.ID})
	})
}

// pause stops a line until an instant, or goes on with it (the zero time).
func (s store) pause(ctx context.Context, a act, line scheduleID, until time.Time, reason clinic.PauseReason) (hit bool, err error) {
	return s.once(ctx, a, line.String(), func(ctx context.Context, tx db.Tx) error {
		l, err := s.move(ctx, tx, line, anyVersion)
		if err != nil {
			return err
		}
		if !turnorder.MayCall(l.facts(), a.now) {
			return clinic.ErrNotRunning.New()
		}
		at := int64(0)
		if !until.IsZero() {
			at = until.UnixMicro()
		}
		_, err = tx.Exec(ctx, `UPDATE line SET paused_until = $3, pause_reason = $4 WHERE tenant_id = $1 AND id = $2`, tx.Tenant(), line, at, string(reason))
		if err != nil {
			return err
		}
		_, err = a.record(ctx, tx, "Line", line.String(), string(reason), nil)
		return err
	})
}
