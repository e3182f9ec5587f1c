package paysim

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"xinglin/internal/kernel/clock"
	"xinglin/internal/platform/wechatpay"
)

var start = time.Date(2026, 5, 1, 9, 0, 0, 0, time.UTC)

const patience = 10 * time.Second // the longest a test waits for a thing

// account is provisioned once; its files are copied per test, since RSA keys are slow to make.
var account = sync.OnceValue(func() string {
	dir, err := os.MkdirTemp("", "paysim-test-")
	if err != nil {
		panic(err)
	}
	if _, err := Provision(dir); err != nil {
		panic(err)
	}
	return dir
})

func TestMain(m *testing.M) {
	code := m.Run()
	os.RemoveAll(account())
	os.Exit(code)
}

// callback is what the merchant's side got.
type callback struct {
	header http.Header
	body   []byte
}

// world is both sides over real sockets.
type world struct {
	t      *testing.T
	dir    string
	clock  *clock.Manual
	sim    *Server
	client *wechatpay.Client
	got    chan callback
	mu     sync.Mutex
	status int // what the merchant answers to callbacks
	stop   func()
	cfg    wechatpay.Config
}

func newWorld(t *testing.T, change ...func(*Options)) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir(), clock: clock.NewManual(start), got: make(chan callback, 100), status: 204}
	if err := os.CopyFS(w.dir, os.DirFS(account())); err != nil {
		t.Fatal(err)
	}
	var err error
	if w.cfg, err = Provision(w.dir); err != nil {
		t.Fatal(err)
	}
	merchant := httptest.NewServer(http.HandlerFunc(w.callback))
	t.Cleanup(merchant.Close)
	w.cfg.NotifyURL, w.cfg.Clock, w.cfg.RetryBase = merchant.URL+"/callbacks/wechatpay", w.clock, time.Millisecond
	w.start(change...)
	t.Cleanup(func() { w.stop() })
	return w
}

// start opens the simulator on the folder and a client to it.
func (w *world) start(change ...func(*Options)) {
	w.t.Helper()
	o := Options{
		Dir: w.dir, Listen: "127.0.0.1:0", Clock: w.clock, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
		RetryScale: 10_000, RefundDelay: time.Millisecond,
	}
	for _, f := range change {
		f(&o)
	}
	var err error
	if w.sim, err = New(o); err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.sim.Serve(ctx) }()
	var once sync.Once
	w.stop = func() {
		once.Do(func() {
			w.client.Shutdown()
			cancel()
			select {
			case err := <-done:
				if err != nil {
					w.t.Error(err)
				}
			case <-time.After(patience):
				w.t.Error("the simulator does not stop")
			}
		})
	}
	w.cfg.BaseURL = w.sim.URL()
	if w.client, err = wechatpay.New(w.cfg); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) callback(rw http.ResponseWriter, r *http.Request) {
	b, _ := io.ReadAll(r.Body)
	w.mu.Lock()
	status := w.status
	w.mu.Unlock()
	rw.WriteHeader(status)
	w.got <- callback{r.Header.Clone(), b}
}

func (w *world) answer(status int) {
	w.mu.Lock()
	w.status = status
	w.mu.Unlock()
}

// next waits for a callback.
func (w *world) next() callback {
	w.t.Helper()
	select {
	case c := <-w.got:
		return c
	case <-time.After(patience):
		w.t.Fatal("no callback came")
		return callback{}
	}
}

func (w *world) parse(c callback) (*wechatpay.Notification, error) {
	return w.client.ParseNotify(w.t.Context(), c.header, c.body, w.clock.Now())
}

func (w *world) prepay(no string) string {
	w.t.Helper()
	u, err := w.client.PrepayH5(w.t.Context(), order1(no))
	if err != nil {
		w.t.Fatal(err)
	}
	return u
}

func order1(no string) wechatpay.Order {
	return wechatpay.Order{
		OutTradeNo: no, Description: "门诊挂号费", TotalFen: 5000, PayerIP: "203.0.113.9",
		ExpiresAt: start.Add(15 * time.Minute), Attach: "a1",
	}
}

// do speaks to the simulator's own endpoints.
func (w *world) do(method, path, body string) (int, map[string]any) {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), method, w.sim.URL()+path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	var out map[string]any
	if err := json.NewDecoder(resp.Body).Decode(&out); err != nil {
		w.t.Fatal(err)
	}
	return resp.StatusCode, out
}

func (w *world) pay(no string) {
	w.t.Helper()
	if status, out := w.do("POST", "/sim/transactions/"+no+"/pay", ""); status != 200 {
		w.t.Fatalf("pay: %d %v", status, out)
	}
}

// settled waits until the notification of an order is over.
func (w *world) settled(no string) map[string]any {
	w.t.Helper()
	for end := time.After(patience); ; {
		_, out := w.do("GET", "/sim/transactions/"+no, "")
		if out["callback_done"] == true {
			return out
		}
		select {
		case <-end:
			w.t.Fatalf("the notification does not end: %v", out)
		case <-time.After(2 * time.Millisecond):
		}
	}
}

func TestProvisionIsStable(t *testing.T) {
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(account())); err != nil {
		t.Fatal(err)
	}
	a, err := Provision(dir)
	if err != nil {
		t.Fatal(err)
	}
	b, err := Provision(dir)
	if err != nil {
		t.Fatal(err)
	}
	if !a.MerchantKey.Equal(b.MerchantKey) || !a.APIv3Key.Equal(b.APIv3Key) || a.MerchantSerial != b.MerchantSerial {
		t.Fatal("a second Provision made another account")
	}
	for _, f := range []string{"merchant/key.pem", "merchant/api_v3.key", "platform/cert_key.pem", "merchants/" + DemoMchID + ".json"} {
		if st, err := os.Stat(filepath.Join(account(), f)); err != nil || st.Mode().Perm() != 0o600 {
			t.Fatalf("%s: %v %v", f, st.Mode(), err)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	dir := t.TempDir()
	for name, o := range map[string]Options{
		"no folder":       {},
		"not loopback":    {Dir: dir, Listen: "0.0.0.0:0"},
		"every interface": {Dir: dir, Listen: ":0"},
		"slower":          {Dir: dir, RetryScale: -1},
	} {
		if s, err := New(o); err == nil {
			s.Close()
			t.Errorf("%s: accepted", name)
		}
	}
	if err := Register(dir, Merchant{MchID: "../../x"}); err == nil {
		t.Error("a merchant number that is a path is accepted")
	}
}
