package patientsvc

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/id"
	"xinglin/internal/kernel/secret"
	"xinglin/internal/patient"
	"xinglin/internal/testkit"
	"xinglin/internal/testkit/apitest"
)

func oldWang() fields {
	return fields{"name": "王秀英", "document_type": "resident_id", "document": residentID("19430502", 22), "phone": "13900139000"}
}

func freshKey(h *house) apitest.Header {
	return apitest.Key(testkit.KeyAt[patient.Patient](h.clk.Now()))
}

var desk = apitest.Staff(apitest.Main, auth.Registrar)

func on(y int, m time.Month, d int) *clock.Date {
	v := clock.NewDate(y, m, d)
	return &v
}

func TestPlainName(t *testing.T) {
	day := clock.NewDate(1943, time.May, 2)
	same := [][2]string{{"买买提·吐尔逊", "买买提 • 吐尔逊"}, {"Maria Schmidt", "maria  SCHMIDT"}, {"王秀英", " 王 秀英 "}, {"O’Brien", "O'Brien"}, {"Ａnna", "anna"}}
	for _, p := range same {
		if nameKey(p[0], day) != nameKey(p[1], day) {
			t.Errorf("%q and %q differ", p[0], p[1])
		}
	}
	for _, p := range [][2]string{{"王秀英", "王秀"}, {"Anna1", "Anna2"}} {
		if nameKey(p[0], day) == nameKey(p[1], day) {
			t.Errorf("%q is %q", p[0], p[1])
		}
	}
	if nameKey("王秀英", day) == nameKey("王秀英", day+1) {
		t.Error("the birth date does not count")
	}
}

// The window registers who has no account, once, and finds the person again in each way.
func TestDeskRegistersAndFinds(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		api := apitest.New(t, h.mod.Routes)
		key := freshKey(h)
		r := api.Do(desk, "POST", "/desk/patients", oldWang(), key).Want(t, 201)
		p := r.Map(t)
		number := oldWang()["document"].(string)
		for k, want := range (fields{
			"name_masked": "王*英", "birth": "1943-05-02", "sex": "female", "document_type": "resident_id", "document_masked": "110****" + number[16:],
			"phone_masked": "139****9000", "verified": "none",
		}) {
			if p[k] != want {
				t.Errorf("%s: %v, want %v", k, p[k], want)
			}
		}
		// The same request, the same answer; the person again, the person who is there.
		if again := api.Do(desk, "POST", "/desk/patients", oldWang(), key).Want(t, 201); again.Map(t)["id"] != p["id"] || again.Header.Get("Idempotency-Hit") != "true" {
			t.Errorf("again: %v %s", again.Header, again.Body)
		}
		api.Do(desk, "POST", "/desk/patients", changed(oldWang(), "phone", "13900139001"), key).Refused(t, 422, "idem.key_reused")
		other := freshKey(h)
		for _, hit := range []string{"", "true"} {
			known := api.Do(desk, "POST", "/desk/patients", changed(oldWang(), "name", "王 秀英"), other).Want(t, 200)
			if known.Map(t)["id"] != p["id"] || known.Header.Get("Idempotency-Hit") != hit {
				t.Errorf("known: %v %s", known.Header, known.Body)
			}
		}
		api.Do(desk, "POST", "/desk/patients", changed(oldWang(), "name", "李秀英"), freshKey(h)).Refused(t, 409, "patient.another_person")
		for name, q := range map[string]fields{
			"document":              {"document_type": "resident_id", "document": number},
			"document by its looks": {"document": " " + strings.ToLower(number)},
			"phone":                 {"phone": "+86 139-0013-9000"},
			"name":                  {"name": "王秀英", "birth": "1943-05-02"},
		} {
			found := api.Do(desk, "POST", "/desk/patients/search", q).Want(t, 200)
			if items := found.Items(t); len(items) != 1 || items[0]["id"] != p["id"] || found.Map(t)["more"] != false {
				t.Errorf("%s: %s", name, found.Body)
			}
			if strings.Contains(string(found.Body), number) || strings.Contains(string(found.Body), "13900139000") || strings.Contains(string(found.Body), "秀") {
				t.Errorf("%s: shown in full: %s", name, found.Body)
			}
			api.Do(apitest.Staff(apitest.Main, auth.Nurse), "POST", "/desk/patients/search", q).Want(t, 200)
			if items := api.Do(apitest.Staff(apitest.Other, auth.Registrar), "POST", "/desk/patients/search", q).Want(t, 200).Items(t); len(items) != 0 {
				t.Errorf("%s: another tenant's", name)
			}
		}
		for _, q := range []fields{{"document": residentID("19430502", 24)}, {"phone": "13900139009"}, {"name": "王秀英", "birth": "1943-05-03"}} {
			if items := api.Do(desk, "POST", "/desk/patients/search", q).Want(t, 200).Items(t); len(items) != 0 {
				t.Errorf("%v finds %v", q, items)
			}
		}
		// Who was looked for, by whom and how; never what was typed.
		dump := h.dump()
		for _, way := range []string{byDocument, byPhone, byName} {
			if !strings.Contains(dump, desk.Actor()+"patient.search_at_deskPatient"+p["id"].(string)+"patient.window"+way) {
				t.Errorf("no audit row of a search by %s", way)
			}
			if !strings.Contains(dump, desk.Actor()+"patient.search_at_deskPatientpatient.window"+way) {
				t.Errorf("no audit row of a search by %s that found nobody", way)
			}
		}
		for _, word := range []string{number, "秀英", "13900139000", "1943-05-02"} {
			if strings.Contains(dump, word) {
				t.Errorf("%s stands in the trail, an event or a job", word)
			}
		}
		h.clean()
	})
}

