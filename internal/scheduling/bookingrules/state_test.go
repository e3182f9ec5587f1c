package bookingrules

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

func TestFirstState(t *testing.T) {
	if FirstState(0) != scheduling.Booked || FirstState(1) != scheduling.Pending {
		t.Error("free numbers book at once, others wait for payment")
	}
}

func TestDecidePaid(t *testing.T) {
	for name, x := range map[string]struct {
		f    PaidFacts
		want PaidDecision
	}{
		"in time":               {PaidFacts{State: scheduling.Pending, Fee: 25, Paid: 25}, PaidDecision{To: scheduling.Booked, Settle: scheduling.Applied}},
		"in time, slot begun":   {PaidFacts{State: scheduling.Pending, Fee: 25, Paid: 25, Past: true}, PaidDecision{To: scheduling.Booked, Settle: scheduling.Applied}},
		"in time, stopped":      {PaidFacts{State: scheduling.Pending, Fee: 25, Paid: 25, Stopped: true}, PaidDecision{To: scheduling.Cancelled, Settle: scheduling.Refund}},
		"wrong amount":          {PaidFacts{State: scheduling.Pending, Fee: 25, Paid: 24}, PaidDecision{To: scheduling.Cancelled, Settle: scheduling.Refund}},
		"after expiry":          {PaidFacts{State: scheduling.Cancelled, Reason: scheduling.ByExpiry, Fee: 25, Paid: 25}, PaidDecision{To: scheduling.Booked, Settle: scheduling.Applied, Retake: true}},
		"after expiry, past":    {PaidFacts{State: scheduling.Cancelled, Reason: scheduling.ByExpiry, Fee: 25, Paid: 25, Past: true}, PaidDecision{To: scheduling.Cancelled, Settle: scheduling.Refund}},
		"after expiry, stopped": {PaidFacts{State: scheduling.Cancelled, Reason: scheduling.ByExpiry, Fee: 25, Paid: 25, Stopped: true}, PaidDecision{To: scheduling.Cancelled, Settle: scheduling.Refund}},
		"after expiry, amount":  {PaidFacts{State: scheduling.Cancelled, Reason: scheduling.ByExpiry, Fee: 25, Paid: 26}, PaidDecision{To: scheduling.Cancelled, Settle: scheduling.Refund}},
		"after own cancel":      {PaidFacts{State: scheduling.Cancelled, Reason: scheduling.ByPatient, Fee: 25, Paid: 25}, PaidDecision{To: scheduling.Cancelled, Settle: scheduling.Refund}},
		"twice, applied":        {PaidFacts{State: scheduling.Booked, Settlement: scheduling.Applied, Fee: 25, Paid: 25}, PaidDecision{To: scheduling.Booked, Settle: scheduling.Applied, Repeat: true}},
		"twice, refunded":       {PaidFacts{State: scheduling.Cancelled, Reason: scheduling.ByExpiry, Settlement: scheduling.Refund, Fee: 25, Paid: 25}, PaidDecision{To: scheduling.Cancelled, Settle: scheduling.Refund, Repeat: true}},
		"cancelled after paid":  {PaidFacts{State: scheduling.Cancelled, Reason: scheduling.ByPatient, Settlement: scheduling.Applied, Fee: 25, Paid: 25}, PaidDecision{To: scheduling.Cancelled, Settle: scheduling.Applied, Repeat: true}},
	} {
		if got := DecidePaid(x.f); got != x.want {
			t.Errorf("%s: %+v, want %+v", name, got, x.want)
		}
	}
}

// TestPaidSettlesOnce: any facts settle, and applying the decision and asking again
// repeats it.
func TestPaidSettlesOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := PaidFacts{
			State:   rapid.SampledFrom(allStates[1:]).Draw(t, "state"),
			Reason:  rapid.SampledFrom([]scheduling.CancelReason{"", scheduling.ByPatient, scheduling.ByExpiry, scheduling.ByStop}).Draw(t, "reason"),
			Fee:     money.Fen(rapid.IntRange(1, 3).Draw(t, "fee")),
			Paid:    money.Fen(rapid.IntRange(1, 3).Draw(t, "paid")),
			Stopped: rapid.Bool().Draw(t, "stopped"), Past: rapid.Bool().Draw(t, "past"),
		}
		d := DecidePaid(f)
		if d.Settle == scheduling.Unsettled || d.Repeat {
			t.Fatalf("%+v is not settled: %+v", f, d)
		}
		if (d.Settle == scheduling.Applied) != (d.To == scheduling.Booked && f.State != scheduling.Booked) {
			t.Fatalf("applied means booked by it: %+v from %+v", d, f)
		}
		if d.Retake != (f.State == scheduling.Cancelled && d.To == scheduling.Booked) {
			t.Fatalf("a cancelled one needs its seat again: %+v", d)
		}
		if r := RefundInstead(f); r.To != f.State || r.Settle != scheduling.Refund {
			t.Fatalf("refund instead: %+v", r)
		}
		f.State, f.Settlement = d.To, d.Settle
		if again := DecidePaid(f); !again.Repeat || again.To != d.To || again.Settle != d.Settle {
			t.Fatalf("again: %+v after %+v", again, d)
		}
	})
}

