package batch_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"xinglin/internal/kernel/fault"
	"xinglin/internal/platform/batch"
)

type results = []batch.Result[int]

// held is a work that waits for its gate, so that a test decides what waits together.
type held struct {
	gate  chan struct{}
	begun atomic.Int64
	mu    sync.Mutex
	sizes []int
	owner []string
}

func newHeld() *held { return &held{gate: make(chan struct{}, 1000)} }

func (h *held) double(ctx context.Context, scope string, ins []int) (results, error) {
	h.begun.Add(1)
	select {
	case <-h.gate:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	h.mu.Lock()
	h.sizes, h.owner = append(h.sizes, len(ins)), append(h.owner, scope)
	h.mu.Unlock()
	out := make(results, len(ins))
	for i, v := range ins {
		out[i].Out = 2 * v
	}
	return out, nil
}

// until waits for a condition with an end.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	end := time.After(10 * time.Second)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-end:
			t.Fatalf("not within 10 s: %s", what)
		case <-tick.C:
		}
	}
}

func TestCombinesWhatWaits(t *testing.T) {
	h := newHeld()
	c := batch.New(batch.Options{Name: "t", Writers: 1, Max: 64}, h.double)
	defer c.Close()
	const n = 100
	var got sync.WaitGroup
	var wrong atomic.Int64
	ask := func(v int) {
		if out, err := c.Do(t.Context(), "a", 0, v); err != nil || out != 2*v {
			wrong.Add(1)
		}
	}
	got.Go(func() { ask(0) })
	until(t, "the first is inside", func() bool { return h.begun.Load() == 1 })
	for v := 1; v <= n; v++ {
		got.Go(func() { ask(v) })
	}
	until(t, "the others wait", func() bool { return c.Waiting() == n })
	for range 3 {
		h.gate <- struct{}{}
	}
	got.Wait()
	if wrong.Load() != 0 || fmt.Sprint(h.sizes) != "[1 64 36]" {
		t.Fatalf("%d wrong, batches %v", wrong.Load(), h.sizes)
	}
}

func TestScopesTakeTurns(t *testing.T) {
	h := newHeld()
	c := batch.New(batch.Options{Name: "t", Writers: 1, Max: 10}, h.double)
	defer c.Close()
	var got sync.WaitGroup
	ask := func(scope string) { got.Go(func() { _, _ = c.Do(t.Context(), scope, 0, 1) }) }
	ask("first")
	until(t, "the first is inside", func() bool { return h.begun.Load() == 1 })
	for range 30 {
		ask("big")
	}
	until(t, "30 wait", func() bool { return c.Waiting() >= 30 })
	ask("small")
	until(t, "31 wait", func() bool { return c.Waiting() >= 31 })
	for range 6 {
		h.gate <- struct{}{}
	}
	got.Wait()
	small := 0
	for i, s := range h.owner {
		if s == "small" {
			small = i
		}
	}
	if small > 3 {
		t.Fatalf("the small tenant came as number %d: %v", small, h.owner)
	}
}

func TestBoundedQueue(t *testing.T) {
	h := newHeld()
	c := batch.New(batch.Options{Name: "t", Writers: 1, Queue: 5}, h.double)
	defer c.Close()
	var got sync.WaitGroup
	got.Go(func() { _, _ = c.Do(t.Context(), "a", 0, 1) })
	until(t, "inside", func() bool { return h.begun.Load() == 1 })
	var busy atomic.Int64
	for range 20 {
		got.Go(func() {
			_, err := c.Do(t.Context(), "a", 0, 1)
			if f := fault.Of(err); f != nil && f.Code == batch.ErrBusy && f.RetryAfter > 0 {
				busy.Add(1)
			}
		})
	}
	until(t, "refusals", func() bool { return busy.Load() >= 14 })
	for range 10 {
		h.gate <- struct{}{}
	}
	got.Wait()
}

// TestClientLeaves: the item of a client that went still runs, and the others' too.
func TestClientLeaves(t *testing.T) {
	h := newHeld()
	c := batch.New(batch.Options{Name: "t", Writers: 1}, h.double)
	ctx, cancel := context.WithCancel(t.Context())
	var got sync.WaitGroup
	got.Go(func() {
		if _, err := c.Do(ctx, "a", 0, 1); fault.Of(err) == nil || fault.Of(err).Code != batch.ErrUnknown {
			t.Errorf("%v", err)
		}
	})
	until(t, "inside", func() bool { return h.begun.Load() == 1 })
	cancel()
	got.Wait()
	h.gate <- struct{}{}
	c.Close()
	if len(h.sizes) != 1 {
		t.Fatal("the item did not run")
	}
	if _, err := c.Do(t.Context(), "a", 0, 1); fault.KindOf(err) != fault.Unavailable {
		t.Fatalf("after Close: %v", err)
	}
}

