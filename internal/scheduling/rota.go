package scheduling

import (
	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/id"
	"xinglin/internal/kernel/money"
)

// Duty is what a doctor does in a session: where, for which class and fee, with how
// many seats cut into slots of how many minutes.
type Duty struct {
	Campus       CampusID
	Department   DepartmentID
	Practitioner PractitionerID
	Session      Session
	Class        Class
	Seats        int
	SlotMinutes  int
	Fee          money.Fen
	Start, End   Minute
	Location     string
	Remark       string
}

// HolidayPolicy says whether a rule works on public holidays.
type HolidayPolicy string

// The policies. The zero value rests.
const (
	HolidayRest HolidayPolicy = ""
	HolidayWork HolidayPolicy = "work"
)

// MakeUpPolicy says whether a rule works on make-up workdays.
type MakeUpPolicy string

// The policies. The zero value rests: on a make-up day the weekday rota does not apply.
const (
	MakeUpRest    MakeUpPolicy = ""
	MakeUpWorkday MakeUpPolicy = "workday" // when the workday that the day stands for is one of the rule's
	MakeUpOwn     MakeUpPolicy = "own"     // when the date itself is one of the rule's
)

// RotaRule repeats a duty. Recurrence is an RFC 5545 RRULE of daily, weekly or monthly steps
// (FREQ=WEEKLY;BYDAY=MO,WE) counted from From. To is the last day, 0 = open.
type RotaRule struct {
	ID         id.ID[RotaRule]
	Duty       Duty
	Recurrence string
	From, To   clock.Date
	Holidays   HolidayPolicy
	MakeUp     MakeUpPolicy
	Version    int64
}

// ExceptionKind is the sort of a departure from the rota.
type ExceptionKind string

// The kinds of exceptions.
const (
	Leave  ExceptionKind = "leave"  // 停诊: the doctor's sessions of the days fall out
	Extra  ExceptionKind = "extra"  // 加诊: one more session
	MakeUp ExceptionKind = "makeup" // 补班: a session on a make-up workday
	Seats  ExceptionKind = "seats"  // 调整: another number of seats
)

// Exception departs from the rota on the days From..To. Leave and Seats use the
// duty's Practitioner and Session (empty = all of the day), Seats also its Seats.
type Exception struct {
	ID       id.ID[Exception]
	Kind     ExceptionKind
	From, To clock.Date
	Duty     Duty
	Version  int64
}
