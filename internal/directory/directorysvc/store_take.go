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

// taking is what one Take is about.
type taking struct {
	policy string
	dryRun bool // look, and write nothing
}

// taker brings entries in within one transaction. Looking comes first, for the report;
// what holds is the constraint or the version in each write.
type taker struct {
	taking
	ctx context.Context
	tx  db.Tx
}

// take brings in the entries with the given indexes and fills their answers.
func (store) take(ctx context.Context, d *db.DB, tenant directory.TenantID, job taking, in []directory.Incoming, which []int, out []directory.Taken) error {
	if len(which) == 0 {
		return nil
	}
	work := func(ctx context.Context, tx db.Tx) error {
		t := taker{job, ctx, tx}
		for _, i := range which {
			v, err := t.entry(in[i])
			if err != nil {
				return err
			}
			out[i] = v
		}
		return nil
	}
	if job.dryRun {
		return d.Read(ctx, tenant, work)
	}
	return d.Write(ctx, tenant, work)
}

func (store) identified(ctx context.Context, d *db.DB, tenant directory.TenantID, n directory.Noun, i directory.Identifier) (v id.ID[id.Any], err error) {
	err = d.Read(ctx, tenant, func(ctx context.Context, tx db.Tx) error {
		return one(tx.QueryRow(ctx, `SELECT entry_id FROM identifier WHERE tenant_id = $1 AND noun = $2 AND system = $3 AND value = $4`,
			tenant, n, i.System, i.Value).Scan(&v))
	})
	return v, err
}

func (t taker) entry(e directory.Incoming) (directory.Taken, error) {
	switch {
	case e.Organization != nil:
		return t.organization(e.Identifiers, *e.Organization)
	case e.Campus != nil:
		return t.campus(e.Identifiers, *e.Campus)
	case e.Department != nil:
		return t.department(e.Identifiers, *e.Department)
	}
	return t.practitioner(e.Identifiers, *e.Practitioner)
}

// known finds the entry that carries one of the identifiers; zero when none does.
func (t taker) known(n directory.Noun, is []directory.Identifier) (found id.ID[id.Any], err error) {
	for _, i := range is {
		var v id.ID[id.Any]
		err := t.tx.QueryRow(t.ctx, `SELECT entry_id FROM identifier WHERE tenant_id = $1 AND noun = $2 AND system = $3 AND value = $4`,
			t.tx.Tenant(), n, i.System, i.Value).Scan(&v)
		switch {
		case errors.Is(err, db.ErrNoRows):
		case err != nil:
			return v, err
		case !found.IsZero() && found != v:
			return v, directory.ErrIdentifierTaken.At("identifier", "two entries carry the identifiers of this one")
		default:
			found = v
		}
	}
	return found, nil
}

// identify gives the entry its identifiers; true when one was new.
func (t taker) identify(n directory.Noun, entry id.ID[id.Any], is []directory.Identifier) (fresh bool, err error) {
	for _, i := range is {
		var holder id.ID[id.Any]
		look := func() error {
			return t.tx.QueryRow(t.ctx, `SELECT entry_id FROM identifier WHERE tenant_id = $1 AND noun = $2 AND system = $3 AND value = $4`,
				t.tx.Tenant(), n, i.System, i.Value).Scan(&holder)
		}
		err := look()
		if errors.Is(err, db.ErrNoRows) {
			fresh = true
			if t.dryRun {
				continue
			}
			_, err = t.tx.Exec(t.ctx, `INSERT INTO identifier (tenant_id, noun, system, value, entry_id, created_at) VALUES ($1, $2, $3, $4, $5, $6)
				ON CONFLICT DO NOTHING`, t.tx.Tenant(), n, i.System, i.Value, entry, t.tx.Now().UnixMicro())
			if err == nil {
				err = look()
			}
		}
		if err != nil {
			return false, err
		}
		if holder != entry {
			return false, directory.ErrIdentifierTaken.At("identifier", "it belongs to another entry")
		}
	}
	return fresh, nil
}

