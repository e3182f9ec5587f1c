package db

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// rowsAssumed of each table.
const rowsAssumed = 1_000_000

// few are columns with a handful of values.
var few = []string{"state", "kind", "channel", "purpose", "session", "class", "reason", "role", "known", "stopped"}

// tellShape tells SQLite's planner what a hospital's tables look like. Without statistics it takes the first column of each
// key for equally selective, and looks at all rows of the one tenant where an index by day stands ready: stopping a session looked
// at every appointment ever made. Its own ANALYZE would see tables that are empty on the first day, and plans would change by
// themselves later. So the statistics are ours: the tenant selects nothing, the last column of a unique key selects one row.
func tellShape(ctx context.Context, pool *sql.DB) error {
	c, err := pool.Conn(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	indexes, err := indexesOf(ctx, c)
	if err != nil {
		return fmt.Errorf("indexes: %w", err)
	}
	told, err := toldShape(ctx, c)
	if err != nil {
		return fmt.Errorf("statistics: %w", err)
	}
	want := map[string]string{}
	for _, i := range indexes {
		want[i.name] = i.stat()
	}
	if maps.Equal(told, want) {
		return nil
	}
	for _, text := range []string{"PRAGMA analysis_limit = 1", "ANALYZE"} { // makes the table
		if _, err := c.ExecContext(ctx, text); err != nil {
			return fmt.Errorf("%s: %w", text, err)
		}
	}
	tx, err := c.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	if _, err := tx.ExecContext(ctx, "DELETE FROM sqlite_stat1 -- global: the planner's"); err != nil {
		return err
	}
	for _, i := range indexes {
		if _, err := tx.ExecContext(ctx, "INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES (?1, ?2, ?3) -- global: the planner's", i.table, i.name, i.stat()); err != nil {
			return err
		}
	}
	return tx.Commit()
}

// toldShape are the statistics that stand there.
func toldShape(ctx context.Context, c *sql.Conn) (map[string]string, error) {
	var tables int
	if err := c.QueryRowContext(ctx, "SELECT COUNT(*) FROM sqlite_schema WHERE name = 'sqlite_stat1' -- global: the planner's").Scan(&tables); err != nil || tables == 0 {
		return nil, err
	}
	rows, err := c.QueryContext(ctx, "SELECT idx, stat FROM sqlite_stat1 -- global: the planner's")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	out := map[string]string{}
	for rows.Next() {
		var name, stat sql.NullString
		if err := rows.Scan(&name, &stat); err != nil {
			return nil, err
		}
		out[name.String] = stat.String
	}
	return out, rows.Err()
}

type index struct {
	table, name string
	unique      bool
	columns     []string
}

func indexesOf(ctx context.Context, c *sql.Conn) (out []index, err error) {
	rows, err := c.QueryContext(ctx, `SELECT m.name, l.name, l."unique", i.name FROM sqlite_schema m JOIN pragma_index_list(m.name) l JOIN pragma_index_info(l.name) i
		WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%' ORDER BY m.name, l.name, i.seqno -- global: the schema`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var v index
		var column sql.NullString // of an expression there is none
		if err := rows.Scan(&v.table, &v.name, &v.unique, &column); err != nil {
			return nil, err
		}
		if n := len(out); n == 0 || out[n-1].name != v.name {
			out = append(out, v)
		}
		last := &out[len(out)-1]
		last.columns = append(last.columns, column.String)
	}
	return out, rows.Err()
}

// stat is the text of sqlite_stat1: the rows of the table, then how many rows one value of the first, the first two, … columns has.
func (i index) stat() string {
	n := rowsAssumed
	out := []string{strconv.Itoa(n)}
	for at, column := range i.columns {
		switch {
		case i.unique && at == len(i.columns)-1:
			n = 1
		case column == "tenant_id":
		case slices.Contains(few, column):
			n = max(2, n/4)
		default:
			n = max(2, n/100)
		}
		out = append(out, strconv.Itoa(n))
	}
	return strings.Join(append(out, "noskipscan"), " ") // a column that selects little is no reason to try each of its values
}
