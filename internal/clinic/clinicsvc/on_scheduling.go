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
	return []inbox.Handler{inbox.OnAll(s.onPublished), inbox.OnAll(s.onStopped), inbox.OnAll(s.onBooked), inbox.On(s.onCancelled)}
}

// onPublished makes the lines of planned sessions.
func (s *Service) onPublished(ctx context.Context, tx db.Tx, _ event.Meta, all []scheduling.SchedulePublished) error {
	lines := make([]lineKey, len(all))
	for i, e := range all {
		lines[i] = lineKey{e.Schedule, e.Date, e.Session, e.Campus, e.Department, e.Practitioner}
	}
	return s.store.published(ctx, tx, lines)
}

// onStopped stops lines at once; that a session goes on is seen by its plan.
func (s *Service) onStopped(ctx context.Context, tx db.Tx, _ event.Meta, all []scheduling.ScheduleStopped) error {
	ids := make([]scheduleID, len(all))
	for i, e := range all {
		ids[i] = e.Schedule
	}
	return s.store.stopped(ctx, tx, ids)
}

// onBooked makes turns.
func (s *Service) onBooked(ctx context.Context, tx db.Tx, _ event.Meta, all []scheduling.AppointmentBooked) error {
	rows := make([]booked, len(all))
	for i, e := range all {
		rows[i] = booked{e.Visit, e.Number}
	}
	return s.store.booked(ctx, tx, rows)
}

// onCancelled ends turns. A hold that was given up has none.
func (s *Service) onCancelled(ctx context.Context, tx db.Tx, _ event.Meta, e scheduling.AppointmentCancelled) error {
	if e.Number == 0 {
		return nil
	}
	return s.store.giveUp(ctx, tx, booked{e.Visit, e.Number}, e.Reason)
}
