package pgcluster

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// asProcess makes this test binary start a cluster, say where, and wait to be killed.
const asProcess = "PGCLUSTER_TEST_PROCESS"

func TestMain(m *testing.M) {
	if os.Getenv(asProcess) != "" {
		c, err := Start(context.Background())
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		fmt.Println(c)
		bufio.NewReader(os.Stdin).ReadString('\n') // until we are killed or our parent is gone
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func value[T any](t *testing.T, dsn, query string) (v T) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if err := conn.QueryRow(t.Context(), query).Scan(&v); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return v
}

func exec1(ctx context.Context, dsn, query string) error {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, query)
	return errors.Join(err, conn.Close(ctx))
}

// vanishes waits until the folder is gone.
func vanishes(t *testing.T, dir string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), stopWait)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		if _, err := os.Stat(dir); errors.Is(err, os.ErrNotExist) {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s is still there", dir)
		case <-tick.C:
		}
	}
}

func TestStartAndStop(t *testing.T) {
	t.Parallel()
	c, err := Start(t.Context(), WithFsync())
	if err != nil {
		t.Fatal(err)
	}
	if got := value[string](t, c.SuperDSN(), "SHOW fsync"); got != "on" {
		t.Errorf("fsync = %s with WithFsync", got)
	}
	if err := c.Stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(c.host); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("after Stop the folder is still there: %v", err)
	}
	if err := c.Stop(); err != nil {
		t.Errorf("second Stop: %v", err)
	}
}

func TestKilledProcessLeavesNothing(t *testing.T) {
	t.Parallel()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), asProcess+"=1")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("the process did not start a cluster: %v", err)
	}
	c, err := Attach(line)
	if err != nil {
		t.Fatal(err)
	}
	if got := value[int](t, c.SuperDSN(), "SELECT 42"); got != 42 {
		t.Fatalf("the cluster answers %d", got)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil {
		t.Fatal("the process was not killed")
	}
	vanishes(t, c.host)
	if err := exec1(t.Context(), c.SuperDSN(), "SELECT 1"); err == nil {
		t.Error("the server still answers")
	}
}

func TestRoles(t *testing.T) {
	t.Parallel()
	c := For(t)
	db := c.NewDatabase(t, "")
	for _, tc := range []struct{ name, dsn, query, want string }{
		{"migrate is itself", c.MigrateDSN(db), "SELECT current_user::text", Migrate},
		{"app is itself", c.AppDSN(db), "SELECT current_user::text", App},
		{"migrate owns the database", c.MigrateDSN(db), "SELECT pg_get_userbyid(datdba)::text FROM pg_database WHERE datname = current_database()", Migrate},
		{"nobody is a superuser or passes row security", c.SuperDSN(), "SELECT count(*)::text FROM pg_roles WHERE rolname LIKE 'xinglin%' AND (rolsuper OR rolbypassrls)", "0"},
		{"app inherits nothing", c.SuperDSN(), "SELECT rolinherit::text FROM pg_roles WHERE rolname = 'xinglin_app'", "false"},
		{"many connections", c.SuperDSN(), "SHOW max_connections", "300"},
		{"times are UTC", c.AppDSN(db), "SHOW timezone", "UTC"},
		{"encoding", c.AppDSN(db), "SHOW server_encoding", "UTF8"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := value[string](t, tc.dsn, tc.query); got != tc.want {
				t.Errorf("%s = %s, want %s", tc.query, got, tc.want)
			}
		})
	}
	t.Run("app makes no table", func(t *testing.T) {
		if err := exec1(t.Context(), c.AppDSN(db), "CREATE TABLE x (i int)"); err == nil {
			t.Error("the login role created a table in a database of xinglin_migrate")
		}
	})
	t.Run("superuser only through the socket", func(t *testing.T) {
		if err := exec1(t.Context(), c.dsn(Superuser, "postgres"), "SELECT 1"); err == nil {
			t.Error("the superuser came in over TCP")
		}
	})
	t.Run("migrate makes roles for app", func(t *testing.T) {
		role := "ctx_" + db
		for _, q := range []string{"CREATE ROLE " + role + " NOLOGIN", "GRANT " + role + " TO " + App} {
			if err := exec1(t.Context(), c.MigrateDSN(db), q); err != nil {
				t.Fatal(err)
			}
		}
		if err := exec1(t.Context(), c.AppDSN(db), "SET ROLE "+role); err != nil {
			t.Error(err)
		}
	})
}

