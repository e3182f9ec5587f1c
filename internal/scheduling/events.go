package scheduling

import (
	"time"

	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/id"
	"xinglin/internal/kernel/money"
)

// Visit is the part that the events of appointments share.
type Visit struct {
	Appointment  id.ID[Appointment] `json:"appointment"`
	Account      AccountID          `json:"account"`
	Patient      PatientID          `json:"patient"`
	Schedule     id.ID[Schedule]    `json:"schedule"`
	Slot         id.ID[Slot]        `json:"slot"`
	Campus       CampusID           `json:"campus"`
	Department   DepartmentID       `json:"department"`
	Practitioner PractitionerID     `json:"practitioner"`
	Date         clock.Date         `json:"date"`
	Session      Session            `json:"session"`
	StartsAt     time.Time          `json:"starts_at"`
	Class        Class              `json:"class"`
	Fee          money.Fen          `json:"fee_fen"`
}

// AppointmentHeld: a seat is kept until ExpiresAt; payment opens the payment, whose id is the appointment's. It is
// short, because the rush writes it for each seat: the slot says the rest.
type AppointmentHeld struct {
	Appointment id.ID[Appointment] `json:"appointment"`
	Account     AccountID          `json:"account"`
	Patient     PatientID          `json:"patient"`
	Slot        id.ID[Slot]        `json:"slot"`
	Date        clock.Date         `json:"date"`
	Fee         money.Fen          `json:"fee_fen"`
	RegNo       string             `json:"reg_no"`
	ExpiresAt   time.Time          `json:"expires_at"`
}

// AppointmentBooked: the appointment has its number.
type AppointmentBooked struct {
	Visit
	Number  int       `json:"number"`
	Payment PaymentID `json:"payment"` // zero for free numbers
}

// AppointmentCancelled: by the patient, the staff or a stopped session; Refund is what goes back.
type AppointmentCancelled struct {
	Visit
	Reason  CancelReason `json:"reason"`
	Number  int          `json:"number"` // the number given up; 0 for a hold
	Payment PaymentID    `json:"payment"`
	Refund  money.Fen    `json:"refund_fen"`
}

// AppointmentExpired: the hold was not paid in time.
type AppointmentExpired struct {
	Visit
	Payment PaymentID `json:"payment"` // to be closed
}

// AppointmentSettled: which effect a payment took, once: it booked the appointment, or a refund is wanted.
type AppointmentSettled struct {
	Appointment id.ID[Appointment] `json:"appointment"`
	Payment     PaymentID          `json:"payment"`
	Outcome     Settlement         `json:"outcome"`
	Amount      money.Fen          `json:"amount_fen"`
}

// AppointmentMissed: the session is over and the person has not come (爽约); it counts by the hospital's rules.
type AppointmentMissed struct {
	Visit
	Number int `json:"number"`
}

// LotteryOutcome is what a draw came to for an entry.
type LotteryOutcome string

// The outcomes: lost is no wished seat left at its rank, refused a seat against the rules of booking.
const (
	LotteryWon     LotteryOutcome = "won"
	LotteryLost    LotteryOutcome = "lost"
	LotteryRefused LotteryOutcome = "refused"
)

// LotteryDecided: what a draw came to for one entry, once. Appointment is the entry's id, an
// appointment's only when it won; Slot and StartsAt are those of the seat that was won.
type LotteryDecided struct {
	Visit
	Outcome LotteryOutcome `json:"outcome"`
	Reason  string         `json:"reason,omitempty"` // code of the refusal
	Rank    int            `json:"rank"`             // from 1
	Of      int            `json:"of"`               // entries
	PayBy   time.Time      `json:"pay_by,omitzero"`  // won and to be paid: the end of the hold
}

// SchedulePublished: a session is planned or was changed before its release.
type SchedulePublished struct {
	Schedule     id.ID[Schedule] `json:"schedule"`
	Campus       CampusID        `json:"campus"`
	Department   DepartmentID    `json:"department"`
	Practitioner PractitionerID  `json:"practitioner"`
	Date         clock.Date      `json:"date"`
	Session      Session         `json:"session"`
	Class        Class           `json:"class"`
	Fee          money.Fen       `json:"fee_fen"`
	Capacity     int             `json:"capacity"`
	ReleasedAt   time.Time       `json:"released_at"`
}

// ScheduleStopped: 停诊, by the operator or the rota. Each visit to come is cancelled and refunded by an event of its own.
type ScheduleStopped struct {
	Schedule     id.ID[Schedule] `json:"schedule"`
	Practitioner PractitionerID  `json:"practitioner"`
	Date         clock.Date      `json:"date"`
	Session      Session         `json:"session"`
}

// ScheduleResumed: a stopped session is held after all, and sells what is free.
type ScheduleResumed struct{ ScheduleStopped }

// EventName implements event.Event.
func (AppointmentHeld) EventName() string      { return "scheduling.appointment.held.v1" }
func (AppointmentBooked) EventName() string    { return "scheduling.appointment.booked.v1" }
func (AppointmentCancelled) EventName() string { return "scheduling.appointment.cancelled.v1" }
func (AppointmentExpired) EventName() string   { return "scheduling.appointment.expired.v1" }
func (AppointmentSettled) EventName() string   { return "scheduling.appointment.settled.v1" }
func (AppointmentMissed) EventName() string    { return "scheduling.appointment.missed.v1" }
func (LotteryDecided) EventName() string       { return "scheduling.lottery.decided.v1" }
func (SchedulePublished) EventName() string    { return "scheduling.schedule.published.v1" }
func (ScheduleStopped) EventName() string      { return "scheduling.schedule.stopped.v1" }
func (ScheduleResumed) EventName() string      { return "scheduling.schedule.resumed.v1" }
