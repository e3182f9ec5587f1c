package tenantsvc

import (
	"context"
	"errors"

	"xinglin/internal/platform/db"
	"xinglin/internal/platform/trail"
	"xinglin/internal/tenant"
)

// store keeps the registry. Its rows stand at the zero tenant: the installation.
type store struct{ db *db.DB }

var installation tenant.ID

// version is the registry's, 0 before the first tenant.
func (s store) version(ctx context.Context) (v int64, err error) {
	err = s.db.Read(ctx, installation, func(ctx context.Context, tx db.Tx) error {
		v, err = version(ctx, tx)
		return err
	})
	return v, err
}

func version(ctx context.Context, tx db.Tx) (v int64, err error) {
	err = tx.QueryRow(ctx, `SELECT version FROM installation WHERE tenant_id = $1`, installation).Scan(&v)
	if errors.Is(err, db.ErrNoRows) {
		return 0, nil
	}
	return v, err
}

// load reads everything. The version is read first: what changes meanwhile is read again.
func (s store) load(ctx context.Context) (*registry, error) {
	var r *registry
	err := s.db.Read(ctx, installation, func(ctx context.Context, tx db.Tx) (err error) {
		r = &registry{hosts: map[string]tenant.ID{}}
		if r.version, err = version(ctx, tx); err != nil {
			return err
		}
		if err = readTenants(ctx, tx, r); err != nil {
			return err
		}
		return readHosts(ctx, tx, r)
	})
	return r, err
}

func readTenants(ctx context.Context, tx db.Tx, r *registry) error {
	rows, err := tx.Query(ctx, `SELECT id, code, name, demo FROM tenant WHERE tenant_id = $1 ORDER BY code LIMIT $2`, installation, maxTenants)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var t tenant.Tenant
		var demo int
		if err := rows.Scan(&t.ID, &t.Code, &t.Name, &demo); err != nil {
			return err
		}
		t.Demo = demo == 1
		r.tenants = append(r.tenants, t)
	}
	return rows.Err()
}

func readHosts(ctx context.Context, tx db.Tx, r *registry) error {
	at := map[tenant.ID]int{}
	for i, t := range r.tenants {
		at[t.ID] = i
	}
	rows, err := tx.Query(ctx, `SELECT name, owner FROM host WHERE tenant_id = $1 ORDER BY name LIMIT $2`, installation, maxTenants*maxHosts)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		var owner tenant.ID
		if err := rows.Scan(&name, &owner); err != nil {
			return err
		}
		r.hosts[name] = owner
		if i, ok := at[owner]; ok {
			r.tenants[i].Hosts = append(r.tenants[i].Hosts, name)
		}
	}
	return rows.Err()
}

// ensure makes or changes the tenant. The installation's row is the lock that puts
// several of them in a row.
func (s store) ensure(ctx context.Context, t tenant.Tenant, policy string) (tenant.Tenant, error) {
	var made tenant.Tenant
	err := s.db.Write(ctx, installation, func(ctx context.Context, tx db.Tx) error {
		made = t
		if err := lock(ctx, tx, t.Demo); err != nil {
			return err
		}
		changed, err := putTenant(ctx, tx, &made)
		if err != nil {
			return err
		}
		hosts, err := putHosts(ctx, tx, made)
		if err != nil {
			return err
		}
		if hosts {
			changed = append(changed, "hosts")
		}
		if err := eachHasHost(ctx, tx); err != nil {
			return err
		}
		if len(changed) == 0 {
			return nil
		}
		_, err = trail.Record(ctx, tx, trail.Entry{Action: "tenant.ensure", Noun: "Tenant", ID: made.ID.String(), Policy: policy, Changed: changed})
		return err
	})
	return made, err
}

func lock(ctx context.Context, tx db.Tx, demo bool) error {
	_, err := tx.Exec(ctx, `INSERT INTO installation (tenant_id, demo, version, created_at) VALUES ($1, $2, 0, $3) ON CONFLICT DO NOTHING`,
		installation, flag(demo), tx.Now().UnixMicro())
	if err != nil {
		return err
	}
	n, err := tx.Exec(ctx, `UPDATE installation SET version = version + 1 WHERE tenant_id = $1 AND demo = $2`, installation, flag(demo))
	if err == nil && n == 0 {
		return tenant.ErrDemoMixed.New()
	}
	return err
}

