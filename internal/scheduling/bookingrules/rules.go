// Package bookingrules decides registration: when numbers come out and go off sale, who may
// book how often, what a payment, a cancellation or the clock does to an appointment, and
// which seat has which number. It reads no clock and stores nothing: all that a decision
// depends on is an argument, and scheduling's behaviour makes it hold.
package bookingrules

import (
	"hash/fnv"
	"slices"
	"strconv"
	"time"

	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/fault"
	"xinglin/internal/scheduling"
)

// Scope is the hash of what may be booked once a day: the department, by the rules also
// the doctor and the session. The row has the day and the person beside it, so 32 bits are
// enough. It must be the same in all processes and for ever.
func Scope(l scheduling.LimitScope, v scheduling.Schedule) int32 {
	h := fnv.New32a()
	h.Write(v.Department[:])
	if l.Doctor {
		h.Write(v.Practitioner[:])
	}
	if l.Session {
		h.Write([]byte(v.Session))
	}
	return int32(h.Sum32()) //nolint:gosec // all bits count
}

// CheckCaps refuses a visit on day when it would put more than Max active visits into
// any Days days in a row. active are the days of the person's active appointments
// within 92 days on either side. The store makes the bookings of one person count one after
// the other.
func CheckCaps(caps []scheduling.Cap, day clock.Date, active []clock.Date) error {
	days := append(slices.Clone(active), day)
	for _, c := range caps {
		for first := day.Add(1 - c.Days); first <= day; first++ {
			n := 0
			for _, d := range days {
				if d >= first && d < first.Add(c.Days) {
					n++
				}
			}
			if n > c.Max {
				return scheduling.ErrCapReached.At("date", strconv.Itoa(c.Max)+"/"+strconv.Itoa(c.Days)+"d")
			}
		}
	}
	return nil
}

// CheckAge refuses by the age on the day of the visit. An unknown birth date (0 with
// known false) passes: the desk decides.
func CheckAge(a scheduling.AgeRule, birth clock.Date, known bool, visit clock.Date, paediatric bool) error {
	if a.Kind == scheduling.AgeAny || a.Kind == "" || !known {
		return nil
	}
	child := birth.Age(visit) < a.Border
	if a.Kind == scheduling.AgeRefuse && child || a.Kind == scheduling.AgePaediatric && child != paediatric {
		return scheduling.ErrAge.New()
	}
	return nil
}

// BlockedUntil is the day from which a person may book again after incidents
// (no-shows, or returns) on the given days; ok is false when nothing blocks today.
func BlockedUntil(a scheduling.AbuseRule, incidents []clock.Date, today clock.Date) (until clock.Date, ok bool) {
	if a.Count <= 0 {
		return 0, false
	}
	ds := slices.Clone(incidents)
	slices.Sort(ds)
	for i := a.Count - 1; i < len(ds); i++ {
		first, last := ds[i-a.Count+1], ds[i]
		if last > today {
			break
		}
		end := clock.Date(0)
		if a.Calendar {
			y, m, _ := last.Parts()
			if y2, m2, _ := first.Parts(); y2 == y && m2 == m {
				end = clock.NewDate(y, m+1, 1)
			}
		} else if last < addMonths(first, a.Months) {
			end = addMonths(last, a.Block)
		}
		if end > today && end > until {
			until, ok = end, true
		}
	}
	return until, ok
}

// addMonths moves by whole months; a day that the month lacks becomes its last day.
func addMonths(d clock.Date, n int) clock.Date {
	y, m, day := d.Parts()
	first := clock.NewDate(y, m+time.Month(n), 1)
	y2, m2, _ := first.Parts()
	if last := clock.NewDate(y2, m2+1, 1) - 1; int(last-first)+1 < day {
		return last
	}
	return first.Add(day - 1)
}

