package proof

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"xinglin/internal/demo/client"
	"xinglin/internal/kernel/clock"
	"xinglin/test/rig"
)

// withoutNotify opens every door but that of the context that hears most.
const withoutNotify = "tenant,directory,audit,ledger,identity,patient,payment,scheduling,clinic"

const workers = 16

// told counts what scheduling told and notify hears: one row is one message, and these
// use cases write one event a row.
const told = `SELECT COUNT(*) FROM outbox WHERE tenant_id = $1
	AND name IN ('scheduling.appointment.booked.v1', 'scheduling.appointment.cancelled.v1')`

// facts is one installation whose people book and cancel free numbers all the time.
// happened counts the events themselves: a batch of bookings is one row and one message.
const happened = `SELECT COUNT(*) + COALESCE(SUM(CASE WHEN state = 'cancelled' THEN 1 ELSE 0 END), 0) FROM appointment WHERE tenant_id = $1`

type facts struct {
	w      *rig.World
	tenant rig.Tenant
	people []rig.Booker
	at     []client.Schedule

	made atomic.Int64 // events of answered requests
}

func newFacts(t *testing.T, e rig.Engine) (*facts, *rig.Process) {
	t.Helper()
	return factsIn(t, rig.NewWorld(t, e))
}

func factsIn(t *testing.T, w *rig.World) (*facts, *rig.Process) {
	t.Helper()
	f := &facts{w: w}
	var rota []rig.Clinic
	for d := range workers {
		rota = append(rota, rig.Clinic{Doctor: 1 + d, Day: rig.InDays(3), Seats: 20, Fee: "0"})
	}
	f.w.Import(t, rig.Rota(rota...))
	p := f.w.Serve(t)
	f.tenant = f.w.TenantID(t, "main")
	f.people = f.w.People(t, p, "", 0, workers, 1)
	f.at = rig.FindSchedules(t, f.people[0].Client, "测试科", rig.InDays(3))
	return f, p
}

// load books and cancels at a process until n more events were made, or ctx ends.
func (f *facts) load(ctx context.Context, t *testing.T, p *rig.Process, n int) {
	t.Helper()
	want := f.made.Load() + int64(n)
	var all sync.WaitGroup
	for i, who := range f.people {
		all.Go(func() {
			c := who.At(p.URL)
			for f.made.Load() < want && ctx.Err() == nil {
				a, _, err := c.Hold(ctx, client.NewKey(), client.Wish{PatientID: who.Patients[0].ID, ScheduleID: f.at[i].ID, Any: true})
				if err == nil {
					f.made.Add(1)
					if _, err = c.Cancel(ctx, a.ID, a.Version); err == nil {
						f.made.Add(1)
					}
				}
				switch status := client.StatusOf(err); {
				case err == nil:
				case client.CodeOf(err) == "scheduling.limit_reached": // the cancel before got no answer
					f.free(ctx, c)
				case status == 0 || status >= 500:
					pause(ctx, 50*time.Millisecond)
				default:
					t.Errorf("load: %v", err)
					return
				}
			}
		})
	}
	all.Wait()
}

// free cancels what an interrupted round left.
func (f *facts) free(ctx context.Context, c *client.Client) {
	as, err := c.Appointments(ctx)
	if err != nil {
		return
	}
	for _, a := range as {
		if a.State == "booked" {
			_, _ = c.Cancel(ctx, a.ID, a.Version)
		}
	}
}

// settled waits until every event has its message in the in-app box, and checks that
// none has two.
func (f *facts) settled(t *testing.T, limit time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	begin := clock.Mono()
	var want, got int64
	err := client.Until(ctx, "every event's effect", func(ctx context.Context) (bool, error) {
		want = f.w.Count(t, "scheduling", f.tenant, happened, f.tenant)
		got = f.effects(t, "in_app")
		if got < want {
			pause(ctx, 200*time.Millisecond)
		}
		return got >= want, nil
	})
	if err != nil {
		dead := f.w.Column(t, "notify", f.tenant, `SELECT kind || ': ' || error FROM dead_letter WHERE tenant_id = $1 LIMIT 3`, f.tenant)
		t.Fatalf("%v: %d of %d; dead letters: %v", err, got, want, dead)
	}
	if got != want {
		t.Errorf("%d effects of %d events", got, want)
	}
	for _, c := range []string{"in_app", "sms"} {
		if n := f.effects(t, c); n != want {
			t.Errorf("%d messages by %s, want %d", n, c, want)
		}
	}
	heard := f.w.Count(t, "notify", f.tenant, `SELECT COUNT(*) FROM inbox WHERE tenant_id = $1 AND name LIKE 'scheduling.%'`, f.tenant)
	if sent := f.w.Count(t, "scheduling", f.tenant, told, f.tenant); heard != sent {
		t.Errorf("the inbox knows %d messages, want %d", heard, sent)
	}
	t.Logf("%d events, each with its effect once, %s after the start", want, clock.Mono().Sub(begin).Round(time.Millisecond))
}

func (f *facts) effects(t *testing.T, channel string) int64 {
	t.Helper()
	return f.w.Count(t, "notify", f.tenant, `SELECT COUNT(*) FROM delivery WHERE tenant_id = $1 AND channel = $2
		AND template IN ('scheduling.booked', 'scheduling.cancelled')`, f.tenant, channel)
}

