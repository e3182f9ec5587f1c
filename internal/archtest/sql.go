package archtest

import (
	"go/ast"
	"go/token"
	"regexp"
	"slices"
	"strings"
)

// sqlText matches what begins like one of the statements that we send, after comments.
var sqlText = regexp.MustCompile(`^\s*(?:--[^\n]*\n\s*)*(?:SELECT|INSERT INTO|UPDATE|DELETE FROM|WITH)\s`)

// isSQL reports whether a string is a statement (or the first part of one).
func isSQL(s string) bool { return sqlText.MatchString(s) }

// sqlInStore: in a behaviour SQL stands in store*.go and verify.go.
func sqlInStore(t *Tree) (out []Violation) {
	for _, f := range t.Files {
		if z := t.zoneOf(f.Dir); f.Test || z.Kind != Behaviour && z.Kind != Contract && z.Kind != Inner {
			continue
		}
		if t.zoneOf(f.Dir).Kind == Behaviour && (strings.HasPrefix(f.Name, "store") || f.Name == "verify.go") {
			continue
		}
		inspect(f, func(lit *ast.BasicLit) {
			if s, ok := literal(lit); ok && isSQL(s) {
				out = append(out, t.at(f, lit, "sql-in-store", "SQL outside store*.go and verify.go"))
			}
		})
	}
	return out
}

// tenantInSQL: each statement names tenant_id or says `-- global: why`. A statement put
// together with + is judged as a whole, constants included; a constant that is only ever
// a part of such sums is judged with them.
func tenantInSQL(t *Tree) (out []Violation) {
	byDir := map[string][]*File{}
	for _, f := range t.Files {
		if z := t.zoneOf(f.Dir).Kind; !f.Test && (z == Platform || z == Behaviour || z == App || z == Demo || z == Bench || z == Simulator) {
			byDir[f.Dir] = append(byDir[f.Dir], f)
		}
	}
	for _, files := range byDir {
		s := statements{consts: map[string]string{}, decl: map[ast.Expr]string{}, parts: map[string]bool{}, whole: map[string]bool{}}
		for _, f := range files {
			s.collect(f)
		}
		for _, f := range files {
			for _, d := range f.AST.Decls {
				s.define(d)
				s.judge(t, f, d, &out)
			}
		}
	}
	return out
}

// statements are the strings of one package.
type statements struct {
	consts map[string]string   // package-level and local string constants by name
	decl   map[ast.Expr]string // the expression that gives a constant its value
	parts  map[string]bool     // names that are used in sums
	whole  map[string]bool     // names that are used outside sums
	locals map[string]string   // what := gives to names in the function that is judged
}

func (s *statements) collect(f *File) {
	inspect(f, func(v *ast.ValueSpec) {
		for i, name := range v.Names {
			if i < len(v.Values) {
				if text, ok := s.text(v.Values[i]); ok {
					s.consts[name.Name] = text
					s.decl[v.Values[i]] = name.Name
				}
			}
		}
	})
	inSum := map[ast.Node]bool{}
	inspect(f, func(b *ast.BinaryExpr) {
		if b.Op == token.ADD {
			inSum[b.X], inSum[b.Y] = true, true
		}
	})
	declared := map[*ast.Ident]bool{}
	inspect(f, func(v *ast.ValueSpec) {
		for _, n := range v.Names {
			declared[n] = true
		}
	})
	inspect(f, func(id *ast.Ident) {
		switch {
		case inSum[id]:
			s.parts[id.Name] = true
		case !declared[id]:
			s.whole[id.Name] = true
		}
	})
}

