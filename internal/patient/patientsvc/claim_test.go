package patientsvc

import (
	"context"
	"errors"
	"testing"
	"time"

	"xinglin/internal/identity"
	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/id"
	"xinglin/internal/kernel/secret"
	"xinglin/internal/patient"
	"xinglin/internal/platform/realname"
	"xinglin/internal/testkit"
	"xinglin/internal/testkit/apitest"
)

func TestClaimWithProof(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		first, second := apitest.Patient(apitest.Main), apitest.Patient(apitest.Main)
		p := h.add(first, zhang)
		h.acc.phones[second.Account] = "13800138000" // the phone on file is this account's: still no proof
		c := h.claim(second, with(zhang, func(n *patient.New) { n.Relationship = patient.Spouse }))
		if c.PhoneMasked != "138****8000" {
			t.Errorf("masked %q", c.PhoneMasked)
		}
		_, err := h.s.Read(h.as(second), p.ID)
		refused(t, err, patient.ErrNotFound)
		h.run()
		code := h.acc.last(t)
		if code.phone != "13800138000" {
			t.Errorf("sent to %s", code.phone)
		}
		_, err = h.s.Prove(h.as(apitest.Patient(apitest.Main)), c.ID, code.code) // somebody else's claim
		refused(t, err, patient.ErrNotFound)
		_, err = h.s.Prove(h.as(second), c.ID, "000000")
		refused(t, err, patient.ErrProof)
		got, err := h.s.Prove(h.as(second), c.ID, code.code)
		if err != nil || got.ID != p.ID || got.Relationship != patient.Spouse {
			t.Fatalf("%+v %v", got, err)
		}
		_, err = h.s.Prove(h.as(second), c.ID, code.code) // once
		refused(t, err, patient.ErrClaim)
		if h.count(`SELECT COUNT(*) FROM patient WHERE tenant_id = $1`) != 1 {
			t.Error("a second Patient")
		}
		h.run()
		if len(h.acc.sent) != 1 {
			t.Errorf("%d codes", len(h.acc.sent))
		}
		h.clean()
	})
}

// A text is often faster than the way back of who had it sent: its code is right at once.
func TestCodeIsRightWhenItArrives(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.add(apitest.Patient(apitest.Main), zhang)
		second := apitest.Patient(apitest.Main)
		c := h.claim(second, zhang)
		var proved error
		h.acc.left = func(code string) { _, proved = h.s.Prove(h.as(second), c.ID, code) }
		h.run()
		if proved != nil {
			t.Fatal(proved)
		}
		h.clean()
	})
}

// The job is repeated by another process: no second text, and the code stays right.
func TestCodeIsSentOnce(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.add(apitest.Patient(apitest.Main), zhang)
		second := apitest.Patient(apitest.Main)
		c := h.claim(second, zhang)
		h.run()
		code := h.acc.last(t).code
		if err := h.s.sendCode(testkit.AsSystem(t.Context(), apitest.Main, "job"), claimJob{c.ID}); err != nil {
			t.Fatal(err)
		}
		if len(h.acc.sent) != 1 {
			t.Fatalf("%d codes sent", len(h.acc.sent))
		}
		if _, err := h.s.Prove(h.as(second), c.ID, code); err != nil {
			t.Fatal(err)
		}
		h.clean()
	})
}

