package directorysvc

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"xinglin/internal/directory"
	"xinglin/internal/kernel/id"
	"xinglin/internal/kernel/page"
	"xinglin/internal/platform/db"
)

// store is the SQL of the directory.
type store struct{}

func (store) organization(ctx context.Context, d *db.DB, tenant directory.TenantID) (o directory.Organization, err error) {
	err = d.Read(ctx, tenant, func(ctx context.Context, tx db.Tx) error {
		return one(tx.QueryRow(ctx, `SELECT id, name, name_en, licences, version FROM organization WHERE tenant_id = $1 AND id = tenant_id`, tenant).
			Scan(&o.ID, &o.Name, &o.NameEN, db.JSONInto(&o.Licences), &o.Version))
	})
	return o, err
}

func (store) campuses(ctx context.Context, d *db.DB, tenant directory.TenantID) (out []directory.Campus, err error) {
	err = d.Read(ctx, tenant, func(ctx context.Context, tx db.Tx) error {
		rows, err := tx.Query(ctx, `SELECT id, organization_id, name, name_en, address, phone, version FROM campus WHERE tenant_id = $1 ORDER BY id LIMIT $2`, tenant, maxCampuses)
		out, err = db.Collect(rows, err, func(r db.Rows, c *directory.Campus) error {
			return r.Scan(&c.ID, &c.Organization, &c.Name, &c.NameEN, &c.Address, &c.Phone, &c.Version)
		})
		return err
	})
	return out, err
}

func (store) departments(ctx context.Context, d *db.DB, tenant directory.TenantID, campus directory.CampusID) (out []directory.Department, err error) {
	err = d.Read(ctx, tenant, func(ctx context.Context, tx db.Tx) error {
		rows, err := tx.Query(ctx, `SELECT d.id, d.campus_id, d.parent_id, d.name, d.name_en, d.location, d.intro, d.version,
				(SELECT COUNT(*) FROM practitioner_role r WHERE r.tenant_id = d.tenant_id AND r.department_id = d.id)
			FROM department d WHERE d.tenant_id = $1 AND ($2 = '' OR d.campus_id = $3) ORDER BY d.id LIMIT $4`,
			tenant, set(campus), campus, maxDepartments)
		out, err = db.Collect(rows, err, func(r db.Rows, v *directory.Department) error {
			return r.Scan(&v.ID, &v.Campus, &v.Parent, &v.Name, &v.NameEN, &v.Location, &v.Intro, &v.Version, &v.DoctorCount)
		})
		return err
	})
	return out, err
}

const practitionerColumns = `SELECT p.id, p.licence, p.name, p.title, p.specialty, p.practising_from, d.id, d.name, c.id, c.name, p.version
	FROM practitioner p
	JOIN practitioner_role r ON r.tenant_id = p.tenant_id AND r.practitioner_id = p.id
	JOIN department d ON d.tenant_id = r.tenant_id AND d.id = r.department_id
	JOIN campus c ON c.tenant_id = d.tenant_id AND c.id = d.campus_id`

func scanPractitioner(r db.Row, p *directory.Practitioner) error {
	return r.Scan(&p.ID, &p.Licence, &p.Name, &p.Title, &p.Specialty, &p.PractisingFrom, &p.Department, &p.DepartmentName, &p.Campus, &p.CampusName, &p.Version)
}

func (store) practitioner(ctx context.Context, d *db.DB, tenant directory.TenantID, pid directory.PractitionerID) (p directory.Practitioner, err error) {
	err = d.Read(ctx, tenant, func(ctx context.Context, tx db.Tx) error {
		return one(scanPractitioner(tx.QueryRow(ctx, practitionerColumns+` WHERE p.tenant_id = $1 AND p.id = $2 AND r.main`, tenant, pid), &p))
	})
	return p, err
}

// firstOfCampus keeps one role of a practitioner in a campus: the main one, else that of the oldest department.
const firstOfCampus = ` AND NOT EXISTS (SELECT 1 FROM practitioner_role r2
	JOIN department d2 ON d2.tenant_id = r2.tenant_id AND d2.id = r2.department_id
	WHERE r2.tenant_id = p.tenant_id AND r2.practitioner_id = p.id AND d2.campus_id = d.campus_id
	AND (r2.main AND NOT r.main OR r2.main = r.main AND r2.department_id < r.department_id))`

