package wechatpay_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"xinglin/internal/kernel/fault"
	"xinglin/internal/platform/wechatpay"
)

// callback is a notification's body around a resource.
func callback(t *testing.T, event, key string, plain []byte) []byte {
	t.Helper()
	sealed, err := wechatpay.Seal([]byte(key), plain, "transaction", "abcdefghijkl")
	if err != nil {
		t.Fatal(err)
	}
	body, err := json.Marshal(map[string]any{
		"id": "EV-1", "create_time": "2026-05-01T17:00:00+08:00", "event_type": event,
		"resource_type": "encrypt-resource", "summary": "s", "resource": sealed,
	})
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func refundResource(change map[string]any) []byte {
	m := map[string]any{
		"mchid": mchID, "out_trade_no": tradeNo, "transaction_id": "42", "out_refund_no": refundNo, "refund_id": "503",
		"refund_status": "SUCCESS", "success_time": "2026-05-01T17:00:00+08:00",
		"amount": map[string]any{"total": 100, "refund": 40, "payer_total": 100, "payer_refund": 40},
	}
	for k, v := range change {
		m[k] = v
	}
	b, _ := json.Marshal(m)
	return b
}

func TestCallbackAccepted(t *testing.T) {
	ch := newChannel(t, nil)
	c := client(t, config(ch.URL, ch.clock))
	body := callback(t, wechatpay.EventPaid, apiKey, transaction(nil))
	for name, h := range map[string]http.Header{
		"public key mode": ch.byPublic(body), "certificate mode": ch.byCert(body),
		"just in time": signed(t, keys().public, pubID, start.Add(-5*time.Minute), body),
	} {
		n, err := c.ParseNotify(t.Context(), h, body, start)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if n.ID != "EV-1" || n.Refund != nil || n.Transaction.TotalFen != 5000 || !n.Transaction.PaidAt.Equal(start) {
			t.Fatalf("%s: %+v", name, n)
		}
	}
	body = callback(t, wechatpay.EventRefundDone, apiKey, refundResource(nil))
	n, err := c.ParseNotify(t.Context(), ch.byPublic(body), body, start)
	if err != nil || n.Transaction != nil || n.Refund.RefundFen != 40 || n.Refund.State != wechatpay.RefundDone {
		t.Fatalf("refund: %+v %v", n, err)
	}
}

// change is one thing wrong with a callback; headers are signed after body is changed.
type change struct {
	event   string
	key     string
	plain   []byte
	body    func([]byte) []byte
	signed  func(c *channel, body []byte) http.Header
	after   func([]byte) []byte
	headers func(http.Header)
	want    *fault.Code
}

func callbackChanges() map[string]change {
	forged, late, unread := wechatpay.ErrCallbackForged, wechatpay.ErrCallbackLate, wechatpay.ErrCallbackUnreadable
	by := func(d time.Duration) func(c *channel, b []byte) http.Header {
		return func(c *channel, b []byte) http.Header { return signed(c.t, keys().public, pubID, start.Add(d), b) }
	}
	drop := func(k string) func(http.Header) { return func(h http.Header) { h.Del(k) } }
	swap := func(a, b string) func([]byte) []byte {
		return func(x []byte) []byte { return []byte(strings.Replace(string(x), a, b, 1)) }
	}
	return map[string]change{
		"tampered body":   {after: swap("EV-1", "EV-2"), want: forged},
		"no serial":       {headers: drop(wechatpay.HeaderSerial), want: forged},
		"no signature":    {headers: drop(wechatpay.HeaderSignature), want: forged},
		"no nonce":        {headers: drop(wechatpay.HeaderNonce), want: forged},
		"no timestamp":    {headers: drop(wechatpay.HeaderTimestamp), want: forged},
		"unknown serial":  {headers: func(h http.Header) { h.Set(wechatpay.HeaderSerial, "ABCD") }, want: forged},
		"unknown key id":  {headers: func(h http.Header) { h.Set(wechatpay.HeaderSerial, pubID+"1") }, want: forged},
		"other known key": {headers: func(h http.Header) { h.Set(wechatpay.HeaderSerial, wechatpay.CertSerial(keys().certificate)) }, want: forged},
		"not base64":      {headers: func(h http.Header) { h.Set(wechatpay.HeaderSignature, "!!!") }, want: forged},
		"long header":     {headers: func(h http.Header) { h.Set(wechatpay.HeaderNonce, strings.Repeat("n", 129)) }, want: forged},
		"timestamp moved": {headers: func(h http.Header) { h.Set(wechatpay.HeaderTimestamp, strconv.FormatInt(start.Unix()+1, 10)) }, want: forged},
		"probe": {headers: func(h http.Header) {
			h.Set(wechatpay.HeaderSignature, "WECHATPAY/SIGNTEST/"+h.Get(wechatpay.HeaderSignature))
		}, want: forged},
		"another's key":             {signed: func(c *channel, b []byte) http.Header { return signed(c.t, keys().foreign, pubID, start, b) }, want: forged},
		"our own key":               {signed: func(c *channel, b []byte) http.Header { return signed(c.t, keys().merchant, merchSN, start, b) }, want: forged},
		"another merchant":          {plain: transaction(map[string]any{"mchid": "1900002222"}), want: forged},
		"another app":               {plain: transaction(map[string]any{"appid": "wx0000"}), want: forged},
		"another merchant's refund": {event: wechatpay.EventRefundDone, plain: refundResource(map[string]any{"mchid": "1900002222"}), want: forged},

		"late":      {signed: by(-301 * time.Second), want: late},
		"too early": {signed: by(301 * time.Second), want: late},
		"very late": {signed: by(-24 * time.Hour), want: late},

		"another APIv3 key":   {key: strings.Repeat("k", 32), want: unread},
		"other algorithm":     {body: swap(wechatpay.Algorithm, "AEAD_SM4_GCM"), want: unread},
		"other associated":    {body: swap(`"associated_data":"transaction"`, `"associated_data":"refund"`), want: unread},
		"other nonce":         {body: swap("abcdefghijkl", "abcdefghijkm"), want: unread},
		"short nonce":         {body: swap("abcdefghijkl", "abc"), want: unread},
		"truncated":           {body: func(b []byte) []byte { return b[:60] }, want: unread},
		"empty":               {body: func([]byte) []byte { return nil }, want: unread},
		"no id":               {body: swap(`"id":"EV-1"`, `"id":""`), want: unread},
		"wrong type":          {body: swap(`"id":"EV-1"`, `"id":7`), want: unread},
		"unknown event":       {event: "COUPON.USE", want: unread},
		"bad create time":     {body: swap(`"create_time":"2026`, `"create_time":"x`), want: unread},
		"huge":                {body: func(b []byte) []byte { return append(b, make([]byte, wechatpay.MaxCallback)...) }, want: unread},
		"resource no JSON":    {plain: []byte("{"), want: unread},
		"not paid":            {plain: transaction(map[string]any{"trade_state": "NOTPAY"}), want: unread},
		"no amount":           {plain: transaction(map[string]any{"amount": map[string]any{}}), want: unread},
		"negative amount":     {plain: transaction(map[string]any{"amount": map[string]any{"total": -1}}), want: unread},
		"foreign currency":    {plain: transaction(map[string]any{"amount": map[string]any{"total": 1, "currency": "USD"}}), want: unread},
		"no time":             {plain: transaction(map[string]any{"success_time": ""}), want: unread},
		"no number":           {plain: transaction(map[string]any{"out_trade_no": ""}), want: unread},
		"refund not readable": {event: wechatpay.EventRefundDone, plain: refundResource(map[string]any{"refund_status": "?"}), want: unread},
	}
}

func TestCallbackRefused(t *testing.T) {
	for name, k := range callbackChanges() {
		t.Run(name, func(t *testing.T) {
			ch := newChannel(t, nil)
			event, key, plain := k.event, k.key, k.plain
			if event == "" {
				event = wechatpay.EventPaid
			}
			if key == "" {
				key = apiKey
			}
			if plain == nil {
				plain = transaction(nil)
			}
			body := callback(t, event, key, plain)
			if k.body != nil {
				body = k.body(body)
			}
			h := ch.byPublic(body)
			if k.signed != nil {
				h = k.signed(ch, body)
			}
			if k.headers != nil {
				k.headers(h)
			}
			if k.after != nil {
				body = k.after(body)
			}
			cfg := config(ch.URL, ch.clock)
			cfg.PlatformCerts = append(cfg.PlatformCerts, keys().certificate)
			n, err := client(t, cfg).ParseNotify(t.Context(), h, body, start)
			if n != nil || !errors.Is(err, k.want) {
				t.Fatalf("got %+v %v, want %s", n, err, k.want.Name)
			}
			if status, answer := wechatpay.Reply(err); status < 400 || status > 499 || len(answer) == 0 {
				t.Fatalf("the channel hears %d %s", status, answer)
			}
			if strings.Contains(err.Error(), tradeNo) {
				t.Fatalf("content is in the error: %v", err)
			}
		})
	}
}

func TestReplayKey(t *testing.T) {
	ch := newChannel(t, nil)
	c := client(t, config(ch.URL, ch.clock))
	body := callback(t, wechatpay.EventPaid, apiKey, transaction(nil))
	h := ch.byPublic(body)
	parse := func(h http.Header) *wechatpay.Notification {
		t.Helper()
		n, err := c.ParseNotify(t.Context(), h, body, start)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	first, again, fresh := parse(h), parse(h), parse(ch.byPublic(body))
	if first.ReplayKey != again.ReplayKey {
		t.Fatal("the same message has two replay keys")
	}
	if first.ReplayKey == fresh.ReplayKey || first.ID != fresh.ID {
		t.Fatal("a redelivery must keep the id and change the replay key")
	}
	if _, err := c.ParseNotify(t.Context(), h, body, first.ReplayUntil.Add(time.Second)); !errors.Is(err, wechatpay.ErrCallbackLate) {
		t.Fatalf("after ReplayUntil: %v", err)
	}
}

func TestCallbackWhileCertificatesCannotBeHad(t *testing.T) {
	ch := newChannel(t, nil)
	body := callback(t, wechatpay.EventPaid, apiKey, transaction(nil))
	h := ch.byCert(body)
	ch.Close()
	_, err := client(t, config(ch.URL, ch.clock)).ParseNotify(t.Context(), h, body, start)
	if status, _ := wechatpay.Reply(err); !errors.Is(err, wechatpay.ErrUnreachable) || status != http.StatusServiceUnavailable {
		t.Fatalf("got %d %v", status, err)
	}
}

func TestReply(t *testing.T) {
	for want, err := range map[int]error{204: nil, 409: wechatpay.ErrCallbackReplayed, 500: errors.New("database")} {
		if got, _ := wechatpay.Reply(err); got != want {
			t.Fatalf("%v: %d, want %d", err, got, want)
		}
	}
}
