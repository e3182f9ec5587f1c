package schedulingsvc

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/obs"
	"xinglin/internal/scheduling"
)

// Live counts. Whoever changes a session signals it to all processes after the commit;
// each process reads the changed sessions once for all of its readers. A signal may get
// lost: sessions that somebody watches are also looked at each second.
const (
	liveTopic   = "scheduling.live"
	livePoll    = time.Second
	livePause   = 250 * time.Millisecond // at most 4 frames a second
	maxStreams  = 5000                   // a process
	maxWatched  = 50                     // schedules of one stream
	liveReading = 5 * time.Second
)

// signal says whose seats changed.
type signal struct {
	Tenant   scheduling.TenantID        `json:"t"`
	Schedule id.ID[scheduling.Schedule] `json:"s"`
}

// signalLive tells all processes after a commit. It must not fail the request: the poll
// finds what was not told.
func (s *Service) signalLive(ctx context.Context, t scheduling.TenantID, schedule id.ID[scheduling.Schedule]) {
	s.live.touch(watchKey{t, schedule})
	if s.base.Signals == nil {
		return
	}
	data, err := json.Marshal(signal{t, schedule})
	if err == nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		err = s.base.Signals.Signal(ctx, liveTopic, data)
	}
	if err != nil {
		obs.Log(ctx).Debug("scheduling: a live signal was not sent")
	}
}

// freeTopic: a session may have seats again; sold-out marks of all processes go.
const freeTopic = "scheduling.free"

// signalFree clears the mark here at once, so that who learns of the seat can have it, and
// tells the other processes; what gets lost ends with markTime.
func (s *Service) signalFree(ctx context.Context, t scheduling.TenantID, schedule id.ID[scheduling.Schedule]) {
	s.marks.clear(scheduleKey{t, schedule})
	if s.base.Signals == nil {
		return
	}
	data, err := json.Marshal(signal{t, schedule})
	if err == nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		err = s.base.Signals.Signal(ctx, freeTopic, data)
	}
	if err != nil {
		obs.Log(ctx).Debug("scheduling: a free signal was not sent")
	}
}

// hearFree listens to the other processes' free seats.
func (s *Service) hearFree() (stop func(), err error) {
	if s.base.Signals == nil {
		return func() {}, nil
	}
	return s.base.Signals.OnSignal(freeTopic, func(data []byte) {
		var v signal
		if json.Unmarshal(data, &v) == nil {
			s.marks.clear(scheduleKey{v.Tenant, v.Schedule})
		}
	})
}

// counts reads for the hub.
func (s *Service) counts(ctx context.Context, t scheduling.TenantID, known map[id.ID[scheduling.Schedule]]int64) ([]seatCount, error) {
	return s.store.counts(ctx, t, known)
}

