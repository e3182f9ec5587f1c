package external

import (
	"context"

	"xinglin/internal/identity"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/job"
	"xinglin/internal/platform/trail"
)

const idpColumns = `SELECT id, key, kind, accounts, name, name_en, issuer, pages, client_id, secret_sealed, secret_post, scopes, strong,
	version, created_at, disabled_at IS NULL FROM idp`

// sealedIDP is a row; its secret is opened outside of transactions.
type sealedIDP struct {
	identity.IDP
	secret []byte
}

func scanIDP(r db.Row) (p sealedIDP, err error) {
	err = r.Scan(&p.ID, &p.Key, (*string)(&p.Kind), (*string)(&p.Accounts), &p.Name, &p.NameEN, &p.Issuer, &p.Pages, &p.ClientID, &p.secret, &p.SecretPost,
		&p.Scopes, db.JSONInto(&p.Strong), &p.Version, db.Instant(&p.CreatedAt), &p.Enabled)
	if missing(err) {
		err = identity.ErrIDPNotFound.New()
	}
	return p, err
}

func (s Store) one(ctx context.Context, t identity.TenantID, where string, arg any) (p sealedIDP, err error) {
	err = s.DB.Read(ctx, t, func(ctx context.Context, tx db.Tx) (err error) {
		p, err = scanIDP(tx.QueryRow(ctx, idpColumns+` WHERE tenant_id = $1 AND `+where+` = $2`, t, arg))
		return err
	})
	return p, err
}

func (s Store) list(ctx context.Context, t identity.TenantID, after identity.IDPID, limit int) (out []sealedIDP, err error) {
	err = s.DB.Read(ctx, t, func(ctx context.Context, tx db.Tx) error {
		rows, err := tx.Query(ctx, idpColumns+` WHERE tenant_id = $1 AND id > $2 ORDER BY id LIMIT $3`, t, after, limit)
		out, err = db.Collect(rows, err, func(r db.Rows, p *sealedIDP) (err error) {
			*p, err = scanIDP(r)
			return err
		})
		return err
	})
	return out, err
}

// enabled are those that log people of the accounts in, without their secrets, the oldest first.
func (s Store) enabled(ctx context.Context, t identity.TenantID, k identity.Accounts) (out []identity.IDP, err error) {
	err = s.DB.Read(ctx, t, func(ctx context.Context, tx db.Tx) error {
		rows, err := tx.Query(ctx, idpColumns+` WHERE tenant_id = $1 AND accounts = $2 AND disabled_at IS NULL ORDER BY id LIMIT $3`, t, string(k), maxIDPs)
		out, err = db.Collect(rows, err, func(r db.Rows, p *identity.IDP) error {
			v, err := scanIDP(r)
			*p = v.IDP
			return err
		})
		return err
	})
	return out, err
}

func (s Store) add(ctx context.Context, t identity.TenantID, p sealedIDP, action, policy string) error {
	return s.DB.Write(ctx, t, func(ctx context.Context, tx db.Tx) error {
		var off any
		if !p.Enabled {
			off = tx.Now().UnixMicro()
		}
		n, err := tx.Exec(ctx, `INSERT INTO idp (tenant_id, id, key, kind, accounts, name, name_en, issuer, pages, client_id, secret_sealed, secret_post, scopes, strong,
				version, created_at, disabled_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, 1, $15, $16) ON CONFLICT (tenant_id, key) DO NOTHING`,
			t, p.ID, p.Key, string(p.Kind), string(p.Accounts), p.Name, p.NameEN, p.Issuer, p.Pages, p.ClientID, p.secret, p.SecretPost, p.Scopes, db.JSON(p.Strong),
			p.CreatedAt.UnixMicro(), off)
		if err != nil {
			return err
		}
		if n == 0 {
			return identity.ErrIDPKey.New()
		}
		var all int
		if err := tx.QueryRow(ctx, `SELECT COUNT(*) FROM idp WHERE tenant_id = $1`, t).Scan(&all); err != nil {
			return err
		}
		if all > maxIDPs {
			return identity.ErrTooManyIDPs.New()
		}
		_, err = trail.Record(ctx, tx, idpEntry(action, p.ID, policy))
		return err
	})
}

func idpEntry(action string, p identity.IDPID, policy string) trail.Entry {
	return trail.Entry{Action: action, Noun: "IDP", ID: p.String(), Policy: policy}
}

