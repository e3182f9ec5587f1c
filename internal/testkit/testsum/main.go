// Command testsum runs the suites of `make test` one after another, prints every
// failure in full, totals per package and per database engine, the slowest tests, and
// ends with one plain line:
//
//	12 passed, 0 failed
//
// Each argument is a suite KIND=COMMAND, run by /bin/sh. The kinds: go (the command
// prints the events of go test -json), vitest (it prints a JSON report as vitest and
// jest do), plain (its last line "N passed, N failed" counts, or else its exit code).
// A suite that fails without a failed test counts one failure; a skipped test counts
// as failed, because a suite that skips proves nothing. A suite that ran no test fails.
// All suites run, whatever the earlier ones said. The exit code is 1 on any failure.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
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

func run(ctx context.Context, args []string, out io.Writer) int {
	if len(args) == 0 {
		fmt.Fprintln(out, "usage: testsum KIND=COMMAND...   KIND is go, vitest or plain")
		return 2
	}
	sum := &summary{}
	for _, a := range args {
		kind, command, ok := strings.Cut(a, "=")
		read := readers[kind]
		if !ok || read == nil {
			fmt.Fprintf(out, "testsum: %q is not KIND=COMMAND with the kind go, vitest or plain\n", a)
			return 2
		}
		fmt.Fprintf(out, "\n== %s\n", command)
		sum.suite = command
		before, start := len(sum.tests), clock.Mono()
		err := suite(ctx, command, read, out, sum)
		sum.close(before, err, out)
		fmt.Fprintf(out, "== %.1f s\n", clock.Mono().Sub(start).Seconds())
	}
	return sum.print(out)
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
