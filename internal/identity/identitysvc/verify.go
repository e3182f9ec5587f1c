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
	return append(clientChecks(child), []verify.Check{
		child("each right belongs to an account of its tenant", "role_grant", "account_id", "c.created_at", "account", "account_id"),
		child("each session belongs to an account of its tenant", "session", "id", "c.created_at", "account", "account_id"),
		child("each token belongs to a session of its tenant", "token", "session_id", "c.created_at", "session", "session_id"),
		child("each passkey belongs to an account of its tenant", "passkey", "id", "c.created_at", "account", "account_id"),
		child("each refused login belongs to an account of its tenant", "refused_login", "id", "c.at", "account", "account_id"),
		{Name: "identity: no account has more than twenty passkeys", SQL: `SELECT CAST(account_id AS TEXT) AS what, MAX(created_at) AS at FROM passkey
			GROUP BY tenant_id, account_id HAVING COUNT(*) > 20`},
		{Name: "identity: no passkey was used after it was blocked", SQL: `SELECT CAST(id AS TEXT) AS what, blocked_at AS at FROM passkey
			WHERE tenant_id IS NULL OR used_at > blocked_at + 60000000`}, // another process's clock
		{Name: "identity: no session was proved outside its life", SQL: `SELECT CAST(id AS TEXT) AS what, created_at AS at FROM session
			WHERE tenant_id IS NULL OR proved_at > expires_at OR (proved_at <> 0 AND proved_at < created_at - 60000000)`},
		child("each link belongs to an account of its tenant", "idp_link", "id", "c.created_at", "account", "account_id"),
		child("each link belongs to a provider of its tenant", "idp_link", "id", "c.created_at", "idp", "idp_id"),
		{Name: "identity: each link is of an account that its provider is for", SQL: `SELECT CAST(l.id AS TEXT) AS what, l.created_at AS at FROM idp_link l
			JOIN account a ON a.tenant_id = l.tenant_id AND a.id = l.account_id JOIN idp p ON p.tenant_id = l.tenant_id AND p.id = l.idp_id WHERE a.kind <> p.accounts`},
		{Name: "identity: no live session of a disabled identity provider", SQL: `SELECT CAST(s.id AS TEXT) AS what, p.disabled_at AS at FROM session s
			JOIN idp p ON p.tenant_id = s.tenant_id AND p.id = s.idp_id WHERE p.disabled_at IS NOT NULL AND s.ended_at IS NULL`},
		{Name: "identity: staff whom an identity provider let in proved two factors", SQL: `SELECT CAST(s.id AS TEXT) AS what, s.created_at AS at FROM session s
			JOIN account a ON a.tenant_id = s.tenant_id AND a.id = s.account_id WHERE s.method = 'idp' AND a.kind = 'staff' AND s.factors < 2`},
		child("each demo row belongs to an account of its tenant", "demo_account", "account_id", "0", "account", "account_id"),
		{Name: "identity: no account is two administrators", SQL: `SELECT CAST(account_id AS TEXT) AS what, MAX(created_at) AS at FROM role_grant
			WHERE role IN ('system_admin', 'security_admin', 'audit_admin') GROUP BY tenant_id, account_id HAVING COUNT(*) > 1`},
		{Name: "identity: no administrator has another role", SQL: `SELECT CAST(account_id AS TEXT) AS what, MAX(created_at) AS at FROM role_grant
			GROUP BY tenant_id, account_id HAVING MAX(CASE WHEN role IN ('system_admin', 'security_admin', 'audit_admin') THEN 1 ELSE 0 END) >
				MIN(CASE WHEN role IN ('system_admin', 'security_admin', 'audit_admin') THEN 1 ELSE 0 END)`},
		{Name: "identity: only staff have rights", SQL: `SELECT CAST(a.id AS TEXT) AS what, MAX(g.created_at) AS at FROM role_grant g
			JOIN account a ON a.tenant_id = g.tenant_id AND a.id = g.account_id WHERE a.kind <> 'staff' GROUP BY a.tenant_id, a.id`},
		{Name: "identity: no code was tried more than five times or used after its end", SQL: `SELECT CAST(id AS TEXT) AS what, created_at AS at FROM challenge
			WHERE tenant_id IS NULL OR tries > 5 OR used_at > expires_at OR used_at < created_at OR (used_at IS NOT NULL AND tries = 0)`},
		{Name: "identity: a phone has one account", SQL: `SELECT CAST(MIN(CAST(id AS TEXT)) AS TEXT) AS what, MAX(created_at) AS at FROM account
			WHERE phone_index IS NOT NULL GROUP BY tenant_id, phone_index HAVING COUNT(*) > 1
			UNION ALL SELECT CAST(MIN(CAST(id AS TEXT)) AS TEXT), MAX(created_at) FROM account
			WHERE phone_index_even IS NOT NULL GROUP BY tenant_id, phone_index_even HAVING COUNT(*) > 1`},
		{Name: "identity: no live session of a disabled or closed account", SQL: `SELECT CAST(s.id AS TEXT) AS what, s.created_at AS at FROM session s
			JOIN account a ON a.tenant_id = s.tenant_id AND a.id = s.account_id WHERE a.state IN ('disabled', 'closed') AND s.ended_at IS NULL`},
		{Name: "identity: a refresh token that was used has a successor or its session ended", SQL: `SELECT CAST(k.session_id AS TEXT) AS what, k.used_at AS at
			FROM token k JOIN session s ON s.tenant_id = k.tenant_id AND s.id = k.session_id
			WHERE k.used_at IS NOT NULL AND s.ended_at IS NULL AND NOT EXISTS (SELECT 1 FROM token n
				WHERE n.tenant_id = k.tenant_id AND n.session_id = k.session_id AND n.kind = 'refresh' AND n.created_at >= k.used_at)`},
		{Name: "identity: no session outlives its limit", SQL: `SELECT CAST(id AS TEXT) AS what, created_at AS at FROM session
			WHERE tenant_id IS NULL OR idle_at > expires_at OR expires_at <= created_at OR expires_at > created_at + 2592000000000`},
	}...)
}

