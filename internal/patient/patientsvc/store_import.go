package patientsvc

import (
	"bytes"
	"context"
	"slices"
	"time"

	"xinglin/internal/kernel/event"
	"xinglin/internal/kernel/id"
	"xinglin/internal/patient"
	"xinglin/internal/platform/blind"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/outbox"
	"xinglin/internal/platform/trail"
)

// onFile finds the persons that a round may mean, by identifier and by document.
func (s store) onFile(ctx context.Context, t patient.TenantID, round []incoming) (f filed, err error) {
	var values []blind.Value
	for _, v := range round {
		values = append(values, v.doc)
		for _, e := range v.ext {
			values = append(values, e.key)
		}
	}
	err = s.db.Read(ctx, t, func(ctx context.Context, tx db.Tx) error {
		return s.blind.Read(ctx, tx, values, func(ix []blind.Pair) (err error) {
			external, documents := indexed(round, ix)
			f, err = readFiled(ctx, tx, external, documents)
			return err
		})
	})
	return f, err
}

// indexed gives the persons of a round their indexes, in the order of the values, and gathers them.
func indexed(round []incoming, ix []blind.Pair) (external [][]byte, documents map[patient.DocumentType][][]byte) {
	documents = map[patient.DocumentType][][]byte{}
	for i := range round {
		v := &round[i]
		v.docIx, ix = ix[0], ix[1:]
		documents[v.person.docType] = append(documents[v.person.docType], v.docIx.Both()...)
		for n := range v.ext {
			v.ext[n].ix, ix = ix[0], ix[1:]
			external = append(external, v.ext[n].ix.Both()...)
		}
	}
	return external, documents
}

func readFiled(ctx context.Context, tx db.Tx, external [][]byte, documents map[patient.DocumentType][][]byte) (f filed, err error) {
	t := tx.Tenant()
	f = filed{external: map[string]patient.ID{}, document: map[string]patient.ID{}, persons: map[patient.ID]found{}}
	if len(external) > 0 {
		list, args := db.Few([]any{t}, external)
		err := eachIndex(ctx, tx, f.external, "", `SELECT patient_id, value_index, value_index_even FROM identifier WHERE tenant_id = $1
			AND (value_index IN (`+list+`) OR value_index_even IN (`+list+`))`, args)
		if err != nil {
			return f, err
		}
	}
	for dt, ix := range documents {
		list, args := db.Few([]any{t, dt}, ix)
		err := eachIndex(ctx, tx, f.document, string(dt), `SELECT id, number_index, number_index_even FROM patient WHERE tenant_id = $1 AND document_type = $2
			AND shredded_at IS NULL AND (number_index IN (`+list+`) OR number_index_even IN (`+list+`))`, args)
		if err != nil {
			return f, err
		}
	}
	return f, readFound(ctx, tx, f)
}

// eachIndex reads person and both indexes into a map.
func eachIndex(ctx context.Context, tx db.Tx, into map[string]patient.ID, prefix, query string, args []any) error {
	rows, err := tx.Query(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var p patient.ID
		var x blind.Pair
		if err := rows.Scan(&p, &x.Odd, &x.Even); err != nil {
			return err
		}
		for _, b := range x.Both() {
			into[prefix+string(b)] = p
		}
	}
	return rows.Err()
}

func readFound(ctx context.Context, tx db.Tx, f filed) error {
	var ids []patient.ID
	for _, m := range []map[string]patient.ID{f.external, f.document} {
		for _, p := range m {
			if _, ok := f.persons[p]; !ok {
				f.persons[p] = found{}
				ids = append(ids, p)
			}
		}
	}
	if len(ids) == 0 {
		return nil
	}
	list, args := db.Few([]any{tx.Tenant()}, ids)
	rows, err := tx.Query(ctx, `SELECT `+columns+`, f.sealed, EXISTS (SELECT 1 FROM link l WHERE l.tenant_id = p.tenant_id AND l.patient_id = p.id)
		FROM patient p LEFT JOIN profile f ON f.tenant_id = p.tenant_id AND f.patient_id = p.id
		WHERE p.tenant_id = $1 AND p.shredded_at IS NULL AND p.id IN (`+list+`)`, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var v found
		if err := rows.Scan(append(v.fields(), &v.profile, &v.claimed)...); err != nil {
			return err
		}
		f.persons[v.id] = v
	}
	return rows.Err()
}

// importPersons writes the deeds together. errLost or patient.stale: somebody else was
// faster with one of them.
func (s store) importPersons(ctx context.Context, t patient.TenantID, deeds []deed, policy string) error {
	slices.SortFunc(deeds, func(a, b deed) int { return bytes.Compare(a.id[:], b.id[:]) }) // rows are locked in key order
	return s.db.Write(ctx, t, func(ctx context.Context, tx db.Tx) error {
		var made []event.Event
		for _, d := range deeds {
			if err := s.importOne(ctx, tx, d, policy); err != nil {
				return err
			}
			if d.made {
				made = append(made, patient.Created{Patient: d.id})
			}
		}
		if len(made) == 0 {
			return nil
		}
		return outbox.Add(ctx, tx, made...)
	})
}

