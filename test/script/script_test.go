// Package script runs the stories in testdata: the real binary, and people in front of
// it (patient, doctor, attacker). The commands are described in testdata/README.md.
package script

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"xinglin/internal/demo/client"
	"xinglin/internal/kernel/clock"
	"xinglin/test/rig"
)

func TestScripts(t *testing.T) {
	rig.Binary(t)
	testscript.Run(t, testscript.Params{
		Dir: "testdata", RequireUniqueNames: true, ContinueOnError: testing.Verbose(),
		Setup: func(e *testscript.Env) error {
			s := &stage{binary: rig.Binary(t), work: e.WorkDir, servers: map[string]*server{}, actors: map[string]*actor{}, tb: t}
			e.Values[stageKey{}] = s
			e.Setenv("WORK", e.WorkDir)
			for n := -2; n <= 14; n++ {
				e.Setenv(dayName(n), rig.InDays(n).String())
			}
			e.Defer(s.end)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"xinglin": xinglin, "serve": serve, "broker": broker, "witness": witness, "kmssim": kmssim, "drain": drain, "kill9": kill9, "pg": postgres,
			"patient": person, "doctor": person, "attacker": person, "expect": expect, "body": body, "header": header, "let": let, "location": location, "said": said, "until": until,
			"channel": channel, "idp": idp, "sql": sql, "stored": stored, "region": region, "tables": tables, "rota": rota, "clinic": clinic, "snapshot": snapshot, "fresh": fresh,
		},
	})
}

// dayName is DAY0, DAY1 ... and DAY_1 for yesterday.
func dayName(n int) string {
	if n < 0 {
		return fmt.Sprintf("DAY_%d", -n)
	}
	return fmt.Sprintf("DAY%d", n)
}

type stageKey struct{}

// stage is one script's world.
type stage struct {
	binary  string
	work    string
	servers map[string]*server
	actors  map[string]*actor
	last    client.Answer
	tb      testing.TB
}

// server is a process on the stage; shift is its --clock.
type server struct {
	*rig.Process
	pay   string // the simulator's address, demo only
	idp   string // that of the simulated identity providers
	shift time.Duration
}

func on(ts *testscript.TestScript) *stage { return ts.Value(stageKey{}).(*stage) }

func (s *stage) end() {
	for _, p := range s.servers {
		p.End()
	}
}

// xinglin ARGS: the program in the foreground.
func xinglin(ts *testscript.TestScript, neg bool, args []string) {
	err := ts.Exec(on(ts).binary, args...)
	if err != nil && !neg {
		ts.Fatalf("xinglin %s: %v", strings.Join(args, " "), err)
	}
	if err == nil && neg {
		ts.Fatalf("xinglin %s succeeded", strings.Join(args, " "))
	}
}

// named takes a leading NAME off the arguments.
func named(args []string) (string, []string) {
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		return args[0], args[1:]
	}
	return "main", args
}

func has(args []string, flag string) bool {
	for _, a := range args {
		if a == flag || strings.HasPrefix(a, flag+"=") {
			return true
		}
	}
	return false
}

func after(args []string, flag string) string {
	for i, a := range args {
		if a == flag && i+1 < len(args) {
			return args[i+1]
		}
	}
	return ""
}

// serve [NAME] FLAGS: `xinglin serve` in the background, on free ports unless they are
// given. `! serve` wants a refusal and keeps what it said.
func serve(ts *testscript.TestScript, neg bool, args []string) {
	s := on(ts)
	name, args := named(args)
	if old := s.servers[name]; old != nil {
		select {
		case <-old.Done():
		default:
			ts.Fatalf("%s is running", name)
		}
	}
	for range 5 {
		p, err := s.spawn(ts, name, args)
		ts.Check(err)
		err = p.Ready(context.Background())
		if err != nil && p.Taken() && !has(args, "--listen") {
			continue
		}
		if neg {
			if err == nil {
				p.End()
				ts.Fatalf("serve %s: it is ready", strings.Join(args, " "))
			}
			fmt.Fprint(ts.Stdout(), p.Log())
			fmt.Fprint(ts.Stderr(), p.Log())
			return
		}
		ts.Check(err)
		s.servers[name] = p
		s.tell(ts, name, p)
		return
	}
	ts.Fatalf("no free port")
}

