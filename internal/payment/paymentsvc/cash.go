package paymentsvc

import (
	"context"
	"encoding/hex"
	"errors"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/id"
	"xinglin/internal/kernel/money"
	"xinglin/internal/payment"
	"xinglin/internal/platform/authz"
	"xinglin/internal/platform/obs"
	"xinglin/internal/platform/wechatpay"
)

// movement is cash that came or went at a window, under the client's key.
type movement struct {
	ID       id.ID[movement]
	Payment  payment.ID
	Refund   payment.RefundID // zero: it came
	Account  id.ID[auth.Account]
	Amount   money.Fen
	Received money.Fen // laid down by the payer; 0 when it went
}

// number is the movement's own, where a channel's transaction has the channel's.
func (m movement) number() string { return hex.EncodeToString(m.ID[:]) }

// cashTries bounds how often the person's prepay may begin between our close at the channel and our commit.
const cashTries = 3

// desk asks whether the principal may do this at all. It does not depend on the payment: nobody learns from a refusal
// whether there is one.
func (s *Service) desk(ctx context.Context, tenant payment.TenantID, action string, item id.ID[id.Any]) (who auth.Principal, c change, err error) {
	if who, err = auth.From(ctx); err != nil {
		return who, c, err
	}
	d, err := s.base.Authz.Check(ctx, authz.Request{Action: action, Noun: "Payment", ID: item.String()})
	if err == nil && who.Tenant != tenant {
		err = payment.ErrNotFound.Because("another tenant's")
	}
	return who, change{Action: action, Policy: d.Policy}, err
}

// takeCash takes the amount of an open payment in cash, once by its key; received is what the payer laid down, and the rest
// goes back at once. Where the person has opened WeChat Pay's order, it is closed there first: either the money came by
// WeChat before, and no cash is taken, or it cannot come any more. Codes: payment.not_found, payment.cash_short,
// payment.not_open (also: just paid by WeChat), payment.expired, payment.id_reused, payment.channel_down.
func (s *Service) takeCash(ctx context.Context, tenant payment.TenantID, pid payment.ID, key id.ID[movement], received money.Fen) (p payment.Payment, back money.Fen, hit bool, err error) {
	who, c, err := s.desk(ctx, tenant, "payment.take_cash", id.As[id.Any](pid))
	if err != nil {
		return p, 0, false, err
	}
	r, err := s.store.get(ctx, s.base.DB, tenant, pid)
	if err != nil {
		return p, 0, false, err
	}
	switch {
	case received < r.Amount:
		return p, 0, false, payment.ErrCashShort.At("body.received_fen", "at least the amount")
	case received > maxFen:
		return p, 0, false, payment.ErrInvalid.At("body.received_fen", "more than anybody lays down")
	}
	ctx = obs.WithNumber(ctx, r.Number)
	m := movement{ID: key, Payment: pid, Account: who.Account, Amount: r.Amount, Received: received}
	for range cashTries {
		if r.Channel == wechat && payable(r, s.base.Clock.Now()) == nil {
			if err := s.shut(ctx, tenant, r, c); err != nil {
				return p, 0, false, err
			}
		}
		after, hit, err := s.store.takeCash(ctx, s.base.DB, tenant, m, r.Channel, c)
		if !errors.Is(err, errPrepaid) {
			return after.Payment, received - r.Amount, hit, err
		}
		r = after
	}
	return p, 0, false, payment.ErrChannel.Because("%d prepays began while cash was taken", cashTries)
}

// errPrepaid: the person's prepay began meanwhile.
var errPrepaid = errors.New("payment: a prepay began")

