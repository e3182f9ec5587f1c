package archtest

import (
	"fmt"
	"go/ast"
	"maps"
	"slices"
	"strings"
)

// tablePath is where the table of contexts stands: var Contexts = []Context{{Name: ...,
// Calls: []string{...}, Hears: []string{...}}, ...}
const tablePath = "internal/app/contexts.go"

// row is one context in the table, or what its code does.
type row struct {
	node  ast.Node
	calls map[string]ast.Node // where the code says so
	hears map[string]ast.Node
	files map[string]*File
}

func newRow() *row {
	return &row{calls: map[string]ast.Node{}, hears: map[string]ast.Node{}, files: map[string]*File{}}
}

// contextTable: the table equals what the code does, and calls have no cycle.
func contextTable(t *Tree) (out []Violation) {
	done := t.actual()
	file, table, bad := t.table()
	if file == nil {
		if len(done) > 0 {
			out = append(out, Violation{tablePath, 0, "context-table", "the table var Contexts = []Context{...} is missing"})
		}
		return out
	}
	out = append(out, bad...)
	for _, name := range slices.Sorted(maps.Keys(done)) {
		said := table[name]
		if said == nil {
			out = append(out, t.at(file, file.AST.Name, "context-table", "the context %s is not in the table", name))
			continue
		}
		out = append(out, t.differ(file, name, "Calls", said.node, said.calls, done[name].calls, done[name])...)
		out = append(out, t.differ(file, name, "Hears", said.node, said.hears, done[name].hears, done[name])...)
	}
	for name, r := range table {
		if done[name] == nil {
			out = append(out, t.at(file, r.node, "context-table", "%s has no folder internal/%s/%ssvc", name, name, name))
		}
		for n := range r.calls {
			if table[n] == nil {
				out = append(out, t.at(file, r.node, "context-table", "%s calls %s, which is not in the table", name, n))
			}
		}
		for n := range r.hears {
			if table[n] == nil {
				out = append(out, t.at(file, r.node, "context-table", "%s hears %s, which is not in the table", name, n))
			}
		}
	}
	return append(out, t.cycle(file, table, done)...)
}

// differ compares one list of the table with the code.
func (t *Tree) differ(file *File, name, list string, node ast.Node, said, does map[string]ast.Node, r *row) (out []Violation) {
	for n, where := range does {
		if _, ok := said[n]; !ok {
			out = append(out, t.at(r.files[list+n], where, "context-table", "%s: %s of %s lacks %s", tablePath, list, name, n))
		}
	}
	for n := range said {
		if _, ok := does[n]; !ok {
			out = append(out, t.at(file, node, "context-table", "%s of %s has %s, but the code does not", list, name, n))
		}
	}
	return out
}

// actual reads from the behaviours what they do: naming the Service of another contract
// is a call, naming an event of another contract in on_*.go is hearing.
func (t *Tree) actual() map[string]*row {
	events := map[string]bool{}
	for _, e := range t.events() {
		events[e.File.Dir+" "+e.Type] = true
	}
	out := map[string]*row{}
	for _, f := range t.Files {
		z := t.zoneOf(f.Dir)
		if z.Kind != Behaviour || f.Test {
			continue
		}
		r := out[z.Context]
		if r == nil {
			r = newRow()
			out[z.Context] = r
		}
		inspect(f, func(s *ast.SelectorExpr) {
			to := t.zoneOfImport(f.pkgOf(s.X))
			if to.Kind != Contract || to.Context == z.Context {
				return
			}
			if s.Sel.Name == "Service" {
				r.calls[to.Context], r.files["Calls"+to.Context] = s, f
			}
			if strings.HasPrefix(f.Name, "on_") && events["internal/"+to.Context+" "+s.Sel.Name] {
				r.hears[to.Context], r.files["Hears"+to.Context] = s, f
			}
		})
	}
	return out
}

// table reads the composite literal.
func (t *Tree) table() (file *File, table map[string]*row, bad []Violation) {
	table = map[string]*row{}
	for _, f := range t.Files {
		if f.Path != tablePath {
			continue
		}
		inspect(f, func(v *ast.ValueSpec) {
			if v.Names[0].Name != "Contexts" || len(v.Values) != 1 {
				return
			}
			list, ok := v.Values[0].(*ast.CompositeLit)
			if !ok {
				return
			}
			file = f
			for _, e := range list.Elts {
				name, r, problem := readRow(e)
				if problem != "" {
					bad = append(bad, t.at(f, e, "context-table", "%s", problem))
					continue
				}
				if table[name] != nil {
					bad = append(bad, t.at(f, e, "context-table", "%s stands twice", name))
				}
				table[name] = r
			}
		})
	}
	return file, table, bad
}

// readRow reads {Name: "x", Calls: []string{...}, Hears: []string{...}}; other keys are
// the wiring's own.
func readRow(e ast.Expr) (name string, r *row, problem string) {
	lit, ok := e.(*ast.CompositeLit)
	if !ok {
		return "", nil, "a row is no literal"
	}
	r = newRow()
	r.node = lit
	for _, elt := range lit.Elts {
		kv, ok := elt.(*ast.KeyValueExpr)
		if !ok {
			return "", nil, "a row has values without keys"
		}
		switch key, _ := kv.Key.(*ast.Ident); {
		case key == nil:
			return "", nil, "a row has an odd key"
		case key.Name == "Name":
			if name, ok = literal(kv.Value); !ok {
				return "", nil, "Name is no literal"
			}
		case key.Name == "Calls":
			problem = addNames(r.calls, kv.Value)
		case key.Name == "Hears":
			problem = addNames(r.hears, kv.Value)
		}
		if problem != "" {
			return "", nil, problem
		}
	}
	if name == "" {
		return "", nil, "a row has no Name"
	}
	return name, r, ""
}

func addNames(to map[string]ast.Node, e ast.Expr) (problem string) {
	if id, ok := e.(*ast.Ident); ok && id.Name == "nil" {
		return ""
	}
	lit, ok := e.(*ast.CompositeLit)
	if !ok {
		return "Calls and Hears are literals of strings"
	}
	for _, elt := range lit.Elts {
		s, ok := literal(elt)
		if !ok {
			return "Calls and Hears are literals of strings"
		}
		to[s] = elt
	}
	return ""
}

// cycle: the calls of table and code together lead nowhere back.
func (t *Tree) cycle(file *File, table, done map[string]*row) (out []Violation) {
	next := map[string][]string{}
	for _, rows := range []map[string]*row{table, done} {
		for name, r := range rows {
			next[name] = append(next[name], slices.Collect(maps.Keys(r.calls))...)
		}
	}
	for name := range next {
		slices.Sort(next[name])
	}
	state := map[string]int{} // 1 on the way, 2 finished
	var way []string
	var visit func(string)
	visit = func(name string) {
		switch state[name] {
		case 1:
			ring := append(slices.Clone(way[slices.Index(way, name):]), name)
			out = append(out, t.at(file, file.AST.Name, "context-table", "%s", fmt.Sprintf("calls in a ring: %s", strings.Join(ring, " -> "))))
			return
		case 2:
			return
		}
		state[name] = 1
		way = append(way, name)
		for _, n := range slices.Compact(next[name]) {
			visit(n)
		}
		way = way[:len(way)-1]
		state[name] = 2
	}
	for _, name := range slices.Sorted(maps.Keys(next)) {
		visit(name)
	}
	return out
}
