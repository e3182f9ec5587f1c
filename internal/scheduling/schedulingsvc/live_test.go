package schedulingsvc

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/bus"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/module"
	"xinglin/internal/scheduling"
	"xinglin/internal/testkit"
	"xinglin/internal/testkit/apitest"
	"xinglin/internal/testkit/dbtest"
)

// numbers are sessions whose one slot has as many seats left as its version.
type numbers struct {
	mu    sync.Mutex
	now   map[scheduleID]int64
	asked int // statements for counts
	most  int // sessions in one
}

func (n *numbers) set(v scheduleID, to int64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.now[v] = to
}

func (n *numbers) counts(_ context.Context, _ scheduling.TenantID, ids []scheduleID) (out []seatCount, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.asked++
	n.most = max(n.most, len(ids))
	for _, v := range ids {
		if x, ok := n.now[v]; ok {
			out = append(out, seatCount{Schedule: v, Version: x, Remaining: int(x), At: testkit.Start})
		}
	}
	return out, nil
}

func (n *numbers) versions(_ context.Context, _ scheduling.TenantID, ids []scheduleID) (map[scheduleID]int64, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	out := map[scheduleID]int64{}
	for _, v := range ids {
		out[v] = n.now[v]
	}
	return out, nil
}

// tape is a line that keeps what it is given.
type tape struct {
	mu     sync.Mutex
	text   strings.Builder
	at     []time.Time
	jammed bool // takes one more write and lets nothing out
	given  int
	closed chan struct{}
	once   sync.Once
}

func newTape() *tape { return &tape{closed: make(chan struct{})} }

func (l *tape) Send(b []byte) (bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.jammed && l.given > 0 {
		return false, nil
	}
	l.given++
	l.at = append(l.at, clock.Mono())
	l.text.Write(b)
	return true, nil
}

func (l *tape) Flush() (bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.jammed || l.given == 0, nil
}

func (l *tape) Gone() bool { return false }
func (l *tape) Close()     { l.once.Do(func() { close(l.closed) }) }

func (l *tape) all() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// eventually waits until f holds.
func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(20 * time.Second)
	for !f() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("not within 20 s: %s", what)
		}
	}
}

// alone is a running hub on numbers.
func alone(t *testing.T, n *numbers) *hub {
	t.Helper()
	h := newHub(n, newLiveMetrics(nil))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { h.run(ctx); close(done) }()
	t.Cleanup(func() { cancel(); <-done })
	return h
}

func (n *numbers) reader(t *testing.T, h *hub, l line, known []int64, ids ...scheduleID) *reader {
	t.Helper()
	r, err := h.watch(apitest.Main, ids)
	if err != nil {
		t.Fatal(err)
	}
	if ok, err := h.look(context.Background(), r); !ok || err != nil {
		t.Fatal(ok, err)
	}
	r.begin(l, known)
	return r
}

func someSession() scheduleID { return id.Random[scheduling.Schedule]() }

func left(v scheduleID, n int64) string {
	return fmt.Sprintf(`data: {"schedule_id":"%s","remaining":%d,`, v, n)
}

