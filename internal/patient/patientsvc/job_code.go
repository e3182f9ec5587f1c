package patientsvc

import (
	"context"
	"errors"
	"time"

	"xinglin/internal/identity"
	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/id"
	"xinglin/internal/patient"
	"xinglin/internal/platform/authz"
	"xinglin/internal/platform/job"
)

// The kinds of jobs.
const (
	jobSendCode  = "patient.send_code"
	jobShredKeys = "patient.shred_key"
)

// codeAgain is when a code is sent that identity refused because another one had just
// gone to the phone.
const codeAgain = 65 * time.Second

type claimJob struct {
	Claim patient.ClaimID `json:"claim_id"`
}

type shredJob struct {
	Patient patient.ID `json:"patient_id"`
}

func (s *Service) jobs() []job.Handler {
	return []job.Handler{
		job.Call(jobSendCode, s.sendCode),
		job.Call(jobShredKeys, func(ctx context.Context, j shredJob) error {
			who, err := auth.From(ctx)
			if err != nil {
				return err
			}
			return s.crypt.Shred(ctx, who.Tenant, id.As[id.Any](j.Patient))
		}),
	}
}

// sendCode sends the code of a claim to the phone on file, if the claim named the
// person right. The claim knows its challenge before the text leaves, so that no code
// comes too early to be right, and one sent again after a crash is the same.
func (s *Service) sendCode(ctx context.Context, j claimJob) error {
	who, err := auth.From(ctx)
	if err != nil {
		return err
	}
	d, err := s.authz.Check(ctx, authz.Request{Action: "patient.send_code", Noun: "Claim", ID: j.Claim.String()})
	if err != nil {
		return err
	}
	r, challenge, ok, err := s.store.codeWanted(ctx, who.Tenant, j.Claim, id.New[identity.Challenge](s.clock.Now()), d.Policy)
	if err != nil || !ok {
		return err
	}
	_, phone, err := s.onFile(ctx, who.Tenant, r)
	if err != nil || phone.Empty() {
		return err
	}
	_, err = s.accounts.SendCode(ctx, who.Tenant, challenge, phone, identity.Proof)
	if errors.Is(err, identity.ErrCodeTooOften) {
		return s.store.codeLater(ctx, who.Tenant, j.Claim, s.clock.Now().Add(codeAgain))
	}
	return err
}
