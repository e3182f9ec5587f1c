package proof

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"xinglin/internal/demo/client"
	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/id"
	"xinglin/test/rig"
)

// Scene is one tenant with one of everything: what the rows of Routes talk about.
type Scene struct {
	Code, Host string
	Words      map[string]string // what stands for {word}
	Actors     map[string]*client.Client

	w      *rig.World
	p      *rig.Process
	tenant rig.Tenant
	first  int               // number of its first invented person
	totp   map[string]string // secrets of staff
	rich   rig.Booker        // the patient
	seen   []shown           // every answer of the cases
}

// shown is an answer of the program to an actor.
type shown struct {
	op, who string
	answer  client.Answer
}

func rule(session, start, end string) string { return fmt.Sprintf(ruleBody, session, start, end) }

// newScene makes the tenant and its staff; nothing serves yet.
func newScene(t *testing.T, w *rig.World, code string, first int) *Scene {
	t.Helper()
	s := &Scene{
		Code: code, Host: code + ".test", w: w, first: first,
		Words: map[string]string{"password": rig.Password, "claim_code": "000000"}, Actors: map[string]*client.Client{}, totp: map[string]string{},
	}
	args := []string{"tenant", "add", "--code", code, "--name", "医院 " + code, "--host", s.Host}
	if code == "alpha" { // callbacks come to the address of the process
		args = append(args, "--host", "127.0.0.1")
		// The tenant of a fresh installation, which has every name as long as it is alone.
		rig.Must(t, append([]string{"tenant", "add", "--code", "main", "--name", "医院", "--host", "main.test"}, w.Where()...)...)
	}
	rig.Must(t, append(args, w.Where()...)...)
	s.tenant = w.TenantID(t, code)
	s.totp[security] = w.AddStaff(t, code, security, security)
	w.Import(t, rig.Rota(
		rig.Clinic{Doctor: 1, Day: rig.InDays(3), Seats: 20, Fee: "25"},
		rig.Clinic{Doctor: 2, Day: rig.InDays(4), Seats: 20, Fee: "0"},
		rig.Clinic{Doctor: 2, Day: rig.InDays(5), Seats: 20, Fee: "0"},
		rig.Clinic{Doctor: 2, Day: rig.InDays(6), Seats: 20, Fee: "0"},
	), "--tenant", code)
	s.letters(t)
	return s
}

// letters makes what only failures make: a dead job and a dead message.
func (s *Scene) letters(t *testing.T) {
	t.Helper()
	letter := id.New[id.Any](clock.System{}.Now())
	now := clock.System{}.Now().UnixMicro()
	const put = `INSERT INTO dead_letter (tenant_id, id, source, kind, payload, attempts, error, trace, number, created_at)
		VALUES ($1, $2, $3, $4, $5, 8, 'test', '', '', $6)`
	s.w.Change(t, "notify", s.tenant, put, s.tenant, letter, "inbox", "scheduling.appointment.booked.v1", "[]", now)
	s.Words["letter"] = letter.String()
	dead := id.New[id.Any](clock.System{}.Now())
	s.w.Change(t, "notify", s.tenant, `INSERT INTO job (tenant_id, id, kind, key, payload, run_at, state, attempts, max, trace, number, created_at)
		VALUES ($1, $2, 'notify.sms', 'test', '{}', $3, 'dead', 8, 8, '', '', $3)`, s.tenant, dead, now)
	s.w.Change(t, "notify", s.tenant, put, s.tenant, dead, "job", "notify.sms", "{}", now)
	s.Words["dead_job"] = dead.String()
}

