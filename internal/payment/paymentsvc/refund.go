package paymentsvc

import (
	"context"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/payment"
	"xinglin/internal/platform/authz"
)

// Refund asks for money back; the same id and content again is the same refund. Codes: payment.invalid, payment.not_found,
// payment.not_paid, payment.refund_exceeds, payment.id_reused.
func (s *Service) Refund(ctx context.Context, r payment.RefundRequest) (payment.Refund, error) {
	out, _, err := s.refund(ctx, r)
	return out, err
}

func (s *Service) refund(ctx context.Context, r payment.RefundRequest) (out payment.Refund, hit bool, err error) {
	who, err := auth.From(ctx)
	if err != nil {
		return out, false, err
	}
	if who.Tenant != r.Tenant {
		return out, false, payment.ErrNotFound.New()
	}
	// Who may give money back does not depend on the payment: nobody learns from a refusal whether it exists.
	d, err := s.base.Authz.Check(ctx, authz.Request{Action: "payment.refund", Noun: "Payment", ID: r.Payment.String()})
	if err != nil {
		return out, false, err
	}
	switch {
	case r.ID.IsZero():
		return out, false, payment.ErrInvalid.At("id", "an id is needed")
	case r.Amount <= 0:
		return out, false, payment.ErrInvalid.At("amount_fen", "an amount above zero is needed")
	case !reasonForm.MatchString(r.Reason):
		return out, false, payment.ErrInvalid.At("reason", "a code of small letters, digits and _ is needed")
	}
	v, hit, err := s.store.request(ctx, s.base.DB, r, change{Action: "payment.refund", Policy: d.Policy, Why: r.Reason})
	if err != nil {
		return out, false, err
	}
	return v.Refund, hit, nil
}

// refundsOf lists a payment's refunds, oldest first, at most 100.
func (s *Service) refundsOf(ctx context.Context, tenant payment.TenantID, pid payment.ID) ([]payment.Refund, error) {
	if _, _, err := s.find(ctx, tenant, pid, "payment.list_refunds"); err != nil {
		return nil, err
	}
	return s.store.refunds(ctx, s.base.DB, tenant, pid)
}
