package schedulingsvc

import (
	"slices"
	"time"

	"xinglin/internal/kernel/money"
	"xinglin/internal/platform/state"
	"xinglin/internal/scheduling"
)

// What moves an appointment.
const (
	byHold   = "hold"
	byPaid   = "paid"
	byExpire = "expire"
	byCancel = "cancel"
	byStop   = "stop"
	byArrive = "arrive"
	byFinish = "finish"
	byMiss   = "miss"
)

// appointments is the life of an appointment. The decision functions below check the
// guards; the store makes each step conditional on the state it comes from.
var appointments = state.Machine[scheduling.State]{
	Noun: "Appointment", Initial: scheduling.Pending,
	Steps: []state.Step[scheduling.State]{
		{From: scheduling.Pending, To: scheduling.Booked, By: byHold, Guard: "fee = 0, in the transaction of the hold"},
		{From: scheduling.Pending, To: scheduling.Booked, By: byPaid, Guard: "the amount is the fee, the session is not stopped"},
		{From: scheduling.Pending, To: scheduling.Cancelled, By: byPaid, Guard: "otherwise: refund"},
		{From: scheduling.Cancelled, To: scheduling.Booked, By: byPaid, Guard: "cancelled by expiry, slot to come, seat and limit key free; otherwise it stays and the payment goes back"},
		{From: scheduling.Pending, To: scheduling.Cancelled, By: byExpire, Guard: "the hold's time is over"},
		{From: scheduling.Pending, To: scheduling.Cancelled, By: byCancel},
		{From: scheduling.Booked, To: scheduling.Cancelled, By: byCancel, Guard: "before the cut-off, unless by staff"},
		{From: scheduling.Pending, To: scheduling.Cancelled, By: byStop},
		{From: scheduling.Booked, To: scheduling.Cancelled, By: byStop, Guard: "full refund"},
		{From: scheduling.Arrived, To: scheduling.Cancelled, By: byStop, Guard: "full refund"},
		{From: scheduling.Booked, To: scheduling.Arrived, By: byArrive},
		{From: scheduling.Booked, To: scheduling.NoShow, By: byMiss, Guard: "the session is over"},
		{From: scheduling.Arrived, To: scheduling.Fulfilled, By: byFinish},
	},
}

// can reports whether the machine has the arrow.
func can(from, to scheduling.State, by string) bool {
	return slices.ContainsFunc(appointments.Steps, func(s state.Step[scheduling.State]) bool {
		return s.From == from && s.To == to && s.By == by
	})
}

// firstState is the state in which a new appointment starts: free numbers book at once.
func firstState(fee money.Fen) scheduling.State {
	if fee == 0 {
		return scheduling.Booked
	}
	return scheduling.Pending
}

// paidFacts are what the settlement of a payment depends on, all read in the
// transaction that settles.
type paidFacts struct {
	State      scheduling.State
	Reason     scheduling.CancelReason
	Settlement scheduling.Settlement
	Fee, Paid  money.Fen
	Stopped    bool // the session
	Past       bool // the slot has started
}

// paidDecision says what a payment does. Retake asks the store to try seat and limit
// key once more; when either is taken the store settles with refundInstead.
type paidDecision struct {
	To     scheduling.State
	Settle scheduling.Settlement
	Retake bool
	Repeat bool // settled before: change nothing, answer the same
}

// decidePaid decides what a confirmed payment does to its appointment: it books a
// pending one, rebooks one whose hold expired if that is still possible, and goes
// back in every other case; once settled it is settled.
func decidePaid(f paidFacts) paidDecision {
	if f.Settlement != scheduling.Unsettled {
		return paidDecision{To: f.State, Settle: f.Settlement, Repeat: true}
	}
	sound := f.Paid == f.Fee && !f.Stopped
	switch {
	case f.State == scheduling.Pending && sound:
		return paidDecision{To: scheduling.Booked, Settle: scheduling.Applied}
	case f.State == scheduling.Pending:
		return paidDecision{To: scheduling.Cancelled, Settle: scheduling.Refund}
	case f.State == scheduling.Cancelled && f.Reason == scheduling.ByExpiry && sound && !f.Past:
		return paidDecision{To: scheduling.Booked, Settle: scheduling.Applied, Retake: true}
	}
	return refundInstead(f)
}

// refundInstead leaves the state as it is and sends the money back.
func refundInstead(f paidFacts) paidDecision {
	return paidDecision{To: f.State, Settle: scheduling.Refund}
}

// cancelFacts are what a cancellation depends on.
type cancelFacts struct {
	State      scheduling.State
	Settlement scheduling.Settlement
	Fee        money.Fen
	Cutoff     time.Time // the patient's last moment, exclusive
}

// decideCancel decides a cancellation and what goes back. Patients may give up a hold
// at any time and a booking before the cut-off; staff and a stopped clinic are not
// bound by it, and a stopped clinic also takes those who have arrived.
func decideCancel(f cancelFacts, why scheduling.CancelReason, now time.Time) (refund money.Fen, err error) {
	by := byCancel
	switch why {
	case scheduling.ByStop:
		by = byStop
	case scheduling.ByExpiry:
		by = byExpire
	}
	if !can(f.State, scheduling.Cancelled, by) {
		return 0, scheduling.ErrState.New()
	}
	if why == scheduling.ByPatient && f.State == scheduling.Booked && !now.Before(f.Cutoff) {
		return 0, scheduling.ErrCancelTooLate.New()
	}
	if f.Settlement == scheduling.Applied {
		return f.Fee, nil
	}
	return 0, nil
}

// cancellable is decideCancel for the patient, as lists show it.
func cancellable(f cancelFacts, now time.Time) bool {
	_, err := decideCancel(f, scheduling.ByPatient, now)
	return err == nil
}

// decideExpire reports whether a hold's time is over. Only a pending appointment has one.
func decideExpire(s scheduling.State, expires, now time.Time) bool {
	return s == scheduling.Pending && !now.Before(expires)
}

// holdExpiry is the end of a new hold: the rules' minutes, but never past the end of the slot.
func holdExpiry(r scheduling.BookingRules, now, slotEnd time.Time) time.Time {
	t := now.Add(time.Duration(r.HoldMinutes) * time.Minute)
	if slotEnd.Before(t) {
		return slotEnd
	}
	return t
}

// slotState derives what a slot shows: few is the last seat of several, or a fifth.
func slotState(schedule scheduling.ScheduleState, startsAt time.Time, remaining, capacity int, now time.Time) scheduling.SlotState {
	switch {
	case schedule == scheduling.ScheduleHalted || schedule == scheduling.SchedulePlanned:
		return scheduling.SlotClosed
	case !now.Before(startsAt):
		return scheduling.SlotPast
	case remaining <= 0:
		return scheduling.SlotFull
	case remaining < capacity && (remaining == 1 || remaining*5 <= capacity):
		return scheduling.SlotFew
	}
	return scheduling.SlotFree
}
