package identitysvc

import (
	"context"

	"xinglin/internal/identity"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/trail"
)

// showDemo puts an account on the demo's login page: identity.not_found.
func (s store) showDemo(ctx context.Context, t identity.TenantID, r demoRow, policy string) error {
	return s.db.Write(ctx, t, func(ctx context.Context, tx db.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO demo_account (tenant_id, account_id, position, label, label_en, password_sealed)
			VALUES ($1, $2, $3, $4, $5, $6)
			ON CONFLICT (tenant_id, account_id) DO UPDATE SET position = excluded.position, label = excluded.label,
				label_en = excluded.label_en, password_sealed = excluded.password_sealed`,
			t, r.account.id, r.position, r.label, r.labelEN, r.password)
		if db.IsForeign(err) {
			return identity.ErrNotFound.Wrap(err)
		}
		if err != nil {
			return err
		}
		_, err = trail.Record(ctx, tx, trail.Entry{Action: "identity.show_demo", Noun: "Account", ID: r.account.id.String(), Policy: policy})
		return err
	})
}

// demoRows lists the page's accounts that can log in.
func (s store) demoRows(ctx context.Context, t identity.TenantID) (out []demoRow, err error) {
	err = s.db.Read(ctx, t, func(ctx context.Context, tx db.Tx) error {
		out = nil
		rows, err := tx.Query(ctx, `SELECT d.label, d.label_en, d.password_sealed, a.id, a.kind, a.phone_sealed, COALESCE(a.username, ''), a.totp_sealed
			FROM demo_account d JOIN account a ON a.tenant_id = d.tenant_id AND a.id = d.account_id
			WHERE d.tenant_id = $1 AND a.state = 'active' ORDER BY d.position, a.id LIMIT $2`, t, maxDemo)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var r demoRow
			a := &r.account
			if err := rows.Scan(&r.label, &r.labelEN, &r.password, &a.id, &a.kind, &a.phone, &a.username, &a.totp); err != nil {
				return err
			}
			out = append(out, r)
		}
		return rows.Err()
	})
	return out, err
}
