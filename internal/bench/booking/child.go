package booking

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// child is a process of the bench: it ends with it.
type child struct {
	title string
	cmd   *exec.Cmd
	end   syscall.Signal
	done  chan struct{}
	err   error // after done
	log   *tail
}

// startChild starts a process whose last words are kept.
func startChild(name string, cmd *exec.Cmd, end syscall.Signal) (*child, error) {
	c := &child{title: name, cmd: cmd, end: end, done: make(chan struct{}), log: &tail{}}
	if cmd.Stdout == nil {
		cmd.Stdout = c.log
	}
	cmd.Stderr = c.log
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	go func() {
		c.err = cmd.Wait()
		close(c.done)
	}()
	return c, nil
}

func (c *child) pid() int {
	if c == nil {
		return 0
	}
	return c.cmd.Process.Pid
}

// stop asks the process to end, and kills it when it does not.
func (c *child) stop() error {
	select {
	case <-c.done:
		return nil
	default:
	}
	_ = c.cmd.Process.Signal(c.end)
	select {
	case <-c.done:
		return nil
	case <-time.After(stopTime):
	}
	_ = c.cmd.Process.Kill()
	<-c.done
	return fmt.Errorf("%s had to be killed", c.title)
}

// fault is an error with the process's last words.
func (c *child) fault(text string) error {
	return fmt.Errorf("%s %s\n%s", c.title, text, c.log)
}

func (c *child) accepts(ctx context.Context, address string) error {
	return c.acceptsOn(ctx, "tcp", address)
}

// acceptsOn waits until somebody listens there.
func (c *child) acceptsOn(ctx context.Context, network, address string) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		conn, err := net.Dial(network, address)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-c.done:
			return c.fault("ended before it answered")
		case <-ctx.Done():
			return errors.Join(ctx.Err(), c.fault("does not answer"))
		case <-tick.C:
		}
	}
}

const keepLog = 16 << 10

// tail keeps the end of what a process says.
type tail struct {
	mu sync.Mutex
	b  []byte
}

var _ io.Writer = (*tail)(nil)

// Write implements io.Writer.
func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.b = append(t.b, b...)
	if n := len(t.b) - keepLog; n > 0 {
		t.b = append([]byte(nil), t.b[n:]...)
	}
	return len(b), nil
}

// String implements fmt.Stringer.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.b)
}
