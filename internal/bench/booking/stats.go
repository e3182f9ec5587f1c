package booking

import (
	"math"
	"slices"
)

// Spread is a figure over rounds.
type Spread struct {
	Median float64 `json:"median"`
	Low    float64 `json:"lower_quartile"`
	High   float64 `json:"upper_quartile"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
	N      int     `json:"rounds"`
}

// spread of measurements; the zero Spread without any.
func spread(xs []float64) Spread {
	if len(xs) == 0 {
		return Spread{}
	}
	s := slices.Sorted(slices.Values(xs))
	return Spread{
		Median: quantile(s, 0.5), Low: quantile(s, 0.25), High: quantile(s, 0.75),
		Min: s[0], Max: s[len(s)-1], N: len(s),
	}
}

// quantile of sorted values, between two of them by their distance; 0 without values.
func quantile(sorted []float64, q float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	at := q * float64(len(sorted)-1)
	i := int(math.Floor(at))
	if i+1 >= len(sorted) {
		return sorted[len(sorted)-1]
	}
	part := at - float64(i)
	return sorted[i]*(1-part) + sorted[i+1]*part
}

// nearest is the value at or above the quantile: for latencies, where a value between
// two measured ones was never seen.
func nearest(sorted []float64, q float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	i := int(math.Ceil(q*float64(len(sorted)))) - 1
	return sorted[min(max(i, 0), len(sorted)-1)]
}

// perRound divides two series round by round, as long as both have one.
func perRound(above, below []float64) []float64 {
	var out []float64
	for i := range min(len(above), len(below)) {
		if below[i] > 0 {
			out = append(out, above[i]/below[i])
		}
	}
	return out
}

// afterFirst drops the first round: it fills caches.
func afterFirst(xs []float64) []float64 {
	if len(xs) < 2 {
		return xs
	}
	return xs[1:]
}
