package paymentsvc

import (
	"errors"
	"strings"
	"testing"
	"time"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/id"
	"xinglin/internal/kernel/money"
	"xinglin/internal/payment"
	"xinglin/internal/platform/wechatpay"
	"xinglin/internal/scheduling"
	"xinglin/internal/testkit"
	"xinglin/internal/testkit/apitest"
)

func TestLives(t *testing.T) {
	if err := paymentLife.Check(); err != nil {
		t.Error(err)
	}
	if err := refundLife.Check(); err != nil {
		t.Error(err)
	}
	if got := paymentLife.Final(); len(got) != 1 || got[0] != payment.Refunded {
		t.Errorf("final states %v", got)
	}
	for _, no := range [][2]payment.State{{payment.Refunded, payment.Paid}, {payment.Paid, payment.Closed}, {payment.Paid, payment.Open}, {payment.Closed, payment.Open}} {
		if paymentLife.Can(no[0], no[1]) {
			t.Errorf("%s to %s", no[0], no[1])
		}
	}
}

// TestCheckAfter: while one can pay, two questions lie at most 20 s apart, so that with 10 s for the answer a lost callback
// heals within 30 s.
func TestCheckAfter(t *testing.T) {
	if checkAfter(0) != 5*time.Second {
		t.Errorf("the first question after %v", checkAfter(0))
	}
	for n := range 100 {
		if d := checkAfter(n); d <= 0 || d > 20*time.Second {
			t.Errorf("question %d after %v", n, d)
		}
	}
}

func TestNumbers(t *testing.T) {
	p := id.Must[payment.Payment]("01900000-0000-7000-8000-0000000000ab")
	no := numberOf(p)
	if no != "019000000000700080000000000000ab" {
		t.Fatal(no)
	}
	if back, ok := idOf[payment.Payment](no); !ok || back != p {
		t.Fatal(back, ok)
	}
	for _, bad := range []string{"", "0190", strings.ToUpper(no), no + "00", strings.Repeat("z", 32)} {
		if _, ok := idOf[payment.Payment](bad); ok {
			t.Errorf("%q is no number of ours", bad)
		}
	}
}

func TestFacts(t *testing.T) {
	p, r := id.Random[payment.Payment](), id.Random[payment.Refund]()
	seen := map[string]bool{}
	sums := map[string]money.Fen{}
	for _, f := range []fact{
		{ID: factID(factPaid, p), Payment: p, Kind: factPaid, Amount: 900},
		{ID: factID(factRequested, r), Payment: p, Refund: r, Kind: factRequested, Amount: 900},
		{ID: factID(factFailed, r), Payment: p, Refund: r, Kind: factFailed, Amount: 900},
		{ID: factID(factRequested, p), Payment: p, Refund: r, Kind: factRequested, Amount: 900},
		{ID: factID(factDone, p), Payment: p, Refund: r, Kind: factDone, Amount: 900},
	} {
		f.At = testkit.Start
		x := f.transaction(apitest.Main)
		if seen[x.ID.String()] || x.ID[6]>>4 != 8 {
			t.Errorf("%s: id %s", f.Kind, x.ID)
		}
		seen[x.ID.String()] = true
		var sum money.Fen
		for _, l := range x.Postings {
			sum += l.Amount
			sums[l.Account] += l.Amount
		}
		if sum != 0 {
			t.Errorf("%s does not balance", f.Kind)
		}
	}
	for account, sum := range sums { // all came, all went back
		if sum != 0 {
			t.Errorf("%s keeps %v", account, sum)
		}
	}
	again := p
	if factID(factPaid, p) != factID(factPaid, again) || factID(factPaid, p) == factID(factDone, p) {
		t.Error("a fact's id is not its own")
	}
}

