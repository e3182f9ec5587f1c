package passkey

import (
	"context"
	"errors"
	"time"

	"xinglin/internal/identity"
	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/trail"
)

// Store is the package's SQL, in identity's database.
type Store struct {
	DB *db.DB
	// Record writes an act whose principal may not be in ctx.
	Record func(ctx context.Context, tx db.Tx, who auth.Principal, e trail.Entry) error
	// Spend takes one question of the network's and the tenant's: identity.passkey_too_often.
	Spend func(ctx context.Context, tx db.Tx, network []byte) error
	// Failed counts a refused answer of the network's; false when it has had its share, and gets no row any more.
	Failed func(ctx context.Context, tx db.Tx, network []byte) (bool, error)
	// Note lets the account's owner see a login that was refused.
	Note func(ctx context.Context, tx db.Tx, a identity.AccountID, device string) error
}

func missing(err error) bool { return errors.Is(err, db.ErrNoRows) }

// add inserts a ceremony.
func (c ceremony) add(ctx context.Context, tx db.Tx) error {
	_, err := tx.Exec(ctx, `INSERT INTO ceremony (tenant_id, hash, kind, challenge, account_id, origin, created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
		tx.Tenant(), c.hash, string(c.kind), c.challenge, id.Null(c.account), c.origin, tx.Now().UnixMicro(), c.expires.UnixMicro())
	return err
}

// ask saves a ceremony when the budgets allow it.
func (s Store) ask(ctx context.Context, t identity.TenantID, c ceremony, network []byte) error {
	return s.DB.Write(ctx, t, func(ctx context.Context, tx db.Tx) error {
		if err := s.Spend(ctx, tx, network); err != nil {
			return err
		}
		return c.add(ctx, tx)
	})
}

// offer is ask for a registration: it gives the account its user handle, fresh unless it has one.
func (s Store) offer(ctx context.Context, t identity.TenantID, c ceremony, network, fresh []byte) (handle []byte, err error) {
	err = s.DB.Write(ctx, t, func(ctx context.Context, tx db.Tx) error {
		if err := s.Spend(ctx, tx, network); err != nil {
			return err
		}
		if err := c.add(ctx, tx); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `INSERT INTO passkey_owner (tenant_id, account_id, handle, created_at) VALUES ($1, $2, $3, $4)
			ON CONFLICT (tenant_id, account_id) DO NOTHING`, t, c.account, fresh, tx.Now().UnixMicro()); err != nil {
			return err
		}
		handle, err = handleIn(ctx, tx, c.account)
		return err
	})
	return handle, err
}

func handleIn(ctx context.Context, tx db.Tx, a identity.AccountID) (handle []byte, err error) {
	err = tx.QueryRow(ctx, `SELECT handle FROM passkey_owner WHERE tenant_id = $1 AND account_id = $2`, tx.Tenant(), a).Scan(&handle)
	return handle, err
}

// handle is the account's user handle: identity.passkey_expired when it never asked for a key.
func (s Store) handle(ctx context.Context, t identity.TenantID, a identity.AccountID) (handle []byte, err error) {
	err = s.DB.Read(ctx, t, func(ctx context.Context, tx db.Tx) error {
		handle, err = handleIn(ctx, tx, a)
		return err
	})
	if missing(err) {
		return nil, identity.ErrPasskeyExpired.New()
	}
	return handle, err
}

// take deletes a ceremony and returns it; the zero ceremony when there is none that is still good. Of several at the same
// moment one gets it.
func (s Store) take(ctx context.Context, t identity.TenantID, hash []byte, now time.Time) (c ceremony, err error) {
	err = s.DB.Write(ctx, t, func(ctx context.Context, tx db.Tx) error {
		c = ceremony{}
		err := tx.QueryRow(ctx, `DELETE FROM ceremony WHERE tenant_id = $1 AND hash = $2 AND kind <> 'totp' AND expires_at > $3
			RETURNING hash, kind, challenge, account_id, origin`, t, hash, now.UnixMicro()).
			Scan(&c.hash, (*string)(&c.kind), &c.challenge, &c.account, &c.origin)
		if missing(err) {
			return nil
		}
		return err
	})
	return c, err
}

// add saves a key: identity.passkey_taken, identity.too_many_passkeys. The owner's row is locked first, so that keys at the
// same moment are counted one after the other.
func (s Store) add(ctx context.Context, t identity.TenantID, k stored, policy string) error {
	return s.DB.Write(ctx, t, func(ctx context.Context, tx db.Tx) error {
		if _, err := tx.Exec(ctx, `UPDATE passkey_owner SET created_at = created_at WHERE tenant_id = $1 AND account_id = $2`, t, k.account); err != nil {
			return err
		}
		var n int
		if err := tx.QueryRow(ctx, `SELECT COUNT(*) FROM passkey WHERE tenant_id = $1 AND account_id = $2`, t, k.account).Scan(&n); err != nil {
			return err
		}
		if n >= maxKeys {
			return identity.ErrTooManyPasskeys.New()
		}
		added, err := tx.Exec(ctx, `INSERT INTO passkey (tenant_id, id, account_id, credential, public_key, host, name_sealed, transports, synced, sign_count, created_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT (tenant_id, credential) DO NOTHING`,
			t, k.id, k.account, k.credential, k.publicKey, k.host, k.name, db.JSON(k.transports), k.synced, k.count, k.created.UnixMicro())
		if err != nil {
			return err
		}
		if added == 0 {
			return identity.ErrPasskeyTaken.New()
		}
		_, err = trail.Record(ctx, tx, trail.Entry{Action: "identity.add_passkey", Noun: "Passkey", ID: k.id.String(), Policy: policy})
		return err
	})
}

const keyColumns = `SELECT k.id, k.account_id, k.credential, k.public_key, k.host, k.name_sealed, k.transports, k.synced, k.sign_count, k.created_at, k.used_at,
	k.blocked_at, o.handle, a.kind, CASE WHEN a.state = 'active' THEN 1 ELSE 0 END
	FROM passkey k JOIN passkey_owner o ON o.tenant_id = k.tenant_id AND o.account_id = k.account_id
	JOIN account a ON a.tenant_id = k.tenant_id AND a.id = k.account_id `

func scanKey(r db.Row, k *stored) error {
	live := 0
	err := r.Scan(&k.id, &k.account, &k.credential, &k.publicKey, &k.host, &k.name, db.JSONInto(&k.transports), &k.synced, &k.count, db.Instant(&k.created),
		db.Instant(&k.used), db.Instant(&k.blocked), &k.handle, (*string)(&k.kind), &live)
	k.live = live == 1
	return err
}

// keys are those of an account, the oldest first.
func (s Store) keys(ctx context.Context, t identity.TenantID, a identity.AccountID) (out []stored, err error) {
	err = s.DB.Read(ctx, t, func(ctx context.Context, tx db.Tx) error {
		rows, err := tx.Query(ctx, keyColumns+`WHERE k.tenant_id = $1 AND k.account_id = $2 ORDER BY k.id LIMIT $3`, t, a, maxKeys)
		out, err = db.Collect(rows, err, func(r db.Rows, k *stored) error { return scanKey(r, k) })
		return err
	})
	return out, err
}

// byCredential finds a key; the zero one when there is none.
func (s Store) byCredential(ctx context.Context, t identity.TenantID, credential []byte) (k stored, err error) {
	err = s.DB.Read(ctx, t, func(ctx context.Context, tx db.Tx) error {
		k = stored{}
		return scanKey(tx.QueryRow(ctx, keyColumns+`WHERE k.tenant_id = $1 AND k.credential = $2`, t, credential), &k)
	})
	if missing(err) {
		return stored{}, nil
	}
	return k, err
}

// rename changes the name of one of the account's keys: identity.passkey_not_found.
func (s Store) rename(ctx context.Context, t identity.TenantID, a identity.AccountID, p ID, name []byte, policy string) error {
	return s.change(ctx, t, p, "identity.rename_passkey", policy, func(ctx context.Context, tx db.Tx) (int64, error) {
		return tx.Exec(ctx, `UPDATE passkey SET name_sealed = $4 WHERE tenant_id = $1 AND id = $2 AND account_id = $3`, t, p, a, name)
	})
}

// remove deletes one of the account's keys: identity.passkey_not_found.
func (s Store) remove(ctx context.Context, t identity.TenantID, a identity.AccountID, p ID, policy string) error {
	return s.change(ctx, t, p, "identity.remove_passkey", policy, func(ctx context.Context, tx db.Tx) (int64, error) {
		return tx.Exec(ctx, `DELETE FROM passkey WHERE tenant_id = $1 AND id = $2 AND account_id = $3`, t, p, a)
	})
}

func (s Store) change(ctx context.Context, t identity.TenantID, p ID, action, policy string, do func(context.Context, db.Tx) (int64, error)) error {
	return s.DB.Write(ctx, t, func(ctx context.Context, tx db.Tx) error {
		n, err := do(ctx, tx)
		if err != nil {
			return err
		}
		if n == 0 {
			return identity.ErrPasskeyNotFound.New()
		}
		_, err = trail.Record(ctx, tx, trail.Entry{Action: action, Noun: "Passkey", ID: p.String(), Policy: policy})
		return err
	})
}

// block ends a key that has a copy; its owner sees it and removes it.
func (s Store) block(ctx context.Context, t identity.TenantID, p ID) error {
	return s.DB.Write(ctx, t, func(ctx context.Context, tx db.Tx) error {
		_, err := tx.Exec(ctx, `UPDATE passkey SET blocked_at = $3 WHERE tenant_id = $1 AND id = $2 AND blocked_at IS NULL`, t, p, tx.Now().UnixMicro())
		return err
	})
}

// Use saves in the caller's transaction that the key was used: identity.passkey_wrong when another answer of it came first
// with the same counter, or it was blocked or removed meanwhile.
func (s Store) Use(ctx context.Context, tx db.Tx, p Proof) error {
	n, err := tx.Exec(ctx, `UPDATE passkey SET sign_count = $3, used_at = $4
		WHERE tenant_id = $1 AND id = $2 AND blocked_at IS NULL AND (sign_count < $3 OR sign_count = 0 AND $3 = 0)`,
		tx.Tenant(), p.key.id, p.count, tx.Now().UnixMicro())
	if err == nil && n == 0 {
		return identity.ErrPasskeyWrong.New()
	}
	return err
}

// refused keeps a refused answer in the trail, within what its network may leave there, and a refused login for its owner.
func (s Store) refused(ctx context.Context, r refusal, code string, network []byte) error {
	return s.DB.Write(ctx, r.tenant, func(ctx context.Context, tx db.Tx) error {
		within, err := s.Failed(ctx, tx, network)
		if err != nil || !within {
			return err
		}
		e := trail.Entry{Action: r.action, Noun: "Account", Policy: r.policy, Why: code}
		if r.why != "" {
			e.Why += " " + r.why
		}
		switch {
		case !r.key.IsZero():
			e.Noun, e.ID = "Passkey", r.key.String()
		case !r.account.IsZero():
			e.ID = r.account.String()
		}
		if r.action == "identity.login_passkey" && !r.account.IsZero() {
			if err := s.Note(ctx, tx, r.account, r.device); err != nil {
				return err
			}
		}
		return s.Record(ctx, tx, r.who, e)
	})
}
