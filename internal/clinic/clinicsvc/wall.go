package clinicsvc

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"time"

	"xinglin/internal/clinic"
	"xinglin/internal/clinic/turnorder"
	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/fanout"
)

// Bounds of a board.
const (
	wallCalls    = 6
	wallNext     = 3
	wallMissed   = 12
	wallRooms    = 60
	maxWallTurns = 5000
	wallSoon     = time.Hour // a session is shown so long before it begins
)

// board is what a wall shows. Numbers, masked names, places; nothing else of a person.
type board struct {
	Name       string      `json:"name"`
	CampusName string      `json:"campus_name"`
	ServerTime time.Time   `json:"server_time"`
	UpdatedAt  time.Time   `json:"updated_at" doc:"When this board was read"`
	Calls      []boardCall `json:"calls" doc:"The latest calls, at most 6"`
	Rooms      []boardRoom `json:"rooms" doc:"Sessions that run, begin within an hour or are stopped, at most 60; those that somebody waits for first, then by room"`
}

type boardCall struct {
	NumberText       string    `json:"number_text" example:"A018"`
	NameMasked       string    `json:"name_masked" doc:"Empty when the hospital shows numbers only" example:"张*三"`
	Room             string    `json:"room"`
	PractitionerName string    `json:"practitioner_name"`
	CalledAt         time.Time `json:"called_at" doc:"Of the last call, recalls included"`
	Calls            int       `json:"calls" doc:"How often the person was called"`
}

type boardRoom struct {
	ScheduleID       scheduleID `json:"schedule_id"`
	Room             string     `json:"room"`
	DepartmentName   string     `json:"department_name"`
	PractitionerName string     `json:"practitioner_name"`
	State            string     `json:"state" enum:"planned,running,paused,ended,stopped"`
	PausedUntil      *time.Time `json:"paused_until,omitempty"`
	Calling          string     `json:"calling,omitempty" doc:"Number that is called"`
	Next             []string   `json:"next" doc:"The next numbers, at most 3"`
	Waiting          int        `json:"waiting"`
	Missed           []string   `json:"missed" doc:"Numbers that were called in vain, at most 12"`
}

// ask is what a display shows: today's lines of its departments.
func (s *Service) ask(d clinic.Display) lineQuery {
	return lineQuery{Day: clock.DateOf(s.now()), Campus: d.Campus, Departments: d.Departments}
}

// board reads what a display shows now.
func (s *Service) board(ctx context.Context, t clinic.TenantID, d clinic.Display) (board, error) {
	if _, err := s.lines(ctx, t, s.ask(d)); err != nil { // as the plan is now
		return board{}, err
	}
	w, err := s.store.wall(ctx, t, s.ask(d))
	if err != nil {
		return board{}, err
	}
	now := s.now()
	b := board{Name: d.Name, ServerTime: now.UTC(), UpdatedAt: now.UTC(), Calls: []boardCall{}, Rooms: []boardRoom{}}
	byLine, lines := map[scheduleID]lineRow{}, []clinic.Line{{Campus: d.Campus}}
	for _, l := range w.lines {
		byLine[l.ID] = l
		lines = append(lines, s.shown(l))
	}
	var called []clinic.Turn
	if w.rules.ShowNames {
		for _, v := range w.calls {
			called = append(called, shownTurn(byLine[v.Schedule], v))
		}
	}
	n, err := s.named(ctx, t, lines, called)
	if err != nil {
		return board{}, err
	}
	b.CampusName = n.Campuses[d.Campus].Name
	for _, v := range w.calls {
		l := byLine[v.Schedule]
		b.Calls = append(b.Calls, boardCall{
			NumberText: textOf(l, v.Number), NameMasked: n.People[v.Patient], Room: location(l.Location, n.Departments[l.Department]),
			PractitionerName: n.Practitioners[l.Practitioner].Name, CalledAt: v.AnnouncedAt, Calls: v.Calls,
		})
	}
	for i, l := range w.lines {
		if r, ok := room(l, lines[i+1], w.turns[l.ID], n, now); ok {
			b.Rooms = append(b.Rooms, r)
		}
	}
	slices.SortStableFunc(b.Rooms, byNeed)
	b.Rooms = b.Rooms[:min(len(b.Rooms), wallRooms)]
	return b, nil
}

