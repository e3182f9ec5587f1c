package provider

import (
	"context"
	"time"

	"xinglin/internal/identity"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/trail"
)

const clientColumns = `SELECT id, name, name_en, public, first_party, accounts, grants, scopes, redirect_uris, logout_uris, back_channel, sector,
	state, version, created_at, secret_hash, old_hash, old_until FROM client`

// secrets are the hashes of a client's secret and of the one before.
type secrets struct {
	now, old []byte
	until    time.Time
}

func scanClient(r db.Row) (c identity.Client, k secrets, err error) {
	var state string
	err = r.Scan(&c.ID, &c.Name, &c.NameEN, &c.Public, &c.FirstParty, (*string)(&c.Accounts), db.JSONInto(&c.Grants), db.JSONInto(&c.Scopes),
		db.JSONInto(&c.RedirectURIs), db.JSONInto(&c.LogoutURIs), &c.BackChannelURI, &c.Sector, &state, &c.Version, db.Instant(&c.CreatedAt),
		&k.now, &k.old, db.Instant(&k.until))
	c.Disabled = state == "disabled"
	return c, k, err
}

// clientIn reads a client: identity.client_not_found.
func clientIn(ctx context.Context, tx db.Tx, c identity.ClientID) (identity.Client, secrets, error) {
	v, k, err := scanClient(tx.QueryRow(ctx, clientColumns+` WHERE tenant_id = $1 AND id = $2`, tx.Tenant(), c))
	return v, k, notFound(err)
}

func (s Store) client(ctx context.Context, t identity.TenantID, c identity.ClientID) (v identity.Client, err error) {
	err = s.DB.Read(ctx, t, func(ctx context.Context, tx db.Tx) error {
		v, _, err = clientIn(ctx, tx, c)
		return err
	})
	return v, err
}

// clientSecrets is client with the hashes that are good at the moment.
func (s Store) clientSecrets(ctx context.Context, t identity.TenantID, c identity.ClientID, now time.Time) (v identity.Client, hashes [][]byte, err error) {
	err = s.DB.Read(ctx, t, func(ctx context.Context, tx db.Tx) error {
		var k secrets
		hashes = nil
		if v, k, err = clientIn(ctx, tx, c); err != nil {
			return err
		}
		if k.now != nil {
			hashes = append(hashes, k.now)
		}
		if k.old != nil && now.Before(k.until) {
			hashes = append(hashes, k.old)
		}
		return nil
	})
	return v, hashes, err
}

func (s Store) clients(ctx context.Context, t identity.TenantID, after identity.ClientID, limit int) (out []identity.Client, err error) {
	err = s.DB.Read(ctx, t, func(ctx context.Context, tx db.Tx) error {
		rows, err := tx.Query(ctx, clientColumns+` WHERE tenant_id = $1 AND id > $2 ORDER BY id LIMIT $3`, t, after, limit)
		out, err = db.Collect(rows, err, func(r db.Rows, c *identity.Client) (err error) {
			*c, _, err = scanClient(r)
			return err
		})
		return err
	})
	return out, err
}

