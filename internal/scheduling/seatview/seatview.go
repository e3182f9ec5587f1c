// Package seatview is the calendar of a hospital's free seats in memory: its sessions, what
// of them is newer or differs, and the answer as it is sent. It reads and locks nothing:
// scheduling's behaviour feeds it from the database.
package seatview

import (
	"bytes"
	"cmp"
	"slices"
	"time"

	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/id"
	"xinglin/internal/scheduling"
)

// ScheduleID is the id of a session.
type ScheduleID = id.ID[scheduling.Schedule]

// Row is a line of the calendar: a doctor at a department.
type Row struct {
	Campus       scheduling.CampusID
	Department   scheduling.DepartmentID
	Practitioner scheduling.PractitionerID
}

// Session is one session in memory. Instants are microseconds since 1970. Of two reads of
// a session the one with the higher version is the newer.
type Session struct {
	ID                     ScheduleID
	Day                    clock.Date
	Row                    Row
	Starts, Ends, Released int64
	Stopped                bool
	Version                int64
	Remaining              int
}

func (v *Session) state(now time.Time) scheduling.ScheduleState {
	return State(v.Stopped, time.UnixMicro(v.Released), time.UnixMicro(v.Ends), v.Remaining, now)
}

// State derives what a session shows.
func State(stopped bool, releasedAt, endsAt time.Time, remaining int, now time.Time) scheduling.ScheduleState {
	switch {
	case stopped:
		return scheduling.ScheduleHalted
	case !now.Before(endsAt):
		return scheduling.ScheduleEnded
	case now.Before(releasedAt):
		return scheduling.SchedulePlanned
	case remaining <= 0:
		return scheduling.ScheduleFull
	}
	return scheduling.ScheduleOpen
}

// View is the sessions of one tenant in memory. It has no lock: its owner has one. Fresh
// only reads; the others write, Rows and Write too, since they sort.
type View struct {
	sessions   map[ScheduleID]*Session
	lines      []line // nil: to be sorted anew
	generation uint64 // of sessions
	names      map[Row]quotedNames
}

type line struct {
	row      Row
	sessions []*Session // by day and start
}

// New is an empty view.
func New() *View { return &View{sessions: map[ScheduleID]*Session{}} }

// Apply takes what is newer, and what differs at the same version. It tells which sessions
// were behind or differed, and how many differed at the same version.
func (v *View) Apply(found []Session) (behind []ScheduleID, differ int) {
	for i := range found {
		f := &found[i]
		old := v.sessions[f.ID]
		switch {
		case old == nil:
			v.sessions[f.ID] = f
			v.lines = nil
		case f.Version < old.Version, *f == *old:
			continue
		default:
			if f.Version == old.Version {
				differ++
			}
			if f.Row != old.Row || f.Day != old.Day || f.Starts != old.Starts {
				v.lines = nil
			}
			*old = *f
		}
		behind = append(behind, f.ID)
		v.generation++
	}
	return behind, differ
}

// Keep drops the sessions of from..to that are not among found, and the days before today.
// It gives the number of the former.
func (v *View) Keep(found []Session, today, from, to clock.Date) (gone int) {
	have := make(map[ScheduleID]bool, len(found))
	for i := range found {
		have[found[i].ID] = true
	}
	for k, s := range v.sessions {
		past, missing := s.Day < today, s.Day >= from && s.Day <= to && !have[k]
		if past || missing {
			delete(v.sessions, k)
			v.lines = nil
			v.generation++
		}
		if missing && !past {
			gone++
		}
	}
	return gone
}

// sorted gives the lines, sorted.
func (v *View) sorted() []line {
	if v.lines != nil {
		return v.lines
	}
	place := map[Row]int{}
	v.lines = []line{}
	for _, s := range v.sessions {
		i, ok := place[s.Row]
		if !ok {
			i = len(v.lines)
			place[s.Row] = i
			v.lines = append(v.lines, line{row: s.Row})
		}
		v.lines[i].sessions = append(v.lines[i].sessions, s)
	}
	slices.SortFunc(v.lines, func(a, b line) int {
		x, y := a.row, b.row
		if n := bytes.Compare(x.Campus[:], y.Campus[:]); n != 0 {
			return n
		}
		if n := bytes.Compare(x.Department[:], y.Department[:]); n != 0 {
			return n
		}
		return bytes.Compare(x.Practitioner[:], y.Practitioner[:])
	})
	for _, r := range v.lines {
		slices.SortFunc(r.sessions, func(a, b *Session) int { return cmp.Compare(a.Starts, b.Starts) })
	}
	return v.lines
}
