package identitysvc

import (
	"context"
	"time"

	"xinglin/internal/identity"
	"xinglin/internal/identity/identitysvc/passkey"
	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/trail"
)

// Limits on questions to authenticators and on answers that do not hold (docs/guide/accounts.md).
const (
	asksAnHour   = 600 // of one network: a ward's people sit behind one address
	asksAMinute  = 3000
	failuresOnce = 50 // refused answers, and refused passwords, of one network
	failureTime  = 15 * time.Minute
)

func failedPasswords(network []byte) budget {
	return budget{kind: "failed_password", subject: network, max: failuresOnce, window: failureTime, refusal: identity.ErrNetworkLocked}
}

func failedPasskeys(network []byte) budget {
	return budget{kind: "failed_passkey", subject: network, max: failuresOnce, window: failureTime, refusal: identity.ErrPasskeyTooOften}
}

// passkeys is the SQL of passkeys, in the same database.
func (s store) passkeys() passkey.Store {
	return passkey.Store{
		DB: s.db, Record: record,
		Spend: func(ctx context.Context, tx db.Tx, network []byte) error {
			if network == nil {
				return nil
			}
			all := tx.Tenant()
			for _, b := range []budget{
				failedPasskeys(network),
				{kind: "ceremony", subject: network, max: asksAnHour, window: time.Hour, refusal: identity.ErrPasskeyTooOften},
				{kind: "ceremony", subject: all[:], max: asksAMinute, window: time.Minute, refusal: identity.ErrPasskeyTooOften},
			} {
				do := spendIn
				if b.kind == "failed_passkey" {
					do = func(ctx context.Context, tx db.Tx, b budget) error { return b.room(ctx, tx) }
				}
				if err := do(ctx, tx, b); err != nil {
					return err
				}
			}
			return nil
		},
		Failed: func(ctx context.Context, tx db.Tx, network []byte) (bool, error) {
			return failedPasskeys(network).note(ctx, tx)
		},
		Note: func(ctx context.Context, tx db.Tx, a identity.AccountID, device string) error {
			return noteRefused(ctx, tx, a, byPasskey, device)
		},
	}
}

// noteRefused lets the account's owner see a login that was refused.
func noteRefused(ctx context.Context, tx db.Tx, a identity.AccountID, m method, device string) error {
	_, err := tx.Exec(ctx, `INSERT INTO refused_login (tenant_id, id, account_id, method, device, at) VALUES ($1, $2, $3, $4, $5, $6)`,
		tx.Tenant(), id.New[refusedLogin](tx.Now()), a, string(m), device, tx.Now().UnixMicro())
	return err
}

// refusedLogin is a row of the table.
type refusedLogin struct{}

// loginPasskey uses the key and begins the session: identity.passkey_wrong when the key was used, blocked or removed meanwhile.
func (s store) loginPasskey(ctx context.Context, t identity.TenantID, p passkey.Proof, o opened, ts []token, in door) error {
	return s.db.Write(ctx, t, func(ctx context.Context, tx db.Tx) error {
		if err := s.passkeys().Use(ctx, tx, p); err != nil {
			return err
		}
		n, err := tx.Exec(ctx, `UPDATE account SET last_login_at = $3 WHERE tenant_id = $1 AND id = $2 AND state = 'active'`, t, p.Account, tx.Now().UnixMicro())
		if err == nil && n == 0 { // disabled meanwhile
			err = identity.ErrPasskeyWrong.New()
		}
		if err != nil {
			return err
		}
		return addSession(ctx, tx, o.session, ts, in.action)
	})
}

// consuming uses a proof up in a transaction; what it refuses is committed.
type consuming func(ctx context.Context, tx db.Tx) (refused, err error)

// step is a step-up as the session and the trail keep it.
type step struct {
	why     string // totp, code, passkey
	factors int
	try     budget // given back
	policy  string
}

