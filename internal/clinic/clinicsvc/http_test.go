package clinicsvc

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"xinglin/internal/clinic"
	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/id"
	"xinglin/internal/testkit/apitest"
)

// TestRoutes tries every operation of staff and persons: success, denied, another
// tenant's, a repeat of the key and an unknown id.
func TestRoutes(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		line := w.session(3)
		vs := w.book(line, 6)
		w.checkIn(vs[0], vs[1], vs[2])
		nobody, stranger := apitest.Nobody(w.tenant), apitest.Patient(w.tenant)
		audit := apitest.Staff(w.tenant, auth.AuditAdmin)
		foreign := map[auth.Kind]auth.Principal{auth.Staff: apitest.Staff(apitest.Other, auth.Nurse, auth.Registrar, auth.Operator), auth.Patient: apitest.Patient(apitest.Other)}
		session := "/clinic/sessions/" + line.String()
		turn := func(i int) string { return "/clinic/turns/" + vs[i].turn.String() }
		me := vs[3]
		visit := "/visits/" + me.turn.String()
		for _, x := range []struct {
			who          auth.Principal
			method, path string
			body         any
			keyed        bool
			denied       []auth.Principal // 403
			hidden       []auth.Principal // 404
			want         string           // of the answer
		}{
			{w.doctor, "GET", "/clinic/sessions?date=2026-03-02", nil, false, []auth.Principal{stranger, audit}, nil, `"practitioner_name":"林知夏"`},
			{w.nurse, "GET", session + "/queue", nil, false, []auth.Principal{stranger, audit, w.other}, nil, `"patient_name_masked":"张*`},
			{w.doctor, "POST", session + "/call-next", map[string]any{"version": 100}, true, []auth.Principal{stranger, audit, w.other, w.desk, w.operator}, nil, `"state":"called"`},
			{w.doctor, "POST", session + "/pause", map[string]any{"minutes": 10, "reason": "round"}, true, []auth.Principal{stranger, audit, w.other, w.desk}, nil, `"pause_reason":"round"`},
			{w.doctor, "POST", session + "/resume", nil, true, []auth.Principal{stranger, audit, w.other, w.desk}, nil, `"state":"running"`},
			{w.doctor, "POST", turn(0) + "/recall", nil, true, []auth.Principal{stranger, audit, w.other, w.operator}, nil, `"calls":2`},
			{w.doctor, "POST", turn(0) + "/skip", nil, true, []auth.Principal{stranger, audit, w.other, w.desk}, nil, `"missed":1`},
			{w.desk, "POST", turn(0) + "/recall", nil, true, []auth.Principal{stranger, audit, w.other, w.operator}, nil, `"position":3`},
			{w.doctor, "POST", session + "/call-next", map[string]any{"version": 100}, true, []auth.Principal{stranger, audit, w.other, w.desk}, nil, `"state":"called"`},
			{w.nurse, "POST", turn(1) + "/done", nil, true, []auth.Principal{stranger, audit, w.other, w.desk}, nil, `"done":1`},
			{w.desk, "POST", turn(4) + "/check-in", nil, true, []auth.Principal{stranger, audit, w.doctor, w.operator}, nil, `"waiting":3`},
			{w.doctor, "POST", turn(4) + "/reveal", nil, false, []auth.Principal{stranger, audit, w.other, w.operator}, nil, `"name":"张大`},
			{me.Principal, "GET", visit + "/turn", nil, false, nil, []auth.Principal{stranger}, `"can_check_in":true`},
			{me.Principal, "POST", visit + "/check-in", nil, true, nil, []auth.Principal{stranger}, `"position":3,"ahead":2`},
		} {
			t.Run(x.method+" "+x.path, func(t *testing.T) {
				do := func(p auth.Principal, path string, key clinic.Key) apitest.Response {
					if x.keyed {
						return w.Do(p, x.method, path, x.body, apitest.Key(key))
					}
					return w.Do(p, x.method, path, x.body)
				}
				do(nobody, x.path, w.key()).Refused(t, 401, "auth.required")
				for _, p := range x.denied {
					if r := do(p, x.path, w.key()); r.Status != 403 && !(p.Kind == auth.Patient && r.Status == 404) {
						t.Errorf("%s: %d %s", p.Actor(), r.Status, r.Body)
					}
				}
				for _, p := range x.hidden {
					do(p, x.path, w.key()).Refused(t, 404, "clinic.not_found")
				}
				other := do(foreign[x.who.Kind], x.path, w.key())
				if strings.Contains(x.path, "?") { // a list
					if n := len(other.Want(t, 200).Items(t)); n != 0 {
						t.Errorf("another tenant sees %d", n)
					}
				} else {
					other.Refused(t, 404, "clinic.not_found")
					unknown := strings.ReplaceAll(x.path, vs[0].turn.String()[:20], id.Random[id.Any]().String()[:20])
					unknown = strings.ReplaceAll(unknown, line.String(), id.Random[id.Any]().String())
					if unknown != x.path {
						do(x.who, unknown, w.key()).Refused(t, 404, "clinic.not_found")
					}
				}
				if x.keyed {
					w.Do(x.who, x.method, x.path, x.body).Refused(t, 400, "http.key_required")
				}
				key := w.key()
				first := do(x.who, x.path, key).Want(t, 200)
				if !strings.Contains(string(first.Body), x.want) {
					t.Errorf("no %s in %s", x.want, first.Body)
				}
				if strings.Contains(string(first.Body), "张大") != strings.HasSuffix(x.path, "/reveal") {
					t.Errorf("full names: %s", first.Body)
				}
				again := do(x.who, x.path, key).Want(t, 200)
				if x.keyed && again.Header.Get("Idempotency-Hit") != "true" {
					t.Error("the repeat is no hit")
				}
			})
		}
		for _, id := range []string{vs[4].event.Patient.String()} {
			if n := w.count(`SELECT COUNT(*) FROM trail WHERE tenant_id = $1 AND action = 'clinic.reveal' AND object = $2`, id); n != 2 {
				t.Errorf("%d looks are in the audit, want 2", n)
			}
		}
		w.clean()
	})
}

