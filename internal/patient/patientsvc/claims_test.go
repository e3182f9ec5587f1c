package patientsvc

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/id"
	"xinglin/internal/kernel/secret"
	"xinglin/internal/patient"
	"xinglin/internal/testkit/apitest"
)

var oldLi = newPerson("李老四", residentID("19500101", 11), "", patient.Parent)

// The window sees who waits for a proof, the latest first, masked, and each person shown is an audit row.
func TestOpenClaims(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		api := apitest.New(t, h.mod.Routes)
		first, second, third := apitest.Patient(apitest.Main), apitest.Patient(apitest.Main), apitest.Patient(apitest.Main)
		h.acc.phones[second.Account] = "13700131234"
		known, old := h.add(first, zhang), h.add(first, oldLi)
		if items := api.Do(desk, "GET", "/claims", nil).Want(t, 200).Items(t); len(items) != 0 {
			t.Errorf("nobody waits: %v", items)
		}
		byDesk := h.claim(second, oldLi)
		h.clk.Add(time.Minute)
		byCode := h.claim(second, with(zhang, func(n *patient.New) { n.Relationship = patient.Spouse }))
		wrong := h.claim(third, with(oldLi, func(n *patient.New) { n.Name = secret.New("王五") }))

		r := api.Do(desk, "GET", "/claims?state=open", nil).Want(t, 200)
		items := r.Items(t)
		if len(items) != 3 || items[2]["id"] != byDesk.ID.String() || r.Map(t)["next"] != "" {
			t.Fatalf("%s", r.Body)
		}
		rows := map[any]fields{}
		for _, x := range items {
			rows[x["id"]] = x
		}
		for c, want := range map[patient.ClaimID]fields{
			byDesk.ID: {
				"name_masked": "李*四", "document_type": "resident_id", "document_masked": "110****" + oldLi.Document.Reveal()[16:], "relationship": "parent",
				"phone_last4": "1234", "proof": "desk", "name_matches": true, "state": "open",
				"asked_at": h.clk.Now().Add(-time.Minute).UTC().Format(time.RFC3339Nano), "ends_at": h.clk.Now().Add(deskTime - time.Minute).UTC().Format(time.RFC3339Nano),
			},
			byCode.ID: {"name_masked": "张*三", "relationship": "spouse", "phone_last4": "1234", "proof": "phone_code", "name_matches": true, "state": "open"},
			wrong.ID:  {"name_masked": "李*四", "phone_last4": "", "proof": "desk", "name_matches": false, "state": "open"},
		} {
			for k, v := range want {
				if rows[c.String()][k] != v {
					t.Errorf("%s: %v, want %v", k, rows[c.String()][k], v)
				}
			}
		}
		one := api.Do(desk, "GET", "/claims/"+byDesk.ID.String(), nil).Want(t, 200)
		if fmt.Sprint(one.Map(t)) != fmt.Sprint(rows[byDesk.ID.String()]) {
			t.Errorf("%s", one.Body)
		}
		dump := h.dump()
		for _, row := range []string{
			"patient.list_claimsPatient" + known.ID.String() + "patient.desk", "patient.list_claimsPatient" + old.ID.String() + "patient.desk",
			"patient.read_claimPatient" + old.ID.String() + "patient.desk", "patient.list_claimsPatientpatient.desk", // nobody was shown
		} {
			if !strings.Contains(dump, desk.Actor()+row) {
				t.Errorf("no audit row %s", row)
			}
		}
		for _, word := range []string{"老", "小", "王五", oldLi.Document.Reveal(), zhang.Document.Reveal(), "13700131234", "13800138000"} {
			for name, text := range map[string]string{"list": string(r.Body), "claim": string(one.Body), "trail": dump} {
				if strings.Contains(text, word) {
					t.Errorf("%s shows %s", name, word)
				}
			}
		}

		// What can be proved no more leaves the list; what became of it is read by its id.
		api.Do(desk, "POST", "/patients/claims/"+wrong.ID.String()+"/desk-proof", nil).Refused(t, 422, "patient.proof_wrong")
		h.clk.Add(claimTime + time.Second)
		state := func(c patient.Claim) any {
			t.Helper()
			return api.Do(desk, "GET", "/claims/"+c.ID.String(), nil).Want(t, 200).Map(t)["state"]
		}
		waiting := func() int { t.Helper(); return len(api.Do(desk, "GET", "/claims", nil).Want(t, 200).Items(t)) }
		if n := waiting(); n != 2 || state(byCode) != "ended" {
			t.Errorf("%d wait after the code's time, %v", n, state(byCode))
		}
		api.Do(desk, "POST", "/patients/claims/"+byDesk.ID.String()+"/desk-proof", nil).Want(t, 204)
		if n := waiting(); n != 1 || state(byDesk) != "proved" || state(wrong) != "open" {
			t.Errorf("%d wait after the proof, %v", n, state(byDesk))
		}
		h.clk.Add(deskTime)
		if n := waiting(); n != 0 || state(wrong) != "ended" {
			t.Errorf("%d wait a week later, %v", n, state(wrong))
		}
		h.clean()
	})
}

