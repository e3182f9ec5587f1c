package identitysvc

import (
	"context"
	"time"

	"xinglin/internal/identity"
	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/batch"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/trail"
)

// addSession saves a session that has just begun, with its login in the trail, and
// ends the account's sessions beyond maxSessions.
func addSession(ctx context.Context, tx db.Tx, s session, ts []token, action string) error {
	_, err := tx.Exec(ctx, `INSERT INTO session (tenant_id, id, account_id, factors, device, created_at, last_seen_at, idle_at, expires_at, method, proved_at, idp_id)
		VALUES ($1, $2, $3, $4, $5, $6, $6, $7, $8, $9, $10, $11)`,
		tx.Tenant(), s.id, s.account, s.factors, s.device, s.created.UnixMicro(), s.idleAt.UnixMicro(), s.expires.UnixMicro(), string(s.method), s.proved.UnixMicro(), id.Null(s.idp))
	if err != nil {
		return err
	}
	if err := addTokens(ctx, tx, s, ts); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, `UPDATE account SET last_login_at = $3 WHERE tenant_id = $1 AND id = $2`, tx.Tenant(), s.account, tx.Now().UnixMicro()); err != nil {
		return err
	}
	if err := crowd(ctx, tx, s.account); err != nil {
		return err
	}
	return record(ctx, tx, principalOf(tx.Tenant(), s), trail.Entry{Action: action, Noun: "Session", ID: s.id.String(), Policy: byProof})
}

// principalOf is who the session belongs to.
func principalOf(t identity.TenantID, s session) auth.Principal {
	return auth.Principal{Kind: s.kind, Tenant: t, Account: s.account, Session: s.id, Factors: s.factors}
}

func addTokens(ctx context.Context, tx db.Tx, s session, ts []token) error {
	for _, k := range ts {
		_, err := tx.Exec(ctx, `INSERT INTO token (tenant_id, hash, session_id, kind, created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6)`,
			tx.Tenant(), k.hash, s.id, string(k.kind), tx.Now().UnixMicro(), k.expires.UnixMicro())
		if err != nil {
			return err
		}
	}
	return nil
}

