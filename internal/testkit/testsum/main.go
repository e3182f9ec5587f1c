// Command testsum runs the suites of `make test`, prints every failure in full, totals
// per package and per database engine, the slowest tests, and ends with one plain line:
//
//	12 passed, 0 failed
//
// Each argument is a suite KIND=COMMAND, run by /bin/sh. The kinds: go (the command
// prints the events of go test -json), vitest (it prints a JSON report as vitest and
// jest do), plain (its last line "N passed, N failed" counts, or else its exit code).
// A suite that fails without a failed test counts one failure; a skipped test counts
// as failed, because a suite that skips proves nothing. A suite that ran no test fails.
// All suites run, whatever the earlier ones said. The exit code is 1 on any failure.
//
// Suites run one after another; -- between them begins another lane. Lanes run at once,
// each with its suites in order: what a suite prints comes whole when it has ended.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"xinglin/internal/kernel/clock"
)

const (
	slowest = 20 // tests listed at the end
	// What is said again of a failed test at the end: lines, and bytes of each.
	maxReasons, maxReason = 8, 400
	patience              = 20 * time.Second // for an interrupted suite to tidy up
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout))
}

// readers turn a suite's output into results; they pass on what a person should see.
var readers = map[string]func(r io.Reader, out io.Writer, sum *summary) error{
	"go":     readGo,
	"vitest": readVitest,
	"plain":  readPlain,
}

// job is a suite of the command line.
type job struct {
	command string
	read    func(io.Reader, io.Writer, *summary) error
	sum     summary
}

// parse splits the arguments into lanes.
func parse(args []string) (lanes [][]*job, err error) {
	lanes = [][]*job{nil}
	for _, a := range args {
		if a == "--" {
			lanes = append(lanes, nil)
			continue
		}
		kind, command, ok := strings.Cut(a, "=")
		read := readers[kind]
		if !ok || read == nil {
			return nil, fmt.Errorf("testsum: %q is not KIND=COMMAND with the kind go, vitest or plain", a)
		}
		last := &lanes[len(lanes)-1]
		*last = append(*last, &job{command: command, read: read, sum: summary{suite: command}})
	}
	for _, l := range lanes {
		if len(l) == 0 {
			return nil, errors.New("usage: testsum KIND=COMMAND... [-- KIND=COMMAND...]   KIND is go, vitest or plain")
		}
	}
	return lanes, nil
}

func run(ctx context.Context, args []string, out io.Writer) int {
	lanes, err := parse(args)
	if err != nil {
		fmt.Fprintln(out, err)
		return 2
	}
	var all sync.WaitGroup
	var one sync.Mutex // over out
	for _, lane := range lanes {
		all.Go(func() {
			for _, j := range lane {
				if len(lanes) == 1 {
					j.run(ctx, out)
					continue
				}
				one.Lock()
				fmt.Fprintf(out, ".. %s\n", j.command)
				one.Unlock()
				var b bytes.Buffer
				j.run(ctx, &b)
				one.Lock()
				_, _ = b.WriteTo(out)
				one.Unlock()
			}
		})
	}
	all.Wait()
	sum := &summary{}
	for _, lane := range lanes {
		for _, j := range lane {
			sum.tests = append(sum.tests, j.sum.tests...)
		}
	}
	return sum.print(out)
}

func (j *job) run(ctx context.Context, out io.Writer) {
	fmt.Fprintf(out, "\n== %s\n", j.command)
	start := clock.Mono()
	err := suite(ctx, j.command, j.read, out, &j.sum)
	j.sum.close(err, out)
	fmt.Fprintf(out, "== %.1f s\n", clock.Mono().Sub(start).Seconds())
}

// suite runs one command and reads what it prints.
func suite(ctx context.Context, command string, read func(io.Reader, io.Writer, *summary) error, out io.Writer, sum *summary) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("interrupted: %w", err)
	}
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", command)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // so that an interrupt reaches all of its processes, once
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGINT) }
	cmd.WaitDelay = patience
	cmd.Stderr = os.Stderr
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	readErr := read(pipe, out, sum)
	if _, err := io.Copy(out, pipe); err != nil && readErr == nil { // never leave the command blocked on a full pipe
		readErr = err
	}
	if err := cmd.Wait(); err != nil {
		return err
	}
	return readErr
}
