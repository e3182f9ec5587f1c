package auditsvc

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"xinglin/internal/audit"
	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/job"
	"xinglin/internal/platform/merkle"
	"xinglin/internal/platform/trail"
)

// headEach bounds how long an entry waits for a signed head.
const headEach = 5 * time.Minute

// keepAt is when segments are closed and old texts go, in minutes of the day.
const keepAt = 3*60 + 10

// lockLog takes the tenant's log for this transaction and gives its size.
func (store) lockLog(ctx context.Context, tx db.Tx) (uint64, error) {
	var size int64
	err := tx.QueryRow(ctx, `INSERT INTO log_state (tenant_id, size) VALUES ($1, 0)
		ON CONFLICT (tenant_id) DO UPDATE SET size = log_state.size RETURNING size`, tx.Tenant()).Scan(&size)
	return uint64(size), err
}

// tiles reads the tree.
func (store) tiles(ctx context.Context, tx db.Tx) merkle.Get {
	return func(at merkle.TileID) (merkle.Tile, error) {
		var nodes []byte
		err := tx.QueryRow(ctx, `SELECT nodes FROM log_tile WHERE tenant_id = $1 AND level = $2 AND place = $3`, tx.Tenant(), at.Level, int64(at.Index)).Scan(&nodes)
		if errors.Is(err, db.ErrNoRows) {
			return nil, nil
		}
		return merkle.Tile(nodes), err
	}
}

// grow puts hashes behind the log, whose lock the transaction has, and sees to it that a
// head will be signed.
func (s store) grow(ctx context.Context, tx db.Tx, size uint64, leaves []merkle.Node) error {
	changed, err := merkle.Append(size, leaves, s.tiles(ctx, tx))
	if err != nil {
		return audit.ErrBroken.Wrap(err)
	}
	order := func(a, b merkle.TileID) int {
		return cmp.Or(cmp.Compare(a.Level, b.Level), cmp.Compare(a.Index, b.Index))
	}
	for _, at := range slices.SortedFunc(maps.Keys(changed), order) {
		_, err := tx.Exec(ctx, `INSERT INTO log_tile (tenant_id, level, place, nodes) VALUES ($1, $2, $3, $4)
			ON CONFLICT (tenant_id, level, place) DO UPDATE SET nodes = excluded.nodes`, tx.Tenant(), at.Level, int64(at.Index), []byte(changed[at]))
		if err != nil {
			return err
		}
	}
	n, err := tx.Exec(ctx, `UPDATE log_state SET size = $3 WHERE tenant_id = $1 AND size = $2`, tx.Tenant(), int64(size), int64(size)+int64(len(leaves)))
	if err != nil {
		return err
	}
	if n != 1 {
		return audit.ErrBroken.Because("the log is not as long as it was")
	}
	return job.Enqueue(ctx, tx,
		job.Spec{Kind: jobSign, Key: "log", RunAt: tx.Now().Add(headEach), Payload: struct{}{}},
		job.Spec{Kind: jobKeep, Key: "log", RunAt: nextKeep(tx.Now()), Payload: struct{}{}})
}

// nextKeep is the next time at which segments are closed.
func nextKeep(now time.Time) time.Time {
	d := clock.DateOf(now)
	if at := d.At(keepAt); at.After(now) {
		return at
	}
	return d.Add(1).At(keepAt)
}

// collect keeps rows of one tenant, each once, and puts them into the log.
func (s store) collect(ctx context.Context, d *db.DB, from string, rows []trail.Row) error {
	return d.Write(ctx, rows[0].Tenant, func(ctx context.Context, tx db.Tx) error {
		size, err := s.lockLog(ctx, tx)
		if err != nil {
			return err
		}
		known, err := s.known(ctx, tx, rows)
		if err != nil {
			return err
		}
		var values [][]any
		var leaves []merkle.Node
		for _, r := range rows {
			eid := id.As[audit.AuditEvent](r.ID)
			if known[eid] {
				continue
			}
			known[eid] = true
			e := event{
				id: eid, at: r.At, context: from, actor: r.Actor, action: r.Action, noun: r.Noun, object: r.Object, policy: r.Policy, why: r.Why,
				changed: r.Changed, origin: r.Origin, trace: r.Trace, number: r.Number, class: audit.ClassOf(r.Noun), collected: tx.Now(),
				position: size + uint64(len(leaves)),
			}
			l, err := e.leaf()
			if err != nil {
				return err
			}
			leaves = append(leaves, l.Hash())
			values = append(values, []any{
				tx.Tenant(), e.id, e.at.UnixMicro(), e.context, e.actor, e.action, e.noun, e.object, e.policy, e.why, string(e.changed), e.origin, e.trace, e.number,
				string(e.class), e.collected.UnixMicro(), int64(e.position),
			})
		}
		if len(leaves) == 0 {
			return nil
		}
		if err := db.InsertMany(ctx, tx, `INSERT INTO audit_event (tenant_id, id, at, context, actor, action, noun, object, policy, why, changed, origin, trace, number,
			class, collected_at, position) VALUES `, 17, values); err != nil {
			return err
		}
		return s.grow(ctx, tx, size, leaves)
	})
}

