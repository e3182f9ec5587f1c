package proof

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"xinglin/internal/demo/client"
	"xinglin/internal/kernel/clock"
	"xinglin/test/rig"
)

const (
	seats  = 40
	rivals = 1000
	rushMx = 4 * time.Minute
)

// TestFortySeats: 1,000 people want 40 seats at the same moment, from one SQLite process
// and from two processes on one PostgreSQL with a broker of its own. Exactly 40 are
// booked, none twice; the same when a process is killed in the middle.
func TestFortySeats(t *testing.T) {
	for _, e := range rig.Engines {
		t.Run(string(e), func(t *testing.T) {
			w := rig.NewWorld(t, e)
			w.Import(t, rig.Rota(
				rig.Clinic{Doctor: 1, Day: rig.InDays(3), Seats: seats, Fee: "25"},
				rig.Clinic{Doctor: 1, Day: rig.InDays(4), Seats: seats, Fee: "25"},
			))
			r := &rush{w: w}
			r.serve(t)
			begin := clock.Mono()
			r.people = w.People(t, r.procs[0], "", 0, rivals/10, 10)
			t.Logf("%d people of %d accounts in %s", rivals, len(r.people), clock.Mono().Sub(begin).Round(time.Millisecond))
			t.Run("plain", func(t *testing.T) { r.run(t, 3, false) })
			t.Run("killed", func(t *testing.T) { r.run(t, 4, true) })
			w.Verify(t)
		})
	}
}

// rush is one crowd at one installation.
type rush struct {
	w      *rig.World
	procs  []*rig.Process
	urls   []string // of procs; a restarted process has its old address
	people []rig.Booker

	answers atomic.Int64
	kills   bool // a process dies in this run
}

func (r *rush) serve(t *testing.T) {
	r.procs = append(r.procs, r.w.Serve(t))
	if r.w.Engine == rig.Postgres {
		r.procs = append(r.procs, r.w.Serve(t))
	}
	for _, p := range r.procs {
		r.urls = append(r.urls, p.URL)
	}
}

// outcome of one person's wish.
type outcome struct {
	who  *client.Client
	key  string
	wish client.Wish
	held client.Appointment
	code string // of the refusal
}

func (r *rush) run(t *testing.T, inDays int, kill bool) {
	day := rig.InDays(inDays)
	sch := rig.FindSchedules(t, r.people[0].Client, "测试科", day)[0]
	ctx, cancel := context.WithTimeout(context.Background(), rushMx)
	defer cancel()
	slots, err := r.people[0].Slots(ctx, sch.ID)
	if err != nil {
		t.Fatal(err)
	}
	outs := make([]outcome, rivals)
	start, end := make(chan struct{}), sync.WaitGroup{}
	r.answers.Store(0)
	r.kills = kill
	for i := range outs {
		wish := client.Wish{PatientID: r.people[i/10].Patients[i%10].ID, ScheduleID: sch.ID, Any: true}
		if i%2 == 0 {
			wish = client.Wish{PatientID: wish.PatientID, SlotID: slots[i/2%len(slots)].ID}
		}
		end.Go(func() {
			<-start
			outs[i] = r.want(ctx, i, wish, sch.ID)
		})
	}
	begin := clock.Mono()
	close(start)
	if kill {
		r.killOne(ctx, t)
	}
	end.Wait()
	took := clock.Mono().Sub(begin)
	held := r.judge(ctx, t, outs, sch)
	t.Logf("%d wishes for %d seats in %s", rivals, seats, took.Round(time.Millisecond))
	r.book(ctx, t, held, day)
}

