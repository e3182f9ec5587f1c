package wechatpay

import (
	"context"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"xinglin/internal/kernel/fault"
)

// The states of a transaction at the channel (trade_state).
const (
	StatePaid     = "SUCCESS"    // paid
	StateRefund   = "REFUND"     // paid, then refunded wholly or in part
	StateNotPaid  = "NOTPAY"     // waits for the payer
	StateClosed   = "CLOSED"     // closed without payment
	StateRevoked  = "REVOKED"    // card payments only
	StatePaying   = "USERPAYING" // card payments only
	StatePayError = "PAYERROR"   // card payments only
)

// Currency is the only one of this client.
const Currency = "CNY"

// Order is a payment to be asked for.
type Order struct {
	OutTradeNo  string    // our number: 6 to 32 letters, digits, _ and -
	Description string    // what the payer sees, 1 to 127 characters, no personal data
	TotalFen    int64     // above zero
	ExpiresAt   time.Time // the channel takes no payment after it; zero: the channel's default
	Attach      string    // comes back in the callback, at most 128 characters
	PayerIP     string    // the payer's address; H5 needs it
	OpenID      string    // the payer within AppID; JSAPI needs it
}

// Transaction is an order as the channel tells it, in a query or a callback. Who paid is left out on purpose.
type Transaction struct {
	OutTradeNo    string
	TransactionID string // the channel's number, once paid
	TradeType     string // MWEB, JSAPI, ...
	State         string // StatePaid, ...
	StateText     string
	Attach        string
	PaidAt        time.Time // zero unless paid
	TotalFen      int64
	PayerFen      int64 // what the payer paid after the channel's coupons
}

// Paid reports that money came in, whether or not it was refunded later.
func (t *Transaction) Paid() bool { return t.State == StatePaid || t.State == StateRefund }

type amountWire struct {
	Total         int64  `json:"total"`
	PayerTotal    int64  `json:"payer_total,omitempty"`
	Currency      string `json:"currency,omitempty"`
	PayerCurrency string `json:"payer_currency,omitempty"`
}

type prepayWire struct {
	AppID       string     `json:"appid"`
	MchID       string     `json:"mchid"`
	Description string     `json:"description"`
	OutTradeNo  string     `json:"out_trade_no"`
	TimeExpire  string     `json:"time_expire,omitempty"`
	Attach      string     `json:"attach,omitempty"`
	NotifyURL   string     `json:"notify_url"`
	Amount      amountWire `json:"amount"`
	Payer       any        `json:"payer,omitempty"`
	Scene       any        `json:"scene_info,omitempty"`
}

// transactionWire is the transaction in answers and callbacks.
type transactionWire struct {
	AppID         string     `json:"appid"`
	MchID         string     `json:"mchid"`
	OutTradeNo    string     `json:"out_trade_no"`
	TransactionID string     `json:"transaction_id"`
	TradeType     string     `json:"trade_type"`
	State         string     `json:"trade_state"`
	StateText     string     `json:"trade_state_desc"`
	Attach        string     `json:"attach"`
	SuccessTime   string     `json:"success_time"`
	Amount        amountWire `json:"amount"`
}

// PrepayH5 opens an order for a browser outside WeChat and returns the address of the channel's pay page, valid 5 minutes.
// Asking again with the same number and content is allowed.
func (c *Client) PrepayH5(ctx context.Context, o Order) (string, error) {
	w, err := c.prepay(o)
	if err != nil {
		return "", err
	}
	if _, err := netip.ParseAddr(o.PayerIP); err != nil {
		return "", ErrInvalid.At("/payer_ip", "an IP address wanted")
	}
	w.Scene = map[string]any{"payer_client_ip": o.PayerIP, "h5_info": map[string]string{"type": "Wap"}}
	var out struct {
		H5URL string `json:"h5_url"`
	}
	if err := c.call(ctx, http.MethodPost, "/v3/pay/transactions/h5", w, &out); err != nil {
		return "", err
	}
	u, err := url.Parse(out.H5URL)
	if err != nil || u.Host == "" || (u.Scheme != "https" && (u.Scheme != "http" || !loopback(u.Hostname()))) {
		return "", ErrUnreadable.Because("h5_url is no https address")
	}
	return out.H5URL, nil
}

// H5Link is the pay page that sends the browser to returnURL afterwards. returnURL must be on a host that the merchant
// registered with the channel.
func H5Link(h5URL, returnURL string) string {
	if returnURL == "" {
		return h5URL
	}
	sep := "?"
	if strings.Contains(h5URL, "?") {
		sep = "&"
	}
	return h5URL + sep + "redirect_url=" + url.QueryEscape(returnURL)
}

// JSAPIParams start the payment inside WeChat; the field names are those of the browser's bridge.
type JSAPIParams struct {
	AppID     string `json:"appId"`
	TimeStamp string `json:"timeStamp"`
	NonceStr  string `json:"nonceStr"`
	Package   string `json:"package"`
	SignType  string `json:"signType"`
	PaySign   string `json:"paySign"`
}

