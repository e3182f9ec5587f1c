package rotas

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"xinglin/internal/directory"
	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/fault"
	"xinglin/internal/platform/calendar"
	"xinglin/internal/scheduling"
	"xinglin/internal/scheduling/labels"
	"xinglin/internal/scheduling/rotafile"
)

// Limits of what a report (and a preview) and a refusal name.
const (
	MaxStops   = 50
	maxDetails = 20
)

// Importer loads a rota file for a tenant; the caller's right was checked.
type Importer struct {
	Store          Store
	Dir            directory.Service
	Names          *labels.Keeper
	Calendar       *calendar.Calendar
	Tenant         scheduling.TenantID
	Policy         string
	Today, Through clock.Date // schedules are made of these days
}

// Import loads the file, all or nothing; follow makes the schedules after it. Sessions to come
// that fall out by the file stop with it; when people hold a seat in one, only by consent.
func (i Importer) Import(ctx context.Context, r scheduling.ImportRequest, follow func(ctx context.Context) (scheduling.Change, error)) (scheduling.ImportReport, error) {
	if r.From == 0 {
		r.From = i.Today
	}
	plan, sink, err := rotafile.Read(r.File, rotafile.Options{From: r.From, Calendar: i.Calendar})
	if err != nil {
		return scheduling.ImportReport{DryRun: r.DryRun}, err
	}
	places := NewPlaces(i.Dir, i.Tenant, plan, sink)
	out := scheduling.ImportReport{Encoding: plan.Encoding, Rows: plan.Rows, Skipped: plan.Skipped, DryRun: r.DryRun}
	if sink.Total == 0 {
		if err := places.Try(ctx); err != nil {
			return out, err
		}
	}
	if sink.Total > 0 {
		out.Errors, out.ErrorCount = sink.Rows, sink.Total
		return out, scheduling.ErrImportRows.With(rowDetails(sink)...)
	}
	in := Imported{From: r.From, Today: i.Today, Through: i.Through, Calendar: i.Calendar, Consent: r.StopVisits, Policy: i.Policy}
	if !r.DryRun {
		if err := i.foresee(ctx, in, places, &out); err != nil {
			return out, err
		}
		if err := places.Make(ctx); err != nil {
			return out, err
		}
	}
	plan.CountPlaces(places.Placed, &out)
	in.Try, in.Foretell = r.DryRun, r.DryRun
	in.Rules, in.Exceptions = places.Rows()
	got, err := i.Store.Import(ctx, i.Tenant, in)
	out.Rules, out.Exceptions, out.Schedules = got.Rules, got.Exceptions, got.Schedules
	if err == nil && !r.DryRun {
		out.Schedules, err = follow(ctx)
	}
	return out, i.tell(ctx, got.Stops, &out, err)
}

// foresee refuses an import for its stops before the directory is written, which is another
// context's and is not undone with the rota. Who books after it is counted by the import itself.
func (i Importer) foresee(ctx context.Context, in Imported, places *Places, out *scheduling.ImportReport) error {
	if in.Consent || len(places.Placed.New) == 0 {
		return nil
	}
	if has, err := i.Store.hasPlans(ctx, i.Tenant, i.Today); err != nil || !has {
		return err
	}
	in.Try = true
	in.Rules, in.Exceptions = places.Rows()
	got, err := i.Store.Import(ctx, i.Tenant, in)
	if err != nil {
		err = i.tell(ctx, got.Stops, out, err)
	}
	return err
}

// tell puts the sessions that stop into the report, with their names. err is what came of the
// import; a refusal for them is given back with the list.
func (i Importer) tell(ctx context.Context, stops []Falling, out *scheduling.ImportReport, err error) error {
	out.StopCount, out.StopVisits = len(stops), Visits(stops)
	first := stops[:min(len(stops), MaxStops)]
	ids := labels.NewIDs()
	for _, v := range first {
		ids.Add(v.Practitioner, v.Department, v.Campus)
	}
	names, unnamed := i.Names.Of(ctx, i.Tenant, ids)
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

// rowDetails name the first bad rows for callers that see the refusal only.
func rowDetails(sink *rotafile.RowErrors) []fault.Detail {
	var out []fault.Detail
	for _, e := range sink.Rows[:min(len(sink.Rows), maxDetails)] {
		out = append(out, fault.Detail{Path: strings.TrimSpace(fmt.Sprintf("%s line %d %s", e.Sheet, e.Line, e.Column)), Code: scheduling.ErrImportRows.Name, Message: e.ReasonZH + " / " + e.ReasonEN})
	}
	return out
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
