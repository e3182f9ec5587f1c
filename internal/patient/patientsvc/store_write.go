package patientsvc

import (
	"context"
	"crypto/rand"
	"time"

	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/id"
	"xinglin/internal/patient"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/job"
	"xinglin/internal/platform/outbox"
	"xinglin/internal/platform/trail"
)

// link is the noun of link rows.
type link struct{}

// create makes the person and the link: errLost when the document is there already.
func (s store) create(ctx context.Context, t patient.TenantID, a accountID, r row, n person, today clock.Date, policy string) error {
	return s.db.Write(ctx, t, func(ctx context.Context, tx db.Tx) error {
		if err := enterOne(ctx, tx, a, today); err != nil {
			return err
		}
		if err := s.insertPatient(ctx, tx, r, originAccount, time.Time{}); err != nil {
			return err
		}
		act, err := trail.Record(ctx, tx, trail.Entry{
			Action: "patient.add", Noun: "Patient", ID: r.id.String(), Policy: policy,
			Changed: []string{"document", "name", "phone", "birth", "sex", "relationship"},
		})
		if err != nil {
			return err
		}
		if err := remember(ctx, tx, act, step{"Patient", id.As[subject](r.id), "", string(patient.Unverified)}); err != nil {
			return err
		}
		if err := outbox.Add(ctx, tx, patient.Created{Patient: r.id}); err != nil {
			return err
		}
		return join(ctx, tx, joining{account: a, patient: r.id, rel: n.rel, consent: n.consent, birth: n.birth, today: today, act: act})
	})
}

// How a person came here.
const (
	originAccount = "account"
	originImport  = "import"
	originDesk    = "desk"
)

// insertPatient writes a new person with its keys: errLost when the document is there
// already. consent is a guardian's at the desk, zero for none.
func (s store) insertPatient(ctx context.Context, tx db.Tx, r row, origin string, consent time.Time) error {
	ix, err := s.blind.Write(ctx, tx, r.doc)
	if err != nil {
		return err
	}
	odd, even := ix[0].Columns()
	made, err := tx.Exec(ctx, `INSERT INTO patient (tenant_id, id, document_type, number_index, number_index_even, name, number, phone, birth, sex,
			verified, verified_reference, version, created_at, origin, consent_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 'none', '', 1, $11, $12, $13)
		ON CONFLICT DO NOTHING`,
		tx.Tenant(), r.id, r.docType, odd, even, r.name, r.number, bytesOrNull(r.phone), r.birth, r.sex, tx.Now().UnixMicro(),
		origin, db.Micros(consent))
	if err != nil {
		return err
	}
	if made == 0 {
		return errLost
	}
	return s.saveKeys(ctx, tx, r.id, r.keys)
}

// enterOne locks the holder's row and counts one more person that the account enters today.
func enterOne(ctx context.Context, tx db.Tx, a accountID, today clock.Date) error {
	n, err := tx.Exec(ctx, `INSERT INTO holder (tenant_id, account_id, active, entries, entries_day) VALUES ($1, $2, 0, 1, $3)
		ON CONFLICT (tenant_id, account_id) DO UPDATE SET
			entries = CASE WHEN holder.entries_day = excluded.entries_day THEN holder.entries + 1 ELSE 1 END, entries_day = excluded.entries_day
		WHERE holder.entries_day <> excluded.entries_day OR holder.entries < $4`, tx.Tenant(), a, today, maxEntries)
	if err != nil {
		return err
	}
	if n == 0 {
		return tooOften(today, tx.Now())
	}
	return nil
}

// joining is a link that comes to be.
type joining struct {
	account accountID
	patient patient.ID
	rel     patient.Relationship
	consent bool
	birth   clock.Date
	today   clock.Date
	act     actID
}

// join makes the link. It locks the holder's row first, then the patient's.
func join(ctx context.Context, tx db.Tx, j joining) error {
	n, err := tx.Exec(ctx, `UPDATE holder SET active = active + 1 WHERE tenant_id = $1 AND account_id = $2 AND active < $3`,
		tx.Tenant(), j.account, maxPersons)
	if err != nil {
		return err
	}
	if n == 0 {
		return patient.ErrTooMany.New()
	}
	n, err = tx.Exec(ctx, `UPDATE patient SET version = version WHERE tenant_id = $1 AND id = $2 AND shredded_at IS NULL`, tx.Tenant(), j.patient)
	if err != nil {
		return err
	}
	if n == 0 {
		return patient.ErrClaim.New()
	}
	guardian := j.birth.Age(j.today) < childAge
	if guardian && (j.rel != patient.Child || !j.consent) {
		return patient.ErrGuardian.New()
	}
	if err := fits(ctx, tx, j.account, j.patient, j.rel, j.birth, j.today); err != nil {
		return err
	}
	var consent time.Time
	if j.consent {
		consent = tx.Now()
	}
	l := id.New[link](tx.Now())
	n, err = tx.Exec(ctx, `INSERT INTO link (tenant_id, id, account_id, patient_id, relationship, guardian, consent_at, state, created_at, related_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, 'active', $8, $8) ON CONFLICT DO NOTHING`,
		tx.Tenant(), l, j.account, j.patient, j.rel, guardian, db.Micros(consent), tx.Now().UnixMicro())
	if err != nil {
		return err
	}
	if n == 0 {
		return patient.ErrClaim.Because("the account is linked already")
	}
	if err := remember(ctx, tx, j.act, linkStep(l, "", linkActive)); err != nil {
		return err
	}
	return tell(ctx, tx, j.account, j.patient, true)
}

