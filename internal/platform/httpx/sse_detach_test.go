package httpx

import (
	"bufio"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// detached serves one operation that detaches and hands the stream out.
func detached(t *testing.T) (*httptest.Server, chan *Detached) {
	t.Helper()
	a, err := New(Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	out := make(chan *Detached, 1)
	Handle(a, Op{ID: "words.live", Method: "GET", Path: "/live", Public: true, Stream: true}, func(w http.ResponseWriter, r *http.Request) error {
		d, ok, err := Detach(w, r)
		if err != nil || !ok {
			t.Errorf("not detached: %v, %v", ok, err)
		}
		out <- d
		return nil
	})
	srv := httptest.NewUnstartedServer(a)
	srv.Config.WriteTimeout = 50 * time.Millisecond // streams outlive it
	srv.Start()
	t.Cleanup(srv.Close)
	return srv, out
}

// A detached stream is a whole HTTP/1.1 answer: header, chunks, an end.
func TestDetachedStream(t *testing.T) {
	srv, out := detached(t)
	res := open(t, srv)
	d := <-out
	if ct := res.Header.Get("Content-Type"); !strings.HasPrefix(ct, "text/event-stream") || res.Header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("headers %v", res.Header)
	}
	in := bufio.NewReader(res.Body)
	if line, err := in.ReadString('\n'); err != nil || !strings.HasPrefix(line, "retry: ") {
		t.Fatalf("%q, %v", line, err)
	}
	pause := time.NewTimer(100 * time.Millisecond) // longer than the server's write timeout
	<-pause.C
	if d.Gone() {
		t.Error("gone while the reader is there")
	}
	const event = "event: count\ndata: 1\n\n"
	if taken, err := d.Send([]byte(event)); !taken || err != nil {
		t.Fatal(taken, err)
	}
	d.Close()
	rest, err := io.ReadAll(in)
	if err != nil || string(rest) != "\n"+event {
		t.Errorf("%q, %v", rest, err)
	}
}

// A reader that reads nothing costs its socket's buffer and the rest of one write, however
// much there is to send; nobody waits for it. When it reads again it gets whole events.
func TestDetachedReaderThatDoesNotRead(t *testing.T) {
	srv, out := detached(t)
	c, err := net.Dial("tcp", srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.(*net.TCPConn).SetReadBuffer(16 << 10); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, "GET "+Prefix+"/live HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	d := <-out
	event := []byte("data: " + strings.Repeat("x", 4000) + "\n\n")
	sent, refused := 0, 0
	for range 10_000 {
		taken, err := d.Send(event)
		if err != nil {
			t.Fatal(err)
		}
		if taken {
			sent++
		} else {
			refused++
		}
		if len(d.rest) > len(event)+16 {
			t.Fatalf("%d bytes are kept", len(d.rest))
		}
	}
	if refused == 0 || sent > 5000 {
		t.Fatalf("%d taken, %d refused", sent, refused)
	}
	_ = c.SetReadDeadline(time.Time{})
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan string, 1)
	go func() {
		b, _ := io.ReadAll(res.Body)
		got <- string(b)
	}()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for done := false; !done; <-tick.C {
		if done, err = d.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	d.Close()
	if n := strings.Count(<-got, string(event)); n != sent {
		t.Errorf("%d whole events of %d", n, sent)
	}
}

// A reader that left is noticed without writing to it; TLS, HTTP/1.0 and recorders stay
// with their handler.
func TestDetachedReaderLeaves(t *testing.T) {
	srv, out := detached(t)
	c, err := net.Dial("tcp", srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, "GET "+Prefix+"/live HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	d := <-out
	_ = c.Close()
	deadline := time.After(10 * time.Second)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !d.Gone() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("not noticed")
		}
	}
	d.Close()
	w := httptest.NewRecorder()
	r := httptest.NewRequest("GET", "/live", nil)
	if _, ok, err := Detach(w, r); ok || err != nil || w.Body.Len() > 0 {
		t.Error("a recorder was detached")
	}
}
