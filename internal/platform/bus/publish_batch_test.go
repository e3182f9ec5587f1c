package bus

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// served is a broker with limits of its own and a client on it.
func served(t *testing.T, limits server.JSLimitOpts) (*conn, *bytes.Buffer) {
	t.Helper()
	srv, stop, err := start(t.Context(), t.TempDir(), server.Options{DontListen: true, JetStreamLimits: limits}, slog.New(slog.DiscardHandler))
	must(t, err)
	t.Cleanup(stop)
	return client(t, srv)
}

func client(t *testing.T, srv *server.Server) (*conn, *bytes.Buffer) {
	t.Helper()
	said := &bytes.Buffer{}
	c, err := open(t.Context(), "", slog.New(slog.NewTextHandler(said, nil)), nats.InProcessServer(srv))
	must(t, err)
	t.Cleanup(func() { must(t, c.Close()) })
	return c, said
}

// batched counts the acks of atomic batches and checks that the sequences follow each other.
func batched(t *testing.T, acks []Ack) (n int) {
	t.Helper()
	for i, a := range acks {
		if i > 0 && a.Seq != acks[i-1].Seq+1 {
			t.Fatalf("ack %d is %+v after %+v", i, a, acks[i-1])
		}
		if a.Batched {
			n++
		}
	}
	return n
}

func TestBatch(t *testing.T) {
	c, said := served(t, server.JSLimitOpts{})
	for _, n := range []int{1, 2, batchMsgs, batchMsgs + 1, 2*batchMsgs + 7} {
		acks := publish(t, c, facts(fmt.Sprint("n", n), n))
		want := n
		if n%batchMsgs == 1 {
			want-- // one alone is no batch
		}
		if got := batched(t, acks); got != want {
			t.Errorf("%d of %d messages came in batches, want %d", got, n, want)
		}
	}
	large := facts("large", 5)
	for i := range large {
		large[i].Data = make([]byte, batchBytes/3)
	}
	if n := batched(t, publish(t, c, large)); n != 4 { // two, two, one
		t.Errorf("%d of 5 large messages came in batches", n)
	}
	if said.Len() > 0 {
		t.Error(said)
	}
	if p := position(t, c); p.LastSeq != 1+2+batchMsgs+batchMsgs+1+2*batchMsgs+7+5 {
		t.Errorf("%+v", p)
	}
}

// A batch with one known message is refused whole: the others are stored, the known one is told.
func TestBatchRepair(t *testing.T) {
	c, said := served(t, server.JSLimitOpts{})
	first := publish(t, c, facts("m", 20))
	again := publish(t, c, append(facts("n", 5), facts("m", 22)...)) // other boundaries
	for i, a := range again {
		want := Ack{Incarnation: first[0].Incarnation}
		switch {
		case i < 5:
			want.Seq = uint64(21 + i)
		case i < 25:
			want.Seq, want.Duplicate = uint64(i-4), true
		default:
			want.Seq = uint64(i + 1)
		}
		if a != want {
			t.Errorf("ack %d is %+v, want %+v", i, a, want)
		}
	}
	if !strings.Contains(said.String(), "code=10201") || strings.Count(said.String(), "\n") != 1 {
		t.Error(said)
	}
	if n := batched(t, publish(t, c, facts("o", 10))); n != 10 {
		t.Errorf("%d of 10 batched after the repair", n)
	}
}

// A server that allows less is learned, and not asked for more again.
func TestBatchSmaller(t *testing.T) {
	c, said := served(t, server.JSLimitOpts{MaxBatchSize: 100})
	if n := batched(t, publish(t, c, facts("m", 1000))); n != 1000 || c.batch > 100 || c.batch < 50 {
		t.Errorf("%d batched, at most %d", n, c.batch)
	}
	lines := strings.Count(said.String(), "\n")
	if n := batched(t, publish(t, c, facts("n", 1000))); n < 990 || strings.Count(said.String(), "\n") != lines {
		t.Errorf("%d batched\n%s", n, said)
	}
}

// While others fill the server's room for batches, messages go one by one.
func TestBatchNoRoom(t *testing.T) {
	c, said := served(t, server.JSLimitOpts{MaxBatchInflightPerStream: 1})
	m := wire(&facts("other", 1)[0])
	m.Header[headerBatch], m.Header[headerSeq] = []string{"other"}, []string{"1"}
	_, err := c.ask(t.Context(), m) // begun and never ended
	must(t, err)
	if n := batched(t, publish(t, c, facts("m", 10))); n != 0 || !strings.Contains(said.String(), "code=10210") {
		t.Errorf("%d batched\n%s", n, said)
	}
}

// A stream of an earlier version learns it when a client comes; a batch that was begun with it switched off ends well.
func TestBatchOlderStream(t *testing.T) {
	c, _ := served(t, server.JSLimitOpts{})
	before := position(t, c).Incarnation
	allow := func(yes bool) {
		t.Helper()
		info, err := c.info(t.Context())
		must(t, err)
		info.Config.AllowAtomicPublish = yes
		_, err = c.js.UpdateStream(t.Context(), info.Config)
		must(t, err)
	}
	publish(t, c, facts("m", 3))
	allow(false)
	if n := batched(t, publish(t, c, facts("n", 3))); n != 0 {
		t.Fatal("batched though the stream does not allow it")
	}
	if n := batched(t, publish(t, c, facts("o", 3))); n != 3 { // the refusal made it look and ask
		t.Errorf("%d of 3 batched", n)
	}
	if info, err := c.info(t.Context()); err != nil || !info.Config.AllowAtomicPublish || incarnation(info) != before || info.Config.MaxAge != MaxAge {
		t.Errorf("%+v, %v", info, err)
	}
	allow(false)
	publish(t, c, facts("p", 3))
	if n := batched(t, publish(t, c, facts("q", 3))); n != 0 { // somebody does not want it
		t.Errorf("%d of 3 batched", n)
	}
}

