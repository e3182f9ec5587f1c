package notifysvc

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"xinglin/internal/directory"
	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/id"
	"xinglin/internal/kernel/page"
	"xinglin/internal/kernel/secret"
	"xinglin/internal/notify"
	"xinglin/internal/platform/authz"
	"xinglin/internal/platform/crypt"
	"xinglin/internal/platform/module"
	"xinglin/internal/platform/sms"
)

// Service implements notify.Service.
type Service struct {
	base      module.Base
	directory directory.Service
	gateway   Gateway
	inbox     Inbox
	store     store
}

// Shown is a text message as the demo's inbox page shows it.
type Shown struct {
	Phone string    `json:"phone"`
	Text  string    `json:"text"`
	At    time.Time `json:"at"`
}

// notice is one in-app message, rendered.
type notice struct {
	id                               notify.DeliveryID
	titleZH, titleEN, bodyZH, bodyEN string
	link                             string
	created, read                    time.Time
}

// delivery is one row, opened for its work.
type delivery struct {
	id        notify.DeliveryID
	message   id.ID[id.Any]
	account   notify.AccountID
	channel   notify.Channel
	template  string
	params    []byte // sealed
	phone     []byte // sealed
	state     notify.State
	expires   time.Time
	created   time.Time
	read      time.Time
	reference string
}

func (s *Service) field(tenant notify.TenantID, column, row string) crypt.Field {
	return crypt.Field{Tenant: tenant, Table: "notify.delivery", Column: column, Row: row}
}

// SetContact keeps the account's phone.
func (s *Service) SetContact(ctx context.Context, tenant notify.TenantID, a notify.AccountID, phone secret.Text) error {
	f := crypt.Field{Tenant: tenant, Table: "notify.contact", Column: "phone", Row: a.String()}
	sealed, err := s.base.Crypt.SealText(ctx, f, phone)
	if err != nil {
		return err
	}
	return s.store.setContact(ctx, s.base.DB, tenant, a, sealed)
}

// Send queues the deliveries of a message: sealed first, then one transaction.
func (s *Service) Send(ctx context.Context, m notify.Message) error {
	_, err := s.send(ctx, m)
	return err
}

// send is Send, and tells whether a text message was left out because the account's
// phone is not known (yet) and another channel reaches the person.
func (s *Service) send(ctx context.Context, m notify.Message) (phoneless bool, err error) {
	t, ok := templates[m.Template]
	if !ok {
		return false, notify.ErrTemplate.Because("%s", m.Template)
	}
	plain := map[string]string{}
	for _, p := range t.params {
		v, ok := m.Params[p]
		if !ok {
			return false, notify.ErrTemplate.Because("%s: no parameter %s", m.Template, p)
		}
		plain[p] = v.Reveal()
	}
	b, err := json.Marshal(plain)
	if err != nil {
		return false, err
	}
	if len(m.Channels) == 0 {
		return false, notify.ErrRecipient.New()
	}
	var rows []delivery
	for _, c := range m.Channels {
		d := delivery{
			id: id.New[notify.Delivery](s.base.Clock.Now()), message: m.ID, account: m.Account, channel: c,
			template: m.Template, state: notify.Queued, expires: m.Expires,
		}
		if c == notify.InApp {
			if m.Account.IsZero() {
				return false, notify.ErrRecipient.New()
			}
			d.state = notify.Sent // it is there as soon as it is written
		}
		if d.params, err = s.base.Crypt.Seal(ctx, s.field(m.Tenant, "params", d.id.String()), b); err != nil {
			return false, err
		}
		if c == notify.SMS {
			phone, err := s.phone(ctx, m)
			if errors.Is(err, notify.ErrRecipient) && len(m.Channels) > 1 {
				phoneless = true
				continue
			}
			if err != nil {
				return false, err
			}
			if d.phone, err = s.base.Crypt.SealText(ctx, s.field(m.Tenant, "phone", d.id.String()), phone); err != nil {
				return false, err
			}
		}
		rows = append(rows, d)
	}
	return phoneless, s.store.queue(ctx, s.base.DB, m.Tenant, rows)
}

