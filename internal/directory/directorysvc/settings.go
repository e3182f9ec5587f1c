package directorysvc

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"xinglin/internal/directory"
	"xinglin/internal/kernel/auth"
	"xinglin/internal/platform/settings"
)

// organizationSection is the tenant's own institution as a configuration has it.
type organizationSection struct {
	Name     string              `json:"name"`
	NameEN   string              `json:"name_en"`
	Licences []directory.Licence `json:"licences"`
}

// campusSection is one place of care, found again by its name.
type campusSection struct {
	Name    string `json:"name"`
	NameEN  string `json:"name_en"`
	Address string `json:"address"`
	Phone   string `json:"phone"`
}

func (s *Service) settings() []settings.Section {
	return []settings.Section{
		settings.Of("directory.organization", settings.Words{ZH: "机构与执业许可", EN: "The institution and its licences"},
			s.organizationSection,
			func(_ context.Context, o organizationSection) error { return o.check() }, s.putOrganization),
		settings.Of("directory.campuses", settings.Words{ZH: "院区", EN: "Places of care"}, s.campusesSection, s.checkCampuses, s.setCampuses),
	}
}

func (s *Service) organizationSection(ctx context.Context) (o organizationSection, err error) {
	o.Licences = []directory.Licence{}
	who, err := auth.From(ctx)
	if err != nil {
		return o, err
	}
	have, err := s.Organization(ctx, who.Tenant)
	if errors.Is(err, directory.ErrNotFound) {
		return o, nil
	}
	if have.Licences == nil {
		have.Licences = o.Licences
	}
	return organizationSection{have.Name, have.NameEN, have.Licences}, err
}

// check lets an institution pass that was never named: a fresh installation's, and what a rollback puts back.
func (o organizationSection) check() error {
	if o.Licences == nil {
		return directory.ErrInvalid.At("licences", "want a list")
	}
	if o.Name == "" && o.NameEN == "" && len(o.Licences) == 0 {
		return nil
	}
	return checkOrganization(o.entry())
}

func (o organizationSection) entry() directory.Organization {
	return directory.Organization{Name: o.Name, NameEN: o.NameEN, Licences: o.Licences}
}

func (s *Service) putOrganization(ctx context.Context, o organizationSection) error {
	who, d, err := s.may(ctx, "directory.set_organization")
	if err != nil {
		return err
	}
	if err := o.check(); err != nil {
		return err
	}
	_, err = s.store.setOrganization(ctx, s.base.DB, who.Tenant, o.entry(), d.Policy)
	return err
}

// campusesSection has them in the order of their names: two installations with the same places have the same text.
func (s *Service) campusesSection(ctx context.Context) ([]campusSection, error) {
	who, err := auth.From(ctx)
	if err != nil {
		return nil, err
	}
	cs, err := s.Campuses(ctx, who.Tenant)
	out := []campusSection{}
	for _, c := range cs {
		out = append(out, campusSection{c.Name, c.NameEN, c.Address, c.Phone})
	}
	slices.SortFunc(out, byName)
	return out, err
}

func byName(a, b campusSection) int { return strings.Compare(a.Name, b.Name) }

// checkCampuses refuses malformed ones, and a list without a campus that has departments.
func (s *Service) checkCampuses(ctx context.Context, cs []campusSection) error {
	if cs == nil || len(cs) > maxCampuses {
		return directory.ErrInvalid.At("campuses", fmt.Sprintf("want a list of at most %d", maxCampuses))
	}
	if !slices.IsSortedFunc(cs, byName) {
		return directory.ErrInvalid.At("campuses", "want them in the order of their names")
	}
	named := map[string]bool{}
	for i, c := range cs {
		at := fmt.Sprintf("campuses[%d].", i)
		for _, f := range []struct {
			name, text string
			most       int
		}{{"name", c.Name, 60}, {"name_en", c.NameEN, 120}, {"address", c.Address, 200}, {"phone", c.Phone, 40}} {
			if utf8.RuneCountInString(f.text) > f.most {
				return directory.ErrInvalid.At(at+f.name, fmt.Sprintf("at most %d characters", f.most))
			}
		}
		if strings.TrimSpace(c.Name) != c.Name || c.Name == "" || named[c.Name] {
			return directory.ErrInvalid.At(at+"name", "a name of its own")
		}
		named[c.Name] = true
	}
	who, err := auth.From(ctx)
	if err != nil {
		return err
	}
	inUse, err := s.store.campusesInUse(ctx, s.base.DB, who.Tenant)
	if err != nil {
		return err
	}
	for _, name := range inUse {
		if !named[name] {
			return directory.ErrInUse.At("campuses", name)
		}
	}
	return nil
}

// setCampuses makes the places of care exactly these.
func (s *Service) setCampuses(ctx context.Context, cs []campusSection) error {
	who, d, err := s.may(ctx, "directory.set_campuses")
	if err != nil {
		return err
	}
	if err := s.checkCampuses(ctx, cs); err != nil {
		return err
	}
	return s.store.setCampuses(ctx, s.base.DB, who.Tenant, cs, d.Policy)
}
