package schedulingsvc

import (
	"context"

	"xinglin/internal/kernel/clock"
	"xinglin/internal/scheduling"
	"xinglin/internal/scheduling/schedulingsvc/rotas"
)

// Import loads a rota file, all or nothing (rotas.Importer); the schedules follow.
func (s *Service) Import(ctx context.Context, r scheduling.ImportRequest) (scheduling.ImportReport, error) {
	who, policy, err := s.may(ctx, "scheduling.import_rota", "Rota")
	if err != nil {
		return scheduling.ImportReport{}, err
	}
	booking, _, err := s.store.rules(ctx, who.Tenant)
	if err != nil {
		return scheduling.ImportReport{}, err
	}
	now := s.base.Clock.Now()
	today, through := clock.DateOf(now), horizon(booking, now)
	i := rotas.Importer{Store: s.store.rotas, Dir: s.dir, Names: s.labels, Calendar: s.cal, Tenant: who.Tenant, Policy: policy, Today: today, Through: through}
	return i.Import(ctx, r, func(ctx context.Context) (scheduling.Change, error) {
		m, err := s.store.extend(ctx, who.Tenant, s.cal, today, through, policy)
		if err == nil {
			err = s.store.planMisses(ctx, who.Tenant, today)
		}
		return m.change(), err
	})
}
