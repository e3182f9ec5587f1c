package booking

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"xinglin/internal/app"
	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/fault"
	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/config"
	"xinglin/internal/platform/db"
	"xinglin/internal/scheduling"
)

// The hold path inside one process, without HTTP: ten times its capacity can be
// offered there. `xinglin bench hold` is that process.

// insideTimes are the loads, of the capacity.
var insideTimes = []float64{1, 2, 5, 10}

// roster is what that process is told: who may book where.
type roster struct {
	Tenant tenantID                       `json:"tenant"`
	People []rosterPerson                 `json:"people"`
	Days   [][]id.ID[scheduling.Schedule] `json:"days"` // sessions by doctor
	Warm   int                            `json:"warm"`
}

type rosterPerson struct {
	Account id.ID[auth.Account]  `json:"account"`
	Patient scheduling.PatientID `json:"patient"`
}

// insideResult is what it answers, with the keys that were acknowledged by day.
type insideResult struct {
	Loads []Overload `json:"loads"`
	Acked [][]keyOf  `json:"acked"`
}

// insideDays is how many days of a crowd are opened for one run of it.
const insideDays = 16

func (a *arena) openInside(ctx context.Context, e db.Engine) error {
	where, st := config.Where{}, a.pgBase
	if e == db.Postgres {
		where = config.Where{DB: a.pg.dsn(roleApp), Keys: a.pgKeys}
	} else {
		where.Data = filepath.Join(a.dir, "sqlite-inside")
		if err := copyDir(a.lite.dir, where.Data); err != nil {
			return err
		}
		var err error
		if st, err = openStore(ctx, db.Options{Dir: where.Data}, a.lite.t); err != nil {
			return err
		}
		defer func() { _ = st.srv.Close() }()
	}
	c, err := a.gather(ctx, st, insideDays*passes*len(a.world.people))
	if err != nil {
		return err
	}
	file := filepath.Join(a.dir, "roster-"+string(e))
	if err := writeRoster(file, st.tenant, c, a.opt.Requests); err != nil {
		return err
	}
	args := []string{"bench", "hold", "--world", file, "--load", a.opt.Open.String()}
	for _, f := range [][2]string{{"--data", where.Data}, {"--db", where.DB}, {"--keys", where.Keys}} {
		if f[1] != "" {
			args = append(args, f[0], f[1])
		}
	}
	began := clock.System{}.Now()
	cmd := exec.CommandContext(ctx, self(), args...)
	cmd.Env = append(plainEnv(), "GOGC=400")
	cmd.SysProcAttr = withParent(syscall.SIGKILL, nil)
	var words tail
	cmd.Stderr = &words
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("%w\n%s", err, &words)
	}
	var r insideResult
	if err := json.Unmarshal(out, &r); err != nil {
		return err
	}
	v := variant{product, e}
	for _, o := range r.Loads {
		o.Variant = v.name()
		a.overload(o)
	}
	s := &server{variant: v, store: st}
	for i, b := range c.boards {
		if err := a.check(ctx, s, sale{day: b.day, acked: r.Acked[i], before: began.Add(-time.Minute)}); err != nil {
			return err
		}
	}
	return nil
}

func writeRoster(file string, t tenantID, c *crowd, warm int) error {
	r := roster{Tenant: t, Warm: warm}
	for _, n := range c.order {
		r.People = append(r.People, rosterPerson{c.people[n].account, c.people[n].patient})
	}
	for _, b := range c.boards {
		r.Days = append(r.Days, b.sessions)
	}
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return os.WriteFile(file, b, 0o600)
}

// inside calls the use case.
type inside struct {
	house *app.House
	crowd *crowd
	t     tenantID
	next  int // the first request that nobody made yet

	mu     sync.Mutex
	acked  [][]keyOf
	odd    error
	booked []float64
}