// TestBadInput: what the routes refuse.
func TestBadInput(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		line := w.session(3)
		vs := w.book(line, 2)
		w.checkIn(vs...)
		session := "/clinic/sessions/" + line.String()
		post := func(path string, body any) apitest.Response {
			return w.Do(w.doctor, "POST", path, body, apitest.Key(w.key()))
		}
		w.Do(w.nurse, "GET", "/clinic/sessions?date=2026-13-01", nil).Refused(t, 422, "http.invalid")
		w.Do(w.nurse, "GET", "/clinic/sessions?date=2020-01-01", nil).Refused(t, 422, "clinic.input")
		w.Do(w.nurse, "GET", "/clinic/sessions/nonsense/queue", nil).Refused(t, 422, "http.invalid")
		post(session+"/call-next", map[string]any{}).Refused(t, 422, "http.invalid")
		post(session+"/call-next", map[string]any{"version": -1}).Refused(t, 422, "http.invalid")
		post(session+"/pause", map[string]any{"minutes": 0, "reason": "round"}).Refused(t, 422, "http.invalid")
		post(session+"/pause", map[string]any{"minutes": 5, "reason": "lunch"}).Refused(t, 422, "http.invalid")
		post("/clinic/turns/"+vs[0].turn.String()+"/done", nil).Refused(t, 409, "clinic.state")
		post("/clinic/turns/"+vs[0].turn.String()+"/skip", nil).Refused(t, 409, "clinic.state")
		post("/clinic/turns/"+vs[0].turn.String()+"/recall", nil).Refused(t, 409, "clinic.state")
		key := w.key()
		w.Do(w.doctor, "POST", session+"/call-next", map[string]any{"version": 100}, apitest.Key(key)).Want(t, 200)
		w.Do(w.doctor, "POST", session+"/call-next", map[string]any{"version": 101}, apitest.Key(key)).Refused(t, 422, "idem.key_reused")
		post(session+"/call-next", map[string]any{"version": 1}).Refused(t, 409, "clinic.stale")
		w.clock.Add(24 * time.Hour) // who somebody was is nobody's business the day after
		post("/clinic/turns/"+vs[0].turn.String()+"/reveal", nil).Refused(t, 409, "clinic.not_running")
		w.clean()
	})
}

