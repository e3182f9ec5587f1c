package schedulingsvc

import (
	"errors"
	"slices"
	"testing"
	"time"

	"xinglin/internal/kernel/money"
	"xinglin/internal/platform/state"
	"xinglin/internal/scheduling"
	"xinglin/internal/scheduling/bookingrules"
)

var allStates = []scheduling.State{"", scheduling.Pending, scheduling.Booked, scheduling.Arrived, scheduling.Fulfilled, scheduling.Cancelled, scheduling.NoShow}

func TestMachineShape(t *testing.T) {
	if err := appointments.Check(); err != nil {
		t.Error(err)
	}
	if got := appointments.Final(); len(got) != 1 || !appointments.IsFinal(scheduling.Fulfilled) {
		t.Errorf("final: %v", got)
	}
	if got := len(appointments.States()); got != len(allStates)-1 {
		t.Errorf("%d states", got)
	}
	for _, s := range appointments.Steps {
		if s.From == s.To || s.From == scheduling.Cancelled && s.By != byPaid {
			t.Errorf("only a late payment leaves cancelled: %+v", s)
		}
	}
}

// can reports whether the machine has the arrow.
func can(from, to scheduling.State, by string) bool {
	return slices.ContainsFunc(appointments.Steps, func(s state.Step[scheduling.State]) bool {
		return s.From == from && s.To == to && s.By == by
	})
}

// TestDecisionsFollowTheMachine: whatever bookingrules decides is an arrow of the machine,
// and a cancellation is refused for its state exactly where the machine has none.
func TestDecisionsFollowTheMachine(t *testing.T) {
	reasons := map[scheduling.CancelReason]string{
		scheduling.ByPatient: byCancel, scheduling.ByStaff: byCancel, scheduling.ByStop: byStop, scheduling.ByExpiry: byExpire,
	}
	now := time.Unix(0, 0)
	for _, from := range allStates {
		for why, by := range reasons {
			_, err := bookingrules.DecideCancel(bookingrules.CancelFacts{State: from, Cutoff: now.Add(1)}, why, now)
			if errors.Is(err, scheduling.ErrState) == can(from, scheduling.Cancelled, by) {
				t.Errorf("%s cancelled %s: %v", from, why, err)
			}
			for flags := range 8 {
				f := bookingrules.PaidFacts{State: from, Reason: why, Fee: 1, Paid: money.Fen(flags & 1), Stopped: flags&2 > 0, Past: flags&4 > 0}
				if to := bookingrules.DecidePaid(f).To; to != from && !can(from, to, byPaid) {
					t.Errorf("%+v: no arrow to %s", f, to)
				}
			}
		}
		for turn, by := range map[bookingrules.Turn]string{bookingrules.CheckedIn: byArrive, bookingrules.Seen: byFinish} {
			to, moves := bookingrules.DecideTurn(from, turn)
			if moves != can(from, to, by) {
				t.Errorf("%s after %s: %s, %v", turn, from, to, moves)
			}
			if again, moves := bookingrules.DecideTurn(to, turn); moves {
				t.Errorf("%s twice: %s", turn, again)
			}
		}
		late := scheduling.BookingRules{MissMinutes: 1}
		if bookingrules.DecideMiss(late, from, now, false, now.Add(time.Minute)) != can(from, scheduling.NoShow, byMiss) {
			t.Errorf("%s is missed", from)
		}
		if bookingrules.DecideExpire(from, now, now) != can(from, scheduling.Cancelled, byExpire) {
			t.Errorf("%s expires", from)
		}
	}
	for _, fee := range []money.Fen{0, 1} {
		if to := bookingrules.FirstState(fee); to != appointments.Initial && !can(appointments.Initial, to, byHold) {
			t.Errorf("a hold of %d fen begins %s", fee, to)
		}
	}
}
