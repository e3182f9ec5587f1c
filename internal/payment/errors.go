package payment

import "xinglin/internal/kernel/fault"

// Refusals.
var (
	ErrNotFound      = fault.Register(fault.NotFound, "payment.not_found", "没有这笔支付", "There is no such payment")
	ErrReused        = fault.Register(fault.Invalid, "payment.id_reused", "支付单号已用于其他内容", "The payment id was used for something else")
	ErrNotOpen       = fault.Register(fault.Conflict, "payment.not_open", "这笔支付已结束", "The payment is no longer open")
	ErrExpired       = fault.Register(fault.Conflict, "payment.expired", "支付已超时", "The time to pay is over")
	ErrRefundExceeds = fault.Register(fault.Conflict, "payment.refund_exceeds", "退款金额超过可退金额", "The refund is more than can be given back")
	ErrNotPaid       = fault.Register(fault.Conflict, "payment.not_paid", "这笔支付尚未完成", "The payment has not been paid")
	ErrChannel       = fault.Register(fault.Unavailable, "payment.channel_down", "支付渠道暂时不可用，请稍后再试", "The payment channel is not available, try again later")
	ErrCallback      = fault.Register(fault.Unauthenticated, "payment.callback_refused", "回调验证失败", "The notification could not be verified")
	ErrReplay        = fault.Register(fault.Conflict, "payment.callback_replayed", "回调已处理过", "The notification was used before")
	ErrMismatch      = fault.Register(fault.Conflict, "payment.mismatch", "支付结果与订单不符", "The channel's result does not fit the payment")
	ErrInvalid       = fault.Register(fault.Invalid, "payment.invalid", "支付请求不正确", "The payment request is not correct")
	ErrCashShort     = fault.Register(fault.Invalid, "payment.cash_short", "收到的现金少于应付金额", "The cash does not cover the amount")
	ErrRefundState   = fault.Register(fault.Conflict, "payment.refund_state", "这笔退款当前不能这样处理", "The refund's state or channel does not allow this")
	ErrRefundFailed  = fault.Register(fault.Conflict, "payment.refund_failed", "渠道未能退款，需人工处理", "The channel could not give the money back; a person must act")
)
