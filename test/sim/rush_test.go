package sim

import (
	"fmt"
	"slices"
	"strconv"
	"testing"

	"xinglin/test/rig"
)

// TestRush plays the 8:00 on both engines, with kills: every rule holds. A soak plays
// twenty seeds each at full size, on PostgreSQL with three processes.
func TestRush(t *testing.T) {
	binary := rig.Binary(t)
	if !Soak() {
		small := []string{"--seed", "8", "--kill", "--people", "250", "--duration", "4s"}
		for engine, processes := range map[string]string{"sqlite": "1", "postgres": "2"} {
			t.Run(engine, func(t *testing.T) {
				t.Parallel() // each waits for clocks and restarts most of the time
				holds(t, binary, engine, append(slices.Clone(small), "--processes", processes)...)
			})
		}
		return
	}
	for seed := range seeds {
		for engine, processes := range map[string]string{"sqlite": "1", "postgres": "3"} {
			t.Run(fmt.Sprintf("%s/%d", engine, seed), func(t *testing.T) {
				holds(t, binary, engine, "--seed", strconv.Itoa(seed), "--kill", "--processes", processes)
			})
		}
	}
}

const seeds = 20 // of a soak

// holds runs a rush in which nothing may be broken, and in which what it is about must
// have happened.
func holds(t *testing.T, binary, engine string, args ...string) {
	t.Helper()
	rep, exit := rush(t, binary, t.TempDir(), args...)
	for _, c := range rep.Broken() {
		t.Errorf("%s: %d violations\n%q", c.Name, c.Count, c.Violations)
	}
	if exit != 0 || rep.Engine != engine {
		t.Errorf("exit %d on %s", exit, rep.Engine)
	}
	for what, n := range map[string]int{
		"requests without an answer": rep.Unanswered, "bookings": rep.Booked, "cancellations": rep.Cancelled, "expired holds": rep.Expired,
		"payments": rep.Paid, "late payments": rep.LatePaid, "refunds": rep.Refunded, "repeats": rep.Repeats, "repeats after the sell-out": rep.AfterSellOut,
		"faults": len(rep.Faults), "keys of other wishes": rep.Answers["422 scheduling.key_reused"], "old keys": rep.Answers["422 scheduling.key_clock"],
		"full sessions": rep.Answers["409 scheduling.session_full"], "full slots": rep.Answers["409 scheduling.slot_taken"],
		"second visits of a day": rep.Answers["409 scheduling.limit_reached"], "checks": len(rep.Checks) - 8,
	} {
		if n <= 0 {
			t.Errorf("there were no %s", what)
		}
	}
	for _, c := range rep.Checks {
		if c.Seen == 0 {
			t.Errorf("nothing was checked: %s", c.Name)
		}
	}
	t.Logf("%d requests, %d without an answer, %d appointments, histories judged in %s; a bot's person got %.2f times the seats",
		rep.Requests, rep.Unanswered, rep.Appointments, rep.HistoryTime, rep.Advantage)
}
