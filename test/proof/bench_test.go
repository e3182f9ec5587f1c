package proof

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"slices"
	"testing"
	"time"

	"xinglin/test/rig"
)

// The bench is machinery that judges the product, so it is itself run at every build:
// its shortest form against real servers on both engines. Its figures say nothing here;
// that it measures everything and that no sale deviates from the tables does.
func TestBenchBookingRuns(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, rig.Binary(t), "bench", "booking", "--short", "--parts", "core,hot", "--peers", "row-lock,conditional,statement", "--targets", "any", "--json")
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "TMPDIR=" + os.TempDir()}
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var r struct {
		Short   bool
		Machine struct{ PostgreSQL string }
		Figures []struct {
			Part, Variant string
			Rate          struct {
				Median float64
				Rounds int
			} `json:"per_s"`
			Server struct{ Median float64 } `json:"server_us"`
		}
		Ratios []struct {
			Part, Name, Verdict string
			Value               struct{ Median float64 }
		}
		Checks int
		Faults []string
	}
	if err := json.Unmarshal(out, &r); err != nil {
		t.Fatal(err)
	}
	if !r.Short || r.Machine.PostgreSQL == "" || len(r.Faults) > 0 {
		t.Errorf("short %v, PostgreSQL %q, faults %v", r.Short, r.Machine.PostgreSQL, r.Faults)
	}
	// Two rounds and the stampede of each durable variant: five of them.
	if r.Checks != 2*2*5 {
		t.Errorf("%d segments were checked against the tables, want 20", r.Checks)
	}
	var seen []string
	for _, f := range r.Figures {
		if f.Rate.Median <= 0 || f.Rate.Rounds != 1 || f.Server.Median <= 0 {
			t.Errorf("%s %s: %+v", f.Part, f.Variant, f)
		}
		seen = append(seen, f.Part+" "+f.Variant)
	}
	for _, part := range []string{"core ", "hot "} {
		for _, v := range []string{"product/pg", "product/sqlite", "echo/pg", "echo/sqlite", "memory/pg", "memory/sqlite", "statement/pg", "conditional/pg", "row-lock/pg"} {
			if !slices.Contains(seen, part+v) {
				t.Errorf("%s%s was not measured", part, v)
			}
		}
	}
	for _, x := range r.Ratios {
		if x.Value.Median <= 0 || x.Verdict != "none" {
			t.Errorf("%s %s: %v, verdict %s of a try", x.Part, x.Name, x.Value.Median, x.Verdict)
		}
	}
	if len(r.Ratios) < 10 {
		t.Errorf("%d ratios", len(r.Ratios))
	}
}