// shut makes sure that nobody can pay the order at the channel any more. A prepay may still be on its way to an order that
// the channel does not know: it is opened and closed, so that the prepay finds it closed. Codes: payment.not_open when the
// money is there already (and taken in), payment.channel_down.
func (s *Service) shut(ctx context.Context, tenant payment.TenantID, p record, c change) error {
	if s.channel == nil {
		return payment.ErrChannel.Because("WeChat Pay is not configured")
	}
	err := s.channel.Close(ctx, numberOf(p.ID))
	if wechatpay.IsUnknown(err) {
		_, err = s.channel.PrepayH5(ctx, wechatpay.Order{
			OutTradeNo: numberOf(p.ID), Description: p.Description, TotalFen: int64(p.Amount), ExpiresAt: p.Deadline, PayerIP: "127.0.0.1",
		})
		if err == nil || wechatpay.RefusalOf(err) != nil { // it answered: the order is there now, or was just then
			err = s.channel.Close(ctx, numberOf(p.ID))
		}
	}
	switch {
	case err == nil || closedThere(err):
		return nil
	case !wechatpay.IsPaid(err):
		return payment.ErrChannel.Wrap(err)
	}
	c.Why = "found_paid"
	if p, err = s.ask(ctx, tenant, p, c); err != nil {
		return err
	}
	if p.PaidAt.IsZero() {
		return payment.ErrChannel.Because("paid by the close, not by the query")
	}
	return payment.ErrNotOpen.Because("paid at the channel")
}

// payOut ends a refund of a payment that was taken in cash: the registrar has handed the money out. Once by its key. Codes:
// payment.not_found, payment.refund_state, payment.id_reused.
func (s *Service) payOut(ctx context.Context, tenant payment.TenantID, rid payment.RefundID, key id.ID[movement]) (out listedRefund, hit bool, err error) {
	who, c, err := s.desk(ctx, tenant, "payment.pay_out", id.As[id.Any](rid))
	if err != nil {
		return out, false, err
	}
	r, p, err := s.store.refundWith(ctx, s.base.DB, tenant, rid)
	if err != nil {
		return out, false, err
	}
	if p.Channel != payment.Cash {
		return out, false, payment.ErrRefundState.Because("not a refund of cash")
	}
	m := movement{ID: key, Payment: p.ID, Refund: rid, Account: who.Account, Amount: r.Amount}
	if r, hit, err = s.store.payOut(obs.WithNumber(ctx, p.Number), s.base.DB, tenant, m, c); err != nil {
		return out, false, err
	}
	return listedRefund{r, p.Number, p.Channel}, hit, nil
}

// retryRefund gives a failed refund another chance. What the channel closed is asked for anew, under the key and once; what
// the payer's bank refused is held, and the channel is asked whether it has paid out since. Codes: payment.not_found,
// payment.refund_state (it has not failed, or was asked for anew already), payment.refund_exceeds, payment.id_reused,
// payment.refund_failed (it still has), payment.channel_down.
func (s *Service) retryRefund(ctx context.Context, tenant payment.TenantID, rid, key payment.RefundID) (out listedRefund, hit bool, err error) {
	_, c, err := s.desk(ctx, tenant, "payment.retry_refund", id.As[id.Any](rid))
	if err != nil {
		return out, false, err
	}
	r, p, err := s.store.refundWith(ctx, s.base.DB, tenant, rid)
	if err != nil {
		return out, false, err
	}
	ctx = obs.WithNumber(ctx, p.Number)
	switch {
	case r.State == payment.RefundDone: // it has come to its end: nothing is left to do
		return listedRefund{r, p.Number, p.Channel}, true, nil
	case r.State != payment.RefundFailed:
		return out, false, payment.ErrRefundState.Because("it is %s", r.State)
	case !r.Held:
		r, hit, err = s.store.retry(ctx, s.base.DB, tenant, rid, key, c)
		return listedRefund{r, p.Number, p.Channel}, hit, err
	}
	w, err := s.askRefund(ctx, tenant, p, r)
	if err != nil {
		return out, false, err
	}
	if w.State != wechatpay.RefundDone {
		return out, false, payment.ErrRefundFailed.New()
	}
	a := about{Payment: p.ID, Refund: rid}
	if err := s.store.moved(ctx, s.base.DB, tenant, w, a, 0, c); err != nil {
		return out, false, err
	}
	r, p, err = s.store.refundWith(ctx, s.base.DB, tenant, rid)
	return listedRefund{r, p.Number, p.Channel}, false, err
}
