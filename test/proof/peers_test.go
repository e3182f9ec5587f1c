package proof

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"xinglin/internal/demo/client"
	"xinglin/internal/kernel/clock"
	"xinglin/test/rig"
)

const (
	peersMx  = 4 * time.Minute
	doorWait = 5 * time.Second
)

// TestPeersRotate: two processes and a broker that show each other certificates. While people book and cancel, all certificates are renewed,
// the authority changes, the broker and a process start again: no request fails, no event is lost or told twice. The inner doors and the
// public one take TLS 1.3 only, the inner ones from their own authority only (issue 5, part 4; K12).
func TestPeersRotate(t *testing.T) {
	w := rig.NewPeerWorld(t)
	f, one := factsIn(t, w)
	two := w.Serve(t)
	old := peer(t, w.PeerFlags("serve"))
	broker := strings.TrimPrefix(w.NATS, "nats://")
	for _, door := range []string{broker, strings.TrimPrefix(one.Private, "http://"), strings.TrimPrefix(two.Private, "http://")} {
		inner(t, door, old)
	}
	public(t, w)

	ctx, cancel := context.WithTimeout(context.Background(), peersMx)
	defer cancel()
	loading, leave := context.WithCancel(ctx)
	var all sync.WaitGroup
	for i := range f.people {
		url := []string{one.URL, two.URL}[i%2]
		all.Go(func() { f.strictly(loading, t, i, url) })
	}
	f.more(ctx, t, 50)
	w.Renew(t) // the same authority
	f.more(ctx, t, 50)
	restart(t, w)
	f.more(ctx, t, 50)

	// Another authority: both are trusted, then certificates of the new one, then only the new one is.
	dir := filepath.Dir(w.PeerFlags("serve")[1])
	before := read(t, filepath.Join(dir, "ca.pem"))
	if err := errors.Join(os.Remove(filepath.Join(dir, "ca.pem")), os.Remove(filepath.Join(dir, "ca.key"))); err != nil {
		t.Fatal(err)
	}
	next := filepath.Join(t.TempDir(), "next")
	for _, name := range []string{"broker", "serve"} {
		rig.Must(t, "tls", "init", next, "--name", name)
	}
	after := read(t, filepath.Join(next, "ca.pem"))
	put(t, filepath.Join(dir, "ca.pem"), append(before, after...))
	restart(t, w)
	for _, file := range []string{"broker.key", "broker.pem", "serve.key", "serve.pem"} {
		put(t, filepath.Join(dir, file), read(t, filepath.Join(next, file)))
	}
	restart(t, w)
	f.more(ctx, t, 50)
	put(t, filepath.Join(dir, "ca.pem"), after)
	restart(t, w)
	three := w.Serve(t)
	f.more(ctx, t, 50)
	leave()
	all.Wait()
	f.load(ctx, t, three, 20)
	f.settled(t, time.Minute)
	if ask(broker, old, tls.VersionTLS13) == nil {
		t.Error("the authority from before is still trusted")
	}
	inner(t, broker, peer(t, w.PeerFlags("serve")))
	w.Verify(t)
}

// restart stops the broker and starts it again on its address: everybody shakes hands anew.
func restart(t *testing.T, w *rig.World) {
	t.Helper()
	w.Broker.Stop(t)
	w.StartBroker(t)
}

// strictly books and cancels until ctx ends; nothing may fail.
func (f *facts) strictly(ctx context.Context, t *testing.T, i int, url string) {
	who := f.people[i]
	c := who.At(url)
	for ctx.Err() == nil {
		a, _, err := c.Hold(ctx, client.NewKey(), client.Wish{PatientID: who.Patients[0].ID, ScheduleID: f.at[i].ID, Any: true})
		if err == nil {
			f.made.Add(1)
			if _, err = c.Cancel(context.WithoutCancel(ctx), a.ID, a.Version); err == nil {
				f.made.Add(1)
			}
		}
		if err != nil && ctx.Err() == nil {
			t.Errorf("%d: %v", i, err)
			return
		}
		pause(ctx, 20*time.Millisecond)
	}
}

// more waits for so many more events.
func (f *facts) more(ctx context.Context, t *testing.T, n int64) {
	t.Helper()
	want := f.made.Load() + n
	if err := client.Until(ctx, "more events", func(context.Context) (bool, error) { return f.made.Load() >= want, nil }); err != nil {
		t.Fatal(err)
	}
}

