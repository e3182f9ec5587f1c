// Package sim runs `xinglin simulate rush`, the product's own proof, through the real
// binary: the short form in `make test`, twenty seeds on three killed processes in a
// soak, and with planted bugs that it must find.
package sim

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// rushTime bounds one rush, on a machine that does much else.
const rushTime = 6 * time.Minute

// Soak tells that the full sizes are wanted.
func Soak() bool { return os.Getenv("XINGLIN_SOAK") != "" }

// Report is what the tests read of a rush's report.
type Report struct {
	Seed         uint64         `json:"seed"`
	Engine       string         `json:"engine"`
	Requests     int            `json:"requests"`
	Unanswered   int            `json:"unanswered"`
	Appointments int            `json:"appointments"`
	Booked       int            `json:"booked"`
	Cancelled    int            `json:"cancelled"`
	Expired      int            `json:"expired"`
	Paid         int            `json:"paid"`
	LatePaid     int            `json:"late_paid"`
	Refunded     int            `json:"refunded"`
	Repeats      int            `json:"repeats"`
	AfterSellOut int            `json:"after_sellout"`
	Answers      map[string]int `json:"answers"`
	Faults       []string       `json:"faults"`
	Advantage    float64        `json:"head_advantage"`
	HistoryTime  string         `json:"history_time"`
	Checks       []Check        `json:"checks"`
}

// Check is one rule of the report.
type Check struct {
	Name       string   `json:"name"`
	Seen       int      `json:"seen"`
	Count      int      `json:"count"`
	Violations []string `json:"violations"`
}

// Broken are the checks with violations.
func (r Report) Broken() (out []Check) {
	for _, c := range r.Checks {
		if c.Count > 0 {
			out = append(out, c)
		}
	}
	return out
}

// rush runs a binary's `simulate rush` with --json; out gets the files of violations.
func rush(t *testing.T, binary, out string, args ...string) (rep Report, exit int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), rushTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, append([]string{"simulate", "rush", "--json", "--out", out}, args...)...)
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "XINGLIN_") {
			cmd.Env = append(cmd.Env, e)
		}
	}
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var failed *exec.ExitError
	if err != nil && !errors.As(err, &failed) {
		t.Fatalf("simulate rush %s: %v", strings.Join(args, " "), err)
	}
	if stdout.Len() == 0 {
		t.Fatalf("simulate rush %s: %v, no report\n%s", strings.Join(args, " "), err, stderr.String())
	}
	if err := json.Unmarshal(stdout.Bytes(), &rep); err != nil {
		t.Fatalf("simulate rush %s: %v\n%s", strings.Join(args, " "), err, stdout.String())
	}
	return rep, cmd.ProcessState.ExitCode()
}
