package simulate

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"syscall"
)

// The roles of the simulator's own PostgreSQL, as docs/ops/install.md names them.
const (
	superRole   = "postgres"
	migrateRole = "xinglin_migrate"
	loginRole   = "xinglin_app"
	database    = "xinglin"
)

// cluster is the simulator's own PostgreSQL, so that it may be restarted in the middle.
type cluster struct {
	bin, dir string
	attr     *syscall.SysProcAttr
	port     string
	server   *child
}

// newCluster makes and starts one in dir; the installed PostgreSQL is used, fsync is on.
func newCluster(ctx context.Context) (*cluster, error) {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb") // the pattern is constant and well formed
	if len(found) == 0 {
		return nil, ErrNoPostgres.New()
	}
	version := func(path string) int {
		n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path)))) // 0 for odd folders: tried last
		return n
	}
	sort.Slice(found, func(i, j int) bool { return version(found[i]) > version(found[j]) })
	c := &cluster{bin: filepath.Dir(found[0])}
	cred, err := unprivileged()
	if err != nil {
		return nil, err
	}
	// Immediate shutdown, as at the end of a machine, if the simulator dies.
	c.attr = dieWithParent(syscall.SIGQUIT)
	c.attr.Credential = cred
	if c.dir, err = os.MkdirTemp("/tmp", "xinglin-rush-pg-"); err != nil { // the server's user must be able to walk there
		return nil, err
	}
	if err := c.boot(ctx, cred); err != nil {
		return nil, errors.Join(err, c.close())
	}
	return c, nil
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
	return nil, ErrNoPostgres.Because("it refuses to run as root and there is no user postgres or nobody")
}

func (c *cluster) boot(ctx context.Context, cred *syscall.Credential) error {
	if cred != nil {
		if err := os.Chown(c.dir, int(cred.Uid), int(cred.Gid)); err != nil {
			return err
		}
	}
	data := filepath.Join(c.dir, "data")
	_, err := command(ctx, c.attr, filepath.Join(c.bin, "initdb"), "-D", data, "-U", superRole, "--encoding=UTF8", "--locale=C", "--auth=trust", "--no-sync", "--no-instructions")
	if err != nil {
		return err
	}
	// The file exists and keeps its owner: the server must be able to read it.
	hba := fmt.Sprintf("local all all trust\nhost all %s,%s 127.0.0.1/32 trust\n", migrateRole, loginRole)
	if err := os.WriteFile(filepath.Join(data, "pg_hba.conf"), []byte(hba), 0o600); err != nil {
		return err
	}
	address, err := freeAddress(ctx)
	if err != nil {
		return err
	}
	if _, c.port, err = net.SplitHostPort(address); err != nil {
		return err
	}
	if err := c.start(ctx); err != nil {
		return err
	}
	for _, text := range []string{
		"CREATE ROLE " + migrateRole + " LOGIN CREATEROLE CREATEDB NOSUPERUSER NOBYPASSRLS",
		"CREATE ROLE " + loginRole + " LOGIN NOINHERIT NOSUPERUSER NOBYPASSRLS NOCREATEROLE NOCREATEDB",
		"CREATE DATABASE " + database + " OWNER " + migrateRole,
	} {
		if _, err := command(ctx, c.attr, filepath.Join(c.bin, "psql"), "-h", c.dir, "-p", c.port, "-U", superRole, "-d", "postgres", "-v", "ON_ERROR_STOP=1", "-qc", text); err != nil {
			return err
		}
	}
	return nil
}

// start starts the server and waits until it accepts connections.
func (c *cluster) start(ctx context.Context) error {
	args := []string{"-D", filepath.Join(c.dir, "data"), "-p", c.port, "-h", "127.0.0.1", "-k", c.dir}
	for _, s := range []string{"max_connections=200", "shared_buffers=128MB", "max_locks_per_transaction=256", "fsync=on", "timezone=UTC", "log_timezone=UTC", "logging_collector=off"} {
		args = append(args, "-c", s)
	}
	var err error
	if c.server, err = spawn("postgres", filepath.Join(c.bin, "postgres"), c.attr, args...); err != nil {
		return err
	}
	return c.server.await(ctx, "ready", func(ctx context.Context) bool {
		_, err := command(ctx, c.attr, filepath.Join(c.bin, "pg_isready"), "-q", "-h", c.dir, "-p", c.port)
		return err == nil
	})
}

// restart is what `pg_ctl restart -m immediate` does: no checkpoint, every session cut off.
func (c *cluster) restart(ctx context.Context) error {
	if err := c.server.stop(syscall.SIGQUIT); err != nil {
		return err
	}
	return c.start(ctx)
}

func (c *cluster) dsn(role string) string {
	return fmt.Sprintf("postgres://%s@127.0.0.1:%s/%s?sslmode=disable", role, c.port, database)
}

func (c *cluster) close() error {
	var err error
	if c.server != nil {
		err = c.server.stop(syscall.SIGQUIT)
	}
	if !strings.HasPrefix(c.dir, "/tmp/xinglin-rush-pg-") {
		return err
	}
	return errors.Join(err, os.RemoveAll(c.dir))
}
