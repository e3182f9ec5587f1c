package patientsvc

import (
	"strings"
	"sync"
	"testing"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/id"
	"xinglin/internal/patient"
	"xinglin/internal/platform/module"
	"xinglin/internal/platform/realname"
	"xinglin/internal/testkit/apitest"
)

type fields = map[string]any

func zhangBody() fields {
	return fields{"name": "张小三", "document_type": "resident_id", "document_number": zhang.Document.Reveal(), "phone": "13800138000", "relationship": "self"}
}

func changed(b fields, key string, v any) fields {
	if v == nil {
		delete(b, key)
	} else {
		b[key] = v
	}
	return b
}

func TestRoutes(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		api := apitest.New(t, h.mod.Routes)
		me, spouse, foreign := apitest.Patient(apitest.Main), apitest.Patient(apitest.Main), apitest.Patient(apitest.Other)
		r := api.Do(me, "POST", "/patients", zhangBody()).Want(t, 201)
		got := r.Map(t)
		pid := got["id"].(string)
		for k, want := range (fields{
			"name": "张小三", "document_type": "resident_id", "document_masked": "110****" + zhang.Document.Reveal()[16:], "birth_date": "1990-03-07",
			"sex": "male", "phone_masked": "138****8000", "relationship": "self", "verified": "none", "version": 1.0,
		}) {
			if got[k] != want {
				t.Errorf("%s: %v, want %v", k, got[k], want)
			}
		}
		if r.Header.Get("ETag") != `"1"` {
			t.Errorf("ETag %q", r.Header.Get("ETag"))
		}
		api.Do(me, "POST", "/patients", zhangBody()).Want(t, 201) // repeat
		list := api.Do(me, "GET", "/patients", nil).Want(t, 200)
		if items := list.Items(t); len(items) != 1 || items[0]["id"] != pid || list.Map(t)["next"] != "" {
			t.Errorf("list: %s", list.Body)
		}
		if items := api.Do(spouse, "GET", "/patients", nil).Want(t, 200).Items(t); len(items) != 0 {
			t.Errorf("a stranger's list: %v", items)
		}
		one := api.Do(me, "GET", "/patients/"+pid, nil).Want(t, 200)
		for _, x := range []apitest.Response{r, list, one} {
			if strings.Contains(string(x.Body), zhang.Document.Reveal()) || strings.Contains(string(x.Body), "13800138000") {
				t.Errorf("a full number is shown: %s", x.Body)
			}
		}
		for _, other := range []auth.Principal{spouse, foreign} {
			api.Do(other, "GET", "/patients/"+pid, nil).Refused(t, 404, "patient.not_found")
			api.Do(other, "PATCH", "/patients/"+pid, fields{"relationship": "other"}, apitest.IfMatch(1)).Refused(t, 404, "patient.not_found")
			api.Do(other, "DELETE", "/patients/"+pid+"/link", nil).Refused(t, 404, "patient.not_found")
			api.Do(other, "POST", "/patients/"+pid+"/verification", nil).Refused(t, 404, "patient.not_found")
		}
		api.Do(apitest.Nobody(apitest.Main), "GET", "/patients", nil).Refused(t, 401, "auth.required")
		api.Do(apitest.Staff(apitest.Main, auth.Operator), "GET", "/patients", nil).Refused(t, 403, "authz.denied")
		api.Do(apitest.Staff(apitest.Main, auth.Operator), "POST", "/patients", zhangBody()).Refused(t, 403, "authz.denied")
		api.Do(me, "GET", "/patients/"+id.Random[patient.Patient]().String(), nil).Refused(t, 404, "patient.not_found")

		// The second account.
		c := api.Do(spouse, "POST", "/patients", changed(zhangBody(), "relationship", "spouse")).Want(t, 202).Map(t)
		if c["proof"] != "phone_code" || c["phone_masked"] != "138****8000" || len(c) != 3 {
			t.Errorf("claim: %v", c)
		}
		proof := "/patients/claims/" + c["claim_id"].(string) + "/proof"
		h.run()
		api.Do(foreign, "POST", proof, fields{"code": "000000"}).Refused(t, 404, "patient.not_found")
		api.Do(spouse, "POST", proof, fields{"code": "12345"}).Refused(t, 422, "http.invalid")
		api.Do(spouse, "POST", proof, fields{"code": "000000"}).Refused(t, 422, "patient.proof_wrong")
		if p := api.Do(spouse, "POST", proof, fields{"code": h.acc.last(t).code}).Want(t, 201).Map(t); p["id"] != pid || p["relationship"] != "spouse" {
			t.Errorf("proved: %v", p)
		}
		api.Do(spouse, "POST", proof, fields{"code": h.acc.last(t).code}).Refused(t, 409, "patient.claim_ended")

		// Changes.
		api.Do(me, "PATCH", "/patients/"+pid, fields{"phone": "13700137000"}).Refused(t, 400, "http.match_required")
		api.Do(me, "PATCH", "/patients/"+pid, fields{"phone": "13700137000"}, apitest.IfMatch(7)).Refused(t, 412, "patient.stale")
		api.Do(me, "PATCH", "/patients/"+pid, fields{"phone": "12345"}, apitest.IfMatch(1)).Refused(t, 422, "patient.invalid")
		api.Do(me, "PATCH", "/patients/"+pid, fields{"name": "李四"}, apitest.IfMatch(1)).Refused(t, 422, "http.invalid")
		p := api.Do(me, "PATCH", "/patients/"+pid, fields{"phone": "13700137000"}, apitest.IfMatch(1)).Want(t, 200).Map(t)
		if p["phone_masked"] != "137****7000" || p["version"] != 2.0 {
			t.Errorf("changed: %v", p)
		}
		api.Do(spouse, "PATCH", "/patients/"+pid, fields{"phone": "13600136000"}, apitest.IfMatch(1)).Refused(t, 412, "patient.stale")
		h.real.outcome = realname.Match
		if v := api.Do(me, "POST", "/patients/"+pid+"/verification", nil).Want(t, 200).Map(t); v["verified"] != "verified" || v["verified_at"] == nil {
			t.Errorf("verified: %v", v)
		}
		h.real.err = realname.ErrUnreachable.New()
		if x := api.Do(me, "POST", "/patients/"+pid+"/verification", nil).Refused(t, 503, "patient.realname_down"); x.Header.Get("Retry-After") == "" {
			t.Error("no Retry-After")
		}
		api.Do(spouse, "DELETE", "/patients/"+pid+"/link", nil).Want(t, 204)
		api.Do(spouse, "DELETE", "/patients/"+pid+"/link", nil).Refused(t, 404, "patient.not_found")
		api.Do(spouse, "GET", "/patients/"+pid, nil).Refused(t, 404, "patient.not_found")
		h.clean()
	})
}

