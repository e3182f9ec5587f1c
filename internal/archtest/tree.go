// Package archtest is the architecture as a test: it reads every Go file of the
// repository (syntax only, standard library only, under a second) and reports each
// place that breaks a rule of ARCHITECTURE.md as file:line, rule, text. There is no
// way to switch a rule off for one place: change the code, or the rule with its ADR.
//
// A rule is a function over a Tree; rules.go lists them. rules_test.go breaks each one
// on purpose on a tiny tree in memory, so that no rule can fall asleep.
package archtest

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Module is the path of the Go module.
const Module = "xinglin"

// skipped are folders without our source.
var skipped = map[string]bool{"node_modules": true, "testdata": true, "dist": true, "bin": true, "tools": true}

// Violation is one place that breaks one rule.
type Violation struct {
	File string // path in the repository
	Line int    // from 1; 0 for the whole file
	Rule string
	Text string
}

// String is file:line: rule: text.
func (v Violation) String() string {
	if v.Line == 0 {
		return fmt.Sprintf("%s: %s: %s", v.File, v.Rule, v.Text)
	}
	return fmt.Sprintf("%s:%d: %s: %s", v.File, v.Line, v.Rule, v.Text)
}

// File is one Go file.
type File struct {
	Path  string // slash-separated, from the root
	Dir   string
	Name  string
	Test  bool // *_test.go
	Lines int
	AST   *ast.File
	// Imports maps the name in this file to the import path; "_" and "." imports have
	// their path as name.
	Imports map[string]string
}

// Text is a file that is not Go but that rules read: migrations and references.
type Text struct {
	Path string
	Body string
}

// Tree is the repository as the rules see it.
type Tree struct {
	fset  *token.FileSet
	Files []*File
	Texts []Text
	Root  []string // names in the root that a person sees
	// Contexts are the names with a folder internal/NAME that is no frame folder.
	Contexts []string
}

// Load reads the tree.
func Load(fsys fs.FS) (*Tree, error) {
	t := &Tree{fset: token.NewFileSet()}
	err := fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if !strings.Contains(name, "/") && !strings.HasPrefix(d.Name(), ".") && !skipped[d.Name()] || name == "tools" {
			t.Root = append(t.Root, name)
		}
		switch {
		case name == ".":
			return nil
		case d.IsDir() && (skipped[d.Name()] || strings.HasPrefix(d.Name(), ".") || strings.HasPrefix(name, "web/")):
			return fs.SkipDir
		case d.IsDir():
			return nil
		case strings.HasSuffix(name, ".go"):
			return t.goFile(fsys, name)
		case strings.HasSuffix(name, ".sql") || strings.HasPrefix(name, "docs/reference/"):
			body, err := fs.ReadFile(fsys, name)
			t.Texts = append(t.Texts, Text{name, string(body)})
			return err
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("archtest: %w", err)
	}
	t.contexts()
	return t, nil
}

