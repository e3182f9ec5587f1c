package patientsvc

import (
	"context"
	"errors"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/secret"
	"xinglin/internal/patient"
	"xinglin/internal/platform/authz"
	"xinglin/internal/platform/blind"
	"xinglin/internal/platform/trail"
)

// Family lists the persons of the principal's account, oneself first. It is one audit row.
func (s *Service) Family(ctx context.Context) ([]patient.Patient, error) {
	who, err := auth.From(ctx)
	if err != nil {
		return nil, err
	}
	d, err := s.authz.Check(ctx, authz.Request{Action: "patient.list", Noun: "Patient"})
	if err != nil {
		return nil, err
	}
	vs, err := s.store.family(ctx, who.Tenant, who.Account)
	if err != nil {
		return nil, err
	}
	out := make([]patient.Patient, 0, len(vs))
	for _, v := range vs {
		p, err := s.open(ctx, who.Tenant, v)
		if errors.Is(err, patient.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, s.store.note(ctx, who.Tenant, trail.Entry{Action: "patient.list", Noun: "Patient", Policy: d.Policy})
}

// Read shows one person to the family. Reading is an audit row.
func (s *Service) Read(ctx context.Context, p patient.ID) (patient.Patient, error) {
	who, v, policy, err := s.mine(ctx, "patient.read", p)
	if err != nil {
		return patient.Patient{}, err
	}
	out, err := s.open(ctx, who.Tenant, v)
	if err != nil {
		return patient.Patient{}, err
	}
	return out, s.store.note(ctx, who.Tenant, trail.Entry{Action: "patient.read", Noun: "Patient", ID: p.String(), Policy: policy})
}

// Change is what the family may change; nil stays.
type Change struct {
	Phone        *secret.Text
	Relationship *patient.Relationship
	Version      int64 // that the caller saw
}

// Update changes phone or relationship: patient.stale when somebody else was faster. A
// new phone takes the real-name result away, which was about the old one.
func (s *Service) Update(ctx context.Context, p patient.ID, c Change) (patient.Patient, error) {
	who, v, policy, err := s.mine(ctx, "patient.update", p)
	if err != nil {
		return patient.Patient{}, err
	}
	u := update{patient: p, account: who.Account, version: c.Version, birth: v.birth, policy: policy}
	if c.Phone != nil {
		phone, ok := phoneNumber(c.Phone.Reveal())
		if !ok {
			return patient.Patient{}, patient.ErrInvalid.At("phone", "want a mobile number")
		}
		if u.phone, err = s.crypt.SealText(ctx, field(who.Tenant, p, "phone"), secret.New(phone)); err != nil {
			return patient.Patient{}, err
		}
		u.keys.phone = blind.Of(indexPhone, secret.New(phone))
	}
	if c.Relationship != nil {
		u.rel = *c.Relationship
		if !known(u.rel) {
			return patient.Patient{}, patient.ErrInvalid.At("relationship", "want self, child, parent, spouse or other")
		}
		if u.rel != patient.Child && v.birth.Age(s.today()) < childAge {
			return patient.Patient{}, patient.ErrGuardian.At("relationship", "under 14 it stays child")
		}
	}
	if u.phone == nil && u.rel == "" {
		return patient.Patient{}, patient.ErrInvalid.At("phone", "nothing to change")
	}
	defer s.bookers.InvalidateAll()
	if err := s.store.update(ctx, who.Tenant, u, s.today()); err != nil {
		return patient.Patient{}, err
	}
	return s.reload(ctx, who.Tenant, who.Account, p)
}

// Unlink ends the account's link. What it has booked stays its own: appointments keep
// the account that made them.
func (s *Service) Unlink(ctx context.Context, p patient.ID) error {
	who, _, policy, err := s.mine(ctx, "patient.unlink", p)
	if err != nil {
		return err
	}
	defer s.bookers.InvalidateAll()
	return s.store.unlink(ctx, who.Tenant, who.Account, p, policy)
}
