package notifysvc

import (
	"context"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/page"
	"xinglin/internal/notify"
	"xinglin/internal/platform/authz"
)

// maxUnread is as far as unread notices are counted.
const maxUnread = 100

// notices lists the principal's in-app messages, newest first, and counts those that are
// not read yet, as far as maxUnread.
func (s *Service) notices(ctx context.Context, r page.Request) (out page.Page[notice], unread int, err error) {
	who, _, err := s.own(ctx, "notify.list_notices")
	if err != nil {
		return out, 0, err
	}
	found, unread, err := s.store.notices(ctx, s.base.DB, who.Tenant, who.Account, r)
	if err != nil {
		return out, 0, err
	}
	out = page.Page[notice]{Next: found.Next, Items: []notice{}}
	for _, d := range found.Items {
		t, ok := templates[d.template]
		if !ok {
			continue
		}
		p, err := s.params(ctx, who.Tenant, d)
		if err != nil {
			return out, 0, err
		}
		out.Items = append(out.Items, notice{
			id: d.id, titleZH: t.titleZH, titleEN: t.titleEN, bodyZH: fill(t.bodyZH, p), bodyEN: fill(t.bodyEN, p),
			link: fill(t.link, p), created: d.created, read: d.read,
		})
	}
	return out, unread, nil
}

// markRead marks one of the principal's own notices.
func (s *Service) markRead(ctx context.Context, did notify.DeliveryID) error {
	who, _, err := s.own(ctx, "notify.read_notice")
	if err != nil {
		return err
	}
	return s.store.markRead(ctx, s.base.DB, who.Tenant, who.Account, did)
}

// markAllRead marks all notices that the principal has at this moment.
func (s *Service) markAllRead(ctx context.Context) error {
	who, _, err := s.own(ctx, "notify.read_all_notices")
	if err != nil {
		return err
	}
	return s.store.markAllRead(ctx, s.base.DB, who.Tenant, who.Account)
}

// own is the principal, when they may do this with what is theirs; and the policy.
func (s *Service) own(ctx context.Context, action string) (auth.Principal, string, error) {
	who, err := auth.From(ctx)
	if err != nil {
		return who, "", err
	}
	d, err := s.base.Authz.Check(ctx, authz.Request{Action: action, Noun: "Notice", Attrs: map[string]any{"account": who.Account.String()}})
	return who, d.Policy, err
}
