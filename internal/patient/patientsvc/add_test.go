package patientsvc

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/fault"
	"xinglin/internal/kernel/id"
	"xinglin/internal/kernel/secret"
	"xinglin/internal/patient"
	"xinglin/internal/platform/authz"
	"xinglin/internal/platform/crypt"
	"xinglin/internal/platform/db"
	"xinglin/internal/testkit"
	"xinglin/internal/testkit/apitest"
	"xinglin/internal/testkit/dbtest"
)

func TestAddReadsBack(t *testing.T) {
	clk := testkit.Clock()
	for _, algorithm := range []string{"aes-256-gcm", "sm4-gcm"} {
		t.Run(algorithm, func(t *testing.T) {
			dbtest.Each(t, testkit.Sets(Describe()), func(t *testing.T, srv *db.Server) {
				h := newHouse(t, srv, clk, algorithm)
				who := apitest.Patient(apitest.Main)
				p := h.add(who, zhang)
				got, err := h.s.Read(h.as(who), p.ID)
				if err != nil || !got.Name.Equal(zhang.Name) || !got.Document.Equal(zhang.Document) || !got.Phone.Equal(zhang.Phone) ||
					got.Sex != "male" || got.Birth != clock.NewDate(1990, time.March, 7) || got.Relationship != patient.Self ||
					got.Verified != patient.Unverified || got.Version != 1 {
					t.Fatalf("%+v %v", got, err)
				}
				again := h.add(who, with(zhang, func(n *patient.New) { n.Document = secret.New(strings.ToLower(n.Document.Reveal()) + " ") }))
				if again.ID != p.ID {
					t.Error("the same person twice")
				}
				if b, err := h.s.Booker(h.as(who), p.ID); err != nil || b.ID != p.ID || b.Birth != got.Birth {
					t.Errorf("booker: %v %v", b, err)
				}
				if ids, err := h.s.Linked(t.Context(), apitest.Main, who.Account); err != nil || len(ids) != 1 || ids[0] != (patient.Link{Patient: p.ID}) {
					t.Errorf("linked: %v %v", ids, err)
				}
				names, err := h.s.MaskedNames(t.Context(), apitest.Main, []patient.ID{p.ID, id.Random[patient.Patient]()})
				if err != nil || len(names) != 1 || names[p.ID] != "张*三" {
					t.Errorf("names: %v %v", names, err)
				}
				for _, staff := range []auth.Role{auth.Doctor, auth.Nurse, auth.Registrar} {
					v, err := h.s.Person(h.as(apitest.Staff(apitest.Main, staff)), p.ID)
					if err != nil || !v.Name.Equal(zhang.Name) || v.Birth != got.Birth || v.Sex != "male" {
						t.Errorf("person: %v %v", v, err)
					}
				}
				for name, x := range map[string]struct {
					who  auth.Principal
					id   patient.ID
					want *fault.Code
				}{
					"the person themselves": {who, p.ID, authz.ErrDenied},
					"an operator":           {apitest.Staff(apitest.Main, auth.Operator), p.ID, authz.ErrDenied},
					"another tenant":        {apitest.Staff(apitest.Other, auth.Doctor), p.ID, patient.ErrNotFound},
					"nobody":                {apitest.Staff(apitest.Main, auth.Doctor), id.Random[patient.Patient](), patient.ErrNotFound},
				} {
					if _, err := h.s.Person(h.as(x.who), x.id); !errors.Is(err, x.want) {
						t.Errorf("person for %s: %v", name, err)
					}
				}
				h.clean()
			}, dbtest.WithClock(clk))
		})
	}
}

