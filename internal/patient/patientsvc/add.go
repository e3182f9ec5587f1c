package patientsvc

import (
	"context"
	"errors"

	"xinglin/internal/identity"
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
	"xinglin/internal/platform/trail"
)

// lostRaces is how often somebody else may enter the same person first: whoever lost
// finds the person the next time.
const lostRaces = 3

// Add implements patient.Service.
func (s *Service) Add(ctx context.Context, n patient.New) (*patient.Patient, *patient.Claim, error) {
	e := entry{
		name: n.Name.Reveal(), docType: n.DocumentType, number: n.Document.Reveal(), birth: &n.Birth, sex: n.Sex,
		phone: n.Phone.Reveal(), rel: n.Relationship, consent: n.GuardianConsent,
	}
	if n.Birth == 0 && (n.DocumentType == patient.ResidentID || n.DocumentType == patient.HMTResidence) {
		e.birth = nil
	}
	return s.add(ctx, e)
}

func (s *Service) add(ctx context.Context, e entry) (*patient.Patient, *patient.Claim, error) {
	who, err := auth.From(ctx)
	if err != nil {
		return nil, nil, err
	}
	d, err := s.authz.Check(ctx, authz.Request{Action: "patient.add", Noun: "Patient"})
	if err != nil {
		return nil, nil, err
	}
	n, err := check(e, s.today())
	if err != nil {
		return nil, nil, err
	}
	for range lostRaces {
		p, c, err := s.enter(ctx, who, n, d.Policy)
		if !errors.Is(err, errLost) {
			return p, c, err
		}
	}
	return nil, nil, patient.ErrStale.Because("lost %d races for one document", lostRaces)
}

// docKey is what the person's document is found by.
func docKey(n person) blind.Value {
	return blind.Of(indexDocument, secret.New(string(n.docType)+":"+n.number.Reveal()))
}

// enter is one attempt: the account's own person, a claim, or a new person.
func (s *Service) enter(ctx context.Context, who auth.Principal, n person, policy string) (*patient.Patient, *patient.Claim, error) {
	found, err := s.store.find(ctx, who.Tenant, n.docType, docKey(n))
	switch {
	case errors.Is(err, patient.ErrNotFound):
		p, err := s.create(ctx, who, n, policy)
		return p, nil, err
	case err != nil:
		return nil, nil, err
	}
	p, err := s.reload(ctx, who.Tenant, who.Account, found.id)
	if err == nil { // linked already; showing the person is an audit row, as every reading is
		return &p, nil, s.store.note(ctx, who.Tenant, trail.Entry{Action: "patient.add", Noun: "Patient", ID: p.ID.String(), Policy: policy, Why: "repeat"})
	}
	if !errors.Is(err, patient.ErrNotFound) {
		return nil, nil, err
	}
	c, err := s.claim(ctx, who, n, found, policy)
	return nil, c, err
}

// create makes the person with its key and the link.
func (s *Service) create(ctx context.Context, who auth.Principal, n person, policy string) (*patient.Patient, error) {
	if err := s.store.room(ctx, who.Tenant, who.Account, n, s.today()); err != nil {
		// The room may have been taken by this very person, between our look and now.
		if _, again := s.store.find(ctx, who.Tenant, n.docType, docKey(n)); again == nil {
			return nil, errLost
		}
		return nil, err
	}
	if n.phone.Empty() && (n.rel == patient.Self || n.rel == patient.Child) {
		phone, err := s.accounts.Phone(ctx, who.Tenant, who.Account)
		if err != nil && !errors.Is(err, identity.ErrNotFound) {
			return nil, err
		}
		n.phone = phone
	}
	pid := id.New[patient.Patient](s.clock.Now())
	row, err := s.seal(ctx, who.Tenant, pid, n)
	if err == nil {
		err = s.store.create(ctx, who.Tenant, who.Account, row, n, s.today(), policy)
	}
	if err != nil {
		if f := fault.Of(err); errors.Is(err, errLost) || f != nil && f.Code.Kind == fault.Conflict {
			// The row certainly is not there: nobody needs the key. (After an unknown outcome it stays.)
			_ = s.crypt.Shred(ctx, who.Tenant, id.As[id.Any](pid))
		}
		return nil, err
	}
	p, err := s.reload(ctx, who.Tenant, who.Account, pid)
	return &p, err
}

// seal makes the person's key and the row, before the transaction.
func (s *Service) seal(ctx context.Context, t patient.TenantID, pid patient.ID, n person) (row, error) {
	r := row{id: pid, docType: n.docType, birth: n.birth, sex: n.sex, doc: docKey(n), keys: keysOf(n)}
	if err := s.crypt.EnsurePerson(ctx, t, id.As[id.Any](pid)); err != nil {
		return r, err
	}
	var err error
	if r.name, err = s.crypt.SealText(ctx, field(t, pid, "name"), n.name); err != nil {
		return r, err
	}
	if r.number, err = s.crypt.SealText(ctx, field(t, pid, "number"), n.number); err != nil {
		return r, err
	}
	r.phone, err = s.crypt.SealText(ctx, field(t, pid, "phone"), n.phone)
	return r, err
}

// claim opens a claim for a person who is there already. The answer is the same whether
// the entered name is right or not; only the row knows, and the code is sent, or not,
// by a job, so that neither time nor a refusal tells.
func (s *Service) claim(ctx context.Context, who auth.Principal, n person, found row, policy string) (*patient.Claim, error) {
	if err := s.store.room(ctx, who.Tenant, who.Account, n, s.today()); err != nil {
		return nil, err
	}
	name, phone, err := s.onFile(ctx, who.Tenant, found)
	if err != nil {
		return nil, err
	}
	c := claimRow{
		id: id.Random[patient.Claim](), account: who.Account, patient: found.id, rel: n.rel, consent: n.consent,
		proof: proofDesk, matches: !name.Empty() && name.Equal(n.name),
	}
	life := deskTime
	if !phone.Empty() {
		c.proof, life = proofCode, claimTime
	}
	c.expires = s.clock.Now().UTC().Add(life)
	if err := s.store.addClaim(ctx, who.Tenant, c, s.today(), policy); err != nil {
		return nil, err
	}
	return &patient.Claim{ID: c.id, PhoneMasked: dataclass.Phone.Mask(phone)}, nil
}

// onFile opens name and phone of a person; both empty when the key is destroyed.
func (s *Service) onFile(ctx context.Context, t patient.TenantID, r row) (name, phone secret.Text, err error) {
	if name, err = s.crypt.OpenText(ctx, field(t, r.id, "name"), r.name); err == nil {
		phone, err = s.crypt.OpenText(ctx, field(t, r.id, "phone"), r.phone)
	}
	if errors.Is(err, crypt.ErrShredded) {
		return secret.Text{}, secret.Text{}, nil
	}
	return name, phone, err
}

// minor reports whether somebody born then is no adult on the day.
func minor(birth, today clock.Date) bool { return birth.Age(today) < adultAge }
