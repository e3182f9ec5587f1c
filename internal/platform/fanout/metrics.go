package fanout

import "github.com/prometheus/client_golang/prometheus"

// Metrics count one fan-out of a process.
type Metrics struct {
	name    string
	streams prometheus.Gauge
	frames  prometheus.Counter
	writes  prometheus.Counter
	dropped prometheus.Counter
	signals prometheus.Counter
	reading prometheus.Histogram
}

// NewMetrics registers them as xinglin_NAME_...; a nil registerer takes none. It panics
// when the name is registered already.
func NewMetrics(reg prometheus.Registerer, name string) *Metrics {
	counter := func(what, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "xinglin_" + name + "_" + what, Help: help})
	}
	m := &Metrics{
		name:    name,
		streams: prometheus.NewGauge(prometheus.GaugeOpts{Name: "xinglin_" + name + "_streams", Help: "Open streams."}),
		frames:  counter("frames_total", "Changed items that were written out for all of their readers."),
		writes:  counter("writes_total", "Writes to readers."),
		dropped: counter("dropped_total", "Readers dropped because they took nothing."),
		signals: counter("signals_total", "Messages to other processes about changed items."),
		reading: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "xinglin_" + name + "_read_seconds", Help: "Time to read changed items and hand them on.", Buckets: prometheus.ExponentialBuckets(.001, 2, 10),
		}),
	}
	if reg != nil {
		reg.MustRegister(m.streams, m.frames, m.writes, m.dropped, m.signals, m.reading)
	}
	return m
}