// PrepayJSAPI opens an order for a page or mini-program inside WeChat and returns what its bridge wants, signed.
func (c *Client) PrepayJSAPI(ctx context.Context, o Order) (JSAPIParams, error) {
	w, err := c.prepay(o)
	if err != nil {
		return JSAPIParams{}, err
	}
	if o.OpenID == "" || len(o.OpenID) > 128 {
		return JSAPIParams{}, ErrInvalid.At("/openid", "1 to 128 characters wanted")
	}
	w.Payer = map[string]string{"openid": o.OpenID}
	var out struct {
		PrepayID string `json:"prepay_id"`
	}
	if err := c.call(ctx, http.MethodPost, "/v3/pay/transactions/jsapi", w, &out); err != nil {
		return JSAPIParams{}, err
	}
	if out.PrepayID == "" {
		return JSAPIParams{}, ErrUnreadable.Because("prepay_id is missing")
	}
	p := JSAPIParams{
		AppID: c.cfg.AppID, TimeStamp: stamp(c.cfg.Clock.Now()), NonceStr: Nonce(),
		Package: "prepay_id=" + out.PrepayID, SignType: "RSA",
	}
	p.PaySign, err = Sign(c.cfg.MerchantKey, lines(p.AppID, p.TimeStamp, p.NonceStr, p.Package))
	return p, err
}

// Query asks for an order by our number. IsUnknown(err) says that the channel has none.
func (c *Client) Query(ctx context.Context, outTradeNo string) (*Transaction, error) {
	if !tradeNoForm.MatchString(outTradeNo) {
		return nil, ErrInvalid.At("/out_trade_no", tradeNoWanted)
	}
	var w transactionWire
	uri := "/v3/pay/transactions/out-trade-no/" + outTradeNo + "?mchid=" + c.cfg.MchID
	if err := c.call(ctx, http.MethodGet, uri, nil, &w); err != nil {
		return nil, err
	}
	if w.OutTradeNo != outTradeNo {
		return nil, ErrUnreadable.Because("the answer is about another order")
	}
	return c.transaction(w, ErrUnreadable)
}

// Close ends an order that nobody paid; IsPaid(err) says that somebody did. Closing twice is allowed.
func (c *Client) Close(ctx context.Context, outTradeNo string) error {
	if !tradeNoForm.MatchString(outTradeNo) {
		return ErrInvalid.At("/out_trade_no", tradeNoWanted)
	}
	in := map[string]string{"mchid": c.cfg.MchID}
	return c.call(ctx, http.MethodPost, "/v3/pay/transactions/out-trade-no/"+outTradeNo+"/close", in, nil)
}

var (
	tradeNoForm  = regexp.MustCompile(`^[0-9A-Za-z_-]{6,32}$`)
	refundNoForm = regexp.MustCompile(`^[0-9A-Za-z_-]{1,64}$`)
)

const tradeNoWanted = "6 to 32 letters, digits, _ and - wanted"

func (c *Client) prepay(o Order) (*prepayWire, error) {
	var bad []fault.Detail
	add := func(path, msg string) { bad = append(bad, fault.Detail{Path: path, Message: msg}) }
	if !tradeNoForm.MatchString(o.OutTradeNo) {
		add("/out_trade_no", tradeNoWanted)
	}
	if n := utf8.RuneCountInString(o.Description); n < 1 || n > 127 || !utf8.ValidString(o.Description) {
		add("/description", "1 to 127 characters wanted")
	}
	if utf8.RuneCountInString(o.Attach) > 128 {
		add("/attach", "at most 128 characters wanted")
	}
	if o.TotalFen <= 0 {
		add("/total_fen", "an amount above zero wanted")
	}
	if c.cfg.NotifyURL == "" {
		add("/notify_url", "missing in the account")
	}
	if len(bad) > 0 {
		return nil, ErrInvalid.With(bad...)
	}
	w := &prepayWire{
		AppID: c.cfg.AppID, MchID: c.cfg.MchID, Description: o.Description, OutTradeNo: o.OutTradeNo,
		Attach: o.Attach, NotifyURL: c.cfg.NotifyURL, Amount: amountWire{Total: o.TotalFen, Currency: Currency},
	}
	if !o.ExpiresAt.IsZero() {
		w.TimeExpire = wireTime(o.ExpiresAt)
	}
	return w, nil
}

// transaction checks that w is ours and readable; unreadable is the code of the refusal.
func (c *Client) transaction(w transactionWire, unreadable *fault.Code) (*Transaction, error) {
	if w.MchID != c.cfg.MchID || w.AppID != c.cfg.AppID {
		return nil, unreadable.Wrap(errNotOurs)
	}
	t := &Transaction{
		OutTradeNo: w.OutTradeNo, TransactionID: w.TransactionID, TradeType: w.TradeType, State: w.State,
		StateText: w.StateText, Attach: w.Attach, TotalFen: w.Amount.Total, PayerFen: w.Amount.PayerTotal,
	}
	var err error
	if t.PaidAt, err = parseTime(w.SuccessTime); err != nil {
		return nil, unreadable.Because("success_time is no RFC 3339 instant")
	}
	switch {
	case w.OutTradeNo == "" || w.State == "":
		return nil, unreadable.Because("out_trade_no or trade_state is missing")
	case w.Amount.Currency != "" && w.Amount.Currency != Currency:
		return nil, unreadable.Because("currency is not %s", Currency)
	case t.Paid() && (t.TotalFen <= 0 || t.TransactionID == ""):
		return nil, unreadable.Because("a paid transaction without its amount or number")
	case t.State == StatePaid && t.PaidAt.IsZero():
		return nil, unreadable.Because("a paid transaction without its time")
	}
	return t, nil
}

func parseTime(s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339, s)
	return t.UTC(), err
}
