// Package rotaplan lays rota rules and exceptions over the calendar and cuts the sessions
// into slots; it also says which rules, exceptions and duties can be planned at all. The
// outcome depends on the arguments alone: whoever stores it is scheduling's behaviour.
package rotaplan

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/teambition/rrule-go"

	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/fault"
	"xinglin/internal/platform/calendar"
	"xinglin/internal/scheduling"
)

// Limits of a rota.
const (
	MaxDays  = 400     // of one plan, and of one exception
	MaxSeats = 500     // of a session
	MaxFee   = 500_000 // fen
	// swapReach is how far the workday that a make-up day stands for may lie from it.
	swapReach = 40
	maxRRule  = 200 // characters
)

// Earliest bounds how far back a rule may start, so that counting from it stays cheap.
var Earliest = clock.NewDate(2000, time.January, 1)

// Hours are the bounds and usual hours of each session; together they hold every minute of a day, for those who work at night.
var Hours = map[scheduling.Session]struct{ Min, Start, End, Max scheduling.Minute }{
	scheduling.Morning:   {hm(0, 0), hm(8, 0), hm(12, 0), hm(13, 30)},
	scheduling.Afternoon: {hm(12, 0), hm(14, 0), hm(17, 30), hm(19, 0)},
	scheduling.Evening:   {hm(17, 0), hm(18, 0), hm(21, 0), hm(23, 59)},
}

// hm is a time of day.
func hm(h, m int) scheduling.Minute { return scheduling.Minute(h*60 + m) }

// sessionOrder sorts sessions as the day goes.
var sessionOrder = map[scheduling.Session]int{scheduling.Morning: 0, scheduling.Afternoon: 1, scheduling.Evening: 2}

// Conflict is a session that was left out because the doctor is planned already.
type Conflict struct {
	Left Session
	Kept Session
}

// Plan lays rules and exceptions over the calendar and cuts the sessions from..to
// (both included, at most 400 days) into slots. The outcome depends on the arguments
// alone. Extra and make-up sessions win over rules; among equals the earlier in the
// list wins and the other is reported. It refuses invalid rules and exceptions.
func Plan(rules []scheduling.RotaRule, exceptions []scheduling.Exception, cal *calendar.Calendar, from, to clock.Date) ([]Session, []Conflict, error) {
	if from > to || int(to-from) >= MaxDays {
		return nil, nil, scheduling.ErrInput.At("to", fmt.Sprintf("from..to within %d days", MaxDays))
	}
	p := newPlanner(exceptions)
	for i, e := range exceptions {
		if err := CheckException(e); err != nil {
			return nil, nil, fmt.Errorf("exception %d: %w", i, err)
		}
		if e.Kind != scheduling.Extra && e.Kind != scheduling.MakeUp {
			continue
		}
		for d := max(from, e.From); d <= min(to, e.To); d++ {
			if e.Kind == scheduling.Extra || cal.Day(d).MakeUp {
				p.add(Session{Exception: e.ID, Date: d, Duty: e.Duty})
			}
		}
	}
	for i, r := range rules {
		days, err := ruleDays(r, cal, from, to)
		if err != nil {
			return nil, nil, fmt.Errorf("rule %d: %w", i, err)
		}
		for _, d := range days {
			if p.onLeave(r.Duty, d) {
				continue
			}
			duty := r.Duty
			duty.Seats = min(p.seats(duty, d), slotCount(duty)*scheduling.MaxSlotSeats)
			p.add(Session{Rule: r.ID, Date: d, Duty: duty})
		}
	}
	slices.SortStableFunc(p.out, func(a, b Session) int {
		return cmp.Or(cmp.Compare(a.Date, b.Date), cmp.Compare(sessionOrder[a.Duty.Session], sessionOrder[b.Duty.Session]),
			slices.Compare(a.Duty.Practitioner[:], b.Duty.Practitioner[:]))
	})
	return p.out, p.conflicts, nil
}

