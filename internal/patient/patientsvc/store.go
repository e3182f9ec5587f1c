package patientsvc

import (
	"context"
	"errors"
	"time"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/id"
	"xinglin/internal/patient"
	"xinglin/internal/platform/blind"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/outbox"
	"xinglin/internal/platform/trail"
)

// store is the SQL of the patient context.
type store struct {
	db    *db.DB
	blind blind.Index
}

type (
	accountID = id.ID[auth.Account]
	actID     = id.ID[trail.Act]
)

// errLost: somebody else entered the same document in the meantime.
var errLost = errors.New("the person was added by somebody else meanwhile")

// row is a patient with sealed fields.
type row struct {
	doc          blind.Value // only for writing
	keys         searchKeys  // only for writing
	id           patient.ID
	docType      patient.DocumentType
	name, number []byte
	phone        []byte // nil: none
	birth        clock.Date
	sex          string
	verified     patient.Verified
	verifiedAt   time.Time
	version      int64
}

// linked is a patient as one account sees it.
type linked struct {
	row
	rel patient.Relationship
}

// subject is a noun of the history.
type subject struct{}

// step is one row of the history.
type step struct {
	noun     string
	id       id.ID[subject]
	from, to string
}

const columns = `p.id, p.document_type, p.name, p.number, p.phone, p.birth, p.sex, p.verified, p.verified_at, p.version`

func (r *row) fields() []any {
	return []any{&r.id, &r.docType, &r.name, &r.number, &r.phone, &r.birth, &r.sex, &r.verified, db.Instant(&r.verifiedAt), &r.version}
}

// find looks for a document. Shredded rows have forgotten theirs.
func (s store) find(ctx context.Context, t patient.TenantID, dt patient.DocumentType, doc blind.Value) (r row, err error) {
	found := false
	err = s.db.Read(ctx, t, func(ctx context.Context, tx db.Tx) error {
		return s.blind.Read(ctx, tx, []blind.Value{doc}, func(ix []blind.Pair) error {
			where, args := ix[0].Match("p.number_index", "p.number_index_even", []any{t, dt})
			err := tx.QueryRow(ctx, `SELECT `+columns+` FROM patient p WHERE p.tenant_id = $1 AND p.document_type = $2 AND `+where+`
				ORDER BY p.id LIMIT 1`, args...).Scan(r.fields()...)
			found = !errors.Is(err, db.ErrNoRows)
			if !found {
				return nil // Read looks again when the generations changed
			}
			return err
		})
	})
	if err == nil && !found {
		err = patient.ErrNotFound.New()
	}
	return r, err
}

func (s store) patient(ctx context.Context, t patient.TenantID, p patient.ID) (r row, err error) {
	err = s.db.Read(ctx, t, func(ctx context.Context, tx db.Tx) error {
		return one(tx.QueryRow(ctx, `SELECT `+columns+` FROM patient p WHERE p.tenant_id = $1 AND p.id = $2 AND p.shredded_at IS NULL`,
			t, p).Scan(r.fields()...))
	})
	return r, err
}

func (s store) linked(ctx context.Context, t patient.TenantID, a accountID, p patient.ID) (v linked, err error) {
	err = s.db.Read(ctx, t, func(ctx context.Context, tx db.Tx) error {
		return one(tx.QueryRow(ctx, `SELECT `+columns+`, l.relationship FROM link l
			JOIN patient p ON p.tenant_id = l.tenant_id AND p.id = l.patient_id
			WHERE l.tenant_id = $1 AND l.account_id = $2 AND l.patient_id = $3 AND l.state = 'active' AND p.shredded_at IS NULL`,
			t, a, p).Scan(append(v.fields(), &v.rel)...))
	})
	return v, err
}

