package blind

import (
	"context"
	"errors"
	"fmt"

	"xinglin/internal/platform/db"
)

// Generations are those that are in force in a context's tables: Oldest is Newest, or one less while they rotate.
type Generations struct{ Oldest, Newest int }

// first is what is in force without a row.
var first = Generations{1, 1}

// InForce reads the generations of the transaction's tenant.
func InForce(ctx context.Context, tx db.Tx) (Generations, error) { return inForce(ctx, tx) }

const selectGenerations = `SELECT oldest, newest FROM blind_generation WHERE tenant_id = $1`

func inForce(ctx context.Context, tx db.Tx) (g Generations, err error) {
	err = tx.QueryRow(ctx, selectGenerations, tx.Tenant()).Scan(&g.Oldest, &g.Newest)
	if errors.Is(err, db.ErrNoRows) {
		return first, nil
	}
	return g, err
}

// Begin brings a generation in force beside the one before it. When the transaction is committed no row is written any more that
// lacks it: whoever was writing has ended. Repeating it is no error.
func Begin(ctx context.Context, tx db.Tx, generation int) error {
	return move(ctx, tx, Generations{generation - 1, generation}, func(g Generations) bool { return g.Newest == generation-1 && g.Oldest == g.Newest })
}

// End takes the generation before it out of force. All rows must have the newer one. Repeating it is no error.
func End(ctx context.Context, tx db.Tx, generation int) error {
	return move(ctx, tx, Generations{generation, generation}, func(g Generations) bool { return g == Generations{generation - 1, generation} })
}

func move(ctx context.Context, tx db.Tx, to Generations, from func(Generations) bool) error {
	if tx.Engine() == db.Postgres {
		if err := lockPG(ctx, tx); err != nil {
			return err
		}
	}
	g, err := inForce(ctx, tx)
	if err != nil || g == to || g.Oldest >= to.Newest {
		return err
	}
	if !from(g) {
		return fmt.Errorf("blind: generations %d to %d cannot become %d to %d", g.Oldest, g.Newest, to.Oldest, to.Newest)
	}
	_, err = tx.Exec(ctx, `INSERT INTO blind_generation (tenant_id, oldest, newest) VALUES ($1, $2, $3)
		ON CONFLICT (tenant_id) DO UPDATE SET oldest = excluded.oldest, newest = excluded.newest`, tx.Tenant(), to.Oldest, to.Newest)
	return err
}