func TestDeskRefusals(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		api := apitest.New(t, h.mod.Routes)
		baby := fields{"name": "王小宝", "document_type": "birth_cert", "document": "A123456789", "birth": "2025-06-01", "sex": "male"}
		for name, c := range map[string]struct {
			path   string
			who    auth.Principal
			body   fields
			status int
			code   string
			at     string
		}{
			"nobody registers":       {"/desk/patients", apitest.Nobody(apitest.Main), oldWang(), 401, "auth.required", ""},
			"a patient registers":    {"/desk/patients", apitest.Patient(apitest.Main), oldWang(), 403, "authz.denied", ""},
			"a doctor registers":     {"/desk/patients", apitest.Staff(apitest.Main, auth.Doctor), oldWang(), 403, "authz.denied", ""},
			"an operator searches":   {"/desk/patients/search", apitest.Staff(apitest.Main, auth.Operator), fields{"phone": "13900139000"}, 403, "authz.denied", ""},
			"a patient searches":     {"/desk/patients/search", apitest.Patient(apitest.Main), fields{"phone": "13900139000"}, 403, "authz.denied", ""},
			"a wrong check digit":    {"/desk/patients", desk, changed(oldWang(), "document", "110105194305020220"), 422, "patient.document_invalid", `"document"`},
			"another birth":          {"/desk/patients", desk, changed(oldWang(), "birth", "1944-05-02"), 422, "patient.document_invalid", `"birth"`},
			"a landline":             {"/desk/patients", desk, changed(oldWang(), "phone", "01065123456"), 422, "patient.invalid", `"phone"`},
			"passport without birth": {"/desk/patients", desk, fields{"name": "Anna Li", "document_type": "passport", "document": "E1234567"}, 422, "patient.invalid", `"birth"`},
			"a child, no consent":    {"/desk/patients", desk, baby, 422, "patient.guardian_required", ""},
			"search by nothing":      {"/desk/patients/search", desk, fields{}, 422, "patient.invalid", ""},
			"search by two ways":     {"/desk/patients/search", desk, fields{"phone": "13900139000", "name": "王秀英", "birth": "1943-05-02"}, 422, "patient.invalid", ""},
			"a name alone":           {"/desk/patients/search", desk, fields{"name": "王秀英"}, 422, "patient.invalid", ""},
			"a birth alone":          {"/desk/patients/search", desk, fields{"birth": "1943-05-02"}, 422, "patient.invalid", ""},
			"half a phone":           {"/desk/patients/search", desk, fields{"phone": "1390013"}, 422, "patient.invalid", ""},
			"no document at all":     {"/desk/patients/search", desk, fields{"document": "??"}, 422, "patient.document_invalid", ""},
			"of another type":        {"/desk/patients/search", desk, fields{"document": "E1234567", "document_type": "resident_id"}, 422, "patient.document_invalid", ""},
		} {
			r := api.Do(c.who, "POST", c.path, c.body, freshKey(h))
			if r.Status != c.status || r.Code != c.code || !strings.Contains(string(r.Body), c.at) {
				t.Errorf("%s: %d %s, want %d %s at %s: %s", name, r.Status, r.Code, c.status, c.code, c.at, r.Body)
			}
			if strings.Contains(string(r.Body), "秀英") || strings.Contains(string(r.Body), "19430502") {
				t.Errorf("%s: the refusal repeats personal data: %s", name, r.Body)
			}
		}
		api.Do(desk, "POST", "/desk/patients", oldWang()).Refused(t, 400, "http.key_required")
		if n := h.count(`SELECT COUNT(*) FROM patient WHERE tenant_id = $1`); n != 0 {
			t.Errorf("%d patients", n)
		}
		api.Do(desk, "POST", "/desk/patients", changed(baby, "guardian_consent", true), freshKey(h)).Want(t, 201)
		if n := h.count(`SELECT COUNT(*) FROM patient WHERE tenant_id = $1 AND origin = 'desk' AND consent_at IS NOT NULL`); n != 1 {
			t.Errorf("%d consents", n)
		}
		h.clean()
	})
}

