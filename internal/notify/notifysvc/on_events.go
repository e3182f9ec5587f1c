package notifysvc

import (
	"context"
	"time"

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
	Rank     int              `json:"rank,omitempty"` // of a lottery's entry
	Of       int              `json:"of,omitempty"`
	Reason   string           `json:"reason,omitempty"` // code of a refusal
	Until    time.Time        `json:"until,omitzero"`   // to be paid by
	Minutes  int              `json:"minutes,omitempty"`
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
		inbox.OnAll(func(ctx context.Context, tx db.Tx, m event.Meta, events []scheduling.LotteryDecided) error {
			jobs := make([]composeJob, len(events))
			for i, e := range events {
				jobs[i] = ofLottery(m, e)
			}
			return compose(ctx, tx, m, jobs...)
		}),
		inbox.On(func(ctx context.Context, tx db.Tx, m event.Meta, e payment.RefundedEvent) error {
			v := scheduling.Visit{Account: e.Account}
			copy(v.Appointment[:], e.Reference[:])
			return compose(ctx, tx, m, composeJob{Template: "payment.refunded", Visit: v, Fen: int64(e.Amount)})
		}),
	}
}

// ofLottery is the message about an entry of a lottery that has ended.
func ofLottery(m event.Meta, e scheduling.LotteryDecided) composeJob {
	c := composeJob{Template: "scheduling.lottery_lost", Visit: e.Visit, Rank: e.Rank, Of: e.Of}
	switch e.Outcome {
	case scheduling.LotteryWon:
		c.Template, c.Fen = "scheduling.lottery_won", int64(e.Fee)
		if left := e.PayBy.Sub(m.At); left > 0 {
			c.Until, c.Minutes = e.PayBy, int((left+time.Minute-1)/time.Minute)
		}
	case scheduling.LotteryRefused:
		c.Template, c.Reason = "scheduling.lottery_refused", e.Reason
	}
	return c
}

func compose(ctx context.Context, tx db.Tx, m event.Meta, cs ...composeJob) error {
	specs := make([]job.Spec, len(cs))
	for i, c := range cs {
		c.Tenant, c.Message = m.Tenant.String(), m.ID.String()
		specs[i] = job.Spec{Kind: composeKind, Key: c.Message + " " + c.Visit.Appointment.String(), Payload: c}
	}
	return job.Enqueue(ctx, tx, specs...)
}
