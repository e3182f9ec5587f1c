package patientsvc

import (
	"context"
	"time"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/id"
	"xinglin/internal/patient"
	"xinglin/internal/platform/authz"
	"xinglin/internal/platform/realname"
)

const verifyTime = 10 * time.Second

// Verify asks the real-name service about name, document and phone and keeps the dated
// answer; an unknown document stays unverified. Refusals: patient.realname_down (nothing
// is changed), patient.too_often (five a day), patient.stale (the phone was changed meanwhile).
func (s *Service) Verify(ctx context.Context, p patient.ID) (patient.Patient, error) {
	who, v, policy, err := s.mine(ctx, "patient.verify", p)
	if err != nil {
		return patient.Patient{}, err
	}
	if s.verifier == nil {
		return patient.Patient{}, patient.ErrRealName.Because("no real-name service is configured")
	}
	seen, err := s.open(ctx, who.Tenant, v)
	if err != nil {
		return patient.Patient{}, err
	}
	if err := s.store.reserveVerify(ctx, who.Tenant, p, s.today()); err != nil {
		return patient.Patient{}, err
	}
	remote, cancel := context.WithTimeout(ctx, verifyTime)
	defer cancel()
	res, err := s.verifier.Verify(remote, realname.Person{
		Name: seen.Name, DocumentType: string(seen.DocumentType), DocumentNumber: seen.Document, Phone: seen.Phone,
	})
	if err != nil {
		_ = s.store.releaseVerify(context.WithoutCancel(ctx), who.Tenant, p, s.today()) // else one try of the day is lost
		return patient.Patient{}, patient.ErrRealName.Wrap(err)
	}
	result := map[realname.Outcome]patient.Verified{realname.Match: patient.Matched, realname.Mismatch: patient.Mismatched}[res.Outcome]
	if result == "" {
		result = patient.Unverified
	}
	defer s.bookers.InvalidateAll()
	if err := s.store.verified(ctx, who.Tenant, v, result, res.At, res.Reference, policy); err != nil {
		return patient.Patient{}, err
	}
	return s.reload(ctx, who.Tenant, who.Account, p)
}

// Shred implements patient.Service. The row forgets the document first, so that the
// person may come again as a new one; then the key goes. A job repeats the second half
// if the process dies between.
func (s *Service) Shred(ctx context.Context, p patient.ID) error {
	who, err := auth.From(ctx)
	if err != nil {
		return err
	}
	d, err := s.authz.Check(ctx, authz.Request{Action: "patient.shred", Noun: "Patient", ID: p.String()})
	if err != nil {
		return err
	}
	defer s.bookers.InvalidateAll()
	if err := s.store.shred(ctx, who.Tenant, p, d.Policy); err != nil {
		return err
	}
	return s.crypt.Shred(ctx, who.Tenant, id.As[id.Any](p))
}
