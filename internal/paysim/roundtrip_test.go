package paysim

import (
	"bytes"
	"errors"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"xinglin/internal/platform/wechatpay"
)

const no1 = "PAY-20260501-0001"

func TestPayRoundTrip(t *testing.T) {
	for name, publicMode := range map[string]bool{"public key mode": true, "certificate mode": false} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, func(o *Options) { setMode(t, o.Dir, publicMode) })
			if !publicMode {
				w.cfg.PublicKeys = nil // answers too are signed with the certificate, which must be downloaded
				c, err := wechatpay.New(w.cfg)
				if err != nil {
					t.Fatal(err)
				}
				w.client = c
			}
			w.prepay(no1)
			tr, err := w.client.Query(t.Context(), no1)
			if err != nil || tr.State != wechatpay.StateNotPaid || tr.Paid() || tr.TotalFen != 5000 {
				t.Fatalf("before: %+v %v", tr, err)
			}
			w.pay(no1)
			w.pay(no1) // a second tap changes nothing
			c := w.next()
			if got := strings.HasPrefix(c.header.Get(wechatpay.HeaderSerial), wechatpay.PublicKeyPrefix); got != publicMode {
				t.Fatalf("signed by %s", c.header.Get(wechatpay.HeaderSerial))
			}
			n, err := w.parse(c)
			if err != nil {
				t.Fatal(err)
			}
			if n.Event != wechatpay.EventPaid || n.Transaction.OutTradeNo != no1 || n.Transaction.TotalFen != 5000 || n.Transaction.Attach != "a1" {
				t.Fatalf("callback %+v", n.Transaction)
			}
			tr, err = w.client.Query(t.Context(), no1)
			if err != nil || !tr.Paid() || tr.TransactionID != n.Transaction.TransactionID || !tr.PaidAt.Equal(start) {
				t.Fatalf("after: %+v %v", tr, err)
			}
			if out := w.settled(no1); out["callback_attempts"] != 1.0 {
				t.Fatalf("attempts %v", out["callback_attempts"])
			}
			if len(w.got) != 0 {
				t.Fatal("more than one callback")
			}
		})
	}
}

// setMode rewrites the provisioned merchant.
func setMode(t *testing.T, dir string, publicMode bool) {
	t.Helper()
	all, err := loadMerchants(dir)
	if err != nil {
		t.Fatal(err)
	}
	m := all[DemoMchID].Merchant
	m.PublicMode = publicMode
	if err := Register(dir, m); err != nil {
		t.Fatal(err)
	}
}

func TestPrepayAgainAndOthers(t *testing.T) {
	w := newWorld(t)
	first := w.prepay(no1)
	if again := w.prepay(no1); again != first {
		t.Fatalf("%s, then %s", first, again)
	}
	o := order1(no1)
	o.TotalFen = 1
	_, err := w.client.PrepayH5(t.Context(), o)
	refused(t, err, "OUT_TRADE_NO_USED")
	w.pay(no1)
	_, err = w.client.PrepayH5(t.Context(), order1(no1))
	refused(t, err, "ORDERPAID")
	o = order1("PAY-20260501-0002")
	o.OpenID = "o1"
	p, err := w.client.PrepayJSAPI(t.Context(), o)
	if err != nil || !strings.HasPrefix(p.Package, "prepay_id=wx") {
		t.Fatalf("%+v %v", p, err)
	}
	if _, err := w.client.Query(t.Context(), "PAY-NONE-0001"); !wechatpay.IsUnknown(err) {
		t.Fatalf("unknown order: %v", err)
	}
}

func refused(t *testing.T, err error, code string) {
	t.Helper()
	r := wechatpay.RefusalOf(err)
	if !errors.Is(err, wechatpay.ErrRefused) || r == nil || r.Code != code {
		t.Fatalf("got %v, want %s", err, code)
	}
}

func TestNotifyHostMustBeRegistered(t *testing.T) {
	w := newWorld(t)
	w.cfg.NotifyURL = "http://evil.example/steal"
	c, err := wechatpay.New(w.cfg)
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.PrepayH5(t.Context(), order1(no1))
	refused(t, err, "PARAM_ERROR")
}

