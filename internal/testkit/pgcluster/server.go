package pgcluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// watchdog holds the server. $1 is the cluster's folder, the rest the server's command
// line, descriptor 3 the pipe of the test process: its end means stop the server and
// remove the folder, a line in it means let go and keep the folder.
const watchdog = `dir=$1; shift
"$@" 3<&- </dev/null &
pg=$!
stop=
trap 'stop=1; kill -QUIT "$pg" 2>/dev/null' TERM
( read -r _ <&3 || kill -TERM $$ 2>/dev/null || rm -rf "$dir" ) &
exec 3<&-
code=0
while :; do wait "$pg"; code=$?; kill -0 "$pg" 2>/dev/null || break; done
[ -z "$stop" ] || rm -rf "$dir"
exit "$code"
`

// boot makes the data and starts the server, on another port if the first was taken
// between choosing and listening.
func boot(ctx context.Context, bin, dir string, cred *syscall.Credential, o options) (*Cluster, error) {
	data := filepath.Join(dir, "data")
	initdb := exec.CommandContext(ctx, filepath.Join(bin, "initdb"), "-D", data, "-U", Superuser,
		"--encoding=UTF8", "--locale=C", "--auth=trust", "--no-sync", "--no-instructions")
	initdb.Dir = dir
	initdb.Env = environment()
	initdb.SysProcAttr = &syscall.SysProcAttr{Credential: cred}
	if out, err := initdb.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("pgcluster: initdb: %w\n%s", err, out)
	}
	// The file exists and keeps its owner: the server must be able to read it.
	hba := fmt.Sprintf("local all all trust\nhost all %s,%s 127.0.0.1/32 trust\n", Migrate, App)
	if o.tls != nil {
		hba = fmt.Sprintf("local all all trust\nhostssl all %s,%s 127.0.0.1/32 trust clientcert=verify-ca\n", Migrate, App)
	}
	if err := errors.Join(os.WriteFile(filepath.Join(data, "pg_hba.conf"), []byte(hba), 0o600), certificates(data, cred, o.tls)); err != nil {
		return nil, fmt.Errorf("pgcluster: %w", err)
	}
	var last error
	for range portTries {
		c, err := launch(ctx, bin, dir, cred, o)
		if err == nil {
			return c, nil
		}
		if last = err; ctx.Err() != nil {
			break
		}
	}
	return nil, last
}

// certificates writes the files that settings names.
func certificates(data string, cred *syscall.Credential, t *TLS) error {
	if t == nil {
		return nil
	}
	for name, b := range map[string][]byte{"server.pem": t.Cert, "server.key": t.Key, "ca.pem": t.CA} {
		path := filepath.Join(data, name)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			return err
		}
		if cred != nil {
			if err := os.Chown(path, int(cred.Uid), int(cred.Gid)); err != nil {
				return err
			}
		}
	}
	return nil
}

// launch starts the server under its watchdog and waits until it answers.
func launch(ctx context.Context, bin, dir string, cred *syscall.Credential, o options) (*Cluster, error) {
	port, err := freePort(ctx)
	if err != nil {
		return nil, err
	}
	logName := filepath.Join(dir, "server.log")
	log, err := os.Create(logName)
	if err != nil {
		return nil, fmt.Errorf("pgcluster: %w", err)
	}
	defer log.Close() // the child has its own descriptor
	held, alive, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("pgcluster: %w", err)
	}
	defer held.Close() // likewise
	args := append([]string{"-c", watchdog, "sh", dir, filepath.Join(bin, "postgres")}, settings(dir, port, o)...)
	cmd := exec.Command("/bin/sh", args...) // outlives ctx: Stop or the end of this process ends it
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = dir, environment(), log, log
	cmd.ExtraFiles = []*os.File{held}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: cred, Setsid: true} // a terminal's ^C reaches the tests, not the server
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("pgcluster: %w", err), alive.Close())
	}
	c := &Cluster{host: dir, port: port, alive: alive, gone: make(chan struct{})}
	var exit error
	go func() {
		exit = cmd.Wait()
		close(c.gone)
	}()
	err = c.answers(ctx)
	if err == nil {
		return c, nil
	}
	select {
	case <-c.gone: // it ended by itself, perhaps another process took the port: keep the data for the next try
		_, werr := alive.WriteString("keep\n")
		err = errors.Join(exit, werr, alive.Close())
	default:
		err = errors.Join(err, c.Stop())
	}
	text, _ := os.ReadFile(logName) // best effort: it is only there to explain err
	return nil, fmt.Errorf("pgcluster: the server did not start: %w\n%s", err, text)
}

// settings is the server's command line.
func settings(dir string, port int, o options) []string {
	durable := "off"
	if o.fsync {
		durable = "on"
	}
	out := []string{"-D", filepath.Join(dir, "data"), "-p", strconv.Itoa(port), "-h", "127.0.0.1", "-k", dir}
	if o.tls != nil {
		out = append(out, "-c", "ssl=on", "-c", "ssl_cert_file=server.pem", "-c", "ssl_key_file=server.key", "-c", "ssl_ca_file=ca.pem",
			"-c", "ssl_min_protocol_version=TLSv1.3")
	}
	for _, s := range []string{
		"max_connections=300", "shared_buffers=128MB", "max_locks_per_transaction=256",
		"fsync=" + durable, "full_page_writes=" + durable,
		"timezone=UTC", "log_timezone=UTC", "logging_collector=off",
	} {
		out = append(out, "-c", s)
	}
	return out
}

// environment is what the server's processes see: nothing of the caller's PG* settings.
func environment() []string {
	return []string{"PATH=/usr/local/bin:/usr/bin:/bin", "LC_ALL=C"}
}

func freePort(ctx context.Context) (int, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp4", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("pgcluster: %w", err)
	}
	return l.Addr().(*net.TCPAddr).Port, l.Close()
}

// answers waits until the server accepts a connection, ends, or ctx does.
func (c *Cluster) answers(ctx context.Context) error {
	tick := time.NewTicker(25 * time.Millisecond)
	defer tick.Stop()
	for {
		conn, err := pgx.Connect(ctx, c.SuperDSN())
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-c.gone:
			return errors.New("the server ended")
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-tick.C:
		}
	}
}

// roles makes the login roles.
func (c *Cluster) roles(ctx context.Context) error {
	for _, q := range []string{
		"CREATE ROLE " + Migrate + " LOGIN CREATEROLE CREATEDB NOSUPERUSER NOBYPASSRLS",
		"CREATE ROLE " + App + " LOGIN NOINHERIT NOSUPERUSER NOBYPASSRLS NOCREATEROLE NOCREATEDB",
	} {
		if err := c.super(ctx, "postgres", q); err != nil {
			return err
		}
	}
	return nil
}

// super runs one statement as the superuser, outside a transaction.
func (c *Cluster) super(ctx context.Context, db, query string) error {
	conn, err := pgx.Connect(ctx, c.superDSN(db))
	if err != nil {
		return fmt.Errorf("pgcluster: %w", err)
	}
	_, err = conn.Exec(ctx, query)
	if err != nil {
		err = fmt.Errorf("pgcluster: %s: %w", query, err)
	}
	return errors.Join(err, conn.Close(ctx))
}
