package auditsvc

import (
	"context"
	"fmt"

	"xinglin/internal/audit"
	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/id"
	"xinglin/internal/kernel/page"
	"xinglin/internal/platform/authz"
	"xinglin/internal/platform/module"
	"xinglin/internal/platform/trail"
)

// Service implements audit.Service and trail.Sink.
type Service struct {
	base    module.Base
	store   store
	anchors Anchors
	witness Witness
}

// List implements audit.Service.
func (s *Service) List(ctx context.Context, q audit.Query) (page.Page[audit.AuditEvent], error) {
	return s.look(ctx, "audit.list_events", q)
}

// Search implements audit.Service.
func (s *Service) Search(ctx context.Context, q audit.Query) (page.Page[audit.AuditEvent], error) {
	return s.look(ctx, "audit.search_events", q)
}

// look reads the trail. The reading itself is an act in it, with whom or what was asked for.
func (s *Service) look(ctx context.Context, action string, q audit.Query) (page.Page[audit.AuditEvent], error) {
	who, err := auth.From(ctx)
	if err != nil {
		return page.Page[audit.AuditEvent]{}, err
	}
	d, err := s.base.Authz.Check(ctx, authz.Request{Action: action, Noun: "AuditEvent", ID: id.ID[id.Any](who.Tenant).String()})
	if err != nil {
		return page.Page[audit.AuditEvent]{}, err
	}
	act := trail.Entry{Action: action, Noun: "AuditEvent", Policy: d.Policy}
	if action == "audit.search_events" {
		if act.ID = q.Object; !q.Person.IsZero() {
			act.ID = q.Person.String()
		}
	}
	return s.store.list(ctx, s.base.DB, who.Tenant, q, act)
}

// maxTouched bounds the items of one question.
const maxTouched = 1000

// Touched implements audit.Service.
func (s *Service) Touched(ctx context.Context, tenant audit.TenantID, q audit.Touch) (out page.Page[audit.AuditEvent], err error) {
	if len(q.Objects) == 0 {
		return out, nil
	}
	if len(q.Objects) > maxTouched {
		return out, fmt.Errorf("audit: acts on %d items asked for", len(q.Objects))
	}
	return s.store.touched(ctx, s.base.DB, tenant, q)
}
