package paymentsvc

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"xinglin/internal/kernel/money"
	"xinglin/internal/ledger"
	"xinglin/internal/payment"
	"xinglin/internal/paysim"
	"xinglin/internal/platform/wechatpay"
	"xinglin/internal/scheduling"
	"xinglin/internal/testkit/apitest"
)

// TestWholeRoad: open, prepay, pay, callback, settled, refund, ledger; over a real socket in both directions.
func TestWholeRoad(t *testing.T) {
	withSim(t, func(t *testing.T, w *world) {
		p := w.open(2500)
		url := w.Do(w.owner, "POST", path(p.ID, "/prepay"), map[string]any{"channel": "wechat", "return_url": "/m/pay?x=1"}).Want(t, 200).Map(t)["pay_url"].(string)
		if !strings.HasPrefix(url, w.sim.URL()+"/h5/") || !strings.Contains(url, "redirect_url=http%3A%2F%2F") || !strings.HasSuffix(url, "%2Fm%2Fpay%3Fx%3D1") {
			t.Fatalf("pay_url %s", url)
		}
		again := w.Do(w.owner, "POST", path(p.ID, "/prepay"), map[string]any{"channel": "wechat", "return_url": "/m/pay?x=1"}).Want(t, 200).Map(t)["pay_url"].(string)
		if again != url {
			t.Fatalf("prepay again gave %s, first %s", again, url)
		}
		w.pay(p.ID)
		w.until("paid by the callback", func() bool { return w.get(p.ID).State == payment.Paid })
		if n := w.events("payment.payment.paid.v1"); n != 1 {
			t.Fatalf("%d paid events", n)
		}
		w.Do(w.owner, "POST", path(p.ID, "/prepay"), map[string]any{"channel": "wechat", "return_url": "/m"}).Refused(t, 409, "payment.not_open")
		if err := w.settle(p.ID, scheduling.Applied); err != nil {
			t.Fatal(err)
		}
		if got := w.get(p.ID); got.Effect != effectApplied {
			t.Fatalf("effect %s", got.Effect)
		}
		w.due()
		w.balances(map[string]money.Fen{ledger.ChannelReceivable: 2500, ledger.AdvanceReceived: -2500, ledger.RefundPayable: 0})
		w.clean()

		r := refundOf(w, p, 2500)
		if _, err := w.svc.Refund(w.ctx(), r); err != nil {
			t.Fatal(err)
		}
		if got := w.get(p.ID); got.State != payment.Refunding || got.Effect != effectRefunded {
			t.Fatalf("state %s, effect %s", got.State, got.Effect)
		}
		w.until("refunded by the channel's callback", func() bool { return w.get(p.ID).State == payment.Refunded })
		w.due()
		if n := w.events("payment.refund.done.v1"); n != 1 {
			t.Fatalf("%d refunded events", n)
		}
		w.balances(map[string]money.Fen{ledger.ChannelReceivable: 0, ledger.AdvanceReceived: 0, ledger.RefundPayable: 0})
		w.clean()
	})
}

