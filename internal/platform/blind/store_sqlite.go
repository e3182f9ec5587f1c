package blind

import (
	"context"

	"xinglin/internal/platform/db"
)

// holdSQLite reads the generations. There is one writer at a time: nobody changes them before its transaction ends.
func holdSQLite(ctx context.Context, tx db.Tx) (Generations, error) { return inForce(ctx, tx) }
