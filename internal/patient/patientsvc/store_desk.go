package patientsvc

import (
	"context"
	"errors"
	"time"

	"xinglin/internal/kernel/id"
	"xinglin/internal/patient"
	"xinglin/internal/platform/blind"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/idem"
	"xinglin/internal/platform/outbox"
	"xinglin/internal/platform/trail"
)

// What a registration at the desk is remembered as.
const (
	statusMade  = 201
	statusKnown = 200
)

// saveKeys writes the search keys that are not empty. The person's row is locked or new.
func (s store) saveKeys(ctx context.Context, tx db.Tx, p patient.ID, k searchKeys) error {
	ix, err := s.blind.Write(ctx, tx, k.name, k.phone)
	if err != nil {
		return err
	}
	for i, kind := range []string{"name", "phone"} {
		if len(ix[i].Both()) == 0 {
			continue
		}
		odd, even := ix[i].Columns()
		_, err := tx.Exec(ctx, `INSERT INTO search_key (tenant_id, patient_id, kind, value, value_even) VALUES ($1, $2, $3, $4, $5)
			ON CONFLICT (tenant_id, patient_id, kind) DO UPDATE SET value = excluded.value, value_even = excluded.value_even`,
			tx.Tenant(), p, kind, odd, even)
		if err != nil {
			return err
		}
	}
	return nil
}

// search finds the persons of a key, the latest first, and one more than are shown.
func (s store) search(ctx context.Context, t patient.TenantID, key blind.Value) (out []row, err error) {
	err = s.db.Read(ctx, t, func(ctx context.Context, tx db.Tx) error {
		return s.blind.Read(ctx, tx, []blind.Value{key}, func(ix []blind.Pair) error {
			where, args := ix[0].Match("k.value", "k.value_even", []any{t, maxAtDesk + 1})
			rows, err := tx.Query(ctx, `SELECT `+columns+` FROM search_key k JOIN patient p ON p.tenant_id = k.tenant_id AND p.id = k.patient_id
				WHERE k.tenant_id = $1 AND `+where+` AND p.shredded_at IS NULL ORDER BY p.id DESC LIMIT $2`, args...)
			out, err = db.Collect(rows, err, func(r db.Rows, v *row) error { return r.Scan(v.fields()...) })
			return err
		})
	})
	return out, err
}

// register makes a person without a link, once by the key: hit tells what came of it before. errLost when the document is
// there already.
func (s store) register(ctx context.Context, t patient.TenantID, r row, n person, k idem.Key, policy string) (h idem.Hit, hit bool, err error) {
	err = s.db.Write(ctx, t, func(ctx context.Context, tx db.Tx) error {
		if h, hit, err = idem.Claim(ctx, tx, k, tx.Now()); err != nil || hit {
			return err
		}
		changed := []string{"document", "name", "phone", "birth", "sex"}
		var consent time.Time
		if n.guardian {
			changed, consent = append(changed, "guardian_consent"), tx.Now()
		}
		if err := s.insertPatient(ctx, tx, r, originDesk, consent); err != nil {
			return err
		}
		err := record(ctx, tx, trail.Entry{Action: "patient.register_at_desk", Noun: "Patient", ID: r.id.String(), Policy: policy, Changed: changed},
			step{"Patient", id.As[subject](r.id), "", string(patient.Unverified)})
		if err != nil {
			return err
		}
		if err := outbox.Add(ctx, tx, patient.Created{Patient: r.id}); err != nil {
			return err
		}
		return idem.Done(ctx, tx, k, statusMade, r.id.String())
	})
	return h, hit, err
}

// registerKnown notes that the desk entered a person who is there, once by the key.
func (s store) registerKnown(ctx context.Context, t patient.TenantID, p patient.ID, k idem.Key, policy string) (h idem.Hit, hit bool, err error) {
	err = s.db.Write(ctx, t, func(ctx context.Context, tx db.Tx) error {
		if h, hit, err = idem.Claim(ctx, tx, k, tx.Now()); err != nil || hit {
			return err
		}
		_, err := trail.Record(ctx, tx, trail.Entry{Action: "patient.register_at_desk", Noun: "Patient", ID: p.String(), Policy: policy, Why: "known"})
		if err != nil {
			return err
		}
		return idem.Done(ctx, tx, k, statusKnown, p.String())
	})
	return h, hit, err
}

// deskBooker reads a person and the account that the person has for oneself.
func (s store) deskBooker(ctx context.Context, t patient.TenantID, p patient.ID) (r row, account accountID, err error) {
	err = s.db.Read(ctx, t, func(ctx context.Context, tx db.Tx) error {
		err := one(tx.QueryRow(ctx, `SELECT `+columns+` FROM patient p WHERE p.tenant_id = $1 AND p.id = $2 AND p.shredded_at IS NULL`, t, p).Scan(r.fields()...))
		if err != nil {
			return err
		}
		err = tx.QueryRow(ctx, `SELECT account_id FROM link WHERE tenant_id = $1 AND patient_id = $2 AND relationship = 'self' AND state = 'active'
			ORDER BY created_at, id LIMIT 1`, t, p).Scan(&account)
		if errors.Is(err, db.ErrNoRows) {
			return nil
		}
		return err
	})
	return r, account, err
}
