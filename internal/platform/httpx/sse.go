package httpx

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"
	"syscall"
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

// NewSSE begins the stream; each reader comes back at its own moment after a cut.
func NewSSE(w http.ResponseWriter) (*SSE, error) { return begin(w, retryLine()) }

// NewSSERetry is NewSSE with the time after which a browser reconnects.
func NewSSERetry(w http.ResponseWriter, retry time.Duration) (*SSE, error) {
	return begin(w, fmt.Sprintf("retry: %d\n\n", retry.Milliseconds()))
}

func begin(w http.ResponseWriter, retry string) (*SSE, error) {
	sseHeader(w)
	s := &SSE{w: w, rc: http.NewResponseController(w), wait: sseWrite}
	return s, s.Write([]byte(retry))
}

func sseHeader(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Content-Type", "text/event-stream; charset=utf-8")
	h.Set("X-Accel-Buffering", "no")
	w.WriteHeader(http.StatusOK)
}

// retryLine tells a reader when to come back after a cut: each at another moment of 8
// seconds, so that all readers of a process that went do not come at once.
func retryLine() string { return fmt.Sprintf("retry: %d\n\n", 1000+rand.IntN(8000)) }

// Send writes one event as JSON; id and event are one line each.
func (s *SSE) Send(id, event string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if strings.ContainsAny(id+event, "\r\n") {
		return fmt.Errorf("httpx: an event's id or name has more than one line")
	}
	return s.Write(fmt.Appendf(nil, "id: %s\nevent: %s\ndata: %s\n\n", id, event, b))
}

// Beat keeps proxies and phones awake.
func (s *SSE) Beat() error { return s.Write([]byte(": beat\n\n")) }

// Write sends whole events that are written out already.
func (s *SSE) Write(events []byte) error {
	_ = s.rc.SetWriteDeadline(clock.Mono().Add(s.wait))
	if _, err := s.w.Write(events); err != nil {
		return err
	}
	return s.rc.Flush()
}

// Detached is an event stream that has left its handler: no goroutine, no buffer of
// net/http, only the socket. Nothing waits: what the socket does not take at once is
// kept (one write) until Flush gets rid of it, and more is not taken before. It is not
// safe for concurrent use. Streams on TLS, HTTP/2 and HTTP/1.0 cannot be detached.
type Detached struct {
	conn net.Conn
	raw  syscall.RawConn // nil: a wrapped socket
	rest []byte
}

// socketBuffer bounds what the kernel keeps for a reader that does not read.
const socketBuffer = 32 << 10

// Detach begins a stream and takes its connection from the server; the handler returns
// afterwards. ok is false when that is not possible, and nothing was sent; with an error
// the reader is gone.
func Detach(w http.ResponseWriter, r *http.Request) (d *Detached, ok bool, err error) {
	if r.TLS != nil || r.ProtoMajor != 1 || r.ProtoMinor != 1 || !hijackable(w) {
		return nil, false, nil
	}
	sseHeader(w)
	rc := http.NewResponseController(w)
	if err := rc.Flush(); err != nil {
		return nil, true, err
	}
	conn, _, err := rc.Hijack()
	if err != nil {
		return nil, true, err
	}
	d = &Detached{conn: conn}
	if c, ok := conn.(interface{ SetWriteBuffer(bytes int) error }); ok {
		_ = c.SetWriteBuffer(socketBuffer)
	}
	if c, ok := conn.(syscall.Conn); ok {
		d.raw, _ = c.SyscallConn()
	}
	if _, err := d.Send([]byte(retryLine())); err != nil {
		_ = conn.Close()
		return nil, true, err
	}
	return d, true, nil
}

func hijackable(w http.ResponseWriter) bool {
	for {
		if _, ok := w.(http.Hijacker); ok {
			return true
		}
		u, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			return false
		}
		w = u.Unwrap()
	}
}

// Send takes whole events, as one chunk of the answer; false when the last ones are not
// out yet.
func (d *Detached) Send(events []byte) (taken bool, err error) {
	if done, err := d.Flush(); !done || err != nil {
		return false, err
	}
	b := make([]byte, 0, len(events)+16)
	b = strconv.AppendUint(b, uint64(len(events)), 16)
	b = append(append(append(b, '\r', '\n'), events...), '\r', '\n')
	n, err := d.try(b)
	if n < len(b) {
		d.rest = b[n:]
	}
	return true, err
}

// Flush goes on with what the socket has not taken; false when something is left.
func (d *Detached) Flush() (done bool, err error) {
	if len(d.rest) == 0 {
		return true, nil
	}
	n, err := d.try(d.rest)
	if d.rest = d.rest[n:]; len(d.rest) == 0 {
		d.rest = nil
	}
	return d.rest == nil, err
}

// glance is how long a socket that cannot be asked directly may hold the caller up.
const glance = time.Millisecond

func (d *Detached) try(b []byte) (n int, err error) {
	if d.raw != nil && canTry {
		failed := d.raw.Write(func(fd uintptr) bool {
			n, err = tryWrite(fd, b)
			return true // never wait
		})
		if failed != nil {
			err = failed
		}
		return max(n, 0), err
	}
	_ = d.conn.SetWriteDeadline(clock.Mono().Add(glance))
	n, err = d.conn.Write(b)
	if e, ok := err.(net.Error); ok && e.Timeout() {
		err = nil
	}
	return n, err
}

// Gone reports that the reader closed the connection. What it sends otherwise is dropped.
func (d *Detached) Gone() (gone bool) {
	if d.raw == nil || !canTry {
		return false // the next write finds out
	}
	err := d.raw.Read(func(fd uintptr) bool {
		gone = closedByPeer(fd)
		return true
	})
	return gone || err != nil
}

// Close ends the stream, properly if nothing is left to write, and the connection.
func (d *Detached) Close() {
	if d.rest == nil {
		_, _ = d.try([]byte("0\r\n\r\n"))
	}
	_ = d.conn.Close()
}