// update is a change by a linked account.
type update struct {
	patient patient.ID
	account accountID
	version int64
	phone   []byte               // sealed; nil stays
	keys    searchKeys           // of the phone
	rel     patient.Relationship // empty stays
	birth   clock.Date
	policy  string
}

func (s store) update(ctx context.Context, t patient.TenantID, u update, today clock.Date) error {
	return s.db.Write(ctx, t, func(ctx context.Context, tx db.Tx) error {
		n, err := tx.Exec(ctx, `UPDATE holder SET active = active WHERE tenant_id = $1 AND account_id = $2`, t, u.account)
		if err != nil {
			return err
		}
		if n == 0 {
			return patient.ErrNotFound.New()
		}
		n, err = tx.Exec(ctx, `UPDATE patient SET version = version + 1 WHERE tenant_id = $1 AND id = $2 AND version = $3 AND shredded_at IS NULL
			AND EXISTS (SELECT 1 FROM link l WHERE l.tenant_id = $1 AND l.patient_id = $2 AND l.account_id = $4 AND l.state = 'active')`,
			t, u.patient, u.version, u.account)
		if err != nil {
			return err
		}
		if n == 0 {
			return patient.ErrStale.New()
		}
		var changed []string
		if u.phone != nil {
			changed = append(changed, "phone")
			_, err := tx.Exec(ctx, `UPDATE patient SET phone = $3, verified = 'none', verified_at = NULL, verified_reference = ''
				WHERE tenant_id = $1 AND id = $2`, t, u.patient, u.phone)
			if err != nil {
				return err
			}
			if err := s.saveKeys(ctx, tx, u.patient, u.keys); err != nil {
				return err
			}
		}
		if u.rel != "" {
			changed = append(changed, "relationship")
			if err := relate(ctx, tx, u, today); err != nil {
				return err
			}
		}
		_, err = trail.Record(ctx, tx, trail.Entry{Action: "patient.update", Noun: "Patient", ID: u.patient.String(), Policy: u.policy, Changed: changed})
		return err
	})
}

func relate(ctx context.Context, tx db.Tx, u update, today clock.Date) error {
	if err := fits(ctx, tx, u.account, u.patient, u.rel, u.birth, today); err != nil {
		return err
	}
	// Somebody who was under 14 at first and is not any more needs no guardian.
	_, err := tx.Exec(ctx, `UPDATE link SET relationship = $4, guardian = (guardian AND $5), related_at = $6
		WHERE tenant_id = $1 AND account_id = $2 AND patient_id = $3 AND state = 'active'`,
		tx.Tenant(), u.account, u.patient, u.rel, u.birth.Age(today) < childAge, tx.Now().UnixMicro())
	return err
}

func (s store) unlink(ctx context.Context, t patient.TenantID, a accountID, p patient.ID, policy string) error {
	return s.db.Write(ctx, t, func(ctx context.Context, tx db.Tx) error {
		// The holder's row is the lock; a link that is not there rolls this back.
		n, err := tx.Exec(ctx, `UPDATE holder SET active = active - 1 WHERE tenant_id = $1 AND account_id = $2 AND active > 0`, t, a)
		if err != nil {
			return err
		}
		var l id.ID[link]
		if n == 1 {
			err = tx.QueryRow(ctx, `UPDATE link SET state = 'ended', ended_at = $4 WHERE tenant_id = $1 AND account_id = $2 AND patient_id = $3 AND state = 'active'
				RETURNING id`, t, a, p, tx.Now().UnixMicro()).Scan(&l)
		}
		if n == 0 || err != nil {
			return orNotFound(one(err))
		}
		err = record(ctx, tx, trail.Entry{Action: "patient.unlink", Noun: "Patient", ID: p.String(), Policy: policy, Changed: []string{"link"}},
			linkStep(l, linkActive, linkEnded))
		if err != nil {
			return err
		}
		return tell(ctx, tx, a, p, false)
	})
}

// reserveVerify takes one of the day's real-name checks.
func (s store) reserveVerify(ctx context.Context, t patient.TenantID, p patient.ID, today clock.Date) error {
	return s.db.Write(ctx, t, func(ctx context.Context, tx db.Tx) error {
		n, err := tx.Exec(ctx, `UPDATE patient SET verify_used = CASE WHEN verify_day = $3 THEN verify_used + 1 ELSE 1 END, verify_day = $3
			WHERE tenant_id = $1 AND id = $2 AND shredded_at IS NULL AND (verify_day <> $3 OR verify_used < $4)`, t, p, today, maxVerifies)
		if err != nil {
			return err
		}
		if n == 0 {
			return tooOften(today, tx.Now())
		}
		return nil
	})
}

