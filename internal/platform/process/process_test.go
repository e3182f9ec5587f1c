package process

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/fault"
	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/db"
	"xinglin/internal/testkit/dbtest"
)

var (
	start = time.Date(2026, 3, 2, 1, 0, 0, 0, time.UTC)
	sets  = []db.Set{Set()}
)

func register(t testing.TB, srv *db.Server) *db.DB {
	t.Helper()
	d, err := srv.Context(t.Context(), "process")
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func one(broker, keys string) Process {
	return Process{ID: id.New[Process](start), Version: "test", Modules: "all", Broker: broker, Keys: keys}
}

func TestWhoMayJoin(t *testing.T) {
	clk := clock.NewManual(start)
	for _, tc := range []struct {
		name          string
		first, second Process
		want          *fault.Code
	}{
		{"same broker and keys", one("nats:a", "k"), one("nats:a", "k"), nil},
		{"other keys", one("nats:a", "k"), one("nats:a", "l"), ErrOtherKeys},
		{"embedded joins", one("nats:a", "k"), one(Embedded, "k"), ErrNeedsNATS},
		{"joins an embedded one", one(Embedded, "k"), one("nats:a", "k"), ErrNeedsNATS},
		{"two embedded", one(Embedded, "k"), one(Embedded, "k"), ErrNeedsNATS},
		{"other broker", one("nats:a", "k"), one("nats:b", "k"), ErrOtherBroker},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dbtest.EachDatabase(t, sets, func(t *testing.T, base *dbtest.Database) {
				first, second := register(t, base.Open(t, dbtest.WithClock(clk))), register(t, base.Open(t, dbtest.WithClock(clk)))
				// the second one's id is the older one: clocks of machines differ, the register decides
				tc.first.ID, tc.second.ID = max2(tc.first.ID, tc.second.ID)
				leave, err := Register(t.Context(), first, tc.first)
				if err != nil {
					t.Fatal(err)
				}
				defer leave()
				leave2, err := Register(t.Context(), second, tc.second)
				if tc.want == nil {
					if err != nil {
						t.Fatal(err)
					}
					want(t, first, tc.first, tc.second)
					leave2()
					leave2()
				} else if !errors.Is(err, tc.want) || leave2 != nil {
					t.Fatalf("%v, want %v", err, tc.want)
				}
				want(t, second, tc.first)
				leave()
				want(t, second)
				leave2, err = Register(t.Context(), second, tc.second) // once the first is gone
				if err != nil {
					t.Fatal(err)
				}
				leave2()
			})
		})
	}
}

func max2(a, b id.ID[Process]) (id.ID[Process], id.ID[Process]) {
	if a.String() > b.String() {
		return a, b
	}
	return b, a
}

func want(t *testing.T, d *db.DB, ps ...Process) {
	t.Helper()
	got, err := List(t.Context(), d)
	if err != nil || len(got) != len(ps) {
		t.Fatalf("%d processes, %v; want %d", len(got), err, len(ps))
	}
	for _, p := range ps {
		found := false
		for _, g := range got {
			found = found || g.ID == p.ID && g.Broker == p.Broker && g.Keys == p.Keys && g.Modules == "all" && !g.Started.IsZero()
		}
		if !found {
			t.Errorf("%v is missing in %v", p.ID, got)
		}
	}
}

// Of many that start at once and exclude each other exactly one stays.
func TestAllAtOnce(t *testing.T) {
	d := dbtest.Make(t, db.Postgres, sets)
	servers := []*db.DB{register(t, d.Open(t)), register(t, d.Open(t))}
	var wg sync.WaitGroup
	var mu sync.Mutex
	stayed := 0
	for i := range 12 {
		wg.Go(func() {
			leave, err := Register(t.Context(), servers[i%2], one(fmt.Sprintf("nats:%d", i), "k"))
			if err != nil {
				if !errors.Is(err, ErrOtherBroker) {
					t.Error(err)
				}
				return
			}
			t.Cleanup(leave)
			mu.Lock()
			stayed++
			mu.Unlock()
		})
	}
	wg.Wait()
	if stayed != 1 {
		t.Errorf("%d stayed", stayed)
	}
}

// A lease that is not renewed ends; who comes back finds the place taken.
// TestSole: who holds the folder's lock need not wait for the lease of a killed process.
func TestSole(t *testing.T) {
	clk := clock.NewManual(time.Date(2026, 3, 2, 1, 0, 0, 0, time.UTC))
	srv := dbtest.Make(t, db.SQLite, sets).Open(t, dbtest.WithClock(clk))
	d := register(t, srv)
	ctx := context.Background()
	killed := Process{ID: id.New[Process](clk.Now()), Broker: Embedded, Keys: "k", Sole: true}
	if err := enter(ctx, d, killed); err != nil {
		t.Fatal(err)
	}
	next := Process{ID: id.New[Process](clk.Now()), Broker: Embedded, Keys: "k", Sole: true}
	if err := enter(ctx, d, next); err != nil {
		t.Fatalf("after a kill: %v", err)
	}
	if ps, err := List(ctx, d); err != nil || len(ps) != 1 || ps[0].ID != next.ID {
		t.Fatalf("%v %v, want the new one alone", ps, err)
	}
}

