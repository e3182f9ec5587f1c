package proof

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"xinglin/internal/demo/client"
	"xinglin/internal/kernel/clock"
	"xinglin/internal/testkit/brake"
	"xinglin/test/rig"
)

const (
	stoppedVisits = 60
	stoppedFee    = 2500 // fen
	killedAt      = 45   // the cancellation at which the process dies, with all that it did in the transaction
	killedRefund  = 20   // the refund at which, on SQLite, the next process dies
	firstRefunds  = 8    // that are on their way by then
)

// TestStopKilled: a session with 60 paid visits is stopped, and the process that cancels them gets kill -9 in the middle: some
// visits are cancelled, some of those have their money, somebody is told. Another process goes on (on SQLite the next, which is
// killed in the middle of the refunds); in the end each visit is cancelled once, each payment given back once, and each person told once on each channel.
func TestStopKilled(t *testing.T) {
	for _, e := range rig.Engines {
		t.Run(string(e), func(t *testing.T) {
			ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
			defer cancel()
			s := newStopped(ctx, t, e)
			held := s.w.Brake(t, brake.At{Context: "scheduling", Table: "appointment", Where: "state = 'cancelled'", Rows: killedAt})
			s.stop(ctx, t)
			name := held.Reached(t)
			if e == rig.Postgres { // on SQLite the file's only writer is held, and no refund begins
				s.refunds(ctx, t)
			}
			begin := clock.Mono()
			rest := s.kill(t, name)
			n := s.cancelled(t)
			held.Release(t)
			if n == 0 || n >= stoppedVisits {
				t.Fatalf("%d visits were cancelled when the process was killed: not in the middle", n)
			}
			t.Logf("killed after %d cancellations and %d refunds", n, len(s.w.Refunds(t)))
			if e == rig.SQLite {
				rest = s.again(ctx, t)
			}
			s.ended(ctx, t, rest)
			t.Logf("all was done %s after the kill", clock.Mono().Sub(begin).Round(time.Millisecond))
			s.once(ctx, t)
			s.w.Verify(t)
		})
	}
}

// stopped is an installation with one full session.
type stopped struct {
	w        *rig.World
	tenant   rig.Tenant
	procs    []*rig.Process
	op       *client.Client
	schedule string
	people   []rig.Booker
	visits   []client.Appointment // of people, in their order
}

func newStopped(ctx context.Context, t *testing.T, e rig.Engine) *stopped {
	t.Helper()
	s := &stopped{w: rig.NewWorld(t, e)}
	totp := s.w.AddStaff(t, "main", operator, operator)
	s.w.Import(t, rig.Rota(rig.Clinic{Doctor: 1, Day: rig.InDays(3), Seats: stoppedVisits, Minutes: 3, Fee: "25"}))
	s.procs = append(s.procs, s.w.ServeAs(t, "process_0"))
	if e == rig.Postgres {
		s.procs = append(s.procs, s.w.ServeAs(t, "process_1"))
	}
	p := s.procs[0]
	s.tenant = s.w.TenantID(t, "main")
	s.op = rig.LoginStaff(t, p, "", operator, totp)
	s.people = s.w.People(t, p, "", 0, stoppedVisits, 1)
	s.schedule = rig.FindSchedules(t, s.op, "测试科", rig.InDays(3))[0].ID
	s.visits = make([]client.Appointment, stoppedVisits)
	rig.Each(t, workers, stoppedVisits, func(i int) error { return s.book(ctx, i) })
	return s
}

// book is one person's visit, paid. Nobody has quiet hours: the test runs at any hour.
func (s *stopped) book(ctx context.Context, i int) error {
	who := s.people[i]
	if _, err := who.Do(ctx, "PUT", "/notice-preferences", always, nil, client.IfMatch(0)); err != nil {
		return err
	}
	a, _, err := who.Hold(ctx, client.NewKey(), client.Wish{PatientID: who.Patients[0].ID, ScheduleID: s.schedule, Any: true})
	if err != nil {
		return err
	}
	err = client.Until(ctx, "prepay", func(ctx context.Context) (bool, error) {
		_, err := who.Prepay(ctx, a.PaymentID)
		if client.CodeOf(err) == "payment.not_found" { // it is opened by hearing of the hold
			return false, nil
		}
		return err == nil, err
	})
	if err != nil {
		return err
	}
	if err := s.w.Pay.Pay(ctx, a.PaymentID); err != nil {
		return err
	}
	s.visits[i], err = who.Wait(ctx, a.ID, client.InState("booked"))
	return err
}

// stop is the operator's command.
func (s *stopped) stop(ctx context.Context, t *testing.T) {
	t.Helper()
	var now struct{ Version int64 }
	for _, v := range rig.FindSchedules(t, s.op, "测试科", rig.InDays(3)) {
		now.Version = v.Version
	}
	var out struct {
		Affected  int   `json:"affected"`
		RefundFen int64 `json:"refund_fen"`
	}
	_, err := s.op.Do(ctx, "POST", "/schedules/"+s.schedule+"/stop", map[string]any{"reason": "医师临时外出会诊"}, &out, client.Key(client.NewKey()), client.IfMatch(now.Version))
	must(t, err)
	if out.Affected != stoppedVisits || out.RefundFen != stoppedVisits*stoppedFee {
		t.Fatalf("the stop affects %+v", out)
	}
}

// refunds waits for some at the channel; not for all, since not all visits are cancelled.
func (s *stopped) refunds(ctx context.Context, t *testing.T) {
	t.Helper()
	must(t, client.Until(ctx, "the first refunds", func(context.Context) (bool, error) { return len(s.w.Refunds(t)) >= firstRefunds, nil }))
}

