package rig

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/packed"
	"xinglin/internal/testkit/brake"
)

// Tenant names a tenant; the zero value is the installation.
type Tenant = id.ID[auth.Tenant]

const lookTime = 30 * time.Second

// read runs f in a transaction of one context's database, beside whatever serves it.
func (w *World) read(t testing.TB, owner string, tenant Tenant, write bool, f func(context.Context, db.Tx) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), lookTime)
	defer cancel()
	o := db.Options{Dir: w.Data(), Readers: 1, MaxConns: 2}
	if w.Engine == Postgres {
		o = db.Options{DSN: w.DSN, MaxConns: 2}
	}
	if err := Transact(ctx, o, owner, tenant, write, f); err != nil {
		t.Fatalf("%s: %v", owner, err)
	}
}

// Transact opens a context's database, does one transaction and closes it again.
func Transact(ctx context.Context, o db.Options, owner string, tenant Tenant, write bool, f func(context.Context, db.Tx) error) error {
	srv, err := db.Open(ctx, o)
	if err != nil {
		return err
	}
	defer srv.Close()
	d, err := srv.Context(ctx, owner)
	if err != nil {
		return err
	}
	if write {
		return d.Write(ctx, tenant, f)
	}
	return d.Read(ctx, tenant, f)
}

// Count is the number that a statement gives.
func (w *World) Count(t testing.TB, owner string, tenant Tenant, sql string, args ...any) (n int64) {
	t.Helper()
	w.read(t, owner, tenant, false, func(ctx context.Context, tx db.Tx) error {
		return tx.QueryRow(ctx, sql, args...).Scan(&n)
	})
	return n
}

// Column is the first column of a statement's rows, as text.
func (w *World) Column(t testing.TB, owner string, tenant Tenant, sql string, args ...any) (out []string) {
	t.Helper()
	w.read(t, owner, tenant, false, func(ctx context.Context, tx db.Tx) error {
		out = nil
		rows, err := tx.Query(ctx, sql, args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var s string
			if err := rows.Scan(&s); err != nil {
				return err
			}
			out = append(out, s)
		}
		return rows.Err()
	})
	return out
}

// TenantID finds the tenant with this code.
func (w *World) TenantID(t testing.TB, code string) (found Tenant) {
	t.Helper()
	w.read(t, "tenant", Tenant{}, false, func(ctx context.Context, tx db.Tx) error {
		if err := tx.QueryRow(ctx, "-- global: tests\nSELECT id FROM tenant WHERE code = $1", code).Scan(&found); err != nil {
			return fmt.Errorf("tenant %s: %w", code, err)
		}
		return nil
	})
	return found
}

// Change is one statement in a transaction of a context's database, for what only a
// failure would make (a dead letter).
func (w *World) Change(t testing.TB, owner string, tenant Tenant, sql string, args ...any) {
	t.Helper()
	w.read(t, owner, tenant, true, func(ctx context.Context, tx db.Tx) error {
		_, err := tx.Exec(ctx, sql, args...)
		return err
	})
}

// Contexts are those with a database.
var Contexts = []string{"tenant", "directory", "audit", "ledger", "notify", "identity", "patient", "payment", "scheduling", "clinic", "interop", "terminology"}

// moving are the tables that the machines change by themselves.
var moving = map[string]bool{
	"job": true, "trail": true, "outbox": true, "inbox_position": true, "audit_event": true, "log_state": true, "log_tile": true, "log_leaf": true,
	"log_head": true, "log_key": true, "log_segment": true, "log_disposal": true,
}

// Fingerprint is a hash of each table's rows of a tenant, by context and table. Tables
// that machines change by themselves are left out.
func (w *World) Fingerprint(t testing.TB, tenant Tenant) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, owner := range Contexts {
		w.read(t, owner, tenant, false, func(ctx context.Context, tx db.Tx) error {
			tables, err := tables(ctx, tx)
			if err != nil {
				return err
			}
			for name, columns := range tables {
				if moving[name] {
					continue
				}
				if out[owner+"."+name], err = hashRows(ctx, tx, name, columns); err != nil {
					return fmt.Errorf("%s: %w", name, err)
				}
			}
			return nil
		})
	}
	return out
}

