package notifysvc

import (
	"github.com/prometheus/client_golang/prometheus"

	"xinglin/internal/notify"
)

// counts are the deliveries by channel and what became of them.
type counts struct{ deliveries *prometheus.CounterVec }

func newCounts(reg prometheus.Registerer) *counts {
	c := &counts{prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "xinglin_notify_deliveries_total",
		Help: "Deliveries by channel and state: queued, sent (in the app at once, else when the gateway took it), failed (for good).",
	}, []string{"channel", "state"})}
	if reg != nil {
		reg.MustRegister(c.deliveries)
	}
	return c
}

func (c *counts) add(channel notify.Channel, state notify.State) {
	c.deliveries.WithLabelValues(string(channel), string(state)).Inc()
}

// all counts deliveries that were written.
func (c *counts) all(ds []delivery) {
	for _, d := range ds {
		c.add(d.channel, d.state)
	}
}
