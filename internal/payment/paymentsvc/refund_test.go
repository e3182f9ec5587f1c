package paymentsvc

import (
	"errors"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"xinglin/internal/kernel/id"
	"xinglin/internal/kernel/money"
	"xinglin/internal/ledger"
	"xinglin/internal/payment"
	"xinglin/internal/platform/wechatpay"
	"xinglin/internal/testkit/apitest"
)

func refundOf(w *world, p payment.Payment, amount money.Fen) payment.RefundRequest {
	return payment.RefundRequest{ID: id.New[payment.Refund](w.clock.Now()), Tenant: apitest.Main, Payment: p.ID, Amount: amount, Reason: "cancelled"}
}

// answer is a scripted refund in a state.
func answer(o wechatpay.RefundOrder, state string) *wechatpay.Refund {
	r := &wechatpay.Refund{
		OutTradeNo: o.OutTradeNo, OutRefundNo: o.OutRefundNo, TransactionID: "42", RefundID: "50300" + o.OutRefundNo[:8], State: state,
		RefundFen: o.RefundFen, TotalFen: o.TotalFen,
	}
	return r
}

func TestRefundRules(t *testing.T) {
	each(t, none, func(t *testing.T, w *world) {
		p, open := w.paid(1000), w.open(500)
		first := refundOf(w, p, 600)
		for range 2 {
			r, err := w.svc.Refund(w.ctx(), first)
			if err != nil || r.State != payment.RefundRequested || r.Amount != 600 {
				t.Fatalf("%+v %v", r, err)
			}
		}
		other := first
		other.Amount = 601
		tests := map[string]struct {
			r    payment.RefundRequest
			want error
		}{
			"the same id with another content": {other, payment.ErrReused},
			"more than is left":                {refundOf(w, p, 401), payment.ErrRefundExceeds},
			"not paid":                         {refundOf(w, open, 1), payment.ErrNotPaid},
			"nothing":                          {refundOf(w, p, 0), payment.ErrInvalid},
			"negative":                         {refundOf(w, p, -5), payment.ErrInvalid},
			"unknown payment":                  {refundOf(w, payment.Payment{ID: id.Random[payment.Payment]()}, 1), payment.ErrNotFound},
			"words as a reason":                {payment.RefundRequest{ID: id.Random[payment.Refund](), Tenant: apitest.Main, Payment: p.ID, Amount: 1, Reason: "张三 退号"}, payment.ErrInvalid},
			"another tenant":                   {payment.RefundRequest{ID: id.Random[payment.Refund](), Tenant: apitest.Other, Payment: p.ID, Amount: 1, Reason: "cancelled"}, payment.ErrNotFound},
		}
		for name, tt := range tests {
			if _, err := w.svc.Refund(w.ctx(), tt.r); !errors.Is(err, tt.want) {
				t.Errorf("%s: %v, want %v", name, err, tt.want)
			}
		}
		if got := w.get(p.ID); got.Pending != 600 || got.Effect != effectNone {
			t.Fatalf("pending %v, effect %s", got.Pending, got.Effect)
		}
		if n := w.count("refund WHERE tenant_id = $1"); n != 1 {
			t.Fatalf("%d refunds", n)
		}
	})
}

// TestRefundRace: many at once never give back more than was paid.
func TestRefundRace(t *testing.T) {
	each(t, none, func(t *testing.T, w *world) {
		p := w.paid(1000)
		var ok atomic.Int64
		var wg sync.WaitGroup
		for range 50 {
			r := refundOf(w, p, 300)
			wg.Go(func() {
				switch _, err := w.svc.Refund(w.ctx(), r); {
				case err == nil:
					ok.Add(1)
				case !errors.Is(err, payment.ErrRefundExceeds):
					t.Errorf("refund: %v", err)
				}
			})
		}
		wg.Wait()
		if got := w.get(p.ID); ok.Load() != 3 || got.Pending != 900 || got.Refunded != 0 {
			t.Fatalf("%d went through, pending %v", ok.Load(), got.Pending)
		}
		if n := w.count("refund WHERE tenant_id = $1"); n != 3 {
			t.Fatalf("%d refund rows", n)
		}
	})
}