// putTenant tells which fields changed; t gets the id that stands.
func putTenant(ctx context.Context, tx db.Tx, t *tenant.Tenant) (changed []string, err error) {
	var name string
	var stands tenant.ID
	err = tx.QueryRow(ctx, `SELECT id, name FROM tenant WHERE tenant_id = $1 AND code = $2`, installation, t.Code).Scan(&stands, &name)
	if errors.Is(err, db.ErrNoRows) {
		return []string{"code", "name"}, addTenant(ctx, tx, *t)
	}
	if err != nil {
		return nil, err
	}
	t.ID = stands
	if name == t.Name {
		return nil, nil
	}
	_, err = tx.Exec(ctx, `UPDATE tenant SET name = $3, version = version + 1 WHERE tenant_id = $1 AND id = $2`, installation, t.ID, t.Name)
	return []string{"name"}, err
}

// addTenant runs under the lock, so the count cannot grow meanwhile.
func addTenant(ctx context.Context, tx db.Tx, t tenant.Tenant) error {
	var n int
	if err := tx.QueryRow(ctx, `SELECT COUNT(*) FROM tenant WHERE tenant_id = $1`, installation).Scan(&n); err != nil {
		return err
	}
	if n >= maxTenants {
		return tenant.ErrInvalid.At("code", "the installation has 1,000 tenants")
	}
	_, err := tx.Exec(ctx, `INSERT INTO tenant (tenant_id, id, code, name, demo, version, created_at) VALUES ($1, $2, $3, $4, $5, 1, $6)`,
		installation, t.ID, t.Code, t.Name, flag(t.Demo), tx.Now().UnixMicro())
	return err
}

// putHosts makes the tenant's hosts exactly these: tenant.host_taken when one belongs
// to another tenant.
func putHosts(ctx context.Context, tx db.Tx, t tenant.Tenant) (changed bool, err error) {
	args := []any{installation, t.ID}
	text := `DELETE FROM host WHERE tenant_id = $1 AND owner = $2`
	if len(t.Hosts) > 0 {
		text += ` AND name NOT IN (` + db.In(3, len(t.Hosts)) + `)`
		for _, h := range t.Hosts {
			args = append(args, h)
		}
	}
	gone, err := tx.Exec(ctx, text, args...)
	if err != nil {
		return false, err
	}
	changed = gone > 0
	for _, h := range t.Hosts {
		n, err := tx.Exec(ctx, `INSERT INTO host (tenant_id, name, owner, created_at) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING`,
			installation, h, t.ID, tx.Now().UnixMicro())
		if err != nil {
			return false, err
		}
		if n == 1 {
			changed = true
			continue
		}
		var owner tenant.ID
		if err := tx.QueryRow(ctx, `SELECT owner FROM host WHERE tenant_id = $1 AND name = $2`, installation, h).Scan(&owner); err != nil {
			return false, err
		}
		if owner != t.ID {
			return false, tenant.ErrHostTaken.At("hosts", h)
		}
	}
	return changed, nil
}

// eachHasHost refuses a registry in which a tenant could be reached by nobody: with one
// tenant every host is its, with more only those that it has. It runs under the lock.
func eachHasHost(ctx context.Context, tx db.Tx) error {
	var all, without int
	err := tx.QueryRow(ctx, `SELECT COUNT(*), COALESCE(SUM(CASE WHEN EXISTS (SELECT 1 FROM host h WHERE h.tenant_id = t.tenant_id AND h.owner = t.id) THEN 0 ELSE 1 END), 0)
		FROM tenant t WHERE t.tenant_id = $1`, installation).Scan(&all, &without)
	if err == nil && all > 1 && without > 0 {
		return tenant.ErrHostNeeded.New()
	}
	return err
}

func flag(b bool) int {
	if b {
		return 1
	}
	return 0
}
