package tenantsvc

import "xinglin/internal/platform/verify"

// checks are the registry's invariants; the schema holds them too.
func checks() []verify.Check {
	return []verify.Check{
		{Name: "tenant.host_has_owner", SQL: `SELECT 'host ' || h.name AS what, h.created_at AS at FROM host h
			LEFT JOIN tenant t ON t.tenant_id = h.tenant_id AND t.id = h.owner WHERE t.id IS NULL`},
		{Name: "tenant.demo_not_mixed", SQL: `SELECT 'tenant ' || t.code AS what, t.created_at AS at FROM tenant t
			LEFT JOIN installation i ON i.tenant_id = t.tenant_id AND i.demo = t.demo WHERE i.tenant_id IS NULL`},
		{Name: "tenant.bundle_by_two_people", SQL: `-- global: of every tenant
			SELECT 'bundle ' || id_text(id) AS what, applied_at AS at FROM bundle
			WHERE applied_by <> '' AND applied_by = staged_by AND alone = 0 AND undoes IS NULL`},
	}
}
