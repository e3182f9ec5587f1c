package app

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/id"
	"xinglin/internal/kernel/secret"
	"xinglin/internal/patient"
	"xinglin/internal/platform/config"
	"xinglin/internal/platform/crypt"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/httpx"
	"xinglin/internal/platform/job"
	"xinglin/internal/privacy"
	"xinglin/internal/tenant"
	"xinglin/internal/testkit"
	"xinglin/internal/testkit/apitest"
	"xinglin/internal/testkit/dbtest"
)

// notHeld are columns of persons' ids that hold nothing of patients, and why.
var notHeld = map[string]string{
	"payment.cash_movement.account_id":    "the member of the staff whose drawer it is",
	"privacy.assessment.account_id":       "the officer who entered it",
	"privacy.breach.account_id":           "the officer who entered it",
	"scheduling.appointment.account_id":   "who booked: the row is the patient's",
	"scheduling.lottery_entry.account_id": "who entered: the row is the patient's",
	"clinic.turn.account_id":              "who booked: the row is the patient's",
	"patient.link.account_id":             "the row is the patient's",
	"patient.claim.account_id":            "the row is the patient's",
	"privacy.consent.account_id":          "who decided: the row is the patient's",
	"privacy.consent_step.account_id":     "who decided: the row is the patient's",
	"privacy.request.account_id":          "who asked: the row is the patient's",
}

// TestEveryTableOfPersonsIsHeld: a table with a patient's or an account's id that no context declares would be in no copy and outlive
// every erasure.
func TestEveryTableOfPersonsIsHeld(t *testing.T) {
	w := newErasure(t, db.SQLite)
	held := map[string]bool{}
	for _, m := range w.house.Modules {
		for _, h := range m.Held {
			held[m.Name+"."+h.Name] = true
			classes := map[string]bool{}
			for _, d := range Descriptions() {
				if d.Name == m.Name {
					_, known := d.Data[h.Name]
					classes[h.Name] = known
				}
			}
			if !classes[h.Name] {
				t.Errorf("%s declares the table %s, which it has not", m.Name, h.Name)
			}
		}
	}
	tables := 0
	for _, d := range Descriptions() {
		for table, classes := range d.Data {
			for _, column := range []string{"patient_id", "account_id"} {
				if _, ok := classes.Of(column); !ok {
					continue
				}
				tables++
				if _, other := notHeld[d.Name+"."+table+"."+column]; !held[d.Name+"."+table] && !other {
					t.Errorf("%s.%s has a %s and nobody says what becomes of it (held.go)", d.Name, table, column)
				}
			}
		}
	}
	if tables < 25 {
		t.Errorf("%d tables only", tables)
	}
}

// erasure is one hospital with the whole program, and a person in it.
type erasure struct {
	*testing.T
	clk    *clock.Manual
	srv    *db.Server
	ring   *crypt.Ring
	house  *House
	where  config.Where
	tenant id.ID[auth.Tenant]
	who    auth.Principal
	person patient.ID
	api    *apitest.Harness
}

const (
	erasedName, erasedNumber, erasedPhone, erasedMail = "欧阳建华", "E38001100", "13800138001", "ouyang@example.com"
)

func newErasure(t *testing.T, e db.Engine) *erasure {
	t.Helper()
	made := dbtest.Make(t, e, Sets())
	w := &erasure{T: t, clk: testkit.Clock(), where: config.Where{Data: made.Dir, DB: made.DSN, Keys: KeysOf(t.TempDir())}}
	var err error
	if w.srv, err = db.Open(t.Context(), db.Options{Dir: w.where.Data, DSN: w.where.DB, MaxConns: 8, Readers: 2, Clock: w.clk}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.srv.Close() })
	if w.ring, err = ringOf(t.Context(), w.srv, w.where.Keys, true); err != nil {
		t.Fatal(err)
	}
	w.house, err = Wire(t.Context(), Machines{DB: w.srv, Clock: w.clk, Crypt: w.ring, Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Signals: testkit.Signals()})
	if err != nil {
		t.Fatal(err)
	}
	cli := auth.With(t.Context(), auth.Principal{Kind: auth.CLI, Name: "test"})
	main, err := w.house.Tenants.Ensure(cli, tenant.Tenant{Code: "main", Name: "医院"})
	if err != nil {
		t.Fatal(err)
	}
	w.tenant = main.ID
	cli = auth.With(t.Context(), auth.Principal{Kind: auth.CLI, Tenant: main.ID, Name: "test"})
	account, err := w.house.Identity.EnsurePatient(cli, secret.New(erasedPhone))
	if err != nil {
		t.Fatal(err)
	}
	w.who = auth.Principal{Kind: auth.Patient, Tenant: main.ID, Account: account, Session: id.Random[auth.Session](), Factors: 1, Fresh: true}
	p, _, err := w.house.Patients.Add(w.as(w.who), patient.New{
		Name: secret.New(erasedName), DocumentType: patient.Passport, Document: secret.New(erasedNumber), Birth: clock.NewDate(1980, 5, 1), Sex: "male",
		Phone: secret.New(erasedPhone), Relationship: patient.Self,
	})
	if err != nil {
		t.Fatal(err)
	}
	w.person = p.ID
	if err := w.house.Notify.SetContact(w.as(auth.Principal{Kind: auth.System, Tenant: main.ID, Name: "test"}), main.ID, account, secret.New(erasedPhone)); err != nil {
		t.Fatal(err)
	}
	var routes []func(*httpx.API)
	for _, m := range w.house.Modules {
		routes = append(routes, m.Routes)
	}
	w.api = apitest.With(t, httpx.Options{Clock: w.clk}, routes...)
	return w
}

