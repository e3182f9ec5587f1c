package rekey

import (
	"context"
	"errors"

	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/crypt"
)

// reseal does the next batch of a table, or ends its pass.
func (m *Machine) reseal(ctx context.Context, v crypt.Rotation, p *crypt.Part, s Sealed) error {
	if p.Phase == crypt.Waiting {
		p.Phase, p.Pass = crypt.Walking, 1
	}
	rows, err := s.page(ctx, m.o.Unit.DB, v.Tenant, p.Position, m.o.Batch)
	if err != nil {
		return err
	}
	if s.Person != "" {
		if err := m.o.Ring.Renew(ctx, v.Tenant, persons(rows)); err != nil {
			return err
		}
	}
	var changes []change
	skipped := int64(0)
	for _, r := range rows {
		c, err := m.resealRow(ctx, v, s, r)
		switch {
		case errors.Is(err, crypt.ErrShredded): // nobody reads it again
		case errors.Is(err, crypt.ErrUnreadable):
			skipped++
			if m.o.Log != nil {
				m.o.Log.Warn("rekey: a row does not open", "table", s.Table, "key", r.key.String())
			}
		case err != nil:
			return err
		case len(c.columns) > 0:
			changes = append(changes, c)
		}
	}
	changed, err := s.write(ctx, m.o.Unit.DB, v.Tenant, changes)
	if err != nil {
		return err
	}
	p.Seen, p.Found, p.Changed, p.Skipped = p.Seen+int64(len(rows)), p.Found+int64(len(changes)), p.Changed+changed, p.Skipped+skipped
	m.o.Metrics.add(p, int64(len(rows)), changed, skipped)
	if len(rows) == m.o.Batch {
		p.Position = rows[len(rows)-1].key.String()
		return m.o.Ring.SavePart(ctx, v, *p)
	}
	return m.endPass(ctx, v, p)
}

// endPass ends the part, or lets another pass begin when no process seals under the keys before any more.
func (m *Machine) endPass(ctx context.Context, v crypt.Rotation, p *crypt.Part) error {
	if p.Pass > 1 && p.Found == 0 {
		p.Phase = crypt.Done
		return m.o.Ring.SavePart(ctx, v, *p)
	}
	next := *p
	next.Pass, next.Position, next.Pause = p.Pass+1, "", m.o.Clock.Now().Add(m.o.Settle)
	next.Seen, next.Found, next.Skipped = 0, 0, 0
	*p = next
	return m.o.Ring.SavePart(ctx, v, next)
}

func persons(rows []sealedRow) (out []id.ID[id.Any]) {
	seen := map[id.ID[id.Any]]bool{}
	for _, r := range rows {
		if !seen[r.person] {
			seen[r.person] = true
			out = append(out, r.person)
		}
	}
	return out
}

// resealRow gives what is to be written of a row.
func (m *Machine) resealRow(ctx context.Context, v crypt.Rotation, s Sealed, r sealedRow) (change, error) {
	c := change{key: r.key}
	for i, col := range s.Columns {
		if r.sealed[i] == nil {
			continue
		}
		f := crypt.Field{Tenant: v.Tenant, Person: r.person, Table: col.Table, Column: col.Column, Row: r.name.String()}
		made, err := m.o.Ring.Reseal(ctx, f, r.sealed[i])
		if err != nil {
			return change{}, err
		}
		if made != nil {
			c.columns, c.was, c.is = append(c.columns, col.Name), append(c.was, r.sealed[i]), append(c.is, made)
		}
	}
	return c, nil
}
