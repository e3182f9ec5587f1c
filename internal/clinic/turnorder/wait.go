package turnorder

import (
	"math"
	"slices"
	"time"
)

// Pace is what is known about how long people of a session take.
type Pace struct {
	Visits []time.Duration // from the call to the end of the last visits of today
	Slot   time.Duration   // what the plan gives one person
}

// Bounds of a pace.
const (
	enough  = 3 // visits that say more than the plan
	MaxPace = 20
	minimum = 30 * time.Second // a visit that a press too much ended says nothing
	longest = 2 * time.Hour    // nor does one that nobody ended
)

// Ahead is what happens before a person's call.
type Ahead struct {
	People  int           // who wait and are called before
	Busy    bool          // somebody is in the room
	Elapsed time.Duration // since when
}

// Wait is an honest range of the time until the call: by the median of the session's
// own pace, and so that four of five such waits are over by its end. It is never
// negative, from is not above to, and both grow with the people ahead.
func Wait(p Pace, a Ahead) (from, to time.Duration) {
	one := p.stats()
	n := float64(max(a.People, 0))
	from = time.Duration(n * one.median)
	// The sum of n visits, whose mean is itself only known from k of them.
	spread := one.spread * math.Sqrt(n+n*n/one.k)
	upper := n*one.mean + spread
	if a.Busy {
		e := float64(max(a.Elapsed, 0))
		from += time.Duration(max(one.median-e, 0))
		// Who takes longer than most will take some more; nobody knows how long.
		rest := max(one.high-e, one.median/2)
		upper = n*one.mean + max(one.mean-e, one.median/4) + math.Hypot(spread, max(rest-max(one.mean-e, one.median/4), 0))
	} else {
		upper += one.median / 2 // until the doctor presses the key
	}
	return from, max(from, time.Duration(upper))
}

// stats are in nanoseconds.
type stats struct {
	median, mean, high, spread, k float64
}

func (p Pace) stats() stats {
	var v []float64
	for _, d := range p.Visits {
		if d >= minimum && d <= longest {
			v = append(v, float64(d))
		}
	}
	if len(v) > MaxPace {
		v = v[:MaxPace]
	}
	if len(v) < enough {
		slot := float64(max(p.Slot, time.Minute))
		return stats{median: slot, mean: slot, high: 1.5 * slot, spread: 0.5 * slot, k: enough}
	}
	slices.Sort(v)
	s := stats{median: quantile(v, 0.5), high: quantile(v, 0.8), k: float64(len(v))}
	for _, x := range v {
		s.mean += x / s.k
	}
	var sq float64
	for _, x := range v {
		sq += (x - s.mean) * (x - s.mean)
	}
	// 0.84 standard deviations are the 80th percentile of a sum; the sample's own when it says more.
	s.spread = max(0.84*math.Sqrt(sq/(s.k-1)), s.high-s.mean, 0.1*s.mean)
	s.high = max(s.high, s.mean+0.1*s.mean)
	return s
}

// quantile interpolates in sorted values.
func quantile(v []float64, q float64) float64 {
	at := q * float64(len(v)-1)
	i := int(at)
	if i+1 >= len(v) {
		return v[len(v)-1]
	}
	return v[i] + (at-float64(i))*(v[i+1]-v[i])
}