func TestOtherPeopleSeeNothing(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		who := apitest.Patient(apitest.Main)
		p := h.add(who, zhang)
		same := who
		same.Tenant = apitest.Other // the same account id in another tenant
		for name, other := range map[string]auth.Principal{
			"another account": apitest.Patient(apitest.Main), "another tenant": apitest.Patient(apitest.Other), "same id, another tenant": same,
			"an operator": apitest.Staff(apitest.Main, auth.Operator), "a doctor": apitest.Staff(apitest.Main, auth.Doctor),
		} {
			ctx := h.as(other)
			_, err := h.s.Read(ctx, p.ID)
			_, err2 := h.s.Booker(ctx, p.ID)
			_, err3 := h.s.Update(ctx, p.ID, Change{Version: 1})
			_, err4 := h.s.Verify(ctx, p.ID)
			for _, err := range []error{err, err2, err3, err4, h.s.Unlink(ctx, p.ID)} {
				if !errors.Is(err, patient.ErrNotFound) {
					t.Errorf("%s: %v", name, err)
				}
			}
			if names, err := h.s.MaskedNames(ctx, other.Tenant, []patient.ID{p.ID}); other.Tenant == apitest.Other && (err != nil || len(names) != 0) {
				t.Errorf("%s: %v %v", name, names, err)
			}
		}
		// Another tenant is another world: the same document is a new person there.
		if q := h.add(apitest.Patient(apitest.Other), zhang); q.ID == p.ID {
			t.Error("one person in two tenants")
		}
		if _, err := h.s.Family(h.as(apitest.Staff(apitest.Main, auth.Operator))); err == nil {
			t.Error("an operator lists a family")
		}
		_, _, err := h.s.Add(h.as(apitest.Staff(apitest.Main, auth.Registrar)), zhang)
		if err == nil {
			t.Error("staff add persons to their own account")
		}
		_, _, err = h.s.Add(context.Background(), zhang)
		refused(t, err, auth.ErrNone)
		_, err = h.s.MaskedNames(t.Context(), apitest.Main, make([]patient.ID, maxNames+1))
		refused(t, err, patient.ErrInvalid)
	})
}

func TestPhoneOfOwnAccount(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		who := apitest.Patient(apitest.Main)
		h.acc.phones[who.Account] = "13900139000"
		none := func(n *patient.New) { n.Phone = secret.Text{} }
		for _, c := range []struct {
			n    patient.New
			want string
		}{
			{with(zhang, none), "13900139000"},
			{with(child, none), "13900139000"},
			{with(newPerson("李老四", residentID("19600101", 11), "", patient.Parent), none), ""},
		} {
			if p := h.add(who, c.n); p.Phone.Reveal() != c.want {
				t.Errorf("%s: %q", c.n.Relationship, p.Phone.Reveal())
			}
		}
	})
}

func TestLimitsOfAnAccount(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		who := apitest.Patient(apitest.Main)
		ctx := h.as(who)
		h.add(who, zhang)
		_, _, err := h.s.Add(ctx, newPerson("李四", residentID("19910101", 11), "", patient.Self))
		refused(t, err, patient.ErrSelfTwice)
		other := func(i int) patient.New {
			return newPerson("李四", residentID("19800101", 100+i), "", patient.Other)
		}
		var last patient.Patient
		for i := range maxPersons - 1 {
			last = h.add(who, other(i))
		}
		_, _, err = h.s.Add(ctx, other(50))
		refused(t, err, patient.ErrTooMany)
		if again := h.add(who, other(maxPersons-2)); again.ID != last.ID {
			t.Error("a full account cannot repeat what it has")
		}
		// Room again, until the day's entries are used up.
		for i := range maxEntries - maxPersons {
			if err := h.s.Unlink(ctx, last.ID); err != nil {
				t.Fatal(err)
			}
			last = h.add(who, other(60+i))
		}
		if err := h.s.Unlink(ctx, last.ID); err != nil {
			t.Fatal(err)
		}
		_, _, err = h.s.Add(ctx, other(90))
		refused(t, err, patient.ErrTooOften)
		h.clk.Add(24 * time.Hour)
		h.add(who, other(90))
		h.clean()
	})
}

