package scheduling

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/event"
	"xinglin/internal/kernel/fault"
)

func TestEvents(t *testing.T) {
	seen := map[string]bool{}
	for _, e := range []event.Event{AppointmentHeld{}, AppointmentBooked{}, AppointmentCancelled{}, AppointmentExpired{}, AppointmentSettled{}, LotteryDecided{}, SchedulePublished{}, ScheduleStopped{}} {
		n := e.EventName()
		if seen[n] || !strings.HasPrefix(n, "scheduling.") || !strings.HasSuffix(n, ".v1") {
			t.Errorf("event name %q", n)
		}
		seen[n] = true
	}
	in := AppointmentBooked{Visit: Visit{Appointment: [16]byte{1}, Date: clock.NewDate(2026, 3, 4), Session: Morning, StartsAt: time.Unix(1, 0).UTC(), Fee: 2500}, Number: 18}
	b, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(b), `"date":"2026-03-04"`) || !strings.Contains(string(b), `"fee_fen":2500`) {
		t.Errorf("%s", b)
	}
	var out AppointmentBooked
	if err := json.Unmarshal(b, &out); err != nil || out != in {
		t.Errorf("%+v %v", out, err)
	}
}

func TestCodes(t *testing.T) {
	n := 0
	for _, c := range fault.Codes() {
		if strings.HasPrefix(c.Name, "scheduling.") {
			n++
			if c.ZH == "" || c.EN == "" {
				t.Errorf("%s has no title", c.Name)
			}
		}
	}
	if n != 38 {
		t.Errorf("%d codes", n)
	}
}

func TestText(t *testing.T) {
	if s := Minute(485).String(); s != "08:05" {
		t.Error(s)
	}
	for s, want := range map[Session]string{Morning: "A018", Afternoon: "B018", Evening: "C018", "x": ""} {
		if got := (Ticket{Session: s, Number: 18}).Text(); got != want {
			t.Errorf("%s: %q", s, got)
		}
	}
	for s, want := range map[State]bool{"": false, Pending: true, Booked: true, Arrived: true, Fulfilled: true, NoShow: true, Cancelled: false} {
		if s.Active() != want {
			t.Errorf("%q active: %v", s, s.Active())
		}
	}
}