// peer is a client with the certificates of the flags.
func peer(t *testing.T, flags []string) *tls.Config {
	t.Helper()
	cert, err := tls.LoadX509KeyPair(flags[1], flags[3])
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(read(t, flags[5]))
	return &tls.Config{Certificates: []tls.Certificate{cert}, RootCAs: pool, ServerName: "127.0.0.1", MinVersion: tls.VersionTLS10}
}

// ask shakes hands and wants to be heard: a server of TLS 1.3 refuses a certificate after the handshake.
func ask(address string, c *tls.Config, highest uint16) error {
	c = c.Clone()
	c.MaxVersion = highest
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: doorWait}, "tcp", address, c)
	if err != nil {
		return err
	}
	defer conn.Close()
	return heard(conn)
}

// heard says nonsense to whoever listens, and wants some answer.
func heard(c net.Conn) error {
	if err := c.SetDeadline(clock.Mono().Add(doorWait)); err != nil {
		return err
	}
	if _, err := io.WriteString(c, "GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"); err != nil {
		return err
	}
	b := make([]byte, 1)
	_, err := io.ReadFull(c, b)
	return err
}

// inner scans a door between processes.
func inner(t *testing.T, address string, good *tls.Config) {
	t.Helper()
	if err := ask(address, good, tls.VersionTLS13); err != nil {
		t.Errorf("%s: a process of the installation: %v", address, err)
	}
	for _, v := range []uint16{tls.VersionTLS10, tls.VersionTLS11, tls.VersionTLS12} {
		if ask(address, good, v) == nil {
			t.Errorf("%s took version %x", address, v)
		}
	}
	nobody := good.Clone()
	nobody.Certificates = nil
	if ask(address, nobody, tls.VersionTLS13) == nil {
		t.Errorf("%s took somebody without a certificate", address)
	}
	dir := filepath.Join(t.TempDir(), "foreign")
	rig.Must(t, "tls", "init", dir, "--name", "serve")
	stranger := peer(t, []string{"", filepath.Join(dir, "serve.pem"), "", filepath.Join(dir, "serve.key"), "", filepath.Join(dir, "ca.pem")})
	stranger.RootCAs = good.RootCAs
	if ask(address, stranger, tls.VersionTLS13) == nil {
		t.Errorf("%s took a stranger's certificate", address)
	}
	if said := plainly(t, address); said != "" && !strings.HasPrefix(said, "HTTP/1.0 400") {
		t.Errorf("%s said %q in plain text", address, said)
	}
}

// plainly speaks plain text to a door and gives what it says.
func plainly(t *testing.T, address string) string {
	t.Helper()
	c, err := net.DialTimeout("tcp", address, doorWait)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(clock.Mono().Add(doorWait)); err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(c, "GET /readyz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n") // a door that closes at once is as good
	b, _ := io.ReadAll(io.LimitReader(c, 200))
	if n := strings.IndexByte(string(b), 0x15); n == 0 { // a TLS alert
		return ""
	}
	return string(b)
}

// public scans the door of a process with a certificate for everybody.
func public(t *testing.T, w *rig.World) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "public")
	rig.Must(t, "tls", "init", dir, "--name", "door")
	listen := rig.Port(t)
	p := w.ServeAt(t, listen, rig.Port(t), "--tls-cert", filepath.Join(dir, "door.pem"), "--tls-key", filepath.Join(dir, "door.key"), "--public-url", "https://"+listen)
	if err := p.Said(context.Background(), "ready on"); err != nil {
		t.Fatal(err)
	}
	defer p.Stop(t)
	anyone := peer(t, []string{"", filepath.Join(dir, "door.pem"), "", filepath.Join(dir, "door.key"), "", filepath.Join(dir, "ca.pem")})
	anyone.Certificates = nil
	if err := ask(listen, anyone, tls.VersionTLS13); err != nil {
		t.Errorf("the public door: %v", err)
	}
	for _, v := range []uint16{tls.VersionTLS10, tls.VersionTLS11, tls.VersionTLS12} {
		if ask(listen, anyone, v) == nil {
			t.Errorf("the public door took version %x", v)
		}
	}
	if said := plainly(t, listen); said != "" && !strings.HasPrefix(said, "HTTP/1.0 400") {
		t.Errorf("the public door said %q in plain text", said)
	}
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// put replaces a file as a whole.
func put(t *testing.T, file string, b []byte) {
	t.Helper()
	if err := errors.Join(os.WriteFile(file+".new", b, 0o600), os.Rename(file+".new", file)); err != nil {
		t.Fatal(err)
	}
}
