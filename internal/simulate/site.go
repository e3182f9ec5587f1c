package simulate

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/secret"
	"xinglin/internal/platform/db"
	"xinglin/internal/realnamesim"
	"xinglin/internal/smssim"
	"xinglin/internal/smssim/simserver"
)

// site is one installation that is not a demo: databases, keys, broker, the other side's
// simulators, and its serve processes.
type site struct {
	dir    string
	binary string
	dsn    string // of the login role; empty: SQLite in dir/data
	nats   string
	where  []string // the flags that name the databases, for every command

	cluster *cluster // nil: SQLite, or a database that the caller named
	broker  *child
	pay     *child
	payURL  string
	account string // of WeChat Pay
	sms     *smssim.Server
	names   *realnamesim.Server
	endSims func()

	procs []*proc
}

// proc is one serve process; its addresses stay when it is started again.
type proc struct {
	number          int
	listen, private string

	mu    sync.Mutex // guards child
	child *child
	clock atomic.Int64 // how far its clock is from ours, in nanoseconds
	down  atomic.Bool
}

func (p *proc) url() string { return "http://" + p.listen }

// build makes the installation; nothing serves yet.
func build(ctx context.Context, dir string, o Options) (s *site, err error) {
	s = &site{dir: dir, dsn: o.DB}
	if s.binary, err = os.Executable(); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	if o.DB == "" && o.Processes > 1 {
		if s.cluster, err = newCluster(ctx); err != nil {
			return s, err
		}
		s.dsn = s.cluster.dsn(loginRole)
		if _, err = s.run(ctx, "migrate", "--db", s.cluster.dsn(migrateRole), "--login", loginRole); err != nil {
			return s, err
		}
	}
	if s.dsn == "" {
		s.where = []string{"--data", s.data()}
	} else {
		if err = s.key("root.key"); err != nil {
			return s, err
		}
		s.where = []string{"--db", s.dsn, "--keys", "file:" + filepath.Join(dir, "root.key")}
		if err = s.startBroker(ctx); err != nil {
			return s, err
		}
	}
	if err = s.startTexts(); err != nil {
		return s, err
	}
	return s, s.startPay(ctx)
}

func (s *site) sqlite() bool { return s.dsn == "" }

func (s *site) data() string { return filepath.Join(s.dir, "data") }

// brokerDir is the folder of the stream.
func (s *site) brokerDir() string {
	if s.sqlite() {
		return filepath.Join(s.data(), "broker")
	}
	return filepath.Join(s.dir, "broker")
}

// run runs a command of the product to its end, at most two minutes.
func (s *site) run(ctx context.Context, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	return command(ctx, dieWithParent(syscall.SIGKILL), s.binary, args...)
}

// key writes 32 random bytes.
func (s *site) key(name string) error {
	raw := make([]byte, 32)
	if _, err := rand.Read(raw); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(s.dir, name), []byte(hex.EncodeToString(raw)), 0o600)
}

// startBroker starts `xinglin broker`, or starts it again on its address.
func (s *site) startBroker(ctx context.Context) error {
	address := strings.TrimPrefix(s.nats, "nats://")
	var err error
	if address == "" {
		if address, err = freeAddress(ctx); err != nil {
			return err
		}
	}
	if s.broker, err = spawn("broker", s.binary, nil, "broker", "--listen", address, "--data", s.brokerDir()); err != nil {
		return err
	}
	s.nats = "nats://" + address
	return s.broker.said(ctx, "broker ready")
}

// textsKept is more than a rush sends: who waits for a code counts the texts that the phone had before, and an old one that
// is forgotten meanwhile would hide the new one.
const textsKept = 50_000

// startTexts starts the simulators of text messages and real names in this process.
func (s *site) startTexts() (err error) {
	key := rand.Text()
	if err := os.WriteFile(filepath.Join(s.dir, "sms.key"), []byte(key), 0o600); err != nil {
		return err
	}
	o := simserver.Options{Listen: "127.0.0.1:0", KeyID: "rush", Key: secret.New(key), Log: slog.New(slog.DiscardHandler)}
	if s.sms, err = smssim.New(smssim.Options{Options: o, Keep: textsKept}); err != nil {
		return err
	}
	if s.names, err = realnamesim.New(o); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background()) // they end with close
	var work sync.WaitGroup
	work.Go(func() { _ = s.sms.Serve(ctx) })
	work.Go(func() { _ = s.names.Serve(ctx) })
	s.endSims = func() {
		cancel()
		work.Wait()
		s.sms.Close()
		s.names.Close()
	}
	return nil
}

