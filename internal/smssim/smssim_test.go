package smssim

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/fault"
	"xinglin/internal/kernel/secret"
	"xinglin/internal/platform/sms"
	"xinglin/internal/platform/sms/signed"
	"xinglin/internal/smssim/simserver"
)

var (
	start = time.Date(2026, 3, 2, 1, 0, 0, 0, time.UTC)
	key   = secret.New("the key of the gateway, 32 bytes")
)

// log keeps what was logged.
type logs struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logs) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// pair is a served simulator and a client of it.
func pair(t *testing.T, receipts string) (*Server, *sms.Client, *logs) {
	t.Helper()
	out, now := &logs{}, clock.NewManual(start)
	s, err := New(Options{ReceiptURL: receipts, Options: simserver.Options{
		Listen: "127.0.0.1:0", KeyID: "sms", Key: key, Clock: now, Log: slog.New(slog.NewTextHandler(out, nil)),
	}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx) }()
	c := client(t, s.URL(), now)
	t.Cleanup(func() {
		c.Close()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		s.Close()
		s.Close()
	})
	return s, c, out
}

func client(t *testing.T, url string, now clock.Clock) *sms.Client {
	t.Helper()
	c, err := sms.New(sms.Options{URL: url, KeyID: "sms", Key: key, Clock: now, Timeout: 2 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func message(id string) sms.Message {
	return sms.Message{
		ID: id, Phone: secret.New("13800138000"), Template: "login_code",
		Params: map[string]string{"code": "739201"}, Text: "验证码 739201，5 分钟内有效",
	}
}

func TestSend(t *testing.T) {
	s, c, out := pair(t, "")
	first, err := c.Send(t.Context(), message("m1"))
	if err != nil {
		t.Fatal(err)
	}
	again, err := c.Send(t.Context(), message("m1"))
	if err != nil || again != first {
		t.Fatalf("%q, then %q: %v", first, again, err)
	}
	if _, err := c.Send(t.Context(), message("m2")); err != nil {
		t.Fatal(err)
	}
	got := s.Messages(0)
	if len(got) != 2 || got[0].ID != "m2" || got[1].ProviderID != first {
		t.Fatalf("inbox of %d", len(got))
	}
	if m := got[1]; m.Phone != "13800138000" || m.Params["code"] != "739201" || !strings.Contains(m.Text, "739201") || !m.At.Equal(start) {
		t.Errorf("message %+v", m)
	}
	if n := len(s.Messages(1)); n != 1 {
		t.Errorf("%d with a limit of 1", n)
	}
	for _, private := range []string{"13800138000", "739201"} {
		if strings.Contains(out.String(), private) {
			t.Errorf("the log holds %s", private)
		}
	}
}

func TestRefusals(t *testing.T) {
	s, c, _ := pair(t, "")
	if _, err := c.Send(t.Context(), message("m1")); err != nil {
		t.Fatal(err)
	}
	other := message("m1")
	other.Text = "another"
	noPhone, noText, noID, badPhone, long := message("a"), message("b"), message(""), message("c"), message("d")
	noPhone.Phone = secret.Text{}
	noText.Text, noText.Template = "", ""
	badPhone.Phone = secret.New("bell me")
	long.Text = strings.Repeat("x", sms.MaxText+1)
	for name, v := range map[string]struct {
		m    sms.Message
		want *fault.Code
		code string
	}{
		"id reused": {other, sms.ErrRefused, "id_reused"},
		"bad phone": {badPhone, sms.ErrRefused, "phone_invalid"},
		"no phone":  {noPhone, sms.ErrInvalid, ""},
		"no text":   {noText, sms.ErrInvalid, ""},
		"no id":     {noID, sms.ErrInvalid, ""},
		"long":      {long, sms.ErrInvalid, ""},
	} {
		_, err := c.Send(t.Context(), v.m)
		if !errors.Is(err, v.want) {
			t.Errorf("%s: %v", name, err)
		} else if d := fault.Of(err).Details; v.code != "" && (len(d) != 1 || d[0].Code != v.code) {
			t.Errorf("%s: details %+v", name, d)
		}
	}
	if n := len(s.Messages(0)); n != 1 {
		t.Errorf("%d messages", n)
	}
}

// After unreachable the same id goes once, whatever the first try did.
func TestFaults(t *testing.T) {
	s, c, _ := pair(t, "")
	for i, f := range []struct {
		fault simserver.Fault
		want  *fault.Code
		after int // messages of this id after the fault
	}{
		{simserver.Fault{Kind: simserver.Down}, sms.ErrUnreachable, 0},
		{simserver.Fault{Kind: simserver.Limit}, sms.ErrUnreachable, 0},
		{simserver.Fault{Kind: simserver.Drop}, sms.ErrUnreachable, 0},
		{simserver.Fault{Kind: simserver.Refuse, Code: "quota"}, sms.ErrRefused, 0},
		{simserver.Fault{Kind: simserver.Lost}, sms.ErrUnreachable, 1},
		{simserver.Fault{Kind: simserver.Garbage}, sms.ErrUnreachable, 1},
		{simserver.Fault{Kind: simserver.Unsigned}, sms.ErrUnreachable, 1},
		{simserver.Fault{Kind: simserver.Down, Times: 1}, sms.ErrUnreachable, 0},
	} {
		id := fmt.Sprint("m", i)
		has := func() (n int) {
			for _, m := range s.Messages(0) {
				if m.ID == id {
					n++
				}
			}
			return n
		}
		if !s.Fault(f.fault) {
			t.Fatal("fault refused")
		}
		if _, err := c.Send(t.Context(), message(id)); !errors.Is(err, f.want) {
			t.Errorf("%s: %v", f.fault.Kind, err)
		}
		if has() != f.after {
			t.Errorf("%s: %d messages", f.fault.Kind, has())
		}
		if _, err := c.Send(t.Context(), message(id)); err != nil || has() != 1 {
			t.Errorf("%s: again: %v, %d messages", f.fault.Kind, err, has())
		}
	}
	if s.Fault(simserver.Fault{Kind: "meteor"}) {
		t.Error("unknown fault queued")
	}
	s.Fault(simserver.Fault{Kind: simserver.Slow, Delay: time.Millisecond})
	if _, err := c.Send(t.Context(), message("slow")); err != nil {
		t.Error(err)
	}
	s.Fault(simserver.Fault{Kind: simserver.Slow, Delay: time.Minute})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := c.Send(ctx, message("slower")); !errors.Is(err, sms.ErrUnreachable) {
		t.Error(err)
	}
}

func TestControlOverHTTP(t *testing.T) {
	s, c, _ := pair(t, "")
	wire, err := signed.NewClient(signed.Options{URL: s.URL(), Key: signed.Key{ID: "sms", Secret: key}, Clock: clock.NewManual(start)})
	if err != nil {
		t.Fatal(err)
	}
	defer wire.Close()
	for i := range 3 {
		if _, err := c.Send(t.Context(), message(fmt.Sprint(i))); err != nil {
			t.Fatal(err)
		}
	}
	var box struct {
		Messages []Message `json:"messages"`
	}
	if err := wire.Do(t.Context(), http.MethodGet, "/inbox?limit=2", nil, &box); err != nil || len(box.Messages) != 2 || box.Messages[0].ID != "2" {
		t.Errorf("inbox %d: %v", len(box.Messages), err)
	}
	for _, q := range []string{"0", "101", "x"} {
		var no *signed.Refusal
		if err := wire.Do(t.Context(), http.MethodGet, "/inbox?limit="+q, nil, &box); !errors.As(err, &no) {
			t.Errorf("limit %s: %v", q, err)
		}
	}
	var none struct{}
	in := map[string]any{"kind": "refuse", "code": "quota", "times": 2, "delay_ms": 0}
	if err := wire.Do(t.Context(), http.MethodPost, "/faults", in, &none); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		_, err := c.Send(t.Context(), message(fmt.Sprint("f", i)))
		if refused := errors.Is(err, sms.ErrRefused); refused != (i < 2) {
			t.Errorf("send %d: %v", i, err)
		}
	}
	res, err := http.Get(s.URL() + "/inbox")
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusUnauthorized {
		t.Errorf("inbox without a signature: %d", res.StatusCode)
	}
}

func TestInboxIsBounded(t *testing.T) {
	s, _, _ := pair(t, "")
	for i := range keepIDs + 1 {
		s.remember(Message{ID: fmt.Sprint(i), Text: strings.Repeat("<", 400)}, [32]byte{})
	}
	if len(s.messages) != keep || len(s.ids) != keepIDs || len(s.order) != keepIDs {
		t.Errorf("%d messages, %d ids", len(s.messages), len(s.ids))
	}
	s.remember(Message{ID: "one", Phone: "+8613800000001"}, [32]byte{})
	s.remember(Message{ID: "two", Phone: "13800000001"}, [32]byte{})
	if got := s.To("13800000001"); len(got) != 2 || got[0].ID != "two" {
		t.Errorf("to one phone: %v", got)
	}
	s.remember(Message{ID: fmt.Sprint(keepIDs)}, [32]byte{})
	if got := s.Messages(0); got[0].ID != fmt.Sprint(keepIDs) {
		t.Errorf("newest is %s", got[0].ID)
	}
	wire, err := signed.NewClient(signed.Options{URL: s.URL(), Key: signed.Key{ID: "sms", Secret: key}, Clock: clock.NewManual(start)})
	if err != nil {
		t.Fatal(err)
	}
	defer wire.Close()
	var box struct {
		Messages []Message `json:"messages"`
	}
	if err := wire.Do(t.Context(), http.MethodGet, "/inbox?limit=100", nil, &box); err != nil || len(box.Messages) < 20 || len(box.Messages) == 100 {
		t.Errorf("%d messages: %v", len(box.Messages), err)
	}
}

func TestReceipts(t *testing.T) {
	reader := client(t, "https://unused.invalid", clock.NewManual(start))
	got := make(chan sms.Receipt, 1)
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rec, err := reader.ReadReceipt(r)
		if err != nil {
			signed.Refuse(w, err)
			return
		}
		reader.AnswerReceipt(w, r)
		got <- rec
	}))
	defer hook.Close()
	_, c, _ := pair(t, hook.URL)
	pid, err := c.Send(t.Context(), message("m1"))
	if err != nil {
		t.Fatal(err)
	}
	select {
	case rec := <-got:
		if rec.ID != "m1" || rec.ProviderID != pid || rec.State != sms.Delivered {
			t.Errorf("receipt %+v", rec)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("no receipt")
	}
	res, err := http.Post(hook.URL, "application/json", strings.NewReader(`{"id":"m1","state":"failed"}`))
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusUnauthorized {
		t.Errorf("forged receipt: %d", res.StatusCode)
	}
}

