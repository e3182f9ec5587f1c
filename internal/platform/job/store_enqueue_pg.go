package job

import (
	"context"
	"encoding/json"

	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/obs"
)

// enqueuePG writes all jobs in one statement.
func enqueuePG(ctx context.Context, tx db.Tx, specs []Spec) error {
	n := len(specs)
	ids, runs, tries := make([][16]byte, n), make([]int64, n), make([]int32, n)
	kinds, keys, payloads, numbers := make([]string, n), make([]string, n), make([]string, n), make([]string, n)
	for i, s := range specs {
		b, err := json.Marshal(s.Payload)
		if err != nil {
			return err
		}
		ids[i], kinds[i], keys[i], payloads[i] = id.New[Job](tx.Now()), s.Kind, s.Key, string(b)
		runs[i], tries[i], numbers[i] = s.RunAt.UnixMicro(), int32(s.Max), s.Number //nolint:gosec // attempts are few
	}
	_, err := tx.Exec(ctx, `INSERT INTO job (tenant_id, id, kind, key, payload, run_at, state, max, trace, number, created_at)
		SELECT $1, r.id, r.kind, r.key, r.payload::jsonb, r.run_at, 'ready', r.max, $2, r.number, $3
		FROM unnest($4::uuid[], $5::text[], $6::text[], $7::text[], $8::bigint[], $9::int[], $10::text[]) AS r(id, kind, key, payload, run_at, max, number)`+onOpen,
		tx.Tenant(), obs.Trace(ctx), tx.Now().UnixMicro(), ids, kinds, keys, payloads, runs, tries, numbers)
	return err
}
