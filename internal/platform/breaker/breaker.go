// Package breaker stands in front of an HTTP service beyond the hospital: when half of
// the calls of ten seconds fail it lets no more through for a while, so that people get
// an answer at once instead of waiting for a time-out each, and the other side can recover.
package breaker

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/failsafe-go/failsafe-go/circuitbreaker"
	"github.com/prometheus/client_golang/prometheus"

	"xinglin/internal/kernel/fault"
)

// ErrOpen is the refusal while nothing is let through; Retry-After says how long.
var ErrOpen = fault.Register(fault.Unavailable, "breaker.open", "对方系统暂时不可用，请稍后再试", "The other side does not answer at the moment; try again shortly")

const (
	failRate  = 0.5
	failCount = 10 // calls that a verdict needs
	failTime  = 10 * time.Second
	restTime  = 5 * time.Second
	trials    = 3 // good calls in a row that close it again, of a half-open one
)

// Options of a Transport.
type Options struct {
	Name    string // label of the metrics
	Next    http.RoundTripper
	Metrics prometheus.Registerer
	Rest    time.Duration // nothing is let through; 0 = 5 s
}

// Transport is an http.RoundTripper with a breaker.
type Transport struct {
	next http.RoundTripper
	cb   circuitbreaker.CircuitBreaker[*http.Response]
	kept prometheus.Counter
}

// New makes a transport. It panics when the name is registered twice.
func New(o Options) *Transport {
	if o.Rest == 0 {
		o.Rest = restTime
	}
	label := prometheus.Labels{"service": o.Name}
	state := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "xinglin_breaker_state", Help: "0 closed, 1 half open, 2 open, by service.", ConstLabels: label,
	})
	opened := prometheus.NewCounter(prometheus.CounterOpts{
		Name: "xinglin_breaker_opened_total", Help: "How often the breaker opened, by service.", ConstLabels: label,
	})
	t := &Transport{next: o.Next, kept: prometheus.NewCounter(prometheus.CounterOpts{
		Name: "xinglin_breaker_kept_total", Help: "Calls that were not let through, by service.", ConstLabels: label,
	})}
	t.cb = circuitbreaker.NewBuilder[*http.Response]().
		WithFailureRateThreshold(failRate, failCount, failTime).WithDelay(o.Rest).WithSuccessThreshold(trials).
		OnStateChanged(func(e circuitbreaker.StateChangedEvent) {
			switch e.NewState {
			case circuitbreaker.OpenState:
				state.Set(2)
				opened.Inc()
			case circuitbreaker.HalfOpenState:
				state.Set(1)
			default:
				state.Set(0)
			}
		}).Build()
	if o.Metrics != nil {
		o.Metrics.MustRegister(state, opened, t.kept)
	}
	return t
}

// RoundTrip implements http.RoundTripper: breaker.open while nothing is let through. A
// transport error and a 5xx are failures; a caller who broke off is neither.
func (t *Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if !t.cb.TryAcquirePermit() {
		t.kept.Inc()
		return nil, ErrOpen.After(max(time.Second, t.cb.RemainingDelay()))
	}
	res, err := t.next.RoundTrip(r)
	switch {
	case err != nil && errors.Is(r.Context().Err(), context.Canceled):
		t.cb.RecordSuccess() // the permit must come back, and the other side did nothing wrong
	case err != nil || res.StatusCode >= 500:
		t.cb.RecordFailure()
	default:
		t.cb.RecordSuccess()
	}
	return res, err
}

// CloseIdleConnections hands it on.
func (t *Transport) CloseIdleConnections() {
	if c, ok := t.next.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}
