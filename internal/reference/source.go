package reference

import (
	"bytes"
	"cmp"
	"fmt"
	"go/ast"
	"go/doc"
	"go/parser"
	"go/printer"
	"go/token"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
)

// source is the Go code of internal/ without tests, for comments and job kinds.
type source struct {
	set   *token.FileSet
	files map[string]*ast.File // by path
	root  fs.FS
}

func readSource(root fs.FS) (*source, error) {
	s := &source{set: token.NewFileSet(), files: map[string]*ast.File{}, root: root}
	err := fs.WalkDir(root, "internal", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && d.Name() == "testdata":
			return fs.SkipDir
		case d.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go"):
			return nil
		}
		b, err := fs.ReadFile(root, name)
		if err != nil {
			return err
		}
		f, err := parser.ParseFile(s.set, name, b, parser.ParseComments|parser.SkipObjectResolution)
		s.files[name] = f
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reference: %w", err)
	}
	return s, nil
}

// in yields the files of a folder by name.
func (s *source) in(dir string) (out []*ast.File) {
	for _, name := range sortedKeys(s.files) {
		if path.Dir(name) == dir {
			out = append(out, s.files[name])
		}
	}
	return out
}

// packageDoc is the package comment of a folder.
func (s *source) packageDoc(dir string) string {
	for _, f := range s.in(dir) {
		if t := f.Doc.Text(); strings.HasPrefix(t, "Package ") {
			return t
		}
	}
	return ""
}

// purpose is the first sentence of the package comment without "Package x is".
func (s *source) purpose(dir string) string {
	text := new(doc.Package).Synopsis(s.packageDoc(dir))
	text = strings.TrimPrefix(text, "Package "+path.Base(dir)+" ")
	return strings.TrimPrefix(text, "is ")
}

// typeDoc is the comment of a type, and the comments of its fields by Go name.
func (s *source) typeDoc(dir, name string) (text string, fields map[string]string) {
	fields = map[string]string{}
	for _, f := range s.in(dir) {
		for _, d := range f.Decls {
			gen, ok := d.(*ast.GenDecl)
			if !ok {
				continue
			}
			for _, spec := range gen.Specs {
				ts, ok := spec.(*ast.TypeSpec)
				if !ok || ts.Name.Name != name {
					continue
				}
				text = ts.Doc.Text()
				if text == "" {
					text = gen.Doc.Text()
				}
				if st, ok := ts.Type.(*ast.StructType); ok {
					fieldDocs(st, fields)
				}
			}
		}
	}
	return strings.TrimSpace(text), fields
}

func fieldDocs(st *ast.StructType, into map[string]string) {
	for _, f := range st.Fields.List {
		text := strings.TrimSpace(f.Doc.Text() + " " + f.Comment.Text())
		for _, n := range f.Names {
			into[n.Name] = text
		}
	}
}

// values are the constants of a named string type, in the order of the source.
func (s *source) values(dir, name string) (out []string) {
	for _, f := range s.in(dir) {
		for _, d := range f.Decls {
			gen, ok := d.(*ast.GenDecl)
			if !ok || gen.Tok != token.CONST {
				continue
			}
			for _, spec := range gen.Specs {
				v := spec.(*ast.ValueSpec)
				if id, ok := v.Type.(*ast.Ident); !ok || id.Name != name || len(v.Values) != 1 {
					continue
				}
				if text, ok := literal(v.Values[0]); ok {
					out = append(out, text)
				}
			}
		}
	}
	return out
}

func literal(e ast.Expr) (string, bool) {
	l, ok := e.(*ast.BasicLit)
	if !ok || l.Kind != token.STRING {
		return "", false
	}
	text, err := strconv.Unquote(l.Value)
	return text, err == nil
}

// handler is what the source says about one kind of job.
type handler struct {
	form string // InTx, Call, Every
	when string // of Every, as the source says it
	doc  string // of the function that does it
	file string
}

// everyContext stands for the name of a context in a kind.
const everyContext = "*"

// handlers finds job.InTx, job.Call and job.Every by kind.
func (s *source) handlers() map[string]handler {
	out := map[string]handler{}
	for _, name := range sortedKeys(s.files) {
		consts := s.consts(path.Dir(name))
		ast.Inspect(s.files[name], func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) < 2 {
				return true
			}
			fun := call.Fun
			switch x := fun.(type) { // job.InTx[P](...)
			case *ast.IndexExpr:
				fun = x.X
			}
			sel, ok := fun.(*ast.SelectorExpr)
			if !ok || !slices.Contains([]string{"InTx", "Call", "Every"}, sel.Sel.Name) {
				return true
			}
			if pkg, ok := sel.X.(*ast.Ident); !ok || pkg.Name != "job" {
				return true
			}
			kind, ok := literal(call.Args[0])
			note := ""
			if id, isID := call.Args[0].(*ast.Ident); isID {
				var spec *ast.ValueSpec
				if spec, ok = consts[id.Name]; ok {
					kind, ok = literal(spec.Values[0])
					note = strings.TrimSpace(spec.Doc.Text() + spec.Comment.Text())
				}
			}
			if sum, isSum := call.Args[0].(*ast.BinaryExpr); isSum { // every context's: name + ".sweep"
				kind, ok = literal(sum.Y)
				kind = everyContext + kind
			}
			if !ok {
				return true
			}
			h := handler{form: sel.Sel.Name, file: name, doc: cmp.Or(note, s.funcDoc(path.Dir(name), call.Args[len(call.Args)-1]))}
			if h.form == "Every" {
				h.when = s.cron(consts, call.Args[1])
			}
			out[kind] = h
			return true
		})
	}
	return out
}

