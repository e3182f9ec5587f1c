package notifysvc

import (
	"context"
	"encoding/json"
	"errors"

	"xinglin/internal/notify"
	"xinglin/internal/platform/sms"
)

// tries are the attempts of a delivery: with the job's pauses that is two hours.
const tries = 20

// Why a delivery failed, for operators.
const (
	whyExpired   = "expired"    // its matter was over before it could leave
	whyRefused   = "refused"    // the gateway will never take it
	whyGaveUp    = "gave_up"    // the gateway was out of reach at every attempt
	whyNoGateway = "no_gateway" // none is configured
)

// errNoGateway is a channel that nobody has configured.
var errNoGateway = errors.New("notify: no gateway is configured for the channel")

// deliver hands one delivery to its gateway. It makes one attempt; its job makes the
// others. A gateway that knows the id drops a repeat, so a crash between its answer and
// ours sends nothing twice.
func (s *Service) deliver(ctx context.Context, tenant notify.TenantID, did notify.DeliveryID) error {
	d, err := s.store.delivery(ctx, s.base.DB, tenant, did)
	if err != nil || d.state != notify.Queued {
		return err
	}
	now := s.base.Clock.Now()
	if !d.expires.IsZero() && now.After(d.expires) {
		return s.fail(ctx, tenant, d, whyExpired)
	}
	if waits, err := s.putOff(ctx, tenant, d); waits || err != nil {
		return err
	}
	reference, err := s.hand(ctx, tenant, d)
	switch {
	case err == nil:
		s.counts.add(d.channel, notify.Sent)
		return s.store.finish(ctx, s.base.DB, tenant, did, notify.Sent, reference, "")
	case ctx.Err() != nil:
		return err // the process ends: no fault of the gateway's
	case errors.Is(err, sms.ErrRefused):
		return s.fail(ctx, tenant, d, whyRefused)
	}
	made, counted := s.store.tried(ctx, s.base.DB, tenant, did)
	if counted != nil || made < tries {
		return errors.Join(err, counted)
	}
	if errors.Is(err, errNoGateway) {
		return s.fail(ctx, tenant, d, whyNoGateway)
	}
	return s.fail(ctx, tenant, d, whyGaveUp)
}

// putOff lets a repeat that came into quiet hours wait for their end; the first attempt
// was planned outside of them.
func (s *Service) putOff(ctx context.Context, tenant notify.TenantID, d delivery) (bool, error) {
	t := templates[d.template]
	if d.attempts == 0 || d.account.IsZero() || t.topic == "" || t.urgent {
		return false, nil
	}
	to, err := s.store.reach(ctx, s.base.DB, tenant, d.account)
	if err != nil {
		return false, err
	}
	end := to.until(s.base.Clock.Now())
	if end.IsZero() {
		return false, nil
	}
	return true, s.store.putOff(ctx, s.base.DB, tenant, d, end)
}

// hand gives the delivery to its channel, one attempt.
func (s *Service) hand(ctx context.Context, tenant notify.TenantID, d delivery) (reference string, err error) {
	params, err := s.params(ctx, tenant, d)
	if err != nil {
		return "", err
	}
	return s.handSMS(ctx, tenant, d, params)
}

func (s *Service) handSMS(ctx context.Context, tenant notify.TenantID, d delivery, params map[string]string) (string, error) {
	if s.gateway == nil {
		return "", errNoGateway
	}
	phone, err := s.base.Crypt.OpenText(ctx, s.field(tenant, "address", d.id.String()), d.address)
	if err != nil {
		return "", err
	}
	return s.gateway.Send(ctx, sms.Message{
		ID: d.id.String(), Phone: phone, Template: d.template, Params: params, Text: fill(templates[d.template].bodyZH, params),
	})
}

// fail ends a delivery for good.
func (s *Service) fail(ctx context.Context, tenant notify.TenantID, d delivery, why string) error {
	s.counts.add(d.channel, notify.Failed)
	return s.store.finish(ctx, s.base.DB, tenant, d.id, notify.Failed, "", why)
}

func (s *Service) params(ctx context.Context, tenant notify.TenantID, d delivery) (map[string]string, error) {
	b, err := s.base.Crypt.Open(ctx, s.field(tenant, "params", d.id.String()), d.params)
	if err != nil {
		return nil, err
	}
	p := map[string]string{}
	return p, json.Unmarshal(b, &p)
}
