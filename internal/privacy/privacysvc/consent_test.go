package privacysvc

import (
	"sync"
	"testing"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/id"
	"xinglin/internal/patient"
	"xinglin/internal/platform/calendar"
	"xinglin/internal/privacy"
	"xinglin/internal/testkit/apitest"
)

func TestDecisionOf(t *testing.T) {
	given := func(version int, c privacy.Capacity) *consentRow {
		return &consentRow{state: privacy.Given, version: version, capacity: c}
	}
	for name, c := range map[string]struct {
		row   *consentRow
		child bool
		want  privacy.Decision
	}{
		"nothing":                        {nil, false, privacy.Undecided},
		"given":                          {given(2, privacy.BySelf), false, privacy.Given},
		"given to the text before":       {given(1, privacy.BySelf), false, privacy.Outdated},
		"by the guardian of a child":     {given(2, privacy.ByGuardian), true, privacy.Given},
		"by the guardian, who is 14 now": {given(2, privacy.ByGuardian), false, privacy.Outdated},
		"withdrawn":                      {&consentRow{state: privacy.Withdrawn, version: 2}, false, privacy.Withdrawn},
	} {
		if got := decisionOf(c.row, 2, c.child); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

// TestWorkingDays: fifteen working days, over weekends, the Spring Festival and the workdays that make up for it.
func TestWorkingDays(t *testing.T) {
	days := calendar.Embedded()
	for _, c := range []struct{ from, last clock.Date }{
		{clock.NewDate(2026, 3, 2), clock.NewDate(2026, 3, 23)},   // three plain weeks
		{clock.NewDate(2026, 3, 6), clock.NewDate(2026, 3, 27)},   // from a Friday
		{clock.NewDate(2026, 9, 25), clock.NewDate(2026, 10, 22)}, // the Mid-Autumn and National days
	} {
		got := lastDay(days, c.from, 15)
		n := 0
		for d := c.from.Add(1); d <= got; d = d.Add(1) {
			if works(days, d) {
				n++
			}
		}
		if n != 15 || !works(days, got) {
			t.Errorf("%s: %s has %d working days in between", c.from, got, n)
		}
		if c.from < clock.NewDate(2026, 9, 1) && got != c.last {
			t.Errorf("%s: %s, want %s", c.from, got, c.last)
		}
		if back := before(days, got, 15); back > c.from && works(days, c.from) {
			t.Errorf("%s: back to %s", c.from, back)
		}
	}
}

func TestConsents(t *testing.T) {
	each(t, func(h *house) {
		t := h.T
		who, p := h.adult()
		path := "/privacy/patients/" + p.String() + "/consents"
		give := func(version int) map[string]any {
			return map[string]any{"purpose": "research", "given": true, "version": version}
		}
		h.api.Do(who, "PUT", path, give(1)).Refused(t, 404, "privacy.not_found") // no text, nothing to agree to
		h.publish(privacy.Research, 0)
		h.publish(privacy.RecordSharing, 0)
		if n := len(h.api.Do(who, "GET", path, nil).Want(t, 200).Items(t)); n != 2 {
			t.Fatalf("%d purposes", n)
		}
		h.api.Do(who, "PUT", path, give(2)).Refused(t, 409, "privacy.text_outdated")
		h.api.Do(who, "PUT", path, give(0)).Refused(t, 409, "privacy.text_outdated")
		h.api.Do(who, "PUT", path, give(1)).Want(t, 200)
		h.api.Do(who, "PUT", path, give(1)).Want(t, 200)
		if n := h.number(`SELECT COUNT(*) FROM consent_step WHERE tenant_id = $1`); n != 1 {
			t.Errorf("the same again made a step: %d", n)
		}
		if !h.consented(p, privacy.Research) || h.consented(p, privacy.RecordSharing) {
			t.Error("one consent is one purpose's")
		}
		// A newer text asks again: the old consent does not count, and giving it by its old version is refused.
		h.publish(privacy.Research, 1)
		if h.consented(p, privacy.Research) {
			t.Error("a consent to the text before counts")
		}
		h.api.Do(who, "PUT", path, give(1)).Refused(t, 409, "privacy.text_outdated")
		h.api.Do(who, "PUT", path, give(2)).Want(t, 200)
		// Withdrawing needs nothing but the wish.
		h.api.Do(who, "PUT", path, map[string]any{"purpose": "research", "given": false}).Want(t, 200)
		if h.consented(p, privacy.Research) {
			t.Error("a withdrawn consent counts")
		}
		steps := h.api.Do(who, "GET", "/privacy/patients/"+p.String()+"/consent-steps", nil).Want(t, 200).Items(t)
		if len(steps) != 3 || steps[0]["decision"] != "withdrawn" {
			t.Errorf("steps: %v", steps)
		}
		// Others: another patient, another tenant, staff, and who books for the person without being it.
		h.api.Do(apitest.Patient(apitest.Main), "PUT", path, give(2)).Refused(t, 404, "patient.not_found")
		h.api.Do(apitest.Patient(apitest.Other), "PUT", path, give(2)).Refused(t, 404, "patient.not_found")
		h.api.Do(h.officer, "PUT", path, give(2)).Refused(t, 403, "authz.denied")
		son, mother := h.person(patient.Parent, false)
		h.api.Do(son, "PUT", "/privacy/patients/"+mother.String()+"/consents", give(2)).Refused(t, 403, "privacy.not_own")
		h.clean()
	})
}

func TestConsentOfAChild(t *testing.T) {
	each(t, func(h *house) {
		t := h.T
		h.publish(privacy.Personalisation, 0)
		guardian, p := h.child()
		path := "/privacy/patients/" + p.String() + "/consents"
		yes := map[string]any{"purpose": "personalisation", "given": true, "version": 1}
		if b := h.api.Do(guardian, "PUT", path, yes).Want(t, 200).Map(t); b["by"] != "guardian" {
			t.Errorf("by %v", b["by"])
		}
		if !h.consented(p, privacy.Personalisation) {
			t.Error("a guardian's consent does not count")
		}
		// Who is linked to a child without being its guardian decides nothing.
		aunt := apitest.Patient(apitest.Main)
		care := h.people.care[p]
		care.Carers = append(care.Carers, patient.Carer{Account: aunt.Account, Relationship: patient.Other})
		h.people.care[p] = care
		h.api.Do(aunt, "PUT", path, yes).Refused(t, 403, "privacy.not_own")
		// The fourteenth birthday: the guardian's does not count any more, and the person is asked.
		care.Child = false
		care.Carers = append(care.Carers, patient.Carer{Account: apitest.Patient(apitest.Main).Account, Relationship: patient.Self})
		h.people.care[p] = care
		if h.consented(p, privacy.Personalisation) {
			t.Error("a guardian's consent outlives the fourteenth birthday")
		}
		h.api.Do(guardian, "PUT", path, yes).Refused(t, 403, "privacy.not_own")
		h.clean()
	})
}

// TestConsentRace: many decisions at once leave one row and as many steps as it counts.
func TestConsentRace(t *testing.T) {
	each(t, func(h *house) {
		t := h.T
		h.publish(privacy.Research, 0)
		who, p := h.adult()
		ctx := h.as(who)
		if _, err := h.s.decide(ctx, p, privacy.Research, true, 1); err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for i := range 16 {
			wg.Go(func() {
				if _, err := h.s.decide(ctx, p, privacy.Research, i%2 == 0, 1); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if steps, rows := h.number(`SELECT steps FROM consent WHERE tenant_id = $1`), h.number(`SELECT COUNT(*) FROM consent_step WHERE tenant_id = $1`); steps != rows {
			t.Errorf("%d steps counted, %d written", steps, rows)
		}
		h.clean()
	})
}

func TestPublish(t *testing.T) {
	each(t, func(h *house) {
		t := h.T
		body := func(after int, effect string) map[string]any {
			w := map[string]any{"title": "共享", "body": "共享记录", "necessity": "需要", "effect": effect}
			return map[string]any{"purpose": "record_sharing", "after": after, "zh": w, "en": w}
		}
		operator := apitest.Staff(apitest.Main, auth.Operator)
		h.api.Do(operator, "POST", "/privacy/texts", body(0, "")).Refused(t, 422, "privacy.text_invalid") // health data without its effect (R55)
		h.api.Do(operator, "POST", "/privacy/texts", body(0, "有限")).Want(t, 201)
		h.api.Do(operator, "POST", "/privacy/texts", body(0, "有限")).Refused(t, 412, "privacy.stale")
		h.api.Do(apitest.Staff(apitest.Main, auth.Doctor), "POST", "/privacy/texts", body(1, "有限")).Refused(t, 403, "authz.denied")
		h.api.Do(apitest.Staff(apitest.Other, auth.Operator), "POST", "/privacy/texts", body(1, "有限")).Refused(t, 412, "privacy.stale")
		if n := len(h.api.Do(operator, "GET", "/privacy/texts", nil).Want(t, 200).Items(t)); n != 1 {
			t.Errorf("%d texts", n)
		}
	})
}

// TestPlanted: each check finds the row that breaks it.
func TestPlanted(t *testing.T) {
	for name, c := range map[string]struct{ breach, check string }{
		"another decision":  {`UPDATE consent SET state = 'withdrawn' WHERE tenant_id = $1`, "privacy: a consent is what its last step says"},
		"a leap":            {`DELETE FROM request_step WHERE tenant_id = $1`, "privacy: a request is where its last step led"},
		"a part left":       {`UPDATE request SET state = 'expired', ended_at = 1 WHERE tenant_id = $1 AND kind = 'copy'`, "privacy: only a file that waits has parts"},
		"words left":        {`UPDATE request SET kind = 'erase', state = 'done', ended_at = 1, decided_at = 1, decided_by = account_id WHERE tenant_id = $1 AND kind = 'correct'`, "privacy: of who was erased nothing is left that was said or decided"},
		"kept for too long": {`UPDATE retained SET until_at = until_at + 1 WHERE tenant_id = $1`, "privacy: a dossier is kept exactly as long as a record needs it"},
		"a gap":             {`UPDATE assessment SET version = 3 WHERE tenant_id = $1`, "privacy: an entry of a register has one latest version and no gap"},
	} {
		t.Run(name, func(t *testing.T) {
			each(t, func(h *house) {
				t := h.T
				h.planted()
				h.clean()
				h.exec(c.breach)
				found := h.violations()
				for _, v := range found {
					if v == c.check {
						return
					}
				}
				t.Errorf("verify found %q", found)
			})
		})
	}
}

// planted is one of everything.
func (h *house) planted() {
	h.Helper()
	h.publish(privacy.Research, 0)
	who, p := h.adult()
	if _, err := h.s.decide(h.as(who), p, privacy.Research, true, 1); err != nil {
		h.Fatal(err)
	}
	h.ask(who, p, `{"kind":"copy"}`)
	h.ask(who, p, `{"kind":"correct","reason":"姓名有误"}`)
	h.run()
	gone, q := h.adult()
	h.eraseWith(gone, q, 15)
	h.api.Do(h.officer, "POST", "/privacy/assessments", assessmentJSON, apitest.Key(id.New[privacy.Assessment](h.clk.Now()))).Want(h, 201)
}