// play opens the doors: everybody logs in and the patient books.
func (s *Scene) play(t *testing.T, p *rig.Process) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	s.p = p
	visitor := client.New(p.URL)
	visitor.Host = s.Host
	s.Actors[nobody] = visitor
	s.Actors[security] = rig.LoginStaff(t, p, s.Host, security, s.totp[security])
	for _, role := range []string{operator, desk, nurse, officer, system, auditor} {
		s.hire(ctx, t, role, role)
		s.Actors[role] = rig.LoginStaff(t, p, s.Host, role, s.totp[role])
	}
	s.hire(ctx, t, "spare", "doctor")
	s.hire(ctx, t, "target", "doctor")
	people := s.w.People(t, p, s.Host, s.first, 4, 4)
	s.rich = people[0]
	_, err := s.rich.Do(ctx, "PUT", "/notice-preferences", always, nil, client.IfMatch(0))
	must(t, err)
	for i, who := range []string{patient, stranger, guest, leaver} {
		s.Actors[who] = people[i].Client
	}
	s.Words["phone_a"], s.Words["phone_b"], s.Words["phone_c"] = client.Phone(s.first+50), client.Phone(s.first+51), client.Phone(s.first+52)
	s.Words["patient"], s.Words["unlinked"] = people[0].Patients[0].ID, people[0].Patients[3].ID
	s.Words["patient_version"] = "1"
	s.places(ctx, t)
	s.visits(ctx, t)
	s.claims(ctx, t)
	s.window(ctx, t)
	s.clinic(ctx, t)
	s.privacy(ctx, t, people[1].Patients[0].ID)
	s.versions(ctx, t)
}

// privacy is a text, a copy that is being made, requests of the stranger, and an entry of each register.
func (s *Scene) privacy(ctx context.Context, t *testing.T, other string) {
	t.Helper()
	do := func(who, method, path, body string) string {
		var made named
		_, err := s.Actors[who].Do(ctx, method, path, json.RawMessage(body), &made, client.Key(client.NewKey()))
		must(t, err)
		return made.ID
	}
	do(operator, "POST", "/privacy/texts", `{"purpose":"research","after":0,"zh":`+sharing+`,"en":`+sharing+`}`)
	s.Words["copy_request"] = do(patient, "POST", "/privacy/patients/"+s.Words["patient"]+"/requests", `{"kind":"copy"}`)
	s.Words["correction"] = do(stranger, "POST", "/privacy/patients/"+other+"/requests", `{"kind":"correct","reason":"登记的性别有误"}`)
	s.Words["taken_back"] = do(stranger, "POST", "/privacy/patients/"+other+"/requests", `{"kind":"erase"}`)
	s.Words["assessment"] = do(officer, "POST", "/privacy/assessments", assessment)
	s.Words["breach"] = do(officer, "POST", "/privacy/breaches", incident)
}

// copyReady waits until the copy is made.
func copyReady(ctx context.Context, s *Scene) error {
	return client.Until(ctx, "a copy", func(ctx context.Context) (bool, error) {
		var list struct{ Items []struct{ ID, State string } }
		_, err := s.Actors[patient].Do(ctx, "GET", "/privacy/patients/"+s.Words["patient"]+"/requests", nil, &list)
		for _, r := range list.Items {
			if r.ID == s.Words["copy_request"] && r.State == "ready" {
				return true, nil
			}
		}
		return false, err
	})
}

// hire makes an account of staff, as the security administrator does.
func (s *Scene) hire(ctx context.Context, t *testing.T, username, role string) {
	t.Helper()
	var made struct {
		ID   string `json:"id"`
		TOTP string `json:"totp_secret"`
	}
	var now named
	c := s.Actors[security]
	_, err := c.Do(ctx, "POST", "/staff/accounts", map[string]any{"username": username, "name": "测试 " + username, "initial_password": rig.Password}, &made)
	must(t, err)
	s.totp[username] = made.TOTP
	s.get(ctx, t, security, "/staff/accounts/"+made.ID, &now)
	_, err = c.Do(ctx, "PUT", "/staff/accounts/"+made.ID+"/grants", map[string]any{"grants": []map[string]any{{"role": role}}}, nil, client.IfMatch(now.Version))
	must(t, err)
}

// get reads as an actor into v.
func (s *Scene) get(ctx context.Context, t *testing.T, who, path string, v any) {
	t.Helper()
	if _, err := s.Actors[who].Do(ctx, "GET", path, nil, v); err != nil {
		t.Fatalf("%s: GET %s: %v", s.Code, path, err)
	}
}

type named struct {
	ID       string `json:"id"`
	Name     string `json:"name"`
	Username string `json:"username"`
	CampusID string `json:"campus_id"`
	Current  bool   `json:"current"`
	Version  int64  `json:"version"`
}

type listOf struct{ Items []named }

