package reference

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"xinglin/internal/kernel/fault"
	"xinglin/internal/platform/authz"
	"xinglin/internal/platform/httpx"
	"xinglin/internal/platform/verify"
)

// api lists the routes by module.
func (r *renderer) api() string {
	var p page
	p.f("# HTTP API\n\nThe document of the whole API is api/openapi.yaml; a running process gives it at /openapi.json. Errors are RFC 9457\n" +
		"problems with the codes of errors.md. **Key**: the header Idempotency-Key, the client's UUIDv7, is required. **Version**: the\n" +
		"header If-Match is required.\n")
	var mods []string
	for _, o := range r.Ops {
		mods = append(mods, o.Module)
	}
	for _, m := range distinct(mods) {
		p.f("\n## %s\n\n", m)
		p.routes(r.Ops, m)
	}
	return p.String()
}

// routes writes the table of one module's routes.
func (p *page) routes(ops []httpx.Op, mod string) {
	p.head("Method", "Path", "Operation", "Summary", "Who", "Key, version", "Success", "Body at most")
	ops = slices.SortedFunc(slices.Values(ops), func(a, b httpx.Op) int {
		return strings.Compare(a.Path+" "+a.Method, b.Path+" "+b.Method)
	})
	for _, o := range ops {
		if o.Module == mod {
			p.row(o.Method, code(o.Path), code(o.ID), o.Summary, who(o), needs(o), strconv.Itoa(o.Status), size(o.MaxBody))
		}
	}
}

func who(o httpx.Op) string {
	switch {
	case o.Machine:
		return "signed machine"
	case o.Public:
		return "everyone"
	}
	return "session"
}

func needs(o httpx.Op) string {
	var out []string
	if o.Idempotent {
		out = append(out, "key")
	}
	if o.Versioned {
		out = append(out, "version")
	}
	return strings.Join(out, ", ")
}

func size(n int64) string {
	if n >= 1<<20 && n%(1<<20) == 0 {
		return fmt.Sprintf("%d MiB", n>>20)
	}
	return fmt.Sprintf("%d KiB", n>>10)
}

func distinct(list []string) []string {
	list = slices.Clone(list)
	slices.Sort(list)
	return slices.Compact(list)
}

// errors lists the registered codes by their prefix.
func (r *renderer) errors() string {
	var p page
	p.f("# Error codes\n\nEvery refusal is a problem (RFC 9457) with `code`, both titles and `trace_id`. A code never changes its meaning.\n\n")
	p.head("Kind", "HTTP", "FHIR issue")
	seen := map[fault.Kind]bool{}
	for _, c := range r.Codes {
		seen[c.Kind] = true
	}
	for _, k := range []fault.Kind{
		fault.Malformed, fault.Unauthenticated, fault.Forbidden, fault.NotFound, fault.Conflict, fault.Gone, fault.Stale,
		fault.TooLarge, fault.Misdirected, fault.Invalid, fault.Limited, fault.Internal, fault.Unavailable,
	} {
		if seen[k] {
			p.row(string(k), strconv.Itoa(httpx.Status(k)), httpx.FHIRIssue(k))
		}
	}
	var names []string
	for _, c := range r.Codes {
		names = append(names, c.Name)
	}
	for _, g := range groups(names) {
		p.f("\n## %s\n\n", g)
		p.codes(r.Codes, g)
	}
	return p.String()
}

// codes writes the table of the codes with a prefix.
func (p *page) codes(list []*fault.Code, group string) {
	p.head("Code", "HTTP", "Kind", "中文", "English")
	list = slices.SortedFunc(slices.Values(list), func(a, b *fault.Code) int { return strings.Compare(a.Name, b.Name) })
	for _, c := range list {
		if prefix(c.Name) == group {
			p.row(code(c.Name), strconv.Itoa(httpx.Status(c.Kind)), string(c.Kind), c.ZH, c.EN)
		}
	}
}

// metrics lists what the private listener shows.
func (r *renderer) metrics() string {
	var p page
	p.f("# Metrics\n\nThe private listener serves them at /metrics in the Prometheus text form, together with the runtime's own (go_*,\n" +
		"process_*). Labels carry names of operations, kinds and states, never ids or persons.\n\n")
	p.head("Metric", "Type", "Labels", "What")
	list := slices.SortedFunc(slices.Values(r.Metrics), func(a, b MetricFamily) int { return strings.Compare(a.Name, b.Name) })
	declared := r.src.metrics()
	for _, m := range list {
		p.row(code(m.Name), cmp.Or(m.Type, declared[m.Name]), codes(m.Labels), m.Help)
	}
	return p.String()
}

// descRE reads the text form of a description, the only one that the library gives.
var (
	descRE  = regexp.MustCompile(`^Desc\{fqName: ("(?:[^"\\]|\\.)*"), help: ("(?:[^"\\]|\\.)*"),.*variableLabels: \{([^}]*)\}`)
	labelRE = regexp.MustCompile(`[A-Za-z_][A-Za-z0-9_]*`)
)

func parseDesc(s string) (MetricFamily, bool) {
	m := descRE.FindStringSubmatch(s)
	if m == nil {
		return MetricFamily{}, false
	}
	name, err1 := strconv.Unquote(m[1])
	help, err2 := strconv.Unquote(m[2])
	return MetricFamily{Name: name, Help: help, Labels: labelRE.FindAllString(m[3], -1)}, err1 == nil && err2 == nil
}

