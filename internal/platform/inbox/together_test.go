package inbox_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/prometheus/client_golang/prometheus"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/event"
	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/bus"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/deadletter"
	"xinglin/internal/platform/inbox"
	"xinglin/internal/platform/obs"
	"xinglin/internal/platform/outbox"
	"xinglin/internal/testkit/dbtest"
)

var other = id.Must[auth.Tenant]("0190bbbb-0000-7000-8000-00000000000b")

// table is a hearer whose messages share transactions, and what it saw.
type table struct {
	mu      sync.Mutex
	locks   [][]int64 // events of each call of lock
	tenants map[id.ID[auth.Tenant]]bool
	traces  map[string]bool
	fail    func(e baked) error
	metrics *inbox.Metrics
	reg     *prometheus.Registry
}

func newTable() *table {
	reg := prometheus.NewRegistry()
	return &table{tenants: map[id.ID[auth.Tenant]]bool{}, traces: map[string]bool{}, reg: reg, metrics: inbox.NewMetrics(reg)}
}

func (s *table) consumer(h *house, d *db.DB) *inbox.Consumer {
	lock := func(_ context.Context, tx db.Tx, events []baked) error {
		s.mu.Lock()
		defer s.mu.Unlock()
		var ns []int64
		for _, e := range events {
			ns = append(ns, e.N)
		}
		s.locks = append(s.locks, ns)
		s.tenants[tx.Tenant()] = true
		return nil
	}
	return &inbox.Consumer{DB: d, Bus: h.bus, Clock: clock.System{}, Log: quiet, Metrics: s.metrics, Handlers: []inbox.Handler{
		inbox.OnTogether(lock, func(ctx context.Context, tx db.Tx, m event.Meta, e baked) error {
			who, err := auth.From(ctx)
			if err != nil || who.Tenant != tx.Tenant() || m.Tenant != tx.Tenant() {
				return errors.New("another tenant")
			}
			s.mu.Lock()
			s.traces[obs.TraceID(ctx)+" "+obs.Number(ctx)] = true
			f := s.fail
			s.mu.Unlock()
			if f != nil {
				if err := f(e); err != nil {
					return err
				}
			}
			_, err = tx.Exec(ctx, `INSERT INTO effect (tenant_id, n, times) VALUES ($1, $2, 1)
				ON CONFLICT (tenant_id, n) DO UPDATE SET times = effect.times + 1`, tx.Tenant(), e.N)
			return err
		}),
	}}
}

// most is the largest transaction, and how many events lock saw in all.
func (s *table) most() (most, sum int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.locks {
		most, sum = max(most, len(l)), sum+len(l)
	}
	return most, sum
}

func (s *table) splits(t *testing.T) float64 { return s.value(t, "xinglin_inbox_splits_total") }

// value is a counter, or how often a histogram was fed.
func (s *table) value(t *testing.T, name string) float64 {
	t.Helper()
	families, err := s.reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			m := f.GetMetric()[0]
			return m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return 0
}

// What waits is one transaction for many messages: each has its effect once, under its own trace.
func TestTogether(t *testing.T) {
	dbtest.Each(t, sets, func(t *testing.T, srv *db.Server) {
		h := newHouse(t, srv)
		s := newTable()
		h.bake(0, 1000, 2)
		h.publish(h.relay())
		defer h.run(s.consumer(h, h.eater))()
		h.want(1000)
		if most, sum := s.most(); most < 20 || sum != 1000 {
			t.Errorf("at most %d events in one transaction, %d locked", most, sum)
		}
		if len(s.traces) != 1 || !s.traces["4bf92f3577b34da6a3ce929d0e0e4736 REG-7"] || s.splits(t) != 0 {
			t.Errorf("%v, %v splits", s.traces, s.splits(t))
		}
		if n := s.value(t, "xinglin_inbox_batch_messages"); n < 5 {
			t.Errorf("%v transactions with several messages", n)
		}
	})
}

