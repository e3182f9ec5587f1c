package schedulingsvc

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/id"
	"xinglin/internal/kernel/page"
	"xinglin/internal/patient"
	"xinglin/internal/platform/authz"
	"xinglin/internal/scheduling"
	"xinglin/internal/testkit/apitest"
)

// TestOwnListIsTheDecisions: accounts with random families, visits that they booked and visits that the window booked. The list
// of an account holds exactly the visits of its persons that a question about each alone would permit.
func TestOwnListIsTheDecisions(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		w.rota(0, 30, 30)
		r := rand.New(rand.NewPCG(3, 5))
		var accounts []auth.Principal
		family := map[scheduling.AccountID][]scheduling.PatientID{}
		for range 6 {
			p, own := w.person()
			accounts, family[p.Account] = append(accounts, p), []scheduling.PatientID{own}
		}
		var visits []id.ID[scheduling.Appointment]
		days := []string{"2026-03-03", "2026-03-04", "2026-03-05", "2026-03-06"}
		for range 8 { // people whom the window books for, and whom some accounts know, some of them proved
			old := w.registered("1943-05-02")
			for _, d := range days[:2] {
				q := w.ask(old, w.on(d).ID)
				if _, err := w.s.bookAtDesk(w.as(w.desk()), q); err != nil {
					t.Fatal(err)
				}
				visits = append(visits, q.ID)
			}
			for _, p := range accounts {
				if r.IntN(3) > 0 {
					w.patients.linkAs(p.Account, patient.Link{Patient: old, Proven: r.IntN(2) == 0})
					family[p.Account] = append(family[p.Account], old)
				}
			}
		}
		for _, p := range accounts { // and own visits of persons of the family, some of whom others know too
			of := family[p.Account]
			for i := range min(3, len(of)) {
				a, _, err := w.s.Hold(w.as(p), w.ask(of[i], w.on(days[2+r.IntN(2)]).ID))
				if err == nil { // somebody else may have booked for the person that day
					visits = append(visits, a.ID)
				}
			}
		}
		seen := 0
		for _, p := range accounts {
			var want, got []string
			for _, v := range visits {
				a, err := w.s.Get(w.as(p), v)
				if err == nil && slices.Contains(family[p.Account], a.Patient) {
					want = append(want, v.String())
				} else if err == nil {
					t.Errorf("a visit of a person who is not of the family is shown")
				}
			}
			list, err := w.s.List(w.as(p), "", page.Request{Limit: 100})
			if err != nil {
				t.Fatal(err)
			}
			for _, a := range list.Items {
				got = append(got, a.ID.String())
			}
			slices.Sort(want)
			slices.Sort(got)
			if !slices.Equal(got, want) {
				t.Errorf("the list has %v, the decisions permit %v", got, want)
			}
			seen += len(want)
		}
		if seen < 15 || seen >= len(visits)*len(accounts) {
			t.Errorf("%d of %d visits are seen: the families are too much alike", seen, len(visits)*len(accounts))
		}
	})
}

// TestFactsOfVisits: an explanation sees what decides, and another tenant's visit does not exist for it.
func TestFactsOfVisits(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		w.rota(0, 10, 30)
		me, own := w.person()
		other, _ := w.person()
		a := w.hold(me, w.ask(own, w.on("2026-03-04").ID))
		look := map[string]authz.Source{}
		for _, f := range w.m.Facts {
			look[f.Noun] = f
		}
		foreign := w.desk()
		foreign.Tenant = apitest.Other
		for name, tc := range map[string]struct {
			noun string
			who  auth.Principal
			item string
			want string
		}{
			"own visit":      {"Appointment", me, a.ID.String(), "map[account:" + me.Account.String() + " proven:false] <nil>"},
			"another's":      {"Appointment", other, a.ID.String(), "map[account:" + me.Account.String() + " proven:false] <nil>"},
			"other tenant":   {"Appointment", foreign, a.ID.String(), "map[] scheduling.not_found"},
			"session":        {"Schedule", w.desk(), a.Schedule.String(), "map[] <nil>"},
			"their session":  {"Schedule", foreign, a.Schedule.String(), "map[] scheduling.not_found"},
			"own person":     {"Patient", me, own.String(), "map[linked:true] <nil>"},
			"somebody":       {"Patient", other, own.String(), "map[linked:false] <nil>"},
			"staff":          {"Patient", w.desk(), own.String(), "map[linked:false] <nil>"},
			"no such person": {"Patient", me, a.ID.String(), "map[linked:false] <nil>"},
		} {
			item, err := look[tc.noun].Look(w.as(w.desk()), tc.who, tc.item)
			if got := fmt.Sprint(item.Attrs, " ", err); got != tc.want {
				t.Errorf("%s: %s, want %s", name, got, tc.want)
			}
		}
	})
}

// TestSessionsOfACampus: who has a role at one campus sees and stops the sessions there and no other's; a session that the tenant
// has not does not exist for anybody.
func TestSessionsOfACampus(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		w.rota(0, 10, 30)
		h := apitest.New(t, w.m.Routes)
		sch := w.on("2026-03-04")
		path := "/schedules/" + sch.ID.String()
		at := func(r auth.Role, o id.ID[auth.Organization]) auth.Principal {
			p := apitest.Staff(w.tenant)
			p.Grants = []auth.Grant{{Role: r, Organization: o}}
			return p
		}
		here, house, there := id.As[auth.Organization](w.campus), id.As[auth.Organization](w.tenant), id.Random[auth.Organization]()
		stop := func(who auth.Principal) apitest.Response {
			return h.Do(who, "POST", path+"/stop", map[string]any{"reason": "医师临时外出"}, apitest.Key(key(w.clock.Now())), apitest.IfMatch(sch.Version))
		}
		h.Do(at(auth.Registrar, there), "GET", path+"/appointments", nil).Refused(t, 403, "authz.denied")
		stop(at(auth.Operator, there)).Refused(t, 403, "authz.denied")
		h.Do(at(auth.Nurse, there), "GET", path+"/stop", nil).Refused(t, 403, "authz.denied")
		for _, o := range []id.ID[auth.Organization]{here, house, {}} {
			h.Do(at(auth.Registrar, o), "GET", path+"/appointments", nil).Want(t, 200)
			h.Do(at(auth.Registrar, o), "GET", "/schedules/"+id.Random[scheduling.Schedule]().String()+"/appointments", nil).Refused(t, 404, "scheduling.not_found")
		}
		foreign := at(auth.Operator, here)
		foreign.Tenant = apitest.Other
		stop(foreign).Refused(t, 404, "scheduling.not_found")
		stop(at(auth.Operator, here)).Want(t, 200)
		h.Do(at(auth.Nurse, here), "GET", path+"/stop", nil).Want(t, 200)
	})
}
