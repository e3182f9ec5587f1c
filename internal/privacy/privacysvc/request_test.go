package privacysvc

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/id"
	"xinglin/internal/patient"
	"xinglin/internal/platform/holdings"
	"xinglin/internal/privacy"
	"xinglin/internal/testkit/apitest"
)

const (
	assessmentJSON = `{"title":"导诊","processing":"主诉","necessity":"分诊","risks":"误导","measures":"复核","risk":"medium","conclusion":"pending","review_date":"2027-01-01"}`
	breachJSON     = `{"title":"误发","what":"发错收件人","measures":"","severity":"major","persons":3,"found_at":"2026-03-02T00:30:00Z"}`
)

// ask asks and gives the request's id.
func (h *house) ask(who auth.Principal, p patient.ID, body string) string {
	h.Helper()
	r := h.api.Do(who, "POST", "/privacy/patients/"+p.String()+"/requests", body, apitest.Key(id.New[privacy.Request](h.clk.Now()))).Want(h, 201).Map(h)
	return r["id"].(string)
}

func (h *house) state(who auth.Principal, p patient.ID, r string) string {
	h.Helper()
	for _, v := range h.api.Do(who, "GET", "/privacy/patients/"+p.String()+"/requests", nil).Want(h, 200).Items(h) {
		if v["id"] == r {
			return v["state"].(string)
		}
	}
	return ""
}

// eraseWith asks for an erasure, decides it and runs it; records of visits are kept for so many years.
func (h *house) eraseWith(who auth.Principal, p patient.ID, years int) string {
	h.Helper()
	term := holdings.Term{Years: years, Law: holdings.Words{ZH: "诊疗记录", EN: "records"}}
	h.holder.keeps = nil
	if years > 0 {
		h.holder.keeps = []holdings.KeptRows{
			{Context: "scheduling", Table: "appointment", Rows: 2, Until: term.Ends(h.clk.Now()), Law: term.Law, Identity: true},
			{Context: "payment", Table: "payment", Rows: 1, Until: holdings.Books.Ends(h.clk.Now()), Law: holdings.Books.Law},
		}
	}
	r := h.ask(who, p, `{"kind":"erase"}`)
	h.api.Do(h.officer, "POST", "/privacy/requests/"+r+"/decision", `{"accept":true}`, apitest.IfMatch(1)).Want(h, 200)
	h.run()
	h.holder.keeps = nil
	return r
}

func TestAsk(t *testing.T) {
	each(t, func(h *house) {
		t := h.T
		who, p := h.adult()
		path := "/privacy/patients/" + p.String() + "/requests"
		key := apitest.Key(id.New[privacy.Request](h.clk.Now()))
		body := `{"kind":"correct","reason":"姓名有误","changes":{"name":"张大三"}}`
		first := h.api.Do(who, "POST", path, body, key).Want(t, 201).Map(t)
		if first["due_date"] != "2026-03-23" {
			t.Errorf("due %v", first["due_date"])
		}
		again := h.api.Do(who, "POST", path, body, key).Want(t, 201)
		if again.Map(t)["id"] != first["id"] || again.Header.Get("Idempotency-Hit") != "true" {
			t.Error("the same key made another request")
		}
		h.api.Do(who, "POST", path, `{"kind":"correct","reason":"另一个"}`, key).Refused(t, 422, "idem.key_reused")
		fresh := func() apitest.Header { return apitest.Key(id.New[privacy.Request](h.clk.Now())) }
		h.api.Do(who, "POST", path, body, fresh()).Refused(t, 409, "privacy.request_open")
		h.api.Do(who, "POST", path, `{"kind":"correct","reason":"x"}`, fresh()).Refused(t, 422, "privacy.request_invalid")
		h.api.Do(who, "POST", path, `{"kind":"copy","changes":{"sex":"male"}}`, fresh()).Refused(t, 422, "privacy.request_invalid")
		h.api.Do(apitest.Stale(who), "POST", path, `{"kind":"copy"}`, fresh()).Refused(t, 403, "auth.step_up")
		h.api.Do(apitest.Patient(apitest.Main), "POST", path, `{"kind":"copy"}`, fresh()).Refused(t, 404, "patient.not_found")
		// Another's key leads nowhere.
		other, q := h.adult()
		h.api.Do(other, "POST", "/privacy/patients/"+q.String()+"/requests", body, key).Refused(t, 404, "privacy.not_found")
		// Taken back once, by who asked.
		r := first["id"].(string)
		h.api.Do(other, "POST", "/privacy/requests/"+r+"/cancellation", nil).Refused(t, 404, "privacy.not_found")
		h.api.Do(who, "POST", "/privacy/requests/"+r+"/cancellation", nil).Want(t, 204)
		h.api.Do(who, "POST", "/privacy/requests/"+r+"/cancellation", nil).Refused(t, 409, "privacy.request_state")
		for range maxRequests - 1 {
			r := h.ask(who, p, `{"kind":"correct","reason":"姓名有误"}`)
			h.api.Do(who, "POST", "/privacy/requests/"+r+"/cancellation", nil).Want(t, 204)
		}
		h.api.Do(who, "POST", path, body, fresh()).Refused(t, 429, "privacy.too_often")
		h.clean()
	})
}

