package notifysvc

import (
	"context"
	"strconv"
	"time"

	"xinglin/internal/clinic"
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
	Calls    int              `json:"calls,omitempty"` // into the room, from 1
	ByStaff  bool             `json:"by_staff,omitempty"`
	Last     bool             `json:"last,omitempty"` // no reminder follows
}

const composeKind = "notify.compose"

// hears are the events that become messages.
func (s *Service) hears() []inbox.Handler {
	return []inbox.Handler{
		inbox.On(s.booked),
		inbox.On(s.cancelled),
		inbox.On(func(ctx context.Context, tx db.Tx, m event.Meta, e scheduling.AppointmentExpired) error {
			return compose(ctx, tx, m, composeJob{Template: "scheduling.expired", Visit: e.Visit})
		}),
		inbox.On(func(ctx context.Context, tx db.Tx, m event.Meta, e scheduling.AppointmentMissed) error {
			return compose(ctx, tx, m, composeJob{Template: "scheduling.missed", Visit: e.Visit})
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
		inbox.On(func(ctx context.Context, tx db.Tx, m event.Meta, e clinic.TurnCalled) error {
			c := ofTurn("clinic.called", e.Step, callTime)
			c.Calls = e.Calls
			return compose(ctx, tx, m, c)
		}),
		inbox.On(func(ctx context.Context, tx db.Tx, m event.Meta, e clinic.TurnMissed) error {
			return compose(ctx, tx, m, ofTurn("clinic.missed", e.Step, missTime))
		}),
	}
}

// After these times a message about a turn is pointless: the person is seen, or has gone.
const (
	callTime = 15 * time.Minute
	missTime = 3 * time.Hour
)

// ofTurn is a message about a place in the queue.
func ofTurn(template string, e clinic.Step, worth time.Duration) composeJob {
	return composeJob{
		Template: template, Number: strconv.Itoa(e.Number), Until: e.At.Add(worth),
		Visit: scheduling.Visit{Appointment: e.Appointment, Account: e.Account, Patient: e.Patient, Schedule: e.Schedule},
	}
}

// booked tells of the booking, and plans the reminder of the evening before. Where there is none, for a visit of today or
// tomorrow, the confirmation says all that the reminder would: one message, not two within hours.
func (s *Service) booked(ctx context.Context, tx db.Tx, m event.Meta, e scheduling.AppointmentBooked) error {
	c := composeJob{Template: "scheduling.booked", Visit: e.Visit, Number: scheduling.Ticket{Session: e.Session, Number: e.Number}.Text()}
	at := remindAt(e.Visit, tx.Now())
	c.Last = at.IsZero()
	specs := specsOf(m, c)
	if !c.Last && !e.Account.IsZero() {
		specs = append(specs, reminderOf(m, c, at))
	}
	return job.Enqueue(ctx, tx, specs...)
}

// cancelled tells who did it and what goes back, and calls the reminder off.
func (s *Service) cancelled(ctx context.Context, tx db.Tx, m event.Meta, e scheduling.AppointmentCancelled) error {
	c := composeJob{Template: "scheduling.cancelled", Visit: e.Visit, Fen: int64(e.Refund), ByStaff: e.Reason == scheduling.ByStaff}
	if e.Reason == scheduling.ByStop {
		c.Template = "scheduling.stopped"
	}
	if err := s.store.callOff(ctx, tx, e.Visit); err != nil {
		return err
	}
	return compose(ctx, tx, m, c)
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
	return job.Enqueue(ctx, tx, specsOf(m, cs...)...)
}

func specsOf(m event.Meta, cs ...composeJob) []job.Spec {
	specs := make([]job.Spec, len(cs))
	for i, c := range cs {
		c.Tenant, c.Message = m.Tenant.String(), m.ID.String()
		specs[i] = job.Spec{Kind: composeKind, Key: c.Message + " " + c.Visit.Appointment.String(), Payload: c}
	}
	return specs
}
