package seatview

import (
	"testing"
	"time"
)

func TestCountEvent(t *testing.T) {
	at := time.Date(2026, 3, 2, 16, 0, 0, 5000, time.FixedZone("", 8*3600))
	c := Count{Schedule: ScheduleID{15: 1}, Version: 9, Remaining: 3, Slots: []SlotLeft{{[16]byte{15: 2}, 1}, {[16]byte{15: 3}, 2}}, At: at}
	const zeros = "00000000-0000-0000-0000-00000000000"
	want := "event: count\ndata: " + `{"schedule_id":"` + zeros + `1","remaining":3,"slots":{"` + zeros + `2":1,"` + zeros + `3":2},"at":"2026-03-02T08:00:00.000005Z"}` + "\n\n"
	if got := string(c.Event()); got != want {
		t.Errorf("%q\n%q", got, want)
	}
	c.Slots = nil
	want = "event: count\ndata: " + `{"schedule_id":"` + zeros + `1","remaining":3,"slots":{},"at":"2026-03-02T08:00:00.000005Z"}` + "\n\n"
	if got := string(c.Event()); got != want {
		t.Errorf("without slots: %q", got)
	}
}