// RowTexts gives every row of a context's tables as one text, by table: on PostgreSQL, whose files nobody reads. What is packed in
// the outbox comes unpacked.
func (w *World) RowTexts(t testing.TB, owner string, tenant Tenant) map[string][]string {
	t.Helper()
	out := map[string][]string{}
	w.read(t, owner, tenant, false, func(ctx context.Context, tx db.Tx) error {
		found, err := tables(ctx, tx)
		if err != nil {
			return err
		}
		for name := range found {
			rows, err := tx.Query(ctx, "SELECT CAST(x AS TEXT) FROM "+name+" x WHERE tenant_id = $1", tenant)
			if out[name], err = db.Collect(rows, err, func(r db.Rows, v *string) error { return r.Scan(v) }); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
		rows, err := tx.Query(ctx, "SELECT payload FROM outbox WHERE tenant_id = $1", tenant)
		payloads, err := db.Collect(rows, err, func(r db.Rows, v *[]byte) error { return r.Scan(v) })
		for _, b := range payloads {
			text, err := packed.Unpack(b, 16<<20)
			if err != nil {
				return err
			}
			out["outbox.payload"] = append(out["outbox.payload"], string(text))
		}
		return err
	})
	return out
}

// Rows counts a tenant's rows in each table of some contexts, but for the tables of the machines.
func (w *World) Rows(t testing.TB, tenant Tenant, contexts ...string) map[string]int64 {
	t.Helper()
	out := map[string]int64{}
	for _, owner := range contexts {
		w.read(t, owner, tenant, false, func(ctx context.Context, tx db.Tx) error {
			found, err := tables(ctx, tx)
			if err != nil {
				return err
			}
			for name := range found {
				if moving[name] || name == "inbox" {
					continue
				}
				var n int64
				if err := tx.QueryRow(ctx, "SELECT COUNT(*) FROM "+name+" WHERE tenant_id = $1", tenant).Scan(&n); err != nil {
					return fmt.Errorf("%s: %w", name, err)
				}
				out[owner+"."+name] = n
			}
			return nil
		})
	}
	return out
}

// Brake holds whoever makes the rows that at names, in the middle of the transaction.
func (w *World) Brake(t testing.TB, at brake.At) *brake.Brake {
	t.Helper()
	if w.Engine == Postgres {
		return brake.Postgres(t, w.DSN, at)
	}
	return brake.SQLite(t, w.Data(), at)
}

// tables are those with a tenant_id, with their columns.
func tables(ctx context.Context, tx db.Tx) (map[string][]string, error) {
	text := `-- global: tests
		SELECT m.name, c.name FROM sqlite_master m JOIN pragma_table_info(m.name) c WHERE m.type = 'table' ORDER BY m.name, c.cid`
	if tx.Engine() == db.Postgres {
		text = `-- global: tests
		SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = $1 ORDER BY table_name, ordinal_position`
	}
	var args []any
	if tx.Engine() == db.Postgres {
		args = append(args, tx.Context())
	}
	rows, err := tx.Query(ctx, text, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	out := map[string][]string{}
	for rows.Next() {
		var table, column string
		if err := rows.Scan(&table, &column); err != nil {
			return nil, err
		}
		out[table] = append(out[table], column)
	}
	for table, columns := range out {
		if !slices.Contains(columns, "tenant_id") {
			delete(out, table)
		}
	}
	return out, rows.Err()
}

func hashRows(ctx context.Context, tx db.Tx, table string, columns []string) (string, error) {
	parts := make([]string, len(columns))
	for i, c := range columns {
		parts[i] = "quote(" + c + ")"
		if tx.Engine() == db.Postgres {
			parts[i] = "COALESCE(quote_literal(CAST(" + c + " AS TEXT)), 'NULL')"
		}
	}
	rows, err := tx.Query(ctx, "SELECT "+strings.Join(parts, " || ',' || ")+" FROM "+table+" WHERE tenant_id = $1", tx.Tenant())
	if err != nil {
		return "", err
	}
	defer rows.Close()
	var all []string
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			return "", err
		}
		all = append(all, s)
	}
	slices.Sort(all)
	sum := sha256.Sum256([]byte(strings.Join(all, "\n")))
	return fmt.Sprintf("%d rows %x", len(all), sum[:8]), rows.Err()
}