// TestLists: a doctor sees the own sessions, the others all; by campus and department.
func TestLists(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		day := clock.DateOf(w.clock.Now())
		mine := w.session(3)
		w.sessionOf(zhouID, boneID, day, 13*60, 2)
		w.sessionOf(linID, heartID, day.Add(1), 9*60, 2)
		w.checkIn(w.book(mine, 1)...)
		w.next(mine)
		unbound := apitest.Staff(w.tenant, auth.Doctor)
		for name, x := range map[string]struct {
			who   auth.Principal
			query string
			want  int
		}{
			"own":             {w.doctor, "", 1},
			"another's":       {w.other, "", 1},
			"unbound account": {unbound, "", 0},
			"all":             {w.nurse, "", 2},
			"the desk":        {w.desk, "?date=2026-03-02", 2},
			"tomorrow":        {w.operator, "?date=2026-03-03", 1},
			"department":      {w.nurse, "?department_id=" + boneID.String(), 1},
			"campus":          {w.nurse, "?campus_id=" + campusID.String(), 2},
			"no such campus":  {w.nurse, "?campus_id=" + id.Random[id.Any]().String(), 0},
		} {
			if got := w.Do(x.who, "GET", "/clinic/sessions"+x.query, nil).Want(t, 200).Items(t); len(got) != x.want {
				t.Errorf("%s: %d sessions, want %d", name, len(got), x.want)
			}
		}
		own := w.Do(w.doctor, "GET", "/clinic/sessions", nil).Items(t)[0]
		if current, ok := own["current"].(map[string]any); !ok || current["number_text"] != "A001" || own["state"] != "running" || own["location"] != "301 诊室" {
			t.Errorf("%v", own)
		}
		asked := w.bookings.asked.Load()
		w.Do(w.nurse, "GET", "/clinic/sessions", nil).Want(t, 200)
		if w.bookings.asked.Load() != asked {
			t.Error("the plan is asked again within a minute")
		}
	})
}

// TestAdopted: somebody looks at the own turn before the event of the booking came, which
// comes later and changes nothing.
func TestAdopted(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		line := w.session(3)
		v := w.visit(line, 3)
		path := "/visits/" + v.turn.String() + "/turn"
		w.Do(apitest.Patient(w.tenant), "GET", path, nil).Refused(t, 404, "clinic.not_found")
		if got := w.Do(v.Principal, "GET", path, nil).Want(t, 200).Map(t); got["state"] != "expected" || got["number_text"] != "A003" {
			t.Errorf("%v", got)
		}
		w.checkIn(v)
		hearAll(w, w.s.onBooked, v.event)
		w.want(line, "waiting 3")
		w.clean()
	})
}

