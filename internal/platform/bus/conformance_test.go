package bus

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what must happen.
const patience = 30 * time.Second

// world is one engine with its broker. a and b are two clients; embedded they are the same one.
type world struct {
	a, b    Bus
	dir     string
	restart func(t *testing.T, wipe bool) // afterwards the clients of world are usable, perhaps other ones
}

func embedded(t *testing.T) *world {
	w := &world{dir: t.TempDir()}
	start := func(t *testing.T) {
		b, err := Embed(t.Context(), EmbedOptions{Dir: w.dir})
		must(t, err)
		w.a, w.b = b, b
	}
	start(t)
	w.restart = func(t *testing.T, wipe bool) {
		must(t, w.a.Close())
		if wipe {
			must(t, os.RemoveAll(w.dir))
		}
		start(t)
	}
	t.Cleanup(func() { must(t, w.a.Close()) })
	return w
}

func dialled(t *testing.T) *world {
	w := &world{dir: t.TempDir()}
	br, err := Serve(t.Context(), ServeOptions{Listen: "127.0.0.1:0", Dir: w.dir})
	must(t, err)
	addr := br.Addr()
	w.restart = func(t *testing.T, wipe bool) {
		br.Close()
		if wipe {
			must(t, os.RemoveAll(w.dir))
		}
		var err error
		br, err = Serve(t.Context(), ServeOptions{Listen: addr, Dir: w.dir})
		must(t, err)
	}
	w.a, err = Dial(t.Context(), DialOptions{URL: br.URL(), Name: "a"})
	must(t, err)
	w.b, err = Dial(t.Context(), DialOptions{URL: br.URL(), Name: "b"})
	must(t, err)
	t.Cleanup(func() {
		must(t, w.a.Close())
		must(t, w.b.Close())
		br.Close()
	})
	return w
}

