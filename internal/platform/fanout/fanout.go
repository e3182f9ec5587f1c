// Package fanout hands the latest state of items to many readers as server-sent events,
// without knowing what the items are. Whoever changes an item touches it here and tells
// the other processes (Teller). Each process reads the changed items that somebody
// watches in one batch, has each written out once, and hands the same bytes to all of
// its readers, each at its pace. A signal may get lost: the versions of what is watched
// are also looked at each second.
package fanout

import (
	"context"
	"errors"
	"maps"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/obs"
)

// Limits of a process.
const (
	MaxStreams = 5000
	MaxItems   = 64 // of one stream; they fit the bits of one word

	pollTime   = time.Second
	gatherTime = 20 * time.Millisecond // changes that come together are read together
	maxPolled  = 4096                  // items that one poll looks at, chosen by chance when more are watched
	readTime   = 5 * time.Second
)

// ErrBusy refuses a stream: too many are open, or the process stops.
var ErrBusy = errors.New("fanout: too many streams")

var errItems = errors.New("fanout: a stream has 1 to 64 items")

// Tenant and Item name what is watched.
type (
	Tenant = id.ID[auth.Tenant]
	Item   = id.ID[id.Any]
)

// Key is an item of a tenant.
type Key struct {
	Tenant Tenant
	Item   Item
}

// Frame is an item as every reader gets it, written out once. Of two frames of an item
// the one with the higher version is the newer.
type Frame struct {
	Item    Item
	Version int64
	Event   []byte // from "event:" to the empty line; without an id
}

// Source reads what is watched, at most as many items at once as NewHub was told. What
// the tenant does not have is left out.
type Source interface {
	Frames(ctx context.Context, t Tenant, items []Item) ([]Frame, error)
	Versions(ctx context.Context, t Tenant, items []Item) (map[Item]int64, error)
}

// Hub is one process's fan-out.
type Hub struct {
	source Source
	ask    int
	wake   chan struct{}
	met    *Metrics
	fans   []*fan
	turn   atomic.Uint32 // fans take readers in turn

	mu      sync.Mutex // before any fan's
	watched map[Key]*watch
	dirty   map[Key]bool
	streams int
	closed  bool
}

// watch is an item that somebody looks at.
type watch struct {
	key     Key
	frame   atomic.Pointer[Frame] // the latest; nil before the first look
	readers map[*Reader]int       // and the item's place in their lists; under the hub's lock
}

// NewHub makes a hub that asks the source for at most ask items at once; ask is MaxItems
// or more, so that the items of a stream are one question. Run serves.
func NewHub(source Source, ask int, met *Metrics) *Hub {
	h := &Hub{source: source, ask: ask, met: met, wake: make(chan struct{}, 1), watched: map[Key]*watch{}, dirty: map[Key]bool{}}
	for range min(max(runtime.GOMAXPROCS(0), 2), 8) {
		h.fans = append(h.fans, newFan(h))
	}
	return h
}

// Touch notes that an item changed, if somebody here looks at it. It never waits.
func (h *Hub) Touch(k Key) {
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

// Watch begins a stream of 1 to MaxItems items without repeats; ErrBusy. The reader looks
// (Look) and is then begun or closed.
func (h *Hub) Watch(t Tenant, items []Item) (*Reader, error) {
	if len(items) == 0 || len(items) > MaxItems {
		return nil, errItems
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.streams >= MaxStreams || h.closed {
		return nil, ErrBusy
	}
	h.streams++
	h.met.streams.Inc()
	r := &Reader{
		hub: h, fan: h.fans[int(h.turn.Add(1))%len(h.fans)], tenant: t,
		watches: make([]*watch, len(items)), sent: make([]int64, len(items)),
	}
	r.queued.Store(true) // nothing is sent before Begin
	for i, v := range items {
		k := Key{t, v}
		w := h.watched[k]
		if w == nil {
			w = &watch{key: k, readers: map[*Reader]int{}}
			h.watched[k] = w
		}
		w.readers[r] = i
		r.watches[i] = w
	}
	return r, nil
}

func (h *Hub) forget(w *watch, r *Reader) {
	delete(w.readers, r)
	if len(w.readers) == 0 {
		delete(h.watched, w.key)
		delete(h.dirty, w.key)
	}
}

// leave takes the reader off every list, once.
func (h *Hub) leave(r *Reader) {
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
func (h *Hub) spread(t Tenant, found []Frame) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, f := range found {
		w := h.watched[Key{t, f.Item}]
		if w == nil {
			continue
		}
		if old := w.frame.Load(); old != nil && f.Version <= old.Version {
			continue
		}
		w.frame.Store(&f)
		h.met.frames.Inc()
		for r, place := range w.readers {
			r.pend(place)
		}
	}
}

// Run reads and fans out until ctx ends; then the streams end.
func (h *Hub) Run(ctx context.Context) {
	var fans sync.WaitGroup
	for _, f := range h.fans {
		f.open()
		fans.Go(func() { f.run(ctx) })
	}
	h.setClosed(false)
	defer fans.Wait()
	defer h.setClosed(true)
	poll := time.NewTicker(pollTime)
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
		gather := time.NewTimer(gatherTime)
		select {
		case <-ctx.Done():
			gather.Stop()
			return
		case <-gather.C:
		}
	}
}

func (h *Hub) setClosed(v bool) {
	h.mu.Lock()
	h.closed = v
	h.mu.Unlock()
}

// changed are the items that signals named since the last time.
func (h *Hub) changed() map[Tenant][]Item {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := map[Tenant][]Item{}
	for k := range h.dirty {
		out[k.Tenant] = append(out[k.Tenant], k.Item)
	}
	clear(h.dirty)
	return out
}

// behind compares the versions of what is watched with the source: the items whose
// signal got lost.
func (h *Hub) behind(ctx context.Context) map[Tenant][]Item {
	known := map[Tenant]map[Item]int64{}
	n := 0
	h.mu.Lock()
	for k, w := range h.watched {
		f := w.frame.Load()
		if f == nil {
			continue
		}
		if known[k.Tenant] == nil {
			known[k.Tenant] = map[Item]int64{}
		}
		known[k.Tenant][k.Item] = f.Version
		if n++; n == maxPolled {
			break
		}
	}
	h.mu.Unlock()
	out := map[Tenant][]Item{}
	for t, versions := range known {
		for ids := range slices.Chunk(slices.Collect(maps.Keys(versions)), h.ask) {
			now, err := h.versions(ctx, t, ids)
			if err != nil { // the next second tries again
				obs.Log(ctx).Debug("fanout: versions not read", "name", h.met.name)
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

func (h *Hub) versions(ctx context.Context, t Tenant, ids []Item) (map[Item]int64, error) {
	ctx, cancel := context.WithTimeout(ctx, readTime)
	defer cancel()
	return h.source.Versions(ctx, t, ids)
}

func (h *Hub) read(ctx context.Context, due map[Tenant][]Item) {
	for t, all := range due {
		for ids := range slices.Chunk(all, h.ask) {
			begin := clock.Mono()
			c, cancel := context.WithTimeout(ctx, readTime)
			found, err := h.source.Frames(c, t, ids)
			cancel()
			if err != nil { // the poll tries again
				obs.Log(ctx).Debug("fanout: frames not read", "name", h.met.name)
				continue
			}
			h.spread(t, found)
			h.met.reading.Observe(clock.Mono().Sub(begin).Seconds())
		}
	}
}
