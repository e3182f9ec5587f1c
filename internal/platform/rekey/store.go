package rekey

import (
	"context"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/crypt"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/verify"
)

type tenantID = id.ID[auth.Tenant]

// key is the value of a column that names rows: a UUID, a number or bytes. It scans, is an argument, and has a text.
type key struct {
	kind  string // uuid, int, bytes
	uuid  id.ID[id.Any]
	num   int64
	bytes []byte
}

// column splits a declared key into its name and an empty key of its kind.
func column(declared string) (string, key) {
	name, kind, ok := strings.Cut(declared, " ")
	if !ok {
		kind = "uuid"
	}
	return name, key{kind: kind}
}

func (k *key) dest() any {
	switch k.kind {
	case "int":
		return &k.num
	case "bytes":
		return &k.bytes
	}
	return &k.uuid
}

func (k key) value() any {
	switch k.kind {
	case "int":
		return k.num
	case "bytes":
		return k.bytes
	}
	return k.uuid
}

// String is the text of crypt.Field.Row, and of a position.
func (k key) String() string {
	switch k.kind {
	case "int":
		return strconv.FormatInt(k.num, 10)
	case "bytes":
		return hex.EncodeToString(k.bytes)
	}
	return k.uuid.String()
}

func (k key) parse(text string) (key, error) {
	var err error
	switch k.kind {
	case "int":
		k.num, err = strconv.ParseInt(text, 10, 64)
	case "bytes":
		k.bytes, err = hex.DecodeString(text)
	default:
		k.uuid, err = id.Parse[id.Any](text)
	}
	if err != nil {
		return k, fmt.Errorf("rekey: position %q: %w", text, err)
	}
	return k, nil
}

// beyond is the condition that continues after a position, and the arguments.
func beyond(declared, position string, args []any) (where string, all []any, err error) {
	name, k := column(declared)
	if position == "" {
		return "", args, nil
	}
	if k, err = k.parse(position); err != nil {
		return "", nil, err
	}
	args = append(args, k.value())
	return " AND " + name + " > $" + strconv.Itoa(len(args)), args, nil
}

// sealedRow is a row of a table with sealed columns.
type sealedRow struct {
	key, name key // name: of crypt.Field.Row
	person    id.ID[id.Any]
	sealed    [][]byte // by column; nil: NULL
}

// page reads the next rows.
func (s Sealed) page(ctx context.Context, d *db.DB, t tenantID, position string, limit int) (out []sealedRow, err error) {
	by, empty := column(s.Key)
	names := []string{by}
	if s.Row != "" {
		names = append(names, s.Row)
	}
	if s.Person != "" {
		names = append(names, s.Person)
	}
	for _, c := range s.Columns {
		names = append(names, c.Name)
	}
	where, args, err := beyond(s.Key, position, []any{t, limit})
	if err != nil {
		return nil, err
	}
	err = d.Read(ctx, t, func(ctx context.Context, tx db.Tx) error {
		rows, err := tx.Query(ctx, `SELECT `+strings.Join(names, ", ")+` FROM `+s.Table+` WHERE tenant_id = $1`+where+` ORDER BY `+by+` LIMIT $2`, args...)
		out, err = db.Collect(rows, err, func(r db.Rows, v *sealedRow) error {
			v.key, v.name, v.sealed = empty, key{kind: "uuid"}, make([][]byte, len(s.Columns))
			dest := []any{v.key.dest()}
			if s.Row != "" {
				dest = append(dest, v.name.dest())
			}
			if s.Person != "" {
				dest = append(dest, &v.person)
			}
			for i := range v.sealed {
				dest = append(dest, &v.sealed[i])
			}
			if err := r.Scan(dest...); err != nil {
				return err
			}
			if s.Row == "" {
				v.name = v.key
			}
			return nil
		})
		return err
	})
	return out, err
}

// change is what is to be written of a row: is in the place of was.
type change struct {
	key     key
	columns []string
	was, is [][]byte
}

