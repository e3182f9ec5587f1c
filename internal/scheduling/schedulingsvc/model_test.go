package schedulingsvc

import (
	"errors"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/scheduling"
	"xinglin/internal/testkit"
	"xinglin/internal/testkit/dbtest"
)

// known is an appointment as the model has it.
type known struct {
	a     scheduling.Appointment
	who   auth.Principal
	state scheduling.State
	seat  int // number, held or booked; 0 when it has none
	until time.Time
	back  time.Time // when a cancelled seat returns
	paid  bool
	why   scheduling.CancelReason
	money scheduling.Settlement
}

// model is one session of n seats in memory. Every seat is in one slot.
type model struct {
	seats int
	all   []*known
}

// taken are the numbers that somebody has at the moment.
func (m *model) taken() (out []int) {
	for _, k := range m.all {
		if k.seat > 0 {
			out = append(out, k.seat)
		}
	}
	return out
}

// lowest is the number that the next one gets; 0 when it is full.
func (m *model) lowest() int {
	taken := m.taken()
	for n := 1; n <= m.seats; n++ {
		if !slices.Contains(taken, n) {
			return n
		}
	}
	return 0
}

// pass lets the time go: holds expire, seats return.
func (m *model) pass(now time.Time) {
	for _, k := range m.all {
		if k.state == scheduling.Pending && !now.Before(k.until) {
			k.state, k.why, k.seat = scheduling.Cancelled, scheduling.ByExpiry, 0
		}
		if !k.back.IsZero() && !now.Before(k.back) {
			k.seat, k.back = 0, time.Time{}
		}
	}
}

// pay is what a payment does.
func (m *model) pay(k *known) {
	switch {
	case k.money != scheduling.Unsettled:
	case k.state == scheduling.Pending:
		k.state, k.money = scheduling.Booked, scheduling.Applied
	case k.state == scheduling.Cancelled && k.why == scheduling.ByExpiry && m.lowest() > 0:
		k.state, k.money, k.why, k.seat = scheduling.Booked, scheduling.Applied, "", m.lowest()
	default:
		k.money = scheduling.Refund
	}
	k.paid = true
}

// TestModel: random holds, payments, cancellations and times against the model, on both
// engines; after each the remaining seats agree, at the end everything.
func TestModel(t *testing.T) {
	for _, e := range dbtest.Engines {
		t.Run(string(e), func(t *testing.T) {
			clk := testkit.Clock()
			srv := dbtest.Make(t, e, testkit.Sets(Describe())).Open(t, dbtest.WithClock(clk))
			w := worldOn(t, srv, clk)
			w.rules(func(r *scheduling.BookingRules) {
				r.SeatReturn, r.NoShow, r.LastDay = scheduling.SeatReturn{Kind: scheduling.ReturnRandom, Min: 7, Max: 7}, scheduling.AbuseRule{}, 60
			})
			w.rota(2500, 4, 240)
			next := day("2026-03-04")
			rounds := 0
			rapid.Check(t, func(rt *rapid.T) {
				if rounds++; rounds > 20 {
					return // each round has a day of its own
				}
				w.round(rt, w.on(next.String()))
				next = next.Add(1)
			})
			w.due()
			w.sound()
		})
	}
}

func (w *world) round(rt *rapid.T, sch scheduling.Schedule) {
	m := &model{seats: 4}
	check := func() {
		w.due()
		m.pass(w.clock.Now())
		if got := w.on(sch.Date.String()); got.Remaining != m.seats-len(m.taken()) {
			rt.Fatalf("%d remain, the model has %v", got.Remaining, m.taken())
		}
	}
	pickOne := func() *known {
		return m.all[rapid.IntRange(0, len(m.all)-1).Draw(rt, "which")]
	}
	for range rapid.IntRange(1, 25).Draw(rt, "steps") {
		switch op := rapid.IntRange(0, 4).Draw(rt, "op"); {
		case op <= 1 || len(m.all) == 0:
			w.modelHold(rt, m, sch)
		case op == 2:
			k := pickOne()
			if err := w.paid(k.a); err != nil {
				rt.Fatal(err)
			}
			m.pay(k)
		case op == 3:
			w.modelCancel(rt, pickOne())
		default:
			w.clock.Add(time.Duration(rapid.IntRange(1, 16).Draw(rt, "minutes")) * minute)
		}
		check()
	}
	w.clock.Add(20 * minute)
	check()
	for _, k := range m.all {
		a := w.get(k.who, k.a.ID)
		if a.State != k.state || a.Settlement != k.money || a.State == scheduling.Booked && a.Number != k.seat {
			rt.Fatalf("%+v, the model has %+v", a, k)
		}
		refund := k.money == scheduling.Refund || k.money == scheduling.Applied && k.state == scheduling.Cancelled
		if p := w.payments.get(a.Payment); (p.Refunded == 2500) != refund {
			rt.Fatalf("refunded %d: %+v", p.Refunded, k)
		}
	}
}

func (w *world) modelHold(rt *rapid.T, m *model, sch scheduling.Schedule) {
	p, v := w.person()
	a, _, err := w.s.Hold(w.as(p), w.ask(v, sch.ID))
	n := m.lowest()
	switch {
	case n == 0 && errors.Is(err, scheduling.ErrFull):
	case n == 0 || err != nil:
		rt.Fatalf("hold with %d free: %v", m.seats-len(m.taken()), err)
	default:
		m.all = append(m.all, &known{a: a, who: p, state: scheduling.Pending, seat: n, until: a.HoldExpiresAt})
	}
}

func (w *world) modelCancel(rt *rapid.T, k *known) {
	now := w.get(k.who, k.a.ID)
	if _, err := w.s.Cancel(w.as(k.who), scheduling.CancelRequest{ID: k.a.ID, Version: now.Version}); err != nil {
		rt.Fatalf("cancel %+v: %v", k, err)
	}
	switch k.state {
	case scheduling.Pending:
		k.state, k.why, k.seat = scheduling.Cancelled, scheduling.ByPatient, 0
	case scheduling.Booked:
		k.state, k.why, k.back = scheduling.Cancelled, scheduling.ByPatient, w.clock.Now().Add(7*minute)
	}
}
