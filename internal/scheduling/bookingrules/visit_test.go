package bookingrules

import (
	"errors"
	"testing"
	"time"

	"xinglin/internal/kernel/fault"
	"xinglin/internal/scheduling"
)

// TestDecideTurn: what is heard late, twice or in another order ends the same.
func TestDecideTurn(t *testing.T) {
	for _, x := range []struct {
		from  scheduling.State
		turns []Turn
		to    scheduling.State
	}{
		{scheduling.Booked, []Turn{CheckedIn}, scheduling.Arrived},
		{scheduling.Booked, []Turn{CheckedIn, CheckedIn}, scheduling.Arrived},
		{scheduling.Booked, []Turn{CheckedIn, Seen, Seen}, scheduling.Fulfilled},
		{scheduling.Booked, []Turn{Seen, CheckedIn}, scheduling.Fulfilled},
		{scheduling.NoShow, []Turn{CheckedIn}, scheduling.Arrived},
		{scheduling.NoShow, []Turn{Seen, CheckedIn}, scheduling.Fulfilled},
		{scheduling.Pending, []Turn{CheckedIn, Seen}, scheduling.Pending},
		{scheduling.Cancelled, []Turn{CheckedIn, Seen}, scheduling.Cancelled},
	} {
		s := x.from
		for _, turn := range x.turns {
			s, _ = DecideTurn(s, turn)
		}
		if s != x.to {
			t.Errorf("%s after %v: %s", x.from, x.turns, s)
		}
	}
}

// TestDecideMiss: only booked visits, only of a session that was held, only after the time of the rules.
func TestDecideMiss(t *testing.T) {
	end := time.Unix(1_800_000_000, 0)
	r := scheduling.BookingRules{MissMinutes: 30}
	for _, x := range []struct {
		r       scheduling.BookingRules
		s       scheduling.State
		stopped bool
		at      time.Duration
		want    bool
	}{
		{r, scheduling.Booked, false, 30 * time.Minute, true},
		{r, scheduling.Booked, false, 30*time.Minute - 1, false},
		{r, scheduling.Booked, true, time.Hour, false},
		{r, scheduling.Arrived, false, time.Hour, false},
		{r, scheduling.Pending, false, time.Hour, false},
		{r, scheduling.Cancelled, false, time.Hour, false},
		{scheduling.BookingRules{}, scheduling.Booked, false, time.Hour, false}, // switched off
	} {
		if got := DecideMiss(x.r, x.s, end, x.stopped, end.Add(x.at)); got != x.want {
			t.Errorf("%+v: %v", x, got)
		}
	}
}

// TestDecideStop: what stopping and resuming refuse, the first reason first.
func TestDecideStop(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	held := StopFacts{Version: 3, Seen: 3, EndsAt: now.Add(1)}
	stopped := held
	stopped.Stopped = true
	with := func(f StopFacts, change func(*StopFacts)) StopFacts {
		change(&f)
		return f
	}
	stale := func(f *StopFacts) { f.Seen = 2 }
	over := func(f *StopFacts) { f.EndsAt = now }
	for _, x := range []struct {
		name         string
		f            StopFacts
		stop, resume *fault.Code
	}{
		{"held", held, nil, scheduling.ErrState},
		{"stopped", stopped, scheduling.ErrScheduleStopped, nil},
		{"stale", with(held, stale), scheduling.ErrStale, scheduling.ErrStale},
		{"over", with(held, over), scheduling.ErrSlotPast, scheduling.ErrState},
		{"stopped and over", with(stopped, over), scheduling.ErrScheduleStopped, scheduling.ErrSlotPast},
		{"by the rota", with(stopped, func(f *StopFacts) { f.ByRota = true }), scheduling.ErrScheduleStopped, scheduling.ErrStoppedByRota},
		{"running", with(stopped, func(f *StopFacts) { f.Left = 1 }), scheduling.ErrScheduleStopped, scheduling.ErrStopRunning},
	} {
		for what, c := range map[string]struct {
			got  error
			want *fault.Code
		}{"stop": {DecideStop(x.f, now), x.stop}, "resume": {DecideResume(x.f, now), x.resume}} {
			if c.want == nil && c.got != nil || c.want != nil && !errors.Is(c.got, c.want) {
				t.Errorf("%s, %s: %v", x.name, what, c.got)
			}
		}
	}
}
