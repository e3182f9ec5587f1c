package paymentsvc

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/id"
	"xinglin/internal/kernel/money"
	"xinglin/internal/ledger"
	"xinglin/internal/payment"
	"xinglin/internal/platform/wechatpay"
	"xinglin/internal/scheduling"
	"xinglin/internal/testkit"
	"xinglin/internal/testkit/apitest"
)

var (
	window = apitest.Staff(apitest.Main, auth.Registrar)
	office = apitest.Staff(apitest.Main, auth.Operator)
)

func (w *world) key() apitest.Header { return apitest.Key(id.New[movement](w.clock.Now())) }

func (w *world) cash(who auth.Principal, p payment.ID, received int64, key apitest.Header) apitest.Response {
	return w.Do(who, "POST", path(p, "/cash"), body{"received_fen": received}, key)
}

func refundPath(r payment.RefundID, rest string) string { return "/refunds/" + r.String() + rest }

// Cash comes in, takes its effect, goes back at a window, and the books know each step.
func TestCash(t *testing.T) {
	each(t, none, func(t *testing.T, w *world) {
		p := w.open(2500)
		w.cash(apitest.Nobody(apitest.Main), p.ID, 3000, w.key()).Refused(t, 401, "auth.required")
		for _, who := range []auth.Principal{w.owner, office, apitest.Staff(apitest.Main, auth.Nurse), apitest.Patient(apitest.Main)} {
			w.cash(who, p.ID, 3000, w.key()).Refused(t, 403, "authz.denied")
		}
		w.cash(apitest.Staff(apitest.Other, auth.Registrar), p.ID, 3000, w.key()).Refused(t, 404, "payment.not_found")
		w.cash(window, id.Random[payment.Payment](), 3000, w.key()).Refused(t, 404, "payment.not_found")
		w.cash(window, p.ID, 2499, w.key()).Refused(t, 422, "payment.cash_short")
		w.cash(window, p.ID, 0, w.key()).Refused(t, 422, "http.invalid")
		w.Do(window, "POST", path(p.ID, "/cash"), body{"received_fen": 2500}).Refused(t, 400, "http.key_required")
		w.cash(window, p.ID, 2500, apitest.Key(testkit.KeyAt[movement](w.clock.Now().Add(-25*time.Hour)))).Refused(t, 422, "payment.invalid")

		key := w.key()
		for _, hit := range []string{"", "true"} {
			r := w.cash(window, p.ID, 3000, key).Want(t, 200)
			got := r.Map(t)
			paid := got["payment"].(body)
			if got["change_fen"] != 500.0 || paid["state"] != "paid" || paid["channel"] != "cash" || paid["id"] != p.ID.String() || r.Header.Get("Idempotency-Hit") != hit {
				t.Fatalf("%v %v", got, r.Header)
			}
		}
		w.cash(window, p.ID, 3500, key).Refused(t, 422, "payment.id_reused")
		w.cash(apitest.Staff(apitest.Main, auth.Registrar), p.ID, 3000, key).Refused(t, 422, "payment.id_reused")
		w.cash(window, p.ID, 3000, w.key()).Refused(t, 409, "payment.not_open")
		w.cash(window, w.open(700).ID, 3000, key).Refused(t, 422, "payment.id_reused")
		if n := w.events("payment.payment.paid.v1"); n != 1 {
			t.Fatalf("paid %d times", n)
		}
		w.due()
		w.balances(map[string]money.Fen{ledger.Cash: 2500, ledger.ChannelReceivable: 0, ledger.AdvanceReceived: -2500})
		if err := w.settle(p.ID, scheduling.Applied); err != nil {
			t.Fatal(err)
		}

		// The refund waits for a person: no job, no channel.
		q := refundOf(w, p, 2500)
		if _, err := w.svc.Refund(w.ctx(), q); err != nil {
			t.Fatal(err)
		}
		w.due()
		if n := w.count("job WHERE tenant_id = $1 AND kind = $2", jobRefund); n != 0 || w.get(p.ID).State != payment.Refunding {
			t.Fatalf("%d jobs, %s", n, w.get(p.ID).State)
		}
		waiting := w.Do(window, "GET", "/refunds?state=requested&channel=cash", nil).Want(t, 200).Items(t)
		if len(waiting) != 1 || waiting[0]["id"] != q.ID.String() || waiting[0]["number"] != "REG-20260302-0001" || waiting[0]["amount_fen"] != 2500.0 {
			t.Fatalf("%v", waiting)
		}
		w.clean()
		out := refundPath(q.ID, "/pay-out")
		for _, who := range []auth.Principal{w.owner, office} {
			w.Do(who, "POST", out, nil, w.key()).Refused(t, 403, "authz.denied")
		}
		w.Do(apitest.Staff(apitest.Other, auth.Registrar), "POST", out, nil, w.key()).Refused(t, 404, "payment.not_found")
		w.Do(window, "POST", refundPath(id.Random[payment.Refund](), "/pay-out"), nil, w.key()).Refused(t, 404, "payment.not_found")
		w.Do(office, "POST", refundPath(q.ID, "/retry"), nil, w.key()).Refused(t, 409, "payment.refund_state")
		w.Do(window, "POST", out, nil, key).Refused(t, 422, "payment.id_reused")
		key = w.key()
		for _, hit := range []string{"", "true"} {
			r := w.Do(window, "POST", out, nil, key).Want(t, 200)
			if got := r.Map(t); got["state"] != "done" || got["done_at"] == nil || got["channel"] != "cash" || r.Header.Get("Idempotency-Hit") != hit {
				t.Fatalf("%v %v", got, r.Header)
			}
		}
		w.Do(window, "POST", out, nil, w.key()).Refused(t, 409, "payment.refund_state")
		if n := w.events("payment.refund.done.v1"); n != 1 || w.get(p.ID).State != payment.Refunded {
			t.Fatalf("%d, %s", n, w.get(p.ID).State)
		}
		w.due()
		w.balances(map[string]money.Fen{ledger.Cash: 0, ledger.ChannelReceivable: 0, ledger.AdvanceReceived: 0, ledger.RefundPayable: 0})
		w.clean()
	})
}

