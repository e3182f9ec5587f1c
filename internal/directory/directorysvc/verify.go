package directorysvc

import "xinglin/internal/platform/verify"

// checks are the invariants of the directory.
func checks() []verify.Check {
	return []verify.Check{
		{Name: "directory: each practitioner works in a department, one of them the main one", SQL: `-- global: every tenant
			SELECT id_text(p.id) AS what, 0 AS at FROM practitioner p WHERE
			(SELECT COUNT(*) FROM practitioner_role r WHERE r.tenant_id = p.tenant_id AND r.practitioner_id = p.id AND r.main) <> 1`},
		{Name: "directory: no department, campus or role of another tenant", SQL: `-- global: every tenant
			SELECT id_text(r.practitioner_id) AS what, 0 AS at FROM practitioner_role r
			LEFT JOIN practitioner p ON p.tenant_id = r.tenant_id AND p.id = r.practitioner_id
			LEFT JOIN department d ON d.tenant_id = r.tenant_id AND d.id = r.department_id
			LEFT JOIN campus c ON c.tenant_id = d.tenant_id AND c.id = d.campus_id
			WHERE p.id IS NULL OR d.id IS NULL OR c.id IS NULL`},
	}
}