func TestConformance(t *testing.T) {
	engines := map[string]func(*testing.T) *world{"embedded": embedded, "dialled": dialled}
	cases := map[string]func(*testing.T, *world){
		"publish and consume":      testPublishConsume,
		"nak, term and floor":      testNakTermFloor,
		"duplicate":                testDuplicate,
		"stream lost":              testStreamLost,
		"late acknowledgement":     testLateAck,
		"publish finds no stream":  testPublishNoStream,
		"broker restarted":         testRestart,
		"broker lost its store":    testStoreLost,
		"reset":                    testReset,
		"signals":                  testSignals,
		"too large":                testTooLarge,
		"shared durable":           testShared,
		"panic":                    testPanic,
		"close drains":             testClose,
		"refuses malformed input":  testMalformed,
		"unended message is kept":  testUnended,
		"stopped consumer returns": testStopGivesBack,
		"together":                 testTogether,
	}
	for _, engine := range slices.Sorted(maps.Keys(engines)) {
		for _, name := range slices.Sorted(maps.Keys(cases)) {
			t.Run(engine+"/"+name, func(t *testing.T) { cases[name](t, engines[engine](t)) })
		}
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// should is must for other goroutines than the test's.
func should(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
}

// facts makes n messages with ids prefix-0, prefix-1, ...
func facts(prefix string, n int) []Msg {
	out := make([]Msg, n)
	for i := range out {
		out[i] = Msg{ID: fmt.Sprintf("%s-%d", prefix, i), Subject: "ev.shop.sold.v1", Header: map[string]string{"Tenant": "t1"}, Data: []byte("{}")}
	}
	return out
}

// publish repeats until the broker is there again.
func publish(t *testing.T, b Bus, msgs []Msg) []Ack {
	t.Helper()
	var acks []Ack
	eventually(t, "publish", func() error {
		var err error
		acks, err = b.Publish(t.Context(), msgs)
		return err
	})
	if len(acks) != len(msgs) {
		t.Fatalf("%d acks of %d", len(acks), len(msgs))
	}
	return acks
}

// eventually asks again until f is content.
func eventually(t *testing.T, what string, f func() error) {
	t.Helper()
	end := time.NewTimer(patience)
	defer end.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		err := f()
		if err == nil {
			return
		}
		select {
		case <-end.C:
			t.Fatalf("%s: %v", what, err)
		case <-tick.C:
		}
	}
}

// consume runs Consume until the test ends or the returned stop is called; handle nil acknowledges.
func consume(t *testing.T, b Bus, c Consumer, handle func(context.Context, Delivery)) (got <-chan Delivery, stop func()) {
	t.Helper()
	out := make(chan Delivery, 4096)
	if handle == nil {
		handle = func(ctx context.Context, d Delivery) {
			if err := d.Ack(ctx); err != nil {
				t.Errorf("ack %s: %v", d.ID, err)
			}
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- b.Consume(ctx, c, func(ctx context.Context, ds []Delivery) {
			for _, d := range ds {
				func() {
					defer func() { out <- d }()
					handle(ctx, d)
				}()
			}
		})
	}()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := receive(t, done); err != nil {
			t.Errorf("consume: %v", err)
		}
	}
	t.Cleanup(stop)
	return out, stop
}

func receive[T any](t *testing.T, ch <-chan T) T {
	t.Helper()
	end := time.NewTimer(patience)
	defer end.Stop()
	select {
	case v := <-ch:
		return v
	case <-end.C:
		t.Fatal("nothing came")
		panic("unreachable")
	}
}

// ids are the ids of the next n deliveries, sorted.
func ids(t *testing.T, got <-chan Delivery, n int) []string {
	t.Helper()
	var out []string
	for range n {
		out = append(out, receive(t, got).ID)
	}
	slices.Sort(out)
	return out
}

func nothing(t *testing.T, got <-chan Delivery) {
	t.Helper()
	select {
	case d := <-got:
		t.Fatalf("unexpected %s, attempt %d", d.ID, d.Attempt)
	default:
	}
}

func floor(t *testing.T, b Bus, consumer string, want uint64) {
	t.Helper()
	eventually(t, "ack floor", func() error {
		_, seq, err := b.AckFloor(t.Context(), consumer)
		if err == nil && seq != want {
			err = fmt.Errorf("floor is %d, want %d", seq, want)
		}
		return err
	})
}

func position(t *testing.T, b Bus) Position {
	t.Helper()
	p, err := b.Position(t.Context())
	must(t, err)
	return p
}

func deleteStream(t *testing.T, b Bus) {
	t.Helper()
	must(t, b.(*conn).js.DeleteStream(t.Context(), Stream))
}

var all = []string{"ev.shop.>"}

func testPublishConsume(t *testing.T, w *world) {
	if p := position(t, w.a); p.LastSeq != 0 || p.Incarnation == "" {
		t.Fatalf("empty stream is at %+v", p)
	}
	msgs := facts("m", 300)
	msgs[299].Subject = "ev.other.thing.v1" // not heard
	acks := publish(t, w.a, msgs)
	for i, a := range acks {
		if a.Seq != uint64(i+1) || a.Duplicate || a.Incarnation != position(t, w.b).Incarnation {
			t.Fatalf("ack %d is %+v", i, a)
		}
	}
	if p := position(t, w.b); p.LastSeq != 300 || p.FirstSeq != 1 {
		t.Fatalf("stream is at %+v", p)
	}
	got, _ := consume(t, w.b, Consumer{Name: "c", Subjects: all}, nil)
	seen := map[string]Delivery{}
	for range 299 {
		d := receive(t, got)
		seen[d.ID] = d
	}
	d := seen["m-7"]
	if len(seen) != 299 || d.Seq != 8 || d.Attempt != 1 || d.Header["Tenant"] != "t1" || len(d.Header) != 1 || string(d.Data) != "{}" ||
		d.Subject != "ev.shop.sold.v1" || d.At.IsZero() || d.At.Location() != time.UTC {
		t.Fatalf("%d seen, one is %+v", len(seen), d)
	}
	floor(t, w.a, "c", 299)
}

func testNakTermFloor(t *testing.T, w *world) {
	publish(t, w.a, facts("m", 3))
	if _, seq, err := w.a.AckFloor(t.Context(), "c"); err != nil || seq != 0 {
		t.Fatalf("floor of no consumer: %d %v", seq, err)
	}
	release := make(chan struct{})
	got, _ := consume(t, w.b, Consumer{Name: "c", Subjects: all, Workers: 3}, func(ctx context.Context, d Delivery) {
		switch {
		case d.ID == "m-0" && d.Attempt < 3:
			should(t, d.Nak(time.Duration(d.Attempt)*20*time.Millisecond))
		case d.ID == "m-1":
			<-release
			should(t, d.Term())
		default:
			should(t, d.Ack(ctx))
		}
	})
	attempts := []int{}
	for range 4 { // m-0 three times, m-2 once
		if d := receive(t, got); d.ID == "m-0" {
			attempts = append(attempts, d.Attempt)
		}
	}
	if !slices.Equal(attempts, []int{1, 2, 3}) {
		t.Fatalf("attempts %v", attempts)
	}
	floor(t, w.a, "c", 1)
	close(release)
	floor(t, w.a, "c", 3)
	if d := receive(t, got); d.ID != "m-1" || d.Attempt != 1 {
		t.Fatalf("got %+v", d)
	}
	nothing(t, got)
}

func testDuplicate(t *testing.T, w *world) {
	publish(t, w.a, facts("m", 2))
	acks := publish(t, w.b, append(facts("m", 2), facts("n", 1)...))
	for i, want := range []Ack{{Seq: 1, Duplicate: true}, {Seq: 2, Duplicate: true}, {Seq: 3}} {
		want.Incarnation = acks[0].Incarnation
		if acks[i] != want {
			t.Fatalf("ack %d is %+v", i, acks[i])
		}
	}
}

func testStreamLost(t *testing.T, w *world) {
	got, _ := consume(t, w.b, Consumer{Name: "c", Subjects: all}, nil)
	before := publish(t, w.a, facts("m", 2))[0].Incarnation
	if s := ids(t, got, 2); !slices.Equal(s, []string{"m-0", "m-1"}) {
		t.Fatal(s)
	}
	deleteStream(t, w.a)
	eventually(t, "new incarnation", func() error {
		if p := position(t, w.a); p.Incarnation == before || p.LastSeq != 0 {
			return fmt.Errorf("at %+v", p)
		}
		return nil
	})
	publish(t, w.a, facts("m", 3))
	if s := ids(t, got, 3); !slices.Equal(s, []string{"m-0", "m-1", "m-2"}) {
		t.Fatal(s)
	}
	floor(t, w.a, "c", 3)
}

func testLateAck(t *testing.T, w *world) {
	publish(t, w.a, facts("old", 1))
	held := make(chan Delivery, 2)
	release := make(chan struct{})
	consume(t, w.b, Consumer{Name: "c", Subjects: all, Workers: 2}, func(_ context.Context, d Delivery) {
		held <- d
		<-release
	})
	old := receive(t, held)
	deleteStream(t, w.a)
	position(t, w.a)
	publish(t, w.a, facts("new", 1))
	fresh := receive(t, held)
	if old.Seq != 1 || fresh.Seq != 1 || fresh.ID != "new-0" {
		t.Fatalf("held %+v and %+v", old, fresh)
	}
	if err := old.Ack(t.Context()); !errors.Is(err, ErrUnreachable) {
		t.Errorf("late ack: %v", err)
	}
	if _, seq, err := w.a.AckFloor(t.Context(), "c"); err != nil || seq != 0 {
		t.Errorf("a late ack moved the floor: %d %v", seq, err)
	}
	must(t, fresh.Ack(t.Context()))
	floor(t, w.a, "c", 1)
	close(release)
}

func testPublishNoStream(t *testing.T, w *world) {
	before := publish(t, w.a, facts("m", 1))[0].Incarnation
	deleteStream(t, w.a)
	acks, err := w.a.Publish(t.Context(), facts("m", 1))
	if len(acks) != 0 || !errors.Is(err, ErrUnreachable) {
		t.Fatalf("%v %v", acks, err)
	}
	acks, err = w.a.Publish(t.Context(), facts("m", 1)) // the failure made it look
	must(t, err)
	if acks[0].Incarnation == before || acks[0].Seq != 1 || acks[0].Duplicate {
		t.Fatalf("%+v", acks)
	}
}

func testRestart(t *testing.T, w *world) {
	c := Consumer{Name: "c", Subjects: all}
	got, _ := consume(t, w.a, c, nil)
	before := publish(t, w.a, facts("m", 2))[1]
	ids(t, got, 2)
	w.restart(t, false)
	if w.a.Embedded() {
		got, _ = consume(t, w.a, c, nil)
	}
	after := publish(t, w.a, append(facts("m", 2), facts("n", 1)...))
	if after[1].Incarnation != before.Incarnation || after[1].Seq != 2 || !after[1].Duplicate || after[2].Seq != 3 {
		t.Fatalf("before %+v, after %+v", before, after)
	}
	for d := receive(t, got); d.ID != "n-0"; d = receive(t, got) {
		if d.Attempt == 1 { // an ack that was not on disk may be forgotten: then it is a repeat
			t.Logf("repeat of %s", d.ID)
		}
	}
	floor(t, w.a, "c", 3)
}

func testStoreLost(t *testing.T, w *world) {
	c := Consumer{Name: "c", Subjects: all}
	got, _ := consume(t, w.a, c, nil)
	before := publish(t, w.a, facts("m", 2))[0].Incarnation
	ids(t, got, 2)
	w.restart(t, true)
	if w.a.Embedded() {
		got, _ = consume(t, w.a, c, nil)
	}
	eventually(t, "new incarnation", func() error {
		p, err := w.b.Position(t.Context())
		if err == nil && (p.Incarnation == before || p.LastSeq != 0) {
			err = fmt.Errorf("at %+v", p)
		}
		return err
	})
	if acks := publish(t, w.b, facts("m", 2)); acks[0].Incarnation == before || acks[1].Seq != 2 {
		t.Fatalf("%+v", acks)
	}
	if s := ids(t, got, 2); !slices.Equal(s, []string{"m-0", "m-1"}) {
		t.Fatal(s)
	}
}

func testReset(t *testing.T, w *world) {
	must(t, w.a.Reset(t.Context(), "c")) // not there yet: nothing to do
	got, _ := consume(t, w.b, Consumer{Name: "c", Subjects: all}, nil)
	publish(t, w.a, facts("m", 5))
	first := ids(t, got, 5)
	floor(t, w.a, "c", 5)
	must(t, w.a.Reset(t.Context(), "c"))
	if again := ids(t, got, 5); !slices.Equal(first, again) {
		t.Fatal(again)
	}
	floor(t, w.a, "c", 5)
}

func testSignals(t *testing.T, w *world) {
	a, b := make(chan string, 8), make(chan string, 8)
	stopA, err := w.a.OnSignal("wake.relay", func(d []byte) { a <- string(d) })
	must(t, err)
	stopB, err := w.b.OnSignal("wake.relay", func(d []byte) { b <- string(d) })
	must(t, err)
	defer stopB()
	must(t, w.a.Signal(t.Context(), "wake.other", []byte("no")))
	must(t, w.a.Signal(t.Context(), "wake.relay", []byte("one")))
	if x, y := receive(t, a), receive(t, b); x != "one" || y != "one" {
		t.Fatal(x, y)
	}
	stopA()
	must(t, w.b.Signal(t.Context(), "wake.relay", []byte("two")))
	if y := receive(t, b); y != "two" || len(a) != 0 {
		t.Fatal(y, len(a))
	}
	if p := position(t, w.a); p.LastSeq != 0 {
		t.Fatalf("a signal was stored: %+v", p)
	}
}

func testTooLarge(t *testing.T, w *world) {
	msgs := facts("m", 3)
	msgs[0].Data = make([]byte, MaxBytes-1024)
	msgs[1].Data = make([]byte, MaxBytes)
	acks, err := w.a.Publish(t.Context(), msgs)
	if len(acks) != 1 || !errors.Is(err, ErrTooLarge) {
		t.Fatalf("%d acks, %v", len(acks), err)
	}
	publish(t, w.a, msgs[2:])
	got, _ := consume(t, w.b, Consumer{Name: "c", Subjects: all}, nil)
	if s := ids(t, got, 2); !slices.Equal(s, []string{"m-0", "m-2"}) {
		t.Fatal(s)
	}
	if err := w.a.Signal(t.Context(), "big", make([]byte, MaxBytes+1)); !errors.Is(err, ErrTooLarge) {
		t.Fatal(err)
	}
}

func testShared(t *testing.T, w *world) {
	const n = 400
	c := Consumer{Name: "c", Subjects: all, Workers: 2}
	one, _ := consume(t, w.a, c, nil)
	two, _ := consume(t, w.b, c, nil)
	publish(t, w.a, facts("m", n))
	seen := map[string]int{}
	ones := 0
	for range n {
		select {
		case d := <-one:
			seen[d.ID]++
			ones++
		case d := <-two:
			seen[d.ID]++
		case <-time.After(patience):
			t.Fatalf("only %d came", len(seen))
		}
	}
	if len(seen) != n || ones == 0 || ones == n {
		t.Fatalf("%d different, %d at the first", len(seen), ones)
	}
	floor(t, w.b, "c", n)
	nothing(t, one)
	nothing(t, two)
}

func testPanic(t *testing.T, w *world) {
	got, _ := consume(t, w.a, Consumer{Name: "c", Subjects: all, Workers: 1}, func(ctx context.Context, d Delivery) {
		if d.ID == "m-0" && d.Attempt == 1 {
			panic("a bug")
		}
		should(t, d.Ack(ctx))
	})
	publish(t, w.a, facts("m", 2))
	if s := ids(t, got, 2); !slices.Equal(s, []string{"m-0", "m-1"}) {
		t.Fatal(s)
	}
	floor(t, w.a, "c", 0)
}

func testClose(t *testing.T, w *world) {
	publish(t, w.a, facts("m", 1))
	began, release, ended := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	returned := make(chan error, 1)
	go func() {
		returned <- w.a.Consume(context.Background(), Consumer{Name: "c", Subjects: all}, func(ctx context.Context, ds []Delivery) {
			close(began)
			<-release
			ended <- ds[0].Ack(ctx)
		})
	}()
	receive(t, began)
	short, cancel := context.WithCancel(t.Context())
	cancel()
	if err := w.a.Drain(short); !errors.Is(err, context.Canceled) {
		t.Fatalf("drain with a running handler: %v", err)
	}
	if err := w.a.Consume(t.Context(), Consumer{Name: "c", Subjects: all}, nil); !errors.Is(err, ErrClosed) {
		t.Fatalf("consume while draining: %v", err)
	}
	publish(t, w.a, facts("n", 1)) // still works
	closed := make(chan error, 1)
	go func() { closed <- w.a.Close() }()
	c := w.a.(*conn)
	eventually(t, "closing", func() error {
		c.mu.Lock()
		defer c.mu.Unlock()
		if !c.closed {
			return errors.New("not yet")
		}
		return nil
	})
	for range 50 { // the connection stays while the handler runs
		position(t, w.a)
	}
	if len(returned) != 0 || len(closed) != 0 {
		t.Fatal("did not wait for the handler")
	}
	close(release)
	must(t, receive(t, ended))
	must(t, receive(t, returned))
	must(t, receive(t, closed))
	must(t, w.a.Close())
	_, perr := w.a.Publish(t.Context(), facts("m", 1))
	_, qerr := w.a.Position(t.Context())
	_, serr := w.a.OnSignal("x", func([]byte) {})
	for _, err := range []error{perr, qerr, serr, w.a.Signal(t.Context(), "x", nil)} {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
	}
}

func testMalformed(t *testing.T, w *world) {
	for name, m := range map[string]Msg{
		"no id":           {Subject: "ev.a.b"},
		"foreign subject": {ID: "1", Subject: "sig.a.b"},
		"short subject":   {ID: "1", Subject: "ev.a"},
		"pattern":         {ID: "1", Subject: "ev.a.>"},
		"space":           {ID: "1", Subject: "ev.a.b c"},
		"reserved header": {ID: "1", Subject: "ev.a.b", Header: map[string]string{"Nats-Rollup": "all"}},
		"status header":   {ID: "1", Subject: "ev.a.b", Header: map[string]string{"Status": "409"}},
		"line in header":  {ID: "1", Subject: "ev.a.b", Header: map[string]string{"X": "a\r\nNats-Rollup: all"}},
	} {
		if acks, err := w.a.Publish(t.Context(), []Msg{m}); err == nil || acks != nil {
			t.Errorf("%s: %v %v", name, acks, err)
		}
	}
	for name, c := range map[string]Consumer{
		"no name":    {Subjects: all},
		"bad name":   {Name: "a.b", Subjects: all},
		"no subject": {Name: "c"},
		"overlap":    {Name: "c", Subjects: []string{"ev.a.>", "ev.*.b"}},
		"everything": {Name: "c", Subjects: []string{">"}},
		"workers":    {Name: "c", Subjects: all, Workers: 1000},
		"batch":      {Name: "c", Subjects: all, Batch: 1000},
	} {
		if err := w.a.Consume(t.Context(), c, nil); err == nil {
			t.Errorf("consumer with %s is taken", name)
		}
	}
	if err := w.a.Signal(t.Context(), "a.>", nil); err == nil {
		t.Error("signal to a pattern")
	}
	if p := position(t, w.a); p.LastSeq != 0 {
		t.Errorf("something was stored: %+v", p)
	}
}

func testUnended(t *testing.T, w *world) {
	publish(t, w.a, facts("m", 1))
	got, stop := consume(t, w.a, Consumer{Name: "c", Subjects: all}, func(context.Context, Delivery) {})
	receive(t, got)
	stop()
	floor(t, w.b, "c", 0)
	info, err := w.b.(*conn).js.Consumer(t.Context(), Stream, durable("c", position(t, w.b).Incarnation))
	must(t, err)
	cfg := info.CachedInfo().Config
	if n := info.CachedInfo().NumAckPending; n != 1 || cfg.AckWait != AckWait || cfg.MaxDeliver != -1 || cfg.AckPolicy != jetstream.AckExplicitPolicy {
		t.Fatalf("%d pending, %+v", n, cfg)
	}
}

// A consumer that stops gives back what it had pulled and not handled; another process has it at once.
func testStopGivesBack(t *testing.T, w *world) {
	publish(t, w.a, facts("m", 8))
	began, release := make(chan struct{}, 8), make(chan struct{})
	_, stop := consume(t, w.a, Consumer{Name: "c", Subjects: all, Workers: 1}, func(ctx context.Context, d Delivery) {
		began <- struct{}{}
		<-release
		should(t, d.Ack(ctx))
	})
	receive(t, began)
	stopped := make(chan struct{})
	go func() {
		stop()
		close(stopped)
	}()
	got, _ := consume(t, w.b, Consumer{Name: "c", Subjects: all}, nil)
	others := ids(t, got, 7) // while the first is still being handled
	close(release)
	receive(t, stopped)
	if slices.Contains(others, "") || len(slices.Compact(others)) != 7 {
		t.Fatal(strings.Join(others, " "))
	}
	floor(t, w.b, "c", 8)
}

// What waits while the handlers are busy comes together, in the order of the stream, and never more than asked for.
func testTogether(t *testing.T, w *world) {
	first, release := make(chan struct{}), make(chan struct{})
	got := make(chan int, 100)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- w.b.Consume(ctx, Consumer{Name: "c", Subjects: all, Workers: 1, Batch: 10}, func(ctx context.Context, ds []Delivery) {
			if ds[0].Seq == 1 {
				close(first)
				<-release
			}
			for i, d := range ds {
				if d.Seq != ds[0].Seq+uint64(i) {
					t.Errorf("%d after %d", d.Seq, ds[0].Seq)
				}
			}
			if failed, err := AckAll(ctx, ds); failed != 0 || err != nil {
				t.Errorf("%d failed, %v", failed, err)
			}
			got <- len(ds)
		})
	}()
	publish(t, w.a, facts("m", 1))
	receive(t, first)
	publish(t, w.a, facts("n", 25))
	info := func() int {
		cons, err := w.a.(*conn).js.Consumer(t.Context(), Stream, durable("c", position(t, w.a).Incarnation))
		must(t, err)
		return cons.CachedInfo().NumAckPending
	}
	eventually(t, "pulled ahead", func() error {
		if n := info(); n < 20 {
			return fmt.Errorf("%d", n)
		}
		return nil
	})
	close(release)
	sum, most := 0, 0
	for sum < 26 {
		n := receive(t, got)
		sum, most = sum+n, max(most, n)
	}
	if sum != 26 || most < 2 || most > 10 {
		t.Errorf("%d messages, at most %d together", sum, most)
	}
	floor(t, w.a, "c", 26)
	cancel()
	must(t, receive(t, done))
}
