package privacysvc

import (
	"context"

	"xinglin/internal/platform/db"
	"xinglin/internal/platform/holdings"
	"xinglin/internal/platform/job"
	"xinglin/internal/platform/outbox"
	"xinglin/internal/platform/trail"
	"xinglin/internal/privacy"
)

// putAside keeps a dossier and the job of its end. false: the person has one.
func (s store) putAside(ctx context.Context, t privacy.TenantID, r retainedRow, policy string) (won bool, err error) {
	err = s.db.Write(ctx, t, func(ctx context.Context, tx db.Tx) error {
		n, err := tx.Exec(ctx, `INSERT INTO retained (tenant_id, id, request_id, patient_id, sealed, until_at, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7)
			ON CONFLICT DO NOTHING`, t, r.id, r.request, r.patient, r.sealed, r.until.UnixMicro(), tx.Now().UnixMicro())
		if won = n == 1; err != nil || !won {
			return err
		}
		if _, err := trail.Record(ctx, tx, trail.Entry{Action: "privacy.erase", Noun: "Retained", ID: r.id.String(), Policy: policy, Changed: []string{"sealed"}}); err != nil {
			return err
		}
		return job.Enqueue(ctx, tx, job.Spec{Kind: jobRetention, Key: r.id.String(), RunAt: r.until, Payload: retainedJob{r.id}})
	})
	return won, err
}

// erased ends the erasure: what people wrote in requests goes, consents go, other requests of the person end, and what stays is
// written down with its reasons.
func (s store) erased(ctx context.Context, t privacy.TenantID, r requestRow, keeps []holdings.KeptRows, policy string) error {
	return s.db.Write(ctx, t, func(ctx context.Context, tx db.Tx) error {
		n, err := tx.Exec(ctx, `UPDATE request SET state = 'done', ended_at = $3, version = version + 1 WHERE tenant_id = $1 AND id = $2 AND state = 'working'`,
			t, r.id, tx.Now().UnixMicro())
		if err != nil || n == 0 {
			return err
		}
		for _, k := range keeps {
			_, err := tx.Exec(ctx, `INSERT INTO kept (tenant_id, request_id, place, rows_kept, until_at, law_zh, law_en, identity) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
				t, r.id, k.Context+"."+k.Table, k.Rows, k.Until.UnixMicro(), k.Law.ZH, k.Law.EN, k.Identity)
			if err != nil {
				return err
			}
		}
		if err := endOthers(ctx, tx, r, policy); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `UPDATE request SET reason = NULL, wanted = NULL, was = NULL, answer = NULL, hash = $3 WHERE tenant_id = $1 AND patient_id = $2`,
			t, r.patient, make([]byte, 32)); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `DELETE FROM consent WHERE tenant_id = $1 AND patient_id = $2`, t, r.patient); err != nil {
			return err
		}
		if err := walked(ctx, tx, trail.Entry{Action: "privacy.erase", Noun: "Request", ID: r.id.String(), Policy: policy}, r.id, privacy.Working, privacy.Done); err != nil {
			return err
		}
		return outbox.Add(ctx, tx, privacy.PersonErased{Patient: r.patient})
	})
}

// endOthers ends what else the person had asked for, with its files.
func endOthers(ctx context.Context, tx db.Tx, r requestRow, policy string) error {
	rows, err := tx.Query(ctx, `SELECT `+requestColumns+` FROM request WHERE tenant_id = $1 AND patient_id = $2 AND state IN ('open', 'working', 'ready')`,
		tx.Tenant(), r.patient)
	others, err := db.Collect(rows, err, func(r db.Rows, v *requestRow) error { return r.Scan(v.fields()...) })
	if err != nil {
		return err
	}
	for _, o := range others {
		if _, err := tx.Exec(ctx, `UPDATE request SET state = 'expired', ended_at = $3, version = version + 1 WHERE tenant_id = $1 AND id = $2`,
			tx.Tenant(), o.id, tx.Now().UnixMicro()); err != nil {
			return err
		}
		if err := dropParts(ctx, tx, o.id); err != nil {
			return err
		}
		for _, kind := range []string{jobRemind, jobCopy} {
			if err := job.Cancel(ctx, tx, kind, o.id.String()); err != nil {
				return err
			}
		}
		if err := walked(ctx, tx, trail.Entry{Action: "privacy.erase", Noun: "Request", ID: o.id.String(), Policy: policy}, o.id, o.state, privacy.Expired); err != nil {
			return err
		}
	}
	return nil
}

const retainedColumns = `id, patient_id, request_id, sealed, until_at, created_at, destroyed_at`

func (r *retainedRow) fields() []any {
	return []any{&r.id, &r.patient, &r.request, &r.sealed, db.Instant(&r.until), db.Instant(&r.created), db.Instant(&r.destroyed)}
}

func (s store) retained(ctx context.Context, t privacy.TenantID, r privacy.RetainedID) (out retainedRow, err error) {
	err = s.db.Read(ctx, t, func(ctx context.Context, tx db.Tx) error {
		return one(tx.QueryRow(ctx, `SELECT `+retainedColumns+` FROM retained WHERE tenant_id = $1 AND id = $2`, t, r).Scan(out.fields()...))
	})
	return out, err
}

// allRetained lists dossiers before one, the newest first.
func (s store) allRetained(ctx context.Context, t privacy.TenantID, after privacy.RetainedID, limit int) (out []retainedRow, err error) {
	first := after.IsZero()
	err = s.db.Read(ctx, t, func(ctx context.Context, tx db.Tx) error {
		rows, err := tx.Query(ctx, `SELECT `+retainedColumns+` FROM retained WHERE tenant_id = $1 AND ($2 OR id < $3) ORDER BY id DESC LIMIT $4`, t, first, after, limit)
		out, err = db.Collect(rows, err, func(r db.Rows, v *retainedRow) error { return r.Scan(v.fields()...) })
		return err
	})
	return out, err
}

// endRetention writes down that a dossier's key is destroyed.
func (s store) endRetention(ctx context.Context, t privacy.TenantID, r privacy.RetainedID, policy string) error {
	return s.db.Write(ctx, t, func(ctx context.Context, tx db.Tx) error {
		n, err := tx.Exec(ctx, `UPDATE retained SET sealed = NULL, destroyed_at = $3 WHERE tenant_id = $1 AND id = $2 AND destroyed_at IS NULL`, t, r, tx.Now().UnixMicro())
		if err != nil || n == 0 {
			return err
		}
		_, err = trail.Record(ctx, tx, trail.Entry{Action: "privacy.end_retention", Noun: "Retained", ID: r.String(), Policy: policy, Changed: []string{"key"}})
		return err
	})
}
