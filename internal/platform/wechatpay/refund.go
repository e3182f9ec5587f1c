package wechatpay

import (
	"context"
	"net/http"
	"time"
	"unicode/utf8"

	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/fault"
)

// The states of a refund at the channel.
const (
	RefundDone       = "SUCCESS"    // the money is back
	RefundClosed     = "CLOSED"     // will not happen; ask with a new number
	RefundProcessing = "PROCESSING" // on its way
	RefundAbnormal   = "ABNORMAL"   // the payer's account takes no money; a person must act
)

// RefundOrder is a refund to be asked for.
type RefundOrder struct {
	OutTradeNo  string // the payment
	OutRefundNo string // our number: 1 to 64 letters, digits, _ and -; the same number never refunds twice
	Reason      string // shown to the payer, at most 80 characters, no personal data
	RefundFen   int64  // above zero, at most TotalFen
	TotalFen    int64  // of the payment
}

// Refund is a refund as the channel tells it.
type Refund struct {
	OutTradeNo    string
	TransactionID string
	OutRefundNo   string
	RefundID      string // the channel's number
	State         string // RefundDone, ...
	DoneAt        time.Time
	RefundFen     int64
	TotalFen      int64
}

type refundAmountWire struct {
	Total       int64  `json:"total"`
	Refund      int64  `json:"refund"`
	PayerTotal  int64  `json:"payer_total,omitempty"`
	PayerRefund int64  `json:"payer_refund,omitempty"`
	Currency    string `json:"currency,omitempty"`
}

type refundAskWire struct {
	OutTradeNo  string           `json:"out_trade_no"`
	OutRefundNo string           `json:"out_refund_no"`
	Reason      string           `json:"reason,omitempty"`
	NotifyURL   string           `json:"notify_url,omitempty"`
	Amount      refundAmountWire `json:"amount"`
}

// refundWire is the refund in answers (status) and callbacks (mchid, refund_status).
type refundWire struct {
	MchID         string           `json:"mchid"`
	OutTradeNo    string           `json:"out_trade_no"`
	TransactionID string           `json:"transaction_id"`
	OutRefundNo   string           `json:"out_refund_no"`
	RefundID      string           `json:"refund_id"`
	Status        string           `json:"status"`
	RefundStatus  string           `json:"refund_status"`
	SuccessTime   string           `json:"success_time"`
	Amount        refundAmountWire `json:"amount"`
}

// Refund asks for a refund. It is asynchronous: the answer is mostly RefundProcessing, the end comes by callback or
// QueryRefund. Repeat it with the same number while the outcome is unknown.
func (c *Client) Refund(ctx context.Context, o RefundOrder) (*Refund, error) {
	var bad []fault.Detail
	add := func(path, msg string) { bad = append(bad, fault.Detail{Path: path, Message: msg}) }
	if !tradeNoForm.MatchString(o.OutTradeNo) {
		add("/out_trade_no", tradeNoWanted)
	}
	if !refundNoForm.MatchString(o.OutRefundNo) {
		add("/out_refund_no", "1 to 64 letters, digits, _ and - wanted")
	}
	if utf8.RuneCountInString(o.Reason) > 80 {
		add("/reason", "at most 80 characters wanted")
	}
	if o.RefundFen <= 0 || o.RefundFen > o.TotalFen {
		add("/refund_fen", "an amount above zero and at most the payment's wanted")
	}
	if len(bad) > 0 {
		return nil, ErrInvalid.With(bad...)
	}
	in := refundAskWire{
		OutTradeNo: o.OutTradeNo, OutRefundNo: o.OutRefundNo, Reason: o.Reason, NotifyURL: c.cfg.RefundURL,
		Amount: refundAmountWire{Total: o.TotalFen, Refund: o.RefundFen, Currency: Currency},
	}
	var w refundWire
	if err := c.call(ctx, http.MethodPost, "/v3/refund/domestic/refunds", in, &w); err != nil {
		return nil, err
	}
	return w.refund(o.OutRefundNo)
}

// QueryRefund asks for a refund by our number. IsUnknown(err) says that the channel has none.
func (c *Client) QueryRefund(ctx context.Context, outRefundNo string) (*Refund, error) {
	if !refundNoForm.MatchString(outRefundNo) {
		return nil, ErrInvalid.At("/out_refund_no", "1 to 64 letters, digits, _ and - wanted")
	}
	var w refundWire
	if err := c.call(ctx, http.MethodGet, "/v3/refund/domestic/refunds/"+outRefundNo, nil, &w); err != nil {
		return nil, err
	}
	return w.refund(outRefundNo)
}

// refund reads an answer about outRefundNo.
func (w refundWire) refund(outRefundNo string) (*Refund, error) {
	if w.OutRefundNo != outRefundNo {
		return nil, ErrUnreadable.Because("the answer is about another refund")
	}
	return w.read(w.Status, ErrUnreadable)
}

func (w refundWire) read(state string, unreadable *fault.Code) (*Refund, error) {
	r := &Refund{
		OutTradeNo: w.OutTradeNo, TransactionID: w.TransactionID, OutRefundNo: w.OutRefundNo, RefundID: w.RefundID,
		State: state, RefundFen: w.Amount.Refund, TotalFen: w.Amount.Total,
	}
	var err error
	if r.DoneAt, err = parseTime(w.SuccessTime); err != nil {
		return nil, unreadable.Because("success_time is no RFC 3339 instant")
	}
	switch {
	case r.OutTradeNo == "" || r.OutRefundNo == "" || r.RefundID == "":
		return nil, unreadable.Because("a number of the refund is missing")
	case r.State != RefundDone && r.State != RefundClosed && r.State != RefundProcessing && r.State != RefundAbnormal:
		return nil, unreadable.Because("state of the refund is unknown")
	case r.RefundFen <= 0 || r.RefundFen > r.TotalFen:
		return nil, unreadable.Because("amounts of the refund do not fit")
	case w.Amount.Currency != "" && w.Amount.Currency != Currency:
		return nil, unreadable.Because("currency is not %s", Currency)
	}
	return r, nil
}

// wireTime is RFC 3339 in the channel's zone, to the second.
func wireTime(t time.Time) string { return t.In(clock.Shanghai).Format(time.RFC3339) }
