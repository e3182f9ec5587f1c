package identitysvc

import (
	"context"

	"xinglin/internal/identity"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/trail"
)

// closeAccount empties a patient's account and ends its sessions. One that is closed stays so.
func (s store) closeAccount(ctx context.Context, t identity.TenantID, a identity.AccountID, policy string) error {
	return s.db.Write(ctx, t, func(ctx context.Context, tx db.Tx) error {
		var was accountState
		err := tx.QueryRow(ctx, `SELECT state FROM account WHERE tenant_id = $1 AND id = $2 AND kind = 'patient'`, t, a).Scan(&was)
		if missing(err) {
			return identity.ErrNotFound.New()
		}
		if err != nil {
			return err
		}
		n, err := tx.Exec(ctx, `UPDATE account SET state = 'closed', phone_index = NULL, phone_index_even = NULL, phone_sealed = NULL, name_sealed = NULL, last_login_at = NULL, version = version + 1
			WHERE tenant_id = $1 AND id = $2 AND kind = 'patient' AND state <> 'closed'`, t, a)
		if err != nil || n == 0 {
			return err
		}
		if _, err := endAll(ctx, tx, a, "identity.close_account"); err != nil {
			return err
		}
		if err := revocation(ctx, tx, a, identity.SessionID{}); err != nil {
			return err
		}
		_, err = trail.Record(ctx, tx, trail.Entry{
			Action: "identity.close_account", Noun: "Account", ID: a.String(), Policy: policy,
			Changed: map[string]trail.Change{"state": {From: string(was), To: string(closed)}},
		})
		return err
	})
}