// TestProof5: forged, altered, replayed and late callbacks have no effect; the genuine one has its effect once.
func TestProof5(t *testing.T) {
	withSim(t, func(t *testing.T, w *world) {
		p := w.open(2500)
		w.prepay(p.ID)
		w.sim.SetFaults(paysim.Faults{WrongSignature: 3, Late: true})
		w.pay(p.ID)
		w.until("three forged and a late delivery", func() bool { return len(w.deliveries(p.ID)) >= 4 })
		for _, d := range w.deliveries(p.ID) {
			if d.Status != 401 {
				t.Fatalf("attempt %d was answered %d, want 401", d.Attempt, d.Status)
			}
		}
		if n := w.count("notification WHERE tenant_id = $1"); n != 0 || w.get(p.ID).State != payment.Open {
			t.Fatalf("%d notifications kept, payment %s", n, w.get(p.ID).State)
		}
		w.sim.SetFaults(paysim.Faults{Replay: true, Duplicate: true})
		var taken, replayed int
		w.until("the genuine delivery, its replay and the channel's duplicate", func() bool {
			taken, replayed = 0, 0
			for _, d := range w.deliveries(p.ID) {
				if d.Status == 204 {
					taken++
				}
				if d.Status == 409 {
					replayed++
				}
			}
			return taken >= 2 && replayed >= 1 && w.get(p.ID).State == payment.Paid
		})
		var genuine paysim.Delivery
		for _, d := range w.deliveries(p.ID) {
			if d.Status == 204 {
				genuine = d
			}
		}
		cases := map[string]struct {
			change func(http.Header, string) string
			want   int
		}{
			"the very same message": {nil, 409},
			"another body":          {func(_ http.Header, b string) string { return strings.Replace(b, "EV-", "EX-", 1) }, 401},
			"another nonce":         {func(h http.Header, b string) string { h.Set(wechatpay.HeaderNonce, wechatpay.Nonce()); return b }, 401},
			"another timestamp":     {func(h http.Header, b string) string { h.Set(wechatpay.HeaderTimestamp, "1772413201"); return b }, 401},
			"unknown serial": {func(h http.Header, b string) string {
				h.Set(wechatpay.HeaderSerial, "PUB_KEY_ID_0000000000000000000000000000000001")
				return b
			}, 401},
			"no signature": {func(h http.Header, b string) string { h.Del(wechatpay.HeaderSignature); return b }, 401},
		}
		for name, c := range cases {
			if got := post(t, genuine, c.change); got != c.want {
				t.Errorf("%s: %d, want %d", name, got, c.want)
			}
		}
		w.clock.Add(wechatpay.Window + time.Minute)
		if got := post(t, genuine, nil); got != 401 {
			t.Errorf("the very same message after the window: %d, want 401", got)
		}
		w.due()
		if n := w.events("payment.payment.paid.v1"); n != 1 || len(w.books.all) != 1 {
			t.Fatalf("%d paid events, %d ledger transactions", n, len(w.books.all))
		}
		if err := w.settle(p.ID, scheduling.Applied); err != nil {
			t.Fatal(err)
		}
		w.clean()
	})
}

// TestLostCallback: the active query heals within 30 s of the payment, whenever it happens.
func TestLostCallback(t *testing.T) {
	withSim(t, func(t *testing.T, w *world) {
		for _, after := range []time.Duration{0, 7 * time.Second, 100 * time.Second, 14 * time.Minute} {
			p := w.open(1800)
			w.prepay(p.ID)
			for left := after; left > 0; left -= time.Second {
				w.clock.Add(time.Second)
				w.due()
			}
			w.sim.SetFaults(paysim.Faults{LoseCallbacks: 1})
			w.pay(p.ID)
			healed := time.Duration(0)
			for ; w.get(p.ID).State == payment.Open && healed < 60*time.Second; healed += time.Second {
				w.clock.Add(time.Second)
				w.due()
			}
			if healed > 30*time.Second || w.get(p.ID).State != payment.Paid {
				t.Fatalf("paid %v after prepay: %s after %v", after, w.get(p.ID).State, healed)
			}
			if len(w.deliveries(p.ID)) != 0 {
				t.Fatal("the callback was not lost")
			}
		}
		if n := w.events("payment.payment.paid.v1"); n != 4 {
			t.Fatalf("%d paid events, want 4", n)
		}
	})
}

// TestQuery: a person who waits asks at once; the channel is asked at most each 2 s.
func TestQuery(t *testing.T) {
	withSim(t, func(t *testing.T, w *world) {
		p := w.open(1800)
		w.prepay(p.ID)
		w.sim.SetFaults(paysim.Faults{LoseCallbacks: 1})
		state := func() any { return w.Do(w.owner, "POST", path(p.ID, "/query"), nil).Want(t, 200).Map(t)["state"] }
		if got := state(); got != "open" {
			t.Fatalf("state %v", got)
		}
		w.pay(p.ID)
		if got := state(); got != "open" {
			t.Fatalf("asked twice within 2 s: %v", got)
		}
		w.clock.Add(2 * time.Second)
		if got := state(); got != "paid" {
			t.Fatalf("state %v", got)
		}
	})
}

