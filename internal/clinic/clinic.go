// Package clinic runs the waiting line of a session (候诊叫号): a booked person checks
// in, waits, is called into the room, and is seen or missed; walls show who is called.
// A Line is the waiting line of one scheduling.Schedule and has its id; a Turn is one
// person's place in it and has the id of the appointment; a Display is a wall's right to
// look.
//
// Invariants, each a constraint or a conditional write in this context's storage: at
// most one turn of a line is called (A12); one press of the key calls one person, whoever
// presses at the same moment; nobody is called who has not checked in; a cancelled
// appointment has no turn that could be called, in whatever order the events arrive; a
// person is overtaken at most once because of the same other person (package turnorder).
package clinic

import (
	"context"
	"time"

	"xinglin/internal/directory"
	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/id"
	"xinglin/internal/patient"
	"xinglin/internal/scheduling"
)

// Ids of the nouns. A line and a turn have the ids of what they are about.
type (
	TenantID      = id.ID[auth.Tenant]
	ScheduleID    = id.ID[scheduling.Schedule]
	AppointmentID = id.ID[scheduling.Appointment]
	DisplayID     = id.ID[Display]
)

// State is the state of a turn. The zero State is "does not exist yet".
type State string

// The states of a turn.
const (
	Expected State = "expected" // booked, not there yet
	Waiting  State = "waiting"  // checked in (签到)
	Called   State = "called"   // asked into the room, or being seen
	Missed   State = "missed"   // called and did not come (过号); may come back
	Done     State = "done"     // seen
	Gone     State = "gone"     // the appointment is cancelled
)

// LineState is derived from the clock, the stop, the pause and who is there.
type LineState string

// The states of a line.
const (
	Planned LineState = "planned" // begins later
	Running LineState = "running" // also past its end, while somebody waits or is being seen
	Paused  LineState = "paused"
	Ended   LineState = "ended"
	Stopped LineState = "stopped" // 停诊
)

// PauseReason says why a doctor is away.
type PauseReason string

// The reasons of a pause.
const (
	Round     PauseReason = "round" // 查房
	Emergency PauseReason = "emergency"
	Break     PauseReason = "break"
	Other     PauseReason = "other"
)

// Turn is one person's place in a line.
type Turn struct {
	Appointment AppointmentID
	Schedule    ScheduleID
	Account     id.ID[auth.Account] // zero for a person without an account
	Patient     patient.ID
	Number      int    // within the session
	NumberText  string // A018
	State       State
	StartsAt    time.Time // of the own period
	EndsAt      time.Time
	CheckedInAt time.Time // zero before
	CalledAt    time.Time // of the last call
	Calls       int       // how often the person was called
	Late        bool      // checked in after the end of the own period
	Position    int       // from 1 among those who wait; 0 otherwise
}

// Line is the waiting line of one session.
type Line struct {
	Schedule     ScheduleID
	Date         clock.Date
	Session      scheduling.Session
	StartsAt     time.Time
	EndsAt       time.Time
	Campus       directory.CampusID
	Department   directory.DepartmentID
	Practitioner directory.PractitionerID
	Location     string
	State        LineState
	PausedUntil  time.Time // zero: not paused
	PauseReason  PauseReason
	Expected     int
	Waiting      int
	Missed       int
	Done         int
	Current      *Turn // who is called; nil: nobody
	Version      int64 // of every change
}

// Queue is a line with its turns: who is called, who waits in the order of the calls,
// who is missed, who is expected, who is done; at most MaxTurns.
type Queue struct {
	Line
	Turns []Turn
}

// MaxTurns bounds the turns of a Queue.
const MaxTurns = 200

// Place is what a waiting person is told. WaitFrom and WaitTo are an honest range of the
// instant of the own call by the session's own pace; zero unless the person waits.
type Place struct {
	Turn
	Ahead        int    // who is called before
	CallingText  string // the number that is called now; empty: nobody
	Location     string
	WaitFrom     time.Time
	WaitTo       time.Time
	CheckInFrom  time.Time // by the person; the desk may do it all day
	CheckInUntil time.Time
	CanCheckIn   bool
	PausedUntil  time.Time
	LineState    LineState
	Version      int64
}

// Query lists the lines of a day; zero ids do not narrow it.
type Query struct {
	Date       clock.Date
	Campus     directory.CampusID
	Department directory.DepartmentID
}

// MaxLines bounds the lines of one answer.
const MaxLines = 500

// Key makes a request take effect once: the same key again has no further effect.
type Key = id.ID[id.Any]

// Display is a wall's right to look at the lines of some departments of a campus; with
// no department at all of the campus's. Its token is shown once; only a hash is kept.
type Display struct {
	ID          DisplayID
	Name        string
	Campus      directory.CampusID
	Departments []directory.DepartmentID
	CreatedAt   time.Time
	LastSeenAt  time.Time // to within five minutes; zero: never
	ExpiresAt   time.Time // moves on while it is used
}

// Rules are the hospital's own, one row a tenant; without a row DefaultRules hold.
type Rules struct {
	EarlyMinutes int  // before the own period a person may check in
	LateMinutes  int  // after its end too; later only the desk
	ShowNames    bool // masked names on the walls; false: numbers only
}

// DefaultRules hold where the hospital has none.
var DefaultRules = Rules{EarlyMinutes: 60, LateMinutes: 30, ShowNames: true}

// Service is what the wiring and the demo use. The tenant is the principal's; refusals
// are the codes of errors.go. A doctor acts on the own lines only.
type Service interface {
	// Lines lists a day's lines by start: a doctor's own, for nurses, registrars and operators all.
	Lines(ctx context.Context, q Query) ([]Line, error)
	// Queue is a line with its turns.
	Queue(ctx context.Context, line ScheduleID) (Queue, error)
	// CallNext finishes who is being seen and calls the next one, unless somebody moved the line since
	// the version that the caller saw (clinic.stale). Events: turn.finished, turn.called.
	CallNext(ctx context.Context, line ScheduleID, version int64, key Key) (Queue, bool, error)
	// Place is the own turn of a person with an account.
	Place(ctx context.Context, turn AppointmentID) (Place, error)
	// CheckIn is of the person with an account, within the hospital's window; again it changes nothing.
	// A missed person comes back by it. Event: turn.checked_in.
	CheckIn(ctx context.Context, turn AppointmentID, key Key) (Place, bool, error)
	// CheckInAtDesk is the same by a registrar or nurse, on the whole day.
	CheckInAtDesk(ctx context.Context, turn AppointmentID, key Key) (Queue, bool, error)
	// Recall calls the called person again, or brings a missed one back. Event: turn.called.
	Recall(ctx context.Context, turn AppointmentID, key Key) (Queue, bool, error)
	// Skip notes that the called person did not come. Event: turn.missed.
	Skip(ctx context.Context, turn AppointmentID, key Key) (Queue, bool, error)
	// Finish ends the visit of the called person. Event: turn.finished.
	Finish(ctx context.Context, turn AppointmentID, key Key) (Queue, bool, error)
}