// One message that fails holds no other up: its transaction is split, it alone comes again, and at last it is a letter.
func TestTogetherSplits(t *testing.T) {
	dbtest.Each(t, sets, func(t *testing.T, srv *db.Server) {
		h := newHouse(t, srv)
		s := newTable()
		tries := map[int64]int{}
		s.fail = func(e baked) error {
			s.mu.Lock()
			defer s.mu.Unlock()
			tries[e.N]++
			switch {
			case e.N == 30:
				return inbox.ErrPoison.Because("never")
			case e.N == 40 && tries[40] < 4:
				panic("a patient's name")
			}
			return nil
		}
		h.bake(0, 60, 1)
		h.publish(h.relay())
		defer h.run(s.consumer(h, h.eater))()
		h.want(59)
		var letters []deadletter.Row
		h.until("one letter", func() bool {
			var err error
			letters, err = deadletter.Open(h.ctx, h.eater)
			return err == nil && len(letters) == 1
		})
		if !strings.HasPrefix(letters[0].Error, "inbox.poison") || !strings.Contains(string(letters[0].Payload), "30") {
			t.Errorf("%+v", letters[0])
		}
		h.until("acknowledgements", func() bool {
			_, floor, err := h.bus.AckFloor(h.ctx, inbox.Durable("eater"))
			return err == nil && floor == 60
		})
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.splits(t) == 0 || tries[40] != 4 || tries[30] > 3 {
			t.Errorf("%v splits, tries %v", s.splits(t), tries)
		}
	})
}

// A transaction is of one tenant; a message that the stream holds twice has its effect once.
func TestTogetherTenantsAndRepeats(t *testing.T) {
	dbtest.Each(t, sets, func(t *testing.T, srv *db.Server) {
		h := newHouse(t, srv)
		s := newTable()
		var msgs []bus.Msg
		for i := range 40 {
			who := []id.ID[auth.Tenant]{tenant, other}[i%2]
			row := id.New[event.Row](time.Unix(1_700_000_000, 0)).String()
			for _, copied := range []string{row, strings.ToUpper(row)} { // another id for the broker, the same for the inbox
				msgs = append(msgs, bus.Msg{ID: copied, Subject: outbox.Subject("baker.bread.baked.v1"), Data: []byte(`[{"n":7}]`), Header: map[string]string{
					outbox.HeaderTenant: who.String(), outbox.HeaderName: "baker.bread.baked.v1", outbox.HeaderAt: "1",
				}})
			}
		}
		if _, err := h.bus.Publish(h.ctx, msgs); err != nil {
			t.Fatal(err)
		}
		defer h.run(s.consumer(h, h.eater))()
		h.until("acknowledgements", func() bool {
			_, floor, err := h.bus.AckFloor(h.ctx, inbox.Durable("eater"))
			return err == nil && floor == 80
		})
		for _, who := range []id.ID[auth.Tenant]{tenant, other} {
			var times int
			err := h.eater.Read(h.ctx, who, func(ctx context.Context, tx db.Tx) error {
				return tx.QueryRow(ctx, "SELECT times FROM effect WHERE tenant_id = $1", who).Scan(&times)
			})
			if err != nil || times != 20 {
				t.Errorf("%s: %d times, %v", who, times, err)
			}
		}
		if len(s.tenants) != 2 {
			t.Error(s.tenants)
		}
	})
}

