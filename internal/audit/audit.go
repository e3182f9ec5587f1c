// Package audit keeps who did what to what, when, from where and why (审计): the rows
// that every context writes in the transaction of its use case, collected here into one
// log a tenant that cannot be rewritten without a trace (log.go).
//
// Invariants: a row is kept once, by its id, at one position of its tenant's log, under
// the log's signed heads; rows are never changed; at least 190 days, longer by class
// (R57, retention.go).
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
	// Position in the tenant's log, from 0.
	Position uint64
	Class    Class
}

// Query filters events; empty fields match all.
type Query struct {
	Actor, Action, Noun, Object string
	// Person is an account or a patient: what they did, and what was done to their record.
	Person   id.ID[id.Any]
	From, To time.Time // [From, To)
	Page     page.Request
}

// Touch asks what was done to items.
type Touch struct {
	Objects []string // ids, at most 1,000
	But     []string // actors that are left out
	Only    EventID  // this event alone; zero: all
	Page    page.Request
}

// Service is what others may ask.
type Service interface {
	// List reads the trail, newest first; audit administrators only, and reading is audited too.
	List(ctx context.Context, q Query) (page.Page[AuditEvent], error)
	// Search is List for questions that a URL should not show; what was asked for is in the audit row.
	Search(ctx context.Context, q Query) (page.Page[AuditEvent], error)

	// Touched are acts on items, the newest first, without what the program did by itself. Only behaviours call it, when they
	// have decided who may see them, and they record that it was asked.
	Touched(ctx context.Context, tenant TenantID, q Touch) (page.Page[AuditEvent], error)
	// Append puts entries of other contexts into the tenant's log and gives their positions,
	// in order. Kind and Ref make it once: the same entry again has the same position,
	// another text is audit.leaf_differs. Only behaviours call it, after their commit.
	Append(ctx context.Context, tenant TenantID, leaves ...Leaf) ([]uint64, error)
	// Log is the state of the chain; audit administrators only.
	Log(ctx context.Context) (LogState, error)
	// Heads lists signed heads, the newest first; audit administrators only.
	Heads(ctx context.Context, p page.Request) (page.Page[Head], error)
	// SignHead signs what is in the log now; the last head again when it covers everything.
	// It changes no entry: audit administrators may.
	SignHead(ctx context.Context) (Head, error)
	// Proof shows that an audit event or another entry (by its Ref) stands in the log.
	// audit.not_found; audit.not_signed when no head covers it yet.
	Proof(ctx context.Context, ref id.ID[id.Any]) (Proof, error)
	// Consistency shows that the later of two heads, by their numbers, begins with all that
	// the earlier one signed. audit.head_not_found.
	Consistency(ctx context.Context, earlier, later int64) (Consistency, error)
}

// ErrNotFound is the refusal for an event that does not exist.
var ErrNotFound = fault.Register(fault.NotFound, "audit.not_found", "没有这条审计记录", "There is no such audit event")
