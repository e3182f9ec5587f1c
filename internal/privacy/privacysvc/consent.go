package privacysvc

import (
	"context"
	"strings"
	"time"
	"unicode/utf8"

	"xinglin/internal/patient"
	"xinglin/internal/privacy"
)

// choice is a purpose as the consent centre shows it.
type choice struct {
	text     privacy.Text
	decision privacy.Decision
	version  int // of the text that was decided about
	capacity privacy.Capacity
	at       time.Time
}

// consentRow is the last decision about a purpose.
type consentRow struct {
	purpose  privacy.Purpose
	state    privacy.Decision
	version  int
	account  accountID
	capacity privacy.Capacity
	at       time.Time
}

// decisionOf is what a row comes to under the text that is in force. child: the person is under 14 now.
func decisionOf(r *consentRow, current int, child bool) privacy.Decision {
	switch {
	case r == nil:
		return privacy.Undecided
	case r.state != privacy.Given:
		return privacy.Withdrawn
	case r.version != current, r.capacity == privacy.ByGuardian && !child:
		return privacy.Outdated
	}
	return privacy.Given
}

// Consented implements privacy.Service.
func (s *Service) Consented(ctx context.Context, t privacy.TenantID, p patient.ID, purpose privacy.Purpose) (bool, error) {
	m, err := s.ConsentedAmong(ctx, t, []patient.ID{p}, purpose)
	return m[p], err
}

// ConsentedAmong implements privacy.Service. Age is asked only where a guardian consented.
func (s *Service) ConsentedAmong(ctx context.Context, t privacy.TenantID, ps []patient.ID, purpose privacy.Purpose) (map[patient.ID]bool, error) {
	if len(ps) > maxAmong {
		return nil, privacy.ErrRequest.Because("more than %d persons in a batch", maxAmong)
	}
	out := map[patient.ID]bool{}
	given, err := s.store.inForce(ctx, t, ps, purpose)
	if err != nil {
		return nil, err
	}
	for p, capacity := range given {
		if capacity == privacy.ByGuardian {
			care, err := s.patients.Care(ctx, t, p)
			if isGone(err) {
				continue
			}
			if err != nil {
				return nil, err
			}
			if !care.Child {
				continue
			}
		}
		out[p] = true
	}
	return out, nil
}

// consents is the consent centre of a person: every purpose that has a text, with what was decided.
func (s *Service) consents(ctx context.Context, p patient.ID) ([]choice, error) {
	d, err := s.decides(ctx, "privacy.list_consents", "Patient", p.String(), p)
	if err != nil {
		return nil, err
	}
	texts, err := s.store.texts(ctx, d.who.Tenant)
	if err != nil {
		return nil, err
	}
	rows, err := s.store.decided(ctx, d.who.Tenant, p)
	if err != nil {
		return nil, err
	}
	var out []choice
	for _, purpose := range privacy.Purposes {
		text, ok := texts[purpose]
		if !ok {
			continue
		}
		c := choice{text: text, decision: decisionOf(nil, 0, false)}
		if r, ok := rows[purpose]; ok {
			c.decision = decisionOf(&r, text.Version, d.capacity == privacy.ByGuardian)
			c.version, c.capacity, c.at = r.version, r.capacity, r.at
		}
		out = append(out, c)
	}
	return out, nil
}

// decide gives or withdraws one consent. To give, version is the text that was read: privacy.text_outdated when another one is in
// force. To withdraw needs nothing but the wish. The same again changes nothing.
func (s *Service) decide(ctx context.Context, p patient.ID, purpose privacy.Purpose, given bool, version int) (choice, error) {
	d, err := s.decides(ctx, "privacy.decide_consent", "Patient", p.String(), p)
	if err != nil {
		return choice{}, err
	}
	if !purpose.Known() {
		return choice{}, privacy.ErrNotFound.New()
	}
	r := consentRow{purpose: purpose, state: privacy.Withdrawn, version: version, account: d.who.Account, capacity: d.capacity}
	if given {
		r.state = privacy.Given
	}
	text, r, err := s.store.decide(ctx, d.who.Tenant, p, r, d.policy)
	if err != nil {
		return choice{}, err
	}
	return choice{text: text, decision: decisionOf(&r, text.Version, d.capacity == privacy.ByGuardian), version: r.version, capacity: r.capacity, at: r.at}, nil
}

// steps are the decisions of a person, the newest first, at most 100.
func (s *Service) steps(ctx context.Context, p patient.ID) ([]consentRow, error) {
	d, err := s.decides(ctx, "privacy.list_consent_steps", "Patient", p.String(), p)
	if err != nil {
		return nil, err
	}
	return s.store.steps(ctx, d.who.Tenant, p)
}

// Publish implements privacy.Service.
func (s *Service) Publish(ctx context.Context, in privacy.TextSpec) (privacy.Text, error) {
	who, policy, err := s.may(ctx, "privacy.publish_text", "Purpose", string(in.Purpose))
	if err != nil {
		return privacy.Text{}, err
	}
	if !in.Purpose.Known() {
		return privacy.Text{}, privacy.ErrText.At("purpose", "there is no such purpose")
	}
	for lang, w := range map[string]*privacy.Wording{"zh": &in.ZH, "en": &in.EN} {
		for name, text := range map[string]*string{"title": &w.Title, "body": &w.Body, "necessity": &w.Necessity, "effect": &w.Effect} {
			*text = strings.TrimSpace(*text)
			most, needed := maxText, name == "title" || name == "body" || in.Purpose.Sensitive()
			if name == "title" {
				most = maxTitle
			}
			if n := utf8.RuneCountInString(*text); needed && n == 0 || n > most {
				return privacy.Text{}, privacy.ErrText.At(lang+"."+name, "missing or too long; health data needs necessity and effect")
			}
		}
	}
	return s.store.publish(ctx, who.Tenant, in, policy)
}

// allTexts are the texts in force, in the order of the consent centre.
func (s *Service) allTexts(ctx context.Context) ([]privacy.Text, error) {
	who, _, err := s.may(ctx, "privacy.list_texts", "Purpose", "")
	if err != nil {
		return nil, err
	}
	texts, err := s.store.texts(ctx, who.Tenant)
	if err != nil {
		return nil, err
	}
	var out []privacy.Text
	for _, p := range privacy.Purposes {
		if t, ok := texts[p]; ok {
			out = append(out, t)
		}
	}
	return out, nil
}
