package wechatpay_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"xinglin/internal/kernel/secret"
	"xinglin/internal/platform/wechatpay"
)

func secretOf(s string) secret.Text { return secret.New(s) }

func TestInvalidOrdersStayHere(t *testing.T) {
	ch := newChannel(t, func(_ *channel, w http.ResponseWriter, _ *http.Request, _ int) { w.WriteHeader(500) })
	c := client(t, config(ch.URL, ch.clock))
	good := wechatpay.Order{OutTradeNo: tradeNo, Description: "挂号费", TotalFen: 1, PayerIP: "203.0.113.9", OpenID: "o1"}
	cases := map[string]func(o *wechatpay.Order){
		"number short":   func(o *wechatpay.Order) { o.OutTradeNo = "P1" },
		"number path":    func(o *wechatpay.Order) { o.OutTradeNo = "../../../x" },
		"no description": func(o *wechatpay.Order) { o.Description = "" },
		"not UTF-8":      func(o *wechatpay.Order) { o.Description = "\xff" },
		"long attach":    func(o *wechatpay.Order) { o.Attach = strings.Repeat("a", 129) },
		"zero":           func(o *wechatpay.Order) { o.TotalFen = 0 },
		"negative":       func(o *wechatpay.Order) { o.TotalFen = -1 },
		"address":        func(o *wechatpay.Order) { o.PayerIP, o.OpenID = "nowhere", "" },
	}
	for name, change := range cases {
		t.Run(name, func(t *testing.T) {
			o := good
			change(&o)
			if _, err := c.PrepayH5(t.Context(), o); !errors.Is(err, wechatpay.ErrInvalid) {
				t.Fatalf("h5: %v", err)
			}
			if _, err := c.PrepayJSAPI(t.Context(), o); !errors.Is(err, wechatpay.ErrInvalid) {
				t.Fatalf("jsapi: %v", err)
			}
		})
	}
	refund := wechatpay.RefundOrder{OutTradeNo: tradeNo, OutRefundNo: refundNo, RefundFen: 101, TotalFen: 100}
	if _, err := c.Refund(t.Context(), refund); !errors.Is(err, wechatpay.ErrInvalid) {
		t.Fatalf("refund above the payment: %v", err)
	}
	if err := c.Close(t.Context(), "a/b/c/d"); !errors.Is(err, wechatpay.ErrInvalid) {
		t.Fatalf("close: %v", err)
	}
	if n := ch.calls.Load(); n != 0 {
		t.Fatalf("%d requests went out", n)
	}
}

func TestJSAPIParameters(t *testing.T) {
	answer := []byte(`{"prepay_id":"wx201410272009395522657a690389285100"}`)
	ch := newChannel(t, func(c *channel, w http.ResponseWriter, _ *http.Request, _ int) {
		c.send(w, 200, c.byPublic(answer), answer)
	})
	p, err := client(t, config(ch.URL, ch.clock)).PrepayJSAPI(t.Context(),
		wechatpay.Order{OutTradeNo: tradeNo, Description: "挂号费", TotalFen: 100, OpenID: "o1"})
	if err != nil {
		t.Fatal(err)
	}
	msg := p.AppID + "\n" + p.TimeStamp + "\n" + p.NonceStr + "\n" + p.Package + "\n"
	if err := wechatpay.Verify(&keys().merchant.PublicKey, []byte(msg), p.PaySign); err != nil {
		t.Fatalf("paySign: %v", err)
	}
	if p.AppID != appID || p.SignType != "RSA" || p.Package != "prepay_id=wx201410272009395522657a690389285100" {
		t.Fatalf("got %+v", p)
	}
}

