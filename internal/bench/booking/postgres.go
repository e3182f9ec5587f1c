package booking

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"xinglin/internal/app"
)

// The cluster's roles and database, as `xinglin migrate` and `xinglin serve` want them.
const (
	roleMigrate = "xinglin_migrate"
	roleApp     = "xinglin_app"
	database    = "xinglin"
)

const (
	startTime = 2 * time.Minute
	stopTime  = 30 * time.Second
)

// settings of the cluster beside PostgreSQL's defaults: durable, with a cache for 10
// million bookings and without a checkpoint within a segment.
var settings = []string{
	"fsync=on", "synchronous_commit=on", "full_page_writes=on",
	"max_connections=300", "shared_buffers=1GB", "max_wal_size=8GB", "checkpoint_timeout=30min", "timezone=UTC", "logging_collector=off",
}

// postgres is a cluster of the bench's own.
type postgres struct {
	*child
	bin     string
	port    int
	version string
}

func (p *postgres) dsn(role string) string {
	return fmt.Sprintf("postgres://%s@127.0.0.1:%d/%s?sslmode=disable", role, p.port, database)
}

// startPostgres makes and starts a cluster in dir and brings it to the product's schema.
func startPostgres(ctx context.Context, dir string) (*postgres, error) {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	cred, err := unprivileged()
	if err != nil {
		return nil, err
	}
	p := &postgres{}
	if p.bin, err = newestPostgres("/usr/lib/postgresql"); err != nil {
		return nil, err
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	if cred != nil {
		if err := os.Chown(dir, int(cred.Uid), int(cred.Gid)); err != nil {
			return nil, err
		}
	}
	if err := p.make(ctx, dir, cred); err != nil {
		return nil, err
	}
	if p.port, err = freePort(); err != nil {
		return nil, err
	}
	args := []string{"-D", filepath.Join(dir, "data"), "-p", strconv.Itoa(p.port), "-h", "127.0.0.1", "-k", dir}
	for _, s := range settings {
		args = append(args, "-c", s)
	}
	cmd := exec.Command(filepath.Join(p.bin, "postgres"), args...)
	cmd.Dir, cmd.Env = dir, plainEnv()
	cmd.SysProcAttr = withParent(syscall.SIGQUIT, cred)
	if p.child, err = startChild("postgres", cmd, syscall.SIGINT); err != nil {
		return nil, err
	}
	if err := p.migrate(ctx); err != nil {
		return nil, errors.Join(err, p.stop())
	}
	return p, nil
}

// make fills the folder. Before the server listens its roles are made in single-user
// mode: nobody needs the superuser later, and nobody can be it.
func (p *postgres) make(ctx context.Context, dir string, cred *syscall.Credential) error {
	data := filepath.Join(dir, "data")
	run := func(in string, name string, args ...string) error {
		cmd := exec.CommandContext(ctx, filepath.Join(p.bin, name), args...)
		cmd.Dir, cmd.Env = dir, plainEnv()
		cmd.Stdin = strings.NewReader(in)
		cmd.SysProcAttr = withParent(syscall.SIGKILL, cred)
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w\n%s", name, err, out)
		}
		return nil
	}
	if err := run("", "initdb", "-D", data, "-U", "postgres", "--encoding=UTF8", "--locale=C", "--auth=trust", "--no-sync", "--no-instructions"); err != nil {
		return err
	}
	roles := strings.Join([]string{
		"CREATE ROLE " + roleMigrate + " LOGIN CREATEROLE NOSUPERUSER NOBYPASSRLS;",
		"CREATE ROLE " + roleApp + " LOGIN NOINHERIT NOSUPERUSER NOBYPASSRLS NOCREATEROLE NOCREATEDB;",
		"CREATE DATABASE " + database + " OWNER " + roleMigrate + ";", "",
	}, "\n")
	if err := run(roles, "postgres", "--single", "-D", data, "postgres"); err != nil {
		return err
	}
	b, err := os.ReadFile(filepath.Join(data, "PG_VERSION"))
	if err != nil {
		return err
	}
	p.version = strings.TrimSpace(string(b))
	hba := fmt.Sprintf("host %s %s,%s 127.0.0.1/32 trust\n", database, roleMigrate, roleApp)
	return os.WriteFile(filepath.Join(data, "pg_hba.conf"), []byte(hba), 0o600)
}

// migrate brings the schema as soon as the server lets somebody in.
func (p *postgres) migrate(ctx context.Context) error {
	if err := p.accepts(ctx, fmt.Sprintf("127.0.0.1:%d", p.port)); err != nil {
		return err
	}
	for {
		err := app.MigratePostgres(ctx, p.dsn(roleMigrate), roleApp)
		if err == nil || !strings.Contains(err.Error(), "starting up") {
			return err
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// analyze lets PostgreSQL count its rows, as it would have long before 8:00.
func (p *postgres) analyze(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, filepath.Join(p.bin, "vacuumdb"), "--analyze", "-h", "127.0.0.1", "-p", strconv.Itoa(p.port), "-U", roleMigrate, database)
	cmd.Env = plainEnv()
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("vacuumdb: %w\n%s", err, out)
	}
	return nil
}

func plainEnv() []string { return []string{"PATH=/usr/local/bin:/usr/bin:/bin", "LC_ALL=C"} }

// newestPostgres finds the programs of the newest version.
func newestPostgres(root string) (string, error) {
	found, _ := filepath.Glob(filepath.Join(root, "*", "bin", "initdb")) // the pattern is well formed
	if len(found) == 0 {
		return "", fmt.Errorf("no PostgreSQL under %s; type: sh scripts/need.sh postgresql", root)
	}
	version := func(path string) int {
		n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path))))
		return n
	}
	return filepath.Dir(slices.MaxFunc(found, func(a, b string) int { return version(a) - version(b) })), nil
}

// unprivileged is the user that PostgreSQL runs as: it refuses root. Nil means ourselves.
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
	return nil, errors.New("PostgreSQL refuses to run as root and there is no user postgres or nobody")
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// redis is the server of the Redis peer: each command is in its log and synced before
// the answer.
type redis struct {
	*child
	socket  string
	version string
}

// errNoRedis says that the peer is left out.
var errNoRedis = errors.New("there is no redis-server: the Redis peers are LEFT OUT; type: sh scripts/need.sh redis")

func startRedis(ctx context.Context, dir string) (*redis, error) {
	bin, err := exec.LookPath("redis-server")
	if err != nil {
		return nil, errNoRedis
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	r := &redis{socket: filepath.Join(dir, "s")}
	if out, err := exec.CommandContext(ctx, bin, "--version").Output(); err == nil {
		if _, v, ok := bytes.Cut(out, []byte("v=")); ok {
			r.version = strings.Fields(string(v))[0]
		}
	}
	cmd := exec.Command(bin, "--port", "0", "--unixsocket", r.socket, "--unixsocketperm", "700", "--dir", dir,
		"--appendonly", "yes", "--appendfsync", "always", "--no-appendfsync-on-rewrite", "no", "--save", "")
	cmd.Dir, cmd.Env = dir, plainEnv()
	cmd.SysProcAttr = withParent(syscall.SIGKILL, nil)
	if r.child, err = startChild("redis", cmd, syscall.SIGTERM); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	if err := r.acceptsOn(ctx, "unix", r.socket); err != nil {
		return nil, errors.Join(err, r.stop())
	}
	return r, nil
}
