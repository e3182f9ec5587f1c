package patientsvc

import (
	"context"
	"time"

	"xinglin/internal/patient"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/trail"
)

// listedClaim is a claim with its state and its person, as the desk's list has it.
type listedClaim struct {
	claimRow
	state   claimState
	created time.Time
	person  row
}

const listedClaims = `SELECT c.id, c.account_id, c.patient_id, c.relationship, c.consent, c.proof, c.matches, c.challenge_id, c.expires_at, c.state, c.created_at, ` + columns +
	` FROM claim c JOIN patient p ON p.tenant_id = c.tenant_id AND p.id = c.patient_id WHERE c.tenant_id = $1 AND p.shredded_at IS NULL`

func scanListed(r db.Row, v *listedClaim) error {
	return r.Scan(append(append(v.claimRow.fields(), &v.state, db.Instant(&v.created)), v.person.fields()...)...)
}

// openClaims reads the claims that can be proved now, the latest first. No claim lives longer than deskTime: older ones, which
// stay open in their rows when nobody proved them, are not looked at.
func (s store) openClaims(ctx context.Context, t patient.TenantID, before claimMark, now time.Time, limit int) (out []listedClaim, err error) {
	err = s.db.Read(ctx, t, func(ctx context.Context, tx db.Tx) error {
		rows, err := tx.Query(ctx, listedClaims+` AND c.state = 'open' AND c.created_at >= $2 AND c.expires_at >= $3 AND (c.created_at, c.id) < ($4, $5)
			ORDER BY c.created_at DESC, c.id DESC LIMIT $6`, t, now.Add(-deskTime).UnixMicro(), now.UnixMicro(), before.at.UnixMicro(), before.id, limit)
		out, err = db.Collect(rows, err, func(r db.Rows, v *listedClaim) error { return scanListed(r, v) })
		return err
	})
	return out, err
}

// listedClaim reads one claim, in whatever state.
func (s store) listedClaim(ctx context.Context, t patient.TenantID, c patient.ClaimID) (v listedClaim, err error) {
	err = s.db.Read(ctx, t, func(ctx context.Context, tx db.Tx) error {
		return one(scanListed(tx.QueryRow(ctx, listedClaims+` AND c.id = $2`, t, c), &v))
	})
	return v, err
}

// shown writes who was shown to the desk, or that nobody was, and why (the way of searching; may be empty).
func (s store) shown(ctx context.Context, t patient.TenantID, action string, persons []patient.ID, why, policy string) error {
	objects := make([]string, 0, len(persons))
	for _, p := range persons {
		objects = append(objects, p.String())
	}
	if len(objects) == 0 {
		objects = append(objects, "")
	}
	return s.db.Write(ctx, t, func(ctx context.Context, tx db.Tx) error {
		for _, o := range objects {
			if _, err := trail.Record(ctx, tx, trail.Entry{Action: action, Noun: "Patient", ID: o, Policy: policy, Why: why}); err != nil {
				return err
			}
		}
		return nil
	})
}