func TestCloseAndExpiry(t *testing.T) {
	w := newWorld(t)
	w.prepay(no1)
	for range 2 {
		if err := w.client.Close(t.Context(), no1); err != nil {
			t.Fatal(err)
		}
	}
	if tr, err := w.client.Query(t.Context(), no1); err != nil || tr.State != wechatpay.StateClosed {
		t.Fatalf("%+v %v", tr, err)
	}
	if status, out := w.do("POST", "/sim/transactions/"+no1+"/pay", ""); status != 400 || out["code"] != "ORDER_CLOSED" {
		t.Fatalf("pay a closed order: %d %v", status, out)
	}
	no2, no3 := "PAY-20260501-0002", "PAY-20260501-0003"
	w.prepay(no2)
	w.pay(no2)
	if err := w.client.Close(t.Context(), no2); !wechatpay.IsPaid(err) {
		t.Fatalf("close a paid order: %v", err)
	}
	w.prepay(no3)
	w.clock.Add(15 * time.Minute)
	if status, out := w.do("POST", "/sim/transactions/"+no3+"/pay", ""); status != 400 || out["code"] != "ORDER_CLOSED" {
		t.Fatalf("pay an expired order: %d %v", status, out)
	}
	if tr, err := w.client.Query(t.Context(), no3); err != nil || tr.State != wechatpay.StateClosed {
		t.Fatalf("expired: %+v %v", tr, err)
	}
}

func refund1(no string, fen int64) wechatpay.RefundOrder {
	return wechatpay.RefundOrder{OutTradeNo: no1, OutRefundNo: no, Reason: "退号", RefundFen: fen, TotalFen: 5000}
}

func TestRefunds(t *testing.T) {
	w := newWorld(t)
	w.prepay(no1)
	_, err := w.client.Refund(t.Context(), refund1("R1", 5000))
	refused(t, err, "INVALID_REQUEST")
	w.pay(no1)
	if n, err := w.parse(w.next()); err != nil || n.Transaction == nil {
		t.Fatalf("%+v %v", n, err)
	}
	r, err := w.client.Refund(t.Context(), refund1("R1", 3000))
	if err != nil || r.State != wechatpay.RefundProcessing {
		t.Fatalf("%+v %v", r, err)
	}
	n, err := w.parse(w.next())
	if err != nil || n.Event != wechatpay.EventRefundDone || n.Refund.OutRefundNo != "R1" || n.Refund.RefundFen != 3000 || !n.Refund.DoneAt.Equal(start) {
		t.Fatalf("%+v %v", n, err)
	}
	again, err := w.client.Refund(t.Context(), refund1("R1", 3000))
	if err != nil || again.RefundID != r.RefundID || again.State != wechatpay.RefundDone {
		t.Fatalf("the same refund again: %+v %v", again, err)
	}
	_, err = w.client.Refund(t.Context(), refund1("R1", 2000))
	refused(t, err, "PARAM_ERROR")
	_, err = w.client.Refund(t.Context(), refund1("R2", 2001))
	refused(t, err, "NOT_ENOUGH")
	if _, err = w.client.Refund(t.Context(), refund1("R3", 2000)); err != nil {
		t.Fatal(err)
	}
	if n, err = w.parse(w.next()); err != nil || n.Refund.OutRefundNo != "R3" {
		t.Fatalf("%+v %v", n, err)
	}
	if r, err = w.client.QueryRefund(t.Context(), "R3"); err != nil || r.State != wechatpay.RefundDone || r.RefundFen != 2000 {
		t.Fatalf("%+v %v", r, err)
	}
	if tr, err := w.client.Query(t.Context(), no1); err != nil || tr.State != wechatpay.StateRefund || !tr.Paid() {
		t.Fatalf("%+v %v", tr, err)
	}
	if _, err := w.client.QueryRefund(t.Context(), "R9"); !wechatpay.IsUnknown(err) {
		t.Fatalf("unknown refund: %v", err)
	}
}