func TestCorrection(t *testing.T) {
	each(t, func(h *house) {
		t := h.T
		who, p := h.adult()
		r := h.ask(who, p, `{"kind":"correct","reason":"姓名有误","changes":{"name":"张大三"}}`)
		due := h.api.Do(h.officer, "GET", "/privacy/requests", nil).Want(t, 200).Items(t)
		if len(due) != 1 || due[0]["name_masked"] != "张*三" || due[0]["overdue"] != false {
			t.Fatalf("due: %v", due)
		}
		h.api.Do(h.officer, "GET", "/privacy/requests/"+r, nil).Want(t, 200)
		path := "/privacy/requests/" + r + "/decision"
		h.api.Do(h.officer, "POST", path, `{"accept":false}`, apitest.IfMatch(1)).Refused(t, 422, "privacy.request_invalid") // a refusal says why
		h.api.Do(h.officer, "POST", path, `{"accept":true}`, apitest.IfMatch(7)).Refused(t, 412, "privacy.stale")
		h.api.Do(apitest.Stale(h.officer), "POST", path, `{"accept":true}`, apitest.IfMatch(1)).Refused(t, 403, "auth.step_up")
		h.api.Do(apitest.Staff(apitest.Main, auth.Operator), "POST", path, `{"accept":true}`, apitest.IfMatch(1)).Refused(t, 403, "authz.denied")
		h.api.Do(apitest.Staff(apitest.Other, auth.PrivacyOfficer), "POST", path, `{"accept":true}`, apitest.IfMatch(1)).Refused(t, 404, "privacy.not_found")
		// A crash between the correction and its row: the original survives the repeat.
		h.people.refuse = errors.New("down")
		h.api.Do(h.officer, "POST", path, `{"accept":true}`, apitest.IfMatch(1)).Refused(t, 500, "http.internal")
		h.people.refuse = nil
		done := h.api.Do(h.officer, "POST", path, `{"accept":true,"note":"已更正"}`, apitest.IfMatch(1)).Want(t, 200).Map(t)
		if done["state"] != "done" || len(h.people.fixed) != 1 || h.people.fixed[0].Name.Reveal() != "张大三" {
			t.Errorf("%v %v", done["state"], h.people.fixed)
		}
		if was := done["before"].(map[string]any); was["name"] != "张小三" || was["birth_date"] != "1990-03-07" {
			t.Errorf("before: %v", was)
		}
		h.api.Do(h.officer, "POST", path, `{"accept":true}`, apitest.IfMatch(2)).Refused(t, 409, "privacy.request_state")
		h.clean()
	})
}