func (s *Scene) places(ctx context.Context, t *testing.T) {
	t.Helper()
	c := s.Actors[nobody]
	paid := rig.FindSchedules(t, c, "测试科", rig.InDays(3))[0]
	s.Words["day"], s.Words["far"] = paid.Date, rig.InDays(30).String()
	s.Words["schedule"], s.Words["department"], s.Words["practitioner"] = paid.ID, paid.DepartmentID, paid.DoctorID
	s.Words["stopped"], s.Words["stopped_version"] = rig.FindSchedules(t, c, "测试科", rig.InDays(6))[0].ID, "1"
	s.Words["free_schedule"] = rig.FindSchedules(t, c, "测试科", rig.InDays(4))[0].ID
	var campuses listOf
	s.get(ctx, t, nobody, "/campuses", &campuses)
	s.Words["campus"] = campuses.Items[0].ID
}

// visits are a paid one, a free one to cancel and one that waits for its payment.
func (s *Scene) visits(ctx context.Context, t *testing.T) {
	t.Helper()
	hold := func(person int, schedule string) client.Appointment {
		a, _, err := s.rich.Hold(ctx, client.NewKey(), client.Wish{PatientID: s.rich.Patients[person].ID, ScheduleID: schedule, Any: true})
		must(t, err)
		return a
	}
	a := hold(1, s.Words["schedule"])
	_, err := s.rich.Prepay(ctx, a.PaymentID)
	must(t, err)
	must(t, s.w.Pay.Pay(ctx, a.PaymentID))
	_, err = s.rich.Wait(ctx, a.ID, client.InState("booked"))
	must(t, err)
	s.Words["appointment"], s.Words["payment"] = a.ID, a.PaymentID
	last := rig.FindSchedules(t, s.Actors[nobody], "测试科", rig.InDays(5))[0].ID
	b := hold(1, last)
	s.Words["cancelled"], s.Words["cancelled_version"] = b.ID, fmt.Sprint(b.Version)
	open := hold(2, s.Words["schedule"])
	s.Words["open_payment"] = open.PaymentID
	must(t, client.Until(ctx, "a notice", func(ctx context.Context) (bool, error) {
		var list listOf
		_, err := s.rich.Do(ctx, "GET", "/notices", nil, &list)
		if err == nil && len(list.Items) > 1 {
			s.Words["notice"] = list.Items[0].ID
			return true, nil
		}
		return false, err
	}))
}

// clinic is a session of now, which no rota can have at any hour that the tests run: its
// rows are written as the context keeps them after its events. The rest goes by its doors.
func (s *Scene) clinic(ctx context.Context, t *testing.T) {
	t.Helper()
	now := clock.System{}.Now()
	day := clock.DateOf(now)
	starts, ends := now.Add(-time.Hour), now.Add(time.Hour)
	if first := day.At(0); starts.Before(first) {
		starts = first
	}
	if last := day.Add(1).At(0); ends.After(last) {
		ends = last
	}
	var me struct {
		Account string `json:"account_id"`
	}
	s.get(ctx, t, patient, "/auth/me", &me)
	id16 := func(text string) id.ID[id.Any] {
		v, err := id.Parse[id.Any](text)
		must(t, err)
		return v
	}
	line := id.New[id.Any](now)
	s.Words["line"] = line.String()
	s.w.Change(t, "clinic", s.tenant, `INSERT INTO line (tenant_id, id, day, session, campus_id, department_id, practitioner_id, known, stopped, starts_at, ends_at, location,
		periods, version, created_at, updated_at) VALUES ($1, $2, $3, 'morning', $4, $5, $6, $7, $8, $9, $10, '301', '[]', 1, $11, $11)`,
		s.tenant, line, day, id16(s.Words["campus"]), id16(s.Words["department"]), id16(s.Words["practitioner"]), true, false, starts.UnixMicro(), ends.UnixMicro(), now.UnixMicro())
	for i, name := range []string{"turn_a", "turn_b", "turn_c", "turn_d"} {
		turn := id.New[id.Any](now)
		s.Words[name] = turn.String()
		s.w.Change(t, "clinic", s.tenant, `INSERT INTO turn (tenant_id, id, line_id, account_id, patient_id, number, starts_at, state, late, special, created_at, updated_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, 'expected', $8, $8, $9, $9)`,
			s.tenant, turn, line, id16(me.Account), id16(s.Words["patient"]), i+1, starts.UnixMicro(), false, now.UnixMicro())
	}
	post := func(who, path string, body, into any) {
		t.Helper()
		_, err := s.Actors[who].Do(ctx, "POST", path, body, into, client.Key(client.NewKey()))
		must(t, err)
	}
	post(desk, "/clinic/turns/"+s.Words["turn_a"]+"/check-in", nil, nil)
	post(desk, "/clinic/turns/"+s.Words["turn_b"]+"/check-in", nil, nil)
	post(nurse, "/clinic/sessions/"+line.String()+"/call-next", map[string]any{"version": 1000000}, nil)
	var made named
	post(operator, "/clinic/displays", map[string]any{"name": "3楼", "campus_id": s.Words["campus"]}, &made)
	s.Words["display"] = made.ID
}

