package fanout

import (
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"sync"
	"time"

	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/obs"
)

const (
	signalPause = 20 * time.Millisecond // between two messages of a process
	maxNamed    = 500                   // items in one message
	signalTime  = time.Second           // a message that is not out by then is lost
	maxOrigins  = 256                   // processes that are remembered
)

// signal says what changed. Messages of a process are numbered; one without items only
// tells the number of the last, so that a loss shows within a second.
type signal struct {
	Origin string `json:"o"`
	Number uint64 `json:"n"`
	Tenant Tenant `json:"t"`
	Items  []Item `json:"s,omitempty"`
}

// Teller gathers what this process has to signal: each item at most 4 times a second,
// many in one message, however many changes there are.
type Teller struct {
	send   func(ctx context.Context, data []byte) error
	origin string
	wake   chan struct{}
	met    *Metrics

	mu  sync.Mutex
	due map[Key]bool

	sent   map[Key]time.Time // of the loop
	number uint64
}

// NewTeller makes a teller whose messages go out by send, which has a second for each and
// may fail: the others find what was not told. Run sends.
func NewTeller(send func(ctx context.Context, data []byte) error, met *Metrics) *Teller {
	return &Teller{send: send, origin: id.Random[id.Any]().String(), wake: make(chan struct{}, 1), met: met, due: map[Key]bool{}, sent: map[Key]time.Time{}}
}

// Add notes changed items. It never waits.
func (n *Teller) Add(t Tenant, items ...Item) {
	n.mu.Lock()
	for _, v := range items {
		n.due[Key{t, v}] = true
	}
	n.mu.Unlock()
	nudge(n.wake)
}

// Run sends until ctx ends, and then what is left.
func (n *Teller) Run(ctx context.Context) {
	beat := time.NewTicker(pollTime)
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
		n.tell(ctx, n.take(clock.Mono(), pauseTime))
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

// take gives the items that were not told of within the pause.
func (n *Teller) take(now time.Time, pause time.Duration) map[Tenant][]Item {
	for k, at := range n.sent {
		if now.Sub(at) >= pause {
			delete(n.sent, k)
		}
	}
	out := map[Tenant][]Item{}
	n.mu.Lock()
	defer n.mu.Unlock()
	for k := range n.due {
		if _, soon := n.sent[k]; soon {
			continue
		}
		delete(n.due, k)
		n.sent[k] = now
		out[k.Tenant] = append(out[k.Tenant], k.Item)
	}
	return out
}

func (n *Teller) tell(ctx context.Context, due map[Tenant][]Item) {
	for t, all := range due {
		for ids := range slices.Chunk(all, maxNamed) {
			n.number++
			n.out(ctx, signal{n.origin, n.number, t, ids})
		}
	}
}

// out sends a message; what fails is only noted.
func (n *Teller) out(ctx context.Context, v signal) {
	data, err := json.Marshal(v)
	if err == nil {
		ctx, cancel := context.WithTimeout(ctx, signalTime)
		defer cancel()
		err = n.send(ctx, data)
		n.met.signals.Inc()
	}
	if err != nil {
		obs.Log(ctx).Debug("fanout: a signal was not sent", "name", n.met.name, "number", strconv.FormatUint(v.Number, 10))
	}
}

// Hear makes what takes the messages of the other processes, one after the other: touch
// gets each item that one names, lost is called when messages of a process are missing.
func (n *Teller) Hear(touch func(Key), lost func()) func(data []byte) {
	from := newOrigins()
	return func(data []byte) {
		var v signal
		if json.Unmarshal(data, &v) != nil || v.Origin == n.origin {
			return
		}
		if from.lost(v) {
			lost()
		}
		for _, item := range v.Items {
			touch(Key{v.Tenant, item})
		}
	}
}

// origins remembers the last number of each process.
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
	if len(v.Items) == 0 {
		next = last
	}
	return known && v.Number != next
}
