package paysim

import "xinglin/internal/platform/wechatpay"

var stateText = map[string]string{
	wechatpay.StatePaid: "支付成功", wechatpay.StateNotPaid: "订单未支付",
	wechatpay.StateClosed: "订单已关闭", wechatpay.StateRefund: "订单发生过退款",
}

// json is the transaction as queries and callbacks tell it.
func (o order) json() map[string]any {
	out := map[string]any{
		"appid": o.AppID, "mchid": o.MchID, "out_trade_no": o.OutTradeNo, "trade_type": o.TradeType,
		"trade_state": o.State, "trade_state_desc": stateText[o.State], "attach": o.Attach,
		"amount": map[string]any{"total": o.TotalFen, "currency": wechatpay.Currency},
	}
	if o.PaidAt.IsZero() {
		return out
	}
	out["transaction_id"], out["success_time"] = o.TransactionID, rfc3339(o.PaidAt)
	out["bank_type"], out["payer"] = "OTHERS", map[string]string{"openid": "oSIM" + o.Token}
	out["amount"] = map[string]any{
		"total": o.TotalFen, "payer_total": o.TotalFen, "currency": wechatpay.Currency, "payer_currency": wechatpay.Currency,
	}
	return out
}

// json is the refund as answers tell it.
func (r refund) json() map[string]any {
	out := map[string]any{
		"refund_id": r.RefundID, "out_refund_no": r.OutRefundNo, "transaction_id": r.TransactionID,
		"out_trade_no": r.OutTradeNo, "channel": "ORIGINAL", "user_received_account": "支付用户零钱",
		"create_time": rfc3339(r.CreatedAt), "status": r.State, "funds_account": "AVAILABLE",
		"amount": map[string]any{
			"total": r.TotalFen, "refund": r.RefundFen, "payer_total": r.TotalFen, "payer_refund": r.RefundFen,
			"settlement_refund": r.RefundFen, "settlement_total": r.TotalFen, "discount_refund": 0, "currency": wechatpay.Currency,
		},
	}
	if !r.DoneAt.IsZero() {
		out["success_time"] = rfc3339(r.DoneAt)
	}
	return out
}

// callback is the refund as a callback tells it.
func (r refund) callback() map[string]any {
	return map[string]any{
		"mchid": r.MchID, "out_trade_no": r.OutTradeNo, "transaction_id": r.TransactionID,
		"out_refund_no": r.OutRefundNo, "refund_id": r.RefundID, "refund_status": r.State,
		"success_time": rfc3339(r.DoneAt), "user_received_account": "支付用户零钱",
		"amount": map[string]any{
			"total": r.TotalFen, "refund": r.RefundFen, "payer_total": r.TotalFen, "payer_refund": r.RefundFen,
		},
	}
}