// linkedMany is linked for many at once; what is not linked is left out. An account has
// few links, so all of its links are read.
func (s store) linkedMany(ctx context.Context, t patient.TenantID, asks []linkAsk) (found map[linkAsk]linked, err error) {
	accounts := make([]accountID, len(asks))
	wanted := make(map[linkAsk]bool, len(asks))
	for i, a := range asks {
		accounts[i], wanted[a] = a.account, true
	}
	list, args := db.Few([]any{t}, accounts)
	err = s.db.Read(ctx, t, func(ctx context.Context, tx db.Tx) error {
		found = make(map[linkAsk]linked, len(asks))
		rows, err := tx.Query(ctx, db.OneByOne(tx.Engine(), list, "uuid", maxLinked, func(match string) string {
			return `SELECT ` + columns + `, l.relationship, l.account_id FROM link l
				JOIN patient p ON p.tenant_id = l.tenant_id AND p.id = l.patient_id
				WHERE l.tenant_id = $1 AND l.account_id ` + match + ` AND l.state = 'active' AND p.shredded_at IS NULL`
		}), args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var v linked
			var a accountID
			if err := rows.Scan(append(v.fields(), &v.rel, &a)...); err != nil {
				return err
			}
			if k := (linkAsk{a, v.id}); wanted[k] {
				found[k] = v
			}
		}
		return rows.Err()
	})
	return found, err
}

// family lists the persons of an account, oneself first.
func (s store) family(ctx context.Context, t patient.TenantID, a accountID) (out []linked, err error) {
	err = s.db.Read(ctx, t, func(ctx context.Context, tx db.Tx) error {
		out = nil
		rows, err := tx.Query(ctx, `SELECT `+columns+`, l.relationship FROM link l
			JOIN patient p ON p.tenant_id = l.tenant_id AND p.id = l.patient_id
			WHERE l.tenant_id = $1 AND l.account_id = $2 AND l.state = 'active' AND p.shredded_at IS NULL
			ORDER BY (CASE l.relationship WHEN 'self' THEN 0 ELSE 1 END), l.created_at, l.id LIMIT $3`, t, a, maxLinked)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var v linked
			if err := rows.Scan(append(v.fields(), &v.rel)...); err != nil {
				return err
			}
			out = append(out, v)
		}
		return rows.Err()
	})
	return out, err
}

// links lists the persons of an account, and whether it proved that it may act for them.
func (s store) links(ctx context.Context, t patient.TenantID, a accountID) (out []patient.Link, err error) {
	err = s.db.Read(ctx, t, func(ctx context.Context, tx db.Tx) error {
		rows, err := tx.Query(ctx, `SELECT l.patient_id, EXISTS (SELECT 1 FROM claim c WHERE c.tenant_id = l.tenant_id AND c.patient_id = l.patient_id
				AND c.account_id = l.account_id AND c.state = 'proved')
			FROM link l JOIN patient p ON p.tenant_id = l.tenant_id AND p.id = l.patient_id
			WHERE l.tenant_id = $1 AND l.account_id = $2 AND l.state = 'active' AND p.shredded_at IS NULL ORDER BY l.created_at, l.id LIMIT $3`, t, a, maxLinked)
		out, err = db.Collect(rows, err, func(r db.Rows, v *patient.Link) error { return r.Scan(&v.Patient, &v.Proven) })
		return err
	})
	return out, err
}

// names reads the sealed names of persons that are not shredded.
func (s store) names(ctx context.Context, t patient.TenantID, ids []patient.ID) (map[patient.ID][]byte, error) {
	out := make(map[patient.ID][]byte, len(ids))
	if len(ids) == 0 {
		return out, nil
	}
	args := []any{t}
	for _, p := range ids {
		args = append(args, p)
	}
	err := s.db.Read(ctx, t, func(ctx context.Context, tx db.Tx) error {
		rows, err := tx.Query(ctx, `SELECT id, name FROM patient WHERE tenant_id = $1 AND shredded_at IS NULL AND id IN (`+db.In(2, len(ids))+`)`, args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var p patient.ID
			var name []byte
			if err := rows.Scan(&p, &name); err != nil {
				return err
			}
			out[p] = name
		}
		return rows.Err()
	})
	return out, err
}

