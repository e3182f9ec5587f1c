package notifysvc

import (
	"context"
	"encoding/json"
	"time"

	"xinglin/internal/directory"
	"xinglin/internal/kernel/id"
	"xinglin/internal/kernel/secret"
	"xinglin/internal/notify"
	"xinglin/internal/platform/crypt"
	"xinglin/internal/platform/module"
)

// Service implements notify.Service.
type Service struct {
	base      module.Base
	directory directory.Service
	ways      Ways
	counts    *counts
	store     store
}

// Shown is a message as the demo's inbox page shows it.
type Shown struct {
	Channel notify.Channel `json:"channel" enum:"sms,mail,push"`
	Phone   string         `json:"phone,omitempty" doc:"Of a text message"`
	Mail    string         `json:"mail,omitempty" doc:"Of a mail"`
	Title   string         `json:"title,omitempty" doc:"Of a mail or push message"`
	Text    string         `json:"text"`
	At      time.Time      `json:"at"`
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
	address   []byte // sealed: a phone or a mail address
	state     notify.State
	attempts  int
	expires   time.Time
	due       time.Time
	created   time.Time
	read      time.Time
	reference string
}

// reach is how an account can be reached and what it wants.
type reach struct {
	phone, mail []byte // sealed; nil: not known
	devices     int
	preferences
}

// dispatch is a message and what only this house knows of it.
type dispatch struct {
	notify.Message
	before time.Time   // quiet hours hold it no longer than to here; zero: to their end
	mail   secret.Text // an address that is not the account's (yet)
}

func (s *Service) field(tenant notify.TenantID, column, row string) crypt.Field {
	return crypt.Field{Tenant: tenant, Table: "notify.delivery", Column: column, Row: row}
}

func contactField(tenant notify.TenantID, a notify.AccountID) crypt.Field {
	return crypt.Field{Tenant: tenant, Table: "notify.contact", Column: "phone", Row: a.String()}
}

// SetContact keeps the account's phone.
func (s *Service) SetContact(ctx context.Context, tenant notify.TenantID, a notify.AccountID, phone secret.Text) error {
	sealed, err := s.base.Crypt.SealText(ctx, contactField(tenant, a), phone)
	if err != nil {
		return err
	}
	return s.store.setContact(ctx, s.base.DB, tenant, a, sealed)
}

// Send queues the deliveries of a message: sealed first, then one transaction.
func (s *Service) Send(ctx context.Context, m notify.Message) error {
	_, err := s.send(ctx, dispatch{Message: m})
	return err
}

// send is Send, and tells whether a text message was left out because the account's
// phone is not known (yet) and another channel reaches the person.
func (s *Service) send(ctx context.Context, m dispatch) (phoneless bool, err error) {
	rows, phoneless, err := s.prepare(ctx, m)
	if err != nil {
		return false, err
	}
	written, err := s.store.queue(ctx, s.base.DB, m.Tenant, rows)
	s.counts.all(written)
	return phoneless, err
}

// prepare makes the rows of a message: one for each channel that the account wants and
// that reaches it.
func (s *Service) prepare(ctx context.Context, m dispatch) (rows []delivery, phoneless bool, err error) {
	t, ok := templates[m.Template]
	if !ok {
		return nil, false, notify.ErrTemplate.Because("%s", m.Template)
	}
	plain := map[string]string{}
	for _, p := range t.params {
		v, ok := m.Params[p]
		if !ok {
			return nil, false, notify.ErrTemplate.Because("%s: no parameter %s", m.Template, p)
		}
		plain[p] = v.Reveal()
	}
	facts, err := json.Marshal(plain)
	if err != nil {
		return nil, false, err
	}
	to := reach{preferences: usual()}
	if !m.Account.IsZero() {
		if to, err = s.store.reach(ctx, s.base.DB, m.Tenant, m.Account); err != nil {
			return nil, false, err
		}
	}
	nowhere := len(m.Channels) == 0
	for _, c := range m.Channels {
		if t.topic != "" && !to.wants(t.topic, c) {
			continue
		}
		address, ok, err := s.address(ctx, m, to, c)
		if err != nil {
			return nil, false, err
		}
		if !ok {
			phoneless = phoneless || c == notify.SMS
			nowhere = true
			continue
		}
		d, err := s.seal(ctx, m, c, facts, address)
		if err != nil {
			return nil, false, err
		}
		if c != notify.InApp && t.topic != "" && !t.urgent {
			d.due = to.due(s.base.Clock.Now(), m.before)
		}
		rows = append(rows, d)
	}
	if nowhere && len(rows) == 0 {
		return nil, false, notify.ErrRecipient.New()
	}
	return rows, phoneless, nil
}

// address is where a channel reaches the person; false: nowhere.
func (s *Service) address(ctx context.Context, m dispatch, to reach, c notify.Channel) (secret.Text, bool, error) {
	switch c {
	case notify.InApp:
		return secret.Text{}, !m.Account.IsZero(), nil
	case notify.SMS:
		if !m.Phone.Empty() || to.phone == nil {
			return m.Phone, !m.Phone.Empty(), nil
		}
		phone, err := s.base.Crypt.OpenText(ctx, contactField(m.Tenant, m.Account), to.phone)
		return phone, err == nil, err
	case notify.Push:
		return secret.Text{}, s.ways.Push != nil && to.devices > 0, nil
	case notify.Mail:
		switch {
		case s.ways.Mail == nil:
			return secret.Text{}, false, nil
		case !m.mail.Empty() || to.mail == nil:
			return m.mail, !m.mail.Empty(), nil
		}
		address, err := s.base.Crypt.OpenText(ctx, mailField(m.Tenant, m.Account), to.mail)
		return address, err == nil, err
	}
	return secret.Text{}, false, nil
}

// seal makes one delivery's row.
func (s *Service) seal(ctx context.Context, m dispatch, c notify.Channel, facts []byte, address secret.Text) (delivery, error) {
	d := delivery{
		id: id.New[notify.Delivery](s.base.Clock.Now()), message: m.ID, account: m.Account, channel: c,
		template: m.Template, state: notify.Queued, expires: m.Expires,
	}
	if c == notify.InApp {
		d.state = notify.Sent // it is there as soon as it is written
	}
	var err error
	if d.params, err = s.base.Crypt.Seal(ctx, s.field(m.Tenant, "params", d.id.String()), facts); err != nil {
		return d, err
	}
	if !address.Empty() {
		d.address, err = s.base.Crypt.SealText(ctx, s.field(m.Tenant, "address", d.id.String()), address)
	}
	return d, err
}
