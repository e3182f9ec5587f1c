package rotate

import (
	"context"
	"encoding/binary"
	"fmt"
	"time"

	"xinglin/internal/app"
	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/id"
	"xinglin/internal/kernel/secret"
	"xinglin/internal/patient"
	"xinglin/internal/platform/crypt"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/rekey"
	"xinglin/internal/tenant"
)

// Ids are numbered, so that nobody keeps a million of them.
func numbered(kind byte, n int) (v id.ID[id.Any]) {
	v = id.Must[id.Any]("0190aaaa-0000-7000-8000-000000000000")
	v[8] |= kind
	binary.BigEndian.PutUint32(v[12:], uint32(n))
	return v
}

func accountOf(n int) id.ID[auth.Account] { return id.As[auth.Account](numbered(1, n)) }
func patientOf(n int) patient.ID          { return id.As[patient.Patient](numbered(2, n)) }
func phoneOf(n int) string                { return fmt.Sprintf("13%09d", n) }

// set is how many people one transaction loads.
const set = 1000

// seed makes n accounts and n patients, sealed and indexed as the use cases do.
func seed(ctx context.Context, h *app.House, t tenant.ID, n int) error {
	for begin := 0; begin < n; begin += set {
		end := min(begin+set, n)
		if err := seedAccounts(ctx, h, t, begin, end); err != nil {
			return err
		}
		if err := seedPatients(ctx, h, t, begin, end); err != nil {
			return err
		}
	}
	return nil
}

func seedAccounts(ctx context.Context, h *app.House, t tenant.ID, begin, end int) error {
	now := clock.System{}.Now().UnixMicro()
	var rows [][]any
	for i := begin; i < end; i++ {
		index, err := h.Crypt().Blind(ctx, t, "identity.phone", phoneOf(i), 1)
		if err != nil {
			return err
		}
		sealed, err := h.Crypt().SealText(ctx, crypt.Field{Tenant: t, Table: "account", Column: "phone", Row: accountOf(i).String()}, secret.New(phoneOf(i)))
		if err != nil {
			return err
		}
		rows = append(rows, []any{t, accountOf(i), "patient", "active", index, sealed, 1, now})
	}
	return h.DBs["identity"].Write(ctx, t, func(ctx context.Context, tx db.Tx) error {
		return db.InsertMany(ctx, tx, `INSERT INTO account (tenant_id, id, kind, state, phone_index, phone_sealed, version, created_at) VALUES `, 8, rows)
	})
}

func seedPatients(ctx context.Context, h *app.House, t tenant.ID, begin, end int) error {
	var ids []id.ID[id.Any]
	for i := begin; i < end; i++ {
		ids = append(ids, id.As[id.Any](patientOf(i)))
	}
	if err := h.Crypt().EnsurePersons(ctx, t, ids); err != nil {
		return err
	}
	now := clock.System{}.Now()
	var rows, keys [][]any
	for i := begin; i < end; i++ {
		row, key, err := patientRow(ctx, h, t, i, now)
		if err != nil {
			return err
		}
		rows, keys = append(rows, row), append(keys, key)
	}
	return h.DBs["patient"].Write(ctx, t, func(ctx context.Context, tx db.Tx) error {
		err := db.InsertMany(ctx, tx, `INSERT INTO patient (tenant_id, id, document_type, number_index, name, number, phone, birth, sex, verified, verified_reference,
			version, created_at, origin) VALUES `, 14, rows)
		if err != nil {
			return err
		}
		return db.InsertMany(ctx, tx, `INSERT INTO search_key (tenant_id, patient_id, kind, value) VALUES `, 4, keys)
	})
}

// patientRow seals one invented person.
func patientRow(ctx context.Context, h *app.House, t tenant.ID, n int, now time.Time) (row, key []any, err error) {
	number := fmt.Sprintf("H%08d", n)
	index, err := h.Crypt().Blind(ctx, t, "patient.document", string(patient.HMTPermit)+":"+number, 1)
	if err != nil {
		return nil, nil, err
	}
	row = []any{t, patientOf(n), string(patient.HMTPermit), index}
	for _, f := range [][2]string{{"name", "李四"}, {"number", number}, {"phone", phoneOf(n)}} {
		sealed, err := h.Crypt().SealText(ctx, crypt.Field{
			Tenant: t, Person: id.As[id.Any](patientOf(n)), Table: "patient", Column: f[0], Row: patientOf(n).String(),
		}, secret.New(f[1]))
		if err != nil {
			return nil, nil, err
		}
		row = append(row, sealed)
	}
	row = append(row, clock.NewDate(1980, 5, 1), "male", "none", "", 1, now.UnixMicro(), "import")
	found, err := h.Crypt().Blind(ctx, t, "patient.phone", phoneOf(n), 1)
	return row, []any{t, patientOf(n), "phone", found}, err
}

// old counts the values that lie under another generation than the latest of their kind, and the indexes that were not switched.
func old(ctx context.Context, h *app.House, t tenant.ID) (n int64, err error) {
	newest, err := h.Crypt().Generations(ctx, t)
	if err != nil {
		return 0, err
	}
	seal := ""
	for _, g := range newest {
		if g.Kind == "seal" {
			seal = g.ID
		}
	}
	for _, d := range app.Descriptions() {
		standing, err := rekey.Stand(ctx, h.Crypt(), rekey.Unit{Context: d.Name, DB: h.DBs[d.Name], Columns: d.Keys}, t)
		if err != nil {
			return 0, err
		}
		for _, s := range standing {
			// A person that was entered after the rotation began has a first key only: it is under the new key of the tenant.
			if s.Key != "" && s.Key != seal || s.Key == "" && s.Generation == 0 {
				n += s.Rows
			}
		}
	}
	err = h.DBs["patient"].Read(ctx, t, func(ctx context.Context, tx db.Tx) error {
		var left int64
		err := tx.QueryRow(ctx, `SELECT COUNT(*) FROM patient WHERE tenant_id = $1 AND (number_index IS NOT NULL OR number_index_even IS NULL)`, t).Scan(&left)
		n += left
		return err
	})
	return n, err
}
