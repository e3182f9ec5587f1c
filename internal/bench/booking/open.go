package booking

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"xinglin/internal/kernel/clock"
	"xinglin/internal/platform/db"
)

// The part open: arrivals that do not wait for answers. Over HTTP the server and its
// database have one core and the generator the other; what the generator could not
// send for want of a free connection is counted as unsent, so the load that arrived is
// what stands in offered.

const (
	openWires   = 1024
	openClients = 256
	serverCore  = 0
	generator   = 1
	patience    = 30 * time.Second // for the answers that are still out when a load ends
)

// Overload is one load of the part open.
type Overload struct {
	Variant  string  `json:"variant"`
	Where    string  `json:"where"` // process or http
	Slowed   float64 `json:"slowed,omitempty"`
	Times    float64 `json:"times"` // of capacity, as planned
	Capacity float64 `json:"capacity_per_s"`
	Offered  float64 `json:"offered_per_s"`
	Unsent   float64 `json:"unsent_per_s"`
	Goodput  float64 `json:"goodput_per_s"`
	Refused  float64 `json:"refused_per_s"`
	P99      float64 `json:"p99_booked_ms"`
	Resident int64   `json:"resident_bytes"` // of the server, the highest seen
	Recovery float64 `json:"recovery_ms"`    // until answers are as fast as before
}

// open measures both engines.
func (a *arena) open(ctx context.Context) error {
	for _, e := range a.opt.Engines {
		s := a.find(product, e)
		if s == nil {
			continue
		}
		if err := a.openInside(ctx, e); err != nil {
			return fmt.Errorf("in process: %w", err)
		}
		if err := a.openHTTP(ctx, s, []float64{1, 2, 3, 10}, 0); err != nil {
			return err
		}
		slow, err := a.start(ctx, s.variant, a.lite, a.opt.Slow)
		if err != nil {
			return err
		}
		if err := a.openHTTP(ctx, slow, []float64{10}, a.last(s.name()).Capacity); err != nil {
			return err
		}
		if err := slow.stop(); err != nil {
			return err
		}
	}
	return nil
}

// last is the last load over HTTP of a variant.
func (a *arena) last(name string) (o Overload) {
	for _, x := range a.report.Overloads {
		if x.Variant == name && x.Where == "http" {
			o = x
		}
	}
	return o
}

// cores gives the server and its database one core and the generator the other.
func (a *arena) cores(s *server) (undo func(), err error) {
	own := []int{s.pid()}
	if s.Engine == db.Postgres {
		own = append(append(own, a.pg.pid()), childrenOf(a.pg.pid())...)
	}
	undo = func() {
		for _, p := range append(own, os.Getpid()) {
			_ = unpin(p)
		}
	}
	for _, p := range own {
		if err := pin(p, serverCore); err != nil {
			undo()
			return nil, err
		}
	}
	return undo, pin(os.Getpid(), generator)
}

// openHTTP measures the capacity of a server and then offers multiples of it. full is
// the capacity of the same server at its full speed, 0 when it is this one.
func (a *arena) openHTTP(ctx context.Context, s *server, times []float64, full float64) error {
	undo, err := a.cores(s)
	if err != nil {
		a.report.LeftOut = append(a.report.LeftOut, "open over HTTP: "+err.Error())
		return nil
	}
	defer undo()
	capacity, calm, err := a.capacity(ctx, s)
	if err != nil {
		return err
	}
	for _, k := range times {
		o := Overload{Variant: s.name(), Where: "http", Times: k, Capacity: capacity}
		if full > 0 {
			o.Slowed = full / capacity
		}
		if err := a.offer(ctx, s, &o, calm); err != nil {
			return err
		}
		a.overload(o)
	}
	return nil
}

// overload keeps a load with its ratio; those that PERF names have a goal.
func (a *arena) overload(o Overload) {
	a.report.Overloads = append(a.report.Overloads, o)
	a.say("open %s %s: %.0fx of %.0f/s: offered %.0f/s, goodput %.0f/s, p99 of the booked %.0f ms, recovery %.0f ms", o.Where, o.Variant, o.Times, o.Capacity, o.Offered, o.Goodput, o.P99, o.Recovery)
	x := Ratio{Part: partOpen, Load: fmt.Sprintf("%s, %.0fx", o.Where, o.Times), Name: o.Variant + ": goodput / capacity", Value: spread([]float64{o.Goodput / o.Capacity})}
	if o.Slowed > 0 {
		x.Load += fmt.Sprintf(", server %.1fx slower", o.Slowed)
	}
	switch {
	case o.Where == "process" && o.Times == 10:
		x.Goal = &Goal{Gate: 0.75, Aim: 0.90}
	case o.Where == "http" && o.Times == 3:
		x.Goal = &Goal{Gate: 0.70, Aim: 0.85}
	}
	a.report.ratio(x)
}

// capacity is the closed loop's rate of the booked, and its p99 in milliseconds; the
// first segment warms up.
func (a *arena) capacity(ctx context.Context, s *server) (rate, p99 float64, err error) {
	for range 2 {
		b, err := s.store.open(ctx, a.world, warmShape, a.opt.Fee)
		if err != nil {
			return 0, 0, err
		}
		x := &series{}
		seg, err := a.visit(ctx, s, x, openClients, b, a.world.requests(s.address, b, a.opt.Requests, targetAny))
		if err != nil {
			return 0, 0, err
		}
		rate, p99 = float64(seg.count(http.StatusCreated))/seg.wall.Seconds(), x.p99[0]
	}
	return rate, p99, nil
}

