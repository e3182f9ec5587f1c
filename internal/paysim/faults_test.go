package paysim

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"xinglin/internal/platform/wechatpay"
)

func TestFailedCallbackIsRepeatedOnSchedule(t *testing.T) {
	w := newWorld(t, func(o *Options) { o.RetryScale = 1_000_000 })
	w.answer(500)
	w.prepay(no1)
	w.pay(no1)
	out := w.settled(no1)
	if want := float64(1 + len(retryAfter)); out["callback_attempts"] != want {
		t.Fatalf("%v attempts, want %v", out["callback_attempts"], want)
	}
	ids, replay := map[string]bool{}, map[string]bool{}
	for range 1 + len(retryAfter) {
		n, err := w.parse(w.next())
		if err != nil {
			t.Fatal(err)
		}
		ids[n.ID], replay[n.ReplayKey] = true, true
	}
	if len(ids) != 1 || len(replay) != 1+len(retryAfter) {
		t.Fatalf("%d ids, %d signatures", len(ids), len(replay))
	}
	var sum time.Duration
	for _, d := range retryAfter {
		sum += d
	}
	if sum != 24*time.Hour+4*time.Minute {
		t.Fatalf("the schedule spans %s", sum)
	}
}

func TestLostCallbackIsHealedByTheQuery(t *testing.T) {
	w := newWorld(t)
	w.sim.SetFaults(Faults{LoseCallbacks: 1})
	w.prepay(no1)
	w.pay(no1)
	w.settled(no1)
	if tr, err := w.client.Query(t.Context(), no1); err != nil || !tr.Paid() {
		t.Fatalf("%+v %v", tr, err)
	}
	no2 := "PAY-20260501-0002"
	w.prepay(no2)
	w.pay(no2)
	if n, err := w.parse(w.next()); err != nil || n.Transaction.OutTradeNo != no2 {
		t.Fatalf("only the second is told: %+v %v", n, err)
	}
}

func TestCallbackFaults(t *testing.T) {
	t.Run("duplicate", func(t *testing.T) {
		w := payWith(t, Faults{Duplicate: true})
		a, errA := w.parse(w.next())
		b, errB := w.parse(w.next())
		if errA != nil || errB != nil || a.ID != b.ID || a.ReplayKey == b.ReplayKey {
			t.Fatalf("%+v %v, %+v %v", a, errA, b, errB)
		}
	})
	t.Run("replay", func(t *testing.T) {
		w := payWith(t, Faults{Replay: true})
		a, errA := w.parse(w.next())
		b, errB := w.parse(w.next())
		if errA != nil || errB != nil || a.ReplayKey != b.ReplayKey {
			t.Fatalf("%+v %v, %+v %v", a, errA, b, errB)
		}
	})
	t.Run("late", func(t *testing.T) {
		w := payWith(t, Faults{Late: true})
		if _, err := w.parse(w.next()); !errors.Is(err, wechatpay.ErrCallbackLate) {
			t.Fatal(err)
		}
	})
	t.Run("wrong signature, then right", func(t *testing.T) {
		w := newWorld(t)
		w.answer(401)
		w.sim.SetFaults(Faults{WrongSignature: 1})
		w.prepay(no1)
		w.pay(no1)
		if _, err := w.parse(w.next()); !errors.Is(err, wechatpay.ErrCallbackForged) {
			t.Fatal(err)
		}
		if n, err := w.parse(w.next()); err != nil || n.Transaction == nil {
			t.Fatalf("%+v %v", n, err)
		}
	})
	t.Run("delay", func(t *testing.T) {
		w := payWith(t, Faults{DelayMS: 1})
		if _, err := w.parse(w.next()); err != nil {
			t.Fatal(err)
		}
	})
}

func payWith(t *testing.T, f Faults) *world {
	t.Helper()
	w := newWorld(t)
	w.sim.SetFaults(f)
	w.prepay(no1)
	w.pay(no1)
	return w
}

func TestAnswerFaults(t *testing.T) {
	w := newWorld(t)
	w.prepay(no1)
	w.sim.SetFaults(Faults{Answer5xx: 2})
	if _, err := w.client.Query(t.Context(), no1); err != nil {
		t.Fatalf("two 5xx, then an answer: %v", err)
	}
	w.sim.SetFaults(Faults{Answer5xx: 1000})
	if _, err := w.client.Query(t.Context(), no1); !errors.Is(err, wechatpay.ErrUnreachable) {
		t.Fatal(err)
	}
	w.sim.SetFaults(Faults{BadAnswers: 1})
	if _, err := w.client.Query(t.Context(), no1); !errors.Is(err, wechatpay.ErrBadSignature) {
		t.Fatal(err)
	}
	if _, err := w.client.Query(t.Context(), no1); err != nil {
		t.Fatal(err)
	}
}

func TestControlEndpoint(t *testing.T) {
	w := newWorld(t)
	if status, out := w.do("POST", "/sim/faults", `{"lose_callbacks":1,"delay_ms":5,"late":true}`); status != 200 || out["delay_ms"] != 5.0 {
		t.Fatalf("%d %v", status, out)
	}
	if _, out := w.do("GET", "/sim/faults", ""); out["lose_callbacks"] != 1.0 || out["late"] != true {
		t.Fatalf("%v", out)
	}
	for _, bad := range []string{`{"lose_callbacks":-1}`, `{"delay_ms":99999999}`, `{"surprise":1}`, `{`, ``} {
		if status, _ := w.do("POST", "/sim/faults", bad); status != 400 {
			t.Errorf("%q: %d", bad, status)
		}
	}
	w.do("POST", "/sim/faults", `{}`)
	if status, _ := w.do("POST", "/sim/transactions/PAY-NONE-1/pay", ""); status != 404 {
		t.Errorf("unknown order: %d", status)
	}
	if status, _ := w.do("GET", "/sim/transactions/PAY-NONE-1", ""); status != 404 {
		t.Errorf("unknown order: %d", status)
	}
	w.prepay(no1)
	w.pay(no1)
	c := w.next()
	w.settled(no1)
	_, out := w.do("GET", "/sim/deliveries?out_trade_no="+no1, "")
	items := out["items"].([]any)
	if len(items) != 1 || items[0].(map[string]any)["body"] != string(c.body) {
		t.Fatalf("%v", items)
	}
	if _, out := w.do("GET", "/sim/transactions", ""); len(out["items"].([]any)) != 1 {
		t.Fatalf("%v", out)
	}
	req, _ := http.NewRequestWithContext(t.Context(), "POST", w.sim.URL()+"/sim/faults", http.NoBody)
	req.Header.Set("Origin", "https://evil.example")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 403 {
		t.Fatalf("a foreign page: %d", resp.StatusCode)
	}
}