// TestClose: at the deadline, at the caller's wish, and against money that is there already.
func TestClose(t *testing.T) {
	withSim(t, func(t *testing.T, w *world) {
		quiet, asked, lost, given := w.open(100), w.open(200), w.open(300), w.open(400)
		for _, p := range []payment.Payment{asked, lost, given} {
			w.prepay(p.ID)
		}
		if err := w.svc.Close(w.ctx(), apitest.Main, given.ID); err != nil {
			t.Fatal(err)
		}
		w.Do(w.owner, "POST", path(given.ID, "/prepay"), map[string]any{"channel": "wechat", "return_url": "/"}).Refused(t, 409, "payment.not_open")
		w.due()
		if got := w.get(given.ID).State; got != payment.Closed {
			t.Fatalf("given up: %s", got)
		}
		w.sim.SetFaults(paysim.Faults{LoseCallbacks: 1})
		w.pay(lost.ID) // nothing asks before the deadline: no job ran
		w.clock.Add(15*time.Minute + closeGrace)
		w.Do(w.owner, "POST", path(asked.ID, "/prepay"), map[string]any{"channel": "wechat", "return_url": "/"}).Refused(t, 409, "payment.expired")
		w.due()
		for p, want := range map[payment.ID]payment.State{quiet.ID: payment.Closed, asked.ID: payment.Closed, lost.ID: payment.Paid} {
			if got := w.get(p).State; got != want {
				t.Errorf("%v fen: %s, want %s", w.get(p).Amount, got, want)
			}
		}
		if c, p := w.events("payment.payment.closed.v1"), w.events("payment.payment.paid.v1"); c != 3 || p != 1 {
			t.Fatalf("%d closed and %d paid events", c, p)
		}
		if err := w.svc.Close(w.ctx(), apitest.Main, lost.ID); err != nil || w.get(lost.ID).State != payment.Paid {
			t.Fatalf("closing a paid payment: %v", err)
		}
		if err := w.settle(lost.ID, scheduling.Applied); err != nil {
			t.Fatal(err)
		}
		w.clean()
	})
}

// TestLateMoney: the payment was closed here, yet the channel took the money: it is paid, and its event says so.
func TestLateMoney(t *testing.T) {
	withSim(t, func(t *testing.T, w *world) {
		p := w.open(2500)
		w.prepay(p.ID)
		closed, err := w.svc.store.close(w.ctx(), w.base.DB, apitest.Main, p.ID, wechat, change{Action: "payment.settle"})
		if err != nil || !closed {
			t.Fatal(closed, err)
		}
		w.pay(p.ID)
		w.until("paid though closed", func() bool { return w.get(p.ID).State == payment.Paid })
		if c, n := w.events("payment.payment.closed.v1"), w.events("payment.payment.paid.v1"); c != 1 || n != 1 {
			t.Fatalf("%d closed and %d paid events", c, n)
		}
		if n := w.count("payment_history WHERE tenant_id = $1 AND payment_id = $2", p.ID); n != 3 {
			t.Fatalf("%d steps in the history", n)
		}
		// The purpose's context wants it back.
		if err := w.settle(p.ID, scheduling.Refund); err != nil {
			t.Fatal(err)
		}
		if _, err := w.svc.Refund(w.ctx(), refundOf(w, p, 2500)); err != nil {
			t.Fatal(err)
		}
		w.until("refunded", func() bool { return w.get(p.ID).State == payment.Refunded })
		w.due()
		w.clean()
	})
}

