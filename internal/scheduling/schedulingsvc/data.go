package schedulingsvc

import (
	"context"

	"xinglin/internal/kernel/id"
	"xinglin/internal/kernel/secret"
	"xinglin/internal/platform/mask"
	"xinglin/internal/scheduling"
)

// masks: what a draw shows everybody stays as it is, or its proof would be none; it names nobody.
func masks() []mask.Rule {
	return []mask.Rule{
		{Table: "lottery", Row: maskLottery},
		{Table: "lottery_entry", Row: func(_ context.Context, _ *mask.Copy, r *mask.Row) error {
			r.Set("nonce", r.Bytes("nonce")) // under the leaf
			return nil
		}},
	}
}

func maskLottery(ctx context.Context, c *mask.Copy, r *mask.Row) error {
	sealed, err := c.Reseal(ctx, seedField(r.Tenant(), id.As[scheduling.Schedule](r.ID("id"))), r.Bytes("seed_sealed"), func(s secret.Text) (secret.Text, error) { return s, nil })
	r.Set("seed_sealed", sealed)
	return err
}
