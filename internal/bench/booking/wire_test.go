package booking

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
)

func TestParseHead(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, in string
		want     head
		ok       bool
		err      error
	}{
		{"whole", "HTTP/1.1 201 Created\r\nContent-Length: 12\r\n\r\n{", head{status: 201, size: 44, length: 12}, true, nil},
		{"any case", "HTTP/1.1 409 Conflict\r\nX: y\r\ncontent-length:3\r\n\r\n", head{status: 409, size: 49, length: 3}, true, nil},
		{"chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", head{status: 200, size: 47, chunked: true}, true, nil},
		{"no body", "HTTP/1.1 204 No Content\r\n\r\n", head{status: 204, size: 27}, true, nil},
		{"half", "HTTP/1.1 201 Created\r\nContent-Le", head{}, false, nil},
		{"other protocol", "HTTP/2 200\r\n\r\n", head{size: 14}, true, errAnswer},
		{"no status", "HTTP/1.1 abc OK\r\n\r\n", head{size: 19}, true, errAnswer},
		{"odd length", "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", head{status: 200, size: 38}, true, errAnswer},
		{"length below zero", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", head{status: 200, size: 39, length: -1}, true, errAnswer},
	} {
		got, ok, err := parseHead([]byte(tc.in))
		if ok != tc.ok || !errors.Is(err, tc.err) {
			t.Errorf("%s: %v %v", tc.name, ok, err)
			continue
		}
		if err == nil && got != tc.want {
			t.Errorf("%s: %+v, want %+v", tc.name, got, tc.want)
		}
	}
}

func TestChunksEnd(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		in   string
		done bool
		err  error
	}{
		{"", false, nil},
		{"5\r\nhello\r\n0\r\n\r\n", true, nil},
		{"5\r\nhello\r\n0\r\n", false, nil},
		{"5\r\nhel", false, nil},
		{"5;x=y\r\nhello\r\n3\r\nabc\r\n0\r\n\r\n", true, nil},
		{"zz\r\n", false, errAnswer},
		{"-1\r\n", false, errAnswer},
	} {
		done, err := chunksEnd([]byte(tc.in))
		if done != tc.done || !errors.Is(err, tc.err) {
			t.Errorf("%q: %v %v", tc.in, done, err)
		}
	}
}

func rawRequests(n int) [][]byte {
	out := make([][]byte, n)
	for i := range out {
		body := fmt.Sprintf(`{"n":%d}`, i)
		out[i] = fmt.Appendf(nil, "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	}
	return out
}

func TestVisitSendsEachRequestOnce(t *testing.T) {
	t.Parallel()
	const n = 500
	var seen [n]atomic.Int32
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		var i int
		if _, err := fmt.Sscanf(string(b), `{"n":%d}`, &i); err != nil {
			t.Errorf("%q: %v", b, err)
		}
		seen[i].Add(1)
		switch {
		case i%10 == 0:
			w.WriteHeader(http.StatusConflict)
		case i%10 == 1:
			w.WriteHeader(http.StatusCreated)
			_, _ = w.Write([]byte(strings.Repeat("x", 5000))) // in chunks
		default:
			w.WriteHeader(http.StatusCreated)
			_, _ = w.Write(b)
		}
	}))
	defer srv.Close()
	s, err := visit(t.Context(), srv.Listener.Addr().String(), 16, rawRequests(n))
	if err != nil {
		t.Fatal(err)
	}
	for i := range seen {
		want := http.StatusCreated
		if i%10 == 0 {
			want = http.StatusConflict
		}
		if seen[i].Load() != 1 || s.outcomes[i].status != want || s.outcomes[i].took <= 0 {
			t.Fatalf("request %d: seen %d times, %+v", i, seen[i].Load(), s.outcomes[i])
		}
	}
	if s.count(http.StatusConflict) != n/10 || len(s.millis(http.StatusCreated)) != n-n/10 || s.strange != "" || s.rate() <= 0 || s.lastSold() <= 0 || s.lastSold() > s.wall {
		t.Errorf("counts %d, strange %q, rate %v, last %v of %v", s.count(http.StatusConflict), s.strange, s.rate(), s.lastSold(), s.wall)
	}
}

func TestVisitShowsAStrangeAnswer(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "who are you", http.StatusUnauthorized) }))
	defer srv.Close()
	s, err := visit(t.Context(), srv.Listener.Addr().String(), 2, rawRequests(4))
	if err != nil || !strings.Contains(s.strange, "401 who are you") {
		t.Errorf("%v, strange %q", err, s.strange)
	}
}

func TestVisitEndsWithTheServer(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	defer srv.Close()
	if _, err := visit(t.Context(), srv.Listener.Addr().String(), 2, rawRequests(4)); err == nil {
		t.Error("a lost connection is no error")
	}
}
