package rotaplan

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/calendar"
	"xinglin/internal/scheduling"
)

var cal = calendar.Embedded()

func day(s string) clock.Date {
	d, err := clock.ParseDate(s)
	if err != nil {
		panic(err)
	}
	return d
}

func practitioner(n byte) (v scheduling.PractitionerID) { v[15] = n; return }

func morning(doctor byte, seats int) scheduling.Duty {
	return scheduling.Duty{Practitioner: practitioner(doctor), Session: scheduling.Morning, Class: scheduling.Expert, Seats: seats, SlotMinutes: 30, Fee: 5000, Start: hm(8, 0), End: hm(12, 0)}
}

func rule(doctor, ident byte, from string, days ...time.Weekday) scheduling.RotaRule {
	return scheduling.RotaRule{ID: id.ID[scheduling.RotaRule]{15: ident}, Duty: morning(doctor, 30), Recurrence: Weekly(days...), From: day(from)}
}

func dates(ps []Session) (out []string) {
	for _, p := range ps {
		out = append(out, p.Date.String())
	}
	return
}

func TestPlanHolidays(t *testing.T) {
	mf := []time.Weekday{time.Monday, time.Friday}
	for name, x := range map[string]struct {
		change   func(*scheduling.RotaRule)
		from, to string
		want     []string
	}{
		"rests on holidays and make-up days": {nil, "2026-02-13", "2026-03-02", []string{"2026-02-13", "2026-02-27", "2026-03-02"}},
		"works on holidays":                  {func(r *scheduling.RotaRule) { r.Holidays = scheduling.HolidayWork }, "2026-02-13", "2026-02-27", []string{"2026-02-13", "2026-02-16", "2026-02-20", "2026-02-23", "2026-02-27"}},
		// 14 Feb stands for Friday the 20th, 28 Feb for Monday the 23rd.
		"make-up as the workday": {func(r *scheduling.RotaRule) { r.MakeUp = scheduling.MakeUpWorkday }, "2026-02-13", "2026-03-02", []string{"2026-02-13", "2026-02-14", "2026-02-27", "2026-02-28", "2026-03-02"}},
		"make-up as its own day": {func(r *scheduling.RotaRule) {
			r.Recurrence, r.MakeUp = Weekly(time.Saturday), scheduling.MakeUpOwn
		}, "2026-02-07", "2026-02-28", []string{"2026-02-07", "2026-02-14", "2026-02-28"}},
		"a Saturday rule rests on a make-up Saturday": {func(r *scheduling.RotaRule) { r.Recurrence = Weekly(time.Saturday) }, "2026-02-07", "2026-02-28", []string{"2026-02-07"}},
		"validity": {func(r *scheduling.RotaRule) { r.From, r.To = day("2026-03-03"), day("2026-03-09") }, "2026-03-01", "2026-03-31", []string{"2026-03-06", "2026-03-09"}},
		"every second week": {func(r *scheduling.RotaRule) {
			r.Recurrence = "FREQ=WEEKLY;INTERVAL=2;BYDAY=MO"
			r.From = day("2026-03-02")
		}, "2026-03-01", "2026-03-31", []string{"2026-03-02", "2026-03-16", "2026-03-30"}},
		"first Monday":        {func(r *scheduling.RotaRule) { r.Recurrence = "FREQ=MONTHLY;BYDAY=1MO" }, "2026-03-01", "2026-04-30", []string{"2026-03-02"}},
		"count and until":     {func(r *scheduling.RotaRule) { r.Recurrence = "FREQ=DAILY;UNTIL=20260304"; r.From = day("2026-03-02") }, "2026-03-01", "2026-03-31", []string{"2026-03-02", "2026-03-03", "2026-03-04"}},
		"provisional 2027":    {nil, "2027-02-05", "2027-02-12", []string{"2027-02-12"}},
		"before it starts":    {func(r *scheduling.RotaRule) { r.From = day("2026-12-01") }, "2026-03-01", "2026-03-31", nil},
		"across a year's end": {nil, "2026-12-28", "2027-01-04", []string{"2026-12-28", "2027-01-04"}},
	} {
		r := rule(1, 1, "2026-01-01", mf...)
		if x.change != nil {
			x.change(&r)
		}
		got, clash, err := Plan([]scheduling.RotaRule{r}, nil, cal, day(x.from), day(x.to))
		if err != nil || len(clash) > 0 {
			t.Errorf("%s: %v %v", name, err, clash)
		}
		if d := cmp.Diff(x.want, dates(got)); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}

func TestPlanExceptions(t *testing.T) {
	r := rule(1, 1, "2026-03-01", time.Monday, time.Tuesday, time.Wednesday)
	pm := morning(1, 10)
	pm.Session, pm.Start, pm.End = scheduling.Afternoon, hm(14, 0), hm(17, 0)
	ex := func(n byte, k scheduling.ExceptionKind, from, to string, d scheduling.Duty) scheduling.Exception {
		return scheduling.Exception{ID: id.ID[scheduling.Exception]{15: n}, Kind: k, From: day(from), To: day(to), Duty: d}
	}
	leave := scheduling.Duty{Practitioner: practitioner(1)}
	leavePM := scheduling.Duty{Practitioner: practitioner(1), Session: scheduling.Afternoon}
	less := scheduling.Duty{Practitioner: practitioner(1), Session: scheduling.Morning, Seats: 7}
	got, clash, err := Plan([]scheduling.RotaRule{r}, []scheduling.Exception{
		ex(1, scheduling.Leave, "2026-03-03", "2026-03-04", leave),
		ex(2, scheduling.Leave, "2026-03-09", "2026-03-09", leavePM), // he has no afternoon
		ex(3, scheduling.Seats, "2026-03-10", "2026-03-10", less),
		ex(4, scheduling.Extra, "2026-03-04", "2026-03-04", pm),             // leave is for the rota, not for this
		ex(5, scheduling.Extra, "2026-03-11", "2026-03-11", morning(1, 5)),  // takes the rule's place
		ex(6, scheduling.MakeUp, "2026-03-07", "2026-03-07", morning(1, 5)), // no make-up day
		ex(7, scheduling.Leave, "2026-03-02", "2026-03-12", scheduling.Duty{Practitioner: practitioner(2)}),
	}, cal, day("2026-03-02"), day("2026-03-11"))
	if err != nil || len(clash) != 0 {
		t.Fatal(err, clash)
	}
	if d := cmp.Diff([]string{"2026-03-02", "2026-03-04", "2026-03-09", "2026-03-10", "2026-03-11"}, dates(got)); d != "" {
		t.Fatal(d)
	}
	if got[1].Duty.Session != scheduling.Afternoon || got[3].Duty.Seats != 7 || got[4].Duty.Seats != 5 || got[4].Exception[15] != 5 || got[0].Rule[15] != 1 {
		t.Errorf("%+v", got)
	}
	made, _, err := Plan(nil, []scheduling.Exception{ex(6, scheduling.MakeUp, "2026-05-09", "2026-05-09", morning(1, 5))}, cal, day("2026-05-01"), day("2026-05-31"))
	if err != nil || len(made) != 1 {
		t.Errorf("on the make-up day: %v %v", made, err)
	}
}

func TestPlanConflicts(t *testing.T) {
	a, b := rule(1, 1, "2026-03-01", time.Monday), rule(1, 2, "2026-03-01", time.Monday)
	b.Duty.Start, b.Duty.End = hm(9, 0), hm(11, 0)
	noon := rule(1, 3, "2026-03-01", time.Monday)
	noon.Duty.Session, noon.Duty.Start, noon.Duty.End = scheduling.Afternoon, hm(12, 0), hm(14, 0)
	other := rule(2, 4, "2026-03-01", time.Monday)
	got, clash, err := Plan([]scheduling.RotaRule{a, b, noon, other}, nil, cal, day("2026-03-02"), day("2026-03-02"))
	if err != nil || len(got) != 3 || len(clash) != 1 || clash[0].Left.Rule[15] != 2 || clash[0].Kept.Rule[15] != 1 {
		t.Fatalf("%v %v %v", got, clash, err)
	}
}

func TestRuleRefusals(t *testing.T) {
	ok := rule(1, 1, "2026-03-01", time.Monday)
	if err := CheckRule(ok); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*scheduling.RotaRule){
		"empty":             func(r *scheduling.RotaRule) { r.Recurrence = "" },
		"hourly":            func(r *scheduling.RotaRule) { r.Recurrence = "FREQ=HOURLY" },
		"secondly":          func(r *scheduling.RotaRule) { r.Recurrence = "FREQ=SECONDLY;INTERVAL=1" },
		"by hour":           func(r *scheduling.RotaRule) { r.Recurrence = "FREQ=DAILY;BYHOUR=1,2" },
		"no frequency":      func(r *scheduling.RotaRule) { r.Recurrence = "BYDAY=MO" },
		"twice":             func(r *scheduling.RotaRule) { r.Recurrence = "FREQ=DAILY;FREQ=WEEKLY" },
		"own start":         func(r *scheduling.RotaRule) { r.Recurrence = "DTSTART:20200101T000000Z\nRRULE:FREQ=DAILY" },
		"bad day":           func(r *scheduling.RotaRule) { r.Recurrence = "FREQ=WEEKLY;BYDAY=XX" },
		"tenth Friday":      func(r *scheduling.RotaRule) { r.Recurrence = "FREQ=MONTHLY;BYDAY=10FR" },
		"yearly":            func(r *scheduling.RotaRule) { r.Recurrence = "FREQ=YEARLY" },
		"ordinal in a week": func(r *scheduling.RotaRule) { r.Recurrence = "FREQ=WEEKLY;BYDAY=1MO" },
		"endless count":     func(r *scheduling.RotaRule) { r.Recurrence = "FREQ=DAILY;COUNT=99999999" },
		"ends before start": func(r *scheduling.RotaRule) { r.To = r.From - 1 },
		"long ago":          func(r *scheduling.RotaRule) { r.From = 1 },
		"holidays":          func(r *scheduling.RotaRule) { r.Holidays = "maybe" },
		"make-up":           func(r *scheduling.RotaRule) { r.MakeUp = "maybe" },
		"session":           func(r *scheduling.RotaRule) { r.Duty.Session = "night" },
		"class":             func(r *scheduling.RotaRule) { r.Duty.Class = "" },
		"no seats":          func(r *scheduling.RotaRule) { r.Duty.Seats = 0 },
		"too many seats":    func(r *scheduling.RotaRule) { r.Duty.Seats = 501 },
		"too dense":         func(r *scheduling.RotaRule) { r.Duty.Seats, r.Duty.SlotMinutes = 63, 240 },
		"slot of nothing":   func(r *scheduling.RotaRule) { r.Duty.SlotMinutes = 0 },
		"slot too long":     func(r *scheduling.RotaRule) { r.Duty.SlotMinutes = 241 },
		"negative fee":      func(r *scheduling.RotaRule) { r.Duty.Fee = -1 },
		"backwards":         func(r *scheduling.RotaRule) { r.Duty.End = r.Duty.Start },
		"wrong half":        func(r *scheduling.RotaRule) { r.Duty.End = hm(17, 0) },
	} {
		r := ok
		change(&r)
		_, _, err := Plan([]scheduling.RotaRule{r}, nil, cal, day("2026-03-02"), day("2026-03-08"))
		if !errors.Is(err, scheduling.ErrRotaInvalid) {
			t.Errorf("%s: %v", name, err)
		}
		if path, _ := Reason(err); path == "" {
			t.Errorf("%s: the refusal names no field", name)
		}
	}
	for _, e := range []scheduling.Exception{
		{Kind: "holiday", From: 20000, To: 20000},
		{Kind: scheduling.Leave, From: 20001, To: 20000},
		{Kind: scheduling.Leave, From: 20000, To: 20400},
		{Kind: scheduling.Seats, From: 20000, To: 20000},
		{Kind: scheduling.Extra, From: 20000, To: 20000},
		{Kind: scheduling.Leave, From: 20000, To: 20000, Duty: scheduling.Duty{Session: "x"}},
	} {
		if err := CheckException(e); !errors.Is(err, scheduling.ErrRotaInvalid) {
			t.Errorf("%+v: %v", e, err)
		}
	}
	if _, _, err := Plan(nil, nil, cal, 20000, 20400); err == nil {
		t.Error("more than 400 days")
	}
}

