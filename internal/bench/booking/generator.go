package booking

import (
	"context"
	"fmt"
	"net/http"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"xinglin/internal/kernel/clock"
)

// outcome is what became of one request.
type outcome struct {
	status int
	begun  time.Duration // after the segment's begin
	took   time.Duration
}

// segment is one visit of the generator to one server.
type segment struct {
	outcomes []outcome
	wall     time.Duration
	strange  string // the first answer that is neither success nor a refusal
}

const segmentTime = 5 * time.Minute

// visit sends every request once, in their order, over so many connections, each of
// which waits for its answer before it sends the next.
func visit(ctx context.Context, address string, clients int, requests [][]byte) (*segment, error) {
	wires := make([]*wire, clients)
	defer func() {
		for _, w := range wires {
			if w != nil {
				w.close()
			}
		}
	}()
	for i := range wires {
		w, err := dial(address)
		if err != nil {
			return nil, err
		}
		wires[i] = w
		_ = w.conn.SetDeadline(clock.Mono().Add(segmentTime))
	}
	s := &segment{outcomes: make([]outcome, len(requests))}
	var next atomic.Int64
	var failed atomic.Pointer[error]
	var odd sync.Once
	start := make(chan struct{})
	var all sync.WaitGroup
	var begin time.Time
	for _, w := range wires {
		all.Go(func() {
			<-start
			for ctx.Err() == nil && failed.Load() == nil {
				i := int(next.Add(1)) - 1
				if i >= len(requests) {
					return
				}
				t := clock.Mono()
				status, err := w.call(requests[i])
				if err != nil {
					err = fmt.Errorf("request %d: %w", i, err)
					failed.CompareAndSwap(nil, &err)
					return
				}
				s.outcomes[i] = outcome{status, t.Sub(begin), clock.Mono().Sub(t)}
				if status != http.StatusCreated && status != http.StatusConflict {
					odd.Do(func() { s.strange = fmt.Sprintf("%d %s", status, w.body) })
				}
			}
		})
	}
	runtime.GC() // what was made for this segment is not collected within it
	begin = clock.Mono()
	close(start)
	all.Wait()
	s.wall = clock.Mono().Sub(begin)
	if err := failed.Load(); err != nil {
		return s, *err
	}
	return s, ctx.Err()
}

// rate is requests a second.
func (s *segment) rate() float64 { return float64(len(s.outcomes)) / s.wall.Seconds() }

// count is how many answers had the status.
func (s *segment) count(status int) (n int) {
	for _, o := range s.outcomes {
		if o.status == status {
			n++
		}
	}
	return n
}

// millis are the sorted latencies of the answers with the status, of all when it is 0.
func (s *segment) millis(status int) []float64 {
	out := make([]float64, 0, len(s.outcomes))
	for _, o := range s.outcomes {
		if status == 0 || o.status == status {
			out = append(out, float64(o.took.Nanoseconds())/1e6)
		}
	}
	slices.Sort(out)
	return out
}

// lastSold is when the last success was answered, after the begin.
func (s *segment) lastSold() time.Duration {
	var last time.Duration
	for _, o := range s.outcomes {
		if o.status == http.StatusCreated {
			last = max(last, o.begun+o.took)
		}
	}
	return last
}
