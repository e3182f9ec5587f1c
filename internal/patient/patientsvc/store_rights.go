package patientsvc

import (
	"context"

	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/id"
	"xinglin/internal/patient"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/trail"
)

// carers are the accounts that act for the person, the oldest link first.
func (s store) carers(ctx context.Context, t patient.TenantID, p patient.ID, child bool) (out []patient.Carer, err error) {
	err = s.db.Read(ctx, t, func(ctx context.Context, tx db.Tx) error {
		rows, err := tx.Query(ctx, `SELECT account_id, relationship, guardian FROM link
			WHERE tenant_id = $1 AND patient_id = $2 AND state = 'active' ORDER BY created_at, id LIMIT $3`, t, p, maxLinked)
		out, err = db.Collect(rows, err, func(r db.Rows, v *patient.Carer) error {
			err := r.Scan(&v.Account, &v.Relationship, &v.Guardian)
			v.Guardian = v.Guardian && child
			return err
		})
		return err
	})
	return out, err
}

// correction is what a person is from now on.
type correction struct {
	patient patient.ID
	name    []byte
	keys    searchKeys
	birth   clock.Date
	sex     string
	fields  []string
	policy  string
}

// correct writes it: what was verified by real name was about what is wrong.
func (s store) correct(ctx context.Context, t patient.TenantID, c correction) error {
	return s.db.Write(ctx, t, func(ctx context.Context, tx db.Tx) error {
		var was patient.Verified
		err := one(tx.QueryRow(ctx, `SELECT verified FROM patient WHERE tenant_id = $1 AND id = $2 AND shredded_at IS NULL`, t, c.patient).Scan(&was))
		if err != nil {
			return err
		}
		n, err := tx.Exec(ctx, `UPDATE patient SET name = $3, birth = $4, sex = $5, verified = 'none', verified_at = NULL, verified_reference = '', version = version + 1
			WHERE tenant_id = $1 AND id = $2 AND shredded_at IS NULL`, t, c.patient, c.name, c.birth, c.sex)
		if err != nil {
			return err
		}
		if n == 0 {
			return patient.ErrNotFound.New()
		}
		if err := s.saveKeys(ctx, tx, c.patient, c.keys); err != nil {
			return err
		}
		return record(ctx, tx, trail.Entry{Action: "patient.correct", Noun: "Patient", ID: c.patient.String(), Policy: c.policy, Changed: c.fields},
			step{"Patient", id.As[subject](c.patient), string(was), string(patient.Unverified)})
	})
}
