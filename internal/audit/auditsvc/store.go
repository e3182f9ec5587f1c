package auditsvc

import (
	"context"
	"fmt"
	"slices"

	"xinglin/internal/audit"
	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/id"
	"xinglin/internal/kernel/page"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/trail"
)

// store is the SQL of the trail.
type store struct{}

// list reads newest first; the cursor is the last id, ids ascend in time.
func (store) list(ctx context.Context, d *db.DB, tenant audit.TenantID, q audit.Query, act trail.Entry) (out page.Page[audit.AuditEvent], err error) {
	args := []any{tenant}
	where := "tenant_id = $1"
	add := func(cond string, v any) {
		args = append(args, v)
		where += " AND " + fmt.Sprintf(cond, len(args))
	}
	before, err := olderThan(q.Page)
	if err != nil {
		return out, err
	}
	if !before.IsZero() {
		add("id < $%d", before)
	}
	for _, f := range []struct{ column, value string }{{"actor", q.Actor}, {"action", q.Action}, {"noun", q.Noun}, {"object", q.Object}} {
		if f.value != "" {
			add(f.column+" = $%d", f.value)
		}
	}
	if !q.Person.IsZero() {
		p := q.Person.String()
		args = append(args, p, string(auth.Staff)+":"+p, string(auth.Patient)+":"+p)
		where += fmt.Sprintf(" AND (object = $%d OR actor IN ($%d, $%d))", len(args)-2, len(args)-1, len(args))
	}
	if !q.From.IsZero() {
		add("at >= $%d", q.From.UnixMicro())
	}
	if !q.To.IsZero() {
		add("at < $%d", q.To.UnixMicro())
	}
	size := q.Page.Size()
	args = append(args, size+1)
	text := auditColumns + where + fmt.Sprintf(" ORDER BY id DESC LIMIT $%d", len(args))
	err = d.Write(ctx, tenant, func(ctx context.Context, tx db.Tx) error {
		out = page.Page[audit.AuditEvent]{}
		rows, err := tx.Query(ctx, text, args...)
		if out.Items, err = db.Collect(rows, err, scanAudit); err != nil {
			return err
		}
		_, err = trail.Record(ctx, tx, act)
		return err
	})
	return cut(out.Items, size), err
}

// olderThan is the event that the page before ended with; zero for the first page.
func olderThan(p page.Request) (e audit.EventID, err error) {
	if p.Cursor == "" {
		return e, nil
	}
	if e, err = id.Parse[audit.AuditEvent](p.Cursor); err != nil {
		return e, audit.ErrNotFound.New()
	}
	return e, nil
}

// cut makes a page of at most size of the events, of which one more was asked for.
func cut(events []audit.AuditEvent, size int) (out page.Page[audit.AuditEvent]) {
	out.Items = events
	if len(events) > size {
		out.Items = events[:size]
		out.Next = out.Items[size-1].ID.String()
	}
	return out
}

const auditColumns = `SELECT id, at, context, actor, action, noun, object, policy, why, changed, origin, trace, number, position, class FROM audit_event WHERE `

func scanAudit(r db.Rows, e *audit.AuditEvent) error {
	var at, position int64
	var changed any
	var class string
	err := r.Scan(&e.ID, &at, &e.Context, &e.Actor, &e.Action, &e.Noun, &e.Object, &e.Policy, &e.Why, db.JSONInto(&changed), &e.Origin, &e.Trace, &e.Number, &position, &class)
	if err != nil {
		return err
	}
	e.At, e.Changed, e.Position, e.Class = db.Time(at), fields(changed), uint64(position), audit.Class(class)
	return nil
}

// touched reads acts on items, the newest first.
func (store) touched(ctx context.Context, d *db.DB, tenant audit.TenantID, q audit.Touch) (out page.Page[audit.AuditEvent], err error) {
	before, err := olderThan(q.Page)
	if err != nil {
		return out, err
	}
	args := []any{tenant}
	in := func(values []string) string {
		list, all := db.Few(args, values)
		args = all
		return list
	}
	where := "tenant_id = $1 AND object IN (" + in(q.Objects) + ")"
	if len(q.But) > 0 {
		where += " AND actor NOT IN (" + in(q.But) + ")"
	}
	add := func(cond string, v any) {
		args = append(args, v)
		where += fmt.Sprintf(cond, len(args))
	}
	add(" AND actor NOT LIKE $%d", string(auth.System)+":%")
	if !q.Only.IsZero() {
		add(" AND id = $%d", q.Only)
	}
	if !before.IsZero() {
		add(" AND id < $%d", before)
	}
	size := q.Page.Size()
	add(" ORDER BY id DESC LIMIT $%d", size+1)
	err = d.Read(ctx, tenant, func(ctx context.Context, tx db.Tx) error {
		rows, err := tx.Query(ctx, auditColumns+where, args...)
		out.Items, err = db.Collect(rows, err, scanAudit)
		return err
	})
	return cut(out.Items, size), err
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

const batch = 500

// home is the tenant in whose log a row stands. What the installation does to a tenant is told in the tenant's log: the
// installation has no keys to sign with and nobody who reads.
func home(r trail.Row) audit.TenantID {
	if r.Tenant.IsZero() && r.Noun == "Tenant" {
		if t, err := id.Parse[auth.Tenant](r.Object); err == nil {
			return t
		}
	}
	return r.Tenant
}

// Collect implements trail.Sink: it keeps rows of one context, each once, a transaction
// for up to 500 of a tenant.
func (s *Service) Collect(ctx context.Context, from string, rows []trail.Row) error {
	var order []audit.TenantID
	own := map[audit.TenantID][]trail.Row{}
	for _, r := range rows {
		r.Tenant = home(r)
		if own[r.Tenant] == nil {
			order = append(order, r.Tenant)
		}
		own[r.Tenant] = append(own[r.Tenant], r)
	}
	for _, t := range order {
		for some := range slices.Chunk(own[t], batch) {
			if err := s.store.collect(ctx, s.base.DB, from, some); err != nil {
				return err
			}
		}
	}
	return nil
}
