// Package rig runs the real program for tests: processes with free ports that are
// waited for, stopped or killed, and whole installations on either engine with the
// simulators of the other side. It is used by test/script and test/proof.
//
// The binary comes from XINGLIN_BIN, which make sets.
package rig

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// Env names the binary.
const Env = "XINGLIN_BIN"

const (
	runTime    = 2 * time.Minute // one foreground command
	readyTime  = 60 * time.Second
	stopTime   = 40 * time.Second // longer than the drain
	keepLines  = 6000             // a crash prints every goroutine
	crashLines = 60
	startTry   = 5
)

// Binary is the program under test; the test fails loudly without one.
func Binary(t testing.TB) string {
	t.Helper()
	b := os.Getenv(Env)
	if b == "" {
		t.Fatalf("%s is not set: run `make test`, or `make go` and %s=$PWD/bin/xinglin", Env, Env)
	}
	b, err := filepath.Abs(b)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(b); err != nil {
		t.Fatalf("%s: %v", Env, err)
	}
	return b
}

// Result is a finished foreground command.
type Result struct {
	Code   int
	Stdout string
	Stderr string
}

// Run runs the program to its end, at most two minutes.
func Run(t testing.TB, args ...string) Result {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), runTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, Binary(t), args...)
	cmd.Env = environment()
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("xinglin %s: %v", strings.Join(args, " "), err)
	}
	return Result{cmd.ProcessState.ExitCode(), out.String(), errs.String()}
}

// Must is Run for commands that must succeed.
func Must(t testing.TB, args ...string) string {
	t.Helper()
	r := Run(t, args...)
	if r.Code != 0 {
		t.Fatalf("xinglin %s: exit %d\n%s%s", strings.Join(args, " "), r.Code, r.Stdout, r.Stderr)
	}
	return r.Stdout
}

// environment is the test's without the product's own settings.
func environment() []string {
	var out []string
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "XINGLIN_") {
			out = append(out, e)
		}
	}
	return out
}

// Process is one running program.
type Process struct {
	Name    string
	Args    []string
	URL     string // public address
	Private string // private address

	cmd  *exec.Cmd
	log  *tail
	done chan struct{}
	err  error // after done

	shown atomic.Bool // the log stands in an error already
}

// Start runs the program in the background until Stop, Kill or the end of the test.
func Start(t testing.TB, name string, args ...string) *Process {
	t.Helper()
	p, err := Spawn(Binary(t), name, args...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.End()
		if t.Failed() && !p.shown.Load() {
			t.Logf("---- %s ----\n%s", name, p.Log())
		}
	})
	return p
}

// Spawn is Start without a test.
func Spawn(binary, name string, args ...string) (*Process, error) {
	return SpawnIn("", binary, name, args...)
}

// SpawnIn is Spawn in a working folder.
func SpawnIn(dir, binary, name string, args ...string) (*Process, error) {
	p := &Process{Name: name, Args: args, log: &tail{}, done: make(chan struct{})}
	p.cmd = exec.Command(binary, args...) //nolint:noctx // it ends with Stop, Kill or the test
	p.cmd.Dir = dir
	p.cmd.Env = environment()
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	p.cmd.SysProcAttr = dieWithParent()
	p.cmd.WaitDelay = 5 * time.Second
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// Log is the last lines of both outputs.
func (p *Process) Log() string { return p.log.String() }

// fault is an error with the log.
func (p *Process) fault(format string, a ...any) error {
	p.shown.Store(true)
	return fmt.Errorf("%s "+format+"\n%s", append(append([]any{p.Name}, a...), p.Log())...)
}

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// PID is the process's number.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Stop asks it to drain and waits; the test fails unless it ends cleanly.
func (p *Process) Stop(t testing.TB) {
	t.Helper()
	if err := p.Drain(); err != nil {
		t.Fatal(err)
	}
}

// Drain is Stop without a test.
func (p *Process) Drain() error {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(stopTime):
		return p.fault("did not stop within %s", stopTime)
	}
	if p.err != nil {
		return p.fault("ended with %w", p.err)
	}
	return nil
}

// Kill is kill -9, and waits until the process is gone.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
}

// End ends it in any state, gently first.
func (p *Process) End() {
	select {
	case <-p.done:
		return
	default:
	}
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(stopTime):
		p.Kill()
	}
}

// Ready waits until URL answers /readyz. An early end is an error with the log.
func (p *Process) Ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyTime)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if answers(ctx, p.URL+"/readyz") {
			return nil
		}
		select {
		case <-p.done:
			return p.fault("ended before it was ready: %v", p.err)
		case <-ctx.Done():
			return p.fault("is not ready after %s", readyTime)
		case <-tick.C:
		}
	}
}

func answers(ctx context.Context, url string) bool {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return false
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return false
	}
	res.Body.Close()
	return res.StatusCode == http.StatusOK
}

// Said waits until the process has printed the text.
func (p *Process) Said(ctx context.Context, text string) error {
	ctx, cancel := context.WithTimeout(ctx, readyTime)
	defer cancel()
	for {
		heard := p.log.more()
		if strings.Contains(p.Log(), text) {
			return nil
		}
		select {
		case <-heard:
		case <-p.done:
			if strings.Contains(p.Log(), text) {
				return nil
			}
			return p.fault("ended without saying %q", text)
		case <-ctx.Done():
			return p.fault("did not say %q", text)
		}
	}
}

// Port is a port of 127.0.0.1 that was free a moment ago.
func Port(t testing.TB) string {
	t.Helper()
	p, err := FreePort()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// FreePort is Port without a test: "127.0.0.1:N".
func FreePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// Taken tells that a process ended because another one had taken its port meanwhile.
func (p *Process) Taken() bool { return strings.Contains(p.Log(), "address already in use") }

// tail keeps the last lines of a process.
type tail struct {
	mu    sync.Mutex
	lines [][]byte
	part  []byte
	heard []chan struct{}
}

// Write implements io.Writer.
func (l *tail) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.part = append(l.part, b...)
	for {
		i := bytes.IndexByte(l.part, '\n')
		if i < 0 {
			break
		}
		l.lines = append(l.lines, bytes.Clone(l.part[:i+1]))
		l.part = l.part[i+1:]
	}
	if n := len(l.lines) - keepLines; n > 0 {
		l.lines = append(l.lines[:0:0], l.lines[n:]...)
	}
	for _, ch := range l.heard {
		close(ch)
	}
	l.heard = nil
	return len(b), nil
}

func (l *tail) more() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	ch := make(chan struct{})
	l.heard = append(l.heard, ch)
	return ch
}

// String implements fmt.Stringer. Why a program crashed stands above the stacks of all
// its goroutines, where a report that is cut from above loses it: it is said again at the end.
func (l *tail) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := string(bytes.Join(l.lines, nil)) + string(l.part)
	if at := crash.FindStringIndex(all); at != nil {
		head := strings.SplitAfterN(all[at[0]:], "\n", crashLines+1)
		all += "\n---- it crashed: ----\n" + strings.Join(head[:min(len(head), crashLines)], "")
	}
	return all
}

// crash is how Go begins to tell of its end.
var crash = regexp.MustCompile(`(?m)^(fatal error: |panic: |unexpected fault address |SIG[A-Z]+: |runtime: )`)
