package schedulingsvc

import (
	"context"
	"slices"
	"time"

	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/event"
	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/calendar"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/job"
	"xinglin/internal/platform/outbox"
	"xinglin/internal/platform/trail"
	"xinglin/internal/scheduling"
	"xinglin/internal/scheduling/bookingrules"
	"xinglin/internal/scheduling/rotaplan"
	"xinglin/internal/scheduling/schedulingsvc/rotas"
)

// extendDays is how many days one transaction makes, so that patients who book beside
// it wait for a short time only.
const extendDays = 7

// The work of keeping schedules ahead: jobExtend for one tenant, jobExtendAll each night.
const (
	jobExtend    = "scheduling.extend_rota"
	jobExtendAll = "scheduling.extend_all"
)

// enqueueExtend asks for the tenant's schedules to follow its rota and rules.
func enqueueExtend(ctx context.Context, tx db.Tx) error {
	return job.Enqueue(ctx, tx, job.Spec{Kind: jobExtend, Payload: struct{}{}})
}

func (s store) askExtend(ctx context.Context, t scheduling.TenantID) error {
	return s.db.Write(ctx, t, enqueueExtend)
}

// made counts what a stretch of the rota made.
type made struct {
	New, Changed, Same, Slots, Conflicts int
	Kept                                 int // sessions that the rota no longer has, with visits
}

func (m made) change() scheduling.Change {
	return scheduling.Change{New: m.New, Changed: m.Changed, Same: m.Same}
}

func (m *made) add(n made) {
	m.New, m.Changed, m.Same = m.New+n.New, m.Changed+n.Changed, m.Same+n.Same
	m.Slots, m.Conflicts, m.Kept = m.Slots+n.Slots, m.Conflicts+n.Conflicts, m.Kept+n.Kept
}

// extend makes the schedules of from..to in short transactions.
func (s store) extend(ctx context.Context, t scheduling.TenantID, cal *calendar.Calendar, from, to clock.Date, policy string) (sum made, err error) {
	for first := from; first <= to; first = first.Add(extendDays) {
		var m made
		err := s.db.Write(ctx, t, func(ctx context.Context, tx db.Tx) (err error) {
			m, err = s.extendIn(ctx, tx, cal, first, min(to, first.Add(extendDays-1)), policy)
			return err
		})
		if err != nil {
			return sum, err
		}
		sum.add(m)
	}
	return sum, nil
}

// extendIn lays the rota over from..to within a transaction: what is new is planned, what
// nobody has booked yet follows the rota, what the rota no longer has is stopped. Where
// somebody has a seat all stays as it was sold.
func (s store) extendIn(ctx context.Context, tx db.Tx, cal *calendar.Calendar, from, to clock.Date, policy string) (m made, err error) {
	if err := s.takeRotaTurn(ctx, tx); err != nil {
		return m, err
	}
	rules, exceptions, err := rotas.In(ctx, tx, from, to)
	if err != nil {
		return m, err
	}
	planned, conflicts, err := rotaplan.Plan(rules, exceptions, cal, from, to)
	if err != nil {
		return m, err
	}
	m.Conflicts = len(conflicts)
	booking, _, err := rulesIn(ctx, tx)
	if err != nil {
		return m, err
	}
	e := &extension{s: s, tx: tx, now: tx.Now(), rules: booking, known: map[sessionKey]scheduleRow{}}
	if err := e.read(ctx, from, to); err != nil {
		return m, err
	}
	for _, p := range planned {
		e.lay(p, &m)
	}
	if err := e.alter(ctx, &m); err != nil {
		return m, err
	}
	return m, e.flush(ctx, policy)
}

// foretell is extendIn for an import that is rolled back.
func (s store) foretell(cal *calendar.Calendar) func(context.Context, db.Tx, clock.Date, clock.Date, string) (scheduling.Change, error) {
	return func(ctx context.Context, tx db.Tx, from, to clock.Date, policy string) (scheduling.Change, error) {
		m, err := s.extendIn(ctx, tx, cal, from, to, policy)
		return m.change(), err
	}
}

type sessionKey struct {
	day     clock.Date
	doctor  scheduling.PractitionerID
	session scheduling.Session
}

// extension gathers the rows of one stretch.
type extension struct {
	s         store
	tx        db.Tx
	now       time.Time
	rules     scheduling.BookingRules
	known     map[sessionKey]scheduleRow // what is left at the end is no longer planned
	held      map[scheduleID]bool        // stopped by the operator
	changes   []changed
	schedules [][]any
	slots     [][]any
	published []scheduling.SchedulePublished
	stopped   int
}

// changed is a session that the rota has in another form now.
type changed struct {
	row  scheduleRow
	plan rotaplan.Session
}

