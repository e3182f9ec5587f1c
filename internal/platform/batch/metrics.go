package batch

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics of all combiners of a process; a nil one counts nothing.
type Metrics struct {
	size     *prometheus.HistogramVec
	seconds  *prometheus.HistogramVec
	refusals *prometheus.CounterVec
	splits   *prometheus.CounterVec
}

// NewMetrics registers them.
func NewMetrics(reg prometheus.Registerer) (*Metrics, error) {
	m := &Metrics{
		size: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "xinglin_batch_items", Help: "Requests that one transaction combined.", Buckets: prometheus.ExponentialBuckets(1, 2, 10),
		}, []string{"name"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "xinglin_batch_seconds", Help: "Time of a combined transaction with its commit.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, 1, 5},
		}, []string{"name"}),
		refusals: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "xinglin_batch_refused_total", Help: "Requests refused because too many waited, or they waited too long.",
		}, []string{"name"}),
		splits: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "xinglin_batch_splits_total", Help: "Combined transactions that failed as a whole and were split to find the bad item.",
		}, []string{"name"}),
	}
	if reg == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.size, m.seconds, m.refusals, m.splits} {
		if err := reg.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (m *Metrics) ran(name string, items int, took time.Duration) {
	if m != nil {
		m.size.WithLabelValues(name).Observe(float64(items))
		m.seconds.WithLabelValues(name).Observe(took.Seconds())
	}
}

func (m *Metrics) refused(name string) {
	if m != nil {
		m.refusals.WithLabelValues(name).Inc()
	}
}

func (m *Metrics) split(name string) {
	if m != nil {
		m.splits.WithLabelValues(name).Inc()
	}
}
