package crypt

import (
	"context"
	"encoding/hex"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/id"
	"xinglin/internal/kernel/secret"
)

// ExportedKey opens sealed fields in a foreign implementation; format.go has the
// form. Whoever holds it reads the person's fields for ever.
type ExportedKey struct {
	ID         string // bytes 2-17 of the sealed form, as a UUID
	Generation int
	Algorithm  string      // aes-256-gcm or sm4-gcm
	Key        secret.Text // hex
}

// Export gives out every generation of a person's key, the oldest first, or of the
// tenant's key for the zero person. Only an operator at the command line may call it,
// with an audit row. crypt.shredded when the key was destroyed.
func (r *Ring) Export(ctx context.Context, tenant id.ID[auth.Tenant], person id.ID[id.Any]) ([]ExportedKey, error) {
	t, err := r.tenant(ctx, tenant)
	if err != nil {
		return nil, err
	}
	set := t[kindSeal]
	if !person.IsZero() {
		if set, err = r.person(ctx, personRef{tenant, person}, 0); err != nil {
			return nil, err
		}
	}
	out := make([]ExportedKey, 0, len(set.keys))
	for _, k := range set.keys {
		out = append(out, ExportedKey{
			ID: k.id.String(), Generation: k.generation, Algorithm: k.alg.String(),
			Key: secret.New(hex.EncodeToString(k.raw)),
		})
	}
	return out, nil
}