// TestCutSlots: seats are preserved, numbers run from 1 without a gap, slots follow each
// other within the hours, none is empty or over the bitmap, the fullest come first.
func TestCutSlots(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := morning(1, rapid.IntRange(1, MaxSeats).Draw(t, "seats"))
		d.SlotMinutes = rapid.IntRange(1, 240).Draw(t, "minutes")
		if CheckDuty(d) != nil {
			return // too dense to be a duty
		}
		on := day("2026-03-02")
		slots := Cut(on, d)
		sum, next := 0, on.At(int(d.Start))
		for i, s := range slots {
			if s.First != sum+1 || s.Capacity < 1 || s.Capacity > scheduling.MaxSlotSeats || !s.StartsAt.Equal(next) {
				t.Fatalf("slot %d: %+v", i, s)
			}
			if s.EndsAt.Sub(s.StartsAt) != time.Duration(d.SlotMinutes)*time.Minute || s.EndsAt.After(on.At(int(d.End))) {
				t.Fatalf("slot %d: hours %+v", i, s)
			}
			if i > 0 && s.Capacity > slots[i-1].Capacity || slots[0].Capacity-s.Capacity > 1 {
				t.Fatalf("uneven at %d", i)
			}
			sum, next = sum+s.Capacity, s.EndsAt
		}
		if sum != d.Seats {
			t.Fatalf("%d of %d seats", sum, d.Seats)
		}
	})
}