// crowd ends the live sessions beyond maxSessions, those unseen for the longest.
func crowd(ctx context.Context, tx db.Tx, a identity.AccountID) error {
	rows, err := tx.Query(ctx, `UPDATE session SET ended_at = $3, end_reason = 'identity.crowded_out' WHERE tenant_id = $1 AND id IN (
			SELECT id FROM session WHERE tenant_id = $1 AND account_id = $2 AND ended_at IS NULL AND expires_at > $3
			ORDER BY last_seen_at DESC, id DESC LIMIT 100 OFFSET $4)
		RETURNING id`, tx.Tenant(), a, tx.Now().UnixMicro(), maxSessions)
	if err != nil {
		return err
	}
	var gone []identity.SessionID
	defer rows.Close()
	for rows.Next() {
		var s identity.SessionID
		if err := rows.Scan(&s); err != nil {
			return err
		}
		gone = append(gone, s)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	rows.Close()
	return revocation(ctx, tx, a, gone...)
}

// tokenAsk is a token that a request shows.
type tokenAsk struct {
	kind tokenKind
	hash [32]byte
}

// liveSession is a session with its account's rights; until is when the token ends at the latest.
type liveSession struct {
	session
	until time.Time
}

// maxAsked is how many tokens one read takes.
const maxAsked = 128

// sessionsOf finds the live sessions of tokens in one read: identity.session_ended for
// the others. What waits for a session at 8:00 is the whole town.
func (s store) sessionsOf(now func() time.Time) batch.Work[identity.TenantID, tokenAsk, liveSession] {
	return func(ctx context.Context, t identity.TenantID, asks []tokenAsk) (out []batch.Result[liveSession], err error) {
		var found map[tokenAsk]liveSession
		err = s.db.Read(ctx, t, func(ctx context.Context, tx db.Tx) error {
			found, err = sessionsIn(ctx, tx, asks, now())
			return err
		})
		out = make([]batch.Result[liveSession], len(asks))
		for i, a := range asks {
			v, ok := found[a]
			if out[i].Out = v; !ok {
				out[i].Err = identity.ErrSession.New()
			}
		}
		return out, err
	}
}

func sessionsIn(ctx context.Context, tx db.Tx, asks []tokenAsk, now time.Time) (map[tokenAsk]liveSession, error) {
	hashes := make([][]byte, len(asks))
	for i := range asks {
		hashes[i] = asks[i].hash[:]
	}
	list, args := db.Few([]any{tx.Tenant(), now.UnixMicro()}, hashes)
	rows, err := tx.Query(ctx, db.OneByOne(tx.Engine(), list, "bytea", 1, func(match string) string {
		return `SELECT t.hash, t.kind, s.id, s.account_id, a.kind AS account_kind, a.practitioner_id, s.factors, s.proved_at, s.last_seen_at, s.expires_at, t.expires_at AS ends_at
			FROM token t
			JOIN session s ON s.tenant_id = t.tenant_id AND s.id = t.session_id
			JOIN account a ON a.tenant_id = s.tenant_id AND a.id = s.account_id
			WHERE t.tenant_id = $1 AND t.hash ` + match + ` AND t.used_at IS NULL AND +t.expires_at > $2
				AND s.ended_at IS NULL AND s.expires_at > $2 AND s.idle_at > $2 AND a.state = 'active'`
	}), args...)
	type line struct {
		ask tokenAsk
		liveSession
	}
	lines, err := db.Collect(rows, err, func(r db.Rows, v *line) error {
		var hash []byte
		err := r.Scan(&hash, (*string)(&v.ask.kind), &v.id, &v.account, &v.kind, &v.practitioner, &v.factors, db.Instant(&v.proved), db.Instant(&v.lastSeen), db.Instant(&v.expires), db.Instant(&v.until))
		copy(v.ask.hash[:], hash)
		v.until = earlier(v.until, v.expires)
		return err
	})
	found := make(map[tokenAsk]liveSession, len(lines))
	for _, v := range lines {
		if v.kind != auth.Patient { // persons have no grants
			if v.grants, err = grantsOf(ctx, tx, v.account); err != nil {
				return nil, err
			}
		}
		found[v.ask] = v.liveSession
	}
	return found, err
}

// seen moves the idle end on, at most once each seenEvery over all processes.
func (s store) seen(ctx context.Context, t identity.TenantID, one identity.SessionID, now, idleAt, before time.Time) error {
	return s.db.Write(ctx, t, func(ctx context.Context, tx db.Tx) error { return seenIn(ctx, tx, one, now, idleAt, before) })
}

// seenIn is seen in a transaction; the idle end stays within the absolute one.
func seenIn(ctx context.Context, tx db.Tx, one identity.SessionID, now, idleAt, before time.Time) error {
	_, err := tx.Exec(ctx, `UPDATE session SET last_seen_at = $3, idle_at = CASE WHEN expires_at < $4 THEN expires_at ELSE $4 END
		WHERE tenant_id = $1 AND id = $2 AND ended_at IS NULL AND last_seen_at <= $5`,
		tx.Tenant(), one, now.UnixMicro(), idleAt.UnixMicro(), before.UnixMicro())
	return err
}

// sessions lists live ones older than before (zero: from the newest).
func (s store) sessions(ctx context.Context, t identity.TenantID, a identity.AccountID, now time.Time, before identity.SessionID, limit int) (out []session, err error) {
	if before.IsZero() {
		for i := range before {
			before[i] = 0xff
		}
	}
	err = s.db.Read(ctx, t, func(ctx context.Context, tx db.Tx) error {
		out = nil
		rows, err := tx.Query(ctx, `SELECT id, device, created_at, last_seen_at, method FROM session
			WHERE tenant_id = $1 AND account_id = $2 AND ended_at IS NULL AND expires_at > $3 AND idle_at > $3 AND id < $4
			ORDER BY id DESC LIMIT $5`, t, a, now.UnixMicro(), before, limit)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var x session
			if err := rows.Scan(&x.id, &x.device, db.Instant(&x.created), db.Instant(&x.lastSeen), (*string)(&x.method)); err != nil {
				return err
			}
			out = append(out, x)
		}
		return rows.Err()
	})
	return out, err
}

func endAll(ctx context.Context, tx db.Tx, a identity.AccountID, reason string) (int64, error) {
	return tx.Exec(ctx, `UPDATE session SET ended_at = $3, end_reason = $4 WHERE tenant_id = $1 AND account_id = $2 AND ended_at IS NULL`,
		tx.Tenant(), a, tx.Now().UnixMicro(), reason)
}

func endOne(ctx context.Context, tx db.Tx, a identity.AccountID, one identity.SessionID, reason string) (int64, error) {
	return tx.Exec(ctx, `UPDATE session SET ended_at = $4, end_reason = $5 WHERE tenant_id = $1 AND account_id = $2 AND id = $3 AND ended_at IS NULL`,
		tx.Tenant(), a, one, tx.Now().UnixMicro(), reason)
}

