package archtest

import (
	"go/ast"
	"slices"
	"strings"
)

// moneyZones are the folders whose numbers are money, seats or doses.
var moneyZones = []string{
	"internal/kernel/money", "internal/payment", "internal/ledger", "internal/scheduling", "internal/paysim",
	"internal/platform/wechatpay", "internal/order", "internal/promotion", "internal/distribution",
	"internal/prescription", "internal/formulary", "internal/inventory",
}

// noFloats: money is int64 fen and doses are integers, all the way. Tests may meet the
// float64 of decoded JSON.
func noFloats(t *Tree) (out []Violation) {
	for _, f := range t.Files {
		if f.Test || !slices.ContainsFunc(moneyZones, func(dir string) bool { return inPackage(f.Dir, dir) }) {
			continue
		}
		inspect(f, func(id *ast.Ident) {
			if id.Name == "float32" || id.Name == "float64" || id.Name == "ParseFloat" {
				out = append(out, t.at(f, id, "no-floats", "%s in money code; use int64 fen and basis points", id.Name))
			}
		})
	}
	return out
}

// selects visits NAME of package pkg in the files that pass, called or not.
func (t *Tree) selects(pkg string, names []string, pass func(*File, Zone) bool, visit func(*File, *ast.SelectorExpr)) {
	for _, f := range t.Files {
		if !pass(f, t.zoneOf(f.Dir)) {
			continue
		}
		inspect(f, func(s *ast.SelectorExpr) {
			if slices.Contains(names, s.Sel.Name) && f.pkgOf(s.X) == pkg {
				visit(f, s)
			}
		})
	}
}

// clockOnly: time comes from kernel/clock, in tests too.
func clockOnly(t *Tree) (out []Violation) {
	pass := func(f *File, z Zone) bool { return f.Dir != "internal/kernel/clock" && z.Kind != Testkit }
	t.selects("time", []string{"Now", "Since", "Until"}, pass, func(f *File, s *ast.SelectorExpr) {
		out = append(out, t.at(f, s, "clock", "time.%s; take a clock.Clock, or clock.Mono for durations", s.Sel.Name))
	})
	return out
}

// doors: only doors put a principal into a context.
func doors(t *Tree) (out []Violation) {
	open := []string{"internal/kernel/auth", "internal/platform/httpx", "internal/platform/job", "internal/platform/inbox", "internal/platform/trail"}
	pass := func(f *File, z Zone) bool {
		door := slices.ContainsFunc(open, func(dir string) bool { return inPackage(f.Dir, dir) })
		return !f.Test && !door && z.Kind != App && z.Kind != Cmd && z.Kind != Testkit && z.Kind != Demo && z.Kind != Bench
	}
	t.selects(Module+"/internal/kernel/auth", []string{"With"}, pass, func(f *File, s *ast.SelectorExpr) {
		out = append(out, t.at(f, s, "doors", "auth.With outside a door (httpx, job, inbox, trail, app, cmd, demo, bench, tests)"))
	})
	return out
}

// everyTenant: ReadAll and WriteAll of a database pass the row-level security; only the
// platform may call them. Theirs take a context and a function; a call with fewer
// arguments is of something else (a CSV writer).
func everyTenant(t *Tree) (out []Violation) {
	for _, f := range t.Files {
		if k := t.zoneOf(f.Dir).Kind; k == Platform || k == Bench { // the bench has a database of its own
			continue
		}
		other := map[ast.Expr]bool{}
		inspect(f, func(call *ast.CallExpr) { other[call.Fun] = len(call.Args) < 2 })
		inspect(f, func(s *ast.SelectorExpr) {
			pkg := f.pkgOf(s.X)
			if s.Sel.Name != "WriteAll" && s.Sel.Name != "ReadAll" || other[s] || pkg != "" && !inPackage(pkg, Module+"/internal/platform/db") {
				return
			}
			out = append(out, t.at(f, s, "every-tenant", "%s reaches every tenant; only internal/platform may", s.Sel.Name))
		})
	}
	return out
}