func TestOpenClaimsRefused(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		api := apitest.New(t, h.mod.Routes)
		first, second := apitest.Patient(apitest.Main), apitest.Patient(apitest.Main)
		h.add(first, oldLi)
		c := h.claim(second, oldLi)
		one := "/claims/" + c.ID.String()
		for _, path := range []string{"/claims", one} {
			api.Do(apitest.Nobody(apitest.Main), "GET", path, nil).Refused(t, 401, "auth.required")
			for _, who := range []auth.Principal{first, second, apitest.Staff(apitest.Main, auth.Doctor), apitest.Staff(apitest.Main, auth.Nurse), apitest.Staff(apitest.Main, auth.Operator)} {
				api.Do(who, "GET", path, nil).Refused(t, 403, "authz.denied")
			}
		}
		elsewhere := apitest.Staff(apitest.Other, auth.Registrar)
		if items := api.Do(elsewhere, "GET", "/claims", nil).Want(t, 200).Items(t); len(items) != 0 {
			t.Errorf("another tenant sees %v", items)
		}
		api.Do(elsewhere, "GET", one, nil).Refused(t, 404, "patient.not_found")
		api.Do(desk, "GET", "/claims/"+id.Random[patient.Claim]().String(), nil).Refused(t, 404, "patient.not_found")
		api.Do(desk, "GET", "/claims/x", nil).Want(t, 422)
		api.Do(desk, "GET", "/claims?state=proved", nil).Refused(t, 422, "http.invalid")
		api.Do(desk, "GET", "/claims?limit=101", nil).Refused(t, 422, "http.invalid")
		api.Do(desk, "GET", "/claims?cursor=x", nil).Refused(t, 400, "http.cursor")
	})
}

// Pages follow each other without a gap or a repeat, also when claims are as old as each other and new ones come meanwhile.
func TestOpenClaimsPages(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		api := apitest.New(t, h.mod.Routes)
		h.add(apitest.Patient(apitest.Main), oldLi)
		want := map[any]bool{}
		for i := range 7 {
			want[h.claim(apitest.Patient(apitest.Main), oldLi).ID.String()] = true
			if i%3 == 2 {
				h.clk.Add(time.Second)
			}
		}
		got, next, last := map[any]bool{}, "", ""
		for pages := 0; ; pages++ {
			r := api.Do(desk, "GET", "/claims?limit=2&cursor="+next, nil).Want(t, 200)
			for _, x := range r.Items(t) {
				at := x["asked_at"].(string)
				if got[x["id"]] || last != "" && at > last {
					t.Errorf("%v at %s after %s", x["id"], at, last)
				}
				got[x["id"]], last = true, at
			}
			if pages == 0 {
				h.clk.Add(time.Second)
				h.claim(apitest.Patient(apitest.Main), oldLi) // is on no later page
				api.Do(apitest.Staff(apitest.Other, auth.Registrar), "GET", "/claims?cursor="+r.Map(t)["next"].(string), nil).Refused(t, 400, "http.cursor")
			}
			if next = r.Map(t)["next"].(string); next == "" {
				if pages != 3 {
					t.Errorf("%d pages", pages+1)
				}
				break
			}
		}
		if len(got) != len(want) {
			t.Errorf("%d of %d", len(got), len(want))
		}
		for c := range want {
			if !got[c] {
				t.Errorf("%v is on no page", c)
			}
		}
	})
}

func TestClaimMark(t *testing.T) {
	now := time.UnixMicro(1_772_000_000_000_001)
	m := claimMark{now, id.Random[patient.Claim]()}
	if got, err := readClaimMark(m.String(), now); err != nil || !got.at.Equal(m.at) || got.id != m.id {
		t.Errorf("%v %v", got, err)
	}
	if got, err := readClaimMark("", now); err != nil || !got.at.After(now) {
		t.Errorf("%v %v", got, err)
	}
	for _, bad := range []string{"x", "1", "1 x", " ", "x " + m.id.String()} {
		_, err := readClaimMark(bad, now)
		refused(t, err, patient.ErrInvalid)
	}
}

// A link tells whether its account proved that it may act for the person; one that was the first to enter the person did not.
func TestLinksTellOfTheProof(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		first, second, third := apitest.Patient(apitest.Main), apitest.Patient(apitest.Main), apitest.Patient(apitest.Main)
		known, old := h.add(first, zhang), h.add(first, oldLi)
		c := h.claim(second, with(zhang, func(n *patient.New) { n.Relationship = patient.Spouse }))
		h.run()
		if _, err := h.s.Prove(h.as(second), c.ID, h.acc.last(t).code); err != nil {
			t.Fatal(err)
		}
		own := h.add(second, newPerson("王一", residentID("19910101", 11), "", patient.Self))
		if err := h.s.ProveAtDesk(h.as(desk), h.claim(third, oldLi).ID); err != nil {
			t.Fatal(err)
		}
		h.claim(third, zhang) // waits
		for name, tt := range map[string]struct {
			who    auth.Principal
			proved map[patient.ID]bool
		}{
			"who was first":     {first, map[patient.ID]bool{known.ID: false, old.ID: false}},
			"with a code":       {second, map[patient.ID]bool{known.ID: true, own.ID: false}},
			"at the desk":       {third, map[patient.ID]bool{old.ID: true}},
			"nobody's relative": {apitest.Patient(apitest.Main), map[patient.ID]bool{}},
		} {
			links, err := h.s.Linked(t.Context(), apitest.Main, tt.who.Account)
			if err != nil || len(links) != len(tt.proved) {
				t.Errorf("%s: %v %v", name, links, err)
			}
			for _, p := range []patient.ID{known.ID, old.ID, own.ID} {
				if patient.Proven(links, p) != tt.proved[p] {
					t.Errorf("%s: %v in %v", name, p, links)
				}
			}
		}
		if err := h.s.Unlink(h.as(second), known.ID); err != nil {
			t.Fatal(err)
		}
		if links, err := h.s.Linked(t.Context(), apitest.Main, second.Account); err != nil || patient.Proven(links, known.ID) {
			t.Errorf("ended: %v %v", links, err)
		}
	})
}
