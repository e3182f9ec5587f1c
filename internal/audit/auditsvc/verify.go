package auditsvc

import "xinglin/internal/platform/verify"

// checks are what can be seen in the tables at a glance; Inspect computes the log again.
func checks() []verify.Check {
	const at = ", 0 AS at"
	return []verify.Check{
		{Name: "audit: each entry has a place within its log", Grace: verify.NoGrace, SQL: `-- global: every tenant
			SELECT CAST(e.position AS TEXT) AS what` + at + ` FROM (SELECT tenant_id, position FROM audit_event UNION ALL SELECT tenant_id, position FROM log_leaf) e
			LEFT JOIN log_state s ON s.tenant_id = e.tenant_id WHERE s.size IS NULL OR e.position < 0 OR e.position >= s.size`},
		{Name: "audit: no place of a log is taken twice", Grace: verify.NoGrace, SQL: `-- global: every tenant
			SELECT CAST(position AS TEXT) AS what` + at + ` FROM (SELECT tenant_id, position FROM audit_event UNION ALL SELECT tenant_id, position FROM log_leaf) e
			GROUP BY tenant_id, position HAVING COUNT(*) > 1`},
		{Name: "audit: the heads of each log are numbered without a gap", Grace: verify.NoGrace, SQL: `-- global: every tenant
			SELECT CAST(s.heads AS TEXT) AS what` + at + ` FROM log_state s
			WHERE s.heads <> (SELECT COUNT(*) FROM log_head h WHERE h.tenant_id = s.tenant_id AND h.number >= 1 AND h.number <= s.heads)
			OR s.size < COALESCE((SELECT MAX(h.size) FROM log_head h WHERE h.tenant_id = s.tenant_id), 0)`},
		{Name: "audit: segments follow each other up to where the log is closed", Grace: verify.NoGrace, SQL: `-- global: every tenant
			SELECT CAST(s.segments AS TEXT) AS what` + at + ` FROM log_state s
			WHERE s.sealed <> (SELECT COALESCE(SUM(g.behind - g.first), 0) FROM log_segment g WHERE g.tenant_id = s.tenant_id)
			OR s.segments <> (SELECT COUNT(*) FROM log_segment g WHERE g.tenant_id = s.tenant_id) OR s.sealed > s.size`},
	}
}

// sets are what other contexts' histories must find here.
func sets() []verify.Set {
	return []verify.Set{{Name: "audit.acts", SQL: `-- global: every tenant
		SELECT id_text(id) AS key, at FROM audit_event ORDER BY 1`}}
}
