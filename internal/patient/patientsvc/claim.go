package patientsvc

import (
	"context"
	"errors"
	"time"

	"xinglin/internal/identity"
	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/fault"
	"xinglin/internal/kernel/id"
	"xinglin/internal/patient"
	"xinglin/internal/platform/authz"
)

// How long a claim waits: for the code, or for the way to the desk.
const (
	claimTime = 15 * time.Minute
	deskTime  = 7 * 24 * time.Hour
)

// The proofs.
const (
	proofCode = "phone_code"
	proofDesk = "desk"
)

// Prove links the person when the code is the one sent to the phone on file. A wrong,
// expired or never sent code is patient.proof_wrong, whatever the cause; after five, or
// when the time is over, the claim is patient.claim_ended.
func (s *Service) Prove(ctx context.Context, c patient.ClaimID, code string) (patient.Patient, error) {
	who, err := auth.From(ctx)
	if err != nil {
		return patient.Patient{}, err
	}
	v, err := s.store.claim(ctx, who.Tenant, c)
	if err != nil || v.account != who.Account {
		return patient.Patient{}, orNotFound(err)
	}
	d, err := s.authz.Check(ctx, authz.Request{
		Action: "patient.prove", Noun: "Claim", ID: c.String(), Attrs: claimFacts(v),
	})
	if err != nil {
		return patient.Patient{}, err
	}
	if v, err = s.store.tryClaim(ctx, who.Tenant, c); err != nil {
		return patient.Patient{}, err
	}
	right, err := s.rightCode(ctx, who.Tenant, v, code)
	if err != nil {
		return patient.Patient{}, err
	}
	if !right {
		if err := s.store.failClaim(ctx, who.Tenant, c, d.Policy); err != nil {
			return patient.Patient{}, err
		}
		return patient.Patient{}, patient.ErrProof.At("code", "not correct or no longer valid")
	}
	if err := s.store.proveClaim(ctx, who.Tenant, v, "patient.prove", d.Policy, s.today()); err != nil {
		return patient.Patient{}, err
	}
	return s.reload(ctx, who.Tenant, who.Account, v.patient)
}

// rightCode asks identity, also for claims that no code was sent for: with a challenge
// that does not exist, so that the answer takes the same road.
func (s *Service) rightCode(ctx context.Context, t patient.TenantID, v claimRow, code string) (bool, error) {
	challenge := v.challenge
	if challenge.IsZero() {
		challenge = id.Random[identity.Challenge]()
	}
	sentTo, err := s.accounts.UseCode(ctx, t, challenge, identity.Proof, code)
	if errors.Is(err, identity.ErrCodeWrong) || errors.Is(err, identity.ErrCodeExpired) || fault.KindOf(err) == fault.NotFound {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	r, err := s.store.patient(ctx, t, v.patient)
	if err != nil {
		return false, orClaimEnded(err)
	}
	_, phone, err := s.onFile(ctx, t, r)
	// The phone may have been changed after the code was sent.
	return v.matches && !phone.Empty() && phone.Equal(sentTo), err
}

// ProveAtDesk links the claiming account: a registrar has seen the person and the
// document. A claim with another name than the person's is patient.proof_wrong.
func (s *Service) ProveAtDesk(ctx context.Context, c patient.ClaimID) error {
	who, err := auth.From(ctx)
	if err != nil {
		return err
	}
	d, err := s.authz.Check(ctx, authz.Request{Action: "patient.prove_at_desk", Noun: "Claim", ID: c.String()})
	if err != nil {
		return err
	}
	v, err := s.store.claim(ctx, who.Tenant, c)
	if err != nil {
		return err
	}
	if !v.matches {
		return patient.ErrProof.New()
	}
	return s.store.proveClaim(ctx, who.Tenant, v, "patient.prove_at_desk", d.Policy, s.today())
}

func orNotFound(err error) error {
	if err == nil {
		return patient.ErrNotFound.New()
	}
	return err
}

func orClaimEnded(err error) error {
	if errors.Is(err, patient.ErrNotFound) {
		return patient.ErrClaim.Wrap(err)
	}
	return err
}
