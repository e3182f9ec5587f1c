package identitysvc

import (
	"context"
	"time"

	"xinglin/internal/identity"
	"xinglin/internal/identity/identitysvc/external"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/job"
)

func failedIDP(network []byte) budget {
	return budget{kind: "failed_idp", subject: network, max: failuresOnce, window: failureTime, refusal: identity.ErrIDPTooOften}
}

// idps is the SQL of identity providers, in the same database.
func (s store) idps() external.Store {
	return external.Store{
		DB: s.db, Blind: s.blind, Record: record, Visitor: visitor,
		Room: func(ctx context.Context, tx db.Tx, network []byte) error { return failedIDP(network).room(ctx, tx) },
		Spend: func(ctx context.Context, tx db.Tx, network []byte) error {
			if network == nil {
				return nil
			}
			if err := failedIDP(network).room(ctx, tx); err != nil {
				return err
			}
			one := budget{kind: "idp_login", subject: network, max: asksAnHour, window: time.Hour, refusal: identity.ErrIDPTooOften}
			return spendIn(ctx, tx, one)
		},
		Failed: func(ctx context.Context, tx db.Tx, network []byte) (bool, error) {
			return failedIDP(network).note(ctx, tx)
		},
		Note: func(ctx context.Context, tx db.Tx, a identity.AccountID) error {
			return noteRefused(ctx, tx, a, byProvider, "")
		},
		End: func(ctx context.Context, tx db.Tx, x external.Session, reason string) error {
			n, err := endOne(ctx, tx, x.Account, x.Session, reason)
			if err != nil || n == 0 {
				return err
			}
			return revocation(ctx, tx, x.Account, x.Session)
		},
	}
}

// loginIDP begins the session of an account that is linked, when the link and its provider still stand, by what use consumes.
func (s store) loginIDP(ctx context.Context, t identity.TenantID, o opened, ts []token, in door, use consuming) error {
	var refused error
	err := s.db.Write(ctx, t, func(ctx context.Context, tx db.Tx) (err error) {
		refused = nil
		if use != nil {
			if refused, err = use(ctx, tx); err != nil || refused != nil {
				return err
			}
		}
		if err := s.idps().Used(ctx, tx, in.idp, o.account); err != nil {
			return err
		}
		n, err := tx.Exec(ctx, `UPDATE account SET last_login_at = $3 WHERE tenant_id = $1 AND id = $2 AND state = 'active'`, t, o.account, tx.Now().UnixMicro())
		if err == nil && n == 0 { // disabled meanwhile
			err = identity.ErrDisabled.New()
		}
		if err != nil {
			return err
		}
		return addSession(ctx, tx, o.session, ts, in.action)
	})
	if err != nil {
		return err
	}
	return refused
}

// completing uses the held login and the one-time code's step up, and gives the tries back.
func (s store) completing(w external.Waiting, step int64, try budget) consuming {
	return func(ctx context.Context, tx db.Tx) (error, error) {
		n, err := tx.Exec(ctx, `UPDATE account SET totp_step = $3 WHERE tenant_id = $1 AND id = $2 AND state = 'active' AND totp_step < $3`, tx.Tenant(), w.Account, step)
		if err != nil {
			return nil, err
		}
		if n == 0 { // the code was used before
			return identity.ErrLoginWrong.New(), refuse(ctx, tx, w.Account, door{action: "identity.login_idp", method: byProvider})
		}
		if err := s.idps().Spent(ctx, tx, w); err != nil {
			return nil, err
		}
		return nil, try.forget(ctx, tx)
	}
}

// firstLogin is a person's first login by a provider.
type firstLogin struct {
	waiting external.Waiting
	claim   claim
	fresh   account
	link    external.NewLink
}

// firstIDP consumes the phone's code and the held login, finds or makes the phone's account, links it and begins a session. A wrong
// code is committed (the try counts); what is refused after a right one leaves all as it was.
func (s store) firstIDP(ctx context.Context, t identity.TenantID, f firstLogin, in door, begin func(account) (opened, []token)) (o opened, err error) {
	var refused error
	err = s.db.Write(ctx, t, func(ctx context.Context, tx db.Tx) (err error) {
		if refused, err = taken(ctx, tx, f.claim, in.action, visitor(t)); err != nil || refused != nil {
			return err
		}
		if err := s.idps().Spent(ctx, tx, f.waiting); err != nil {
			return err
		}
		if err := s.idps().Live(ctx, tx, in.idp); err != nil {
			return err
		}
		a, made, err := s.patientOf(ctx, tx, f.fresh)
		if err != nil {
			return err
		}
		if a.state != active {
			return identity.ErrDisabled.New()
		}
		if made {
			if err := job.Enqueue(ctx, tx, job.Spec{Kind: contactKind, Key: a.id.String(), Payload: contactJob{t, a.id}}); err != nil {
				return err
			}
		}
		var ts []token
		o, ts = begin(a)
		f.link.Account = a.id
		linked, err := s.idps().Add(ctx, tx, f.link)
		if err != nil {
			return err
		}
		if err := addSession(ctx, tx, o.session, ts, in.action); err != nil || !linked {
			return err
		}
		return s.idps().Linked(ctx, tx, principalOf(t, o.session), f.link)
	})
	if err != nil {
		return opened{}, err
	}
	return o, refused
}
