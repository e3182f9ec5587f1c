package paymentsvc

import (
	"strings"
	"testing"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/id"
	"xinglin/internal/payment"
	"xinglin/internal/platform/wechatpay"
	"xinglin/internal/testkit/apitest"
)

type body = map[string]any

func TestReadAndQuery(t *testing.T) {
	each(t, none, func(t *testing.T, w *world) {
		p := w.open(2500)
		got := w.Do(w.owner, "GET", path(p.ID, ""), nil).Want(t, 200).Map(t)
		for k, v := range (body{
			"id": p.ID.String(), "purpose": "appointment", "reference_id": p.Reference.String(), "amount_fen": 2500.0, "state": "open",
			"channel": "", "refunded_fen": 0.0, "version": 1.0, "server_time": "2026-03-02T01:00:00Z", "expires_at": "2026-03-02T01:15:00Z",
		}) {
			if got[k] != v {
				t.Errorf("%s is %v, want %v", k, got[k], v)
			}
		}
		w.Do(apitest.Staff(apitest.Main, auth.Operator), "GET", path(p.ID, ""), nil).Want(t, 200)
		w.Do(apitest.Staff(apitest.Main, auth.Registrar), "GET", path(p.ID, "/refunds"), nil).Want(t, 200)
		for _, rest := range []struct{ method, path string }{{"GET", ""}, {"POST", "/query"}, {"GET", "/refunds"}} {
			w.Do(w.owner, rest.method, path(p.ID, rest.path), nil).Want(t, 200)
			w.Do(apitest.Nobody(apitest.Main), rest.method, path(p.ID, rest.path), nil).Refused(t, 401, "auth.required")
			w.Do(apitest.Patient(apitest.Main), rest.method, path(p.ID, rest.path), nil).Refused(t, 404, "payment.not_found")
			w.Do(apitest.Patient(apitest.Other), rest.method, path(p.ID, rest.path), nil).Refused(t, 404, "payment.not_found")
			w.Do(apitest.Staff(apitest.Other, auth.Operator), rest.method, path(p.ID, rest.path), nil).Refused(t, 404, "payment.not_found")
			w.Do(apitest.Staff(apitest.Main, auth.Doctor), rest.method, path(p.ID, rest.path), nil).Refused(t, 403, "authz.denied")
			w.Do(w.owner, rest.method, path(id.Random[payment.Payment](), rest.path), nil).Refused(t, 404, "payment.not_found")
			w.Do(w.owner, rest.method, "/payments/nonsense"+rest.path, nil).Want(t, 422)
		}
	})
}

func TestPrepayRoute(t *testing.T) {
	ch := &script{}
	each(t, func() Channel { return ch }, func(t *testing.T, w *world) {
		p := w.open(2500)
		good := body{"channel": "wechat", "return_url": "/m/pay"}
		to := path(p.ID, "/prepay")
		for _, bad := range []string{"https://evil.example/", "//evil.example", "/\\evil.example", "m/pay", "javascript:alert(1)", "/a\nb", "\\/evil"} {
			w.Do(w.owner, "POST", to, body{"channel": "wechat", "return_url": bad}).Refused(t, 422, "payment.invalid")
		}
		w.Do(w.owner, "POST", to, body{"channel": "alipay", "return_url": "/"}).Refused(t, 422, "http.invalid")
		w.Do(w.owner, "POST", to, body{"channel": "wechat", "return_url": "/", "amount_fen": 1}).Refused(t, 422, "http.invalid")
		w.Do(w.owner, "POST", to, body{"channel": "wechat", "return_url": "/" + strings.Repeat("a", 600)}).Refused(t, 422, "http.invalid")
		w.Do(w.owner, "POST", to, `{"channel":`).Refused(t, 400, "http.malformed")
		w.Do(w.owner, "POST", to, `{"channel":"`+strings.Repeat("a", 70<<10)+`"}`).Refused(t, 413, "http.too_large")
		w.Do(apitest.Nobody(apitest.Main), "POST", to, good).Refused(t, 401, "auth.required")
		w.Do(apitest.Patient(apitest.Main), "POST", to, good).Refused(t, 404, "payment.not_found")
		w.Do(apitest.Patient(apitest.Other), "POST", to, good).Refused(t, 404, "payment.not_found")
		w.Do(apitest.Staff(apitest.Main, auth.Operator), "POST", to, good).Refused(t, 403, "authz.denied")
		if n := ch.times("prepay"); n != 0 || w.get(p.ID).Channel != "" {
			t.Fatalf("the channel was asked %d times", n)
		}
		var asked wechatpay.Order
		ch.prepay = func(o wechatpay.Order) (string, error) { asked = o; return "https://pay.test/h5?id=1", nil }
		got := w.Do(w.owner, "POST", to, good).Want(t, 200).Map(t)
		if got["pay_url"] != "https://pay.test/h5?id=1&redirect_url=http%3A%2F%2F"+apitest.Host(apitest.Main)+"%2Fm%2Fpay" || got["expires_at"] != "2026-03-02T01:04:30Z" {
			t.Fatal(got)
		}
		if asked.OutTradeNo != numberOf(p.ID) || asked.TotalFen != 2500 || !asked.ExpiresAt.Equal(p.Deadline) || asked.PayerIP != "192.0.2.1" {
			t.Fatalf("%+v", asked)
		}
		w.Do(w.owner, "POST", to, good).Want(t, 200)
		if n := ch.times("prepay"); n != 1 {
			t.Fatalf("a valid page was asked for %d times", n)
		}
		w.clock.Add(pageTime)
		w.Do(w.owner, "POST", to, good).Want(t, 200)
		if n := ch.times("prepay"); n != 2 {
			t.Fatalf("an old page was given out: %d", n)
		}
		w.clock.Add(-pageTime)
		ch.mu.Lock()
		ch.calls, ch.prepay = nil, nil
		ch.mu.Unlock()
	})
}