// TestBurst: however fast a session changes, a reader gets at most 4 writes a second, and
// always the last value.
func TestBurst(t *testing.T) {
	v := someSession()
	n := &numbers{now: map[scheduleID]int64{v: 1}}
	h := alone(t, n)
	l := newTape()
	n.reader(t, h, l, nil, v)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	const last = 1200
	begin := clock.Mono()
	for i := int64(2); i <= last; i++ {
		<-tick.C
		n.set(v, i)
		h.touch(watchKey{apitest.Main, v})
	}
	eventually(t, "the last value", func() bool { return strings.Contains(l.all(), left(v, last)) })
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.at) < 4 {
		t.Errorf("%d writes in more than a second", len(l.at))
	}
	for i := liveRate; i < len(l.at); i++ {
		if d := l.at[i].Sub(l.at[i-liveRate]); d < time.Second-5*time.Millisecond {
			t.Errorf("%d writes within %v", liveRate+1, d)
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if took := clock.Mono().Sub(begin); n.asked > int(took/liveGather)+5 {
		t.Errorf("%d reads for %d changes in %v", n.asked, last, took)
	}
}

// TestManySessions: changes of 500 sessions are read in one question, and without a
// signal within the poll.
func TestManySessions(t *testing.T) {
	n := &numbers{now: map[scheduleID]int64{}}
	h := alone(t, n)
	var all []scheduleID
	l := newTape()
	for range 10 {
		var ids []scheduleID
		for range 50 {
			v := someSession()
			n.set(v, 1)
			ids = append(ids, v)
		}
		n.reader(t, h, l, nil, ids...)
		all = append(all, ids...)
	}
	n.mu.Lock()
	n.asked, n.most = 0, 0
	for _, v := range all {
		n.now[v] = 2 // nobody says so
	}
	n.mu.Unlock()
	eventually(t, "all of them", func() bool {
		text := l.all()
		for _, v := range all {
			if !strings.Contains(text, left(v, 2)) {
				return false
			}
		}
		return true
	})
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.asked != 1 || n.most != 500 {
		t.Errorf("%d questions, at most %d sessions in one", n.asked, n.most)
	}
}

// TestResume: the id of the last event says what the reader has of each session.
func TestResume(t *testing.T) {
	a, b := someSession(), someSession()
	n := &numbers{now: map[scheduleID]int64{a: 7, b: 40}}
	h := alone(t, n)
	l := newTape()
	first := n.reader(t, h, l, nil, a, b)
	eventually(t, "both", func() bool { return strings.Contains(l.all(), left(a, 7)) && strings.Contains(l.all(), left(b, 40)) })
	text := l.all()
	if strings.Count(text, "id: ") != 1 || !strings.Contains(text, "id: 7.14\n") {
		t.Fatal(text)
	}
	first.close()
	n.set(b, 41)
	for name, x := range map[string]struct {
		id   string
		a, b bool
	}{
		"what changed":  {"7.14", false, true},
		"nothing":       {"", true, true},
		"not ours":      {"1700000000000000", true, true},
		"negative":      {"-1.14", true, true},
		"of the future": {"zzzz.zzzz", true, true},
	} {
		t.Run(name, func(t *testing.T) {
			l := newTape()
			r := n.reader(t, h, l, positions(x.id, 2), a, b)
			defer r.close()
			eventually(t, "b", func() bool { return strings.Contains(l.all(), left(b, 41)) })
			if got := strings.Contains(l.all(), left(a, 7)); got != x.a {
				t.Errorf("a sent: %v", got)
			}
		})
	}
}

// TestSlowReader: who takes nothing is dropped, keeps nothing, and holds up nobody.
func TestSlowReader(t *testing.T) {
	v := someSession()
	n := &numbers{now: map[scheduleID]int64{v: 1}}
	h := newHub(n, newLiveMetrics(nil))
	for _, f := range h.fans {
		f.slow = 400 * time.Millisecond
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { h.run(ctx); close(done) }()
	var jams []*tape
	for range 50 {
		l := newTape()
		l.jammed = true
		jams = append(jams, l)
		n.reader(t, h, l, nil, v)
	}
	good := newTape()
	n.reader(t, h, good, nil, v)
	for i := int64(2); i < 6; i++ {
		n.set(v, i)
		h.touch(watchKey{apitest.Main, v})
		eventually(t, "the good reader's frame", func() bool { return strings.Contains(good.all(), left(v, i)) })
	}
	for _, l := range jams {
		<-l.closed
		if l.given != 1 {
			t.Errorf("%d writes were given to a reader that takes one", l.given)
		}
	}
	h.mu.Lock()
	if h.streams != 1 || len(h.watched[watchKey{apitest.Main, v}].readers) != 1 {
		t.Errorf("%d streams are left", h.streams)
	}
	h.mu.Unlock()
	cancel()
	<-done
	<-good.closed // ends with the process
	if _, err := h.watch(apitest.Main, []scheduleID{v}); err == nil {
		t.Error("a stream began after the end")
	}
}

// deaf lets signals get lost.
type deaf struct {
	module.Signals
	lose atomic.Bool
	sent atomic.Int64
}

func (d *deaf) Signal(ctx context.Context, topic string, data []byte) error {
	d.sent.Add(1)
	if d.lose.Load() {
		return errors.New("lost")
	}
	return d.Signals.Signal(ctx, topic, data)
}

// pair is two processes on one database and one broker, each with its machines running.
func pair(t *testing.T, d *dbtest.Database) (near, far *world, signals *deaf) {
	t.Helper()
	ctx := context.Background()
	b, err := bus.Embed(ctx, bus.EmbedOptions{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	clk := testkit.Clock()
	srv := d.Open(t, dbtest.WithClock(clk))
	near = worldOn(t, srv, clk)
	if d.Engine == db.Postgres {
		srv = d.Open(t, dbtest.WithClock(clk))
	}
	far = worldOn(t, srv, clk)
	far.dir, far.patients, far.payments = near.dir, near.patients, near.payments
	far.campus, far.dept, far.doctor = near.campus, near.dept, near.doctor
	signals = &deaf{Signals: b}
	for i, w := range []*world{near, far} {
		w.base.Signals = []module.Signals{b, signals}[i]
		w.s, w.m = New(w.base, fakeTenants{apitest.Main, apitest.Other}, near.dir, near.patients, near.payments, cal)
		stop, err := w.m.Start()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(stop)
	}
	return near, far, signals
}

// TestOtherProcess: what another process books shows here, with its signal and without,
// on the live stream and in the calendar; many bookings make few signals.
func TestOtherProcess(t *testing.T) {
	dbtest.EachDatabase(t, testkit.Sets(Describe()), func(t *testing.T, d *dbtest.Database) {
		near, far, signals := pair(t, d)
		near.rota(0, 40, 30)
		sch := near.on("2026-03-04")
		s := listen(t, near, apitest.New(t, near.m.Routes), sch.ID.String())
		s.until(40)
		q := calendarQuery{from: day("2026-03-04"), to: day("2026-03-04")}
		shows := func(n int) {
			t.Helper()
			eventually(t, fmt.Sprintf("the calendar with %d", n), func() bool {
				r, err := near.s.calendar(context.Background(), near.tenant, q)
				return err == nil && strings.Contains(string(r.body), fmt.Sprintf(`"days":"o","remaining":[%d]`, n))
			})
		}
		shows(40)
		before := signals.sent.Load()
		begin := clock.Mono()
		for range 20 {
			p, v := far.person()
			far.hold(p, far.ask(v, sch.ID))
		}
		s.until(20)
		shows(20)
		seconds := int64(clock.Mono().Sub(begin)/time.Second) + 1
		if n := signals.sent.Load() - before; n < 1 || n > 5*seconds+2 {
			t.Errorf("%d messages within %d s", n, seconds)
		}
		signals.lose.Store(true)
		p, v := far.person()
		far.hold(p, far.ask(v, sch.ID))
		s.until(19) // the poll
		signals.lose.Store(false)
		shows(19) // the gap in the numbers
	})
}
