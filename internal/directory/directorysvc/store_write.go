package directorysvc

import (
	"context"
	"errors"
	"slices"

	"xinglin/internal/directory"
	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/outbox"
	"xinglin/internal/platform/trail"
)

// errDryRun rolls a placement back after it was tried for real.
var errDryRun = errors.New("dry run")

// details are what a roster does not know, by the ids that it was given.
type details struct {
	campuses      []directory.Campus
	departments   []directory.Department
	practitioners []directory.Practitioner
}

func newPlacing(ctx context.Context, tx db.Tx) *placing {
	return &placing{ctx: ctx, tx: tx, names: map[string]string{}, out: directory.Placed{
		Campuses:    map[string]directory.CampusID{},
		Departments: map[directory.RosterDepartmentKey]directory.DepartmentID{},
		Doctors:     map[string]directory.PractitionerID{},
	}}
}

// create places one entry by hand and fills it in, in one transaction.
func (store) create(ctx context.Context, d *db.DB, tenant directory.TenantID, r directory.Roster, fill func(directory.Placed) details, action, policy string) (out directory.Placed, err error) {
	err = d.Write(ctx, tenant, func(ctx context.Context, tx db.Tx) error {
		p := newPlacing(ctx, tx)
		if err := p.all(r); err != nil {
			return err
		}
		if err := describe(ctx, tx, fill(p.out)); err != nil {
			return err
		}
		out = p.out
		_, err := trail.Record(ctx, tx, trail.Entry{Action: action, Noun: "Directory", ID: id.ID[id.Any](tenant).String(), Policy: policy})
		return err
	})
	return out, err
}

func (store) place(ctx context.Context, d *db.DB, tenant directory.TenantID, r directory.Roster, policy string, dryRun bool) (directory.Placed, error) {
	var out directory.Placed
	err := d.Write(ctx, tenant, func(ctx context.Context, tx db.Tx) error {
		p := newPlacing(ctx, tx)
		if err := p.all(r); err != nil {
			return err
		}
		out = p.out
		if len(out.New) > 0 && !dryRun {
			_, err := trail.Record(ctx, tx, trail.Entry{Action: "directory.place", Noun: "Directory", ID: id.ID[id.Any](tenant).String(), Policy: policy, Changed: []string{"campus", "department", "practitioner"}})
			if err != nil {
				return err
			}
		}
		if dryRun {
			return errDryRun
		}
		return nil
	})
	if errors.Is(err, errDryRun) {
		err = nil
	}
	return out, err
}

// placing is one roster on its way into the directory. Every insert is conditional on
// the unique key, so that two imports at once make each entry once.
type placing struct {
	ctx   context.Context
	tx    db.Tx
	org   directory.OrganizationID
	names map[string]string // by licence, of this roster
	out   directory.Placed
}

func (p *placing) all(r directory.Roster) error {
	if err := p.organization(); err != nil {
		return err
	}
	for _, c := range r.Campuses {
		if err := p.campus(c); err != nil {
			return err
		}
	}
	for _, d := range r.Departments {
		if err := p.department(d); err != nil {
			return err
		}
	}
	for _, d := range r.Doctors {
		if err := p.doctor(d); err != nil {
			return err
		}
	}
	return nil
}

// organization finds the tenant's institution, or makes an unnamed one for the first import.
func (p *placing) organization() error {
	err := p.tx.QueryRow(p.ctx, `SELECT id FROM organization WHERE tenant_id = $1 AND id = tenant_id`, p.tx.Tenant()).Scan(&p.org)
	if !errors.Is(err, db.ErrNoRows) {
		return err
	}
	p.org = directory.OrganizationID(p.tx.Tenant())
	_, err = p.tx.Exec(p.ctx, `INSERT INTO organization (tenant_id, id, name, name_en, licences, version) VALUES ($1, $2, '', '', $3, 1) ON CONFLICT DO NOTHING`,
		p.tx.Tenant(), p.org, db.JSON([]directory.Licence{}))
	return err
}

