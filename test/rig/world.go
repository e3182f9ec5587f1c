package rig

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"xinglin/internal/demo/client"
	"xinglin/internal/kernel/secret"
	"xinglin/internal/realnamesim"
	"xinglin/internal/smssim"
	"xinglin/internal/smssim/simserver"
	"xinglin/internal/testkit/pgcluster"
)

// Engine is the database of an installation.
type Engine string

// The engines.
const (
	SQLite   Engine = "sqlite"
	Postgres Engine = "postgres"
)

// Engines are both, for subtests.
var Engines = []Engine{SQLite, Postgres}

// World is one installation, not a demo: its database, keys, broker and the other
// side's simulators. Serve opens processes on it.
type World struct {
	Engine Engine
	Dir    string // --data of SQLite; on PostgreSQL the folder of keys and simulators
	DSN    string // of the login role, PostgreSQL only
	NATS   string // PostgreSQL only
	Broker *Process
	Pay    client.Channel

	peers   string // folder of the processes' certificates; empty: inner doors are plain
	account string // of WeChat Pay
	keys    string
	sms     *smssim.Server
	names   *realnamesim.Server
	smsKey  string // of both
	paysim  *Process
}

// NewWorld makes an empty installation; everything ends with the test.
func NewWorld(t testing.TB, e Engine) *World {
	t.Helper()
	return newWorld(t, &World{Engine: e, Dir: t.TempDir()})
}

// NewPeerWorld is a world on PostgreSQL whose processes show each other certificates.
func NewPeerWorld(t testing.TB) *World {
	t.Helper()
	w := &World{Engine: Postgres, Dir: t.TempDir()}
	w.peers = filepath.Join(w.Dir, "tls")
	w.Renew(t)
	return newWorld(t, w)
}

// Renew makes new certificates of the processes, under the authority that is there.
func (w *World) Renew(t testing.TB) {
	t.Helper()
	for _, name := range []string{"broker", "serve"} {
		Must(t, "tls", "init", w.peers, "--name", name)
	}
}

// PeerFlags name the certificates of a process; nothing where inner doors are plain.
func (w *World) PeerFlags(name string) []string {
	if w.peers == "" {
		return nil
	}
	return []string{
		"--peer-cert", filepath.Join(w.peers, name+".pem"), "--peer-key", filepath.Join(w.peers, name+".key"), "--peer-ca", filepath.Join(w.peers, "ca.pem"),
	}
}

func newWorld(t testing.TB, w *World) *World {
	t.Helper()
	if e := w.Engine; e == Postgres {
		w.postgres(t)
		w.StartBroker(t)
	}
	w.startSMS(t)
	w.StartPay(t)
	return w
}

// Data is the folder for SQLite files, broker and keys.
func (w *World) Data() string { return filepath.Join(w.Dir, "data") }

func (w *World) postgres(t testing.TB) {
	t.Helper()
	w.DSN = Database(t)
	raw := make([]byte, 32)
	if _, err := rand.Read(raw); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(w.Dir, "root.key")
	if err := os.WriteFile(file, []byte(hex.EncodeToString(raw)), 0o600); err != nil {
		t.Fatal(err)
	}
	w.keys = "file:" + file
}