// endSessions ends one, or all when one is zero: identity.not_found when that one does
// not live, or the account does not exist.
func (s store) endSessions(ctx context.Context, t identity.TenantID, a identity.AccountID, one identity.SessionID, action, policy string) error {
	return s.db.Write(ctx, t, func(ctx context.Context, tx db.Tx) error {
		var n int64
		var err error
		if one.IsZero() {
			n, err = endAll(ctx, tx, a, action)
		} else {
			n, err = endOne(ctx, tx, a, one, action)
		}
		if err != nil {
			return err
		}
		if n == 0 {
			if one.IsZero() {
				err = tx.QueryRow(ctx, `SELECT id FROM account WHERE tenant_id = $1 AND id = $2`, t, a).Scan(&a)
			}
			if !one.IsZero() || missing(err) {
				return identity.ErrNotFound.New()
			}
			return err
		}
		if err := revocation(ctx, tx, a, one); err != nil {
			return err
		}
		object, noun := one.String(), "Session"
		if one.IsZero() {
			object, noun = a.String(), "Account"
		}
		_, err = trail.Record(ctx, tx, trail.Entry{Action: action, Noun: noun, ID: object, Policy: policy})
		return err
	})
}

// rotate uses a refresh token up by one conditional write and saves what next makes
// for its session. Of several at the same moment one wins; the others, and every later
// one, are a reuse: the family ends and is returned with identity.refresh_reused.
func (s store) rotate(ctx context.Context, t identity.TenantID, hash []byte, now time.Time, next func(session) []token) (session, error) {
	var of session
	var refused error
	err := s.db.Write(ctx, t, func(ctx context.Context, tx db.Tx) error {
		of, refused = session{}, nil
		var used time.Time
		err := tx.QueryRow(ctx, `UPDATE token SET used_at = $3 WHERE tenant_id = $1 AND hash = $2 AND kind = 'refresh' AND used_at IS NULL AND expires_at > $3
			RETURNING session_id`, t, hash, now.UnixMicro()).Scan(&of.id)
		fresh := err == nil
		if missing(err) {
			err = tx.QueryRow(ctx, `SELECT session_id, used_at FROM token WHERE tenant_id = $1 AND hash = $2 AND kind = 'refresh'`, t, hash).
				Scan(&of.id, db.Instant(&used))
			if missing(err) || err == nil && used.IsZero() { // unknown, or expired unused
				of, refused = session{}, identity.ErrSession.New()
				return nil
			}
		}
		if err != nil {
			return err
		}
		live, err := family(ctx, tx, &of, now)
		switch {
		case err != nil:
			return err
		case !fresh:
			refused = identity.ErrRefreshReused.New()
			return endFamily(ctx, tx, of)
		case !live:
			refused = identity.ErrSession.New()
			return nil
		}
		return addTokens(ctx, tx, of, next(of))
	})
	if err != nil {
		return session{}, err
	}
	return of, refused
}

// family locks and reads the session of a refresh token, and moves its idle end on.
func family(ctx context.Context, tx db.Tx, of *session, now time.Time) (live bool, err error) {
	err = tx.QueryRow(ctx, `SELECT s.account_id, a.kind, s.factors, s.expires_at FROM session s
		JOIN account a ON a.tenant_id = s.tenant_id AND a.id = s.account_id
		WHERE s.tenant_id = $1 AND s.id = $2`, tx.Tenant(), of.id).Scan(&of.account, &of.kind, &of.factors, db.Instant(&of.expires))
	if err != nil {
		return false, err
	}
	_, idle := lasts(of.kind)
	n, err := tx.Exec(ctx, `UPDATE session SET last_seen_at = $3, idle_at = $4
		WHERE tenant_id = $1 AND id = $2 AND ended_at IS NULL AND expires_at > $3 AND idle_at > $3
			AND EXISTS (SELECT 1 FROM account a WHERE a.tenant_id = $1 AND a.id = session.account_id AND a.state = 'active')`,
		tx.Tenant(), of.id, now.UnixMicro(), earlier(now.Add(idle), of.expires).UnixMicro())
	return n == 1, err
}

func endFamily(ctx context.Context, tx db.Tx, of session) error {
	n, err := endOne(ctx, tx, of.account, of.id, "identity.refresh_reused")
	if err != nil || n == 0 {
		return err
	}
	if err := revocation(ctx, tx, of.account, of.id); err != nil {
		return err
	}
	return record(ctx, tx, visitor(tx.Tenant()), trail.Entry{
		Action: "identity.create_token", Noun: "Session", ID: of.id.String(), Policy: byProof, Why: identity.ErrRefreshReused.Name,
	})
}