// practitioners lists by id, each once. With a department or campus one sees everybody
// who works there, with the role that they have there.
func (store) practitioners(ctx context.Context, d *db.DB, tenant directory.TenantID, q directory.Query) (out page.Page[directory.Practitioner], err error) {
	after, err := id.Parse[directory.Practitioner](q.Page.Cursor)
	if q.Page.Cursor != "" && err != nil {
		return out, directory.ErrInvalid.At("cursor", "not a cursor of this list")
	}
	args := []any{tenant, after}
	var where strings.Builder
	where.WriteString(` WHERE p.tenant_id = $1 AND p.id > $2`)
	add := func(cond string, v any) {
		args = append(args, v)
		fmt.Fprintf(&where, " AND "+cond, len(args))
	}
	if q.Department.IsZero() && q.Campus.IsZero() {
		where.WriteString(" AND r.main")
	}
	if !q.Department.IsZero() {
		add("r.department_id = $%d", q.Department)
	}
	if !q.Campus.IsZero() {
		add("d.campus_id = $%d", q.Campus)
	}
	if q.Department.IsZero() && !q.Campus.IsZero() {
		where.WriteString(firstOfCampus)
	}
	for _, w := range words(q.Text) {
		add(`p.search LIKE $%d ESCAPE '\'`, like(w))
	}
	size := q.Page.Size()
	args = append(args, size+1)
	text := practitionerColumns + where.String() + fmt.Sprintf(" ORDER BY p.id LIMIT $%d", len(args))
	err = d.Read(ctx, tenant, func(ctx context.Context, tx db.Tx) error {
		rows, err := tx.Query(ctx, text, args...)
		out.Items, err = db.Collect(rows, err, func(r db.Rows, p *directory.Practitioner) error { return scanPractitioner(r, p) })
		return err
	})
	if len(out.Items) > size {
		out.Items = out.Items[:size]
		out.Next = out.Items[size-1].ID.String()
	}
	return out, err
}

func (store) labels(ctx context.Context, d *db.DB, tenant directory.TenantID, ps []directory.PractitionerID, ds []directory.DepartmentID, cs []directory.CampusID) (directory.Labels, error) {
	out := directory.Labels{
		Practitioners: map[directory.PractitionerID]directory.Label{},
		Departments:   map[directory.DepartmentID]directory.Label{},
		Campuses:      map[directory.CampusID]directory.Label{},
	}
	err := d.Read(ctx, tenant, func(ctx context.Context, tx db.Tx) error {
		p := &db.Pipeline{}
		askLabels(p, tenant, `SELECT id, name, '', title, '' FROM practitioner WHERE tenant_id = $1 AND id IN (`, ps, out.Practitioners)
		askLabels(p, tenant, `SELECT id, name, name_en, '', location FROM department WHERE tenant_id = $1 AND id IN (`, ds, out.Departments)
		askLabels(p, tenant, `SELECT id, name, name_en, '', address FROM campus WHERE tenant_id = $1 AND id IN (`, cs, out.Campuses)
		return tx.Send(ctx, p)
	})
	return out, err
}

// askLabels adds the question for some names.
func askLabels[T any](p *db.Pipeline, tenant directory.TenantID, statement string, ids []id.ID[T], into map[id.ID[T]]directory.Label) {
	if len(ids) == 0 {
		return
	}
	list, args := db.Few([]any{tenant}, ids)
	p.Query(db.Each(func(r db.Rows) error {
		var k id.ID[T]
		var l directory.Label
		err := r.Scan(&k, &l.Name, &l.NameEN, &l.Title, &l.Location)
		into[k] = l
		return err
	}), statement+list+`)`, args...)
}

// set tells SQL whether an optional filter is there, in a type that both engines infer.
func set[T any](v id.ID[T]) string {
	if v.IsZero() {
		return ""
	}
	return "set"
}

func one(err error) error {
	if errors.Is(err, db.ErrNoRows) {
		return directory.ErrNotFound.New()
	}
	return err
}
