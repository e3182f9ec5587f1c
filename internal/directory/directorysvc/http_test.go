package directorysvc

import (
	"fmt"
	"testing"

	"xinglin/internal/directory"
	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/id"
	"xinglin/internal/testkit"
	"xinglin/internal/testkit/apitest"
)

func TestPublicReads(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		p := b.place(small)
		if _, err := b.s.SetOrganization(cli(apitest.Main), directory.Organization{Name: "杏林医院", Licences: []directory.Licence{{Kind: "k", Number: "n", ValidTo: 20000}}}); err != nil {
			t.Fatal(err)
		}
		one := "/practitioners/" + p.Doctors["1101"].String()
		nobody, other := apitest.Nobody(apitest.Main), apitest.Nobody(apitest.Other)
		for path, items := range map[string]int{
			"/campuses": 2, "/departments": 3, "/departments?campus_id=" + p.Campuses["西院区"].String(): 1,
			"/practitioners": 2, "/practitioners?q=sxx": 1, "/practitioners?q=%25": 0, "/practitioners?campus_id=" + p.Campuses["西院区"].String(): 1,
		} {
			if got := b.Do(nobody, "GET", path, nil).Want(t, 200).Items(t); len(got) != items {
				t.Errorf("%s: %d items, want %d", path, len(got), items)
			}
			if got := b.Do(other, "GET", path, nil).Want(t, 200).Items(t); len(got) != 0 {
				t.Errorf("%s of another tenant: %v", path, got)
			}
		}
		if got := b.Do(nobody, "GET", "/organization", nil).Want(t, 200).Map(t); got["name"] != "杏林医院" || fmt.Sprint(got["licences"]) == "[]" {
			t.Errorf("%v", got)
		}
		b.Do(other, "GET", "/organization", nil).Refused(t, 404, "directory.not_found")
		r := b.Do(nobody, "GET", one, nil).Want(t, 200)
		if m := r.Map(t); m["title_en"] != "Chief physician" || m["licence_no"] != "1101" || m["department_name"] != "心血管内科" || m["years_of_practice"] != 0.0 || r.Header.Get("ETag") != `"1"` {
			t.Errorf("%v %v", m, r.Header)
		}
		b.Do(other, "GET", one, nil).Refused(t, 404, "directory.not_found")
		b.Do(nobody, "GET", "/practitioners/"+id.Random[id.Any]().String(), nil).Refused(t, 404, "directory.not_found")
		b.Do(nobody, "GET", "/practitioners/x", nil).Refused(t, 422, "http.invalid")
		page := b.Do(nobody, "GET", "/practitioners?limit=1", nil).Want(t, 200)
		next := page.Map(t)["next"].(string)
		b.Do(nobody, "GET", "/practitioners?limit=1&cursor="+next, nil).Want(t, 200)
		b.Do(other, "GET", "/practitioners?limit=1&cursor="+next, nil).Refused(t, 400, "http.cursor")
		b.Do(nobody, "GET", "/practitioners?cursor="+p.Doctors["1101"].String(), nil).Refused(t, 400, "http.cursor")
		b.Do(nobody, "GET", "/practitioners?limit=101", nil).Refused(t, 422, "http.invalid")
		b.Do(nobody, "GET", "/practitioners?q=%00", nil).Refused(t, 400, "http.malformed")
	})
}

