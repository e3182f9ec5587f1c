package schedulingsvc

import (
	"context"
	"errors"
	"slices"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/id"
	"xinglin/internal/payment"
	"xinglin/internal/platform/authz"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/job"
)

// jobs are the timers and the work with other contexts.
func (s *Service) jobs() []job.Handler {
	return []job.Handler{
		job.Call(jobExpire, s.expireHolds),
		job.InTx(jobReturn, s.returnSeat),
		job.Call(jobClose, s.closePayment),
		job.Call(jobRefund, s.refundPayment),
		job.Call(jobDraw, s.drawJob),
		job.Call(jobStop, s.cancelStopped),
		job.Call(jobMiss, s.missVisits),
		job.Call(jobExtend, s.extendJob),
		job.Every(jobExtendAll, job.Cron{At: "00:05"}, s.extendAll),
	}
}

// expireTogether bounds the holds that end in one transaction: it locks their sessions.
const expireTogether = 32

// expireHolds ends the holds of one batch that were not paid, a few in a transaction.
func (s *Service) expireHolds(ctx context.Context, p expiring) error {
	who, err := auth.From(ctx)
	if err != nil {
		return err
	}
	d, err := s.base.Authz.Check(ctx, authz.Request{Action: "scheduling.expire_hold", Noun: "Appointments", ID: who.Tenant.String()})
	if err != nil {
		return err
	}
	due, err := s.store.stillHeld(ctx, who.Tenant, p.Appointments)
	if err != nil {
		return err
	}
	for some := range slices.Chunk(due, expireTogether) {
		if err := s.store.expireAll(ctx, who.Tenant, some, d.Policy); err != nil {
			return err
		}
	}
	return nil
}

func (s *Service) returnSeat(ctx context.Context, tx db.Tx, p about) error {
	d, err := s.base.Authz.Check(ctx, authz.Request{Action: "scheduling.return_seat", Noun: "Appointment", ID: p.Appointment.String()})
	if err != nil {
		return err
	}
	return s.store.returnSeat(ctx, tx, p.Appointment, d.Policy)
}

func (s *Service) closePayment(ctx context.Context, p about) error {
	who, err := auth.From(ctx)
	if err != nil {
		return err
	}
	err = s.payments.Close(ctx, who.Tenant, id.As[payment.Payment](p.Appointment))
	if errors.Is(err, payment.ErrNotFound) { // it was never opened
		return nil
	}
	return err
}

// refundPayment asks for the money back under an id that follows from the appointment,
// so that repeating it is the same refund.
func (s *Service) refundPayment(ctx context.Context, p about) error {
	who, err := auth.From(ctx)
	if err != nil {
		return err
	}
	_, err = s.payments.Refund(ctx, payment.RefundRequest{
		ID: id.As[payment.Refund](p.Appointment), Tenant: who.Tenant, Payment: id.As[payment.Payment](p.Appointment), Amount: p.Amount, Reason: p.Reason,
	})
	return err
}