// Nobody's payment is opened for who was booked at a window without an account, and taken in cash.
func TestCashOfNobody(t *testing.T) {
	each(t, none, func(t *testing.T, w *world) {
		r := w.request(1000)
		r.Account = id.ID[auth.Account]{}
		p, err := w.svc.Open(w.ctx(), r)
		if err != nil {
			t.Fatal(err)
		}
		w.Do(w.owner, "GET", path(p.ID, ""), nil).Refused(t, 404, "payment.not_found")
		w.Do(w.owner, "POST", path(p.ID, "/prepay"), body{"channel": "wechat", "return_url": "/"}).Refused(t, 404, "payment.not_found")
		if got := w.cash(window, p.ID, 1000, w.key()).Want(t, 200).Map(t); got["change_fen"] != 0.0 {
			t.Fatal(got)
		}
		// Too late: the time to pay is over, and the payment closes as every other.
		late := w.open(800)
		w.clock.Set(late.Deadline)
		w.cash(window, late.ID, 800, w.key()).Refused(t, 409, "payment.expired")
		w.clock.Add(closeGrace)
		w.due()
		w.cash(window, late.ID, 800, w.key()).Refused(t, 409, "payment.not_open")
		if got := w.get(late.ID).State; got != payment.Closed {
			t.Fatal(got)
		}
		if err := w.settle(p.ID, scheduling.Applied); err != nil {
			t.Fatal(err)
		}
		w.due()
		w.clean()
	})
}