// claims are two: the stranger wants persons of the patient's.
func (s *Scene) claims(ctx context.Context, t *testing.T) {
	t.Helper()
	for i, word := range []string{"claim", "desk_claim"} {
		p := client.Adult(s.first*10+40+i, "other")
		p.Phone = client.Phone(s.first + 60 + i)
		s.Words[word+"_phone"] = p.Phone
		_, _, err := s.rich.AddPerson(ctx, p)
		must(t, err)
		_, c, err := s.Actors[stranger].AddPerson(ctx, p)
		must(t, err)
		if c.ClaimID == "" {
			t.Fatalf("%s: no claim for a person who is there", s.Code)
		}
		s.Words[word] = c.ClaimID
	}
}

// window is what the desk does: somebody without an account pays a visit in cash, whose refund waits to be handed out, and
// a hold of the patient's waits for cash.
func (s *Scene) window(ctx context.Context, t *testing.T) {
	t.Helper()
	c := s.Actors[desk]
	post := func(who, path string, body map[string]any, v any) {
		t.Helper()
		_, err := s.Actors[who].Do(ctx, "POST", path, body, v, client.Key(client.NewKey()))
		must(t, err)
	}
	var person, refund named
	s.Words["desk_phone"] = client.Phone(s.first + 70)
	post(desk, "/desk/patients", map[string]any{"name": "测窗口", "document_type": "passport", "document": "E1234567", "birth": "1940-01-02", "phone": s.Words["desk_phone"]}, &person)
	s.Words["desk_patient"] = person.ID
	var a client.Appointment
	post(desk, "/desk/appointments", map[string]any{"patient_id": person.ID, "schedule_id": s.Words["schedule"], "any": true}, &a)
	post(desk, "/payments/"+a.PaymentID+"/cash", map[string]any{"received_fen": 10000}, nil)
	_, err := c.Wait(ctx, a.ID, client.InState("booked"))
	must(t, err)
	post(operator, "/payments/"+a.PaymentID+"/refunds", map[string]any{"amount_fen": 500, "reason": "goodwill"}, &refund)
	s.Words["cash_refund"] = refund.ID
	open, _, err := s.rich.Hold(ctx, client.NewKey(), client.Wish{PatientID: s.rich.Patients[0].ID, ScheduleID: s.Words["schedule"], Any: true})
	must(t, err)
	_, err = s.rich.Prepay(ctx, open.PaymentID) // opened at the channel, so that the cash closes it there
	must(t, err)
	s.Words["cash_payment"] = open.PaymentID
}

// versions are what the scene's things have now, and what has no other word yet.
func (s *Scene) versions(ctx context.Context, t *testing.T) {
	t.Helper()
	var sessions, staff listOf
	s.get(ctx, t, guest, "/auth/sessions", &sessions)
	s.Words["guest_session"] = sessions.Items[0].ID
	s.get(ctx, t, security, "/staff/accounts?limit=100", &staff)
	for _, a := range staff.Items {
		if a.Username == "target" {
			s.Words["staff"], s.Words["staff_version"] = a.ID, fmt.Sprint(a.Version)
		}
	}
	s.failedDelivery(ctx, t)
	var doctor, rules, made, device named
	_, err := s.Actors[patient].Do(ctx, "POST", "/push/subscriptions", strings.Replace(browser, "/x", "/"+s.Code, 1), &device)
	must(t, err)
	s.Words["device"] = device.ID
	var relying named
	_, err = s.Actors[security].Do(ctx, "POST", "/clients", clientBody("测试系统"), &relying)
	must(t, err)
	s.Words["client"], s.Words["client_version"] = relying.ID, fmt.Sprint(relying.Version)
	var idp named
	_, err = s.Actors[security].Do(ctx, "POST", "/identity-providers", idpBody("sso", "集团登录"), &idp)
	must(t, err)
	s.Words["idp"], s.Words["idp_version"] = idp.ID, fmt.Sprint(idp.Version)
	s.get(ctx, t, nobody, "/practitioners/"+s.Words["practitioner"], &doctor)
	s.Words["practitioner_version"] = fmt.Sprint(doctor.Version)
	s.get(ctx, t, operator, "/booking-rules", &rules)
	s.Words["rules_version"] = fmt.Sprint(rules.Version)
	sent := named{}
	_, err = s.Actors[operator].Do(ctx, "POST", "/imports?kind=rota&dry_run=true&name=rota.csv", rig.Rota(rig.Clinic{Doctor: 3, Day: rig.InDays(6), Seats: 5, Fee: "0"}), &sent, client.Key(client.NewKey()))
	must(t, err)
	s.Words["import"] = sent.ID
	must(t, client.Until(ctx, "the end of an import", func(ctx context.Context) (bool, error) {
		var v struct{ State string }
		_, err := s.Actors[operator].Do(ctx, "GET", "/imports/"+sent.ID, nil, &v)
		return v.State == "done", err
	}))
	body, _ := s.fill(rule("evening", "18:00", "19:00"), nil)
	_, err = s.Actors[operator].Do(ctx, "POST", "/rotas", body, &made)
	must(t, err)
	s.Words["rota"], s.Words["rota_version"] = made.ID, fmt.Sprint(made.Version)
}

