package booking

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"xinglin/internal/kernel/clock"
)

// A verdict needs a quiet machine: figures that a neighbour disturbed are printed, but
// say nothing about a gate.
const (
	quietLoad   = 0.5
	quietSpread = 1.5
	probes      = 3
	probeTime   = 700 * time.Millisecond
	probeSize   = 8 << 10
	lookAgain   = 5 * time.Second
)

// Quiet is what was seen before the run.
type Quiet struct {
	Quiet  bool      `json:"quiet"`
	Load   float64   `json:"load_1m"`
	Syncs  []float64 `json:"fdatasync_per_s"`
	Waited float64   `json:"waited_s"`
}

// calm decides: a low load and probes that lie together.
func calm(load float64, syncs []float64) bool {
	if load > quietLoad || len(syncs) < probes {
		return false
	}
	return slices.Max(syncs) <= quietSpread*slices.Min(syncs)
}

// String is one line for people.
func (q Quiet) String() string {
	word := "noisy"
	if q.Quiet {
		word = "quiet"
	}
	var s []string
	for _, x := range q.Syncs {
		s = append(s, strconv.FormatFloat(x, 'f', 0, 64))
	}
	return fmt.Sprintf("%s: 1-minute load %.2f (at most %.1f), fdatasync of 8 kB %s/s (within %.1fx)", word, q.Load, quietLoad, strings.Join(s, " "), quietSpread)
}

// settle waits for quiet at most so long.
func settle(ctx context.Context, dir string, most time.Duration) (q Quiet, err error) {
	begin := clock.Mono()
	for {
		q = Quiet{Load: load()}
		if q.Load <= quietLoad || clock.Mono().Sub(begin) >= most {
			for range probes {
				n, err := probe(dir)
				if err != nil {
					return q, err
				}
				q.Syncs = append(q.Syncs, n)
			}
		}
		q.Quiet = calm(q.Load, q.Syncs)
		q.Waited = clock.Mono().Sub(begin).Seconds()
		if q.Quiet || clock.Mono().Sub(begin) >= most {
			return q, nil
		}
		select {
		case <-ctx.Done():
			return q, ctx.Err()
		case <-time.After(min(lookAgain, most)):
		}
	}
}

// load is the 1-minute load; a system that does not tell it is never quiet.
func load() float64 {
	b, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return 99
	}
	first, _, _ := strings.Cut(string(b), " ")
	v, err := strconv.ParseFloat(first, 64)
	if err != nil {
		return 99
	}
	return v
}

// probe counts synced writes of 8 kB a second, one after the other.
func probe(dir string) (perSecond float64, err error) {
	f, err := os.Create(filepath.Join(dir, "probe"))
	if err != nil {
		return 0, err
	}
	defer func() {
		_ = f.Close()
		_ = os.Remove(f.Name())
	}()
	block := make([]byte, probeSize)
	n := 0
	begin := clock.Mono()
	for clock.Mono().Sub(begin) < probeTime {
		if _, err := f.WriteAt(block, int64(n%1024)*probeSize); err != nil {
			return 0, err
		}
		if err := fdatasync(f); err != nil {
			return 0, err
		}
		n++
	}
	return float64(n) / clock.Mono().Sub(begin).Seconds(), nil
}
