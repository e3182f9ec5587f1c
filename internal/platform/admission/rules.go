package admission

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"xinglin/internal/kernel/clock"
)

// Rule opens a waiting room: for some departments, on some days, between two hours of
// Asia/Shanghai.
type Rule struct {
	Name        string   `json:"name"`         // unique
	Tenant      TenantID `json:"tenant"`       // empty: every tenant
	Departments []Thing  `json:"departments"`  // empty: the whole hospital waits in one room
	Together    bool     `json:"together"`     // the departments share one room
	Days        []string `json:"days"`         // mon ... sun; empty: every day
	From        string   `json:"from"`         // 07:50
	To          string   `json:"to"`           // 08:30
	AtOnce      int      `json:"at_once"`      // people inside with a pass, at most; 0 = 200
	PerSecond   int      `json:"per_second"`   // let in, at most; 0 = 100
	Places      int      `json:"places"`       // that wait in one process; 0 = 20000
	PassSeconds int      `json:"pass_seconds"` // how long a pass is good; 0 = 120

	from, to int // minutes
	days     []time.Weekday
}

const (
	maxRules  = 64
	maxPlaces = 200_000
)

var weekdays = []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}

// LoadRules reads a file of rules; no file, no rules.
func LoadRules(path string) ([]Rule, error) {
	if path == "" {
		return nil, nil
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, ErrRules.Wrap(err)
	}
	return ReadRules(b)
}

// ReadRules reads {"rooms": [...]} and refuses what it does not know.
func ReadRules(text []byte) ([]Rule, error) {
	var f struct {
		Rooms []Rule `json:"rooms"`
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&f); err != nil {
		return nil, ErrRules.Wrap(err)
	}
	if len(f.Rooms) > maxRules {
		return nil, ErrRules.At("rooms", fmt.Sprintf("at most %d", maxRules))
	}
	names := map[string]bool{}
	for i := range f.Rooms {
		r := &f.Rooms[i]
		if r.Name == "" || names[r.Name] {
			return nil, ErrRules.At("rooms.name", "needed and unique: "+strconv.Itoa(i))
		}
		names[r.Name] = true
		if err := r.complete(); err != nil {
			return nil, err
		}
	}
	return f.Rooms, nil
}

func (r *Rule) complete() error {
	var ok1, ok2 bool
	r.from, ok1 = minutes(r.From)
	r.to, ok2 = minutes(r.To)
	if !ok1 || !ok2 || r.from >= r.to {
		return ErrRules.At(r.Name+".from", "from and to are HH:MM of one day, from first")
	}
	for _, d := range r.Days {
		i := slices.Index(weekdays, strings.ToLower(d))
		if i < 0 {
			return ErrRules.At(r.Name+".days", "mon, tue, wed, thu, fri, sat or sun")
		}
		r.days = append(r.days, time.Weekday(i))
	}
	for _, n := range []struct {
		name           string
		v              *int
		otherwise, max int
	}{
		{"at_once", &r.AtOnce, 200, 100_000},
		{"per_second", &r.PerSecond, 100, 100_000},
		{"places", &r.Places, 20_000, maxPlaces},
		{"pass_seconds", &r.PassSeconds, 120, 1800},
	} {
		if *n.v == 0 {
			*n.v = n.otherwise
		}
		if *n.v < 1 || *n.v > n.max {
			return ErrRules.At(r.Name+"."+n.name, fmt.Sprintf("1 to %d", n.max))
		}
	}
	return nil
}

// minutes reads HH:MM; 24:00 is the end of the day.
func minutes(s string) (int, bool) {
	h, m, ok := strings.Cut(s, ":")
	hh, err1 := strconv.Atoi(h)
	mm, err2 := strconv.Atoi(m)
	n := hh*60 + mm
	return n, ok && err1 == nil && err2 == nil && hh >= 0 && mm >= 0 && mm < 60 && n <= 24*60
}

func (r *Rule) within(now time.Time) bool {
	t := now.In(clock.Shanghai)
	m := t.Hour()*60 + t.Minute()
	return m >= r.from && m < r.to && (len(r.days) == 0 || slices.Contains(r.days, t.Weekday()))
}

func (r *Rule) open(t TenantID, department Thing, now time.Time) bool {
	return (r.Tenant.IsZero() || r.Tenant == t) && (len(r.Departments) == 0 || slices.Contains(r.Departments, department)) && r.within(now)
}