// TestReminder: the job marks what nobody has decided three working days before the last one, and nothing else.
func TestReminder(t *testing.T) {
	each(t, func(h *house) {
		t := h.T
		who, p := h.adult()
		r := h.ask(who, p, `{"kind":"correct","reason":"姓名有误"}`)
		reminded := func() int64 {
			return h.number(`SELECT COUNT(*) FROM request WHERE tenant_id = $1 AND reminded_at IS NOT NULL`)
		}
		h.clk.Set(clock.NewDate(2026, 3, 18).At(8*60 - 1))
		h.run()
		if reminded() != 0 {
			t.Error("reminded too early")
		}
		h.clk.Set(clock.NewDate(2026, 3, 18).At(8 * 60))
		h.run()
		h.run()
		if reminded() != 1 || h.number(`SELECT COUNT(*) FROM outbox WHERE tenant_id = $1`) != 1 {
			t.Error("not reminded once")
		}
		h.clk.Set(clock.NewDate(2026, 3, 24).At(60))
		if due := h.api.Do(h.officer, "GET", "/privacy/requests", nil).Want(t, 200).Items(t); due[0]["overdue"] != true {
			t.Errorf("not overdue: %v", due[0])
		}
		h.api.Do(h.officer, "POST", "/privacy/requests/"+r+"/decision", `{"accept":false,"note":"与证件一致"}`, apitest.IfMatch(1)).Want(t, 200)
		if n := len(h.api.Do(h.officer, "GET", "/privacy/requests", nil).Items(t)); n != 0 {
			t.Errorf("%d due", n)
		}
		if n := len(h.api.Do(h.officer, "GET", "/privacy/requests?ended=true", nil).Items(t)); n != 1 {
			t.Errorf("%d ended", n)
		}
	})
}

func unzip(t testing.TB, b []byte) map[string]string {
	t.Helper()
	z, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		out[f.Name] = string(text)
	}
	return out
}

func TestCopyOnce(t *testing.T) {
	each(t, func(h *house) {
		t := h.T
		who, p := h.adult()
		r := h.ask(who, p, `{"kind":"copy"}`)
		path := "/privacy/requests/" + r + "/file"
		h.api.Do(who, "POST", path, nil).Refused(t, 409, "privacy.request_state") // not made yet
		h.run()
		if s := h.state(who, p, r); s != "ready" {
			t.Fatalf("state %s", s)
		}
		h.api.Do(apitest.Stale(who), "POST", path, nil).Refused(t, 403, "auth.step_up")
		h.api.Do(apitest.Patient(apitest.Main), "POST", path, nil).Refused(t, 404, "privacy.not_found")
		h.api.Do(h.officer, "POST", path, nil).Refused(t, 403, "authz.denied")
		// Of many at once one gets the file.
		var wg sync.WaitGroup
		var mu sync.Mutex
		var files [][]byte
		for range 8 {
			wg.Go(func() {
				a := h.api.Do(who, "POST", path, nil)
				mu.Lock()
				defer mu.Unlock()
				if a.Status == 200 {
					files = append(files, a.Body)
				} else if a.Code != "privacy.copy_taken" {
					t.Errorf("%d %s", a.Status, a.Code)
				}
			})
		}
		wg.Wait()
		if len(files) != 1 {
			t.Fatalf("%d files", len(files))
		}
		got := unzip(t, files[0])
		var m manifest
		if err := json.Unmarshal([]byte(got["data.json"]), &m); err != nil || m.Format != "xinglin.copy.v1" || len(m.Sections) < 2 {
			t.Errorf("%v %s", err, got["data.json"])
		}
		if page := got["我的资料.html"]; !strings.Contains(page, "张小三&lt;b&gt;") || strings.Contains(page, "<script") {
			t.Errorf("page: %s", page)
		}
		if n := h.number(`SELECT COUNT(*) FROM copy_part WHERE tenant_id = $1`); n != 0 {
			t.Errorf("%d parts left", n)
		}
		h.clean()
	})
}

func TestCopyExpiresAndTransfer(t *testing.T) {
	each(t, func(h *house) {
		t := h.T
		who, p := h.adult()
		r := h.ask(who, p, `{"kind":"copy"}`)
		h.run()
		h.clk.Add(privacy.CopyDays*day - time.Minute)
		h.run()
		if s := h.state(who, p, r); s != "ready" {
			t.Errorf("state %s", s)
		}
		h.clk.Add(time.Minute)
		h.run()
		if s := h.state(who, p, r); s != "expired" {
			t.Errorf("state %s", s)
		}
		h.api.Do(who, "POST", "/privacy/requests/"+r+"/file", nil).Refused(t, 410, "privacy.copy_taken")
		r = h.ask(who, p, `{"kind":"transfer"}`)
		h.run()
		got := unzip(t, h.api.Do(who, "POST", "/privacy/requests/"+r+"/file", nil).Want(t, 200).Body)
		for _, l := range strings.Split(strings.TrimSpace(got["data.ndjson"]), "\n") {
			var v line
			if err := json.Unmarshal([]byte(l), &v); err != nil || v.Format != "xinglin.copy.v1" || v.Row == nil {
				t.Errorf("%v: %s", err, l)
			}
		}
		h.clean()
	})
}

