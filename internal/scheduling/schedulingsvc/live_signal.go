package schedulingsvc

import (
	"context"
	"encoding/json"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/obs"
	"xinglin/internal/scheduling"
)

const (
	liveTopic   = "scheduling.live"
	signalPause = 20 * time.Millisecond // between two messages of a process
	maxNamed    = 500                   // sessions in one message
	signalTime  = time.Second           // a message that is not out by then is lost
	maxOrigins  = 256                   // processes that are remembered
)

// signal says whose seats changed. Messages of a process are numbered; one without
// schedules only tells the number of the last, so that a loss shows within a second.
type signal struct {
	Origin    string              `json:"o"`
	Number    uint64              `json:"n"`
	Tenant    scheduling.TenantID `json:"t"`
	Schedules []scheduleID        `json:"s,omitempty"`
}

// fanOut builds the machines of the live counts; start runs them.
func (s *Service) fanOut() {
	met := newLiveMetrics(s.base.Metrics)
	s.live = newHub(s.store, met)
	s.boards = newBoards(s.store, s.names, s.base.Clock, met)
	s.told = newTeller(func(ctx context.Context, data []byte) error { return s.base.Signals.Signal(ctx, liveTopic, data) }, met)
}

// signalLive tells all processes after a commit that a session's seats changed. It only
// notes the session: it never waits and never fails.
func (s *Service) signalLive(_ context.Context, t scheduling.TenantID, schedule scheduleID) {
	s.touch(t, schedule)
	s.told.add(t, schedule)
}

// signalMany is signalLive for the sessions of one batch.
func (s *Service) signalMany(t scheduling.TenantID, schedules []scheduleID) {
	for _, v := range schedules {
		s.touch(t, v)
	}
	s.told.add(t, schedules...)
}

// touch has this process look at the session again.
func (s *Service) touch(t scheduling.TenantID, schedule scheduleID) {
	s.boards.touch(t, schedule)
	if schedule != everySession {
		s.live.touch(watchKey{t, schedule})
	}
}

// start listens to the other processes and begins the fan-out; it also asks for the
// extension of every tenant's rota, so that a process that was down catches up.
func (s *Service) start() (stop func(), err error) {
	unhear := func() {}
	if s.base.Signals != nil {
		if unhear, err = s.base.Signals.OnSignal(liveTopic, s.hear(newOrigins())); err != nil {
			return nil, err
		}
	}
	unfree, err := s.hearFree()
	if err != nil {
		unhear()
		return nil, err
	}
	ctx, cancel := context.WithCancel(obs.WithLog(context.Background(), s.base.Log))
	var running sync.WaitGroup
	running.Go(func() { s.live.run(ctx) })
	running.Go(func() { s.boards.run(ctx) })
	if s.base.Signals != nil {
		running.Go(func() { s.told.run(ctx) })
	}
	running.Go(func() {
		if err := s.askAll(ctx); err != nil && ctx.Err() == nil {
			s.base.Log.Warn("scheduling: the extension at start was not asked for")
		}
	})
	return func() {
		unhear()
		unfree()
		cancel()
		s.close()
		running.Wait()
	}, nil
}

// hear takes the signals of other processes.
func (s *Service) hear(from *origins) func(data []byte) {
	return func(data []byte) {
		var v signal
		if json.Unmarshal(data, &v) != nil || v.Origin == s.told.origin {
			return
		}
		if from.lost(v) {
			s.boards.distrust()
		}
		for _, schedule := range v.Schedules {
			s.touch(v.Tenant, schedule)
		}
	}
}

// origins remembers the last number of each process; of the hearing goroutine.
type origins struct{ last map[string]uint64 }

func newOrigins() *origins { return &origins{map[string]uint64{}} }

// lost reports whether messages of the process are missing before this one.
func (o *origins) lost(v signal) bool {
	if len(o.last) > maxOrigins { // processes come and go
		clear(o.last)
	}
	last, known := o.last[v.Origin]
	o.last[v.Origin] = v.Number
	next := last + 1
	if len(v.Schedules) == 0 {
		next = last
	}
	return known && v.Number != next
}

// teller gathers what this process has to signal: each session at most 4 times a second,
// many in one message, however many bookings there are.
type teller struct {
	send   func(ctx context.Context, data []byte) error
	origin string
	wake   chan struct{}
	met    *liveMetrics

	mu  sync.Mutex
	due map[watchKey]bool

	sent   map[watchKey]time.Time // of the loop
	number uint64
}

