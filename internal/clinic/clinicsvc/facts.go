package clinicsvc

import (
	"context"

	"xinglin/internal/clinic"
	"xinglin/internal/directory"
	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/id"
	"xinglin/internal/patient"
	"xinglin/internal/platform/authz"
	"xinglin/internal/scheduling"
)

// sources says where decisions about lines and turns take their facts.
func (s *Service) sources() []authz.Source {
	return []authz.Source{
		{
			Noun: "Line", Look: s.lookLine, Placed: true,
			Actions: []string{"clinic.read_queue", "clinic.watch_queue", "clinic.call_next", "clinic.pause", "clinic.resume"},
		},
		{
			Noun: "Turn", Look: s.lookTurn, Placed: true,
			Actions: []string{
				"clinic.recall", "clinic.skip", "clinic.finish", "clinic.reveal", "clinic.check_in_at_desk",
				"clinic.read_turn", "clinic.watch_turn", "clinic.check_in",
			},
		},
	}
}

// lineFacts are what the policies see of a line.
func lineFacts(who auth.Principal, l lineRow) map[string]any {
	return map[string]any{"own": own(who, l)}
}

// places are where a line lies, for roles that were granted for a place: its campus, and the tenant's own institution, whose id
// is the tenant's.
func places(t clinic.TenantID, c directory.CampusID) []id.ID[auth.Organization] {
	return []id.ID[auth.Organization]{id.As[auth.Organization](c), id.As[auth.Organization](t)}
}

// reach is which lines of a day somebody may read, by the facts that decide about one line, as a list wants it: nil is all.
type reach struct {
	desks        []directory.CampusID // every line there
	practitioner directory.PractitionerID
	own          []directory.CampusID // the practitioner's lines there
	ownAll       bool                 // or anywhere
}

// reachOf says what list_sessions shows: what read_queue would permit, line by line.
func reachOf(who auth.Principal) *reach {
	r := &reach{practitioner: directory.PractitionerID(who.Practitioner)}
	for _, g := range who.Grants {
		everywhere := authz.Counts(g, []id.ID[auth.Organization]{id.As[auth.Organization](who.Tenant)})
		there := id.As[directory.Campus](g.Organization)
		switch g.Role {
		case auth.Nurse, auth.Registrar, auth.Operator:
			if everywhere {
				return nil
			}
			r.desks = append(r.desks, there)
		case auth.Doctor:
			r.ownAll = r.ownAll || everywhere
			r.own = append(r.own, there)
		}
	}
	return r
}

// nothing reports whether no line can be within reach.
func (r *reach) nothing() bool {
	return r != nil && len(r.desks) == 0 && (r.practitioner.IsZero() || len(r.own) == 0)
}

// own tells whether the line is of the practitioner whose account acts.
func own(who auth.Principal, l lineRow) bool {
	return !who.Practitioner.IsZero() && who.Practitioner == id.As[id.Any](l.Practitioner)
}

// turnFacts are what the policies see of a person's turn.
func (s *Service) turnFacts(ctx context.Context, who auth.Principal, v turnRow) (map[string]any, error) {
	proven, err := patient.ProvenFor(ctx, s.patients, who, v.Account, v.Patient)
	return map[string]any{"account": account(v.Account), "proven": proven}, err
}

// account is the attribute of a policy; without an account nobody's.
func account(a id.ID[auth.Account]) string {
	if a.IsZero() {
		return "none"
	}
	return a.String()
}

func (s *Service) lookLine(ctx context.Context, who auth.Principal, item string) (authz.Item, error) {
	line, err := id.Parse[scheduling.Schedule](item)
	if err != nil {
		return authz.Item{}, clinic.ErrNotFound.Wrap(err)
	}
	l, err := s.line(ctx, who.Tenant, line)
	return authz.Item{Attrs: lineFacts(who, l), At: places(who.Tenant, l.Campus)}, err
}

// lookTurn has the facts of the turn and of its line: a member of the staff acts by the line.
func (s *Service) lookTurn(ctx context.Context, who auth.Principal, item string) (authz.Item, error) {
	turn, err := id.Parse[scheduling.Appointment](item)
	if err != nil {
		return authz.Item{}, clinic.ErrNotFound.Wrap(err)
	}
	v, err := s.store.turn(ctx, who.Tenant, turn)
	if err != nil {
		return authz.Item{}, err
	}
	out, err := s.lookLine(ctx, who, v.Schedule.String())
	if err != nil {
		return authz.Item{}, err
	}
	facts, err := s.turnFacts(ctx, who, v)
	for name, v := range facts {
		out.Attrs[name] = v
	}
	return out, err
}
