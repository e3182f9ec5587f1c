package directorysvc

import (
	"context"
	"net/http"

	"xinglin/internal/directory"
	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/id"
	"xinglin/internal/kernel/page"
	"xinglin/internal/platform/httpx"
)

// Campus, Department, Practitioner and Organization on the wire.
type (
	campusBody struct {
		ID      directory.CampusID `json:"id"`
		Name    string             `json:"name"`
		NameEN  string             `json:"name_en"`
		Address string             `json:"address"`
		Phone   string             `json:"phone" doc:"The desk's public number"`
	}
	departmentBody struct {
		ID          directory.DepartmentID `json:"id"`
		ParentID    directory.DepartmentID `json:"parent_id" doc:"Empty at the root of the tree"`
		CampusID    directory.CampusID     `json:"campus_id"`
		Name        string                 `json:"name"`
		NameEN      string                 `json:"name_en"`
		Location    string                 `json:"location"`
		Intro       string                 `json:"intro"`
		DoctorCount int                    `json:"doctor_count"`
	}
	practitionerBody struct {
		ID              directory.PractitionerID `json:"id"`
		Name            string                   `json:"name"`
		Title           string                   `json:"title"`
		TitleEN         string                   `json:"title_en"`
		DepartmentID    directory.DepartmentID   `json:"department_id"`
		DepartmentName  string                   `json:"department_name"`
		CampusID        directory.CampusID       `json:"campus_id"`
		CampusName      string                   `json:"campus_name"`
		Specialty       string                   `json:"specialty"`
		YearsOfPractice int                      `json:"years_of_practice"`
		LicenceNo       string                   `json:"licence_no"`
		Version         int64                    `json:"version"`
	}
	organizationBody struct {
		ID       directory.OrganizationID `json:"id"`
		Name     string                   `json:"name"`
		NameEN   string                   `json:"name_en"`
		Licences []directory.Licence      `json:"licences"`
	}
	list[T any] struct {
		Items []T    `json:"items"`
		Next  string `json:"next" doc:"Cursor of the next page, empty on the last"`
	}
	out[T any] struct {
		Body T
	}
	tagged[T any] struct {
		ETag string `header:"ETag"`
		Body T
	}
)

// titlesEN are the ranks of Chinese physicians.
var titlesEN = map[string]string{
	"主任医师": "Chief physician", "副主任医师": "Associate chief physician",
	"主治医师": "Attending physician", "住院医师": "Resident physician",
}

func (s *Service) routes(a *httpx.API) {
	httpx.Register(a, httpx.Op{ID: "directory.read_organization", Method: http.MethodGet, Path: "/organization", Public: true, Summary: "The institution and its licences"}, s.getOrganization)
	httpx.Register(a, httpx.Op{ID: "directory.list_campuses", Method: http.MethodGet, Path: "/campuses", Public: true, Summary: "Places of care"}, s.listCampuses)
	httpx.Register(a, httpx.Op{ID: "directory.list_departments", Method: http.MethodGet, Path: "/departments", Public: true, Summary: "Departments of a campus, or of all"}, s.listDepartments)
	httpx.Register(a, httpx.Op{ID: "directory.list_practitioners", Method: http.MethodGet, Path: "/practitioners", Public: true, Summary: "Search doctors by name, pinyin, department and specialty words"},
		func(ctx context.Context, in *listPractitionersIn) (*out[list[practitionerBody]], error) {
			return s.listPractitioners(ctx, a, in)
		})
	httpx.Register(a, httpx.Op{ID: "directory.read_practitioner", Method: http.MethodGet, Path: "/practitioners/{id}", Public: true, Summary: "One doctor"}, s.getPractitioner)
	httpx.Register(a, httpx.Op{ID: "directory.create_campus", Method: http.MethodPost, Path: "/campuses", Status: 201, Summary: "Add a campus"}, s.postCampus)
	httpx.Register(a, httpx.Op{ID: "directory.create_department", Method: http.MethodPost, Path: "/departments", Status: 201, Summary: "Add a department to a campus"}, s.postDepartment)
	httpx.Register(a, httpx.Op{ID: "directory.create_practitioner", Method: http.MethodPost, Path: "/practitioners", Status: 201, Summary: "Add a doctor to a department"}, s.postPractitioner)
	httpx.Register(a, httpx.Op{ID: "directory.update_practitioner", Method: http.MethodPut, Path: "/practitioners/{id}", Versioned: true, Summary: "Change what the public sees of a doctor"}, s.putPractitioner)
}

