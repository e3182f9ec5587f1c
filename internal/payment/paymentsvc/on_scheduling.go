package paymentsvc

import (
	"context"
	"errors"

	"xinglin/internal/kernel/event"
	"xinglin/internal/kernel/id"
	"xinglin/internal/payment"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/inbox"
	"xinglin/internal/platform/obs"
	"xinglin/internal/scheduling"
)

// onHeld opens the payments of the seats that a batch of requests holds, all of a message
// in one transaction. Whoever wants to pay before it was heard opens it by asking.
func (s *Service) onHeld() inbox.Handler {
	return inbox.On(func(ctx context.Context, tx db.Tx, m event.Meta, e scheduling.AppointmentHeld) error {
		r := payment.Request{
			ID: id.As[payment.Payment](e.Appointment), Tenant: m.Tenant, Account: e.Account, Purpose: payment.ForAppointment, Reference: id.As[id.Any](e.Appointment),
			Number: e.RegNo, Description: payment.RegistrationFee, Amount: e.Fee, Deadline: e.ExpiresAt,
		}
		if !e.ExpiresAt.After(tx.Now()) {
			return nil // heard too late: the hold is over
		}
		c, err := s.may(ctx, r.Tenant, "payment.open", record{Payment: payment.Payment{ID: r.ID, Account: r.Account}})
		if err != nil {
			return err
		}
		if err := s.checkRequest(r); err != nil {
			return err
		}
		_, err = s.store.openIn(obs.WithNumber(ctx, r.Number), tx, r, c)
		if errors.Is(err, payment.ErrReused) {
			return nil // opened by a reader, who wins
		}
		return err
	})
}

// onSettled hears from scheduling which effect a payment took.
func (s *Service) onSettled() inbox.Handler {
	return inbox.On[scheduling.AppointmentSettled](s.settled)
}
