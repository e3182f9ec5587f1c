package httpx

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"xinglin/internal/kernel/clock"
)

// SSE writes a text/event-stream. Each write has a deadline, so that a reader who
// never reads is dropped and its memory freed.
type SSE struct {
	w  http.ResponseWriter
	rc *http.ResponseController
}

const sseWrite = 10 * time.Second

// NewSSE begins the stream.
func NewSSE(w http.ResponseWriter) (*SSE, error) {
	h := w.Header()
	h.Set("Content-Type", "text/event-stream; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no")
	w.WriteHeader(http.StatusOK)
	s := &SSE{w: w, rc: http.NewResponseController(w)}
	return s, s.write("retry: 2000\n\n")
}

// Send writes one event as JSON.
func (s *SSE) Send(id, event string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return s.write(fmt.Sprintf("id: %s\nevent: %s\ndata: %s\n\n", id, event, b))
}

// Beat keeps proxies and phones awake.
func (s *SSE) Beat() error { return s.write(": beat\n\n") }

func (s *SSE) write(text string) error {
	_ = s.rc.SetWriteDeadline(clock.Mono().Add(sseWrite))
	if _, err := io.WriteString(s.w, text); err != nil {
		return err
	}
	return s.rc.Flush()
}
