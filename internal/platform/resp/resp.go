// Package resp speaks with a Redis server, as little as the peers of `xinglin bench
// booking` need: commands of texts over a Unix socket, pipelined by itself. The product
// has no Redis.
package resp

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
)

// Conn carries the commands of all callers at once: what waits is written
// together, and answers come in the order of the commands.
type Conn struct {
	conn net.Conn

	mu      sync.Mutex // guards the fields below
	out     []byte
	waiting []chan answer // in the order of the commands
	err     error
	wake    chan struct{}
}

type answer struct {
	text string
	err  error
}

// Dial connects to a server's Unix socket.
func Dial(ctx context.Context, socket string) (*Conn, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", socket)
	if err != nil {
		return nil, err
	}
	c := &Conn{conn: conn, wake: make(chan struct{}, 1)}
	go c.write()
	go c.read()
	return c, nil
}

// Broken reports that every later command will fail.
func (c *Conn) Broken() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err != nil
}

// fail ends everybody who waits.
func (c *Conn) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return
	}
	c.err = err
	_ = c.conn.Close()
	for _, w := range c.waiting {
		w <- answer{err: err}
	}
	c.waiting = nil
	close(c.wake)
}

// Do sends a command and waits for its answer: a text, or a number as text. When ctx
// ends first the outcome is unknown.
func (c *Conn) Do(ctx context.Context, args ...string) (string, error) {
	done := make(chan answer, 1)
	c.mu.Lock()
	if c.err != nil {
		c.mu.Unlock()
		return "", c.err
	}
	c.out = appendCommand(c.out, args)
	c.waiting = append(c.waiting, done)
	select {
	case c.wake <- struct{}{}:
	default:
	}
	c.mu.Unlock()
	select {
	case a := <-done:
		return a.text, a.err
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

func appendCommand(b []byte, args []string) []byte {
	b = append(strconv.AppendInt(append(b, '*'), int64(len(args)), 10), "\r\n"...)
	for _, a := range args {
		b = append(strconv.AppendInt(append(b, '$'), int64(len(a)), 10), "\r\n"...)
		b = append(append(b, a...), "\r\n"...)
	}
	return b
}

// write sends what waits, in one go.
func (c *Conn) write() {
	var spare []byte
	for range c.wake {
		c.mu.Lock()
		send := c.out
		c.out = spare[:0]
		c.mu.Unlock()
		if _, err := c.conn.Write(send); err != nil {
			c.fail(err)
			return
		}
		spare = send
	}
}

func (c *Conn) read() {
	r := bufio.NewReaderSize(c.conn, 64<<10)
	for {
		a, err := readAnswer(r)
		if err != nil {
			c.fail(err)
			return
		}
		c.mu.Lock()
		if len(c.waiting) == 0 {
			c.mu.Unlock()
			c.fail(errors.New("redis: an answer to nothing"))
			return
		}
		w := c.waiting[0]
		c.waiting = c.waiting[1:]
		c.mu.Unlock()
		w <- a
	}
}

const maxAnswer = 1 << 16

// readAnswer reads a text, a number or an error.
func readAnswer(r *bufio.Reader) (answer, error) {
	line, err := r.ReadString('\n')
	if err != nil {
		return answer{}, err
	}
	if line = strings.TrimSuffix(line, "\r\n"); line == "" {
		return answer{}, errors.New("redis: an empty answer")
	}
	kind, rest := line[0], line[1:]
	switch kind {
	case '+', ':':
		return answer{text: rest}, nil
	case '-':
		return answer{err: errors.New("redis: " + rest)}, nil
	case '$':
		n, err := strconv.Atoi(rest)
		if err != nil || n < 0 || n > maxAnswer {
			return answer{}, fmt.Errorf("redis: length %q", rest)
		}
		b := make([]byte, n+2)
		if _, err := io.ReadFull(r, b); err != nil {
			return answer{}, err
		}
		return answer{text: string(b[:n])}, nil
	}
	return answer{}, fmt.Errorf("redis: answer %q", line)
}