func (s store) importOne(ctx context.Context, tx db.Tx, d deed, policy string) error {
	write := s.importChange
	changed := d.changed
	var steps []step
	if d.made {
		write, changed = s.importNew, []string{"document", "name", "phone", "birth", "sex", "profile", "identifier"}
		steps = append(steps, step{"Patient", id.As[subject](d.id), "", string(patient.Unverified)})
	}
	if err := write(ctx, tx, d); err != nil {
		return err
	}
	for _, e := range d.fresh {
		ix, err := s.blind.Write(ctx, tx, e.key)
		if err != nil {
			return err
		}
		odd, even := ix[0].Columns()
		n, err := tx.Exec(ctx, `INSERT INTO identifier (tenant_id, id, patient_id, system, value, value_index, value_index_even, created_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING`,
			tx.Tenant(), e.row, d.id, e.system, e.sealed, odd, even, tx.Now().UnixMicro())
		if err != nil {
			return err
		}
		if n == 0 {
			return errLost
		}
	}
	if d.sealedProfile != nil {
		_, err := tx.Exec(ctx, `INSERT INTO profile (tenant_id, patient_id, sealed, updated_at) VALUES ($1, $2, $3, $4)
			ON CONFLICT (tenant_id, patient_id) DO UPDATE SET sealed = excluded.sealed, updated_at = excluded.updated_at`,
			tx.Tenant(), d.id, d.sealedProfile, tx.Now().UnixMicro())
		if err != nil {
			return err
		}
	}
	return record(ctx, tx, trail.Entry{Action: "patient.import", Noun: "Patient", ID: d.id.String(), Policy: policy, Changed: changed}, steps...)
}

func (s store) importNew(ctx context.Context, tx db.Tx, d deed) error {
	return s.insertPatient(ctx, tx, d.row, originImport, time.Time{})
}

// importChange writes a new version. The phone is a statement of its own, after the
// row's lock: an account that has just been linked keeps it.
func (s store) importChange(ctx context.Context, tx db.Tx, d deed) error {
	n, err := tx.Exec(ctx, `UPDATE patient SET version = version + 1 WHERE tenant_id = $1 AND id = $2 AND version = $3 AND shredded_at IS NULL`,
		tx.Tenant(), d.id, d.version)
	if err != nil {
		return err
	}
	if n == 0 {
		return patient.ErrStale.New()
	}
	var name any
	if d.has("name") {
		name = d.row.name
	}
	var birth any
	if d.has("birth") {
		birth = d.person.birth
	}
	sex := ""
	if d.has("sex") {
		sex = d.person.sex
	}
	_, err = tx.Exec(ctx, `UPDATE patient SET name = COALESCE($3, name), birth = COALESCE($4, birth), sex = CASE WHEN $5 = '' THEN sex ELSE $5 END
		WHERE tenant_id = $1 AND id = $2`, tx.Tenant(), d.id, name, birth, sex)
	if err != nil {
		return err
	}
	if d.has("document") {
		ix, err := s.blind.Write(ctx, tx, d.doc)
		if err != nil {
			return err
		}
		odd, even := ix[0].Columns()
		_, err = tx.Exec(ctx, `UPDATE patient SET document_type = $3, number = $4, number_index = $5, number_index_even = $6 WHERE tenant_id = $1 AND id = $2`,
			tx.Tenant(), d.id, d.person.docType, d.row.number, odd, even)
		if db.IsUnique(err) {
			return errLost
		}
		if err != nil {
			return err
		}
	}
	keys := d.row.keys
	if !d.has("phone") {
		return s.saveKeys(ctx, tx, d.id, keys)
	}
	n, err = tx.Exec(ctx, `UPDATE patient SET phone = $3 WHERE tenant_id = $1 AND id = $2
		AND NOT EXISTS (SELECT 1 FROM link l WHERE l.tenant_id = $1 AND l.patient_id = $2)`, tx.Tenant(), d.id, bytesOrNull(d.row.phone))
	if err != nil {
		return err
	}
	if n == 0 {
		return patient.ErrStale.New()
	}
	return s.saveKeys(ctx, tx, d.id, keys)
}

// forgetKeys takes from a person that is shredded what it is found by and what other
// systems call it, so that nothing finds it again.
func forgetKeys(ctx context.Context, tx db.Tx, p patient.ID) error {
	if _, err := tx.Exec(ctx, `DELETE FROM search_key WHERE tenant_id = $1 AND patient_id = $2`, tx.Tenant(), p); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, `DELETE FROM identifier WHERE tenant_id = $1 AND patient_id = $2`, tx.Tenant(), p); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, `DELETE FROM profile WHERE tenant_id = $1 AND patient_id = $2`, tx.Tenant(), p)
	return err
}