// planner gathers sessions and refuses a doctor's second at one time.
type planner struct {
	leaves    map[scheduling.PractitionerID][]scheduling.Exception
	changes   map[scheduling.PractitionerID][]scheduling.Exception
	byDay     map[doctorDay][]int
	out       []Session
	conflicts []Conflict
}

type doctorDay struct {
	doctor scheduling.PractitionerID
	day    clock.Date
}

func newPlanner(exceptions []scheduling.Exception) *planner {
	p := &planner{leaves: map[scheduling.PractitionerID][]scheduling.Exception{}, changes: map[scheduling.PractitionerID][]scheduling.Exception{}, byDay: map[doctorDay][]int{}}
	for _, e := range exceptions {
		switch d := e.Duty.Practitioner; e.Kind {
		case scheduling.Leave:
			p.leaves[d] = append(p.leaves[d], e)
		case scheduling.Seats:
			p.changes[d] = append(p.changes[d], e)
		}
	}
	return p
}

func touches(e scheduling.Exception, s scheduling.Session, d clock.Date) bool {
	return d >= e.From && d <= e.To && (e.Duty.Session == "" || e.Duty.Session == s)
}

func (p *planner) onLeave(duty scheduling.Duty, d clock.Date) bool {
	return slices.ContainsFunc(p.leaves[duty.Practitioner], func(e scheduling.Exception) bool { return touches(e, duty.Session, d) })
}

// seats is the duty's number of seats on a day; the last change in the list holds.
func (p *planner) seats(duty scheduling.Duty, d clock.Date) int {
	n := duty.Seats
	for _, e := range p.changes[duty.Practitioner] {
		if touches(e, duty.Session, d) {
			n = e.Duty.Seats
		}
	}
	return n
}

func (p *planner) add(s Session) {
	s.Slots = Cut(s.Date, s.Duty)
	s.StartsAt = s.Slots[0].StartsAt
	s.EndsAt = s.Slots[len(s.Slots)-1].EndsAt
	key := doctorDay{s.Duty.Practitioner, s.Date}
	for _, i := range p.byDay[key] {
		if Overlap(p.out[i].Duty, s.Duty) {
			if s.Exception.IsZero() == p.out[i].Exception.IsZero() {
				p.conflicts = append(p.conflicts, Conflict{Left: s, Kept: p.out[i]})
			}
			return // an extra session was added before the rules: it wins silently
		}
	}
	p.byDay[key] = append(p.byDay[key], len(p.out))
	p.out = append(p.out, s)
}

// Overlap reports whether one doctor cannot do both duties on one day: the same
// session, or hours that meet.
func Overlap(a, b scheduling.Duty) bool {
	return a.Session == b.Session || a.Start < b.End && b.Start < a.End
}

// Cut cuts a duty into slots of SlotMinutes and spreads the seats: each slot gets
// its even share, the remainder goes to the earliest; with fewer seats than slots the
// doctor starts on time and ends early. Seats are preserved in sum, no slot is empty,
// numbers run on through the session.
func Cut(day clock.Date, d scheduling.Duty) []Slot {
	n := max(1, min(slotCount(d), d.Seats))
	share, rest := d.Seats/n, d.Seats%n
	out := make([]Slot, n)
	number := 1
	for i := range out {
		c := share
		if i < rest {
			c++
		}
		start := int(d.Start) + i*d.SlotMinutes
		out[i] = Slot{StartsAt: day.At(start), EndsAt: day.At(start + d.SlotMinutes), First: number, Capacity: c}
		number += c
	}
	return out
}

// slotCount is how many whole slots the hours hold.
func slotCount(d scheduling.Duty) int { return int(d.End-d.Start) / d.SlotMinutes }

// ruleDays are the days from..to on which a rule works, ascending.
func ruleDays(r scheduling.RotaRule, cal *calendar.Calendar, from, to clock.Date) ([]clock.Date, error) {
	if err := CheckRule(r); err != nil {
		return nil, err
	}
	occurs, err := occurrences(r, from.Add(-swapReach), to.Add(swapReach))
	if err != nil {
		return nil, err
	}
	first, last := max(from, r.From), to
	if r.To != 0 {
		last = min(to, r.To)
	}
	var out []clock.Date
	for d := first; d <= last; d++ {
		if worksOn(r, cal.Day(d), d, occurs) {
			out = append(out, d)
		}
	}
	return out, nil
}