// permissions lists the policies by context.
func (r *renderer) permissions() string {
	var p page
	p.f("# Permissions\n\nCedar policies as they are compiled in; what none of them permits is refused, and what one of them forbids too. The name of the\n" +
		"policy that permitted an act stands in its audit row. What they come to for each role is in permission-matrix.md.\n\n" +
		"Fresh proof: a person has to have proved with a second factor within the last five minutes that they are there, else the act is\n" +
		"refused with `auth.step_up` (docs/guide/accounts.md). Programs, jobs and the command line have nobody to ask.\n")
	by := map[string][]string{} // context -> actions
	for _, x := range r.Permissions {
		by[x.Context] = append(by[x.Context], x.Action)
	}
	for _, c := range sortedKeys(by) {
		p.f("\n## %s\n\n", c)
		p.head("Action", "Permitted by", "Forbidden by", "Fresh proof")
		texts, words := map[string]string{}, map[string]authz.Words{}
		for _, a := range distinct(by[c]) {
			names, fresh := map[bool][]string{}, []string(nil) // by whether they forbid
			for _, x := range r.Permissions {
				if x.Context == c && x.Action == a {
					names[x.Forbids] = append(names[x.Forbids], x.Policy)
					texts[x.Policy], words[x.Policy] = x.Text, x.Words
					if x.StepUp {
						fresh = append(fresh, x.Policy)
					}
				}
			}
			p.row(code(a), codes(distinct(names[false])), codes(distinct(names[true])), codes(distinct(fresh)))
		}
		p.f("\n")
		p.head("Policy", "中文", "English")
		for _, name := range sortedKeys(words) {
			p.row(code(name), words[name].ZH, words[name].EN)
		}
		p.f("\n```cedar\n")
		for i, name := range sortedKeys(texts) {
			if i > 0 {
				p.f("\n")
			}
			p.f("%s\n", strings.TrimSpace(texts[name]))
		}
		p.f("```\n")
	}
	return p.String()
}

// states draws the state machines.
func (r *renderer) states() string {
	var p page
	p.f("# State machines\n\nThe tables in state.go of each context, drawn. Guards stand in brackets. Every step writes a history row and an audit row.\n")
	for _, m := range r.Modules {
		for i, d := range m.Machines {
			if i == 0 {
				p.f("\n## %s\n", m.Name)
			}
			p.f("\n### %s\n\n```mermaid\n%s\n```\n", d.Name(), strings.ReplaceAll(strings.TrimRight(d.Mermaid(), "\n"), ";", ","))
		}
	}
	return p.String()
}

// contexts draws who calls and hears whom.
func (r *renderer) contexts() string {
	var p page
	p.f("# Contexts\n\nA full line is a call through a contract (no cycle), a dotted line an event that is heard.\n\n```mermaid\nflowchart LR\n")
	list := slices.SortedFunc(slices.Values(r.Contexts), func(a, b Context) int { return strings.Compare(a.Name, b.Name) })
	for _, c := range list {
		p.f("    %s\n", c.Name)
	}
	for _, c := range list {
		for _, to := range distinct(c.Calls) {
			p.f("    %s --> %s\n", c.Name, to)
		}
		for _, from := range distinct(c.Hears) {
			p.f("    %s -.-> %s\n", from, c.Name)
		}
	}
	p.f("```\n\n")
	p.head("Context", "Purpose", "Calls", "Hears")
	for _, c := range list {
		p.row(c.Name, r.src.purpose("internal/"+c.Name), strings.Join(distinct(c.Calls), ", "), strings.Join(distinct(c.Hears), ", "))
	}
	return p.String()
}

// verify lists the invariants.
func (r *renderer) verify() string {
	var p page
	p.f("# Invariants\n\n`xinglin verify` runs these checks on the databases and exits with 1 when one is broken. Rows younger than the grace are\n" +
		"work in flight: listed apart, no violation.\n\n" +
		"Each context also: its outbox rows are events that it tells, its audit rows name who and what, its open jobs have a handler and an end.\n")
	for _, m := range r.Modules {
		if len(m.Checks)+len(m.Sets) == 0 {
			continue
		}
		p.f("\n## %s\n", m.Name)
		if len(m.Checks) > 0 {
			p.f("\n")
			p.head("Check", "Grace")
			for _, c := range m.Checks {
				p.row(c.Name, grace(c))
			}
		}
		for i, s := range m.Sets {
			if i == 0 {
				p.f("\nSets for the checks across contexts:\n\n")
			}
			p.f("- %s\n", s.Name)
		}
	}
	if len(r.Subsets) > 0 {
		p.f("\n## Across contexts\n\n")
		p.head("Check", "Each of", "Is among", "Grace")
		for _, s := range r.Subsets {
			p.row(s.Name, s.Left, s.Right, grace(verify.Check{Grace: s.Grace}))
		}
	}
	return p.String()
}

func grace(c verify.Check) string {
	switch {
	case c.Grace == 0:
		return verify.Grace.String()
	case c.Grace < 1000: // a nanosecond says: none
		return "none"
	}
	return c.Grace.String()
}