// start listens to the other processes and begins the fan-out; it also asks for the
// extension of every tenant's rota, so that a process that was down catches up.
func (s *Service) start() (stop func(), err error) {
	unhear := func() {}
	if s.base.Signals != nil {
		unhear, err = s.base.Signals.OnSignal(liveTopic, func(data []byte) {
			var v signal
			if json.Unmarshal(data, &v) == nil {
				s.live.touch(watchKey{v.Tenant, v.Schedule})
			}
		})
		if err != nil {
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

type watchKey struct {
	tenant   scheduling.TenantID
	schedule id.ID[scheduling.Schedule]
}

// hub is one process's fan-out of live counts.
type hub struct {
	read func(ctx context.Context, t scheduling.TenantID, known map[id.ID[scheduling.Schedule]]int64) ([]seatCount, error)
	wake chan struct{}

	mu      sync.Mutex
	watched map[watchKey]*watch
	dirty   map[watchKey]bool
	streams int
	ended   chan struct{} // closed when the process stops
}

// watch is a session that somebody looks at.
type watch struct {
	version int64
	readers map[*reader]bool
}

// reader is one stream. What it has not taken yet is replaced by what is newer, so a
// slow reader costs no memory.
type reader struct {
	hub  *hub
	keys []watchKey
	news chan struct{}

	mu      sync.Mutex
	pending map[id.ID[scheduling.Schedule]]seatCount
}

func newHub(read func(context.Context, scheduling.TenantID, map[id.ID[scheduling.Schedule]]int64) ([]seatCount, error)) *hub {
	return &hub{read: read, wake: make(chan struct{}, 1), watched: map[watchKey]*watch{}, dirty: map[watchKey]bool{}, ended: make(chan struct{})}
}

// touch notes that a session changed, if somebody here looks at it.
func (h *hub) touch(k watchKey) {
	h.mu.Lock()
	_, any := h.watched[k]
	if any {
		h.dirty[k] = true
	}
	h.mu.Unlock()
	if any {
		select {
		case h.wake <- struct{}{}:
		default:
		}
	}
}

// watch begins a stream of at most maxWatched sessions; scheduling.live_busy.
func (h *hub) watch(t scheduling.TenantID, schedules []id.ID[scheduling.Schedule]) (*reader, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.streams >= maxStreams {
		return nil, scheduling.ErrLiveBusy.After(5 * time.Second)
	}
	h.streams++
	r := &reader{hub: h, news: make(chan struct{}, 1), pending: map[id.ID[scheduling.Schedule]]seatCount{}}
	for _, v := range schedules {
		k := watchKey{t, v}
		r.keys = append(r.keys, k)
		w := h.watched[k]
		if w == nil {
			w = &watch{readers: map[*reader]bool{}}
			h.watched[k] = w
		}
		w.readers[r] = true
	}
	return r, nil
}

// close ends the stream.
func (r *reader) close() {
	h := r.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	h.streams--
	for _, k := range r.keys {
		if w := h.watched[k]; w != nil {
			delete(w.readers, r)
			if len(w.readers) == 0 {
				delete(h.watched, k)
				delete(h.dirty, k)
			}
		}
	}
}

// take gives what is new since the last time.
func (r *reader) take() map[id.ID[scheduling.Schedule]]seatCount {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := r.pending
	r.pending = map[id.ID[scheduling.Schedule]]seatCount{}
	return out
}

func (r *reader) give(c seatCount) {
	r.mu.Lock()
	r.pending[c.Schedule] = c
	r.mu.Unlock()
	select {
	case r.news <- struct{}{}:
	default:
	}
}

// run fans out until ctx ends; then the streams end.
func (h *hub) run(ctx context.Context) {
	defer close(h.ended)
	poll := time.NewTicker(livePoll)
	defer poll.Stop()
	for {
		all := false
		select {
		case <-ctx.Done():
			return
		case <-h.wake:
		case <-poll.C:
			all = true
		}
		h.spread(ctx, h.due(all))
		pause := time.NewTimer(livePause)
		select {
		case <-ctx.Done():
			pause.Stop()
			return
		case <-pause.C:
		}
	}
}

// due are the sessions to read, by tenant, with the versions that the readers know.
func (h *hub) due(all bool) map[scheduling.TenantID]map[id.ID[scheduling.Schedule]]int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := map[scheduling.TenantID]map[id.ID[scheduling.Schedule]]int64{}
	for k, w := range h.watched {
		if !all && !h.dirty[k] {
			continue
		}
		if out[k.tenant] == nil {
			out[k.tenant] = map[id.ID[scheduling.Schedule]]int64{}
		}
		out[k.tenant][k.schedule] = w.version
	}
	clear(h.dirty)
	return out
}

// spread reads in batches and gives the changes to the readers.
func (h *hub) spread(ctx context.Context, due map[scheduling.TenantID]map[id.ID[scheduling.Schedule]]int64) {
	for t, known := range due {
		batch := map[id.ID[scheduling.Schedule]]int64{}
		for k, v := range known {
			batch[k] = v
			if len(batch) == maxBatch {
				h.batch(ctx, t, batch)
				batch = map[id.ID[scheduling.Schedule]]int64{}
			}
		}
		if len(batch) > 0 {
			h.batch(ctx, t, batch)
		}
	}
}

func (h *hub) batch(ctx context.Context, t scheduling.TenantID, known map[id.ID[scheduling.Schedule]]int64) {
	ctx, cancel := context.WithTimeout(ctx, liveReading)
	defer cancel()
	changed, err := h.read(ctx, t, known)
	if err != nil { // the next second tries again
		obs.Log(ctx).Debug("scheduling: live counts not read")
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, c := range changed {
		w := h.watched[watchKey{t, c.Schedule}]
		if w == nil || c.Version <= w.version {
			continue
		}
		w.version = c.Version
		for r := range w.readers {
			r.give(c)
		}
	}
}
