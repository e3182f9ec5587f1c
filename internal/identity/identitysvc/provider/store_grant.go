package provider

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

// ---- requests ----

func (s Store) addRequest(ctx context.Context, t identity.TenantID, r request) error {
	return s.DB.Write(ctx, t, func(ctx context.Context, tx db.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO login_request (tenant_id, hash, client_id, issuer, redirect_uri, scopes, client_state, nonce, challenge, prompts, max_age_s, hint, created_at, expires_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)`,
			t, r.hash, r.client, r.issuer, r.redirect, db.JSON(list(r.scopes)), r.state, r.nonce, r.challenge, db.JSON(list(r.prompts)), r.maxAge, r.hint,
			r.created.UnixMicro(), r.expires.UnixMicro())
		return err
	})
}

// request finds a waiting one with its client: identity.client_not_found.
func (s Store) request(ctx context.Context, t identity.TenantID, hash []byte, now time.Time) (r request, c identity.Client, err error) {
	err = s.DB.Read(ctx, t, func(ctx context.Context, tx db.Tx) error {
		r = request{hash: hash}
		err := tx.QueryRow(ctx, `SELECT client_id, issuer, redirect_uri, scopes, client_state, nonce, challenge, prompts, max_age_s, hint, created_at, expires_at
			FROM login_request WHERE tenant_id = $1 AND hash = $2 AND expires_at > $3`, t, hash, now.UnixMicro()).
			Scan(&r.client, &r.issuer, &r.redirect, db.JSONInto(&r.scopes), &r.state, &r.nonce, &r.challenge, db.JSONInto(&r.prompts), &r.maxAge, &r.hint,
				db.Instant(&r.created), db.Instant(&r.expires))
		if err != nil {
			return notFound(err)
		}
		if c, _, err = clientIn(ctx, tx, r.client); err == nil && c.Disabled {
			err = identity.ErrClientNotFound.New()
		}
		return err
	})
	return r, c, err
}

func (s Store) endRequest(ctx context.Context, t identity.TenantID, hash []byte) error {
	return s.DB.Write(ctx, t, func(ctx context.Context, tx db.Tx) error { return takeRequest(ctx, tx, hash) })
}

// takeRequest uses a request up: of two answers one counts, the other is identity.client_not_found.
func takeRequest(ctx context.Context, tx db.Tx, hash []byte) error {
	n, err := tx.Exec(ctx, `DELETE FROM login_request WHERE tenant_id = $1 AND hash = $2`, tx.Tenant(), hash)
	if err == nil && n == 0 {
		return identity.ErrClientNotFound.New()
	}
	return err
}

func (s Store) refuseConsent(ctx context.Context, t identity.TenantID, r request, who auth.Principal, policy string) error {
	return s.DB.Write(ctx, t, func(ctx context.Context, tx db.Tx) error {
		if err := takeRequest(ctx, tx, r.hash); err != nil {
			return err
		}
		return s.Record(ctx, tx, who, clientEntry("identity.decide_login", r.client, policy, accessDenied))
	})
}

// ---- people ----

// sectorOf is the space in which a subject is known.
func sectorOf(c identity.Client) string {
	if c.Sector != "" {
		return "sector:" + c.Sector
	}
	return "client:" + c.ID.String()
}

// person completes what is known of the principal's session; one that has ended makes it nobody.
func (s Store) person(ctx context.Context, t identity.TenantID, c identity.Client, p *person, now time.Time) error {
	read := func(ctx context.Context, tx db.Tx) error {
		err := tx.QueryRow(ctx, `SELECT s.created_at, s.expires_at, s.method FROM session s JOIN account a ON a.tenant_id = s.tenant_id AND a.id = s.account_id
			WHERE s.tenant_id = $1 AND s.id = $2 AND s.account_id = $3 AND s.ended_at IS NULL AND s.expires_at > $4 AND a.state = 'active'`,
			t, p.principal.Session, p.principal.Account, now.UnixMicro()).Scan(db.Instant(&p.authenticated), db.Instant(&p.ends), &p.method)
		if missing(err) {
			*p = person{}
			return nil
		}
		if err != nil {
			return err
		}
		err = tx.QueryRow(ctx, `SELECT subject FROM client_subject WHERE tenant_id = $1 AND sector = $2 AND account_id = $3`, t, sectorOf(c), p.principal.Account).Scan(&p.subject)
		if err != nil && !missing(err) {
			return err
		}
		p.consented, err = consentIn(ctx, tx, p.principal.Account, c.ID)
		return err
	}
	if err := s.DB.Read(ctx, t, read); err != nil || p.principal.Account.IsZero() || p.subject != "" {
		return err
	}
	fresh, _ := newToken()
	return s.DB.Write(ctx, t, func(ctx context.Context, tx db.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO client_subject (tenant_id, sector, account_id, subject, created_at) VALUES ($1, $2, $3, $4, $5)
			ON CONFLICT (tenant_id, sector, account_id) DO NOTHING`, t, sectorOf(c), p.principal.Account, fresh.Reveal(), tx.Now().UnixMicro())
		if err != nil {
			return err
		}
		return tx.QueryRow(ctx, `SELECT subject FROM client_subject WHERE tenant_id = $1 AND sector = $2 AND account_id = $3`, t, sectorOf(c), p.principal.Account).Scan(&p.subject)
	})
}

