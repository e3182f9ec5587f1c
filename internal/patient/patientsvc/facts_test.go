package patientsvc

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/fault"
	"xinglin/internal/kernel/id"
	"xinglin/internal/patient"
	"xinglin/internal/platform/authz"
	"xinglin/internal/testkit/apitest"
)

// TestFamilyListIsTheDecisions: accounts enter random persons, share some of them by a proof at the desk, and let some go. The
// list of an account holds exactly the persons that a question about each alone would permit.
func TestFamilyListIsTheDecisions(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		r := rand.New(rand.NewPCG(2, 9))
		desk := apitest.Staff(apitest.Main, auth.Registrar)
		var accounts []auth.Principal
		var persons []patient.ID
		var entered []patient.New
		var by []int // which account entered the person
		for a := range 4 {
			who := apitest.Patient(apitest.Main)
			accounts = append(accounts, who)
			for i := range 1 + r.IntN(3) {
				n := newPerson("张小三", residentID("19700102", 100+10*a+i), fmt.Sprintf("138001380%02d", 10*a+i), patient.Other)
				persons, entered = append(persons, h.add(who, n).ID), append(entered, n)
				by = append(by, a)
			}
		}
		for i, n := range entered { // another account wants the person too
			if r.IntN(2) == 0 {
				continue
			}
			c := h.claim(accounts[(by[i]+1+r.IntN(3))%4], n)
			if err := h.s.ProveAtDesk(h.as(desk), c.ID); err != nil {
				t.Fatalf("person %d: %v", i, err)
			}
		}
		for _, who := range accounts {
			if list, err := h.s.Family(h.as(who)); err == nil && len(list) > 1 && r.IntN(2) == 0 {
				if err := h.s.Unlink(h.as(who), list[r.IntN(len(list))].ID); err != nil {
					t.Fatal(err)
				}
			}
		}
		permitted := 0
		for _, who := range accounts {
			var want, got []patient.ID
			for _, p := range persons {
				if _, err := h.s.Read(h.as(who), p); err == nil {
					want = append(want, p)
				}
			}
			list, err := h.s.Family(h.as(who))
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range list {
				got = append(got, p.ID)
			}
			byID := func(a, b patient.ID) int { return slices.Compare(a[:], b[:]) }
			slices.SortFunc(want, byID)
			slices.SortFunc(got, byID)
			if !slices.Equal(got, want) {
				t.Errorf("the list has %v, the decisions permit %v", got, want)
			}
			permitted += len(want)
			// What an explanation would see is what decided.
			for _, p := range persons {
				item, err := look(h, "Patient").Look(h.as(desk), who, p.String())
				if err != nil || item.Attrs["linked"] != slices.Contains(want, p) {
					t.Errorf("facts of a person: %v, %v", item.Attrs, err)
				}
			}
		}
		if permitted <= len(persons)/2 || permitted >= len(persons)*len(accounts) {
			t.Errorf("%d of %d questions were permitted: the families are too much alike", permitted, len(persons)*len(accounts))
		}
	})
}

func look(h *house, noun string) authz.Source {
	i := slices.IndexFunc(h.s.sources(), func(f authz.Source) bool { return f.Noun == noun })
	return h.s.sources()[i]
}

// TestFactsOfClaims: a claim is its account's, and another tenant's does not exist.
func TestFactsOfClaims(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		first, second := apitest.Patient(apitest.Main), apitest.Patient(apitest.Main)
		h.add(first, zhang)
		c := h.claim(second, zhang)
		foreign := second
		foreign.Tenant = apitest.Other
		for name, tc := range map[string]struct {
			who  auth.Principal
			item string
			want string
		}{
			"own":          {second, c.ID.String(), "map[account:" + second.Account.String() + "] <nil>"},
			"another's":    {first, c.ID.String(), "map[account:" + second.Account.String() + "] <nil>"},
			"other tenant": {foreign, c.ID.String(), "patient.not_found"},
			"none":         {second, id.Random[patient.Claim]().String(), "patient.not_found"},
			"no id":        {second, "x", "patient.not_found"},
		} {
			item, err := look(h, "Claim").Look(h.as(first), tc.who, tc.item)
			got := fmt.Sprint(item.Attrs, " ", err)
			if err != nil {
				got = fault.Of(err).Code.Name
			}
			if got != tc.want {
				t.Errorf("%s: %s, want %s", name, got, tc.want)
			}
		}
	})
}
