package notifysvc

import "xinglin/internal/platform/verify"

func checks() []verify.Check {
	return []verify.Check{
		{Name: "notify: no text message waits without a job", SQL: `-- global: every tenant
			SELECT id_text(d.id) AS what, d.created_at AS at FROM delivery d WHERE d.channel = 'sms' AND d.state = 'queued'
			AND NOT EXISTS (SELECT 1 FROM job j WHERE j.tenant_id = d.tenant_id AND j.kind = 'notify.sms' AND j.key = id_text(d.id) AND j.state IN ('ready', 'running', 'dead'))`},
	}
}
