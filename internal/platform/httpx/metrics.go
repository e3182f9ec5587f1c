package httpx

import (
	"maps"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the door's. What every request counts is looked up once an operation.
type metrics struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	refused  *prometheus.CounterVec
}

func newMetrics(reg prometheus.Registerer, gates map[Class]*gate) (*metrics, error) {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "xinglin_http_requests_total", Help: "Requests by operation and status.",
		}, []string{"op", "status"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "xinglin_http_request_seconds", Help: "Time of requests by operation.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}, []string{"op"}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "xinglin_http_refused_total", Help: "Requests refused before their work, by class and by what refused them: gate, address, account.",
		}, []string{"class", "by"}),
	}
	if reg == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.requests, m.seconds, m.refused, gauges{gates}} {
		if err := reg.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (m *metrics) shed(c Class, by string) { m.refused.WithLabelValues(string(c), by).Inc() }

// seen counts one operation.
type seen struct {
	op       string
	vec      *prometheus.CounterVec
	seconds  prometheus.Observer
	mu       sync.Mutex
	byStatus atomic.Pointer[map[int]prometheus.Counter]
}

func (m *metrics) of(op *Op) *seen {
	s := &seen{op: op.ID, vec: m.requests, seconds: m.seconds.WithLabelValues(op.ID)}
	s.byStatus.Store(&map[int]prometheus.Counter{})
	return s
}

func (s *seen) count(status int) {
	c, ok := (*s.byStatus.Load())[status]
	if !ok {
		s.mu.Lock()
		more := maps.Clone(*s.byStatus.Load())
		c = s.vec.WithLabelValues(s.op, strconv.Itoa(status))
		more[status] = c
		s.byStatus.Store(&more)
		s.mu.Unlock()
	}
	c.Inc()
}

// gauges show the gates when somebody looks.
type gauges struct{ gates map[Class]*gate }

var (
	limitDesc   = prometheus.NewDesc("xinglin_http_gate_limit", "Requests that may be inside, by class.", []string{"class"}, nil)
	insideDesc  = prometheus.NewDesc("xinglin_http_gate_inside", "Requests inside, by class.", []string{"class"}, nil)
	waitingDesc = prometheus.NewDesc("xinglin_http_gate_waiting", "Requests that wait for a place inside, by class.", []string{"class"}, nil)
)

// Describe implements prometheus.Collector.
func (gauges) Describe(ch chan<- *prometheus.Desc) {
	ch <- limitDesc
	ch <- insideDesc
	ch <- waitingDesc
}

// Collect implements prometheus.Collector.
func (g gauges) Collect(ch chan<- prometheus.Metric) {
	for c, one := range g.gates {
		limit, inside, waiting := one.state()
		for d, v := range map[*prometheus.Desc]int{limitDesc: limit, insideDesc: inside, waitingDesc: waiting} {
			ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(v), string(c))
		}
	}
}
