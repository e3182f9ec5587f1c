package auditsvc

import (
	"context"
	"errors"
	"fmt"
	"io"

	"xinglin/internal/audit"
	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/merkle"
	"xinglin/internal/platform/tlog"
)

// An inspection reads in short transactions, so that it may take long.

// glance is where an inspection begins: the keys are the first ones of the table.
func (s store) glance(ctx context.Context, d *db.DB, tenant audit.TenantID) (st state, ks tlog.Keys, words []entry, err error) {
	err = d.Read(ctx, tenant, func(ctx context.Context, tx db.Tx) (err error) {
		if st, err = s.state(ctx, tx); err != nil {
			return err
		}
		if ks, err = s.firstKeys(ctx, tx); err != nil {
			return err
		}
		words, err = s.words(ctx, tx)
		return err
	})
	return st, ks, words, err
}

// part reads the rows at [from, to) and the tiles with their hashes.
func (s store) part(ctx context.Context, d *db.DB, tenant audit.TenantID, from, to uint64) (p stand, base map[merkle.TileID]merkle.Tile, err error) {
	err = d.Read(ctx, tenant, func(ctx context.Context, tx db.Tx) (err error) {
		if p, err = s.rows(ctx, tx, from, to); err != nil {
			return err
		}
		get := s.tiles(ctx, tx)
		base = map[merkle.TileID]merkle.Tile{}
		for at := from; at < to; at = (at/merkle.TileWidth + 1) * merkle.TileWidth {
			place := merkle.TileID{Level: 0, Index: at / merkle.TileWidth}
			if base[place], err = get(place); err != nil {
				return err
			}
		}
		return nil
	})
	return p, base, err
}

// someTiles reads tiles; those that are not there are empty.
func (s store) someTiles(ctx context.Context, d *db.DB, tenant audit.TenantID, ids []merkle.TileID) (out map[merkle.TileID]merkle.Tile, err error) {
	err = d.Read(ctx, tenant, func(ctx context.Context, tx db.Tx) (err error) {
		get := s.tiles(ctx, tx)
		out = map[merkle.TileID]merkle.Tile{}
		for _, at := range ids {
			if out[at], err = get(at); err != nil {
				return err
			}
		}
		return nil
	})
	return out, err
}

// someHeads reads the next heads by number.
func (s store) someHeads(ctx context.Context, d *db.DB, tenant audit.TenantID, number int64, limit int) (out []signed, err error) {
	err = d.Read(ctx, tenant, func(ctx context.Context, tx db.Tx) (err error) {
		out, err = s.headsAfter(ctx, tx, number, limit)
		return err
	})
	return out, err
}

// begin opens a bundle of [from, to) under the last head; to 0 is up to it.
func (s store) begin(ctx context.Context, d *db.DB, tenant audit.TenantID, from, to uint64, w io.Writer) (b *tlog.BundleWriter, h *signed, end uint64, err error) {
	err = d.Read(ctx, tenant, func(ctx context.Context, tx db.Tx) (err error) {
		if h, err = s.lastHead(ctx, tx, anyHead); err != nil {
			return err
		}
		if h == nil {
			return audit.ErrNoLog.New()
		}
		if end = to; to == 0 {
			end = h.size
		}
		if from >= end || end > h.size {
			return audit.ErrRange.At("to", fmt.Sprintf("the last head signs entries 0 to %d", h.size-1))
		}
		life, err := s.lineage(ctx, tx)
		if err != nil {
			return err
		}
		b, err = tlog.NewBundle(w, h.note, life, from, end, merkle.Remember(s.tiles(ctx, tx)))
		return err
	})
	return b, h, end, err
}

// between reads the heads of sizes [from, to] behind a number.
func (s store) between(ctx context.Context, d *db.DB, tenant audit.TenantID, number int64, from, to uint64) (out []signed, err error) {
	err = d.Read(ctx, tenant, func(ctx context.Context, tx db.Tx) (err error) {
		out, err = s.headsBetween(ctx, tx, number, from, to)
		return err
	})
	return out, err
}

// maxWords bounds what an inspection reads of the log's words about itself: fifteen years
// of days with four classes.
const maxWords = 50_000

// words are what the log says about itself, in its order.
func (store) words(ctx context.Context, tx db.Tx) ([]entry, error) {
	rows, err := tx.Query(ctx, `SELECT position, kind, ref, class, data, collected_at FROM log_leaf WHERE tenant_id = $1 AND kind IN ($2, $3, $4, $5) ORDER BY position LIMIT $6`,
		tx.Tenant(), audit.KindSegment, audit.KindDisposal, audit.KindKeys, audit.KindBegin, maxWords)
	return db.Collect(rows, err, func(r db.Rows, e *entry) error { return scanEntry(r, e) })
}

// stray names the first row beyond the log's end or before its beginning; "" for none.
// Size and rows are of one instant.
func (store) stray(ctx context.Context, d *db.DB, tenant audit.TenantID) (what string, err error) {
	err = d.Read(ctx, tenant, func(ctx context.Context, tx db.Tx) (err error) {
		what, err = strayRow(ctx, tx)
		return err
	})
	return what, err
}

func strayRow(ctx context.Context, tx db.Tx) (string, error) {
	var position int64
	var ref id.ID[id.Any]
	err := tx.QueryRow(ctx, `SELECT position, ref FROM (
			SELECT position, id AS ref FROM audit_event WHERE tenant_id = $1 UNION ALL SELECT position, ref FROM log_leaf WHERE tenant_id = $1) e
		WHERE position < 0 OR position >= COALESCE((SELECT size FROM log_state WHERE tenant_id = $1), 0) ORDER BY position LIMIT 1`, tx.Tenant()).Scan(&position, &ref)
	if errors.Is(err, db.ErrNoRows) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("entry %d (%s) stands beyond the log's end: it was inserted, or the log's end was set back", position, ref), nil
}
