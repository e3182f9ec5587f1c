package paymentsvc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"xinglin/internal/kernel/event"
	"xinglin/internal/kernel/id"
	"xinglin/internal/payment"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/obs"
	"xinglin/internal/platform/trail"
	"xinglin/internal/scheduling"
	"xinglin/internal/testkit"
	"xinglin/internal/testkit/apitest"
)

// hear is what scheduling's message of holds does.
func (w *world) hear(events ...scheduling.AppointmentHeld) error {
	ctx := obs.WithOrigin(obs.WithTrace(testkit.AsSystem(w.t.Context(), apitest.Main, "consumer:payment"), "trace-1"), "bus")
	return w.base.DB.Write(ctx, apitest.Main, func(ctx context.Context, tx db.Tx) error {
		return w.svc.held(ctx, tx, event.Meta{Tenant: apitest.Main}, events)
	})
}

func paymentOf(e scheduling.AppointmentHeld) payment.ID { return id.As[payment.Payment](e.Appointment) }

// TestHeld: each hold that is still on has one payment with its history, timer and audit
// row, however often and in whichever company it is heard.
func TestHeld(t *testing.T) {
	type holds = []scheduling.AppointmentHeld
	many := func() holds {
		out := make(holds, 120)
		for i := range out {
			out[len(out)-1-i] = heldEvent(i) // against the order of the ids
		}
		return out
	}
	tests := []struct {
		name string
		plan func(w *world) (holds, int)
		err  error
	}{
		{"none", func(*world) (holds, int) { return nil, 0 }, nil},
		{"one", func(*world) (holds, int) { return holds{heldEvent(1)}, 1 }, nil},
		{"one of two too late", func(*world) (holds, int) {
			late := heldEvent(2)
			late.ExpiresAt = testkit.Start
			return holds{late, heldEvent(1)}, 1
		}, nil},
		{"twice in a message", func(*world) (holds, int) {
			e := heldEvent(1)
			dearer := e
			dearer.Fee++
			return holds{e, dearer, e}, 1
		}, nil},
		{"many", func(*world) (holds, int) { return many(), 120 }, nil},
		{"some are there", func(w *world) (holds, int) {
			all := many()
			w.must(w.hear(all[10:20]...))
			return all, 110
		}, nil},
		{"all are there", func(w *world) (holds, int) {
			all := many()
			w.must(w.hear(all...))
			return all, 0
		}, nil},
		{"a reader opened one and wins", func(w *world) (holds, int) {
			e := heldEvent(1)
			r := w.request(100)
			r.ID, r.Account = paymentOf(e), e.Account
			_, err := w.svc.Open(w.ctx(), r)
			w.must(err)
			return holds{e, heldEvent(2)}, 1
		}, nil},
		{"one cannot be paid", func(*world) (holds, int) {
			free := heldEvent(1)
			free.Fee = 0
			return holds{heldEvent(2), free}, 0
		}, payment.ErrInvalid},
	}
	each(t, none, func(t *testing.T, w *world) {
		w.clock.Set(testkit.Start)
		for _, tt := range tests {
			events, opened := tt.plan(w)
			before := w.opened()
			for range 2 {
				if err := w.hear(events...); !errors.Is(err, tt.err) {
					t.Errorf("%s: %v, want %v", tt.name, err, tt.err)
				}
				if n := w.opened() - before; n != opened {
					t.Errorf("%s: %d payments opened, want %d", tt.name, n, opened)
				}
			}
		}
		w.clean()
	})
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// opened counts the payments, and looks that whatever follows from one is there once.
func (w *world) opened() int {
	w.t.Helper()
	n := w.count("payment WHERE tenant_id = $1 AND state = 'open' AND version = 1")
	for what, from := range map[string]string{
		"steps":  "payment_history h JOIN payment p ON p.tenant_id = h.tenant_id AND p.id = h.payment_id WHERE h.tenant_id = $1 AND h.from_state = '' AND h.to_state = 'open'",
		"timers": "job WHERE tenant_id = $1 AND kind = 'payment.close' AND state = 'ready'",
	} {
		if m := w.count(from); m != n {
			w.t.Errorf("%d payments, %d %s", n, m, what)
		}
	}
	if m := len(w.acts()); m != n {
		w.t.Errorf("%d payments, %d acts", n, m)
	}
	return n
}

// acts are the acts of opening as the audit would keep them, by their object.
func (w *world) acts() map[string]trail.Row {
	w.t.Helper()
	out := kept{}
	err := (&trail.Collector{DBs: []*db.DB{w.base.DB}, Sink: out}).Collect(w.t.Context())
	if !errors.Is(err, errKept) && (err != nil || len(out) > 0) {
		w.t.Fatal(err)
	}
	return out
}

// kept is a sink that fails in the end, so that the rows stay.
type kept map[string]trail.Row

var errKept = errors.New("kept")

func (k kept) Collect(_ context.Context, _ string, rows []trail.Row) error {
	for _, r := range rows {
		if r.Action == "payment.open" {
			k[r.Object] = r
		}
	}
	return errKept
}

// TestHeldActs: alone or among others, a payment has the same row, timer and act.
func TestHeldActs(t *testing.T) {
	each(t, none, func(t *testing.T, w *world) {
		events := []scheduling.AppointmentHeld{heldEvent(1), heldEvent(2), heldEvent(3)}
		w.must(w.hear(events[0]))
		w.must(w.hear(events[1:]...))
		acts := w.acts()
		for _, e := range events {
			pid := paymentOf(e)
			p := w.get(pid)
			if p.Account != e.Account || p.Purpose != payment.ForAppointment || p.Reference != id.As[id.Any](e.Appointment) || p.Number != e.RegNo ||
				p.Description != payment.RegistrationFee || p.Amount != e.Fee || !p.Deadline.Equal(e.ExpiresAt) || p.Effect != effectNone {
				t.Errorf("payment %+v", p)
			}
			a := acts[pid.String()]
			var changed map[string]trail.Change
			if err := json.Unmarshal(a.Changed, &changed); err != nil || changed["state"] != (trail.Change{To: "open"}) || len(changed) != 1 {
				t.Errorf("changed %s: %v", a.Changed, err)
			}
			got := fmt.Sprint(a.Actor, a.Noun, a.Policy, a.Why, a.Origin, a.Trace, a.Number)
			if want := fmt.Sprint("system:consumer:payment", "Payment", "payment.system", "", "bus", "trace-1", e.RegNo); got != want {
				t.Errorf("act %q, want %q", got, want)
			}
			if n := w.count("payment_history WHERE tenant_id = $1 AND payment_id = $2 AND act_id = $3 AND at = $4", pid, a.ID, w.clock.Now().UnixMicro()); n != 1 {
				t.Errorf("%d steps of the act", n)
			}
			if n := w.count("job WHERE tenant_id = $1 AND key = $2 AND number = $3 AND trace = 'trace-1' AND run_at = $4",
				pid.String(), e.RegNo, e.ExpiresAt.Add(closeGrace).UnixMicro()); n != 1 {
				t.Errorf("%d timers", n)
			}
		}
	})
}

// TestHeldRace: messages with the same holds in different orders, and people who ask at
// the same time, open each payment once.
func TestHeldRace(t *testing.T) {
	each(t, none, func(t *testing.T, w *world) {
		events := make([]scheduling.AppointmentHeld, 40)
		for i := range events {
			events[i] = heldEvent(i)
			events[i].ExpiresAt = w.clock.Now().Add(15 * time.Minute)
		}
		var wg sync.WaitGroup
		for turn := range 8 {
			wg.Go(func() {
				if err := w.hear(append(append([]scheduling.AppointmentHeld{}, events[5*turn:]...), events[:5*turn]...)...); err != nil {
					t.Error(err)
				}
			})
			wg.Go(func() {
				e := events[5*turn]
				_, err := w.svc.Open(w.ctx(), payment.Request{
					ID: paymentOf(e), Tenant: apitest.Main, Account: e.Account, Purpose: payment.ForAppointment, Reference: id.As[id.Any](e.Appointment),
					Number: e.RegNo, Description: payment.RegistrationFee, Amount: e.Fee, Deadline: e.ExpiresAt,
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if n := w.opened(); n != len(events) {
			t.Errorf("%d payments", n)
		}
		w.clean()
	})
}
