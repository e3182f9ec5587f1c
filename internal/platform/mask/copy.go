package mask

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"xinglin/internal/kernel/dataclass"
	"xinglin/internal/kernel/secret"
	"xinglin/internal/platform/crypt"
	"xinglin/internal/platform/db"
)

// Options of a copy.
type Options struct {
	From, To         *db.Server // From of either engine; To of SQLite, with the schema and no rows
	FromKeys, ToKeys *crypt.Ring
	Scratch          *db.DB // of the set Scratch, empty
	Units            []Unit
	Key              []byte    // at least 32 bytes
	Progress         io.Writer // a line for each table
}

// Copy is one copy while it is made. Rules rewrite rows with it.
type Copy struct {
	Faker
	From, To *crypt.Ring

	opt    Options
	logins []Login
	rows   int64
}

// Login is an account that the copy can be entered by: of staff a user name, of patients a phone.
type Login struct {
	Tenant, Role, Name string
}

// Result is what a copy came to.
type Result struct {
	Tables   int
	Rows     int64
	Logins   []Login // the first account of each role
	Password secret.Text
	TOTP     secret.Text
	Known    *Known // the raw values that were met
}

// Run makes the copy. Nothing of the source is changed. The error mask.undeclared says that a column has no way into the copy;
// what stands in To is no copy then, as after every other error.
func Run(ctx context.Context, o Options) (Result, error) {
	c := &Copy{opt: o, From: o.FromKeys, To: o.ToKeys, Faker: Faker{key: o.Key, scratch: scratch{o.Scratch}, known: NewKnown(o.Key)}}
	res := Result{}
	for _, u := range o.Units {
		n, err := c.unit(ctx, u)
		if err != nil {
			return res, err
		}
		res.Tables += n
	}
	for _, u := range o.Units {
		d, err := o.To.Context(ctx, u.Context)
		if err != nil {
			return res, err
		}
		if err := d.CheckReferences(ctx); err != nil {
			return res, fmt.Errorf("mask: %s: %w", u.Context, err)
		}
	}
	c.known.sort()
	res.Rows, res.Logins, res.Password, res.TOTP, res.Known = c.rows, c.logins, c.Password(), c.TOTP(), c.known
	return res, nil
}

// Enter notes an account; the first of each role and tenant is told at the end.
func (c *Copy) Enter(l Login) {
	same := func(x Login) bool { return x.Tenant == l.Tenant && x.Role == l.Role }
	if !slices.ContainsFunc(c.logins, same) {
		c.logins = append(c.logins, l)
	}
}

// Reseal opens a sealed value of the source and seals what change makes of it for the same place of the copy. A value that is
// not there stays so.
func (c *Copy) Reseal(ctx context.Context, f crypt.Field, sealed []byte, change func(secret.Text) (secret.Text, error)) ([]byte, error) {
	if len(sealed) == 0 {
		return nil, nil
	}
	plain, err := c.From.Open(ctx, f, sealed)
	if err != nil {
		return nil, err
	}
	made, err := change(secret.New(string(plain)))
	if err != nil {
		return nil, err
	}
	return c.To.Seal(ctx, f, []byte(made.Reveal()))
}

// classes are those of a table, of the context's own or of the frame.
func (u Unit) classes(table string) dataclass.Table {
	if t, ok := u.Data[table]; ok {
		return t
	}
	return db.FrameData()[table]
}

func (u Unit) check(tables []shape) error {
	for _, s := range tables {
		if err := u.classes(s.table).Check(s.columns); err != nil {
			return undeclared(u.Context, s.table, err)
		}
	}
	return nil
}

// CheckClasses compares a context's declaration with the tables of its SQLite database: mask.undeclared.
func CheckClasses(ctx context.Context, d *db.DB, u Unit) error {
	tables, err := shapesOf(ctx, d)
	if err != nil {
		return err
	}
	return u.check(tables)
}

// unit copies the tables of one context.
func (c *Copy) unit(ctx context.Context, u Unit) (int, error) {
	from, err := c.opt.From.Context(ctx, u.Context)
	if err != nil {
		return 0, err
	}
	to, err := c.opt.To.Context(ctx, u.Context)
	if err != nil {
		return 0, err
	}
	tables, err := shapesOf(ctx, to)
	if err != nil {
		return 0, err
	}
	asText, err := jsonColumns(ctx, from)
	if err != nil {
		return 0, err
	}
	own := frameRules()
	for _, r := range u.Rules {
		if !slices.ContainsFunc(tables, func(s shape) bool { return s.table == r.Table }) {
			return 0, undeclared(u.Context, r.Table, errors.New("a rule for a table that is not there"))
		}
		own[r.Table] = append(own[r.Table], r)
	}
	if err := u.check(tables); err != nil {
		return 0, err
	}
	for _, s := range tables {
		s.json = asText
		n, err := c.table(ctx, from, to, s, u.classes(s.table), own[s.table])
		if err != nil {
			return 0, fmt.Errorf("mask: %s.%s: %w", u.Context, s.table, err)
		}
		if n > 0 {
			fmt.Fprintf(c.opt.Progress, "%-12s %-20s %9d rows\n", u.Context, s.table, n)
		}
		c.rows += n
	}
	return len(tables), nil
}