// room refuses early what the write would refuse: a key costs more than a look.
func (s store) room(ctx context.Context, t patient.TenantID, a accountID, n person, today clock.Date) error {
	return s.db.Read(ctx, t, func(ctx context.Context, tx db.Tx) error {
		var active, entries int
		var day clock.Date
		err := tx.QueryRow(ctx, `SELECT active, entries, entries_day FROM holder WHERE tenant_id = $1 AND account_id = $2`, t, a).
			Scan(&active, &entries, &day)
		if errors.Is(err, db.ErrNoRows) {
			return nil
		}
		switch {
		case err != nil:
			return err
		case active >= maxPersons:
			return patient.ErrTooMany.New()
		case entries >= maxEntries && day == today:
			return tooOften(today, tx.Now())
		}
		return fits(ctx, tx, a, patient.ID{}, n.rel, n.birth, today)
	})
}

// fits checks the relationship against the account's other persons: one self, and a
// minor is nobody's guardian. Within a write the holder's row is locked before.
func fits(ctx context.Context, tx db.Tx, a accountID, except patient.ID, rel patient.Relationship, birth, today clock.Date) error {
	if rel != patient.Self && birth.Age(today) >= childAge {
		return nil
	}
	rows, err := tx.Query(ctx, `SELECT l.relationship, p.birth FROM link l JOIN patient p ON p.tenant_id = l.tenant_id AND p.id = l.patient_id
		WHERE l.tenant_id = $1 AND l.account_id = $2 AND l.state = 'active' AND l.patient_id <> $3 AND p.shredded_at IS NULL`, tx.Tenant(), a, except)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var other patient.Relationship
		var theirs clock.Date
		if err := rows.Scan(&other, &theirs); err != nil {
			return err
		}
		switch {
		case rel == patient.Self && other == patient.Self:
			return patient.ErrSelfTwice.New()
		case rel == patient.Self && minor(birth, today) && theirs.Age(today) < childAge,
			rel != patient.Self && other == patient.Self && minor(theirs, today):
			return patient.ErrGuardian.At("relationship", "a guardian is an adult")
		}
	}
	return rows.Err()
}

func tooOften(today clock.Date, now time.Time) error {
	return patient.ErrTooOften.After(today.Add(1).At(0).Sub(now))
}

// note writes an audit row for an act that changes nothing.
func (s store) note(ctx context.Context, t patient.TenantID, e trail.Entry) error {
	return s.db.Write(ctx, t, func(ctx context.Context, tx db.Tx) error {
		_, err := trail.Record(ctx, tx, e)
		return err
	})
}

// record writes the audit row and the history of a use case.
func record(ctx context.Context, tx db.Tx, e trail.Entry, steps ...step) error {
	act, err := trail.Record(ctx, tx, e)
	if err != nil {
		return err
	}
	return remember(ctx, tx, act, steps...)
}

func remember(ctx context.Context, tx db.Tx, act actID, steps ...step) error {
	for _, h := range steps {
		_, err := tx.Exec(ctx, `INSERT INTO history (tenant_id, id, noun, subject_id, from_state, to_state, act_id, at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
			tx.Tenant(), id.New[step](tx.Now()), h.noun, h.id, h.from, h.to, act, tx.Now().UnixMicro())
		if err != nil {
			return err
		}
	}
	return nil
}

func linkStep[T any](l id.ID[T], from, to linkState) step {
	return step{"Link", id.As[subject](l), string(from), string(to)}
}

func claimStep(c patient.ClaimID, from, to claimState) step {
	return step{"Claim", id.As[subject](c), string(from), string(to)}
}

func tell(ctx context.Context, tx db.Tx, a accountID, p patient.ID, active bool) error {
	return outbox.Add(ctx, tx, patient.LinkChanged{Account: a, Patient: p, Active: active})
}

func one(err error) error {
	if errors.Is(err, db.ErrNoRows) {
		return patient.ErrNotFound.New()
	}
	return err
}
