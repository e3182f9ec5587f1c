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
	p, err := s.create(ctx, "directory.create_campus", directory.Roster{Campuses: []string{in.Body.Name}}, func(p directory.Placed) details {
		return details{campuses: []directory.Campus{{ID: p.Campuses[in.Body.Name], NameEN: in.Body.NameEN, Address: in.Body.Address, Phone: in.Body.Phone}}}
	})
	if err != nil {
		return nil, err
	}
	c, err := s.ownCampus(ctx, p.Campuses[in.Body.Name])
	if err != nil {
		return nil, err
	}
	return &out[campusBody]{campusBody{c.ID, c.Name, c.NameEN, c.Address, c.Phone}}, nil
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
	cid, err := httpx.ID[directory.Campus](in.Body.CampusID)
	if err != nil {
		return nil, err
	}
	campus, err := s.ownCampus(ctx, cid)
	if err != nil {
		return nil, err
	}
	parent, err := optional[directory.Department](in.Body.ParentID)
	if err != nil {
		return nil, err
	}
	key := directory.RosterDepartmentKey{Campus: campus.Name, Name: in.Body.Name}
	roster := directory.Roster{Departments: []directory.RosterDepartment{{Campus: campus.Name, Name: in.Body.Name, Location: in.Body.Location}}}
	p, err := s.create(ctx, "directory.create_department", roster, func(p directory.Placed) details {
		return details{departments: []directory.Department{{
			ID: p.Departments[key], Parent: parent, NameEN: in.Body.NameEN, Location: in.Body.Location, Intro: in.Body.Intro,
		}}}
	})
	if err != nil {
		return nil, err
	}
	who, err := auth.From(ctx)
	if err != nil {
		return nil, err
	}
	ds, err := s.Departments(ctx, who.Tenant, campus.ID)
	if err != nil {
		return nil, err
	}
	for _, d := range ds {
		if d.ID == p.Departments[key] {
			return &out[departmentBody]{departmentBody{d.ID, d.Parent, d.Campus, d.Name, d.NameEN, d.Location, d.Intro, d.DoctorCount}}, nil
		}
	}
	return nil, directory.ErrNotFound.New()
}

// ownCampus finds the campus in the principal's tenant: another tenant's does not exist.
func (s *Service) ownCampus(ctx context.Context, cid directory.CampusID) (directory.Campus, error) {
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
	from, err := s.practisingFrom(in.Body.PractisingFrom)
	if err != nil {
		return nil, err
	}
	roster := directory.Roster{Doctors: []directory.RosterDoctor{{
		Licence: in.Body.LicenceNo, Name: in.Body.Name, Title: in.Body.Title, Campus: campus, Department: dep, Specialty: in.Body.Specialty,
	}}}
	p, err := s.create(ctx, "directory.create_practitioner", roster, func(p directory.Placed) details {
		return details{practitioners: []directory.Practitioner{{ID: p.Doctors[in.Body.LicenceNo], Specialty: in.Body.Specialty, PractisingFrom: from}}}
	})
	if err != nil {
		return nil, err
	}
	made, err := s.Practitioner(ctx, who.Tenant, p.Doctors[in.Body.LicenceNo])
	if err != nil {
		return nil, err
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
	if p.PractisingFrom, err = s.practisingFrom(in.Body.PractisingFrom); err != nil {
		return nil, err
	}
	p, err = s.update(ctx, p)
	if err != nil {
		return nil, err
	}
	return &tagged[practitionerBody]{httpx.ETag(p.Version), s.body(p)}, nil
}

// practisingFrom reads the optional date; nobody practises from a day to come.
func (s *Service) practisingFrom(text string) (clock.Date, error) {
	if text == "" {
		return 0, nil
	}
	d, err := clock.ParseDate(text)
	if err != nil || d > clock.DateOf(s.base.Clock.Now()) || d < clock.NewDate(1900, 1, 1) {
		return 0, directory.ErrInvalid.At("practising_from", "want YYYY-MM-DD, not after today")
	}
	return d, nil
}
