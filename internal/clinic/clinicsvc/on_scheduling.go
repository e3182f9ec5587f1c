package clinicsvc

import (
	"context"

	"xinglin/internal/kernel/event"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/inbox"
	"xinglin/internal/scheduling"
)

// hears are the facts that make lines and turns. They may come late, twice and in another
// order: a line is made by whichever event names it first, and what is cancelled stays
// cancelled. That a hold expired is not heard: it has no turn, and when its payment comes
// late after all it is booked after it.
func (s *Service) hears() []inbox.Handler {
	return []inbox.Handler{
		inbox.OnAll(func(ctx context.Context, tx db.Tx, _ event.Meta, all []scheduling.SchedulePublished) error {
			lines := make([]lineKey, len(all))
			for i, e := range all {
				lines[i] = lineKey{e.Schedule, e.Date, e.Session, e.Campus, e.Department, e.Practitioner}
			}
			return s.store.published(ctx, tx, lines)
		}),
		inbox.OnAll(func(ctx context.Context, tx db.Tx, _ event.Meta, all []scheduling.ScheduleStopped) error {
			ids := make([]scheduleID, len(all))
			for i, e := range all {
				ids[i] = e.Schedule
			}
			return s.store.stopped(ctx, tx, ids)
		}),
		inbox.OnAll(func(ctx context.Context, tx db.Tx, _ event.Meta, all []scheduling.AppointmentBooked) error {
			rows := make([]booked, len(all))
			for i, e := range all {
				rows[i] = booked{e.Visit, e.Number}
			}
			return s.store.booked(ctx, tx, rows)
		}),
		inbox.On(func(ctx context.Context, tx db.Tx, _ event.Meta, e scheduling.AppointmentCancelled) error {
			if e.Number == 0 { // a hold has no turn
				return nil
			}
			return s.store.giveUp(ctx, tx, booked{e.Visit, e.Number}, e.Reason)
		}),
	}
}
