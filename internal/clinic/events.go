package clinic

import (
	"time"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/id"
	"xinglin/internal/patient"
	"xinglin/internal/scheduling"
)

// Step is the part that the events of turns share.
type Step struct {
	Appointment id.ID[scheduling.Appointment] `json:"appointment"`
	Account     id.ID[auth.Account]           `json:"account"` // zero for a person without an account
	Patient     patient.ID                    `json:"patient"`
	Schedule    id.ID[scheduling.Schedule]    `json:"schedule"`
	Number      int                           `json:"number"`
	At          time.Time                     `json:"at"`
}

// TurnCheckedIn: the person is there (签到). Scheduling makes the appointment arrived.
type TurnCheckedIn struct{ Step }

// TurnCalled: the person is asked into the room; Calls counts from 1.
type TurnCalled struct {
	Step
	Calls int `json:"calls"`
}

// TurnMissed: called, and did not come (过号); may come back.
type TurnMissed struct{ Step }

// TurnFinished: seen. Scheduling makes the appointment fulfilled.
type TurnFinished struct{ Step }

// EventName implements event.Event.
func (TurnCheckedIn) EventName() string { return "clinic.turn.checked_in.v1" }
func (TurnCalled) EventName() string    { return "clinic.turn.called.v1" }
func (TurnMissed) EventName() string    { return "clinic.turn.missed.v1" }
func (TurnFinished) EventName() string  { return "clinic.turn.finished.v1" }
