package terminologysvc

import "xinglin/internal/platform/verify"

// checks are the invariants of the editions. An import writes a batch and its count in one transaction.
func checks() []verify.Check {
	return []verify.Check{
		{Name: "terminology: an edition counts its concepts", Grace: verify.NoGrace, SQL: `-- global: every tenant
			SELECT s.system AS what, s.updated_at AS at FROM code_system s WHERE s.concepts <>
			(SELECT COUNT(*) FROM concept c WHERE c.tenant_id = s.tenant_id AND c.system = s.system)`},
		{Name: "terminology: a concept is of an edition and not newer than it", Grace: verify.NoGrace, SQL: `-- global: every tenant
			SELECT c.code AS what, 0 AS at FROM concept c LEFT JOIN code_system s ON s.tenant_id = c.tenant_id AND s.system = c.system
			WHERE s.version IS NULL OR c.version > s.version`},
	}
}
