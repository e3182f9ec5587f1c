package notifysvc

import (
	"context"
	"fmt"
	"hash/fnv"
	"time"

	"xinglin/internal/kernel/event"
	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/job"
	"xinglin/internal/scheduling"
)

// Reminders go out in the evening before the visit, spread so that the gateway is not
// rushed. Who books in the afternoon before, or later, gets none: the confirmation says
// the same, with "tomorrow" and what to bring.
const (
	remindKind  = "notify.remind"
	remindFrom  = 18 * 60 // minutes of the day in Shanghai
	remindTo    = 20 * 60
	remindUntil = 15 * 60 // the last moment of booking that has a reminder
)

// remindAt is when a visit that is booked now is reminded of; zero when it is not. The
// same visit always has the same time.
func remindAt(v scheduling.Visit, now time.Time) time.Time {
	eve := v.Date.Add(-1)
	if v.Date == 0 || !now.Before(eve.At(remindUntil)) {
		return time.Time{}
	}
	h := fnv.New32a()
	_, _ = h.Write(v.Appointment[:]) // a hash never fails
	spread := time.Duration(h.Sum32()%uint32((remindTo-remindFrom)*60)) * time.Second
	return eve.At(remindFrom).Add(spread)
}

// reminderOf is the job of a booking's reminder. Its message has an id of its own: that
// of the booking with one bit turned.
func reminderOf(m event.Meta, c composeJob, at time.Time) job.Spec {
	own := id.As[id.Any](m.ID)
	own[15] ^= 1
	c.Template, c.Tenant, c.Message, c.Until = "scheduling.reminder", m.Tenant.String(), own.String(), c.Visit.StartsAt
	return job.Spec{Kind: remindKind, Key: c.Visit.Appointment.String(), RunAt: at, Payload: c}
}

// remind sends the reminder, unless the visit was called off meanwhile.
func (s *Service) remind(ctx context.Context, c composeJob) error {
	tenant, err := parseTenant(c)
	if err != nil {
		return err
	}
	off, err := s.store.calledOff(ctx, s.base.DB, tenant, c.Visit.Appointment)
	if err != nil || off {
		return err
	}
	if !s.base.Clock.Now().Before(c.Visit.StartsAt) {
		return nil // the process did not run all the evening and night
	}
	if err := s.compose(ctx, c); err != nil {
		return fmt.Errorf("notify: reminder: %w", err)
	}
	return nil
}
