package notifysvc

import (
	"context"

	"xinglin/internal/kernel/dataclass"
	"xinglin/internal/notify"
	"xinglin/internal/platform/crypt"
)

// settings are the preferences of an account as it sees them.
type settings struct {
	preferences
	mail    string // masked; empty without one
	devices int
}

func mailField(tenant notify.TenantID, a notify.AccountID) crypt.Field {
	return crypt.Field{Tenant: tenant, Table: "notify.mailbox", Column: "mail", Row: a.String()}
}

// readPreferences are the principal's own.
func (s *Service) readPreferences(ctx context.Context) (settings, error) {
	who, _, err := s.own(ctx, "notify.read_preferences")
	if err != nil {
		return settings{}, err
	}
	return s.settingsOf(ctx, who.Tenant, who.Account)
}

func (s *Service) settingsOf(ctx context.Context, tenant notify.TenantID, a notify.AccountID) (settings, error) {
	to, err := s.store.reach(ctx, s.base.DB, tenant, a)
	if err != nil {
		return settings{}, err
	}
	out := settings{preferences: to.preferences, devices: to.devices}
	if to.mail != nil {
		mail, err := s.base.Crypt.OpenText(ctx, mailField(tenant, a), to.mail)
		if err != nil {
			return settings{}, err
		}
		out.mail = dataclass.Mail.Mask(mail)
	}
	return out, nil
}

// putPreferences replaces the principal's own: notify.stale when version is not the
// current one, notify.invalid for quiet hours without a length.
func (s *Service) putPreferences(ctx context.Context, p preferences) (settings, error) {
	who, policy, err := s.own(ctx, "notify.update_preferences")
	if err != nil {
		return settings{}, err
	}
	if p.quiet && p.from == p.to {
		return settings{}, notify.ErrInvalid.At("quiet_to", "quiet hours must end at another time than they begin")
	}
	if err := s.store.putPreferences(ctx, s.base.DB, who, policy, p); err != nil {
		return settings{}, err
	}
	return s.settingsOf(ctx, who.Tenant, who.Account)
}
