package bookingrules

import (
	"xinglin/internal/kernel/clock"
	"xinglin/internal/scheduling"
)

// Incidents are a person's missed and returned visits: the days of the missed ones, the
// days on which the others were given back, and those that were given back on their own day.
type Incidents struct {
	Missed, Returned, ReturnedSameDay []clock.Date
}

// Add takes one: a visit of day that was missed, or given back on a day.
func (p *Incidents) Add(missed bool, day, on clock.Date) {
	if missed {
		p.Missed = append(p.Missed, day)
		return
	}
	p.Returned = append(p.Returned, on)
	if on == day {
		p.ReturnedSameDay = append(p.ReturnedSameDay, on)
	}
}

// CheckPast refuses a person who missed or gave back too many visits; nil has none.
// Code: scheduling.suspended.
func CheckPast(r *scheduling.BookingRules, past *Incidents, today clock.Date) error {
	if past == nil {
		return nil
	}
	until, blocked := BlockedUntil(r.NoShow, past.Missed, today)
	for _, a := range r.Returns {
		days := past.Returned
		if a.SameDay {
			days = past.ReturnedSameDay
		}
		if u, hit := BlockedUntil(a, days, today); hit && u > until {
			until, blocked = u, true
		}
	}
	if blocked {
		return scheduling.ErrSuspended.At("until", until.String())
	}
	return nil
}