func TestGuardians(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		parent := apitest.Patient(apitest.Main)
		h.add(parent, zhang)
		p := h.add(parent, child)
		for _, n := range []patient.New{
			with(child, func(n *patient.New) { n.GuardianConsent = false }),
			with(child, func(n *patient.New) { n.Relationship = patient.Self }),
			with(child, func(n *patient.New) { n.Relationship = patient.Other }),
		} {
			_, _, err := h.s.Add(h.as(apitest.Patient(apitest.Main)), n)
			refused(t, err, patient.ErrGuardian)
		}
		rel := patient.Other
		_, err := h.s.Update(h.as(parent), p.ID, Change{Relationship: &rel, Version: p.Version})
		refused(t, err, patient.ErrGuardian)
		// A person of 16 has an account, but is no guardian: neither before nor after.
		minor := apitest.Patient(apitest.Main)
		h.add(minor, newPerson("王小五", residentID("20090401", 31), "", patient.Self))
		sister := with(child, func(n *patient.New) { n.Document = secret.New(residentID("20200101", 22)) })
		_, _, err = h.s.Add(h.as(minor), sister)
		refused(t, err, patient.ErrGuardian)
		late := apitest.Patient(apitest.Main)
		h.add(late, sister)
		_, _, err = h.s.Add(h.as(late), newPerson("王小六", residentID("20090501", 31), "", patient.Self))
		refused(t, err, patient.ErrGuardian)
		// At 14 the child may become something else.
		h.clk.Set(time.Date(2032, 6, 1, 4, 0, 0, 0, time.UTC))
		if _, err := h.s.Update(h.as(parent), p.ID, Change{Relationship: &rel, Version: p.Version}); err != nil {
			t.Fatal(err)
		}
		h.clean()
	})
}

// Two accounts enter one person at once, many times: one Patient, one link, one open claim.
func TestRaceForOnePerson(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		two := []auth.Principal{apitest.Patient(apitest.Main), apitest.Patient(apitest.Main)}
		const n = 40
		var wg sync.WaitGroup
		added, claimed, errs := make([]*patient.Patient, n), make([]*patient.Claim, n), make([]error, n)
		for i := range n {
			wg.Go(func() { added[i], claimed[i], errs[i] = h.s.Add(h.as(two[i%2]), zhang) })
		}
		wg.Wait()
		winner := -1
		for i := range n {
			switch {
			case added[i] != nil:
				if winner >= 0 && winner != i%2 {
					t.Error("both accounts got the person without proof")
				}
				winner = i % 2
			case claimed[i] == nil && !errors.Is(errs[i], patient.ErrTooOften):
				t.Errorf("%d: %v", i, errs[i])
			}
		}
		if winner < 0 {
			t.Fatal("nobody got the person")
		}
		for i := range n {
			if (i%2 == winner) != (added[i] != nil) && errs[i] == nil {
				t.Errorf("%d: added %v, claimed %v", i, added[i] != nil, claimed[i] != nil)
			}
		}
		for q, want := range map[string]int{
			`SELECT COUNT(*) FROM patient WHERE tenant_id = $1`:                      1,
			`SELECT COUNT(*) FROM link WHERE tenant_id = $1 AND state = 'active'`:    1,
			`SELECT COUNT(*) FROM claim WHERE tenant_id = $1 AND state = 'open'`:     1,
			`SELECT COALESCE(SUM(active), 0) FROM holder WHERE tenant_id = $1`:       1,
			`SELECT COUNT(*) FROM outbox WHERE tenant_id = $1 AND name LIKE '%cre%'`: 1,
		} {
			if got := h.count(q); got != want {
				t.Errorf("%d: %s", got, q)
			}
		}
		h.clean()
	})
}

// What the losers of a race sealed under is destroyed; the winner's key is alive.
func TestLoserLeavesNoKey(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		who := apitest.Patient(apitest.Main)
		p := h.add(who, zhang)
		n, err := check(entry{name: "李四", docType: patient.ResidentID, number: zhang.Document.Reveal(), rel: patient.Other}, h.s.today())
		if err != nil {
			t.Fatal(err)
		}
		// As if the look had found nothing, because the other one had not committed yet.
		_, err = h.s.create(h.as(apitest.Patient(apitest.Main)), apitest.Patient(apitest.Main), n, "test")
		refused(t, err, errLost)
		if _, err := h.s.Read(h.as(who), p.ID); err != nil {
			t.Error(err)
		}
		if h.count(`SELECT COUNT(*) FROM holder WHERE tenant_id = $1`) != 1 {
			t.Error("the loser left something behind")
		}
	})
}

