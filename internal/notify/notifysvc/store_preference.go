package notifysvc

import (
	"context"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/notify"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/trail"
)

// putPreferences writes them when p.version is the current one, 0 before the first.
func (store) putPreferences(ctx context.Context, d *db.DB, who auth.Principal, policy string, p preferences) error {
	return d.Write(ctx, who.Tenant, func(ctx context.Context, tx db.Tx) error {
		var n int64
		var err error
		if p.version == 0 {
			n, err = tx.Exec(ctx, `INSERT INTO preference (tenant_id, account_id, topics, quiet, quiet_from, quiet_to, version, at)
				VALUES ($1, $2, $3, $4, $5, $6, 1, $7) ON CONFLICT (tenant_id, account_id) DO NOTHING`,
				tx.Tenant(), who.Account, db.JSON(p.topics), p.quiet, p.from, p.to, tx.Now().UnixMicro())
		} else {
			n, err = tx.Exec(ctx, `UPDATE preference SET topics = $3, quiet = $4, quiet_from = $5, quiet_to = $6, version = version + 1, at = $7
				WHERE tenant_id = $1 AND account_id = $2 AND version = $8`,
				tx.Tenant(), who.Account, db.JSON(p.topics), p.quiet, p.from, p.to, tx.Now().UnixMicro(), p.version)
		}
		if err != nil {
			return err
		}
		if n == 0 {
			return notify.ErrStale.New()
		}
		_, err = trail.Record(ctx, tx, trail.Entry{
			Action: "notify.update_preferences", Noun: "Preference", ID: who.Account.String(), Policy: policy,
			Changed: []string{"topics", "quiet", "quiet_from", "quiet_to"},
		})
		return err
	})
}