// failedDelivery makes one of the tenant's text messages a failure. Sent again it is
// done: the gateway knows its id.
func (s *Scene) failedDelivery(ctx context.Context, t *testing.T) {
	t.Helper()
	must(t, client.Until(ctx, "a text message", func(ctx context.Context) (bool, error) {
		var list struct {
			Items []struct{ ID, Template string }
		}
		_, err := s.Actors[operator].Do(ctx, "GET", "/ops/deliveries?channel=sms&state=sent&limit=100", nil, &list)
		for _, d := range list.Items {
			if d.Template == "scheduling.booked" {
				s.Words["failed_delivery"] = d.ID
			}
		}
		return s.Words["failed_delivery"] != "", err
	}))
	s.w.Change(t, "notify", s.tenant, `UPDATE delivery SET state = 'failed', why = 'refused', sent_at = NULL WHERE tenant_id = $1 AND id = $2`,
		s.tenant, id.Must[id.Any](s.Words["failed_delivery"]))
}

// planVersion reads the version that the stopped session's plan has now.
func planVersion(ctx context.Context, s *Scene) error {
	all, err := s.Actors[nobody].Schedules(ctx, s.Words["department"], rig.InDays(6).String(), rig.InDays(6).String())
	for _, v := range all {
		if v.ID == s.Words["stopped"] {
			s.Words["stopped_version"] = fmt.Sprint(v.Version)
		}
	}
	return err
}

var (
	word   = regexp.MustCompile(`\{[a-z_]+\}`)
	uuidRE = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)
)

// fill replaces the words in braces; those in other are taken from there. It tells
// which of them are ids.
func (s *Scene) fill(text string, other map[string]string) (out string, ids []string) {
	out = word.ReplaceAllStringFunc(text, func(w string) string {
		name := w[1 : len(w)-1]
		v, ok := s.Words[name]
		if x, theirs := other[name]; theirs {
			v = x
		}
		if !ok {
			return w
		}
		if uuidRE.MatchString(v) {
			ids = append(ids, name)
		}
		return v
	})
	return out, ids
}

// codeFor asks for a login code for one of the scene's phones.
func codeFor(letter string) func(context.Context, *Scene) error {
	return func(ctx context.Context, s *Scene) error {
		phone := s.Words["phone_"+letter]
		challenge, err := s.Actors[nobody].SendCode(ctx, phone)
		if err != nil {
			return err
		}
		s.Words["challenge"] = challenge
		s.Words["code"], err = client.ReadCode(ctx, s.w, phone, 1)
		return err
	}
}

func totpOf(username string) func(context.Context, *Scene) error {
	return func(_ context.Context, s *Scene) (err error) {
		s.Words["totp"], err = client.TOTP(s.totp[username], clock.System{}.Now())
		return err
	}
}

// claimCode reads what the phone on file got.
func claimCode(ctx context.Context, s *Scene) (err error) {
	s.Words["claim_code"], err = client.ReadCode(ctx, s.w, s.Words["claim_phone"], 1)
	return err
}