func consentIn(ctx context.Context, tx db.Tx, a identity.AccountID, c identity.ClientID) (scopes []string, err error) {
	err = tx.QueryRow(ctx, `SELECT scopes FROM client_consent WHERE tenant_id = $1 AND account_id = $2 AND client_id = $3`, tx.Tenant(), a, c).Scan(db.JSONInto(&scopes))
	if missing(err) {
		return nil, nil
	}
	return scopes, err
}

func (s Store) consents(ctx context.Context, t identity.TenantID, a identity.AccountID) (out []consent, err error) {
	err = s.DB.Read(ctx, t, func(ctx context.Context, tx db.Tx) error {
		rows, err := tx.Query(ctx, `SELECT c.id, c.name, c.name_en, k.scopes, k.given_at FROM client_consent k
			JOIN client c ON c.tenant_id = k.tenant_id AND c.id = k.client_id
			WHERE k.tenant_id = $1 AND k.account_id = $2 ORDER BY k.given_at DESC, c.id LIMIT $3`, t, a, maxConsents)
		out, err = db.Collect(rows, err, func(r db.Rows, v *consent) error {
			return r.Scan(&v.client.ID, &v.client.Name, &v.client.NameEN, db.JSONInto(&v.scopes), db.Instant(&v.given))
		})
		return err
	})
	return out, err
}

func (s Store) withdraw(ctx context.Context, t identity.TenantID, a identity.AccountID, c identity.ClientID, policy string) error {
	return s.DB.Write(ctx, t, func(ctx context.Context, tx db.Tx) error {
		n, err := tx.Exec(ctx, `DELETE FROM client_consent WHERE tenant_id = $1 AND account_id = $2 AND client_id = $3`, t, a, c)
		if err != nil {
			return err
		}
		if n == 0 {
			return identity.ErrConsentNotFound.New()
		}
		if _, err := tx.Exec(ctx, `UPDATE client_grant SET ended_at = $4, end_reason = 'identity.withdraw_consent'
			WHERE tenant_id = $1 AND account_id = $2 AND client_id = $3 AND ended_at IS NULL`, t, a, c, tx.Now().UnixMicro()); err != nil {
			return err
		}
		_, err = trail.Record(ctx, tx, clientEntry("identity.withdraw_consent", c, policy, ""))
		return err
	})
}

// ---- grants and tokens ----

const grantColumns = `g.id, g.client_id, g.account_id, g.session_id, g.issuer, g.subject, g.scopes, g.nonce, g.redirect_uri, g.challenge, g.offline, g.kind, g.factors,
	g.authenticated_at, g.created_at, g.expires_at, g.method`

// liveGrant: neither it, nor its client, its person or their session has ended.
const liveGrant = `g.ended_at IS NULL AND g.expires_at > $3 AND c.state = 'active' AND (g.account_id IS NULL OR a.state = 'active'
	AND (g.offline OR s.ended_at IS NULL AND s.expires_at > $3 AND s.idle_at > $3))`

const grantJoins = ` JOIN client c ON c.tenant_id = g.tenant_id AND c.id = g.client_id
	LEFT JOIN account a ON a.tenant_id = g.tenant_id AND a.id = g.account_id
	LEFT JOIN session s ON s.tenant_id = g.tenant_id AND s.id = g.session_id`

func grantFields(g *grant) []any {
	return []any{
		&g.id, &g.client, &g.account, &g.session, &g.issuer, &g.subject, db.JSONInto(&g.scopes), &g.nonce, &g.redirect, &g.challenge, &g.offline,
		(*string)(&g.kind), &g.factors, db.Instant(&g.authenticated), db.Instant(&g.created), db.Instant(&g.expires), &g.method,
	}
}

