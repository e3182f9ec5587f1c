package auditsvc

import (
	"context"

	"xinglin/internal/audit"
	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/id"
	"xinglin/internal/kernel/page"
	"xinglin/internal/platform/authz"
	"xinglin/internal/platform/module"
)

// Service implements audit.Service and trail.Sink.
type Service struct {
	base    module.Base
	store   store
	anchors Anchors
	witness Witness
}

// List reads the trail. The reading itself is an act in the trail.
func (s *Service) List(ctx context.Context, q audit.Query) (page.Page[audit.AuditEvent], error) {
	who, err := auth.From(ctx)
	if err != nil {
		return page.Page[audit.AuditEvent]{}, err
	}
	d, err := s.base.Authz.Check(ctx, authz.Request{Action: "audit.list_events", Noun: "AuditEvent", ID: id.ID[id.Any](who.Tenant).String()})
	if err != nil {
		return page.Page[audit.AuditEvent]{}, err
	}
	return s.store.list(ctx, s.base.DB, who.Tenant, q, d.Policy)
}