// Before the proof a right and a wrong name look the same, answer by answer.
func TestClaimTellsNothing(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.add(apitest.Patient(apitest.Main), zhang)
		answers := map[string][]string{}
		for name, n := range map[string]patient.New{"right": zhang, "wrong": with(zhang, func(n *patient.New) { n.Name = secret.New("李四四") })} {
			who := apitest.Patient(apitest.Main)
			for range 2 { // again within a minute: no refusal that tells of a code
				c := h.claim(who, n)
				answers[name] = append(answers[name], c.PhoneMasked)
				h.run()
				h.acc.busy = true
			}
			h.acc.busy = false
			c := h.claim(who, n)
			h.run()
			for range maxTries + 2 {
				_, err := h.s.Prove(h.as(who), c.ID, "000000")
				answers[name] = append(answers[name], err.Error())
			}
			h.clk.Add(2 * time.Minute)
			h.run()
		}
		if len(answers["right"]) != maxTries+4 {
			t.Fatal(answers)
		}
		for i, a := range answers["right"] {
			if b := answers["wrong"][i]; a != b {
				t.Errorf("answer %d: %q and %q", i, a, b)
			}
		}
		if a := answers["right"]; a[len(a)-1] != patient.ErrClaim.Name {
			t.Errorf("after five wrong codes: %s", a[len(a)-1])
		}
		for _, c := range h.acc.sent {
			if c.phone != "13800138000" {
				t.Error("a code went elsewhere")
			}
		}
		if n := h.count(`SELECT COUNT(*) FROM claim WHERE tenant_id = $1 AND state = 'failed'`); n != 2 {
			t.Errorf("%d failed claims", n)
		}
		h.clean()
	})
}

func TestWrongNameNeverProves(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.add(apitest.Patient(apitest.Main), zhang)
		right, wrong := apitest.Patient(apitest.Main), apitest.Patient(apitest.Main)
		h.claim(right, zhang)
		h.run()
		c := h.claim(wrong, with(zhang, func(n *patient.New) { n.Name = secret.New("李四四") }))
		h.run()
		if len(h.acc.sent) != 1 {
			t.Fatalf("%d codes sent", len(h.acc.sent))
		}
		_, err := h.s.Prove(h.as(wrong), c.ID, h.acc.last(t).code)
		refused(t, err, patient.ErrProof)
		refused(t, h.s.ProveAtDesk(h.as(apitest.Staff(apitest.Main, auth.Registrar)), c.ID), patient.ErrProof)
	})
}

func TestClaimsEnd(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		first, second := apitest.Patient(apitest.Main), apitest.Patient(apitest.Main)
		p := h.add(first, zhang)
		old := h.claim(second, zhang)
		h.run()
		oldCode := h.acc.last(t).code
		c := h.claim(second, zhang) // replaces
		h.run()
		_, err := h.s.Prove(h.as(second), old.ID, oldCode)
		refused(t, err, patient.ErrClaim)
		h.clk.Add(claimTime + time.Second)
		_, err = h.s.Prove(h.as(second), c.ID, h.acc.last(t).code)
		refused(t, err, patient.ErrClaim)
		// The phone is changed after the code has gone to the old one.
		c = h.claim(second, zhang)
		h.run()
		phone := secret.New("13700137000")
		if _, err := h.s.Update(h.as(first), p.ID, Change{Phone: &phone, Version: p.Version}); err != nil {
			t.Fatal(err)
		}
		_, err = h.s.Prove(h.as(second), c.ID, h.acc.last(t).code)
		refused(t, err, patient.ErrProof)
		_, err = h.s.Prove(h.as(second), id.Random[patient.Claim](), "000000")
		refused(t, err, patient.ErrNotFound)
		h.clean()
	})
}

func TestCodeAskedTooOftenComesLater(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.add(apitest.Patient(apitest.Main), zhang)
		second := apitest.Patient(apitest.Main)
		h.acc.busy = true
		c := h.claim(second, zhang)
		h.run()
		if len(h.acc.sent) != 0 {
			t.Fatal("sent")
		}
		h.acc.busy = false
		h.run() // not yet
		if len(h.acc.sent) != 0 {
			t.Fatal("sent at once")
		}
		h.clk.Add(codeAgain)
		h.run()
		if _, err := h.s.Prove(h.as(second), c.ID, h.acc.last(t).code); err != nil {
			t.Fatal(err)
		}
	})
}

func TestCodesAboutAPersonAreBounded(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.add(apitest.Patient(apitest.Main), zhang)
		for range maxCodes + 3 {
			h.claim(apitest.Patient(apitest.Main), zhang)
			h.run()
		}
		if len(h.acc.sent) != maxCodes {
			t.Fatalf("%d codes", len(h.acc.sent))
		}
		h.clk.Add(25 * time.Hour)
		h.claim(apitest.Patient(apitest.Main), zhang)
		h.run()
		if len(h.acc.sent) != maxCodes+1 {
			t.Fatalf("%d codes a day later", len(h.acc.sent))
		}
	})
}