// The document says both answers of adding.
func TestOpenAPI(t *testing.T) {
	_, mod := New(module.Base{}, nil, nil)
	doc, err := apitest.New(t, mod.Routes).API.OpenAPI()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"oneOf", "PatientBody", "PatientClaimBody", "patient.prove_at_desk"} {
		if !strings.Contains(string(doc), want) {
			t.Errorf("no %s", want)
		}
	}
}

func TestDeskRoute(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		api := apitest.New(t, h.mod.Routes)
		old := fields{"name": "李老四", "document_type": "resident_id", "document_number": residentID("19500101", 11), "relationship": "parent"}
		api.Do(apitest.Patient(apitest.Main), "POST", "/patients", old).Want(t, 201)
		me := apitest.Patient(apitest.Main)
		c := api.Do(me, "POST", "/patients", old).Want(t, 202).Map(t)
		if c["proof"] != "desk" || c["phone_masked"] != "" {
			t.Errorf("claim: %v", c)
		}
		path := "/patients/claims/" + c["claim_id"].(string) + "/desk-proof"
		api.Do(me, "POST", path, nil).Refused(t, 403, "authz.denied")
		api.Do(apitest.Staff(apitest.Other, auth.Registrar), "POST", path, nil).Refused(t, 404, "patient.not_found")
		api.Do(apitest.Staff(apitest.Main, auth.Registrar), "POST", path, nil).Want(t, 204)
		api.Do(apitest.Staff(apitest.Main, auth.Registrar), "POST", path, nil).Refused(t, 409, "patient.claim_ended")
	})
}

