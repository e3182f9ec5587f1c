package patientsvc

import (
	"context"
	"testing"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/id"
	"xinglin/internal/kernel/secret"
	"xinglin/internal/patient"
	"xinglin/internal/testkit"
	"xinglin/internal/testkit/apitest"
)

// TestCare: who acts for a person, and as the guardian of a child until the fourteenth birthday.
func TestCare(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		who := apitest.Patient(apitest.Main)
		me, kid := h.add(who, zhang), h.add(who, child) // born on 2018-06-01
		care, err := h.s.Care(context.Background(), apitest.Main, me.ID)
		if err != nil || care.Child || len(care.Carers) != 1 || care.Carers[0].Relationship != patient.Self || care.Carers[0].Guardian {
			t.Errorf("%+v %v", care, err)
		}
		for _, c := range []struct {
			on    clock.Date
			child bool
		}{{clock.NewDate(2032, 5, 31), true}, {clock.NewDate(2032, 6, 1), false}} {
			h.clk.Set(c.on.At(600))
			care, err = h.s.Care(context.Background(), apitest.Main, kid.ID)
			if err != nil || care.Child != c.child || len(care.Carers) != 1 || care.Carers[0].Guardian != c.child {
				t.Errorf("%s: %+v %v", c.on, care, err)
			}
		}
		_, err = h.s.Care(context.Background(), apitest.Other, me.ID)
		refused(t, err, patient.ErrNotFound)
	})
}

// TestCorrect: the officer corrects a name; it is found by the new one, what was verified is not any more, and a birth that the
// document contradicts is refused.
func TestCorrect(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		who := apitest.Patient(apitest.Main)
		me := h.add(who, zhang)
		officer := testkit.As(context.Background(), apitest.Staff(apitest.Main, auth.PrivacyOfficer))
		name, birth := secret.New("张大三"), clock.NewDate(1991, 1, 1)
		refused(t, h.s.Correct(officer, me.ID, patient.Correction{}), patient.ErrInvalid)
		refused(t, h.s.Correct(officer, me.ID, patient.Correction{Birth: &birth}), patient.ErrDocument)
		if err := h.s.Correct(testkit.As(context.Background(), apitest.Staff(apitest.Main, auth.Operator)), me.ID, patient.Correction{Name: &name}); err == nil {
			t.Error("an operator corrected a name")
		}
		refused(t, h.s.Correct(testkit.As(context.Background(), apitest.Staff(apitest.Other, auth.PrivacyOfficer)), me.ID, patient.Correction{Name: &name}), patient.ErrNotFound)
		if err := h.s.Correct(officer, me.ID, patient.Correction{Name: &name}); err != nil {
			t.Fatal(err)
		}
		is, err := h.s.Identify(officer, me.ID)
		if err != nil || !is.Name.Equal(name) || is.Birth != clock.NewDate(1990, 3, 7) || is.Document.Empty() {
			t.Errorf("%v %v", is, err)
		}
		if n := h.count(`SELECT COUNT(*) FROM patient WHERE tenant_id = $1 AND verified = 'none' AND version = 2 AND id = $2`, me.ID); n != 1 {
			t.Error("the row")
		}
		if err := h.s.Shred(testkit.AsSystem(context.Background(), apitest.Main, "job:privacy.erase"), me.ID); err != nil {
			t.Fatal(err)
		}
		_, err = h.s.Identify(officer, me.ID)
		refused(t, err, patient.ErrNotFound)
		_, err = h.s.Care(context.Background(), apitest.Main, id.As[patient.Patient](me.ID))
		refused(t, err, patient.ErrNotFound)
		h.clean()
	})
}
