package schedulingsvc

import (
	"context"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"xinglin/internal/kernel/clock"
	"xinglin/internal/platform/obs"
	"xinglin/internal/scheduling"
)

// Live counts. Whoever changes a session signals it to all processes after the commit
// (live_signal.go). Each process reads the changed sessions that somebody watches in one
// batch, writes each out once, and hands the same bytes to all of its readers
// (live_fan.go). A signal may get lost: the versions of what is watched are also looked
// at each second.
const (
	livePoll    = time.Second
	liveGather  = 20 * time.Millisecond // changes that come together are read together
	maxStreams  = 5000                  // a process
	maxWatched  = 50                    // schedules of one stream; they fit the bits of one word
	maxPolled   = 4096                  // sessions that one poll looks at, chosen by chance when more are watched
	liveReading = 5 * time.Second
)

// everySession in a signal means that the tenant's plan changed.
var everySession scheduleID

type watchKey struct {
	tenant   scheduling.TenantID
	schedule scheduleID
}

// seatReads are the hub's questions to the database.
type seatReads interface {
	counts(ctx context.Context, t scheduling.TenantID, ids []scheduleID) ([]seatCount, error)
	versions(ctx context.Context, t scheduling.TenantID, ids []scheduleID) (map[scheduleID]int64, error)
}

// hub is one process's fan-out of live counts.
type hub struct {
	reads seatReads
	wake  chan struct{}
	met   *liveMetrics
	fans  []*fan
	turn  atomic.Uint32 // fans take readers in turn

	mu      sync.Mutex // before any fan's
	watched map[watchKey]*watch
	dirty   map[watchKey]bool
	streams int
	closed  bool
}

// watch is a session that somebody looks at.
type watch struct {
	key     watchKey
	frame   atomic.Pointer[frame] // the latest; nil before the first look
	readers map[*reader]int       // and the session's place in their lists; under the hub's lock
}

// frame is a session's seats as every reader gets them, written out once.
type frame struct {
	version int64
	event   []byte // from "event:" to the empty line
}

func newFrame(c seatCount) *frame {
	b := make([]byte, 0, 160+len(c.Slots)*44)
	b = append(b, `event: count`+"\n"+`data: {"schedule_id":"`...)
	b = append(b, c.Schedule.String()...)
	b = append(b, `","remaining":`...)
	b = strconv.AppendInt(b, int64(c.Remaining), 10)
	b = append(b, `,"slots":{`...)
	for i, s := range c.Slots {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(append(append(b, '"'), s.ID.String()...), `":`...)
		b = strconv.AppendInt(b, int64(s.Remaining), 10)
	}
	b = append(b, `},"at":"`...)
	b = c.At.UTC().AppendFormat(b, time.RFC3339Nano)
	b = append(b, "\"}\n\n"...)
	return &frame{c.Version, b}
}

func newHub(reads seatReads, met *liveMetrics) *hub {
	h := &hub{reads: reads, met: met, wake: make(chan struct{}, 1), watched: map[watchKey]*watch{}, dirty: map[watchKey]bool{}}
	for range min(max(runtime.GOMAXPROCS(0), 2), 8) {
		h.fans = append(h.fans, newFan(h))
	}
	return h
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
		nudge(h.wake)
	}
}

func nudge(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// watch begins a stream of at most maxWatched sessions; scheduling.live_busy. The reader
// must be begun or closed.
func (h *hub) watch(t scheduling.TenantID, schedules []scheduleID) (*reader, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.streams >= maxStreams || h.closed {
		return nil, scheduling.ErrLiveBusy.After(5 * time.Second)
	}
	h.streams++
	h.met.streams.Inc()
	r := &reader{
		hub: h, fan: h.fans[int(h.turn.Add(1))%len(h.fans)], tenant: t,
		watches: make([]*watch, len(schedules)), sent: make([]int64, len(schedules)),
	}
	r.queued.Store(true) // nothing is sent before begin
	for i, v := range schedules {
		k := watchKey{t, v}
		w := h.watched[k]
		if w == nil {
			w = &watch{key: k, readers: map[*reader]int{}}
			h.watched[k] = w
		}
		w.readers[r] = i
		r.watches[i] = w
	}
	return r, nil
}

// look reads what no other reader has made known yet; the tenant's sessions among the
// reader's list are known afterwards, the rest is let go. false: there are none.
func (h *hub) look(ctx context.Context, r *reader) (bool, error) {
	var fresh []scheduleID
	for _, w := range r.watches {
		if w.frame.Load() == nil {
			fresh = append(fresh, w.key.schedule)
		}
	}
	found, err := h.reads.counts(ctx, r.tenant, fresh)
	if err != nil {
		return false, err
	}
	h.spread(r.tenant, found)
	any := false
	h.mu.Lock()
	defer h.mu.Unlock()
	for i, w := range r.watches {
		if w.frame.Load() == nil {
			h.forget(w, r)
			r.watches[i] = nil
			continue
		}
		any = true
	}
	return any, nil
}

func (h *hub) forget(w *watch, r *reader) {
	delete(w.readers, r)
	if len(w.readers) == 0 {
		delete(h.watched, w.key)
		delete(h.dirty, w.key)
	}
}

// leave takes the reader off every list, once.
func (h *hub) leave(r *reader) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if r.left {
		return
	}
	r.left = true
	h.streams--
	h.met.streams.Dec()
	for _, w := range r.watches {
		if w != nil {
			h.forget(w, r)
		}
	}
}

