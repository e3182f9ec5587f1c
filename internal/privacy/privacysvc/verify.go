package privacysvc

import "xinglin/internal/platform/verify"

// checks are the invariants of the privacy context.
func checks() []verify.Check {
	return []verify.Check{
		{Name: "privacy: a consent is what its last step says", SQL: `-- global: every tenant
			SELECT id_text(c.patient_id) AS what, c.at AS at FROM consent c
			LEFT JOIN consent_step s ON s.tenant_id = c.tenant_id AND s.patient_id = c.patient_id AND s.purpose = c.purpose AND s.step = c.steps
			WHERE s.step IS NULL OR s.state <> c.state OR s.version <> c.version OR s.account_id <> c.account_id OR s.capacity <> c.capacity`},
		{Name: "privacy: a request is where its last step led", SQL: `-- global: every tenant
			SELECT id_text(r.id) AS what, r.created_at AS at FROM request r WHERE NOT EXISTS (
				SELECT 1 FROM request_step s WHERE s.tenant_id = r.tenant_id AND s.request_id = r.id AND s.to_state = r.state)`},
		{Name: "privacy: only a file that waits has parts", SQL: `-- global: every tenant
			SELECT id_text(p.request_id) AS what, r.created_at AS at FROM copy_part p JOIN request r ON r.tenant_id = p.tenant_id AND r.id = p.request_id
			WHERE r.state <> 'ready'`},
		{Name: "privacy: of who was erased nothing is left that was said or decided", SQL: `-- global: every tenant
			SELECT id_text(e.id) AS what, e.ended_at AS at FROM request e WHERE e.kind = 'erase' AND e.state = 'done' AND (
				EXISTS (SELECT 1 FROM consent c WHERE c.tenant_id = e.tenant_id AND c.patient_id = e.patient_id)
				OR EXISTS (SELECT 1 FROM request r WHERE r.tenant_id = e.tenant_id AND r.patient_id = e.patient_id
					AND (r.reason IS NOT NULL OR r.wanted IS NOT NULL OR r.was IS NOT NULL OR r.answer IS NOT NULL OR r.ended_at IS NULL)))`},
		{Name: "privacy: a dossier is kept exactly as long as a record needs it", SQL: `-- global: every tenant
			SELECT id_text(d.id) AS what, d.created_at AS at FROM retained d JOIN request r ON r.tenant_id = d.tenant_id AND r.id = d.request_id
			WHERE d.destroyed_at < d.until_at OR r.state = 'done' AND d.until_at <> COALESCE((SELECT MAX(k.until_at) FROM kept k
				WHERE k.tenant_id = d.tenant_id AND k.request_id = d.request_id AND k.identity), 0)`},
		{Name: "privacy: an entry of a register has one latest version and no gap", SQL: `-- global: every tenant
			SELECT id_text(id) AS what, MAX(at) AS at FROM assessment GROUP BY tenant_id, id
			HAVING COUNT(*) <> MAX(version) OR SUM(CASE WHEN latest THEN version ELSE 0 END) <> MAX(version)
			UNION ALL SELECT id_text(id), MAX(at) FROM breach GROUP BY tenant_id, id
			HAVING COUNT(*) <> MAX(version) OR SUM(CASE WHEN latest THEN version ELSE 0 END) <> MAX(version)`},
	}
}

// sets are what other contexts compare with: the audit rows of steps that are not in the own trail any more; persons who were erased.
func sets() []verify.Set {
	return []verify.Set{
		{Name: "privacy.acts", SQL: `-- global: every tenant
			SELECT id_text(h.act_id) AS key, MAX(h.at) AS at FROM (
				SELECT tenant_id, act_id, at FROM request_step UNION ALL SELECT tenant_id, act_id, at FROM consent_step) h
			WHERE NOT EXISTS (SELECT 1 FROM trail t WHERE t.tenant_id = h.tenant_id AND t.id = h.act_id) GROUP BY h.act_id ORDER BY 1`},
		{Name: "privacy.erased", SQL: `-- global: every tenant
			SELECT id_text(patient_id) AS key, ended_at AS at FROM request WHERE kind = 'erase' AND state = 'done' ORDER BY 1`},
	}
}
