// Package pgcluster gives tests a real PostgreSQL: one throwaway cluster a run, with
// the two login roles of the product, templates that are migrated once and databases
// that are copied from them.
//
// `make test` starts one cluster for the whole run and names it in XINGLIN_TEST_PG;
// a package that is tested alone starts its own on first use. PostgreSQL refuses to
// run as root, so root hands it to an unprivileged user. A watchdog shell holds the
// server: it waits for the end of a pipe that only the test process can write, so the
// server stops and its files go however that process ends, kill -9 included.
//
// The superuser is reachable through the Unix socket only and is for this package:
// tests connect as xinglin_migrate or xinglin_app, so row-level security is always on.
package pgcluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Env names a running cluster for test processes: "host=SOCKETDIR port=N".
const Env = "XINGLIN_TEST_PG"

// The roles of a cluster. Migrate owns the databases and may make roles; App is the
// login role of serve, owns nothing and inherits nothing.
const (
	Superuser = "postgres"
	Migrate   = "xinglin_migrate"
	App       = "xinglin_app"
)

const (
	startWait = 90 * time.Second
	stopWait  = 30 * time.Second
	portTries = 4
)

// Cluster is a running PostgreSQL.
type Cluster struct {
	host string // directory of the Unix socket, also the folder that holds the data
	port int

	mu    sync.Mutex // guards alive
	alive io.Closer  // the watchdog's pipe; nil when another process owns the cluster
	gone  chan struct{}
}

// Option changes how a cluster starts.
type Option func(*options)

type options struct {
	fsync bool
	tls   *TLS
}

// TLS are the files of a cluster that takes TLS 1.3 with certificates of an authority only, as PEM.
type TLS struct{ Cert, Key, CA []byte }

// WithTLS makes a cluster refuse plain connections over TCP, and those without a certificate.
func WithTLS(t TLS) Option { return func(o *options) { o.tls = &t } }

// WithFsync makes commits durable against power loss, for tests that kill the server.
// Without it a cluster trades that for speed.
func WithFsync() Option { return func(o *options) { o.fsync = true } }

// Start runs a new cluster on 127.0.0.1 and a Unix socket, at most 90 s long.
func Start(ctx context.Context, opts ...Option) (*Cluster, error) {
	var o options
	for _, f := range opts {
		f(&o)
	}
	ctx, cancel := context.WithTimeout(ctx, startWait)
	defer cancel()
	bin, err := binaries("/usr/lib/postgresql")
	if err != nil {
		return nil, err
	}
	cred, err := unprivileged()
	if err != nil {
		return nil, err
	}
	dir, err := folder(cred)
	if err != nil {
		return nil, err
	}
	c, err := boot(ctx, bin, dir, cred, o)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	if err := c.roles(ctx); err != nil {
		return nil, errors.Join(err, c.Stop())
	}
	return c, nil
}

// Stop ends the server and removes its files. It does nothing on a cluster that
// another process started. Calling it again is harmless.
func (c *Cluster) Stop() error {
	c.mu.Lock()
	alive := c.alive
	c.alive = nil
	c.mu.Unlock()
	if alive == nil {
		return nil
	}
	err := alive.Close()
	select {
	case <-c.gone:
		return err
	case <-time.After(stopWait):
		return errors.Join(err, fmt.Errorf("pgcluster: the server in %s did not stop within %s", c.host, stopWait))
	}
}

// String describes the cluster in the form of XINGLIN_TEST_PG.
func (c *Cluster) String() string { return fmt.Sprintf("host=%s port=%d", c.host, c.port) }

// Addr is the TCP address, for tests that put a proxy before the server.
func (c *Cluster) Addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(c.port)) }

// SuperDSN is the superuser on the maintenance database, through the socket. Only
// tests about roles themselves need it.
func (c *Cluster) SuperDSN() string { return c.superDSN("postgres") }

func (c *Cluster) superDSN(db string) string {
	return fmt.Sprintf("host=%s port=%d user=%s dbname=%s sslmode=disable", c.host, c.port, Superuser, db)
}

// MigrateDSN is the migration role on the database, over TCP.
func (c *Cluster) MigrateDSN(db string) string { return c.dsn(Migrate, db) }

// AppDSN is the login role of serve on the database, over TCP.
func (c *Cluster) AppDSN(db string) string { return c.dsn(App, db) }

func (c *Cluster) dsn(role, db string) string {
	return fmt.Sprintf("postgres://%s@%s/%s?sslmode=disable", role, c.Addr(), db)
}

// Attach finds the cluster that a description in the form of String names.
func Attach(description string) (*Cluster, error) {
	c := &Cluster{}
	for _, part := range strings.Fields(description) {
		key, value, _ := strings.Cut(part, "=")
		switch key {
		case "host":
			c.host = value
		case "port":
			n, err := strconv.ParseUint(value, 10, 16)
			if err != nil {
				return nil, fmt.Errorf("pgcluster: port %q in %s is not a number", value, Env)
			}
			c.port = int(n)
		default:
			return nil, fmt.Errorf("pgcluster: %s has the unknown word %q; want \"host=SOCKETDIR port=N\"", Env, part)
		}
	}
	if c.host == "" || c.port == 0 {
		return nil, fmt.Errorf("pgcluster: %s is %q; want \"host=SOCKETDIR port=N\"", Env, description)
	}
	return c, nil
}

var shared = sync.OnceValues(func() (*Cluster, error) {
	if d := os.Getenv(Env); d != "" {
		return Attach(d)
	}
	return Start(context.Background())
})

// Shared is the cluster of this process: the run's one, or an own one that ends with
// the process.
func Shared() (*Cluster, error) { return shared() }

// For is Shared for a test, which fails with the command to type when there is none.
func For(t testing.TB) *Cluster {
	t.Helper()
	c, err := Shared()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// binaries finds the newest PostgreSQL under root.
func binaries(root string) (string, error) {
	found, _ := filepath.Glob(filepath.Join(root, "*", "bin", "initdb")) // the pattern is constant and well formed
	version := func(path string) int {
		n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path)))) // 0 for odd folders: tried last
		return n
	}
	sort.Slice(found, func(i, j int) bool { return version(found[i]) > version(found[j]) })
	if len(found) == 0 {
		sudo := "sudo "
		if os.Geteuid() == 0 {
			sudo = ""
		}
		return "", fmt.Errorf("pgcluster: no PostgreSQL under %s; type: %sapt-get install -y postgresql", root, sudo)
	}
	return filepath.Dir(found[0]), nil
}

// unprivileged is the user that the server runs as: nil means ourselves.
func unprivileged() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
		gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
		if err1 == nil && err2 == nil && uid != 0 {
			return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
		}
	}
	return nil, errors.New("pgcluster: PostgreSQL refuses to run as root and there is no user postgres or nobody")
}

// folder makes the home of data and socket. It lies in /tmp whatever TMPDIR says: the
// server's user must be able to walk there.
func folder(cred *syscall.Credential) (string, error) {
	dir, err := os.MkdirTemp("/tmp", "xinglin-pg-")
	if err != nil {
		return "", fmt.Errorf("pgcluster: %w", err)
	}
	if cred != nil {
		if err := os.Chown(dir, int(cred.Uid), int(cred.Gid)); err != nil {
			return "", errors.Join(fmt.Errorf("pgcluster: %w", err), os.RemoveAll(dir))
		}
	}
	return dir, nil
}
