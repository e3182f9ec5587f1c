package identitysvc

import "xinglin/internal/platform/verify"

// checks are the context's invariants over its own tables. Most are held by the schema
// too; a restored or hand-edited database shows here.
func checks() []verify.Check {
	child := func(name, table, key, at, parent, parentKey string) verify.Check {
		return verify.Check{
			Name: "identity: " + name,
			SQL: `SELECT CAST(c.` + key + ` AS TEXT) AS what, ` + at + ` AS at FROM ` + table + ` c
				WHERE NOT EXISTS (SELECT 1 FROM ` + parent + ` p WHERE p.tenant_id = c.tenant_id AND p.id = c.` + parentKey + `)`,
		}
	}
	return []verify.Check{
		child("each right belongs to an account of its tenant", "role_grant", "account_id", "c.created_at", "account", "account_id"),
		child("each session belongs to an account of its tenant", "session", "id", "c.created_at", "account", "account_id"),
		child("each token belongs to a session of its tenant", "token", "session_id", "c.created_at", "session", "session_id"),
		child("each demo row belongs to an account of its tenant", "demo_account", "account_id", "0", "account", "account_id"),
		{Name: "identity: no account is two administrators", SQL: `SELECT CAST(account_id AS TEXT) AS what, MAX(created_at) AS at FROM role_grant
			WHERE role IN ('system_admin', 'security_admin', 'audit_admin') GROUP BY tenant_id, account_id HAVING COUNT(*) > 1`},
		{Name: "identity: only staff have rights", SQL: `SELECT CAST(a.id AS TEXT) AS what, MAX(g.created_at) AS at FROM role_grant g
			JOIN account a ON a.tenant_id = g.tenant_id AND a.id = g.account_id WHERE a.kind <> 'staff' GROUP BY a.tenant_id, a.id`},
		{Name: "identity: no code was tried more than five times or used after its end", SQL: `SELECT CAST(id AS TEXT) AS what, created_at AS at FROM challenge
			WHERE tenant_id IS NULL OR tries > 5 OR used_at > expires_at OR used_at < created_at OR (used_at IS NOT NULL AND tries = 0)`},
		{Name: "identity: a phone has one account", SQL: `SELECT CAST(MIN(CAST(id AS TEXT)) AS TEXT) AS what, MAX(created_at) AS at FROM account
			WHERE phone_index IS NOT NULL GROUP BY tenant_id, phone_index HAVING COUNT(*) > 1`},
		{Name: "identity: no live session of a disabled account", SQL: `SELECT CAST(s.id AS TEXT) AS what, s.created_at AS at FROM session s
			JOIN account a ON a.tenant_id = s.tenant_id AND a.id = s.account_id WHERE a.state = 'disabled' AND s.ended_at IS NULL`},
		{Name: "identity: a refresh token that was used has a successor or its session ended", SQL: `SELECT CAST(k.session_id AS TEXT) AS what, k.used_at AS at
			FROM token k JOIN session s ON s.tenant_id = k.tenant_id AND s.id = k.session_id
			WHERE k.used_at IS NOT NULL AND s.ended_at IS NULL AND NOT EXISTS (SELECT 1 FROM token n
				WHERE n.tenant_id = k.tenant_id AND n.session_id = k.session_id AND n.kind = 'refresh' AND n.created_at >= k.used_at)`},
		{Name: "identity: no session outlives its limit", SQL: `SELECT CAST(id AS TEXT) AS what, created_at AS at FROM session
			WHERE tenant_id IS NULL OR idle_at > expires_at OR expires_at <= created_at OR expires_at > created_at + 2592000000000`},
	}
}
