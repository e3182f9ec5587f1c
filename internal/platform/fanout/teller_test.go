package fanout

import (
	"context"
	"errors"
	"sync"
	"testing"

	"xinglin/internal/kernel/clock"
)

// wire carries one teller's messages to another process, or loses them.
type wire struct {
	mu    sync.Mutex
	hear  func(data []byte)
	cut   bool
	sent  int
	named map[Key]int
	gaps  int
}

func (w *wire) send(_ context.Context, data []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sent++
	if w.cut {
		return errors.New("lost")
	}
	w.hear(data)
	return nil
}

func (w *wire) look(f func() bool) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return f()
}

// TestTeller: many changes make few messages, each item is told of, a message that got lost
// is noticed, own messages are not heard, and what is left at the end is told.
func TestTeller(t *testing.T) {
	w := &wire{named: map[Key]int{}}
	here, there := NewTeller(w.send, NewMetrics(nil, "test")), NewTeller(nil, NewMetrics(nil, "test"))
	w.hear = there.Hear(func(k Key) { w.named[k]++ }, func() { w.gaps++ })
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { here.Run(ctx); close(done) }()
	var all []Item
	for range maxNamed + 1 {
		all = append(all, someItem())
	}
	begin := clock.Mono()
	for range 200 {
		here.Add(house, all[0])
	}
	here.Add(house, all...)
	eventually(t, "all of them", func() bool { return w.look(func() bool { return len(w.named) == len(all) }) })
	w.mu.Lock()
	if most := 2*(int(clock.Mono().Sub(begin)/pauseTime)+2) + 4; w.sent > most || w.gaps != 0 {
		t.Errorf("%d messages, at most %d; %d gaps", w.sent, most, w.gaps)
	}
	w.cut = true
	before := w.sent
	w.mu.Unlock()
	late := someItem()
	here.Add(house, late)
	eventually(t, "the lost message", func() bool { return w.look(func() bool { return w.sent > before }) })
	w.mu.Lock()
	w.cut = false
	w.mu.Unlock()
	eventually(t, "the gap", func() bool { return w.look(func() bool { return w.gaps > 0 && w.named[Key{house, late}] == 0 }) })
	deaf := here.Hear(func(Key) { t.Error("an own message was heard") }, func() { t.Error("an own message is missing") })
	w.mu.Lock()
	w.hear = func(data []byte) { deaf(data); w.gaps = -1 }
	w.mu.Unlock()
	here.Add(house, someItem())
	eventually(t, "an own message", func() bool { return w.look(func() bool { return w.gaps == -1 }) })
	w.mu.Lock()
	w.hear = there.Hear(func(k Key) { w.named[k]++ }, func() {})
	w.mu.Unlock()
	last := someItem()
	here.Add(house, last)
	cancel()
	<-done
	if w.named[Key{house, last}] != 1 {
		t.Error("what was left at the end was not told")
	}
}
