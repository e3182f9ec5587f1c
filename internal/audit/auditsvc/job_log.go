package auditsvc

import (
	"context"

	"xinglin/internal/audit"
	"xinglin/internal/kernel/auth"
	"xinglin/internal/platform/job"
	"xinglin/internal/platform/merkle"
	"xinglin/internal/platform/tlog"
)

// The work of a tenant's log; each kind has one open job a tenant, keyed "log".
const (
	jobSign   = "audit.sign_head"     // a head, some minutes after the first entry that has none
	jobAnchor = "audit.anchor_head"   // takes the last head out of the house
	jobKeep   = "audit.keep_segments" // closes the day before, deletes texts past their time
)

func (s *Service) jobs() []job.Handler {
	return []job.Handler{job.Call(jobSign, s.signJob), job.Call(jobAnchor, s.anchorJob), job.Call(jobKeep, s.keepJob)}
}

// signJob signs. A log that does not fit its heads is never signed over: the job fails
// and becomes a dead letter that a person sees.
func (s *Service) signJob(ctx context.Context, _ struct{}) error {
	who, err := auth.From(ctx)
	if err != nil {
		return err
	}
	_, err = s.sign(ctx, who.Tenant, nil)
	return err
}

// anchorJob writes the last head into the file, has it cosigned, and writes it again with
// the witness's line. A witness that refuses (a fork, a log that was set back) makes a
// dead letter with its code.
func (s *Service) anchorJob(ctx context.Context, _ struct{}) error {
	who, err := auth.From(ctx)
	if err != nil {
		return err
	}
	h, life, err := s.store.anchorable(ctx, s.base.DB, who.Tenant)
	if err != nil || h == nil {
		return err
	}
	if s.anchors != nil {
		if err := s.anchors.Write(h.note, life); err != nil {
			return err
		}
		if err := s.store.anchoredAt(ctx, s.base.DB, who.Tenant, h.number, s.base.Clock.Now()); err != nil {
			return err
		}
	}
	if s.witness == nil || !h.witnessed.IsZero() {
		return nil
	}
	return s.cosign(ctx, who.Tenant, *h, life)
}

func (s *Service) cosign(ctx context.Context, tenant audit.TenantID, h signed, life tlog.Lineage) error {
	line, err := s.witness.Cosign(ctx, h.note, life, func(ctx context.Context, from uint64) ([]merkle.Node, error) {
		return s.store.consistency(ctx, s.base.DB, tenant, from, h.size)
	})
	if err != nil {
		return err
	}
	note := tlog.With(h.note, line)
	at, ok := tlog.Cosigned(note, s.witness.Key())
	if !ok {
		return audit.ErrWitness.New()
	}
	if err := s.store.cosigned(ctx, s.base.DB, tenant, h.number, note, at); err != nil {
		return err
	}
	if s.anchors == nil {
		return nil
	}
	return s.anchors.Write(note, life)
}