// again starts the only process anew, kills it in the middle of the refunds, and starts it once more.
func (s *stopped) again(ctx context.Context, t *testing.T) *rig.Process {
	t.Helper()
	held := s.w.Brake(t, brake.At{Context: "payment", Table: "refund", Where: "state = 'done'", Rows: killedRefund})
	p := rig.Again(t, s.procs[0])
	s.refunds(ctx, t)
	held.Reached(t)
	p.Kill()
	held.Release(t)
	n := s.w.Count(t, "payment", s.tenant, `SELECT COUNT(*) FROM refund WHERE tenant_id = $1 AND state = 'done'`, s.tenant)
	if n >= killedRefund {
		t.Fatalf("%d refunds were done when the process was killed: not in the middle", n)
	}
	t.Logf("killed again after %d refunds, of which we knew %d", len(s.w.Refunds(t)), n)
	return rig.Again(t, p)
}

// kill ends the process of this name, and gives another one.
func (s *stopped) kill(t *testing.T, name string) (rest *rig.Process) {
	t.Helper()
	if s.w.Engine == rig.SQLite {
		s.procs[0].Kill()
		return nil
	}
	for i, p := range s.procs {
		if name == fmt.Sprintf("process_%d", i) {
			p.Kill()
			return s.procs[1-i]
		}
	}
	t.Fatalf("%q cancels the visits, which is none of the processes", name)
	return nil
}

func (s *stopped) cancelled(t *testing.T) int {
	t.Helper()
	return int(s.w.Count(t, "scheduling", s.tenant, `SELECT COUNT(*) FROM appointment WHERE tenant_id = $1 AND state = 'cancelled'`, s.tenant))
}

// ended waits until the operator sees the stop complete, all money is back and everybody was told.
func (s *stopped) ended(ctx context.Context, t *testing.T, p *rig.Process) {
	t.Helper()
	var at struct{ Affected, Cancelled, Pending int }
	err := client.Until(ctx, "the end of the stop", func(ctx context.Context) (bool, error) {
		_, err := s.op.At(p.URL).Do(ctx, "GET", "/schedules/"+s.schedule+"/stop", nil, &at)
		return at.Pending == 0, err
	})
	if err != nil || at.Cancelled != stoppedVisits || at.Affected != stoppedVisits {
		t.Fatalf("the stop is at %+v: %v", at, err)
	}
	var refunded, told int64
	err = client.Until(ctx, "the refunds and messages", func(context.Context) (bool, error) {
		refunded = s.w.Count(t, "payment", s.tenant, `SELECT COUNT(*) FROM refund WHERE tenant_id = $1 AND state = 'done'`, s.tenant)
		told = s.w.Count(t, "notify", s.tenant, `SELECT COUNT(*) FROM delivery WHERE tenant_id = $1 AND template IN ('scheduling.stopped', 'payment.refunded')
			AND (channel = 'in_app' OR channel = 'sms' AND state = 'sent')`, s.tenant)
		return refunded >= stoppedVisits && told >= 4*stoppedVisits, nil
	})
	if err != nil {
		t.Fatalf("%v: %d refunds, %d messages", err, refunded, told)
	}
}

// once counts what must have happened once, here and on the other side.
func (s *stopped) once(ctx context.Context, t *testing.T) {
	t.Helper()
	for what, x := range map[string][2]string{
		"cancellations of one visit": {"scheduling", `SELECT CAST(COUNT(*) AS TEXT) FROM appointment_history WHERE tenant_id = $1 AND to_state = 'cancelled'
			GROUP BY appointment_id HAVING COUNT(*) <> 1`},
		"refunds of one payment": {"payment", `SELECT CAST(COUNT(*) AS TEXT) FROM refund WHERE tenant_id = $1 GROUP BY payment_id HAVING COUNT(*) <> 1`},
		"messages on one channel": {"notify", `SELECT template || ' ' || channel || ' ' || CAST(COUNT(*) AS TEXT) FROM delivery WHERE tenant_id = $1
			AND template IN ('scheduling.stopped', 'payment.refunded', 'scheduling.cancelled') GROUP BY account_id, template, channel HAVING COUNT(*) <> 1`},
	} {
		if got := s.w.Column(t, x[0], s.tenant, x[1], s.tenant); len(got) > 0 {
			t.Errorf("%s: %v", what, got)
		}
	}
	if n := s.w.Count(t, "scheduling", s.tenant, `SELECT COUNT(*) FROM appointment_history WHERE tenant_id = $1 AND to_state = 'cancelled'`, s.tenant); n != stoppedVisits {
		t.Errorf("%d cancellations", n)
	}
	book := s.w.Refunds(t)
	if len(book) != stoppedVisits {
		t.Errorf("the channel's book has refunds of %d payments", len(book))
	}
	for i, a := range s.visits {
		if got := book[client.Number(a.PaymentID)]; !slices.Equal(got, []int64{stoppedFee}) {
			t.Errorf("person %d: the channel's book has the refunds %v", i, got)
		}
		texts, err := s.w.Texts(ctx, s.people[i].Phone)
		must(t, err)
		for _, word := range []string{"停诊", "退给您"} {
			said := slices.DeleteFunc(slices.Clone(texts), func(text string) bool { return !strings.Contains(text, word) })
			if len(said) != 1 {
				t.Errorf("person %d: %d text messages say %s", i, len(said), word)
			}
		}
	}
}
