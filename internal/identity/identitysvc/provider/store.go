package provider

import (
	"context"
	"errors"
	"time"

	"xinglin/internal/identity"
	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/job"
	"xinglin/internal/platform/trail"
)

// Policies that the trail names where a secret, code or token is the permission, and where a person answers for themselves.
const (
	byClient = "identity.by_client"
	byPerson = "identity.own_consents"
)

// Store is the provider's SQL, in identity's database.
type Store struct {
	DB *db.DB
	// Record writes an act whose principal may not be in ctx: a client is none of the doors'.
	Record func(ctx context.Context, tx db.Tx, who auth.Principal, e trail.Entry) error
	// Try takes one of the account's tries at a device's code: identity.device_tries. Forgive gives them back.
	Try, Forgive func(ctx context.Context, tx db.Tx, a identity.AccountID) error
	// Seen moves the idle end of a session on, as a request of its own would.
	Seen func(ctx context.Context, tx db.Tx, k auth.Kind, s identity.SessionID) error
}

func missing(err error) bool { return errors.Is(err, db.ErrNoRows) }

// notFound makes a missing row the caller's refusal.
func notFound(err error) error {
	if missing(err) {
		return identity.ErrClientNotFound.New()
	}
	return err
}

// refused keeps a refusal in the trail.
func (s Store) refused(ctx context.Context, t identity.TenantID, action string, c identity.ClientID, why string, who auth.Principal) error {
	return s.DB.Write(ctx, t, func(ctx context.Context, tx db.Tx) error {
		return s.Record(ctx, tx, who, clientEntry(action, c, byClient, why))
	})
}

func clientEntry(action string, c identity.ClientID, policy, why string) trail.Entry {
	e := trail.Entry{Action: action, Noun: "Client", Policy: policy, Why: why}
	if !c.IsZero() {
		e.ID = c.String()
	}
	return e
}

func grantEntry(action string, g id.ID[grant], policy, why string) trail.Entry {
	return trail.Entry{Action: action, Noun: "ClientGrant", ID: g.String(), Policy: policy, Why: why}
}

// ---- signing keys ----

// maxKeys is how many a tenant ever has at once: published for a day and known for ninety.
const maxKeys = 1000

func (s Store) signingKeys(ctx context.Context, t identity.TenantID) (out []storedKey, err error) {
	err = s.DB.Read(ctx, t, func(ctx context.Context, tx db.Tx) error {
		rows, err := tx.Query(ctx, `SELECT number, kid, public_key, sealed, created_at, signs_at FROM signing_key WHERE tenant_id = $1 ORDER BY number LIMIT $2`, t, maxKeys)
		out, err = db.Collect(rows, err, func(r db.Rows, k *storedKey) error {
			return r.Scan(&k.number, &k.kid, &k.public, &k.sealed, db.Instant(&k.created), db.Instant(&k.signs))
		})
		return err
	})
	return out, err
}

// addKey publishes a key; false when another process made the one of this number.
func (s Store) addKey(ctx context.Context, t identity.TenantID, k storedKey, who auth.Principal, policy string) (made bool, err error) {
	err = s.DB.Write(ctx, t, func(ctx context.Context, tx db.Tx) error {
		n, err := tx.Exec(ctx, `INSERT INTO signing_key (tenant_id, number, kid, public_key, sealed, created_at, signs_at) VALUES ($1, $2, $3, $4, $5, $6, $7)
			ON CONFLICT (tenant_id, number) DO NOTHING`, t, k.number, k.kid, k.public, k.sealed, k.created.UnixMicro(), k.signs.UnixMicro())
		if made = n == 1; err != nil || !made {
			return err
		}
		return s.Record(ctx, tx, who, trail.Entry{Action: "identity.rotate_signing_key", Noun: "SigningKey", ID: k.kid, Policy: policy})
	})
	return made, err
}

// hastenKey lets a published key sign sooner.
func (s Store) hastenKey(ctx context.Context, t identity.TenantID, k storedKey, signs time.Time, who auth.Principal, policy string) error {
	return s.DB.Write(ctx, t, func(ctx context.Context, tx db.Tx) error {
		n, err := tx.Exec(ctx, `UPDATE signing_key SET signs_at = $3 WHERE tenant_id = $1 AND number = $2 AND signs_at > $3`, t, k.number, signs.UnixMicro())
		if err != nil || n == 0 {
			return err
		}
		return s.Record(ctx, tx, who, trail.Entry{Action: "identity.rotate_signing_key", Noun: "SigningKey", ID: k.kid, Policy: policy})
	})
}

// ---- what ends ----

