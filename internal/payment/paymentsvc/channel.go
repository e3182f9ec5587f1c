package paymentsvc

import (
	"context"
	"encoding/hex"

	"xinglin/internal/kernel/id"
	"xinglin/internal/payment"
	"xinglin/internal/platform/wechatpay"
)

// Orders is what the channel can do about payments and refunds; *wechatpay.Client is one. Every method is idempotent by our
// number.
type Orders interface {
	PrepayH5(ctx context.Context, o wechatpay.Order) (string, error)
	Query(ctx context.Context, outTradeNo string) (*wechatpay.Transaction, error)
	Close(ctx context.Context, outTradeNo string) error
	Refund(ctx context.Context, o wechatpay.RefundOrder) (*wechatpay.Refund, error)
	QueryRefund(ctx context.Context, outRefundNo string) (*wechatpay.Refund, error)
}

// wechat is the name of the only remote channel.
const wechat = payment.WeChat

// numberOf is our number of a payment or refund at the channel: the id's 32 hex digits.
func numberOf[T any](v id.ID[T]) string { return hex.EncodeToString(v[:]) }

// idOf reads numberOf; false when it is not one of ours.
func idOf[T any](number string) (v id.ID[T], ok bool) {
	b, err := hex.DecodeString(number)
	if err != nil || len(b) != len(v) || number != hex.EncodeToString(b) {
		return v, false
	}
	copy(v[:], b)
	return v, true
}

// reasons are what the payer reads for the callers' codes.
var reasons = map[string]string{
	"cancelled": "退号退款", "patient": "退号退款", "staff": "医院取消预约", "expired": "占号超时，号源已释放", "stopped": "医生停诊",
	"late": "支付超时，号源已释放",
}

func reasonText(code string) string {
	if s, ok := reasons[code]; ok {
		return s
	}
	return "退款"
}

// fits tells whether the channel's transaction is the whole payment.
func fits(p payment.Payment, t *wechatpay.Transaction) error {
	switch {
	case t.OutTradeNo != numberOf(p.ID):
		return payment.ErrMismatch.Because("another number")
	case t.TotalFen != int64(p.Amount):
		return payment.ErrMismatch.Because("another amount")
	case t.TransactionID == "":
		return payment.ErrMismatch.Because("no transaction number")
	}
	return nil
}

// refundFits tells whether the channel's refund is ours.
func refundFits(r payment.Refund, w *wechatpay.Refund) error {
	switch {
	case w.OutRefundNo != numberOf(r.ID), w.OutTradeNo != numberOf(r.Payment):
		return payment.ErrMismatch.Because("another number")
	case w.RefundFen != int64(r.Amount):
		return payment.ErrMismatch.Because("another amount")
	}
	return nil
}
