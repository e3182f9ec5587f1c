package breaker_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"xinglin/internal/kernel/fault"
	"xinglin/internal/platform/breaker"
)

// A dead service is left alone after ten calls, tried again after the rest, and used
// again when three calls were good; other errors than its own do not count.
func TestBreaker(t *testing.T) {
	var status, calls atomic.Int64
	status.Store(500)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		calls.Add(1)
		w.WriteHeader(int(status.Load()))
	}))
	defer srv.Close()
	reg := prometheus.NewRegistry()
	c := &http.Client{Transport: breaker.New(breaker.Options{Name: "pay", Next: http.DefaultTransport, Metrics: reg, Rest: 50 * time.Millisecond})}
	ask := func(ctx context.Context) error {
		r, err := http.NewRequestWithContext(ctx, "GET", srv.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := c.Do(r)
		if err == nil {
			_, _ = io.Copy(io.Discard, res.Body)
			res.Body.Close()
		}
		return err
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for range 30 {
		if err := ask(gone); !errors.Is(err, context.Canceled) {
			t.Fatalf("a caller who broke off: %v", err)
		}
	}
	var err error
	for i := 0; err == nil && i < 100; i++ {
		err = ask(t.Context())
	}
	f := fault.Of(err)
	if f == nil || f.Code != breaker.ErrOpen || f.RetryAfter < time.Second {
		t.Fatalf("it did not open: %v", err)
	}
	seen := calls.Load()
	if err := ask(t.Context()); !errors.Is(err, breaker.ErrOpen) || calls.Load() != seen {
		t.Errorf("an open one let a call through: %v", err)
	}
	status.Store(404) // its own no is a good answer
	deadline := time.After(10 * time.Second)
	for n := 0; n < 5; {
		if ask(t.Context()) == nil {
			n++
			continue
		}
		select {
		case <-deadline:
			t.Fatal("it never closed")
		case <-time.After(5 * time.Millisecond):
		}
	}
	if err := testutil.GatherAndCompare(reg, strings.NewReader(`
# HELP xinglin_breaker_opened_total How often the breaker opened, by service.
# TYPE xinglin_breaker_opened_total counter
xinglin_breaker_opened_total{service="pay"} 1
# HELP xinglin_breaker_state 0 closed, 1 half open, 2 open, by service.
# TYPE xinglin_breaker_state gauge
xinglin_breaker_state{service="pay"} 0
`), "xinglin_breaker_opened_total", "xinglin_breaker_state"); err != nil {
		t.Error(err)
	}
}
