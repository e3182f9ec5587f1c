package bookingrules

import (
	"errors"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/fault"
	"xinglin/internal/scheduling"
)

func at(t *testing.T, s string) time.Time {
	t.Helper()
	v, err := time.ParseInLocation("2006-01-02 15:04", s, clock.Shanghai)
	if err != nil {
		t.Fatal(err)
	}
	return v.UTC()
}

func day(s string) clock.Date {
	d, err := clock.ParseDate(s)
	if err != nil {
		panic(err)
	}
	return d
}

func TestPresets(t *testing.T) {
	seen := map[string]bool{}
	returns, cuts, ages := map[scheduling.ReturnKind]bool{}, map[scheduling.CancelKind]bool{}, map[scheduling.AgeKind]bool{}
	for _, p := range Presets {
		r, ok := Preset(p.Name)
		if !ok || r.Preset != p.Name || seen[p.Name] || p.ZH == "" || p.EN == "" {
			t.Errorf("preset %q", p.Name)
		}
		if err := Check(r); err != nil {
			t.Errorf("%s: %v", p.Name, fault.Of(err).Details)
		}
		seen[p.Name], returns[r.SeatReturn.Kind], cuts[r.Cancel.Kind], ages[r.Age.Kind] = true, true, true, true
	}
	if len(returns) != 3 || len(cuts) != 3 || len(ages) != 3 {
		t.Errorf("each policy of RULES 1g has a preset: %v %v %v", returns, cuts, ages)
	}
	if _, ok := Preset("nowhere"); ok {
		t.Error("unknown preset found")
	}
}

func TestRelease(t *testing.T) {
	early, _ := Preset("early")
	long, _ := Preset("long")
	d := day("2026-03-20")
	if got := ReleasedAt(early, d); !got.Equal(at(t, "2026-03-06 06:00")) {
		t.Errorf("released %v", got)
	}
	if got := ReleasedAt(long, d); !got.Equal(at(t, "2026-02-20 00:00")) {
		t.Errorf("released %v", got)
	}
	if got := NextRelease(early, at(t, "2026-03-06 05:59")); !got.Equal(at(t, "2026-03-06 06:00")) {
		t.Errorf("next %v", got)
	}
	if got := NextRelease(early, at(t, "2026-03-06 06:00")); !got.Equal(at(t, "2026-03-07 06:00")) {
		t.Errorf("the release of this instant is not the next: %v", got)
	}
	for _, x := range []struct {
		preset, now string
		stopped     bool
		want        error
	}{
		{"early", "2026-03-06 05:59", false, scheduling.ErrNotReleased},
		{"early", "2026-03-06 06:00", false, nil},
		{"early", "2026-03-10 00:00", false, scheduling.ErrPaused},
		{"early", "2026-03-10 05:59", false, scheduling.ErrPaused},
		{"early", "2026-03-10 06:00", false, nil},
		{"early", "2026-03-10 06:00", true, scheduling.ErrScheduleStopped},
		{"early", "2026-03-19 23:59", false, nil},
		{"early", "2026-03-20 00:00", false, scheduling.ErrWindowClosed},
		{"early", "2026-03-20 09:00", false, scheduling.ErrSlotPast},
		{"long", "2026-03-20 08:59", false, nil},
		{"long", "2026-03-20 09:00", false, scheduling.ErrSlotPast},
	} {
		r, _ := Preset(x.preset)
		err := Bookable(r, SlotFacts{Day: d, SlotStart: d.At(540), ReleasedAt: ReleasedAt(r, d), Stopped: x.stopped}, at(t, x.now))
		if (x.want == nil) != (err == nil) || (x.want != nil && !errors.Is(err, x.want)) {
			t.Errorf("%s at %s: %v, want %v", x.preset, x.now, err, x.want)
		}
	}
	err := Bookable(early, SlotFacts{Day: d, SlotStart: d.At(540), ReleasedAt: ReleasedAt(early, d)}, at(t, "2026-03-06 05:30"))
	if f := fault.Of(err); f == nil || f.RetryAfter != 30*time.Minute {
		t.Errorf("told to come again: %+v", f)
	}
}

