package paymentsvc

import (
	"xinglin/internal/payment"
	"xinglin/internal/platform/state"
)

// What moves payments and refunds.
const (
	byPaid      = "payment.paid"
	byClose     = "payment.close"
	byRequest   = "payment.refund"
	byAccepted  = "channel.refund_accepted"
	byRefunded  = "channel.refund_done"
	byRefundEnd = "channel.refund_failed"
	byCash      = "payment.take_cash"
	byPaidOut   = "payment.pay_out"
)

// paymentLife is the payment's state machine; the columns' CHECKs say the same about amounts.
var paymentLife = state.Machine[payment.State]{
	Noun: "Payment", Initial: payment.Open,
	Steps: []state.Step[payment.State]{
		{From: payment.Open, To: payment.Paid, By: byPaid},
		{From: payment.Open, To: payment.Paid, By: byCash, Guard: "at a window, and nobody can pay at the channel any more"},
		{From: payment.Open, To: payment.Closed, By: byClose, Guard: "the channel holds no payment"},
		{From: payment.Closed, To: payment.Paid, By: byPaid, Guard: "the money came late"},
		{From: payment.Paid, To: payment.Refunding, By: byRequest, Guard: "not more than was paid"},
		{From: payment.Refunding, To: payment.Refunded, By: byRefunded, Guard: "all is back"},
		{From: payment.Refunding, To: payment.Paid, By: byRefunded, Guard: "a part is back, no more on its way"},
		{From: payment.Refunding, To: payment.Paid, By: byRefundEnd, Guard: "no more on its way"},
	},
}

// refundLife is the refund's state machine.
var refundLife = state.Machine[payment.RefundState]{
	Noun: "Refund", Initial: payment.RefundRequested,
	Steps: []state.Step[payment.RefundState]{
		{From: payment.RefundRequested, To: payment.RefundProcessing, By: byAccepted},
		{From: payment.RefundRequested, To: payment.RefundDone, By: byRefunded},
		{From: payment.RefundRequested, To: payment.RefundDone, By: byPaidOut, Guard: "paid in cash"},
		{From: payment.RefundProcessing, To: payment.RefundDone, By: byRefunded},
		{From: payment.RefundRequested, To: payment.RefundFailed, By: byRefundEnd},
		{From: payment.RefundProcessing, To: payment.RefundFailed, By: byRefundEnd},
		{From: payment.RefundFailed, To: payment.RefundDone, By: byRefunded, Guard: "a person has acted at the channel"},
	},
}