// honestTests: a test neither skips nor sleeps.
func honestTests(t *Tree) (out []Violation) {
	inTest := func(f *File, z Zone) bool { return f.Test || z.Kind == Testkit }
	t.selects("time", []string{"Sleep"}, inTest, func(f *File, s *ast.SelectorExpr) {
		out = append(out, t.at(f, s, "honest-tests", "time.Sleep in a test; wait for the thing itself"))
	})
	for _, f := range t.Files {
		if !inTest(f, t.zoneOf(f.Dir)) {
			continue
		}
		inspect(f, func(call *ast.CallExpr) {
			s, ok := call.Fun.(*ast.SelectorExpr)
			if !ok {
				return
			}
			who, ok := s.X.(*ast.Ident)
			tester := ok && slices.Contains([]string{"t", "b", "f", "tb", "s", "ts"}, who.Name) && f.Imports[who.Name] == ""
			if ok && f.declares(call, who.Name, "pgregory.net/rapid") {
				return // it discards a generated input; rapid fails by itself when too many go
			}
			if s.Sel.Name == "SkipNow" || s.Sel.Name == "Skipf" || s.Sel.Name == "Skip" && tester {
				out = append(out, t.at(f, call, "honest-tests", "%s in a test; a test that skips proves nothing", s.Sel.Name))
			}
		})
	}
	return out
}

// declares reports whether the innermost function around n that has a parameter of this
// name takes it as a pointer to a type of package pkg.
func (f *File) declares(n ast.Node, name, pkg string) (from bool) {
	ast.Inspect(f.AST, func(x ast.Node) bool { // outermost first
		var ft *ast.FuncType
		switch fn := x.(type) {
		case *ast.FuncDecl:
			ft = fn.Type
		case *ast.FuncLit:
			ft = fn.Type
		}
		if ft == nil || n.Pos() < x.Pos() || x.End() < n.End() {
			return true
		}
		for _, p := range ft.Params.List {
			if slices.ContainsFunc(p.Names, func(id *ast.Ident) bool { return id.Name == name }) {
				star, _ := p.Type.(*ast.StarExpr)
				from = star != nil && f.namesPackage(star.X, pkg)
			}
		}
		return true
	})
	return from
}

// namesPackage reports whether e is NAME of the package.
func (f *File) namesPackage(e ast.Expr, pkg string) bool {
	s, ok := e.(*ast.SelectorExpr)
	return ok && f.pkgOf(s.X) == pkg
}

// forbidden are names that say nothing.
var forbidden = []string{"util", "utils", "common", "helper", "helpers", "manager", "model", "models", "types", "misc", "shared", "lib"}

// packageName: a package says what it is about.
func packageName(t *Tree) (out []Violation) {
	for _, f := range t.Files {
		name := strings.TrimSuffix(f.AST.Name.Name, "_test")
		if slices.Contains(forbidden, name) {
			out = append(out, t.at(f, f.AST.Name, "package-name", "a package named %s", name))
		}
	}
	return out
}

// packageComment: each package says in its comment what it is for; main packages as
// "Command x", others as "Package x".
func packageComment(t *Tree) (out []Violation) {
	first, has := map[string]*File{}, map[string]bool{}
	for _, f := range t.Files {
		if old := first[f.Dir]; old == nil || old.Test && !f.Test {
			first[f.Dir] = f
		}
		doc := f.AST.Doc.Text()
		if strings.HasPrefix(doc, "Package "+strings.TrimSuffix(f.AST.Name.Name, "_test")) || f.AST.Name.Name == "main" && strings.HasPrefix(doc, "Command ") {
			has[f.Dir] = true
		}
	}
	for dir, f := range first {
		if !has[dir] {
			out = append(out, t.at(f, f.AST.Name, "package-comment", "package %s has no comment that begins with its name", f.AST.Name.Name))
		}
	}
	return out
}