func (w *erasure) as(p auth.Principal) context.Context { return auth.With(w.Context(), p) }

// run does the due jobs of every context, until there are none.
func (w *erasure) run() {
	w.Helper()
	for n, more := 0, true; more && n < 3; n++ {
		more = false
		for _, m := range w.house.Modules {
			r, err := job.NewRunner(job.Options{DB: w.house.DBs[m.Name], Handlers: m.Jobs, Clock: w.clk, Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
			if err != nil {
				w.Fatal(err)
			}
			did, err := r.RunDue(w.Context())
			if err != nil {
				w.Fatal(err)
			}
			more = more || did > 0 && m.Name == "privacy"
		}
	}
}

func (w *erasure) exec(name, query string, args ...any) {
	w.Helper()
	err := w.house.DBs[name].Write(w.Context(), w.tenant, func(ctx context.Context, tx db.Tx) error {
		_, err := tx.Exec(ctx, query, append([]any{w.tenant}, args...)...)
		return err
	})
	if err != nil {
		w.Fatal(err)
	}
}

// visit is a visit that took place and its payment, as their owners keep them.
func (w *erasure) visit() {
	w.Helper()
	line, turn, pay, now := id.New[id.Any](w.clk.Now()), id.New[id.Any](w.clk.Now()), id.New[id.Any](w.clk.Now()), w.clk.Now().UnixMicro()
	w.exec("clinic", `INSERT INTO line (tenant_id, id, day, session, campus_id, department_id, practitioner_id, known, stopped, starts_at, ends_at, location,
		periods, version, created_at, updated_at) VALUES ($1, $2, $3, 'morning', $4, $4, $4, $5, $6, $7, $8, '301', '[]', 1, $7, $7)`,
		line, clock.DateOf(w.clk.Now()), id.Random[id.Any](), true, false, now, now+3600000000)
	w.exec("clinic", `INSERT INTO turn (tenant_id, id, line_id, account_id, patient_id, number, starts_at, state, late, special, calls, checked_in_at, called_at, left_at,
		created_at, updated_at) VALUES ($1, $2, $3, $4, $5, 1, $6, 'done', $7, $7, 1, $6, $6, $6, $6, $6)`, turn, line, w.who.Account, w.person, now, false)
	w.exec("payment", `INSERT INTO payment (tenant_id, id, account_id, purpose, reference_id, number, description, amount_fen, state, deadline, channel, channel_transaction,
		paid_at, version, created_at, effect) VALUES ($1, $2, $3, 'registration', $4, 'REG-1', '挂号费', 2500, 'paid', $5, 'wechat', '4200001', $5, 1, $5, 'applied')`,
		pay, w.who.Account, turn, now)
}

// leaks looks for the person in every row of every context: as a text, and by the blind indexes under the keys of now.
func (w *erasure) leaks() (out []string) {
	w.Helper()
	raw := []string{erasedName, erasedNumber, erasedPhone, erasedMail}
	var blind [][]byte
	for purpose, value := range map[string]string{
		"patient.document": "passport:" + erasedNumber, "identity.phone": erasedPhone, "patient.phone": erasedPhone,
	} {
		b, err := w.ring.Blind(w.Context(), w.tenant, purpose, value, 1)
		if err != nil {
			w.Fatal(err)
		}
		blind = append(blind, b)
	}
	for _, d := range Descriptions() {
		tables := maps.Clone(d.Data)
		maps.Copy(tables, db.FrameData())
		for table, classes := range tables {
			var columns []string
			for _, names := range classes {
				columns = append(columns, strings.Fields(names)...)
			}
			for _, v := range w.values(d.Name, table, columns...) {
				for _, x := range raw {
					if bytes.Contains(v, []byte(x)) {
						out = append(out, fmt.Sprintf("%s.%s has raw data", d.Name, table))
					}
				}
				for _, x := range blind {
					if bytes.Contains(v, x) {
						out = append(out, fmt.Sprintf("%s.%s has a blind index", d.Name, table))
					}
				}
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// values are what stands in the columns of a table, as bytes.
func (w *erasure) values(name, table string, columns ...string) (out [][]byte) {
	w.Helper()
	err := w.house.DBs[name].Read(w.Context(), w.tenant, func(ctx context.Context, tx db.Tx) error {
		rows, err := tx.Query(ctx, `SELECT `+strings.Join(columns, ", ")+` FROM `+table+` WHERE tenant_id = $1`, w.tenant)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			row, into := make([]any, len(columns)), make([]any, len(columns))
			for i := range row {
				into[i] = &row[i]
			}
			if err := rows.Scan(into...); err != nil {
				return err
			}
			for _, v := range row {
				switch v := v.(type) {
				case []byte:
					out = append(out, v)
				case [16]byte:
					out = append(out, v[:])
				case string:
					out = append(out, []byte(v))
				}
			}
		}
		return rows.Err()
	})
	if err != nil {
		w.Fatalf("%s.%s: %v", name, table, err)
	}
	return out
}

// proofs tells whether every entry of the audit log fits its signed heads.
func (w *erasure) proofs() bool {
	w.Helper()
	var out bytes.Buffer
	clean, err := w.house.inspect(w.Context(), AuditCheck{}, w.where, &out)
	if err != nil || !clean {
		w.Logf("%v\n%s", err, out.String())
	}
	return err == nil && clean
}

// TestErasure: the whole program erases a person (R11, R55; proof 7). What is sealed of the person opens nowhere, no blind index leads
// to the person, the account is closed and its phone free; the visit, the payment and every proof of the audit log stay; who it was
// can be opened for fifteen years with a reason, and then by nobody. The same document makes a new person.
func TestErasure(t *testing.T) {
	for _, e := range []db.Engine{db.SQLite, db.Postgres} {
		t.Run(fmt.Sprint(e), func(t *testing.T) { newErasure(t, e).play() })
	}
}

func (w *erasure) play() {
	officer := apitest.Staff(w.tenant, auth.PrivacyOfficer)
	path := "/privacy/patients/" + w.person.String()
	key := func() apitest.Header { return apitest.Key(id.New[privacy.Request](w.clk.Now())) }
	w.visit()
	if len(w.leaks()) == 0 {
		w.Fatal("the search for blind indexes finds nothing before the erasure")
	}
	w.decide(path)
	copied := w.copyOf(path, key())
	for _, want := range []string{erasedName, erasedNumber, erasedPhone, `"table": "turn"`, `"table": "payment"`, `"table": "contact"`, `"table": "account"`} {
		if !strings.Contains(copied, want) {
			w.Errorf("the copy lacks %s", want)
		}
	}
	w.clk.Add(2 * collectEach)
	w.run() // the acts come into the audit log
	if seen := w.api.Do(w.who, "GET", path+"/accesses", nil).Want(w, 200).Items(w); len(seen) == 0 {
		w.Error("nobody is said to have touched the record")
	}
	preview := w.api.Do(w.who, "GET", path+"/erasure", nil).Want(w, 200).Map(w)
	if keeps, _ := json.Marshal(preview["keeps"]); !strings.Contains(string(keeps), "15年") || !strings.Contains(string(keeps), "30年") {
		w.Errorf("the person is not told what stays: %s", keeps)
	}
	r := w.api.Do(w.who, "POST", path+"/requests", `{"kind":"erase"}`, key()).Want(w, 201).Map(w)["id"].(string)
	w.api.Do(officer, "POST", "/privacy/requests/"+r+"/decision", `{"accept":true,"note":"已核对"}`, apitest.IfMatch(1)).Want(w, 200)
	w.run()
	if found := w.leaks(); len(found) > 0 {
		w.Errorf("left: %q", found)
	}
	w.gone(path)
	for _, kept := range []struct{ name, table string }{{"clinic", "turn"}, {"payment", "payment"}} {
		if n := len(w.values(kept.name, kept.table, "id")); n != 1 {
			w.Errorf("%s: %d rows", kept.table, n)
		}
	}
	w.run()
	if !w.proofs() {
		w.Error("an erasure broke the audit log")
	}
	w.retention(officer)
}

// decide gives a consent, whose end is looked for.
func (w *erasure) decide(path string) {
	w.Helper()
	cli := w.as(auth.Principal{Kind: auth.CLI, Tenant: w.tenant, Name: "test"})
	text := privacy.Wording{Title: "研究", Body: "用于研究", Necessity: "需要真实数据", Effect: "不影响就诊"}
	if _, err := w.house.Privacy.Publish(cli, privacy.TextSpec{Purpose: privacy.Research, ZH: text, EN: text}); err != nil {
		w.Fatal(err)
	}
	w.api.Do(w.who, "PUT", path+"/consents", `{"purpose":"research","given":true,"version":1}`).Want(w, 200)
	if ok, err := w.house.Privacy.Consented(w.Context(), w.tenant, w.person, privacy.Research); err != nil || !ok {
		w.Errorf("consented %v %v", ok, err)
	}
}

// copyOf is data.json of a copy.
func (w *erasure) copyOf(path string, key apitest.Header) string {
	w.Helper()
	r := w.api.Do(w.who, "POST", path+"/requests", `{"kind":"copy"}`, key).Want(w, 201).Map(w)["id"].(string)
	w.run()
	return dataOf(w, w.api.Do(w.who, "POST", "/privacy/requests/"+r+"/file", nil).Want(w, 200).Body)
}

// gone tells that nobody reads the person any more and that the way in is free for a new one.
func (w *erasure) gone(path string) {
	w.Helper()
	w.api.Do(w.who, "GET", path+"/consents", nil).Refused(w, 404, "patient.not_found")
	if ok, err := w.house.Privacy.Consented(w.Context(), w.tenant, w.person, privacy.Research); err != nil || ok {
		w.Errorf("consented after the erasure: %v %v", ok, err)
	}
	if _, err := w.ring.Seal(w.Context(), crypt.Field{Tenant: w.tenant, Person: id.As[id.Any](w.person), Table: "x", Column: "x", Row: "x"}, nil); !errors.Is(err, crypt.ErrShredded) {
		w.Errorf("the key: %v", err)
	}
	if _, active, err := w.house.Identity.Acting(w.Context(), w.tenant, w.who.Account); err != nil || active {
		w.Errorf("the account: active %v, %v", active, err)
	}
	cli := w.as(auth.Principal{Kind: auth.CLI, Tenant: w.tenant, Name: "test"})
	again, err := w.house.Identity.EnsurePatient(cli, secret.New(erasedPhone))
	if err != nil || again == w.who.Account {
		w.Errorf("the phone: %v %v", again, err)
	}
	p, claim, err := w.house.Patients.Add(w.as(auth.Principal{Kind: auth.Patient, Tenant: w.tenant, Account: again, Factors: 1}), patient.New{
		Name: secret.New(erasedName), DocumentType: patient.Passport, Document: secret.New(erasedNumber), Birth: clock.NewDate(1980, 5, 1), Sex: "male",
		Phone: secret.New(erasedPhone), Relationship: patient.Self,
	})
	if err != nil || claim != nil || p.ID == w.person {
		w.Errorf("the document makes no new person: %v", err)
	}
}

func (w *erasure) retention(officer auth.Principal) {
	w.Helper()
	kept := w.api.Do(officer, "GET", "/privacy/retained", nil).Want(w, 200).Items(w)
	if len(kept) != 1 {
		w.Fatalf("%d dossiers", len(kept))
	}
	opening := "/privacy/retained/" + kept[0]["id"].(string) + "/opening"
	const why = `{"why":"法院调取证据函 2027-1"}`
	w.api.Do(w.who, "POST", opening, why).Refused(w, 403, "authz.denied")
	w.api.Do(apitest.Staff(w.tenant, auth.Operator), "POST", opening, why).Refused(w, 403, "authz.denied")
	start := w.clk.Now()
	for _, at := range []time.Time{start.AddDate(0, 0, 184), start.AddDate(0, 0, 190), start.AddDate(3, 0, 1), start.AddDate(15, 0, 0)} {
		w.clk.Set(at)
		w.run()
		if d := w.api.Do(officer, "POST", opening, why).Want(w, 200).Map(w); d["document_number"] != erasedNumber || d["name"] != erasedName {
			w.Errorf("%s: %v", at, d)
		}
		if !w.proofs() {
			w.Errorf("%s: a proof is broken", at)
		}
	}
	w.clk.Set(start.AddDate(15, 0, 2))
	w.run()
	w.api.Do(officer, "POST", opening, why).Refused(w, 404, "privacy.not_found")
	if !w.proofs() {
		w.Error("after fifteen years a proof is broken")
	}
}

// dataOf reads data.json of a copy's archive.
func dataOf(t testing.TB, file []byte) string {
	t.Helper()
	z, err := zip.NewReader(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		t.Fatal(err)
	}
	r, err := z.Open("data.json")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