func (p *placing) campus(name string) error {
	if _, ok := p.out.Campuses[name]; ok {
		return nil
	}
	v := id.New[directory.Campus](p.tx.Now())
	n, err := p.tx.Exec(p.ctx, `INSERT INTO campus (tenant_id, id, organization_id, name, name_en, address, phone, version) VALUES ($1, $2, $3, $4, '', '', '', 1)
		ON CONFLICT DO NOTHING`, p.tx.Tenant(), v, p.org, name)
	if err != nil {
		return err
	}
	if n == 0 {
		if err := p.tx.QueryRow(p.ctx, `SELECT id FROM campus WHERE tenant_id = $1 AND name = $2`, p.tx.Tenant(), name).Scan(&v); err != nil {
			return err
		}
	} else {
		p.out.New = append(p.out.New, "院区 "+name)
	}
	p.out.Campuses[name] = v
	return nil
}

func (p *placing) department(d directory.RosterDepartment) error {
	k := directory.RosterDepartmentKey{Campus: d.Campus, Name: d.Name}
	if _, ok := p.out.Departments[k]; ok {
		return nil
	}
	if err := p.campus(d.Campus); err != nil {
		return err
	}
	campus := p.out.Campuses[d.Campus]
	v := id.New[directory.Department](p.tx.Now())
	n, err := p.tx.Exec(p.ctx, `INSERT INTO department (tenant_id, id, campus_id, parent_id, name, name_en, location, intro, version)
		VALUES ($1, $2, $3, NULL, $4, '', $5, '', 1) ON CONFLICT DO NOTHING`, p.tx.Tenant(), v, campus, d.Name, d.Location)
	if err != nil {
		return err
	}
	if n == 0 {
		err := p.tx.QueryRow(p.ctx, `SELECT id FROM department WHERE tenant_id = $1 AND campus_id = $2 AND name = $3`, p.tx.Tenant(), campus, d.Name).Scan(&v)
		if err != nil {
			return err
		}
	} else {
		p.out.New = append(p.out.New, "科室 "+d.Campus+" "+d.Name)
	}
	p.out.Departments[k] = v
	return nil
}

func (p *placing) doctor(d directory.RosterDoctor) error {
	if err := p.department(directory.RosterDepartment{Campus: d.Campus, Name: d.Department}); err != nil {
		return err
	}
	dep := p.out.Departments[directory.RosterDepartmentKey{Campus: d.Campus, Name: d.Department}]
	v, seen := p.out.Doctors[d.Licence]
	fresh := false
	if !seen {
		var err error
		if v, fresh, err = p.practitioner(d, dep); err != nil {
			return err
		}
		p.out.Doctors[d.Licence], p.names[d.Licence] = v, d.Name
	} else if p.names[d.Licence] != d.Name {
		return directory.ErrLicenceTaken.At("licence_no", d.Licence)
	}
	n, err := p.tx.Exec(p.ctx, `INSERT INTO practitioner_role (tenant_id, practitioner_id, department_id, main)
		SELECT $1, $2, $3, NOT EXISTS (SELECT 1 FROM practitioner_role WHERE tenant_id = $1 AND practitioner_id = $2 AND main)
		ON CONFLICT DO NOTHING`, p.tx.Tenant(), v, dep)
	if err != nil || n == 0 || fresh {
		return err
	}
	p.out.New = append(p.out.New, "出诊 "+d.Licence+" "+d.Campus+" "+d.Department)
	return reindex(p.ctx, p.tx, v) // a further department is found by its words too
}