// update replaces what may be replaced when the version is the caller's: identity.stale. One that is disabled by it loses its sessions.
func (s Store) update(ctx context.Context, t identity.TenantID, p sealedIDP, version int64, policy string) error {
	return s.DB.Write(ctx, t, func(ctx context.Context, tx db.Tx) error {
		before, err := scanIDP(tx.QueryRow(ctx, idpColumns+` WHERE tenant_id = $1 AND id = $2`, t, p.ID))
		if err != nil {
			return err
		}
		secret := p.secret
		if secret == nil {
			secret = before.secret
		}
		on := 0
		if p.Enabled {
			on = 1
		}
		n, err := tx.Exec(ctx, `UPDATE idp SET name = $4, name_en = $5, secret_sealed = $6, secret_post = $7, scopes = $8, strong = $9, version = version + 1,
				disabled_at = CASE WHEN $10 = 1 THEN NULL WHEN disabled_at IS NULL THEN CAST($11 AS BIGINT) ELSE disabled_at END
			WHERE tenant_id = $1 AND id = $2 AND version = $3`,
			t, p.ID, version, p.Name, p.NameEN, secret, p.SecretPost, p.Scopes, db.JSON(p.Strong), on, tx.Now().UnixMicro())
		if err != nil {
			return err
		}
		if n == 0 {
			return identity.ErrStale.New()
		}
		e := idpEntry("identity.update_idp", p.ID, policy)
		if before.Enabled != p.Enabled {
			e.Changed = stateChange(before.Enabled)
		}
		if before.Enabled && !p.Enabled {
			if err := s.endLater(ctx, tx, p.ID); err != nil {
				return err
			}
		}
		_, err = trail.Record(ctx, tx, e)
		return err
	})
}

func stateChange(wasOn bool) map[string]trail.Change {
	if wasOn {
		return map[string]trail.Change{"state": {From: "enabled", To: "disabled"}}
	}
	return map[string]trail.Change{"state": {From: "disabled", To: "enabled"}}
}

// disable stops a provider: from here on nobody comes in by it. One that is disabled stays so.
func (s Store) disable(ctx context.Context, t identity.TenantID, p identity.IDPID, policy string) error {
	return s.DB.Write(ctx, t, func(ctx context.Context, tx db.Tx) error {
		n, err := tx.Exec(ctx, `UPDATE idp SET disabled_at = $3, version = version + 1 WHERE tenant_id = $1 AND id = $2 AND disabled_at IS NULL`, t, p, tx.Now().UnixMicro())
		if err != nil {
			return err
		}
		if n == 0 {
			_, err := scanIDP(tx.QueryRow(ctx, idpColumns+` WHERE tenant_id = $1 AND id = $2`, t, p))
			return err
		}
		if err := s.endLater(ctx, tx, p); err != nil {
			return err
		}
		e := idpEntry("identity.disable_idp", p, policy)
		e.Changed = stateChange(true)
		_, err = trail.Record(ctx, tx, e)
		return err
	})
}

// endLater sees to it that the provider's sessions end even when this process does not.
func (s Store) endLater(ctx context.Context, tx db.Tx, p identity.IDPID) error {
	return job.Enqueue(ctx, tx, job.Spec{Kind: EndKind, Key: p.String(), Payload: endJob{tx.Tenant(), p}})
}

// endSome ends the next sessions of a provider that is disabled.
func (s Store) endSome(ctx context.Context, t identity.TenantID, p identity.IDPID) (ended []Session, err error) {
	err = s.DB.Write(ctx, t, func(ctx context.Context, tx db.Tx) error {
		rows, err := tx.Query(ctx, `SELECT s.account_id, s.id FROM session s JOIN idp p ON p.tenant_id = s.tenant_id AND p.id = s.idp_id
			WHERE s.tenant_id = $1 AND s.idp_id = $2 AND s.ended_at IS NULL AND p.disabled_at IS NOT NULL ORDER BY s.id LIMIT $3`, t, p, maxEnded)
		if ended, err = scanSessions(rows, err); err != nil {
			return err
		}
		return s.end(ctx, tx, ended, "identity.disable_idp")
	})
	return ended, err
}

// ensure gives a provider of the demo the addresses and the secret that its simulator has now.
func (s Store) ensure(ctx context.Context, t identity.TenantID, p sealedIDP, policy string) error {
	return s.DB.Write(ctx, t, func(ctx context.Context, tx db.Tx) error {
		_, err := tx.Exec(ctx, `UPDATE idp SET issuer = $3, pages = $4, secret_sealed = $5 WHERE tenant_id = $1 AND id = $2`, t, p.ID, p.Issuer, p.Pages, p.secret)
		if err != nil {
			return err
		}
		_, err = trail.Record(ctx, tx, idpEntry("identity.ensure_idp", p.ID, policy))
		return err
	})
}
