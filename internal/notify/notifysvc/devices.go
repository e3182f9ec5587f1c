package notifysvc

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"time"

	"xinglin/internal/kernel/id"
	"xinglin/internal/kernel/secret"
	"xinglin/internal/notify"
	"xinglin/internal/platform/crypt"
	"xinglin/internal/platform/webpush"
)

// maxDevices of an account; the one that was added first makes room.
const maxDevices = 10

// device is a browser that takes push messages.
type device struct {
	id      id.ID[device]
	sealed  []byte
	created time.Time

	label string // opened
	sub   webpush.Subscription
}

// subscription is what is sealed of a device.
type subscription struct {
	Endpoint string `json:"endpoint"`
	P256dh   string `json:"p256dh"`
	Auth     string `json:"auth"`
	Label    string `json:"label"`
}

func deviceField(tenant notify.TenantID, d id.ID[device]) crypt.Field {
	return crypt.Field{Tenant: tenant, Table: "notify.device", Column: "sealed", Row: d.String()}
}

func keyField(tenant notify.TenantID, k id.ID[webpush.Keys]) crypt.Field {
	return crypt.Field{Tenant: tenant, Table: "notify.push_key", Column: "private", Row: k.String()}
}

// pushKey is the public key that browsers subscribe with: notify.push_off.
func (s *Service) pushKey(ctx context.Context) (string, error) {
	who, _, err := s.own(ctx, "notify.read_push_key")
	if err != nil {
		return "", err
	}
	if s.ways.Push == nil {
		return "", notify.ErrPushOff.New()
	}
	k, err := s.keys(ctx, who.Tenant)
	return k.Public, err
}

// keys are the tenant's pair, made when they are first asked for. They never change: the
// browsers' subscriptions are bound to them.
func (s *Service) keys(ctx context.Context, tenant notify.TenantID) (webpush.Keys, error) {
	kept, err := s.store.pushKey(ctx, s.base.DB, tenant)
	if err == nil && kept.public == "" {
		fresh, e := webpush.NewKeys()
		if e != nil {
			return fresh, e
		}
		k := pushKey{id: id.New[webpush.Keys](s.base.Clock.Now()), public: fresh.Public}
		if k.private, err = s.base.Crypt.SealText(ctx, keyField(tenant, k.id), fresh.Private); err != nil {
			return fresh, err
		}
		kept, err = s.store.addPushKey(ctx, s.base.DB, tenant, k) // of two that make one, both use the first
	}
	if err != nil {
		return webpush.Keys{}, err
	}
	private, err := s.base.Crypt.OpenText(ctx, keyField(tenant, kept.id), kept.private)
	return webpush.Keys{Public: kept.public, Private: private}, err
}

// addDevice keeps a browser's subscription for the principal: notify.push_off,
// notify.invalid. The same browser again is the same device, and belongs to who signed
// in last.
func (s *Service) addDevice(ctx context.Context, sub subscription) (device, error) {
	who, policy, err := s.own(ctx, "notify.add_device")
	if err != nil {
		return device{}, err
	}
	if s.ways.Push == nil {
		return device{}, notify.ErrPushOff.New()
	}
	d := device{label: sub.Label, created: s.base.Clock.Now()}
	if err := s.ways.Push.Check(sub.open()); err != nil {
		return d, notify.ErrInvalid.At("endpoint", "not a push subscription of a browser")
	}
	index, err := s.base.Crypt.Digest(ctx, who.Tenant, "notify.device", sub.Endpoint)
	if err != nil {
		return d, err
	}
	copy(d.id[:], index)
	b, err := json.Marshal(sub)
	if err != nil {
		return d, err
	}
	if d.sealed, err = s.base.Crypt.Seal(ctx, deviceField(who.Tenant, d.id), b); err != nil {
		return d, err
	}
	return d, s.store.addDevice(ctx, s.base.DB, who, policy, d)
}

func (x subscription) open() webpush.Subscription {
	return webpush.Subscription{Endpoint: secret.New(x.Endpoint), P256dh: secret.New(x.P256dh), Auth: secret.New(x.Auth)}
}

