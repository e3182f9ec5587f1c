package identitysvc

import (
	"context"
	"errors"
	"time"

	"xinglin/internal/identity"
	"xinglin/internal/platform/job"
)

const (
	contactKind = "identity.set_contact"
	sweepKind   = "identity.sweep"
	sweepEvery  = 10 * time.Minute
)

func (s *Service) jobs() []job.Handler {
	return append(append(s.openid.Jobs(), s.idps.Jobs()...),
		job.Call(contactKind, s.setContact),
		job.Every(sweepKind, job.Cron{Every: sweepEvery}, s.sweep),
	)
}

// contactJob brings a new account's phone to notify.
type contactJob struct {
	Tenant  identity.TenantID  `json:"tenant_id"`
	Account identity.AccountID `json:"account_id"`
}

func (s *Service) setContact(ctx context.Context, j contactJob) error {
	phone, err := s.Phone(ctx, j.Tenant, j.Account)
	if errors.Is(err, identity.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	return s.notices.SetContact(ctx, j.Tenant, j.Account, phone)
}

// sweep deletes what has expired and publishes signing keys in time, tenant by tenant.
func (s *Service) sweep(ctx context.Context) error {
	all, err := s.tenants.List(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, t := range all {
		errs = append(errs, s.openid.Tend(ctx, t.ID), s.store.sweep(ctx, t.ID, s.now()))
	}
	return errors.Join(errs...)
}
