package directorysvc

import (
	"context"
	"strings"

	"xinglin/internal/directory"
	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/fault"
	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/authz"
)

const maxRoster = 50_000

// Place creates what a roster names and the directory lacks.
func (s *Service) Place(ctx context.Context, r directory.Roster, dryRun bool) (directory.Placed, error) {
	who, d, err := s.may(ctx, "directory.place")
	if err != nil {
		return directory.Placed{}, err
	}
	if err := checkRoster(r); err != nil {
		return directory.Placed{}, err
	}
	return s.store.place(ctx, s.base.DB, who.Tenant, r, d.Policy, dryRun)
}

func checkRoster(r directory.Roster) error {
	if len(r.Campuses)+len(r.Departments)+len(r.Doctors) > maxRoster {
		return directory.ErrInvalid.Because("more than %d entries", maxRoster)
	}
	var ds []fault.Detail
	bad := func(path, what string) {
		ds = append(ds, fault.Detail{Path: path, Code: "directory.invalid", Message: what})
	}
	for _, c := range r.Campuses {
		if strings.TrimSpace(c) == "" {
			bad("campuses", "a campus needs a name")
		}
	}
	for _, d := range r.Departments {
		if strings.TrimSpace(d.Name) == "" || strings.TrimSpace(d.Campus) == "" {
			bad("departments", "a department needs a name and a campus")
		}
	}
	for _, d := range r.Doctors {
		if d.Licence == "" || d.Name == "" || d.Department == "" || d.Campus == "" {
			bad("doctors", "a doctor needs licence number, name, department and campus")
		}
	}
	if len(ds) > 0 {
		return directory.ErrInvalid.With(ds[:min(len(ds), 50)]...)
	}
	return nil
}

// SetOrganization creates or changes the tenant's own institution.
func (s *Service) SetOrganization(ctx context.Context, o directory.Organization) (directory.Organization, error) {
	who, d, err := s.may(ctx, "directory.set_organization")
	if err != nil {
		return directory.Organization{}, err
	}
	if err := checkOrganization(o); err != nil {
		return directory.Organization{}, err
	}
	if o.Licences == nil {
		o.Licences = []directory.Licence{}
	}
	return s.store.setOrganization(ctx, s.base.DB, who.Tenant, o, d.Policy)
}

func checkOrganization(o directory.Organization) error {
	if o.Name == "" || len(o.Licences) > 50 {
		return directory.ErrInvalid.At("name", "needed")
	}
	return nil
}

// Describe fills in what a roster does not know.
func (s *Service) Describe(ctx context.Context, c []directory.Campus, ds []directory.Department, ps []directory.Practitioner) error {
	who, d, err := s.may(ctx, "directory.describe")
	if err != nil {
		return err
	}
	return s.store.describe(ctx, s.base.DB, who.Tenant, details{c, ds, ps}, d.Policy)
}

// create makes one entry by hand: the same road as a roster of one. The same again is the same entry.
func (s *Service) create(ctx context.Context, action string, r directory.Roster, fill func(directory.Placed) details) (directory.Placed, error) {
	who, d, err := s.may(ctx, action)
	if err != nil {
		return directory.Placed{}, err
	}
	if err := checkRoster(r); err != nil {
		return directory.Placed{}, err
	}
	return s.store.create(ctx, s.base.DB, who.Tenant, r, fill, action, d.Policy)
}

// update changes what the public sees of a practitioner, if nobody was faster.
func (s *Service) update(ctx context.Context, p directory.Practitioner) (directory.Practitioner, error) {
	who, d, err := s.may(ctx, "directory.update_practitioner")
	if err != nil {
		return directory.Practitioner{}, err
	}
	if p.Name == "" || p.Title == "" {
		return directory.Practitioner{}, directory.ErrInvalid.At("name", "name and title are needed")
	}
	if err := s.store.updatePractitioner(ctx, s.base.DB, who.Tenant, p, d.Policy); err != nil {
		return directory.Practitioner{}, err
	}
	return s.store.practitioner(ctx, s.base.DB, who.Tenant, p.ID)
}

func (s *Service) may(ctx context.Context, action string) (auth.Principal, authz.Decision, error) {
	who, err := auth.From(ctx)
	if err != nil {
		return who, authz.Decision{}, err
	}
	d, err := s.base.Authz.Check(ctx, authz.Request{Action: action, Noun: "Directory", ID: id.ID[id.Any](who.Tenant).String()})
	return who, d, err
}
