package privacysvc

import (
	"context"
	"encoding/json"
	"fmt"
	"time"
	"unicode/utf8"

	"xinglin/internal/kernel/id"
	"xinglin/internal/kernel/secret"
	"xinglin/internal/patient"
	"xinglin/internal/platform/crypt"
	"xinglin/internal/platform/holdings"
	"xinglin/internal/platform/trail"
	"xinglin/internal/privacy"
)

// dossier is who an erased person was, as it is kept sealed as long as the law wants records of visits.
type dossier struct {
	Name         string `json:"name"`
	DocumentType string `json:"document_type"`
	Document     string `json:"document"`
	Birth        string `json:"birth_date"`
	Sex          string `json:"sex"`
}

// retainedRow is such a dossier.
type retainedRow struct {
	id        privacy.RetainedID
	patient   patient.ID
	request   privacy.RequestID
	sealed    []byte
	until     time.Time
	created   time.Time
	destroyed time.Time
}

// retainedField is its place: the key is the dossier's own, so that destroying the person's leaves it, and ending it leaves nothing.
func retainedField(t privacy.TenantID, r privacy.RetainedID) crypt.Field {
	return crypt.Field{Tenant: t, Person: id.As[id.Any](r), Table: "privacy.retained", Column: "sealed", Row: r.String()}
}

// erase is the job of an erasure that was decided. Each step may be repeated, so a crash between two costs nothing: what the law wants
// kept is put aside, the person's own accounts are closed, each context deletes what it may, and last the person's key goes.
func (s *Service) erase(ctx context.Context, j requestJob) error {
	who, policy, err := s.may(ctx, "privacy.erase", "Request", j.Request.String())
	if err != nil {
		return err
	}
	r, err := s.store.request(ctx, who.Tenant, j.Request)
	if err != nil || r.kind != privacy.Erase || r.state != privacy.Working {
		return err
	}
	of, err := s.subject(ctx, who.Tenant, r.patient)
	if err != nil && !isGone(err) {
		return err
	}
	if isGone(err) && r.capacity == privacy.BySelf {
		of.Accounts = append(of.Accounts, r.account) // a repeat: the links are gone
	}
	var keeps []holdings.KeptRows
	for _, h := range s.holders {
		some, err := h.Keeps(ctx, of)
		if err != nil {
			return err
		}
		keeps = append(keeps, some...)
	}
	if err := s.putAside(ctx, who.Tenant, r, keeps, policy); err != nil {
		return err
	}
	for _, a := range of.Accounts {
		if err := s.accounts.Close(ctx, a); err != nil {
			return err
		}
	}
	for _, h := range s.holders {
		if err := h.Erase(ctx, of, "privacy.erase", policy); err != nil {
			return err
		}
	}
	if err := s.patients.Shred(ctx, r.patient); err != nil {
		return err
	}
	return s.store.erased(ctx, who.Tenant, r, keeps, policy)
}

// putAside keeps who the person was where a record would be none without it (R11), until the last such record may go. It stands
// before the key goes; a repeat keeps what is there.
func (s *Service) putAside(ctx context.Context, t privacy.TenantID, r requestRow, keeps []holdings.KeptRows, policy string) error {
	var until time.Time
	for _, k := range keeps {
		if k.Identity {
			until = holdings.Latest(until, k.Until)
		}
	}
	if until.IsZero() {
		return nil
	}
	is, err := s.patients.Identify(ctx, r.patient)
	if isGone(err) {
		return nil // a repeat
	}
	if err != nil {
		return err
	}
	text, err := json.Marshal(dossier{is.Name.Reveal(), string(is.DocumentType), is.Document.Reveal(), is.Birth.String(), is.Sex})
	if err != nil {
		return err
	}
	row := retainedRow{id: id.New[privacy.Retained](s.now()), patient: r.patient, request: r.id, until: until}
	if row.sealed, err = s.base.Crypt.Seal(ctx, retainedField(t, row.id), text); err != nil {
		return err
	}
	won, err := s.store.putAside(ctx, t, row, policy)
	if err == nil && !won { // kept before: nobody needs this key
		err = s.base.Crypt.Shred(ctx, t, id.As[id.Any](row.id))
	}
	return err
}

// endRetention is the job at the end of the term: the dossier's key goes, and nothing says who it was.
func (s *Service) endRetention(ctx context.Context, j retainedJob) error {
	who, policy, err := s.may(ctx, "privacy.end_retention", "Retained", j.Retained.String())
	if err != nil {
		return err
	}
	r, err := s.store.retained(ctx, who.Tenant, j.Retained)
	if err != nil {
		return err
	}
	if s.now().Before(r.until) {
		return fmt.Errorf("privacy: a dossier's end came early")
	}
	if err := s.base.Crypt.Shred(ctx, who.Tenant, id.As[id.Any](r.id)); err != nil {
		return err
	}
	return s.store.endRetention(ctx, who.Tenant, r.id, policy)
}

// listRetained are the dossiers, the newest first.
func (s *Service) listRetained(ctx context.Context, after privacy.RetainedID, limit int) ([]retainedRow, error) {
	who, policy, err := s.may(ctx, "privacy.list_retained", "Retained", "")
	if err != nil {
		return nil, err
	}
	rows, err := s.store.allRetained(ctx, who.Tenant, after, limit)
	if err != nil {
		return nil, err
	}
	return rows, s.store.note(ctx, who.Tenant, trail.Entry{Action: "privacy.list_retained", Noun: "Retained", Policy: policy})
}

// openRetained opens one for a court, an authority or the erased person's own claim, with the reason in the trail. The audit row comes
// first: nothing is shown without it.
func (s *Service) openRetained(ctx context.Context, r privacy.RetainedID, why string) (dossier, error) {
	who, policy, err := s.may(ctx, "privacy.open_retained", "Retained", r.String())
	if err != nil {
		return dossier{}, err
	}
	if n := utf8.RuneCountInString(why); n < 4 || n > 200 {
		return dossier{}, privacy.ErrRequest.At("why", "4 to 200 characters: who asks and by which document, no names of patients")
	}
	row, err := s.store.retained(ctx, who.Tenant, r)
	if err != nil {
		return dossier{}, err
	}
	if !row.destroyed.IsZero() {
		return dossier{}, privacy.ErrNotFound.New()
	}
	if err := s.store.note(ctx, who.Tenant, trail.Entry{Action: "privacy.open_retained", Noun: "Retained", ID: r.String(), Policy: policy, Why: why}); err != nil {
		return dossier{}, err
	}
	text, err := s.base.Crypt.OpenText(ctx, retainedField(who.Tenant, r), row.sealed)
	if err != nil {
		return dossier{}, err
	}
	return readDossier(text)
}

func readDossier(text secret.Text) (d dossier, err error) {
	if err := json.Unmarshal([]byte(text.Reveal()), &d); err != nil {
		return d, fmt.Errorf("privacy: a dossier is no JSON") // the decoder's words quote it
	}
	return d, nil
}