func (p *placing) practitioner(d directory.RosterDoctor, dep directory.DepartmentID) (v directory.PractitionerID, fresh bool, err error) {
	v = id.New[directory.Practitioner](p.tx.Now())
	n, err := p.tx.Exec(p.ctx, `INSERT INTO practitioner (tenant_id, id, licence, name, title, specialty, practising_from, search, version)
		VALUES ($1, $2, $3, $4, $5, $6, 0, $7, 1) ON CONFLICT DO NOTHING`,
		p.tx.Tenant(), v, d.Licence, d.Name, d.Title, d.Specialty, searchText(d.Name, d.Title, d.Specialty, d.Department, d.Campus))
	if err != nil {
		return v, false, err
	}
	if n == 1 {
		p.out.New = append(p.out.New, "医师 "+d.Licence)
		return v, true, outbox.Add(p.ctx, p.tx, directory.PractitionerChanged{Practitioner: v, Department: dep})
	}
	var name string
	if err := p.tx.QueryRow(p.ctx, `SELECT id, name FROM practitioner WHERE tenant_id = $1 AND licence = $2`, p.tx.Tenant(), d.Licence).Scan(&v, &name); err != nil {
		return v, false, err
	}
	if name != d.Name {
		return v, false, directory.ErrLicenceTaken.At("licence_no", d.Licence)
	}
	return v, false, nil
}

func (store) setOrganization(ctx context.Context, d *db.DB, tenant directory.TenantID, o directory.Organization, policy string) (directory.Organization, error) {
	o.ID = directory.OrganizationID(tenant) // the tenant is the legal operator: its own institution has its id
	err := d.Write(ctx, tenant, func(ctx context.Context, tx db.Tx) error {
		err := tx.QueryRow(ctx, `INSERT INTO organization (tenant_id, id, name, name_en, licences, version) VALUES ($1, $2, $3, $4, $5, 1)
			ON CONFLICT (tenant_id, id) DO UPDATE SET name = excluded.name, name_en = excluded.name_en, licences = excluded.licences, version = organization.version + 1
			RETURNING version`, tenant, o.ID, o.Name, o.NameEN, db.JSON(o.Licences)).Scan(&o.Version)
		if err != nil {
			return err
		}
		_, err = trail.Record(ctx, tx, trail.Entry{Action: "directory.set_organization", Noun: "Organization", ID: o.ID.String(), Policy: policy, Changed: []string{"name", "licences"}})
		return err
	})
	return o, err
}

func (store) describe(ctx context.Context, d *db.DB, tenant directory.TenantID, in details, policy string) error {
	return d.Write(ctx, tenant, func(ctx context.Context, tx db.Tx) error {
		if err := describe(ctx, tx, in); err != nil {
			return err
		}
		_, err := trail.Record(ctx, tx, trail.Entry{Action: "directory.describe", Noun: "Directory", ID: id.ID[id.Any](tenant).String(), Policy: policy})
		return err
	})
}

// describe fills in what is given; empty texts and zeros stay as they were.
func describe(ctx context.Context, tx db.Tx, in details) error {
	for _, c := range in.campuses {
		n, err := tx.Exec(ctx, `UPDATE campus SET name_en = CASE WHEN $3 = '' THEN name_en ELSE $3 END, address = CASE WHEN $4 = '' THEN address ELSE $4 END,
			phone = CASE WHEN $5 = '' THEN phone ELSE $5 END, version = version + 1 WHERE tenant_id = $1 AND id = $2`, tx.Tenant(), c.ID, c.NameEN, c.Address, c.Phone)
		if err := found(n, err); err != nil {
			return err
		}
	}
	for _, v := range in.departments {
		if err := describeDepartment(ctx, tx, v); err != nil {
			return err
		}
	}
	for _, p := range in.practitioners {
		n, err := tx.Exec(ctx, `UPDATE practitioner SET specialty = CASE WHEN $3 = '' THEN specialty ELSE $3 END,
			practising_from = CASE WHEN $4 = 0 THEN practising_from ELSE $4 END, version = version + 1 WHERE tenant_id = $1 AND id = $2`,
			tx.Tenant(), p.ID, p.Specialty, p.PractisingFrom)
		if err := found(n, err); err != nil {
			return err
		}
		if err := reindex(ctx, tx, p.ID); err != nil {
			return err
		}
	}
	return nil
}

func found(n int64, err error) error {
	if err == nil && n == 0 {
		return directory.ErrNotFound.New()
	}
	return err
}

