package privacysvc

import (
	"context"
	"strings"
	"time"
	"unicode/utf8"

	"xinglin/internal/kernel/clock"
	"xinglin/internal/platform/trail"
	"xinglin/internal/privacy"
)

// assessment is one version of an impact assessment (PIPL art. 55, 56).
type assessment struct {
	id                                            privacy.AssessmentID
	version                                       int
	title, processing, necessity, risks, measures string
	risk, conclusion                              string
	review                                        clock.Date
	account                                       accountID
	at                                            time.Time
}

// breach is one version of an incident (PIPL art. 57, R14).
type breach struct {
	id                         privacy.BreachID
	version                    int
	title, what, measures      string
	severity                   privacy.Severity
	persons                    int64
	found                      time.Time
	authorityBy, personsBy     time.Time
	authorityTold, personsTold time.Time
	notTold                    string
	closed                     time.Time
	account                    accountID
	at                         time.Time
}

// words checks texts of a register: each there (if needed) and not too long.
func words(fields map[string]string, optional ...string) error {
	for name, text := range fields {
		n := utf8.RuneCountInString(strings.TrimSpace(text))
		needed := true
		for _, o := range optional {
			needed = needed && o != name
		}
		most := maxText
		if name == "title" {
			most = maxTitle
		}
		if needed && n == 0 || n > most {
			return privacy.ErrRecord.At(name, "missing or too long")
		}
	}
	return nil
}

func (a assessment) check() error {
	if a.review == 0 {
		return privacy.ErrRecord.At("review_date", "when it is looked at again")
	}
	return words(map[string]string{"title": a.title, "processing": a.processing, "necessity": a.necessity, "risks": a.risks, "measures": a.measures})
}

// check says what a breach must be like: nothing was told before it was found, nothing lies in the future, and it is closed only when the
// authority was told and the persons were, or there is a reason not to (PIPL art. 57: measures that avert the harm).
func (b breach) check(now time.Time) error {
	soon := now.Add(5 * time.Minute)
	for name, at := range map[string]time.Time{"found_at": b.found, "authority_told_at": b.authorityTold, "persons_told_at": b.personsTold} {
		if at.After(soon) || !at.IsZero() && at.Before(b.found) {
			return privacy.ErrRecord.At(name, "in the future, or before it was found")
		}
	}
	switch {
	case b.found.IsZero():
		return privacy.ErrRecord.At("found_at", "missing")
	case b.persons < 0:
		return privacy.ErrRecord.At("persons", "not negative")
	case !b.closed.IsZero() && b.authorityTold.IsZero():
		return privacy.ErrRecord.At("authority_told_at", "it is closed after the authority was told")
	case !b.closed.IsZero() && b.personsTold.IsZero() && strings.TrimSpace(b.notTold) == "":
		return privacy.ErrRecord.At("persons_told_at", "it is closed after the persons were told, or with the reason not to")
	}
	return words(map[string]string{"title": b.title, "what": b.what, "measures": b.measures, "not_told_why": b.notTold}, "measures", "not_told_why")
}

// assessments lists the register, those to be looked at again first.
func (s *Service) assessments(ctx context.Context) ([]assessment, error) {
	who, _, err := s.may(ctx, "privacy.list_assessments", "Assessment", "")
	if err != nil {
		return nil, err
	}
	return s.store.assessments(ctx, who.Tenant)
}

// saveAssessment writes the first version (seen 0; a repeat of the id is the same) or the next one: privacy.stale.
func (s *Service) saveAssessment(ctx context.Context, action string, a assessment, seen int) (assessment, bool, error) {
	who, policy, err := s.may(ctx, action, "Assessment", a.id.String())
	if err != nil {
		return a, false, err
	}
	if err := a.check(); err != nil {
		return a, false, err
	}
	a.account, a.version = who.Account, seen+1
	hit, err := s.store.saveAssessment(ctx, who.Tenant, &a, trail.Entry{Action: action, Noun: "Assessment", ID: a.id.String(), Policy: policy})
	return a, hit, err
}

// breaches lists the register, open ones first, the newest first.
func (s *Service) breaches(ctx context.Context) ([]breach, error) {
	who, _, err := s.may(ctx, "privacy.list_breaches", "Breach", "")
	if err != nil {
		return nil, err
	}
	return s.store.breaches(ctx, who.Tenant)
}

// saveBreach writes the first version or the next one. The clocks run from when it was found, by its severity; a breach that is closed
// stays as it is: privacy.breach_closed.
func (s *Service) saveBreach(ctx context.Context, action string, b breach, seen int, closing bool) (breach, bool, error) {
	who, policy, err := s.may(ctx, action, "Breach", b.id.String())
	if err != nil {
		return b, false, err
	}
	now := s.now()
	if closing {
		b.closed = now
	}
	if err := b.check(now); err != nil {
		return b, false, err
	}
	authority, persons := b.severity.Tell()
	b.authorityBy, b.personsBy = b.found.Add(authority), b.found.Add(persons)
	b.account, b.version = who.Account, seen+1
	hit, err := s.store.saveBreach(ctx, who.Tenant, &b, trail.Entry{Action: action, Noun: "Breach", ID: b.id.String(), Policy: policy})
	return b, hit, err
}