func TestTemplateIsBuiltOnce(t *testing.T) {
	t.Parallel()
	c := For(t)
	name := c.NewDatabase(t, "") // a fresh name, whatever earlier runs left in the cluster
	var built atomic.Int32
	build := func(dsn string) error {
		built.Add(1)
		return exec1(t.Context(), dsn, "CREATE TABLE seen (who text); INSERT INTO seen VALUES (current_user)")
	}
	var all sync.WaitGroup
	dbs := make([]string, 8)
	for i := range dbs {
		all.Go(func() {
			db, err := c.Template(t.Context(), name, "v1", build)
			if err != nil {
				t.Error(err)
			}
			dbs[i] = db
		})
	}
	all.Wait()
	if built.Load() != 1 {
		t.Errorf("built %d times by 8 callers", built.Load())
	}
	for _, db := range dbs {
		if db != dbs[0] {
			t.Errorf("names differ: %v", dbs)
		}
	}
	a, b := c.NewDatabase(t, dbs[0]), c.NewDatabase(t, dbs[0])
	if err := exec1(t.Context(), c.MigrateDSN(a), "DELETE FROM seen"); err != nil {
		t.Fatal(err)
	}
	if got := value[string](t, c.MigrateDSN(b), "SELECT who FROM seen"); got != Migrate {
		t.Errorf("the copy holds %q", got)
	}
	if _, err := c.Template(t.Context(), name, "v2", build); err != nil || built.Load() != 2 {
		t.Errorf("another version: built %d times, %v", built.Load(), err)
	}
}

func TestFailedTemplateIsBuiltAgain(t *testing.T) {
	t.Parallel()
	c := For(t)
	name := c.NewDatabase(t, "")
	broken := errors.New("broken migration")
	if _, err := c.Template(t.Context(), name, "v1", func(dsn string) error {
		return errors.Join(exec1(t.Context(), dsn, "CREATE TABLE half (i int)"), broken)
	}); !errors.Is(err, broken) {
		t.Fatalf("err = %v", err)
	}
	db, err := c.Template(t.Context(), name, "v1", func(dsn string) error {
		return exec1(t.Context(), dsn, "CREATE TABLE half (i int)")
	})
	if err != nil {
		t.Fatal(err)
	}
	if n := value[int](t, c.MigrateDSN(c.NewDatabase(t, db)), "SELECT count(*) FROM half"); n != 0 {
		t.Errorf("%d rows", n)
	}
}

func TestNewDatabaseIsDropped(t *testing.T) {
	t.Parallel()
	c := For(t)
	db, drop, err := c.CreateDatabase(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	open, err := pgx.Connect(t.Context(), c.AppDSN(db))
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close(context.Background())
	if err := drop(); err != nil {
		t.Fatalf("with an open connection: %v", err)
	}
	if n := value[int](t, c.SuperDSN(), "SELECT count(*) FROM pg_database WHERE datname = '"+db+"'"); n != 0 {
		t.Error("the database is still there")
	}
}

func TestAttach(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ in, want, fault string }{
		{in: "host=/tmp/a port=5432", want: "host=/tmp/a port=5432"},
		{in: " port=1  host=/x\n", want: "host=/x port=1"},
		{in: "host=/tmp/a", fault: `want "host=SOCKETDIR port=N"`},
		{in: "host=/tmp/a port=http", fault: "not a number"},
		{in: "host=/tmp/a port=70000", fault: "not a number"},
		{in: "host=/tmp/a port=1 user=me", fault: `unknown word "user=me"`},
	} {
		c, err := Attach(tc.in)
		switch {
		case tc.fault != "":
			if err == nil || !strings.Contains(err.Error(), tc.fault) {
				t.Errorf("%q: %v, want %s", tc.in, err, tc.fault)
			}
		case err != nil || c.String() != tc.want:
			t.Errorf("%q: %v, %v", tc.in, c, err)
		case c.Stop() != nil:
			t.Errorf("%q: Stop on a foreign cluster", tc.in)
		}
	}
}

func TestBinaries(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	if _, err := binaries(root); err == nil || !strings.Contains(err.Error(), "apt-get install -y postgresql") {
		t.Errorf("without PostgreSQL: %v", err)
	}
	for _, v := range []string{"9", "15", "16", "old"} {
		bin := filepath.Join(root, v, "bin")
		if err := os.MkdirAll(bin, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(bin, "initdb"), nil, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := binaries(root); err != nil || got != filepath.Join(root, "16", "bin") {
		t.Errorf("newest = %s, %v", got, err)
	}
}