func TestErase(t *testing.T) {
	each(t, func(h *house) {
		t := h.T
		who, p := h.adult()
		h.publish(privacy.Research, 0)
		if _, err := h.s.decide(h.as(who), p, privacy.Research, true, 1); err != nil {
			t.Fatal(err)
		}
		h.ask(who, p, `{"kind":"copy"}`)
		h.run()
		// Unfinished business stands in the way, when it is asked for and when it is decided.
		h.holder.waiting = []holdings.Waiting{{Context: "payment", Rows: 1}}
		h.api.Do(who, "POST", "/privacy/patients/"+p.String()+"/requests", `{"kind":"erase"}`, apitest.Key(id.New[privacy.Request](h.clk.Now()))).
			Refused(t, 409, "privacy.business_open")
		h.holder.waiting = nil
		r := h.ask(who, p, `{"kind":"erase","reason":"不再使用"}`)
		h.holder.waiting = []holdings.Waiting{{Context: "payment", Rows: 1}}
		h.api.Do(h.officer, "POST", "/privacy/requests/"+r+"/decision", `{"accept":true}`, apitest.IfMatch(1)).Refused(t, 409, "privacy.business_open")
		h.holder.waiting = nil
		h.api.Do(h.officer, "POST", "/privacy/requests/"+r+"/decision", `{"accept":true}`, apitest.IfMatch(1)).Want(t, 200)
		// The process dies between the steps: the job repeats, and everything comes out once.
		term := holdings.Visit
		h.holder.keeps = []holdings.KeptRows{{Context: "clinic", Table: "turn", Rows: 1, Until: term.Ends(h.clk.Now()), Law: term.Law, Identity: true}}
		for _, f := range []func(error){func(e error) { h.holder.fail = e }, func(e error) { h.people.refuse = e }} {
			f(errors.New("killed"))
			h.run()
			f(nil)
			h.clk.Add(time.Hour)
		}
		h.run()
		if len(h.people.shredded) != 1 || h.people.closed[who.Account] == 0 || h.number(`SELECT COUNT(*) FROM retained WHERE tenant_id = $1`) != 1 {
			t.Errorf("shredded %d, closed %d", len(h.people.shredded), h.people.closed[who.Account])
		}
		if h.consented(p, privacy.Research) || h.number(`SELECT COUNT(*) FROM copy_part WHERE tenant_id = $1`) != 0 {
			t.Error("something is left")
		}
		if n := h.number(`SELECT COUNT(*) FROM request WHERE tenant_id = $1 AND (reason IS NOT NULL OR ended_at IS NULL)`); n != 0 {
			t.Errorf("%d requests say something or wait", n)
		}
		h.clean()
	})
}

// TestRetention: what is kept of who an erased person was can be opened for fifteen years, with a reason, and then by nobody.
func TestRetention(t *testing.T) {
	each(t, func(h *house) {
		t := h.T
		who, p := h.adult()
		h.eraseWith(who, p, 15)
		list := h.api.Do(h.officer, "GET", "/privacy/retained", nil).Want(t, 200).Items(t)
		if len(list) != 1 {
			t.Fatalf("%d dossiers", len(list))
		}
		path := "/privacy/retained/" + list[0]["id"].(string) + "/opening"
		h.api.Do(h.officer, "POST", path, `{"why":"x"}`).Refused(t, 422, "http.invalid")
		h.api.Do(apitest.Stale(h.officer), "POST", path, `{"why":"法院调取 2027 民初 1 号"}`).Refused(t, 403, "auth.step_up")
		h.api.Do(apitest.Staff(apitest.Other, auth.PrivacyOfficer), "POST", path, `{"why":"法院调取 2027 民初 1 号"}`).Refused(t, 404, "privacy.not_found")
		open := func() apitest.Response {
			return h.api.Do(h.officer, "POST", path, `{"why":"法院调取 2027 民初 1 号"}`)
		}
		start := h.clk.Now()
		h.clk.Set(start.AddDate(15, 0, 0)) // 15 years are not over before the day after
		h.run()
		if d := open().Want(t, 200).Map(t); d["document_number"] != "E1234567" {
			t.Errorf("%v", d)
		}
		h.clk.Set(start.AddDate(15, 0, 1))
		h.run()
		open().Refused(t, 404, "privacy.not_found")
		if n := h.number(`SELECT COUNT(*) FROM retained WHERE tenant_id = $1 AND sealed IS NULL AND destroyed_at IS NOT NULL`); n != 1 {
			t.Error("the dossier is left")
		}
		h.clean()
	})
}

