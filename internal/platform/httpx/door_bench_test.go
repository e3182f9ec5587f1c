package httpx_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"xinglin/internal/platform/httpx"
	"xinglin/internal/platform/obs"
	"xinglin/internal/testkit/apitest"
)

// nowhere is an answer that nobody reads, used again and again.
type nowhere struct{ h http.Header }

func (n nowhere) Header() http.Header         { return n.h }
func (n nowhere) Write(b []byte) (int, error) { return len(b), nil }
func (n nowhere) WriteHeader(int)             {}

// BenchmarkDoor is an empty authenticated POST with a key through the whole door, as the
// echo of the booking bench and hold itself go: what the middleware costs.
func BenchmarkDoor(b *testing.B) {
	stop := obs.Tracing()
	defer func() { _ = stop(context.Background()) }()
	h := apitest.With(b, httpx.Options{
		Auth: cookies{}, Metrics: prometheus.NewRegistry(), PerAddress: 1e9,
		Log: slog.New(slog.NewJSONHandler(io.Discard, &slog.HandlerOptions{Level: slog.LevelInfo})),
	}, func(a *httpx.API) {
		httpx.Handle(a, httpx.Op{ID: "words.echo", Method: "POST", Path: "/echo", Idempotent: true}, func(w http.ResponseWriter, _ *http.Request) error {
			w.WriteHeader(http.StatusCreated)
			return nil
		})
	})
	r := h.Request(apitest.Nobody(apitest.Main), "POST", "/echo", "{}", apitest.H("Idempotency-Key", keyText))
	r.AddCookie(&http.Cookie{Name: httpx.CookieName, Value: "good"})
	r.Header.Set("Origin", "http://"+r.Host)
	r.Header.Set("User-Agent", strings.Repeat("x", 100))
	w := nowhere{http.Header{}}
	b.ReportAllocs()
	for b.Loop() {
		clear(w.h)
		h.API.ServeHTTP(w, r)
	}
	if w.h.Get("X-Trace-Id") == "" || w.h.Get("Content-Type") != "" {
		b.Fatalf("refused: %v", w.h)
	}
}
