package httpx

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"xinglin/internal/kernel/clock"
)

// SSE writes a text/event-stream. Each write has a deadline, so that a reader who
// never reads is dropped and its memory freed.
type SSE struct {
	w    http.ResponseWriter
	rc   *http.ResponseController
	wait time.Duration // of one write
}

const sseWrite = 10 * time.Second

// NewSSE begins the stream; browsers reconnect after two seconds.
func NewSSE(w http.ResponseWriter) (*SSE, error) { return NewSSERetry(w, 2*time.Second) }

// NewSSERetry is NewSSE with the time after which a browser reconnects: where thousands
// listen, give each its own.
func NewSSERetry(w http.ResponseWriter, retry time.Duration) (*SSE, error) {
	h := w.Header()
	h.Set("Content-Type", "text/event-stream; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no")
	w.WriteHeader(http.StatusOK)
	s := &SSE{w: w, rc: http.NewResponseController(w), wait: sseWrite}
	return s, s.write(fmt.Sprintf("retry: %d\n\n", retry.Milliseconds()))
}

// Send writes one event as JSON; id and event are one line each.
func (s *SSE) Send(id, event string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if strings.ContainsAny(id+event, "\r\n") {
		return fmt.Errorf("httpx: an event's id or name has more than one line")
	}
	return s.write(fmt.Sprintf("id: %s\nevent: %s\ndata: %s\n\n", id, event, b))
}

// Beat keeps proxies and phones awake.
func (s *SSE) Beat() error { return s.write(": beat\n\n") }

func (s *SSE) write(text string) error {
	_ = s.rc.SetWriteDeadline(clock.Mono().Add(s.wait))
	if _, err := io.WriteString(s.w, text); err != nil {
		return err
	}
	return s.rc.Flush()
}
