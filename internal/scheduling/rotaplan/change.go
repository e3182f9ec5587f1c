package rotaplan

import (
	"xinglin/internal/kernel/clock"
	"xinglin/internal/platform/calendar"
	"xinglin/internal/scheduling"
)

// Fits refuses a rule that plans its doctor twice at one time within from..to, as the only
// one of its id. rules and exceptions may be of any doctors.
func Fits(r scheduling.RotaRule, rules []scheduling.RotaRule, exceptions []scheduling.Exception, cal *calendar.Calendar, from, to clock.Date) error {
	var theirs []scheduling.Exception
	for _, e := range exceptions {
		if e.Duty.Practitioner == r.Duty.Practitioner {
			theirs = append(theirs, e)
		}
	}
	_, conflicts, err := Plan(append([]scheduling.RotaRule{r}, othersOf(r, rules)...), theirs, cal, from, to)
	if err != nil {
		return err
	}
	for _, c := range conflicts {
		if c.Kept.Rule == r.ID || c.Left.Rule == r.ID {
			return scheduling.ErrRotaOverlap.At("session", c.Left.Date.String())
		}
	}
	return nil
}

// Preview is the sessions that a rule would make beside what its doctor has from other
// rules and exceptions, and the conflicts of all of them.
func Preview(r scheduling.RotaRule, rules []scheduling.RotaRule, exceptions []scheduling.Exception, cal *calendar.Calendar, from, to clock.Date) ([]Session, []Conflict, error) {
	all, conflicts, err := Plan(append(othersOf(r, rules), r), exceptions, cal, from, to)
	if err != nil {
		return nil, nil, err
	}
	var mine []Session
	for _, p := range all {
		if p.Rule == r.ID {
			mine = append(mine, p)
		}
	}
	return mine, conflicts, nil
}

// othersOf are the doctor's other rules.
func othersOf(r scheduling.RotaRule, rules []scheduling.RotaRule) []scheduling.RotaRule {
	var out []scheduling.RotaRule
	for _, v := range rules {
		if v.Duty.Practitioner == r.Duty.Practitioner && v.ID != r.ID {
			out = append(out, v)
		}
	}
	return out
}

// Lost are the sessions of one plan that another lacks. Whoever still works in that part of
// the day has lost nothing, whatever became of the hours, the place or the fee.
func Lost(before, after []Session) (out []Session) {
	type turn struct {
		day     clock.Date
		doctor  scheduling.PractitionerID
		session scheduling.Session
	}
	of := func(p Session) turn { return turn{p.Date, p.Duty.Practitioner, p.Duty.Session} }
	kept := map[turn]bool{}
	for _, p := range after {
		kept[of(p)] = true
	}
	for _, p := range before {
		if !kept[of(p)] {
			out = append(out, p)
		}
	}
	return out
}

// RuleKey is what makes two rules the same one over the imports.
type RuleKey struct {
	doctor     scheduling.PractitionerID
	session    scheduling.Session
	recurrence string
}

// KeyOfRule is the rule's key.
func KeyOfRule(v scheduling.RotaRule) RuleKey {
	return RuleKey{v.Duty.Practitioner, v.Duty.Session, v.Recurrence}
}

// SameRule finds the rule that a row names again, among those with its key. A row without
// a first day (it got the import's, from) means the rule that holds on that day.
func SameRule(known []scheduling.RotaRule, v scheduling.RotaRule, from clock.Date) (scheduling.RotaRule, bool) {
	for _, w := range known {
		if w.From == v.From {
			return w, true
		}
	}
	if v.From == from {
		for _, w := range known {
			if w.From <= from && (w.To == 0 || w.To >= from) {
				return w, true
			}
		}
	}
	return scheduling.RotaRule{}, false
}

// ExceptionKey is what makes two exceptions the same one over the imports.
type ExceptionKey struct {
	kind     scheduling.ExceptionKind
	doctor   scheduling.PractitionerID
	session  scheduling.Session
	from, to clock.Date
}

// KeyOfException is the exception's key.
func KeyOfException(v scheduling.Exception) ExceptionKey {
	return ExceptionKey{v.Kind, v.Duty.Practitioner, v.Duty.Session, v.From, v.To}
}