func (s *stage) spawn(ts *testscript.TestScript, name string, args []string) (*server, error) {
	all, p := []string{"serve"}, &server{}
	listen, private := after(args, "--listen"), after(args, "--private")
	add := func(flag string, have *string) error {
		if *have != "" {
			return nil
		}
		free, err := rig.FreePort()
		*have, all = free, append(all, flag, free)
		return err
	}
	if err := add("--listen", &listen); err != nil {
		return nil, err
	}
	if err := add("--private", &private); err != nil {
		return nil, err
	}
	if has(args, "--demo") {
		if err := add("--demo-pay", &p.pay); err != nil {
			return nil, err
		}
		if err := add("--demo-idp", &p.idp); err != nil {
			return nil, err
		}
	}
	if !has(args, "--log-level") {
		all = append(all, "--log-level", "warn")
	}
	if c := after(args, "--clock"); c != "" {
		if k, err := clock.Parse(c); err == nil {
			p.shift = k.Now().Sub(clock.System{}.Now())
		}
	}
	var err error
	p.Process, err = rig.SpawnIn(ts.MkAbs("."), s.binary, "serve "+name, append(all, args...)...)
	if err == nil {
		p.URL, p.Private = "http://"+listen, "http://"+private
	}
	return p, err
}

// tell puts the addresses and the days of the server's clock into the environment.
func (s *stage) tell(ts *testscript.TestScript, name string, p *server) {
	suffix := ""
	if name != "main" {
		suffix = "_" + name
	}
	ts.Setenv("URL"+suffix, p.URL)
	ts.Setenv("PRIVATE"+suffix, p.Private)
	if p.pay != "" {
		ts.Setenv("PAYSIM"+suffix, "http://"+p.pay)
		ts.Setenv("IDPSIM"+suffix, "http://"+p.idp)
	}
	today := clock.DateOf(clock.System{}.Now().Add(p.shift))
	for n := -2; n <= 14; n++ {
		ts.Setenv(dayName(n), today.Add(n).String())
	}
}

func (s *stage) server(ts *testscript.TestScript, name string) *server {
	p := s.servers[name]
	if p == nil {
		ts.Fatalf("there is no server %s", name)
	}
	return p
}

// drain [NAME] stops a server, which must end cleanly.
func drain(ts *testscript.TestScript, _ bool, args []string) {
	name, _ := named(args)
	ts.Check(on(ts).server(ts, name).Drain())
}

// kill9 [NAME] is kill -9.
func kill9(ts *testscript.TestScript, _ bool, args []string) {
	name, _ := named(args)
	on(ts).server(ts, name).Kill()
}

// broker [NAME] starts `xinglin broker` and sets $NATS.
func broker(ts *testscript.TestScript, _ bool, args []string) {
	s := on(ts)
	name, args := named(args)
	if name == "main" {
		name = "broker"
	}
	address, err := rig.FreePort()
	ts.Check(err)
	p, err := rig.SpawnIn(ts.MkAbs("."), s.binary, name, append([]string{"broker", "--listen", address, "--data", ts.MkAbs(name)}, args...)...)
	ts.Check(err)
	s.servers[name] = &server{Process: p}
	ts.Check(p.Said(context.Background(), "broker ready"))
	ts.Setenv("NATS", "nats://"+address)
}

// witness [NAME] starts `xinglin witness` and sets $WITNESS and $WITNESS_KEY.
func witness(ts *testscript.TestScript, _ bool, args []string) {
	s := on(ts)
	name, args := named(args)
	if name == "main" {
		name = "witness"
	}
	address, err := rig.FreePort()
	ts.Check(err)
	p, err := rig.SpawnIn(ts.MkAbs("."), s.binary, name, append([]string{"witness", "--listen", address, "--key", ts.MkAbs(name + "/key")}, args...)...)
	ts.Check(err)
	s.servers[name] = &server{Process: p}
	const said = "public key "
	ts.Check(p.Said(context.Background(), said))
	_, key, _ := strings.Cut(p.Log(), said)
	ts.Setenv("WITNESS", "http://"+address)
	ts.Setenv("WITNESS_KEY", strings.TrimSpace(key[:min(64, len(key))]))
}

// pg sets $PG to the DSN of a fresh migrated database.
func postgres(ts *testscript.TestScript, _ bool, _ []string) {
	ts.Setenv("PG", rig.Database(on(ts).tb))
}

// snapshot FROM TO copies a folder; an old TO goes.
func snapshot(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: snapshot FROM TO")
	}
	to := ts.MkAbs(args[1])
	ts.Check(os.RemoveAll(to))
	ts.Check(os.CopyFS(to, os.DirFS(ts.MkAbs(args[0]))))
	keys := filepath.Join(to, "keys") // modes matter for secrets
	_ = os.Chmod(keys, 0o700)
}

// kmssim [NAME] starts `xinglin kmssim` with the folder of its name.
func kmssim(ts *testscript.TestScript, _ bool, args []string) {
	s := on(ts)
	name, _ := named(args)
	if name == "main" {
		name = "kmssim"
	}
	p, err := rig.SpawnIn(ts.MkAbs("."), s.binary, name, "kmssim", "--listen", "127.0.0.1:0", "--data", ts.MkAbs(name))
	ts.Check(err)
	s.servers[name] = &server{Process: p}
	ts.Check(p.Said(context.Background(), "kmssim ready"))
}
