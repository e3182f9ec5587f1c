package interopsvc

import "xinglin/internal/platform/verify"

// checks are the invariants of imports.
func checks() []verify.Check {
	return []verify.Check{
		{Name: "interop: an import that runs is watched", SQL: `-- global: every tenant
			SELECT id_text(r.id) AS what, r.started_at AS at FROM import_run r WHERE r.state = 'running' AND NOT EXISTS (
				SELECT 1 FROM job j WHERE j.tenant_id = r.tenant_id AND j.kind = 'interop.watch_import' AND j.key = id_text(r.id) AND j.state IN ('ready', 'running'))`},
		{Name: "interop: an import that was done has read its file to the end", Grace: verify.NoGrace, SQL: `-- global: every tenant
			SELECT id_text(r.id) AS what, r.started_at AS at FROM import_run r WHERE r.state = 'done' AND r.read_bytes <> r.bytes`},
	}
}