func TestDesk(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		first, second := apitest.Patient(apitest.Main), apitest.Patient(apitest.Main)
		old := newPerson("李老四", residentID("19500101", 11), "", patient.Parent)
		p := h.add(first, old)
		c := h.claim(second, old)
		h.run()
		if c.PhoneMasked != "" || len(h.acc.sent) != 0 {
			t.Error("a code without a phone")
		}
		_, err := h.s.Prove(h.as(second), c.ID, "000000")
		refused(t, err, patient.ErrClaim)
		for _, denied := range []auth.Principal{second, apitest.Staff(apitest.Main, auth.Doctor), apitest.Staff(apitest.Main, auth.SystemAdmin)} {
			if err := h.s.ProveAtDesk(h.as(denied), c.ID); err == nil {
				t.Fatal("proved without a registrar")
			}
		}
		refused(t, h.s.ProveAtDesk(h.as(apitest.Staff(apitest.Other, auth.Registrar)), c.ID), patient.ErrNotFound)
		h.clk.Add(3 * 24 * time.Hour)
		desk := h.as(apitest.Staff(apitest.Main, auth.Registrar))
		if err := h.s.ProveAtDesk(desk, c.ID); err != nil {
			t.Fatal(err)
		}
		refused(t, h.s.ProveAtDesk(desk, c.ID), patient.ErrClaim)
		if got, err := h.s.Read(h.as(second), p.ID); err != nil || got.Relationship != patient.Parent {
			t.Errorf("%v %v", got, err)
		}
		h.clean()
	})
}

// The limits of the account hold at the proof as well, and a refused proof leaves nothing.
func TestProofKeepsTheLimits(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		first, second := apitest.Patient(apitest.Main), apitest.Patient(apitest.Main)
		h.add(first, zhang)
		c := h.claim(second, zhang) // as self
		h.run()
		h.add(second, newPerson("李四", residentID("19910101", 11), "", patient.Self))
		_, err := h.s.Prove(h.as(second), c.ID, h.acc.last(t).code)
		refused(t, err, patient.ErrSelfTwice)
		if n := h.count(`SELECT active FROM holder WHERE tenant_id = $1 AND account_id = $2`, second.Account); n != 1 {
			t.Errorf("%d links counted", n)
		}
		h.clean()
	})
}

func TestUpdate(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		who := apitest.Patient(apitest.Main)
		p := h.add(who, zhang)
		h.real.outcome = realname.Match
		v, err := h.s.Verify(h.as(who), p.ID)
		if err != nil || v.Verified != patient.Matched || !v.VerifiedAt.Equal(h.clk.Now()) || v.Version != p.Version+1 {
			t.Fatalf("%+v %v", v, err)
		}
		phone := secret.New(" 137-0013-7000")
		_, err = h.s.Update(h.as(who), p.ID, Change{Phone: &phone, Version: p.Version})
		refused(t, err, patient.ErrStale)
		got, err := h.s.Update(h.as(who), p.ID, Change{Phone: &phone, Version: v.Version})
		if err != nil || got.Phone.Reveal() != "13700137000" || got.Verified != patient.Unverified || got.Version != v.Version+1 {
			t.Fatalf("%+v %v", got, err)
		}
		for _, bad := range []Change{
			{Version: got.Version},
			{Phone: new(secret.Text), Version: got.Version},
			{Relationship: new(patient.Relationship), Version: got.Version},
		} {
			_, err = h.s.Update(h.as(who), p.ID, bad)
			refused(t, err, patient.ErrInvalid)
		}
		q := h.add(who, newPerson("李四", residentID("19910101", 11), "", patient.Spouse))
		self := patient.Self
		_, err = h.s.Update(h.as(who), q.ID, Change{Relationship: &self, Version: q.Version})
		refused(t, err, patient.ErrSelfTwice)
		rel := patient.Other
		if got, err := h.s.Update(h.as(who), q.ID, Change{Relationship: &rel, Version: q.Version}); err != nil || got.Relationship != rel {
			t.Errorf("%v %v", got, err)
		}
		if err := h.s.Unlink(h.as(who), q.ID); err != nil {
			t.Fatal(err)
		}
		refused(t, h.s.Unlink(h.as(who), q.ID), patient.ErrNotFound)
		if n := h.count(`SELECT active FROM holder WHERE tenant_id = $1 AND account_id = $2`, who.Account); n != 1 {
			t.Errorf("%d links counted", n)
		}
		h.clean()
	})
}