// Twenty windows register one person at once: one person, whatever the keys.
func TestDeskRace(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		api := apitest.New(t, h.mod.Routes)
		shared := freshKey(h)
		var mu sync.Mutex
		var wg sync.WaitGroup
		ids, made := map[any]bool{}, 0
		for i := range 20 {
			key := shared
			if i%2 == 0 {
				key = freshKey(h)
			}
			wg.Go(func() {
				r := api.Do(desk, "POST", "/desk/patients", oldWang(), key)
				mu.Lock()
				defer mu.Unlock()
				if r.Status != 200 && r.Status != 201 {
					t.Errorf("%d %s", r.Status, r.Body)
					return
				}
				ids[r.Map(t)["id"]] = true
				if r.Status == 201 && r.Header.Get("Idempotency-Hit") == "" {
					made++
				}
			})
		}
		wg.Wait()
		if len(ids) != 1 || made != 1 || h.count(`SELECT COUNT(*) FROM patient WHERE tenant_id = $1`) != 1 {
			t.Errorf("%d persons, made %d times", len(ids), made)
		}
		h.clean()
	})
}

// A phone that many share shows twenty of them and says that there are more.
func TestDeskShowsTwenty(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		api := apitest.New(t, h.mod.Routes)
		for i := range maxAtDesk + 1 {
			b := fields{"name": "工地工人", "document_type": "passport", "document": fmt.Sprintf("E10000%02d", i), "birth": "1980-01-02", "phone": "13900139000"}
			api.Do(desk, "POST", "/desk/patients", b, freshKey(h)).Want(t, 201)
		}
		for _, q := range []fields{{"phone": "13900139000"}, {"name": "工地工人", "birth": "1980-01-02"}} {
			found := api.Do(desk, "POST", "/desk/patients/search", q).Want(t, 200)
			if n := len(found.Items(t)); n != maxAtDesk || found.Map(t)["more"] != true {
				t.Errorf("%d, %s", n, found.Body)
			}
		}
	})
}

// Keys follow what accounts and records change, and are gone when the person is.
func TestSearchKeysFollow(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		found := func(q Search) int {
			t.Helper()
			out, _, err := h.s.SearchAtDesk(h.as(desk), q)
			if err != nil {
				t.Fatal(err)
			}
			return len(out)
		}
		who := apitest.Patient(apitest.Main)
		p := h.add(who, zhang)
		name := Search{Name: secret.New("张小三"), Birth: on(1990, time.March, 7)}
		if found(name) != 1 || found(Search{Phone: secret.New("13800138000")}) != 1 {
			t.Fatal("not found")
		}
		phone := secret.New("13700137000")
		if _, err := h.s.Update(h.as(who), p.ID, Change{Phone: &phone, Version: p.Version}); err != nil {
			t.Fatal(err)
		}
		if found(Search{Phone: secret.New("13800138000")}) != 0 || found(Search{Phone: phone}) != 1 {
			t.Error("the old phone finds, or the new one does not")
		}
		record := patient.Imported{
			External: []patient.External{{System: "urn:his", Value: secret.New("1")}}, Name: secret.New("Anna12 Li3"),
			Birth: clock.NewDate(1970, time.January, 2), Phone: secret.New("13600136000"),
		}
		cli := testkit.AsCLI(t.Context(), apitest.Main)
		bring := func() {
			t.Helper()
			if r, err := h.s.Import(cli, []patient.Imported{record}, false); err != nil || r[0].Err != nil {
				t.Fatal(r, err)
			}
		}
		bring()
		if found(Search{Name: secret.New("anna12 li3"), Birth: &record.Birth}) != 1 {
			t.Error("a person of the records is not found")
		}
		record.Name, record.Phone = secret.New("Anna Li"), secret.New("13600136001")
		bring()
		if found(Search{Name: secret.New("Anna Li"), Birth: &record.Birth}) != 1 || found(Search{Name: secret.New("Anna12 Li3"), Birth: &record.Birth}) != 0 ||
			found(Search{Phone: record.Phone}) != 1 || found(Search{Phone: secret.New("13600136000")}) != 0 {
			t.Error("the records' new name and phone do not find")
		}
		if err := h.s.Shred(cli, p.ID); err != nil {
			t.Fatal(err)
		}
		if found(name) != 0 || found(Search{Phone: phone}) != 0 || found(Search{Document: zhang.Document}) != 0 {
			t.Error("a shredded person is found")
		}
		h.clean()
	})
}