func (e *extension) read(ctx context.Context, from, to clock.Date) error {
	rows, err := e.tx.Query(ctx, `SELECT `+scheduleColumns+` FROM schedule WHERE tenant_id = $1 AND day >= $2 AND day <= $3 ORDER BY id`, e.tx.Tenant(), from, to)
	old, err := db.Collect(rows, err, func(r db.Rows, v *scheduleRow) error { return scanSchedule(r, v) })
	for _, v := range old {
		e.known[sessionKey{v.Date, v.Practitioner, v.Session}] = v
	}
	if err == nil {
		e.held, err = rotas.HeldStops(ctx, e.tx, from, to)
	}
	return err
}

// lay brings one planned session in, or keeps it for alter.
func (e *extension) lay(p rotaplan.Session, m *made) {
	k := sessionKey{p.Date, p.Duty.Practitioner, p.Duty.Session}
	was, found := e.known[k]
	delete(e.known, k)
	v := e.row(p)
	switch {
	case !found && !e.now.Before(v.EndsAt): // over before it was planned
	case !found:
		v.ID, v.Version = id.New[scheduling.Schedule](e.now), 1
		e.schedules = append(e.schedules, e.values(v, p))
		for _, sl := range p.Slots {
			e.slots = append(e.slots, slotValues(e.tx, v.ID, sl))
		}
		m.New++
		m.Slots += len(p.Slots)
		e.publish(v)
	case e.like(was, v) || !e.now.Before(was.StartsAt) || e.held[was.ID]:
		m.Same++
	default:
		v.ID = was.ID
		e.changes = append(e.changes, changed{v, p})
	}
}

// alter changes and stops what exists, under the lock of all plans: nobody takes a seat
// meanwhile.
func (e *extension) alter(ctx context.Context, m *made) error {
	stops := e.rest()
	if len(e.changes)+len(stops) == 0 {
		return nil
	}
	if err := lockPlans(ctx, e.tx); err != nil {
		return err
	}
	for _, c := range e.changes {
		done, err := e.change(ctx, c.row, c.plan)
		if err != nil {
			return err
		}
		if !done { // somebody has a seat: the session stays as it was sold
			m.Same++
			continue
		}
		m.Changed++
		e.publish(c.row)
	}
	return e.stop(ctx, stops, m)
}

// row is the schedule that a plan makes.
func (e *extension) row(p rotaplan.Session) scheduleRow {
	d := p.Duty
	seats := 0
	for _, sl := range p.Slots {
		seats += sl.Capacity
	}
	return scheduleRow{Schedule: scheduling.Schedule{
		Date: p.Date, Session: d.Session, Campus: d.Campus, Department: d.Department, Practitioner: d.Practitioner, Class: d.Class, Fee: d.Fee,
		StartsAt: p.StartsAt, EndsAt: p.EndsAt, Location: d.Location, ReleasedAt: bookingrules.ReleasedAt(e.rules, p.Date), Capacity: seats,
	}}
}

// like reports whether the schedule is as planned. The release is the rules' matter.
func (e *extension) like(was, v scheduleRow) bool {
	return !was.Stopped && was.Campus == v.Campus && was.Department == v.Department && was.Class == v.Class && was.Fee == v.Fee &&
		was.StartsAt.Equal(v.StartsAt) && was.EndsAt.Equal(v.EndsAt) && was.Location == v.Location && was.Capacity == v.Capacity
}

func (e *extension) values(v scheduleRow, p rotaplan.Session) []any {
	return []any{
		e.tx.Tenant(), v.ID, v.Date, string(v.Session), v.Campus, v.Department, v.Practitioner, string(v.Class), int64(v.Fee), v.StartsAt.UnixMicro(), v.EndsAt.UnixMicro(),
		v.Location, v.ReleasedAt.UnixMicro(), false, v.Capacity, id.Null(p.Rule), id.Null(p.Exception), v.Version, e.now.UnixMicro(), e.now.UnixMicro(),
	}
}

func slotValues(tx db.Tx, schedule id.ID[scheduling.Schedule], sl rotaplan.Slot) []any {
	return []any{
		tx.Tenant(), id.New[scheduling.Slot](tx.Now()), schedule, sl.StartsAt.UnixMicro(), sl.EndsAt.UnixMicro(), sl.First, sl.Capacity, 0, 0, int64(0), bookingrules.FullMask(sl.Capacity),
		int64(1), []byte(bookingrules.NoHolders(sl.Capacity)),
	}
}

