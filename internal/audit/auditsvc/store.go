package auditsvc

import (
	"context"
	"fmt"
	"strings"

	"xinglin/internal/audit"
	"xinglin/internal/kernel/id"
	"xinglin/internal/kernel/page"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/trail"
)

// store is the SQL of the trail.
type store struct{}

// list reads newest first; the cursor is the last id, ids ascend in time.
func (store) list(ctx context.Context, d *db.DB, tenant audit.TenantID, q audit.Query, policy string) (out page.Page[audit.AuditEvent], err error) {
	args := []any{tenant}
	where := "tenant_id = $1"
	add := func(cond string, v any) {
		args = append(args, v)
		where += " AND " + fmt.Sprintf(cond, len(args))
	}
	if q.Page.Cursor != "" {
		before, err := id.Parse[audit.AuditEvent](q.Page.Cursor)
		if err != nil {
			return out, audit.ErrNotFound.New()
		}
		add("id < $%d", before)
	}
	for _, f := range []struct{ column, value string }{{"actor", q.Actor}, {"noun", q.Noun}, {"object", q.Object}} {
		if f.value != "" {
			add(f.column+" = $%d", f.value)
		}
	}
	size := q.Page.Size()
	args = append(args, size+1)
	text := `SELECT id, at, context, actor, action, noun, object, policy, why, changed, origin, trace, number FROM audit_event WHERE ` +
		where + fmt.Sprintf(" ORDER BY id DESC LIMIT $%d", len(args))
	err = d.Write(ctx, tenant, func(ctx context.Context, tx db.Tx) error {
		out = page.Page[audit.AuditEvent]{}
		rows, err := tx.Query(ctx, text, args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var e audit.AuditEvent
			var at int64
			var changed any
			err := rows.Scan(&e.ID, &at, &e.Context, &e.Actor, &e.Action, &e.Noun, &e.Object, &e.Policy, &e.Why, db.JSONInto(&changed), &e.Origin, &e.Trace, &e.Number)
			if err != nil {
				return err
			}
			e.At, e.Changed = db.Time(at), fields(changed)
			out.Items = append(out.Items, e)
		}
		if err := rows.Err(); err != nil {
			return err
		}
		rows.Close()
		_, err = trail.Record(ctx, tx, trail.Entry{Action: "audit.list_events", Noun: "AuditEvent", Policy: policy})
		return err
	})
	if len(out.Items) > size {
		out.Items = out.Items[:size]
		out.Next = out.Items[size-1].ID.String()
	}
	return out, err
}

// fields brings both forms of a trail row's changes into one: names alone have no values.
func fields(v any) map[string]any {
	switch c := v.(type) {
	case map[string]any:
		return c
	case []any:
		m := map[string]any{}
		for _, f := range c {
			m[fmt.Sprint(f)] = nil
		}
		return m
	}
	return map[string]any{}
}

const batch = 100

// Collect implements trail.Sink: it keeps rows of one context, each once.
func (s *Service) Collect(ctx context.Context, from string, rows []trail.Row) error {
	for len(rows) > 0 {
		n := 1
		for n < len(rows) && n < batch && rows[n].Tenant == rows[0].Tenant {
			n++
		}
		if err := s.store.collect(ctx, s.base.DB, from, rows[:n]); err != nil {
			return err
		}
		rows = rows[n:]
	}
	return nil
}

// collect writes rows of one tenant in one statement.
func (store) collect(ctx context.Context, d *db.DB, from string, rows []trail.Row) error {
	tenant := rows[0].Tenant
	return d.Write(ctx, tenant, func(ctx context.Context, tx db.Tx) error {
		var b strings.Builder
		b.WriteString(`INSERT INTO audit_event (tenant_id, id, at, context, actor, action, noun, object, policy, why, changed, origin, trace, number, collected_at) VALUES `)
		args := make([]any, 0, len(rows)*13+3)
		args = append(args, tenant, from, tx.Now().UnixMicro())
		for i, r := range rows {
			if i > 0 {
				b.WriteByte(',')
			}
			n := len(args)
			fmt.Fprintf(&b, "($1,$%d,$%d,$2,$%d,$%d,$%d,$%d,$%d,$%d,$%d,$%d,$%d,$%d,$3)", n+1, n+2, n+3, n+4, n+5, n+6, n+7, n+8, n+9, n+10, n+11, n+12)
			args = append(args, r.ID, r.At.UnixMicro(), r.Actor, r.Action, r.Noun, r.Object, r.Policy, r.Why, string(r.Changed), r.Origin, r.Trace, r.Number)
		}
		b.WriteString(` ON CONFLICT DO NOTHING`)
		_, err := tx.Exec(ctx, b.String(), args...)
		return err
	})
}
