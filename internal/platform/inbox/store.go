package inbox

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"

	"xinglin/internal/kernel/event"
	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/db"
)

// arrive writes the inbox rows of messages in one statement, in the order of their keys,
// and tells which were not there before.
func (c *Consumer) arrive(ctx context.Context, tx db.Tx, ms []told) (map[id.ID[event.Row]]bool, error) {
	sorted := slices.SortedFunc(slices.Values(ms), func(a, b told) int { return bytes.Compare(a.meta.ID[:], b.meta.ID[:]) })
	var values strings.Builder
	args := []any{tx.Tenant(), tx.Now().UnixMicro()}
	for i, m := range sorted {
		if i > 0 {
			values.WriteString(", ")
		}
		fmt.Fprintf(&values, "($1, $%d, $%d, CAST($2 AS bigint))", len(args)+1, len(args)+2)
		args = append(args, m.meta.ID, m.meta.Name)
	}
	fresh := make(map[id.ID[event.Row]]bool, len(ms))
	rows, err := tx.Query(ctx, "INSERT INTO inbox (tenant_id, id, name, at) VALUES "+values.String()+
		" ON CONFLICT (tenant_id, id) DO NOTHING RETURNING id", args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var v id.ID[event.Row]
		if err := rows.Scan(&v); err != nil {
			return nil, err
		}
		fresh[v] = true
	}
	return fresh, rows.Err()
}
