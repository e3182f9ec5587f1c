package notifysvc

import (
	"context"
	"encoding/json"
	"errors"

	"xinglin/internal/kernel/clock"
	"xinglin/internal/notify"
	"xinglin/internal/platform/mail"
	"xinglin/internal/platform/sms"
	"xinglin/internal/platform/webpush"
)

// tries are the attempts of a delivery: with the job's pauses that is two hours.
const tries = 20

// Why a delivery failed, for operators.
const (
	whyExpired   = "expired"    // its matter was over before it could leave
	whyRefused   = "refused"    // the gateway will never take it
	whyGaveUp    = "gave_up"    // the gateway was out of reach at every attempt
	whyNoDevice  = "no_device"  // the person's browsers take no push messages any more
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
	case errors.Is(err, errNoDevice):
		return s.fail(ctx, tenant, d, whyNoDevice)
	case errors.Is(err, sms.ErrRefused), errors.Is(err, mail.ErrRefused), errors.Is(err, webpush.ErrRefused):
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
	switch d.channel {
	case notify.Mail:
		return s.handMail(ctx, tenant, d, params)
	case notify.Push:
		return s.handPush(ctx, tenant, d, params)
	}
	return s.handSMS(ctx, tenant, d, params)
}

func (s *Service) handSMS(ctx context.Context, tenant notify.TenantID, d delivery, params map[string]string) (string, error) {
	if s.ways.SMS == nil {
		return "", errNoGateway
	}
	phone, err := s.base.Crypt.OpenText(ctx, s.field(tenant, "address", d.id.String()), d.address)
	if err != nil {
		return "", err
	}
	return s.ways.SMS.Send(ctx, sms.Message{
		ID: d.id.String(), Phone: phone, Template: d.template, Params: params, Text: fill(templates[d.template].bodyZH, params),
	})
}

// fail ends a delivery for good. When a mail or push message about something that matters
// could not be brought, a text message goes instead, once: also when the person has
// switched text messages off for it, because nothing else is left.
func (s *Service) fail(ctx context.Context, tenant notify.TenantID, d delivery, why string) error {
	instead, err := s.instead(ctx, tenant, d, why)
	if err != nil {
		return err
	}
	written, err := s.store.fail(ctx, s.base.DB, tenant, d.id, why, instead)
	if err != nil {
		return err
	}
	s.counts.add(d.channel, notify.Failed)
	s.counts.all(written)
	return nil
}

// instead is the text message that goes for a delivery that failed; none when there is
// nothing to say any more, or nowhere to say it.
func (s *Service) instead(ctx context.Context, tenant notify.TenantID, d delivery, why string) ([]delivery, error) {
	t := templates[d.template]
	if !t.matters || why == whyExpired || d.channel != notify.Mail && d.channel != notify.Push || d.account.IsZero() {
		return nil, nil
	}
	facts, err := s.base.Crypt.Open(ctx, s.field(tenant, "params", d.id.String()), d.params)
	if err != nil {
		return nil, err
	}
	to, err := s.store.reach(ctx, s.base.DB, tenant, d.account)
	if err != nil {
		return nil, err
	}
	m := dispatch{Message: notify.Message{ID: d.message, Tenant: tenant, Account: d.account, Template: d.template, Expires: d.expires}}
	phone, ok, err := s.address(ctx, m, to, notify.SMS)
	if err != nil || !ok {
		return nil, err
	}
	row, err := s.seal(ctx, m, notify.SMS, facts, phone)
	if err == nil && !t.urgent {
		row.due = to.until(s.base.Clock.Now())
	}
	return []delivery{row}, err
}

// params are what fills a delivery's template now: a message that waited for the end of the quiet hours says "today" of what
// was tomorrow when it was written.
func (s *Service) params(ctx context.Context, tenant notify.TenantID, d delivery) (map[string]string, error) {
	b, err := s.base.Crypt.Open(ctx, s.field(tenant, "params", d.id.String()), d.params)
	if err != nil {
		return nil, err
	}
	p := map[string]string{}
	if err := json.Unmarshal(b, &p); err != nil {
		return nil, err
	}
	if text, ok := p["day"]; ok {
		day, err := clock.ParseDate(text)
		if err != nil {
			return nil, err
		}
		p["day"], p["day_en"] = dayWords(day, clock.DateOf(s.base.Clock.Now()))
	}
	return p, nil
}