// TestRefundDoneRace: the end of refunds heard from many sides at once counts once.
func TestRefundDoneRace(t *testing.T) {
	each(t, none, func(t *testing.T, w *world) {
		p := w.paid(1000)
		var wg sync.WaitGroup
		for _, amount := range []money.Fen{400, 600} {
			q := refundOf(w, p, amount)
			r, err := w.svc.Refund(w.ctx(), q)
			if err != nil {
				t.Fatal(err)
			}
			told := answer(wechatpay.RefundOrder{OutTradeNo: numberOf(p.ID), OutRefundNo: numberOf(r.ID), RefundFen: int64(amount), TotalFen: 1000}, wechatpay.RefundDone)
			for range 10 {
				wg.Go(func() {
					a := about{Payment: p.ID, Refund: r.ID}
					if err := w.svc.store.moved(w.ctx(), w.base.DB, apitest.Main, told, a, 0, change{Action: "payment.settle"}); err != nil {
						t.Errorf("moved: %v", err)
					}
				})
			}
		}
		wg.Wait()
		w.due()
		if got := w.get(p.ID); got.State != payment.Refunded || got.Refunded != 1000 || got.Pending != 0 || got.Effect != effectRefunded {
			t.Fatalf("%+v", got)
		}
		if n := w.events("payment.refund.done.v1"); n != 2 {
			t.Fatalf("%d events", n)
		}
		w.balances(map[string]money.Fen{ledger.ChannelReceivable: 0, ledger.AdvanceReceived: 0, ledger.RefundPayable: 0})
		w.clean()
	})
}

// TestRefundFails: what the channel closes may be asked for again; what its bank refuses waits for a person.
func TestRefundFails(t *testing.T) {
	ch := &script{}
	each(t, func() Channel { return ch }, func(t *testing.T, w *world) {
		state := wechatpay.RefundClosed
		orders := map[string]wechatpay.RefundOrder{}
		ch.refund = func(o wechatpay.RefundOrder) (*wechatpay.Refund, error) {
			orders[o.OutRefundNo] = o
			return answer(o, state), nil
		}
		ch.state = func(no string) (*wechatpay.Refund, error) { return answer(orders[no], state), nil }
		p := w.paid(1000)
		closed := refundOf(w, p, 1000)
		if _, err := w.svc.Refund(w.ctx(), closed); err != nil {
			t.Fatal(err)
		}
		w.due()
		if got := w.get(p.ID); got.State != payment.Paid || got.Pending != 0 || w.letters(jobAlarm) != 1 {
			t.Fatalf("%s, pending %v, %d letters", got.State, got.Pending, w.letters(jobAlarm))
		}
		w.balances(map[string]money.Fen{ledger.ChannelReceivable: 1000, ledger.AdvanceReceived: -1000, ledger.RefundPayable: 0})

		state = wechatpay.RefundAbnormal
		abnormal := refundOf(w, p, 1000)
		if _, err := w.svc.Refund(w.ctx(), abnormal); err != nil {
			t.Fatal(err)
		}
		w.due()
		if got := w.get(p.ID); got.State != payment.Refunding || got.Pending != 1000 || w.letters(jobAlarm) != 2 {
			t.Fatalf("%s, pending %v, %d letters", got.State, got.Pending, w.letters(jobAlarm))
		}
		if _, err := w.svc.Refund(w.ctx(), refundOf(w, p, 1)); !errors.Is(err, payment.ErrRefundExceeds) {
			t.Fatalf("a held refund was given back a second time: %v", err)
		}
		w.clean()
		// A person acts at the channel; the alarm looks again.
		state = wechatpay.RefundDone
		if err := w.svc.alarm(w.ctx(), about{Payment: p.ID, Refund: abnormal.ID}); err != nil {
			t.Fatal(err)
		}
		if err := w.svc.alarm(w.ctx(), about{Payment: p.ID, Refund: closed.ID}); err != nil {
			t.Fatalf("all is back, yet: %v", err)
		}
		w.due()
		if got := w.get(p.ID); got.State != payment.Refunded || w.events("payment.refund.done.v1") != 1 {
			t.Fatalf("%s", got.State)
		}
		w.balances(map[string]money.Fen{ledger.ChannelReceivable: 0, ledger.AdvanceReceived: 0, ledger.RefundPayable: 0})
		w.clean()
	})
}

