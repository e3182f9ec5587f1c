package directorysvc

import (
	"context"

	"xinglin/internal/directory"
	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/clock"
	"xinglin/internal/platform/httpx"
)

type postCampusIn struct {
	Body struct {
		Name    string `json:"name" minLength:"1" maxLength:"60" example:"东院区"`
		NameEN  string `json:"name_en,omitempty" maxLength:"120"`
		Address string `json:"address,omitempty" maxLength:"200"`
		Phone   string `json:"phone,omitempty" maxLength:"40"`
	}
}

func (s *Service) postCampus(ctx context.Context, in *postCampusIn) (*out[campusBody], error) {
	p, err := s.create(ctx, "directory.create_campus", directory.Roster{Campuses: []string{in.Body.Name}})
	if err != nil {
		return nil, err
	}
	c := directory.Campus{ID: p.Campuses[in.Body.Name], NameEN: in.Body.NameEN, Address: in.Body.Address, Phone: in.Body.Phone}
	if err := s.Describe(ctx, []directory.Campus{c}, nil, nil); err != nil {
		return nil, err
	}
	return &out[campusBody]{campusBody{c.ID, in.Body.Name, c.NameEN, c.Address, c.Phone}}, nil
}

type postDepartmentIn struct {
	Body struct {
		CampusID string `json:"campus_id" format:"uuid"`
		ParentID string `json:"parent_id,omitempty" format:"uuid"`
		Name     string `json:"name" minLength:"1" maxLength:"60" example:"心血管内科"`
		NameEN   string `json:"name_en,omitempty" maxLength:"120"`
		Location string `json:"location,omitempty" maxLength:"120"`
		Intro    string `json:"intro,omitempty" maxLength:"2000"`
	}
}

func (s *Service) postDepartment(ctx context.Context, in *postDepartmentIn) (*out[departmentBody], error) {
	campus, err := s.ownCampus(ctx, in.Body.CampusID)
	if err != nil {
		return nil, err
	}
	parent, err := optional[directory.Department](in.Body.ParentID)
	if err != nil {
		return nil, err
	}
	p, err := s.create(ctx, "directory.create_department", directory.Roster{Departments: []directory.RosterDepartment{{Campus: campus.Name, Name: in.Body.Name, Location: in.Body.Location}}})
	if err != nil {
		return nil, err
	}
	d := directory.Department{
		ID: p.Departments[directory.RosterDepartmentKey{Campus: campus.Name, Name: in.Body.Name}], Parent: parent,
		NameEN: in.Body.NameEN, Location: in.Body.Location, Intro: in.Body.Intro,
	}
	if err := s.Describe(ctx, nil, []directory.Department{d}, nil); err != nil {
		return nil, err
	}
	return &out[departmentBody]{departmentBody{d.ID, parent, campus.ID, in.Body.Name, d.NameEN, d.Location, d.Intro, 0}}, nil
}

// ownCampus finds the campus in the principal's tenant: another tenant's does not exist.
func (s *Service) ownCampus(ctx context.Context, text string) (directory.Campus, error) {
	cid, err := httpx.ID[directory.Campus](text)
	if err != nil {
		return directory.Campus{}, err
	}
	who, err := auth.From(ctx)
	if err != nil {
		return directory.Campus{}, err
	}
	cs, err := s.Campuses(ctx, who.Tenant)
	if err != nil {
		return directory.Campus{}, err
	}
	for _, c := range cs {
		if c.ID == cid {
			return c, nil
		}
	}
	return directory.Campus{}, directory.ErrNotFound.New()
}

type postPractitionerIn struct {
	Body struct {
		LicenceNo      string `json:"licence_no" pattern:"^[0-9A-Za-z]{6,24}$" doc:"医师执业证书编码"`
		Name           string `json:"name" minLength:"1" maxLength:"60"`
		Title          string `json:"title" minLength:"1" maxLength:"30" example:"副主任医师"`
		DepartmentID   string `json:"department_id" format:"uuid"`
		Specialty      string `json:"specialty,omitempty" maxLength:"500"`
		PractisingFrom string `json:"practising_from,omitempty" format:"date"`
	}
}

func (s *Service) postPractitioner(ctx context.Context, in *postPractitionerIn) (*out[practitionerBody], error) {
	did, err := httpx.ID[directory.Department](in.Body.DepartmentID)
	if err != nil {
		return nil, err
	}
	who, err := auth.From(ctx)
	if err != nil {
		return nil, err
	}
	dep, campus, err := s.placeOf(ctx, who.Tenant, did)
	if err != nil {
		return nil, err
	}
	p, err := s.create(ctx, "directory.create_practitioner", directory.Roster{Doctors: []directory.RosterDoctor{{
		Licence: in.Body.LicenceNo, Name: in.Body.Name, Title: in.Body.Title, Campus: campus, Department: dep, Specialty: in.Body.Specialty,
	}}})
	if err != nil {
		return nil, err
	}
	made, err := s.Practitioner(ctx, who.Tenant, p.Doctors[in.Body.LicenceNo])
	if err != nil {
		return nil, err
	}
	if in.Body.PractisingFrom != "" {
		if made.PractisingFrom, err = date(in.Body.PractisingFrom); err != nil {
			return nil, err
		}
		if err := s.Describe(ctx, nil, nil, []directory.Practitioner{made}); err != nil {
			return nil, err
		}
	}
	return &out[practitionerBody]{s.body(made)}, nil
}

func (s *Service) placeOf(ctx context.Context, tenant directory.TenantID, did directory.DepartmentID) (dep, campus string, err error) {
	l, err := s.Departments(ctx, tenant, directory.CampusID{})
	if err != nil {
		return "", "", err
	}
	cs, err := s.Campuses(ctx, tenant)
	if err != nil {
		return "", "", err
	}
	for _, d := range l {
		for _, c := range cs {
			if d.ID == did && c.ID == d.Campus {
				return d.Name, c.Name, nil
			}
		}
	}
	return "", "", directory.ErrNotFound.New()
}

type putPractitionerIn struct {
	ID      string `path:"id" format:"uuid"`
	IfMatch string `header:"If-Match"`
	Body    struct {
		Name           string `json:"name" minLength:"1" maxLength:"60"`
		Title          string `json:"title" minLength:"1" maxLength:"30"`
		Specialty      string `json:"specialty,omitempty" maxLength:"500"`
		PractisingFrom string `json:"practising_from,omitempty" format:"date"`
	}
}

func (s *Service) putPractitioner(ctx context.Context, in *putPractitionerIn) (*tagged[practitionerBody], error) {
	v, err := httpx.Version(in.IfMatch)
	if err != nil {
		return nil, err
	}
	pid, err := httpx.ID[directory.Practitioner](in.ID)
	if err != nil {
		return nil, err
	}
	p := directory.Practitioner{ID: pid, Name: in.Body.Name, Title: in.Body.Title, Specialty: in.Body.Specialty, Version: v}
	if in.Body.PractisingFrom != "" {
		if p.PractisingFrom, err = date(in.Body.PractisingFrom); err != nil {
			return nil, err
		}
	}
	p, err = s.update(ctx, p)
	if err != nil {
		return nil, err
	}
	return &tagged[practitionerBody]{httpx.ETag(p.Version), s.body(p)}, nil
}

func date(text string) (clock.Date, error) {
	d, err := clock.ParseDate(text)
	if err != nil {
		return 0, directory.ErrInvalid.At("practising_from", "want YYYY-MM-DD")
	}
	return d, nil
}
