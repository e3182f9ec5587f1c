package identitysvc

import (
	"context"
	"time"

	"xinglin/internal/identity"
	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/fault"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/job"
	"xinglin/internal/platform/trail"
)

// addChallenge saves a code when every budget allows it; one that is there already
// costs no budget.
func (s store) addChallenge(ctx context.Context, t identity.TenantID, c challenge, budgets []budget, who auth.Principal) error {
	return s.db.Write(ctx, t, func(ctx context.Context, tx db.Tx) error {
		n, err := tx.Exec(ctx, `INSERT INTO challenge (tenant_id, id, purpose, phone_index, phone_sealed, code_hash, created_at, expires_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (tenant_id, id) DO NOTHING`, t, c.id, string(c.purpose), c.phoneIndex, c.phone, c.code,
			tx.Now().UnixMicro(), tx.Now().Add(codeTime).UnixMicro())
		if err != nil || n == 0 {
			return err
		}
		for _, b := range budgets {
			if err := spendIn(ctx, tx, b); err != nil {
				return err
			}
		}
		return record(ctx, tx, who, trail.Entry{
			Action: "identity.send_code", Noun: "Challenge", ID: c.id.String(), Policy: byProof, Why: string(c.purpose),
		})
	})
}

// challenge reads what a code is compared with: identity.code_expired.
func (s store) challenge(ctx context.Context, t identity.TenantID, c identity.ChallengeID, p identity.Purpose) (challenge, error) {
	out := challenge{id: c, purpose: p}
	err := s.db.Read(ctx, t, func(ctx context.Context, tx db.Tx) error {
		return tx.QueryRow(ctx, `SELECT phone_index, phone_sealed FROM challenge WHERE tenant_id = $1 AND id = $2 AND purpose = $3`,
			t, c, string(p)).Scan(&out.phoneIndex, &out.phone)
	})
	if missing(err) {
		return challenge{}, identity.ErrCodeExpired.New()
	}
	return out, err
}

// consume is the one conditional write that a code is used by: of several at the same
// moment one wins, and each costs a try. The process may have a clock behind that of the one that sent the code: it is
// never used before it was made. nil, identity.code_wrong or identity.code_expired.
func consume(ctx context.Context, tx db.Tx, c claim) error {
	var used time.Time
	err := tx.QueryRow(ctx, `UPDATE challenge SET tries = tries + 1, used_at = CASE WHEN code_hash <> $3 THEN NULL WHEN created_at > $4 THEN created_at ELSE CAST($4 AS BIGINT) END
		WHERE tenant_id = $1 AND id = $2 AND used_at IS NULL AND tries < $5 AND expires_at > $4 RETURNING used_at`,
		tx.Tenant(), c.id, c.shown, tx.Now().UnixMicro(), codeTries).Scan(db.Instant(&used))
	switch {
	case missing(err):
		return identity.ErrCodeExpired.New()
	case err == nil && used.IsZero():
		return identity.ErrCodeWrong.New()
	}
	return err
}

// taken is consume with its trail: a refusal is committed too (the try counts) and
// comes back in refused.
func taken(ctx context.Context, tx db.Tx, c claim, action string, who auth.Principal) (refused, err error) {
	refused = consume(ctx, tx, c)
	why := ""
	if refused != nil {
		f := fault.Of(refused)
		if f == nil {
			return nil, refused
		}
		why = f.Code.Name
	}
	if refused == nil && action != "identity.use_code" {
		return nil, nil // the login has a row of its own
	}
	return refused, record(ctx, tx, who, trail.Entry{Action: action, Noun: "Challenge", ID: c.id.String(), Policy: byProof, Why: why})
}

// useCode consumes a code for another context.
func (s store) useCode(ctx context.Context, t identity.TenantID, c claim, who auth.Principal) error {
	var refused error
	err := s.db.Write(ctx, t, func(ctx context.Context, tx db.Tx) (err error) {
		refused, err = taken(ctx, tx, c, "identity.use_code", who)
		return err
	})
	if err != nil {
		return err
	}
	return refused
}

// loginPatient consumes the code, finds or makes the phone's account and begins a session.
func (s store) loginPatient(ctx context.Context, t identity.TenantID, c claim, fresh account, in door, begin func(account) (opened, []token)) (opened, error) {
	var o opened
	var refused error
	err := s.db.Write(ctx, t, func(ctx context.Context, tx db.Tx) (err error) {
		if refused, err = taken(ctx, tx, c, in.action, visitor(t)); err != nil || refused != nil {
			return err
		}
		a, made, err := s.patientOf(ctx, tx, fresh)
		if err != nil {
			return err
		}
		if a.state != active {
			refused = identity.ErrDisabled.New()
			return record(ctx, tx, visitor(t), trail.Entry{
				Action: in.action, Noun: "Account", ID: a.id.String(), Policy: byProof, Why: identity.ErrDisabled.Name,
			})
		}
		if made {
			if err := job.Enqueue(ctx, tx, job.Spec{Kind: contactKind, Key: a.id.String(), Payload: contactJob{t, a.id}}); err != nil {
				return err
			}
		}
		var ts []token
		o, ts = begin(a)
		return addSession(ctx, tx, o.session, ts, in.action)
	})
	if err != nil {
		return opened{}, err
	}
	return o, refused
}

// patientOf finds the account of a phone, and makes it when it has none.
func (s store) patientOf(ctx context.Context, tx db.Tx, fresh account) (a account, made bool, err error) {
	ix, err := s.blind.Write(ctx, tx, fresh.phoneKey)
	if err != nil {
		return a, false, err
	}
	odd, even := ix[0].Columns()
	n, err := tx.Exec(ctx, `INSERT INTO account (tenant_id, id, kind, state, phone_index, phone_index_even, phone_sealed, version, created_at)
		VALUES ($1, $2, 'patient', 'active', $3, $4, $5, 1, $6) ON CONFLICT DO NOTHING`,
		tx.Tenant(), fresh.id, odd, even, fresh.phone, tx.Now().UnixMicro())
	if err != nil {
		return a, false, err
	}
	where, args := ix[0].Match("phone_index", "phone_index_even", []any{tx.Tenant()})
	a, err = scanAccount(tx.QueryRow(ctx, accountColumns+` WHERE tenant_id = $1 AND `+where, args...))
	return a, n == 1, err
}

// ensurePatient makes the account or finds it.
func (s store) ensurePatient(ctx context.Context, t identity.TenantID, fresh account, policy string) (identity.AccountID, error) {
	var a account
	err := s.db.Write(ctx, t, func(ctx context.Context, tx db.Tx) error {
		var made bool
		var err error
		if a, made, err = s.patientOf(ctx, tx, fresh); err != nil || !made {
			return err
		}
		if err := job.Enqueue(ctx, tx, job.Spec{Kind: contactKind, Key: a.id.String(), Payload: contactJob{t, a.id}}); err != nil {
			return err
		}
		_, err = trail.Record(ctx, tx, trail.Entry{Action: "identity.ensure_patient", Noun: "Account", ID: a.id.String(), Policy: policy})
		return err
	})
	return a.id, err
}
