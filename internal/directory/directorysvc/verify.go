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
		{Name: "directory: departments form a tree within a campus", Grace: verify.NoGrace, SQL: `-- global: every tenant
			WITH RECURSIVE up (tenant_id, id, at, n) AS (
				SELECT tenant_id, id, parent_id, 1 FROM department WHERE parent_id IS NOT NULL
				UNION ALL SELECT up.tenant_id, up.id, d.parent_id, up.n + 1 FROM up JOIN department d ON d.tenant_id = up.tenant_id AND d.id = up.at
				WHERE d.parent_id IS NOT NULL AND up.at <> up.id AND up.n < 64)
			SELECT id_text(up.id) AS what, 0 AS at FROM up WHERE up.at = up.id OR up.n = 64
			UNION SELECT id_text(d.id) AS what, 0 AS at FROM department d
			LEFT JOIN department p ON p.tenant_id = d.tenant_id AND p.id = d.parent_id AND p.campus_id = d.campus_id
			WHERE d.parent_id IS NOT NULL AND p.id IS NULL`},
		{Name: "directory: an identifier of another system names an entry of its noun", SQL: `-- global: every tenant
			SELECT id_text(i.entry_id) AS what, i.created_at AS at FROM identifier i WHERE NOT EXISTS (
				SELECT 1 FROM organization x WHERE i.noun = 'Organization' AND x.tenant_id = i.tenant_id AND x.id = i.entry_id
				UNION ALL SELECT 1 FROM campus x WHERE i.noun = 'Campus' AND x.tenant_id = i.tenant_id AND x.id = i.entry_id
				UNION ALL SELECT 1 FROM department x WHERE i.noun = 'Department' AND x.tenant_id = i.tenant_id AND x.id = i.entry_id
				UNION ALL SELECT 1 FROM practitioner x WHERE i.noun = 'Practitioner' AND x.tenant_id = i.tenant_id AND x.id = i.entry_id)`},
	}
}
