package notifysvc

import (
	"context"
	"time"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/page"
	"xinglin/internal/notify"
	"xinglin/internal/platform/authz"
)

// sight is a delivery as operators see it: no text, no person, no address.
type sight struct {
	id                 notify.DeliveryID
	channel            notify.Channel
	template           string
	state              notify.State
	attempts           int
	why                string
	created, due, sent time.Time
}

// look chooses deliveries; empty is every state, every channel.
type look struct {
	state   notify.State
	channel notify.Channel
}

func (s *Service) operator(ctx context.Context, action string) (auth.Principal, string, error) {
	who, err := auth.From(ctx)
	if err != nil {
		return who, "", err
	}
	d, err := s.base.Authz.Check(ctx, authz.Request{Action: action, Noun: "Delivery"})
	return who, d.Policy, err
}

// deliveries lists the tenant's, the newest first. What waits and what failed are few and
// found at once; of other states only the last week is looked through.
func (s *Service) deliveries(ctx context.Context, l look, r page.Request) (page.Page[sight], error) {
	who, _, err := s.operator(ctx, "notify.list_deliveries")
	if err != nil {
		return page.Page[sight]{}, err
	}
	return s.store.sights(ctx, s.base.DB, who.Tenant, l, r, s.base.Clock.Now().Add(-7*day))
}

// retryDelivery sends a delivery that failed again, with all its attempts, outside of its
// person's quiet hours: notify.not_found, notify.not_failed, notify.over for one whose
// matter is past.
func (s *Service) retryDelivery(ctx context.Context, did notify.DeliveryID) error {
	who, policy, err := s.operator(ctx, "notify.retry_delivery")
	if err != nil {
		return err
	}
	d, err := s.store.delivery(ctx, s.base.DB, who.Tenant, did)
	if err != nil {
		return err
	}
	if d.channel == notify.InApp {
		return notify.ErrNotFailed.New()
	}
	now := s.base.Clock.Now()
	if t := templates[d.template]; !d.account.IsZero() && t.topic != "" && !t.urgent {
		to, err := s.store.reach(ctx, s.base.DB, who.Tenant, d.account)
		if err != nil {
			return err
		}
		d.due = to.until(now)
	}
	return s.store.again(ctx, s.base.DB, who, policy, d)
}