func (s *Service) body(p directory.Practitioner) practitionerBody {
	years := 0
	if p.PractisingFrom != 0 {
		years = p.PractisingFrom.Age(clock.DateOf(s.base.Clock.Now()))
	}
	return practitionerBody{
		ID: p.ID, Name: p.Name, Title: p.Title, TitleEN: titlesEN[p.Title], DepartmentID: p.Department, DepartmentName: p.DepartmentName,
		CampusID: p.Campus, CampusName: p.CampusName, Specialty: p.Specialty, YearsOfPractice: years, LicenceNo: p.Licence, Version: p.Version,
	}
}

func (s *Service) getOrganization(ctx context.Context, _ *struct{}) (*out[organizationBody], error) {
	o, err := s.Organization(ctx, httpx.TenantOf(ctx))
	if err != nil {
		return nil, err
	}
	return &out[organizationBody]{organizationBody{o.ID, o.Name, o.NameEN, o.Licences}}, nil
}

func (s *Service) listCampuses(ctx context.Context, _ *struct{}) (*out[list[campusBody]], error) {
	cs, err := s.Campuses(ctx, httpx.TenantOf(ctx))
	if err != nil {
		return nil, err
	}
	o := &out[list[campusBody]]{list[campusBody]{Items: []campusBody{}}}
	for _, c := range cs {
		o.Body.Items = append(o.Body.Items, campusBody{c.ID, c.Name, c.NameEN, c.Address, c.Phone})
	}
	return o, nil
}

type listDepartmentsIn struct {
	CampusID string `query:"campus_id" format:"uuid"`
}

func (s *Service) listDepartments(ctx context.Context, in *listDepartmentsIn) (*out[list[departmentBody]], error) {
	campus, err := optional[directory.Campus](in.CampusID)
	if err != nil {
		return nil, err
	}
	ds, err := s.Departments(ctx, httpx.TenantOf(ctx), campus)
	if err != nil {
		return nil, err
	}
	o := &out[list[departmentBody]]{list[departmentBody]{Items: []departmentBody{}}}
	for _, d := range ds {
		o.Body.Items = append(o.Body.Items, departmentBody{d.ID, d.Parent, d.Campus, d.Name, d.NameEN, d.Location, d.Intro, d.DoctorCount})
	}
	return o, nil
}

type listPractitionersIn struct {
	Q            string `query:"q" maxLength:"64" doc:"Name, pinyin, initials, department, specialty"`
	DepartmentID string `query:"department_id" format:"uuid"`
	CampusID     string `query:"campus_id" format:"uuid"`
	Cursor       string `query:"cursor" maxLength:"1024"`
	Limit        int    `query:"limit" minimum:"1" maximum:"100" default:"20"`
}

func (s *Service) listPractitioners(ctx context.Context, a *httpx.API, in *listPractitionersIn) (*out[list[practitionerBody]], error) {
	q := directory.Query{Text: in.Q, Page: page.Request{Limit: in.Limit}}
	var err error
	if q.Department, err = optional[directory.Department](in.DepartmentID); err != nil {
		return nil, err
	}
	if q.Campus, err = optional[directory.Campus](in.CampusID); err != nil {
		return nil, err
	}
	if q.Page.Cursor, err = a.Unseal(ctx, in.Cursor); err != nil {
		return nil, err
	}
	found, err := s.Practitioners(ctx, httpx.TenantOf(ctx), q)
	if err != nil {
		return nil, err
	}
	o := &out[list[practitionerBody]]{list[practitionerBody]{Items: []practitionerBody{}, Next: a.Seal(ctx, found.Next)}}
	for _, p := range found.Items {
		o.Body.Items = append(o.Body.Items, s.body(p))
	}
	return o, nil
}

type idIn struct {
	ID string `path:"id" format:"uuid"`
}

func (s *Service) getPractitioner(ctx context.Context, in *idIn) (*tagged[practitionerBody], error) {
	pid, err := httpx.ID[directory.Practitioner](in.ID)
	if err != nil {
		return nil, err
	}
	p, err := s.Practitioner(ctx, httpx.TenantOf(ctx), pid)
	if err != nil {
		return nil, err
	}
	return &tagged[practitionerBody]{httpx.ETag(p.Version), s.body(p)}, nil
}

func optional[T any](text string) (id.ID[T], error) {
	if text == "" {
		return id.ID[T]{}, nil
	}
	return httpx.ID[T](text)
}