func TestUnreachable(t *testing.T) {
	s, _, _ := pair(t, "")
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	c := client(t, gone.URL, nil)
	if _, err := c.Send(t.Context(), message("m")); !errors.Is(err, sms.ErrUnreachable) {
		t.Error(err)
	}
	// A client whose clock is far off is told so.
	late := client(t, s.URL(), clock.NewManual(start.Add(time.Hour)))
	_, err := late.Send(t.Context(), message("m"))
	if !errors.Is(err, sms.ErrRefused) || fault.Of(err).Details[0].Code != signed.CodeLate {
		t.Error(err)
	}
}

func TestOptions(t *testing.T) {
	good := simserver.Options{Listen: "127.0.0.1:0", KeyID: "sms", Key: key}
	for name, change := range map[string]func(*Options){
		"everyone's address": func(o *Options) { o.Listen = "0.0.0.0:0" },
		"no port":            func(o *Options) { o.Listen = "127.0.0.1" },
		"no key":             func(o *Options) { o.Key = secret.Text{} },
		"receipts in clear":  func(o *Options) { o.ReceiptURL = "http://example.com" },
	} {
		o := Options{Options: good}
		change(&o)
		if _, err := New(o); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := sms.New(sms.Options{URL: "http://example.com", KeyID: "k", Key: key}); err == nil {
		t.Error("client in clear accepted")
	}
}