// SessionsEnded ends what clients got through a session that ends in this transaction (zero: through all of the account's),
// and lets those clients know that want to. Offline grants outlive one session, but not the end of all.
func SessionsEnded(ctx context.Context, tx db.Tx, a identity.AccountID, one identity.SessionID) error {
	all := 0
	if one.IsZero() {
		all = 1
	}
	rows, err := tx.Query(ctx, `SELECT g.id, g.client_id, g.session_id, CASE WHEN c.back_channel = '' THEN 0 ELSE 1 END
		FROM client_grant g JOIN client c ON c.tenant_id = g.tenant_id AND c.id = g.client_id
		WHERE g.tenant_id = $1 AND g.account_id = $2 AND ($4 = 1 OR g.session_id = $3) AND g.ended_at IS NULL AND g.expires_at > $5
		ORDER BY g.id LIMIT 1000`, tx.Tenant(), a, one, all, tx.Now().UnixMicro())
	type line struct {
		grant   id.ID[grant]
		client  identity.ClientID
		session identity.SessionID
		tell    int
	}
	lines, err := db.Collect(rows, err, func(r db.Rows, l *line) error { return r.Scan(&l.grant, &l.client, &l.session, &l.tell) })
	if err != nil || len(lines) == 0 {
		return err
	}
	if _, err := tx.Exec(ctx, `UPDATE client_grant SET ended_at = $5, end_reason = 'identity.session_ended'
		WHERE tenant_id = $1 AND account_id = $2 AND ended_at IS NULL AND ($4 = 1 OR session_id = $3 AND NOT offline)`,
		tx.Tenant(), a, one, all, tx.Now().UnixMicro()); err != nil {
		return err
	}
	told := map[[2][16]byte]bool{}
	var jobs []job.Spec
	for _, l := range lines {
		if k := [2][16]byte{[16]byte(l.client), [16]byte(l.session)}; l.tell == 1 && !told[k] {
			told[k] = true
			jobs = append(jobs, job.Spec{Kind: LogoutKind, Key: l.grant.String(), Payload: LogoutJob{Tenant: tx.Tenant(), Grant: l.grant}})
		}
	}
	return job.Enqueue(ctx, tx, jobs...)
}

// endedGrant is a grant with its client, for the job that tells.
func (s Store) endedGrant(ctx context.Context, t identity.TenantID, one id.ID[grant]) (g grant, c identity.Client, err error) {
	err = s.DB.Read(ctx, t, func(ctx context.Context, tx db.Tx) error {
		if g, _, err = grantIn(ctx, tx, one, tx.Now()); err != nil {
			return notFound(err)
		}
		c, _, err = clientIn(ctx, tx, g.client)
		return err
	})
	return g, c, err
}

// sweep deletes what nobody needs any more: requests and device codes a day after their end, tokens likewise, grants thirty
// days after theirs, keys whose hints nobody shows.
func (s Store) sweep(ctx context.Context, t identity.TenantID, now time.Time, keys []int) error {
	day := 24 * time.Hour
	for _, x := range []struct {
		text   string
		before time.Time
	}{
		{`DELETE FROM login_request WHERE tenant_id = $1 AND hash IN (
			SELECT hash FROM login_request WHERE tenant_id = $1 AND expires_at < $2 ORDER BY expires_at LIMIT $3)`, now.Add(-day)},
		{`DELETE FROM device_login WHERE tenant_id = $1 AND hash IN (
			SELECT hash FROM device_login WHERE tenant_id = $1 AND expires_at < $2 ORDER BY expires_at LIMIT $3)`, now.Add(-day)},
		{`DELETE FROM client_token WHERE tenant_id = $1 AND hash IN (
			SELECT hash FROM client_token WHERE tenant_id = $1 AND expires_at < $2 ORDER BY expires_at LIMIT $3)`, now.Add(-day)},
		{`DELETE FROM client_grant WHERE tenant_id = $1 AND id IN (
			SELECT id FROM client_grant WHERE tenant_id = $1 AND expires_at < $2
				AND NOT EXISTS (SELECT 1 FROM client_token k WHERE k.tenant_id = $1 AND k.grant_id = client_grant.id)
				AND NOT EXISTS (SELECT 1 FROM device_login d WHERE d.tenant_id = $1 AND d.grant_id = client_grant.id)
			ORDER BY expires_at LIMIT $3)`, now.Add(-30 * day)},
	} {
		if err := s.DB.Sweep(ctx, t, x.text, x.before); err != nil {
			return err
		}
	}
	if len(keys) == 0 {
		return nil
	}
	return s.DB.Write(ctx, t, func(ctx context.Context, tx db.Tx) error {
		list, args := db.Few([]any{t}, keys)
		_, err := tx.Exec(ctx, `DELETE FROM signing_key WHERE tenant_id = $1 AND number IN (`+list+`)`, args...)
		return err
	})
}