// done writes the audit row of what was not the same, and makes the answer.
func (t taker) done(n directory.Noun, entry id.ID[id.Any], made bool, changed []string) (directory.Taken, error) {
	out := directory.Taken{ID: entry, Outcome: directory.Same}
	switch {
	case made:
		out.Outcome = directory.Created
	case len(changed) > 0:
		out.Outcome = directory.Changed
	default:
		return out, nil
	}
	if t.dryRun {
		return out, nil
	}
	_, err := trail.Record(t.ctx, t.tx, trail.Entry{Action: "directory.take", Noun: string(n), ID: entry.String(), Policy: t.policy, Changed: changed})
	return out, err
}

// differ lists the fields that the incoming entry has and that are not as they were.
func differ(pairs ...[3]string) (names []string) {
	for _, p := range pairs {
		if p[2] != "" && p[1] != p[2] {
			names = append(names, p[0])
		}
	}
	return names
}

// or is the incoming text, or what was there.
func or(incoming, was string) string {
	if incoming != "" {
		return incoming
	}
	return was
}

// hasIdentifier reports whether somebody's list named the entry before.
func (t taker) hasIdentifier(entry id.ID[id.Any]) (bool, error) {
	var n int
	err := t.tx.QueryRow(t.ctx, `SELECT COUNT(*) FROM identifier WHERE tenant_id = $1 AND entry_id = $2`, t.tx.Tenant(), entry).Scan(&n)
	return n > 0, err
}

func (t taker) organization(is []directory.Identifier, o directory.Organization) (directory.Taken, error) {
	found, err := t.known(directory.NounOrganization, is)
	if err != nil {
		return directory.Taken{}, err
	}
	if found.IsZero() { // an institution of this name that no list named yet is the same one
		err := t.tx.QueryRow(t.ctx, `SELECT id FROM organization WHERE tenant_id = $1 AND name = $2 AND NOT EXISTS (SELECT 1 FROM identifier i
			WHERE i.tenant_id = $1 AND i.entry_id = organization.id AND i.noun = 'Organization') ORDER BY id LIMIT 1`, t.tx.Tenant(), o.Name).Scan(&found)
		if err != nil && !errors.Is(err, db.ErrNoRows) {
			return directory.Taken{}, err
		}
	}
	made := found.IsZero()
	var changed []string
	if made {
		found = id.New[id.Any](t.tx.Now())
		if !t.dryRun {
			_, err = t.tx.Exec(t.ctx, `INSERT INTO organization (tenant_id, id, name, name_en, licences, version) VALUES ($1, $2, $3, $4, $5, 1)`,
				t.tx.Tenant(), found, o.Name, o.NameEN, db.JSON([]directory.Licence{}))
		}
	} else {
		var was directory.Organization
		err = one(t.tx.QueryRow(t.ctx, `SELECT name, name_en, version FROM organization WHERE tenant_id = $1 AND id = $2`, t.tx.Tenant(), found).
			Scan(&was.Name, &was.NameEN, &was.Version))
		changed = differ([3]string{"name", was.Name, o.Name}, [3]string{"name_en", was.NameEN, o.NameEN})
		if err == nil && len(changed) > 0 && !t.dryRun {
			err = versioned(t.tx.Exec(t.ctx, `UPDATE organization SET name = $3, name_en = $4, version = version + 1 WHERE tenant_id = $1 AND id = $2 AND version = $5`,
				t.tx.Tenant(), found, or(o.Name, was.Name), or(o.NameEN, was.NameEN), was.Version))
		}
	}
	if err != nil {
		return directory.Taken{}, err
	}
	return t.finish(directory.NounOrganization, found, is, made, changed)
}

// finish gives the identifiers and closes the entry.
func (t taker) finish(n directory.Noun, entry id.ID[id.Any], is []directory.Identifier, made bool, changed []string) (directory.Taken, error) {
	fresh, err := t.identify(n, entry, is)
	if err != nil {
		return directory.Taken{}, err
	}
	if fresh && !made {
		changed = append(changed, "identifier")
	}
	return t.done(n, entry, made, changed)
}

// versioned is directory.stale when a write found another version.
func versioned(n int64, err error) error {
	if err == nil && n == 0 {
		return directory.ErrStale.New()
	}
	return err
}

