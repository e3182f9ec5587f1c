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
}

func (store) state(ctx context.Context, tx db.Tx) (s state, err error) {
	var size, sealed int64
	err = tx.QueryRow(ctx, `SELECT size, heads, segments, sealed FROM log_state WHERE tenant_id = $1`, tx.Tenant()).Scan(&size, &s.heads, &s.segments, &sealed)
	if errors.Is(err, db.ErrNoRows) {
		err = nil
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
}

const headColumns = `number, size, at, note, witnessed_at`

func scanHead(r db.Row, h *signed) error {
	var size int64
	err := r.Scan(&h.number, &size, db.Instant(&h.at), &h.note, db.Instant(&h.witnessed))
	h.size = uint64(size)
	return err
}

// lastHead is the head with the highest number; nil when there is none. With witnessed
// only those count that a witness cosigned.
func (store) lastHead(ctx context.Context, tx db.Tx, witnessed bool) (*signed, error) {
	which := ""
	if witnessed {
		which = " AND witnessed_at IS NOT NULL"
	}
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

// keys are the public keys that signed heads, in the order of their use.
func (store) keys(ctx context.Context, tx db.Tx) (tlog.Keys, error) {
	rows, err := tx.Query(ctx, `SELECT public FROM log_key WHERE tenant_id = $1 ORDER BY since, place, fingerprint LIMIT 16`, tx.Tenant())
	ders, err := db.Collect(rows, err, func(r db.Rows, b *[]byte) error { return r.Scan(b) })
	if err != nil {
		return nil, err
	}
	return tlog.KeysOf(ders...)
}

// chain is what is signed next: the log now, and its last head.
type chain struct {
	state
	root merkle.Node
	last *signed
	was  merkle.Node // the root now at the size of the last head
}

// chain reads it. A root that cannot be computed is audit.log_broken.
func (s store) chain(ctx context.Context, d *db.DB, tenant audit.TenantID) (c chain, err error) {
	err = d.Read(ctx, tenant, func(ctx context.Context, tx db.Tx) (err error) {
		if c.state, err = s.state(ctx, tx); err != nil {
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
// first. act is the row of whoever asked for it; nil for the clock.
func (s store) putHead(ctx context.Context, d *db.DB, tenant audit.TenantID, h signed, ks tlog.Keys, act *trail.Entry) (ok bool, err error) {
	err = d.Write(ctx, tenant, func(ctx context.Context, tx db.Tx) error {
		ok = false
		n, err := tx.Exec(ctx, `UPDATE log_state SET heads = $2 WHERE tenant_id = $1 AND heads = $2 - 1`, tx.Tenant(), h.number)
		if err != nil || n != 1 {
			return err
		}
		_, err = tx.Exec(ctx, `INSERT INTO log_head (tenant_id, number, size, at, note) VALUES ($1, $2, $3, $4, $5)`, tx.Tenant(), h.number, int64(h.size), h.at.UnixMicro(), h.note)
		if err != nil {
			return err
		}
		for i, k := range ks {
			_, err := tx.Exec(ctx, `INSERT INTO log_key (tenant_id, fingerprint, place, public, since) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING`,
				tx.Tenant(), k.Fingerprint(), i, k.DER, h.at.UnixMicro())
			if err != nil {
				return err
			}
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

// witnessed puts a witness's line below a head.
func (store) witnessed(ctx context.Context, d *db.DB, tenant audit.TenantID, number int64, note string, at time.Time) error {
	return d.Write(ctx, tenant, func(ctx context.Context, tx db.Tx) error {
		_, err := tx.Exec(ctx, `UPDATE log_head SET note = $3, witnessed_at = $4 WHERE tenant_id = $1 AND number = $2`, tx.Tenant(), number, note, at.UnixMicro())
		return err
	})
}

// anchorable is what goes out of the house: the last head and the keys.
func (s store) anchorable(ctx context.Context, d *db.DB, tenant audit.TenantID) (h *signed, ks tlog.Keys, err error) {
	err = d.Read(ctx, tenant, func(ctx context.Context, tx db.Tx) (err error) {
		if h, err = s.lastHead(ctx, tx, false); err != nil {
			return err
		}
		ks, err = s.keys(ctx, tx)
		return err
	})
	return h, ks, err
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

// view reads the chain for the auditor.
func (s store) view(ctx context.Context, d *db.DB, tenant audit.TenantID, act trail.Entry) (v audit.LogState, err error) {
	err = s.looking(ctx, d, tenant, act, func(ctx context.Context, tx db.Tx) error {
		st, err := s.state(ctx, tx)
		if err != nil {
			return err
		}
		v = audit.LogState{Origin: origin(tenant), Size: st.size, Unsigned: st.size, Segments: st.segments, Sealed: st.sealed}
		ks, err := s.keys(ctx, tx)
		if err != nil {
			return err
		}
		v.Keys = ks.PEM()
		last, err := s.lastHead(ctx, tx, false)
		if err != nil {
			return err
		}
		if last != nil {
			if v.Head, err = last.head(); err != nil {
				return err
			}
			v.Unsigned = st.size - min(st.size, last.size)
		}
		if last, err = s.lastHead(ctx, tx, true); err != nil {
			return err
		}
		if last != nil {
			if v.Witnessed, err = last.head(); err != nil {
				return err
			}
		}
		var gone int64
		err = tx.QueryRow(ctx, `SELECT CAST(COALESCE(SUM(entries), 0) AS BIGINT) FROM log_disposal WHERE tenant_id = $1 AND done_at IS NOT NULL`, tx.Tenant()).Scan(&gone)
		v.Disposed = uint64(gone)
		return err
	})
	return v, err
}

// listHeads gives a page of heads, the newest first.
func (s store) listHeads(ctx context.Context, d *db.DB, tenant audit.TenantID, act trail.Entry, before int64, limit int) (out []signed, err error) {
	err = s.looking(ctx, d, tenant, act, func(ctx context.Context, tx db.Tx) (err error) {
		out, err = s.headsBefore(ctx, tx, before, limit)
		return err
	})
	return out, err
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
		last, err := s.lastHead(ctx, tx, false)
		if err != nil {
			return err
		}
		if last == nil || at >= last.size {
			return audit.ErrNotSigned.After(headEach)
		}
		ks, err := s.keys(ctx, tx)
		if err != nil {
			return err
		}
		path, err := merkle.Inclusion(at, last.size, merkle.Remember(s.tiles(ctx, tx)))
		if err != nil {
			return audit.ErrBroken.Wrap(err)
		}
		p = tlog.Proof{Format: tlog.ProofFormat, Position: at, Kind: l.Kind, Data: l.Data, Path: path, Head: last.note, Keys: ks.PEM()}
		return nil
	})
	return p, err
}
