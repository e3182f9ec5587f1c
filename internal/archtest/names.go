package archtest

import (
	"go/ast"
	"path"
	"regexp"
	"strings"
	"unicode"
)

// prefixOf is the word before the first dot of the codes that a folder may register.
func (t *Tree) prefixOf(dir string) string {
	if z := t.zoneOf(dir); z.Context != "" {
		return z.Context
	}
	name := path.Base(dir)
	if parts := strings.Split(dir, "/"); len(parts) > 2 {
		name = parts[2] // internal/platform/NAME/...
	}
	if name == "httpx" {
		return "http" // what its callers see
	}
	return name
}

// codes visits each fault.Register outside tests.
func (t *Tree) codes(visit func(f *File, call *ast.CallExpr, name string, constant bool)) {
	for _, f := range t.Files {
		if f.Test {
			continue
		}
		inspect(f, func(call *ast.CallExpr) {
			s, ok := call.Fun.(*ast.SelectorExpr)
			if ok && s.Sel.Name == "Register" && f.pkgOf(s.X) == Module+"/internal/kernel/fault" && len(call.Args) > 1 {
				name, constant := literal(call.Args[1])
				visit(f, call, name, constant)
			}
		})
	}
}

// faultCodes: a code is a literal, unique, begins with its context or package, and a
// context's codes stand in its contract.
func faultCodes(t *Tree) (out []Violation) {
	seen := map[string]string{}
	t.codes(func(f *File, call *ast.CallExpr, name string, constant bool) {
		say := func(format string, a ...any) { out = append(out, t.at(f, call, "fault-codes", format, a...)) }
		z := t.zoneOf(f.Dir)
		switch prefix, _, _ := strings.Cut(name, "."); {
		case !constant:
			say("the code is no literal")
			return
		case prefix != t.prefixOf(f.Dir):
			say("%s begins with %s; want %s.", name, prefix, t.prefixOf(f.Dir))
		}
		if z.Context != "" && z.Kind != Contract {
			say("%s belongs into the contract internal/%s", name, z.Context)
		}
		if old, ok := seen[name]; ok {
			say("%s is registered in %s too", name, old)
		}
		seen[name] = f.Path
	})
	return out
}

// Event is a struct with a method EventName.
type Event struct {
	File *File
	Func *ast.FuncDecl
	Type string
	Name string // what EventName returns; "" when it is no literal or constant
}

// events finds the events of production code.
func (t *Tree) events() (out []Event) {
	consts := map[string]string{} // "dir NAME"
	for _, f := range t.Files {
		inspect(f, func(v *ast.ValueSpec) {
			for i, n := range v.Names {
				if i < len(v.Values) {
					if s, ok := literal(v.Values[i]); ok {
						consts[f.Dir+" "+n.Name] = s
					}
				}
			}
		})
	}
	for _, f := range t.Files {
		if f.Test {
			continue
		}
		inspect(f, func(fn *ast.FuncDecl) {
			if fn.Name.Name != "EventName" || fn.Recv == nil || fn.Body == nil {
				return
			}
			e := Event{File: f, Func: fn, Type: receiver(fn)}
			if len(fn.Body.List) == 1 {
				if r, ok := fn.Body.List[0].(*ast.ReturnStmt); ok && len(r.Results) == 1 {
					e.Name, _ = literal(r.Results[0])
					if id, ok := r.Results[0].(*ast.Ident); ok {
						e.Name = consts[f.Dir+" "+id.Name]
					}
				}
			}
			out = append(out, e)
		})
	}
	return out
}

// receiver is the name of a method's type.
func receiver(fn *ast.FuncDecl) string {
	e := fn.Recv.List[0].Type
	if s, ok := e.(*ast.StarExpr); ok {
		e = s.X
	}
	if ix, ok := e.(*ast.IndexExpr); ok {
		e = ix.X
	}
	if id, ok := e.(*ast.Ident); ok {
		return id.Name
	}
	return ""
}

var eventName = regexp.MustCompile(`^([a-z]+)\.[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*\.v[1-9][0-9]*$`)

