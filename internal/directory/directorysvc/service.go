package directorysvc

import (
	"context"

	"xinglin/internal/directory"
	"xinglin/internal/kernel/page"
	"xinglin/internal/platform/module"
)

// Service implements directory.Service.
type Service struct {
	base  module.Base
	store store
}

// Lists that are not paged are bounded by what a hospital group can have.
const (
	maxCampuses    = 100
	maxDepartments = 2000
	maxLabels      = 200
)

// Organization is the tenant's own institution.
func (s *Service) Organization(ctx context.Context, tenant directory.TenantID) (directory.Organization, error) {
	return s.store.organization(ctx, s.base.DB, tenant)
}

// Campuses lists the places of care.
func (s *Service) Campuses(ctx context.Context, tenant directory.TenantID) ([]directory.Campus, error) {
	return s.store.campuses(ctx, s.base.DB, tenant)
}

// Departments lists the departments of a campus, or of all when campus is zero.
func (s *Service) Departments(ctx context.Context, tenant directory.TenantID, campus directory.CampusID) ([]directory.Department, error) {
	return s.store.departments(ctx, s.base.DB, tenant, campus)
}

// Practitioners searches.
func (s *Service) Practitioners(ctx context.Context, tenant directory.TenantID, q directory.Query) (page.Page[directory.Practitioner], error) {
	return s.store.practitioners(ctx, s.base.DB, tenant, q)
}

// Practitioner reads one.
func (s *Service) Practitioner(ctx context.Context, tenant directory.TenantID, p directory.PractitionerID) (directory.Practitioner, error) {
	return s.store.practitioner(ctx, s.base.DB, tenant, p)
}

// Labels reads names in one batch.
func (s *Service) Labels(ctx context.Context, tenant directory.TenantID, ps []directory.PractitionerID, ds []directory.DepartmentID, cs []directory.CampusID) (directory.Labels, error) {
	if len(ps) > maxLabels || len(ds) > maxLabels || len(cs) > maxLabels {
		return directory.Labels{}, directory.ErrInvalid.Because("more than %d ids in a batch", maxLabels)
	}
	return s.store.labels(ctx, s.base.DB, tenant, ps, ds, cs)
}
