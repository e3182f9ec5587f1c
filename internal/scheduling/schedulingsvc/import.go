package schedulingsvc

import (
	"context"
	"fmt"
	"strings"

	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/fault"
	"xinglin/internal/scheduling"
	"xinglin/internal/scheduling/rotafile"
	"xinglin/internal/scheduling/schedulingsvc/rotas"
)

// Import loads a rota file, all or nothing.
func (s *Service) Import(ctx context.Context, r scheduling.ImportRequest) (scheduling.ImportReport, error) {
	who, policy, err := s.may(ctx, "scheduling.import_rota", "Rota")
	if err != nil {
		return scheduling.ImportReport{}, err
	}
	today := clock.DateOf(s.base.Clock.Now())
	if r.From == 0 {
		r.From = today
	}
	plan, sink, err := rotafile.Read(r.File, rotafile.Options{From: r.From, Calendar: s.cal})
	if err != nil {
		return scheduling.ImportReport{DryRun: r.DryRun}, err
	}
	places := rotas.NewPlaces(s.dir, who.Tenant, plan, sink)
	out := scheduling.ImportReport{Encoding: plan.Encoding, Rows: plan.Rows, Skipped: plan.Skipped, DryRun: r.DryRun}
	if sink.Total == 0 {
		if err := places.Try(ctx); err != nil {
			return out, err
		}
	}
	if sink.Total > 0 {
		out.Errors, out.ErrorCount = sink.Rows, sink.Total
		return out, scheduling.ErrImportRows.With(details(sink)...)
	}
	if !r.DryRun {
		if err := places.Make(ctx); err != nil {
			return out, err
		}
	}
	plan.CountPlaces(places.Placed, &out)
	in := rotas.Imported{From: r.From, Policy: policy}
	in.Rules, in.Exceptions = places.Rows()
	return out, s.writeImport(ctx, who.Tenant, r.DryRun, in, today, &out)
}

// details name the first bad rows for callers that see the refusal only.
func details(sink *rotafile.RowErrors) []fault.Detail {
	var out []fault.Detail
	for _, e := range sink.Rows[:min(len(sink.Rows), 20)] {
		out = append(out, fault.Detail{Path: strings.TrimSpace(fmt.Sprintf("%s line %d %s", e.Sheet, e.Line, e.Column)), Code: scheduling.ErrImportRows.Name, Message: e.ReasonZH + " / " + e.ReasonEN})
	}
	return out
}

// writeImport brings the rows in and lets the schedules follow.
func (s *Service) writeImport(ctx context.Context, t scheduling.TenantID, dryRun bool, in rotas.Imported, today clock.Date, out *scheduling.ImportReport) error {
	booking, _, err := s.store.rules(ctx, t)
	if err != nil {
		return err
	}
	through := horizon(booking, s.base.Clock.Now())
	var m made
	if dryRun {
		out.Rules, out.Exceptions, m, err = s.store.tryImport(ctx, t, in, s.cal, today, through)
	} else {
		out.Rules, out.Exceptions, err = s.store.rotas.Import(ctx, t, in, nil)
		if err == nil {
			m, err = s.store.extend(ctx, t, s.cal, today, through, in.Policy)
		}
		if err == nil {
			err = s.store.planMisses(ctx, t, today)
		}
	}
	out.Schedules = scheduling.Change{New: m.New, Changed: m.Changed, Same: m.Same}
	return err
}