// table copies one table by pages.
func (c *Copy) table(ctx context.Context, from, to *db.DB, s shape, classes dataclass.Table, rules []Rule) (written int64, err error) {
	if slices.ContainsFunc(rules, func(r Rule) bool { return r.Drop }) {
		return 0, nil
	}
	var after []any
	for {
		rows, err := rowsAfter(ctx, from, s, after)
		if err != nil || len(rows) == 0 {
			return written, err
		}
		last := rows[len(rows)-1]
		after = after[:0]
		for _, name := range s.key {
			after = append(after, last.values[name])
		}
		full := len(rows) == page
		if rows, err = c.masked(ctx, s, classes, rules, rows); err != nil {
			return written, err
		}
		if err := c.write(ctx, to, rows); err != nil {
			return written, err
		}
		for _, r := range rows {
			if r.table == s.table || r.home != "" { // not what a rule added elsewhere
				written++
			}
		}
		if !full {
			return written, nil
		}
	}
}

// masked rewrites a page of rows.
func (c *Copy) masked(ctx context.Context, s shape, classes dataclass.Table, rules []Rule, rows []*Row) (out []*Row, err error) {
	for _, rule := range rules {
		if rule.Before != nil {
			if err := rule.Before(ctx, c, rows); err != nil {
				return nil, err
			}
		}
	}
	for _, r := range rows {
		for _, rule := range rules {
			if rule.Row != nil && !r.out {
				if err := rule.Row(ctx, c, r); err != nil {
					return nil, err
				}
			}
		}
		if r.out {
			continue
		}
		if r.home == "" {
			if err := c.byClass(ctx, s, classes, r); err != nil {
				return nil, err
			}
		}
		out = append(append(out, r), r.also...)
	}
	return out, nil
}

// byClass gives every column that no rule has set the value that its class asks for.
func (c *Copy) byClass(ctx context.Context, s shape, classes dataclass.Table, r *Row) error {
	for _, name := range s.columns {
		if r.set[name] || r.Null(name) {
			continue
		}
		class, _ := classes.Of(name) // checked before
		v, err := c.standIn(ctx, class, s.table+"."+name, r.values[name])
		if err != nil {
			return err
		}
		r.values[name] = v
	}
	return nil
}

// standIn is what a value of a class becomes without a rule.
func (c *Copy) standIn(ctx context.Context, class dataclass.Class, place string, v any) (any, error) {
	text, isText := v.(string)
	switch class {
	case dataclass.ID, dataclass.Fact, dataclass.Public:
		return v, nil
	case dataclass.Origin:
		if isText {
			return "", nil
		}
	case dataclass.Actor:
		if isText {
			return c.Actor(text), nil
		}
	case dataclass.Name:
		if isText {
			return c.Name(secret.New(text), "").Reveal(), nil
		}
	case dataclass.Phone:
		if isText {
			t, err := c.Phone(ctx, secret.New(text))
			return t.Reveal(), err
		}
	case dataclass.Number:
		if isText { // of no real shape: one of the same could be somebody's
			return c.Opaque(place, text), nil
		}
	case dataclass.Mail:
		if isText {
			t, err := c.Mail(ctx, secret.New(text))
			return t.Reveal(), err
		}
	case dataclass.Address:
		if isText {
			return c.Address(text), nil
		}
	case dataclass.Text, dataclass.Diagnosis:
		if isText {
			return c.Text(text), nil
		}
	case dataclass.Secret:
		if b, ok := v.([]byte); ok {
			return c.stream("secret "+place, string(b), 0, len(b))[:len(b)], nil
		}
		if isText {
			return c.Opaque(place, text), nil
		}
	}
	return nil, ErrUndeclared.Because("%s: no rule rewrites what is of class %s", place, class)
}

// Actor keeps kind and account; the names of operators on their machines go.
func (f *Faker) Actor(s string) string {
	kind, who, ok := strings.Cut(s, ":")
	if !ok || kind != "cli" || who == "demo" {
		return s
	}
	return kind + ":" + maskedWord
}

// write puts rows into their databases.
func (c *Copy) write(ctx context.Context, own *db.DB, rows []*Row) error {
	type home struct{ context, table, columns string }
	groups := map[home][]*Row{}
	for _, r := range rows {
		h := home{r.home, r.table, strings.Join(slices.Sorted(maps.Keys(r.values)), " ")}
		groups[h] = append(groups[h], r)
	}
	order := slices.SortedFunc(maps.Keys(groups), func(a, b home) int {
		return strings.Compare(a.context+"."+a.table+" "+a.columns, b.context+"."+b.table+" "+b.columns)
	})
	for _, h := range order {
		d := own
		if h.context != "" {
			var err error
			if d, err = c.opt.To.Context(ctx, h.context); err != nil {
				return err
			}
		}
		if err := insert(ctx, d, h.table, strings.Fields(h.columns), groups[h]); err != nil {
			return err
		}
	}
	return nil
}
