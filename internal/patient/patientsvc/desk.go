package patientsvc

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"unicode"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/dataclass"
	"xinglin/internal/kernel/fault"
	"xinglin/internal/kernel/id"
	"xinglin/internal/kernel/secret"
	"xinglin/internal/patient"
	"xinglin/internal/platform/authz"
	"xinglin/internal/platform/blind"
	"xinglin/internal/platform/crypt"
	"xinglin/internal/platform/idem"
)

// maxAtDesk bounds what one search shows.
const maxAtDesk = 20

// The purposes of the blind indexes that the desk needs. The last makes the hash of a
// request: a plain one of a person's data could be guessed.
const (
	indexPhone   = "patient.phone"
	indexName    = "patient.name"
	indexRequest = "patient.desk_request"
)

// searchKeys find a person beside the document; an empty one stays as it is.
type searchKeys struct{ phone, name blind.Value }

// keysOf are the keys of a checked person.
func keysOf(n person) searchKeys {
	k := searchKeys{name: blind.Of(indexName, secret.New(nameKey(n.name.Reveal(), n.birth)))}
	if !n.phone.Empty() {
		k.phone = blind.Of(indexPhone, n.phone)
	}
	return k
}

// nameKey is a name and a birth date as one text: what people write differently (case, spaces, dots) is left out.
func nameKey(name string, birth clock.Date) string {
	return birth.String() + ":" + plainName(name)
}

func plainName(name string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.IsMark(r) {
			return unicode.ToLower(r)
		}
		return -1
	}, tidyName(name))
}

// Search is what the desk looks for: a document (without a type: any that the number may be of), or a phone, or name and
// birth together.
type Search struct {
	DocumentType patient.DocumentType
	Document     secret.Text
	Phone        secret.Text
	Name         secret.Text
	Birth        *clock.Date // nil: not given
}

// The ways of searching, as the audit names them.
const (
	byDocument = "document"
	byPhone    = "phone"
	byName     = "name_and_birth"
)

// SearchAtDesk finds persons exactly, the latest first, at most 20; more tells that there are others. For each person that
// is shown, and for a search that finds nobody, there is an audit row with the way of searching, never with what was
// searched for. Codes: patient.invalid (not exactly one way), patient.document_invalid.
func (s *Service) SearchAtDesk(ctx context.Context, q Search) (out []patient.Patient, more bool, err error) {
	who, err := auth.From(ctx)
	if err != nil {
		return nil, false, err
	}
	d, err := s.authz.Check(ctx, authz.Request{Action: "patient.search_at_desk", Noun: "Patient"})
	if err != nil {
		return nil, false, err
	}
	way, found, err := s.search(ctx, who.Tenant, q)
	if err != nil {
		return nil, false, err
	}
	if more = len(found) > maxAtDesk; more {
		found = found[:maxAtDesk]
	}
	persons := make([]id.ID[id.Any], 0, len(found))
	for _, r := range found {
		persons = append(persons, id.As[id.Any](r.id))
	}
	if err := s.crypt.Warm(ctx, who.Tenant, persons...); err != nil {
		return nil, false, err
	}
	for _, r := range found {
		p, err := s.open(ctx, who.Tenant, linked{row: r})
		if errors.Is(err, patient.ErrNotFound) {
			continue // its key was destroyed just now
		}
		if err != nil {
			return nil, false, err
		}
		out = append(out, p)
	}
	shown := make([]patient.ID, 0, len(out))
	for _, p := range out {
		shown = append(shown, p.ID)
	}
	return out, more, s.store.shown(ctx, who.Tenant, "patient.search_at_desk", shown, way, d.Policy)
}