// proved moves the session's last proof on, by what use consumes: identity.session_ended when the session does not live any
// more.
func (s store) proved(ctx context.Context, who auth.Principal, by step, use consuming) error {
	var refused error
	err := s.db.Write(ctx, who.Tenant, func(ctx context.Context, tx db.Tx) (err error) {
		if refused, err = use(ctx, tx); err != nil || refused != nil {
			return err
		}
		n, err := tx.Exec(ctx, `UPDATE session SET proved_at = $3, factors = CASE WHEN factors < $4 THEN $4 ELSE factors END
			WHERE tenant_id = $1 AND id = $2 AND ended_at IS NULL`, tx.Tenant(), who.Session, tx.Now().UnixMicro(), by.factors)
		if err != nil {
			return err
		}
		if n == 0 {
			return identity.ErrSession.New()
		}
		if err := by.try.forget(ctx, tx); err != nil {
			return err
		}
		_, err = trail.Record(ctx, tx, trail.Entry{Action: "identity.step_up", Noun: "Session", ID: who.Session.String(), Policy: by.policy, Why: by.why})
		return err
	})
	if err != nil {
		return err
	}
	return refused
}

// useStep takes the one-time code's step, once: identity.step_up_wrong for one that was used, or none (0).
func useStep(a identity.AccountID, step int64, policy string) consuming {
	return func(ctx context.Context, tx db.Tx) (error, error) {
		n := int64(0)
		if step > 0 {
			var err error
			n, err = tx.Exec(ctx, `UPDATE account SET totp_step = $3 WHERE tenant_id = $1 AND id = $2 AND state = 'active' AND totp_step < $3`, tx.Tenant(), a, step)
			if err != nil {
				return nil, err
			}
		}
		if n == 1 {
			return nil, nil
		}
		_, err := trail.Record(ctx, tx, trail.Entry{Action: "identity.step_up", Noun: "Account", ID: a.String(), Policy: policy, Why: identity.ErrStepUpWrong.Name})
		return identity.ErrStepUpWrong.New(), err
	}
}

// useStepUpCode takes the code that was sent to the account's phone.
func useStepUpCode(c claim, who auth.Principal) consuming {
	return func(ctx context.Context, tx db.Tx) (refused, err error) {
		return taken(ctx, tx, c, "identity.step_up", who)
	}
}

// useKey uses the passkey.
func (s store) useKey(p passkey.Proof) consuming {
	return func(ctx context.Context, tx db.Tx) (error, error) { return nil, s.passkeys().Use(ctx, tx, p) }
}

// room refuses when the budget is used up, in a transaction of its own.
func (s store) room(ctx context.Context, t identity.TenantID, b budget) error {
	return s.db.Read(ctx, t, func(ctx context.Context, tx db.Tx) error { return b.room(ctx, tx) })
}

// spendOne is spendIn in a transaction of its own.
func (s store) spendOne(ctx context.Context, t identity.TenantID, b budget) error {
	return s.db.Write(ctx, t, func(ctx context.Context, tx db.Tx) error { return spendIn(ctx, tx, b) })
}

// saw is a login as its owner sees it later.
type saw struct {
	id      id.ID[id.Any]
	at      time.Time
	method  method
	device  string
	ok      bool
	session identity.SessionID // zero when refused
	ended   time.Time
}

// logins lists the account's logins of the last thirty days and those that were refused, before one, the newest first.
func (s store) logins(ctx context.Context, t identity.TenantID, a identity.AccountID, before id.ID[id.Any], limit int) (out []saw, err error) {
	if before.IsZero() {
		for i := range before {
			before[i] = 0xff
		}
	}
	err = s.db.Read(ctx, t, func(ctx context.Context, tx db.Tx) error {
		rows, err := tx.Query(ctx, `SELECT id, created_at AS at, method, device, 1 AS ok, ended_at FROM session WHERE tenant_id = $1 AND account_id = $2 AND id < $3
			UNION ALL SELECT id, at, method, device, 0 AS ok, NULL AS ended_at FROM refused_login WHERE tenant_id = $1 AND account_id = $2 AND id < $3
			ORDER BY 1 DESC LIMIT $4`, t, a, before, limit)
		out, err = db.Collect(rows, err, func(r db.Rows, v *saw) error {
			ok := 0
			err := r.Scan(&v.id, db.Instant(&v.at), (*string)(&v.method), &v.device, &ok, db.Instant(&v.ended))
			if v.ok = ok == 1; v.ok {
				v.session = id.As[auth.Session](v.id)
			}
			return err
		})
		return err
	})
	return out, err
}
