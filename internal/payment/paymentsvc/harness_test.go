package paymentsvc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/event"
	"xinglin/internal/kernel/id"
	"xinglin/internal/kernel/money"
	"xinglin/internal/ledger"
	"xinglin/internal/payment"
	"xinglin/internal/paysim"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/httpx"
	"xinglin/internal/platform/job"
	"xinglin/internal/platform/module"
	"xinglin/internal/platform/verify"
	"xinglin/internal/platform/wechatpay"
	"xinglin/internal/scheduling"
	"xinglin/internal/testkit"
	"xinglin/internal/testkit/apitest"
	"xinglin/internal/testkit/dbtest"
)

const patience = 10 * time.Second

// books is a ledger that keeps what the real one promises: balanced, once by its id.
type books struct {
	mu   sync.Mutex
	all  map[ledger.TransactionID]ledger.Transaction
	down bool
}

func (b *books) Post(_ context.Context, t ledger.Transaction) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.down {
		return db.ErrUnavailable.New()
	}
	var sum money.Fen
	for _, p := range t.Postings {
		sum += p.Amount
	}
	if sum != 0 || len(t.Postings) < 2 || t.Reference.IsZero() || t.At.IsZero() {
		return ledger.ErrUnbalanced.New()
	}
	if old, ok := b.all[t.ID]; ok && !reflect.DeepEqual(old, t) {
		return ledger.ErrReused.New()
	}
	b.all[t.ID] = t
	return nil
}

func (b *books) Balance(_ context.Context, tenant ledger.TenantID, account string) (sum money.Fen, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, t := range b.all {
		for _, p := range t.Postings {
			if t.Tenant == tenant && p.Account == account {
				sum += p.Amount
			}
		}
	}
	return sum, nil
}

// world is one process of the payment context and, when it has one, the real simulator of the channel over a socket.
type world struct {
	*apitest.Harness
	t     *testing.T
	clock *clock.Manual
	base  module.Base
	svc   *Service
	mod   *module.Module
	books *books
	run   *job.Runner
	sim   *paysim.Server
	url   string // where the channel calls back
	owner auth.Principal
}

type anyHost struct{}

// ByHost gives the loopback to the main tenant: the simulator calls it by address.
func (anyHost) ByHost(_ context.Context, host string) (id.ID[auth.Tenant], error) {
	if name, ok := strings.CutSuffix(host, ".test"); ok {
		return id.Parse[auth.Tenant](name)
	}
	return apitest.Main, nil
}

// build makes the context on srv with a channel.
func build(t *testing.T, srv *db.Server, clk *clock.Manual, channel Channel) *world {
	t.Helper()
	w := &world{t: t, clock: clk, books: &books{all: map[ledger.TransactionID]ledger.Transaction{}}, owner: apitest.Patient(apitest.Main)}
	w.base = testkit.Base(t, srv, Describe(), testkit.WithClock(clk))
	w.svc, w.mod = New(w.base, w.books, channel)
	w.Harness = apitest.With(t, httpx.Options{Tenants: anyHost{}}, w.mod.Routes)
	var err error
	w.run, err = job.NewRunner(job.Options{DB: w.base.DB, Handlers: w.mod.Jobs, Clock: clk, Log: w.base.Log, Sole: true})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// each runs f on both engines with a scripted channel (nil: not configured).
func each(t *testing.T, channel func() Channel, f func(t *testing.T, w *world)) {
	t.Helper()
	clk := testkit.Clock()
	dbtest.Each(t, testkit.Sets(Describe()), func(t *testing.T, srv *db.Server) {
		f(t, build(t, srv, clk, channel()))
	}, dbtest.WithClock(clk))
}

func none() Channel { return nil }

// simFolder is a provisioned simulator; its keys are made once.
var simFolder = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "xinglin-paymentsvc-")
	if err != nil {
		return "", err
	}
	_, err = paysim.Provision(dir)
	return dir, err
})

