package bus

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"xinglin/internal/kernel/clock"
	"xinglin/internal/platform/tls"
)

func TestDialUnreachable(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0") // accepts nobody's greeting
	must(t, err)
	defer l.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := Dial(ctx, DialOptions{URL: "nats://" + l.Addr().String()}); !errors.Is(err, ErrUnreachable) {
		t.Fatalf("got %v", err)
	}
}

func TestCredentials(t *testing.T) {
	for name, c := range map[string]struct {
		o    ServeOptions
		good string
	}{
		"user":  {ServeOptions{User: "xinglin", Password: "s3cret"}, "xinglin:s3cret@"},
		"token": {ServeOptions{Token: "t0ken"}, "t0ken@"},
	} {
		t.Run(name, func(t *testing.T) {
			c.o.Listen, c.o.Dir = "127.0.0.1:0", t.TempDir()
			br, err := Serve(t.Context(), c.o)
			must(t, err)
			defer br.Close()
			if strings.Contains(br.URL(), "@") {
				t.Fatal("the URL shows credentials")
			}
			for _, bad := range []string{"", "xinglin:wr0ng@", "wr0ng@"} {
				began := clock.Mono()
				_, err := Dial(t.Context(), DialOptions{URL: "nats://" + bad + br.Addr()})
				if !errors.Is(err, ErrUnreachable) || strings.Contains(err.Error(), "wr0ng") || clock.Mono().Sub(began) > dialTimeout/2 {
					t.Fatalf("with %q after %v: %v", bad, clock.Mono().Sub(began), err)
				}
			}
			b, err := Dial(t.Context(), DialOptions{URL: "nats://" + c.good + br.Addr()})
			must(t, err)
			must(t, b.Close())
		})
	}
}

func TestMalformedURL(t *testing.T) {
	for _, u := range []string{"", "host", "nats://x:s3cret@[::1", "nats://x:s3cret@a b", "nats://h:1,nats://x:s3cret@h:port"} {
		if _, err := Dial(t.Context(), DialOptions{URL: u}); err == nil || strings.Contains(err.Error(), "s3cret") || errors.Is(err, ErrUnreachable) {
			t.Errorf("%q: %v", u, err)
		}
	}
}

// JetStream acknowledges before it syncs unless it is told otherwise.
func TestSyncBeforeAck(t *testing.T) {
	br, err := Serve(t.Context(), ServeOptions{Listen: "127.0.0.1:0", Dir: t.TempDir()})
	must(t, err)
	defer br.Close()
	if c := br.srv.JetStreamConfig(); !c.SyncAlways {
		t.Fatalf("%+v", c)
	}
}

func TestServeRefusesOpenDoor(t *testing.T) {
	for _, listen := range []string{"0.0.0.0:0", ":0", "nonsense", "127.0.0.1:70000", "127.0.0.1:x"} {
		if br, err := Serve(t.Context(), ServeOptions{Listen: listen, Dir: t.TempDir()}); err == nil {
			br.Close()
			t.Errorf("listens on %q without credentials", listen)
		}
	}
}

func TestOneBrokerPerDirectory(t *testing.T) {
	dir := t.TempDir()
	b, err := Embed(t.Context(), EmbedOptions{Dir: dir})
	must(t, err)
	if !b.Embedded() {
		t.Error("not embedded")
	}
	if _, err := Embed(t.Context(), EmbedOptions{Dir: dir}); !errors.Is(err, ErrUnreachable) {
		t.Errorf("second broker: %v", err)
	}
	must(t, b.Close())
	b, err = Embed(t.Context(), EmbedOptions{Dir: dir})
	must(t, err)
	must(t, b.Close())
}

// peers is one process of an authority's.
func peers(t *testing.T, dir, name string, life time.Duration, now time.Time) *tls.Peers {
	t.Helper()
	must(t, tls.Issue{Dir: dir, Name: name, Hosts: []string{"127.0.0.1"}, Life: life, Now: now}.Make())
	p, err := tls.NewPeers(tls.PeerFiles{Cert: filepath.Join(dir, name+".pem"), KeyFile: filepath.Join(dir, name+".key"), CA: filepath.Join(dir, "ca.pem")})
	must(t, err)
	return p
}

