package mask

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/db"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Scratch has the table that a copy needs while it is made. It belongs to no installation.
func Scratch() db.Set {
	sub, err := fs.Sub(migrations, "migrations")
	if err != nil {
		panic(err) // embedded at build time
	}
	return db.Set{Name: "mask", FS: sub}
}

// scratch is the table of stand-ins. Its rows stand at the zero tenant.
type scratch struct{ *db.DB }

var nobody id.ID[auth.Tenant]

func (s scratch) find(ctx context.Context, digest []byte) (value string, err error) {
	err = s.Read(ctx, nobody, func(ctx context.Context, tx db.Tx) error {
		err := tx.QueryRow(ctx, `SELECT value FROM stand_in WHERE tenant_id = $1 AND digest = $2`, nobody, digest).Scan(&value)
		if errors.Is(err, db.ErrNoRows) {
			return nil
		}
		return err
	})
	return value, err
}

// take writes a stand-in down; false when another value has it.
func (s scratch) take(ctx context.Context, kind string, digest []byte, value string) (took bool, err error) {
	err = s.Write(ctx, nobody, func(ctx context.Context, tx db.Tx) error {
		n, err := tx.Exec(ctx, `INSERT INTO stand_in (tenant_id, digest, kind, value) VALUES ($1, $2, $3, $4) ON CONFLICT (tenant_id, kind, value) DO NOTHING`,
			nobody, digest, kind, value)
		took = n == 1
		return err
	})
	return took, err
}

// shape is a table as the copy's database has it.
type shape struct {
	table   string
	columns []string
	key     []string // of the primary key, in its order
	json    []string // columns that PostgreSQL has as jsonb, in the form "table.column"
}

// expressions are the columns as a statement asks for them: text of what PostgreSQL would take apart.
func (s shape) expressions() string {
	out := make([]string, len(s.columns))
	for i, name := range s.columns {
		out[i] = name
		if slices.Contains(s.json, s.table+"."+name) {
			out[i] = "CAST(" + name + " AS TEXT)"
		}
	}
	return strings.Join(out, ", ")
}

// jsonColumns are the columns of a context that are jsonb; none on SQLite.
func jsonColumns(ctx context.Context, d *db.DB) (out []string, err error) {
	if d.Engine() == db.SQLite {
		return nil, nil
	}
	err = d.ReadAll(ctx, func(ctx context.Context, tx db.Tx) error {
		rows, err := tx.Query(ctx, `-- global: the schema
			SELECT table_name || '.' || column_name FROM information_schema.columns WHERE table_schema = $1 AND data_type = 'jsonb'`, tx.Context())
		out, err = db.Collect(rows, err, func(r db.Rows, v *string) error { return r.Scan(v) })
		return err
	})
	return out, err
}

// shapesOf are the tables of a database, in the order in which they were made: what refers comes after what it refers to.
func shapesOf(ctx context.Context, d *db.DB) (out []shape, err error) {
	err = d.ReadAll(ctx, func(ctx context.Context, tx db.Tx) error {
		out = nil
		rows, err := tx.Query(ctx, `-- global: the schema
			SELECT m.name, c.name, c.pk FROM sqlite_schema m JOIN pragma_table_info(m.name) c
			WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%' AND m.name NOT IN ('frame_version', 'schema_version') ORDER BY m.rowid, c.cid`)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var table, column string
			var place int
			if err := rows.Scan(&table, &column, &place); err != nil {
				return err
			}
			if n := len(out); n == 0 || out[n-1].table != table {
				out = append(out, shape{table: table})
			}
			last := &out[len(out)-1]
			last.columns = append(last.columns, column)
			if place > 0 {
				for len(last.key) < place {
					last.key = append(last.key, "")
				}
				last.key[place-1] = column
			}
		}
		return rows.Err()
	})
	return out, err
}

// page is how many rows are in memory at once.
const page = 500

// rowsAfter reads the rows that follow a key, in its order.
func rowsAfter(ctx context.Context, d *db.DB, s shape, after []any) (out []*Row, err error) {
	names, key := s.expressions(), strings.Join(s.key, ", ")
	where := ""
	if after != nil {
		where = " WHERE (" + key + ") > (" + marks(len(after)) + ")"
	}
	text := fmt.Sprintf("-- global: the copy\nSELECT %s FROM %s%s ORDER BY %s LIMIT %d", names, s.table, where, key, page)
	err = d.ReadAll(ctx, func(ctx context.Context, tx db.Tx) error {
		out = nil
		rows, err := tx.Query(ctx, text, after...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			r, err := scanRow(rows, s)
			if err != nil {
				return err
			}
			out = append(out, r)
		}
		return rows.Err()
	})
	return out, err
}

func scanRow(rows db.Rows, s shape) (*Row, error) {
	values := make([]any, len(s.columns))
	into := make([]any, len(values))
	for i := range values {
		into[i] = &values[i]
	}
	if err := rows.Scan(into...); err != nil {
		return nil, err
	}
	r := NewRow(s.table, map[string]any{})
	for i, name := range s.columns {
		r.values[name] = portable(values[i])
	}
	return r, nil
}

// portable is a value as SQLite keeps it.
func portable(v any) any {
	switch v := v.(type) {
	case [16]byte:
		return v[:]
	case bool:
		if v {
			return int64(1)
		}
		return int64(0)
	case int32:
		return int64(v)
	case int16:
		return int64(v)
	}
	return v
}

// marks are $1, $2, ...
func marks(n int) string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf("$%d", i+1)
	}
	return strings.Join(out, ", ")
}

// insert writes rows of one table with the same columns, in one transaction. An act that was collected may still lie in the trail
// that it came from: there it stands once.
func insert(ctx context.Context, d *db.DB, table string, columns []string, rows []*Row) error {
	text := fmt.Sprintf("-- global: the copy\nINSERT INTO %s (%s) VALUES (%s)", table, strings.Join(columns, ", "), marks(len(columns)))
	if table == "trail" {
		text += " ON CONFLICT (tenant_id, id) DO NOTHING"
	}
	return d.WriteAll(ctx, func(ctx context.Context, tx db.Tx) error {
		for _, r := range rows {
			values := make([]any, len(columns))
			for i, name := range columns {
				values[i] = r.values[name]
			}
			if _, err := tx.Exec(ctx, text, values...); err != nil {
				return fmt.Errorf("table %s: %w", table, err)
			}
		}
		return nil
	})
}