// eventNames: an event belongs to a contract and is named context.noun.verb.vN, once.
func eventNames(t *Tree) (out []Violation) {
	seen := map[string]string{}
	for _, e := range t.events() {
		z := t.zoneOf(e.File.Dir)
		if z.Kind == Testkit || z.Kind == Archtest {
			continue
		}
		say := func(format string, a ...any) { out = append(out, t.at(e.File, e.Func, "event-names", format, a...)) }
		m := eventName.FindStringSubmatch(e.Name)
		switch {
		case z.Kind != Contract:
			say("the event %s stands outside a contract", e.Type)
		case m == nil || m[1] != z.Context:
			say("%s is named %q; want %s.noun.verb.vN as one literal", e.Type, e.Name, z.Context)
		case seen[e.Name] != "":
			say("%s is the name of an event in %s too", e.Name, seen[e.Name])
		}
		seen[e.Name] = e.File.Path
	}
	return out
}

// personal are words that an event's field must not have: events carry ids, codes,
// dates and amounts.
var personal = map[string]bool{
	"Name": true, "Names": true, "Phone": true, "Mobile": true, "Tel": true, "Text": true, "Address": true, "Document": true,
	"Email": true, "Mail": true, "Birth": true, "Birthday": true, "Note": true, "Notes": true, "Remark": true, "Remarks": true,
	"Comment": true, "Message": true, "Body": true, "Content": true, "Title": true, "Description": true, "Photo": true,
}

// eventFields: no personal data travels in events, neither in them nor in the structs of
// the same package that they contain.
func eventFields(t *Tree) (out []Violation) {
	structs := map[string]structIn{}
	for _, f := range t.Files {
		inspect(f, func(ts *ast.TypeSpec) {
			if st, ok := ts.Type.(*ast.StructType); ok && !f.Test {
				structs[f.Dir+" "+ts.Name.Name] = structIn{f, st}
			}
		})
	}
	for _, e := range t.events() {
		if z := t.zoneOf(e.File.Dir).Kind; z == Contract {
			out = append(out, t.fields(structs, e.File.Dir, e.Type, e.Type, map[string]bool{})...)
		}
	}
	return out
}

type structIn struct {
	file *File
	body *ast.StructType
}

// fields judges the fields of a struct and of those below it.
func (t *Tree) fields(structs map[string]structIn, dir, name, event string, seen map[string]bool) (out []Violation) {
	s, ok := structs[dir+" "+name]
	if !ok || seen[name] {
		return nil
	}
	seen[name] = true
	for _, field := range s.body.Fields.List {
		for _, id := range field.Names {
			for _, w := range words(id.Name) {
				if personal[w] {
					out = append(out, t.at(s.file, id, "event-fields", "the event %s carries %s; events carry ids, codes, dates and amounts", event, id.Name))
				}
			}
		}
		ast.Inspect(field.Type, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.SelectorExpr:
				if s.file.pkgOf(n.X) == Module+"/internal/kernel/secret" {
					out = append(out, t.at(s.file, n, "event-fields", "the event %s carries a secret", event))
				}
				return false
			case *ast.Ident:
				out = append(out, t.fields(structs, dir, n.Name, event, seen)...)
			}
			return true
		})
	}
	return out
}

// words splits a Go name: PatientName is Patient and Name.
func words(name string) (out []string) {
	start := 0
	rs := []rune(name)
	for i := 1; i <= len(rs); i++ {
		if i == len(rs) || unicode.IsUpper(rs[i]) && (!unicode.IsUpper(rs[i-1]) || i+1 < len(rs) && unicode.IsLower(rs[i+1])) {
			out = append(out, string(rs[start:i]))
			start = i
		}
	}
	return out
}

// golden: the generated references list each event and each code.
func golden(t *Tree) (out []Violation) {
	ref := map[string]string{}
	for _, x := range t.Texts {
		ref[x.Path] = x.Body
	}
	if body, ok := ref["docs/reference/errors.md"]; ok {
		t.codes(func(f *File, call *ast.CallExpr, name string, _ bool) {
			if !mentions(body, name) {
				out = append(out, t.at(f, call, "golden", "docs/reference/errors.md does not list %s; render it: bin/xinglin docs", name))
			}
		})
	}
	if body, ok := ref["docs/reference/events.md"]; ok {
		for _, e := range t.events() {
			if t.zoneOf(e.File.Dir).Kind == Contract && !mentions(body, e.Name) {
				out = append(out, t.at(e.File, e.Func, "golden", "docs/reference/events.md does not list %s; render it: bin/xinglin docs", e.Name))
			}
		}
	}
	return out
}

// mentions reports whether the text has the name as a whole word.
func mentions(body, name string) bool {
	return regexp.MustCompile(`(^|[^a-z0-9_.])` + regexp.QuoteMeta(name) + `($|[^a-z0-9_.])`).MatchString(body)
}