// search asks the one way that is filled in.
func (s *Service) search(ctx context.Context, t patient.TenantID, q Search) (way string, found []row, err error) {
	named := !q.Name.Empty() || q.Birth != nil
	ways := 0
	for _, given := range []bool{!q.Document.Empty(), !q.Phone.Empty(), named} {
		if given {
			ways++
		}
	}
	switch {
	case ways != 1:
		return "", nil, patient.ErrInvalid.At("document", "a document, or a phone, or a name with the birth date: one of them")
	case !q.Document.Empty():
		found, err = s.searchDocument(ctx, t, q)
		return byDocument, found, err
	case !q.Phone.Empty():
		phone, ok := phoneNumber(q.Phone.Reveal())
		if !ok {
			return "", nil, patient.ErrInvalid.At("phone", "want a mobile number")
		}
		found, err = s.store.search(ctx, t, blind.Of(indexPhone, secret.New(phone)))
		return byPhone, found, err
	}
	if plainName(q.Name.Reveal()) == "" {
		return "", nil, patient.ErrInvalid.At("name", "needed with the birth date")
	}
	if q.Birth == nil || !born(*q.Birth, s.today()) {
		return "", nil, patient.ErrInvalid.At("birth", "needed with the name")
	}
	found, err = s.store.search(ctx, t, blind.Of(indexName, secret.New(nameKey(q.Name.Reveal(), *q.Birth))))
	return byName, found, err
}

// documentTypes are all of them, the most frequent first.
var documentTypes = []patient.DocumentType{
	patient.ResidentID, patient.HMTResidence, patient.HMTPermit, patient.ForeignPR, patient.Passport, patient.BirthCert, patient.Internal,
}

// searchDocument looks for the number under its type, or under each that it may be of.
func (s *Service) searchDocument(ctx context.Context, t patient.TenantID, q Search) (found []row, err error) {
	types := documentTypes
	if q.DocumentType != "" {
		types = []patient.DocumentType{q.DocumentType}
	}
	fits := false
	for _, dt := range types {
		number, _, _, ok := document(dt, q.Document.Reveal(), s.today())
		if !ok {
			continue
		}
		fits = true
		switch r, err := s.store.find(ctx, t, dt, docKey(person{docType: dt, number: secret.New(number)})); {
		case err == nil:
			found = append(found, r)
		case !errors.Is(err, patient.ErrNotFound):
			return nil, err
		}
	}
	if !fits {
		return nil, patient.ErrDocument.At("document", "not a number of this document type")
	}
	return found, nil
}

// registered is what a registration came to.
type registered struct {
	patient.Patient
	made bool // by this request, now or the first time
	hit  bool // the request had its effect before
}

// registerAtDesk makes a person without an account, or finds the one who is there already, once by its key. Codes:
// patient.document_invalid, patient.invalid, patient.guardian_required (under 14 without consent; R4, R55),
// patient.another_person (the document is on file with another name or birth), idem.key_reused.
func (s *Service) registerAtDesk(ctx context.Context, key string, e entry) (registered, error) {
	who, err := auth.From(ctx)
	if err != nil {
		return registered{}, err
	}
	d, err := s.authz.Check(ctx, authz.Request{Action: "patient.register_at_desk", Noun: "Patient"})
	if err != nil {
		return registered{}, err
	}
	e.rel = patient.Other
	if e.consent {
		e.rel = patient.Child // the guardian stands at the desk
	}
	n, err := check(e, s.today())
	if err != nil {
		return registered{}, err
	}
	k := idem.Key{Op: "patient.register_at_desk", Actor: who.Actor(), Key: key}
	if k.Hash, err = s.hashOf(ctx, who.Tenant, e); err != nil {
		return registered{}, err
	}
	for range lostRaces {
		out, err := s.registerOnce(ctx, who.Tenant, n, k, d.Policy)
		if !errors.Is(err, errLost) {
			return out, err
		}
	}
	return registered{}, patient.ErrStale.Because("lost %d races for one document", lostRaces)
}

// hashOf is the hash of a request under the tenant's digest key.
func (s *Service) hashOf(ctx context.Context, t patient.TenantID, e entry) ([]byte, error) {
	birth := ""
	if e.birth != nil {
		birth = e.birth.String()
	}
	text, err := json.Marshal([]any{e.name, e.docType, e.number, birth, e.sex, e.phone, e.consent})
	if err != nil {
		return nil, err
	}
	return s.crypt.Digest(ctx, t, indexRequest, string(text))
}

