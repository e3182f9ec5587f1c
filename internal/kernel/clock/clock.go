// Package clock is the only place that reads the machine's time. Everything else
// gets a Clock; tests, the demo and the simulator move it.
package clock

import (
	"fmt"
	"sync"
	"time"
	_ "time/tzdata" // a village clinic's machine may carry no zone files
)

// Clock tells the time. Implementations are safe for concurrent use.
type Clock interface {
	Now() time.Time
}

// Shanghai is the zone of every civil date and hour in the product.
var Shanghai = func() *time.Location {
	l, err := time.LoadLocation("Asia/Shanghai")
	if err != nil {
		panic(fmt.Sprintf("clock: tzdata is linked in, yet: %v", err))
	}
	return l
}()

// System is the machine's clock in UTC.
type System struct{}

// Now implements Clock.
func (System) Now() time.Time { return time.Now().UTC() }

// Mono is the machine's clock with its monotonic reading, for measuring durations only.
func Mono() time.Time { return time.Now() }

// Shifted runs at the speed of the machine's clock from another instant (--clock).
type Shifted struct{ By time.Duration }

// Now implements Clock.
func (s Shifted) Now() time.Time { return time.Now().UTC().Add(s.By) }

// Manual stands still until told otherwise; for tests and the simulator.
type Manual struct {
	mu sync.Mutex
	t  time.Time
}

// NewManual starts a manual clock at t.
func NewManual(t time.Time) *Manual { return &Manual{t: t.UTC()} }

// Now implements Clock.
func (m *Manual) Now() time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.t
}

// Add moves the clock by d, which may be negative (clock steps are tested).
func (m *Manual) Add(d time.Duration) {
	m.mu.Lock()
	m.t = m.t.Add(d)
	m.mu.Unlock()
}

// Set moves the clock to t.
func (m *Manual) Set(t time.Time) {
	m.mu.Lock()
	m.t = t.UTC()
	m.mu.Unlock()
}

// Parse reads the --clock flag: an RFC 3339 instant (runs on from there) or a
// signed duration such as +36h. Empty is the system clock.
func Parse(s string) (Clock, error) {
	if s == "" {
		return System{}, nil
	}
	if s[0] == '+' || s[0] == '-' {
		d, err := time.ParseDuration(s)
		if err != nil {
			return nil, fmt.Errorf("clock %q: %w", s, err)
		}
		return Shifted{By: d}, nil
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return nil, fmt.Errorf("clock %q: want RFC 3339 or a signed duration: %w", s, err)
	}
	return Shifted{By: time.Until(t)}, nil
}