// clientChecks are those of the OpenID Connect provider.
func clientChecks(child func(name, table, key, at, parent, parentKey string) verify.Check) []verify.Check {
	return []verify.Check{
		child("each grant belongs to a client of its tenant", "client_grant", "id", "c.created_at", "client", "client_id"),
		child("each token of a client belongs to a grant of its tenant", "client_token", "grant_id", "c.created_at", "client_grant", "grant_id"),
		child("each consent belongs to a client of its tenant", "client_consent", "account_id", "c.given_at", "client", "client_id"),
		{Name: "identity: no live grant of a disabled client", SQL: `SELECT CAST(g.id AS TEXT) AS what, g.created_at AS at FROM client_grant g
			JOIN client c ON c.tenant_id = g.tenant_id AND c.id = g.client_id WHERE c.state = 'disabled' AND g.ended_at IS NULL`},
		{Name: "identity: no grant outlives its session without offline access", SQL: `SELECT CAST(g.id AS TEXT) AS what, s.ended_at AS at FROM client_grant g
			JOIN session s ON s.tenant_id = g.tenant_id AND s.id = g.session_id WHERE s.ended_at IS NOT NULL AND g.ended_at IS NULL AND NOT g.offline`},
		{Name: "identity: no token of a client outlives its grant", SQL: `SELECT CAST(k.grant_id AS TEXT) AS what, k.created_at AS at FROM client_token k
			JOIN client_grant g ON g.tenant_id = k.tenant_id AND g.id = k.grant_id WHERE k.kind <> 'code' AND k.expires_at > g.expires_at`},
		{Name: "identity: a client's refresh token that was used has a successor or its grant ended", SQL: `SELECT CAST(k.grant_id AS TEXT) AS what, k.used_at AS at
			FROM client_token k JOIN client_grant g ON g.tenant_id = k.tenant_id AND g.id = k.grant_id
			WHERE k.kind = 'refresh' AND k.used_at IS NOT NULL AND g.ended_at IS NULL AND NOT EXISTS (SELECT 1 FROM client_token n
				WHERE n.tenant_id = k.tenant_id AND n.grant_id = k.grant_id AND n.kind = 'access' AND n.created_at >= k.used_at)`},
		{Name: "identity: a signing key was published before it signed", SQL: `SELECT kid AS what, created_at AS at FROM signing_key
			WHERE tenant_id IS NULL OR number > 1 AND signs_at < created_at + 600000000`},
		{Name: "identity: a public client has no secret and acts for people only", SQL: `SELECT CAST(id AS TEXT) AS what, created_at AS at FROM client
			WHERE tenant_id IS NULL OR public = (secret_hash IS NOT NULL)`},
	}
}
