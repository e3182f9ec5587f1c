package paymentsvc

import (
	"context"
	"errors"
	"regexp"
	"time"
	"unicode/utf8"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/fault"
	"xinglin/internal/kernel/id"
	"xinglin/internal/ledger"
	"xinglin/internal/payment"
	"xinglin/internal/platform/authz"
	"xinglin/internal/platform/module"
	"xinglin/internal/platform/obs"
)

// Service implements payment.Service.
type Service struct {
	base    module.Base
	ledger  ledger.Service
	store   store
	channel Orders  // nil: not configured
	notices notices // nil: not configured
}

const (
	maxStates   = 200
	maxNumber   = 64
	maxText     = 127 // characters of a description at the channel
	maxDeadline = 30 * 24 * time.Hour
	maxFen      = 100_000_000_00 // a hundred million yuan: above it, somebody mistook the unit
)

var (
	purposeForm = regexp.MustCompile(`^[a-z][a-z0-9_]{0,39}$`)
	reasonForm  = purposeForm
)

// Open makes the payment, or returns it when the id is known with the same content. Codes: payment.invalid, payment.id_reused.
func (s *Service) Open(ctx context.Context, r payment.Request) (payment.Payment, error) {
	o, err := s.mayOpen(ctx, r)
	if err != nil {
		return payment.Payment{}, err
	}
	p, err := s.store.open(obs.WithNumber(ctx, r.Number), s.base.DB, o)
	return p.Payment, err
}

const actionOpen = "payment.open"

// mayOpen asks the policies and looks at what is asked for.
func (s *Service) mayOpen(ctx context.Context, r payment.Request) (opening, error) {
	c, err := s.may(ctx, r.Tenant, actionOpen, record{Payment: payment.Payment{ID: r.ID, Account: r.Account}})
	if err == nil {
		err = s.checkRequest(r)
	}
	return opening{Request: r, change: c}, err
}

func (s *Service) checkRequest(r payment.Request) error {
	switch n := utf8.RuneCountInString(r.Description); {
	case r.ID.IsZero(), r.Reference.IsZero():
		return payment.ErrInvalid.Because("id and reference are needed")
	case r.Amount <= 0 || r.Amount > maxFen:
		return payment.ErrInvalid.At("amount_fen", "an amount above zero is needed")
	case !purposeForm.MatchString(string(r.Purpose)):
		return payment.ErrInvalid.At("purpose", "not a purpose")
	case n < 1 || n > maxText || !utf8.ValidString(r.Description) || len(r.Number) > maxNumber:
		return payment.ErrInvalid.At("description", "1 to 127 characters are needed")
	case r.Deadline.IsZero() || r.Deadline.After(s.base.Clock.Now().Add(maxDeadline)):
		return payment.ErrInvalid.At("deadline", "a time within 30 days is needed")
	}
	return nil
}

// Get reads one; payment.not_found, also for another account's.
func (s *Service) Get(ctx context.Context, tenant payment.TenantID, pid payment.ID) (payment.Payment, error) {
	p, _, err := s.find(ctx, tenant, pid, "payment.read")
	return p.Payment, err
}

// States reads at most 200 in one batch; unknown ids, and for a person those of other accounts, are left out. Nobody's are
// not: they tell a state and amounts, and who asks has decided that the person may see what they are for.
func (s *Service) States(ctx context.Context, tenant payment.TenantID, ps []payment.ID) (map[payment.ID]payment.Payment, error) {
	who, err := auth.From(ctx)
	if err != nil {
		return nil, err
	}
	if len(ps) > maxStates {
		return nil, payment.ErrInvalid.Because("more than %d ids in a batch", maxStates)
	}
	var own id.ID[auth.Account]
	if who.Kind == auth.Patient {
		own = who.Account
	}
	if _, err := s.may(ctx, tenant, "payment.read", record{Payment: payment.Payment{Account: own}}); err != nil {
		return nil, err
	}
	if len(ps) == 0 {
		return map[payment.ID]payment.Payment{}, nil
	}
	return s.store.states(ctx, s.base.DB, tenant, own, ps)
}

// Close gives up an open payment; a payment that is not open any more stays as it is. Code: payment.not_found.
func (s *Service) Close(ctx context.Context, tenant payment.TenantID, pid payment.ID) error {
	_, c, err := s.find(ctx, tenant, pid, "payment.close")
	if err != nil {
		return err
	}
	c.Why = "given_up"
	return s.store.giveUp(ctx, s.base.DB, tenant, pid, c)
}

// find reads a payment that the principal may do this with.
func (s *Service) find(ctx context.Context, tenant payment.TenantID, pid payment.ID, action string) (record, change, error) {
	who, err := auth.From(ctx)
	if err != nil {
		return record{}, change{}, err
	}
	p, err := s.store.get(ctx, s.base.DB, tenant, pid)
	if errors.Is(err, payment.ErrNotFound) && who.Kind == auth.Patient {
		p, err = s.await(ctx, tenant, pid)
	}
	if err != nil {
		return record{}, change{}, err
	}
	c, err := s.may(ctx, tenant, action, p)
	if err != nil {
		return record{}, change{}, err
	}
	return p, c, nil
}

// A payment is opened when this context hears of the hold, a moment after the patient's
// answer: who asks in between waits for it.
const (
	heardWithin = 30 * time.Second // how young an id must be to be waited for
	awaitTime   = time.Second
	awaitStep   = 50 * time.Millisecond
)

// await reads a payment that may be on its way; payment.not_found.
func (s *Service) await(ctx context.Context, tenant payment.TenantID, pid payment.ID) (record, error) {
	made, now := pid.Time(), s.base.Clock.Now()
	if made.Before(now.Add(-heardWithin)) || made.After(now.Add(heardWithin)) {
		return record{}, payment.ErrNotFound.New()
	}
	ctx, cancel := context.WithTimeout(ctx, awaitTime)
	defer cancel()
	tick := time.NewTicker(awaitStep)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return record{}, payment.ErrNotFound.New()
		case <-tick.C:
		}
		p, err := s.store.get(ctx, s.base.DB, tenant, pid)
		if err == nil || ctx.Err() == nil && !errors.Is(err, payment.ErrNotFound) {
			return p, err
		}
	}
}

// may asks the policies. To a person another account's payment does not exist, and another tenant's to nobody.
func (s *Service) may(ctx context.Context, tenant payment.TenantID, action string, p record) (change, error) {
	who, err := auth.From(ctx)
	if err != nil {
		return change{}, err
	}
	if who.Tenant != tenant {
		return change{}, payment.ErrNotFound.Because("another tenant's")
	}
	d, err := s.base.Authz.Check(ctx, authz.Request{
		Action: action, Noun: "Payment", ID: p.ID.String(), Attrs: facts(p),
	})
	if fault.KindOf(err) == fault.Forbidden && who.Kind == auth.Patient && p.Account != who.Account {
		return change{}, payment.ErrNotFound.Wrap(err)
	}
	return change{Action: action, Policy: d.Policy}, err
}
