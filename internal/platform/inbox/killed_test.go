package inbox_test

import (
	"context"
	"os"
	"sync"
	"testing"
	"time"

	"xinglin/internal/platform/bus"
	"xinglin/internal/platform/db"
	"xinglin/internal/testkit/dbtest"
)

// wire is a broker that goes and comes again at one address, with a client for the house.
type wire struct {
	h    *house
	addr string
	b    *bus.Broker
}

func newWire(t *testing.T, srv *db.Server) *wire {
	ctx, cancel := context.WithTimeout(context.Background(), 120*time.Second)
	t.Cleanup(cancel)
	w := &wire{h: &house{t: t, ctx: ctx, dir: t.TempDir()}, addr: "127.0.0.1:0"}
	w.h.use(srv)
	w.serve()
	w.addr = w.b.Addr()
	t.Cleanup(func() { w.b.Close() })
	c, err := bus.Dial(ctx, bus.DialOptions{URL: w.b.URL(), Log: quiet})
	if err != nil {
		t.Fatal(err)
	}
	w.h.bus = c
	t.Cleanup(func() { _ = c.Close() }) // before the broker's
	return w
}

func (w *wire) serve() {
	w.h.t.Helper()
	var err error
	if w.b, err = bus.Serve(w.h.ctx, bus.ServeOptions{Listen: w.addr, Dir: w.h.dir}); err != nil {
		w.h.t.Fatal(err)
	}
}

// stop ends the broker, perhaps with its store, and starts it again.
func (w *wire) stop(lose bool) {
	w.h.t.Helper()
	w.b.Close()
	if lose {
		if err := os.RemoveAll(w.h.dir); err != nil {
			w.h.t.Fatal(err)
		}
	}
	w.serve()
}

// The broker is stopped and started again, and then loses its store, while rows are made, relayed and heard: each fact
// has its effect once.
func TestBrokerStoppedUnderLoad(t *testing.T) {
	const rows, each = 1200, 5
	for _, e := range dbtest.Engines {
		t.Run(string(e), func(t *testing.T) {
			t.Parallel() // most of it is waiting for redelivery
			w := newWire(t, dbtest.Make(t, e, sets).Open(t))
			h, s := w.h, newTable()
			defer h.run(h.relay(), s.consumer(h, h.eater))()
			var baking sync.WaitGroup
			second := make(chan struct{})
			baking.Go(func() {
				for n := range int64(rows) {
					if n == rows/2 {
						<-second
					}
					h.bake(n*each, (n+1)*each, each)
				}
			})
			for i, lose := range []bool{false, true} {
				h.until("a part", func() bool { n, _ := h.eaten(); return n >= rows*each/6*(i+1) })
				w.stop(lose)
				if i == 0 {
					close(second) // it is made after the broker was gone for the first time
				}
			}
			baking.Wait()
			h.want(rows * each)
			h.until("all marks", func() bool {
				var open int
				err := h.baker.ReadAll(h.ctx, func(ctx context.Context, tx db.Tx) error {
					return tx.QueryRow(ctx, "-- global: test\nSELECT COUNT(*) FROM outbox WHERE seq = 0").Scan(&open)
				})
				return err == nil && open == 0
			})
		})
	}
}