// A stream that cannot take batches gets its messages as before, and the log says so.
func TestBatchForeignStream(t *testing.T) {
	srv, stop, err := start(t.Context(), t.TempDir(), server.Options{DontListen: true}, slog.New(slog.DiscardHandler))
	must(t, err)
	t.Cleanup(stop)
	nc, err := nats.Connect("", nats.InProcessServer(srv))
	must(t, err)
	defer nc.Close()
	js, err := jetstream.New(nc)
	must(t, err)
	cfg := streamConfig()
	cfg.AllowAtomicPublish, cfg.PersistMode = false, jetstream.AsyncPersistMode
	_, err = js.CreateStream(t.Context(), cfg)
	must(t, err)
	c, said := client(t, srv)
	if n := batched(t, publish(t, c, facts("m", 300))); n != 0 || position(t, c).LastSeq != 300 {
		t.Errorf("%d batched, %+v", n, position(t, c))
	}
	position(t, c)
	if strings.Count(said.String(), "does not take atomic batches") != 1 {
		t.Error(said)
	}
}

// script answers what a batch asks with the words of a server, one after the other; nil is silence.
func script(t *testing.T, c *conn, answers ...string) (heard func() []string) {
	t.Helper()
	must(t, c.js.DeleteStream(t.Context(), Stream))
	var mu sync.Mutex
	var got []string
	sub, err := c.nc.Subscribe(Subjects, func(m *nats.Msg) {
		mu.Lock()
		defer mu.Unlock()
		got = append(got, m.Header.Get(headerSeq)+m.Header.Get(headerCommit))
		if m.Reply == "" {
			return
		}
		answer := `{"stream":"` + Stream + `","seq":` + strconv.Itoa(len(got)) + `}`
		if len(answers) > 0 {
			answer, answers = answers[0], answers[1:]
		}
		_ = m.Respond([]byte(strings.ReplaceAll(answer, "ID", m.Header.Get(headerBatch))))
	})
	must(t, err)
	t.Cleanup(func() { _ = sub.Unsubscribe() })
	must(t, c.nc.Flush())
	return func() []string {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(got)
	}
}

// Every refusal has an end: again a few times, or one by one.
func TestBatchRefusals(t *testing.T) {
	no := func(code jetstream.ErrorCode) string {
		return fmt.Sprintf(`{"error":{"code":400,"err_code":%d,"description":"no"}}`, code)
	}
	const yes = `{"stream":"XINGLIN","seq":9,"batch":"ID","count":3}`
	for name, s := range map[string]struct {
		answers []string
		heard   string // sequence within the batch, with 1 behind it at the commit
		batched int
		fails   bool
	}{
		"taken":                {[]string{"", yes}, "1 2 31", 3, false},
		"lost at the end":      {[]string{"", no(codeIncomplete), "", yes}, "1 2 31 1 2 31", 3, false},
		"lost again and again": {[]string{"", no(codeIncomplete), "", no(codeIncomplete), "", no(codeIncomplete)}, "1 2 31 1 2 31 1 2 31   ", 0, false},
		"no room":              {[]string{no(codeInflight), no(codeInflight), "", yes}, "1 1 1 2 31", 3, false},
		"never room":           {[]string{no(codeInflight), no(codeInflight), no(codeInflight)}, "1 1 1   ", 0, false},
		"too many":             {[]string{"", no(codeTooMany)}, "1 2 31   ", 0, false},
		"switched off":         {[]string{no(codeDisabled)}, "1   ", 0, false},
		"known":                {[]string{"", no(codeDuplicate)}, "1 2 31   ", 0, false},
		"not known to us":      {[]string{"", no(10999)}, "1 2 31   ", 0, false},
		"of another batch":     {[]string{"", `{"stream":"XINGLIN","seq":9,"batch":"other","count":3}`}, "1 2 31", 0, true},
		"of a part":            {[]string{"", `{"stream":"XINGLIN","seq":9,"batch":"ID","count":2}`}, "1 2 31", 0, true},
		"no sense":             {[]string{"", "+OK"}, "1 2 31", 0, true},
	} {
		t.Run(name, func(t *testing.T) {
			c, _ := served(t, server.JSLimitOpts{})
			heard := script(t, c, s.answers...)
			acks, err := c.store(t.Context(), facts("m", 3), "x")
			n := 0
			for _, a := range acks {
				if a.Batched {
					n++
				}
			}
			if (err != nil) != s.fails || !s.fails && len(acks) != 3 || n != s.batched {
				t.Errorf("%+v, %v", acks, err)
			}
			if got := strings.Join(heard(), " "); got != s.heard { // what goes alone has no sequence
				t.Errorf("the server heard %q, want %q", got, s.heard)
			}
		})
	}
}

// A broker that stops in the middle is an error, not a wait; nothing of the batch is stored, and it can be sent again.
func TestBatchBrokerGone(t *testing.T) {
	w := dialled(t)
	publish(t, w.a, facts("m", 10))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if acks, err := w.a.Publish(ctx, facts("n", 10)); len(acks) != 0 || err == nil {
		t.Fatalf("%v, %v", acks, err)
	}
	w.restart(t, false)
	if n := batched(t, publish(t, w.b, facts("n", 10))); n != 10 {
		t.Errorf("%d of 10 batched", n)
	}
}
