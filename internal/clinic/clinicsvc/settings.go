package clinicsvc

import (
	"context"

	"xinglin/internal/clinic"
	"xinglin/internal/kernel/auth"
	"xinglin/internal/platform/settings"
)

// rulesSection are the rules of waiting lines as a configuration has them.
type rulesSection struct {
	EarlyMinutes int  `json:"early_minutes"`
	LateMinutes  int  `json:"late_minutes"`
	ShowNames    bool `json:"show_names"`
}

func (s *Service) settings() []settings.Section {
	return []settings.Section{settings.Of("clinic.rules", settings.Words{ZH: "候诊规则", EN: "Rules of waiting lines"},
		func(ctx context.Context) (rulesSection, error) {
			who, err := auth.From(ctx)
			if err != nil {
				return rulesSection{}, err
			}
			r, _, err := s.store.rules(ctx, who.Tenant)
			return rulesSection{r.EarlyMinutes, r.LateMinutes, r.ShowNames}, err
		},
		func(_ context.Context, r rulesSection) error { return checkRules(clinic.Rules(r)) },
		func(ctx context.Context, r rulesSection) error {
			who, err := auth.From(ctx)
			if err != nil {
				return err
			}
			_, version, err := s.store.rules(ctx, who.Tenant)
			if err != nil {
				return err
			}
			return s.setRules(ctx, clinic.Rules(r), version)
		},
	)}
}