// change cuts a session anew if nobody has a seat in it; false: somebody has.
func (e *extension) change(ctx context.Context, v scheduleRow, p rotaplan.Session) (bool, error) {
	n, err := e.tx.Exec(ctx, `UPDATE schedule SET campus_id = $3, department_id = $4, class = $5, fee_fen = $6, starts_at = $7, ends_at = $8, location = $9, capacity = $10,
			stopped = $11, rule_id = $12, exception_id = $13, version = version + 1, updated_at = $14
		WHERE tenant_id = $1 AND id = $2 AND (lottery_s = 0 OR released_at > $14)
		AND NOT EXISTS (SELECT 1 FROM slot l WHERE l.tenant_id = $1 AND l.schedule_id = $2 AND l.taken <> 0)
		AND NOT EXISTS (SELECT 1 FROM session_stop x WHERE x.tenant_id = $1 AND x.schedule_id = $2 AND NOT x.by_rota)`, // entries of a lottery name slots
		e.tx.Tenant(), v.ID, v.Campus, v.Department, string(v.Class), int64(v.Fee), v.StartsAt.UnixMicro(), v.EndsAt.UnixMicro(), v.Location, v.Capacity,
		false, id.Null(p.Rule), id.Null(p.Exception), e.now.UnixMicro())
	if err != nil || n == 0 {
		return false, err
	}
	if err := forgetStop(ctx, e.tx, v.ID); err != nil {
		return false, err
	}
	_, err = e.tx.Exec(ctx, `UPDATE slot SET capacity = 0, full_mask = 0, holders = $3, version = version + 1 WHERE tenant_id = $1 AND schedule_id = $2`, e.tx.Tenant(), v.ID, []byte(bookingrules.NoHolders(0)))
	if err != nil {
		return false, err
	}
	var cut [][]any
	for _, sl := range p.Slots {
		n, err := e.tx.Exec(ctx, `UPDATE slot SET ends_at = $4, first = $5, capacity = $6, full_mask = $7, holders = $8, version = version + 1 WHERE tenant_id = $1 AND schedule_id = $2 AND starts_at = $3`,
			e.tx.Tenant(), v.ID, sl.StartsAt.UnixMicro(), sl.EndsAt.UnixMicro(), sl.First, sl.Capacity, bookingrules.FullMask(sl.Capacity), []byte(bookingrules.NoHolders(sl.Capacity)))
		if err != nil {
			return false, err
		}
		if n == 0 {
			cut = append(cut, slotValues(e.tx, v.ID, sl))
		}
	}
	e.slots = append(e.slots, cut...)
	e.s.freed(ctx, e.tx, v.ID)
	return true, nil
}

// rest are the sessions to come that the rota no longer has.
func (e *extension) rest() (out []scheduleID) {
	for _, v := range e.known {
		if !v.Stopped && e.now.Before(v.StartsAt) {
			out = append(out, v.ID)
		}
	}
	slices.SortFunc(out, func(a, b scheduleID) int { return slices.Compare(a[:], b[:]) })
	return out
}

// stop stops sessions, read again under the lock, unless somebody has a visit there: nobody
// sees this work, so nobody could be asked.
func (e *extension) stop(ctx context.Context, stops []scheduleID, m *made) error {
	found, err := rotas.Standing(ctx, e.tx, stops)
	if err != nil {
		return err
	}
	free := slices.DeleteFunc(slices.Clone(found), func(v rotas.Falling) bool { return v.Visits > 0 })
	m.Kept += len(found) - len(free)
	e.stopped = len(free)
	return e.s.haltAll(ctx, e.tx, free)
}

func (e *extension) publish(v scheduleRow) {
	e.published = append(e.published, scheduling.SchedulePublished{
		Schedule: v.ID, Campus: v.Campus, Department: v.Department, Practitioner: v.Practitioner, Date: v.Date, Session: v.Session, Class: v.Class, Fee: v.Fee,
		Capacity: v.Capacity, ReleasedAt: v.ReleasedAt,
	})
}

// flush writes what was gathered, its events and one audit row.
func (e *extension) flush(ctx context.Context, policy string) error {
	err := db.InsertMany(ctx, e.tx, `INSERT INTO schedule (tenant_id, id, day, session, campus_id, department_id, practitioner_id, class, fee_fen, starts_at, ends_at, location,
		released_at, stopped, capacity, rule_id, exception_id, version, created_at, updated_at) VALUES `, 20, e.schedules)
	if err != nil {
		return err
	}
	err = db.InsertMany(ctx, e.tx, `INSERT INTO slot (tenant_id, id, schedule_id, starts_at, ends_at, first, capacity, held, booked, taken, full_mask, version, holders) VALUES `, 13, e.slots)
	if err != nil {
		return err
	}
	if err := addAll(ctx, e.tx, e.published); err != nil {
		return err
	}
	if len(e.published)+e.stopped == 0 {
		return nil
	}
	e.s.changed(ctx, e.tx, everySession)
	_, err = trail.Record(ctx, e.tx, trail.Entry{
		Action: "scheduling.extend_rota", Noun: "Rota", ID: e.tx.Tenant().String(), Policy: policy, Changed: []string{"schedule"},
	})
	return err
}

// maxTold is how many events one message carries.
const maxTold = 500

// addAll adds events of one kind in messages of a bounded size.
func addAll[E event.Event](ctx context.Context, tx db.Tx, events []E) error {
	for len(events) > 0 {
		n := min(len(events), maxTold)
		all := make([]event.Event, 0, n)
		for _, v := range events[:n] {
			all = append(all, v)
		}
		if err := outbox.Add(ctx, tx, all...); err != nil {
			return err
		}
		events = events[n:]
	}
	return nil
}
