// Package calendar knows public holidays and make-up workdays as data: one file a
// year, embedded for the years the project knows, replaced whole by a tenant's own
// file of the same year. A year that the State Council has not yet announced holds
// the statutory days alone and is marked provisional.
package calendar

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"sort"
	"time"

	"xinglin/internal/kernel/clock"
)

// MaxFile bounds an override file in bytes.
const MaxFile = 64 << 10

// maxSpan bounds one holiday in days, margin how far a year's file may reach into
// its neighbours (days of a New Year holiday that lie in December).
const (
	maxSpan = 31
	margin  = 31
)

//go:embed data/*.json
var data embed.FS

// Day is what the calendar says of one date.
type Day struct {
	Off         bool       // a public holiday or a day off beside it
	MakeUp      bool       // a weekend day that is worked
	For         clock.Date // on a make-up day: the workday that it stands for; 0 when not stated
	Name        string     // the holiday in Chinese, also on its make-up days
	NameEN      string
	Provisional bool // the year's arrangement is not announced, or the year is not known
}

// Calendar is read-only after Load and safe for concurrent use.
type Calendar struct {
	years map[int]file
	days  map[clock.Date]Day
}

// file is the form of a year's data.
type file struct {
	Year        int    `json:"year"`
	Provisional bool   `json:"provisional"`
	Source      string `json:"source"`
	Off         []off  `json:"off"`
	Work        []work `json:"work"`
}

type off struct {
	From   clock.Date `json:"from"`
	To     clock.Date `json:"to"`
	Name   string     `json:"name"`
	NameEN string     `json:"name_en"`
}

type work struct {
	Date   clock.Date `json:"date"`
	For    clock.Date `json:"for"`
	Name   string     `json:"name"`
	NameEN string     `json:"name_en"`
}

// Load reads the embedded years and then the overrides, each of which replaces the
// whole year that it names. It refuses a file with unknown fields, days outside its
// year, a day that is both off and worked, or a make-up day for a day that is not off.
func Load(overrides ...[]byte) (*Calendar, error) {
	c := &Calendar{years: map[int]file{}, days: map[clock.Date]Day{}}
	names, err := fs.Glob(data, "data/*.json")
	if err != nil {
		return nil, fmt.Errorf("calendar: %w", err)
	}
	for _, n := range names {
		b, err := data.ReadFile(n)
		if err != nil {
			return nil, fmt.Errorf("calendar: %w", err)
		}
		if err := c.read(b); err != nil {
			return nil, fmt.Errorf("calendar: %s: %w", n, err)
		}
	}
	for i, b := range overrides {
		if err := c.read(b); err != nil {
			return nil, fmt.Errorf("calendar: override %d: %w", i+1, err)
		}
	}
	for _, y := range c.Years() {
		c.lay(c.years[y])
	}
	return c, nil
}

// Embedded is Load without overrides; it panics only when the project's own data is broken.
func Embedded() *Calendar {
	c, err := Load()
	if err != nil {
		panic(err)
	}
	return c
}

func (c *Calendar) read(b []byte) error {
	if len(b) > MaxFile {
		return fmt.Errorf("larger than %d bytes", MaxFile)
	}
	var f file
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&f); err != nil {
		return err
	}
	if d.More() {
		return fmt.Errorf("more than one document")
	}
	if err := f.check(); err != nil {
		return err
	}
	c.years[f.Year] = f
	return nil
}

func (f file) check() error {
	if f.Year < 1970 || f.Year > 9999 {
		return fmt.Errorf("year %d", f.Year)
	}
	first := clock.NewDate(f.Year, time.January, 1).Add(-margin)
	last := clock.NewDate(f.Year, time.December, 31).Add(margin)
	free := map[clock.Date]bool{}
	for _, o := range f.Off {
		if o.From > o.To || int(o.To-o.From) >= maxSpan || o.From < first || o.To > last {
			return fmt.Errorf("off %s to %s: not a span within the year", o.From, o.To)
		}
		for d := o.From; d <= o.To; d++ {
			if free[d] {
				return fmt.Errorf("%s is listed twice", d)
			}
			free[d] = true
		}
	}
	seen := map[clock.Date]bool{}
	for _, w := range f.Work {
		switch {
		case w.Date < first || w.Date > last:
			return fmt.Errorf("make-up day %s: outside the year", w.Date)
		case free[w.Date] || seen[w.Date]:
			return fmt.Errorf("%s is listed twice", w.Date)
		case w.For != 0 && !free[w.For]:
			return fmt.Errorf("make-up day %s stands for %s, which is not off", w.Date, w.For)
		}
		seen[w.Date] = true
	}
	return nil
}

func (c *Calendar) lay(f file) {
	for _, o := range f.Off {
		for d := o.From; d <= o.To; d++ {
			c.days[d] = Day{Off: true, Name: o.Name, NameEN: o.NameEN, Provisional: f.Provisional}
		}
	}
	for _, w := range f.Work {
		c.days[w.Date] = Day{MakeUp: true, For: w.For, Name: w.Name, NameEN: w.NameEN, Provisional: f.Provisional}
	}
}

// Years lists the years that have data, ascending.
func (c *Calendar) Years() []int {
	out := make([]int, 0, len(c.years))
	for y := range c.years {
		out = append(out, y)
	}
	sort.Ints(out)
	return out
}

// Source names where a year's data comes from; empty for a year without data.
func (c *Calendar) Source(year int) string { return c.years[year].Source }

// Day tells what a date is. An ordinary weekend is neither off nor make-up: whether
// a clinic works on it is the rota's own word.
func (c *Calendar) Day(d clock.Date) Day {
	if v, ok := c.days[d]; ok {
		return v
	}
	y, _, _ := d.Parts()
	f, ok := c.years[y]
	return Day{Provisional: !ok || f.Provisional}
}

// WorksLike is the weekday whose plan holds on d: its own on an ordinary day, on a
// make-up day the weekday that it stands for. false: no weekday's plan holds, because
// the day is off or its make-up day names no workday.
func (c *Calendar) WorksLike(d clock.Date) (time.Weekday, bool) {
	v := c.Day(d)
	switch {
	case v.Off:
		return 0, false
	case v.MakeUp && v.For == 0:
		return 0, false
	case v.MakeUp:
		return v.For.Weekday(), true
	}
	return d.Weekday(), true
}

// MakeUps lists the make-up workdays from..to, both included, ascending.
func (c *Calendar) MakeUps(from, to clock.Date) []clock.Date {
	var out []clock.Date
	for d, v := range c.days {
		if v.MakeUp && d >= from && d <= to {
			out = append(out, d)
		}
	}
	sort.Slice(out, func(i, j int) bool { return out[i] < out[j] })
	return out
}
