package schedulingsvc

import (
	"errors"
	"testing"
	"time"

	"pgregory.net/rapid"

	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/money"
	"xinglin/internal/scheduling"
	"xinglin/internal/scheduling/seatview"
)

var allStates = []scheduling.State{"", scheduling.Pending, scheduling.Booked, scheduling.Arrived, scheduling.Fulfilled, scheduling.Cancelled, scheduling.NoShow}

func TestMachineShape(t *testing.T) {
	if err := appointments.Check(); err != nil {
		t.Error(err)
	}
	if got := appointments.Final(); len(got) != 2 || !appointments.IsFinal(scheduling.Fulfilled) || !appointments.IsFinal(scheduling.NoShow) {
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
	if firstState(0) != scheduling.Booked || firstState(1) != scheduling.Pending {
		t.Error("free numbers book at once, others wait for payment")
	}
}

func TestDecidePaid(t *testing.T) {
	for name, x := range map[string]struct {
		f    paidFacts
		want paidDecision
	}{
		"in time":               {paidFacts{State: scheduling.Pending, Fee: 25, Paid: 25}, paidDecision{To: scheduling.Booked, Settle: scheduling.Applied}},
		"in time, slot begun":   {paidFacts{State: scheduling.Pending, Fee: 25, Paid: 25, Past: true}, paidDecision{To: scheduling.Booked, Settle: scheduling.Applied}},
		"in time, stopped":      {paidFacts{State: scheduling.Pending, Fee: 25, Paid: 25, Stopped: true}, paidDecision{To: scheduling.Cancelled, Settle: scheduling.Refund}},
		"wrong amount":          {paidFacts{State: scheduling.Pending, Fee: 25, Paid: 24}, paidDecision{To: scheduling.Cancelled, Settle: scheduling.Refund}},
		"after expiry":          {paidFacts{State: scheduling.Cancelled, Reason: scheduling.ByExpiry, Fee: 25, Paid: 25}, paidDecision{To: scheduling.Booked, Settle: scheduling.Applied, Retake: true}},
		"after expiry, past":    {paidFacts{State: scheduling.Cancelled, Reason: scheduling.ByExpiry, Fee: 25, Paid: 25, Past: true}, paidDecision{To: scheduling.Cancelled, Settle: scheduling.Refund}},
		"after expiry, stopped": {paidFacts{State: scheduling.Cancelled, Reason: scheduling.ByExpiry, Fee: 25, Paid: 25, Stopped: true}, paidDecision{To: scheduling.Cancelled, Settle: scheduling.Refund}},
		"after expiry, amount":  {paidFacts{State: scheduling.Cancelled, Reason: scheduling.ByExpiry, Fee: 25, Paid: 26}, paidDecision{To: scheduling.Cancelled, Settle: scheduling.Refund}},
		"after own cancel":      {paidFacts{State: scheduling.Cancelled, Reason: scheduling.ByPatient, Fee: 25, Paid: 25}, paidDecision{To: scheduling.Cancelled, Settle: scheduling.Refund}},
		"twice, applied":        {paidFacts{State: scheduling.Booked, Settlement: scheduling.Applied, Fee: 25, Paid: 25}, paidDecision{To: scheduling.Booked, Settle: scheduling.Applied, Repeat: true}},
		"twice, refunded":       {paidFacts{State: scheduling.Cancelled, Reason: scheduling.ByExpiry, Settlement: scheduling.Refund, Fee: 25, Paid: 25}, paidDecision{To: scheduling.Cancelled, Settle: scheduling.Refund, Repeat: true}},
		"cancelled after paid":  {paidFacts{State: scheduling.Cancelled, Reason: scheduling.ByPatient, Settlement: scheduling.Applied, Fee: 25, Paid: 25}, paidDecision{To: scheduling.Cancelled, Settle: scheduling.Applied, Repeat: true}},
	} {
		if got := decidePaid(x.f); got != x.want {
			t.Errorf("%s: %+v, want %+v", name, got, x.want)
		}
	}
}

// TestPaidSettlesOnce: any facts settle, the transition is an arrow of the machine,
// and applying the decision and asking again repeats it.
func TestPaidSettlesOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := paidFacts{
			State:   rapid.SampledFrom(allStates[1:]).Draw(t, "state"),
			Reason:  rapid.SampledFrom([]scheduling.CancelReason{"", scheduling.ByPatient, scheduling.ByExpiry, scheduling.ByStop}).Draw(t, "reason"),
			Fee:     money.Fen(rapid.IntRange(1, 3).Draw(t, "fee")),
			Paid:    money.Fen(rapid.IntRange(1, 3).Draw(t, "paid")),
			Stopped: rapid.Bool().Draw(t, "stopped"), Past: rapid.Bool().Draw(t, "past"),
		}
		d := decidePaid(f)
		if d.Settle == scheduling.Unsettled || d.Repeat {
			t.Fatalf("%+v is not settled: %+v", f, d)
		}
		if d.To != f.State && !can(f.State, d.To, byPaid) {
			t.Fatalf("no arrow %s -> %s", f.State, d.To)
		}
		if (d.Settle == scheduling.Applied) != (d.To == scheduling.Booked && f.State != scheduling.Booked) {
			t.Fatalf("applied means booked by it: %+v from %+v", d, f)
		}
		if d.Retake != (f.State == scheduling.Cancelled && d.To == scheduling.Booked) {
			t.Fatalf("a cancelled one needs its seat again: %+v", d)
		}
		if r := refundInstead(f); r.To != f.State || r.Settle != scheduling.Refund {
			t.Fatalf("refund instead: %+v", r)
		}
		f.State, f.Settlement = d.To, d.Settle
		if again := decidePaid(f); !again.Repeat || again.To != d.To || again.Settle != d.Settle {
			t.Fatalf("again: %+v after %+v", again, d)
		}
	})
}