// startPay starts the payment channel's simulator.
func (s *site) startPay(ctx context.Context) error {
	address, err := freeAddress(ctx)
	if err != nil {
		return err
	}
	dir := filepath.Join(s.dir, "paysim")
	if s.pay, err = spawn("paysim", s.binary, nil, "paysim", "--listen", address, "--data", dir, "--retry", "15"); err != nil {
		return err
	}
	if err := s.pay.said(ctx, "paysim ready"); err != nil {
		return err
	}
	s.payURL = "http://" + address
	b, err := os.ReadFile(filepath.Join(dir, "merchant", "account.json"))
	if err != nil {
		return err
	}
	// The account that the simulator wrote says nothing about where the channel is.
	text := strings.Replace(string(b), "{", fmt.Sprintf("{\n  %q: %q,", "base_url", s.payURL), 1)
	s.account = filepath.Join(dir, "merchant", "rush.json")
	return os.WriteFile(s.account, []byte(text), 0o600)
}

// open starts n serve processes, each with its clock's offset.
func (s *site) open(ctx context.Context, offsets []time.Duration) error {
	for i, by := range offsets {
		p := &proc{number: i}
		var err error
		if p.listen, err = freeAddress(ctx); err != nil {
			return err
		}
		if p.private, err = freeAddress(ctx); err != nil {
			return err
		}
		s.procs = append(s.procs, p)
		if err := s.start(ctx, p, by); err != nil {
			return err
		}
	}
	return nil
}

// start starts a process that does not run, with its clock so far from ours.
func (s *site) start(ctx context.Context, p *proc, by time.Duration) error {
	key := "file:" + filepath.Join(s.dir, "sms.key")
	args := append([]string{"serve", "--listen", p.listen, "--private", p.private}, s.where...)
	args = append(args,
		"--simulation", fmt.Sprintf("--clock=%+dms", by.Milliseconds()),
		"--wechat-account", s.account, "--sms-url", s.sms.URL(), "--sms-key-id", "rush", "--sms-key", key,
		"--realname-url", s.names.URL(), "--realname-key-id", "rush", "--realname-key", key,
		"--trust-proxy", "--rate-per-address", "100000", "--log-level", "warn")
	if !s.sqlite() {
		args = append(args, "--nats", s.nats)
	}
	log := &tail{}
	if p.child != nil {
		log = p.child.log
	}
	c, err := respawn(log, fmt.Sprintf("serve %d", p.number), s.binary, nil, args...)
	if err != nil {
		return err
	}
	p.mu.Lock()
	p.child = c
	p.mu.Unlock()
	p.clock.Store(int64(by))
	if err := c.answers(ctx, p.url()+"/readyz"); err != nil {
		return err
	}
	p.down.Store(false)
	return nil
}

// kill is kill -9 of a process.
func (p *proc) kill() {
	p.down.Store(true)
	p.mu.Lock()
	c := p.child
	p.mu.Unlock()
	c.kill()
}

// drain asks a process to end.
func (p *proc) drain() error {
	p.down.Store(true)
	p.mu.Lock()
	c := p.child
	p.mu.Unlock()
	return c.stop(syscall.SIGTERM)
}

// texts are the last messages to a phone, the newest first.
func (s *site) texts(phone string) (out []string) {
	for _, m := range s.sms.To(phone) {
		out = append(out, m.Text)
	}
	return out
}

// read runs f in a read transaction of one context's database, beside what serves it.
func (s *site) read(ctx context.Context, owner string, tenant tenantID, f func(context.Context, db.Tx) error) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	o := db.Options{DSN: s.dsn, MaxConns: 2, Clock: clock.System{}}
	if s.sqlite() {
		o = db.Options{Dir: s.data(), Readers: 1, MaxConns: 2, Clock: clock.System{}}
	}
	srv, err := db.Open(ctx, o)
	if err != nil {
		return err
	}
	defer srv.Close()
	d, err := srv.Context(ctx, owner)
	if err != nil {
		return err
	}
	return d.Read(ctx, tenant, f)
}

// logs are the last words of every child, for the report of a failure.
func (s *site) logs() string {
	var b strings.Builder
	add := func(c *child) {
		if c != nil {
			fmt.Fprintf(&b, "---- %s ----\n%s\n", c.name, c.log)
		}
	}
	for _, p := range s.procs {
		add(p.child)
	}
	add(s.broker)
	add(s.pay)
	if s.cluster != nil {
		add(s.cluster.server)
	}
	return b.String()
}

// close ends everything, the doors first.
func (s *site) close() error {
	var errs []error
	for _, p := range s.procs {
		if p.child != nil {
			p.kill()
		}
	}
	for _, c := range []*child{s.broker, s.pay} {
		if c != nil {
			errs = append(errs, c.stop(syscall.SIGTERM))
		}
	}
	if s.endSims != nil {
		s.endSims()
	}
	if s.cluster != nil {
		errs = append(errs, s.cluster.close())
	}
	return errors.Join(errs...)
}