// Who was registered at the window makes an account later and claims oneself: by the code to the phone on file, or at the
// desk; from then on the window books for that account.
func TestDeskPersonClaimsOneself(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		api := apitest.New(t, h.mod.Routes)
		claimed := func(b fields, prove func(me auth.Principal, claim string)) {
			t.Helper()
			pid := id.Must[patient.Patient](api.Do(desk, "POST", "/desk/patients", b, freshKey(h)).Want(t, 201).Map(t)["id"].(string))
			booker, account, err := h.s.DeskBooker(h.as(desk), pid)
			if err != nil || !account.IsZero() || booker.Masked == "" || booker.Birth == 0 {
				t.Fatalf("%+v %v %v", booker, account, err)
			}
			me := apitest.Patient(apitest.Main)
			own := fields{"name": b["name"], "document_type": b["document_type"], "document_number": b["document"], "birth_date": b["birth"], "relationship": "self"}
			if b["birth"] == nil {
				delete(own, "birth_date")
			}
			c := api.Do(me, "POST", "/patients", own).Want(t, 202).Map(t)
			h.run()
			prove(me, c["claim_id"].(string))
			if _, account, err := h.s.DeskBooker(h.as(desk), pid); err != nil || account != me.Account {
				t.Errorf("account %v, %v", account, err)
			}
			if items := api.Do(me, "GET", "/patients", nil).Want(t, 200).Items(t); len(items) != 1 || items[0]["id"] != pid.String() {
				t.Errorf("%v", items)
			}
		}
		claimed(oldWang(), func(me auth.Principal, claim string) {
			api.Do(me, "POST", "/patients/claims/"+claim+"/proof", fields{"code": h.acc.last(t).code}).Want(t, 201)
		})
		claimed(fields{"name": "李福贵", "document_type": "passport", "document": "E7654321", "birth": "1938-02-01"}, func(_ auth.Principal, claim string) {
			api.Do(desk, "POST", "/patients/claims/"+claim+"/desk-proof", nil).Want(t, 204)
		})
		h.clean()
	})
}

func TestDeskBooker(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		family := apitest.Patient(apitest.Main)
		p := h.add(family, with(zhang, func(n *patient.New) { n.Relationship = patient.Parent }))
		for name, c := range map[string]struct {
			who  auth.Principal
			p    patient.ID
			want error
		}{
			"somebody else's account": {desk, p.ID, nil},
			"unknown":                 {desk, id.Random[patient.Patient](), patient.ErrNotFound},
			"another tenant":          {apitest.Staff(apitest.Other, auth.Registrar), p.ID, patient.ErrNotFound},
		} {
			_, account, err := h.s.DeskBooker(h.as(c.who), c.p)
			if !errors.Is(err, c.want) || !account.IsZero() {
				t.Errorf("%s: %v %v", name, account, err)
			}
		}
		for _, who := range []auth.Principal{family, apitest.Staff(apitest.Main, auth.Doctor), apitest.Nobody(apitest.Main)} {
			if _, _, err := h.s.DeskBooker(h.as(who), p.ID); err == nil {
				t.Errorf("%s may book at the desk", who.Actor())
			}
		}
	})
}
