package httpx

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"sync"
	"time"
)

// Attached is an event stream whose handler stays and writes: the line of a reader over
// TLS and HTTP/2, or of one that needs a heartbeat of its own. Another goroutine gives it
// whole events; it takes one write at a time.
type Attached struct {
	events chan []byte // one write
	end    chan struct{}
	once   sync.Once
}

var errLeft = errors.New("httpx: the reader has left")

// NewAttached is a line that nothing is given to yet.
func NewAttached() *Attached {
	return &Attached{events: make(chan []byte, 1), end: make(chan struct{})}
}

// Serve begins the stream and writes until the reader leaves, ctx ends or the line is
// closed. With a beat it writes a comment that often, after asking alive: an error ends
// the stream.
func (l *Attached) Serve(ctx context.Context, w http.ResponseWriter, beat time.Duration, alive func(context.Context) error) {
	defer l.Close()
	sse, err := NewSSE(w)
	if err != nil {
		return
	}
	var tick <-chan time.Time
	if beat > 0 {
		t := time.NewTicker(beat)
		defer t.Stop()
		tick = t.C
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-l.end:
			return
		case b := <-l.events:
			if sse.Write(b) != nil { // a slow reader is dropped by the write's deadline
				return
			}
		case <-tick:
			if alive != nil && alive(ctx) != nil || sse.Beat() != nil {
				return
			}
		}
	}
}

// Send takes whole events; false when what was given before is not out yet.
func (l *Attached) Send(events []byte) (bool, error) {
	if l.Gone() {
		return false, errLeft
	}
	select {
	case l.events <- bytes.Clone(events):
		return true, nil
	default:
		return false, nil
	}
}

// Flush tells whether nothing is left to write.
func (l *Attached) Flush() (bool, error) { return len(l.events) == 0, nil }

// Gone reports that the stream has ended.
func (l *Attached) Gone() bool {
	select {
	case <-l.end:
		return true
	default:
		return false
	}
}

// Close ends the stream; it may be called again.
func (l *Attached) Close() { l.once.Do(func() { close(l.end) }) }