// grantIn reads a grant and whether it lives.
func grantIn(ctx context.Context, tx db.Tx, one id.ID[grant], now time.Time) (g grant, live bool, err error) {
	n := 0
	err = tx.QueryRow(ctx, `SELECT `+grantColumns+`, CASE WHEN `+liveGrant+` THEN 1 ELSE 0 END FROM client_grant g`+grantJoins+`
		WHERE g.tenant_id = $1 AND g.id = $2`, tx.Tenant(), one, now.UnixMicro()).Scan(append(grantFields(&g), &n)...)
	return g, n == 1, err
}

// live finds a token that is good at the moment; its hash is nil when there is none.
func (s Store) live(ctx context.Context, t identity.TenantID, hash []byte, now time.Time) (v shown, err error) {
	err = s.DB.Read(ctx, t, func(ctx context.Context, tx db.Tx) error {
		v = shown{}
		err := tx.QueryRow(ctx, `SELECT `+grantColumns+`, k.hash, k.kind, k.scopes, k.created_at, k.expires_at
			FROM client_token k JOIN client_grant g ON g.tenant_id = k.tenant_id AND g.id = k.grant_id`+grantJoins+`
			WHERE k.tenant_id = $1 AND k.hash = $2 AND k.used_at IS NULL AND k.expires_at > $3 AND `+liveGrant, t, hash, now.UnixMicro()).
			Scan(append(grantFields(&v.grant), &v.token.hash, (*string)(&v.token.kind), db.JSONInto(&v.token.scopes), db.Instant(&v.token.created), db.Instant(&v.token.expires))...)
		if missing(err) {
			v = shown{}
			return nil
		}
		return err
	})
	return v, err
}

func insertGrant(ctx context.Context, tx db.Tx, g grant) error {
	_, err := tx.Exec(ctx, `INSERT INTO client_grant (tenant_id, id, client_id, account_id, session_id, issuer, subject, scopes, nonce, redirect_uri, challenge, offline, kind, factors,
			authenticated_at, created_at, expires_at, method)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)`,
		tx.Tenant(), g.id, g.client, id.Null(g.account), id.Null(g.session), g.issuer, g.subject, db.JSON(list(g.scopes)), g.nonce, g.redirect, g.challenge, g.offline,
		string(g.kind), g.factors, g.authenticated.UnixMicro(), g.created.UnixMicro(), g.expires.UnixMicro(), g.method)
	return err
}