// TestRefundProcessing: the job follows a refund whose callback never comes, and gives up into a dead letter.
func TestRefundProcessing(t *testing.T) {
	ch := &script{}
	each(t, func() Channel { return ch }, func(t *testing.T, w *world) {
		state := wechatpay.RefundProcessing
		var order wechatpay.RefundOrder
		ch.refund = func(o wechatpay.RefundOrder) (*wechatpay.Refund, error) { order = o; return answer(o, state), nil }
		ch.state = func(string) (*wechatpay.Refund, error) { return answer(order, state), nil }
		p := w.paid(1000)
		before := ch.times("refund")
		if _, err := w.svc.Refund(w.ctx(), refundOf(w, p, 1000)); err != nil {
			t.Fatal(err)
		}
		w.due()
		w.clock.Add(2 * time.Second)
		w.due()
		if got := w.get(p.ID); got.Pending != 1000 || ch.times("refund") != before+1 {
			t.Fatalf("pending %v, asked %d times", got.Pending, ch.times("refund")-before)
		}
		w.clean()
		state = wechatpay.RefundDone
		w.clock.Add(10 * time.Second)
		w.due()
		if got := w.get(p.ID); got.State != payment.Refunded {
			t.Fatal(got.State)
		}
		// A channel that stays down: bounded tries, then a person sees it.
		ch.refund = nil
		q := w.paid(500)
		if _, err := w.svc.Refund(w.ctx(), refundOf(w, q, 500)); err != nil {
			t.Fatal(err)
		}
		for range refundTries + 2 {
			w.due()
			w.clock.Add(11 * time.Minute)
		}
		if w.letters(jobRefund) != 1 || w.get(q.ID).Pending != 500 {
			t.Fatalf("%d letters, pending %v", w.letters(jobRefund), w.get(q.ID).Pending)
		}
	})
}

// TestLedgerDown: money facts wait for the ledger, and reach it once.
func TestLedgerDown(t *testing.T) {
	each(t, none, func(t *testing.T, w *world) {
		w.books.down = true
		w.paid(700)
		w.due()
		if len(w.books.all) != 0 || w.count("fact WHERE tenant_id = $1 AND posted_at IS NULL") != 1 {
			t.Fatal("the ledger was down")
		}
		w.books.down = false
		w.clock.Add(time.Minute)
		w.due()
		if len(w.books.all) != 1 || w.count("fact WHERE tenant_id = $1 AND posted_at IS NULL") != 0 {
			t.Fatalf("%d transactions", len(w.books.all))
		}
	})
}

// TestPaidAndClosed: the deadline and the money meet; the money always counts, once.
func TestPaidAndClosed(t *testing.T) {
	each(t, none, func(t *testing.T, w *world) {
		const n = 30
		c := change{Action: "payment.settle"}
		var ps []payment.Payment
		for range n {
			ps = append(ps, w.open(100))
		}
		var wg sync.WaitGroup
		for i, p := range ps {
			for range 2 {
				wg.Go(func() {
					if _, err := w.svc.store.paid(w.ctx(), w.base.DB, apitest.Main, p.ID, "42"+strconv.Itoa(i), w.clock.Now(), c); err != nil {
						t.Errorf("paid: %v", err)
					}
				})
				wg.Go(func() {
					if _, err := w.svc.store.close(w.ctx(), w.base.DB, apitest.Main, p.ID, "", c); err != nil {
						t.Errorf("close: %v", err)
					}
				})
			}
		}
		wg.Wait()
		for _, p := range ps {
			if got := w.get(p.ID).State; got != payment.Paid {
				t.Errorf("%s", got)
			}
		}
		if got := w.events("payment.payment.paid.v1"); got != n {
			t.Fatalf("%d paid events, want %d", got, n)
		}
	})
}

// TestCallbacksAtOnce: 20 redeliveries at once of one notification, each signed anew, and 20 of the very same message: one
// event, one ledger transaction.
func TestCallbacksAtOnce(t *testing.T) {
	ch := &script{}
	each(t, func() Channel { return ch }, func(t *testing.T, w *world) {
		p := w.open(2500)
		ch.notify = func(body []byte) (*wechatpay.Notification, error) { return note(p, "N1", string(body)), nil }
		var taken, replayed atomic.Int64
		var wg sync.WaitGroup
		for i := range 40 {
			body := `{"same":true}`
			if i < 20 {
				body = `{"n":` + strconv.Itoa(i) + `}`
			}
			wg.Go(func() {
				switch got := callback(t, w.Harness, body); got {
				case 204:
					taken.Add(1)
				case 409:
					replayed.Add(1)
				default:
					t.Errorf("answered %d", got)
				}
			})
		}
		wg.Wait()
		w.due()
		if taken.Load() != 21 || replayed.Load() != 19 {
			t.Fatalf("%d taken, %d refused as replays", taken.Load(), replayed.Load())
		}
		if n := w.events("payment.payment.paid.v1"); n != 1 || len(w.books.all) != 1 {
			t.Fatalf("%d events, %d transactions", n, len(w.books.all))
		}
	})
}
