package auditsvc

import (
	"context"
	"errors"
	"time"

	"xinglin/internal/audit"
	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/job"
	"xinglin/internal/platform/merkle"
	"xinglin/internal/platform/tlog"
	"xinglin/internal/platform/trail"
)

// state is a log's row.
type state struct {
	size     uint64
	heads    int64
	segments int64
	sealed   uint64

	generation int // of the keys that sign now
	beginning  int
}

// name is the log's name now.
func (s state) name(tenant audit.TenantID) string { return tlog.Beginning(origin(tenant), s.beginning) }

func (store) state(ctx context.Context, tx db.Tx) (s state, err error) {
	var size, sealed int64
	err = tx.QueryRow(ctx, `SELECT size, heads, segments, sealed, generation, beginning FROM log_state WHERE tenant_id = $1`, tx.Tenant()).
		Scan(&size, &s.heads, &s.segments, &sealed, &s.generation, &s.beginning)
	if errors.Is(err, db.ErrNoRows) {
		s.generation, s.beginning, err = 1, 1, nil
	}
	s.size, s.sealed = uint64(size), uint64(sealed)
	return s, err
}

// signed is a head's row.
type signed struct {
	number    int64
	size      uint64
	at        time.Time
	note      string
	witnessed time.Time
	anchored  time.Time
}

const headColumns = `number, size, at, note, witnessed_at, anchored_at`

func scanHead(r db.Row, h *signed) error {
	var size int64
	err := r.Scan(&h.number, &size, db.Instant(&h.at), &h.note, db.Instant(&h.witnessed), db.Instant(&h.anchored))
	h.size = uint64(size)
	return err
}

// Which heads count for lastHead.
const (
	anyHead   = ""
	witnessed = " AND witnessed_at IS NOT NULL"
	anchored  = " AND anchored_at IS NOT NULL"
)

// lastHead is the head with the highest number among those that count; nil when there is
// none.
func (store) lastHead(ctx context.Context, tx db.Tx, which string) (*signed, error) {
	var h signed
	err := scanHead(tx.QueryRow(ctx, `SELECT `+headColumns+` FROM log_head WHERE tenant_id = $1`+which+` ORDER BY number DESC LIMIT 1`, tx.Tenant()), &h)
	if errors.Is(err, db.ErrNoRows) {
		return nil, nil
	}
	return &h, err
}

// headsAfter gives heads with higher numbers, the lowest first.
func (store) headsAfter(ctx context.Context, tx db.Tx, number int64, limit int) ([]signed, error) {
	rows, err := tx.Query(ctx, `SELECT `+headColumns+` FROM log_head WHERE tenant_id = $1 AND number > $2 ORDER BY number LIMIT $3`, tx.Tenant(), number, limit)
	return db.Collect(rows, err, func(r db.Rows, h *signed) error { return scanHead(r, h) })
}

// headsBefore gives heads with lower numbers, the highest first.
func (store) headsBefore(ctx context.Context, tx db.Tx, number int64, limit int) ([]signed, error) {
	rows, err := tx.Query(ctx, `SELECT `+headColumns+` FROM log_head WHERE tenant_id = $1 AND number < $2 ORDER BY number DESC LIMIT $3`, tx.Tenant(), number, limit)
	return db.Collect(rows, err, func(r db.Rows, h *signed) error { return scanHead(r, h) })
}

// headsBetween gives the heads of sizes [from, to] with higher numbers, the lowest first;
// a head needs new entries, so there are not more than those.
func (store) headsBetween(ctx context.Context, tx db.Tx, number int64, from, to uint64) ([]signed, error) {
	rows, err := tx.Query(ctx, `SELECT `+headColumns+` FROM log_head WHERE tenant_id = $1 AND number > $2 AND size >= $3 AND size <= $4 ORDER BY number LIMIT $5`,
		tx.Tenant(), number, int64(from), int64(to), int64(to-from)+1)
	return db.Collect(rows, err, func(r db.Rows, h *signed) error { return scanHead(r, h) })
}

// lineage is the keys of the log over its life: its first ones and the changes that the
// log tells. One that does not follow is audit.log_broken.
func (s store) lineage(ctx context.Context, tx db.Tx) (tlog.Lineage, error) {
	return s.lineageTo(ctx, tx, tlog.MaxRotations+2)
}