// offering is an open loop in hand.
type offering struct {
	crowd   *crowd
	address string
	begin   time.Time
	end     time.Time

	mu      sync.Mutex
	booked  []float64 // latencies in ms of those within the window
	acked   [][]keyOf // by day
	refused int
	strange string
	late    int // booked after the window
	unsent  atomic.Int64
}

func (l *offering) done(i, status int, key keyOf, arrived time.Time, body []byte) {
	now := clock.Mono()
	day, _, _ := l.crowd.want(i)
	l.mu.Lock()
	defer l.mu.Unlock()
	switch status {
	case http.StatusCreated:
		l.acked[day] = append(l.acked[day], key)
		if now.After(l.end) {
			l.late++
			return
		}
		l.booked = append(l.booked, float64(now.Sub(arrived).Microseconds())/1e3)
	case http.StatusServiceUnavailable, http.StatusTooManyRequests:
		l.refused++
	default:
		l.strange = fmt.Sprintf("%d %s", status, body)
	}
}

// arrival is request i, due at an instant.
type arrival struct {
	i  int
	at time.Time
}

// offer sends k times the capacity for the planned time and fills in what came of it.
func (a *arena) offer(ctx context.Context, s *server, o *Overload, calm float64) error {
	planned := o.Times * o.Capacity
	c, err := a.gather(ctx, s.store, int(planned*a.opt.Open.Seconds())+1)
	if err != nil {
		return err
	}
	l := &offering{crowd: c, address: s.address, acked: make([][]keyOf, len(c.boards))}
	began := clock.System{}.Now()
	sent, err := a.drive(ctx, l, planned, func() { o.Resident = max(o.Resident, resident(s.pid())) })
	if err != nil {
		return s.fault(err.Error())
	}
	if o.Recovery, err = a.recovery(ctx, s, l.end, calm); err != nil {
		return err
	}
	seconds := a.opt.Open.Seconds()
	o.Offered, o.Unsent = float64(sent)/seconds, float64(l.unsent.Load())/seconds
	o.Goodput, o.Refused = float64(len(l.booked))/seconds, float64(l.refused)/seconds
	slices.Sort(l.booked)
	o.P99 = nearest(l.booked, 0.99)
	if l.strange != "" {
		a.fault("%s under overload answered %s", s.name(), l.strange)
	}
	for i, b := range c.boards {
		if err := a.check(ctx, s, sale{day: b.day, acked: l.acked[i], before: began.Add(-time.Minute)}); err != nil {
			return err
		}
	}
	return nil
}

// drive hands arrivals to free connections, at their time.
func (a *arena) drive(ctx context.Context, l *offering, perSecond float64, look func()) (sent int, err error) {
	arrivals := make(chan arrival)
	var workers sync.WaitGroup
	var failed atomic.Pointer[error]
	for range openWires {
		w, err := dial(l.address)
		if err != nil {
			close(arrivals)
			return 0, err
		}
		_ = w.conn.SetDeadline(clock.Mono().Add(a.opt.Open + patience))
		workers.Go(func() {
			defer w.close()
			var buf []byte
			for x := range arrivals {
				var key keyOf
				buf, key = l.crowd.request(buf[:0], l.address, x.i)
				status, err := w.call(buf)
				if err != nil {
					err = fmt.Errorf("arrival %d: %w", x.i, err)
					failed.CompareAndSwap(nil, &err)
					return
				}
				l.done(x.i, status, key, x.at, w.body)
			}
		})
	}
	l.begin = clock.Mono()
	l.end = l.begin.Add(a.opt.Open)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	next, looked := 0, l.begin
	for now := l.begin; now.Before(l.end) && ctx.Err() == nil && failed.Load() == nil; now = <-tick.C {
		for due := int(now.Sub(l.begin).Seconds() * perSecond); next < due; next++ {
			select {
			case arrivals <- arrival{next, now}:
				sent++
			default:
				l.unsent.Add(1)
			}
		}
		if now.Sub(looked) > 100*time.Millisecond {
			look()
			looked = now
		}
	}
	close(arrivals)
	workers.Wait()
	if e := failed.Load(); e != nil {
		return sent, *e
	}
	return sent, ctx.Err()
}

// recovery asks one request after the other until twenty in a row are answered as fast
// as the slowest hundredth before the load. It begins when the load ended.
func (a *arena) recovery(ctx context.Context, s *server, end time.Time, calm float64) (ms float64, err error) {
	const inRow, most = 20, 2000
	c, err := a.gather(ctx, s.store, most)
	if err != nil {
		return 0, err
	}
	w, err := dial(s.address)
	if err != nil {
		return 0, err
	}
	defer w.close()
	_ = w.conn.SetDeadline(clock.Mono().Add(patience))
	var buf []byte
	good, since := 0, end
	for i := range min(most, c.size()) {
		begin := clock.Mono()
		buf, _ = c.request(buf[:0], s.address, i)
		status, err := w.call(buf)
		if err != nil {
			return 0, err
		}
		took := float64(clock.Mono().Sub(begin).Microseconds()) / 1e3
		if status != http.StatusCreated || took > calm {
			good, since = 0, clock.Mono()
			continue
		}
		if good++; good == inRow {
			return max(0, float64(since.Sub(end).Microseconds())/1e3), nil
		}
	}
	a.fault("%s did not recover from its overload within %d requests", s.name(), most)
	return 0, ctx.Err()
}
