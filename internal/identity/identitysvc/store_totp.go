package identitysvc

import (
	"context"
	"time"

	"xinglin/internal/identity"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/trail"
)

// nextTOTPTime is how long a new secret waits for its first code.
const nextTOTPTime = 15 * time.Minute

// offerTOTP keeps a secret that is not in force, in the place of an earlier one.
func (s store) offerTOTP(ctx context.Context, t identity.TenantID, a identity.AccountID, hash, sealed []byte, until time.Time) error {
	return s.db.Write(ctx, t, func(ctx context.Context, tx db.Tx) error {
		if _, err := tx.Exec(ctx, `DELETE FROM ceremony WHERE tenant_id = $1 AND kind = 'totp' AND account_id = $2`, t, a); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `INSERT INTO ceremony (tenant_id, hash, kind, challenge, account_id, origin, created_at, expires_at) VALUES ($1, $2, 'totp', $3, $4, '', $5, $6)`,
			t, hash, sealed, a, tx.Now().UnixMicro(), until.UnixMicro())
		return err
	})
}

// offeredTOTP reads it: identity.passkey_expired.
func (s store) offeredTOTP(ctx context.Context, t identity.TenantID, a identity.AccountID, hash []byte, now time.Time) (sealed []byte, err error) {
	err = s.db.Read(ctx, t, func(ctx context.Context, tx db.Tx) error {
		return tx.QueryRow(ctx, `SELECT challenge FROM ceremony WHERE tenant_id = $1 AND hash = $2 AND kind = 'totp' AND account_id = $3 AND expires_at > $4`,
			t, hash, a, now.UnixMicro()).Scan(&sealed)
	})
	if missing(err) {
		return nil, identity.ErrPasskeyExpired.New()
	}
	return sealed, err
}

// replaceTOTP puts the secret in force, with the step of its first code used: identity.passkey_expired when another request
// was first.
func (s store) replaceTOTP(ctx context.Context, t identity.TenantID, a identity.AccountID, hash, sealed []byte, step int64, policy string) error {
	return s.db.Write(ctx, t, func(ctx context.Context, tx db.Tx) error {
		n, err := tx.Exec(ctx, `DELETE FROM ceremony WHERE tenant_id = $1 AND hash = $2 AND kind = 'totp' AND account_id = $3`, t, hash, a)
		if err == nil && n == 0 {
			err = identity.ErrPasskeyExpired.New()
		}
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `UPDATE account SET totp_sealed = $3, totp_step = $4 WHERE tenant_id = $1 AND id = $2 AND kind = 'staff'`, t, a, sealed, step); err != nil {
			return err
		}
		_, err = trail.Record(ctx, tx, trail.Entry{Action: "identity.replace_totp", Noun: "Account", ID: a.String(), Policy: policy})
		return err
	})
}