// What the channel says when its order must not be payable any more, and what becomes of the cash.
func TestCashAfterPrepay(t *testing.T) {
	refused := func(status int, code string) error {
		return &wechatpay.Refusal{Status: status, Code: code, Signed: true}
	}
	ch := &script{}
	each(t, func() Channel { return ch }, func(t *testing.T, w *world) {
		paidThere := func(p payment.Payment) func(string) (*wechatpay.Transaction, error) {
			return func(string) (*wechatpay.Transaction, error) { return note(p, "", "").Transaction, nil }
		}
		for name, c := range map[string]struct {
			close  func(n int) error // by how often it was asked
			prepay error             // of the order that is opened to be closed
			paid   bool
			status int
			code   string
			state  payment.State
			by     string
		}{
			"closed":                {close: func(int) error { return nil }, status: 200, state: payment.Paid, by: "cash"},
			"was closed":            {close: func(int) error { return refused(400, "ORDER_CLOSED") }, status: 200, state: payment.Paid, by: "cash"},
			"unknown, opened, shut": {close: func(n int) error { return map[int]error{1: refused(404, "ORDER_NOT_EXIST")}[n] }, status: 200, state: payment.Paid, by: "cash"},
			"unknown, met its own":  {close: func(n int) error { return map[int]error{1: refused(404, "ORDER_NOT_EXIST")}[n] }, prepay: refused(403, "OUT_TRADE_NO_USED"), status: 200, state: payment.Paid, by: "cash"},
			"unknown for ever":      {close: func(int) error { return refused(404, "ORDER_NOT_EXIST") }, status: 503, code: "payment.channel_down", state: payment.Open, by: "wechat"},
			"down":                  {close: func(int) error { return errDown }, status: 503, code: "payment.channel_down", state: payment.Open, by: "wechat"},
			"down at the second":    {close: func(int) error { return refused(404, "ORDER_NOT_EXIST") }, prepay: errDown, status: 503, code: "payment.channel_down", state: payment.Open, by: "wechat"},
			"paid there":            {close: func(int) error { return refused(400, "ORDERPAID") }, paid: true, status: 409, code: "payment.not_open", state: payment.Paid, by: "wechat"},
			"paid, the query lags":  {close: func(int) error { return refused(400, "ORDERPAID") }, status: 503, code: "payment.channel_down", state: payment.Open, by: "wechat"},
			"paid between the tries": {close: func(n int) error {
				return map[int]error{1: refused(404, "ORDER_NOT_EXIST"), 2: refused(400, "ORDERPAID")}[n]
			}, paid: true, status: 409, code: "payment.not_open", state: payment.Paid, by: "wechat"},
		} {
			ch.mu.Lock()
			ch.calls, ch.prepay, ch.query = nil, nil, nil
			ch.mu.Unlock()
			p := w.open(2500)
			w.prepay(p.ID)
			asked := 0
			ch.close = func(string) error { asked++; return c.close(asked) }
			ch.query = func(string) (*wechatpay.Transaction, error) { return nil, refused(404, "ORDER_NOT_EXIST") }
			if c.paid {
				ch.query = func(no string) (*wechatpay.Transaction, error) {
					v, err := paidThere(p)(no)
					v.TransactionID = numberOf(p.ID)
					return v, err
				}
			}
			ch.prepay = func(wechatpay.Order) (string, error) { return "https://pay.test/h5", c.prepay }
			r := w.cash(window, p.ID, 2500, w.key())
			if got := w.get(p.ID); r.Status != c.status || r.Code != c.code || got.State != c.state || got.Channel != c.by {
				t.Errorf("%s: %d %s, %s by %s", name, r.Status, r.Code, got.State, got.Channel)
			}
		}
	})
}

// A short sum does not take the person's open pay page away.
func TestShortCashClosesNothing(t *testing.T) {
	ch := &script{}
	each(t, func() Channel { return ch }, func(t *testing.T, w *world) {
		p := w.open(2500)
		w.prepay(p.ID)
		w.cash(window, p.ID, 2400, w.key()).Refused(t, 422, "payment.cash_short")
		if n := ch.times("close"); n != 0 {
			t.Errorf("closed %d times", n)
		}
	})
}

