package auditsvc

import (
	"context"
	"fmt"
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

// handEntries bounds what one download holds; the command line knows no bound.
const handEntries = 20_000

// Hand authorises, records and writes a bundle for the auditor: at most 20,000 entries.
// Codes: those of Export, audit.range_invalid for a larger range, auth.step_up.
func (s *Service) Hand(ctx context.Context, from, to uint64, w io.Writer) error {
	who, act, err := s.may(ctx, "audit.export_bundle", "")
	if err != nil {
		return err
	}
	st, _, err := s.store.life(ctx, s.base.DB, who.Tenant)
	if err != nil {
		return err
	}
	end := to
	if end == 0 {
		end = st.size
	}
	if from < end && end-from > handEntries {
		return audit.ErrRange.At("to", "at most 20000 entries; xinglin audit bundle writes more")
	}
	act.Why = fmt.Sprintf("%d-%d", from, to)
	if err := s.store.act(ctx, s.base.DB, who.Tenant, act); err != nil {
		return err
	}
	_, err = s.Export(ctx, who.Tenant, from, to, w)
	return err
}
