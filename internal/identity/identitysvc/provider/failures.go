package provider

import (
	"sync"
	"time"

	"xinglin/internal/kernel/clock"
)

// Refusals that one address may earn a minute at the doors of programs. Beyond, it gets no work and no row in the trail:
// secrets and codes are too long to guess, but guesses would fill the disk.
const (
	maxFailures  = 60
	failureTime  = time.Minute
	maxAddresses = 16384
)

// failures counts refusals by address. It forgets all when there are too many, which is to say forgives.
type failures struct {
	mono func() time.Time
	mu   sync.Mutex
	m    map[string]failed
}

type failed struct {
	n     int
	since time.Time
}

func newFailures() *failures { return &failures{mono: clock.Mono, m: map[string]failed{}} }

// wait is how long the address has to stay away; 0 when it may ask.
func (f *failures) wait(address string) time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	v := f.m[address]
	left := failureTime - f.mono().Sub(v.since)
	if v.n < maxFailures || left <= 0 {
		return 0
	}
	return left
}

// note counts one.
func (f *failures) note(address string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	v, now := f.m[address], f.mono()
	if v.n == 0 || now.Sub(v.since) >= failureTime {
		v = failed{since: now}
		if len(f.m) >= maxAddresses {
			clear(f.m)
		}
	}
	v.n++
	f.m[address] = v
}