func TestDecideCancel(t *testing.T) {
	cut := clock.NewDate(2026, 3, 4).At(0)
	before, at := cut.Add(-time.Microsecond), cut
	for name, x := range map[string]struct {
		f    cancelFacts
		why  scheduling.CancelReason
		now  time.Time
		back money.Fen
		err  error
	}{
		"hold":                   {cancelFacts{State: scheduling.Pending, Fee: 25}, scheduling.ByPatient, at, 0, nil},
		"booked in time":         {cancelFacts{State: scheduling.Booked, Settlement: scheduling.Applied, Fee: 25}, scheduling.ByPatient, before, 25, nil},
		"booked at the cut-off":  {cancelFacts{State: scheduling.Booked, Settlement: scheduling.Applied, Fee: 25}, scheduling.ByPatient, at, 0, scheduling.ErrCancelTooLate},
		"free number":            {cancelFacts{State: scheduling.Booked}, scheduling.ByPatient, before, 0, nil},
		"staff late":             {cancelFacts{State: scheduling.Booked, Settlement: scheduling.Applied, Fee: 25}, scheduling.ByStaff, at, 25, nil},
		"stopped late":           {cancelFacts{State: scheduling.Booked, Settlement: scheduling.Applied, Fee: 25}, scheduling.ByStop, at, 25, nil},
		"stopped while waiting":  {cancelFacts{State: scheduling.Arrived, Settlement: scheduling.Applied, Fee: 25}, scheduling.ByStop, at, 25, nil},
		"patient has arrived":    {cancelFacts{State: scheduling.Arrived, Fee: 25}, scheduling.ByPatient, before, 0, scheduling.ErrState},
		"twice":                  {cancelFacts{State: scheduling.Cancelled, Fee: 25}, scheduling.ByPatient, before, 0, scheduling.ErrState},
		"seen":                   {cancelFacts{State: scheduling.Fulfilled, Fee: 25}, scheduling.ByStop, before, 0, scheduling.ErrState},
		"a booking cannot lapse": {cancelFacts{State: scheduling.Booked, Fee: 25}, scheduling.ByExpiry, at, 0, scheduling.ErrState},
	} {
		x.f.Cutoff = cut
		back, err := decideCancel(x.f, x.why, x.now)
		if back != x.back || (x.err == nil) != (err == nil) || (x.err != nil && !errors.Is(err, x.err)) {
			t.Errorf("%s: %v %v", name, back, err)
		}
		if x.why == scheduling.ByPatient && cancellable(x.f, x.now) != (x.err == nil) {
			t.Errorf("%s: lists show otherwise", name)
		}
	}
}

