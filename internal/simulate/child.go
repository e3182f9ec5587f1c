package simulate

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	readyTime = 60 * time.Second
	stopTime  = 40 * time.Second // longer than the drain
	keepLog   = 1 << 20          // bytes of a child's last words
)

// child is a process of the same binary, or the database server.
type child struct {
	name string
	cmd  *exec.Cmd
	log  *tail
	done chan struct{}
	err  error // after done
}

// spawn starts a child; attr may be nil.
func spawn(name, bin string, attr *syscall.SysProcAttr, args ...string) (*child, error) {
	return respawn(&tail{}, name, bin, attr, args...)
}

// respawn is spawn with the log of an earlier child.
func respawn(log *tail, name, bin string, attr *syscall.SysProcAttr, args ...string) (*child, error) {
	c := &child{name: name, log: log, done: make(chan struct{})}
	c.cmd = exec.Command(bin, args...) //nolint:noctx // it ends with kill, stop or this process
	c.cmd.Env = environment()
	c.cmd.Stdout, c.cmd.Stderr = c.log, c.log
	c.cmd.SysProcAttr = attr
	if attr == nil {
		c.cmd.SysProcAttr = dieWithParent(syscall.SIGKILL)
	}
	c.cmd.WaitDelay = 5 * time.Second
	if err := c.cmd.Start(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	go func() {
		c.err = c.cmd.Wait()
		close(c.done)
	}()
	return c, nil
}

// environment is ours without the product's own settings.
func environment() (out []string) {
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "XINGLIN_") && !strings.HasPrefix(e, "PG") {
			out = append(out, e)
		}
	}
	return out
}

// kill is kill -9, and waits until the process is gone.
func (c *child) kill() {
	_ = c.cmd.Process.Kill()
	<-c.done
}

// stop asks with a signal and waits; a child that does not listen is killed.
func (c *child) stop(sig syscall.Signal) error {
	select {
	case <-c.done:
		return nil
	default:
	}
	_ = c.cmd.Process.Signal(sig)
	select {
	case <-c.done:
		return nil
	case <-time.After(stopTime):
		c.kill()
		return fmt.Errorf("%s did not stop within %s\n%s", c.name, stopTime, c.log)
	}
}

// await asks again and again until ok, the child's end, or readyTime.
func (c *child) await(ctx context.Context, what string, ok func(context.Context) bool) error {
	ctx, cancel := context.WithTimeout(ctx, readyTime)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !ok(ctx) {
		select {
		case <-c.done:
			return fmt.Errorf("%s ended before it was %s: %w\n%s", c.name, what, c.err, c.log)
		case <-ctx.Done():
			return fmt.Errorf("%s is not %s: %w\n%s", c.name, what, ctx.Err(), c.log)
		case <-tick.C:
		}
	}
	return nil
}

// said waits until the child has printed a text.
func (c *child) said(ctx context.Context, text string) error {
	return c.await(ctx, fmt.Sprintf("heard to say %q", text), func(context.Context) bool { return strings.Contains(c.log.String(), text) })
}

// answers waits until a URL answers 200.
func (c *child) answers(ctx context.Context, url string) error {
	return c.await(ctx, "ready", func(ctx context.Context) bool {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return false
		}
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			return false
		}
		_ = res.Body.Close()
		return res.StatusCode == http.StatusOK
	})
}

// command runs a program to its end and gives what it printed.
func command(ctx context.Context, attr *syscall.SysProcAttr, bin string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, bin, args...)
	cmd.Env, cmd.SysProcAttr = environment(), attr
	cmd.Dir = "/"
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("%s: %w\n%s%s", strings.Join(append([]string{cmd.Args[0]}, args[:min(2, len(args))]...), " "), err, out.String(), errs.String())
	}
	return out.String(), nil
}

// freeAddress is a port of the loopback that was free a moment ago.
func freeAddress(ctx context.Context) (string, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp4", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// tail keeps the last bytes that a child printed.
type tail struct {
	mu  sync.Mutex
	buf []byte
}

// Write implements io.Writer.
func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, b...)
	if n := len(t.buf) - keepLog; n > 0 {
		t.buf = append(t.buf[:0], t.buf[n:]...)
	}
	return len(b), nil
}

// String implements fmt.Stringer.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.buf)
}