func worksOn(r scheduling.RotaRule, v calendar.Day, d clock.Date, occurs map[clock.Date]bool) bool {
	switch {
	case v.Off:
		return r.Holidays == scheduling.HolidayWork && occurs[d]
	case v.MakeUp && r.MakeUp == scheduling.MakeUpWorkday:
		return v.For != 0 && occurs[v.For]
	case v.MakeUp:
		return r.MakeUp == scheduling.MakeUpOwn && occurs[d]
	}
	return occurs[d]
}

// occurrences expands the recurrence between two days.
func occurrences(r scheduling.RotaRule, from, to clock.Date) (map[clock.Date]bool, error) {
	opt, err := parseRecurrence(r.Recurrence)
	if err != nil {
		return nil, err
	}
	opt.Dtstart = noon(r.From)
	if end := noon(to); opt.Until.IsZero() || opt.Until.After(end) {
		opt.Until = end // the expansion always ends
	}
	out := map[clock.Date]bool{}
	if opt.Until.Before(opt.Dtstart) {
		return out, nil
	}
	rule, err := rrule.NewRRule(*opt)
	if err != nil {
		return nil, scheduling.ErrRotaInvalid.At("recurrence", err.Error())
	}
	for _, t := range rule.Between(noon(from), noon(to), true) {
		out[clock.Date(t.Unix()/86400)] = true
	}
	return out, nil
}

// noon keeps recurrences on civil dates, away from zones and midnights.
func noon(d clock.Date) time.Time { return time.Unix(int64(d)*86400+43200, 0).UTC() }

// recurrenceParts are the parts of an RRULE that a rota may use. Steps below a day
// would make many sessions of one; the others have no use here.
var recurrenceParts = []string{"FREQ", "INTERVAL", "BYDAY", "BYMONTHDAY", "BYMONTH", "BYSETPOS", "COUNT", "UNTIL", "WKST"}

// parseRecurrence reads an RRULE and refuses what a rota has no use for.
func parseRecurrence(text string) (*rrule.ROption, error) {
	bad := func(why string) error { return scheduling.ErrRotaInvalid.At("recurrence", why) }
	if len(text) == 0 || len(text) > maxRRule || strings.ContainsAny(text, "\r\n:") {
		return nil, bad("one RRULE of at most 200 characters")
	}
	seen := map[string]bool{}
	for _, part := range strings.Split(text, ";") {
		key, value, ok := strings.Cut(part, "=")
		if !ok || value == "" || seen[key] || !slices.Contains(recurrenceParts, key) {
			return nil, bad("parts: " + strings.Join(recurrenceParts, " "))
		}
		seen[key] = true
	}
	opt, err := rrule.StrToROption(text)
	if err != nil {
		return nil, bad(err.Error())
	}
	if !seen["FREQ"] || opt.Freq > rrule.DAILY || opt.Freq < rrule.MONTHLY {
		return nil, bad("FREQ=DAILY, WEEKLY or MONTHLY")
	}
	for _, d := range opt.Byweekday { // the library panics on a tenth Friday
		if n := d.N(); n < -5 || n > 5 || n != 0 && opt.Freq != rrule.MONTHLY {
			return nil, bad("BYDAY: -5..5 before a day, with FREQ=MONTHLY only")
		}
	}
	if opt.Interval < 0 || opt.Interval > 366 || opt.Count < 0 || opt.Count > 10_000 {
		return nil, bad("INTERVAL 1..366, COUNT 1..10000")
	}
	if !opt.Until.IsZero() { // the whole last day counts
		opt.Until = noon(clock.Date(opt.Until.Unix() / 86400))
	}
	return opt, nil
}

