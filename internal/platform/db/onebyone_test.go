package db_test

import (
	"testing"

	"xinglin/internal/platform/db"
)

func TestOneByOne(t *testing.T) {
	t.Parallel()
	list, args := db.Few([]any{"t"}, []string{"a", "b", "c"})
	query := func(match string) string { return "SELECT id FROM t WHERE tenant_id = $1 AND id " + match }
	for e, want := range map[db.Engine]string{
		db.SQLite:   "SELECT id FROM t WHERE tenant_id = $1 AND id IN ($2,$3,$4,$5)",
		db.Postgres: "-- global: the query within names the tenant\nSELECT x.* FROM (SELECT DISTINCT v FROM unnest(ARRAY[$2,$3,$4,$5]::uuid[]) AS v) AS k(v) CROSS JOIN LATERAL (SELECT id FROM t WHERE tenant_id = $1 AND id = k.v LIMIT 9) AS x",
	} {
		if got := db.OneByOne(e, list, "uuid", 9, query); got != want {
			t.Errorf("%s: %s", e, got)
		}
	}
	if len(args) != 5 {
		t.Errorf("%d arguments", len(args))
	}
}
