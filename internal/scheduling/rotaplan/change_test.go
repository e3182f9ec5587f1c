package rotaplan

import (
	"errors"
	"slices"
	"testing"
	"time"

	"xinglin/internal/scheduling"
)

// TestFits: a rule is compared with its doctor's other rules and extra sessions, not with
// itself as it was and not with other doctors.
func TestFits(t *testing.T) {
	r := rule(1, 1, "2026-03-01", time.Monday)
	later := rule(1, 2, "2026-03-01", time.Monday)
	later.Duty.Session, later.Duty.Start, later.Duty.End = scheduling.Afternoon, hm(14, 0), hm(17, 0)
	from, to := day("2026-03-02"), day("2026-03-31")
	for name, x := range map[string]struct {
		other scheduling.RotaRule
		ok    bool
	}{
		"the rule as it was":   {rule(1, 1, "2026-03-01", time.Monday), true},
		"another doctor":       {rule(2, 2, "2026-03-01", time.Monday), true},
		"another day":          {rule(1, 2, "2026-03-01", time.Tuesday), true},
		"another session":      {later, true},
		"the same session":     {rule(1, 2, "2026-03-01", time.Monday), false},
		"the same, afterwards": {rule(1, 2, "2026-04-06", time.Monday), true},
	} {
		err := Fits(r, []scheduling.RotaRule{x.other}, nil, cal, from, to)
		if (err == nil) != x.ok || err != nil && !errors.Is(err, scheduling.ErrRotaOverlap) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestPreview: only the rule's own sessions come back, and where it clashes.
func TestPreview(t *testing.T) {
	r := rule(1, 1, "2026-03-01", time.Monday, time.Tuesday)
	old := r
	old.Duty.Seats = 1
	others := []scheduling.RotaRule{old, rule(1, 2, "2026-03-01", time.Monday), rule(2, 3, "2026-03-01", time.Tuesday)}
	mine, conflicts, err := Preview(r, others, nil, cal, day("2026-03-02"), day("2026-03-08"))
	if err != nil || len(mine) != 1 || mine[0].Date != day("2026-03-03") || mine[0].Duty.Seats != 30 {
		t.Errorf("%v %v", mine, err)
	}
	if len(conflicts) != 1 || conflicts[0].Left.Rule != r.ID || conflicts[0].Left.Date != day("2026-03-02") {
		t.Errorf("%+v", conflicts)
	}
}

// TestLost: who still works in that part of the day has lost nothing; another doctor, day or
// part of the day does not stand in.
func TestLost(t *testing.T) {
	plan := func(change func(d *scheduling.Duty), doctor byte, days ...time.Weekday) []Session {
		r := rule(doctor, 1, "2026-03-01", days...)
		if change != nil {
			change(&r.Duty)
		}
		out, _, err := Plan([]scheduling.RotaRule{r}, nil, cal, day("2026-03-02"), day("2026-03-08"))
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	before := plan(nil, 1, time.Monday, time.Tuesday)
	for name, x := range map[string]struct {
		after []Session
		want  []string
	}{
		"nothing":            {nil, []string{"2026-03-02", "2026-03-03"}},
		"the same":           {before, nil},
		"a day less":         {plan(nil, 1, time.Tuesday, time.Friday), []string{"2026-03-02"}},
		"another fee, hours": {plan(func(d *scheduling.Duty) { d.Fee, d.Start = 1, hm(9, 0) }, 1, time.Monday, time.Tuesday), nil},
		"another doctor":     {plan(nil, 2, time.Monday, time.Tuesday), []string{"2026-03-02", "2026-03-03"}},
		"the afternoon": {plan(func(d *scheduling.Duty) {
			d.Session, d.Start, d.End = scheduling.Afternoon, hm(14, 0), hm(17, 0)
		}, 1, time.Monday, time.Tuesday), []string{"2026-03-02", "2026-03-03"}},
	} {
		if got := dates(Lost(before, x.after)); !slices.Equal(got, x.want) {
			t.Errorf("%s: %v, want %v", name, got, x.want)
		}
	}
}

func TestSameRule(t *testing.T) {
	imported := day("2026-03-10")
	ended := rule(1, 1, "2026-01-01", time.Monday)
	ended.To = day("2026-02-01")
	open := rule(1, 2, "2026-02-02", time.Monday)
	known := []scheduling.RotaRule{ended, open}
	for name, x := range map[string]struct {
		from string
		want byte
	}{
		"by its first day":           {"2026-01-01", 1},
		"the one of the import day":  {"2026-03-10", 2},
		"a first day of its own":     {"2026-03-11", 0},
		"the day between, not named": {"2026-01-15", 0},
	} {
		got, ok := SameRule(known, rule(1, 9, x.from, time.Monday), imported)
		if ok != (x.want != 0) || got.ID[15] != x.want {
			t.Errorf("%s: %v %v", name, got.ID, ok)
		}
	}
	if KeyOfRule(open) != KeyOfRule(ended) || KeyOfRule(open) == KeyOfRule(rule(2, 2, "2026-02-02", time.Monday)) || KeyOfRule(open) == KeyOfRule(rule(1, 2, "2026-02-02", time.Friday)) {
		t.Error("a rule's key is doctor, session and recurrence")
	}
	leave := scheduling.Exception{Duty: morning(1, 0), From: imported, To: imported}
	other := leave
	other.To++
	if KeyOfException(leave) == KeyOfException(other) {
		t.Error("exceptions of other days are others")
	}
	other.To, other.Duty.Remark = leave.To, "x"
	if KeyOfException(leave) != KeyOfException(other) {
		t.Error("words do not make another exception")
	}
}