func (t *Tree) goFile(fsys fs.FS, name string) error {
	src, err := fs.ReadFile(fsys, name)
	if err != nil {
		return err
	}
	tree, err := parser.ParseFile(t.fset, name, src, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	f := &File{
		Path: name, Dir: path.Dir(name), Name: path.Base(name), Test: strings.HasSuffix(name, "_test.go"),
		AST: tree, Lines: strings.Count(string(src), "\n"), Imports: map[string]string{},
	}
	for _, im := range tree.Imports {
		p, err := strconv.Unquote(im.Path.Value)
		if err != nil {
			return err
		}
		f.Imports[importName(im, p)] = p
	}
	t.Files = append(t.Files, f)
	return nil
}

// importName is the name that the import has in the file. Without an alias it is the
// last element that is no major version, which holds for every package we use.
func importName(im *ast.ImportSpec, p string) string {
	if im.Name != nil && im.Name.Name != "_" && im.Name.Name != "." {
		return im.Name.Name
	}
	if im.Name != nil {
		return p
	}
	base := path.Base(p)
	if len(base) > 1 && base[0] == 'v' && strings.Trim(base[1:], "0123456789") == "" {
		base = path.Base(path.Dir(p))
	}
	return base
}

// frame are the folders of internal/ that are no contexts.
var frame = map[string]ZoneKind{
	"kernel": Kernel, "platform": Platform, "app": App, "archtest": Archtest, "testkit": Testkit, "demo": Demo, "reference": Reference, "bench": Bench,
	"simulate": Simulator,
}

// frameOf is the zone of a frame folder; simulators of the other side end in sim.
func frameOf(name string) (ZoneKind, bool) {
	if strings.HasSuffix(name, "sim") {
		return Simulator, true
	}
	k, ok := frame[name]
	return k, ok
}

func (t *Tree) contexts() {
	for _, f := range t.Files {
		parts := strings.Split(f.Dir, "/")
		if len(parts) < 2 || parts[0] != "internal" || slices.Contains(t.Contexts, parts[1]) {
			continue
		}
		if _, ok := frameOf(parts[1]); !ok {
			t.Contexts = append(t.Contexts, parts[1])
		}
	}
	slices.Sort(t.Contexts)
}

// Zone says what a folder is.
type Zone struct {
	Kind    ZoneKind
	Context string // of Contract, Behaviour and Inner
}

// ZoneKind is the sort of a folder.
type ZoneKind string

// The zones.
const (
	Kernel    ZoneKind = "kernel"
	Platform  ZoneKind = "platform"
	Contract  ZoneKind = "contract"  // internal/x
	Behaviour ZoneKind = "behaviour" // internal/x/xsvc and below
	Inner     ZoneKind = "inner"     // any other folder below internal/x: words and sums of that house only
	App       ZoneKind = "app"
	Cmd       ZoneKind = "cmd"
	Testkit   ZoneKind = "testkit"
	Demo      ZoneKind = "demo"
	Reference ZoneKind = "reference" // renders the generated documents
	Bench     ZoneKind = "bench"     // measures; may start what tests start (a PostgreSQL of its own)
	Simulator ZoneKind = "simulator"
	Archtest  ZoneKind = "archtest"
	Elsewhere ZoneKind = "elsewhere" // test/, web/
	Foreign   ZoneKind = "foreign"   // not of this module
)

// zoneOf classifies a folder of the repository.
func (t *Tree) zoneOf(dir string) Zone {
	parts := strings.Split(dir, "/")
	if parts[0] == "cmd" {
		return Zone{Kind: Cmd}
	}
	if parts[0] != "internal" || len(parts) < 2 {
		return Zone{Kind: Elsewhere}
	}
	name := parts[1]
	if kind, ok := frameOf(name); ok {
		return Zone{Kind: kind}
	}
	switch {
	case len(parts) == 2:
		return Zone{Contract, name}
	case parts[2] == name+"svc":
		return Zone{Behaviour, name}
	}
	return Zone{Inner, name}
}

// zoneOfImport classifies an import path.
func (t *Tree) zoneOfImport(p string) Zone {
	if p == Module {
		return Zone{Kind: Elsewhere}
	}
	if dir, ok := strings.CutPrefix(p, Module+"/"); ok {
		return t.zoneOf(dir)
	}
	return Zone{Kind: Foreign}
}

// standard reports whether the path is of Go's standard library.
func standard(p string) bool {
	first, _, _ := strings.Cut(p, "/")
	return !strings.Contains(first, ".") && first != Module
}

// at makes a violation at a node of f.
func (t *Tree) at(f *File, n ast.Node, rule, format string, a ...any) Violation {
	return Violation{f.Path, t.fset.Position(n.Pos()).Line, rule, fmt.Sprintf(format, a...)}
}

// lines is how many lines a node covers.
func (t *Tree) lines(n ast.Node) int {
	return t.fset.Position(n.End()).Line - t.fset.Position(n.Pos()).Line + 1
}

// imports yields each import of the files that pass.
func (t *Tree) imports(pass func(*File, Zone) bool, visit func(f *File, z Zone, im *ast.ImportSpec, p string)) {
	for _, f := range t.Files {
		z := t.zoneOf(f.Dir)
		if !pass(f, z) {
			continue
		}
		for _, im := range f.AST.Imports {
			p, _ := strconv.Unquote(im.Path.Value) // goFile has checked it
			visit(f, z, im, p)
		}
	}
}

// pkgOf is the import path that an expression names in f, "" when it is no package.
func (f *File) pkgOf(e ast.Expr) string {
	if id, ok := e.(*ast.Ident); ok {
		return f.Imports[id.Name]
	}
	return ""
}

// inspect visits every node of type N in the file.
func inspect[N ast.Node](f *File, visit func(N)) {
	ast.Inspect(f.AST, func(n ast.Node) bool {
		if v, ok := n.(N); ok {
			visit(v)
		}
		return true
	})
}

// literal is the value of a string literal.
func literal(e ast.Expr) (string, bool) {
	lit, ok := e.(*ast.BasicLit)
	if !ok || lit.Kind != token.STRING {
		return "", false
	}
	s, err := strconv.Unquote(lit.Value)
	return s, err == nil
}

// sorted orders violations by place.
func sorted(vs []Violation) []Violation {
	slices.SortFunc(vs, func(a, b Violation) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.Text, b.Text))
	})
	return slices.Compact(vs)
}