// write replaces what is still as it was read, and tells how many rows that are.
func (s Sealed) write(ctx context.Context, d *db.DB, t tenantID, changes []change) (n int64, err error) {
	by, _ := column(s.Key)
	return run(ctx, d, t, len(changes), func(p *db.Pipeline, count func(db.Rows) error) {
		for _, c := range changes {
			args := []any{t, c.key.value()}
			var set, where []string
			for i, name := range c.columns {
				args = append(args, c.is[i], c.was[i])
				set = append(set, name+" = $"+strconv.Itoa(len(args)-1))
				where = append(where, name+" = $"+strconv.Itoa(len(args)))
			}
			p.Query(count, `UPDATE `+s.Table+` SET `+strings.Join(set, ", ")+` WHERE tenant_id = $1 AND `+by+` = $2 AND `+
				strings.Join(where, " AND ")+` RETURNING 1`, args...)
		}
	})
}

// run sends updates with RETURNING 1 in one transaction and counts them.
func run(ctx context.Context, d *db.DB, t tenantID, size int, fill func(p *db.Pipeline, count func(db.Rows) error)) (n int64, err error) {
	if size == 0 {
		return 0, nil
	}
	err = d.Write(ctx, t, func(ctx context.Context, tx db.Tx) error {
		n = 0
		var p db.Pipeline
		fill(&p, db.Each(func(r db.Rows) error {
			n++
			return r.Scan(new(int64))
		}))
		return tx.Send(ctx, &p)
	})
	return n, err
}

// indexRow is a row with a blind index.
type indexRow struct {
	key          key
	older, newer []byte
}

// page reads the next rows; full when there are more. Rows with the same key stay together.
func (b Blind) page(ctx context.Context, d *db.DB, t tenantID, position string, limit int, older, newer string) (out []indexRow, full bool, err error) {
	by, empty := column(b.Key)
	where, args, err := beyond(b.Key, position, []any{t, limit})
	if err != nil {
		return nil, false, err
	}
	err = d.Read(ctx, t, func(ctx context.Context, tx db.Tx) error {
		rows, err := tx.Query(ctx, `SELECT `+by+`, `+older+`, `+newer+` FROM `+b.Table+` WHERE tenant_id = $1`+where+` ORDER BY `+by+` LIMIT $2`, args...)
		out, err = db.Collect(rows, err, func(r db.Rows, v *indexRow) error {
			v.key = empty
			return r.Scan(v.key.dest(), &v.older, &v.newer)
		})
		return err
	})
	if err != nil || len(out) < limit {
		return out, false, err
	}
	n := len(out)
	for n > 0 && out[n-1].key.String() == out[len(out)-1].key.String() {
		n-- // the last key may have more rows
	}
	if n == 0 {
		return nil, false, fmt.Errorf("rekey: %s has %d rows of one %s", b.Table, limit, by)
	}
	return out[:n], true, nil
}

// write fills the newer column of rows whose older one is still as it was read.
func (b Blind) write(ctx context.Context, d *db.DB, t tenantID, changes []change, older, newer string) (int64, error) {
	by, _ := column(b.Key)
	return run(ctx, d, t, len(changes), func(p *db.Pipeline, count func(db.Rows) error) {
		for _, c := range changes {
			p.Query(count, `UPDATE `+b.Table+` SET `+newer+` = $3 WHERE tenant_id = $1 AND `+by+` = $2 AND `+older+` = $4 AND `+newer+` IS NULL RETURNING 1`,
				t, c.key.value(), c.is[0], c.was[0])
		}
	})
}

