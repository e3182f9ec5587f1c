package reference

import (
	"cmp"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"text/template"

	"xinglin/internal/kernel/dataclass"
)

// words are the types of the migrations' templates with what the engines make of them.
var words = []struct{ word, pg, sqlite string }{
	{"bigint", "bigint", "INTEGER"},
	{"bool", "boolean", "INTEGER"},
	{"bytes", "bytea", "BLOB"},
	{"int", "integer", "INTEGER"},
	{"json", "jsonb", "TEXT"},
	{"text", `text COLLATE "C"`, "TEXT"},
	{"uuid", "uuid", "BLOB"},
}

// table is a table as its migrations make it.
type table struct {
	name, what string
	columns    []column
	rules      []string // keys, checks and references over several columns
	indexes    []string
	changes    []string // later ALTER TABLE statements
	locked     bool     // has row-level security on PostgreSQL
}

type column struct{ name, typ, rule, what, class string }

// frameName is the module name under which the frame's tables stand.
const frameName = "frame"

// readTables reads the migrations of every module, in the portable form.
func readTables(in Input) (map[string][]table, error) {
	out := map[string][]table{}
	all, data := map[string]fs.FS{}, map[string]dataclass.Schema{}
	if in.Frame != nil {
		all[frameName], data[frameName] = in.Frame, in.FrameData
	}
	for _, m := range in.Modules {
		if m.Migrations != nil {
			all[m.Name], data[m.Name] = m.Migrations, m.Data
		}
	}
	for name, src := range all {
		files, err := fs.Glob(src, "*.sql")
		if err != nil {
			return nil, fmt.Errorf("reference: %s: %w", name, err)
		}
		slices.Sort(files)
		var s schema
		for _, file := range files {
			text, err := portable(src, file)
			if err != nil {
				return nil, fmt.Errorf("reference: %s: %w", name, err)
			}
			s.read(text)
		}
		if err := s.classify(data[name]); err != nil {
			return nil, fmt.Errorf("reference: %s: %w", name, err)
		}
		out[name] = s.tables
	}
	return out, nil
}

// rlsMark stands for {{rls "table"}} in the portable text.
const rlsMark = "LOCK ROWS OF "

// portable renders a migration with the words of the templates in the place of types.
func portable(src fs.FS, file string) (string, error) {
	b, err := fs.ReadFile(src, file)
	if err != nil {
		return "", err
	}
	fn := template.FuncMap{
		"strict": func() string { return "" },
		"rls":    func(name string) string { return rlsMark + name + ";" },
		"pg":     func() bool { return true },
	}
	for _, w := range words {
		fn[w.word] = func() string { return w.word }
	}
	t, err := template.New(file).Funcs(fn).Parse(string(b))
	if err != nil {
		return "", err
	}
	var out strings.Builder
	if err := t.Execute(&out, nil); err != nil {
		return "", err
	}
	text, _, _ := strings.Cut(out.String(), "-- +goose Down")
	return text, nil
}

// schema gathers tables from statements.
type schema struct{ tables []table }

func (s *schema) find(name string) *table {
	for i := range s.tables {
		if s.tables[i].name == name {
			return &s.tables[i]
		}
	}
	return nil
}

// classify gives every column its class (K5): one that has none is an error, as is a class of a column or table that is not there.
func (s *schema) classify(data dataclass.Schema) error {
	for name := range data {
		if s.find(name) == nil {
			return fmt.Errorf("classes of a table %s, which is not there", name)
		}
	}
	for i := range s.tables {
		t := &s.tables[i]
		classes := data[t.name]
		var names []string
		for _, c := range t.columns {
			names = append(names, c.name)
		}
		if err := classes.Check(names); err != nil {
			return fmt.Errorf("table %s: %w", t.name, err)
		}
		for n := range t.columns {
			class, _ := classes.Of(t.columns[n].name)
			t.columns[n].class = string(class)
		}
	}
	return nil
}

// alter notes a change of a table; a column that it adds is a column.
func (t *table) alter(w []string) {
	t.changes = append(t.changes, strings.Join(w, " "))
	if len(w) > 6 && w[3] == "ADD" && w[4] == "COLUMN" {
		t.columns = append(t.columns, column{name: w[5], typ: w[6], rule: strings.Join(w[7:], " ")})
	}
}

func (s *schema) read(text string) {
	for _, st := range split(text, ';') {
		_, sql := comments(st)
		w := strings.Fields(sql)
		switch {
		case len(w) < 3:
		case strings.HasPrefix(sql, "CREATE TABLE"):
			i := strings.Index("\n"+st, "\nCREATE TABLE") // comments within belong to columns
			what, _ := comments(st[:max(i, 0)])
			s.tables = append(s.tables, readTable(what, st[max(i, 0):]))
		case strings.HasPrefix(sql, rlsMark):
			if t := s.find(w[len(w)-1]); t != nil {
				t.locked = true
			}
		case strings.HasPrefix(sql, "CREATE INDEX"), strings.HasPrefix(sql, "CREATE UNIQUE INDEX"):
			if i := slices.Index(w, "ON"); i > 0 && i+1 < len(w) {
				name, _, _ := strings.Cut(w[i+1], "(")
				if t := s.find(name); t != nil {
					t.indexes = append(t.indexes, strings.Join(w, " "))
				}
			}
		case strings.HasPrefix(sql, "ALTER TABLE"):
			if t := s.find(w[2]); t != nil {
				t.alter(w)
			}
		}
	}
}

