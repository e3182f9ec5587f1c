// Package scheduling is the contract of registration (挂号): rota rules make
// schedules (one session of a doctor), each cut into timed slots with seats; a
// patient holds a seat, pays, is booked under a number, and may cancel.
//
// Invariants, each a constraint or a conditional write in this context's storage: a
// seat is never sold twice (A1); a hold is the only road to a booking (A2); a person
// books once per scope of the hospital's rules, the limit key being unique while the
// appointment is active (A3); a payment takes effect once or is refunded once.
package scheduling

import (
	"context"
	"fmt"
	"io"
	"time"

	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/id"
	"xinglin/internal/kernel/money"
	"xinglin/internal/kernel/page"
)

// Session is the part of the day: 上午, 下午, 晚.
type Session string

// The sessions.
const (
	Morning   Session = "morning"
	Afternoon Session = "afternoon"
	Evening   Session = "evening"
)

// Class is the number class (号别): 普通, 专家, 特需.
type Class string

// The number classes.
const (
	Ordinary Class = "ordinary"
	Expert   Class = "expert"
	Special  Class = "special"
)

// State is the state of an appointment.
type State string

// The states of an appointment. The zero State is "does not exist yet".
const (
	Pending   State = "pending"   // a hold on a seat, waiting for payment
	Booked    State = "booked"    // has a number
	Arrived   State = "arrived"   // checked in
	Fulfilled State = "fulfilled" // seen
	Cancelled State = "cancelled"
	NoShow    State = "noshow"
)

// Active reports whether the state uses a seat and a limit key.
func (s State) Active() bool { return s != "" && s != Cancelled }

// CancelReason says why an appointment is cancelled.
type CancelReason string

// The reasons.
const (
	ByPatient CancelReason = "patient"
	ByStaff   CancelReason = "staff"
	ByExpiry  CancelReason = "expired" // the hold was not paid in time
	ByStop    CancelReason = "stopped" // 停诊: full refund, never counts against the patient
)

// Settlement is what became of the payment of an appointment.
type Settlement string

// The settlements. A payment has exactly one of the last two.
const (
	Unsettled Settlement = ""
	Applied   Settlement = "applied" // it booked the appointment
	Refund    Settlement = "refund"  // it goes back in full
)

// ScheduleState is derived from the clock, the stop flag and the remaining seats.
type ScheduleState string

// The states of a schedule.
const (
	SchedulePlanned ScheduleState = "planned" // not yet released
	ScheduleOpen    ScheduleState = "open"
	ScheduleFull    ScheduleState = "full"
	ScheduleHalted  ScheduleState = "stopped" // 停诊
	ScheduleEnded   ScheduleState = "ended"
)

// SlotState is derived like ScheduleState.
type SlotState string

// The states of a slot.
const (
	SlotFree   SlotState = "free"
	SlotFew    SlotState = "few"
	SlotFull   SlotState = "full"
	SlotPast   SlotState = "past"
	SlotClosed SlotState = "closed" // not released, paused or stopped
)

// Minute is a time of day in minutes after midnight, Asia/Shanghai.
type Minute int

// String is HH:MM.
func (m Minute) String() string { return fmt.Sprintf("%02d:%02d", int(m)/60, int(m)%60) }

// Schedule is one session of one doctor. A doctor has at most one per date and session.
type Schedule struct {
	ID           id.ID[Schedule]
	Date         clock.Date
	Session      Session
	Campus       CampusID
	Department   DepartmentID
	Practitioner PractitionerID
	Class        Class
	Fee          money.Fen
	StartsAt     time.Time
	EndsAt       time.Time
	Location     string
	ReleasedAt   time.Time
	State        ScheduleState
	Lottery      bool // a lottery decides, and it is not over
	Capacity     int
	Remaining    int
	UpdatedAt    time.Time
	Version      int64
}

// Slot is a period of a schedule. Its seats carry the numbers First..First+Capacity-1.
type Slot struct {
	ID        id.ID[Slot]
	Schedule  id.ID[Schedule]
	StartsAt  time.Time
	EndsAt    time.Time
	First     int // the number of the first seat, from 1 within the session
	Capacity  int // 1..MaxSlotSeats
	Remaining int
	State     SlotState
}

// MaxSlotSeats bounds the seats of one slot: they are bits of one signed 64-bit column.
const MaxSlotSeats = 62

// Appointment is a patient's place. Number is 0 until it is booked.
type Appointment struct {
	ID            id.ID[Appointment]
	RegNo         string // REG-260304-7K3Q9XAB, for people
	Account       AccountID
	Patient       PatientID
	Schedule      id.ID[Schedule]
	Slot          id.ID[Slot]
	Date          clock.Date
	Session       Session
	StartsAt      time.Time
	EndsAt        time.Time
	Campus        CampusID
	Department    DepartmentID
	Practitioner  PractitionerID
	Class         Class
	Location      string
	Fee           money.Fen
	Number        int
	State         State
	CancelReason  CancelReason
	HoldExpiresAt time.Time // zero unless pending
	CancelBefore  time.Time // the patient's cut-off
	Cancellable   bool      // by the patient, at the moment of reading
	Payment       PaymentID // zero for free numbers
	Settlement    Settlement
	Version       int64
	CreatedAt     time.Time
	History       []Transition // only from Get
}