// text is the value of a string expression as far as it is known: literals, sums, and
// constants seen so far; anything else counts as "?".
func (s *statements) text(e ast.Expr) (string, bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		return literal(e)
	case *ast.Ident:
		if v, ok := s.locals[e.Name]; ok {
			return v, true
		}
		v, ok := s.consts[e.Name]
		return v, ok
	case *ast.ParenExpr:
		return s.text(e.X)
	case *ast.BinaryExpr:
		if e.Op != token.ADD {
			return "", false
		}
		x, okX := s.text(e.X)
		y, okY := s.text(e.Y)
		if !okX {
			x = "?"
		}
		if !okY {
			y = "?"
		}
		return x + y, okX || okY
	}
	return "", false
}

// define reads the strings that := gives to names in one declaration, in their order.
func (s *statements) define(d ast.Decl) {
	s.locals = map[string]string{}
	ast.Inspect(d, func(n ast.Node) bool {
		a, ok := n.(*ast.AssignStmt)
		if !ok || a.Tok != token.DEFINE || len(a.Lhs) != len(a.Rhs) {
			return true
		}
		for i, left := range a.Lhs {
			if text, ok := s.text(a.Rhs[i]); ok {
				s.locals[left.(*ast.Ident).Name] = text // the left of := is always a name
			}
		}
		return true
	})
}

func (s *statements) judge(t *Tree, f *File, d ast.Decl, out *[]Violation) {
	ast.Inspect(d, func(n ast.Node) bool {
		e, ok := n.(ast.Expr)
		if !ok {
			return true
		}
		_, lit := e.(*ast.BasicLit)
		sum, isSum := e.(*ast.BinaryExpr)
		if !lit && !(isSum && sum.Op == token.ADD) {
			return true
		}
		text, known := s.text(e)
		if !known || !isSQL(text) {
			return true
		}
		if name, ok := s.decl[e]; ok && s.parts[name] && !s.whole[name] {
			return false
		}
		if !strings.Contains(text, "tenant_id") && !strings.Contains(text, "-- global:") {
			*out = append(*out, t.at(f, e, "tenant-in-sql", "the statement names no tenant_id; scope it or say `-- global: why`"))
		}
		return false
	})
}

var (
	createTable = regexp.MustCompile(`(?is)CREATE TABLE (?:IF NOT EXISTS )?([a-z_0-9]+)\s*\((.*?)\n\s*\)\s*([^;]*);`)
	tenantKey   = regexp.MustCompile(`PRIMARY KEY \(tenant_id\b|tenant_id[^,\n]* PRIMARY KEY`)
	anyCreate   = regexp.MustCompile(`(?i)CREATE TABLE`)
)

// migrations: each table's key begins with its tenant, the table is strict on SQLite and has row-level security
// on PostgreSQL, or says `-- global: why` inside.
func migrations(t *Tree) (out []Violation) {
	for _, m := range t.Texts {
		if !strings.HasSuffix(m.Path, ".sql") || !strings.HasPrefix(m.Path, "internal/") {
			continue
		}
		found := createTable.FindAllStringSubmatchIndex(m.Body, -1)
		if n := len(anyCreate.FindAllString(m.Body, -1)); n != len(found) {
			out = append(out, Violation{m.Path, 0, "migrations", "a CREATE TABLE cannot be read; write it as NAME (, a column a line, ){{strict}};"})
		}
		for _, i := range found {
			name, body, tail := m.Body[i[2]:i[3]], m.Body[i[4]:i[5]], m.Body[i[6]:i[7]]
			line := 1 + strings.Count(m.Body[:i[0]], "\n")
			say := func(text string) {
				out = append(out, Violation{m.Path, line, "migrations", "table " + name + " " + text})
			}
			if !strings.Contains(tail, "{{strict}}") {
				say("does not close with ){{strict}};")
			}
			if strings.Contains(body, "-- global:") {
				continue
			}
			if !tenantKey.MatchString(body) {
				say("has no primary key that begins with tenant_id")
			}
			if !slices.ContainsFunc([]string{"{{rls \"" + name + "\"}}", "{{rls `" + name + "`}}"}, func(s string) bool { return strings.Contains(m.Body, s) }) {
				say("has no {{rls \"" + name + "\"}}")
			}
		}
	}
	return out
}