func TestShred(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		who := apitest.Patient(apitest.Main)
		p, kid := h.add(who, zhang), h.add(who, child)
		second := apitest.Patient(apitest.Main)
		open := h.claim(second, zhang)
		cli := testkit.AsCLI(context.Background(), apitest.Main)
		for _, denied := range []context.Context{h.as(who), h.as(apitest.Staff(apitest.Main, auth.SystemAdmin)), h.as(apitest.Staff(apitest.Main, auth.PrivacyOfficer))} {
			if err := h.s.Shred(denied, p.ID); err == nil {
				t.Fatal("shredded without the command line or the job of an erasure")
			}
		}
		refused(t, h.s.Shred(testkit.AsCLI(context.Background(), apitest.Other), p.ID), patient.ErrNotFound)
		for range 2 { // repeating is no error
			if err := h.s.Shred(cli, p.ID); err != nil {
				t.Fatal(err)
			}
		}
		_, err := h.s.Read(h.as(who), p.ID)
		refused(t, err, patient.ErrNotFound)
		_, err = h.s.Booker(h.as(who), p.ID)
		refused(t, err, patient.ErrNotFound)
		_, err = h.s.Person(h.as(apitest.Staff(apitest.Main, auth.Doctor)), p.ID)
		refused(t, err, patient.ErrNotFound)
		_, err = h.s.Prove(h.as(second), open.ID, "123456")
		refused(t, err, patient.ErrClaim)
		if names, err := h.s.MaskedNames(t.Context(), apitest.Main, []patient.ID{p.ID, kid.ID}); err != nil || len(names) != 1 {
			t.Errorf("names: %v %v", names, err)
		}
		if family, err := h.s.Family(h.as(who)); err != nil || len(family) != 1 || family[0].ID != kid.ID {
			t.Errorf("family: %v", err)
		}
		if _, err := h.base.Crypt.Export(t.Context(), apitest.Main, id.As[id.Any](p.ID)); !errors.Is(err, crypt.ErrShredded) {
			t.Errorf("the key: %v", err)
		}
		h.run()
		h.clean()
		// The person comes again, as a new one.
		if q := h.add(second, zhang); q.ID == p.ID {
			t.Error("the shredded row came back")
		}
		h.clean()
	})
}

// A key that was destroyed below us leaves no error, only nobody.
func TestKeyDestroyedOutside(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		who := apitest.Patient(apitest.Main)
		p := h.add(who, zhang)
		if err := h.base.Crypt.Shred(t.Context(), apitest.Main, id.As[id.Any](p.ID)); err != nil {
			t.Fatal(err)
		}
		_, err := h.s.Read(h.as(who), p.ID)
		refused(t, err, patient.ErrNotFound)
		if family, err := h.s.Family(h.as(who)); err != nil || len(family) != 0 {
			t.Errorf("family: %v %v", family, err)
		}
		if names, err := h.s.MaskedNames(t.Context(), apitest.Main, []patient.ID{p.ID}); err != nil || len(names) != 0 {
			t.Errorf("names: %v %v", names, err)
		}
		c := h.claim(apitest.Patient(apitest.Main), zhang)
		if c.PhoneMasked != "" {
			t.Error("a phone of a shredded person")
		}
		h.clean()
	})
}

func TestNoPersonalDataBeside(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		who, second := apitest.Patient(apitest.Main), apitest.Patient(apitest.Main)
		p := h.add(who, zhang)
		h.add(who, child)
		c := h.claim(second, zhang)
		h.run()
		if _, err := h.s.Prove(h.as(second), c.ID, h.acc.last(t).code); err != nil {
			t.Fatal(err)
		}
		if _, err := h.s.Verify(h.as(who), p.ID); err != nil {
			t.Fatal(err)
		}
		phone := secret.New("13700137000")
		now, err := h.s.Read(h.as(who), p.ID)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := h.s.Update(h.as(who), p.ID, Change{Phone: &phone, Version: now.Version}); err != nil {
			t.Fatal(err)
		}
		text := h.dump()
		for _, x := range []string{zhang.Document.Reveal(), child.Document.Reveal(), "张小三", "张小宝", "13800138000", "13700137000", h.acc.last(t).code + `"`} {
			if strings.Contains(text, x) {
				t.Errorf("%s stands in the trail, the outbox, a job or the history", x)
			}
		}
		if !strings.Contains(text, "patient.read") || !strings.Contains(text, "patient.linked") || !strings.Contains(text, "patient.link.changed.v1") {
			t.Error("the dump does not show what it should: the test looks at the wrong place")
		}
	})
}
