package calendar

import (
	"math"
	"strings"
	"testing"
	"time"

	"xinglin/internal/kernel/clock"
)

func date(t *testing.T, s string) clock.Date {
	t.Helper()
	d, err := clock.ParseDate(s)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestDays(t *testing.T) {
	c := Embedded()
	for _, x := range []struct {
		date                string
		off, makeUp, provis bool
		name                string
		like                time.Weekday
		works               bool
	}{
		{"2026-01-01", true, false, false, "元旦", 0, false},
		{"2026-01-04", false, true, false, "元旦", time.Friday, true},
		{"2026-01-05", false, false, false, "", time.Monday, true},
		{"2026-02-14", false, true, false, "春节", time.Friday, true},
		{"2026-02-28", false, true, false, "春节", time.Monday, true},
		{"2026-05-09", false, true, false, "劳动节", time.Tuesday, true},
		{"2026-09-20", false, true, false, "国庆节", time.Tuesday, true},
		{"2026-10-10", false, true, false, "国庆节", time.Wednesday, true},
		{"2026-10-08", false, false, false, "", time.Thursday, true},
		{"2026-03-07", false, false, false, "", time.Saturday, true},
		{"2027-02-04", false, false, true, "", time.Thursday, true},
		{"2027-02-05", true, false, true, "春节", 0, false},
		{"2027-02-08", true, false, true, "春节", 0, false},
		{"2027-02-09", false, false, true, "", time.Tuesday, true},
		{"2031-06-01", false, false, true, "", time.Sunday, true},
	} {
		d := date(t, x.date)
		v := c.Day(d)
		if v.Off != x.off || v.MakeUp != x.makeUp || v.Provisional != x.provis || v.Name != x.name {
			t.Errorf("%s: %+v", x.date, v)
		}
		if w, ok := c.WorksLike(d); w != x.like || ok != x.works {
			t.Errorf("%s works like %v %v, want %v %v", x.date, w, ok, x.like, x.works)
		}
	}
}

func TestTotals(t *testing.T) {
	c := Embedded()
	n := map[int][2]int{}
	for d, v := range c.days {
		y, _, _ := d.Parts()
		k := n[y]
		if v.Off {
			k[0]++
		} else {
			k[1]++
			if wd := d.Weekday(); wd != time.Saturday && wd != time.Sunday {
				t.Errorf("make-up day %s is no weekend day", d)
			}
			if wd := v.For.Weekday(); wd == time.Saturday || wd == time.Sunday {
				t.Errorf("make-up day %s stands for the weekend day %s", d, v.For)
			}
		}
		n[y] = k
	}
	// The 2026 notice: 33 days off, 6 make-up days. The law: 13 statutory days.
	if n[2026] != [2]int{33, 6} || n[2027] != [2]int{13, 0} {
		t.Fatalf("days off and make-up days: %v", n)
	}
	if got := c.MakeUps(date(t, "2026-02-01"), date(t, "2026-05-09")); len(got) != 3 {
		t.Fatalf("make-ups: %v", got)
	}
	if got := c.Years(); len(got) != 2 || got[0] != 2026 || c.Source(2027) == "" || c.Source(2030) != "" {
		t.Fatalf("years %v", got)
	}
}

// newMoon is the instant of the k-th new moon after that of 2000-01-06 (Meeus,
// Astronomical Algorithms, ch. 49, the larger terms: good to minutes).
func newMoon(k float64) time.Time {
	c := k / 1236.85
	jde := 2451550.09766 + 29.530588861*k + 0.00015437*c*c
	rad := math.Pi / 180
	e := 1 - 0.002516*c
	m := (2.5534 + 29.1053567*k) * rad
	mp := (201.5643 + 385.81693528*k + 0.0107582*c*c) * rad
	f := (160.7108 + 390.67050284*k) * rad
	om := (124.7746 - 1.56375588*k) * rad
	jde += -0.4072*math.Sin(mp) + 0.17241*e*math.Sin(m) + 0.01608*math.Sin(2*mp) + 0.01039*math.Sin(2*f) +
		0.00739*e*math.Sin(mp-m) - 0.00514*e*math.Sin(mp+m) + 0.00208*e*e*math.Sin(2*m) -
		0.00111*math.Sin(mp-2*f) - 0.00057*math.Sin(mp+2*f) - 0.00042*math.Sin(3*mp) - 0.00017*math.Sin(om)
	sec := (jde-2440587.5)*86400 - 70 // TT to UT
	return time.Unix(int64(sec), 0)
}

// TestLunarFestivals checks the festivals that follow the moon against the new moons
// in Chinese time: the day of the new moon is the first of its lunar month.
func TestLunarFestivals(t *testing.T) {
	c := Embedded()
	for _, x := range []struct {
		festival, first, name string
		day                   int
	}{
		{"2026-02-17", "2026-02-17", "春节", 1},
		{"2026-06-19", "2026-06-15", "端午节", 5},
		{"2026-09-25", "2026-09-11", "中秋节", 15},
		{"2027-02-06", "2027-02-06", "春节", 1},
		{"2027-06-09", "2027-06-05", "端午节", 5},
		{"2027-09-15", "2027-09-01", "中秋节", 15},
	} {
		fest, first := date(t, x.festival), date(t, x.first)
		if first.Add(x.day-1) != fest || c.Day(fest).Name != x.name {
			t.Errorf("%s %s: %+v", x.name, fest, c.Day(fest))
		}
		days := float64(first.At(720).Unix()-time.Date(2000, 1, 6, 18, 14, 0, 0, time.UTC).Unix()) / 86400
		k := math.Round(days / 29.530588861)
		if got := clock.DateOf(newMoon(k)); got != first {
			t.Errorf("%s: new moon on %s, want %s", x.name, got, first)
		}
	}
}

func TestOverride(t *testing.T) {
	own := `{"year":2027,"provisional":false,"source":"test","off":[{"from":"2027-02-05","to":"2027-02-11","name":"春节","name_en":"Spring Festival"}],
	  "work":[{"date":"2027-02-13","for":"2027-02-10","name":"春节","name_en":"Spring Festival"},{"date":"2027-02-20","for":"1970-01-01","name":"春节","name_en":""}]}`
	c, err := Load([]byte(own))
	if err != nil {
		t.Fatal(err)
	}
	if v := c.Day(date(t, "2027-01-01")); v.Off || v.Provisional {
		t.Errorf("the override replaces the whole year: %+v", v)
	}
	if w, ok := c.WorksLike(date(t, "2027-02-13")); !ok || w != time.Wednesday {
		t.Errorf("make-up day works like %v %v", w, ok)
	}
	if _, ok := c.WorksLike(date(t, "2027-02-20")); ok {
		t.Error("a make-up day that names no workday follows none")
	}
	if !c.Day(date(t, "2026-01-01")).Off {
		t.Error("the other years stay")
	}
}

func TestRefusals(t *testing.T) {
	for name, s := range map[string]string{
		"not json":      `{`,
		"unknown field": `{"year":2027,"days":[]}`,
		"no year":       `{}`,
		"two documents": `{"year":2027}{"year":2028}`,
		"no such day":   `{"year":2027,"off":[{"from":"2027-02-30","to":"2027-03-01"}]}`,
		"backwards":     `{"year":2027,"off":[{"from":"2027-02-03","to":"2027-02-01"}]}`,
		"other year":    `{"year":2027,"off":[{"from":"2029-02-03","to":"2029-02-03"}]}`,
		"endless":       `{"year":2027,"off":[{"from":"2027-02-03","to":"2027-11-03"}]}`,
		"twice off":     `{"year":2027,"off":[{"from":"2027-02-03","to":"2027-02-05"},{"from":"2027-02-05","to":"2027-02-05"}]}`,
		"off and work":  `{"year":2027,"off":[{"from":"2027-02-03","to":"2027-02-05"}],"work":[{"date":"2027-02-05"}]}`,
		"for a workday": `{"year":2027,"off":[{"from":"2027-02-03","to":"2027-02-05"}],"work":[{"date":"2027-02-07","for":"2027-02-09"}]}`,
		"work far away": `{"year":2027,"work":[{"date":"2020-02-07"}]}`,
		"too large":     `{"year":2027,"source":"` + strings.Repeat("x", MaxFile) + `"}`,
	} {
		if _, err := Load([]byte(s)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
