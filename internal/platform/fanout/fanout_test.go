package fanout

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/id"
)

// numbers are items whose state is their version.
type numbers struct {
	mu    sync.Mutex
	now   map[Item]int64
	asked int // questions for frames
	most  int // items in one
}

func (n *numbers) set(v Item, to int64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.now[v] = to
}

func (n *numbers) Frames(_ context.Context, _ Tenant, ids []Item) (out []Frame, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.asked++
	n.most = max(n.most, len(ids))
	for _, v := range ids {
		if x, ok := n.now[v]; ok {
			out = append(out, Frame{Item: v, Version: x, Event: []byte("event: number\n" + shown(v, x) + "\n\n")})
		}
	}
	return out, nil
}

func (n *numbers) Versions(_ context.Context, _ Tenant, ids []Item) (map[Item]int64, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	out := map[Item]int64{}
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
func alone(t *testing.T, n *numbers) *Hub {
	t.Helper()
	h := NewHub(n, 512, NewMetrics(nil, "test"))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { h.Run(ctx); close(done) }()
	t.Cleanup(func() { cancel(); <-done })
	return h
}

func (n *numbers) reader(t *testing.T, h *Hub, l Line, known []int64, ids ...Item) *Reader {
	t.Helper()
	r, err := h.Watch(house, ids)
	if err != nil {
		t.Fatal(err)
	}
	if ok, err := r.Look(context.Background()); !ok || err != nil {
		t.Fatal(ok, err)
	}
	r.Begin(l, known)
	return r
}

// house is the tenant of the tests.
var house = id.Random[auth.Tenant]()

func someItem() Item { return id.Random[id.Any]() }

// shown is what a reader gets of an item.
func shown(v Item, n int64) string { return fmt.Sprintf("data: %s is %d;", v, n) }

// TestBurst: however fast an item changes, a reader gets at most 4 writes a second, and
// always the last value.
func TestBurst(t *testing.T) {
	v := someItem()
	n := &numbers{now: map[Item]int64{v: 1}}
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
		h.Touch(Key{house, v})
	}
	eventually(t, "the last value", func() bool { return strings.Contains(l.all(), shown(v, last)) })
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.at) < 4 {
		t.Errorf("%d writes in more than a second", len(l.at))
	}
	for i := writeRate; i < len(l.at); i++ {
		if d := l.at[i].Sub(l.at[i-writeRate]); d < time.Second-5*time.Millisecond {
			t.Errorf("%d writes within %v", writeRate+1, d)
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if took := clock.Mono().Sub(begin); n.asked > int(took/gatherTime)+5 {
		t.Errorf("%d reads for %d changes in %v", n.asked, last, took)
	}
}

// TestManyItems: changes of 500 items are read in one question, and without a
// signal within the poll.
func TestManyItems(t *testing.T) {
	n := &numbers{now: map[Item]int64{}}
	h := alone(t, n)
	var all []Item
	l := newTape()
	for range 10 {
		var ids []Item
		for range 50 {
			v := someItem()
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
			if !strings.Contains(text, shown(v, 2)) {
				return false
			}
		}
		return true
	})
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.asked != 1 || n.most != 500 {
		t.Errorf("%d questions, at most %d items in one", n.asked, n.most)
	}
}

// TestResume: the id of the last event says what the reader has of each item.
func TestResume(t *testing.T) {
	a, b := someItem(), someItem()
	n := &numbers{now: map[Item]int64{a: 7, b: 40}}
	h := alone(t, n)
	l := newTape()
	first := n.reader(t, h, l, nil, a, b)
	eventually(t, "both", func() bool { return strings.Contains(l.all(), shown(a, 7)) && strings.Contains(l.all(), shown(b, 40)) })
	text := l.all()
	if strings.Count(text, "id: ") != 1 || !strings.Contains(text, "id: 7.14\n") {
		t.Fatal(text)
	}
	first.Close()
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
			r := n.reader(t, h, l, Positions(x.id, 2), a, b)
			defer r.Close()
			eventually(t, "b", func() bool { return strings.Contains(l.all(), shown(b, 41)) })
			if got := strings.Contains(l.all(), shown(a, 7)); got != x.a {
				t.Errorf("a sent: %v", got)
			}
		})
	}
}

// TestSlowReader: who takes nothing is dropped, keeps nothing, and holds up nobody.
func TestSlowReader(t *testing.T) {
	v := someItem()
	n := &numbers{now: map[Item]int64{v: 1}}
	h := NewHub(n, 512, NewMetrics(nil, "test"))
	for _, f := range h.fans {
		f.slow = 400 * time.Millisecond
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { h.Run(ctx); close(done) }()
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
		h.Touch(Key{house, v})
		eventually(t, "the good reader's frame", func() bool { return strings.Contains(good.all(), shown(v, i)) })
	}
	for _, l := range jams {
		<-l.closed
		if l.given != 1 {
			t.Errorf("%d writes were given to a reader that takes one", l.given)
		}
	}
	h.mu.Lock()
	if h.streams != 1 || len(h.watched[Key{house, v}].readers) != 1 {
		t.Errorf("%d streams are left", h.streams)
	}
	h.mu.Unlock()
	cancel()
	<-done
	<-good.closed // ends with the process
	if _, err := h.Watch(house, []Item{v}); err == nil {
		t.Error("a stream began after the end")
	}
}