func TestLeaseEnds(t *testing.T) {
	clk := clock.NewManual(start)
	d := register(t, dbtest.Make(t, db.SQLite, sets).Open(t, dbtest.WithClock(clk)))
	sleeper, next := one(Embedded, "k"), one(Embedded, "k")
	if err := enter(t.Context(), d, sleeper); err != nil {
		t.Fatal(err)
	}
	clk.Add(Lease - time.Second)
	if err := renew(t.Context(), d, sleeper); err != nil {
		t.Fatal(err)
	}
	clk.Add(Lease)
	want(t, d, sleeper) // to the last moment
	if err := enter(t.Context(), d, next); !errors.Is(err, ErrNeedsNATS) {
		t.Fatalf("before the end: %v", err)
	}
	clk.Add(time.Microsecond)
	if err := enter(t.Context(), d, next); err != nil {
		t.Fatalf("after the end: %v", err)
	}
	want(t, d, next)
	if err := renew(t.Context(), d, sleeper); !errors.Is(err, ErrNeedsNATS) {
		t.Errorf("the sleeper awakes: %v", err)
	}
	want(t, d, next)
	if err := remove(t.Context(), d, next.ID); err != nil {
		t.Fatal(err)
	}
	if err := renew(t.Context(), d, sleeper); err != nil {
		t.Errorf("a free place is taken again: %v", err)
	}
	want(t, d, sleeper)
}

// On PostgreSQL the database's clock counts, not the machine's.
func TestLeaseOfTheDatabase(t *testing.T) {
	base := dbtest.Make(t, db.Postgres, sets)
	behind, ahead := clock.NewManual(start), clock.NewManual(start.AddDate(9, 0, 0))
	a, b := register(t, base.Open(t, dbtest.WithClock(behind))), register(t, base.Open(t, dbtest.WithClock(ahead)))
	p := one(Embedded, "k")
	if err := enter(t.Context(), a, p); err != nil {
		t.Fatal(err)
	}
	want(t, b, p)
	if err := enter(t.Context(), b, one(Embedded, "k")); !errors.Is(err, ErrNeedsNATS) {
		t.Errorf("a clock ahead by years: %v", err)
	}
	err := a.Write(t.Context(), nobody, func(ctx context.Context, tx db.Tx) error {
		_, err := tx.Exec(ctx, `UPDATE process SET lease_until = 1 WHERE tenant_id = $1 AND id = $2`, nobody, p.ID)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	want(t, b)
}

const lockEnv = "XINGLIN_TEST_LOCK_DIR"

// TestMain lets the test's binary be the second process.
func TestMain(m *testing.M) {
	dir := os.Getenv(lockEnv)
	if dir == "" {
		os.Exit(m.Run())
	}
	_, err := LockDir(dir)
	fmt.Println(errors.Is(err, ErrDirTaken), err == nil)
	if err == nil {
		_, _ = bufio.NewReader(os.Stdin).ReadString('\n') // until it is killed
	}
	os.Exit(0)
}

func another(t *testing.T, dir string) (says string, kill func()) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), lockEnv+"="+dir)
	in, err1 := cmd.StdinPipe()
	out, err2 := cmd.StdoutPipe()
	if err := errors.Join(err1, err2, cmd.Start()); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	kill = func() {
		_ = cmd.Process.Kill() // kill -9
		_ = cmd.Wait()
		_ = in.Close()
	}
	t.Cleanup(kill)
	return line, kill
}

func TestLockDir(t *testing.T) {
	dir := t.TempDir() + "/new/data"
	release, err := LockDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := LockDir(dir); !errors.Is(err, ErrDirTaken) {
		t.Errorf("twice in one process: %v", err)
	}
	if says, _ := another(t, dir); says != "true false\n" {
		t.Errorf("another process while it is ours: %q", says)
	}
	release()
	says, kill := another(t, dir)
	if says != "false true\n" {
		t.Fatalf("another process when it is free: %q", says)
	}
	if _, err := LockDir(dir); !errors.Is(err, ErrDirTaken) {
		t.Errorf("while the other has it: %v", err)
	}
	kill()
	if release, err = LockDir(dir); err != nil {
		t.Fatalf("after kill -9: %v", err)
	}
	release()
	if err := os.WriteFile(dir+"/file", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := LockDir(dir + "/file"); err == nil || errors.Is(err, ErrDirTaken) {
		t.Errorf("a file in its place: %v", err)
	}
}