func (t taker) campus(is []directory.Identifier, c directory.Campus) (directory.Taken, error) {
	found, err := t.known(directory.NounCampus, is)
	if err != nil {
		return directory.Taken{}, err
	}
	if c.Organization.IsZero() {
		if c.Organization, err = t.own(); err != nil {
			return directory.Taken{}, err
		}
	}
	var was directory.Campus
	err = t.tx.QueryRow(t.ctx, `SELECT id, organization_id, name, address, phone, version FROM campus WHERE tenant_id = $1 AND (id = $2 OR name = $3)
		ORDER BY CASE WHEN id = $2 THEN 0 ELSE 1 END LIMIT 1`, t.tx.Tenant(), found, c.Name).
		Scan(&was.ID, &was.Organization, &was.Name, &was.Address, &was.Phone, &was.Version)
	made := errors.Is(err, db.ErrNoRows)
	if made {
		found = id.New[id.Any](t.tx.Now())
		return t.newCampus(found, is, c)
	}
	if err != nil {
		return directory.Taken{}, err
	}
	if found.IsZero() { // of the same name: the same place, unless another list named it for another institution
		found = id.As[id.Any](was.ID)
		named, err := t.hasIdentifier(found)
		if err != nil {
			return directory.Taken{}, err
		}
		if named && was.Organization != c.Organization {
			return directory.Taken{}, directory.ErrNameTaken.At("name", "another campus has this name")
		}
	}
	changed := differ([3]string{"name", was.Name, c.Name}, [3]string{"address", was.Address, c.Address}, [3]string{"phone", was.Phone, c.Phone})
	if was.Organization != c.Organization {
		changed = append(changed, "organization")
	}
	if len(changed) > 0 && !t.dryRun {
		err = versioned(t.tx.Exec(t.ctx, `UPDATE campus SET organization_id = $3, name = $4, address = $5, phone = $6, version = version + 1
			WHERE tenant_id = $1 AND id = $2 AND version = $7`, t.tx.Tenant(), found, c.Organization, or(c.Name, was.Name), or(c.Address, was.Address), or(c.Phone, was.Phone), was.Version))
		if db.IsUnique(err) {
			return directory.Taken{}, directory.ErrNameTaken.At("name", "another campus has this name")
		}
		if err == nil && slices.Contains(changed, "name") {
			err = t.reindexCampus(id.As[directory.Campus](found))
		}
		if err != nil {
			return directory.Taken{}, err
		}
	}
	return t.finish(directory.NounCampus, found, is, false, changed)
}

func (t taker) newCampus(v id.ID[id.Any], is []directory.Identifier, c directory.Campus) (directory.Taken, error) {
	if !t.dryRun {
		n, err := t.tx.Exec(t.ctx, `INSERT INTO campus (tenant_id, id, organization_id, name, name_en, address, phone, version)
			VALUES ($1, $2, $3, $4, $5, $6, $7, 1) ON CONFLICT DO NOTHING`, t.tx.Tenant(), v, c.Organization, c.Name, c.NameEN, c.Address, c.Phone)
		if err != nil {
			return directory.Taken{}, err
		}
		if n == 0 {
			return directory.Taken{}, directory.ErrNameTaken.At("name", "another campus has this name")
		}
	}
	return t.finish(directory.NounCampus, v, is, true, nil)
}

// reindexCampus renews the words of everybody who works there.
func (t taker) reindexCampus(c directory.CampusID) error {
	rows, err := t.tx.Query(t.ctx, `SELECT DISTINCT r.practitioner_id FROM practitioner_role r JOIN department d ON d.tenant_id = r.tenant_id AND d.id = r.department_id
		WHERE r.tenant_id = $1 AND d.campus_id = $2`, t.tx.Tenant(), c)
	ps, err := db.Collect(rows, err, func(r db.Rows, v *directory.PractitionerID) error { return r.Scan(v) })
	if err != nil {
		return err
	}
	for _, p := range ps {
		if err := reindex(t.ctx, t.tx, p); err != nil {
			return err
		}
	}
	return nil
}

