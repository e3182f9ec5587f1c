package tenantsvc

import (
	"context"
	"errors"

	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/trail"
	"xinglin/internal/tenant"
)

func (s store) brand(ctx context.Context, t tenant.ID) (b Brand, err error) {
	err = s.db.Read(ctx, t, func(ctx context.Context, tx db.Tx) error {
		b = Brand{Logo: []byte{}}
		err := tx.QueryRow(ctx, `SELECT short_name, phone, accent, logo FROM brand WHERE tenant_id = $1`, t).Scan(&b.ShortName, &b.Phone, &b.Accent, &b.Logo)
		if errors.Is(err, db.ErrNoRows) {
			return nil
		}
		if b.Logo == nil {
			b.Logo = []byte{}
		}
		return err
	})
	return b, err
}

func (s store) setBrand(ctx context.Context, t tenant.ID, b Brand, policy string) error {
	return s.db.Write(ctx, t, func(ctx context.Context, tx db.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO brand (tenant_id, short_name, phone, accent, logo, updated_at) VALUES ($1, $2, $3, $4, $5, $6)
			ON CONFLICT (tenant_id) DO UPDATE SET short_name = excluded.short_name, phone = excluded.phone, accent = excluded.accent, logo = excluded.logo,
			updated_at = excluded.updated_at`, t, b.ShortName, b.Phone, b.Accent, b.Logo, tx.Now().UnixMicro())
		if err != nil {
			return err
		}
		return note(ctx, tx, trail.Entry{
			Action: "tenant.set_brand", Noun: "Tenant", ID: id.ID[id.Any](t).String(), Policy: policy, Changed: []string{"short_name", "phone", "accent", "logo"},
		})
	})
}