// lineageTo is the life up to a generation: what came meanwhile is left out.
func (s store) lineageTo(ctx context.Context, tx db.Tx, generation int) (tlog.Lineage, error) {
	first, err := s.firstKeys(ctx, tx)
	if err != nil || len(first) == 0 {
		return tlog.Lineage{}, err
	}
	rows, err := tx.Query(ctx, `SELECT data FROM log_leaf WHERE tenant_id = $1 AND kind = $2 ORDER BY position LIMIT $3`, tx.Tenant(), audit.KindKeys, generation-1)
	notes, err := db.Collect(rows, err, func(r db.Rows, text *string) error { return r.Scan(text) })
	if err != nil {
		return tlog.Lineage{}, err
	}
	l, err := tlog.LineageOf(origin(tx.Tenant()), first, notes)
	if err != nil {
		err = audit.ErrBroken.Wrap(err)
	}
	return l, err
}

// firstKeys are the keys that the log began with.
func (store) firstKeys(ctx context.Context, tx db.Tx) (tlog.Keys, error) {
	rows, err := tx.Query(ctx, `SELECT public FROM log_key WHERE tenant_id = $1 AND generation = 1 ORDER BY place, fingerprint LIMIT 16`, tx.Tenant())
	ders, err := db.Collect(rows, err, func(r db.Rows, b *[]byte) error { return r.Scan(b) })
	if err != nil {
		return nil, err
	}
	return tlog.KeysOf(ders...)
}

// life reads state and keys.
func (s store) life(ctx context.Context, d *db.DB, tenant audit.TenantID) (st state, l tlog.Lineage, err error) {
	err = d.Read(ctx, tenant, func(ctx context.Context, tx db.Tx) (err error) {
		if st, err = s.state(ctx, tx); err != nil {
			return err
		}
		l, err = s.lineage(ctx, tx)
		return err
	})
	return st, l, err
}

// rootAt is the root of the log's first entries.
func (s store) rootAt(ctx context.Context, d *db.DB, tenant audit.TenantID, size uint64) (root merkle.Node, err error) {
	err = d.Read(ctx, tenant, func(ctx context.Context, tx db.Tx) (err error) {
		if root, err = merkle.Root(size, merkle.Remember(s.tiles(ctx, tx))); err != nil {
			err = audit.ErrBroken.Wrap(err)
		}
		return err
	})
	return root, err
}

// chain is what is signed next: the log now, and its last head.
type chain struct {
	state
	root merkle.Node
	last *signed
	was  merkle.Node // the root now at the size of the last head
	life tlog.Lineage
}

// chain reads it. A root that cannot be computed is audit.log_broken.
func (s store) chain(ctx context.Context, d *db.DB, tenant audit.TenantID) (c chain, err error) {
	err = d.Read(ctx, tenant, func(ctx context.Context, tx db.Tx) (err error) {
		if c.state, err = s.state(ctx, tx); err != nil {
			return err
		}
		if c.life, err = s.lineageTo(ctx, tx, c.generation); err != nil {
			return err
		}
		heads, err := s.headsAfter(ctx, tx, c.heads-1, 1) // the state's own last one: another may come meanwhile
		if err != nil {
			return err
		}
		if c.last = nil; c.heads > 0 && len(heads) > 0 {
			c.last = &heads[0]
		}
		get := merkle.Remember(s.tiles(ctx, tx))
		if c.root, err = merkle.Root(c.size, get); err == nil && c.last != nil {
			c.was, err = merkle.Root(c.last.size, get)
		}
		if err != nil {
			return audit.ErrBroken.Wrap(err)
		}
		return nil
	})
	return c, err
}

// putHead writes the next head with its keys, once: false when another process was
// first, or the log has other keys or another name now. act is the row of whoever asked
// for it; nil for the clock.
func (s store) putHead(ctx context.Context, d *db.DB, tenant audit.TenantID, h signed, st state, ks tlog.Keys, act *trail.Entry) (ok bool, err error) {
	err = d.Write(ctx, tenant, func(ctx context.Context, tx db.Tx) error {
		ok = false
		n, err := tx.Exec(ctx, `UPDATE log_state SET heads = $2 WHERE tenant_id = $1 AND heads = $2 - 1 AND generation = $3 AND beginning = $4`,
			tx.Tenant(), h.number, st.generation, st.beginning)
		if err != nil || n != 1 {
			return err
		}
		_, err = tx.Exec(ctx, `INSERT INTO log_head (tenant_id, number, size, at, note) VALUES ($1, $2, $3, $4, $5)`, tx.Tenant(), h.number, int64(h.size), h.at.UnixMicro(), h.note)
		if err != nil {
			return err
		}
		if err := s.putKeys(ctx, tx, ks, st.generation, h.at); err != nil {
			return err
		}
		if act != nil {
			if _, err := trail.Record(ctx, tx, *act); err != nil {
				return err
			}
		}
		ok = true
		return job.Enqueue(ctx, tx, job.Spec{Kind: jobAnchor, Key: "log", Payload: struct{}{}})
	})
	return ok, err
}

