package paymentsvc

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	"xinglin/internal/kernel/fault"
	"xinglin/internal/payment"
	"xinglin/internal/platform/httpx"
	"xinglin/internal/platform/obs"
	"xinglin/internal/platform/wechatpay"
)

// notices proves that a callback is authentic, fresh and ours.
type notices interface {
	ParseNotify(ctx context.Context, header http.Header, body []byte, now time.Time) (*wechatpay.Notification, error)
}

// Channel is the payment channel; *wechatpay.Client is one.
type Channel interface {
	Orders
	notices
}

// postCallback answers as the channel's protocol wants: 204, or a status and {code, message} that make it deliver again.
func (s *Service) postCallback(w http.ResponseWriter, r *http.Request) error {
	err := s.callback(r)
	if err != nil {
		code := "internal"
		if f := fault.Of(err); f != nil {
			code = f.Code.Name
		}
		obs.Log(r.Context()).Warn("payment: callback refused", "code", code, "error", err.Error())
	}
	status, body := wechatpay.Reply(err)
	if body != nil {
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
	}
	w.WriteHeader(status)
	_, _ = w.Write(body)
	return nil
}

// callback verifies one delivery and keeps it; its effect is the notice job's, which the commit wakes. Nobody is logged in
// here: the channel's signature is what counts.
func (s *Service) callback(r *http.Request) error {
	ctx := r.Context()
	if s.notices == nil {
		return payment.ErrChannel.Because("WeChat Pay is not configured")
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, wechatpay.MaxCallback+1))
	if err != nil {
		return payment.ErrCallback.Wrap(err)
	}
	n, err := s.notices.ParseNotify(ctx, r.Header, body, s.base.Clock.Now())
	if err != nil {
		if fault.KindOf(err) == fault.Unauthenticated {
			return payment.ErrCallback.Wrap(err)
		}
		return err
	}
	tenant := httpx.TenantOf(ctx)
	v, err := s.place(ctx, tenant, n)
	if err != nil {
		return err
	}
	if err := s.store.take(ctx, s.base.DB, tenant, v); err != nil {
		return err
	}
	return v.misfit
}

// place finds what a notification is about and whether it fits.
func (s *Service) place(ctx context.Context, tenant payment.TenantID, n *wechatpay.Notification) (notice, error) {
	v := notice{Notification: n}
	no := ""
	if n.Transaction != nil {
		no = n.Transaction.OutTradeNo
	} else {
		no = n.Refund.OutTradeNo
	}
	var ok bool
	if v.Payment, ok = idOf[payment.Payment](no); !ok {
		v.misfit = payment.ErrMismatch.Because("the number is not ours")
		return v, nil
	}
	if n.Refund != nil {
		if v.Of, ok = idOf[payment.Refund](n.Refund.OutRefundNo); !ok {
			v.misfit = payment.ErrMismatch.Because("the refund's number is not ours")
			return v, nil
		}
		r, _, err := s.store.refundWith(ctx, s.base.DB, tenant, v.Of)
		if v.misfit = unknown(err); err != nil {
			return v, other(err)
		}
		v.misfit = refundFits(r.Refund, n.Refund)
		return v, nil
	}
	p, err := s.store.get(ctx, s.base.DB, tenant, v.Payment)
	if v.misfit = unknown(err); err != nil {
		return v, other(err)
	}
	v.misfit = fits(p.Payment, n.Transaction)
	return v, nil
}

// unknown is the misfit of a number that we do not know; other is what else went wrong.
func unknown(err error) error {
	if errors.Is(err, payment.ErrNotFound) {
		return payment.ErrMismatch.Because("no such payment or refund")
	}
	return nil
}

func other(err error) error {
	if errors.Is(err, payment.ErrNotFound) {
		return nil
	}
	return err
}
