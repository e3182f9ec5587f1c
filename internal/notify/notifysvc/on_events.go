package notifysvc

import (
	"context"

	"xinglin/internal/kernel/event"
	"xinglin/internal/payment"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/inbox"
	"xinglin/internal/platform/job"
	"xinglin/internal/scheduling"
)

// composeJob holds the facts of an event until names are looked up outside the transaction.
type composeJob struct {
	Tenant   string           `json:"tenant"`
	Message  string           `json:"message"`
	Template string           `json:"template"`
	Visit    scheduling.Visit `json:"visit"`
	Number   string           `json:"number,omitempty"`
	Fen      int64            `json:"fen,omitempty"`
}

const composeKind = "notify.compose"

// hears are the events that become messages.
func (s *Service) hears() []inbox.Handler {
	return []inbox.Handler{
		inbox.On(func(ctx context.Context, tx db.Tx, m event.Meta, e scheduling.AppointmentBooked) error {
			return compose(ctx, tx, m, composeJob{Template: "scheduling.booked", Visit: e.Visit, Number: scheduling.Ticket{Session: e.Session, Number: e.Number}.Text()})
		}),
		inbox.On(func(ctx context.Context, tx db.Tx, m event.Meta, e scheduling.AppointmentCancelled) error {
			return compose(ctx, tx, m, composeJob{Template: "scheduling.cancelled", Visit: e.Visit, Fen: int64(e.Refund)})
		}),
		inbox.On(func(ctx context.Context, tx db.Tx, m event.Meta, e scheduling.AppointmentExpired) error {
			return compose(ctx, tx, m, composeJob{Template: "scheduling.expired", Visit: e.Visit})
		}),
		inbox.On(func(ctx context.Context, tx db.Tx, m event.Meta, e payment.RefundedEvent) error {
			v := scheduling.Visit{Account: e.Account}
			copy(v.Appointment[:], e.Reference[:])
			return compose(ctx, tx, m, composeJob{Template: "payment.refunded", Visit: v, Fen: int64(e.Amount)})
		}),
	}
}

func compose(ctx context.Context, tx db.Tx, m event.Meta, c composeJob) error {
	c.Tenant, c.Message = m.Tenant.String(), m.ID.String()
	return job.Enqueue(ctx, tx, job.Spec{Kind: composeKind, Key: c.Message + " " + c.Visit.Appointment.String(), Payload: c})
}
