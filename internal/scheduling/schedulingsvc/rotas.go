package schedulingsvc

import (
	"context"
	"errors"

	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/id"
	"xinglin/internal/kernel/page"
	"xinglin/internal/scheduling"
	"xinglin/internal/scheduling/rotaplan"
	"xinglin/internal/scheduling/schedulingsvc/rotas"
)

// overlapDays is how far ahead a rule is compared with the doctor's others.
const overlapDays = 120

// rotaPage lists the rules of a tenant by id.
func (s *Service) rotaPage(ctx context.Context, f rotas.Filter, p page.Request) (out page.Page[scheduling.RotaRule], err error) {
	who, _, err := s.may(ctx, "scheduling.list_rotas", "Rota")
	if err != nil {
		return out, err
	}
	var after id.ID[scheduling.RotaRule]
	if p.Cursor != "" {
		if after, err = id.Parse[scheduling.RotaRule](p.Cursor); err != nil {
			return out, scheduling.ErrInput.At("cursor", "not a cursor of this list")
		}
	}
	return s.store.rotas.Rules(ctx, who.Tenant, f, after, p)
}

// createRota adds a rule; its schedules follow at once by a job.
func (s *Service) createRota(ctx context.Context, r scheduling.RotaRule) (scheduling.RotaRule, error) {
	r.ID, r.Version = id.New[scheduling.RotaRule](s.base.Clock.Now()), 0
	return s.saveRota(ctx, "scheduling.create_rota", r)
}

// updateRota changes a rule; sessions that nobody has booked follow it, others stay as they
// were sold, also where the rule no longer works.
func (s *Service) updateRota(ctx context.Context, r scheduling.RotaRule) (scheduling.RotaRule, error) {
	if r.Version <= 0 {
		return r, scheduling.ErrStale.New()
	}
	return s.saveRota(ctx, "scheduling.update_rota", r)
}

func (s *Service) saveRota(ctx context.Context, action string, r scheduling.RotaRule) (scheduling.RotaRule, error) {
	who, policy, err := s.may(ctx, action, "Rota")
	if err != nil {
		return r, err
	}
	if r.Version > 0 { // what is not there cannot be wrong
		if _, err := s.store.rotas.Rule(ctx, who.Tenant, r.ID); err != nil {
			return r, err
		}
	}
	if err := rotaplan.CheckRule(r); err != nil {
		return r, err
	}
	if err := s.placed(ctx, who.Tenant, r.Duty); err != nil {
		return r, err
	}
	from := max(r.From, clock.DateOf(s.base.Clock.Now()))
	to := from.Add(overlapDays)
	return s.store.rotas.Save(ctx, who.Tenant, r, from, to, func(rules []scheduling.RotaRule, exceptions []scheduling.Exception) error {
		return rotaplan.Fits(r, rules, exceptions, s.cal, from, to)
	}, policy)
}

// placed refuses a duty at a place or by a doctor that the tenant's directory lacks.
func (s *Service) placed(ctx context.Context, t scheduling.TenantID, d scheduling.Duty) error {
	l, err := s.dir.Labels(ctx, t, []scheduling.PractitionerID{d.Practitioner}, []scheduling.DepartmentID{d.Department}, []scheduling.CampusID{d.Campus})
	if err != nil {
		return err
	}
	for path, ok := range map[string]bool{"practitioner_id": has(l.Practitioners, d.Practitioner), "department_id": has(l.Departments, d.Department), "campus_id": has(l.Campuses, d.Campus)} {
		if !ok {
			return scheduling.ErrNotFound.At(path, "unknown")
		}
	}
	return nil
}

func has[K comparable, V any](m map[K]V, k K) bool {
	_, ok := m[k]
	return ok
}

// preview is what a rule would do.
type preview struct {
	Sessions  []rotaplan.Session
	Conflicts []rotaplan.Conflict
	Drops     []rotas.Falling // sessions that the rule made and would make no more; those with visits would stay
}

// previewRota shows the sessions that a rule would make beside what is planned, at most
// 92 days, and those to come that a change of the rule would leave without one.
func (s *Service) previewRota(ctx context.Context, r scheduling.RotaRule, from, to clock.Date) (out preview, err error) {
	who, _, err := s.may(ctx, "scheduling.preview_rota", "Rota")
	if err != nil {
		return out, err
	}
	if to < from || int(to-from) >= 92 {
		return out, scheduling.ErrInput.At("to", "from..to within 92 days")
	}
	if err := rotaplan.CheckRule(r); err != nil {
		return out, err
	}
	if err := s.placed(ctx, who.Tenant, r.Duty); err != nil {
		return out, err
	}
	rules, exceptions, err := s.store.rotas.Between(ctx, who.Tenant, from, to)
	if err != nil {
		return out, err
	}
	if r.ID.IsZero() {
		r.ID = id.New[scheduling.RotaRule](s.base.Clock.Now())
	}
	if out.Sessions, out.Conflicts, err = rotaplan.Preview(r, rules, exceptions, s.cal, from, to); err != nil {
		return out, err
	}
	out.Drops, err = s.store.rotas.FallingByRule(ctx, who.Tenant, s.cal, r, clock.DateOf(s.base.Clock.Now()))
	return out, err
}

// ExtendRota makes the schedules of the rules from today up to and including through.
func (s *Service) ExtendRota(ctx context.Context, through clock.Date) (scheduling.ExtendReport, error) {
	who, policy, err := s.may(ctx, "scheduling.extend_rota", "Rota")
	if err != nil {
		return scheduling.ExtendReport{}, err
	}
	today := clock.DateOf(s.base.Clock.Now())
	if int(through-today) >= rotaplan.MaxDays {
		return scheduling.ExtendReport{}, scheduling.ErrInput.At("through", "at most 400 days ahead")
	}
	m, err := s.store.extend(ctx, who.Tenant, s.cal, today, through, policy)
	if err == nil {
		err = s.store.planMisses(ctx, who.Tenant, today)
	}
	return scheduling.ExtendReport{Through: through, Schedules: m.New, Slots: m.Slots, Conflicts: m.Conflicts, Kept: m.Kept}, err
}

// extendToHorizon brings a tenant's schedules to where its rules need them.
func (s *Service) extendToHorizon(ctx context.Context) (scheduling.ExtendReport, error) {
	rules, _, err := s.Rules(ctx)
	if err != nil {
		return scheduling.ExtendReport{}, err
	}
	return s.ExtendRota(ctx, horizon(rules, s.base.Clock.Now()))
}

// askAll asks for the extension of every tenant.
func (s *Service) askAll(ctx context.Context) error {
	all, err := s.tenants.List(ctx)
	for _, t := range all {
		err = errors.Join(err, s.store.askExtend(ctx, t.ID))
	}
	return err
}