func TestVerification(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		who := apitest.Patient(apitest.Main)
		p := h.add(who, zhang)
		verify := func() (patient.Patient, error) { return h.s.Verify(h.as(who), p.ID) }
		h.real.err = realname.ErrUnreachable.New()
		for range maxVerifies + 1 { // a service that is down costs no try
			_, err := verify()
			refused(t, err, patient.ErrRealName)
		}
		if got, err := h.s.Read(h.as(who), p.ID); err != nil || got.Verified != patient.Unverified || got.Version != p.Version {
			t.Fatalf("half done: %+v %v", got, err)
		}
		h.real.err, h.real.outcome = nil, realname.Mismatch
		if got, err := verify(); err != nil || got.Verified != patient.Mismatched || got.VerifiedAt.IsZero() {
			t.Fatalf("%+v %v", got, err)
		}
		if q := h.real.asked[0]; !q.Name.Equal(zhang.Name) || !q.DocumentNumber.Equal(zhang.Document) || q.DocumentType != "resident_id" || !q.Phone.Equal(zhang.Phone) {
			t.Error("asked about somebody else")
		}
		// The phone changes while the question is under way: the answer is about the old one.
		h.real.outcome = realname.Match
		h.real.before = func() {
			h.real.before = nil
			now, err := h.s.Read(h.as(who), p.ID)
			if err != nil {
				t.Fatal(err)
			}
			phone := secret.New("13700137000")
			if _, err := h.s.Update(h.as(who), p.ID, Change{Phone: &phone, Version: now.Version}); err != nil {
				t.Fatal(err)
			}
		}
		_, err := verify()
		refused(t, err, patient.ErrStale)
		h.real.outcome = realname.Unknown
		if got, err := verify(); err != nil || got.Verified != patient.Unverified || got.VerifiedAt.IsZero() {
			t.Fatalf("%+v %v", got, err)
		}
		h.real.outcome = realname.Match
		for range 2 {
			if got, err := verify(); err != nil || got.Verified != patient.Matched {
				t.Fatal(got, err)
			}
		}
		_, err = verify()
		refused(t, err, patient.ErrTooOften)
		if b, err := h.s.Booker(h.as(who), p.ID); err != nil || b.Verified != patient.Matched {
			t.Errorf("%v %v", b, err)
		}
		h.clk.Add(24 * time.Hour)
		if _, err := verify(); err != nil {
			t.Error(err)
		}
		bare, _ := New(h.base, h.acc, nil)
		_, err = bare.Verify(h.as(who), p.ID)
		refused(t, err, patient.ErrRealName)
		h.clean()
	})
}

// Identity out of order is not a wrong code.
func TestProofWhileIdentityFails(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.add(apitest.Patient(apitest.Main), zhang)
		second := apitest.Patient(apitest.Main)
		c := h.claim(second, zhang)
		h.run()
		down := errors.New("down")
		broken, _ := New(h.base, failing{Service: h.acc, err: down}, nil)
		_, err := broken.Prove(h.as(second), c.ID, h.acc.last(t).code)
		refused(t, err, down)
		if _, err := h.s.Prove(h.as(second), c.ID, h.acc.last(t).code); err != nil {
			t.Error(err)
		}
	})
}

type failing struct {
	identity.Service
	err error
}

func (f failing) UseCode(context.Context, identity.TenantID, identity.ChallengeID, identity.Purpose, string) (secret.Text, error) {
	return secret.Text{}, f.err
}