// Transition is one line of an appointment's history.
type Transition struct {
	From, To State
	At       time.Time
	By       string // trigger: hold, paid, cancel, expire, stop ...
}

// Ticket is what the patient shows: the number within the session.
type Ticket struct {
	Appointment id.ID[Appointment]
	Schedule    id.ID[Schedule]
	Session     Session
	Number      int
}

// Text is the number as people see it: A018 in the morning, B in the afternoon, C in
// the evening; empty before booking.
func (t Ticket) Text() string {
	letter, ok := map[Session]string{Morning: "A", Afternoon: "B", Evening: "C"}[t.Session]
	if t.Number <= 0 || !ok {
		return ""
	}
	return fmt.Sprintf("%s%03d", letter, t.Number)
}

// HoldRequest asks for a seat: in Slot, or, when Any, the earliest free one of Schedule.
type HoldRequest struct {
	ID       id.ID[Appointment] // the caller's UUIDv7: primary key and idempotency key
	Patient  PatientID
	Slot     id.ID[Slot]
	Schedule id.ID[Schedule]
	Any      bool
}

// CancelRequest cancels with the version that the caller saw. Reason may be empty: it
// follows from who asks. Why is the staff's reason for the audit, never personal data.
type CancelRequest struct {
	ID      id.ID[Appointment]
	Version int64
	Reason  CancelReason
	Why     string
}

// ScheduleQuery lists schedules of a department or a practitioner, From..To included, at most 31 days.
type ScheduleQuery struct {
	Department   DepartmentID
	Practitioner PractitionerID
	From, To     clock.Date
}

// ImportRequest is a hospital's rota as a file.
type ImportRequest struct {
	File       io.Reader
	DryRun     bool
	StopVisits bool       // consent: sessions with visits may stop, which cancels, refunds and tells those
	From       clock.Date // the first day of rules that name none
}

// Change counts what an import makes, changes or finds as it is.
type Change struct{ New, Changed, Same int }

// RowError names one bad row. Column is the heading as the file writes it; Sheet is empty for texts.
type RowError struct {
	Sheet, Column      string
	Line               int
	ReasonZH, ReasonEN string
}

// SkippedSheet is a sheet of a workbook that is no rota: it has no headings of one, or is hidden.
type SkippedSheet struct{ Name, Reason string }

const NoHeadings, HiddenSheet = "no_headings", "hidden" // the reasons of a SkippedSheet

// StoppedSession is a session to come that an import takes out of the rota, with the directory's names.
type StoppedSession struct {
	Date               clock.Date
	Session            Session
	Department, Doctor string
	Visits             int // people who hold a seat in it
}

// ImportReport is the outcome. With errors nothing was written; Errors holds the first
// 200 by sheet and line, ErrorCount all. Stops holds the first 50, most visits first.
type ImportReport struct {
	Encoding                       string // utf-8, utf-8-bom, utf-16, gbk, xlsx
	Rows, ErrorCount               int
	Skipped                        []SkippedSheet
	Campuses, Departments, Doctors Change
	Rules, Exceptions, Schedules   Change
	Errors                         []RowError
	Stops                          []StoppedSession
	StopCount, StopVisits          int // sessions that stop, and visits in them
	DryRun                         bool
}

// ExtendReport counts what an extension of the rota made.
type ExtendReport struct {
	Through   clock.Date
	Schedules int
	Slots     int
	Conflicts int // a doctor planned twice at one time; the earlier rule holds
	Kept      int // sessions that the rota no longer has but people have booked: they stay
}

// Service is what other contexts, the wiring and the command line use. Methods without
// a tenant take it from the principal; refusals are the codes of errors.go.
type Service interface {
	// Schedules and Slots are public within the tenant; by day, session and start.
	Schedules(ctx context.Context, tenant TenantID, q ScheduleQuery) ([]Schedule, error)
	Slots(ctx context.Context, tenant TenantID, schedule id.ID[Schedule]) ([]Slot, error)
	// Hold takes a seat: pending until paid, booked at once when the fee is 0. The same
	// request again answers the same appointment with hit = true.
	Hold(ctx context.Context, r HoldRequest) (a Appointment, hit bool, err error)
	Get(ctx context.Context, a id.ID[Appointment]) (Appointment, error)
	List(ctx context.Context, state State, p page.Request) (page.Page[Appointment], error)
	Cancel(ctx context.Context, r CancelRequest) (Appointment, error)
	// Rules and SetRules read and replace the hospital's booking rules (operator).
	Rules(ctx context.Context) (BookingRules, int64, error)
	SetRules(ctx context.Context, r BookingRules, version int64) (int64, error)
	// Import loads a rota file, all or nothing (operator, command line); scheduling.import_stops without consent.
	Import(ctx context.Context, r ImportRequest) (ImportReport, error)
	// ExtendRota makes the schedules of the rules up to and including a day; repeating it changes nothing.
	ExtendRota(ctx context.Context, through clock.Date) (ExtendReport, error)
}
