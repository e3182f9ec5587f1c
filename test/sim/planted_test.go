package sim

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// plant is a bug: a small change of the source, and the rule that a rush must find broken.
type plant struct {
	name    string
	changes []change
	args    []string
	finds   string // a part of the check's name
	soak    bool   // only in a soak
}

// change replaces a text that stands exactly once in a file of the repository.
type change struct{ file, old, new string }

const (
	svc     = "internal/scheduling/schedulingsvc/"
	soldout = "internal/scheduling/soldout/soldout.go"
)

var plants = []plant{
	{
		name: "the watermark before the key",
		changes: []change{{
			soldout,
			"	case v.Tails[bookingrules.TailOf(r.ID)]:\n		return Known\n	case v.Sold, !r.Any && v.Full[r.Slot]:\n		return Sold\n",
			"	case v.Sold, !r.Any && v.Full[r.Slot]:\n		return Sold\n	case v.Tails[bookingrules.TailOf(r.ID)]:\n		return Known\n",
		}},
		args:  []string{"--processes", "1", "--seed", "8", "--people", "250", "--duration", "3s"},
		finds: "one key is one appointment",
	},
	{
		// Two processes read the free seats without the lock of the session. The check of the
		// slot's bits would still hold the rule, so it goes too.
		name: "the check outside the transaction",
		changes: []change{
			{svc + "store_lock.go", "(SELECT COUNT(pg_advisory_xact_lock(k)) FROM (SELECT k FROM unnest($2", "(SELECT COUNT(k) FROM (SELECT k FROM unnest($2"},
			{svc + "store_sell_pg.go", "CASE WHEN slot.taken & c.bits = 0 THEN slot.taken | c.bits ELSE -1 END", "slot.taken | c.bits"},
		},
		args:  []string{"--processes", "2", "--seed", "8", "--people", "400", "--duration", "3s"},
		finds: "no number is given twice",
		soak:  true,
	},
	{
		// The mark's short life would heal a lost signal within the promise, so it goes too.
		name: "a release without the event",
		changes: []change{
			{svc + "marks_signal.go", "	s.marks.Clear(soldout.Key{Tenant: t, Schedule: schedule})\n	if s.base.Signals == nil {\n", "	s.marks.Clear(soldout.Key{Tenant: t, Schedule: schedule})\n	if s.base.Signals != nil {\n"},
			{soldout, "	lifetime = time.Second     // a mark says nothing after it\n", "	lifetime = time.Hour\n"},
		},
		args:  []string{"--processes", "2", "--seed", "8", "--people", "400", "--duration", "3s"},
		finds: "history is linearizable",
		soak:  true,
	},
}

// TestPlantedBugs builds the program with each bug and expects the rush to name the rule.
func TestPlantedBugs(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range plants {
		t.Run(p.name, func(t *testing.T) {
			binary := p.build(t, root, !p.soak || Soak())
			if binary == "" {
				return
			}
			rep, exit := rush(t, binary, t.TempDir(), p.args...)
			if exit != 1 {
				t.Errorf("exit %d, want 1", exit)
			}
			found := false
			for _, c := range rep.Broken() {
				t.Logf("%s: %d, for example %s", c.Name, c.Count, c.Violations[0])
				found = found || strings.Contains(c.Name, p.finds)
			}
			if !found {
				t.Errorf("the rule %q was not found broken", p.finds)
			}
		})
	}
}

// build compiles the program with the changes laid over the repository. Every change must
// fit, whether it is built or not.
func (p plant) build(t *testing.T, root string, build bool) (binary string) {
	t.Helper()
	dir := t.TempDir()
	over := map[string]string{}
	for _, c := range p.changes {
		file := filepath.Join(root, filepath.FromSlash(c.file))
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(string(b), c.old); n != 1 {
			t.Fatalf("%s has the text to change %d times, want once:\n%s", c.file, n, c.old)
		}
		over[file] = filepath.Join(dir, strings.ReplaceAll(c.file, "/", "-"))
		if err := os.WriteFile(over[file], []byte(strings.Replace(string(b), c.old, c.new, 1)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if !build {
		return ""
	}
	overlay, err := json.Marshal(map[string]any{"Replace": over})
	if err != nil {
		t.Fatal(err)
	}
	list := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(list, overlay, 0o600); err != nil {
		t.Fatal(err)
	}
	binary = filepath.Join(dir, "xinglin")
	// As `make go` builds it, so that all other packages come from the cache.
	cmd := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-ldflags=-s -w", "-overlay", list, "-o", binary, "./cmd/xinglin")
	cmd.Dir, cmd.Env = root, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return binary
}
