package reference

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"xinglin/internal/platform/httpx"
)

// inventory is what docs/reference lists: the only words that board and rules may use.
type inventory struct {
	metrics map[string]listed
	ops     map[string]bool
}

type listed struct {
	kind   string
	labels []string
}

// everywhere are the labels that Prometheus adds, and the breaker's constant one, which the
// reference does not list.
var everywhere = []string{"job", "instance", "service"}

var (
	metricRowRE = regexp.MustCompile("(?m)^\\| `(xinglin_[a-z0-9_]+)` \\| ([a-z]*) \\| ([^|]*) \\|")
	opRowRE     = regexp.MustCompile("`([a-z]+\\.[a-z_]+)`")
	tickedRE    = regexp.MustCompile("`([^`]+)`")
	usedRE      = regexp.MustCompile(`\b(xinglin(?:_[a-z0-9]+)+)(?:\{([^}]*)\})?`)
	recordedRE  = regexp.MustCompile(`\bxinglin:[a-z0-9_]+:[a-z0-9_]+`)
	matcherRE   = regexp.MustCompile(`([a-z_]+)(?:=~|!~|!=|=)"([^"]*)"`)
	groupedRE   = regexp.MustCompile(`\b(?:by|without|on) \(([^)]*)\)`)
	ruleRE      = regexp.MustCompile(`^      - (record|alert): (\S+)$`)
	exprRE      = regexp.MustCompile(`^        expr: (.+)$`)
	otherRE     = regexp.MustCompile(`^(#.*|groups:|  - name: [a-z-]+|    interval: \d+s|    rules:|        for: \d+[sm]|        labels: \{severity: (page|ticket)\}|        annotations:|          summary: ".+ · .+"|          runbook: \S+)$`)
)

