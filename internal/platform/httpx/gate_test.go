package httpx

import (
	"context"
	"testing"
	"time"
)

// line waits until n requests wait at the gate.
func line(t *testing.T, g *gate, n int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for {
		if _, _, waiting := g.state(); waiting == n {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("never %d in line", n)
		case <-time.After(time.Millisecond):
		}
	}
}

func TestGateIsFirstComeFirstServed(t *testing.T) {
	g := newGate(1, 1, 3, time.Minute)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	if !g.enter(ctx) {
		t.Fatal("an empty gate refused")
	}
	came := make(chan int, 3)
	for i := range 3 {
		own, stop := context.WithCancel(ctx)
		if i == 1 {
			defer stop()
			ctx1 := own
			go func() {
				if g.enter(ctx1) {
					came <- 1
				} else {
					came <- -1
				}
			}()
			line(t, g, 2)
			stop() // the second gives up
			if got := <-came; got != -1 {
				t.Fatalf("a caller who went is inside: %d", got)
			}
			line(t, g, 1)
			continue
		}
		defer stop()
		go func() {
			if g.enter(own) {
				came <- i
			}
		}()
		line(t, g, min(i+1, 2))
	}
	more := make(chan bool, 2)
	go func() { more <- g.enter(ctx) }()
	line(t, g, 3)
	if g.enter(ctx) {
		t.Error("the line has no end")
	}
	for _, want := range []int{0, 2} {
		g.leave(true)
		if got := <-came; got != want {
			t.Fatalf("%d went in, want %d", got, want)
		}
	}
	g.leave(true)
	if !<-more {
		t.Error("the last was refused")
	}
	g.leave(true)
	if _, inside, waiting := g.state(); inside != 0 || waiting != 0 {
		t.Errorf("%d inside, %d waiting at the end", inside, waiting)
	}
}

// plant is a server in virtual time: how many answers a second come when so many are inside.
type plant func(inside int) (perSecond float64)

// run lets the gate adapt to a plant that is offered more than it can do.
func run(g *gate, p plant, windows int) (limit int) {
	now := g.began
	g.measure = func() time.Time { return now }
	for range windows {
		n := int(p(g.limit) * 0.3)
		n = max(1, n/adaptCount) * adaptCount
		took := time.Duration(float64(n) / p(g.limit) * float64(time.Second))
		g.full = true
		for i := range n {
			if i == n-1 {
				now = now.Add(took)
			}
			g.mu.Lock()
			g.inside++
			g.mu.Unlock()
			g.leave(true)
		}
	}
	return g.limit
}

func TestGateAdapts(t *testing.T) {
	combiner := func(slow float64) plant {
		return func(n int) float64 { return float64(n) / (0.0004 + 0.000016*slow*float64(n)) }
	}
	for _, tc := range []struct {
		name     string
		p        plant
		from, to int
	}{
		{"a combining writer gets all that may be inside", combiner(1), 512, 512},
		{"a slow one keeps the time inside", combiner(100), 110, 220}, // 250 ms / 1.6 ms
		{"one that thrashes beyond 100 is kept near it", func(n int) float64 {
			if n <= 100 {
				return 50 * float64(n)
			}
			return 50 * 100 * 100 / float64(n)
		}, 70, 140},
		{"one that waits for something far away is not starved", func(n int) float64 { return float64(n) / 0.4 }, 400, 512},
	} {
		for _, start := range []int{512, adaptFloor} {
			g := newGate(adaptFloor, 512, 100, time.Second)
			g.limit = start
			if got := run(g, tc.p, 120); got < tc.from || got > tc.to {
				t.Errorf("%s: from %d the limit came to %d, want %d to %d", tc.name, start, got, tc.from, tc.to)
			}
		}
	}
	g := newGate(adaptFloor, 512, 100, time.Second)
	g.limit = 100
	now := g.began
	g.measure = func() time.Time { now = now.Add(10 * time.Millisecond); return now }
	for range 10 * adaptCount {
		if !g.enter(t.Context()) {
			t.Fatal("refused")
		}
		g.leave(true)
	}
	if g.limit != 100 {
		t.Errorf("an idle gate moved to %d", g.limit)
	}
}

// What a class is flooded with changes nothing for another.
func TestClassesWaitApart(t *testing.T) {
	gs := gates(4, 5*time.Millisecond)
	for gs[ClassHold].enter(t.Context()) {
	}
	for gs[ClassWrite].enter(t.Context()) {
	}
	for _, c := range []Class{ClassRead, ClassPay, ClassQueue, ClassMachine} {
		if !gs[c].enter(t.Context()) {
			t.Errorf("%s waits behind holds and writes", c)
		}
	}
	if _, inside, _ := gs[ClassHold].state(); inside != 4 {
		t.Errorf("%d holds inside", inside)
	}
}

func BenchmarkGate(b *testing.B) {
	g := newGate(adaptFloor, 512, 512, time.Second)
	b.ReportAllocs()
	for b.Loop() {
		g.enter(b.Context())
		g.leave(true)
	}
}