// TestPlanProperties: any set of rules and exceptions plans no doctor twice at one time,
// nothing on leave by a rule, nothing of a resting rule on a holiday; planning in two
// parts gives the same as in one, and a second run gives the same again.
func TestPlanProperties(t *testing.T) {
	first := day("2026-01-20")
	rapid.Check(t, func(t *rapid.T) {
		var rules []scheduling.RotaRule
		for i := range rapid.IntRange(1, 6).Draw(t, "rules") {
			r := rule(byte(rapid.IntRange(1, 2).Draw(t, "doctor")), byte(i+1), "2026-01-01", time.Weekday(rapid.IntRange(0, 6).Draw(t, "weekday")), time.Weekday(rapid.IntRange(0, 6).Draw(t, "weekday2")))
			if rapid.Bool().Draw(t, "afternoon") {
				r.Duty.Session, r.Duty.Start, r.Duty.End = scheduling.Afternoon, hm(14, 0), hm(17, 0)
			}
			r.MakeUp = rapid.SampledFrom([]scheduling.MakeUpPolicy{"", scheduling.MakeUpWorkday, scheduling.MakeUpOwn}).Draw(t, "makeup")
			rules = append(rules, r)
		}
		var exs []scheduling.Exception
		for i := range rapid.IntRange(0, 5).Draw(t, "exceptions") {
			from := first.Add(rapid.IntRange(0, 40).Draw(t, "from"))
			exs = append(exs, scheduling.Exception{
				ID: id.ID[scheduling.Exception]{15: byte(i + 1)}, From: from, To: from.Add(rapid.IntRange(0, 3).Draw(t, "days")),
				Kind: rapid.SampledFrom([]scheduling.ExceptionKind{scheduling.Leave, scheduling.Extra, scheduling.MakeUp, scheduling.Seats}).Draw(t, "kind"), Duty: morning(byte(rapid.IntRange(1, 2).Draw(t, "who")), 9),
			})
		}
		last := first.Add(45)
		whole, _, err := Plan(rules, exs, cal, first, last)
		if err != nil {
			t.Fatal(err)
		}
		cut := first.Add(rapid.IntRange(0, 44).Draw(t, "cut"))
		a, _, _ := Plan(rules, exs, cal, first, cut)
		b, _, _ := Plan(rules, exs, cal, cut+1, last)
		if d := cmp.Diff(whole, append(a, b...)); d != "" {
			t.Fatalf("two parts differ: %s", d)
		}
		for i, p := range whole {
			if p.Rule.IsZero() == p.Exception.IsZero() {
				t.Fatalf("one source: %+v", p)
			}
			if !p.Rule.IsZero() && cal.Day(p.Date).Off {
				t.Fatalf("works on a holiday: %s", p.Date)
			}
			onLeave := func(e scheduling.Exception) bool {
				return e.Kind == scheduling.Leave && e.Duty.Practitioner == p.Duty.Practitioner && touches(e, p.Duty.Session, p.Date)
			}
			if !p.Rule.IsZero() && slices.ContainsFunc(exs, onLeave) {
				t.Fatalf("works on leave: %s", p.Date)
			}
			for _, q := range whole[:i] {
				if q.Date == p.Date && q.Duty.Practitioner == p.Duty.Practitioner && (q.Duty.Session == p.Duty.Session || q.StartsAt.Before(p.EndsAt) && p.StartsAt.Before(q.EndsAt)) {
					t.Fatalf("twice on %s", p.Date)
				}
			}
		}
	})
}

func FuzzRecurrence(f *testing.F) {
	for _, s := range []string{"FREQ=WEEKLY;BYDAY=MO,WE", "FREQ=MONTHLY;BYDAY=-1FR", "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30", "FREQ=DAILY;COUNT=3", "FREQ=MONTHLY;BYSETPOS=-1;BYDAY=MO", "FREQ=WEEKLY;UNTIL=20260101T000000Z"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r := rule(1, 1, "2025-01-01", time.Monday)
		r.Recurrence = s
		days, err := ruleDays(r, cal, clock.NewDate(2026, 1, 1), clock.NewDate(2026, 12, 31))
		if err == nil && len(days) > 365 {
			t.Fatalf("%q: %d days", s, len(days))
		}
	})
}
