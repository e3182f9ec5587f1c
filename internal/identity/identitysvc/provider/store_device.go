package provider

import (
	"context"
	"time"

	"xinglin/internal/identity"
	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/db"
)

func (s Store) try(ctx context.Context, t identity.TenantID, a identity.AccountID) error {
	return s.DB.Write(ctx, t, func(ctx context.Context, tx db.Tx) error { return s.Try(ctx, tx, a) })
}

func (s Store) forgive(ctx context.Context, t identity.TenantID, a identity.AccountID) error {
	return s.DB.Write(ctx, t, func(ctx context.Context, tx db.Tx) error { return s.Forgive(ctx, tx, a) })
}

func (s Store) addDevice(ctx context.Context, t identity.TenantID, d device, who auth.Principal) error {
	return s.DB.Write(ctx, t, func(ctx context.Context, tx db.Tx) error {
		n, err := tx.Exec(ctx, `INSERT INTO device_login (tenant_id, hash, user_code, client_id, issuer, scopes, state, interval_s, polled_at, created_at, expires_at)
			VALUES ($1, $2, $3, $4, $5, $6, 'pending', $7, 0, $8, $9) ON CONFLICT DO NOTHING`,
			t, d.hash, d.userCode, d.client, d.issuer, db.JSON(list(d.scopes)), int(deviceEvery.Seconds()), d.created.UnixMicro(), d.expires.UnixMicro())
		if err != nil {
			return err
		}
		if n == 0 { // another device waits with the same short code: one in 25 thousand million
			return identity.ErrBusy.New()
		}
		return s.Record(ctx, tx, who, clientEntry("identity.start_device", d.client, byClient, ""))
	})
}

// device finds one that waits for a person: identity.client_not_found.
func (s Store) device(ctx context.Context, t identity.TenantID, userCode []byte, now time.Time) (d device, c identity.Client, err error) {
	err = s.DB.Read(ctx, t, func(ctx context.Context, tx db.Tx) error {
		d = device{userCode: userCode}
		err := tx.QueryRow(ctx, `SELECT hash, client_id, issuer, scopes, created_at, expires_at FROM device_login
			WHERE tenant_id = $1 AND user_code = $2 AND state = 'pending' AND expires_at > $3`, t, userCode, now.UnixMicro()).
			Scan(&d.hash, &d.client, &d.issuer, db.JSONInto(&d.scopes), db.Instant(&d.created), db.Instant(&d.expires))
		if err != nil {
			return notFound(err)
		}
		if c, _, err = clientIn(ctx, tx, d.client); err == nil && c.Disabled {
			err = identity.ErrClientNotFound.New()
		}
		return err
	})
	return d, c, err
}

// decideDevice takes a person's answer, once.
func (s Store) decideDevice(ctx context.Context, t identity.TenantID, d device, c identity.Client, g grant, yes bool, who auth.Principal) error {
	return s.DB.Write(ctx, t, func(ctx context.Context, tx db.Tx) error {
		state, of, why := "denied", any(nil), accessDenied
		if yes {
			if err := insertGrant(ctx, tx, g); err != nil {
				return err
			}
			state, of, why = "approved", any(g.id), ""
		}
		n, err := tx.Exec(ctx, `UPDATE device_login SET state = $3, grant_id = $4 WHERE tenant_id = $1 AND hash = $2 AND state = 'pending' AND expires_at > $5`,
			t, d.hash, state, of, tx.Now().UnixMicro())
		if err != nil {
			return err
		}
		if n == 0 {
			return identity.ErrClientNotFound.New()
		}
		e := clientEntry("identity.decide_device", c.ID, byPerson, why)
		e.Changed = list(d.scopes)
		return s.Record(ctx, tx, who, e)
	})
}

// waitingDevice is a device's row as a poll sees it.
type waitingDevice struct {
	client   identity.ClientID
	state    string
	grant    id.ID[grant]
	interval int
	polled   time.Time
	expires  time.Time
}

// polling is the decision about one poll: whether it came too soon, and what it gets.
func polling(d waitingDevice, c identity.ClientID, now time.Time) error {
	switch {
	case d.client != c:
		return refuse(invalidGrant, "the device code was made for another client")
	case d.state == "used":
		return refuse(invalidGrant, "the device code was used before")
	case d.state == "denied":
		return refuse(accessDenied, "the person does not agree")
	case !now.Before(d.expires):
		return refuse(expiredToken, "nobody confirmed the device in time")
	case now.Sub(d.polled) < time.Duration(d.interval)*time.Second:
		return refuse(slowDown, "the device asks too often")
	case d.state == "pending":
		return refuse(authorizationPending, "nobody has confirmed the device yet")
	}
	return nil
}

// poll answers a device; of several polls after the confirmation one gets the tokens.
func (s Store) poll(ctx context.Context, t identity.TenantID, c identity.ClientID, hash []byte, now time.Time, next func(grant) []token, who auth.Principal) (grant, error) {
	var g grant
	var why error
	err := s.DB.Write(ctx, t, func(ctx context.Context, tx db.Tx) error {
		g, why = grant{}, nil
		var d waitingDevice
		err := tx.QueryRow(ctx, `SELECT client_id, state, grant_id, interval_s, polled_at, expires_at FROM device_login WHERE tenant_id = $1 AND hash = $2`, t, hash).
			Scan(&d.client, &d.state, &d.grant, &d.interval, db.Instant(&d.polled), db.Instant(&d.expires))
		if missing(err) {
			why = refuse(invalidGrant, "the device code is unknown")
			return nil
		}
		if err != nil {
			return err
		}
		if why = polling(d, c, now); why != nil {
			return s.polled(ctx, tx, hash, d, why, now)
		}
		n, err := tx.Exec(ctx, `UPDATE device_login SET state = 'used', polled_at = $3 WHERE tenant_id = $1 AND hash = $2 AND state = 'approved'`, t, hash, now.UnixMicro())
		if err != nil {
			return err
		}
		live := false
		if g, live, err = grantIn(ctx, tx, d.grant, now); err != nil {
			return err
		}
		if n == 0 || !live {
			why = refuse(invalidGrant, "the device code was used before, or the grant is over")
			return nil
		}
		if err := insertTokens(ctx, tx, g.id, next(g)...); err != nil {
			return err
		}
		return s.Record(ctx, tx, who, grantEntry("identity.issue_token", g.id, byClient, ""))
	})
	if err != nil {
		return grant{}, err
	}
	return g, why
}

// polled keeps when a device asked; one that asks too often waits longer each time, and a used code that comes again ends
// what came of it.
func (s Store) polled(ctx context.Context, tx db.Tx, hash []byte, d waitingDevice, why error, now time.Time) error {
	if d.state == "used" {
		_, err := endGrant(ctx, tx, d.grant, "identity.token_misused")
		return err
	}
	interval := d.interval
	if r, ok := why.(*refusal); ok && r.code == slowDown {
		interval = min(interval+int(deviceEvery.Seconds()), maxPolls)
	}
	_, err := tx.Exec(ctx, `UPDATE device_login SET polled_at = $3, interval_s = $4 WHERE tenant_id = $1 AND hash = $2 AND client_id = $5`,
		tx.Tenant(), hash, now.UnixMicro(), interval, d.client)
	return err
}