func TestExpiry(t *testing.T) {
	r := defaultRules()
	now := clock.NewDate(2026, 3, 4).At(9 * 60)
	end := holdExpiry(r, now, now.Add(time.Hour))
	if end.Sub(now) != 15*time.Minute {
		t.Errorf("hold of %v", end.Sub(now))
	}
	if got := holdExpiry(r, now, now.Add(time.Minute)); got.Sub(now) != time.Minute {
		t.Errorf("a hold does not outlive its slot: %v", got.Sub(now))
	}
	for _, s := range allStates {
		if decideExpire(s, end, end.Add(-time.Microsecond)) {
			t.Errorf("%s expired early", s)
		}
		if decideExpire(s, end, end) != (s == scheduling.Pending) {
			t.Errorf("%s at the end", s)
		}
	}
}

func TestDerivedStates(t *testing.T) {
	day := clock.NewDate(2026, 3, 4)
	rel, start, end := day.Add(-7).At(420), day.At(480), day.At(720)
	for _, x := range []struct {
		stopped   bool
		remaining int
		now       time.Time
		want      scheduling.ScheduleState
		slot      scheduling.SlotState
	}{
		{false, 5, rel.Add(-1), scheduling.SchedulePlanned, scheduling.SlotClosed},
		{false, 5, rel, scheduling.ScheduleOpen, scheduling.SlotFree},
		{false, 4, rel, scheduling.ScheduleOpen, scheduling.SlotFree},
		{false, 1, rel, scheduling.ScheduleOpen, scheduling.SlotFew},
		{false, 0, rel, scheduling.ScheduleFull, scheduling.SlotFull},
		{false, 5, start, scheduling.ScheduleOpen, scheduling.SlotPast},
		{false, 5, end, scheduling.ScheduleEnded, scheduling.SlotPast},
		{true, 5, rel, scheduling.ScheduleHalted, scheduling.SlotClosed},
		{true, 5, end, scheduling.ScheduleHalted, scheduling.SlotClosed},
	} {
		s := seatview.State(x.stopped, rel, end, x.remaining, x.now)
		if slot := slotState(s, start, x.remaining, 5, x.now); s != x.want || slot != x.slot {
			t.Errorf("%+v: %s %s", x, s, slot)
		}
	}
	if got := slotState(scheduling.ScheduleOpen, start, 1, 1, rel); got != scheduling.SlotFree {
		t.Errorf("a slot of one seat is free, not few: %s", got)
	}
}

// TestSeats plays random takes and returns on a slot against a set.
func TestSeats(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		capacity := rapid.IntRange(1, scheduling.MaxSlotSeats).Draw(t, "capacity")
		full, taken := fullMask(capacity), int64(0)
		held := map[int]bool{}
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			if rapid.Bool().Draw(t, "take") {
				after, bit, ok := takeSeat(taken, full)
				if ok != (len(held) < capacity) {
					t.Fatalf("take with %d of %d: %v", len(held), capacity, ok)
				}
				if !ok {
					continue
				}
				seat := seatOf(bit)
				if held[seat] || seat >= capacity || bitOf(seat) != bit {
					t.Fatalf("seat %d given twice or outside", seat)
				}
				for i := range seat {
					if !held[i] {
						t.Fatalf("seat %d given while %d was free", seat, i)
					}
				}
				held[seat], taken = true, after
				continue
			}
			seat := rapid.IntRange(0, capacity-1).Draw(t, "seat")
			after, ok := returnSeat(taken, bitOf(seat))
			if ok != held[seat] {
				t.Fatalf("return of %d: %v", seat, ok)
			}
			delete(held, seat)
			taken = after
		}
		if taken < 0 || taken&^full != 0 {
			t.Fatalf("bits outside: %x", taken)
		}
	})
}

func TestNumbers(t *testing.T) {
	if numberOf(1, 0) != 1 || numberOf(6, 2) != 8 {
		t.Error("numbers follow the seats")
	}
	var a [16]byte
	for i := range a {
		a[i] = byte(i * 17)
	}
	if got := regNo(a, clock.NewDate(2026, 3, 4)); got != "REG-260304-QF6DVVQZ" {
		t.Errorf("registration number %q", got)
	}
	b := a
	b[15]++
	if regNo(a, 20000) == regNo(b, 20000) || regNo(a, 20000) == regNo(a, 20001) {
		t.Error("numbers must differ")
	}
	if got := (scheduling.Ticket{Session: scheduling.Afternoon, Number: 18}).Text(); got != "B018" {
		t.Errorf("ticket %q", got)
	}
	if got := (scheduling.Ticket{Session: scheduling.Morning}).Text(); got != "" {
		t.Errorf("ticket without a number %q", got)
	}
}