func (s *Service) phone(ctx context.Context, m notify.Message) (secret.Text, error) {
	if !m.Phone.Empty() {
		return m.Phone, nil
	}
	sealed, err := s.store.contact(ctx, s.base.DB, m.Tenant, m.Account)
	if err != nil {
		return secret.Text{}, err
	}
	return s.base.Crypt.OpenText(ctx, crypt.Field{Tenant: m.Tenant, Table: "notify.contact", Column: "phone", Row: m.Account.String()}, sealed)
}

// deliver sends one text message. The gateway drops a repeated id, so a crash between
// its answer and ours sends nothing twice.
func (s *Service) deliver(ctx context.Context, tenant notify.TenantID, did notify.DeliveryID) error {
	d, err := s.store.delivery(ctx, s.base.DB, tenant, did)
	if err != nil || d.state != notify.Queued {
		return err
	}
	if !d.expires.IsZero() && s.base.Clock.Now().After(d.expires) {
		return s.store.finish(ctx, s.base.DB, tenant, did, notify.Failed, "", "expired")
	}
	if s.gateway == nil {
		return notify.ErrRecipient.Because("no SMS gateway is configured (--sms-url)")
	}
	phone, err := s.base.Crypt.OpenText(ctx, s.field(tenant, "phone", did.String()), d.phone)
	if err != nil {
		return err
	}
	params, err := s.params(ctx, tenant, d)
	if err != nil {
		return err
	}
	ref, err := s.gateway.Send(ctx, sms.Message{
		ID: did.String(), Phone: phone, Template: d.template, Params: params, Text: fill(templates[d.template].bodyZH, params),
	})
	if errors.Is(err, sms.ErrRefused) {
		return s.store.finish(ctx, s.base.DB, tenant, did, notify.Failed, "", "refused")
	}
	if err != nil {
		return err
	}
	return s.store.finish(ctx, s.base.DB, tenant, did, notify.Sent, ref, "")
}

func (s *Service) params(ctx context.Context, tenant notify.TenantID, d delivery) (map[string]string, error) {
	b, err := s.base.Crypt.Open(ctx, s.field(tenant, "params", d.id.String()), d.params)
	if err != nil {
		return nil, err
	}
	p := map[string]string{}
	return p, json.Unmarshal(b, &p)
}

// notices lists the principal's in-app messages, newest first.
func (s *Service) notices(ctx context.Context, r page.Request) (page.Page[notice], error) {
	who, err := s.own(ctx, "notify.list_notices")
	if err != nil {
		return page.Page[notice]{}, err
	}
	found, err := s.store.notices(ctx, s.base.DB, who.Tenant, who.Account, r)
	if err != nil {
		return page.Page[notice]{}, err
	}
	out := page.Page[notice]{Next: found.Next, Items: []notice{}}
	for _, d := range found.Items {
		t, ok := templates[d.template]
		if !ok {
			continue
		}
		p, err := s.params(ctx, who.Tenant, d)
		if err != nil {
			return page.Page[notice]{}, err
		}
		out.Items = append(out.Items, notice{
			id: d.id, titleZH: t.titleZH, titleEN: t.titleEN, bodyZH: fill(t.bodyZH, p), bodyEN: fill(t.bodyEN, p),
			link: fill(t.link, p), created: d.created, read: d.read,
		})
	}
	return out, nil
}

// markRead marks one of the principal's own notices.
func (s *Service) markRead(ctx context.Context, did notify.DeliveryID) error {
	who, err := s.own(ctx, "notify.read_notice")
	if err != nil {
		return err
	}
	return s.store.markRead(ctx, s.base.DB, who.Tenant, who.Account, did)
}

func (s *Service) own(ctx context.Context, action string) (auth.Principal, error) {
	who, err := auth.From(ctx)
	if err != nil {
		return who, err
	}
	_, err = s.base.Authz.Check(ctx, authz.Request{Action: action, Noun: "Notice", Attrs: map[string]any{"account": who.Account.String()}})
	return who, err
}
