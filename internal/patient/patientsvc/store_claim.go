package patientsvc

import (
	"context"
	"errors"
	"time"

	"xinglin/internal/identity"
	"xinglin/internal/kernel/clock"
	"xinglin/internal/patient"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/job"
	"xinglin/internal/platform/trail"
)

// claimRow is a claim.
type claimRow struct {
	id        patient.ClaimID
	account   accountID
	patient   patient.ID
	rel       patient.Relationship
	consent   bool
	proof     string
	matches   bool
	challenge identity.ChallengeID
	expires   time.Time
}

const claimColumns = `id, account_id, patient_id, relationship, consent, proof, matches, challenge_id, expires_at`

func (c *claimRow) fields() []any {
	return []any{&c.id, &c.account, &c.patient, &c.rel, &c.consent, &c.proof, &c.matches, &c.challenge, db.Instant(&c.expires)}
}

func (s store) claim(ctx context.Context, t patient.TenantID, c patient.ClaimID) (v claimRow, err error) {
	err = s.db.Read(ctx, t, func(ctx context.Context, tx db.Tx) error {
		return one(tx.QueryRow(ctx, `SELECT `+claimColumns+` FROM claim WHERE tenant_id = $1 AND id = $2`, t, c).Scan(v.fields()...))
	})
	return v, err
}

// addClaim opens a claim; an older open one of the same account and person ends. The
// code's job is there for every claim by phone: whether it sends is not seen.
func (s store) addClaim(ctx context.Context, t patient.TenantID, c claimRow, today clock.Date, policy string) error {
	return s.db.Write(ctx, t, func(ctx context.Context, tx db.Tx) error {
		if err := enterOne(ctx, tx, c.account, today); err != nil {
			return err
		}
		act, err := trail.Record(ctx, tx, trail.Entry{Action: "patient.add", Noun: "Claim", ID: c.id.String(), Policy: policy, Changed: []string{"claim"}})
		if err != nil {
			return err
		}
		err = endClaims(ctx, tx, act, `SELECT id FROM claim WHERE tenant_id = $1 AND patient_id = $2 AND account_id = $3 AND state = 'open'`, t, c.patient, c.account)
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `INSERT INTO claim (tenant_id, id, account_id, patient_id, relationship, consent, proof, matches, tries, state, created_at, expires_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 0, 'open', $9, $10)`,
			t, c.id, c.account, c.patient, c.rel, c.consent, c.proof, c.matches, tx.Now().UnixMicro(), c.expires.UnixMicro())
		if err != nil {
			return err
		}
		if err := remember(ctx, tx, act, claimStep(c.id, "", claimOpen)); err != nil {
			return err
		}
		if c.proof != proofCode {
			return nil
		}
		return job.Enqueue(ctx, tx, job.Spec{Kind: jobSendCode, Key: c.id.String(), Payload: claimJob{c.id}, Max: 5})
	})
}

