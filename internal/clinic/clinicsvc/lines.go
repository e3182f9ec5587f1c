package clinicsvc

import (
	"context"
	"slices"
	"time"

	"xinglin/internal/clinic"
	"xinglin/internal/clinic/turnorder"
	"xinglin/internal/directory"
	"xinglin/internal/kernel/clock"
	"xinglin/internal/patient"
	"xinglin/internal/scheduling"
)

// maxDays bounds how far a list may look back or ahead.
const maxDays = 366

// Lines implements clinic.Service.
func (s *Service) Lines(ctx context.Context, q clinic.Query) ([]clinic.Line, error) {
	who, _, err := s.may(ctx, "clinic.list_sessions", "Line")
	if err != nil {
		return nil, err
	}
	today := clock.DateOf(s.now())
	if q.Date < today.Add(-maxDays) || q.Date > today.Add(maxDays) {
		return nil, clinic.ErrInput.At("date", "within a year")
	}
	ask := lineQuery{Day: q.Date, Campus: q.Campus, Within: reachOf(who)}
	if !q.Department.IsZero() {
		ask.Departments = []directory.DepartmentID{q.Department}
	}
	if ask.Within.nothing() {
		return []clinic.Line{}, nil
	}
	found, err := s.lines(ctx, who.Tenant, ask)
	if err != nil {
		return nil, err
	}
	current, err := s.store.current(ctx, who.Tenant, ids(found))
	if err != nil {
		return nil, err
	}
	out := make([]clinic.Line, 0, len(found))
	for _, l := range found {
		if !l.Known {
			continue
		}
		v := s.shown(l)
		if c, ok := current[l.ID]; ok {
			one := shownTurn(l, c)
			v.Current = &one
		}
		out = append(out, v)
	}
	return out, nil
}

func ids(ls []lineRow) []scheduleID {
	out := make([]scheduleID, len(ls))
	for i, l := range ls {
		out[i] = l.ID
	}
	return out
}

// shown is the line as callers see it now.
func (s *Service) shown(l lineRow) clinic.Line {
	state := turnorder.State(l.facts(), s.now())
	v := clinic.Line{
		Schedule: l.ID, Date: l.Day, Session: l.Session, StartsAt: l.StartsAt, EndsAt: l.EndsAt, Campus: l.Campus, Department: l.Department,
		Practitioner: l.Practitioner, Location: l.Location, State: state,
		Expected: l.Expected, Waiting: l.Waiting, Missed: l.Missed, Done: l.Done, Version: l.Version,
	}
	if state == clinic.Paused {
		v.PausedUntil, v.PauseReason = l.PausedUntil, l.PauseReason
	}
	return v
}

func shownTurn(l lineRow, v turnRow) clinic.Turn {
	return clinic.Turn{
		Appointment: v.ID, Schedule: v.Schedule, Account: v.Account, Patient: v.Patient, Number: v.Number, NumberText: textOf(l, v.Number),
		State: v.State, StartsAt: v.StartsAt, EndsAt: l.endOf(v.StartsAt), CheckedInAt: v.CheckedInAt, CalledAt: v.CalledAt, Calls: v.Calls, Late: v.Late,
	}
}

func textOf(l lineRow, number int) string {
	return scheduling.Ticket{Session: l.Session, Number: number}.Text()
}

// Queue implements clinic.Service.
func (s *Service) Queue(ctx context.Context, line scheduleID) (clinic.Queue, error) {
	who, _, _, err := s.mayLine(ctx, "clinic.read_queue", line)
	if err != nil {
		return clinic.Queue{}, err
	}
	return s.queueOf(ctx, who.Tenant, line)
}

// queueOf reads a line with its turns, those who wait in their order.
func (s *Service) queueOf(ctx context.Context, t clinic.TenantID, line scheduleID) (clinic.Queue, error) {
	q, err := s.store.queue(ctx, t, line, true)
	if err != nil {
		return clinic.Queue{}, err
	}
	out := clinic.Queue{Line: s.shown(q.line), Turns: make([]clinic.Turn, 0, len(q.turns))}
	place := q.places()
	for _, v := range q.turns {
		turn := shownTurn(q.line, v)
		turn.Position = place[v.ID]
		out.Turns = append(out.Turns, turn)
		if v.State == clinic.Called {
			one := turn
			out.Current = &one
		}
	}
	slices.SortStableFunc(out.Turns, func(a, b clinic.Turn) int { // only those who wait have positions, and they stand together
		if a.State != clinic.Waiting || b.State != clinic.Waiting {
			return 0
		}
		return a.Position - b.Position
	})
	return out, nil
}

// places are the positions of those who wait, from 1.
func (q queueRows) places() map[appointmentID]int {
	var all []turnorder.Waiting[appointmentID]
	for _, v := range q.turns {
		if v.State == clinic.Waiting {
			all = append(all, v.waiting())
		}
	}
	out := make(map[appointmentID]int, len(all))
	for i, w := range turnorder.Order(q.line.Made, all) {
		out[w.Key] = i + 1
	}
	return out
}

// names are what lists show of lines and people.
type names struct {
	directory.Labels
	People map[patient.ID]string
}

