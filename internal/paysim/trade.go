package paysim

import (
	"crypto/rand"
	"net/http"
	"time"

	"xinglin/internal/platform/wechatpay"
)

// apiError is a refusal in the channel's own words.
type apiError struct {
	status  int
	code    string
	message string
}

func refuse(status int, code, message string) *apiError { return &apiError{status, code, message} }

func journalFailed() *apiError {
	return refuse(http.StatusInternalServerError, "SYSTEM_ERROR", "模拟器无法写入日志")
}

// open records a new order, or finds the same one again.
func (b *book) open(o order, now time.Time) (order, *apiError) {
	b.mu.Lock()
	defer b.mu.Unlock()
	k := number{o.MchID, o.OutTradeNo}
	if old := b.orders[k]; old != nil {
		cur := old.at(now)
		switch {
		case cur.State == wechatpay.StatePaid || cur.State == wechatpay.StateRefund:
			return order{}, refuse(http.StatusBadRequest, "ORDERPAID", "该订单已支付")
		case cur.State == wechatpay.StateClosed:
			return order{}, refuse(http.StatusBadRequest, "ORDER_CLOSED", "该订单已关闭")
		case cur.TotalFen != o.TotalFen || cur.Description != o.Description || cur.TradeType != o.TradeType:
			return order{}, refuse(http.StatusForbidden, "OUT_TRADE_NO_USED", "商户订单号重复")
		}
		return cur, nil
	}
	if !b.room(now) {
		return order{}, refuse(http.StatusTooManyRequests, "FREQUENCY_LIMITED", "模拟器订单已满")
	}
	o.State, o.CreatedAt, o.Token = wechatpay.StateNotPaid, now, rand.Text()
	b.take(line{Order: &o})
	if b.save(line{Order: &o}) != nil {
		return order{}, journalFailed()
	}
	return o, nil
}

// shut closes an order that nobody paid.
func (b *book) shut(k number, now time.Time) *apiError {
	b.mu.Lock()
	defer b.mu.Unlock()
	o := b.orders[k]
	if o == nil {
		return refuse(http.StatusNotFound, "ORDER_NOT_EXIST", "订单不存在")
	}
	switch o.at(now).State {
	case wechatpay.StatePaid, wechatpay.StateRefund:
		return refuse(http.StatusBadRequest, "ORDERPAID", "该订单已支付")
	case wechatpay.StateNotPaid:
		o.State = wechatpay.StateClosed
		if b.save(line{Order: o}) != nil {
			return journalFailed()
		}
	}
	return nil
}

// pay marks an order paid; fresh tells that it was not before.
func (b *book) pay(k number, now time.Time) (o order, fresh bool, e *apiError) {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := b.orders[k]
	if p == nil {
		return order{}, false, refuse(http.StatusNotFound, "ORDER_NOT_EXIST", "订单不存在")
	}
	switch p.at(now).State {
	case wechatpay.StateClosed:
		return p.at(now), false, refuse(http.StatusBadRequest, "ORDER_CLOSED", "订单已关闭或已过期")
	case wechatpay.StatePaid, wechatpay.StateRefund:
		return *p, false, nil
	}
	p.State, p.PaidAt = wechatpay.StatePaid, now.Truncate(time.Second)
	p.TransactionID = "42000" + digits(23)
	p.Hook = hook{ID: "EV-" + digits(30), CreatedAt: now}
	if b.save(line{Order: p}) != nil {
		return *p, false, journalFailed()
	}
	return *p, true, nil
}

// giveBack records a refund, or finds the same one again.
func (b *book) giveBack(r refund, now time.Time) (out refund, fresh bool, e *apiError) {
	b.mu.Lock()
	defer b.mu.Unlock()
	k, of := number{r.MchID, r.OutRefundNo}, number{r.MchID, r.OutTradeNo}
	if old := b.refunds[k]; old != nil {
		if old.OutTradeNo != r.OutTradeNo || old.RefundFen != r.RefundFen || old.TotalFen != r.TotalFen {
			return refund{}, false, refuse(http.StatusBadRequest, "PARAM_ERROR", "退款单号已用于另一笔退款")
		}
		return *old, false, nil
	}
	o := b.orders[of]
	if o == nil {
		return refund{}, false, refuse(http.StatusNotFound, "RESOURCE_NOT_EXISTS", "订单不存在")
	}
	if o.State != wechatpay.StatePaid && o.State != wechatpay.StateRefund {
		return refund{}, false, refuse(http.StatusForbidden, "INVALID_REQUEST", "订单未支付,不能退款")
	}
	if r.TotalFen != o.TotalFen {
		return refund{}, false, refuse(http.StatusBadRequest, "PARAM_ERROR", "订单金额不一致")
	}
	left := o.TotalFen
	for _, x := range b.ofOrder[of] {
		left -= x.RefundFen
	}
	if r.RefundFen > left {
		return refund{}, false, refuse(http.StatusForbidden, "NOT_ENOUGH", "可退金额不足")
	}
	if len(b.ofOrder[of]) >= maxRefunds {
		return refund{}, false, refuse(http.StatusForbidden, "INVALID_REQUEST", "退款次数超过限制")
	}
	r.TransactionID, r.RefundID = o.TransactionID, "50300"+digits(24)
	r.State, r.CreatedAt = wechatpay.RefundProcessing, now
	o.State = wechatpay.StateRefund
	b.take(line{Refund: &r})
	if b.save(line{Order: o}) != nil || b.save(line{Refund: &r}) != nil {
		return refund{}, false, journalFailed()
	}
	return r, true, nil
}

// finish ends a refund that was processing.
func (b *book) finish(k number, now time.Time) (out refund, fresh bool, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := b.refunds[k]
	if r == nil || r.State != wechatpay.RefundProcessing {
		return refund{}, false, nil
	}
	r.State, r.DoneAt = wechatpay.RefundDone, now.Truncate(time.Second)
	if r.NotifyURL != "" {
		r.Hook = hook{ID: "EV-" + digits(30), CreatedAt: now}
	}
	return *r, true, b.save(line{Refund: r})
}

// attempted records one delivery of an order's or refund's notification and tells the hook's new state.
func (b *book) attempted(n notice, done bool) (hook, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if n.refund {
		r := b.refunds[n.number]
		if r == nil {
			return hook{Done: true}, nil
		}
		r.Hook.Attempts++
		r.Hook.Done = done || r.Hook.Attempts > len(retryAfter)
		return r.Hook, b.save(line{Refund: r})
	}
	o := b.orders[n.number]
	if o == nil {
		return hook{Done: true}, nil
	}
	o.Hook.Attempts++
	o.Hook.Done = done || o.Hook.Attempts > len(retryAfter)
	return o.Hook, b.save(line{Order: o})
}
