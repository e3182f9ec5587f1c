package booking

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"
	"time"

	"xinglin/internal/app"
	"xinglin/internal/directory"
	"xinglin/internal/identity"
	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/id"
	"xinglin/internal/kernel/secret"
	"xinglin/internal/patient"
	"xinglin/internal/platform/crypt"
	"xinglin/internal/platform/db"
	"xinglin/internal/scheduling"
	"xinglin/internal/tenant"
)

// The world: one hospital with so many departments, whose practitioners have a session
// a day each.
const (
	departments   = 25
	practitioners = 500
)

// person is an account with one patient, oneself, and a session.
type person struct {
	account identity.AccountID
	patient patient.ID
	token   string // of the session cookie
}

// world is the same in every database of a run, but for the tenant and the keys.
type world struct {
	campus  scheduling.CampusID
	houses  []scheduling.DepartmentID
	doctors []scheduling.PractitionerID
	people  []person
}

func newWorld(n int) *world {
	now := clock.System{}.Now()
	w := &world{campus: id.New[directory.Campus](now)}
	for range departments {
		w.houses = append(w.houses, id.New[directory.Department](now))
	}
	for range practitioners {
		w.doctors = append(w.doctors, id.New[directory.Practitioner](now))
	}
	for range n {
		b := make([]byte, 32)
		_, _ = rand.Read(b) // never fails
		w.people = append(w.people, person{
			account: id.New[auth.Account](now), patient: id.New[patient.Patient](now), token: base64.RawURLEncoding.EncodeToString(b),
		})
	}
	return w
}

// house is the department of a doctor.
func (w *world) house(doctor int) scheduling.DepartmentID { return w.houses[doctor%departments] }

// seed fills an installation with the world. People are loaded in sets, sealed and
// indexed as the use cases seal and index them.
func (w *world) seed(ctx context.Context, h *app.House) (tenant.ID, error) {
	ctx = auth.With(ctx, auth.Principal{Kind: auth.System, Name: "bench"})
	t, err := h.Tenants.Ensure(ctx, tenant.Tenant{Code: app.DefaultTenant, Name: "医院"})
	if err != nil {
		return t.ID, err
	}
	for _, f := range []func(context.Context, *app.House, tenant.ID) error{w.seedDirectory, w.seedAccounts, w.seedPatients} {
		if err := f(ctx, h, t.ID); err != nil {
			return t.ID, err
		}
	}
	return t.ID, nil
}

func (w *world) seedDirectory(ctx context.Context, h *app.House, t tenant.ID) error {
	return h.DBs["directory"].Write(ctx, t, func(ctx context.Context, tx db.Tx) error {
		org := id.As[directory.Organization](t)
		if _, err := tx.Exec(ctx, `INSERT INTO organization (tenant_id, id, name, name_en, licences, version) VALUES ($1, $2, '医院', 'Hospital', '[]', 1) ON CONFLICT DO NOTHING`, t, org); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `INSERT INTO campus (tenant_id, id, organization_id, name, name_en, address, phone, version) VALUES ($1, $2, $3, '本部', 'Main', '', '', 1)`, t, w.campus, org); err != nil {
			return err
		}
		var ds, ps, rs [][]any
		for i, d := range w.houses {
			ds = append(ds, []any{t, d, w.campus, fmt.Sprintf("科室%02d", i+1), "", fmt.Sprintf("门诊楼%d层", 1+i%5), "", 1})
		}
		for i, p := range w.doctors {
			ps = append(ps, []any{t, p, fmt.Sprintf("%015d", 110000000000000+i), fmt.Sprintf("医生%03d", i+1), "主治医师", "", 0, "", 1})
			rs = append(rs, []any{t, p, w.house(i), true})
		}
		if err := insert(ctx, tx, `INSERT INTO department (tenant_id, id, campus_id, name, name_en, location, intro, version) VALUES `, ds); err != nil {
			return err
		}
		if err := insert(ctx, tx, `INSERT INTO practitioner (tenant_id, id, licence, name, title, specialty, practising_from, search, version) VALUES `, ps); err != nil {
			return err
		}
		return insert(ctx, tx, `INSERT INTO practitioner_role (tenant_id, practitioner_id, department_id, main) VALUES `, rs)
	})
}

// set is how many people one transaction loads.
const set = 500