func (s store) releaseVerify(ctx context.Context, t patient.TenantID, p patient.ID, today clock.Date) error {
	return s.db.Write(ctx, t, func(ctx context.Context, tx db.Tx) error {
		_, err := tx.Exec(ctx, `UPDATE patient SET verify_used = verify_used - 1 WHERE tenant_id = $1 AND id = $2 AND verify_day = $3 AND verify_used > 0`, t, p, today)
		return err
	})
}

// verified keeps the answer to the question that was asked about this version.
func (s store) verified(ctx context.Context, t patient.TenantID, v linked, result patient.Verified, at time.Time, reference, policy string) error {
	return s.db.Write(ctx, t, func(ctx context.Context, tx db.Tx) error {
		n, err := tx.Exec(ctx, `UPDATE patient SET verified = $4, verified_at = $5, verified_reference = $6, version = version + 1
			WHERE tenant_id = $1 AND id = $2 AND version = $3 AND shredded_at IS NULL`, t, v.id, v.version, result, at.UnixMicro(), reference)
		if err != nil {
			return err
		}
		if n == 0 {
			return patient.ErrStale.New()
		}
		return record(ctx, tx, trail.Entry{
			Action: "patient.verify", Noun: "Patient", ID: v.id.String(), Policy: policy,
			Changed: map[string]trail.Change{"verified": {From: string(v.verified), To: string(result)}},
		}, step{"Patient", id.As[subject](v.id), string(v.verified), string(result)})
	})
}

// shred makes the row forget: a random index, no birth, no links, no claims. The key is
// destroyed after the commit, by the caller and once more by a job. Repeating is no error.
func (s store) shred(ctx context.Context, t patient.TenantID, p patient.ID, policy string) error {
	random := make([]byte, 64)
	if _, err := rand.Read(random); err != nil {
		return err
	}
	return s.db.Write(ctx, t, func(ctx context.Context, tx db.Tx) error {
		var was patient.Verified
		if err := one(tx.QueryRow(ctx, `SELECT verified FROM patient WHERE tenant_id = $1 AND id = $2`, t, p).Scan(&was)); err != nil {
			return err
		}
		n, err := tx.Exec(ctx, `UPDATE patient SET shredded_at = $3, number_index = CASE WHEN number_index IS NULL THEN number_index ELSE $4 END,
			number_index_even = CASE WHEN number_index_even IS NULL THEN number_index_even ELSE $5 END, birth = NULL, sex = 'unknown',
			verified = 'none', verified_at = NULL, verified_reference = '', version = version + 1
			WHERE tenant_id = $1 AND id = $2 AND shredded_at IS NULL`, t, p, tx.Now().UnixMicro(), random[:32], random[32:])
		if err != nil || n == 0 {
			return err
		}
		act, err := trail.Record(ctx, tx, trail.Entry{Action: "patient.shred", Noun: "Patient", ID: p.String(), Policy: policy, Changed: []string{"key"}})
		if err != nil {
			return err
		}
		if err := remember(ctx, tx, act, step{"Patient", id.As[subject](p), string(was), "shredded"}); err != nil {
			return err
		}
		if err := endLinks(ctx, tx, p, act); err != nil {
			return err
		}
		if err := forgetKeys(ctx, tx, p); err != nil {
			return err
		}
		if err := endClaims(ctx, tx, act, `SELECT id FROM claim WHERE tenant_id = $1 AND patient_id = $2 AND state = 'open'`, t, p); err != nil {
			return err
		}
		return job.Enqueue(ctx, tx, job.Spec{Kind: jobShredKeys, Key: p.String(), Payload: shredJob{p}})
	})
}

// endLinks ends the links of a person whose row is locked.
func endLinks(ctx context.Context, tx db.Tx, p patient.ID, act actID) error {
	type ended struct {
		id      id.ID[link]
		account accountID
	}
	var all []ended
	rows, err := tx.Query(ctx, `UPDATE link SET state = 'ended', ended_at = $3 WHERE tenant_id = $1 AND patient_id = $2 AND state = 'active'
		RETURNING id, account_id`, tx.Tenant(), p, tx.Now().UnixMicro())
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var e ended
		if err := rows.Scan(&e.id, &e.account); err != nil {
			return err
		}
		all = append(all, e)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	rows.Close()
	for _, e := range all {
		if _, err := tx.Exec(ctx, `UPDATE holder SET active = active - 1 WHERE tenant_id = $1 AND account_id = $2`, tx.Tenant(), e.account); err != nil {
			return err
		}
		if err := remember(ctx, tx, act, linkStep(e.id, linkActive, linkEnded)); err != nil {
			return err
		}
		if err := tell(ctx, tx, e.account, p, false); err != nil {
			return err
		}
	}
	return nil
}

func bytesOrNull(b []byte) any {
	if len(b) == 0 {
		return nil
	}
	return b
}
