package wechatpay

import (
	"errors"
	"fmt"

	"xinglin/internal/kernel/fault"
)

// The refusals of this package. After ErrUnreachable, ErrBadSignature and ErrUnreadable the outcome at the channel is unknown:
// ask again with the same number, or query.
var (
	ErrUnreachable   = fault.Register(fault.Unavailable, "wechatpay.unreachable", "暂时无法连接微信支付", "WeChat Pay cannot be reached at the moment")
	ErrRefused       = fault.Register(fault.Conflict, "wechatpay.refused", "微信支付拒绝了该请求", "WeChat Pay refused the request")
	ErrBadSignature  = fault.Register(fault.Unavailable, "wechatpay.bad_signature", "微信支付的应答签名无效", "The answer's signature is not WeChat Pay's")
	ErrUnreadable    = fault.Register(fault.Unavailable, "wechatpay.unreadable", "微信支付的应答无法读取", "The answer of WeChat Pay cannot be read")
	ErrMisconfigured = fault.Register(fault.Internal, "wechatpay.misconfigured", "微信支付参数配置有误", "The WeChat Pay account is misconfigured")
	ErrInvalid       = fault.Register(fault.Invalid, "wechatpay.invalid", "支付请求参数有误", "The payment request is not valid")

	ErrCallbackForged     = fault.Register(fault.Unauthenticated, "wechatpay.callback_forged", "回调验签失败", "The callback is not WeChat Pay's")
	ErrCallbackLate       = fault.Register(fault.Unauthenticated, "wechatpay.callback_late", "回调时间超出允许范围", "The callback's time is out of the window")
	ErrCallbackUnreadable = fault.Register(fault.Malformed, "wechatpay.callback_unreadable", "回调内容无法读取", "The callback cannot be read")
	ErrCallbackReplayed   = fault.Register(fault.Conflict, "wechatpay.callback_replayed", "回调已使用过", "The callback was used before")
)

// Refusal is what the channel said when it refused a request; it is the cause in the chain of ErrRefused and, after the last
// attempt on a 5xx or 429, of ErrUnreachable. Find it with RefusalOf.
type Refusal struct {
	Status  int    // HTTP status
	Code    string // the channel's code, e.g. ORDER_NOT_EXIST; empty when its body could not be read
	Message string // the channel's text; may repeat our input, so it is not part of Error()
	Signed  bool   // the refusal carried a valid signature of the channel
}

// Error names the status and the channel's code.
func (r *Refusal) Error() string { return fmt.Sprintf("channel answered %d %s", r.Status, r.Code) }

// RefusalOf finds the channel's own words in err's chain; nil when there are none.
func RefusalOf(err error) *Refusal {
	var r *Refusal
	if errors.As(err, &r) {
		return r
	}
	return nil
}

// IsUnknown reports that the channel said, under its signature, that it has no such order or refund.
func IsUnknown(err error) bool {
	r := RefusalOf(err)
	return r != nil && r.Signed && r.Status == 404 && (r.Code == "ORDER_NOT_EXIST" || r.Code == "RESOURCE_NOT_EXISTS")
}

// IsPaid reports that a close was refused because the order is paid already.
func IsPaid(err error) bool {
	r := RefusalOf(err)
	return r != nil && r.Signed && r.Code == "ORDERPAID"
}
