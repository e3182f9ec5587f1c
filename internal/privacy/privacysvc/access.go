package privacysvc

import (
	"context"
	"slices"
	"strings"
	"time"

	"xinglin/internal/audit"
	"xinglin/internal/identity"
	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/id"
	"xinglin/internal/kernel/page"
	"xinglin/internal/patient"
	"xinglin/internal/platform/authz"
	"xinglin/internal/platform/trail"
	"xinglin/internal/privacy"
)

// access is one act of somebody else on what is kept of a person (R55, R61).
type access struct {
	event  audit.EventID
	at     time.Time
	kind   auth.Kind   // staff, patient (another account that acts for the person), client, cli
	name   string      // of staff; empty for others
	roles  []auth.Role // that the member of staff has now
	action string
	policy authz.Words // the rule that permitted it
	why    string      // the reason that was given, as a code or in words
}

// maxItems bounds the things of a person that acts are looked for: the newest of each table (holdings.IDs).
const maxItems = 1000

// accesses lists who did what with the person's record, the newest first: reads and changes, of one person or of one of the person's
// things. Not the principal's own acts, nor the program's. Lists in which names are masked are not in it.
func (s *Service) accesses(ctx context.Context, p patient.ID, at page.Request) (page.Page[access], error) {
	d, err := s.decides(ctx, "privacy.list_accesses", "Patient", p.String(), p)
	if err != nil {
		return page.Page[access]{}, err
	}
	out, err := s.touched(ctx, d.who.Tenant, p, audit.Touch{But: []string{d.who.Actor()}, Page: at})
	if err != nil {
		return out, err
	}
	return out, s.store.note(ctx, d.who.Tenant, trail.Entry{Action: "privacy.list_accesses", Noun: "Patient", ID: p.String(), Policy: d.policy})
}

// accessTo is one of them: privacy.not_found when it was no access to the person's record.
func (s *Service) accessTo(ctx context.Context, t privacy.TenantID, p patient.ID, e audit.EventID) (access, error) {
	some, err := s.touched(ctx, t, p, audit.Touch{Only: e})
	if err == nil && len(some.Items) == 0 {
		err = privacy.ErrNotFound.New()
	}
	if err != nil {
		return access{}, err
	}
	return some.Items[0], nil
}

func (s *Service) touched(ctx context.Context, t privacy.TenantID, p patient.ID, q audit.Touch) (out page.Page[access], err error) {
	if q.Objects, err = s.things(ctx, t, p); err != nil {
		return out, err
	}
	events, err := s.trail.Touched(ctx, t, q)
	if err != nil {
		return out, err
	}
	names, err := s.accounts.StaffNames(ctx, t, staffOf(events.Items))
	if err != nil {
		return out, err
	}
	policies := map[string]authz.Words{}
	for _, v := range s.base.Authz.Permissions() {
		policies[v.Policy] = v.Words
	}
	out.Next = events.Next
	for _, e := range events.Items {
		a := access{event: e.ID, at: e.At, action: e.Action, policy: policies[e.Policy], why: e.Why}
		var who identity.AccountID
		a.kind, who = actorOf(e.Actor)
		n := names[who]
		a.name, a.roles = n.Name.Reveal(), n.Roles
		out.Items = append(out.Items, a)
	}
	return out, nil
}

// things are the ids of the person and of what is held of the person, the newest first behind the person's own: ids ascend in time.
func (s *Service) things(ctx context.Context, t privacy.TenantID, p patient.ID) ([]string, error) {
	of, err := s.subject(ctx, t, p)
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, h := range s.holders {
		some, err := h.IDs(ctx, of)
		if err != nil {
			return nil, err
		}
		ids = append(ids, some...)
	}
	slices.Sort(ids)
	ids = slices.Compact(ids)
	slices.Reverse(ids)
	return append([]string{p.String()}, ids[:min(len(ids), maxItems-1)]...), nil
}

// actorOf splits what auth.Principal.Actor wrote; the account is zero for those without one.
func actorOf(actor string) (auth.Kind, identity.AccountID) {
	kind, rest, _ := strings.Cut(actor, ":")
	a, err := id.Parse[auth.Account](rest)
	if err != nil {
		return auth.Kind(kind), identity.AccountID{}
	}
	return auth.Kind(kind), a
}

func staffOf(events []audit.AuditEvent) (out []identity.AccountID) {
	for _, e := range events {
		if kind, a := actorOf(e.Actor); kind == auth.Staff && !slices.Contains(out, a) {
			out = append(out, a)
		}
	}
	return out
}