// registerOnce is one attempt; errLost when somebody else entered the document meanwhile.
func (s *Service) registerOnce(ctx context.Context, t patient.TenantID, n person, k idem.Key, policy string) (out registered, err error) {
	found, err := s.store.find(ctx, t, n.docType, docKey(n))
	switch {
	case err == nil:
		return s.registerKnown(ctx, t, n, found, k, policy)
	case !errors.Is(err, patient.ErrNotFound):
		return out, err
	}
	pid := id.New[patient.Patient](s.clock.Now())
	r, err := s.seal(ctx, t, pid, n)
	if err != nil {
		return out, err
	}
	again, hit, err := s.store.register(ctx, t, r, n, k, policy)
	if f := fault.Of(err); hit || errors.Is(err, errLost) || f != nil && (f.Code.Kind == fault.Conflict || f.Code.Kind == fault.Invalid) {
		_ = s.crypt.Shred(ctx, t, id.As[id.Any](pid)) // the row certainly is not there: nobody needs the key
	}
	if err != nil {
		return out, err
	}
	if hit {
		return s.registeredBefore(ctx, t, again)
	}
	out.made = true
	out.Patient, err = s.onDesk(ctx, t, pid)
	return out, err
}

// registerKnown answers with the person on file; who is somebody else is refused, as a wrong digit is more likely than
// two persons with one document.
func (s *Service) registerKnown(ctx context.Context, t patient.TenantID, n person, found row, k idem.Key, policy string) (out registered, err error) {
	name, _, err := s.onFile(ctx, t, found)
	if err != nil {
		return out, err
	}
	if name.Empty() {
		return out, errLost // shredded just now
	}
	if plainName(name.Reveal()) != plainName(n.name.Reveal()) || found.birth != n.birth {
		return out, patient.ErrAnother.At("document", "on file with another name or birth date")
	}
	again, hit, err := s.store.registerKnown(ctx, t, found.id, k, policy)
	if err != nil {
		return out, err
	}
	if hit {
		return s.registeredBefore(ctx, t, again)
	}
	out.Patient, err = s.onDesk(ctx, t, found.id)
	return out, err
}

// registeredBefore answers a repeat.
func (s *Service) registeredBefore(ctx context.Context, t patient.TenantID, h idem.Hit) (registered, error) {
	pid, err := id.Parse[patient.Patient](h.Resource)
	if err != nil {
		return registered{}, err
	}
	p, err := s.onDesk(ctx, t, pid)
	return registered{Patient: p, made: h.Status == statusMade, hit: true}, err
}

// onDesk reads a person for the desk.
func (s *Service) onDesk(ctx context.Context, t patient.TenantID, p patient.ID) (patient.Patient, error) {
	r, err := s.store.patient(ctx, t, p)
	if err != nil {
		return patient.Patient{}, err
	}
	return s.open(ctx, t, linked{row: r})
}

// DeskBooker implements patient.Service.
func (s *Service) DeskBooker(ctx context.Context, p patient.ID) (b patient.Booker, account accountID, err error) {
	who, err := auth.From(ctx)
	if err != nil {
		return b, account, err
	}
	// Who may book at the desk does not depend on the person: nobody learns from a refusal whether there is one.
	if _, err := s.authz.Check(ctx, authz.Request{Action: "patient.book_at_desk", Noun: "Patient", ID: p.String()}); err != nil {
		return b, account, err
	}
	r, account, err := s.store.deskBooker(ctx, who.Tenant, p)
	if err != nil {
		return b, account, err
	}
	name, err := s.crypt.OpenText(ctx, field(who.Tenant, p, "name"), r.name)
	if errors.Is(err, crypt.ErrShredded) {
		return b, account, patient.ErrNotFound.Wrap(err)
	}
	return patient.Booker{ID: p, Birth: r.birth, Verified: r.verified, Masked: dataclass.Name.Mask(name)}, account, err
}
