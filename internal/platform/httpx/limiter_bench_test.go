package httpx

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/failsafe-go/failsafe-go/adaptivelimiter"

	"xinglin/internal/kernel/clock"
)

// limited runs a piece of work when there is a place.
type limited interface {
	do(ctx context.Context, work func()) (done bool)
	limitNow() int
}

type ours struct{ g *gate }

func (o ours) do(ctx context.Context, work func()) bool {
	if !o.g.enter(ctx) {
		return false
	}
	work()
	o.g.leave(true)
	return true
}

func (o ours) limitNow() int { n, _, _ := o.g.state(); return n }

// theirs is failsafe-go's limiter as its documentation sets it up, with our bounds.
type theirs struct {
	l adaptivelimiter.AdaptiveLimiter[any]
}

func (o theirs) do(ctx context.Context, work func()) bool {
	p, err := o.l.AcquirePermitWithMaxWait(ctx, time.Minute)
	if err != nil {
		return false
	}
	work()
	p.Record()
	return true
}

func (o theirs) limitNow() int { return o.l.Limit() }

// combinerPlant is a writer that takes what waits, at most 512, and needs 0.4 ms and 16 us a
// request, as PERF.md measured the product's.
type combinerPlant struct {
	mu      sync.Mutex
	waiting []chan struct{}
	wake    chan struct{}
	rows    time.Duration
	thrash  bool // beyond 100 a batch each costs more, as with row locks
}

func (c *combinerPlant) work() {
	done := make(chan struct{})
	c.mu.Lock()
	c.waiting = append(c.waiting, done)
	c.mu.Unlock()
	select {
	case c.wake <- struct{}{}:
	default:
	}
	<-done
}

func (c *combinerPlant) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.wake:
		}
		for {
			c.mu.Lock()
			n := min(512, len(c.waiting))
			batch := c.waiting[:n:n]
			c.waiting = c.waiting[n:]
			c.mu.Unlock()
			if n == 0 {
				break
			}
			each := c.rows
			if c.thrash && n > 100 {
				each = each * time.Duration(n) / 100
			}
			t := time.NewTimer(400*time.Microsecond + time.Duration(n)*each)
			<-t.C
			for _, done := range batch {
				close(done)
			}
		}
	}
}

// BenchmarkLimiters: 1,024 callers at a combining writer, quick, ten times slower and one
// that thrashes, behind no adaption, ours and failsafe-go's. It decides docs/adr/0014-admission.md.
func BenchmarkLimiters(b *testing.B) {
	for plant, made := range map[string]*combinerPlant{
		"quick": {rows: 16 * time.Microsecond}, "slow": {rows: 160 * time.Microsecond}, "thrashing": {rows: 160 * time.Microsecond, thrash: true},
	} {
		for name, l := range map[string]limited{
			"fixed512": ours{newGate(512, 512, 2048, time.Minute)},
			"ours":     ours{newGate(adaptFloor, 512, 2048, time.Minute)},
			"failsafe": theirs{adaptivelimiter.NewBuilder[any]().WithLimits(adaptFloor, 512, 512).WithQueueing(4, 4).Build()},
		} {
			b.Run(plant+"/"+name, func(b *testing.B) {
				ctx, cancel := context.WithCancel(b.Context())
				defer cancel()
				p := &combinerPlant{wake: make(chan struct{}, 1), rows: made.rows, thrash: made.thrash}
				go p.run(ctx)
				next := make(chan struct{}, b.N)
				for range b.N {
					next <- struct{}{}
				}
				close(next)
				var good atomic.Int64
				begin := clock.Mono()
				var all sync.WaitGroup
				for range 1024 {
					all.Go(func() {
						for range next {
							if l.do(ctx, p.work) {
								good.Add(1)
							}
						}
					})
				}
				all.Wait()
				b.ReportMetric(float64(good.Load())/clock.Mono().Sub(begin).Seconds(), "goodput/s")
				b.ReportMetric(float64(l.limitNow()), "limit")
				b.ReportMetric(100*(1-float64(good.Load())/float64(b.N)), "%refused")
			})
		}
	}
}
