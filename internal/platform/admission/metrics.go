package admission

import (
	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	desk     *Desk
	tokens   *prometheus.CounterVec
	verdicts *prometheus.CounterVec
	reasons  *prometheus.CounterVec
}

func newMetrics(reg prometheus.Registerer, d *Desk) (*metrics, error) {
	m := &metrics{
		desk: d,
		tokens: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "xinglin_admission_tokens_refused_total", Help: "Place tokens and passes refused, by code.",
		}, []string{"code"}),
		verdicts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "xinglin_admission_risk_total", Help: "Holds judged, by decision (counted also while verdicts are not enforced).",
		}, []string{"decision"}),
		reasons: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "xinglin_admission_risk_reasons_total", Help: "Findings of the rules of risk, by reason.",
		}, []string{"reason"}),
	}
	if reg == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.tokens, m.verdicts, m.reasons, rooms{d}} {
		if err := reg.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (m *metrics) verdict(v Verdict) {
	m.verdicts.WithLabelValues(string(v.Decision)).Inc()
	for _, r := range v.Reasons {
		m.reasons.WithLabelValues(r).Inc()
	}
}

// rooms shows the waiting rooms when somebody looks; the label is the rule's name.
type rooms struct{ d *Desk }

var (
	roomLabels   = []string{"room"}
	waitingDesc  = prometheus.NewDesc("xinglin_admission_waiting", "People in line, by rule.", roomLabels, nil)
	insideDesc   = prometheus.NewDesc("xinglin_admission_inside", "People inside with a pass, by rule.", roomLabels, nil)
	widthDesc    = prometheus.NewDesc("xinglin_admission_width", "People that may be inside, by rule; it follows the goodput of holds.", roomLabels, nil)
	rateDesc     = prometheus.NewDesc("xinglin_admission_rate", "People let in a second, by rule.", roomLabels, nil)
	admittedDesc = prometheus.NewDesc("xinglin_admission_admitted_total", "People let in, by rule.", roomLabels, nil)
	turnedDesc   = prometheus.NewDesc("xinglin_admission_turned_away_total", "People for whom the room had no place, by rule.", roomLabels, nil)
)

// Describe implements prometheus.Collector.
func (rooms) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{waitingDesc, insideDesc, widthDesc, rateDesc, admittedDesc, turnedDesc} {
		ch <- d
	}
}

// Collect implements prometheus.Collector: rooms of one rule are added up.
func (c rooms) Collect(ch chan<- prometheus.Metric) {
	type sums struct{ waiting, inside, width, rate, admitted, turned float64 }
	by := map[string]*sums{}
	for _, r := range c.d.all() {
		s := by[r.rule.Name]
		if s == nil {
			s = &sums{}
			by[r.rule.Name] = s
		}
		r.mu.Lock()
		s.waiting += float64(len(r.line))
		s.inside += float64(r.inside)
		s.width += r.width
		s.rate += r.rate
		s.admitted += float64(r.admitted)
		s.turned += float64(r.turnedAway)
		r.mu.Unlock()
	}
	for name, s := range by {
		for d, v := range map[*prometheus.Desc]float64{waitingDesc: s.waiting, insideDesc: s.inside, widthDesc: s.width, rateDesc: s.rate} {
			ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, name)
		}
		ch <- prometheus.MustNewConstMetric(admittedDesc, prometheus.CounterValue, s.admitted, name)
		ch <- prometheus.MustNewConstMetric(turnedDesc, prometheus.CounterValue, s.turned, name)
	}
}