// A broker with peers takes those of its authority only, and says nothing to anybody else.
func TestPeers(t *testing.T) {
	dir, foreign, now := t.TempDir(), t.TempDir(), clock.System{}.Now()
	br, err := Serve(t.Context(), ServeOptions{Listen: "127.0.0.1:0", Dir: t.TempDir(), Peers: peers(t, dir, "broker", time.Hour, now)})
	must(t, err)
	defer br.Close()
	b, err := Dial(t.Context(), DialOptions{URL: br.URL(), Peers: peers(t, dir, "serve", time.Hour, now)})
	must(t, err)
	publish(t, b, facts("m", 1))
	must(t, b.Close())
	for name, o := range map[string]DialOptions{
		"plain":       {URL: "nats://" + br.Addr()},
		"no cert":     {URL: br.URL()},
		"a stranger":  {URL: br.URL(), Peers: peers(t, foreign, "serve", time.Hour, now)},
		"expired":     {URL: br.URL(), Peers: peers(t, dir, "late", time.Minute, now.Add(-time.Hour))},
		"plain, peer": {URL: "nats://" + br.Addr() + ",nats://127.0.0.1:1"},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 700*time.Millisecond)
		if b, err := Dial(ctx, o); !errors.Is(err, ErrUnreachable) {
			if err == nil {
				_ = b.Close()
			}
			t.Errorf("%s: %v", name, err)
		}
		cancel()
	}
	c, err := net.Dial("tcp", br.Addr())
	must(t, err)
	defer c.Close()
	must(t, c.SetDeadline(clock.Mono().Add(patience)))
	_, err = c.Write([]byte("CONNECT {}\r\nPING\r\n"))
	must(t, err)
	said, _ := io.ReadAll(c)
	if strings.Contains(string(said), "INFO") || strings.Contains(string(said), "PONG") {
		t.Errorf("plain text was answered: %q", said)
	}
	// A broker without peers is nobody that a process with peers talks to.
	open, err := Serve(t.Context(), ServeOptions{Listen: "127.0.0.1:0", Dir: t.TempDir()})
	must(t, err)
	defer open.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 700*time.Millisecond)
	defer cancel()
	if _, err := Dial(ctx, DialOptions{URL: open.URL(), Peers: peers(t, dir, "serve", time.Hour, now)}); !errors.Is(err, ErrUnreachable) {
		t.Errorf("a plain broker: %v", err)
	}
}

func TestOverlap(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"ev.a.b", "ev.a.b", true},
		{"ev.a.b", "ev.a.c", false},
		{"ev.a.b", "ev.a.b.c", false},
		{"ev.a.>", "ev.a.b.c", true},
		{"ev.*.b", "ev.a.*", true},
		{"ev.*.b", "ev.a.c", false},
		{"ev.a.>", "ev.a", false},
		{"ev.>", "ev.*.c", true},
	} {
		a, b := strings.Split(c.a, "."), strings.Split(c.b, ".")
		if overlap(a, b) != c.want || overlap(b, a) != c.want {
			t.Errorf("%s and %s: want %v", c.a, c.b, c.want)
		}
	}
}

func TestBackoff(t *testing.T) {
	for n, least := range []time.Duration{50, 100, 200, 400, 800, 1600, 3000, 3000} {
		for range 100 {
			if d := backoff(n); d < least*time.Millisecond || d > least*3/2*time.Millisecond {
				t.Fatalf("pause %d is %v", n, d)
			}
		}
	}
}

// The size that Publish checks is the one that the broker counts.
func TestSize(t *testing.T) {
	b, err := Embed(t.Context(), EmbedOptions{Dir: t.TempDir()})
	must(t, err)
	defer b.Close()
	m := facts("m", 1)
	m[0].Data = nil
	m[0].Data = make([]byte, MaxBytes-size(&m[0]))
	publish(t, b, m)
	m[0].Data = append(m[0].Data, 0)
	if _, err := b.Publish(t.Context(), m); !errors.Is(err, ErrTooLarge) {
		t.Fatal(err)
	}
}

// BenchmarkPublish stores batches of 256 messages of 1 KiB, each synced to disk before its ack.
func BenchmarkPublish(b *testing.B) {
	const batch = 256
	for _, engine := range []string{"embedded", "dialled"} {
		b.Run(engine, func(b *testing.B) {
			bus := benchBus(b, engine)
			msgs := facts("m", batch)
			for i := range msgs {
				msgs[i].Data = make([]byte, 1024)
			}
			for b.Loop() {
				for i := range msgs {
					msgs[i].ID = rand.Text()
				}
				acks, err := bus.Publish(b.Context(), msgs)
				if err != nil || len(acks) != batch {
					b.Fatal(len(acks), err)
				}
			}
			b.ReportMetric(float64(b.N*batch)/b.Elapsed().Seconds(), "msgs/s")
		})
	}
}

// BenchmarkConsume handles and acknowledges messages, each ack confirmed.
func BenchmarkConsume(b *testing.B) {
	bus := benchBus(b, "embedded")
	const batch = 512
	got := make(chan error, batch)
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan error, 1)
	go func() {
		done <- bus.Consume(ctx, Consumer{Name: "c", Subjects: all, Batch: 64}, func(ctx context.Context, ds []Delivery) {
			_, err := AckAll(ctx, ds)
			for range ds {
				got <- err
			}
		})
	}()
	msgs := facts("m", batch)
	for b.Loop() {
		b.StopTimer()
		for i := range msgs {
			msgs[i].ID = rand.Text()
		}
		b.StartTimer()
		if _, err := bus.Publish(b.Context(), msgs); err != nil {
			b.Fatal(err)
		}
		for range batch {
			if err := <-got; err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(b.N*batch)/b.Elapsed().Seconds(), "msgs/s")
	cancel()
	must(b, <-done)
}

func benchBus(b *testing.B, engine string) Bus {
	var bus Bus
	var err error
	if engine == "embedded" {
		bus, err = Embed(b.Context(), EmbedOptions{Dir: b.TempDir()})
	} else {
		br, serr := Serve(b.Context(), ServeOptions{Listen: "127.0.0.1:0", Dir: b.TempDir()})
		must(b, serr)
		b.Cleanup(br.Close)
		bus, err = Dial(b.Context(), DialOptions{URL: br.URL()})
	}
	must(b, err)
	b.Cleanup(func() { must(b, bus.Close()) })
	return bus
}
