package rotafile

import (
	"fmt"
	"time"

	"xinglin/internal/kernel/clock"
	"xinglin/internal/platform/calendar"
	"xinglin/internal/scheduling"
	"xinglin/internal/scheduling/rotaplan"
)

// maxDoctorRows bounds the rows of one doctor, since each is compared with each.
const maxDoctorRows = 1000

// claim is what a row wants of its doctor's time.
type claim struct {
	place    place
	head     *header
	kind     rowKind
	licence  string
	dept     Department
	duty     scheduling.Duty
	weekdays uint8      // bits by time.Weekday; 0 = the days from..to
	from, to clock.Date // to 0 = open
	holidays scheduling.HolidayPolicy
	makeUp   scheduling.MakeUpPolicy
}

// works reports whether the row brings a session.
func (c claim) works() bool { return c.kind == rowDuty || c.kind == rowExtra || c.kind == rowMakeUp }

// covers reports whether the row is about day d.
func (c claim) covers(d clock.Date) bool { return d >= c.from && (c.to == 0 || d <= c.to) }

// worksOn reports whether a weekly claim has a session on d by its pattern and the calendar.
func (c claim) worksOn(d clock.Date, cal *calendar.Calendar) bool {
	if !c.covers(d) {
		return false
	}
	has := func(w time.Weekday) bool { return c.weekdays&(1<<w) != 0 }
	v := cal.Day(d)
	switch {
	case v.Off:
		return c.holidays == scheduling.HolidayWork && has(d.Weekday())
	case v.MakeUp && c.makeUp == scheduling.MakeUpWorkday:
		return v.For != 0 && c.covers(v.For) && has(v.For.Weekday())
	case v.MakeUp:
		return c.makeUp == scheduling.MakeUpOwn && has(d.Weekday())
	}
	return has(d.Weekday())
}

// findClashes compares the rows of each doctor: repeated rows, and sessions that one
// doctor cannot both do. report gets the later of the two rows.
func findClashes(claims []claim, cal *calendar.Calendar, report func(of claim, c column, zh, en string)) {
	byDoctor := map[string][]claim{}
	var order []string
	for _, c := range claims {
		if byDoctor[c.licence] == nil {
			order = append(order, c.licence)
		}
		byDoctor[c.licence] = append(byDoctor[c.licence], c)
	}
	for _, licence := range order {
		cs := byDoctor[licence]
		if len(cs) > maxDoctorRows {
			report(cs[maxDoctorRows], colDoctor, fmt.Sprintf("一位医生最多 %d 行", maxDoctorRows), fmt.Sprintf("at most %d rows a doctor", maxDoctorRows))
			continue
		}
		for i, b := range cs {
			for _, a := range cs[:i] {
				if c, zh, en, bad := clash(a, b, cs, cal); bad {
					report(b, c, zh, en)
					break // one reason a row
				}
			}
		}
	}
}

// clash compares two rows of one doctor, a before b.
func clash(a, b claim, all []claim, cal *calendar.Calendar) (c column, zh, en string, bad bool) {
	same := a
	same.place, same.head = b.place, b.head
	before, beforeEN := a.place.from(b.place)
	if same == b {
		return colDoctor, "与" + before + "重复", "repeats " + beforeEN, true
	}
	switch {
	case a.works() && b.works():
		if rotaplan.Overlap(a.duty, b.duty) && meet(a, b, all, cal) {
			return colSession, "该医生在" + before + "的同一时间已有出诊", "the doctor already works at that time by " + beforeEN, true
		}
	case a.kind == rowSeats && b.kind == rowSeats:
		if a.from <= b.to && b.from <= a.to && (a.duty.Session == b.duty.Session || a.duty.Session == "" || b.duty.Session == "") {
			return colSeats, "与" + before + "对同一时段的调整冲突", beforeEN + " changes the same session", true
		}
	}
	return "", "", "", false
}

// meet reports whether two working rows fall on one day.
func meet(a, b claim, all []claim, cal *calendar.Calendar) bool {
	switch {
	case a.weekdays == 0 && b.weekdays == 0:
		return a.from == b.from
	case a.weekdays == 0:
		return weeklyOn(b, a.from, all, cal)
	case b.weekdays == 0:
		return weeklyOn(a, b.from, all, cal)
	}
	if a.weekdays&b.weekdays == 0 {
		return false
	}
	first := max(a.from, b.from)
	for d := first; d < first+7 && a.covers(d) && b.covers(d); d++ {
		if a.weekdays&b.weekdays&(1<<d.Weekday()) != 0 {
			return true
		}
	}
	return false
}

// weeklyOn reports whether a weekly row really works on d, leave taken into account.
func weeklyOn(c claim, d clock.Date, all []claim, cal *calendar.Calendar) bool {
	if !c.worksOn(d, cal) {
		return false
	}
	for _, l := range all {
		if l.kind == rowLeave && l.covers(d) && (l.duty.Session == "" || l.duty.Session == c.duty.Session) {
			return false
		}
	}
	return true
}
