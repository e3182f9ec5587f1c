package patientsvc

import (
	"bytes"
	"context"
	"slices"
	"time"

	"xinglin/internal/kernel/event"
	"xinglin/internal/kernel/id"
	"xinglin/internal/patient"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/outbox"
	"xinglin/internal/platform/trail"
)

// onFile finds the persons that a round may mean, by identifier and by document.
func (s store) onFile(ctx context.Context, t patient.TenantID, round []incoming) (f filed, err error) {
	var external [][]byte
	documents := map[patient.DocumentType][][]byte{}
	for _, v := range round {
		for _, e := range v.ext {
			external = append(external, e.ix.both()...)
		}
		documents[v.person.docType] = append(documents[v.person.docType], v.doc.both()...)
	}
	err = s.db.Read(ctx, t, func(ctx context.Context, tx db.Tx) error {
		f = filed{external: map[string]patient.ID{}, document: map[string]patient.ID{}, persons: map[patient.ID]found{}}
		list, args := db.Few([]any{t}, external)
		err := eachIndex(ctx, tx, f.external, "", `SELECT patient_id, value_index, value_index_next FROM identifier WHERE tenant_id = $1
			AND (value_index IN (`+list+`) OR value_index_next IN (`+list+`))`, args)
		if err != nil {
			return err
		}
		for dt, ix := range documents {
			list, args := db.Few([]any{t, dt}, ix)
			err := eachIndex(ctx, tx, f.document, string(dt), `SELECT id, number_index, number_index_next FROM patient WHERE tenant_id = $1 AND document_type = $2
				AND shredded_at IS NULL AND (number_index IN (`+list+`) OR number_index_next IN (`+list+`))`, args)
			if err != nil {
				return err
			}
		}
		return readFound(ctx, tx, f)
	})
	return f, err
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
		var x index
		if err := rows.Scan(&p, &x.number, &x.next); err != nil {
			return err
		}
		for _, b := range x.both() {
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
			if err := importOne(ctx, tx, d, policy); err != nil {
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

func importOne(ctx context.Context, tx db.Tx, d deed, policy string) error {
	write := importChange
	changed := d.changed
	var steps []step
	if d.made {
		write, changed = importNew, []string{"document", "name", "phone", "birth", "sex", "profile", "identifier"}
		steps = append(steps, step{"Patient", id.As[subject](d.id), "", string(patient.Unverified)})
	}
	if err := write(ctx, tx, d); err != nil {
		return err
	}
	for _, e := range d.fresh {
		n, err := tx.Exec(ctx, `INSERT INTO identifier (tenant_id, id, patient_id, system, value, value_index, value_index_next, created_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING`,
			tx.Tenant(), e.row, d.id, e.system, e.sealed, e.ix.number, bytesOrNull(e.ix.next), tx.Now().UnixMicro())
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

func importNew(ctx context.Context, tx db.Tx, d deed) error {
	return insertPatient(ctx, tx, d.row, originImport, time.Time{})
}

// importChange writes a new version. The phone is a statement of its own, after the
// row's lock: an account that has just been linked keeps it.
func importChange(ctx context.Context, tx db.Tx, d deed) error {
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
		_, err := tx.Exec(ctx, `UPDATE patient SET document_type = $3, number = $4, number_index = $5, number_index_next = $6 WHERE tenant_id = $1 AND id = $2`,
			tx.Tenant(), d.id, d.person.docType, d.row.number, d.doc.number, bytesOrNull(d.doc.next))
		if db.IsUnique(err) {
			return errLost
		}
		if err != nil {
			return err
		}
	}
	keys := d.row.keys
	if !d.has("phone") {
		return saveKeys(ctx, tx, d.id, keys)
	}
	n, err = tx.Exec(ctx, `UPDATE patient SET phone = $3 WHERE tenant_id = $1 AND id = $2
		AND NOT EXISTS (SELECT 1 FROM link l WHERE l.tenant_id = $1 AND l.patient_id = $2)`, tx.Tenant(), d.id, bytesOrNull(d.row.phone))
	if err != nil {
		return err
	}
	if n == 0 {
		return patient.ErrStale.New()
	}
	return saveKeys(ctx, tx, d.id, keys)
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
