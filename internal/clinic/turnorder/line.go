package turnorder

import (
	"time"

	"xinglin/internal/clinic"
	"xinglin/internal/kernel/clock"
)

// Facts are what the state of a line follows from.
type Facts struct {
	Date        clock.Date
	StartsAt    time.Time
	EndsAt      time.Time
	Stopped     bool
	PausedUntil time.Time // zero: not paused
	Calls       int64
	Waiting     int
	Called      int
}

// early is how long before its start a doctor may begin.
const early = time.Hour

// State is the state of a line at an instant. A line goes on past its end while somebody
// waits or is being seen, but not into another day.
func State(f Facts, now time.Time) clinic.LineState {
	today := clock.DateOf(now)
	switch {
	case f.Stopped:
		return clinic.Stopped
	case today > f.Date:
		return clinic.Ended
	case today < f.Date, now.Before(f.StartsAt) && f.Calls == 0:
		return clinic.Planned
	case !now.Before(f.EndsAt) && f.Waiting == 0 && f.Called == 0:
		return clinic.Ended
	case now.Before(f.PausedUntil):
		return clinic.Paused
	}
	return clinic.Running
}

// MayCall tells whether somebody may be called: on the day, from an hour before the
// start. A call ends a pause.
func MayCall(f Facts, now time.Time) bool {
	switch State(f, now) {
	case clinic.Running, clinic.Paused:
		return true
	case clinic.Planned:
		return clock.DateOf(now) == f.Date && !now.Before(f.StartsAt.Add(-early))
	}
	return false
}

// Period is when a person may check in by themselves.
func Period(r clinic.Rules, startsAt, endsAt time.Time) (from, until time.Time) {
	day := clock.DateOf(startsAt)
	from, until = startsAt.Add(-time.Duration(r.EarlyMinutes)*time.Minute), endsAt.Add(time.Duration(r.LateMinutes)*time.Minute)
	if midnight := day.At(0); from.Before(midnight) {
		from = midnight
	}
	if end := day.Add(1).At(0); until.After(end) {
		until = end
	}
	return from, until
}
