package auditsvc

import (
	"context"
	"errors"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/clock"
)

// Limits of one run; what is left comes in the next.
const (
	segmentEntries = 1 << 16 // entries of a segment, at most
	keepSteps      = 64      // segments closed, and disposals done
	disposeStep    = 2048    // positions that one transaction clears
)

// keepJob closes what was collected before today into segments, and deletes the texts of
// those classes whose time is over. The tree keeps their hashes (R57).
func (s *Service) keepJob(ctx context.Context, _ struct{}) error {
	who, err := auth.From(ctx)
	if err != nil {
		return err
	}
	now := s.base.Clock.Now()
	midnight := clock.DateOf(now).At(0)
	more := true
	for n := 0; more && n < keepSteps; n++ {
		if more, err = s.store.seal(ctx, s.base.DB, who.Tenant, midnight); err != nil {
			return err
		}
	}
	rest := true
	for n := 0; rest && n < keepSteps; n++ {
		if rest, err = s.dispose(ctx); err != nil {
			return err
		}
	}
	return s.store.keepAgain(ctx, s.base.DB, who.Tenant, more || rest)
}

// dispose does the disposal that is due longest: first the log says so, then the texts
// go, in steps; a crash in between goes on there. false: none is due.
func (s *Service) dispose(ctx context.Context) (bool, error) {
	who, err := auth.From(ctx)
	if err != nil {
		return false, err
	}
	d, err := s.store.due(ctx, s.base.DB, who.Tenant, s.base.Clock.Now())
	if err != nil || d == nil {
		return false, err
	}
	if err := s.store.announce(ctx, s.base.DB, who.Tenant, *d); err != nil {
		return false, err
	}
	for at := d.first; at < d.behind; at += disposeStep {
		if err := errors.Join(ctx.Err(), s.store.clear(ctx, s.base.DB, who.Tenant, d.class, at, min(at+disposeStep, d.behind))); err != nil {
			return false, err
		}
	}
	return true, s.store.disposed(ctx, s.base.DB, who.Tenant, *d)
}