// Database is a fresh PostgreSQL database, migrated once a run with `xinglin migrate`:
// the DSN of the login role. It is dropped when the test ends.
func Database(t testing.TB) (dsn string) {
	t.Helper()
	c := pgcluster.For(t)
	version, err := digest(Binary(t))
	if err != nil {
		t.Fatal(err)
	}
	tpl, err := c.Template(context.Background(), "binary", version, func(dsn string) error {
		Must(t, "migrate", "--db", dsn, "--login", pgcluster.App)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return c.AppDSN(c.NewDatabase(t, tpl))
}

var digests sync.Map // by path: the binary does not change while tests run

func digest(file string) (string, error) {
	if d, ok := digests.Load(file); ok {
		return d.(string), nil
	}
	f, err := os.Open(file)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	d := hex.EncodeToString(h.Sum(nil))
	digests.Store(file, d)
	return d, nil
}

// StartBroker starts `xinglin broker`, or starts it again on the same address.
func (w *World) StartBroker(t testing.TB) {
	t.Helper()
	address := strings.TrimPrefix(w.NATS, "nats://")
	if address == "" {
		address = Port(t)
	}
	w.Broker = Start(t, "broker", append([]string{"broker", "--listen", address, "--data", w.BrokerDir()}, w.PeerFlags("broker")...)...)
	if err := w.Broker.Said(context.Background(), "broker ready"); err != nil {
		t.Fatal(err)
	}
	w.NATS = "nats://" + address
}

// BrokerDir is the folder of the stream.
func (w *World) BrokerDir() string {
	if w.Engine == SQLite {
		return filepath.Join(w.Data(), "broker")
	}
	return filepath.Join(w.Dir, "broker")
}

// startSMS starts the simulators of text messages and of real names.
func (w *World) startSMS(t testing.TB) {
	t.Helper()
	w.smsKey = rand.Text()
	o := simserver.Options{Listen: "127.0.0.1:0", KeyID: "test", Key: secret.New(w.smsKey), Log: slog.New(slog.DiscardHandler)}
	var err error
	if w.sms, err = smssim.New(smssim.Options{Options: o}); err != nil {
		t.Fatal(err)
	}
	if w.names, err = realnamesim.New(o); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 2)
	go func() { done <- w.sms.Serve(ctx) }()
	go func() { done <- w.names.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		for range 2 {
			if err := <-done; err != nil {
				t.Errorf("simulator: %v", err)
			}
		}
		w.sms.Close()
		w.names.Close()
	})
	if err := os.WriteFile(filepath.Join(w.Dir, "sms.key"), []byte(w.smsKey), 0o600); err != nil {
		t.Fatal(err)
	}
}

// Texts implements client.Inbox.
func (w *World) Texts(_ context.Context, phone string) ([]string, error) {
	var out []string
	for _, m := range w.sms.Messages(0) {
		if strings.TrimPrefix(m.Phone, "+86") == phone {
			out = append(out, m.Text)
		}
	}
	return out, nil
}

