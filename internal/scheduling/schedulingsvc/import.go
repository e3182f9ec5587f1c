package schedulingsvc

import (
	"context"
	"errors"
	"fmt"

	"xinglin/internal/directory"
	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/fault"
	"xinglin/internal/kernel/page"
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
	in := &importing{s: s, tenant: who.Tenant, plan: plan, sink: sink, elsewhere: map[string]scheduling.PractitionerID{}}
	out := scheduling.ImportReport{Encoding: plan.Encoding, Rows: plan.Rows, DryRun: r.DryRun}
	if sink.Total == 0 {
		if err := in.tryPlaces(ctx); err != nil {
			return out, err
		}
	}
	if sink.Total > 0 {
		out.Errors, out.ErrorCount = sink.Rows, sink.Total
		return out, scheduling.ErrImportRows.With(details(sink)...)
	}
	if !r.DryRun {
		if in.placed, err = s.dir.Place(ctx, in.plan.Roster(), false); err != nil {
			return out, err
		}
	}
	in.plan.CountPlaces(in.placed, &out)
	return out, in.write(ctx, r, policy, today, &out)
}

// details name the first bad rows for callers that see the refusal only.
func details(sink *rotafile.RowErrors) []fault.Detail {
	var out []fault.Detail
	for _, e := range sink.Rows[:min(len(sink.Rows), 20)] {
		out = append(out, fault.Detail{Path: fmt.Sprintf("line %d %s", e.Line, e.Column), Code: scheduling.ErrImportRows.Name, Message: e.ReasonZH + " / " + e.ReasonEN})
	}
	return out
}

// importing is one file on its way in.
type importing struct {
	s         *Service
	tenant    scheduling.TenantID
	plan      rotafile.Plan
	sink      *rotafile.RowErrors
	placed    directory.Placed
	elsewhere map[string]scheduling.PractitionerID // doctors that only the directory knows a department of, by licence
}

// tryPlaces asks the directory what it would make of the roster. What it refuses is the
// row's error, named before anything is written.
func (in *importing) tryPlaces(ctx context.Context) error {
	var err error
	if in.placed, err = in.s.dir.Place(ctx, in.plan.Roster(), true); err != nil {
		if !errors.Is(err, directory.ErrLicenceTaken) {
			return err
		}
		return in.nameTaken(ctx)
	}
	for _, d := range in.plan.Doctors {
		if d.Department == (rotafile.Department{}) {
			if err := in.lookUp(ctx, d); err != nil {
				return err
			}
		}
	}
	return nil
}

// nameTaken finds every doctor whose licence the directory knows under another name.
func (in *importing) nameTaken(ctx context.Context) error {
	for _, d := range in.plan.Doctors {
		if d.Department == (rotafile.Department{}) {
			continue
		}
		_, err := in.s.dir.Place(ctx, directory.Roster{Doctors: []directory.RosterDoctor{d.Roster()}}, true)
		switch {
		case errors.Is(err, directory.ErrLicenceTaken):
			in.sink.Add(d.Line, rotafile.LicenceHeading, "该执业证号在机构名录中属于另一位医师", "in the directory this licence belongs to another practitioner")
		case err != nil:
			return err
		}
	}
	return nil
}

// lookUp finds a doctor whom the file knows from leave or changed seats alone.
func (in *importing) lookUp(ctx context.Context, d rotafile.Doctor) error {
	found, err := in.s.dir.Practitioners(ctx, in.tenant, directory.Query{Text: d.Name, Page: page.Request{Limit: page.MaxLimit}})
	if err != nil {
		return err
	}
	for _, p := range found.Items {
		if p.Licence == d.Licence {
			in.elsewhere[d.Licence] = p.ID
			return nil
		}
	}
	in.sink.Add(d.Line, rotafile.DoctorHeading, "该医生既无出诊行，也不在机构名录中", "the doctor has no duty in the file and is not in the directory")
	return nil
}

// rows puts the directory's ids into the plan.
func (in *importing) rows(from clock.Date, policy string) rotas.Imported {
	rules, exceptions := in.plan.Place(in.placed, in.elsewhere)
	return rotas.Imported{Rules: rules, Exceptions: exceptions, From: from, Policy: policy}
}

// write brings the rows in and lets the schedules follow.
func (in *importing) write(ctx context.Context, r scheduling.ImportRequest, policy string, today clock.Date, out *scheduling.ImportReport) error {
	booking, _, err := in.s.store.rules(ctx, in.tenant)
	if err != nil {
		return err
	}
	through := horizon(booking, in.s.base.Clock.Now())
	var m made
	if r.DryRun {
		out.Rules, out.Exceptions, m, err = in.s.store.tryImport(ctx, in.tenant, in.rows(r.From, policy), in.s.cal, today, through)
	} else {
		out.Rules, out.Exceptions, err = in.s.store.rotas.Import(ctx, in.tenant, in.rows(r.From, policy), nil)
		if err == nil {
			m, err = in.s.store.extend(ctx, in.tenant, in.s.cal, today, through, policy)
		}
		if err == nil {
			err = in.s.store.planMisses(ctx, in.tenant, today)
		}
	}
	out.Schedules = scheduling.Change{New: m.New, Changed: m.Changed, Same: m.Same}
	return err
}