func insertTokens(ctx context.Context, tx db.Tx, g id.ID[grant], ts ...token) error {
	for _, k := range ts {
		_, err := tx.Exec(ctx, `INSERT INTO client_token (tenant_id, hash, grant_id, kind, scopes, created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
			tx.Tenant(), k.hash, g, string(k.kind), db.JSON(list(k.scopes)), tx.Now().UnixMicro(), k.expires.UnixMicro())
		if err != nil {
			return err
		}
	}
	return nil
}

// addGrant saves a grant with its first token.
func (s Store) addGrant(ctx context.Context, t identity.TenantID, g grant, k token, who auth.Principal, policy string) error {
	return s.DB.Write(ctx, t, func(ctx context.Context, tx db.Tx) error {
		if err := insertGrant(ctx, tx, g); err != nil {
			return err
		}
		if err := insertTokens(ctx, tx, g.id, k); err != nil {
			return err
		}
		return s.Record(ctx, tx, who, grantEntry("identity.issue_token", g.id, policy, ""))
	})
}

// allow uses the request up, remembers the consent, and saves the grant with its code.
func (s Store) allow(ctx context.Context, t identity.TenantID, r request, g grant, code token, c identity.Client, consented bool, who auth.Principal) error {
	return s.DB.Write(ctx, t, func(ctx context.Context, tx db.Tx) error {
		if err := takeRequest(ctx, tx, r.hash); err != nil {
			return err
		}
		action := "identity.continue_login"
		if consented {
			action = "identity.decide_login"
			before, err := consentIn(ctx, tx, g.account, c.ID)
			if err != nil {
				return err
			}
			if _, err := tx.Exec(ctx, `INSERT INTO client_consent (tenant_id, account_id, client_id, scopes, given_at) VALUES ($1, $2, $3, $4, $5)
				ON CONFLICT (tenant_id, account_id, client_id) DO UPDATE SET scopes = excluded.scopes, given_at = excluded.given_at`,
				t, g.account, c.ID, db.JSON(sorted(append(before, g.scopes...))), tx.Now().UnixMicro()); err != nil {
				return err
			}
		}
		if err := insertGrant(ctx, tx, g); err != nil {
			return err
		}
		if err := insertTokens(ctx, tx, g.id, code); err != nil {
			return err
		}
		e := clientEntry(action, c.ID, byPerson, "")
		e.Changed = g.scopes
		return s.Record(ctx, tx, who, e)
	})
}

func endGrant(ctx context.Context, tx db.Tx, g id.ID[grant], reason string) (int64, error) {
	return tx.Exec(ctx, `UPDATE client_grant SET ended_at = $3, end_reason = $4 WHERE tenant_id = $1 AND id = $2 AND ended_at IS NULL`,
		tx.Tenant(), g, tx.Now().UnixMicro(), reason)
}

// use uses a code or refresh token up by one conditional write and saves what next makes for its grant. Of several at the same
// moment one wins. A second use, and a use that next calls misused (invalid_grant), ends the grant; other refusals leave the
// token as it was.
func (s Store) use(ctx context.Context, t identity.TenantID, kind tokenKind, hash []byte, now time.Time, next func(grant, []string) ([]token, error), who auth.Principal) (grant, error) {
	var g grant
	var why error
	err := s.DB.Write(ctx, t, func(ctx context.Context, tx db.Tx) error {
		g, why = grant{}, nil
		one, scopes, fresh, err := useToken(ctx, tx, kind, hash, now)
		if err != nil || one.IsZero() {
			why = refuse(invalidGrant, "the code or refresh token is unknown or over")
			return err
		}
		live := false
		if g, live, err = grantIn(ctx, tx, one, now); err != nil {
			return err
		}
		var rows []token
		switch {
		case !fresh:
			why = refuse(invalidGrant, "the code or refresh token was used before")
		case !live:
			why = refuse(invalidGrant, "the grant is over")
		default:
			rows, why = next(g, scopes)
		}
		var r *refusal
		if errors.As(why, &r) && r.code == invalidGrant {
			_, err := endGrant(ctx, tx, one, "identity.token_misused")
			return err
		}
		if why != nil {
			return why // nothing has happened
		}
		if kind == refreshToken && !g.offline {
			if err := s.Seen(ctx, tx, g.kind, g.session); err != nil {
				return err
			}
		}
		if err := insertTokens(ctx, tx, g.id, rows...); err != nil {
			return err
		}
		return s.Record(ctx, tx, who, grantEntry("identity.issue_token", g.id, byClient, ""))
	})
	if err != nil {
		return grant{}, err
	}
	return g, why
}

// useToken marks the token used; fresh is false when it was before. Zero: there is none, or it expired unused.
func useToken(ctx context.Context, tx db.Tx, kind tokenKind, hash []byte, now time.Time) (one id.ID[grant], scopes []string, fresh bool, err error) {
	err = tx.QueryRow(ctx, `UPDATE client_token SET used_at = $4 WHERE tenant_id = $1 AND hash = $2 AND kind = $3 AND used_at IS NULL AND expires_at > $4
		RETURNING grant_id, scopes`, tx.Tenant(), hash, string(kind), now.UnixMicro()).Scan(&one, db.JSONInto(&scopes))
	if !missing(err) {
		return one, scopes, err == nil, err
	}
	var used time.Time
	err = tx.QueryRow(ctx, `SELECT grant_id, used_at FROM client_token WHERE tenant_id = $1 AND hash = $2 AND kind = $3`, tx.Tenant(), hash, string(kind)).
		Scan(&one, db.Instant(&used))
	if missing(err) || err == nil && used.IsZero() {
		return id.ID[grant]{}, nil, false, nil
	}
	return one, nil, false, err
}

// told keeps in the trail what userinfo told to whom.
func (s Store) told(ctx context.Context, t identity.TenantID, g grant) error {
	return s.DB.Write(ctx, t, func(ctx context.Context, tx db.Tx) error {
		e := trail.Entry{Action: "identity.read_userinfo", Noun: "Account", ID: g.account.String(), Policy: byClient, Changed: list(g.scopes)}
		return s.Record(ctx, tx, clientActor(t, g.client), e)
	})
}

// revoke ends an access token, or with a refresh token the whole grant.
func (s Store) revoke(ctx context.Context, t identity.TenantID, v shown, who auth.Principal) error {
	return s.DB.Write(ctx, t, func(ctx context.Context, tx db.Tx) error {
		if v.token.kind == refreshToken {
			if _, err := endGrant(ctx, tx, v.grant.id, "identity.revoke_token"); err != nil {
				return err
			}
		} else if _, err := tx.Exec(ctx, `UPDATE client_token SET used_at = $3 WHERE tenant_id = $1 AND hash = $2 AND used_at IS NULL`, t, v.token.hash, tx.Now().UnixMicro()); err != nil {
			return err
		}
		return s.Record(ctx, tx, who, grantEntry("identity.revoke_token", v.grant.id, byClient, ""))
	})
}