// StartPay starts the payment simulator as a process of its own.
func (w *World) StartPay(t testing.TB) {
	t.Helper()
	address := Port(t)
	dir := filepath.Join(w.Dir, "paysim")
	w.paysim = Start(t, "paysim", "paysim", "--listen", address, "--data", dir, "--retry", "15")
	if err := w.paysim.Said(context.Background(), "paysim ready"); err != nil {
		t.Fatal(err)
	}
	w.Pay = client.Channel{Base: "http://" + address}
	w.account = filepath.Join(dir, "merchant", "account.json")
	b, err := os.ReadFile(w.account)
	if err != nil {
		t.Fatal(err)
	}
	// The account that Provision wrote says nothing about where the channel is.
	text := strings.Replace(string(b), "{", fmt.Sprintf("{\n  %q: %q,", "base_url", w.Pay.Base), 1)
	w.account = filepath.Join(dir, "merchant", "test.json")
	if err := os.WriteFile(w.account, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// Refunds are the amounts in fen that the payment simulator's book has given back, by the payment's number there.
func (w *World) Refunds(t testing.TB) map[string][]int64 {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(w.Dir, "paysim", "journal.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	type refund struct {
		Number string `json:"out_refund_no"`
		Of     string `json:"out_trade_no"`
		Fen    int64  `json:"refund_fen"`
	}
	latest := map[string]refund{} // a line a change
	for line := range bytes.Lines(b) {
		var l struct{ Refund *refund }
		if json.Unmarshal(line, &l) == nil && l.Refund != nil { // the last line may be half written
			latest[l.Refund.Number] = *l.Refund
		}
	}
	out := map[string][]int64{}
	for _, r := range latest {
		out[r.Of] = append(out[r.Of], r.Fen)
	}
	return out
}

// Where are the flags that name the databases, for every command.
func (w *World) Where() []string {
	if w.Engine == SQLite {
		return []string{"--data", w.Data()}
	}
	return []string{"--db", w.DSN, "--keys", w.keys}
}

// Command runs a subcommand on the installation: Command(t, "verify").
func (w *World) Command(t testing.TB, words ...string) Result {
	t.Helper()
	return Run(t, append(words, w.Where()...)...)
}

// Import loads a rota file with `xinglin import rota`.
func (w *World) Import(t testing.TB, csv string, more ...string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "rota.csv")
	if err := os.WriteFile(file, []byte(csv), 0o600); err != nil {
		t.Fatal(err)
	}
	args := append([]string{"import", "rota"}, w.Where()...)
	return Must(t, append(append(args, more...), file)...)
}

// Flags are those of serve, without addresses.
func (w *World) Flags() []string {
	flags := slices.Concat(w.Where(), []string{
		"--wechat-account", w.account, "--sms-url", w.sms.URL(), "--sms-key-id", "test", "--sms-key", "file:" + filepath.Join(w.Dir, "sms.key"),
		"--realname-url", w.names.URL(), "--realname-key-id", "test", "--realname-key", "file:" + filepath.Join(w.Dir, "sms.key"),
		"--trust-proxy", "--rate-per-address", "100000", "--rate-per-account", "30", "--log-level", "warn",
	})
	if w.Engine == Postgres {
		flags = append(append(flags, "--nats", w.NATS), w.PeerFlags("serve")...)
	}
	return flags
}

// ServeAs is Serve with a name, which PostgreSQL has as the application_name of the process's sessions.
func (w *World) ServeAs(t testing.TB, name string, more ...string) *Process {
	t.Helper()
	if w.Engine == Postgres {
		defer func(dsn string) { w.DSN = dsn }(w.DSN)
		w.DSN += "&application_name=" + name
	}
	return w.Serve(t, more...)
}

// Serve starts a process on free ports and waits until it is ready.
func (w *World) Serve(t testing.TB, more ...string) *Process {
	t.Helper()
	for range startTry {
		p := w.ServeAt(t, Port(t), Port(t), more...)
		err := p.Ready(context.Background())
		if err == nil {
			return p
		}
		if !p.Taken() {
			t.Fatal(err)
		}
	}
	t.Fatal("rig: no free port")
	return nil
}

// ServeAt starts a process on given addresses and does not wait.
func (w *World) ServeAt(t testing.TB, listen, private string, more ...string) *Process {
	t.Helper()
	args := slices.Concat([]string{"serve", "--listen", listen, "--private", private}, w.Flags(), more)
	p := Start(t, "serve "+listen, args...)
	p.URL, p.Private = "http://"+listen, "http://"+private
	return p
}

// Again starts a process that has ended once more, on its addresses and with its flags.
func Again(t testing.TB, old *Process) *Process {
	t.Helper()
	p := Start(t, old.Name+" again", old.Args...)
	p.URL, p.Private = old.URL, old.Private
	if err := p.Ready(context.Background()); err != nil {
		t.Fatal(err)
	}
	return p
}

// Verify runs `xinglin verify`, which must find nothing.
func (w *World) Verify(t testing.TB) {
	t.Helper()
	r := w.Command(t, "verify")
	if r.Code != 0 {
		t.Errorf("verify: exit %d\n%s%s", r.Code, broken(r.Stdout), r.Stderr)
	}
}

// broken leaves the lines of verify that matter.
func broken(report string) (out string) {
	show := false
	for line := range strings.Lines(report) {
		if !strings.HasPrefix(line, " ") {
			show = !strings.HasPrefix(line, "ok ")
		}
		if show {
			out += line
		}
	}
	return out
}

// Staff makes an account of staff and logs it in at a server.
func (w *World) Staff(t testing.TB, p *Process, tenant, host, username string, roles ...string) *client.Client {
	t.Helper()
	secret := w.AddStaff(t, tenant, username, roles...)
	return LoginStaff(t, p, host, username, secret)
}

// Password is that of every account of staff in tests.
const Password = "correct horse battery 26"

// AddStaff is `xinglin staff add`; it gives the TOTP secret. On SQLite nothing may serve
// the folder meanwhile.
func (w *World) AddStaff(t testing.TB, tenant, username string, roles ...string) (totp string) {
	t.Helper()
	file := filepath.Join(w.Dir, "staff.password")
	if err := os.WriteFile(file, []byte(Password), 0o600); err != nil {
		t.Fatal(err)
	}
	args := slices.Concat([]string{"staff", "add"}, w.Where(), []string{
		"--tenant", tenant, "--username", username, "--name", "测试 " + username, "--password", "file:" + file,
	})
	for _, r := range roles {
		args = append(args, "--role", r)
	}
	out := Must(t, args...)
	for line := range strings.Lines(out) {
		if s, ok := strings.CutPrefix(line, "totp "); ok {
			return strings.TrimSpace(s)
		}
	}
	t.Fatalf("staff add printed no TOTP secret:\n%s", out)
	return ""
}