// Check refuses rules that cannot work, naming each field.
func Check(r scheduling.BookingRules) error {
	var bad []fault.Detail
	need := func(ok bool, path, why string) {
		if !ok {
			bad = append(bad, fault.Detail{Path: path, Code: scheduling.ErrRulesInvalid.Name, Message: why})
		}
	}
	minute := func(m scheduling.Minute) bool { return m >= 0 && m < dayMinutes }
	need(minute(r.Release), "release", "00:00..23:59")
	need(r.FirstDay >= 0 && r.FirstDay <= r.LastDay && r.LastDay <= 60, "last_day", "0 <= first_day <= last_day <= 60")
	need(r.HoldMinutes >= 1 && r.HoldMinutes <= 60, "hold_minutes", "1..60")
	need(len(r.Pauses) <= 4, "pauses", "at most 4")
	for _, p := range r.Pauses {
		need(minute(p.From) && p.To >= 0 && p.To <= dayMinutes && p.From != p.To, "pauses", "from and to within a day")
	}
	total := pauseMinutes(r.Pauses)
	need(total < dayMinutes, "pauses", "some of the day stays open")
	if minute(r.Release) && total < dayMinutes {
		_, _, hit := pauseAt(r.Pauses, r.Release, 0)
		need(!hit, "release", "not within a pause")
	}
	c := r.Cancel
	need(slices.Contains([]scheduling.CancelKind{scheduling.CancelUntilMidnight, scheduling.CancelDayBefore, scheduling.CancelBeforeStart}, c.Kind), "cancel.kind", "midnight, day_before, before_start")
	need(minute(c.At), "cancel.at", "00:00..23:59")
	need(c.ExpertMinutes >= 0 && c.ExpertMinutes <= 7*dayMinutes && c.OrdinaryMinutes >= 0 && c.OrdinaryMinutes <= 7*dayMinutes, "cancel", "0..10080 minutes")
	s := r.SeatReturn
	need(slices.Contains([]scheduling.ReturnKind{scheduling.ReturnAtOnce, scheduling.ReturnRandom, scheduling.ReturnNextRelease}, s.Kind), "seat_return.kind", "at_once, random, next_release")
	need(s.Min >= 0 && s.Min <= s.Max && s.Max <= dayMinutes, "seat_return", "0 <= min <= max <= 1440 minutes")
	need(r.Limit.Per == scheduling.PerPatient || r.Limit.Per == scheduling.PerAccount, "limit.per", "patient, account")
	need(len(r.Caps) <= 4, "caps", "at most 4")
	for _, c := range r.Caps {
		need(c.Days >= 1 && c.Days <= 92 && c.Max >= 1 && c.Max <= 100, "caps", "days 1..92, max 1..100")
	}
	need(slices.Contains([]scheduling.AgeKind{scheduling.AgeAny, scheduling.AgeRefuse, scheduling.AgePaediatric}, r.Age.Kind), "age.kind", "any, refuse_under, paediatric_own")
	need(r.Age.Border >= 0 && r.Age.Border <= 21, "age.border", "0..21 years")
	need(len(r.Returns) <= 4, "returns", "at most 4")
	for _, a := range append([]scheduling.AbuseRule{r.NoShow}, r.Returns...) {
		need(a.Count >= 0 && a.Count <= 100 && a.Months >= 0 && a.Months <= 24 && a.Block >= 0 && a.Block <= 24, "no_show", "count 0..100, months 0..24")
		need(a.Count == 0 || a.Calendar || (a.Months >= 1 && a.Block >= 1), "no_show", "months and block, or calendar")
	}
	need(r.LateMinutes >= 0 && r.LateMinutes <= 240, "late_minutes", "0..240")
	need(r.MissMinutes >= 0 && r.MissMinutes <= 720, "miss_minutes", "0..720")
	if len(bad) > 0 {
		return scheduling.ErrRulesInvalid.With(bad...)
	}
	return nil
}

// pauseMinutes counts the minutes of a day that lie in any pause.
func pauseMinutes(pauses []scheduling.Span) int {
	n := 0
	for m := scheduling.Minute(0); m < dayMinutes; m++ {
		if _, _, hit := pauseAt(pauses, m, 0); hit {
			n++
		}
	}
	return n
}
