package privacysvc

import (
	"context"
	"errors"
	"time"

	"xinglin/internal/audit"
	"xinglin/internal/identity"
	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/fault"
	"xinglin/internal/kernel/id"
	"xinglin/internal/patient"
	"xinglin/internal/platform/authz"
	"xinglin/internal/platform/calendar"
	"xinglin/internal/platform/crypt"
	"xinglin/internal/platform/holdings"
	"xinglin/internal/platform/module"
	"xinglin/internal/privacy"
)

// Service implements privacy.Service.
type Service struct {
	base     module.Base
	store    store
	accounts identity.Service
	patients patient.Service
	trail    audit.Service
	days     *calendar.Calendar
	holders  []Holder
	called   func(action string) authz.Words // what an action is called; no English for a route's
	english  func() map[string]string        // of routes, by action; set with them
}

const (
	maxAmong    = 200 // persons in one ConsentedAmong
	maxRequests = 5   // of one person a day
	remindDays  = 3   // working days before the last one
	maxText     = 4000
	maxTitle    = 80
)

type accountID = id.ID[auth.Account]

func (s *Service) now() time.Time { return s.base.Clock.Now().UTC().Truncate(time.Microsecond) }

// decider is a principal who decides for a person, or may not.
type decider struct {
	who      auth.Principal
	patient  patient.ID
	capacity privacy.Capacity // empty: acts for the person in other matters only
	policy   string
}

// capacityOf is in whose name the account decides for the person: patient.not_found when it does not act for the person at all.
// Adults decide for themselves, whoever books for them; a child's guardian decides, not the child (R55).
func (s *Service) capacityOf(ctx context.Context, t privacy.TenantID, a accountID, p patient.ID) (privacy.Capacity, error) {
	care, err := s.patients.Care(ctx, t, p)
	if err != nil {
		return "", err
	}
	for _, c := range care.Carers {
		switch {
		case c.Account != a:
		case care.Child && c.Guardian:
			return privacy.ByGuardian, nil
		case !care.Child && c.Relationship == patient.Self:
			return privacy.BySelf, nil
		default:
			return "", nil
		}
	}
	return "", patient.ErrNotFound.New()
}

// decides asks the policies whether the principal decides for the person: privacy.not_own when somebody else has to.
func (s *Service) decides(ctx context.Context, action, noun, item string, p patient.ID) (d decider, err error) {
	d.patient = p
	if d.who, err = auth.From(ctx); err != nil {
		return d, err
	}
	if d.who.Kind == auth.Patient {
		if d.capacity, err = s.capacityOf(ctx, d.who.Tenant, d.who.Account, p); err != nil {
			return d, err
		}
	}
	got, err := s.base.Authz.Check(ctx, authz.Request{Action: action, Noun: noun, ID: item, Attrs: facts(d.capacity)})
	if err != nil && d.who.Kind == auth.Patient && d.capacity == "" {
		return d, privacy.ErrNotOwn.Wrap(err)
	}
	d.policy = got.Policy
	return d, err
}

// may asks the policies about staff, the program and the command line.
func (s *Service) may(ctx context.Context, action, noun, item string) (auth.Principal, string, error) {
	who, err := auth.From(ctx)
	if err != nil {
		return who, "", err
	}
	d, err := s.base.Authz.Check(ctx, authz.Request{Action: action, Noun: noun, ID: item})
	return who, d.Policy, err
}

func facts(c privacy.Capacity) map[string]any { return map[string]any{"decides": c != ""} }

// sources says where decisions take their facts.
func (s *Service) sources() []authz.Source {
	return []authz.Source{
		{Noun: "Patient", Look: s.lookPerson, Actions: []string{
			"privacy.list_consents", "privacy.decide_consent", "privacy.list_consent_steps", "privacy.ask", "privacy.list_requests", "privacy.preview_erasure", "privacy.list_accesses",
		}},
		{Noun: "Request", Look: s.lookRequest, Actions: []string{"privacy.cancel_request", "privacy.take_copy"}},
	}
}

func (s *Service) lookPerson(ctx context.Context, who auth.Principal, item string) (authz.Item, error) {
	p, err := id.Parse[patient.Patient](item)
	if err != nil {
		return authz.Item{}, patient.ErrNotFound.Wrap(err)
	}
	c, err := s.capacityOf(ctx, who.Tenant, who.Account, p)
	if fault.KindOf(err) == fault.NotFound {
		return authz.Item{Attrs: facts("")}, nil
	}
	return authz.Item{Attrs: facts(c)}, err
}

func (s *Service) lookRequest(ctx context.Context, who auth.Principal, item string) (authz.Item, error) {
	r, err := id.Parse[privacy.Request](item)
	if err != nil {
		return authz.Item{}, privacy.ErrNotFound.Wrap(err)
	}
	v, err := s.store.request(ctx, who.Tenant, r)
	if err != nil {
		return authz.Item{}, err
	}
	return s.lookPerson(ctx, who, v.patient.String())
}

// field is the place of a sealed value of a request, under the person's own key.
func field(t privacy.TenantID, p patient.ID, column string, row string) crypt.Field {
	return crypt.Field{Tenant: t, Person: id.As[id.Any](p), Table: "privacy.request", Column: column, Row: row}
}

// isGone tells that the person is unknown or erased.
func isGone(err error) bool {
	return fault.KindOf(err) == fault.NotFound || errors.Is(err, crypt.ErrShredded)
}

// lastDay is the last of so many working days after a day: public holidays and weekends do not count, make-up days do.
func lastDay(days *calendar.Calendar, from clock.Date, count int) clock.Date {
	d := from
	for count > 0 {
		if d = d.Add(1); works(days, d) {
			count--
		}
	}
	return d
}

// before is the day so many working days earlier.
func before(days *calendar.Calendar, from clock.Date, count int) clock.Date {
	d := from
	for count > 0 {
		if d = d.Add(-1); works(days, d) {
			count--
		}
	}
	return d
}

func works(days *calendar.Calendar, d clock.Date) bool {
	v := days.Day(d)
	if v.Off || v.MakeUp {
		return v.MakeUp
	}
	return d.Weekday() != time.Saturday && d.Weekday() != time.Sunday
}

// subject is the person with the accounts that are the person's own.
func (s *Service) subject(ctx context.Context, t privacy.TenantID, p patient.ID) (holdings.Subject, error) {
	out := holdings.Subject{Tenant: t, Patient: id.As[id.Any](p)}
	care, err := s.patients.Care(ctx, t, p)
	if err != nil {
		return out, err
	}
	for _, c := range care.Carers {
		if c.Relationship == patient.Self && !care.Child && len(out.Accounts) < holdings.MaxAccounts {
			out.Accounts = append(out.Accounts, c.Account)
		}
	}
	return out, nil
}
