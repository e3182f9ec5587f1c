package booking

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"xinglin/internal/platform/db"
)

// variant is a way to take a seat on an engine.
type variant struct {
	Peer   string    // as schedulingsvc knows it; "" is the product
	Engine db.Engine // whose database the server reads and writes
}

// The ways. Echo answers a fixed appointment after the same middleware, the same
// decoding and the same look at the patient; memory keeps seats and appointments in
// the process.
const (
	product       = "product"
	echo          = "echo"
	memory        = "memory"
	rowLock       = "row-lock"
	conditional   = "conditional"
	statement     = "statement"
	redisRows     = "redis"
	redisCombined = "redis-combined"
)

// Ways are all of them, the slowest last.
var Ways = []string{product, echo, memory, redisCombined, redisRows, statement, conditional, rowLock}

// name is short, for tables.
func (v variant) name() string {
	return v.Peer + "/" + map[db.Engine]string{db.Postgres: "pg", db.SQLite: "sqlite"}[v.Engine]
}

// durable reports whether the variant's sales are in the tables.
func (v variant) durable() bool { return v.Peer != echo && v.Peer != memory }

// variants are those of a run: the bounds on both engines, the peers on PostgreSQL.
func variants(ways []string, engines []db.Engine, withRedis bool) (out []variant) {
	for _, w := range ways {
		for _, e := range engines {
			onBoth := w == product || w == echo || w == memory
			isRedis := w == redisRows || w == redisCombined
			if (onBoth || e == db.Postgres) && (!isRedis || withRedis) {
				out = append(out, variant{w, e})
			}
		}
	}
	return out
}

// server is a running variant.
type server struct {
	variant
	*child
	address string
	store   *store
}

// Serving are the flags of the hidden command that a server is.
type Serving struct {
	Peer   string
	Dir    string // of an embedded installation
	DSN    string
	Keys   string
	NATS   string
	Redis  string
	Slow   time.Duration
	Relays bool
}

func (s Serving) args(public, private string) []string {
	out := []string{"bench", "serve", "--listen", public, "--private", private, "--peer", s.Peer}
	for _, f := range [][2]string{{"--data", s.Dir}, {"--db", s.DSN}, {"--keys", s.Keys}, {"--nats", s.NATS}, {"--redis", s.Redis}} {
		if f[1] != "" {
			out = append(out, f[0], f[1])
		}
	}
	if s.Slow > 0 {
		out = append(out, "--slow", s.Slow.String())
	}
	if s.Relays {
		out = append(out, "--machines")
	}
	return out
}

const readyTime = time.Minute

// startServer starts a variant and waits until it is ready. It ends when its standard
// input does, so with this process in any case.
func startServer(ctx context.Context, v variant, s Serving, st *store) (*server, error) {
	public, err := freePort()
	if err != nil {
		return nil, err
	}
	private, err := freePort()
	if err != nil {
		return nil, err
	}
	out := &server{variant: v, store: st, address: fmt.Sprintf("127.0.0.1:%d", public)}
	cmd := exec.Command(self(), s.args(out.address, fmt.Sprintf("127.0.0.1:%d", private))...)
	cmd.Env = append(plainEnv(), "GOGC=400")
	cmd.SysProcAttr = withParent(syscall.SIGTERM, nil)
	if _, err := cmd.StdinPipe(); err != nil { // open as long as we live
		return nil, err
	}
	r, w := io.Pipe()
	cmd.Stdout = w
	if out.child, err = startChild(v.name(), cmd, syscall.SIGTERM); err != nil {
		return nil, err
	}
	ready := make(chan struct{})
	go func() {
		lines := bufio.NewScanner(r)
		for lines.Scan() {
			if strings.Contains(lines.Text(), " ready on ") {
				close(ready)
				break
			}
		}
		_, _ = io.Copy(io.Discard, r) // a pipe that nobody reads would stop the server
	}()
	select {
	case <-ready:
		return out, nil
	case <-out.done:
		return nil, out.fault("ended before it was ready")
	case <-ctx.Done():
		return nil, errors.Join(ctx.Err(), out.stop())
	case <-time.After(readyTime):
		return nil, errors.Join(out.fault("is not ready"), out.stop())
	}
}

// self is this program.
func self() string {
	p, err := os.Executable()
	if err != nil {
		return os.Args[0]
	}
	return p
}

// startBroker runs `xinglin broker` for the servers on PostgreSQL.
func startBroker(ctx context.Context, dir string) (*child, string, error) {
	port, err := freePort()
	if err != nil {
		return nil, "", err
	}
	address := fmt.Sprintf("127.0.0.1:%d", port)
	cmd := exec.Command(self(), "broker", "--listen", address, "--data", dir)
	cmd.Env = plainEnv()
	cmd.SysProcAttr = withParent(syscall.SIGTERM, nil)
	c, err := startChild("broker", cmd, syscall.SIGTERM)
	if err != nil {
		return nil, "", err
	}
	ctx, cancel := context.WithTimeout(ctx, readyTime)
	defer cancel()
	if err := c.accepts(ctx, address); err != nil {
		return nil, "", errors.Join(err, c.stop())
	}
	return c, "nats://" + address, nil
}

// copyDir copies an installation's folder that nobody has open.
func copyDir(from, to string) error {
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		return err
	}
	return os.Chmod(filepath.Join(to, "keys", "root"), 0o600) // copies are made readable to all
}
