package paysim

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"xinglin/internal/kernel/clock"
	"xinglin/internal/platform/wechatpay"
)

// retryAfter is the channel's schedule: how long after a failed delivery it tries again, 24 h 4 min in all.
var retryAfter = []time.Duration{
	15 * time.Second, 15 * time.Second, 30 * time.Second, 3 * time.Minute, 10 * time.Minute, 20 * time.Minute,
	30 * time.Minute, 30 * time.Minute, 30 * time.Minute, time.Hour, 3 * time.Hour, 3 * time.Hour, 3 * time.Hour,
	6 * time.Hour, 6 * time.Hour,
}

// notice names the notification of an order or a refund.
type notice struct {
	number
	refund bool
}

// Delivery is one attempt to deliver a callback, as GET /sim/deliveries shows it: tests take the bytes from here to tamper
// with them.
type Delivery struct {
	OutTradeNo  string            `json:"out_trade_no"`
	OutRefundNo string            `json:"out_refund_no,omitempty"`
	ID          string            `json:"id"`
	Attempt     int               `json:"attempt"` // from 1
	URL         string            `json:"url"`
	Headers     map[string]string `json:"headers"`
	Body        string            `json:"body"`
	Status      int               `json:"status"` // 0: no answer
}

// resume takes up what an earlier process left: notifications and refunds under way.
func (s *Server) resume() {
	s.book.mu.Lock()
	defer s.book.mu.Unlock()
	for k, o := range s.book.orders {
		if o.Hook.pending() {
			s.deliverLater(notice{number: k}, 0)
		}
	}
	for k, r := range s.book.refunds {
		if r.State == wechatpay.RefundProcessing {
			s.finishLater(k)
		} else if r.Hook.pending() {
			s.deliverLater(notice{k, true}, 0)
		}
	}
}

// announce starts the notification of a payment or refund, unless faults lose it.
func (s *Server) announce(n notice) {
	if s.faults.lose() {
		if _, err := s.book.attempted(n, true); err != nil {
			s.o.Log.Error("paysim: journal", "err", err)
		}
		return
	}
	s.deliverLater(n, s.faults.delay())
}

func (s *Server) finishLater(k number) {
	s.later(s.o.RefundDelay, func(context.Context) {
		r, fresh, err := s.book.finish(k, s.o.Clock.Now())
		if err != nil {
			s.o.Log.Error("paysim: journal", "err", err)
		}
		if fresh && r.NotifyURL != "" {
			s.announce(notice{k, true})
		}
	})
}

func (s *Server) deliverLater(n notice, d time.Duration) {
	s.later(d, func(ctx context.Context) {
		select {
		case s.slots <- struct{}{}:
			defer func() { <-s.slots }()
		case <-ctx.Done():
			return
		}
		s.deliver(ctx, n)
	})
}

// deliver makes one attempt and plans the next.
func (s *Server) deliver(ctx context.Context, n notice) {
	d, body, m, ok := s.compose(n)
	if !ok {
		return
	}
	f := s.faults.forCallback()
	ok = s.send(ctx, m, d, body, f)
	if f.replay {
		s.post(ctx, d)
	}
	if f.duplicate {
		s.send(ctx, m, d, body, f)
	}
	if ctx.Err() != nil {
		return // not counted: a new process tries again
	}
	h, err := s.book.attempted(n, ok)
	if err != nil {
		s.o.Log.Error("paysim: journal", "err", err)
	}
	if !h.Done {
		s.deliverLater(n, retryAfter[h.Attempts-1]/time.Duration(s.o.RetryScale))
	}
}

// send signs the body anew and posts it.
func (s *Server) send(ctx context.Context, m *merchant, d *Delivery, body []byte, f callbackFaults) bool {
	at := s.o.Clock.Now()
	if f.late {
		at = at.Add(-2 * wechatpay.Window)
	}
	key, serial := s.platform.signer(m.PublicMode)
	if f.wrongSignature {
		key, _ = s.platform.signer(!m.PublicMode)
	}
	headers, err := signed(key, serial, at, body)
	if err != nil {
		s.o.Log.Error("paysim: sign", "err", err)
		return false
	}
	d.Headers, d.Body = headers, string(body)
	return s.post(ctx, d)
}

// post sends a delivery as it is and remembers it.
func (s *Server) post(ctx context.Context, d *Delivery) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, d.URL, bytes.NewReader([]byte(d.Body)))
	if err != nil {
		return false
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "Mozilla/4.0")
	for k, v := range d.Headers {
		req.Header.Set(k, v)
	}
	d.Status = 0
	start := clock.Mono()
	resp, err := s.hooks.Do(req)
	if err == nil {
		_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, maxBody))
		resp.Body.Close()
		d.Status = resp.StatusCode
	}
	s.faults.remember(*d)
	s.o.Log.Debug("paysim: callback", "attempt", d.Attempt, "status", d.Status, "took", clock.Mono().Sub(start))
	return d.Status == http.StatusOK || d.Status == http.StatusNoContent
}

// compose makes the body of a notification, its resource encrypted anew; false when nothing is to be sent.
func (s *Server) compose(n notice) (*Delivery, []byte, *merchant, bool) {
	m := s.merchants[n.mchID]
	if m == nil {
		return nil, nil, nil, false
	}
	d := &Delivery{}
	var h hook
	var event, summary, kind string
	var plain any
	if n.refund {
		r, ok := s.book.findRefund(n.number)
		if !ok || !r.Hook.pending() {
			return nil, nil, nil, false
		}
		h, event, summary, kind, plain = r.Hook, "REFUND."+r.State, "退款成功", "refund", r.callback()
		d.OutTradeNo, d.OutRefundNo, d.URL = r.OutTradeNo, r.OutRefundNo, r.NotifyURL
	} else {
		o, ok := s.book.find(n.number, s.o.Clock.Now())
		if !ok || !o.Hook.pending() {
			return nil, nil, nil, false
		}
		o.State = wechatpay.StatePaid // also when a refund began before the payment was told
		h, event, summary, kind, plain = o.Hook, wechatpay.EventPaid, "支付成功", "transaction", o.json()
		d.OutTradeNo, d.URL = o.OutTradeNo, o.NotifyURL
	}
	d.ID, d.Attempt = h.ID, h.Attempts+1
	body, err := seal(m, h, event, summary, kind, plain)
	if err != nil {
		s.o.Log.Error("paysim: seal", "err", err)
		return nil, nil, nil, false
	}
	return d, body, m, true
}

func seal(m *merchant, h hook, event, summary, kind string, plain any) ([]byte, error) {
	raw, err := json.Marshal(plain)
	if err != nil {
		return nil, err
	}
	sealed, err := wechatpay.Seal([]byte(m.APIv3Key), raw, kind, rand.Text()[:12])
	if err != nil {
		return nil, err
	}
	sealed.OriginalType = kind
	return json.Marshal(map[string]any{
		"id": h.ID, "create_time": rfc3339(h.CreatedAt), "event_type": event,
		"resource_type": "encrypt-resource", "summary": summary, "resource": sealed,
	})
}

func rfc3339(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.In(clock.Shanghai).Format(time.RFC3339)
}

// unix is the timestamp header.
func unix(t time.Time) string { return strconv.FormatInt(t.Unix(), 10) }

// money is amounts in the demo's pages: 1234 fen are 12.34.
func money(fen int64) string { return fmt.Sprintf("%d.%02d", fen/100, fen%100) }