func TestForeignRequestsAreRefused(t *testing.T) {
	w := newWorld(t)
	cases := map[string]func(c *wechatpay.Config){
		"another key":      func(c *wechatpay.Config) { c.MerchantKey = w.sim.platform.certKey },
		"another serial":   func(c *wechatpay.Config) { c.MerchantSerial = "ABCD" },
		"another merchant": func(c *wechatpay.Config) { c.MchID = "1900000000" },
		"another time":     func(c *wechatpay.Config) { c.Clock = fixed(start.Add(-6 * time.Minute)) },
	}
	for name, change := range cases {
		t.Run(name, func(t *testing.T) {
			cfg := w.cfg
			change(&cfg)
			c, err := wechatpay.New(cfg)
			if err != nil {
				t.Fatal(err)
			}
			_, err = c.Query(t.Context(), no1)
			refused(t, err, "SIGN_ERROR")
		})
	}
	cfg := w.cfg
	cfg.AppID = "wxffffffffffffffff"
	c, err := wechatpay.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.PrepayH5(t.Context(), order1(no1))
	refused(t, err, "APPID_MCHID_NOT_MATCH")
	if status, out := w.do("POST", "/v3/pay/transactions/h5", "{}"); status != 401 || out["code"] != "SIGN_ERROR" {
		t.Fatalf("unsigned: %d %v", status, out)
	}
	if status, _ := w.do("POST", "/v3/pay/transactions/h5", strings.Repeat(" ", maxBody+1)); status != 413 {
		t.Fatalf("huge: %d", status)
	}
}

type fixed time.Time

func (f fixed) Now() time.Time { return time.Time(f) }

func TestRestartKeepsAndGoesOn(t *testing.T) {
	w := newWorld(t, func(o *Options) { o.RetryScale, o.RefundDelay = 1, time.Hour })
	w.answer(500)
	w.prepay(no1)
	w.pay(no1)
	first := w.next()
	if _, err := w.client.Refund(t.Context(), refund1("R1", 5000)); err != nil {
		t.Fatal(err)
	}
	w.stop()
	f, err := os.OpenFile(filepath.Join(w.dir, "journal.jsonl"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(`{"order":{"mchid":"19`); err != nil { // a crash in the middle of a line
		t.Fatal(err)
	}
	f.Close()
	w.answer(204)
	w.start()
	seen := map[string]bool{}
	for range 2 {
		n, err := w.parse(w.next())
		if err != nil {
			t.Fatal(err)
		}
		seen[n.Event] = true
	}
	if !maps.Equal(seen, map[string]bool{wechatpay.EventPaid: true, wechatpay.EventRefundDone: true}) {
		t.Fatalf("after the restart came %v", seen)
	}
	if tr, err := w.client.Query(t.Context(), no1); err != nil || !tr.Paid() {
		t.Fatalf("%+v %v", tr, err)
	}
	if n, err := w.parse(first); err != nil || n.Transaction == nil {
		t.Fatalf("%+v %v", n, err)
	}
}

func TestJournalWithABadLineIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal.jsonl")
	if err := os.WriteFile(path, []byte("{\"order\":{}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if b, err := openBook(path); err == nil {
		b.close()
		t.Fatal("accepted")
	}
}

func TestBookMakesRoom(t *testing.T) {
	b, err := openBook(filepath.Join(t.TempDir(), "journal.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer b.close()
	for i := range maxOrders {
		k := number{"1", string(rune('a'+i%26)) + time.Duration(i).String()}
		b.sequence = append(b.sequence, k)
		b.orders[k] = &order{MchID: k.mchID, OutTradeNo: k.no, State: wechatpay.StateNotPaid, ExpiresAt: start}
	}
	o := order{MchID: "1", OutTradeNo: "NEW", ExpiresAt: start.Add(time.Hour)}
	if _, e := b.open(o, start.Add(-time.Minute)); e == nil || e.status != http.StatusTooManyRequests {
		t.Fatalf("full of open orders: %v", e)
	}
	if _, e := b.open(o, start.Add(time.Minute)); e != nil {
		t.Fatalf("full of expired orders: %v", e)
	}
	if len(b.sequence) != maxOrders || len(b.orders) != maxOrders {
		t.Fatalf("%d in sequence, %d orders", len(b.sequence), len(b.orders))
	}
}

func TestRewriteKeepsAll(t *testing.T) {
	w := newWorld(t)
	w.prepay(no1)
	w.pay(no1)
	w.next()
	w.settled(no1)
	w.sim.book.mu.Lock()
	w.sim.book.lines = maxLines
	w.sim.book.mu.Unlock()
	w.prepay("PAY-20260501-0002") // one line more than allowed
	w.prepay("PAY-20260501-0003") // goes to the new file
	raw, err := os.ReadFile(filepath.Join(w.dir, "journal.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(raw, []byte("\n")); n != 3 {
		t.Fatalf("%d lines:\n%s", n, raw)
	}
}