// metrics are the types of metrics by name, from prometheus.GaugeOpts{Name: "..."}.
func (s *source) metrics() map[string]string {
	out := map[string]string{}
	for _, f := range s.files {
		ast.Inspect(f, func(n ast.Node) bool {
			lit, ok := n.(*ast.CompositeLit)
			if !ok {
				return true
			}
			sel, ok := lit.Type.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			typ, ok := strings.CutSuffix(sel.Sel.Name, "Opts")
			for _, el := range lit.Elts {
				kv, isKV := el.(*ast.KeyValueExpr)
				if !ok || !isKV || s.text(kv.Key) != "Name" {
					continue
				}
				if name, ok := literal(kv.Value); ok {
					out[name] = strings.ToLower(typ)
				}
			}
			return true
		})
	}
	return out
}

// consts are the constants and variables of a folder that have one name and one value.
func (s *source) consts(dir string) map[string]*ast.ValueSpec {
	out := map[string]*ast.ValueSpec{}
	for _, f := range s.in(dir) {
		ast.Inspect(f, func(n ast.Node) bool {
			if v, ok := n.(*ast.ValueSpec); ok && len(v.Names) == 1 && len(v.Values) == 1 {
				out[v.Names[0].Name] = v
			}
			return true
		})
	}
	return out
}

// funcDoc is the comment of the function or method that an expression names.
func (s *source) funcDoc(dir string, e ast.Expr) string {
	name, method := "", false
	switch x := e.(type) {
	case *ast.Ident:
		name = x.Name
	case *ast.SelectorExpr:
		name, method = x.Sel.Name, true
	}
	for _, f := range s.in(dir) {
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Name.Name == name && (fn.Recv != nil) == method && fn.Doc != nil {
				return new(doc.Package).Synopsis(fn.Doc.Text())
			}
		}
	}
	return ""
}

// spoken makes a duration or an hour of the source readable.
var spoken = strings.NewReplacer(`"`, "", " * time.Second", " s", " * time.Minute", " min", " * time.Hour", " h", "time.Minute", "1 min", "time.Hour", "1 h")

// cron puts job.Cron{Every: time.Minute} into words.
func (s *source) cron(consts map[string]*ast.ValueSpec, e ast.Expr) string {
	if id, ok := e.(*ast.Ident); ok && consts[id.Name] != nil {
		e = consts[id.Name].Values[0]
	}
	lit, ok := e.(*ast.CompositeLit)
	if !ok {
		return s.text(e)
	}
	var out []string
	for _, el := range lit.Elts {
		kv, ok := el.(*ast.KeyValueExpr)
		if !ok {
			return s.text(e)
		}
		v := kv.Value
		if id, ok := v.(*ast.Ident); ok && consts[id.Name] != nil {
			v = consts[id.Name].Values[0]
		}
		out = append(out, strings.ToLower(s.text(kv.Key))+" "+spoken.Replace(s.text(v)))
	}
	return strings.Join(out, ", ")
}

func (s *source) text(n ast.Node) string {
	var b bytes.Buffer
	if err := printer.Fprint(&b, s.set, n); err != nil {
		return ""
	}
	return b.String()
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// reason is the first comment of a file behind its package clause.
func (s *source) reason(name string) string {
	f := s.files[name]
	if f == nil {
		return ""
	}
	for _, c := range f.Comments {
		if c.Pos() > f.Name.End() {
			return strings.TrimSpace(c.Text())
		}
	}
	return ""
}

// dialect lists the operations with two texts.
func (r *renderer) dialect() string {
	var p page
	p.f("# Two texts for one operation\n\nOne SQL text serves both engines, except for these operations: store_*_pg.go has PostgreSQL's, store_*_sqlite.go has\n" +
		"SQLite's. Both run the same tests.\n\n")
	p.head("Package", "Operation", "PostgreSQL", "SQLite")
	for _, name := range sortedKeys(r.src.files) {
		dir, file := path.Split(name)
		op, ok := strings.CutSuffix(file, "_pg.go")
		if !ok || !strings.HasPrefix(file, "store_") {
			continue
		}
		sqlite := dir + op + "_sqlite.go"
		p.row(strings.Trim(dir, "/"), strings.ReplaceAll(strings.TrimPrefix(op, "store_"), "_", " "), r.src.reason(name), r.src.reason(sqlite))
	}
	return p.String()
}

// jobs lists timed and repeated work.
func (r *renderer) jobs() string {
	var p page
	p.f("# Jobs\n\nDurable work: a row in the context's database, repeated with growing pauses until it succeeds or is a dead letter.\n" +
		"**In the transaction**: the effect and the job's end are one transaction, it happens once. **Call**: outside of one, at least\n" +
		"once. **By the calendar**: once a period over all processes; hours are Asia/Shanghai.\n\n")
	p.head("Kind", "Form", "What", "Where")
	found := r.src.handlers()
	for _, m := range r.Modules {
		for _, k := range distinct(m.Jobs) {
			h, ok := found[k]
			if !ok {
				h = found[everyContext+strings.TrimPrefix(k, prefix(k))]
			}
			form := map[string]string{"InTx": "in the transaction", "Call": "call", "Every": "by the calendar: " + h.when}[h.form]
			p.row(code(k), form, h.doc, h.file)
		}
	}
	return p.String()
}
