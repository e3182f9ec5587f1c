package privacysvc

import (
	"context"
	"encoding/json"
	"strings"
	"unicode/utf8"

	"xinglin/internal/kernel/secret"
	"xinglin/internal/patient"
	"xinglin/internal/platform/idem"
	"xinglin/internal/platform/trail"
	"xinglin/internal/privacy"
)

func errReused() error { return idem.ErrReused.New() }

// due lists requests for the officer: those to be decided, the most urgent first, or those that ended, the newest first.
func (s *Service) due(ctx context.Context, ended bool, after cursor, limit int) (rows []requestRow, names map[patient.ID]string, err error) {
	who, policy, err := s.may(ctx, "privacy.list_due", "Request", "")
	if err != nil {
		return nil, nil, err
	}
	if rows, err = s.store.due(ctx, who.Tenant, ended, after, limit); err != nil {
		return nil, nil, err
	}
	var ps []patient.ID
	for _, r := range rows {
		ps = append(ps, r.patient)
	}
	if names, err = s.patients.MaskedNames(ctx, who.Tenant, ps); err != nil {
		return nil, nil, err
	}
	return rows, names, s.store.note(ctx, who.Tenant, trail.Entry{Action: "privacy.list_due", Noun: "Request", Policy: policy})
}

// forOfficer is a request with who asks, for a decision.
type forOfficer struct {
	requestView
	person *patient.Identity // nil when the person is erased or nothing is to be decided
	access *access           // of an objection, while the person's record is there
}

func (s *Service) readRequest(ctx context.Context, r privacy.RequestID) (out forOfficer, err error) {
	who, policy, err := s.may(ctx, "privacy.read_request", "Request", r.String())
	if err != nil {
		return out, err
	}
	row, err := s.store.request(ctx, who.Tenant, r)
	if err != nil {
		return out, err
	}
	if out.requestView, err = s.view(ctx, who.Tenant, row); err != nil {
		return out, err
	}
	if row.state == privacy.Open {
		is, err := s.patients.Identify(ctx, row.patient)
		if err != nil && !isGone(err) {
			return out, err
		}
		if err == nil {
			out.person = &is
		}
	}
	if row.kind == privacy.Object {
		a, err := s.accessTo(ctx, who.Tenant, row.patient, row.event)
		if err != nil && !isGone(err) {
			return out, err
		}
		if err == nil {
			out.access = &a
		}
	}
	return out, s.store.note(ctx, who.Tenant, trail.Entry{Action: "privacy.read_request", Noun: "Request", ID: r.String(), Policy: policy})
}

// decision is what the officer says.
type decision struct {
	accept  bool
	note    secret.Text // told to the person; needed for a refusal, and for an objection
	version int64
}

// decideRequest decides an open request. Accepting a correction makes it (what was before is kept sealed); accepting an erasure starts
// it. privacy.request_state, privacy.stale, privacy.business_open; patient.invalid when a correction cannot be.
func (s *Service) decideRequest(ctx context.Context, r privacy.RequestID, in decision) (requestView, error) {
	who, policy, err := s.may(ctx, "privacy.decide_request", "Request", r.String())
	if err != nil {
		return requestView{}, err
	}
	n := utf8.RuneCountInString(strings.TrimSpace(in.note.Reveal()))
	row, err := s.store.request(ctx, who.Tenant, r)
	if err != nil {
		return requestView{}, err
	}
	if n > 1000 || n < 2 && (!in.accept || row.kind == privacy.Object) {
		return requestView{}, privacy.ErrRequest.At("note", "a refusal needs its reason, an objection its answer, at most 1000 characters")
	}
	if row.state != privacy.Open {
		return requestView{}, privacy.ErrState.New()
	}
	if row.version != in.version {
		return requestView{}, privacy.ErrStale.New()
	}
	m := move{request: r, from: privacy.Open, to: privacy.Refused, action: "privacy.decide_request", policy: policy, by: who.Account, version: in.version}
	if in.accept {
		if m.to, err = s.accepted(ctx, who.Tenant, row); err != nil {
			return requestView{}, err
		}
	}
	if m.answer, err = s.base.Crypt.SealText(ctx, field(who.Tenant, row.patient, "answer", r.String()), in.note); err != nil {
		return requestView{}, err
	}
	if err := s.store.move(ctx, who.Tenant, m); err != nil {
		return requestView{}, err
	}
	if row, err = s.store.request(ctx, who.Tenant, r); err != nil {
		return requestView{}, err
	}
	return s.view(ctx, who.Tenant, row)
}

// accepted does what comes before the decision is written, and says which state it leads to. A correction is made of absolute values,
// so that a repeat after a crash makes it again; what was before is written down first, once.
func (s *Service) accepted(ctx context.Context, t privacy.TenantID, row requestRow) (privacy.State, error) {
	switch row.kind {
	case privacy.Object:
		return privacy.Done, nil // what follows from it is told in the note
	case privacy.Erase:
		waiting, err := s.waiting(ctx, t, row.patient)
		if err == nil && len(waiting) > 0 {
			err = privacy.ErrBusiness.New()
		}
		return privacy.Working, err
	}
	v, err := s.view(ctx, t, row)
	if err != nil || v.wish == nil || *v.wish == (wish{}) {
		return privacy.Done, err // by other means, which the note tells
	}
	c, err := v.wish.correction()
	if err != nil {
		return "", err
	}
	if row.was == nil {
		is, err := s.patients.Identify(ctx, row.patient)
		if err != nil {
			return "", err
		}
		text, err := json.Marshal(wish{Name: is.Name.Reveal(), Birth: is.Birth.String(), Sex: is.Sex})
		if err != nil {
			return "", err
		}
		sealed, err := s.base.Crypt.Seal(ctx, field(t, row.patient, "was", row.id.String()), text)
		if err != nil {
			return "", err
		}
		if err := s.store.before(ctx, t, row.id, sealed); err != nil {
			return "", err
		}
	}
	return privacy.Done, s.patients.Correct(ctx, row.patient, c)
}