func TestBadInput(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		api := apitest.New(t, h.mod.Routes)
		me := apitest.Patient(apitest.Main)
		number := zhang.Document.Reveal()
		for name, c := range map[string]struct {
			body   any
			status int
			code   string
		}{
			"no JSON":                {`{"name"`, 400, "http.malformed"},
			"a list":                 {`[]`, 422, "http.invalid"},
			"unknown field":          {changed(zhangBody(), "verified", "verified"), 422, "http.invalid"},
			"number as a number":     {changed(zhangBody(), "document_number", 110105199003071234), 422, "http.invalid"},
			"no number":              {changed(zhangBody(), "document_number", nil), 422, "http.invalid"},
			"huge":                   {changed(zhangBody(), "name", strings.Repeat("张", 10_000)), 413, "http.too_large"},
			"wrong check digit":      {changed(zhangBody(), "document_number", number[:17]+string('0'+(number[17]-'0'+1)%10)), 422, "patient.document_invalid"},
			"birth of another":       {changed(zhangBody(), "birth_date", "1970-01-01"), 422, "patient.document_invalid"},
			"no day":                 {changed(zhangBody(), "birth_date", "1990-02-30"), 422, "http.invalid"},
			"another sex":            {changed(zhangBody(), "sex", "female"), 422, "patient.document_invalid"},
			"unknown type":           {changed(zhangBody(), "document_type", "driving_licence"), 422, "http.invalid"},
			"unknown relationship":   {changed(zhangBody(), "relationship", "aunt"), 422, "http.invalid"},
			"landline":               {changed(zhangBody(), "phone", "010-65123456"), 422, "patient.invalid"},
			"passport without birth": {changed(changed(zhangBody(), "document_type", "passport"), "document_number", "E12345678"), 422, "patient.invalid"},
			"child without consent":  {fields{"name": "张小宝", "document_type": "resident_id", "document_number": child.Document.Reveal(), "relationship": "child"}, 422, "patient.guardian_required"},
		} {
			r := api.Do(me, "POST", "/patients", c.body)
			if r.Status != c.status || r.Code != c.code {
				t.Errorf("%s: %d %s, want %d %s: %s", name, r.Status, r.Code, c.status, c.code, r.Body)
			}
			if strings.Contains(string(r.Body), number) || strings.Contains(string(r.Body), "张") {
				t.Errorf("%s: the refusal repeats personal data: %s", name, r.Body)
			}
		}
		if n := h.count(`SELECT COUNT(*) FROM patient WHERE tenant_id = $1`); n != 0 {
			t.Errorf("%d patients", n)
		}
		api.Do(me, "POST", "/patients/claims/x/proof", fields{"code": "000000"}).Want(t, 422)
	})
}

// Many tabs send the right code at once: one link.
func TestRaceForOneProof(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.add(apitest.Patient(apitest.Main), zhang)
		second := apitest.Patient(apitest.Main)
		c := h.claim(second, zhang)
		h.run()
		const n = 4
		var wg sync.WaitGroup
		errs := make([]error, n)
		for i := range n {
			wg.Go(func() { _, errs[i] = h.s.Prove(h.as(second), c.ID, h.acc.sent[0].code) })
		}
		wg.Wait()
		won := 0
		for _, err := range errs {
			if err == nil {
				won++
			}
		}
		if won != 1 {
			t.Errorf("%d proofs: %v", won, errs)
		}
		if n := h.count(`SELECT COUNT(*) FROM link WHERE tenant_id = $1 AND state = 'active'`); n != 2 {
			t.Errorf("%d links", n)
		}
		h.clean()
	})
}
