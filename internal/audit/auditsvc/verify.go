package auditsvc

import "xinglin/internal/platform/verify"

// sets are what other contexts' histories must find here.
func sets() []verify.Set {
	return []verify.Set{{Name: "audit.acts", SQL: `-- global: every tenant
		SELECT id_text(id) AS key, at FROM audit_event ORDER BY 1`}}
}