func TestMain(m *testing.M) {
	code := m.Run()
	if dir, err := simFolder(); err == nil {
		_ = os.RemoveAll(dir)
	}
	os.Exit(code)
}

// late is a channel that is set after the context was built: the simulator and the door need each other's address.
type late struct{ *wechatpay.Client }

// withSim runs f on both engines with the real simulator.
func withSim(t *testing.T, f func(t *testing.T, w *world)) {
	t.Helper()
	clk := testkit.Clock()
	dbtest.Each(t, testkit.Sets(Describe()), func(t *testing.T, srv *db.Server) { f(t, buildSim(t, srv, clk)) }, dbtest.WithClock(clk))
}

func buildSim(t *testing.T, srv *db.Server, clk *clock.Manual) *world {
	t.Helper()
	from, err := simFolder()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	cfg, err := paysim.Provision(dir)
	if err != nil {
		t.Fatal(err)
	}
	quiet := slog.New(slog.NewTextHandler(io.Discard, nil))
	sim, err := paysim.New(paysim.Options{
		Dir: dir, Listen: "127.0.0.1:0", Clock: clk, Log: quiet, RefundDelay: time.Millisecond, RetryScale: 1_000_000,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- sim.Serve(ctx) }()
	channel := &late{}
	w := build(t, srv, clk, channel)
	door := w.Serve()
	t.Cleanup(func() {
		stop()
		<-ended
	})
	w.sim, w.url = sim, door.URL+httpx.Prefix+"/callbacks/wechatpay"
	cfg.BaseURL, cfg.NotifyURL, cfg.Clock, cfg.RetryBase = sim.URL(), w.url, clk, time.Millisecond
	if channel.Client, err = wechatpay.New(cfg); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(channel.Shutdown)
	return w
}

// ---- steps ----

func (w *world) ctx() context.Context {
	return testkit.AsSystem(w.t.Context(), apitest.Main, "job:test")
}

func (w *world) request(amount money.Fen) payment.Request {
	return payment.Request{
		ID: id.New[payment.Payment](w.clock.Now()), Tenant: apitest.Main, Account: w.owner.Account, Purpose: payment.ForAppointment,
		Reference: id.Random[id.Any](), Number: "REG-20260302-0001", Description: "挂号费", Amount: amount, Deadline: w.clock.Now().Add(15 * time.Minute),
	}
}

func (w *world) open(amount money.Fen) payment.Payment {
	w.t.Helper()
	p, err := w.svc.Open(w.ctx(), w.request(amount))
	if err != nil {
		w.t.Fatal(err)
	}
	return p
}

func (w *world) prepay(p payment.ID) {
	w.t.Helper()
	w.Do(w.owner, "POST", "/payments/"+p.String()+"/prepay", map[string]any{"channel": "wechat", "return_url": "/m/pay"}).Want(w.t, 200)
}

// paid opens a payment that the store learns to be paid, without a channel.
func (w *world) paid(amount money.Fen) payment.Payment {
	w.t.Helper()
	p := w.open(amount)
	r, err := w.svc.store.paid(w.ctx(), w.base.DB, apitest.Main, p.ID, "4200"+numberOf(p.ID)[8:], w.clock.Now(), change{Action: "payment.settle", Policy: "payment.system"})
	if err != nil {
		w.t.Fatal(err)
	}
	return r.Payment
}

func (w *world) get(p payment.ID) record {
	w.t.Helper()
	r, err := w.svc.store.get(w.ctx(), w.base.DB, apitest.Main, p)
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

// due runs every job that is due.
func (w *world) due() {
	w.t.Helper()
	if _, err := w.run.RunDue(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
}

// until runs due jobs until ok, or fails after patience.
func (w *world) until(what string, ok func() bool) {
	w.t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		w.due()
		if ok() {
			return
		}
		select {
		case <-tick.C:
		case <-deadline.C:
			w.t.Fatalf("in vain: %s", what)
		}
	}
}

// pay pays at the simulator, as a person on the cashier page does.
func (w *world) pay(p payment.ID) {
	w.t.Helper()
	res, err := http.Post(w.sim.URL()+"/sim/transactions/"+numberOf(p)+"/pay", "application/json", nil)
	if err != nil {
		w.t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != 200 {
		b, _ := io.ReadAll(res.Body)
		w.t.Fatalf("pay: %d %s", res.StatusCode, b)
	}
}

// deliveries are the callbacks that the simulator sent about a payment.
func (w *world) deliveries(p payment.ID) []paysim.Delivery {
	w.t.Helper()
	res, err := http.Get(w.sim.URL() + "/sim/deliveries?out_trade_no=" + numberOf(p))
	if err != nil {
		w.t.Fatal(err)
	}
	defer res.Body.Close()
	var l struct{ Items []paysim.Delivery }
	b, err := io.ReadAll(res.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	apitest.Response{Body: b}.JSON(w.t, &l)
	return l.Items
}

// settle is what scheduling's event does.
func (w *world) settle(p payment.ID, outcome scheduling.Settlement) error {
	return w.base.DB.Write(testkit.AsSystem(w.t.Context(), apitest.Main, "consumer:payment"), apitest.Main, func(ctx context.Context, tx db.Tx) error {
		return w.svc.settled(ctx, tx, event.Meta{Tenant: apitest.Main}, scheduling.AppointmentSettled{Payment: p, Outcome: outcome})
	})
}

// count counts rows of the main tenant.
func (w *world) count(from string, args ...any) (n int) {
	w.t.Helper()
	err := w.base.DB.Read(w.t.Context(), apitest.Main, func(ctx context.Context, tx db.Tx) error {
		return tx.QueryRow(ctx, "SELECT COUNT(*) FROM "+from, append([]any{apitest.Main}, args...)...).Scan(&n)
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return n
}

func (w *world) events(name string) int {
	w.t.Helper()
	return w.count("outbox WHERE tenant_id = $1 AND name = $2", name)
}

func (w *world) letters(kind string) int {
	w.t.Helper()
	return w.count("dead_letter WHERE tenant_id = $1 AND kind = $2 AND replayed_at IS NULL", kind)
}

func (w *world) balances(want map[string]money.Fen) {
	w.t.Helper()
	for account, v := range want {
		if got, _ := w.books.Balance(w.ctx(), apitest.Main, account); got != v {
			w.t.Errorf("%s has %v, want %v", account, got, v)
		}
	}
}

func (w *world) unit() verify.Unit {
	u := verify.Unit{Context: "payment", DB: w.base.DB, Checks: w.mod.Checks, Sets: w.mod.Sets}
	for _, e := range Describe().Events {
		u.Events = append(u.Events, e.EventName())
	}
	for _, h := range w.mod.Jobs {
		u.Jobs = append(u.Jobs, h.Kind)
	}
	for _, p := range w.base.Authz.Permissions() {
		u.Actions = append(u.Actions, p.Action)
	}
	return u
}

// selves compare each set with itself or with its superset here, so that their texts run.
var selves = []verify.Subset{
	{Name: "self", Left: "payment.paid", Right: "payment.payments"},
	{Name: "self", Left: "payment.applied", Right: "payment.paid"},
	{Name: "self", Left: "payment.ledgered", Right: "payment.facts"},
	{Name: "self", Left: "payment.acts", Right: "payment.acts"},
}

func (w *world) verify() verify.Report {
	w.t.Helper()
	r, err := verify.Run(w.t.Context(), []verify.Unit{w.unit()}, selves, io.Discard)
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

// clean fails unless verify finds nothing, not even in flight after its grace.
func (w *world) clean() {
	w.t.Helper()
	w.clock.Add(2 * verify.Grace)
	if r := w.verify(); !r.Clean() {
		for _, l := range r.Lines {
			if l.Violations > 0 {
				w.t.Errorf("%s: %v", l.Name, l.Broken)
			}
		}
	}
}

// ---- a scripted channel ----

// script is a channel whose answers the test writes; what it leaves out is trouble at the channel.
type script struct {
	mu     sync.Mutex
	calls  map[string]int
	prepay func(wechatpay.Order) (string, error)
	query  func(no string) (*wechatpay.Transaction, error)
	close  func(no string) error
	refund func(wechatpay.RefundOrder) (*wechatpay.Refund, error)
	state  func(no string) (*wechatpay.Refund, error)
	notify func(body []byte) (*wechatpay.Notification, error)
}

var errDown = wechatpay.ErrUnreachable.Wrap(errors.New("scripted"))

func (s *script) called(what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.calls == nil {
		s.calls = map[string]int{}
	}
	s.calls[what]++
}

func (s *script) times(what string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[what]
}

func (s *script) PrepayH5(_ context.Context, o wechatpay.Order) (string, error) {
	s.called("prepay")
	if s.prepay == nil {
		return "https://pay.test/h5?id=" + o.OutTradeNo, nil
	}
	return s.prepay(o)
}

func (s *script) Query(_ context.Context, no string) (*wechatpay.Transaction, error) {
	s.called("query")
	if s.query == nil {
		return nil, errDown
	}
	return s.query(no)
}

func (s *script) Close(_ context.Context, no string) error {
	s.called("close")
	if s.close == nil {
		return errDown
	}
	return s.close(no)
}

func (s *script) Refund(_ context.Context, o wechatpay.RefundOrder) (*wechatpay.Refund, error) {
	s.called("refund")
	if s.refund == nil {
		return nil, errDown
	}
	return s.refund(o)
}

func (s *script) QueryRefund(_ context.Context, no string) (*wechatpay.Refund, error) {
	s.called("query_refund")
	if s.state == nil {
		return nil, errDown
	}
	return s.state(no)
}

func (s *script) ParseNotify(_ context.Context, _ http.Header, body []byte, _ time.Time) (*wechatpay.Notification, error) {
	s.called("notify")
	if s.notify == nil {
		return nil, wechatpay.ErrCallbackForged.New()
	}
	return s.notify(body)
}

// note is an authentic notification that a payment was paid.
func note(p payment.Payment, nid, replay string) *wechatpay.Notification {
	return &wechatpay.Notification{ID: nid, Event: wechatpay.EventPaid, ReplayKey: replay, Transaction: &wechatpay.Transaction{
		OutTradeNo: numberOf(p.ID), TransactionID: "4200000001", TradeType: "MWEB", State: wechatpay.StatePaid,
		PaidAt: testkit.Start, TotalFen: int64(p.Amount), PayerFen: int64(p.Amount),
	}}
}

func callback(t testing.TB, h *apitest.Harness, body string) int {
	t.Helper()
	return h.Do(apitest.Nobody(apitest.Main), "POST", "/callbacks/wechatpay", body).Status
}

// post sends a callback over the socket as given.
func post(t testing.TB, d paysim.Delivery, change func(h http.Header, body string) string) int {
	t.Helper()
	h := http.Header{"Content-Type": {"application/json"}}
	for k, v := range d.Headers {
		h.Set(k, v)
	}
	body := d.Body
	if change != nil {
		body = change(h, body)
	}
	req := httptest.NewRequest("POST", d.URL, strings.NewReader(body))
	req.RequestURI, req.Header = "", h
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	return res.StatusCode
}

func path(p payment.ID, rest string) string { return fmt.Sprintf("/payments/%s%s", p, rest) }

// deadlineAndGrace is how long it takes until the close job of a payment is due.
func deadlineAndGrace(w *world, p payment.Payment) time.Duration {
	return p.Deadline.Sub(w.clock.Now()) + closeGrace
}

func (s *script) answer(n *wechatpay.Notification) func([]byte) (*wechatpay.Notification, error) {
	return func([]byte) (*wechatpay.Notification, error) { return n, nil }
}

func (s *script) done(o wechatpay.RefundOrder) (*wechatpay.Refund, error) {
	return answer(o, wechatpay.RefundDone), nil
}