// byNeed puts the rooms that somebody waits for before those that nobody looks for, each by
// the room's name: a screen that is full shows what people came to read.
func byNeed(x, y boardRoom) int {
	idle := func(r boardRoom) int {
		if r.Calling == "" && r.Waiting == 0 && len(r.Missed) == 0 {
			return 1
		}
		return 0
	}
	return cmp.Or(cmp.Compare(idle(x), idle(y)), cmp.Compare(x.Room, y.Room))
}

// room is one session on a board; false when it is over or begins later.
func room(l lineRow, v clinic.Line, there []turnRow, n names, now time.Time) (boardRoom, bool) {
	if !l.Known || v.State == clinic.Ended || v.State == clinic.Planned && l.StartsAt.Sub(now) > wallSoon || now.Sub(l.EndsAt) > wallSoon && v.State == clinic.Stopped {
		return boardRoom{}, false
	}
	r := boardRoom{
		ScheduleID: l.ID, Room: location(l.Location, n.Departments[l.Department]), DepartmentName: n.Departments[l.Department].Name,
		PractitionerName: n.Practitioners[l.Practitioner].Name, State: string(v.State), Waiting: l.Waiting, Next: []string{}, Missed: []string{},
	}
	if !v.PausedUntil.IsZero() {
		r.PausedUntil = &v.PausedUntil
	}
	var all []turnorder.Waiting[appointmentID]
	for _, x := range there {
		switch x.State {
		case clinic.Called:
			r.Calling = textOf(l, x.Number)
		case clinic.Waiting:
			all = append(all, x.waiting())
		case clinic.Missed:
			if len(r.Missed) < wallMissed {
				r.Missed = append(r.Missed, textOf(l, x.Number))
			}
		}
	}
	for _, w := range turnorder.Order(l.Made, all) {
		if len(r.Next) == wallNext {
			break
		}
		r.Next = append(r.Next, textOf(l, w.Number))
	}
	return r, true
}

// wallSource reads whole boards for the fan-out. A board is new when one of its lines
// changed, and each minute: what follows from the clock is never older.
type wallSource struct{ s *Service }

// version grows with the minute and within it with every change of the lines.
func (w wallSource) version(ahead int64) int64 {
	return w.s.now().Unix()/60<<32 | ahead&(1<<32-1)
}

func (w wallSource) read(ctx context.Context, t clinic.TenantID, items []fanout.Item) ([]clinic.Display, []int64, error) {
	asked := make([]clinic.DisplayID, len(items))
	for i, v := range items {
		asked[i] = id.As[clinic.Display](v)
	}
	return w.s.store.walls(ctx, t, asked, w.s.ask, w.s.now())
}

// Versions implements fanout.Source.
func (w wallSource) Versions(ctx context.Context, t clinic.TenantID, items []fanout.Item) (map[fanout.Item]int64, error) {
	found, ahead, err := w.read(ctx, t, items)
	out := make(map[fanout.Item]int64, len(found))
	for i, d := range found {
		out[id.As[id.Any](d.ID)] = w.version(ahead[i])
	}
	return out, err
}

// Frames implements fanout.Source.
func (w wallSource) Frames(ctx context.Context, t clinic.TenantID, items []fanout.Item) ([]fanout.Frame, error) {
	found, ahead, err := w.read(ctx, t, items)
	if err != nil {
		return nil, err
	}
	out := make([]fanout.Frame, 0, len(found))
	for i, d := range found { // the version is read before the board, so that what changes meanwhile comes again
		b, err := w.s.board(ctx, t, d)
		if err != nil {
			return nil, err
		}
		text, err := json.Marshal(b)
		if err != nil {
			return nil, err
		}
		out = append(out, fanout.Frame{Item: id.As[id.Any](d.ID), Version: w.version(ahead[i]), Event: append(append([]byte("event: board\ndata: "), text...), "\n\n"...)})
	}
	return out, nil
}