// Two processes, transactions of many messages on the same few rows in any order: with the lock in the order of the keys
// nobody waits in a circle, so no transaction is split.
func TestTogetherLocks(t *testing.T) {
	base := dbtest.Make(t, db.Postgres, sets)
	h := newHouse(t, base.Open(t))
	second, err := base.Open(t).Context(h.ctx, "eater")
	if err != nil {
		t.Fatal(err)
	}
	const rows, messages = 12, 600
	err = h.eater.Write(h.ctx, tenant, func(ctx context.Context, tx db.Tx) error {
		for n := range rows {
			if _, err := tx.Exec(ctx, "INSERT INTO effect (tenant_id, n, times) VALUES ($1, $2, 0)", tenant, n); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	reg := prometheus.NewRegistry()
	m := inbox.NewMetrics(reg)
	lock := func(ctx context.Context, tx db.Tx, events []baked) error {
		keys := map[int64]bool{}
		args := []any{tx.Tenant()}
		for _, e := range events {
			if !keys[e.N%rows] {
				keys[e.N%rows] = true
				args = append(args, e.N%rows)
			}
		}
		found, err := tx.Query(ctx, "SELECT n FROM effect WHERE tenant_id = $1 AND n IN ("+db.In(2, len(args)-1)+") ORDER BY n FOR NO KEY UPDATE", args...)
		if err != nil {
			return err
		}
		found.Close()
		return found.Err()
	}
	eater := func(d *db.DB) *inbox.Consumer {
		return &inbox.Consumer{DB: d, Bus: h.bus, Clock: clock.System{}, Log: quiet, Metrics: m, Handlers: []inbox.Handler{
			inbox.OnTogether(lock, func(ctx context.Context, tx db.Tx, _ event.Meta, e baked) error {
				_, err := tx.Exec(ctx, "UPDATE effect SET times = times + 1 WHERE tenant_id = $1 AND n = $2", tx.Tenant(), e.N%rows)
				return err
			}),
		}}
	}
	var ns []int64
	for n := range int64(messages) {
		ns = append(ns, n*7919)
	}
	slices.Reverse(ns)
	for _, n := range ns {
		h.bake(n, n+1, 1)
	}
	h.publish(h.relay())
	defer h.run(eater(h.eater), eater(second))()
	h.until("all effects", func() bool {
		var sum int
		err := h.eater.Read(h.ctx, tenant, func(ctx context.Context, tx db.Tx) error {
			return tx.QueryRow(ctx, "SELECT SUM(times) FROM effect WHERE tenant_id = $1", tenant).Scan(&sum)
		})
		return err == nil && sum == messages
	})
	s := &table{reg: reg}
	if n := s.splits(t); n != 0 {
		t.Errorf("%v splits", n)
	}
}

// Large payloads travel packed; what unpacks to more than a row may hold is poison, and bounded.
func TestPacked(t *testing.T) {
	dbtest.Each(t, sets, func(t *testing.T, srv *db.Server) {
		h := newHouse(t, srv)
		s := newTable()
		h.bake(0, 3000, 500)
		var size int
		err := h.baker.Read(h.ctx, tenant, func(ctx context.Context, tx db.Tx) error {
			return tx.QueryRow(ctx, "SELECT MAX(LENGTH(payload)) FROM outbox WHERE tenant_id = $1", tenant).Scan(&size)
		})
		if err != nil || size < 100 || size > 3000 {
			t.Errorf("500 events in %d bytes, %v", size, err)
		}
		h.publish(h.relay())
		defer h.run(s.consumer(h, h.eater))()
		h.want(3000)
		enc, err := zstd.NewWriter(nil)
		if err != nil {
			t.Fatal(err)
		}
		defer enc.Close()
		bomb := enc.EncodeAll([]byte(`[{"n":1,"x":"`+strings.Repeat("x", 64<<20)+`"}]`), nil)
		send := func(data []byte) {
			t.Helper()
			_, err := h.bus.Publish(h.ctx, []bus.Msg{{
				ID: id.New[event.Row](time.Unix(1_700_000_000, 0)).String(), Subject: outbox.Subject("baker.bread.baked.v1"), Data: data,
				Header: map[string]string{outbox.HeaderTenant: tenant.String(), outbox.HeaderName: "baker.bread.baked.v1", outbox.HeaderAt: "1"},
			}})
			if err != nil {
				t.Fatal(err)
			}
		}
		send(bomb)
		send(bomb[:len(bomb)/2])
		h.until("two letters", func() bool {
			l, err := deadletter.Open(h.ctx, h.eater)
			return err == nil && len(l) == 2 && strings.HasPrefix(l[0].Error, "inbox.poison") && strings.HasPrefix(l[1].Error, "inbox.poison")
		})
	})
}
