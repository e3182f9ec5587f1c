package wechatpay_test

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"xinglin/internal/kernel/fault"
	"xinglin/internal/platform/wechatpay"
)

func TestAnswerIsVerified(t *testing.T) {
	ok := transaction(nil)
	cases := map[string]struct {
		answer func(c *channel, w http.ResponseWriter)
		want   *fault.Code // nil: accepted
	}{
		"public key mode":  {func(c *channel, w http.ResponseWriter) { c.send(w, 200, c.byPublic(ok), ok) }, nil},
		"certificate mode": {func(c *channel, w http.ResponseWriter) { c.send(w, 200, c.byCert(ok), ok) }, nil},
		"tampered body": {func(c *channel, w http.ResponseWriter) {
			c.send(w, 200, c.byPublic(ok), bytes.Replace(ok, []byte("5000"), []byte("4000"), 1))
		}, wechatpay.ErrBadSignature},
		"unsigned": {func(c *channel, w http.ResponseWriter) { c.send(w, 200, nil, ok) }, wechatpay.ErrBadSignature},
		"unknown public key": {func(c *channel, w http.ResponseWriter) {
			c.send(w, 200, signed(c.t, keys().public, pubID+"9", c.clock.Now(), ok), ok)
		}, wechatpay.ErrBadSignature},
		"unknown certificate": {func(c *channel, w http.ResponseWriter) {
			c.send(w, 200, signed(c.t, keys().cert, "77AA", c.clock.Now(), ok), ok)
		}, wechatpay.ErrBadSignature},
		"another's key": {func(c *channel, w http.ResponseWriter) {
			c.send(w, 200, signed(c.t, keys().foreign, pubID, c.clock.Now(), ok), ok)
		}, wechatpay.ErrBadSignature},
		"the merchant's own key": {func(c *channel, w http.ResponseWriter) {
			c.send(w, 200, signed(c.t, keys().merchant, merchSN, c.clock.Now(), ok), ok)
		}, wechatpay.ErrBadSignature},
		"old": {func(c *channel, w http.ResponseWriter) {
			c.send(w, 200, signed(c.t, keys().public, pubID, c.clock.Now().Add(-301*time.Second), ok), ok)
		}, wechatpay.ErrBadSignature},
		"probe": {func(c *channel, w http.ResponseWriter) {
			h := c.byPublic(ok)
			h.Set(wechatpay.HeaderSignature, "WECHATPAY/SIGNTEST/"+h.Get(wechatpay.HeaderSignature))
			c.send(w, 200, h, ok)
		}, wechatpay.ErrBadSignature},
		"truncated JSON": {func(c *channel, w http.ResponseWriter) {
			c.send(w, 200, c.byPublic(ok[:40]), ok[:40])
		}, wechatpay.ErrUnreadable},
		"amount with a fraction": {func(c *channel, w http.ResponseWriter) {
			b := transaction(map[string]any{"amount": map[string]any{"total": 50.5}})
			c.send(w, 200, c.byPublic(b), b)
		}, wechatpay.ErrUnreadable},
		"another order": {func(c *channel, w http.ResponseWriter) {
			b := transaction(map[string]any{"out_trade_no": "PAY-OTHER-1"})
			c.send(w, 200, c.byPublic(b), b)
		}, wechatpay.ErrUnreadable},
		"another merchant": {func(c *channel, w http.ResponseWriter) {
			b := transaction(map[string]any{"mchid": "1900002222"})
			c.send(w, 200, c.byPublic(b), b)
		}, wechatpay.ErrUnreadable},
		"foreign currency": {func(c *channel, w http.ResponseWriter) {
			b := transaction(map[string]any{"amount": map[string]any{"total": 5000, "currency": "USD"}})
			c.send(w, 200, c.byPublic(b), b)
		}, wechatpay.ErrUnreadable},
		"huge": {func(c *channel, w http.ResponseWriter) {
			c.send(w, 200, nil, bytes.Repeat([]byte(" "), 1<<20+1))
		}, wechatpay.ErrUnreadable},
		"redirect": {func(c *channel, w http.ResponseWriter) {
			c.send(w, 302, http.Header{"Location": {"http://127.0.0.1:1/"}}, nil)
		}, wechatpay.ErrRefused},
	}
	for name, k := range cases {
		t.Run(name, func(t *testing.T) {
			ch := newChannel(t, func(c *channel, w http.ResponseWriter, _ *http.Request, _ int) { k.answer(c, w) })
			got, err := client(t, config(ch.URL, ch.clock)).Query(t.Context(), tradeNo)
			if k.want != nil {
				if !errors.Is(err, k.want) {
					t.Fatalf("got %v, want %s", err, k.want.Name)
				}
				if n := ch.calls.Load(); n != 1 {
					t.Fatalf("asked %d times for an answer that came", n)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got.TotalFen != 5000 || !got.Paid() || !got.PaidAt.Equal(start) || got.TransactionID != "4200001" {
				t.Fatalf("got %+v", got)
			}
		})
	}
}

func TestRetriesEnd(t *testing.T) {
	ok := transaction(nil)
	status := func(codes ...int) func(c *channel, w http.ResponseWriter, r *http.Request, n int) {
		return func(c *channel, w http.ResponseWriter, _ *http.Request, n int) {
			code := codes[min(n, len(codes))-1]
			if code == 200 {
				c.send(w, 200, c.byPublic(ok), ok)
				return
			}
			body := []byte(`{"code":"SYSTEM_ERROR","message":"again"}`)
			c.send(w, code, nil, body)
		}
	}
	cases := map[string]struct {
		answer func(c *channel, w http.ResponseWriter, r *http.Request, n int)
		want   *fault.Code
		calls  int64
	}{
		"5xx, then an answer":  {status(500, 502, 200), nil, 3},
		"429, then an answer":  {status(429, 200), nil, 2},
		"5xx for ever":         {status(503), wechatpay.ErrUnreachable, 4},
		"429 for ever":         {status(429), wechatpay.ErrUnreachable, 4},
		"4xx is final":         {status(400), wechatpay.ErrRefused, 1},
		"connection cut twice": {cut(2, ok), nil, 3},
		"connection cut":       {cut(99, ok), wechatpay.ErrUnreachable, 4},
	}
	for name, k := range cases {
		t.Run(name, func(t *testing.T) {
			ch := newChannel(t, k.answer)
			cfg := config(ch.URL, ch.clock)
			cfg.Attempts = 4
			_, err := client(t, cfg).Query(t.Context(), tradeNo)
			if (k.want == nil) != (err == nil) || (k.want != nil && !errors.Is(err, k.want)) {
				t.Fatalf("got %v", err)
			}
			if n := ch.calls.Load(); n != k.calls {
				t.Fatalf("%d calls, want %d", n, k.calls)
			}
			if err != nil && strings.Contains(err.Error(), tradeNo) {
				t.Fatalf("the order's number is in the error: %v", err)
			}
		})
	}
}

// cut promises a longer body than it sends, so often, then answers.
func cut(times int, ok []byte) func(c *channel, w http.ResponseWriter, r *http.Request, n int) {
	return func(c *channel, w http.ResponseWriter, _ *http.Request, n int) {
		if n > times {
			c.send(w, 200, c.byPublic(ok), ok)
			return
		}
		w.Header().Set("Content-Length", "5000")
		_, _ = w.Write(ok[:50])
		panic(http.ErrAbortHandler)
	}
}

func TestUnreachable(t *testing.T) {
	ch := newChannel(t, nil)
	ch.Close()
	_, err := client(t, config(ch.URL, ch.clock)).Query(t.Context(), tradeNo)
	if !errors.Is(err, wechatpay.ErrUnreachable) || strings.Contains(err.Error(), tradeNo) {
		t.Fatalf("got %v", err)
	}
}

func TestCallerGivesUp(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	ch := newChannel(t, func(_ *channel, w http.ResponseWriter, _ *http.Request, _ int) {
		cancel()
		w.WriteHeader(500)
	})
	cfg := config(ch.URL, ch.clock)
	cfg.RetryBase, cfg.Attempts = time.Hour, 10
	_, err := client(t, cfg).Query(ctx, tradeNo)
	if !errors.Is(err, wechatpay.ErrUnreachable) || !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
}

func TestHungChannelTimesOut(t *testing.T) {
	release := make(chan struct{})
	ch := newChannel(t, func(_ *channel, _ http.ResponseWriter, _ *http.Request, _ int) { <-release })
	defer close(release)
	cfg := config(ch.URL, ch.clock)
	cfg.Timeout, cfg.Attempts = 30*time.Millisecond, 2
	if _, err := client(t, cfg).Query(t.Context(), tradeNo); !errors.Is(err, wechatpay.ErrUnreachable) {
		t.Fatalf("got %v", err)
	}
}

func TestRefusals(t *testing.T) {
	unknown := []byte(`{"code":"ORDER_NOT_EXIST","message":"no such order"}`)
	cases := map[string]struct {
		signed func(c *channel) http.Header
		want   *fault.Code
		isSet  bool
	}{
		"signed":         {func(c *channel) http.Header { return c.byPublic(unknown) }, wechatpay.ErrRefused, true},
		"unsigned":       {func(*channel) http.Header { return nil }, wechatpay.ErrRefused, false},
		"signed falsely": {func(c *channel) http.Header { return c.byPublic([]byte("other")) }, wechatpay.ErrBadSignature, false},
	}
	for name, k := range cases {
		t.Run(name, func(t *testing.T) {
			ch := newChannel(t, func(c *channel, w http.ResponseWriter, _ *http.Request, _ int) {
				c.send(w, 404, k.signed(c), unknown)
			})
			_, err := client(t, config(ch.URL, ch.clock)).Query(t.Context(), tradeNo)
			if !errors.Is(err, k.want) || wechatpay.IsUnknown(err) != k.isSet {
				t.Fatalf("got %v, unknown %v", err, wechatpay.IsUnknown(err))
			}
			if k.want == wechatpay.ErrRefused && wechatpay.RefusalOf(err).Code != "ORDER_NOT_EXIST" {
				t.Fatalf("refusal %+v", wechatpay.RefusalOf(err))
			}
		})
	}
}

func TestCertificatesAreDownloadedSeldom(t *testing.T) {
	ok := transaction(nil)
	serial := "77AA"
	ch := newChannel(t, func(c *channel, w http.ResponseWriter, _ *http.Request, _ int) {
		if serial == "" {
			c.send(w, 200, c.byCert(ok), ok)
			return
		}
		c.send(w, 200, signed(c.t, keys().foreign, serial, c.clock.Now(), ok), ok)
	})
	cfg := config(ch.URL, ch.clock)
	cfg.PublicKeys = nil
	c := client(t, cfg)
	ask := func(want *fault.Code, downloads int64) {
		t.Helper()
		_, err := c.Query(t.Context(), tradeNo)
		if (want == nil) != (err == nil) || (want != nil && !errors.Is(err, want)) {
			t.Fatalf("got %v", err)
		}
		if n := ch.certs.Load(); n != downloads {
			t.Fatalf("%d downloads, want %d", n, downloads)
		}
	}
	ask(wechatpay.ErrBadSignature, 1)
	ask(wechatpay.ErrBadSignature, 1) // too soon for another download
	serial = ""
	ask(nil, 1) // came with the first
	serial = "77AA"
	ch.clock.Add(61 * time.Second)
	ask(wechatpay.ErrBadSignature, 2)
	serial = ""
	ch.clock.Set(start.AddDate(101, 0, 0)) // the certificate is over
	ask(wechatpay.ErrBadSignature, 3)
}

func TestCertificatesUnderAnotherKey(t *testing.T) {
	ok := transaction(nil)
	ch := newChannel(t, func(c *channel, w http.ResponseWriter, _ *http.Request, _ int) { c.send(w, 200, c.byCert(ok), ok) })
	cfg := config(ch.URL, ch.clock)
	cfg.APIv3Key = secretOf(strings.Repeat("x", 32))
	if _, err := client(t, cfg).Query(t.Context(), tradeNo); !errors.Is(err, wechatpay.ErrBadSignature) {
		t.Fatalf("got %v", err)
	}
}
