package privacysvc

import (
	"context"

	"xinglin/internal/platform/db"
	"xinglin/internal/platform/trail"
	"xinglin/internal/privacy"
)

const assessmentColumns = `id, version, title, processing, necessity, risks, measures, risk, conclusion, review_day, account_id, at`

func (a *assessment) fields() []any {
	return []any{&a.id, &a.version, &a.title, &a.processing, &a.necessity, &a.risks, &a.measures, &a.risk, &a.conclusion, &a.review, &a.account, db.Instant(&a.at)}
}

// maxRegister bounds the lists of the registers: a hospital has some dozens of each.
const maxRegister = 500

func (s store) assessments(ctx context.Context, t privacy.TenantID) (out []assessment, err error) {
	err = s.db.Read(ctx, t, func(ctx context.Context, tx db.Tx) error {
		rows, err := tx.Query(ctx, `SELECT `+assessmentColumns+` FROM assessment WHERE tenant_id = $1 AND latest ORDER BY review_day, id LIMIT $2`, t, maxRegister)
		out, err = db.Collect(rows, err, func(r db.Rows, v *assessment) error { return r.Scan(v.fields()...) })
		return err
	})
	return out, err
}

// saveAssessment adds a version. The latest of the id is the lock: who saw another one is privacy.stale.
func (s store) saveAssessment(ctx context.Context, t privacy.TenantID, a *assessment, e trail.Entry) (hit bool, err error) {
	err = s.db.Write(ctx, t, func(ctx context.Context, tx db.Tx) error {
		hit = false
		if a.version == 1 {
			err := tx.QueryRow(ctx, `SELECT `+assessmentColumns+` FROM assessment WHERE tenant_id = $1 AND id = $2 AND version = 1`, t, a.id).Scan(a.fields()...)
			if hit = err == nil; hit || !isMissing(err) {
				return err
			}
		} else {
			n, err := tx.Exec(ctx, `UPDATE assessment SET latest = $4 WHERE tenant_id = $1 AND id = $2 AND version = $3 AND latest`, t, a.id, a.version-1, false)
			if err != nil {
				return err
			}
			if n == 0 {
				return staleOr(tx.QueryRow(ctx, `SELECT version FROM assessment WHERE tenant_id = $1 AND id = $2 AND latest`, t, a.id))
			}
		}
		a.at = tx.Now()
		e.Changed = []string{"assessment"}
		act, err := trail.Record(ctx, tx, e)
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `INSERT INTO assessment (tenant_id, id, version, title, processing, necessity, risks, measures, risk, conclusion, review_day, account_id,
			act_id, at, latest) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)`,
			t, a.id, a.version, a.title, a.processing, a.necessity, a.risks, a.measures, a.risk, a.conclusion, a.review, a.account, act, a.at.UnixMicro(), true)
		return err
	})
	return hit, err
}

func isMissing(err error) bool { return one(err) != err }

// staleOr tells a version that moved on from an id that is not there.
func staleOr(row db.Row) error {
	var v int
	if err := one(row.Scan(&v)); err != nil {
		return err
	}
	return privacy.ErrStale.New()
}

const breachColumns = `id, version, title, what, measures, severity, persons, found_at, authority_by, persons_by, authority_told_at, persons_told_at, not_told_why,
	closed_at, account_id, at`

func (b *breach) fields() []any {
	return []any{
		&b.id, &b.version, &b.title, &b.what, &b.measures, &b.severity, &b.persons, db.Instant(&b.found), db.Instant(&b.authorityBy), db.Instant(&b.personsBy),
		db.Instant(&b.authorityTold), db.Instant(&b.personsTold), &b.notTold, db.Instant(&b.closed), &b.account, db.Instant(&b.at),
	}
}

func (s store) breaches(ctx context.Context, t privacy.TenantID) (out []breach, err error) {
	err = s.db.Read(ctx, t, func(ctx context.Context, tx db.Tx) error {
		rows, err := tx.Query(ctx, `SELECT `+breachColumns+` FROM breach WHERE tenant_id = $1 AND latest
			ORDER BY (CASE WHEN closed_at IS NULL THEN 0 ELSE 1 END), found_at DESC, id LIMIT $2`, t, maxRegister)
		out, err = db.Collect(rows, err, func(r db.Rows, v *breach) error { return r.Scan(v.fields()...) })
		return err
	})
	return out, err
}

// saveBreach adds a version, as saveAssessment does; one that is closed has no next one.
func (s store) saveBreach(ctx context.Context, t privacy.TenantID, b *breach, e trail.Entry) (hit bool, err error) {
	err = s.db.Write(ctx, t, func(ctx context.Context, tx db.Tx) error {
		hit = false
		if b.version == 1 {
			err := tx.QueryRow(ctx, `SELECT `+breachColumns+` FROM breach WHERE tenant_id = $1 AND id = $2 AND version = 1`, t, b.id).Scan(b.fields()...)
			if hit = err == nil; hit || !isMissing(err) {
				return err
			}
		} else if err := nextBreach(ctx, tx, b); err != nil {
			return err
		}
		b.at = tx.Now()
		e.Changed = []string{"breach"}
		act, err := trail.Record(ctx, tx, e)
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `INSERT INTO breach (tenant_id, id, version, title, what, measures, severity, persons, found_at, authority_by, persons_by, authority_told_at,
			persons_told_at, not_told_why, closed_at, account_id, act_id, at, latest)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)`,
			t, b.id, b.version, b.title, b.what, b.measures, b.severity, b.persons, b.found.UnixMicro(), b.authorityBy.UnixMicro(), b.personsBy.UnixMicro(),
			db.Micros(b.authorityTold), db.Micros(b.personsTold), b.notTold, db.Micros(b.closed), b.account, act, b.at.UnixMicro(), true)
		return err
	})
	return hit, err
}

func nextBreach(ctx context.Context, tx db.Tx, b *breach) error {
	n, err := tx.Exec(ctx, `UPDATE breach SET latest = $4 WHERE tenant_id = $1 AND id = $2 AND version = $3 AND latest AND closed_at IS NULL`,
		tx.Tenant(), b.id, b.version-1, false)
	if err != nil || n == 1 {
		return err
	}
	var was breach
	if err := one(tx.QueryRow(ctx, `SELECT `+breachColumns+` FROM breach WHERE tenant_id = $1 AND id = $2 AND latest`, tx.Tenant(), b.id).Scan(was.fields()...)); err != nil {
		return err
	}
	if !was.closed.IsZero() {
		return privacy.ErrClosed.New()
	}
	return privacy.ErrStale.New()
}