// known are those of the rows that are kept already.
func (store) known(ctx context.Context, tx db.Tx, rows []trail.Row) (map[audit.EventID]bool, error) {
	ids := make([]audit.EventID, len(rows))
	for i, r := range rows {
		ids[i] = id.As[audit.AuditEvent](r.ID)
	}
	list, args := db.Few([]any{tx.Tenant()}, ids)
	found, err := tx.Query(ctx, `SELECT id FROM audit_event WHERE tenant_id = $1 AND id IN (`+list+`)`, args...)
	kept, err := db.Collect(found, err, func(r db.Rows, v *audit.EventID) error { return r.Scan(v) })
	out := make(map[audit.EventID]bool, len(kept))
	for _, v := range kept {
		out[v] = true
	}
	return out, err
}

// add puts entries of other contexts into the log, each once, and gives their positions.
func (s store) add(ctx context.Context, d *db.DB, tenant audit.TenantID, leaves []audit.Leaf) (out []uint64, err error) {
	err = d.Write(ctx, tenant, func(ctx context.Context, tx db.Tx) error {
		out = nil
		size, err := s.lockLog(ctx, tx)
		if err != nil {
			return err
		}
		var hashes []merkle.Node
		for _, l := range leaves {
			e := entry{size + uint64(len(hashes)), l.Kind, l.Ref, l.Class, l.Data, tx.Now()}
			at, fresh, err := s.put(ctx, tx, e)
			if err != nil {
				return err
			}
			if fresh {
				hashes = append(hashes, e.leaf().Hash())
			}
			out = append(out, at)
		}
		if len(hashes) == 0 {
			return nil
		}
		return s.grow(ctx, tx, size, hashes)
	})
	return out, err
}

// put writes an entry's row, or finds the one that stands: audit.leaf_differs when its
// text is another.
func (store) put(ctx context.Context, tx db.Tx, e entry) (at uint64, fresh bool, err error) {
	n, err := tx.Exec(ctx, `INSERT INTO log_leaf (tenant_id, position, kind, ref, class, data, collected_at) VALUES ($1, $2, $3, $4, $5, $6, $7)
		ON CONFLICT (tenant_id, kind, ref) DO NOTHING`, tx.Tenant(), int64(e.position), e.kind, e.ref, string(e.class), e.data, e.collected.UnixMicro())
	if err != nil || n == 1 {
		return e.position, true, err
	}
	var was int64
	var class, data string
	err = tx.QueryRow(ctx, `SELECT position, class, data FROM log_leaf WHERE tenant_id = $1 AND kind = $2 AND ref = $3`, tx.Tenant(), e.kind, e.ref).Scan(&was, &class, &data)
	if err == nil && (data != e.data || class != string(e.class)) {
		err = audit.ErrDiffers.New()
	}
	return uint64(was), false, err
}

// stand is what the rows say about a few positions: several at one when somebody put them
// there.
type stand struct {
	events  []event
	entries []entry
}

const eventColumns = `id, at, context, actor, action, noun, object, policy, why, changed, origin, trace, number, class, collected_at, position`

func scanEvent(r db.Row, e *event) error {
	var position int64
	var class string
	err := r.Scan(&e.id, db.Instant(&e.at), &e.context, &e.actor, &e.action, &e.noun, &e.object, &e.policy, &e.why, &e.changed, &e.origin, &e.trace, &e.number,
		&class, db.Instant(&e.collected), &position)
	e.class, e.position = audit.Class(class), uint64(position)
	return err
}

func scanEntry(r db.Row, e *entry) error {
	var position int64
	var class string
	err := r.Scan(&position, &e.kind, &e.ref, &class, &e.data, db.Instant(&e.collected))
	e.class, e.position = audit.Class(class), uint64(position)
	return err
}

// rows reads a page; a page has at most twice as many rows as positions.
func (store) rows(ctx context.Context, tx db.Tx, from, to uint64) (p stand, err error) {
	found, err := tx.Query(ctx, `SELECT `+eventColumns+` FROM audit_event WHERE tenant_id = $1 AND position >= $2 AND position < $3 ORDER BY position, id LIMIT $4`,
		tx.Tenant(), int64(from), int64(to), 2*int64(to-from))
	if p.events, err = db.Collect(found, err, func(r db.Rows, e *event) error { return scanEvent(r, e) }); err != nil {
		return p, err
	}
	found, err = tx.Query(ctx, `SELECT position, kind, ref, class, data, collected_at FROM log_leaf WHERE tenant_id = $1 AND position >= $2 AND position < $3
		ORDER BY position LIMIT $4`, tx.Tenant(), int64(from), int64(to), 2*int64(to-from))
	p.entries, err = db.Collect(found, err, func(r db.Rows, e *entry) error { return scanEntry(r, e) })
	return p, err
}

// find looks for an entry by the id of its event or its reference.
func (store) find(ctx context.Context, tx db.Tx, ref id.ID[id.Any]) (p stand, err error) {
	found, err := tx.Query(ctx, `SELECT `+eventColumns+` FROM audit_event WHERE tenant_id = $1 AND id = $2`, tx.Tenant(), ref)
	if p.events, err = db.Collect(found, err, func(r db.Rows, e *event) error { return scanEvent(r, e) }); err != nil {
		return p, err
	}
	found, err = tx.Query(ctx, `SELECT position, kind, ref, class, data, collected_at FROM log_leaf WHERE tenant_id = $1 AND ref = $2 ORDER BY position LIMIT 1`, tx.Tenant(), ref)
	p.entries, err = db.Collect(found, err, func(r db.Rows, e *entry) error { return scanEntry(r, e) })
	return p, err
}