// listDevices are the principal's, the newest first.
func (s *Service) listDevices(ctx context.Context) ([]device, error) {
	who, _, err := s.own(ctx, "notify.list_devices")
	if err != nil {
		return nil, err
	}
	found, err := s.store.devices(ctx, s.base.DB, who.Tenant, who.Account)
	if err != nil {
		return nil, err
	}
	return found, s.openDevices(ctx, who.Tenant, found)
}

func (s *Service) openDevices(ctx context.Context, tenant notify.TenantID, ds []device) error {
	for i := range ds {
		b, err := s.base.Crypt.Open(ctx, deviceField(tenant, ds[i].id), ds[i].sealed)
		if err != nil {
			return err
		}
		var sub subscription
		if err := json.Unmarshal(b, &sub); err != nil {
			return errors.New("notify: a device cannot be read")
		}
		ds[i].label, ds[i].sub = sub.Label, sub.open()
	}
	return nil
}

// removeDevice forgets one of the principal's: notify.not_found.
func (s *Service) removeDevice(ctx context.Context, d id.ID[device]) error {
	who, policy, err := s.own(ctx, "notify.remove_device")
	if err != nil {
		return err
	}
	return s.store.removeDevice(ctx, s.base.DB, who, policy, d)
}

// shownOnDevice is what a push message carries: no name, no place, no time. Tag lets a
// repeat replace what is shown already.
type shownOnDevice struct {
	Title   string `json:"title"`
	TitleEN string `json:"title_en"`
	Link    string `json:"link"`
	Tag     string `json:"tag"`
}

// errNoDevice is an account whose browsers have all gone.
var errNoDevice = errors.New("notify: no device takes push messages")

// handPush sends to each of the account's devices that has not had the message. What a
// push service has forgotten is forgotten here too. It has succeeded when all devices
// have it, or, at the last attempt, when one has.
func (s *Service) handPush(ctx context.Context, tenant notify.TenantID, d delivery, params map[string]string) (string, error) {
	if s.ways.Push == nil {
		return "", errNoGateway
	}
	devices, had, err := s.store.devicesFor(ctx, s.base.DB, tenant, d.account, d.id)
	if err != nil {
		return "", err
	}
	if err := s.openDevices(ctx, tenant, devices); err != nil {
		return "", err
	}
	keys, err := s.keys(ctx, tenant)
	if err != nil {
		return "", err
	}
	m, err := s.pushMessage(d, params)
	if err != nil {
		return "", err
	}
	failed := errNoDevice
	open := false
	for _, x := range devices {
		switch err := s.ways.Push.Send(ctx, keys, x.sub, m); {
		case err == nil:
			had++
			if err := s.store.pushed(ctx, s.base.DB, tenant, d.id, x.id); err != nil {
				return "", err
			}
		case errors.Is(err, webpush.ErrGone):
			if err := s.store.dropDevice(ctx, s.base.DB, tenant, d.account, x.id); err != nil {
				return "", err
			}
		case errors.Is(err, webpush.ErrRefused), errors.Is(err, webpush.ErrInvalid):
			if !open {
				failed = webpush.ErrRefused.New()
			}
		default:
			failed, open = err, true
		}
	}
	if had > 0 && (!open || d.attempts+1 >= tries) {
		return d.id.String(), nil
	}
	return "", failed
}

func (s *Service) pushMessage(d delivery, params map[string]string) (webpush.Message, error) {
	t := templates[d.template]
	b, err := json.Marshal(shownOnDevice{Title: t.titleZH, TitleEN: t.titleEN, Link: fill(t.link, params), Tag: d.id.String()})
	m := webpush.Message{Payload: b, TTL: 24 * time.Hour, Topic: base64.RawURLEncoding.EncodeToString(d.id[:]), Urgent: t.urgent}
	if !d.expires.IsZero() {
		m.TTL = d.expires.Sub(s.base.Clock.Now())
	}
	return m, err
}
