package interopsvc

import (
	"context"

	"xinglin/internal/kernel/dataclass"
	"xinglin/internal/platform/mask"
)

// data are the classes of the columns. A report of a rota names doctors, and a file's name may name anybody.
func data() dataclass.Schema {
	return dataclass.Schema{"import_run": {
		dataclass.ID:     "tenant_id id",
		dataclass.Fact:   "kind state dry_run stop_visits bytes read_bytes lease_until started_at ended_at",
		dataclass.Actor:  "actor",
		dataclass.Text:   "name",
		dataclass.Secret: "hash",
		dataclass.Record: "report",
	}}
}

func masks() []mask.Rule {
	return []mask.Rule{{Table: "import_run", Row: func(_ context.Context, _ *mask.Copy, r *mask.Row) error {
		r.Set("report", "{}")
		return nil
	}}}
}
