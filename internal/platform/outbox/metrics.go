package outbox

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"xinglin/internal/platform/bus"
	"xinglin/internal/platform/db"
)

// Metrics of all relays of a process.
type Metrics struct {
	published, reopened, alone, repaired *prometheus.CounterVec
	waiting, age                         *prometheus.GaugeVec
	rows, lag                            *prometheus.HistogramVec
}

// NewMetrics registers the relays' metrics.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	c := []string{"context"}
	counter := func(name, help string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, c)
	}
	m := &Metrics{
		published: counter("xinglin_outbox_published_total", "Messages that the broker acknowledged."),
		reopened:  counter("xinglin_outbox_reopened_total", "Rows published again because the broker lost them."),
		alone:     counter("xinglin_outbox_alone_total", "Messages published one by one: only one waited, or the broker refused the batch or takes none."),
		repaired:  counter("xinglin_outbox_repaired_total", "Rows that the broker held already: a relay ended, or its claim ran out, between publishing and marking them."),
		waiting:   prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "xinglin_outbox_waiting", Help: "Rows not yet published."}, c),
		age:       prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "xinglin_outbox_oldest_seconds", Help: "Age of the oldest row not yet published."}, c),
		rows: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "xinglin_outbox_batch_rows", Help: "Rows that one round with the broker published.", Buckets: []float64{1, 4, 16, 64, 256, claimRows},
		}, c),
		lag: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "xinglin_outbox_lag_seconds", Help: "From a row's transaction to its mark: how late others hear a fact at least.",
			Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 5, 30, 300},
		}, c),
	}
	reg.MustRegister(m.published, m.reopened, m.alone, m.repaired, m.waiting, m.age, m.rows, m.lag)
	return m
}

// sent counts one round: the first len(acks) of rows are marked now.
func (m *Metrics) sent(context string, now time.Time, rows []row, acks []bus.Ack) {
	if m == nil || len(acks) == 0 {
		return
	}
	alone, repaired := 0, 0
	lag := m.lag.WithLabelValues(context)
	for i, a := range acks {
		lag.Observe(max(now.Sub(db.Time(rows[i].at)), 0).Seconds())
		if !a.Batched {
			alone++
		}
		if a.Duplicate {
			repaired++
		}
	}
	m.published.WithLabelValues(context).Add(float64(len(acks)))
	m.rows.WithLabelValues(context).Observe(float64(len(acks)))
	m.alone.WithLabelValues(context).Add(float64(alone))
	m.repaired.WithLabelValues(context).Add(float64(repaired))
}
