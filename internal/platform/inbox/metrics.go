package inbox

import "github.com/prometheus/client_golang/prometheus"

// Metrics of all consumers of a process.
type Metrics struct {
	handled, splits *prometheus.CounterVec
	size            *prometheus.HistogramVec
}

// NewMetrics registers the consumers' metrics.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	m := &Metrics{
		handled: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "xinglin_inbox_messages_total",
			Help: "Deliveries by outcome: done, repeat, retry, dead.",
		}, []string{"context", "kind", "outcome"}),
		splits: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "xinglin_inbox_splits_total",
			Help: "Transactions with several messages that failed, so that each message was tried alone.",
		}, []string{"context"}),
		size: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "xinglin_inbox_batch_messages",
			Help:    "Messages of one transaction, where several shared it.",
			Buckets: []float64{2, 4, 8, 16, 32, atOnce},
		}, []string{"context"}),
	}
	reg.MustRegister(m.handled, m.splits, m.size)
	return m
}

func (m *Metrics) count(context, kind, outcome string) {
	if m != nil {
		m.handled.WithLabelValues(context, kind, outcome).Inc()
	}
}

func (m *Metrics) split(context string) {
	if m != nil {
		m.splits.WithLabelValues(context).Inc()
	}
}

func (m *Metrics) together(context string, messages int) {
	if m != nil {
		m.size.WithLabelValues(context).Observe(float64(messages))
	}
}