func readInventory(t *testing.T) inventory {
	t.Helper()
	inv := inventory{metrics: map[string]listed{}, ops: map[string]bool{}}
	for _, m := range metricRowRE.FindAllStringSubmatch(readFile(t, "../../docs/reference/metrics.md"), -1) {
		l := listed{kind: m[2]}
		for _, x := range tickedRE.FindAllStringSubmatch(m[3], -1) {
			l.labels = append(l.labels, x[1])
		}
		inv.metrics[m[1]] = l
	}
	for _, m := range opRowRE.FindAllStringSubmatch(readFile(t, "../../docs/reference/api.md"), -1) {
		inv.ops[m[1]] = true
	}
	if len(inv.metrics) < 20 || !inv.ops["scheduling.hold"] {
		t.Fatalf("docs/reference is not read: %d metrics", len(inv.metrics))
	}
	return inv
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// metric finds what a name in an expression stands for: a histogram is asked by its parts.
func (inv inventory) metric(name string) (listed, bool) {
	if l, ok := inv.metrics[name]; ok {
		return l, l.kind != "histogram"
	}
	for _, part := range []string{"_bucket", "_sum", "_count"} {
		if base, ok := strings.CutSuffix(name, part); ok {
			l := inv.metrics[base]
			if part == "_bucket" {
				l.labels = append(slices.Clone(l.labels), "le")
			}
			return l, l.kind == "histogram"
		}
	}
	return listed{}, false
}

// faults says what an expression names that does not exist.
func (inv inventory) faults(expr string) (out []string) {
	can := slices.Clone(everywhere) // labels that may be grouped by
	for _, m := range usedRE.FindAllStringSubmatch(expr, -1) {
		l, ok := inv.metric(m[1])
		if !ok {
			out = append(out, "no metric "+m[1])
			continue
		}
		can = append(can, l.labels...)
		for _, x := range matcherRE.FindAllStringSubmatch(m[2], -1) {
			label, value := x[1], x[2]
			switch {
			case !slices.Contains(l.labels, label) && !slices.Contains(everywhere, label):
				out = append(out, m[1]+" has no label "+label)
			case label == "op" && !inv.ops[value]:
				out = append(out, "no operation "+value)
			case label == "class" && !slices.Contains(httpx.Classes(), httpx.Class(value)):
				out = append(out, "no class "+value)
			}
		}
	}
	if recordedRE.MatchString(expr) { // a recorded series has the labels that its rule kept
		return out
	}
	for _, m := range groupedRE.FindAllStringSubmatch(expr, -1) {
		for label := range strings.SplitSeq(m[1], ",") {
			if label = strings.TrimSpace(label); !slices.Contains(can, label) {
				out = append(out, "no label "+label)
			}
		}
	}
	return out
}

// rule is one of rules.yml.
type rule struct{ kind, name, expr string }

// readRules reads the few forms of lines that rules.yml has: an unknown one is an error, so
// that nothing escapes.
func readRules(text string) (out []rule, err error) {
	for i, line := range strings.Split(strings.TrimRight(text, "\n"), "\n") {
		switch m, x := ruleRE.FindStringSubmatch(line), exprRE.FindStringSubmatch(line); {
		case m != nil:
			out = append(out, rule{kind: m[1], name: m[2]})
		case x != nil && len(out) > 0 && out[len(out)-1].expr == "":
			out[len(out)-1].expr = x[1]
		case !otherRE.MatchString(line):
			return nil, fmt.Errorf("line %d is of no known form: %s", i+1, line)
		}
	}
	for _, r := range out {
		if r.expr == "" {
			return nil, fmt.Errorf("%s has no expression", r.name)
		}
	}
	return out, nil
}

// boardPanel is what the test reads of a panel.
type boardPanel struct {
	ID      int    `json:"id"`
	Type    string `json:"type"`
	Title   string `json:"title"`
	GridPos struct{ H, W, X, Y int }
	Targets []struct {
		Expr string `json:"expr"`
	} `json:"targets"`
}

// The board and its rules name metrics, labels, operations and classes that exist, and
// each other: no panel asks for a rule that is not there, no rule is for nobody.
func TestBoard(t *testing.T) {
	t.Parallel()
	inv := readInventory(t)
	rules, err := readRules(readFile(t, "../../deploy/grafana/rules.yml"))
	if err != nil {
		t.Fatal(err)
	}
	var board struct {
		Panels []boardPanel `json:"panels"`
	}
	if err := json.Unmarshal([]byte(readFile(t, "../../deploy/grafana/eight-oclock.json")), &board); err != nil {
		t.Fatal(err)
	}
	recorded, wanted := map[string]bool{}, map[string]bool{}
	look := func(where, expr string) {
		for _, f := range inv.faults(expr) {
			t.Errorf("%s: %s: %s", where, f, expr)
		}
		for _, r := range recordedRE.FindAllString(expr, -1) {
			wanted[r] = true
		}
	}
	for _, r := range rules {
		if recorded[r.name] {
			t.Errorf("%s is there twice", r.name)
		}
		recorded[r.name] = true
		look("rules.yml: "+r.name, r.expr)
	}
	asked := 0
	for _, p := range board.Panels {
		if len(p.Targets) == 0 && p.Type != "row" && p.Type != "text" {
			t.Errorf("panel %q asks for nothing", p.Title)
		}
		for _, x := range p.Targets {
			asked++
			look("panel "+p.Title, x.Expr)
		}
	}
	if asked < 30 || len(rules) < 20 {
		t.Fatalf("%d questions, %d rules: the files are not read", asked, len(rules))
	}
	for name := range wanted {
		if !recorded[name] {
			t.Errorf("nobody records %s", name)
		}
	}
	for _, r := range rules {
		if r.kind == "record" && !wanted[r.name] {
			t.Errorf("nobody uses %s", r.name)
		}
	}
	apart(t, board.Panels)
}

// apart finds panels that lie on each other or have one id.
func apart(t *testing.T, panels []boardPanel) {
	t.Helper()
	ids := map[int]string{}
	for i, p := range panels {
		if other, ok := ids[p.ID]; ok {
			t.Errorf("%q and %q have the id %d", other, p.Title, p.ID)
		}
		ids[p.ID] = p.Title
		a := p.GridPos
		if a.W < 1 || a.H < 1 || a.X+a.W > 24 {
			t.Errorf("%q lies outside: %+v", p.Title, a)
		}
		for _, q := range panels[:i] {
			b := q.GridPos
			if a.X < b.X+b.W && b.X < a.X+a.W && a.Y < b.Y+b.H && b.Y < a.Y+a.H {
				t.Errorf("%q lies on %q", p.Title, q.Title)
			}
		}
	}
}

// What does not exist is found.
func TestBoardFaults(t *testing.T) {
	t.Parallel()
	inv := readInventory(t)
	for _, tc := range []struct {
		expr string
		want []string
	}{
		{`sum by (job, le) (rate(xinglin_batch_seconds_bucket{name="scheduling.hold"}[30s]))`, nil},
		{`max by (service) (xinglin_breaker_state{job=~"$job"})`, nil},
		{`sum by (op) (xinglin:requests:rate30s)`, nil},
		{`rate(xinglin_batch_size_sum[30s])`, []string{"no metric xinglin_batch_size_sum"}},
		{`rate(xinglin_http_requests[30s])`, []string{"no metric xinglin_http_requests"}},
		{`rate(xinglin_batch_seconds[30s])`, []string{"no metric xinglin_batch_seconds"}}, // a histogram is no series
		{`xinglin_outbox_waiting_count`, []string{"no metric xinglin_outbox_waiting_count"}},
		{`xinglin_outbox_waiting{op="scheduling.hold"}`, []string{"xinglin_outbox_waiting has no label op"}},
		{`sum by (room) (xinglin_outbox_waiting)`, []string{"no label room"}},
		{`xinglin_http_requests_total{op="scheduling.sell"}`, []string{"no operation scheduling.sell"}},
		{`xinglin_http_gate_limit{class="holds"}`, []string{"no class holds"}},
	} {
		if d := cmp.Diff(tc.want, inv.faults(tc.expr)); d != "" {
			t.Errorf("%s: -want +got\n%s", tc.expr, d)
		}
	}
	for _, bad := range []string{"groups:\n      - record: a\n", "      - record: a\n        expr: |\n          xinglin_x\n", "      - record: a\n          expr: x\n"} {
		if _, err := readRules(bad); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
}