func (s Store) addClient(ctx context.Context, t identity.TenantID, c identity.Client, hash []byte, policy string) error {
	return s.DB.Write(ctx, t, func(ctx context.Context, tx db.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO client (tenant_id, id, name, name_en, public, first_party, accounts, grants, scopes, redirect_uris, logout_uris,
				back_channel, sector, secret_hash, state, version, created_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, 'active', 1, $15)`,
			t, c.ID, c.Name, c.NameEN, c.Public, c.FirstParty, string(c.Accounts), db.JSON(c.Grants), db.JSON(list(c.Scopes)), db.JSON(list(c.RedirectURIs)),
			db.JSON(list(c.LogoutURIs)), c.BackChannelURI, c.Sector, hash, c.CreatedAt.UnixMicro())
		if err != nil {
			return err
		}
		var n int
		if err := tx.QueryRow(ctx, `SELECT COUNT(*) FROM client WHERE tenant_id = $1`, t).Scan(&n); err != nil {
			return err
		}
		if n > maxClients {
			return identity.ErrTooManyClients.New()
		}
		_, err = trail.Record(ctx, tx, clientEntry("identity.create_client", c.ID, policy, ""))
		return err
	})
}

// list is never null in a column.
func list(v []string) []string {
	if v == nil {
		return []string{}
	}
	return v
}

// changeClient runs one conditional change of an active client and says why it changed nothing.
func (s Store) changeClient(ctx context.Context, t identity.TenantID, c identity.ClientID, e trail.Entry, change func(context.Context, db.Tx, identity.Client) (int64, error)) error {
	return s.DB.Write(ctx, t, func(ctx context.Context, tx db.Tx) error {
		before, _, err := clientIn(ctx, tx, c)
		if err != nil {
			return err
		}
		n, err := change(ctx, tx, before)
		if err != nil {
			return err
		}
		if n == 0 {
			if before.Disabled {
				return identity.ErrClientDisabled.New()
			}
			return identity.ErrStale.New()
		}
		_, err = trail.Record(ctx, tx, e)
		return err
	})
}

// updateClient replaces the description. Grants that the client would not get any more end.
func (s Store) updateClient(ctx context.Context, t identity.TenantID, c identity.ClientID, v identity.ClientSpec, version int64, policy string) error {
	e := clientEntry("identity.update_client", c, policy, "")
	changed := map[string]trail.Change{}
	e.Changed = changed
	return s.changeClient(ctx, t, c, e, func(ctx context.Context, tx db.Tx, old identity.Client) (int64, error) {
		if v.Public != old.Public { // a secret does not come from nowhere, nor does it become none
			return 0, identity.ErrClient.At("public", "cannot be changed; make another client")
		}
		n, err := tx.Exec(ctx, `UPDATE client SET name = $4, name_en = $5, first_party = $6, accounts = $7, grants = $8, scopes = $9, redirect_uris = $10, logout_uris = $11,
				back_channel = $12, sector = $13, version = version + 1
			WHERE tenant_id = $1 AND id = $2 AND version = $3 AND state = 'active'`,
			t, c, version, v.Name, v.NameEN, v.FirstParty, string(v.Accounts), db.JSON(v.Grants), db.JSON(list(v.Scopes)), db.JSON(list(v.RedirectURIs)),
			db.JSON(list(v.LogoutURIs)), v.BackChannelURI, v.Sector)
		if err != nil || n == 0 {
			return n, err
		}
		clear(changed)
		if v.Accounts != old.Accounts {
			changed["accounts"] = trail.Change{From: string(old.Accounts), To: string(v.Accounts)}
		}
		if within(old.Scopes, v.Scopes) && within(texts(old.Grants), texts(v.Grants)) && (v.Accounts == old.Accounts || v.Accounts == identity.AnyAccounts) {
			return n, nil
		}
		return n, endGrants(ctx, tx, c, "identity.update_client")
	})
}

func texts[T ~string](in []T) (out []string) {
	for _, x := range in {
		out = append(out, string(x))
	}
	return out
}

// endGrants ends all that a client was granted.
func endGrants(ctx context.Context, tx db.Tx, c identity.ClientID, reason string) error {
	_, err := tx.Exec(ctx, `UPDATE client_grant SET ended_at = $3, end_reason = $4 WHERE tenant_id = $1 AND client_id = $2 AND ended_at IS NULL`,
		tx.Tenant(), c, tx.Now().UnixMicro(), reason)
	return err
}

func (s Store) rotateSecret(ctx context.Context, t identity.TenantID, c identity.ClientID, hash []byte, until time.Time, policy string) error {
	return s.changeClient(ctx, t, c, clientEntry("identity.rotate_client_secret", c, policy, ""), func(ctx context.Context, tx db.Tx, old identity.Client) (int64, error) {
		if old.Public {
			return 0, identity.ErrClientPublic.New()
		}
		return tx.Exec(ctx, `UPDATE client SET old_hash = secret_hash, old_until = $4, secret_hash = $3, version = version + 1
			WHERE tenant_id = $1 AND id = $2 AND state = 'active'`, t, c, hash, until.UnixMicro())
	})
}

func (s Store) disableClient(ctx context.Context, t identity.TenantID, c identity.ClientID, policy string) error {
	return s.DB.Write(ctx, t, func(ctx context.Context, tx db.Tx) error {
		n, err := tx.Exec(ctx, `UPDATE client SET state = 'disabled', version = version + 1 WHERE tenant_id = $1 AND id = $2 AND state = 'active'`, t, c)
		if err != nil {
			return err
		}
		if n == 0 {
			_, _, err := clientIn(ctx, tx, c)
			return err
		}
		if err := endGrants(ctx, tx, c, "identity.disable_client"); err != nil {
			return err
		}
		e := clientEntry("identity.disable_client", c, policy, "")
		e.Changed = map[string]trail.Change{"state": {From: "active", To: "disabled"}}
		_, err = trail.Record(ctx, tx, e)
		return err
	})
}
