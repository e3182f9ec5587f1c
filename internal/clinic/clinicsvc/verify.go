package clinicsvc

import "xinglin/internal/platform/verify"

const atOnce = verify.NoGrace

func checks() []verify.Check {
	return []verify.Check{
		{Name: "clinic: at most one of a line is called", Grace: atOnce, SQL: `-- global: every tenant
			SELECT id_text(line_id) AS what, 0 AS at FROM turn WHERE state = 'called' GROUP BY tenant_id, line_id HAVING COUNT(*) > 1`},
		{Name: "clinic: who waits or was called has checked in before", Grace: atOnce, SQL: `-- global: every tenant
			SELECT id_text(id) AS what, 0 AS at FROM turn
			WHERE state NOT IN ('expected', 'gone') AND (checked_in_at IS NULL OR joined_at = 0 OR called_at < checked_in_at)
				OR state IN ('called', 'missed', 'done') AND (called_at IS NULL OR calls < 1 OR announced_at IS NULL OR announced_at < called_at)
				OR state IN ('missed', 'done') AND (left_at IS NULL OR left_at < called_at)
				OR state = 'called' AND left_at IS NOT NULL`},
		{Name: "clinic: each history is a chain to the state", Grace: atOnce, SQL: `-- global: every tenant
			SELECT id_text(v.id) AS what, 0 AS at FROM turn v LEFT JOIN (
				SELECT tenant_id, turn_id, to_state, ROW_NUMBER() OVER (PARTITION BY tenant_id, turn_id ORDER BY seq DESC) AS nth FROM turn_history
			) h ON h.tenant_id = v.tenant_id AND h.turn_id = v.id AND h.nth = 1
				WHERE v.state <> COALESCE(h.to_state, 'expected')
			UNION ALL SELECT id_text(l.turn_id) AS what, 0 AS at FROM (
				SELECT turn_id, from_state, LAG(to_state, 1, 'expected') OVER (PARTITION BY tenant_id, turn_id ORDER BY seq) AS was FROM turn_history
			) l WHERE l.from_state <> l.was`},
		{Name: "clinic: calls of a turn are those of its history", Grace: atOnce, SQL: `-- global: every tenant
			SELECT id_text(v.id) AS what, 0 AS at FROM turn v WHERE v.calls <>
				(SELECT COUNT(*) FROM turn_history h WHERE h.tenant_id = v.tenant_id AND h.turn_id = v.id AND h.to_state = 'called')`},
		{Name: "clinic: a line has counted its calls", Grace: atOnce, SQL: `-- global: every tenant
			SELECT id_text(l.id) AS what, 0 AS at FROM line l WHERE l.calls <>
				(SELECT COUNT(*) FROM turn v JOIN turn_history h ON h.tenant_id = v.tenant_id AND h.turn_id = v.id AND h.from_state = 'waiting' AND h.to_state = 'called'
				WHERE v.tenant_id = l.tenant_id AND v.line_id = l.id)`},
		{Name: "clinic: each turn has its line", Grace: atOnce, SQL: `-- global: every tenant
			SELECT id_text(v.id) AS what, 0 AS at FROM turn v LEFT JOIN line l ON l.tenant_id = v.tenant_id AND l.id = v.line_id WHERE l.id IS NULL
			UNION ALL SELECT id_text(h.turn_id) AS what, 0 AS at FROM turn_history h LEFT JOIN turn v ON v.tenant_id = h.tenant_id AND v.id = h.turn_id WHERE v.id IS NULL`},
	}
}

// sets are what other contexts' invariants are compared with.
func sets() []verify.Set {
	return []verify.Set{
		// The audit row of each transition, unless it is still in the own trail.
		{Name: "clinic.acts", SQL: `-- global: every tenant
			SELECT id_text(h.act_id) AS key, h.at FROM turn_history h
			WHERE NOT EXISTS (SELECT 1 FROM trail t WHERE t.tenant_id = h.tenant_id AND t.id = h.act_id)`},
		// Turns that nobody can call any more.
		{Name: "clinic.closed", SQL: `-- global: every tenant
			SELECT id_text(id) AS key, updated_at AS at FROM turn WHERE state IN ('gone', 'done')`},
	}
}
