package tenantsvc

import (
	"context"

	"xinglin/internal/kernel/dataclass"
	"xinglin/internal/platform/mask"
)

// data are the classes of the columns.
func data() dataclass.Schema {
	return dataclass.Schema{
		"installation": {dataclass.ID: "tenant_id", dataclass.Fact: "demo version created_at"},
		"tenant": {
			dataclass.ID:     "tenant_id id",
			dataclass.Public: "code name",
			dataclass.Fact:   "demo version created_at",
		},
		"configuration": {dataclass.ID: "tenant_id", dataclass.Fact: "generation"},
		"bundle": {
			dataclass.ID:     "tenant_id id undoes",
			dataclass.Actor:  "staged_by applied_by",
			dataclass.Public: "document before digest",
			dataclass.Fact:   "state staged_at applied_at alone why done ended_at halted_at halted_by",
		},
		"trusted_key": {dataclass.ID: "tenant_id name", dataclass.Public: "title public", dataclass.Fact: "created_at"},
		"brand":       {dataclass.ID: "tenant_id", dataclass.Public: "short_name phone accent logo", dataclass.Fact: "updated_at"},
		"host":        {dataclass.ID: "tenant_id owner", dataclass.Public: "name", dataclass.Fact: "created_at"},
	}
}

// masks make every copy demo data: it can be served as a demo and never in the place of the hospital.
func masks() []mask.Rule {
	demo := func(_ context.Context, _ *mask.Copy, r *mask.Row) error {
		r.Set("demo", int64(1))
		return nil
	}
	return []mask.Rule{{Table: "installation", Row: demo}, {Table: "tenant", Row: demo}}
}