// TestBrokerLost: events are published and nobody hears them yet; the broker dies with
// its folder, under load. Each event has its effect once all the same.
func TestBrokerLost(t *testing.T) {
	n := Size(1000, 10_000)
	for _, e := range rig.Engines {
		t.Run(string(e), func(t *testing.T) {
			f, p := newFacts(t, e)
			p.Stop(t)
			deaf := f.w.Serve(t, "--modules", withoutNotify)
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
			defer cancel()
			begin := clock.Mono()
			f.load(ctx, t, deaf, n)
			t.Logf("%d events in %s", f.made.Load(), clock.Mono().Sub(begin).Round(time.Millisecond))
			published := f.published(ctx, t, int64(n))
			before := f.effects(t, "in_app")

			under, end := context.WithCancel(ctx)
			defer end()
			var load sync.WaitGroup
			load.Go(func() { f.load(under, t, deaf, 1<<40) })
			more := f.made.Load() + workers
			must(t, client.Until(ctx, "load", func(context.Context) (bool, error) { return f.made.Load() > more, nil }))
			if e == rig.SQLite { // the broker lives in the process
				deaf.Kill()
				must(t, os.RemoveAll(f.w.BrokerDir()))
				deaf = rig.Again(t, deaf)
			} else {
				f.w.Broker.Kill()
				must(t, os.RemoveAll(f.w.BrokerDir()))
				f.w.StartBroker(t)
			}
			more = f.made.Load() + workers
			must(t, client.Until(ctx, "load afterwards", func(context.Context) (bool, error) { return f.made.Load() > more, nil }))
			end()
			load.Wait()
			t.Logf("the broker was lost with %d events published and %d heard", published, before)
			deaf.Stop(t)
			f.w.Serve(t)
			f.settled(t, 10*time.Minute)
			f.w.Verify(t)
		})
	}
}

// published waits until the broker holds all events that notify will hear, n at least.
func (f *facts) published(ctx context.Context, t *testing.T, n int64) (got int64) {
	t.Helper()
	must(t, client.Until(ctx, "publishing", func(context.Context) (bool, error) {
		got = f.w.Count(t, "scheduling", f.tenant, happened, f.tenant)
		return got >= n && f.w.Count(t, "scheduling", f.tenant, told+` AND seq = 0`, f.tenant) == 0, nil
	}))
	return got
}

// TestRestoredDatabase: notify's database comes back from a copy that is older than the
// others'. What happened since has its effect again, and everything once.
func TestRestoredDatabase(t *testing.T) {
	f, p := newFacts(t, rig.SQLite)
	n := Size(200, 5000)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	f.load(ctx, t, p, n)
	f.settled(t, 5*time.Minute)
	p.Stop(t)
	file := filepath.Join(f.w.Data(), "db", "notify.db")
	old, err := os.ReadFile(file)
	must(t, err)
	p = rig.Again(t, p)
	f.load(ctx, t, p, n)
	f.settled(t, 5*time.Minute)
	p.Stop(t)
	restore(t, file, old)
	if got, want := f.effects(t, "in_app"), f.w.Count(t, "scheduling", f.tenant, happened, f.tenant); got >= want {
		t.Fatalf("the copy is not older: %d of %d", got, want)
	}
	p = rig.Again(t, p)
	f.settled(t, 5*time.Minute)
	f.load(ctx, t, p, workers*2) // and it goes on
	f.settled(t, time.Minute)
	f.w.Verify(t)
}

// restore puts a database file back as it was after a clean stop.
func restore(t *testing.T, file string, body []byte) {
	t.Helper()
	for _, suffix := range []string{"-wal", "-shm"} {
		if err := os.Remove(file + suffix); err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
	}
	must(t, os.WriteFile(file, body, 0o600))
}

// TestMoneySurvives: paid while the process dies again and again; each payment has its
// effect once.
func TestMoneySurvives(t *testing.T) {
	n := Size(12, 60)
	w := rig.NewWorld(t, rig.SQLite)
	w.Import(t, rig.Rota(rig.Clinic{Doctor: 1, Day: rig.InDays(3), Seats: n, Fee: "25"}))
	p := w.Serve(t)
	people := w.People(t, p, "", 0, n, 1)
	sch := rig.FindSchedules(t, people[0].Client, "测试科", rig.InDays(3))[0]
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	held := make([]client.Appointment, n)
	rig.Each(t, workers, n, func(i int) (err error) {
		held[i], _, err = people[i].Hold(ctx, client.NewKey(), client.Wish{PatientID: people[i].Patients[0].ID, ScheduleID: sch.ID, Any: true})
		if err == nil {
			_, err = people[i].Prepay(ctx, held[i].PaymentID)
		}
		return err
	})
	for i := range n {
		must(t, w.Pay.Pay(ctx, held[i].PaymentID))
		if i%4 == 3 {
			p.Kill()
			p = rig.Again(t, p)
		}
	}
	rig.Each(t, workers, n, func(i int) error {
		a, err := people[i].Wait(ctx, held[i].ID, client.InState("booked"))
		if err == nil && a.PaymentState != "" && !strings.Contains("paid", a.PaymentState) {
			err = fmt.Errorf("payment is %s", a.PaymentState)
		}
		return err
	})
	tenant := w.TenantID(t, "main")
	applied := func() int64 {
		return w.Count(t, "payment", tenant, `SELECT COUNT(*) FROM payment WHERE tenant_id = $1 AND effect = 'applied'`, tenant)
	}
	// Payment hears of the last bookings after the people do.
	if err := client.Until(ctx, "each payment has its effect", func(context.Context) (bool, error) { return applied() >= int64(n), nil }); err != nil || applied() != int64(n) {
		t.Errorf("%d payments have their effect, want %d: %v", applied(), n, err)
	}
	w.Verify(t)
}