func TestPause(t *testing.T) {
	over := scheduling.BookingRules{Pauses: []scheduling.Span{{From: hm(22, 0), To: hm(6, 30)}, {From: hm(6, 30), To: hm(7, 0)}, {From: hm(12, 0), To: hm(12, 10)}}}
	for _, x := range []struct{ now, until string }{
		{"2026-03-06 21:59", ""},
		{"2026-03-06 22:00", "2026-03-07 07:00"},
		{"2026-03-07 00:00", "2026-03-07 07:00"},
		{"2026-03-07 06:45", "2026-03-07 07:00"},
		{"2026-03-07 07:00", ""},
		{"2026-03-07 12:09", "2026-03-07 12:10"},
	} {
		until, ok := PausedUntil(over, at(t, x.now))
		if ok != (x.until != "") || (ok && !until.Equal(at(t, x.until))) {
			t.Errorf("%s: %v %v", x.now, until, ok)
		}
	}
	last := scheduling.BookingRules{Pauses: []scheduling.Span{{From: hm(23, 0), To: 1440}}}
	if until, ok := PausedUntil(last, at(t, "2026-03-06 23:30")); !ok || !until.Equal(at(t, "2026-03-07 00:00")) {
		t.Errorf("to the end of the day: %v %v", until, ok)
	}
}

func TestCancelBefore(t *testing.T) {
	d := day("2026-03-20")
	start := d.At(540)
	for _, x := range []struct {
		preset string
		class  scheduling.Class
		want   string
	}{
		{"standard", scheduling.Expert, "2026-03-20 00:00"},
		{"early", scheduling.Ordinary, "2026-03-19 15:00"},
		{"city", scheduling.Ordinary, "2026-03-19 17:00"},
		{"long", scheduling.Ordinary, "2026-03-20 08:30"},
		{"long", scheduling.Expert, "2026-03-19 21:00"},
		{"long", scheduling.Special, "2026-03-19 21:00"},
	} {
		r, _ := Preset(x.preset)
		if got := CancelBefore(r.Cancel, d, x.class, start); !got.Equal(at(t, x.want)) {
			t.Errorf("%s %s: %v", x.preset, x.class, got)
		}
	}
}

func TestSeatReturn(t *testing.T) {
	now := at(t, "2026-03-06 12:00")
	low, high := func(int) int { return 0 }, func(n int) int { return n - 1 }
	once, _ := Preset("standard")
	random, _ := Preset("early")
	next, _ := Preset("city")
	if got := SeatReturnAt(once, scheduling.ByPatient, now, high); !got.Equal(now) {
		t.Errorf("at once: %v", got)
	}
	if a, b := SeatReturnAt(random, scheduling.ByPatient, now, low), SeatReturnAt(random, scheduling.ByPatient, now, high); a.Sub(now) != 5*time.Minute || b.Sub(now) != 30*time.Minute {
		t.Errorf("random: %v %v", a, b)
	}
	if got := SeatReturnAt(next, scheduling.ByPatient, now, low); !got.Equal(at(t, "2026-03-07 06:30")) {
		t.Errorf("next release: %v", got)
	}
	if got := SeatReturnAt(next, scheduling.ByExpiry, now, low); !got.Equal(now) {
		t.Errorf("an expired hold frees its seat at once: %v", got)
	}
}

// TestScope: two sessions share a scope exactly when the rules say that they are the same.
func TestScope(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := scheduling.LimitScope{Doctor: rapid.Bool().Draw(t, "byDoctor"), Session: rapid.Bool().Draw(t, "bySession")}
		draw := func(n string) (v scheduling.Schedule) {
			v.Department[15], v.Practitioner[15] = rapid.ByteRange(1, 3).Draw(t, n+" department"), rapid.ByteRange(1, 3).Draw(t, n+" doctor")
			v.Session = rapid.SampledFrom([]scheduling.Session{scheduling.Morning, scheduling.Evening}).Draw(t, n+" session")
			return v
		}
		a, b := draw("a"), draw("b")
		same := a.Department == b.Department && (!l.Doctor || a.Practitioner == b.Practitioner) && (!l.Session || a.Session == b.Session)
		if (Scope(l, a) == Scope(l, b)) != same {
			t.Fatalf("%+v %v %v", l, Scope(l, a), Scope(l, b))
		}
	})
	// Stored for ever: the hash of sixteen zero bytes.
	if got := Scope(scheduling.LimitScope{}, scheduling.Schedule{}); got != 1768495365 {
		t.Errorf("%d", got)
	}
}

