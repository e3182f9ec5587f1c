package paymentsvc

import (
	"context"
	"time"

	"xinglin/internal/kernel/fault"
	"xinglin/internal/payment"
	"xinglin/internal/platform/obs"
	"xinglin/internal/platform/wechatpay"
)

const (
	pageTime = 5*time.Minute - 30*time.Second // the channel's pay page is valid for 5 minutes
	askEach  = 2 * time.Second
)

// payable tells whether somebody may still pay.
func payable(p record, now time.Time) error {
	switch {
	case p.State != payment.Open || p.GivingUp:
		return payment.ErrNotOpen.New()
	case !now.Before(p.Deadline):
		return payment.ErrExpired.New()
	}
	return nil
}

// prepay opens the order at the channel and gives the address of its pay page, valid until the instant. A page that is still
// valid is given again. Codes: payment.not_found, payment.not_open, payment.expired, payment.channel_down.
func (s *Service) prepay(ctx context.Context, tenant payment.TenantID, pid payment.ID, payerIP string) (url string, until time.Time, err error) {
	p, c, err := s.find(ctx, tenant, pid, "payment.prepay")
	if err != nil {
		return "", until, err
	}
	ctx = obs.WithNumber(ctx, p.Number)
	now := s.base.Clock.Now()
	if err := payable(p, now); err != nil {
		return "", until, err
	}
	if s.channel == nil {
		return "", until, payment.ErrChannel.Because("WeChat Pay is not configured")
	}
	if p.PayURL != "" && now.Before(p.PayURLUntil) {
		return p.PayURL, p.PayURLUntil, nil
	}
	if err := s.store.beginPrepay(ctx, s.base.DB, tenant, pid, c); err != nil {
		return "", until, err
	}
	url, err = s.channel.PrepayH5(ctx, wechatpay.Order{
		OutTradeNo: numberOf(p.ID), Description: p.Description, TotalFen: int64(p.Amount), ExpiresAt: p.Deadline, PayerIP: payerIP,
	})
	if wechatpay.IsPaid(err) { // paid a moment ago; the query job tells
		return "", until, payment.ErrNotOpen.Wrap(err)
	}
	if err != nil {
		return "", until, payment.ErrChannel.Wrap(err)
	}
	until = now.Add(pageTime)
	if until.After(p.Deadline) {
		until = p.Deadline
	}
	open, err := s.store.keepURL(ctx, s.base.DB, tenant, pid, url, until)
	if err == nil && !open {
		err = payment.ErrNotOpen.New()
	}
	return url, until, err
}

// query asks the channel at once, at most each 2 s; between, and when the payment is not open, it tells what is known.
func (s *Service) query(ctx context.Context, tenant payment.TenantID, pid payment.ID) (payment.Payment, error) {
	p, c, err := s.find(ctx, tenant, pid, "payment.query")
	if err != nil || p.Channel == "" || !p.PaidAt.IsZero() {
		return p.Payment, err
	}
	yes, err := s.store.mayAsk(ctx, s.base.DB, tenant, pid)
	if err != nil || !yes {
		return p.Payment, err
	}
	c.Why = "queried"
	p, err = s.ask(ctx, tenant, p, c)
	return p.Payment, err
}

// ask looks at the channel whether the money has come, and takes it in. Codes: payment.channel_down, payment.mismatch.
func (s *Service) ask(ctx context.Context, tenant payment.TenantID, p record, c change) (record, error) {
	if s.channel == nil {
		return p, payment.ErrChannel.Because("WeChat Pay is not configured")
	}
	ctx = obs.WithNumber(ctx, p.Number)
	t, err := s.channel.Query(ctx, numberOf(p.ID))
	switch {
	case wechatpay.IsUnknown(err):
		return p, nil
	case err != nil:
		return p, payment.ErrChannel.Wrap(err)
	case !t.Paid():
		return p, nil
	}
	if err := fits(p.Payment, t); err != nil {
		obs.Log(ctx).Error("payment: the channel's transaction does not fit", "payment", p.ID.String(), "code", fault.Of(err).Code.Name)
		return p, err
	}
	at := t.PaidAt
	if at.IsZero() {
		at = s.base.Clock.Now()
	}
	return s.store.paid(ctx, s.base.DB, tenant, p.ID, t.TransactionID, at, c)
}
