package directorysvc

import (
	"context"

	"xinglin/internal/directory"
	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/trail"
)

// campusesInUse names those that have departments.
func (store) campusesInUse(ctx context.Context, d *db.DB, tenant directory.TenantID) (out []string, err error) {
	err = d.Read(ctx, tenant, func(ctx context.Context, tx db.Tx) error {
		rows, err := tx.Query(ctx, `SELECT c.name FROM campus c WHERE c.tenant_id = $1
			AND EXISTS (SELECT 1 FROM department d WHERE d.tenant_id = c.tenant_id AND d.campus_id = c.id) ORDER BY c.name LIMIT $2`, tenant, maxCampuses)
		out, err = db.Collect(rows, err, func(r db.Rows, s *string) error { return r.Scan(s) })
		return err
	})
	return out, err
}

// setCampuses makes the campuses exactly these; the schema keeps one that has departments.
func (store) setCampuses(ctx context.Context, d *db.DB, tenant directory.TenantID, cs []campusSection, policy string) error {
	return d.Write(ctx, tenant, func(ctx context.Context, tx db.Tx) error {
		p := &placing{ctx: ctx, tx: tx, out: directory.Placed{Campuses: map[string]directory.CampusID{}}}
		if err := p.organization(); err != nil {
			return err
		}
		args := []any{tenant}
		for _, c := range cs {
			_, err := tx.Exec(ctx, `INSERT INTO campus (tenant_id, id, organization_id, name, name_en, address, phone, version) VALUES ($1, $2, $3, $4, $5, $6, $7, 1)
				ON CONFLICT (tenant_id, name) DO UPDATE SET name_en = excluded.name_en, address = excluded.address, phone = excluded.phone, version = campus.version + 1`,
				tenant, id.New[directory.Campus](tx.Now()), p.org, c.Name, c.NameEN, c.Address, c.Phone)
			if err != nil {
				return err
			}
			args = append(args, c.Name)
		}
		gone := ` WHERE tenant_id = $1`
		if len(cs) > 0 {
			gone += ` AND name NOT IN (` + db.In(2, len(cs)) + `)`
		}
		_, err := tx.Exec(ctx, `DELETE FROM identifier WHERE tenant_id = $1 AND noun = 'Campus' AND entry_id IN (SELECT id FROM campus`+gone+`)`, args...)
		if err == nil {
			_, err = tx.Exec(ctx, `DELETE FROM campus`+gone, args...)
		}
		if db.IsForeign(err) {
			return directory.ErrInUse.New()
		}
		if err != nil {
			return err
		}
		_, err = trail.Record(ctx, tx, trail.Entry{
			Action: "directory.set_campuses", Noun: "Directory", ID: id.ID[id.Any](tenant).String(), Policy: policy, Changed: []string{"campuses"},
		})
		return err
	})
}
