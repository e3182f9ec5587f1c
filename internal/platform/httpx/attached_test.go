package httpx_test

import (
	"context"
	"errors"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"xinglin/internal/platform/httpx"
)

// TestAttached: one write at a time, a beat while the reader may read, an end.
func TestAttached(t *testing.T) {
	l := httpx.NewAttached()
	if taken, err := l.Send([]byte("event: a\n\n")); !taken || err != nil {
		t.Fatalf("%v %v", taken, err)
	}
	if taken, err := l.Send([]byte("event: b\n\n")); taken || err != nil {
		t.Errorf("a second write is taken before the first is out: %v %v", taken, err)
	}
	if done, err := l.Flush(); done || err != nil {
		t.Errorf("%v %v", done, err)
	}
	w := httptest.NewRecorder()
	beats := 0
	var served sync.WaitGroup
	served.Go(func() {
		l.Serve(context.Background(), w, time.Millisecond, func(context.Context) error {
			if beats++; beats > 3 {
				return errors.New("its right has ended")
			}
			return nil
		})
	})
	served.Wait()
	if text := w.Body.String(); !strings.Contains(text, "event: a\n\n") || strings.Count(text, ": beat\n\n") != 3 || w.Header().Get("Content-Type") != "text/event-stream; charset=utf-8" {
		t.Errorf("%q", text)
	}
	if _, err := l.Send([]byte("event: c\n\n")); err == nil || !l.Gone() {
		t.Error("the line takes writes after its end")
	}
	l.Close()
}

// TestAttachedEnds: the stream ends with its context.
func TestAttachedEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	l := httpx.NewAttached()
	l.Serve(ctx, httptest.NewRecorder(), 0, nil)
	if !l.Gone() {
		t.Error("it goes on")
	}
}