// TestChannelDown: trouble at the channel is told as such, and jobs go on until it is over.
func TestChannelDown(t *testing.T) {
	withSim(t, func(t *testing.T, w *world) {
		p := w.open(2500)
		w.sim.SetFaults(paysim.Faults{Answer5xx: 1000})
		w.Do(w.owner, "POST", path(p.ID, "/prepay"), map[string]any{"channel": "wechat", "return_url": "/"}).Refused(t, 503, "payment.channel_down")
		w.sim.SetFaults(paysim.Faults{LoseCallbacks: 1})
		w.prepay(p.ID)
		w.pay(p.ID)
		w.sim.SetFaults(paysim.Faults{Answer5xx: 1000})
		for range 20 {
			w.clock.Add(time.Second)
			w.due()
		}
		if got := w.get(p.ID).State; got != payment.Open {
			t.Fatal(got)
		}
		w.sim.SetFaults(paysim.Faults{BadAnswers: 1})
		for range 45 {
			w.clock.Add(time.Second)
			w.due()
		}
		if got := w.get(p.ID).State; got != payment.Paid {
			t.Fatal(got)
		}
		w.sim.SetFaults(paysim.Faults{Answer5xx: 7})
		if _, err := w.svc.Refund(w.ctx(), refundOf(w, p, 1000)); err != nil {
			t.Fatal(err)
		}
		for range 60 {
			w.clock.Add(time.Second)
			w.due()
		}
		w.until("refunded in part", func() bool { return w.get(p.ID).Refunded == 1000 })
		if got := w.get(p.ID); got.State != payment.Paid || got.Pending != 0 {
			t.Fatalf("%s, pending %v", got.State, got.Pending)
		}
	})
}

func TestMismatch(t *testing.T) {
	ch := &script{}
	each(t, func() Channel { return ch }, func(t *testing.T, w *world) {
		p, q := w.open(2500), w.open(2500)
		send := func(nid string, change func(*wechatpay.Transaction)) int {
			ch.notify = func([]byte) (*wechatpay.Notification, error) {
				n := note(p, nid, nid+"-"+w.clock.Now().String())
				change(n.Transaction)
				return n, nil
			}
			return callback(t, w.Harness, "{}")
		}
		if got := send("N1", func(x *wechatpay.Transaction) { x.TotalFen = 1 }); got != 409 {
			t.Fatalf("another amount: %d", got)
		}
		if got := send("N2", func(x *wechatpay.Transaction) { x.OutTradeNo = "0123456789" }); got != 409 {
			t.Fatalf("another number: %d", got)
		}
		if got := send("N3", func(x *wechatpay.Transaction) { x.OutTradeNo = strings.Repeat("ab", 16) }); got != 409 {
			t.Fatalf("unknown payment: %d", got)
		}
		w.due()
		if n := w.letters(jobNotice); n != 3 || w.get(p.ID).State != payment.Open {
			t.Fatalf("%d dead letters, payment %s", n, w.get(p.ID).State)
		}
		if n := w.count("notification WHERE tenant_id = $1 AND outcome = 'mismatch'"); n != 3 {
			t.Fatalf("%d mismatches kept", n)
		}
		// Known id, other content: nothing comes of it, and what was true stays.
		w.clock.Add(time.Second)
		if got := send("N4", func(*wechatpay.Transaction) {}); got != 204 {
			t.Fatal(got)
		}
		w.clock.Add(time.Second)
		if got := send("N4", func(x *wechatpay.Transaction) { x.TransactionID = "4200000002" }); got != 409 {
			t.Fatalf("another content under a known id: %d", got)
		}
		w.due()
		if got := w.get(p.ID); got.State != payment.Paid || got.Transaction != "4200000001" {
			t.Fatalf("%s by %s", got.State, got.Transaction)
		}
		// One transaction of the channel pays for one payment only.
		c := change{Action: "payment.settle"}
		if _, err := w.svc.store.paid(w.ctx(), w.base.DB, apitest.Main, q.ID, "4200000001", w.clock.Now(), c); !errors.Is(err, payment.ErrMismatch) {
			t.Fatalf("a transaction used twice: %v", err)
		}
		if _, err := w.svc.store.paid(w.ctx(), w.base.DB, apitest.Main, p.ID, "4200000009", w.clock.Now(), c); !errors.Is(err, payment.ErrMismatch) {
			t.Fatalf("a payment paid twice: %v", err)
		}
	})
}