// seedAccounts makes accounts that are logged in. last_seen_at lies ahead, so that no
// request pays for writing it: who waits for 8:00 was seen within the last minutes.
func (w *world) seedAccounts(ctx context.Context, h *app.House, t tenant.ID) error {
	now := clock.System{}.Now().UTC().Truncate(time.Microsecond)
	for begin := 0; begin < len(w.people); begin += set {
		var as, ss, ks [][]any
		for i, p := range w.people[begin:min(begin+set, len(w.people))] {
			phone := phoneOf(begin + i)
			index, err := h.Crypt().Blind(ctx, t, "identity.phone", phone, 1)
			if err != nil {
				return err
			}
			sealed, err := h.Crypt().SealText(ctx, crypt.Field{Tenant: t, Table: "account", Column: "phone", Row: p.account.String()}, secret.New(phone))
			if err != nil {
				return err
			}
			session, hash := id.New[auth.Session](now), sha256.Sum256([]byte(p.token))
			expires := now.Add(30 * 24 * time.Hour).UnixMicro()
			as = append(as, []any{t, p.account, "patient", "active", index, sealed, 1, now.UnixMicro()})
			ss = append(ss, []any{t, session, p.account, 1, "bench", now.UnixMicro(), now.Add(24 * time.Hour).UnixMicro(), now.Add(14 * 24 * time.Hour).UnixMicro(), expires})
			ks = append(ks, []any{t, hash[:], session, "cookie", now.UnixMicro(), expires})
		}
		err := h.DBs["identity"].Write(ctx, t, func(ctx context.Context, tx db.Tx) error {
			if err := insert(ctx, tx, `INSERT INTO account (tenant_id, id, kind, state, phone_index, phone_sealed, version, created_at) VALUES `, as); err != nil {
				return err
			}
			if err := insert(ctx, tx, `INSERT INTO session (tenant_id, id, account_id, factors, device, created_at, last_seen_at, idle_at, expires_at) VALUES `, ss); err != nil {
				return err
			}
			return insert(ctx, tx, `INSERT INTO token (tenant_id, hash, session_id, kind, created_at, expires_at) VALUES `, ks)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (w *world) seedPatients(ctx context.Context, h *app.House, t tenant.ID) error {
	now := clock.System{}.Now().UTC().Truncate(time.Microsecond)
	for begin := 0; begin < len(w.people); begin += set {
		some := w.people[begin:min(begin+set, len(w.people))]
		var ids []id.ID[id.Any]
		for _, p := range some {
			ids = append(ids, id.As[id.Any](p.patient))
		}
		if err := h.Crypt().EnsurePersons(ctx, t, ids); err != nil {
			return err
		}
		var hs, ps, ls [][]any
		for i, p := range some {
			row, err := w.patientRow(ctx, h, t, p, begin+i, now)
			if err != nil {
				return err
			}
			ps = append(ps, row)
			hs = append(hs, []any{t, p.account, 1, 1, clock.DateOf(now)})
			ls = append(ls, []any{t, id.New[id.Any](now), p.account, p.patient, "self", false, "active", now.UnixMicro(), now.UnixMicro()})
		}
		err := h.DBs["patient"].Write(ctx, t, func(ctx context.Context, tx db.Tx) error {
			if err := insert(ctx, tx, `INSERT INTO holder (tenant_id, account_id, active, entries, entries_day) VALUES `, hs); err != nil {
				return err
			}
			if err := insert(ctx, tx, `INSERT INTO patient (tenant_id, id, document_type, number_index, name, number, phone, birth, sex, verified, verified_reference, version, created_at) VALUES `, ps); err != nil {
				return err
			}
			return insert(ctx, tx, `INSERT INTO link (tenant_id, id, account_id, patient_id, relationship, guardian, state, created_at, related_at) VALUES `, ls)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// patientRow seals one invented person.
func (w *world) patientRow(ctx context.Context, h *app.House, t tenant.ID, p person, n int, now time.Time) ([]any, error) {
	number := fmt.Sprintf("H%08d", n)
	index, err := h.Crypt().Blind(ctx, t, "patient.document", string(patient.HMTPermit)+":"+number, 1)
	if err != nil {
		return nil, err
	}
	row := []any{t, p.patient, string(patient.HMTPermit), index}
	for _, f := range [][2]string{{"name", names[n%len(names)]}, {"number", number}, {"phone", phoneOf(n)}} {
		sealed, err := h.Crypt().SealText(ctx, crypt.Field{
			Tenant: t, Person: id.As[id.Any](p.patient), Table: "patient", Column: f[0], Row: p.patient.String(),
		}, secret.New(f[1]))
		if err != nil {
			return nil, err
		}
		row = append(row, sealed)
	}
	return append(row, clock.NewDate(1950+n%50, time.Month(1+n%12), 1+n%28), "unknown", "none", "", 1, now.UnixMicro()), nil
}

// names are invented.
var names = []string{"赵一鸣", "钱思远", "孙若水", "李安然", "周知行", "吴清和", "郑云舒", "王子衿"}

func phoneOf(n int) string { return fmt.Sprintf("139%08d", n) }

// insert sends rows in statements of at most 64; sizes are powers of two, so that few
// texts are prepared.
func insert(ctx context.Context, tx db.Tx, head string, rows [][]any) error {
	for len(rows) > 0 {
		n := 64
		for n > len(rows) {
			n /= 2
		}
		var b strings.Builder
		b.WriteString(head)
		var args []any
		for i, r := range rows[:n] {
			if i > 0 {
				b.WriteString(", ")
			}
			b.WriteString("(" + db.In(len(args)+1, len(r)) + ")")
			args = append(args, r...)
		}
		if _, err := tx.Exec(ctx, b.String(), args...); err != nil {
			return err
		}
		rows = rows[n:]
	}
	return nil
}
