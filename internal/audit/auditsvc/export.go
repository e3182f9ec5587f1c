package auditsvc

import (
	"context"
	"io"

	"xinglin/internal/audit"
	"xinglin/internal/platform/merkle"
	"xinglin/internal/platform/tlog"
)

// Export writes the entries [from, to) of a tenant's log under its last head as a bundle
// (platform/tlog), with the heads that were signed on the way; to 0 is up to the last
// head. Codes: audit.no_log, audit.not_signed, audit.range_invalid. The caller has
// authorised and recorded it.
func (s *Service) Export(ctx context.Context, tenant audit.TenantID, from, to uint64, w io.Writer) (n uint64, err error) {
	b, last, end, err := s.store.begin(ctx, s.base.DB, tenant, from, to, w)
	if err != nil {
		return 0, err
	}
	number := int64(0)
	for at := from; at < end; {
		next := min(at+inspectStep, end)
		p, tiles, err := s.store.part(ctx, s.base.DB, tenant, at, next)
		if err != nil {
			return 0, err
		}
		heads, err := s.store.between(ctx, s.base.DB, tenant, number, at, next)
		if err != nil {
			return 0, err
		}
		if number, err = write(b, p, tiles, heads, last.number, next, number); err != nil {
			return 0, err
		}
		at = next
	}
	return end - from, b.Close()
}

// write puts a part into the bundle, with the heads before each entry; it gives the
// number of the last head that it wrote.
func write(b *tlog.BundleWriter, p stand, tiles map[merkle.TileID]merkle.Tile, heads []signed, last int64, end uint64, before int64) (number int64, err error) {
	number = before
	leaves := map[uint64]tlog.Leaf{}
	for _, e := range p.events {
		if leaves[e.position], err = e.leaf(); err != nil {
			return 0, err
		}
	}
	for _, e := range p.entries {
		leaves[e.position] = e.leaf()
	}
	for at := b.Next(); ; at = b.Next() {
		for len(heads) > 0 && heads[0].size <= at {
			number = heads[0].number
			if heads[0].size == at && number != last {
				if err := b.PutHead(heads[0].note); err != nil {
					return 0, err
				}
			}
			heads = heads[1:]
		}
		if at == end {
			return number, nil
		}
		l, ok := leaves[at]
		if ok {
			err = b.Put(l)
		} else if n, known := nodeAt(tiles, at); known {
			err = b.PutHash(n)
		} else {
			err = audit.ErrBroken.Because("entry %d has neither text nor hash", at)
		}
		if err != nil {
			return 0, err
		}
	}
}