// describeDepartment also moves a department below another one of its campus. The
// campus's row is locked first, so that two moves at once cannot close a loop together.
func describeDepartment(ctx context.Context, tx db.Tx, v directory.Department) error {
	if !v.Parent.IsZero() {
		_, err := tx.Exec(ctx, `UPDATE campus SET version = version WHERE tenant_id = $1
			AND id = (SELECT campus_id FROM department WHERE tenant_id = $1 AND id = $2)`, tx.Tenant(), v.ID)
		if err != nil {
			return err
		}
		var above int
		err = tx.QueryRow(ctx, `WITH RECURSIVE up (id, parent_id) AS (
				SELECT id, parent_id FROM department WHERE tenant_id = $1 AND id = $2
				UNION SELECT d.id, d.parent_id FROM department d JOIN up ON d.id = up.parent_id WHERE d.tenant_id = $1)
			SELECT COUNT(*) FROM up WHERE id = $3`, tx.Tenant(), v.Parent, v.ID).Scan(&above)
		if err != nil {
			return err
		}
		if above > 0 {
			return directory.ErrLoop.New()
		}
	}
	n, err := tx.Exec(ctx, `UPDATE department SET name_en = CASE WHEN $3 = '' THEN name_en ELSE $3 END, location = CASE WHEN $4 = '' THEN location ELSE $4 END,
		intro = CASE WHEN $5 = '' THEN intro ELSE $5 END, parent_id = COALESCE($6, parent_id), version = version + 1 WHERE tenant_id = $1 AND id = $2`,
		tx.Tenant(), v.ID, v.NameEN, v.Location, v.Intro, id.Null(v.Parent))
	if db.IsForeign(err) { // no such department in this campus
		return directory.ErrNotFound.New()
	}
	return found(n, err)
}

func (store) updatePractitioner(ctx context.Context, d *db.DB, tenant directory.TenantID, p directory.Practitioner, policy string) error {
	return d.Write(ctx, tenant, func(ctx context.Context, tx db.Tx) error {
		n, err := tx.Exec(ctx, `UPDATE practitioner SET name = $3, title = $4, specialty = $5, practising_from = $6, version = version + 1
			WHERE tenant_id = $1 AND id = $2 AND version = $7`, tenant, p.ID, p.Name, p.Title, p.Specialty, p.PractisingFrom, p.Version)
		if err != nil {
			return err
		}
		var dep directory.DepartmentID
		err = one(tx.QueryRow(ctx, `SELECT department_id FROM practitioner_role WHERE tenant_id = $1 AND practitioner_id = $2 AND main`, tenant, p.ID).Scan(&dep))
		if err != nil {
			return err
		}
		if n == 0 {
			return directory.ErrStale.New()
		}
		if err := reindex(ctx, tx, p.ID); err != nil {
			return err
		}
		if err := outbox.Add(ctx, tx, directory.PractitionerChanged{Practitioner: p.ID, Department: dep}); err != nil {
			return err
		}
		_, err = trail.Record(ctx, tx, trail.Entry{Action: "directory.update_practitioner", Noun: "Practitioner", ID: p.ID.String(), Policy: policy, Changed: []string{"name", "title", "specialty", "practising_from"}})
		return err
	})
}

// reindex rewrites the words that a search looks in, after the row was locked by its update.
func reindex(ctx context.Context, tx db.Tx, p directory.PractitionerID) error {
	rows, err := tx.Query(ctx, practitionerColumns+` WHERE p.tenant_id = $1 AND p.id = $2 ORDER BY r.department_id`, tx.Tenant(), p)
	roles, err := db.Collect(rows, err, func(r db.Rows, v *directory.Practitioner) error { return scanPractitioner(r, v) })
	if err != nil || len(roles) == 0 {
		return err
	}
	var places []string
	for _, r := range roles {
		for _, p := range []string{r.DepartmentName, r.CampusName} {
			if !slices.Contains(places, p) {
				places = append(places, p)
			}
		}
	}
	_, err = tx.Exec(ctx, `UPDATE practitioner SET search = $3 WHERE tenant_id = $1 AND id = $2`, tx.Tenant(), p,
		searchText(roles[0].Name, roles[0].Title, roles[0].Specialty, places...))
	return err
}
