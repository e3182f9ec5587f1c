package schedulingsvc

import (
	"context"
	"errors"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/clock"
	"xinglin/internal/platform/obs"
)

// extendJob makes one tenant's schedules up to its horizon, and files the visits of past days.
// Each extension sets the timers for who does not come to the sessions of these days.
func (s *Service) extendJob(ctx context.Context, _ struct{}) error {
	who, err := auth.From(ctx)
	if err != nil {
		return err
	}
	rep, err := s.extendToHorizon(ctx)
	if rep.Kept > 0 {
		obs.Log(ctx).Warn("sessions without a rule stay, people have booked them; the operator may stop them", "sessions", rep.Kept)
	}
	return errors.Join(err, s.store.filePast(ctx, who.Tenant, clock.DateOf(s.base.Clock.Now())))
}

// extendAll leaves each tenant's extension to a job of its own.
func (s *Service) extendAll(ctx context.Context) error { return s.askAll(ctx) }
