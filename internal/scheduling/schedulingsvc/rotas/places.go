package rotas

import (
	"context"
	"errors"

	"xinglin/internal/directory"
	"xinglin/internal/kernel/page"
	"xinglin/internal/scheduling"
	"xinglin/internal/scheduling/rotafile"
)

// Places finds, and makes, in the directory what a rota file names.
type Places struct {
	Placed directory.Placed

	dir       directory.Service
	tenant    scheduling.TenantID
	plan      rotafile.Plan
	sink      *rotafile.RowErrors
	elsewhere map[string]scheduling.PractitionerID // doctors that only the directory knows a department of, by licence
}

// NewPlaces is for one file; what is wrong goes to sink.
func NewPlaces(dir directory.Service, t scheduling.TenantID, plan rotafile.Plan, sink *rotafile.RowErrors) *Places {
	return &Places{dir: dir, tenant: t, plan: plan, sink: sink, elsewhere: map[string]scheduling.PractitionerID{}}
}

// Try asks the directory what it would make of the roster. What it refuses is the row's
// error, named before anything is written.
func (p *Places) Try(ctx context.Context) error {
	var err error
	if p.Placed, err = p.dir.Place(ctx, p.plan.Roster(), true); err != nil {
		if !errors.Is(err, directory.ErrLicenceTaken) {
			return err
		}
		return p.nameTaken(ctx)
	}
	for _, d := range p.plan.Doctors {
		if d.Department == (rotafile.Department{}) {
			if err := p.lookUp(ctx, d); err != nil {
				return err
			}
		}
	}
	return nil
}

// Make makes in the directory what is missing there.
func (p *Places) Make(ctx context.Context) (err error) {
	p.Placed, err = p.dir.Place(ctx, p.plan.Roster(), false)
	return err
}

// Rows are the plan's rows with the directory's ids.
func (p *Places) Rows() ([]scheduling.RotaRule, []scheduling.Exception) {
	return p.plan.Place(p.Placed, p.elsewhere)
}

// nameTaken finds every doctor whose licence the directory knows under another name.
func (p *Places) nameTaken(ctx context.Context) error {
	for _, d := range p.plan.Doctors {
		if d.Department == (rotafile.Department{}) {
			continue
		}
		_, err := p.dir.Place(ctx, directory.Roster{Doctors: []directory.RosterDoctor{d.Roster()}}, true)
		switch {
		case errors.Is(err, directory.ErrLicenceTaken):
			p.sink.AddDoctor(d, rotafile.LicenceHeading, "该执业证号在机构名录中属于另一位医师", "in the directory this licence belongs to another practitioner")
		case err != nil:
			return err
		}
	}
	return nil
}

// lookUp finds a doctor whom the file knows from leave or changed seats alone.
func (p *Places) lookUp(ctx context.Context, d rotafile.Doctor) error {
	found, err := p.dir.Practitioners(ctx, p.tenant, directory.Query{Text: d.Name, Page: page.Request{Limit: page.MaxLimit}})
	if err != nil {
		return err
	}
	for _, one := range found.Items {
		if one.Licence == d.Licence {
			p.elsewhere[d.Licence] = one.ID
			return nil
		}
	}
	p.sink.AddDoctor(d, rotafile.DoctorHeading, "该医生既无出诊行，也不在机构名录中", "the doctor has no duty in the file and is not in the directory")
	return nil
}