// own is the tenant's own institution.
func (t taker) own() (directory.OrganizationID, error) {
	if t.dryRun {
		return directory.OrganizationID(t.tx.Tenant()), nil
	}
	p := newPlacing(t.ctx, t.tx)
	err := p.organization()
	return p.org, err
}

func (t taker) department(is []directory.Identifier, d directory.Department) (directory.Taken, error) {
	found, err := t.known(directory.NounDepartment, is)
	if err != nil {
		return directory.Taken{}, err
	}
	var was directory.Department
	err = t.tx.QueryRow(t.ctx, `SELECT id, name, location, version FROM department WHERE tenant_id = $1 AND (id = $2 OR campus_id = $3 AND name = $4)
		ORDER BY CASE WHEN id = $2 THEN 0 ELSE 1 END LIMIT 1`, t.tx.Tenant(), found, d.Campus, d.Name).Scan(&was.ID, &was.Name, &was.Location, &was.Version)
	if errors.Is(err, db.ErrNoRows) {
		found = id.New[id.Any](t.tx.Now())
		if !t.dryRun {
			n, err := t.tx.Exec(t.ctx, `INSERT INTO department (tenant_id, id, campus_id, parent_id, name, name_en, location, intro, version)
				VALUES ($1, $2, $3, NULL, $4, '', $5, '', 1) ON CONFLICT DO NOTHING`, t.tx.Tenant(), found, d.Campus, d.Name, d.Location)
			switch {
			case db.IsForeign(err):
				return directory.Taken{}, directory.ErrNotFound.At("campus", "there is no such campus")
			case err != nil:
				return directory.Taken{}, err
			case n == 0:
				return directory.Taken{}, directory.ErrNameTaken.At("name", "somebody else has just made it")
			}
		}
		return t.finish(directory.NounDepartment, found, is, true, nil)
	}
	if err != nil {
		return directory.Taken{}, err
	}
	found = id.As[id.Any](was.ID)
	changed := differ([3]string{"name", was.Name, d.Name}, [3]string{"location", was.Location, d.Location})
	if len(changed) > 0 && !t.dryRun {
		err := versioned(t.tx.Exec(t.ctx, `UPDATE department SET name = $3, location = $4, version = version + 1 WHERE tenant_id = $1 AND id = $2 AND version = $5`,
			t.tx.Tenant(), found, or(d.Name, was.Name), or(d.Location, was.Location), was.Version))
		if db.IsUnique(err) {
			return directory.Taken{}, directory.ErrNameTaken.At("name", "another department of the campus has this name")
		}
		if err != nil {
			return directory.Taken{}, err
		}
	}
	return t.finish(directory.NounDepartment, found, is, false, changed)
}

