package httpx

import (
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"xinglin/internal/kernel/clock"
)

// dial opens a connection and tells whether the server keeps it.
func dial(t *testing.T, address string) (c net.Conn, kept bool) {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		return c, false
	}
	_ = c.SetReadDeadline(deadline())
	b := make([]byte, 12)
	_, err = io.ReadFull(c, b)
	return c, err == nil && string(b) == "HTTP/1.1 200"
}

func deadline() time.Time { return clock.Mono().Add(10 * time.Second) }

func serveBounded(t *testing.T, k *Connections) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), ConnState: k.State, ReadHeaderTimeout: time.Minute}
	go func() { _ = srv.Serve(k.Listen(l)) }()
	t.Cleanup(func() { _ = srv.Close() })
	return l.Addr().String()
}

func TestConnectionsOfOneAddress(t *testing.T) {
	k := NewConnections(100, 3)
	address := serveBounded(t, k)
	var first net.Conn
	for i := range 3 {
		c, kept := dial(t, address)
		if !kept {
			t.Fatalf("connection %d was refused", i)
		}
		if i == 0 {
			first = c
		}
	}
	if _, kept := dial(t, address); kept {
		t.Error("a fourth of one address")
	}
	_ = first.Close()
	waitFor(t, func() bool { open, _, _ := k.Counts(); return open == 2 })
	if _, kept := dial(t, address); !kept {
		t.Error("after one was closed")
	}
	if _, refused, evicted := k.Counts(); refused != 1 || evicted != 0 {
		t.Errorf("%d refused, %d evicted", refused, evicted)
	}
}

// When all are taken, who has been idle longest makes room.
func TestIdleConnectionsMakeRoom(t *testing.T) {
	k := NewConnections(4, 0)
	address := serveBounded(t, k)
	var all []net.Conn
	for range 4 {
		c, kept := dial(t, address)
		if !kept {
			t.Fatal("refused")
		}
		all = append(all, c)
		waitFor(t, func() bool { return k.idleCount() == len(all) })
	}
	if _, kept := dial(t, address); !kept {
		t.Fatal("a newcomer was refused")
	}
	_ = all[0].SetReadDeadline(deadline())
	if _, err := io.Copy(io.Discard, all[0]); err != nil { // closed by the server
		t.Errorf("the longest idle is still there: %v", err)
	}
	if _, err := io.WriteString(all[3], "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Errorf("a younger one is gone: %v", err)
	}
	if open, refused, evicted := k.Counts(); open != 4 || refused != 0 || evicted != 1 {
		t.Errorf("%d open, %d refused, %d evicted", open, refused, evicted)
	}
}

func (k *Connections) idleCount() (n int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, v := range k.open {
		if !v.idle.IsZero() {
			n++
		}
	}
	return n
}

func waitFor(t *testing.T, ok func() bool) {
	t.Helper()
	end := time.After(10 * time.Second)
	for !ok() {
		select {
		case <-end:
			t.Fatal("it did not come")
		case <-time.After(time.Millisecond):
		}
	}
}