// spread gives what is newer to everybody who watches it.
func (h *hub) spread(t scheduling.TenantID, found []seatCount) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, c := range found {
		w := h.watched[watchKey{t, c.Schedule}]
		if w == nil {
			continue
		}
		if f := w.frame.Load(); f != nil && c.Version <= f.version {
			continue
		}
		w.frame.Store(newFrame(c))
		h.met.frames.Inc()
		for r, place := range w.readers {
			r.pend(place)
		}
	}
}

// run reads and fans out until ctx ends; then the streams end.
func (h *hub) run(ctx context.Context) {
	var fans sync.WaitGroup
	for _, f := range h.fans {
		f.open()
		fans.Go(func() { f.run(ctx) })
	}
	h.setClosed(false)
	defer fans.Wait()
	defer h.setClosed(true)
	poll := time.NewTicker(livePoll)
	defer poll.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-h.wake:
			h.read(ctx, h.changed())
		case <-poll.C:
			h.read(ctx, h.behind(ctx))
		}
		gather := time.NewTimer(liveGather)
		select {
		case <-ctx.Done():
			gather.Stop()
			return
		case <-gather.C:
		}
	}
}

func (h *hub) setClosed(v bool) {
	h.mu.Lock()
	h.closed = v
	h.mu.Unlock()
}

// changed are the sessions that signals named since the last time.
func (h *hub) changed() map[scheduling.TenantID][]scheduleID {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := map[scheduling.TenantID][]scheduleID{}
	for k := range h.dirty {
		out[k.tenant] = append(out[k.tenant], k.schedule)
	}
	clear(h.dirty)
	return out
}

// behind compares the versions of what is watched with the database: the sessions whose
// signal got lost.
func (h *hub) behind(ctx context.Context) map[scheduling.TenantID][]scheduleID {
	known := map[scheduling.TenantID]map[scheduleID]int64{}
	n := 0
	h.mu.Lock()
	for k, w := range h.watched {
		f := w.frame.Load()
		if f == nil {
			continue
		}
		if known[k.tenant] == nil {
			known[k.tenant] = map[scheduleID]int64{}
		}
		known[k.tenant][k.schedule] = f.version
		if n++; n == maxPolled {
			break
		}
	}
	h.mu.Unlock()
	out := map[scheduling.TenantID][]scheduleID{}
	for t, versions := range known {
		for _, ids := range cut(keys(versions), maxAsked) {
			now, err := h.versions(ctx, t, ids)
			if err != nil { // the next second tries again
				obs.Log(ctx).Debug("scheduling: live versions not read")
				continue
			}
			for v, version := range now {
				if version > versions[v] {
					out[t] = append(out[t], v)
				}
			}
		}
	}
	return out
}

func (h *hub) versions(ctx context.Context, t scheduling.TenantID, ids []scheduleID) (map[scheduleID]int64, error) {
	ctx, cancel := context.WithTimeout(ctx, liveReading)
	defer cancel()
	return h.reads.versions(ctx, t, ids)
}

func (h *hub) read(ctx context.Context, due map[scheduling.TenantID][]scheduleID) {
	for t, all := range due {
		for _, ids := range cut(all, maxAsked) {
			begin := clock.Mono()
			c, cancel := context.WithTimeout(ctx, liveReading)
			found, err := h.reads.counts(c, t, ids)
			cancel()
			if err != nil { // the poll tries again
				obs.Log(ctx).Debug("scheduling: live counts not read")
				continue
			}
			h.spread(t, found)
			h.met.reading.Observe(clock.Mono().Sub(begin).Seconds())
		}
	}
}

func keys[K comparable, V any](m map[K]V) []K {
	out := make([]K, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	return out
}

// cut makes pieces of at most n.
func cut[T any](all []T, n int) (out [][]T) {
	for len(all) > n {
		out, all = append(out, all[:n]), all[n:]
	}
	if len(all) > 0 {
		out = append(out, all)
	}
	return out
}
