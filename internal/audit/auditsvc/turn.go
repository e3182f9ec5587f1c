package auditsvc

import (
	"context"
	"time"

	"xinglin/internal/audit"
	"xinglin/internal/kernel/auth"
	"xinglin/internal/platform/tlog"
)

// A log takes two turns in its life: it changes its keys, and, after the database was set
// back, it begins anew. Either is an entry of the log itself, made at the machine.

// RotateKeys changes the keys of the tenant's log: what was logged is signed once more
// under the old ones, which then sign the new ones, and a head under those follows at
// once. The old keys stay good for their heads. Codes: audit.no_log, audit.log_broken,
// audit.log_set_back, audit.keys_changed_meanwhile, audit.too_many_key_changes. It is
// for the command line.
func (s *Service) RotateKeys(ctx context.Context) (audit.Head, tlog.Lineage, error) {
	who, act, err := s.may(ctx, "audit.rotate_keys", "")
	if err != nil {
		return audit.Head{}, tlog.Lineage{}, err
	}
	was := 0
	for range signTries {
		if _, err := s.sign(ctx, who.Tenant, nil); err != nil {
			return audit.Head{}, tlog.Lineage{}, err
		}
		c, err := s.store.chain(ctx, s.base.DB, who.Tenant)
		if err != nil {
			return audit.Head{}, tlog.Lineage{}, err
		}
		if was == 0 {
			was = c.generation
		}
		switch {
		case c.generation != was:
			return audit.Head{}, tlog.Lineage{}, audit.ErrRotated.New()
		case len(c.life.Rotations()) >= tlog.MaxRotations:
			return audit.Head{}, tlog.Lineage{}, audit.ErrRotations.New()
		}
		t, err := s.turnOf(ctx, who.Tenant, c)
		if err != nil {
			return audit.Head{}, tlog.Lineage{}, err
		}
		ok, err := s.store.rotate(ctx, s.base.DB, who.Tenant, c.state, t, act)
		if err != nil {
			return audit.Head{}, tlog.Lineage{}, err
		}
		if !ok {
			continue
		}
		h, err := s.sign(ctx, who.Tenant, nil)
		if err != nil {
			return h, tlog.Lineage{}, err
		}
		life, _, err := s.Life(ctx, who.Tenant)
		return h, life, err
	}
	return audit.Head{}, tlog.Lineage{}, audit.ErrRotated.New()
}

// rotation is a change of keys before it is written.
type rotation struct {
	text string
	keys tlog.Keys
	at   time.Time
}

// turnOf makes the next keys and has the change signed by both generations.
func (s *Service) turnOf(ctx context.Context, tenant audit.TenantID, c chain) (out rotation, err error) {
	old, _, err := s.signers(ctx, tenant, c.generation)
	if err != nil {
		return out, err
	}
	next, ks, err := s.signers(ctx, tenant, c.generation+1)
	if err != nil {
		return out, err
	}
	out.keys, out.at = ks, s.base.Clock.Now().UTC().Truncate(time.Microsecond)
	out.text, err = tlog.SignRotation(tlog.Rotation{
		Log: origin(tenant), Generation: c.generation + 1, From: c.heads + 1, At: out.at, Old: c.life.Current(), New: ks,
	}, append(old, next...))
	return out, err
}

// Known is the last head of a log that left the house: of an anchor file, of a witness.
type Known struct {
	Note string
	Life tlog.Lineage // its keys
}

// BeginAnew lets a log go on that was set back: under another name, so that it cannot be
// taken for the one that was lost, with an entry that names the last known head of that.
// What the last own head signed stays under the new name too. Codes: audit.log_fits (it
// was not set back), audit.head_of_another_log, audit.log_broken (the rows were changed:
// that is no set-back). It is for the command line.
func (s *Service) BeginAnew(ctx context.Context, last Known) (audit.Head, error) {
	who, act, err := s.may(ctx, "audit.begin_log", "")
	if err != nil {
		return audit.Head{}, err
	}
	for range signTries {
		c, err := s.store.chain(ctx, s.base.DB, who.Tenant)
		if err != nil {
			return audit.Head{}, err
		}
		text, err := s.anew(ctx, who, c, last)
		if err != nil {
			return audit.Head{}, err
		}
		ok, err := s.store.beginAnew(ctx, s.base.DB, who.Tenant, c.state, text, act)
		if err != nil {
			return audit.Head{}, err
		}
		if ok {
			return s.sign(ctx, who.Tenant, nil)
		}
	}
	return audit.Head{}, audit.ErrBroken.Because("the number of heads is not the state's")
}

// anew judges the head that is known and words the beginning.
func (s *Service) anew(ctx context.Context, who auth.Principal, c chain, last Known) (text string, err error) {
	_, ks, err := s.signers(ctx, who.Tenant, c.generation)
	if err != nil {
		return "", err
	}
	if err := c.fits(who.Tenant, ks); err != nil {
		return "", err
	}
	first := c.life.First()
	if len(first) == 0 { // no head was ever signed here
		first = ks
	}
	h, by, err := last.Life.Open(last.Note)
	switch {
	case err != nil || !last.Life.At(h.Number).All(by):
		return "", audit.ErrOtherLog.New()
	case h.Origin != c.name(who.Tenant) || last.Life.First().PEM() != first.PEM():
		return "", audit.ErrOtherLog.Because("the head is of %s", h.Origin)
	}
	same, err := s.begins(ctx, who.Tenant, c, h)
	if err != nil {
		return "", err
	}
	if same {
		return "", audit.ErrFitting.New()
	}
	t := beginText{
		Beginning: c.beginning + 1, Heads: c.heads, Lost: last.Note, Keys: first.PEM(), Rotations: last.Life.Rotations(), At: s.base.Clock.Now().UnixMicro(),
	}
	if c.last != nil {
		t.Kept = c.last.size
	}
	return encode(t)
}
