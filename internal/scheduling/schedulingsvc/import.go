package schedulingsvc

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/fault"
	"xinglin/internal/scheduling"
	"xinglin/internal/scheduling/labels"
	"xinglin/internal/scheduling/rotafile"
	"xinglin/internal/scheduling/schedulingsvc/rotas"
)

// Limits of what a report, a preview and a refusal name.
const (
	maxStops   = 50
	maxDetails = 20
)

// Import loads a rota file, all or nothing. Sessions to come that fall out by it stop; when
// people hold a seat in one, only with their number before the eyes and consent.
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
	in := incoming{Imported: rotas.Imported{From: r.From, Policy: policy}, Cal: s.cal, Today: today, Consent: r.StopVisits}
	if !r.DryRun {
		if err := s.foresee(ctx, who.Tenant, in, places, &out); err != nil {
			return out, err
		}
		if err := places.Make(ctx); err != nil {
			return out, err
		}
	}
	in.Try, in.Foretell = r.DryRun, r.DryRun
	in.Rules, in.Exceptions = places.Rows()
	plan.CountPlaces(places.Placed, &out)
	return out, s.writeImport(ctx, who.Tenant, in, &out)
}

// details name the first bad rows for callers that see the refusal only.
func details(sink *rotafile.RowErrors) []fault.Detail {
	var out []fault.Detail
	for _, e := range sink.Rows[:min(len(sink.Rows), maxDetails)] {
		out = append(out, fault.Detail{Path: strings.TrimSpace(fmt.Sprintf("%s line %d %s", e.Sheet, e.Line, e.Column)), Code: scheduling.ErrImportRows.Name, Message: e.ReasonZH + " / " + e.ReasonEN})
	}
	return out
}

// foresee refuses an import for its stops before the directory is written, which is another
// context's and is not undone with the rota. Who books after it is counted by the import itself.
func (s *Service) foresee(ctx context.Context, t scheduling.TenantID, in incoming, places *rotas.Places, out *scheduling.ImportReport) error {
	if in.Consent || len(places.Placed.New) == 0 {
		return nil
	}
	if has, err := s.store.hasPlans(ctx, t, in.Today); err != nil || !has {
		return err
	}
	in.Try = true
	in.Rules, in.Exceptions = places.Rows()
	got, err := s.store.importRota(ctx, t, in)
	if err != nil {
		err = s.tellStops(ctx, t, got, out, err)
	}
	return err
}

// writeImport brings the rows in and lets the schedules follow.
func (s *Service) writeImport(ctx context.Context, t scheduling.TenantID, in incoming, out *scheduling.ImportReport) error {
	booking, _, err := s.store.rules(ctx, t)
	if err != nil {
		return err
	}
	in.Through = horizon(booking, s.base.Clock.Now())
	got, err := s.store.importRota(ctx, t, in)
	m := got.Made
	if err == nil && !in.Try {
		if m, err = s.store.extend(ctx, t, s.cal, in.Today, in.Through, in.Policy); err == nil {
			err = s.store.planMisses(ctx, t, in.Today)
		}
	}
	out.Rules, out.Exceptions = got.Rules, got.Exceptions
	out.Schedules = scheduling.Change{New: m.New, Changed: m.Changed, Same: m.Same}
	return s.tellStops(ctx, t, got, out, err)
}

// tellStops puts the sessions that stop into the report, with their names. err is what came of
// the import; a refusal for them is given back with the list.
func (s *Service) tellStops(ctx context.Context, t scheduling.TenantID, got imported, out *scheduling.ImportReport, err error) error {
	out.StopCount, out.StopVisits = len(got.Stops), got.visits()
	first := got.Stops[:min(len(got.Stops), maxStops)]
	ids := labels.NewIDs()
	for _, v := range first {
		ids.Add(v.Practitioner, v.Department, v.Campus)
	}
	names, unnamed := s.labels.Of(ctx, t, ids)
	out.Stops = nil
	for _, v := range first {
		out.Stops = append(out.Stops, scheduling.StoppedSession{
			Date: v.Date, Session: v.Session, Department: names.Departments[v.Department].Name, Doctor: names.Practitioners[v.Practitioner].Name, Visits: v.Visits,
		})
	}
	if errors.Is(err, scheduling.ErrImportStops) {
		return scheduling.ErrImportStops.With(stopDetails(out.Stops)...)
	}
	if err == nil {
		err = unnamed
	}
	return err
}

// stopDetails name the first booked sessions for callers that see the refusal only.
func stopDetails(stops []scheduling.StoppedSession) []fault.Detail {
	var out []fault.Detail
	for _, v := range stops[:min(len(stops), maxDetails)] {
		if v.Visits > 0 {
			out = append(out, fault.Detail{
				Path: fmt.Sprintf("%s %s", v.Date, v.Session), Code: scheduling.ErrImportStops.Name,
				Message: fmt.Sprintf("%s %s：已有 %d 人预约 / %d people have booked", v.Department, v.Doctor, v.Visits, v.Visits),
			})
		}
	}
	return out
}
