package bookingrules

import (
	"time"

	"xinglin/internal/kernel/money"
	"xinglin/internal/scheduling"
)

// Turn is what the waiting line says of a visit.
type Turn string

// The turns that move an appointment. They may be heard late, twice and in any order.
const (
	CheckedIn Turn = "checked_in"
	Seen      Turn = "seen"
)

// DecideTurn gives the state that follows; false: nothing does. Who is seen has come, whether
// the check-in was heard or not. A no-show that turns out to have come is one no longer.
func DecideTurn(s scheduling.State, t Turn) (to scheduling.State, moves bool) {
	switch {
	case t == CheckedIn && (s == scheduling.Booked || s == scheduling.NoShow):
		return scheduling.Arrived, true
	case t == Seen && (s == scheduling.Booked || s == scheduling.NoShow || s == scheduling.Arrived):
		return scheduling.Fulfilled, true
	}
	return s, false
}

// MissedAt is when a session's visits of people who have not come count as missed; false: never.
func MissedAt(r scheduling.BookingRules, endsAt time.Time) (time.Time, bool) {
	return endsAt.Add(time.Duration(r.MissMinutes) * time.Minute), r.MissMinutes > 0
}

// DecideMiss reports whether a visit is missed: booked, of a session that is held, and the
// rules' time after its end is over.
func DecideMiss(r scheduling.BookingRules, s scheduling.State, endsAt time.Time, stopped bool, now time.Time) bool {
	at, counts := MissedAt(r, endsAt)
	return counts && !stopped && s == scheduling.Booked && !now.Before(at)
}

// StopFacts are what stopping or resuming a session depends on, read under its lock.
type StopFacts struct {
	Version, Seen int64 // of the session, and the one that the caller saw
	Stopped       bool
	ByRota        bool // the rota no longer has it
	Left          int  // active visits that the stop has not cancelled yet
	EndsAt        time.Time
}

// DecideStop refuses to stop a session that was changed, is stopped or is over. Codes:
// scheduling.stale, scheduling.schedule_stopped, scheduling.slot_past.
func DecideStop(f StopFacts, now time.Time) error {
	switch {
	case f.Version != f.Seen:
		return scheduling.ErrStale.New()
	case f.Stopped:
		return scheduling.ErrScheduleStopped.New()
	case !now.Before(f.EndsAt):
		return scheduling.ErrSlotPast.New()
	}
	return nil
}

// DecideResume refuses to hold a session after all that was changed, is not stopped, is over,
// that the rota no longer has, or whose visits are still being cancelled. Codes: scheduling.stale,
// scheduling.state, scheduling.slot_past, scheduling.stopped_by_rota, scheduling.stop_running.
func DecideResume(f StopFacts, now time.Time) error {
	switch {
	case f.Version != f.Seen:
		return scheduling.ErrStale.New()
	case !f.Stopped:
		return scheduling.ErrState.New()
	case !now.Before(f.EndsAt):
		return scheduling.ErrSlotPast.New()
	case f.ByRota:
		return scheduling.ErrStoppedByRota.New()
	case f.Left > 0:
		return scheduling.ErrStopRunning.After(2 * time.Second)
	}
	return nil
}

// Stop is a session that is not held.
type Stop struct {
	StoppedAt time.Time
	ByRota    bool
	Affected  int       // active visits at that moment
	Refund    money.Fen // what they had paid
	Cancelled int       // by the stop, so far
	Pending   int       // to be cancelled
}
