package bookingrules

import (
	"time"

	"xinglin/internal/kernel/money"
	"xinglin/internal/scheduling"
)

// FirstState is the state in which a new appointment starts: free numbers book at once.
func FirstState(fee money.Fen) scheduling.State {
	if fee == 0 {
		return scheduling.Booked
	}
	return scheduling.Pending
}

// PaidFacts are what the settlement of a payment depends on, all read in the
// transaction that settles.
type PaidFacts struct {
	State      scheduling.State
	Reason     scheduling.CancelReason
	Settlement scheduling.Settlement
	Fee, Paid  money.Fen
	Stopped    bool // the session
	Past       bool // the slot has started
}

// PaidDecision says what a payment does. Retake asks the store to try seat and limit
// key once more; when either is taken the store settles with RefundInstead.
type PaidDecision struct {
	To     scheduling.State
	Settle scheduling.Settlement
	Retake bool
	Repeat bool // settled before: change nothing, answer the same
}

// DecidePaid decides what a confirmed payment does to its appointment: it books a
// pending one, rebooks one whose hold expired if that is still possible, and goes
// back in every other case; once settled it is settled.
func DecidePaid(f PaidFacts) PaidDecision {
	if f.Settlement != scheduling.Unsettled {
		return PaidDecision{To: f.State, Settle: f.Settlement, Repeat: true}
	}
	sound := f.Paid == f.Fee && !f.Stopped
	switch {
	case f.State == scheduling.Pending && sound:
		return PaidDecision{To: scheduling.Booked, Settle: scheduling.Applied}
	case f.State == scheduling.Pending:
		return PaidDecision{To: scheduling.Cancelled, Settle: scheduling.Refund}
	case f.State == scheduling.Cancelled && f.Reason == scheduling.ByExpiry && sound && !f.Past:
		return PaidDecision{To: scheduling.Booked, Settle: scheduling.Applied, Retake: true}
	}
	return RefundInstead(f)
}

// RefundInstead leaves the state as it is and sends the money back.
func RefundInstead(f PaidFacts) PaidDecision {
	return PaidDecision{To: f.State, Settle: scheduling.Refund}
}

// CancelFacts are what a cancellation depends on.
type CancelFacts struct {
	State      scheduling.State
	Settlement scheduling.Settlement
	Fee        money.Fen
	Cutoff     time.Time // the patient's last moment, exclusive
}

// DecideCancel decides a cancellation and what goes back. Patients may give up a hold
// at any time and a booking before the cut-off; staff and a stopped clinic are not
// bound by it, and a stopped clinic also takes those who have arrived.
func DecideCancel(f CancelFacts, why scheduling.CancelReason, now time.Time) (refund money.Fen, err error) {
	if !cancels(f.State, why) {
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

// cancels reports whether an appointment in this state can be cancelled for this reason.
func cancels(s scheduling.State, why scheduling.CancelReason) bool {
	switch s {
	case scheduling.Pending:
		return true
	case scheduling.Booked:
		return why != scheduling.ByExpiry
	case scheduling.Arrived:
		return why == scheduling.ByStop
	}
	return false
}

// Cancellable is DecideCancel for the patient, as lists show it.
func Cancellable(f CancelFacts, now time.Time) bool {
	_, err := DecideCancel(f, scheduling.ByPatient, now)
	return err == nil
}

// DecideExpire reports whether a hold's time is over. Only a pending appointment has one.
func DecideExpire(s scheduling.State, expires, now time.Time) bool {
	return s == scheduling.Pending && !now.Before(expires)
}

// HoldExpiry is the end of a new hold: the rules' minutes, but never past the end of the slot.
func HoldExpiry(r scheduling.BookingRules, now, slotEnd time.Time) time.Time {
	t := now.Add(time.Duration(r.HoldMinutes) * time.Minute)
	if slotEnd.Before(t) {
		return slotEnd
	}
	return t
}

// SlotState derives what a slot shows: few is the last seat of several, or a fifth.
func SlotState(schedule scheduling.ScheduleState, startsAt time.Time, remaining, capacity int, now time.Time) scheduling.SlotState {
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