// TestWall: a wall's right from its making to its end, and what it shows.
func TestWall(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		line := w.session(3)
		w.sessionOf(zhouID, boneID, clock.DateOf(w.clock.Now()), 9*60, 2)
		vs := w.book(line, 6)
		w.checkIn(vs...)
		w.next(line)
		if _, _, err := w.s.Skip(w.as(w.doctor), vs[0].turn, w.key()); err != nil {
			t.Fatal(err)
		}
		w.clock.Add(time.Minute)
		w.next(line)

		body := map[string]any{"name": "2楼候诊区", "campus_id": campusID, "department_ids": []any{heartID}}
		w.Do(w.nurse, "POST", "/clinic/displays", body).Refused(t, 403, "authz.denied")
		w.Do(apitest.Nobody(w.tenant), "POST", "/clinic/displays", body).Refused(t, 401, "auth.required")
		w.Do(apitest.Staff(apitest.Other, auth.Operator), "POST", "/clinic/displays", body).Refused(t, 404, "clinic.not_found")
		w.Do(w.operator, "POST", "/clinic/displays", map[string]any{"name": " ", "campus_id": campusID}).Refused(t, 422, "clinic.input")
		w.Do(w.operator, "POST", "/clinic/displays", map[string]any{"name": "x", "campus_id": id.Random[id.Any]()}).Refused(t, 404, "clinic.not_found")
		w.Do(w.operator, "POST", "/clinic/displays", map[string]any{"name": "x", "campus_id": campusID, "department_ids": []any{id.Random[id.Any]()}}).Refused(t, 404, "clinic.not_found")
		made := w.Do(w.operator, "POST", "/clinic/displays", body).Want(t, 201).Map(t)
		token := made["token"].(string)
		w.Do(w.operator, "POST", "/clinic/displays", body).Refused(t, 409, "clinic.display_exists")
		if n := w.count(`SELECT COUNT(*) FROM display WHERE tenant_id = $1 AND name LIKE $2`, "%"+token+"%"); n != 0 || len(token) != 43 {
			t.Errorf("token %q", token)
		}

		show := func(tenant clinic.TenantID, token string) apitest.Response {
			return w.Do(apitest.Nobody(tenant), "GET", "/wall/board", nil, apitest.H("Authorization", "Display "+token))
		}
		show(apitest.Other, token).Refused(t, 401, "clinic.display_unknown")
		show(w.tenant, "nonsense").Refused(t, 401, "clinic.display_unknown")
		w.Do(apitest.Nobody(w.tenant), "GET", "/wall/board", nil).Refused(t, 401, "clinic.display_unknown")
		w.Do(w.operator, "GET", "/wall/board", nil).Refused(t, 401, "clinic.display_unknown") // a session is no display
		w.Do(apitest.Nobody(w.tenant), "GET", "/wall/events", nil).Refused(t, 401, "clinic.display_unknown")
		text := string(show(w.tenant, token).Want(t, 200).Body)
		masked := func(i int) string { return "张*" + vs[i].event.Patient.String()[34:] }
		for _, want := range []string{
			`"name":"2楼候诊区","campus_name":"本部"`,
			fmt.Sprintf(`"calls":[{"number_text":"A002","name_masked":"%s","room":"301 诊室","practitioner_name":"林知夏"`, masked(1)),
			fmt.Sprintf(`{"number_text":"A001","name_masked":"%s"`, masked(0)),
			`"state":"running","calling":"A002","next":["A003","A004","A005"],"waiting":4,"missed":["A001"]`,
		} {
			if !strings.Contains(text, want) {
				t.Errorf("no %s in %s", want, text)
			}
		}
		for _, v := range vs {
			if strings.Contains(text, v.event.Patient.String()) || strings.Contains(text, v.turn.String()) {
				t.Errorf("the wall shows ids of people: %s", text)
			}
		}
		if strings.Contains(text, "骨科") {
			t.Errorf("the wall shows another department: %s", text)
		}

		rules := map[string]any{"early_minutes": 60, "late_minutes": 30, "show_names": false}
		w.Do(w.nurse, "PUT", "/clinic/rules", rules, apitest.IfMatch(0)).Refused(t, 403, "authz.denied")
		w.Do(w.operator, "PUT", "/clinic/rules", rules).Refused(t, 400, "http.match_required")
		w.Do(w.operator, "PUT", "/clinic/rules", rules, apitest.IfMatch(0)).Want(t, 200)
		w.Do(w.operator, "PUT", "/clinic/rules", rules, apitest.IfMatch(0)).Refused(t, 412, "clinic.rules_stale")
		w.Do(w.operator, "PUT", "/clinic/rules", rules, apitest.IfMatch(7)).Refused(t, 412, "clinic.rules_stale")
		if got := w.Do(w.operator, "GET", "/clinic/rules", nil).Want(t, 200); got.Map(t)["show_names"] != false || got.Header.Get("ETag") != `"1"` {
			t.Errorf("%s", got.Body)
		}
		if got := w.Do(apitest.Staff(apitest.Other, auth.Operator), "GET", "/clinic/rules", nil).Want(t, 200).Map(t); got["show_names"] != true {
			t.Errorf("%v", got)
		}
		if text := string(show(w.tenant, token).Want(t, 200).Body); strings.Contains(text, "张*") || !strings.Contains(text, "A002") {
			t.Errorf("numbers only: %s", text)
		}

		list := w.Do(w.operator, "GET", "/clinic/displays", nil).Want(t, 200)
		if n := len(list.Items(t)); n != 1 || strings.Contains(string(list.Body), token) {
			t.Errorf("%s", list.Body)
		}
		if n := len(w.Do(apitest.Staff(apitest.Other, auth.Operator), "GET", "/clinic/displays", nil).Want(t, 200).Items(t)); n != 0 {
			t.Errorf("another tenant sees %d displays", n)
		}
		w.clock.Add(89 * 24 * time.Hour) // its use puts off its end
		show(w.tenant, token).Want(t, 200)
		w.clock.Add(89 * 24 * time.Hour)
		show(w.tenant, token).Want(t, 200)
		path := "/clinic/displays/" + made["id"].(string)
		w.Do(w.nurse, "DELETE", path, nil).Refused(t, 403, "authz.denied")
		w.Do(apitest.Staff(apitest.Other, auth.Operator), "DELETE", path, nil).Refused(t, 404, "clinic.not_found")
		w.Do(w.operator, "DELETE", path, nil).Want(t, 204)
		w.Do(w.operator, "DELETE", path, nil).Refused(t, 404, "clinic.not_found")
		show(w.tenant, token).Refused(t, 401, "clinic.display_unknown")

		unused := w.Do(w.operator, "POST", "/clinic/displays", body).Want(t, 201).Map(t)["token"].(string)
		w.clock.Add(90 * 24 * time.Hour)
		show(w.tenant, unused).Refused(t, 401, "clinic.display_unknown")
		for i := range maxDisplays { // what has ended is gone
			body["name"] = fmt.Sprintf("显示屏 %d", i)
			w.Do(w.operator, "POST", "/clinic/displays", body).Want(t, 201)
		}
		body["name"] = "one more"
		w.Do(w.operator, "POST", "/clinic/displays", body).Refused(t, 409, "clinic.too_many_displays")
		w.clean()
	})
}