func readTable(what, sql string) table {
	head, body, _ := strings.Cut(sql, "(")
	w := strings.Fields(head)
	t := table{name: w[len(w)-1], what: what}
	if i := strings.LastIndexByte(body, ')'); i >= 0 {
		body = body[:i]
	}
	for _, part := range split(body, ',') {
		note, def := comments(part)
		f := strings.Fields(def)
		if behind := trailing(part); behind != "" && len(t.columns) > 0 {
			last := &t.columns[len(t.columns)-1] // "a INT, -- this": the comment stands behind the comma
			last.what = strings.TrimSpace(last.what + " " + behind)
			note = strings.TrimSpace(strings.TrimPrefix(note, behind))
		}
		switch {
		case len(f) == 0:
		case slices.Contains([]string{"PRIMARY", "UNIQUE", "CHECK", "FOREIGN", "CONSTRAINT"}, strings.TrimRight(f[0], "(")),
			strings.HasPrefix(f[0], "CHECK("), strings.HasPrefix(f[0], "UNIQUE("):
			t.rules = append(t.rules, strings.Join(f, " "))
		case len(f) > 1:
			t.columns = append(t.columns, column{name: f[0], typ: f[1], rule: strings.Join(f[2:], " "), what: note})
		}
	}
	return t
}

// trailing is a comment on the line of the comma before the part.
func trailing(part string) string {
	first, _, _ := strings.Cut(part, "\n")
	_, note, ok := strings.Cut(first, "--")
	if !ok || strings.TrimSpace(strings.Split(first, "--")[0]) != "" {
		return ""
	}
	return strings.TrimSpace(note)
}

// comments takes the -- comments out of a statement; goose's own marks are dropped.
func comments(s string) (text, sql string) {
	var what, rest []string
	for line := range strings.Lines(s) {
		before, note, ok := strings.Cut(line, "--")
		if ok && !strings.HasPrefix(strings.TrimSpace(note), "+goose") {
			what = append(what, strings.TrimSpace(note))
		}
		rest = append(rest, before)
	}
	return strings.Join(what, " "), strings.TrimSpace(strings.Join(rest, "\n"))
}

// split cuts at sep outside of brackets, quotes and comments.
func split(s string, sep byte) (out []string) {
	depth, start, quote, note := 0, 0, false, false
	for i := range len(s) {
		switch c := s[i]; {
		case note:
			note = c != '\n'
		case c == '\'':
			quote = !quote
		case quote:
		case c == '-' && i+1 < len(s) && s[i+1] == '-':
			note = true
		case c == '(':
			depth++
		case c == ')':
			depth--
		case c == sep && depth == 0:
			out = append(out, s[start:i])
			start = i + 1
		}
	}
	return append(out, s[start:])
}

// tablesPage lists the tables of every context.
func (r *renderer) tablesPage() string {
	var p page
	p.f("# Tables\n\nOne SQLite file or PostgreSQL schema a context. Times are microseconds UTC, dates days. PostgreSQL forces row-level security\n" +
		"on every table: the context's role sees the rows of its tenant only. SQLite's tables are STRICT. The class says what a column\n" +
		"holds of people (internal/kernel/dataclass): answers, exports and `xinglin mask` go by it.\n\n")
	p.head("Type", "PostgreSQL", "SQLite")
	for _, w := range words {
		p.row(w.word, w.pg, w.sqlite)
	}
	if list := r.tables[frameName]; len(list) > 0 {
		p.f("\n## In every context\n")
		p.tables(list)
	}
	for _, m := range r.Modules {
		if list := r.tables[m.Name]; len(list) > 0 {
			p.f("\n## %s\n", m.Name)
			p.tables(list)
		}
	}
	return p.String()
}

func (p *page) tables(list []table) {
	for _, t := range list {
		p.f("\n### %s\n\n", t.name)
		if t.what != "" {
			p.f("%s\n\n", t.what)
		}
		p.head("Column", "Type", "Class", "Rule", "What")
		for _, c := range t.columns {
			p.row(code(c.name), c.typ, c.class, code(c.rule), c.what)
		}
		for i, rule := range slices.Concat(t.rules, t.indexes, t.changes) {
			if i == 0 {
				p.f("\n")
			}
			p.f("- %s\n", code(rule))
		}
		if !t.locked {
			p.f("\nWithout row-level security.\n")
		}
	}
}

// line is a table in one line, for a README.
func (t table) line() string {
	return fmt.Sprintf("%s: %s", code(t.name), cmp.Or(t.what, "see docs/reference/tables.md"))
}
