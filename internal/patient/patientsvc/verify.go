package patientsvc

import "xinglin/internal/platform/verify"

// surelyChild is fewer days than the shortest fourteen years: younger than that is
// under 14 whatever the calendar. Links of the few days up to the birthday are not judged.
const surelyChild = `5112`

// shanghai makes a date of an instant in microseconds.
const shanghai = ` + 28800000000) / 86400000000`

// checks are the invariants of the patient context.
func checks() []verify.Check {
	return []verify.Check{
		{Name: "patient: one person a document", SQL: `-- global: every tenant
			SELECT document_type AS what, 0 AS at FROM patient WHERE number_index IS NOT NULL
			GROUP BY tenant_id, document_type, number_index HAVING COUNT(*) > 1
			UNION ALL SELECT document_type, 0 FROM patient WHERE number_index_even IS NOT NULL
			GROUP BY tenant_id, document_type, number_index_even HAVING COUNT(*) > 1`},
		{Name: "patient: a link or claim has its person and account in the same tenant", SQL: `-- global: every tenant
			SELECT id_text(l.id) AS what, 0 AS at FROM link l
			LEFT JOIN patient p ON p.tenant_id = l.tenant_id AND p.id = l.patient_id
			LEFT JOIN holder h ON h.tenant_id = l.tenant_id AND h.account_id = l.account_id
			WHERE p.id IS NULL OR h.account_id IS NULL
			UNION ALL SELECT id_text(c.id), 0 FROM claim c
			LEFT JOIN patient p ON p.tenant_id = c.tenant_id AND p.id = c.patient_id
			LEFT JOIN holder h ON h.tenant_id = c.tenant_id AND h.account_id = c.account_id
			WHERE p.id IS NULL OR h.account_id IS NULL`},
		{Name: "patient: nobody without a link, ever, but who was imported or registered at the desk", SQL: `-- global: every tenant
			SELECT id_text(p.id) AS what, 0 AS at FROM patient p
			WHERE p.origin = 'account' AND NOT EXISTS (SELECT 1 FROM link l WHERE l.tenant_id = p.tenant_id AND l.patient_id = p.id)`},
		{Name: "patient: a child under 14 has a guardian's link, with consent", SQL: `-- global: every tenant
			SELECT id_text(l.id) AS what, 0 AS at FROM link l JOIN patient p ON p.tenant_id = l.tenant_id AND p.id = l.patient_id
			WHERE l.state = 'active' AND p.birth IS NOT NULL AND (l.related_at` + shanghai + ` - p.birth < ` + surelyChild + `
			AND (l.relationship <> 'child' OR l.consent_at IS NULL)`},
		{Name: "patient: each account's links are counted, at most 10, one of them oneself", SQL: `-- global: every tenant
			SELECT id_text(h.account_id) AS what, 0 AS at FROM holder h
			LEFT JOIN link l ON l.tenant_id = h.tenant_id AND l.account_id = h.account_id AND l.state = 'active'
			GROUP BY h.tenant_id, h.account_id, h.active
			HAVING COUNT(l.id) <> h.active OR COUNT(l.id) > 10 OR SUM(CASE WHEN l.relationship = 'self' THEN 1 ELSE 0 END) > 1`},
		{Name: "patient: who is shredded has no birth, no result, no link and no open claim", SQL: `-- global: every tenant
			SELECT id_text(p.id) AS what, 0 AS at FROM patient p WHERE p.shredded_at IS NOT NULL AND (
				p.birth IS NOT NULL OR p.sex <> 'unknown' OR p.verified <> 'none' OR p.verified_reference <> ''
				OR NOT EXISTS (SELECT 1 FROM history h WHERE h.tenant_id = p.tenant_id AND h.subject_id = p.id AND h.to_state = 'shredded')
				OR EXISTS (SELECT 1 FROM link l WHERE l.tenant_id = p.tenant_id AND l.patient_id = p.id AND l.state = 'active')
				OR EXISTS (SELECT 1 FROM claim c WHERE c.tenant_id = p.tenant_id AND c.patient_id = p.id AND c.state = 'open'))`},
		{Name: "patient: a proved claim has its link", SQL: `-- global: every tenant
			SELECT id_text(c.id) AS what, 0 AS at FROM claim c WHERE c.state = 'proved' AND NOT EXISTS (
				SELECT 1 FROM link l WHERE l.tenant_id = c.tenant_id AND l.account_id = c.account_id AND l.patient_id = c.patient_id)`},
		{Name: "patient: who was imported is found again by an identifier", SQL: `-- global: every tenant
			SELECT id_text(p.id) AS what, 0 AS at FROM patient p
			WHERE p.origin = 'import' AND p.shredded_at IS NULL AND NOT EXISTS (SELECT 1 FROM identifier i WHERE i.tenant_id = p.tenant_id AND i.patient_id = p.id)`},
		{Name: "patient: an identifier or profile has its person, who is not shredded", SQL: `-- global: every tenant
			SELECT id_text(i.patient_id) AS what, 0 AS at FROM identifier i
			LEFT JOIN patient p ON p.tenant_id = i.tenant_id AND p.id = i.patient_id WHERE p.id IS NULL OR p.shredded_at IS NOT NULL
			UNION ALL SELECT id_text(f.patient_id), 0 FROM profile f
			LEFT JOIN patient p ON p.tenant_id = f.tenant_id AND p.id = f.patient_id WHERE p.id IS NULL OR p.shredded_at IS NOT NULL`},
		{Name: "patient: the desk finds everybody by name, and by phone who has one, and nobody who is shredded", SQL: `-- global: every tenant
			SELECT id_text(p.id) AS what, 0 AS at FROM patient p WHERE p.shredded_at IS NULL AND (
				NOT EXISTS (SELECT 1 FROM search_key k WHERE k.tenant_id = p.tenant_id AND k.patient_id = p.id AND k.kind = 'name')
				OR (p.phone IS NOT NULL) <> EXISTS (SELECT 1 FROM search_key k WHERE k.tenant_id = p.tenant_id AND k.patient_id = p.id AND k.kind = 'phone'))
			UNION ALL SELECT id_text(k.patient_id), 0 FROM search_key k
			LEFT JOIN patient p ON p.tenant_id = k.tenant_id AND p.id = k.patient_id WHERE p.id IS NULL OR p.shredded_at IS NOT NULL`},
		{Name: "patient: a child under 14 was registered at the desk with a guardian's consent", SQL: `-- global: every tenant
			SELECT id_text(p.id) AS what, 0 AS at FROM patient p
			WHERE p.origin = 'desk' AND p.birth IS NOT NULL AND (p.created_at` + shanghai + ` - p.birth < ` + surelyChild + ` AND p.consent_at IS NULL`},
	}
}

// sets are what other contexts compare with: the audit rows of steps that are not in the own trail any more; persons without a key.
func sets() []verify.Set {
	return []verify.Set{
		{Name: "patient.acts", SQL: `-- global: every tenant
			SELECT id_text(h.act_id) AS key, MAX(h.at) AS at FROM history h
			WHERE NOT EXISTS (SELECT 1 FROM trail t WHERE t.tenant_id = h.tenant_id AND t.id = h.act_id) GROUP BY h.act_id ORDER BY 1`},
		{Name: "patient.shredded", SQL: `-- global: every tenant
			SELECT id_text(id) AS key, shredded_at AS at FROM patient WHERE shredded_at IS NOT NULL ORDER BY 1`},
	}
}
