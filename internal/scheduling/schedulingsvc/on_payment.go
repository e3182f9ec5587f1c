package schedulingsvc

import (
	"context"

	"xinglin/internal/kernel/event"
	"xinglin/internal/kernel/id"
	"xinglin/internal/payment"
	"xinglin/internal/platform/authz"
	"xinglin/internal/platform/db"
	"xinglin/internal/scheduling"
)

// lockPaid locks the sessions of all payments of a transaction in the order of their ids,
// as the sale of seats does.
func (s *Service) lockPaid(ctx context.Context, tx db.Tx, events []payment.PaidEvent) error {
	var as []id.ID[scheduling.Appointment]
	for _, e := range events {
		if e.Purpose == payment.ForAppointment {
			as = append(as, id.As[scheduling.Appointment](e.Reference))
		}
	}
	return lockSessionsOf(ctx, tx, as)
}

// onPaid settles a payment of ours: it books the appointment or goes back, once.
func (s *Service) onPaid(ctx context.Context, tx db.Tx, _ event.Meta, e payment.PaidEvent) error {
	if e.Purpose != payment.ForAppointment {
		return nil
	}
	d, err := s.base.Authz.Check(ctx, authz.Request{Action: "scheduling.settle", Noun: "Appointment", ID: e.Reference.String()})
	if err != nil {
		return err
	}
	return s.store.settle(ctx, tx, id.As[scheduling.Appointment](e.Reference), e.Amount, d.Policy)
}