func TestWrites(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		campus := map[string]any{"name": "东院区", "name_en": "East", "address": "1号"}
		c := b.Do(b.op, "POST", "/campuses", campus).Want(t, 201).Map(t)
		if again := b.Do(b.op, "POST", "/campuses", map[string]any{"name": "东院区"}).Want(t, 201).Map(t); again["id"] != c["id"] || again["address"] != "1号" {
			t.Errorf("the same again: %v", again)
		}
		dep := func(name string, parent any) map[string]any {
			m := map[string]any{"campus_id": c["id"], "name": name, "location": "3层"}
			if parent != nil {
				m["parent_id"] = parent
			}
			return m
		}
		inner := b.Do(b.op, "POST", "/departments", dep("内科", nil)).Want(t, 201).Map(t)
		heart := b.Do(b.op, "POST", "/departments", dep("心血管内科", inner["id"])).Want(t, 201).Map(t)
		if heart["parent_id"] != inner["id"] || heart["location"] != "3层" || inner["parent_id"] != "" {
			t.Errorf("%v below %v", heart, inner)
		}
		doc := map[string]any{"licence_no": "110100000001", "name": "解缙", "title": "主治医师", "department_id": heart["id"], "specialty": "高血压", "practising_from": "2010-03-02"}
		d := b.Do(b.op, "POST", "/practitioners", doc).Want(t, 201).Map(t)
		if d["years_of_practice"] != 16.0 || d["campus_name"] != "东院区" {
			t.Errorf("%v", d)
		}
		if again := b.Do(b.op, "POST", "/practitioners", doc).Want(t, 201).Map(t); again["id"] != d["id"] {
			t.Errorf("the same again: %v", again)
		}
		before := b.rows()
		doc["name"] = "解放"
		b.Do(b.op, "POST", "/practitioners", doc).Refused(t, 409, "directory.licence_taken")
		doc["licence_no"], doc["practising_from"] = "110100000002", "2026-03-03"
		b.Do(b.op, "POST", "/practitioners", doc).Refused(t, 422, "directory.invalid")
		b.Do(b.op, "POST", "/departments", dep("内科", heart["id"])).Refused(t, 422, "directory.loop")
		b.Do(b.op, "POST", "/departments", dep("新科", id.Random[id.Any]().String())).Refused(t, 404, "directory.not_found")
		b.Do(b.op, "POST", "/campuses", map[string]any{"name": ""}).Refused(t, 422, "http.invalid")
		b.Do(b.op, "POST", "/campuses", map[string]any{"name": " "}).Refused(t, 422, "directory.invalid")
		theirs := apitest.Staff(apitest.Other, auth.Operator)
		b.Do(theirs, "POST", "/departments", dep("新科", nil)).Refused(t, 404, "directory.not_found")
		b.Do(theirs, "POST", "/practitioners", doc).Refused(t, 404, "directory.not_found")
		for _, who := range []auth.Principal{apitest.Patient(apitest.Main), apitest.Staff(apitest.Main, auth.Doctor)} {
			b.Do(who, "POST", "/campuses", campus).Refused(t, 403, "authz.denied")
			b.Do(who, "POST", "/departments", dep("新科", nil)).Refused(t, 403, "authz.denied")
			doc["practising_from"] = "2010-03-02"
			b.Do(who, "POST", "/practitioners", doc).Refused(t, 403, "authz.denied")
		}
		for _, path := range []string{"/campuses", "/departments", "/practitioners"} {
			b.Do(apitest.Nobody(apitest.Main), "POST", path, campus).Refused(t, 401, "auth.required")
		}
		if n := b.rows(); n != before {
			t.Errorf("refusals wrote %d rows", n-before)
		}
		if br := b.broken(); len(br) != 0 {
			t.Errorf("verify: %v", br)
		}
	})
}

func TestPutPractitioner(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		p := b.place(small)
		path := "/practitioners/" + p.Doctors["1102"].String()
		body := map[string]any{"name": "曾雄信", "title": "副主任医师", "specialty": "关节", "practising_from": "2001-01-01"}
		r := b.Do(b.op, "PUT", path, body, apitest.IfMatch(1)).Want(t, 200)
		if m := r.Map(t); m["name"] != "曾雄信" || m["version"] != 2.0 || r.Header.Get("ETag") != `"2"` {
			t.Errorf("%v", m)
		}
		if b.licences(directory.Query{Text: "zeng 关节 骨科"}) != "1102" || b.licences(directory.Query{Text: "shan"}) != "" {
			t.Error("the search has the old words")
		}
		if n := b.count(apitest.Main, "SELECT COUNT(*) FROM outbox WHERE tenant_id = $1 AND name = 'directory.practitioner.changed.v1'"); n != 3 {
			t.Errorf("%d events", n)
		}
		before := b.rows()
		b.Do(b.op, "PUT", path, body, apitest.IfMatch(1)).Refused(t, 412, "directory.stale")
		b.Do(b.op, "PUT", path, body).Refused(t, 400, "http.match_required")
		b.Do(b.op, "PUT", "/practitioners/"+id.Random[id.Any]().String(), body, apitest.IfMatch(1)).Refused(t, 404, "directory.not_found")
		b.Do(apitest.Staff(apitest.Other, auth.Operator), "PUT", path, body, apitest.IfMatch(2)).Refused(t, 404, "directory.not_found")
		b.Do(apitest.Staff(apitest.Main, auth.Nurse), "PUT", path, body, apitest.IfMatch(2)).Refused(t, 403, "authz.denied")
		b.Do(apitest.Nobody(apitest.Main), "PUT", path, body, apitest.IfMatch(2)).Refused(t, 401, "auth.required")
		body["practising_from"] = "2026-02-30"
		b.Do(b.op, "PUT", path, body, apitest.IfMatch(2)).Refused(t, 422, "http.invalid")
		if n := b.rows(); n != before {
			t.Errorf("refusals wrote %d rows", n-before)
		}
		if got := testkit.Start.Year() - 2001; b.Do(apitest.Nobody(apitest.Main), "GET", path, nil).Map(t)["years_of_practice"] != float64(got) {
			t.Error("years of practice")
		}
	})
}
