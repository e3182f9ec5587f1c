package paymentsvc

import (
	"context"

	"xinglin/internal/kernel/event"
	"xinglin/internal/kernel/id"
	"xinglin/internal/payment"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/inbox"
	"xinglin/internal/scheduling"
)

// onHeld opens the payments of the seats that a batch of requests holds, all of a message
// at once. Whoever wants to pay before it was heard opens it by asking, and wins.
func (s *Service) onHeld() inbox.Handler { return inbox.OnAll(s.held) }

func (s *Service) held(ctx context.Context, tx db.Tx, m event.Meta, events []scheduling.AppointmentHeld) error {
	all := make([]opening, 0, len(events))
	for _, e := range events {
		if !e.ExpiresAt.After(tx.Now()) {
			continue // heard too late: the hold is over
		}
		o, err := s.mayOpen(ctx, payment.Request{
			ID: id.As[payment.Payment](e.Appointment), Tenant: m.Tenant, Account: e.Account, Purpose: payment.ForAppointment, Reference: id.As[id.Any](e.Appointment),
			Number: e.RegNo, Description: payment.RegistrationFee, Amount: e.Fee, Deadline: e.ExpiresAt,
		})
		if err != nil {
			return err
		}
		all = append(all, o)
	}
	_, err := s.store.openAll(ctx, tx, all)
	return err
}

// onSettled hears from scheduling which effect a payment took.
func (s *Service) onSettled() inbox.Handler {
	return inbox.On[scheduling.AppointmentSettled](s.settled)
}