// unfilled tells whether a row has only the older index.
func (b Blind) unfilled(ctx context.Context, d *db.DB, t tenantID, older, newer string) (left bool, err error) {
	err = d.Read(ctx, t, func(ctx context.Context, tx db.Tx) error {
		return tx.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM `+b.Table+` WHERE tenant_id = $1 AND `+older+` IS NOT NULL AND `+newer+` IS NULL)`, t).Scan(&left)
	})
	return left, err
}

// empty clears the older column from one key to another.
func (b Blind) empty(ctx context.Context, d *db.DB, t tenantID, from, to key, older, newer string) error {
	by, _ := column(b.Key)
	return d.Write(ctx, t, func(ctx context.Context, tx db.Tx) error {
		_, err := tx.Exec(ctx, `UPDATE `+b.Table+` SET `+older+` = NULL WHERE tenant_id = $1 AND `+by+` >= $2 AND `+by+` <= $3
			AND `+older+` IS NOT NULL AND `+newer+` IS NOT NULL`, t, from.value(), to.value())
		return err
	})
}

// Standing is how many values of a sealed column lie under one generation.
type Standing struct {
	Table, Column string
	Key           string // id of a tenant's key; empty: of persons' keys of this Generation
	Generation    int    // of persons' keys; 0: their key is not known
	Rows          int64
}

// Stand counts the sealed values of a tenant in a context by the keys that their headers name.
func Stand(ctx context.Context, ring *crypt.Ring, u Unit, t tenantID) (out []Standing, err error) {
	for _, s := range u.Columns.Sealed {
		var some []Standing
		if s.Person == "" {
			some, err = s.standTenant(ctx, u.DB, t)
		} else {
			some, err = s.standPersons(ctx, ring, u.DB, t)
		}
		if err != nil {
			return nil, err
		}
		out = append(out, some...)
	}
	return out, nil
}

// standTenant counts in the database: the header's bytes 2 to 17 are the key's id (crypt's format.go).
func (s Sealed) standTenant(ctx context.Context, d *db.DB, t tenantID) (out []Standing, err error) {
	for _, c := range s.Columns {
		err := d.Read(ctx, t, func(ctx context.Context, tx db.Tx) error {
			rows, err := tx.Query(ctx, `SELECT substr(`+c.Name+`, 3, 16), COUNT(*) FROM `+s.Table+` WHERE tenant_id = $1 AND `+c.Name+` IS NOT NULL
				GROUP BY 1 ORDER BY 1 LIMIT 1000`, t)
			some, err := db.Collect(rows, err, func(r db.Rows, v *Standing) error {
				v.Table, v.Column = s.Table, c.Name
				var raw []byte
				if err := r.Scan(&raw, &v.Rows); err != nil {
					return err
				}
				var kid id.ID[id.Any]
				if len(raw) == len(kid) {
					kid = id.ID[id.Any](raw)
				}
				v.Key = kid.String()
				return nil
			})
			out = append(out, some...)
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

const standPage = 2000

// standPersons walks the table: whose key it is stands in another database.
func (s Sealed) standPersons(ctx context.Context, ring *crypt.Ring, d *db.DB, t tenantID) (out []Standing, err error) {
	counts := map[Standing]int64{}
	for position := ""; ; {
		rows, err := s.page(ctx, d, t, position, standPage)
		if err != nil {
			return nil, err
		}
		known, err := ring.PersonGenerations(ctx, t, persons(rows))
		if err != nil {
			return nil, err
		}
		for _, r := range rows {
			for i, c := range s.Columns {
				if r.sealed[i] == nil {
					continue
				}
				kid, _ := crypt.KeyOf(r.sealed[i])
				counts[Standing{Table: s.Table, Column: c.Name, Generation: known[kid]}]++
			}
		}
		if len(rows) < standPage {
			break
		}
		position = rows[len(rows)-1].key.String()
	}
	for _, c := range s.Columns {
		for v, n := range counts {
			if v.Column == c.Name {
				v.Rows = n
				out = append(out, v)
			}
		}
	}
	return out, nil
}

// Checks find rows that lack the index by which everybody looks for them.
func Checks(context string, blinds []Blind) (out []verify.Check) {
	for _, b := range blinds {
		by, _ := column(b.Key)
		out = append(out, verify.Check{Name: context + ": each row of " + b.Name() + " has its index under the oldest generation in force", SQL: `-- global: every tenant
			SELECT id_text(t.` + by + `) AS what, 0 AS at FROM ` + b.Table + ` t LEFT JOIN blind_generation g ON g.tenant_id = t.tenant_id
			WHERE COALESCE(t.` + b.Odd + `, t.` + b.Even + `) IS NOT NULL
			AND CASE WHEN COALESCE(g.oldest, 1) % 2 = 1 THEN t.` + b.Odd + ` ELSE t.` + b.Even + ` END IS NULL`})
	}
	return out
}