// Two registrars take the same cash, with a key each: one has it, the other is refused.
func TestCashRace(t *testing.T) {
	each(t, none, func(t *testing.T, w *world) {
		for range 5 {
			p := w.open(2500)
			got := w.together(8, func(i int) string {
				r := w.cash(apitest.Staff(apitest.Main, auth.Registrar), p.ID, 2500, w.key())
				return fmt.Sprint(r.Status, r.Code)
			})
			if got["200"] != 1 || got["409payment.not_open"] != 7 {
				t.Fatalf("%v", got)
			}
			q := refundOf(w, p, 2500)
			if _, err := w.svc.Refund(w.ctx(), q); err != nil {
				t.Fatal(err)
			}
			got = w.together(8, func(int) string {
				r := w.Do(apitest.Staff(apitest.Main, auth.Registrar), "POST", refundPath(q.ID, "/pay-out"), nil, w.key())
				return fmt.Sprint(r.Status, r.Code)
			})
			if got["200"] != 1 || got["409payment.refund_state"] != 7 {
				t.Fatalf("%v", got)
			}
		}
		w.due()
		w.balances(map[string]money.Fen{ledger.Cash: 0, ledger.AdvanceReceived: 0, ledger.RefundPayable: 0})
		w.clean()
	})
}

// together runs n calls at once and counts their answers.
func (w *world) together(n int, f func(i int) string) map[string]int {
	var mu sync.Mutex
	var wg sync.WaitGroup
	out := map[string]int{}
	for i := range n {
		wg.Go(func() {
			v := strings.ReplaceAll(f(i), " ", "")
			mu.Lock()
			defer mu.Unlock()
			out[v]++
		})
	}
	wg.Wait()
	return out
}

// The registrar takes cash while the person opens WeChat's page and pays there: the money comes one way only.
func TestCashAgainstWeChat(t *testing.T) {
	withSim(t, func(t *testing.T, w *world) {
		by := map[string]int{}
		for i := range 12 {
			p := w.open(2500)
			if i%3 > 0 {
				w.prepay(p.ID)
			}
			w.together(3, func(n int) string {
				switch {
				case n == 0:
					w.cash(window, p.ID, 2500, w.key())
				case n == 1 && i%3 == 0:
					w.Do(w.owner, "POST", path(p.ID, "/prepay"), body{"channel": "wechat", "return_url": "/m/pay"})
					w.tryPay(p.ID)
				case n == 1:
					w.tryPay(p.ID)
				case n == 2:
					w.Do(w.owner, "POST", path(p.ID, "/query"), nil)
				}
				return ""
			})
			w.tryPay(p.ID) // whatever page the person has open
			w.until("paid one way", func() bool {
				if w.get(p.ID).PaidAt.IsZero() {
					w.cash(window, p.ID, 2500, w.key())
				}
				return !w.get(p.ID).PaidAt.IsZero()
			})
			r := w.get(p.ID)
			by[r.Channel]++
			there := w.paidThere(p.ID)
			if there != (r.Channel == wechat) {
				t.Fatalf("by %s, and WeChat has it: %v", r.Channel, there)
			}
			if err := w.settle(p.ID, scheduling.Applied); err != nil {
				t.Fatal(err)
			}
		}
		w.until("posted", func() bool { return w.count("fact WHERE tenant_id = $1 AND posted_at IS NULL") == 0 })
		if n := w.events("payment.payment.paid.v1"); n != 12 || w.letters(jobNotice) != 0 {
			t.Fatalf("%d paid events, %d letters", n, w.letters(jobNotice))
		}
		w.balances(map[string]money.Fen{
			ledger.Cash: money.Fen(2500 * by["cash"]), ledger.ChannelReceivable: money.Fen(2500 * by["wechat"]), ledger.AdvanceReceived: -12 * 2500,
		})
		t.Logf("%v", by)
	})
}

// tryPay pays at the simulator if that is possible still.
func (w *world) tryPay(p payment.ID) {
	res, err := http.Post(w.sim.URL()+"/sim/transactions/"+numberOf(p)+"/pay", "application/json", nil)
	if err != nil {
		w.t.Errorf("pay: %v", err)
		return
	}
	res.Body.Close()
}

