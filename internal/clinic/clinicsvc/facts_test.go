package clinicsvc

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"xinglin/internal/clinic"
	"xinglin/internal/directory"
	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/fault"
	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/authz"
	"xinglin/internal/scheduling"
	"xinglin/internal/testkit/apitest"
)

var eastID = id.Must[directory.Campus]("01900000-0000-7000-8000-0000000000c9")

// TestListIsTheDecisions: whoever asks, with whatever roles at whatever places, the list of lines holds exactly those that a
// question about each line alone would permit. Random members of staff on both engines.
func TestListIsTheDecisions(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		day := clock.DateOf(w.clock.Now())
		var lines []scheduleID
		for i, c := range []directory.CampusID{campusID, campusID, eastID, eastID, campusID, eastID} {
			p := []directory.PractitionerID{linID, zhouID}[i%2]
			v := scheduling.Schedule{
				ID: id.New[scheduling.Schedule](w.clock.Now()), Date: day, Session: scheduling.Morning, Campus: c, Department: heartID, Practitioner: p,
				StartsAt: day.At(540 + 60*i), EndsAt: day.At(600 + 60*i), Location: "301", State: scheduling.ScheduleOpen,
			}
			w.bookings.sessions[v.ID] = v
			hearAll(w, w.s.onPublished, scheduling.SchedulePublished{Schedule: v.ID, Campus: c, Department: heartID, Practitioner: p, Date: day, Session: v.Session})
			lines = append(lines, v.ID)
		}
		roles := []auth.Role{auth.Doctor, auth.Nurse, auth.Registrar, auth.Operator}
		places := []id.ID[auth.Organization]{
			{}, id.As[auth.Organization](w.tenant), id.As[auth.Organization](campusID), id.As[auth.Organization](eastID), id.Random[auth.Organization](),
		}
		practitioners := []id.ID[id.Any]{{}, id.As[id.Any](linID), id.As[id.Any](zhouID), id.Random[id.Any]()}
		r := rand.New(rand.NewPCG(7, 11))
		some, none, all := 0, 0, 0
		for range 300 {
			who := apitest.Staff(w.tenant)
			who.Practitioner = practitioners[r.IntN(len(practitioners))]
			for range 1 + r.IntN(3) {
				who.Grants = append(who.Grants, auth.Grant{Role: roles[r.IntN(len(roles))], Organization: places[r.IntN(len(places))]})
			}
			ctx := w.as(who)
			var want, got []scheduleID
			for _, l := range lines {
				if _, err := w.s.Queue(ctx, l); err == nil {
					want = append(want, l)
				}
			}
			list, err := w.s.Lines(ctx, clinic.Query{Date: day})
			if err != nil {
				t.Fatalf("%v: %v", who.Grants, err)
			}
			for _, l := range list {
				got = append(got, l.Schedule)
			}
			if !slices.Equal(got, want) {
				t.Errorf("%v, practitioner %s: the list has %v, the decisions permit %v", who.Grants, who.Practitioner, got, want)
			}
			switch len(want) {
			case 0:
				none++
			case len(lines):
				all++
			default:
				some++
			}
		}
		if some < 50 || none < 20 || all < 50 {
			t.Errorf("the members of staff are too much alike: %d see some lines, %d none, %d all", some, none, all)
		}
	})
}

// TestFactsOfItems: an explanation sees what decides, and other tenants' items do not exist for it.
func TestFactsOfItems(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		line := w.session(2)
		v := w.book(line, 1)[0]
		look := map[string]authz.Source{}
		for _, f := range w.m.Facts {
			look[f.Noun] = f
		}
		elsewhere := w.nurse
		elsewhere.Tenant = apitest.Other
		for name, tc := range map[string]struct {
			noun string
			who  auth.Principal
			item string
			want string
		}{
			"own line":       {"Line", w.doctor, line.String(), "map[own:true] 2"},
			"another's line": {"Line", w.other, line.String(), "map[own:false] 2"},
			"turn, doctor":   {"Turn", w.doctor, v.turn.String(), "map[account:" + v.Account.String() + " own:true proven:false] 2"},
			"turn, patient":  {"Turn", v.Principal, v.turn.String(), "map[account:" + v.Account.String() + " own:false proven:false] 2"},
			"no line":        {"Line", w.doctor, v.turn.String(), "clinic.not_found"},
			"no turn":        {"Turn", w.doctor, line.String(), "clinic.not_found"},
			"no id":          {"Line", w.doctor, "x", "clinic.not_found"},
			"other tenant":   {"Line", elsewhere, line.String(), "clinic.not_found"},
			"their turn":     {"Turn", elsewhere, v.turn.String(), "clinic.not_found"},
		} {
			item, err := look[tc.noun].Look(w.as(w.operator), tc.who, tc.item)
			got := fmt.Sprint(item.Attrs, len(item.At))
			if err != nil {
				got = fault.Of(err).Code.Name
			}
			if got != tc.want {
				t.Errorf("%s: %s, want %s", name, got, tc.want)
			}
		}
	})
}