// TestNothingToKeep: who never came leaves no dossier; a guardian's account survives the erasure of the child.
func TestNothingToKeep(t *testing.T) {
	each(t, func(h *house) {
		t := h.T
		guardian, p := h.child()
		h.eraseWith(guardian, p, 0)
		if n := h.number(`SELECT COUNT(*) FROM retained WHERE tenant_id = $1`); n != 0 || len(h.people.closed) != 0 || len(h.people.shredded) != 1 {
			t.Errorf("%d dossiers, %d accounts closed", n, len(h.people.closed))
		}
		h.clean()
	})
}

func TestRegisters(t *testing.T) {
	each(t, func(h *house) {
		t := h.T
		key := id.New[privacy.Assessment](h.clk.Now())
		a := h.api.Do(h.officer, "POST", "/privacy/assessments", assessmentJSON, apitest.Key(key)).Want(t, 201).Map(t)
		if a["keep_until"] != "2029-03-02" {
			t.Errorf("kept until %v", a["keep_until"])
		}
		if r := h.api.Do(h.officer, "POST", "/privacy/assessments", assessmentJSON, apitest.Key(key)).Want(t, 201); r.Header.Get("Idempotency-Hit") != "true" {
			t.Error("entered twice")
		}
		path := "/privacy/assessments/" + key.String()
		allowed := strings.Replace(assessmentJSON, "pending", "allowed", 1)
		h.api.Do(h.officer, "PUT", path, allowed, apitest.IfMatch(1)).Want(t, 200)
		h.api.Do(h.officer, "PUT", path, allowed, apitest.IfMatch(1)).Refused(t, 412, "privacy.stale")
		h.api.Do(apitest.Staff(apitest.Other, auth.PrivacyOfficer), "PUT", path, allowed, apitest.IfMatch(2)).Refused(t, 404, "privacy.not_found")
		if n := h.number(`SELECT COUNT(*) FROM assessment WHERE tenant_id = $1`); n != 2 {
			t.Errorf("%d versions", n)
		}
		security := apitest.Staff(apitest.Main, auth.SecurityAdmin)
		b := id.New[privacy.Breach](h.clk.Now())
		got := h.api.Do(security, "POST", "/privacy/breaches", breachJSON, apitest.Key(b)).Want(t, 201).Map(t)
		if got["authority_by"] != "2026-03-02T04:30:00Z" || got["persons_by"] != "2026-03-03T00:30:00Z" {
			t.Errorf("clocks: %v %v", got["authority_by"], got["persons_by"])
		}
		path = "/privacy/breaches/" + b.String()
		edit := func(more string) string { return strings.TrimSuffix(breachJSON, "}") + more + "}" }
		for _, wrong := range []string{
			`,"close":true`, `,"authority_told_at":"2026-03-02T00:00:00Z"`, `,"authority_told_at":"2026-03-02T09:00:00Z"`,
			`,"authority_told_at":"2026-03-02T00:45:00Z","close":true`,
		} {
			h.api.Do(security, "PUT", path, edit(wrong), apitest.IfMatch(1)).Refused(t, 422, "privacy.record_invalid")
		}
		h.api.Do(h.officer, "PUT", path, edit(`,"authority_told_at":"2026-03-02T00:45:00Z","not_told_why":"已全部撤回，无人打开","close":true`), apitest.IfMatch(1)).Want(t, 200)
		h.api.Do(h.officer, "PUT", path, breachJSON, apitest.IfMatch(2)).Refused(t, 409, "privacy.breach_closed")
		h.api.Do(apitest.Staff(apitest.Main, auth.SystemAdmin), "GET", "/privacy/breaches", nil).Refused(t, 403, "authz.denied")
		h.clean()
	})
}
