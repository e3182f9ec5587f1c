package httpx

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"
)

// stream serves one SSE operation; f runs in it.
func stream(t *testing.T, opt Options, f func(s *SSE, r *http.Request) error) (*API, *httptest.Server) {
	t.Helper()
	opt.Log = slog.New(slog.DiscardHandler)
	a, err := New(opt)
	if err != nil {
		t.Fatal(err)
	}
	Handle(a, Op{ID: "words.live", Method: "GET", Path: "/live", Public: true, Stream: true}, func(w http.ResponseWriter, r *http.Request) error {
		s, err := NewSSE(w)
		if err != nil {
			return err
		}
		return f(s, r)
	})
	srv := httptest.NewUnstartedServer(a)
	srv.Config.WriteTimeout = 50 * time.Millisecond // streams outlive it
	srv.Start()
	t.Cleanup(srv.Close)
	return a, srv
}

func open(t *testing.T, srv *httptest.Server) *http.Response {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, "GET", srv.URL+Prefix+"/live", nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := srv.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = res.Body.Close() })
	return res
}

func TestEventsArriveAndTheStreamEnds(t *testing.T) {
	next := make(chan struct{})
	ended := make(chan struct{}, 2)
	a, srv := stream(t, Options{}, func(s *SSE, r *http.Request) error {
		defer func() { ended <- struct{}{} }()
		if r.Context().Err() != nil {
			return nil
		}
		if err := s.Send("1", "count", map[string]int{"remaining": 3}); err != nil {
			return err
		}
		<-next // longer than the server's write timeout
		if err := s.Send("2\nevent: forged", "count", 1); err == nil {
			t.Error("an id of two lines was sent")
		}
		if err := s.Send("2", "count", "two\nlines"); err != nil {
			return err
		}
		if err := s.Beat(); err != nil {
			return err
		}
		<-r.Context().Done()
		return nil
	})
	res := open(t, srv)
	if ct := res.Header.Get("Content-Type"); !strings.HasPrefix(ct, "text/event-stream") || res.Header.Get("Cache-Control") != "no-store" || !strings.HasPrefix(res.Header.Get("Content-Security-Policy"), "default-src 'none'; ") {
		t.Errorf("headers %v", res.Header)
	}
	in := bufio.NewReader(res.Body)
	read := func(want string) {
		t.Helper()
		got := make([]byte, len(want))
		if _, err := io.ReadFull(in, got); err != nil || string(got) != want {
			t.Fatalf("%q, %v; want %q", got, err, want)
		}
	}
	if line, err := in.ReadString('\n'); err != nil || !regexp.MustCompile(`^retry: [1-8]\d{3}\n$`).MatchString(line) {
		t.Fatalf("%q, %v", line, err)
	}
	read("\nid: 1\nevent: count\ndata: {\"remaining\":3}\n\n")
	pause := time.NewTimer(100 * time.Millisecond)
	<-pause.C
	close(next)
	read("id: 2\nevent: count\ndata: \"two\\nlines\"\n\n: beat\n\n")
	a.EndStreams()
	<-ended
	if rest, err := io.ReadAll(in); err != nil || len(rest) != 0 {
		t.Errorf("after the end: %q, %v", rest, err)
	}
	again := open(t, srv) // while draining a stream ends at once
	if _, err := io.ReadAll(again.Body); err != nil {
		t.Error(err)
	}
}

// A reader that does not read is dropped when a write takes longer than its deadline.
func TestSlowReaderIsDropped(t *testing.T) {
	dropped := make(chan error, 1)
	_, srv := stream(t, Options{}, func(s *SSE, _ *http.Request) error {
		s.wait = 100 * time.Millisecond
		big := strings.Repeat("x", 64<<10)
		for range 10_000 {
			if err := s.Send("1", "count", big); err != nil {
				dropped <- err
				return nil
			}
		}
		dropped <- nil
		return nil
	})
	c, err := net.Dial("tcp", srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, "GET "+Prefix+"/live HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-dropped:
		if err == nil {
			t.Error("640 MB were written to a reader that reads nothing")
		}
	case <-time.After(20 * time.Second):
		t.Fatal("still writing")
	}
}

func TestStreamsAreBounded(t *testing.T) {
	a, srv := stream(t, Options{Streams: 1}, func(s *SSE, r *http.Request) error {
		<-r.Context().Done()
		return nil
	})
	first := open(t, srv)
	if res := open(t, srv); res.StatusCode != 503 || res.Header.Get("Retry-After") == "" {
		t.Errorf("second: %d", res.StatusCode)
	}
	a.EndStreams()
	if _, err := io.ReadAll(first.Body); err != nil {
		t.Error(err)
	}
}