// putKeys writes the public keys of a generation, once.
func (store) putKeys(ctx context.Context, tx db.Tx, ks tlog.Keys, generation int, at time.Time) error {
	for i, k := range ks {
		_, err := tx.Exec(ctx, `INSERT INTO log_key (tenant_id, fingerprint, generation, place, public, since) VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING`,
			tx.Tenant(), k.Fingerprint(), generation, i, k.DER, at.UnixMicro())
		if err != nil {
			return err
		}
	}
	return nil
}

// anchoredAt says when a head was written down outside.
func (store) anchoredAt(ctx context.Context, d *db.DB, tenant audit.TenantID, number int64, at time.Time) error {
	return d.Write(ctx, tenant, func(ctx context.Context, tx db.Tx) error {
		_, err := tx.Exec(ctx, `UPDATE log_head SET anchored_at = $3 WHERE tenant_id = $1 AND number = $2 AND anchored_at IS NULL`, tx.Tenant(), number, at.UnixMicro())
		return err
	})
}

// cosigned puts a witness's line below a head.
func (store) cosigned(ctx context.Context, d *db.DB, tenant audit.TenantID, number int64, note string, at time.Time) error {
	return d.Write(ctx, tenant, func(ctx context.Context, tx db.Tx) error {
		_, err := tx.Exec(ctx, `UPDATE log_head SET note = $3, witnessed_at = $4 WHERE tenant_id = $1 AND number = $2`, tx.Tenant(), number, note, at.UnixMicro())
		return err
	})
}

// anchorable is what goes out of the house: the last head and the keys.
func (s store) anchorable(ctx context.Context, d *db.DB, tenant audit.TenantID) (h *signed, l tlog.Lineage, err error) {
	err = d.Read(ctx, tenant, func(ctx context.Context, tx db.Tx) (err error) {
		if h, err = s.lastHead(ctx, tx, anyHead); err != nil {
			return err
		}
		l, err = s.lineage(ctx, tx)
		return err
	})
	return h, l, err
}

// consistency proves that the log of size b begins with the one of size a.
func (s store) consistency(ctx context.Context, d *db.DB, tenant audit.TenantID, a, b uint64) (path []merkle.Node, err error) {
	err = d.Read(ctx, tenant, func(ctx context.Context, tx db.Tx) (err error) {
		path, err = merkle.Consistency(a, b, merkle.Remember(s.tiles(ctx, tx)))
		return err
	})
	return path, err
}

// looking reads for a person, whose look is an act in the trail.
func (store) looking(ctx context.Context, d *db.DB, tenant audit.TenantID, act trail.Entry, f func(ctx context.Context, tx db.Tx) error) error {
	return d.Write(ctx, tenant, func(ctx context.Context, tx db.Tx) error {
		if err := f(ctx, tx); err != nil {
			return err
		}
		_, err := trail.Record(ctx, tx, act)
		return err
	})
}

// act puts a person's act into the trail.
func (s store) act(ctx context.Context, d *db.DB, tenant audit.TenantID, act trail.Entry) error {
	return s.looking(ctx, d, tenant, act, func(context.Context, db.Tx) error { return nil })
}

// view reads the chain for the auditor.
func (s store) view(ctx context.Context, d *db.DB, tenant audit.TenantID, act trail.Entry) (v audit.LogState, err error) {
	err = s.looking(ctx, d, tenant, act, func(ctx context.Context, tx db.Tx) error {
		st, err := s.state(ctx, tx)
		if err != nil {
			return err
		}
		v = audit.LogState{
			Origin: st.name(tenant), Size: st.size, Unsigned: st.size, Segments: st.segments, Sealed: st.sealed, Generation: st.generation, Beginning: st.beginning,
		}
		l, err := s.lineage(ctx, tx)
		if err != nil {
			return err
		}
		v.Keys = l.All().PEM()
		for which, into := range map[string]**audit.Head{anyHead: &v.Head, witnessed: &v.Witnessed, anchored: &v.Anchored} {
			last, err := s.lastHead(ctx, tx, which)
			if err != nil {
				return err
			}
			if last == nil {
				continue
			}
			if *into, err = last.by(l); err != nil {
				return err
			}
		}
		if v.Head != nil {
			v.Unsigned = st.size - min(st.size, v.Head.Size)
		}
		if v.KeyChanges, v.Beginnings, err = s.turns(ctx, tx); err != nil {
			return err
		}
		var gone int64
		err = tx.QueryRow(ctx, `SELECT CAST(COALESCE(SUM(entries), 0) AS BIGINT) FROM log_disposal WHERE tenant_id = $1 AND done_at IS NOT NULL`, tx.Tenant()).Scan(&gone)
		v.Disposed = uint64(gone)
		return err
	})
	return v, err
}

