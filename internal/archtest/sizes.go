package archtest

import (
	"fmt"
	"go/ast"
	"strings"
)

// The limits of a house. Lines are lines of the file, comments included.
const (
	maxMethods   = 12   // of a contract's Service
	maxParams    = 8    // of a constructor
	maxFile      = 800  // lines
	maxFunc      = 70   // lines, outside tests
	maxContract  = 700  // lines of a contract package without tests: "about 600"
	maxBehaviour = 8000 // lines of a behaviour package without tests; beyond, split it by noun with an ADR
	maxRoot      = 18   // visible entries of the root
)

// sizes: the limits above. Generated files may be long.
func sizes(t *Tree) (out []Violation) {
	packages := map[string]int{}
	for _, f := range t.Files {
		z := t.zoneOf(f.Dir)
		if !f.Test {
			packages[f.Dir] += f.Lines
		}
		if ast.IsGenerated(f.AST) {
			continue
		}
		if f.Lines > maxFile {
			out = append(out, Violation{f.Path, 0, "sizes", fmt.Sprintf("%d lines; a file has at most %d", f.Lines, maxFile)})
		}
		if f.Test {
			continue
		}
		inspect(f, func(fn *ast.FuncDecl) {
			if n := t.lines(fn); n > maxFunc {
				out = append(out, t.at(f, fn, "sizes", "%s has %d lines; a function has at most %d", fn.Name.Name, n, maxFunc))
			}
			if n := fn.Type.Params.NumFields(); z.Kind == Behaviour && fn.Recv == nil && fn.Name.Name == "New" && n > maxParams {
				out = append(out, t.at(f, fn, "sizes", "New takes %d parameters; a constructor has at most %d", n, maxParams))
			}
		})
		inspect(f, func(ts *ast.TypeSpec) {
			in, ok := ts.Type.(*ast.InterfaceType)
			if ok && z.Kind == Contract && ts.Name.Name == "Service" && methods(in) > maxMethods {
				out = append(out, t.at(f, ts, "sizes", "Service has %d methods; it has at most %d", methods(in), maxMethods))
			}
		})
	}
	for dir, n := range packages {
		switch z := t.zoneOf(dir); {
		case z.Kind == Contract && n > maxContract:
			out = append(out, Violation{dir, 0, "sizes", fmt.Sprintf("the contract has %d lines; at most %d", n, maxContract)})
		case z.Kind == Behaviour && n > maxBehaviour:
			out = append(out, Violation{dir, 0, "sizes", fmt.Sprintf("the behaviour has %d lines; beyond %d split it by noun", n, maxBehaviour)})
		}
	}
	return out
}

// methods counts an interface's own methods; an embedded interface would hide some, so
// it counts as too many.
func methods(in *ast.InterfaceType) (n int) {
	for _, m := range in.Methods.List {
		if len(m.Names) == 0 {
			return maxMethods + 1
		}
		n += len(m.Names)
	}
	return n
}

// rootEntries: a person sees the whole root at a glance.
func rootEntries(t *Tree) []Violation {
	if len(t.Root) <= maxRoot {
		return nil
	}
	return []Violation{{".", 0, "root-entries", fmt.Sprintf("%d visible entries, at most %d: %s", len(t.Root), maxRoot, strings.Join(t.Root, " "))}}
}