// want asks for a seat and asks again with the same key while no answer comes; people
// whose slot is full take any other of the session.
func (r *rush) want(ctx context.Context, i int, wish client.Wish, schedule string) outcome {
	o := outcome{key: client.NewKey(), wish: wish}
	for turn := i; ; turn++ {
		o.who = r.people[i/10].At(r.urls[turn%len(r.urls)])
		a, _, err := o.who.Hold(ctx, o.key, o.wish)
		switch status := client.StatusOf(err); {
		case err == nil:
			o.held, o.code = a, ""
			r.answers.Add(1)
			return o
		case client.CodeOf(err) == "scheduling.slot_taken" && !o.wish.Any:
			o.key, o.wish = client.NewKey(), client.Wish{PatientID: wish.PatientID, ScheduleID: schedule, Any: true}
		case r.kills && status == http.StatusTooManyRequests: // ten people of an account asked again and again while a process was dead
			pause(ctx, time.Second)
		case status != 0 && status < 500:
			o.code = client.CodeOf(err)
			r.answers.Add(1)
			return o
		case ctx.Err() != nil:
			o.code = "none: " + err.Error()
			return o
		default: // a dead process, a busy one: the same key at the next
			pause(ctx, 100*time.Millisecond)
		}
	}
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// killOne is kill -9 of the first process after some answers, then a restart.
func (r *rush) killOne(ctx context.Context, t *testing.T) {
	err := client.Until(ctx, "some answers", func(context.Context) (bool, error) { return r.answers.Load() >= 15, nil })
	if err != nil {
		t.Fatal(err)
	}
	r.procs[0].Kill()
	at := r.answers.Load()
	r.procs[0] = rig.Again(t, r.procs[0])
	t.Logf("killed after %d of %d answers", at, rivals)
}

// judge counts: 40 have a seat, the others were told that there is none.
func (r *rush) judge(ctx context.Context, t *testing.T, outs []outcome, sch client.Schedule) (held []outcome) {
	refused := map[string]int{}
	for _, o := range outs {
		if o.code == "" {
			held = append(held, o)
			continue
		}
		refused[o.code]++
	}
	for code := range refused {
		if code != "scheduling.slot_taken" && code != "scheduling.session_full" {
			t.Errorf("%d people were told %s", refused[code], code)
		}
	}
	if len(held) != seats {
		t.Fatalf("%d people hold a seat, want %d; refused: %v", len(held), seats, refused)
	}
	found := rig.FindSchedules(t, held[0].who.At(r.urls[0]), "测试科", dateOf(t, sch.Date))
	if found[0].Remaining != 0 {
		t.Errorf("%d seats remain", found[0].Remaining)
	}
	for _, o := range held { // the key again is the same appointment
		a, hit, err := o.who.At(r.urls[0]).Hold(ctx, o.key, o.wish)
		if err != nil || !hit || a.ID != o.held.ID {
			t.Errorf("repeat: hit %t, %s, want %s: %v", hit, a.ID, o.held.ID, err)
		}
	}
	return held
}

// book pays every hold; each is booked under a number of its own.
func (r *rush) book(ctx context.Context, t *testing.T, held []outcome, day clock.Date) {
	begin := clock.Mono()
	rig.Each(t, 16, len(held), func(i int) error {
		o := held[i]
		c := o.who.At(r.urls[0])
		err := client.Until(ctx, "prepay", func(ctx context.Context) (bool, error) {
			_, err := c.Prepay(ctx, o.held.PaymentID)
			if client.CodeOf(err) == "payment.not_found" { // the process died between hold and payment; a job opens it
				return false, nil
			}
			return err == nil, err
		})
		if err != nil {
			return err
		}
		if err := r.w.Pay.Pay(ctx, o.held.PaymentID); err != nil {
			return fmt.Errorf("pay: %w", err)
		}
		a, err := c.Wait(ctx, o.held.ID, client.InState("booked"))
		if err == nil && (a.Number == nil || *a.Number < 1) {
			err = errors.New("booked without a number")
		}
		return err
	})
	t.Logf("%d paid and booked in %s", len(held), clock.Mono().Sub(begin).Round(time.Millisecond))
	tenant := r.w.TenantID(t, "main")
	if n := r.w.Count(t, "scheduling", tenant, `SELECT COUNT(*) FROM appointment WHERE tenant_id = $1 AND day = $2 AND state = 'booked'`, tenant, day); n != seats {
		t.Errorf("%d appointments are booked in the database, want %d", n, seats)
	}
	if n := r.w.Count(t, "scheduling", tenant, `SELECT COUNT(DISTINCT number) FROM appointment WHERE tenant_id = $1 AND day = $2 AND state = 'booked'`, tenant, day); n != seats {
		t.Errorf("%d different numbers, want %d", n, seats)
	}
}

func dateOf(t *testing.T, s string) (d clock.Date) {
	t.Helper()
	if err := d.UnmarshalText([]byte(s)); err != nil {
		t.Fatal(err)
	}
	return d
}