// turns are the changes of keys and the beginnings that the log tells, the first 100.
func (s store) turns(ctx context.Context, tx db.Tx) (keys []audit.KeyChange, begun []audit.Beginning, err error) {
	rows, err := tx.Query(ctx, `SELECT position, kind, ref, class, data, collected_at FROM log_leaf WHERE tenant_id = $1 AND kind IN ($2, $3) ORDER BY position LIMIT 100`,
		tx.Tenant(), audit.KindKeys, audit.KindBegin)
	words, err := db.Collect(rows, err, func(r db.Rows, e *entry) error { return scanEntry(r, e) })
	if err != nil {
		return nil, nil, err
	}
	for _, e := range words {
		if e.kind == audit.KindKeys {
			r, err := tlog.OpenRotation(e.data)
			if err != nil {
				return nil, nil, audit.ErrBroken.Wrap(err)
			}
			keys = append(keys, audit.KeyChange{Generation: r.Generation, At: r.At, FromHead: r.From, Position: e.position})
			continue
		}
		t, lost, err := beginOf(e.data)
		if err != nil {
			return nil, nil, audit.ErrBroken.Wrap(err)
		}
		begun = append(begun, audit.Beginning{
			Number: t.Beginning, At: db.Time(t.At), Position: e.position, Kept: t.Kept, LostHead: lost.Number, LostSize: lost.Size,
		})
	}
	return keys, begun, nil
}

// listHeads gives a page of heads, the newest first.
func (s store) listHeads(ctx context.Context, d *db.DB, tenant audit.TenantID, act trail.Entry, before int64, limit int) (out []signed, l tlog.Lineage, err error) {
	err = s.looking(ctx, d, tenant, act, func(ctx context.Context, tx db.Tx) (err error) {
		if l, err = s.lineage(ctx, tx); err != nil {
			return err
		}
		out, err = s.headsBefore(ctx, tx, before, limit)
		return err
	})
	return out, l, err
}

// proof reads what shows that an entry is in the log.
func (s store) proof(ctx context.Context, d *db.DB, tenant audit.TenantID, act trail.Entry, ref id.ID[id.Any]) (p tlog.Proof, err error) {
	err = s.looking(ctx, d, tenant, act, func(ctx context.Context, tx db.Tx) error {
		found, err := s.find(ctx, tx, ref)
		if err != nil {
			return err
		}
		var l tlog.Leaf
		var at uint64
		switch {
		case len(found.events) == 1:
			at = found.events[0].position
			if l, err = found.events[0].leaf(); err != nil {
				return err
			}
		case len(found.entries) == 1:
			at, l = found.entries[0].position, found.entries[0].leaf()
		default:
			return audit.ErrNotFound.New()
		}
		last, err := s.lastHead(ctx, tx, anyHead)
		if err != nil {
			return err
		}
		if last == nil || at >= last.size {
			return audit.ErrNotSigned.After(headEach)
		}
		life, err := s.lineage(ctx, tx)
		if err != nil {
			return err
		}
		path, err := merkle.Inclusion(at, last.size, merkle.Remember(s.tiles(ctx, tx)))
		if err != nil {
			return audit.ErrBroken.Wrap(err)
		}
		p = tlog.Proof{
			Format: tlog.ProofFormat, Position: at, Kind: l.Kind, Data: l.Data, Path: path, Head: last.note, Keys: life.First().PEM(), Rotations: life.Rotations(),
		}
		return nil
	})
	return p, err
}

// consistent reads what shows that one head's log begins with another's.
func (s store) consistent(ctx context.Context, d *db.DB, tenant audit.TenantID, act trail.Entry, earlier, later int64) (p tlog.Consistency, err error) {
	err = s.looking(ctx, d, tenant, act, func(ctx context.Context, tx db.Tx) error {
		var two [2]signed
		for i, number := range []int64{earlier, later} {
			found, err := s.headsAfter(ctx, tx, number-1, 1)
			if err != nil {
				return err
			}
			if len(found) == 0 || found[0].number != number {
				return audit.ErrHeads.New()
			}
			two[i] = found[0]
		}
		life, err := s.lineage(ctx, tx)
		if err != nil {
			return err
		}
		path, err := merkle.Consistency(two[0].size, two[1].size, merkle.Remember(s.tiles(ctx, tx)))
		if err != nil {
			return audit.ErrBroken.Wrap(err)
		}
		p = tlog.Consistency{
			Format: tlog.ConsistencyFormat, Earlier: two[0].note, Later: two[1].note, Path: path, Keys: life.First().PEM(), Rotations: life.Rotations(),
		}
		return nil
	})
	return p, err
}