func (t taker) practitioner(is []directory.Identifier, p directory.Practitioner) (directory.Taken, error) {
	found, err := t.known(directory.NounPractitioner, is)
	if err != nil {
		return directory.Taken{}, err
	}
	was := directory.Practitioner{ID: id.As[directory.Practitioner](found)}
	err = t.tx.QueryRow(t.ctx, `SELECT id, licence, name, title, specialty, version FROM practitioner WHERE tenant_id = $1 AND (id = $2 OR licence = $3)
		ORDER BY CASE WHEN id = $2 THEN 0 ELSE 1 END LIMIT 1`, t.tx.Tenant(), found, p.Licence).Scan(&was.ID, &was.Licence, &was.Name, &was.Title, &was.Specialty, &was.Version)
	switch {
	case errors.Is(err, db.ErrNoRows) && p.Name == "":
		return directory.Taken{}, directory.ErrNotFound.At("practitioner", "not known by this identifier")
	case errors.Is(err, db.ErrNoRows):
		return t.newPractitioner(is, p)
	case err != nil:
		return directory.Taken{}, err
	case found.IsZero() && was.Name != p.Name: // only the licence is known, of somebody else
		return directory.Taken{}, directory.ErrLicenceTaken.At("identifier", "the licence number belongs to another practitioner")
	}
	changed := differ([3]string{"name", was.Name, p.Name}, [3]string{"title", was.Title, p.Title}, [3]string{"specialty", was.Specialty, p.Specialty})
	if len(changed) > 0 && !t.dryRun {
		err := versioned(t.tx.Exec(t.ctx, `UPDATE practitioner SET name = $3, title = $4, specialty = $5, version = version + 1
			WHERE tenant_id = $1 AND id = $2 AND version = $6`, t.tx.Tenant(), was.ID, or(p.Name, was.Name), or(p.Title, was.Title), or(p.Specialty, was.Specialty), was.Version))
		if err != nil {
			return directory.Taken{}, err
		}
	}
	place, err := t.role(was.ID, p.Department)
	if err != nil {
		return directory.Taken{}, err
	}
	if !t.dryRun && (len(changed) > 0 || place == directory.Created) {
		if err := reindex(t.ctx, t.tx, was.ID); err != nil {
			return directory.Taken{}, err
		}
		if err := outbox.Add(t.ctx, t.tx, directory.PractitionerChanged{Practitioner: was.ID, Department: p.Department}); err != nil {
			return directory.Taken{}, err
		}
	}
	out, err := t.finish(directory.NounPractitioner, id.As[id.Any](was.ID), is, false, changed)
	if err == nil && place == directory.Created && out.Outcome == directory.Same && !t.dryRun {
		_, err = trail.Record(t.ctx, t.tx, trail.Entry{Action: "directory.take", Noun: "Practitioner", ID: was.ID.String(), Policy: t.policy, Changed: []string{"department"}})
	}
	out.Place = place
	return out, err
}

func (t taker) newPractitioner(is []directory.Identifier, p directory.Practitioner) (directory.Taken, error) {
	v := id.New[directory.Practitioner](t.tx.Now())
	if !t.dryRun {
		n, err := t.tx.Exec(t.ctx, `INSERT INTO practitioner (tenant_id, id, licence, name, title, specialty, practising_from, search, version)
			VALUES ($1, $2, $3, $4, $5, $6, $7, '', 1) ON CONFLICT DO NOTHING`, t.tx.Tenant(), v, p.Licence, p.Name, p.Title, p.Specialty, p.PractisingFrom)
		if err != nil {
			return directory.Taken{}, err
		}
		if n == 0 {
			return directory.Taken{}, directory.ErrLicenceTaken.At("identifier", "somebody else has just come with this licence number")
		}
		if _, err := t.role(v, p.Department); err != nil {
			return directory.Taken{}, err
		}
		if err := reindex(t.ctx, t.tx, v); err != nil {
			return directory.Taken{}, err
		}
		if err := outbox.Add(t.ctx, t.tx, directory.PractitionerChanged{Practitioner: v, Department: p.Department}); err != nil {
			return directory.Taken{}, err
		}
	}
	out, err := t.finish(directory.NounPractitioner, id.As[id.Any](v), is, true, nil)
	out.Place = directory.Created
	return out, err
}

// role lets the practitioner work in the department; the first place is the main one.
func (t taker) role(p directory.PractitionerID, d directory.DepartmentID) (directory.Outcome, error) {
	if t.dryRun {
		var n int
		err := t.tx.QueryRow(t.ctx, `SELECT COUNT(*) FROM practitioner_role WHERE tenant_id = $1 AND practitioner_id = $2 AND department_id = $3`,
			t.tx.Tenant(), p, d).Scan(&n)
		if n == 0 {
			return directory.Created, err
		}
		return directory.Same, err
	}
	n, err := t.tx.Exec(t.ctx, `INSERT INTO practitioner_role (tenant_id, practitioner_id, department_id, main)
		SELECT $1, $2, $3, NOT EXISTS (SELECT 1 FROM practitioner_role WHERE tenant_id = $1 AND practitioner_id = $2 AND main)
		ON CONFLICT DO NOTHING`, t.tx.Tenant(), p, d)
	if db.IsForeign(err) {
		return directory.Refused, directory.ErrNotFound.At("department", "there is no such department")
	}
	if n == 0 {
		return directory.Same, err
	}
	return directory.Created, err
}
