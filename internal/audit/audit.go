// Package audit keeps who did what to what, when, from where and why (审计): the rows
// that every context writes in the transaction of its use case, collected here.
//
// Invariants: a row is kept once, by its id; rows are never changed; at least 190 days
// (R57).
package audit

import (
	"context"
	"time"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/fault"
	"xinglin/internal/kernel/id"
	"xinglin/internal/kernel/page"
)

// Ids of the nouns.
type (
	EventID  = id.ID[AuditEvent]
	TenantID = id.ID[auth.Tenant]
)

// AuditEvent is one act (FHIR AuditEvent). It names no person by name: ids only.
type AuditEvent struct {
	ID      EventID
	At      time.Time
	Context string
	Actor   string
	Action  string
	Noun    string
	Object  string
	Policy  string
	Why     string
	Changed map[string]any
	Origin  string
	Trace   string
	Number  string
}

// Query filters events; empty fields match all.
type Query struct {
	Actor, Noun, Object string
	Page                page.Request
}

// Service is what others may ask.
type Service interface {
	// List reads the trail, newest first; audit administrators only, and reading is audited too.
	List(ctx context.Context, q Query) (page.Page[AuditEvent], error)
}

// ErrNotFound is the refusal for an event that does not exist.
var ErrNotFound = fault.Register(fault.NotFound, "audit.not_found", "没有这条审计记录", "There is no such audit event")