func TestFits(t *testing.T) {
	p := payment.Payment{ID: id.Random[payment.Payment](), Amount: 500}
	good := wechatpay.Transaction{OutTradeNo: numberOf(p.ID), TotalFen: 500, TransactionID: "42"}
	tests := map[string]struct {
		change func(*wechatpay.Transaction)
		ok     bool
	}{
		"fits":           {func(*wechatpay.Transaction) {}, true},
		"less":           {func(x *wechatpay.Transaction) { x.TotalFen = 499 }, false},
		"more":           {func(x *wechatpay.Transaction) { x.TotalFen = 501 }, false},
		"another order":  {func(x *wechatpay.Transaction) { x.OutTradeNo = "x" }, false},
		"no transaction": {func(x *wechatpay.Transaction) { x.TransactionID = "" }, false},
		"a coupon":       {func(x *wechatpay.Transaction) { x.PayerFen = 300 }, true},
	}
	for name, tt := range tests {
		x := good
		tt.change(&x)
		if err := fits(p, &x); (err == nil) != tt.ok || (err != nil && !errors.Is(err, payment.ErrMismatch)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestOpen(t *testing.T) {
	each(t, none, func(t *testing.T, w *world) {
		r := w.request(2500)
		p, err := w.svc.Open(w.ctx(), r)
		if err != nil || p.State != payment.Open || p.Amount != 2500 || !p.Deadline.Equal(r.Deadline) || p.Version != 1 {
			t.Fatalf("%+v %v", p, err)
		}
		again := r
		again.Description = "挂号费（再次）" // words do not count
		if p2, err := w.svc.Open(w.ctx(), again); err != nil || p2 != p {
			t.Fatalf("again: %+v %v", p2, err)
		}
		change := func(f func(*payment.Request)) payment.Request { c := r; f(&c); return c }
		fresh := func(f func(*payment.Request)) payment.Request { c := w.request(100); f(&c); return c }
		tests := map[string]struct {
			r    payment.Request
			want error
		}{
			"another amount":      {change(func(r *payment.Request) { r.Amount = 1 }), payment.ErrReused},
			"another account":     {change(func(r *payment.Request) { r.Account = id.Random[auth.Account]() }), payment.ErrReused},
			"another reference":   {change(func(r *payment.Request) { r.Reference = id.Random[id.Any]() }), payment.ErrReused},
			"another deadline":    {change(func(r *payment.Request) { r.Deadline = r.Deadline.Add(time.Second) }), payment.ErrReused},
			"nothing to pay":      {fresh(func(r *payment.Request) { r.Amount = 0 }), payment.ErrInvalid},
			"a negative amount":   {fresh(func(r *payment.Request) { r.Amount = -1 }), payment.ErrInvalid},
			"too much":            {fresh(func(r *payment.Request) { r.Amount = maxFen + 1 }), payment.ErrInvalid},
			"no id":               {fresh(func(r *payment.Request) { r.ID = payment.ID{} }), payment.ErrInvalid},
			"no reference":        {fresh(func(r *payment.Request) { r.Reference = id.ID[id.Any]{} }), payment.ErrInvalid},
			"no description":      {fresh(func(r *payment.Request) { r.Description = "" }), payment.ErrInvalid},
			"a long description":  {fresh(func(r *payment.Request) { r.Description = strings.Repeat("长", 128) }), payment.ErrInvalid},
			"no deadline":         {fresh(func(r *payment.Request) { r.Deadline = time.Time{} }), payment.ErrInvalid},
			"a far deadline":      {fresh(func(r *payment.Request) { r.Deadline = r.Deadline.AddDate(0, 2, 0) }), payment.ErrInvalid},
			"a malformed purpose": {fresh(func(r *payment.Request) { r.Purpose = "挂号" }), payment.ErrInvalid},
			"another tenant":      {fresh(func(r *payment.Request) { r.Tenant = apitest.Other }), payment.ErrNotFound},
		}
		for name, tt := range tests {
			if _, err := w.svc.Open(w.ctx(), tt.r); !errors.Is(err, tt.want) {
				t.Errorf("%s: %v, want %v", name, err, tt.want)
			}
		}
		if n := w.count("payment WHERE tenant_id = $1"); n != 1 {
			t.Fatalf("%d payments", n)
		}
	})
}

func TestStates(t *testing.T) {
	each(t, none, func(t *testing.T, w *world) {
		a, b := w.open(100), w.paid(200)
		ids := []payment.ID{a.ID, b.ID, id.Random[payment.Payment]()}
		got, err := w.svc.States(w.ctx(), apitest.Main, ids)
		if err != nil || len(got) != 2 || got[b.ID].State != payment.Paid {
			t.Fatalf("%+v %v", got, err)
		}
		mine, err := w.svc.States(testkit.As(t.Context(), w.owner), apitest.Main, ids)
		if err != nil || len(mine) != 2 {
			t.Fatalf("the owner: %+v %v", mine, err)
		}
		others, err := w.svc.States(testkit.As(t.Context(), apitest.Patient(apitest.Main)), apitest.Main, ids)
		if err != nil || len(others) != 0 {
			t.Fatalf("another person: %+v %v", others, err)
		}
		r := w.request(300)
		r.Account = id.ID[auth.Account]{} // booked at the window
		if _, err := w.svc.Open(w.ctx(), r); err != nil {
			t.Fatal(err)
		}
		nobodys, err := w.svc.States(testkit.As(t.Context(), apitest.Patient(apitest.Main)), apitest.Main, append(ids, r.ID))
		if err != nil || len(nobodys) != 1 || nobodys[r.ID].State != payment.Open {
			t.Fatalf("nobody's: %+v %v", nobodys, err)
		}
		if got, err := w.svc.States(testkit.AsSystem(t.Context(), apitest.Other, "job:x"), apitest.Other, ids); err != nil || len(got) != 0 {
			t.Fatalf("another tenant: %+v %v", got, err)
		}
		if got, err := w.svc.States(w.ctx(), apitest.Main, nil); err != nil || len(got) != 0 {
			t.Fatal(got, err)
		}
		if _, err := w.svc.States(w.ctx(), apitest.Main, make([]payment.ID, maxStates+1)); !errors.Is(err, payment.ErrInvalid) {
			t.Fatal(err)
		}
		if _, err := w.svc.States(testkit.As(t.Context(), apitest.Staff(apitest.Main, auth.Doctor)), apitest.Main, ids); err == nil {
			t.Fatal("a doctor reads payments")
		}
	})
}

// TestSettled: the effect is noted once, never before the money, and a repeat changes nothing.
func TestSettled(t *testing.T) {
	each(t, none, func(t *testing.T, w *world) {
		open, p, q := w.open(100), w.paid(200), w.paid(300)
		if err := w.settle(open.ID, scheduling.Applied); !errors.Is(err, payment.ErrNotPaid) {
			t.Fatalf("settled before the money: %v", err)
		}
		if err := w.settle(id.Random[payment.Payment](), scheduling.Applied); !errors.Is(err, payment.ErrNotFound) {
			t.Fatalf("unknown: %v", err)
		}
		for range 2 {
			if err := w.settle(p.ID, scheduling.Applied); err != nil || w.get(p.ID).Effect != effectApplied {
				t.Fatal(err)
			}
		}
		if err := w.settle(q.ID, scheduling.Refund); err != nil || w.get(q.ID).Effect != effectNone {
			t.Fatal(err)
		}
		if _, err := w.svc.Refund(w.ctx(), refundOf(w, q, 300)); err != nil {
			t.Fatal(err)
		}
		if err := w.settle(q.ID, scheduling.Applied); err != nil || w.get(q.ID).Effect != effectRefunded {
			t.Fatalf("a refunded payment: %v %s", err, w.get(q.ID).Effect)
		}
		if err := w.settle(payment.ID{}, scheduling.Applied); err != nil {
			t.Fatalf("a free number: %v", err)
		}
	})
}
