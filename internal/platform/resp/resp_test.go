package resp

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestReadAnswer(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ in, text, refused, broken string }{
		{in: "+OK\r\n", text: "OK"},
		{in: ":42\r\n", text: "42"},
		{in: "$5\r\nhello\r\n", text: "hello"},
		{in: "$0\r\n\r\n", text: ""},
		{in: "-ERR no\r\n", refused: "ERR no"},
		{in: "$-1\r\n", broken: "length"},
		{in: "$99999999\r\n", broken: "length"},
		{in: "$5\r\nhe", broken: "EOF"},
		{in: "\r\n", broken: "empty"},
		{in: "*1\r\n", broken: "answer"},
		{in: "", broken: "EOF"},
	} {
		a, err := readAnswer(bufio.NewReader(strings.NewReader(tc.in)))
		switch {
		case tc.broken != "":
			if err == nil || !strings.Contains(err.Error(), tc.broken) {
				t.Errorf("%q: %v", tc.in, err)
			}
		case err != nil:
			t.Errorf("%q: %v", tc.in, err)
		case tc.refused != "":
			if a.err == nil || !strings.Contains(a.err.Error(), tc.refused) {
				t.Errorf("%q: %v", tc.in, a.err)
			}
		case a.err != nil || a.text != tc.text:
			t.Errorf("%q: %q %v", tc.in, a.text, a.err)
		}
	}
}

// echoServer answers each command with its second word, and hangs up on QUIT.
func echoServer(t *testing.T) (socket string) {
	t.Helper()
	socket = filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go serve(c)
		}
	}()
	return socket
}

func serve(c net.Conn) {
	defer c.Close()
	r := bufio.NewReader(c)
	for {
		var n int
		if _, err := fmt.Fscanf(r, "*%d\r\n", &n); err != nil {
			return
		}
		words := make([]string, n)
		for i := range words {
			a, err := readAnswer(r)
			if err != nil {
				return
			}
			words[i] = a.text
		}
		if words[0] == "QUIT" {
			return
		}
		fmt.Fprintf(c, "$%d\r\n%s\r\n", len(words[1]), words[1])
	}
}

func TestAnswersComeToTheirCallers(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	c, err := Dial(ctx, echoServer(t))
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for i := range 500 {
		all.Go(func() {
			want := fmt.Sprint("value ", i)
			if got, err := c.Do(ctx, "ECHO", want); err != nil || got != want {
				t.Errorf("%q, %v; want %q", got, err, want)
			}
		})
	}
	all.Wait()
	if c.Broken() {
		t.Error("broken without a fault")
	}
	if _, err := c.Do(ctx, "QUIT"); err == nil {
		t.Error("a command of a lost connection succeeded")
	}
	if _, err := c.Do(ctx, "ECHO", "x"); err == nil || !c.Broken() {
		t.Errorf("after the loss: %v, broken %v", err, c.Broken())
	}
}
