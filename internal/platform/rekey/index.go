package rekey

import (
	"context"
	"time"

	"xinglin/internal/platform/blind"
	"xinglin/internal/platform/crypt"
	"xinglin/internal/platform/db"
)

// The phases of the blind indexes of a context:
//
//	waiting -> walking   the generation is in force: every writer fills both columns from the commit on, and both are unique
//	walking -> filled    the rows from before got the newer column, which follows from the older one
//	filled -> clearing   all indexes of the context are filled: the older generation is out of force, nobody looks in its column
//	clearing -> done     the older column is empty
//
// Each is kept before the next begins, and each may be repeated.

// indexes works on the context's blind indexes.
func (m *Machine) indexes(ctx context.Context, v crypt.Rotation, parts []crypt.Part, end time.Time) (worked bool, err error) {
	if moved, err := m.advance(ctx, v, parts, crypt.Waiting, crypt.Walking, blind.Begin, nil); err != nil || moved {
		return true, err
	}
	for i := range parts {
		p := &parts[i]
		b, ok := m.blind(p)
		for ok && m.mono().Before(end) && (p.Phase == crypt.Walking || p.Phase == crypt.Clearing) {
			step := m.fill
			if p.Phase == crypt.Clearing {
				step = m.clear
			}
			if err := m.rest(ctx, func() error { return step(ctx, v, p, b) }); err != nil {
				return worked, err
			}
			worked = true
		}
	}
	full := func(p crypt.Part) bool {
		return p.Phase == crypt.Filled || p.Phase == crypt.Clearing || p.Phase == crypt.Done
	}
	moved, err := m.advance(ctx, v, parts, crypt.Filled, crypt.Clearing, blind.End, full)
	return worked || moved, err
}

// advance moves the generations in force and then those parts that wait for it. all tells which phases the others may be in.
func (m *Machine) advance(ctx context.Context, v crypt.Rotation, parts []crypt.Part, from, to crypt.Phase,
	move func(context.Context, db.Tx, int) error, all func(crypt.Part) bool,
) (moved bool, err error) {
	any := false
	for _, p := range parts {
		if p.Kind != crypt.IndexPart {
			continue
		}
		if all != nil && !all(p) {
			return false, nil
		}
		any = any || p.Phase == from
	}
	if !any {
		return false, nil
	}
	err = m.o.Unit.DB.Write(ctx, v.Tenant, func(ctx context.Context, tx db.Tx) error { return move(ctx, tx, v.IndexGeneration) })
	if err != nil {
		return false, err
	}
	for i := range parts {
		if p := &parts[i]; p.Kind == crypt.IndexPart && p.Phase == from {
			p.Phase, p.Pass, p.Position, p.Seen = to, p.Pass+1, "", 0
			if err := m.o.Ring.SavePart(ctx, v, *p); err != nil {
				return true, err
			}
		}
	}
	return true, nil
}

// columns are the column of the generation before and that of this one.
func (b Blind) columns(generation int) (older, newer string) {
	if blind.Even(generation) {
		return b.Odd, b.Even
	}
	return b.Even, b.Odd
}

// fill makes the newer index of the next rows.
func (m *Machine) fill(ctx context.Context, v crypt.Rotation, p *crypt.Part, b Blind) error {
	older, newer := b.columns(v.IndexGeneration)
	rows, full, err := b.page(ctx, m.o.Unit.DB, v.Tenant, p.Position, m.o.Batch, older, newer)
	if err != nil {
		return err
	}
	var changes []change
	for _, r := range rows {
		if r.older == nil || r.newer != nil {
			continue
		}
		made, err := m.o.Ring.BlindNext(ctx, v.Tenant, r.older, v.IndexGeneration)
		if err != nil {
			return err
		}
		changes = append(changes, change{key: r.key, is: [][]byte{made}, was: [][]byte{r.older}})
	}
	changed, err := b.write(ctx, m.o.Unit.DB, v.Tenant, changes, older, newer)
	if err != nil {
		return err
	}
	p.Seen, p.Found, p.Changed = p.Seen+int64(len(rows)), p.Found+int64(len(changes)), p.Changed+changed
	m.o.Metrics.add(p, int64(len(rows)), changed, 0)
	if full {
		p.Position = rows[len(rows)-1].key.String()
		return m.o.Ring.SavePart(ctx, v, *p)
	}
	left, err := b.unfilled(ctx, m.o.Unit.DB, v.Tenant, older, newer)
	if err != nil {
		return err
	}
	p.Position = "" // rows that were changed in our hands are looked at again
	if !left {
		p.Phase = crypt.Filled
	}
	return m.o.Ring.SavePart(ctx, v, *p)
}

// clear empties the older column of the next rows.
func (m *Machine) clear(ctx context.Context, v crypt.Rotation, p *crypt.Part, b Blind) error {
	older, newer := b.columns(v.IndexGeneration)
	rows, full, err := b.page(ctx, m.o.Unit.DB, v.Tenant, p.Position, m.o.Batch, older, newer)
	if err != nil {
		return err
	}
	if len(rows) > 0 {
		if err := b.empty(ctx, m.o.Unit.DB, v.Tenant, rows[0].key, rows[len(rows)-1].key, older, newer); err != nil {
			return err
		}
		p.Seen, p.Position = p.Seen+int64(len(rows)), rows[len(rows)-1].key.String()
	}
	if !full {
		p.Phase = crypt.Done
	}
	return m.o.Ring.SavePart(ctx, v, *p)
}
