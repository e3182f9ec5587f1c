package notifysvc

import "xinglin/internal/platform/verify"

func checks() []verify.Check {
	return []verify.Check{
		{Name: "notify: no message waits without a job", SQL: `-- global: every tenant
			SELECT id_text(d.id) AS what, d.created_at AS at FROM delivery d WHERE d.state = 'queued'
			AND NOT EXISTS (SELECT 1 FROM job j WHERE j.tenant_id = d.tenant_id AND j.kind = 'notify.' || d.channel AND j.key = id_text(d.id) AND j.state IN ('ready', 'running', 'dead'))`},
		{Name: "notify: what is sent says when, and what failed says why", SQL: `-- global: every tenant
			SELECT id_text(d.id) AS what, d.created_at AS at FROM delivery d
			WHERE d.channel <> 'in_app' AND (d.state = 'sent' AND d.sent_at IS NULL OR d.state = 'failed' AND d.why = '' OR d.state = 'read')`},
	}
}
