package bookingrules

import (
	"time"

	"xinglin/internal/kernel/clock"
	"xinglin/internal/scheduling"
)

const dayMinutes = 24 * 60

// ReleasedAt is when a day's numbers come out: LastDay days before, at the release
// minute. A schedule stores it when it is made, so later rules change later days only.
func ReleasedAt(r scheduling.BookingRules, day clock.Date) time.Time {
	return day.Add(-r.LastDay).At(int(r.Release))
}

// ClosesAt is when online booking of a slot ends: at its start, or, for hospitals
// that sell from tomorrow (or later) only, at the midnight that ends the last such day.
func ClosesAt(r scheduling.BookingRules, day clock.Date, slotStart time.Time) time.Time {
	if r.FirstDay == 0 {
		return slotStart
	}
	return day.Add(1 - r.FirstDay).At(0)
}

// NextRelease is the first daily release strictly after now.
func NextRelease(r scheduling.BookingRules, now time.Time) time.Time {
	today := clock.DateOf(now)
	if t := today.At(int(r.Release)); t.After(now) {
		return t
	}
	return today.Add(1).At(int(r.Release))
}

// PausedUntil tells whether booking pauses now and when it goes on.
func PausedUntil(r scheduling.BookingRules, now time.Time) (time.Time, bool) {
	today := clock.DateOf(now)
	minute := scheduling.Minute(now.Sub(today.At(0)) / time.Minute)
	for range len(r.Pauses) + 1 { // pauses may touch each other
		end, day, hit := pauseAt(r.Pauses, minute, today)
		if !hit {
			break
		}
		minute, today = end, day
	}
	until := today.At(int(minute))
	return until, until.After(now)
}

func pauseAt(pauses []scheduling.Span, m scheduling.Minute, d clock.Date) (scheduling.Minute, clock.Date, bool) {
	for _, p := range pauses {
		switch {
		case p.From < p.To && m >= p.From && m < p.To:
			return p.To % dayMinutes, d.Add(int(p.To) / dayMinutes), true
		case p.From > p.To && m >= p.From:
			return p.To, d.Add(1), true
		case p.From > p.To && m < p.To:
			return p.To, d, true
		}
	}
	return 0, 0, false
}

// SlotFacts are what the clock decides about a slot.
type SlotFacts struct {
	Day        clock.Date
	SlotStart  time.Time
	ReleasedAt time.Time // as the schedule stores it
	Stopped    bool
}

// Bookable refuses a slot that the clock or a stop does not allow now; nil = go on.
func Bookable(r scheduling.BookingRules, f SlotFacts, now time.Time) error {
	switch {
	case f.Stopped:
		return scheduling.ErrScheduleStopped.New()
	case !now.Before(f.SlotStart):
		return scheduling.ErrSlotPast.New()
	case now.Before(f.ReleasedAt):
		return scheduling.ErrNotReleased.After(f.ReleasedAt.Sub(now))
	case !now.Before(ClosesAt(r, f.Day, f.SlotStart)):
		return scheduling.ErrWindowClosed.New()
	}
	if until, ok := PausedUntil(r, now); ok {
		return scheduling.ErrPaused.After(until.Sub(now))
	}
	return nil
}

// CancelBefore is the patient's last moment to cancel a booking, exclusive.
func CancelBefore(c scheduling.CancelRule, day clock.Date, class scheduling.Class, slotStart time.Time) time.Time {
	switch c.Kind {
	case scheduling.CancelDayBefore:
		return day.Add(-1).At(int(c.At))
	case scheduling.CancelBeforeStart:
		m := c.OrdinaryMinutes
		if class != scheduling.Ordinary {
			m = c.ExpertMinutes
		}
		return slotStart.Add(-time.Duration(m) * time.Minute)
	}
	return day.At(0)
}

// Pick chooses a number in 0..n-1. The service uses a random source, tests a fixed one.
type Pick func(n int) int

// SeatReturnAt is when a cancelled seat is free again. An expired hold was never
// sold: its seat is free at once under every policy (A2: within 1 s).
func SeatReturnAt(r scheduling.BookingRules, why scheduling.CancelReason, now time.Time, p Pick) time.Time {
	if why == scheduling.ByExpiry {
		return now
	}
	switch r.SeatReturn.Kind {
	case scheduling.ReturnRandom:
		least := time.Duration(r.SeatReturn.Min) * time.Minute
		span := (r.SeatReturn.Max - r.SeatReturn.Min) * 60
		return now.Add(least + time.Duration(p(span+1))*time.Second)
	case scheduling.ReturnNextRelease:
		return NextRelease(r, now)
	}
	return now
}
