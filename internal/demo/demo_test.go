package demo

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"xinglin/internal/kernel/clock"
)

// Whenever the demo starts, its doctor has a session then; and whoever asks later finds one that runs or another part of the
// day, of which a doctor has one each. The last minutes before midnight have no seat of ten minutes. That such rows are taken:
// test/script demo_rules, at night.
func TestSessionNow(t *testing.T) {
	day := clock.NewDate(2026, time.November, 30)
	type shift struct {
		session    string
		start, end int
	}
	at := func(minute int) (s shift) {
		t.Helper()
		cells := strings.Split(Hospital{Clock: clock.NewManual(day.At(minute))}.now(day), ",")
		if len(cells) != len(rotaColumns) {
			t.Fatalf("%d cells of %d columns", len(cells), len(rotaColumns))
		}
		cell := func(name string) string { return cells[slices.Index(rotaColumns, name)] }
		var h, m, eh, em, seats, each int
		if _, err := fmt.Sscanf(cell("开始时间")+" "+cell("号源数")+" "+cell("每号分钟"), "%d:%d-%d:%d %d %d", &h, &m, &eh, &em, &seats, &each); err != nil {
			t.Fatal(err)
		}
		s = shift{cell("时段"), h*60 + m, eh*60 + em}
		if s.start+seats*each > s.end || s.end >= 24*60 {
			t.Fatalf("at minute %d: %v with %d seats of %d minutes", minute, s, seats, each)
		}
		return s
	}
	for begin := 0; begin < 24*60; begin += 5 {
		runs := map[string]shift{}
		for now := begin; now < 23*60+50; now += 5 {
			held := false
			for _, s := range runs {
				held = held || s.start <= now && now < s.end
			}
			if held {
				continue
			}
			s := at(now)
			if _, twice := runs[s.session]; twice || now < s.start || now >= s.end {
				t.Fatalf("began at minute %d: at minute %d %v beside %v", begin, now, s, runs)
			}
			runs[s.session] = s
		}
	}
}