// endClaims ends the open claims that the query names.
func endClaims(ctx context.Context, tx db.Tx, act actID, query string, args ...any) error {
	var all []patient.ClaimID
	rows, err := tx.Query(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var c patient.ClaimID
		if err := rows.Scan(&c); err != nil {
			return err
		}
		all = append(all, c)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	rows.Close()
	for _, c := range all {
		if _, err := closeClaim(ctx, tx, act, c, claimEnded); err != nil {
			return err
		}
	}
	return nil
}

// closeClaim takes an open claim to its last state; false when it was not open any more.
func closeClaim(ctx context.Context, tx db.Tx, act actID, c patient.ClaimID, to claimState) (bool, error) {
	n, err := tx.Exec(ctx, `UPDATE claim SET state = $3, closed_at = $4 WHERE tenant_id = $1 AND id = $2 AND state = 'open'`,
		tx.Tenant(), c, string(to), tx.Now().UnixMicro())
	if err != nil || n == 0 {
		return false, err
	}
	return true, remember(ctx, tx, act, claimStep(c, claimOpen, to))
}

// tryClaim takes one of the claim's five tries and reads it: patient.claim_ended when
// there is none left, or no time, or it is for the desk.
func (s store) tryClaim(ctx context.Context, t patient.TenantID, c patient.ClaimID) (v claimRow, err error) {
	err = s.db.Write(ctx, t, func(ctx context.Context, tx db.Tx) error {
		err := tx.QueryRow(ctx, `UPDATE claim SET tries = tries + 1 WHERE tenant_id = $1 AND id = $2 AND state = 'open' AND proof = 'phone_code'
			AND tries < $3 AND expires_at > $4 RETURNING `+claimColumns, t, c, maxTries, tx.Now().UnixMicro()).Scan(v.fields()...)
		if errors.Is(err, db.ErrNoRows) {
			return patient.ErrClaim.New()
		}
		return err
	})
	return v, err
}

// failClaim notes a wrong code and closes the claim after the last try.
func (s store) failClaim(ctx context.Context, t patient.TenantID, c patient.ClaimID, policy string) error {
	return s.db.Write(ctx, t, func(ctx context.Context, tx db.Tx) error {
		act, err := trail.Record(ctx, tx, trail.Entry{
			Action: "patient.prove", Noun: "Claim", ID: c.String(), Policy: policy, Why: patient.ErrProof.Name, Changed: []string{"tries"},
		})
		if err != nil {
			return err
		}
		n, err := tx.Exec(ctx, `UPDATE claim SET state = 'failed', closed_at = $4 WHERE tenant_id = $1 AND id = $2 AND state = 'open' AND tries >= $3`,
			t, c, maxTries, tx.Now().UnixMicro())
		if err != nil || n == 0 {
			return err
		}
		return remember(ctx, tx, act, claimStep(c, claimOpen, claimFailed))
	})
}

// proveClaim turns the open claim into a link, once.
func (s store) proveClaim(ctx context.Context, t patient.TenantID, v claimRow, action, policy string, today clock.Date) error {
	return s.db.Write(ctx, t, func(ctx context.Context, tx db.Tx) error {
		// Holder first, as everywhere.
		if _, err := tx.Exec(ctx, `UPDATE holder SET active = active WHERE tenant_id = $1 AND account_id = $2`, t, v.account); err != nil {
			return err
		}
		act, err := trail.Record(ctx, tx, trail.Entry{Action: action, Noun: "Patient", ID: v.patient.String(), Policy: policy, Changed: []string{"link"}})
		if err != nil {
			return err
		}
		if v.expires.Before(tx.Now()) {
			return patient.ErrClaim.New()
		}
		ok, err := closeClaim(ctx, tx, act, v.id, claimProved)
		if err != nil {
			return err
		}
		if !ok {
			return patient.ErrClaim.New()
		}
		var birth clock.Date
		err = tx.QueryRow(ctx, `SELECT birth FROM patient WHERE tenant_id = $1 AND id = $2 AND shredded_at IS NULL`, t, v.patient).Scan(&birth)
		if err != nil {
			return orClaimEnded(one(err))
		}
		return join(ctx, tx, joining{account: v.account, patient: v.patient, rel: v.rel, consent: v.consent, birth: birth, today: today, act: act})
	})
}

// codeWanted marks the claim as one that a code is sent for, and gives its person and
// the challenge: fresh, or the one that an earlier attempt took. Not wanted: another
// name than the person's, too late, or five codes about this person within 24 hours.
func (s store) codeWanted(ctx context.Context, t patient.TenantID, c patient.ClaimID, fresh identity.ChallengeID, policy string) (r row, ch identity.ChallengeID, ok bool, err error) {
	err = s.db.Write(ctx, t, func(ctx context.Context, tx db.Tx) error {
		ok = false
		var p patient.ID
		err := tx.QueryRow(ctx, `UPDATE claim SET sent_at = $3, challenge_id = COALESCE(challenge_id, $6) WHERE tenant_id = $1 AND id = $2 AND state = 'open' AND matches
			AND expires_at > $3 AND (sent_at IS NOT NULL OR (SELECT COUNT(*) FROM claim o WHERE o.tenant_id = $1 AND o.patient_id = claim.patient_id
				AND o.sent_at > $4) < $5) RETURNING patient_id, challenge_id`,
			t, c, tx.Now().UnixMicro(), tx.Now().Add(-24*time.Hour).UnixMicro(), maxCodes, fresh).Scan(&p, &ch)
		if errors.Is(err, db.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		if ch == fresh {
			_, err = trail.Record(ctx, tx, trail.Entry{Action: "patient.send_code", Noun: "Claim", ID: c.String(), Policy: policy, Changed: []string{"challenge"}})
			if err != nil {
				return err
			}
		}
		ok = true
		return one(tx.QueryRow(ctx, `SELECT `+columns+` FROM patient p WHERE p.tenant_id = $1 AND p.id = $2`, t, p).Scan(r.fields()...))
	})
	return r, ch, ok, err
}

// codeLater asks for the code again; the job's own row runs once more.
func (s store) codeLater(ctx context.Context, t patient.TenantID, c patient.ClaimID, at time.Time) error {
	return s.db.Write(ctx, t, func(ctx context.Context, tx db.Tx) error {
		return job.Enqueue(ctx, tx, job.Spec{Kind: jobSendCode, Key: c.String(), RunAt: at, Payload: claimJob{c}, Max: 5})
	})
}