func TestCaps(t *testing.T) {
	caps := []scheduling.Cap{{Days: 1, Max: 2}, {Days: 7, Max: 3}}
	d := day("2026-03-20")
	for name, x := range map[string]struct {
		active []clock.Date
		ok     bool
	}{
		"none":                {nil, true},
		"second of the day":   {[]clock.Date{d}, true},
		"third of the day":    {[]clock.Date{d, d}, false},
		"third in a week":     {[]clock.Date{d - 6, d - 3}, true},
		"fourth in a week":    {[]clock.Date{d - 6, d - 3, d - 1}, false},
		"fourth, later ones":  {[]clock.Date{d + 1, d + 3, d + 6}, false},
		"fourth, both sides":  {[]clock.Date{d - 3, d + 1, d + 3}, false},
		"never 4 in 7":        {[]clock.Date{d - 6, d - 5, d + 6}, true},
		"outside the windows": {[]clock.Date{d - 7, d - 8, d - 9, d + 7}, true},
	} {
		if err := CheckCaps(caps, d, x.active); (err == nil) != x.ok || (err != nil && !errors.Is(err, scheduling.ErrCapReached)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAge(t *testing.T) {
	visit := day("2026-03-20")
	refuse, own := scheduling.AgeRule{Kind: scheduling.AgeRefuse, Border: 14}, scheduling.AgeRule{Kind: scheduling.AgePaediatric, Border: 14}
	birthday, dayAfter := day("2012-03-20"), day("2012-03-21") // 14 today; 14 tomorrow
	for _, x := range []struct {
		rule       scheduling.AgeRule
		birth      clock.Date
		known, ped bool
		ok         bool
	}{
		{scheduling.AgeRule{Kind: scheduling.AgeAny}, dayAfter, true, false, true},
		{refuse, birthday, true, false, true},
		{refuse, dayAfter, true, false, false},
		{refuse, dayAfter, true, true, false},
		{refuse, 0, false, false, true},
		{own, birthday, true, false, true},
		{own, birthday, true, true, false},
		{own, dayAfter, true, true, true},
		{own, dayAfter, true, false, false},
	} {
		if err := CheckAge(x.rule, x.birth, x.known, visit, x.ped); (err == nil) != x.ok {
			t.Errorf("%+v: %v", x, err)
		}
	}
}

func TestBlockedUntil(t *testing.T) {
	year := scheduling.AbuseRule{Count: 3, Months: 12, Block: 1}
	month := scheduling.AbuseRule{Count: 4, Calendar: true}
	days := func(s ...string) (out []clock.Date) {
		for _, v := range s {
			out = append(out, day(v))
		}
		return
	}
	for name, x := range map[string]struct {
		rule      scheduling.AbuseRule
		incidents []clock.Date
		today     string
		until     string
	}{
		"off":                   {scheduling.AbuseRule{}, days("2026-01-01", "2026-01-01", "2026-01-01"), "2026-01-02", ""},
		"two":                   {year, days("2026-01-10", "2026-01-20"), "2026-01-21", ""},
		"three, unsorted":       {year, days("2026-01-31", "2025-06-01", "2025-09-01"), "2026-02-01", "2026-02-28"},
		"served":                {year, days("2025-06-01", "2025-09-01", "2026-01-31"), "2026-02-28", ""},
		"three in over a year":  {year, days("2025-01-10", "2025-09-01", "2026-01-10"), "2026-01-11", ""},
		"four across months":    {month, days("2026-01-30", "2026-01-31", "2026-02-01", "2026-02-02"), "2026-02-03", ""},
		"four within a month":   {month, days("2026-02-01", "2026-02-02", "2026-02-03", "2026-02-04"), "2026-02-05", "2026-03-01"},
		"a new month":           {month, days("2026-02-01", "2026-02-02", "2026-02-03", "2026-02-04"), "2026-03-01", ""},
		"an incident to come":   {year, days("2026-01-10", "2026-01-20", "2026-03-01"), "2026-02-01", ""},
		"december to next year": {month, days("2026-12-01", "2026-12-02", "2026-12-03", "2026-12-31"), "2026-12-31", "2027-01-01"},
	} {
		until, ok := BlockedUntil(x.rule, x.incidents, day(x.today))
		if ok != (x.until != "") || (ok && until != day(x.until)) {
			t.Errorf("%s: %s %v", name, until, ok)
		}
	}
	if !slices.Equal(days("2026-02-28", "2027-03-31"), []clock.Date{addMonths(day("2026-01-31"), 1), addMonths(day("2026-12-31"), 3)}) {
		t.Error("months")
	}
}

func TestCheckRules(t *testing.T) {
	for path, change := range map[string]func(*scheduling.BookingRules){
		"release":      func(r *scheduling.BookingRules) { r.Release = 1440 },
		"last_day":     func(r *scheduling.BookingRules) { r.LastDay = 61 },
		"hold_minutes": func(r *scheduling.BookingRules) { r.HoldMinutes = 0 },
		"pauses": func(r *scheduling.BookingRules) {
			r.Pauses = []scheduling.Span{{From: 0, To: 720}, {From: 720, To: 1440}}
		},
		"cancel.kind":      func(r *scheduling.BookingRules) { r.Cancel.Kind = "never" },
		"cancel.at":        func(r *scheduling.BookingRules) { r.Cancel.At = -1 },
		"cancel":           func(r *scheduling.BookingRules) { r.Cancel.ExpertMinutes = -1 },
		"seat_return.kind": func(r *scheduling.BookingRules) { r.SeatReturn.Kind = "" },
		"seat_return":      func(r *scheduling.BookingRules) { r.SeatReturn.Min = 5 },
		"limit.per":        func(r *scheduling.BookingRules) { r.Limit.Per = "" },
		"caps":             func(r *scheduling.BookingRules) { r.Caps = []scheduling.Cap{{Days: 0, Max: 1}} },
		"age.kind":         func(r *scheduling.BookingRules) { r.Age.Kind = "" },
		"age.border":       func(r *scheduling.BookingRules) { r.Age.Border = 99 },
		"no_show":          func(r *scheduling.BookingRules) { r.NoShow = scheduling.AbuseRule{Count: 1} },
		"returns":          func(r *scheduling.BookingRules) { r.Returns = make([]scheduling.AbuseRule, 5) },
		"late_minutes":     func(r *scheduling.BookingRules) { r.LateMinutes = -1 },
	} {
		r := Default()
		change(&r)
		f := fault.Of(Check(r))
		if f == nil || f.Code != scheduling.ErrRulesInvalid || f.Details[0].Path != path {
			t.Errorf("%s: %+v", path, f)
		}
	}
	r := Default()
	r.Pauses = []scheduling.Span{{From: hm(6, 0), To: hm(7, 30)}}
	if f := fault.Of(Check(r)); f == nil || f.Details[0].Path != "release" {
		t.Errorf("a release within a pause: %+v", f)
	}
}

// AtDesk leaves what protects the session and takes away what is for phones.
func TestAtDesk(t *testing.T) {
	for _, p := range Presets {
		r := p.Rules
		r.NoShow = scheduling.AbuseRule{Count: 1, Months: 1, Block: 1}
		r.Pauses = []scheduling.Span{{From: 0, To: 60}}
		r.Limit.Per = scheduling.PerAccount
		r.Age = scheduling.AgeRule{Kind: scheduling.AgeRefuse, Border: 14}
		d := AtDesk(r)
		if d.Limit.Per != scheduling.PerPatient || d.Pauses != nil || d.FirstDay != 0 || d.NoShow.Count != 0 || d.Returns != nil || d.Age.Kind != scheduling.AgeAny {
			t.Errorf("%s: %+v", p.Name, d)
		}
		if d.Release != r.Release || d.LastDay != r.LastDay || d.HoldMinutes != r.HoldMinutes || d.Limit.Doctor != r.Limit.Doctor || len(d.Caps) != len(r.Caps) || d.Cancel != r.Cancel {
			t.Errorf("%s: what holds for everybody changed", p.Name)
		}
		if r.Limit.Per != scheduling.PerAccount || len(r.Pauses) != 1 {
			t.Errorf("%s: the hospital's own rules were changed", p.Name)
		}
		r.Age.Kind = scheduling.AgePaediatric
		if AtDesk(r).Age.Kind != scheduling.AgePaediatric {
			t.Errorf("%s: paediatrics take adults", p.Name)
		}
	}
}