func newTeller(send func(ctx context.Context, data []byte) error, met *liveMetrics) *teller {
	return &teller{send: send, origin: id.Random[id.Any]().String(), wake: make(chan struct{}, 1), met: met, due: map[watchKey]bool{}, sent: map[watchKey]time.Time{}}
}

func (n *teller) add(t scheduling.TenantID, schedules ...scheduleID) {
	n.mu.Lock()
	for _, v := range schedules {
		n.due[watchKey{t, v}] = true
	}
	n.mu.Unlock()
	nudge(n.wake)
}

func (n *teller) run(ctx context.Context) {
	beat := time.NewTicker(livePoll)
	defer beat.Stop()
	later := time.NewTimer(0)
	defer later.Stop()
	told := uint64(0)
	for {
		select {
		case <-ctx.Done():
			n.tell(context.WithoutCancel(ctx), n.take(clock.Mono(), 0))
			return
		case <-beat.C:
			if told != n.number { // once after the last message
				told = n.number
				n.out(ctx, signal{Origin: n.origin, Number: n.number})
			}
			continue
		case <-n.wake:
		case <-later.C:
		}
		n.tell(ctx, n.take(clock.Mono(), livePause))
		pause := time.NewTimer(signalPause)
		select {
		case <-ctx.Done():
		case <-pause.C:
		}
		pause.Stop()
		n.mu.Lock()
		if len(n.due) > 0 {
			later.Reset(signalPause)
		}
		n.mu.Unlock()
	}
}

// take gives the sessions that were not told of within the pause.
func (n *teller) take(now time.Time, pause time.Duration) map[scheduling.TenantID][]scheduleID {
	for k, at := range n.sent {
		if now.Sub(at) >= pause {
			delete(n.sent, k)
		}
	}
	out := map[scheduling.TenantID][]scheduleID{}
	n.mu.Lock()
	defer n.mu.Unlock()
	for k := range n.due {
		if _, soon := n.sent[k]; soon {
			continue
		}
		delete(n.due, k)
		n.sent[k] = now
		out[k.tenant] = append(out[k.tenant], k.schedule)
	}
	return out
}

func (n *teller) tell(ctx context.Context, due map[scheduling.TenantID][]scheduleID) {
	for t, all := range due {
		for _, ids := range cut(all, maxNamed) {
			n.number++
			n.out(ctx, signal{n.origin, n.number, t, ids})
		}
	}
}

// out sends a message. It may fail: the others find what was not told.
func (n *teller) out(ctx context.Context, v signal) {
	data, err := json.Marshal(v)
	if err == nil {
		ctx, cancel := context.WithTimeout(ctx, signalTime)
		defer cancel()
		err = n.send(ctx, data)
		n.met.signals.Inc()
	}
	if err != nil {
		obs.Log(ctx).Debug("scheduling: a live signal was not sent", "number", strconv.FormatUint(v.Number, 10))
	}
}

// liveMetrics count the fan-out and the calendar.
type liveMetrics struct {
	streams     prometheus.Gauge
	frames      prometheus.Counter
	writes      prometheus.Counter
	dropped     prometheus.Counter
	signals     prometheus.Counter
	reading     prometheus.Histogram
	behind      prometheus.Counter
	differences prometheus.Counter
}

func newLiveMetrics(reg prometheus.Registerer) *liveMetrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "xinglin_scheduling_" + name, Help: help})
	}
	m := &liveMetrics{
		streams:     prometheus.NewGauge(prometheus.GaugeOpts{Name: "xinglin_scheduling_live_streams", Help: "Open streams of live counts."}),
		frames:      counter("live_frames_total", "Changed sessions that were written out for all of their readers."),
		writes:      counter("live_writes_total", "Writes to readers of live counts."),
		dropped:     counter("live_dropped_total", "Readers dropped because they took nothing."),
		signals:     counter("live_signals_total", "Messages to other processes about changed sessions."),
		behind:      counter("calendar_behind_total", "Sessions of the calendar that the comparison with the database found behind: their signal was lost."),
		differences: counter("calendar_differences_total", "Sessions of the calendar that differed from the database at the same version: a fault, the calendar was read anew."),
		reading: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "xinglin_scheduling_live_read_seconds", Help: "Time to read changed sessions and hand them on.", Buckets: prometheus.ExponentialBuckets(.001, 2, 10),
		}),
	}
	if reg != nil {
		for _, c := range []prometheus.Collector{m.streams, m.frames, m.writes, m.dropped, m.signals, m.behind, m.differences, m.reading} {
			if err := reg.Register(c); err != nil {
				panic(err) // two contexts of one process under one name
			}
		}
	}
	return m
}