func TestWithoutChannel(t *testing.T) {
	each(t, none, func(t *testing.T, w *world) {
		p := w.open(2500)
		r := w.Do(w.owner, "POST", path(p.ID, "/prepay"), body{"channel": "wechat", "return_url": "/"}).Refused(t, 503, "payment.channel_down")
		if r.Header.Get("Retry-After") == "" {
			t.Error("no Retry-After")
		}
		if got := callback(t, w.Harness, "{}"); got != 503 {
			t.Errorf("callback: %d", got)
		}
		w.clock.Add(deadlineAndGrace(w, p))
		w.due()
		if got := w.get(p.ID).State; got != payment.Closed {
			t.Errorf("nobody could pay: %s", got)
		}
	})
}

func TestRefundRoute(t *testing.T) {
	each(t, none, func(t *testing.T, w *world) {
		p := w.paid(1000)
		to := path(p.ID, "/refunds")
		operator := apitest.Staff(apitest.Main, auth.Operator)
		key := apitest.Key(id.New[payment.Refund](w.clock.Now()))
		good := body{"amount_fen": 400, "reason": "stopped"}
		first := w.Do(operator, "POST", to, good, key).Want(t, 201)
		if _, hit := first.Header["Idempotency-Hit"]; hit || first.Map(t)["state"] != "requested" {
			t.Fatalf("%v %s", first.Header, first.Body)
		}
		again := w.Do(operator, "POST", to, good, key).Want(t, 201)
		if again.Header.Get("Idempotency-Hit") != "true" || again.Map(t)["id"] != first.Map(t)["id"] {
			t.Fatalf("%v %s", again.Header, again.Body)
		}
		fresh := func() apitest.Header { return apitest.Key(id.New[payment.Refund](w.clock.Now())) }
		w.Do(operator, "POST", to, body{"amount_fen": 300, "reason": "stopped"}, key).Refused(t, 422, "payment.id_reused")
		w.Do(operator, "POST", to, body{"amount_fen": 601, "reason": "stopped"}, fresh()).Refused(t, 409, "payment.refund_exceeds")
		w.Do(operator, "POST", to, body{"amount_fen": 0, "reason": "stopped"}, fresh()).Refused(t, 422, "http.invalid")
		w.Do(operator, "POST", to, body{"amount_fen": 1, "reason": "张三"}, fresh()).Refused(t, 422, "http.invalid")
		w.Do(operator, "POST", to, body{"amount_fen": "1", "reason": "stopped"}, fresh()).Refused(t, 422, "http.invalid")
		w.Do(operator, "POST", to, good).Refused(t, 400, "http.key_required")
		w.Do(operator, "POST", to, good, apitest.H("Idempotency-Key", "0190163d-8694-739b-aea5-966c26f8ad91")).Refused(t, 422, "payment.invalid")
		w.Do(operator, "POST", path(w.open(5).ID, "/refunds"), good, fresh()).Refused(t, 409, "payment.not_paid")
		w.Do(w.owner, "POST", to, good, fresh()).Refused(t, 403, "authz.denied")
		w.Do(apitest.Staff(apitest.Main, auth.Registrar), "POST", to, good, fresh()).Refused(t, 403, "authz.denied")
		w.Do(apitest.Nobody(apitest.Main), "POST", to, good, fresh()).Refused(t, 401, "auth.required")
		w.Do(apitest.Staff(apitest.Other, auth.Operator), "POST", to, good, fresh()).Refused(t, 404, "payment.not_found")
		items := w.Do(w.owner, "GET", to, nil).Want(t, 200).Items(t)
		if len(items) != 1 || items[0]["amount_fen"] != 400.0 || items[0]["reason"] != "stopped" || items[0]["done_at"] != nil {
			t.Fatalf("%v", items)
		}
		if got := w.get(p.ID); got.Pending != 400 || got.State != payment.Refunding {
			t.Fatalf("%v %s", got.Pending, got.State)
		}
	})
}

func TestCallbackRoute(t *testing.T) {
	ch := &script{}
	each(t, func() Channel { return ch }, func(t *testing.T, w *world) {
		r := w.Do(apitest.Nobody(apitest.Main), "POST", "/callbacks/wechatpay", `{}`)
		if r.Status != 401 || r.Map(t)["code"] != "FAIL" || !strings.HasPrefix(r.Header.Get("Content-Type"), "application/json") {
			t.Fatalf("%d %s", r.Status, r.Body)
		}
		w.Do(apitest.Nobody(apitest.Main), "POST", "/callbacks/wechatpay", strings.Repeat("a", wechatpay.MaxCallback+1)).Want(t, 413)
		// Another tenant's host: its callback cannot touch this tenant's payment.
		p := w.open(100)
		ch.notify = func([]byte) (*wechatpay.Notification, error) { return note(p, "N1", "R1"), nil }
		if got := w.Do(apitest.Nobody(apitest.Other), "POST", "/callbacks/wechatpay", `{}`).Status; got != 409 {
			t.Fatalf("%d", got)
		}
		w.due()
		if got := w.get(p.ID).State; got != payment.Open {
			t.Fatal(got)
		}
		if got := callback(t, w.Harness, "{}"); got != 204 {
			t.Fatal(got)
		}
		w.due()
		if got := w.get(p.ID).State; got != payment.Paid {
			t.Fatal(got)
		}
		ch.notify = nil
	})
}
