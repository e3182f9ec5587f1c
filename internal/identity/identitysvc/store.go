package identitysvc

import (
	"context"
	"errors"
	"math"
	"time"

	"xinglin/internal/identity"
	"xinglin/internal/identity/identitysvc/provider"
	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/fault"
	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/blind"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/obs"
	"xinglin/internal/platform/outbox"
	"xinglin/internal/platform/trail"
)

// store is the context's SQL.
type store struct {
	db    *db.DB
	blind blind.Index
}

// record writes the audit row of an act whose principal is not in ctx yet, because the
// act is the login itself; otherwise it is trail.Record. Only doors put principals in.
func record(ctx context.Context, tx db.Tx, who auth.Principal, e trail.Entry) error {
	if p, err := auth.From(ctx); err == nil && p.Actor() == who.Actor() {
		_, err := trail.Record(ctx, tx, e)
		return err
	}
	if e.Changed == nil {
		e.Changed = []string{}
	}
	_, err := tx.Exec(ctx, `INSERT INTO trail (tenant_id, id, at, actor, action, noun, object, policy, why, changed, origin, trace, number)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)`,
		tx.Tenant(), id.New[trail.Act](tx.Now()), tx.Now().UnixMicro(), who.Actor(), e.Action, e.Noun, e.ID, e.Policy, e.Why,
		db.JSON(e.Changed), obs.Origin(ctx), obs.Trace(ctx), obs.Number(ctx))
	return err
}

// byProof is the policy of acts that a code, password or token permits.
const byProof = "identity.by_proof"

// revocation tells that one session ended, or (zero) all of the account; what clients got through it ends with it.
func revocation(ctx context.Context, tx db.Tx, a identity.AccountID, one ...identity.SessionID) error {
	for _, s := range one {
		if err := provider.SessionsEnded(ctx, tx, a, s); err != nil {
			return err
		}
		if err := outbox.Add(ctx, tx, identity.SessionRevoked{Account: a, Session: s}); err != nil {
			return err
		}
	}
	return nil
}

// budget is a limit on how often something is done for a subject.
type budget struct {
	kind    string // column kind
	subject []byte
	max     int           // within the window
	window  time.Duration // since the first, or since the last when sliding
	sliding bool
	gap     time.Duration // since the last
	refusal *fault.Code
}

// spendWithin spends try in a transaction of its own, unless limit is used up; of limit it takes nothing.
func (s store) spendWithin(ctx context.Context, t identity.TenantID, limit, try budget) error {
	return s.db.Write(ctx, t, func(ctx context.Context, tx db.Tx) error {
		if err := limit.room(ctx, tx); err != nil {
			return err
		}
		return spendIn(ctx, tx, try)
	})
}

// room refuses when the budget is used up; without a subject it never is.
func (b budget) room(ctx context.Context, tx db.Tx) error {
	if b.subject == nil {
		return nil
	}
	var used int
	var opened time.Time
	err := tx.QueryRow(ctx, `SELECT used, opened_at FROM budget WHERE tenant_id = $1 AND kind = $2 AND subject = $3`,
		tx.Tenant(), b.kind, b.subject).Scan(&used, db.Instant(&opened))
	switch end := opened.Add(b.window); {
	case missing(err):
		return nil
	case err != nil:
		return err
	case used >= b.max && end.After(tx.Now()):
		return b.refusal.After(max(end.Sub(tx.Now()), time.Second))
	}
	return nil
}

// note counts one thing that was refused anyway; false when there were as many as the budget has.
func (b budget) note(ctx context.Context, tx db.Tx) (bool, error) {
	if b.subject == nil {
		return true, nil
	}
	err := spendIn(ctx, tx, b)
	if errors.Is(err, b.refusal) {
		return false, nil
	}
	return err == nil, err
}

// spendIn takes one of the budget, by one conditional write: several at the same
// moment never take more than there is.
func spendIn(ctx context.Context, tx db.Tx, b budget) error {
	now := tx.Now()
	gap := int64(math.MaxInt64)
	if b.gap > 0 {
		gap = now.Add(-b.gap).UnixMicro()
	}
	sliding := 0
	if b.sliding {
		sliding = 1
	}
	n, err := tx.Exec(ctx, `INSERT INTO budget (tenant_id, kind, subject, used, opened_at, last_at) VALUES ($1, $2, $3, 1, $4, $4)
		ON CONFLICT (tenant_id, kind, subject) DO UPDATE SET
			used = CASE WHEN (CASE WHEN $8 = 1 THEN budget.last_at ELSE budget.opened_at END) <= $7 THEN 1 ELSE budget.used + 1 END,
			opened_at = CASE WHEN (CASE WHEN $8 = 1 THEN budget.last_at ELSE budget.opened_at END) <= $7 THEN excluded.opened_at ELSE budget.opened_at END,
			last_at = excluded.last_at
		WHERE budget.last_at <= $5
			AND (budget.used < $6 OR (CASE WHEN $8 = 1 THEN budget.last_at ELSE budget.opened_at END) <= $7)`,
		tx.Tenant(), b.kind, b.subject, now.UnixMicro(), gap, b.max, now.Add(-b.window).UnixMicro(), sliding)
	if err != nil || n == 1 {
		return err
	}
	var used int
	var opened, last time.Time
	err = tx.QueryRow(ctx, `SELECT used, opened_at, last_at FROM budget WHERE tenant_id = $1 AND kind = $2 AND subject = $3`,
		tx.Tenant(), b.kind, b.subject).Scan(&used, db.Instant(&opened), db.Instant(&last))
	if err != nil {
		return err
	}
	again := last.Add(b.gap)
	if used >= b.max {
		if b.sliding {
			opened = last
		}
		again = opened.Add(b.window)
	}
	return b.refusal.After(max(again.Sub(now), time.Second))
}

// forget gives the whole budget back.
func (b budget) forget(ctx context.Context, tx db.Tx) error {
	_, err := tx.Exec(ctx, `DELETE FROM budget WHERE tenant_id = $1 AND kind = $2 AND subject = $3`, tx.Tenant(), b.kind, b.subject)
	return err
}

func missing(err error) bool { return errors.Is(err, db.ErrNoRows) }

// provider is the SQL of the OpenID Connect provider, in the same database.
func (s store) provider() provider.Store {
	tries := func(a identity.AccountID) budget {
		return budget{kind: "device", subject: a[:], max: provider.DeviceTries, window: provider.DeviceLock, sliding: true, refusal: identity.ErrDeviceTries}
	}
	return provider.Store{
		DB: s.db, Record: record,
		Try:     func(ctx context.Context, tx db.Tx, a identity.AccountID) error { return spendIn(ctx, tx, tries(a)) },
		Forgive: func(ctx context.Context, tx db.Tx, a identity.AccountID) error { return tries(a).forget(ctx, tx) },
		Seen: func(ctx context.Context, tx db.Tx, k auth.Kind, one identity.SessionID) error {
			_, idle := lasts(k)
			return seenIn(ctx, tx, one, tx.Now(), tx.Now().Add(idle), tx.Now().Add(-seenEvery))
		},
	}
}
