// Package directory knows the institutions, places and people of care (机构, 院区,
// 科室, 医师): FHIR Organization, Location, HealthcareService, Practitioner and
// PractitionerRole.
//
// Invariants: a licence number belongs to one practitioner of a tenant; departments
// form a tree within a campus; a practitioner works in at least one department.
package directory

import (
	"context"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/id"
	"xinglin/internal/kernel/page"
)

// Ids of the nouns.
type (
	OrganizationID = id.ID[auth.Organization]
	CampusID       = id.ID[Campus]
	DepartmentID   = id.ID[Department]
	PractitionerID = id.ID[Practitioner]
	TenantID       = id.ID[auth.Tenant]
)

// Licence is a permit of an institution, with its validity (R41).
type Licence struct {
	Kind      string     `json:"kind"` // 医疗机构执业许可证, 互联网药品信息服务资格证书
	Number    string     `json:"number"`
	Authority string     `json:"authority"`
	ValidFrom clock.Date `json:"valid_from"`
	ValidTo   clock.Date `json:"valid_to"`
}

// Organization is an institution of the tenant.
type Organization struct {
	ID       OrganizationID
	Name     string
	NameEN   string
	Licences []Licence
	Version  int64
}

// Campus is a place of care (院区).
type Campus struct {
	ID           CampusID
	Organization OrganizationID
	Name         string
	NameEN       string
	Address      string
	Phone        string // of the desk, public
	Version      int64
}

// Department is a service of a campus (科室); Parent is zero at the root of the tree.
type Department struct {
	ID          DepartmentID
	Campus      CampusID
	Parent      DepartmentID
	Name        string
	NameEN      string
	Location    string // 门诊楼3层
	Intro       string
	DoctorCount int
	Version     int64
}

// Practitioner is a clinician with the role that the public sees.
type Practitioner struct {
	ID             PractitionerID
	Licence        string // 医师执业证书编码
	Name           string
	Title          string // 主任医师 副主任医师 主治医师 住院医师
	Specialty      string // words that patients search for
	PractisingFrom clock.Date
	Department     DepartmentID
	DepartmentName string
	Campus         CampusID
	CampusName     string
	Version        int64
}

// Query filters practitioners. Text matches name, pinyin (full and initials),
// department and specialty words.
type Query struct {
	Text       string
	Department DepartmentID
	Campus     CampusID
	Page       page.Request
}

// Label is what lists show of a practitioner, department and campus.
type Label struct {
	Name, NameEN, Title, Location string
}

// Roster is a hospital's own list of places and people, as an import brings it.
// Departments name their campus, people their department and campus, by name.
type Roster struct {
	Campuses    []string
	Departments []RosterDepartment
	Doctors     []RosterDoctor
}

// RosterDepartment is a department by name within a campus.
type RosterDepartment struct{ Campus, Name, Location string }

// RosterDoctor is a doctor by licence number.
type RosterDoctor struct{ Licence, Name, Title, Campus, Department, Specialty string }

// Placed says which ids a roster's names have, and what was (or would be) new.
type Placed struct {
	Campuses    map[string]CampusID
	Departments map[RosterDepartmentKey]DepartmentID
	Doctors     map[string]PractitionerID // by licence
	New         []string                  // "院区 东院区", for the report
}

// RosterDepartmentKey is campus and department name.
type RosterDepartmentKey struct{ Campus, Name string }

// Service is what others may ask. Reads are public within the tenant.
type Service interface {
	Organization(ctx context.Context, tenant TenantID) (Organization, error)
	Campuses(ctx context.Context, tenant TenantID) ([]Campus, error)
	Departments(ctx context.Context, tenant TenantID, campus CampusID) ([]Department, error)
	Practitioners(ctx context.Context, tenant TenantID, q Query) (page.Page[Practitioner], error)
	Practitioner(ctx context.Context, tenant TenantID, p PractitionerID) (Practitioner, error)
	// Labels reads names in one batch, at most 200 ids of each kind; unknown ids are left out.
	Labels(ctx context.Context, tenant TenantID, ps []PractitionerID, ds []DepartmentID, cs []CampusID) (Labels, error)
	// Place creates what the roster names and the directory lacks, all or nothing; with dryRun it only says what would be new.
	// A known licence with another name is directory.licence_taken. Needs the operator's right.
	Place(ctx context.Context, r Roster, dryRun bool) (Placed, error)
	// SetOrganization creates or changes the tenant's own institution.
	SetOrganization(ctx context.Context, o Organization) (Organization, error)
	// Describe fills in what a roster does not know (English names, address, phone, intro, specialty, practising since). Zero fields stay.
	Describe(ctx context.Context, c []Campus, d []Department, p []Practitioner) error
	// Take brings in entries of another system's list, found again by identifier: at most MaxIncoming, in their order, together or
	// each for itself, never half an entry. What the directory refuses is in its Taken; with dryRun it only says what would be.
	Take(ctx context.Context, in []Incoming, dryRun bool) ([]Taken, error)
	// Identified finds an entry by identifier; directory.not_found when there is none.
	Identified(ctx context.Context, tenant TenantID, n Noun, i Identifier) (id.ID[id.Any], error)
}

// Labels is the answer of Service.Labels.
type Labels struct {
	Practitioners map[PractitionerID]Label
	Departments   map[DepartmentID]Label
	Campuses      map[CampusID]Label
}