// Weekly is the recurrence of some weekdays, in the order of the week.
func Weekly(days ...time.Weekday) string {
	names := [...]string{"SU", "MO", "TU", "WE", "TH", "FR", "SA"}
	ds := slices.Clone(days)
	slices.SortFunc(ds, func(a, b time.Weekday) int { return cmp.Compare((a+6)%7, (b+6)%7) })
	parts := make([]string, 0, len(ds))
	for _, d := range slices.Compact(ds) {
		parts = append(parts, names[d])
	}
	return "FREQ=WEEKLY;BYDAY=" + strings.Join(parts, ",")
}

// CheckRule refuses a rule that cannot be planned.
func CheckRule(r scheduling.RotaRule) error {
	if _, err := parseRecurrence(r.Recurrence); err != nil {
		return err
	}
	switch {
	case r.From < Earliest || (r.To != 0 && r.To < r.From):
		return scheduling.ErrRotaInvalid.At("from", "from 2000-01-01 on, not after to")
	case r.Holidays != scheduling.HolidayRest && r.Holidays != scheduling.HolidayWork:
		return scheduling.ErrRotaInvalid.At("holidays", "empty or work")
	case r.MakeUp != scheduling.MakeUpRest && r.MakeUp != scheduling.MakeUpWorkday && r.MakeUp != scheduling.MakeUpOwn:
		return scheduling.ErrRotaInvalid.At("makeup", "empty, workday or own")
	}
	return CheckDuty(r.Duty)
}

// CheckException refuses an exception that cannot be laid over the rota.
func CheckException(e scheduling.Exception) error {
	if e.From < Earliest || e.To < e.From || int(e.To-e.From) >= MaxDays {
		return scheduling.ErrRotaInvalid.At("from", fmt.Sprintf("from..to within %d days", MaxDays))
	}
	if _, ok := Hours[e.Duty.Session]; !ok && e.Duty.Session != "" {
		return scheduling.ErrRotaInvalid.At("session", "morning, afternoon, evening")
	}
	switch e.Kind {
	case scheduling.Leave:
		return nil
	case scheduling.Seats:
		if e.Duty.Seats < 1 || e.Duty.Seats > MaxSeats {
			return scheduling.ErrRotaInvalid.At("seats", "1..500")
		}
		return nil
	case scheduling.Extra, scheduling.MakeUp:
		return CheckDuty(e.Duty)
	}
	return scheduling.ErrRotaInvalid.At("kind", "leave, extra, makeup, seats")
}

// CheckDuty refuses a duty that cannot be cut into slots.
func CheckDuty(d scheduling.Duty) error {
	var bad []fault.Detail
	need := func(ok bool, path, why string) {
		if !ok {
			bad = append(bad, fault.Detail{Path: path, Code: scheduling.ErrRotaInvalid.Name, Message: why})
		}
	}
	h, known := Hours[d.Session]
	need(known, "session", "morning, afternoon, evening")
	need(slices.Contains([]scheduling.Class{scheduling.Ordinary, scheduling.Expert, scheduling.Special}, d.Class), "class", "ordinary, expert, special")
	need(d.Seats >= 1 && d.Seats <= MaxSeats, "seats", "1..500")
	need(d.Fee >= 0 && d.Fee <= MaxFee, "fee", "0..5000.00")
	need(!known || (d.Start >= h.Min && d.Start < d.End && d.End <= h.Max), "start", fmt.Sprintf("within %s-%s", h.Min, h.Max))
	fits := d.Start < d.End && d.SlotMinutes >= 1 && d.SlotMinutes <= int(d.End-d.Start)
	need(fits, "slot_minutes", "1 minute to the whole session")
	if fits && d.Seats >= 1 {
		need(d.Seats <= slotCount(d)*scheduling.MaxSlotSeats, "seats", fmt.Sprintf("at most %d a slot", scheduling.MaxSlotSeats))
	}
	if len(bad) > 0 {
		return scheduling.ErrRotaInvalid.With(bad...)
	}
	return nil
}

// Reason is the first detail of a refusal: the part of the duty and what is wrong with it.
func Reason(err error) (path, message string) {
	var f *fault.Error
	if errors.As(err, &f) && len(f.Details) > 0 {
		return f.Details[0].Path, f.Details[0].Message
	}
	return "", err.Error()
}