// HoldInside is the hidden command: it measures the capacity, offers multiples of it
// and writes an insideResult.
func HoldInside(ctx context.Context, where config.Where, file string, load time.Duration, out io.Writer) error {
	b, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var r roster
	if err := json.Unmarshal(b, &r); err != nil {
		return err
	}
	h, closeAll, err := app.Offline(ctx, where, false)
	if err != nil {
		return err
	}
	defer closeAll()
	for _, m := range h.Modules {
		if m.Name == "scheduling" && m.Start != nil {
			stop, err := m.Start()
			if err != nil {
				return err
			}
			defer stop()
		}
	}
	in := &inside{house: h, t: r.Tenant, crowd: &crowd{}, acked: make([][]keyOf, len(r.Days))}
	for i, p := range r.People {
		in.crowd.people = append(in.crowd.people, person{account: p.Account, patient: p.Patient})
		in.crowd.order = append(in.crowd.order, i)
	}
	for _, d := range r.Days {
		in.crowd.boards = append(in.crowd.boards, &board{sessions: d})
	}
	var res insideResult
	in.closed(ctx, r.Warm)
	capacity := in.closed(ctx, r.Warm)
	for _, k := range insideTimes {
		o := Overload{Where: "process", Times: k, Capacity: capacity}
		in.offer(ctx, &o, load)
		res.Loads = append(res.Loads, o)
	}
	if in.odd != nil {
		return in.odd
	}
	res.Acked = in.acked
	return json.NewEncoder(out).Encode(res)
}

// closed is the capacity: so many callers that wait for each answer.
func (in *inside) closed(ctx context.Context, n int) float64 {
	n = min(n, in.crowd.size()-in.next)
	var next, booked atomic.Int64
	var all sync.WaitGroup
	begin, first := clock.Mono(), in.next
	for range openClients {
		all.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				if in.hold(ctx, first+i) {
					booked.Add(1)
				}
			}
		})
	}
	all.Wait()
	in.next += n
	return float64(booked.Load()) / clock.Mono().Sub(begin).Seconds()
}

// offer starts a call for each arrival, at its time.
func (in *inside) offer(ctx context.Context, o *Overload, load time.Duration) {
	perSecond := o.Times * o.Capacity
	var all sync.WaitGroup
	var refused atomic.Int64
	in.booked = nil
	begin := clock.Mono()
	end := begin.Add(load)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	sent, looked := 0, begin
	for now := begin; now.Before(end) && ctx.Err() == nil; now = <-tick.C {
		for due := int(now.Sub(begin).Seconds() * perSecond); sent < due && in.next < in.crowd.size(); sent++ {
			i := in.next
			in.next++
			all.Go(func() {
				if !in.hold(ctx, i) {
					refused.Add(1)
					return
				}
				if t := clock.Mono(); !t.After(end) {
					in.mu.Lock()
					in.booked = append(in.booked, float64(t.Sub(now).Microseconds())/1e3)
					in.mu.Unlock()
				}
			})
		}
		if now.Sub(looked) > 100*time.Millisecond {
			o.Resident = max(o.Resident, resident(os.Getpid()))
			looked = now
		}
	}
	all.Wait()
	o.Recovery = max(0, float64(clock.Mono().Sub(end).Microseconds())/1e3) // until the last of the load is answered
	seconds := load.Seconds()
	o.Offered, o.Goodput, o.Refused = float64(sent)/seconds, float64(len(in.booked))/seconds, float64(refused.Load())/seconds
	slices.Sort(in.booked)
	o.P99 = nearest(in.booked, 0.99)
}

// callTime is how long a caller waits at most, as a browser would.
const callTime = 10 * time.Second

// hold books request i and tells whether it was.
func (in *inside) hold(ctx context.Context, i int) bool {
	day, p, s := in.crowd.want(i)
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	ctx = auth.With(ctx, auth.Principal{Kind: auth.Patient, Tenant: in.t, Account: p.account, Factors: 1})
	key := id.New[scheduling.Appointment](clock.System{}.Now())
	_, _, err := in.house.Scheduling.Hold(ctx, scheduling.HoldRequest{ID: key, Patient: p.patient, Schedule: s, Any: true})
	in.mu.Lock()
	defer in.mu.Unlock()
	switch {
	case err == nil:
		in.acked[day] = append(in.acked[day], key)
		return true
	case fault.KindOf(err) == fault.Unavailable, errors.Is(err, context.DeadlineExceeded), strings.Contains(err.Error(), "too_many"):
	default:
		in.odd = errors.Join(fmt.Errorf("request %d", i), err)
	}
	return false
}
