package notifysvc

import (
	"context"
	"errors"
	"time"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/id"
	"xinglin/internal/notify"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/trail"
)

const day = 24 * time.Hour

// spend takes one code of a day's budget by one conditional write: several at the same
// moment never take more than there is.
func spend(ctx context.Context, tx db.Tx, b spent) error {
	now := tx.Now()
	n, err := tx.Exec(ctx, `INSERT INTO mail_budget (tenant_id, kind, subject, used, opened_at, last_at) VALUES ($1, $2, $3, 1, $4, $4)
		ON CONFLICT (tenant_id, kind, subject) DO UPDATE SET
			used = CASE WHEN mail_budget.opened_at <= $7 THEN 1 ELSE mail_budget.used + 1 END,
			opened_at = CASE WHEN mail_budget.opened_at <= $7 THEN excluded.opened_at ELSE mail_budget.opened_at END,
			last_at = excluded.last_at
		WHERE mail_budget.last_at <= $5 AND (mail_budget.used < $6 OR mail_budget.opened_at <= $7)`,
		tx.Tenant(), b.kind, b.subject, now.UnixMicro(), now.Add(-codeGap).UnixMicro(), codesADay, now.Add(-day).UnixMicro())
	if err != nil || n == 1 {
		return err
	}
	var used int
	var opened, last time.Time
	err = tx.QueryRow(ctx, `SELECT used, opened_at, last_at FROM mail_budget WHERE tenant_id = $1 AND kind = $2 AND subject = $3`,
		tx.Tenant(), b.kind, b.subject).Scan(&used, db.Instant(&opened), db.Instant(&last))
	if err != nil {
		return err
	}
	again := last.Add(codeGap)
	if used >= codesADay {
		again = opened.Add(day)
	}
	return errTooOften(again.Sub(now))
}

// addProof keeps the code and queues its mail when the budgets allow it.
func (store) addProof(ctx context.Context, d *db.DB, who auth.Principal, policy string, p proof, budgets []spent, rows []delivery) error {
	return d.Write(ctx, who.Tenant, func(ctx context.Context, tx db.Tx) error {
		for _, b := range budgets {
			if err := spend(ctx, tx, b); err != nil {
				return err
			}
		}
		_, err := tx.Exec(ctx, `INSERT INTO mail_proof (tenant_id, account_id, id, mail, code_hash, tries, expires_at) VALUES ($1, $2, $3, $4, $5, 0, $6)
			ON CONFLICT (tenant_id, account_id) DO UPDATE SET id = excluded.id, mail = excluded.mail, code_hash = excluded.code_hash, tries = 0, expires_at = excluded.expires_at`,
			tx.Tenant(), who.Account, p.id, p.mail, p.code, tx.Now().Add(codeTime).UnixMicro())
		if err != nil {
			return err
		}
		if _, err := queueIn(ctx, tx, rows); err != nil {
			return err
		}
		if err := sweepLater(ctx, tx); err != nil {
			return err
		}
		_, err = trail.Record(ctx, tx, trail.Entry{Action: "notify.prove_mail", Noun: "Mailbox", ID: who.Account.String(), Policy: policy})
		return err
	})
}

// proof is the account's: notify.code_expired without one.
func (store) proof(ctx context.Context, d *db.DB, who auth.Principal) (p proof, err error) {
	err = d.Read(ctx, who.Tenant, func(ctx context.Context, tx db.Tx) error {
		return tx.QueryRow(ctx, `SELECT id, mail, code_hash FROM mail_proof WHERE tenant_id = $1 AND account_id = $2`, tx.Tenant(), who.Account).Scan(&p.id, &p.mail, &p.code)
	})
	if errors.Is(err, db.ErrNoRows) {
		err = notify.ErrCodeExpired.New()
	}
	return p, err
}

// confirm takes the code and keeps the address. A wrong code costs a try, which is kept too.
func (store) confirm(ctx context.Context, d *db.DB, who auth.Principal, policy string, p id.ID[proof], shown, sealed []byte, rows []delivery) error {
	var refused error
	err := d.Write(ctx, who.Tenant, func(ctx context.Context, tx db.Tx) error {
		refused = nil
		var right bool
		err := tx.QueryRow(ctx, `UPDATE mail_proof SET tries = tries + 1 WHERE tenant_id = $1 AND account_id = $2 AND id = $3 AND tries < $5 AND expires_at > $6
			RETURNING code_hash = $4`, tx.Tenant(), who.Account, p, shown, codeTries, tx.Now().UnixMicro()).Scan(&right)
		switch {
		case errors.Is(err, db.ErrNoRows):
			refused = notify.ErrCodeExpired.New()
			return nil
		case err != nil:
			return err
		case !right:
			refused = notify.ErrCodeWrong.At("code", "not the one that was sent")
			return nil
		}
		if _, err := tx.Exec(ctx, `DELETE FROM mail_proof WHERE tenant_id = $1 AND account_id = $2`, tx.Tenant(), who.Account); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `INSERT INTO mailbox (tenant_id, account_id, mail, at) VALUES ($1, $2, $3, $4)
			ON CONFLICT (tenant_id, account_id) DO UPDATE SET mail = excluded.mail, at = excluded.at`, tx.Tenant(), who.Account, sealed, tx.Now().UnixMicro())
		if err != nil {
			return err
		}
		if _, err := queueIn(ctx, tx, rows); err != nil {
			return err
		}
		_, err = trail.Record(ctx, tx, trail.Entry{Action: "notify.confirm_mail", Noun: "Mailbox", ID: who.Account.String(), Policy: policy, Changed: []string{"mail"}})
		return err
	})
	if err != nil {
		return err
	}
	return refused
}

// removeMail forgets the address and what waits for it.
func (store) removeMail(ctx context.Context, d *db.DB, who auth.Principal, policy string) error {
	return d.Write(ctx, who.Tenant, func(ctx context.Context, tx db.Tx) error {
		for _, q := range []string{
			`DELETE FROM mail_proof WHERE tenant_id = $1 AND account_id = $2`,
			`DELETE FROM mailbox WHERE tenant_id = $1 AND account_id = $2`,
			`UPDATE delivery SET state = 'failed', why = 'removed' WHERE tenant_id = $1 AND account_id = $2 AND channel = 'mail' AND state = 'queued'`,
		} {
			if _, err := tx.Exec(ctx, q, tx.Tenant(), who.Account); err != nil {
				return err
			}
		}
		_, err := trail.Record(ctx, tx, trail.Entry{Action: "notify.remove_mail", Noun: "Mailbox", ID: who.Account.String(), Policy: policy, Changed: []string{"mail"}})
		return err
	})
}