func TestDecideCancel(t *testing.T) {
	cut := clock.NewDate(2026, 3, 4).At(0)
	before, at := cut.Add(-time.Microsecond), cut
	for name, x := range map[string]struct {
		f    CancelFacts
		why  scheduling.CancelReason
		now  time.Time
		back money.Fen
		err  error
	}{
		"hold":                   {CancelFacts{State: scheduling.Pending, Fee: 25}, scheduling.ByPatient, at, 0, nil},
		"booked in time":         {CancelFacts{State: scheduling.Booked, Settlement: scheduling.Applied, Fee: 25}, scheduling.ByPatient, before, 25, nil},
		"booked at the cut-off":  {CancelFacts{State: scheduling.Booked, Settlement: scheduling.Applied, Fee: 25}, scheduling.ByPatient, at, 0, scheduling.ErrCancelTooLate},
		"free number":            {CancelFacts{State: scheduling.Booked}, scheduling.ByPatient, before, 0, nil},
		"staff late":             {CancelFacts{State: scheduling.Booked, Settlement: scheduling.Applied, Fee: 25}, scheduling.ByStaff, at, 25, nil},
		"stopped late":           {CancelFacts{State: scheduling.Booked, Settlement: scheduling.Applied, Fee: 25}, scheduling.ByStop, at, 25, nil},
		"stopped while waiting":  {CancelFacts{State: scheduling.Arrived, Settlement: scheduling.Applied, Fee: 25}, scheduling.ByStop, at, 25, nil},
		"patient has arrived":    {CancelFacts{State: scheduling.Arrived, Fee: 25}, scheduling.ByPatient, before, 0, scheduling.ErrState},
		"twice":                  {CancelFacts{State: scheduling.Cancelled, Fee: 25}, scheduling.ByPatient, before, 0, scheduling.ErrState},
		"seen":                   {CancelFacts{State: scheduling.Fulfilled, Fee: 25}, scheduling.ByStop, before, 0, scheduling.ErrState},
		"a booking cannot lapse": {CancelFacts{State: scheduling.Booked, Fee: 25}, scheduling.ByExpiry, at, 0, scheduling.ErrState},
	} {
		x.f.Cutoff = cut
		back, err := DecideCancel(x.f, x.why, x.now)
		if back != x.back || (x.err == nil) != (err == nil) || (x.err != nil && !errors.Is(err, x.err)) {
			t.Errorf("%s: %v %v", name, back, err)
		}
		if x.why == scheduling.ByPatient && Cancellable(x.f, x.now) != (x.err == nil) {
			t.Errorf("%s: lists show otherwise", name)
		}
	}
}

func TestExpiry(t *testing.T) {
	r := Default()
	now := clock.NewDate(2026, 3, 4).At(9 * 60)
	end := HoldExpiry(r, now, now.Add(time.Hour))
	if end.Sub(now) != 15*time.Minute {
		t.Errorf("hold of %v", end.Sub(now))
	}
	if got := HoldExpiry(r, now, now.Add(time.Minute)); got.Sub(now) != time.Minute {
		t.Errorf("a hold does not outlive its slot: %v", got.Sub(now))
	}
	for _, s := range allStates {
		if DecideExpire(s, end, end.Add(-time.Microsecond)) {
			t.Errorf("%s expired early", s)
		}
		if DecideExpire(s, end, end) != (s == scheduling.Pending) {
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
		if slot := SlotState(s, start, x.remaining, 5, x.now); s != x.want || slot != x.slot {
			t.Errorf("%+v: %s %s", x, s, slot)
		}
	}
	if got := SlotState(scheduling.ScheduleOpen, start, 1, 1, rel); got != scheduling.SlotFree {
		t.Errorf("a slot of one seat is free, not few: %s", got)
	}
}

// TestSeats plays random takes and returns on a slot against a set.
func TestSeats(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		capacity := rapid.IntRange(1, scheduling.MaxSlotSeats).Draw(t, "capacity")
		full, taken := FullMask(capacity), int64(0)
		held := map[int]bool{}
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			if rapid.Bool().Draw(t, "take") {
				after, bit, ok := TakeSeat(taken, full)
				if ok != (len(held) < capacity) {
					t.Fatalf("take with %d of %d: %v", len(held), capacity, ok)
				}
				if !ok {
					continue
				}
				seat := SeatOf(bit)
				if held[seat] || seat >= capacity || BitOf(seat) != bit {
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
			after, ok := ReturnSeat(taken, BitOf(seat))
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
	if NumberOf(1, 0) != 1 || NumberOf(6, 2) != 8 {
		t.Error("numbers follow the seats")
	}
	var a [16]byte
	for i := range a {
		a[i] = byte(i * 17)
	}
	if got := RegNo(a, clock.NewDate(2026, 3, 4)); got != "REG-260304-QF6DVVQZ" {
		t.Errorf("registration number %q", got)
	}
	b := a
	b[15]++
	if RegNo(a, 20000) == RegNo(b, 20000) || RegNo(a, 20000) == RegNo(a, 20001) {
		t.Error("numbers must differ")
	}
	if got := (scheduling.Ticket{Session: scheduling.Afternoon, Number: 18}).Text(); got != "B018" {
		t.Errorf("ticket %q", got)
	}
	if got := (scheduling.Ticket{Session: scheduling.Morning}).Text(); got != "" {
		t.Errorf("ticket without a number %q", got)
	}
}