// TestSplit finds the one bad item; the others succeed.
func TestSplit(t *testing.T) {
	bad := errors.New("bad")
	gate, open := make(chan struct{}), sync.Once{}
	release := func() { open.Do(func() { close(gate) }) }
	var begun atomic.Bool
	c := batch.New(batch.Options{Name: "t", Writers: 1}, func(_ context.Context, _ string, ins []int) (results, error) {
		begun.Store(true)
		<-gate
		out := make(results, len(ins))
		for i, v := range ins {
			if v == 13 {
				return nil, bad
			}
			if v == 14 {
				panic("a programming error")
			}
			out[i].Out = v
		}
		return out, nil
	})
	defer c.Close()
	defer release() // before Close, which waits for the writers
	var got sync.WaitGroup
	var good, failed atomic.Int64
	for v := range 50 {
		if v == 1 {
			until(t, "the first is inside alone", begun.Load)
		}
		got.Go(func() {
			out, err := c.Do(t.Context(), "a", 0, v)
			switch {
			case v == 13 && errors.Is(err, bad), v == 14 && err != nil:
				failed.Add(1)
			case err == nil && out == v:
				good.Add(1)
			}
		})
	}
	until(t, "49 wait behind the first", func() bool { return c.Waiting() == 49 })
	release()
	got.Wait()
	if good.Load() != 48 || failed.Load() != 2 {
		t.Fatalf("%d good, %d failed", good.Load(), failed.Load())
	}
}

// TestLostConnection: a transaction whose outcome is unknown is repeated; an item that says
// Again comes once more, and both end.
func TestLostConnection(t *testing.T) {
	lost := fault.Register(fault.Unavailable, "batchtest.lost", "断", "lost")
	var calls atomic.Int64
	c := batch.New(batch.Options{Name: "t", Writers: 1, Tries: 3}, func(_ context.Context, _ string, ins []int) (results, error) {
		n := calls.Add(1)
		switch {
		case ins[0] == 1 && n < 3:
			return nil, lost.New()
		case ins[0] == 2:
			return results{{Err: batch.ErrAgain}}, nil
		case ins[0] == 3:
			return nil, lost.New()
		}
		return results{{Out: int(n)}}, nil
	})
	defer c.Close()
	if out, err := c.Do(t.Context(), "a", 0, 1); err != nil || out != 3 {
		t.Fatalf("%d, %v", out, err)
	}
	if _, err := c.Do(t.Context(), "a", 0, 2); fault.Of(err) == nil || fault.Of(err).Code != batch.ErrBusy {
		t.Fatalf("again for ever: %v", err)
	}
	if _, err := c.Do(t.Context(), "a", 0, 3); fault.Of(err) == nil || fault.Of(err).Code != lost {
		t.Fatalf("lost for ever: %v", err)
	}
}

// TestLostForLong: no try begins when the time of one is over, however many are left.
func TestLostForLong(t *testing.T) {
	lost := fault.Register(fault.Unavailable, "batchtest.lost_long", "断", "lost")
	var calls atomic.Int64
	c := batch.New(batch.Options{Name: "t", Writers: 1, Tries: 1000, Time: 20 * time.Millisecond}, func(context.Context, string, []int) (results, error) {
		calls.Add(1)
		return nil, lost.New()
	})
	defer c.Close()
	if _, err := c.Do(t.Context(), "a", 0, 1); fault.Of(err) == nil || fault.Of(err).Code != lost {
		t.Fatal(err)
	}
	if n := calls.Load(); n > 6 { // pauses of 1, 8 and 64 ms
		t.Fatalf("%d tries", n)
	}
}

// TestWaitedTooLong: what waited longer than its time is refused without being begun.
func TestWaitedTooLong(t *testing.T) {
	h := newHeld()
	c := batch.New(batch.Options{Name: "t", Writers: 1, Wait: time.Nanosecond}, h.double)
	defer c.Close()
	h.gate <- struct{}{}
	if _, err := c.Do(t.Context(), "a", 0, 1); fault.KindOf(err) != fault.Unavailable || len(h.sizes) != 0 {
		t.Fatalf("%v, %v", err, h.sizes)
	}
}

func BenchmarkDo(b *testing.B) {
	c := batch.New(batch.Options{Name: "t", Writers: 2}, func(_ context.Context, _ int, ins []int) (results, error) {
		return make(results, len(ins)), nil
	})
	defer c.Close()
	b.SetParallelism(128)
	var n atomic.Uint64
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := c.Do(context.Background(), 1, n.Add(1), 1); err != nil {
				b.Error(err)
			}
		}
	})
}

// TestBound: places are taken and given back from many goroutines, never more than there are.
func TestBound(t *testing.T) {
	t.Parallel()
	b := &batch.Bound{Name: "x", Most: 3}
	var inside, most, refused atomic.Int64
	var all sync.WaitGroup
	for range 64 {
		all.Go(func() {
			for range 500 {
				if err := b.Enter(); err != nil {
					if !errors.Is(err, batch.ErrBusy) {
						t.Error(err)
					}
					refused.Add(1)
					continue
				}
				n := inside.Add(1)
				for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
				}
				runtime.Gosched()
				inside.Add(-1)
				b.Leave()
			}
		})
	}
	all.Wait()
	if most.Load() > 3 || refused.Load() == 0 {
		t.Errorf("%d inside of 3, %d refused", most.Load(), refused.Load())
	}
	for range 3 {
		if err := b.Enter(); err != nil {
			t.Fatal("a place was not given back")
		}
	}
	if b.Enter() == nil {
		t.Error("a fourth place of three")
	}
}
