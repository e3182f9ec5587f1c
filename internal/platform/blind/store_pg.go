package blind

import (
	"context"

	"xinglin/internal/platform/db"
)

// The generations of a tenant in a context are held by a lock of the server's memory, shared by all who write indexes: a row that
// everybody locks would be written by everybody.

const lockName = `hashtextextended('xinglin blind ' || current_schema() || ' ' || CAST($1 AS text), 0)`

// holdPG reads the generations and keeps them from changing until the transaction ends, in one round trip.
func holdPG(ctx context.Context, tx db.Tx) (Generations, error) {
	g := first
	var p db.Pipeline
	p.Exec(`SELECT pg_advisory_xact_lock_shared(`+lockName+`) -- global: a lock by the tenant's name`, tx.Tenant().String())
	p.Query(db.Each(func(r db.Rows) error { return r.Scan(&g.Oldest, &g.Newest) }), selectGenerations, tx.Tenant())
	return g, tx.Send(ctx, &p)
}

// lockPG waits for all who hold the generations, and keeps others from it until the transaction ends.
func lockPG(ctx context.Context, tx db.Tx) error {
	_, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock(`+lockName+`) -- global: a lock by the tenant's name`, tx.Tenant().String())
	return err
}