// paidThere asks the channel.
func (w *world) paidThere(p payment.ID) bool {
	w.t.Helper()
	v, err := w.svc.channel.Query(w.ctx(), numberOf(p))
	if wechatpay.IsUnknown(err) {
		return false
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return v.Paid()
}

// Failed refunds: what the channel closed is asked for anew, once; what the bank refused is asked about.
func TestRetryRefund(t *testing.T) {
	ch := &script{}
	each(t, func() Channel { return ch }, func(t *testing.T, w *world) {
		p := w.paid(1000)
		ch.refund = func(o wechatpay.RefundOrder) (*wechatpay.Refund, error) {
			return answer(o, wechatpay.RefundClosed), nil
		}
		closed := refundOf(w, p, 300)
		if _, err := w.svc.Refund(w.ctx(), closed); err != nil {
			t.Fatal(err)
		}
		w.due()
		line := w.Do(office, "GET", "/refunds?state=failed", nil).Want(t, 200).Items(t)
		if len(line) != 1 || line[0]["why"] != "channel_closed" {
			t.Fatalf("%v", line)
		}
		again := refundPath(closed.ID, "/retry")
		for _, who := range []auth.Principal{w.owner, window} {
			w.Do(who, "POST", again, nil, w.key()).Refused(t, 403, "authz.denied")
		}
		w.Do(apitest.Staff(apitest.Other, auth.Operator), "POST", again, nil, w.key()).Refused(t, 404, "payment.not_found")
		w.Do(window, "POST", refundPath(closed.ID, "/pay-out"), nil, w.key()).Refused(t, 409, "payment.refund_state")
		got := w.together(6, func(int) string {
			r := w.Do(office, "POST", again, nil, w.key())
			return fmt.Sprint(r.Status, r.Code)
		})
		if got["200"] != 1 || got["409payment.refund_state"] != 5 || w.get(p.ID).Pending != 300 {
			t.Fatalf("%v, pending %v", got, w.get(p.ID).Pending)
		}
		// The second try fails too; the third is done, and its key answers again.
		w.due()
		second := w.Do(office, "GET", "/refunds?state=failed", nil).Want(t, 200).Items(t)
		if len(second) != 2 || second[0]["replaced_by"] != nil || second[1]["replaced_by"] != second[0]["id"] {
			t.Fatalf("%v", second)
		}
		ch.refund = ch.done
		key := w.key()
		var third string
		for _, hit := range []string{"", "true"} {
			r := w.Do(office, "POST", refundPath(id.Must[payment.Refund](second[0]["id"].(string)), "/retry"), nil, key).Want(t, 200)
			if third = r.Map(t)["id"].(string); third != key.Value || r.Header.Get("Idempotency-Hit") != hit {
				t.Fatalf("%s %v", r.Body, r.Header)
			}
		}
		w.due()
		if v := w.get(p.ID); v.Refunded != 300 || v.Pending != 0 {
			t.Fatalf("%v back, %v pending", v.Refunded, v.Pending)
		}

		// The bank refused: it stays held, and a person acts at the channel.
		ch.refund = func(o wechatpay.RefundOrder) (*wechatpay.Refund, error) {
			return answer(o, wechatpay.RefundAbnormal), nil
		}
		held := refundOf(w, p, 700)
		if _, err := w.svc.Refund(w.ctx(), held); err != nil {
			t.Fatal(err)
		}
		w.due()
		order := wechatpay.RefundOrder{OutTradeNo: numberOf(p.ID), OutRefundNo: numberOf(held.ID), RefundFen: 700, TotalFen: 1000}
		ch.state = func(string) (*wechatpay.Refund, error) { return answer(order, wechatpay.RefundAbnormal), nil }
		again = refundPath(held.ID, "/retry")
		w.Do(office, "POST", again, nil, w.key()).Refused(t, 409, "payment.refund_failed")
		ch.state = nil
		w.Do(office, "POST", again, nil, w.key()).Refused(t, 503, "payment.channel_down")
		ch.state = func(string) (*wechatpay.Refund, error) { return answer(order, wechatpay.RefundDone), nil }
		for range 2 {
			if r := w.Do(office, "POST", again, nil, w.key()).Want(t, 200).Map(t); r["state"] != "done" || r["id"] != held.ID.String() {
				t.Fatalf("%v", r)
			}
		}
		if v := w.get(p.ID); v.State != payment.Refunded || v.Refunded != 1000 {
			t.Fatalf("%s, %v back", v.State, v.Refunded)
		}
		w.due()
		w.clean()
	})
}

// The lists: by day, state and channel, page by page, and nothing of another tenant.
func TestLists(t *testing.T) {
	each(t, none, func(t *testing.T, w *world) {
		var all []payment.Payment
		for i := range 5 {
			w.clock.Add(time.Minute)
			p := w.open(money.Fen(1000 + i))
			all = append(all, p)
			if i < 3 {
				w.cash(window, p.ID, 2000, w.key()).Want(t, 200)
			}
			if i < 2 {
				if _, err := w.svc.Refund(w.ctx(), refundOf(w, p, 500)); err != nil {
					t.Fatal(err)
				}
			}
		}
		pages := func(who auth.Principal, path string) (out []body) {
			t.Helper()
			for cursor, n := "", 0; n < 10; n++ {
				r := w.Do(who, "GET", path+cursor, nil).Want(t, 200)
				for _, x := range r.Items(t) {
					out = append(out, x)
				}
				next := r.Map(t)["next"].(string)
				if next == "" {
					return out
				}
				cursor = "&cursor=" + next
			}
			t.Fatalf("%s has no end", path)
			return nil
		}
		for _, who := range []auth.Principal{window, office} {
			got := pages(who, "/payments?limit=2")
			if len(got) != 5 || got[0]["id"] != all[4].ID.String() || got[4]["id"] != all[0].ID.String() {
				t.Fatalf("%v", got)
			}
			first := got[4]
			if first["number"] != "REG-20260302-0001" || first["amount_fen"] != 1000.0 || first["pending_fen"] != 500.0 || first["refunded_fen"] != 0.0 || first["state"] != "refunding" ||
				first["channel"] != "cash" || first["purpose"] != "appointment" || first["paid_at"] == nil || got[0]["paid_at"] != nil || got[0]["channel"] != "" {
				t.Fatalf("%v", got)
			}
			for query, n := range map[string]int{
				"state=open": 2, "state=paid": 1, "state=refunding": 2, "state=closed": 0, "from=2026-03-02&to=2026-03-02": 5, "from=2026-03-03": 0, "to=2026-03-01": 0, "to=2026-03-08": 5,
			} {
				if got := pages(who, "/payments?"+query); len(got) != n {
					t.Errorf("%s: %d, want %d", query, len(got), n)
				}
			}
			for query, n := range map[string]int{"limit=1": 2, "state=requested&limit=1": 2, "state=done": 0, "channel=wechat": 0, "channel=cash": 2} {
				if got := pages(who, "/refunds?"+query); len(got) != n || n == 2 && got[0]["payment_id"] != all[1].ID.String() {
					t.Errorf("%s: %v, want %d", query, got, n)
				}
			}
		}
		w.Do(office, "GET", "/payments?from=2026-03-05&to=2026-03-01", nil).Refused(t, 422, "payment.invalid")
		w.Do(office, "GET", "/payments?from=2026-01-01&to=2026-03-01", nil).Refused(t, 422, "payment.invalid")
		w.Do(office, "GET", "/payments?from=yesterday", nil).Want(t, 422)
		w.Do(office, "GET", "/refunds?cursor=x", nil).Want(t, 400)
		for _, list := range []string{"/payments", "/refunds"} {
			w.Do(apitest.Nobody(apitest.Main), "GET", list, nil).Refused(t, 401, "auth.required")
			w.Do(w.owner, "GET", list, nil).Refused(t, 403, "authz.denied")
			w.Do(apitest.Staff(apitest.Main, auth.Doctor), "GET", list, nil).Refused(t, 403, "authz.denied")
			if got := w.Do(apitest.Staff(apitest.Other, auth.Operator), "GET", list, nil).Want(t, 200).Items(t); len(got) != 0 {
				t.Errorf("another tenant's %s: %v", list, got)
			}
		}
	})
}

func TestFirstOf(t *testing.T) {
	now := testkit.Start
	for _, d := range []time.Duration{0, time.Millisecond, time.Hour} {
		v := testkit.KeyAt[payment.Payment](now.Add(d))
		if first, later := firstOf(now), firstOf(now.Add(d+time.Millisecond)); strings.Compare(first.String(), v.String()) > 0 || strings.Compare(v.String(), later.String()) > 0 {
			t.Errorf("%s is not between %s and %s", v, first, later)
		}
	}
}