func TestH5(t *testing.T) {
	for url, want := range map[string]bool{
		"https://wx.tenpay.com/cgi-bin/mmpayweb-bin/checkmweb?prepay_id=wx1": true, "http://127.0.0.1:8082/h5/x": true,
		"http://evil.example/h5": false, "javascript:alert(1)": false, "": false,
	} {
		answer, _ := json.Marshal(map[string]string{"h5_url": url})
		ch := newChannel(t, func(c *channel, w http.ResponseWriter, _ *http.Request, _ int) {
			c.send(w, 200, c.byPublic(answer), answer)
		})
		got, err := client(t, config(ch.URL, ch.clock)).PrepayH5(t.Context(),
			wechatpay.Order{OutTradeNo: tradeNo, Description: "挂号费", TotalFen: 100, PayerIP: "2001:db8::1", ExpiresAt: start})
		if (err == nil) != want || (want && got != url) {
			t.Fatalf("%q: %q %v", url, got, err)
		}
	}
	if got := wechatpay.H5Link("https://a.example/p?x=1", "https://b.example/m/?a=b&c"); got != "https://a.example/p?x=1&redirect_url=https%3A%2F%2Fb.example%2Fm%2F%3Fa%3Db%26c" {
		t.Fatal(got)
	}
	if got := wechatpay.H5Link("https://a.example/p", ""); got != "https://a.example/p" {
		t.Fatal(got)
	}
}

func TestClose(t *testing.T) {
	paid := []byte(`{"code":"ORDERPAID","message":"paid"}`)
	status, body := 204, []byte(nil)
	ch := newChannel(t, func(c *channel, w http.ResponseWriter, r *http.Request, _ int) {
		_, _ = io.Copy(io.Discard, r.Body)
		c.send(w, status, c.byPublic(body), body)
	})
	c := client(t, config(ch.URL, ch.clock))
	if err := c.Close(t.Context(), tradeNo); err != nil {
		t.Fatalf("empty answer: %v", err)
	}
	status, body = 400, paid
	if err := c.Close(t.Context(), tradeNo); !wechatpay.IsPaid(err) {
		t.Fatalf("got %v", err)
	}
}

func TestRefundAnswers(t *testing.T) {
	good := map[string]any{
		"refund_id": "503", "out_refund_no": refundNo, "transaction_id": "42", "out_trade_no": tradeNo, "status": "PROCESSING",
		"amount": map[string]any{"total": 100, "refund": 40, "currency": "CNY"},
	}
	cases := map[string]struct {
		key   string
		value any
		ok    bool
	}{
		"processing":     {"status", "PROCESSING", true},
		"done":           {"success_time", "2026-05-01T17:00:00+08:00", true},
		"unknown state":  {"status", "MAYBE", false},
		"no state":       {"status", "", false},
		"another refund": {"out_refund_no", "R2", false},
		"too much":       {"amount", map[string]any{"total": 100, "refund": 140}, false},
		"bad time":       {"success_time", "yesterday", false},
	}
	for name, k := range cases {
		t.Run(name, func(t *testing.T) {
			m := map[string]any{}
			for a, b := range good {
				m[a] = b
			}
			m[k.key] = k.value
			answer, _ := json.Marshal(m)
			ch := newChannel(t, func(c *channel, w http.ResponseWriter, _ *http.Request, _ int) {
				c.send(w, 200, c.byPublic(answer), answer)
			})
			c := client(t, config(ch.URL, ch.clock))
			r, err := c.Refund(t.Context(), wechatpay.RefundOrder{OutTradeNo: tradeNo, OutRefundNo: refundNo, RefundFen: 40, TotalFen: 100})
			if (err == nil) != k.ok || (!k.ok && !errors.Is(err, wechatpay.ErrUnreadable)) {
				t.Fatalf("got %v", err)
			}
			if k.ok && (r.RefundFen != 40 || r.TotalFen != 100 || r.RefundID != "503") {
				t.Fatalf("got %+v", r)
			}
			if _, err = c.QueryRefund(t.Context(), refundNo); (err == nil) != k.ok {
				t.Fatalf("query: %v", err)
			}
		})
	}
}