// labels reads the names of lines' doctors and places, at most clinic.MaxLines of them.
func (s *Service) labels(ctx context.Context, t clinic.TenantID, ls []clinic.Line) (directory.Labels, error) {
	out := directory.Labels{
		Practitioners: map[directory.PractitionerID]directory.Label{}, Departments: map[directory.DepartmentID]directory.Label{},
		Campuses: map[directory.CampusID]directory.Label{},
	}
	for some := range slices.Chunk(ls, maxBatch) {
		var ps []directory.PractitionerID
		var ds []directory.DepartmentID
		var cs []directory.CampusID
		for _, l := range some {
			ps, ds, cs = with(ps, l.Practitioner), with(ds, l.Department), with(cs, l.Campus)
		}
		found, err := s.dir.Labels(ctx, t, ps, ds, cs)
		if err != nil {
			return out, err
		}
		for k, v := range found.Practitioners {
			out.Practitioners[k] = v
		}
		for k, v := range found.Departments {
			out.Departments[k] = v
		}
		for k, v := range found.Campuses {
			out.Campuses[k] = v
		}
	}
	return out, nil
}

func with[T comparable](list []T, v T) []T {
	if slices.Contains(list, v) {
		return list
	}
	return append(list, v)
}

// named reads the names of lines and of the people in turns, at most maxBatch of them.
func (s *Service) named(ctx context.Context, t clinic.TenantID, ls []clinic.Line, turns []clinic.Turn) (n names, err error) {
	if n.Labels, err = s.labels(ctx, t, ls); err != nil {
		return n, err
	}
	var people []patient.ID
	for _, v := range turns {
		people = with(people, v.Patient)
	}
	n.People = map[patient.ID]string{}
	for some := range slices.Chunk(people, maxBatch) {
		found, err := s.patients.MaskedNames(ctx, t, some)
		if err != nil {
			return n, err
		}
		for k, v := range found {
			n.People[k] = v
		}
	}
	return n, nil
}

// location is where a line is: its own place, else the department's.
func location(own string, d directory.Label) string {
	if own != "" {
		return own
	}
	return d.Location
}

// Place implements clinic.Service.
func (s *Service) Place(ctx context.Context, turn appointmentID) (clinic.Place, error) {
	who, _, _, err := s.mayOwn(ctx, "clinic.read_turn", turn)
	if err != nil {
		return clinic.Place{}, err
	}
	return s.placeOf(ctx, who.Tenant, turn)
}

// placeOf is what the person of a turn is told.
func (s *Service) placeOf(ctx context.Context, t clinic.TenantID, turn appointmentID) (clinic.Place, error) {
	v, err := s.store.turn(ctx, t, turn)
	if err != nil {
		return clinic.Place{}, err
	}
	if _, err := s.line(ctx, t, v.Schedule); err != nil { // as the plan is now
		return clinic.Place{}, err
	}
	q, err := s.store.queue(ctx, t, v.Schedule, false)
	if err != nil {
		return clinic.Place{}, err
	}
	rules, _, err := s.store.rules(ctx, t)
	if err != nil {
		return clinic.Place{}, err
	}
	l, now := s.shown(q.line), s.now()
	p := clinic.Place{Turn: shownTurn(q.line, v), LineState: l.State, PausedUntil: l.PausedUntil, Version: l.Version}
	label, err := s.dir.Labels(ctx, t, nil, []directory.DepartmentID{l.Department}, nil)
	if err != nil {
		return p, err
	}
	p.Location = location(l.Location, label.Departments[l.Department])
	p.CheckInFrom, p.CheckInUntil = turnorder.Period(rules, p.StartsAt, p.EndsAt)
	p.CanCheckIn = mayCheckIn(rules, q.line, v, now) == nil && (v.State == clinic.Expected || v.State == clinic.Missed)
	for _, x := range q.turns {
		if x.State == clinic.Called {
			p.CallingText = textOf(q.line, x.Number)
		}
	}
	p.Position = q.places()[v.ID]
	switch {
	case p.Position > 0:
		p.Ahead = p.Position - 1
		if l.State == clinic.Running || l.State == clinic.Planned || l.State == clinic.Paused {
			p.WaitFrom, p.WaitTo = s.wait(q, l, p.Ahead)
		}
	case v.State == clinic.Expected:
		for _, x := range q.turns {
			if x.State == clinic.Waiting && x.Number < v.Number {
				p.Ahead++
			}
		}
	}
	return p, nil
}

// wait is the range of the instant of a call, by the session's pace.
func (s *Service) wait(q queueRows, l clinic.Line, people int) (from, to time.Time) {
	now := s.now()
	a, base := turnorder.Ahead{People: people}, now
	for _, x := range q.turns {
		if x.State == clinic.Called {
			a.Busy, a.Elapsed = true, now.Sub(x.CalledAt)
		}
	}
	for _, at := range []time.Time{l.PausedUntil, l.StartsAt} {
		if at.After(base) && (!a.Busy || at.Equal(l.PausedUntil)) {
			base = at
		}
	}
	short, long := turnorder.Wait(turnorder.Pace{Visits: q.pace, Slot: q.line.slot()}, a)
	return base.Add(short).Truncate(time.Second), base.Add(long).Truncate(time.Second)
}
