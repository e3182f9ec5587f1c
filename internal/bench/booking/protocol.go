package booking

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"xinglin/internal/app"
	"xinglin/internal/kernel/clock"
	"xinglin/internal/platform/config"
	"xinglin/internal/platform/db"
)

// Options of a run.
type Options struct {
	Parts    []string      // core, hot, size, open
	Ways     []string      // of Ways; the product, echo and memory are always there
	Engines  []db.Engine   // both when empty
	Clients  []int         // closed-loop connections
	Targets  []string      // slot: a named one; any: the session's earliest free
	Rounds   int           // the first is dropped
	Requests int           // of a segment
	Hot      int           // requests of a stampede
	Fee      int64         // of a visit, in fen; 0 books at once
	Wait     time.Duration // for quiet
	Dir      string        // where the folder of the run is made; empty is the system's
	SizeMax  int           // past bookings of the part size at most
	Open     time.Duration // one load of the part open
	Slow     time.Duration // CPU time that slows the server of the last load of the part open
	Relays   bool          // relays, consumers and jobs run beside
	Short    bool          // a minute to try the machinery; no verdicts
	Command  string        // as typed
}

// The parts.
const (
	partCore = "core"
	partHot  = "hot"
	partSize = "size"
	partOpen = "open"
)

// Parts are all parts.
var Parts = []string{partCore, partHot, partSize, partOpen}

// The targets.
const (
	targetSlot = "slot"
	targetAny  = "any"
)

// short makes the smallest run that exercises everything it is asked for.
func (o Options) short() Options {
	if !o.Short {
		return o
	}
	o.Rounds, o.Requests, o.Hot, o.Clients, o.Wait = 2, 200, 400, []int{32}, 0
	o.SizeMax, o.Open = min(o.SizeMax, 20000), time.Second
	return o
}

// arena is a run with everything that it started.
type arena struct {
	opt    Options
	dir    string
	world  *world
	pg     *postgres
	redis  *redis
	broker *child
	nats   string
	pgKeys string
	pgBase *store
	lite   lite

	servers []*server
	report  *Report
	log     io.Writer
	undo    []func()
}

// Run measures. The report is whole also when a gate is missed; an error means that
// there is none. log hears what is being done.
func Run(ctx context.Context, o Options, log io.Writer) (*Report, error) {
	o = o.short()
	a := &arena{opt: o, log: log, report: &Report{
		Command: o.Command, Version: app.Version, Machine: thisMachine(), Short: o.Short, Notes: []string{}, LeftOut: []string{}, Faults: []string{},
	}}
	defer a.close()
	if err := a.folder(); err != nil {
		return nil, err
	}
	if err := a.build(ctx); err != nil {
		return nil, err
	}
	var err error
	a.say("waiting for a quiet machine, at most %s", o.Wait)
	if a.report.Quiet, err = settle(ctx, a.dir, o.Wait); err != nil {
		return nil, err
	}
	a.say("%s", a.report.Quiet)
	a.notes()
	for _, p := range []struct {
		name string
		run  func(context.Context) error
	}{{partCore, a.core}, {partHot, a.hot}, {partSize, a.size}, {partOpen, a.open}} {
		if !slices.Contains(o.Parts, p.name) {
			continue
		}
		if err := p.run(ctx); err != nil {
			return nil, fmt.Errorf("%s: %w", p.name, err)
		}
	}
	return a.report, nil
}

func (a *arena) say(format string, args ...any) { fmt.Fprintf(a.log, format+"\n", args...) }

func (a *arena) later(f func()) { a.undo = append(a.undo, f) }

func (a *arena) close() {
	for _, f := range slices.Backward(a.undo) {
		f()
	}
}

// stopLater ends a child with the run.
func (a *arena) stopLater(c *child) {
	a.later(func() {
		if err := c.stop(); err != nil {
			a.say("%v", err)
		}
	})
}

func (a *arena) folder() error {
	dir, err := os.MkdirTemp(a.opt.Dir, "xinglin-bench-")
	if err != nil {
		return err
	}
	a.dir = dir
	a.later(func() { _ = os.RemoveAll(dir) })
	return os.Chmod(dir, 0o755) // PostgreSQL's user walks through it
}

// notes say what the reader must know of the figures.
func (a *arena) notes() {
	n := &a.report.Notes
	*n = append(*n, fmt.Sprintf("one tenant, %d people with a session each, %d departments, %d practitioners; a fresh day of sessions for each segment", len(a.world.people), departments, practitioners))
	if a.opt.Fee == 0 {
		*n = append(*n, "visits are free: a hold books at once (--fee gives the paid form)")
	} else {
		*n = append(*n, fmt.Sprintf("visits cost %d fen: a hold waits for its payment", a.opt.Fee))
	}
	if !a.opt.Relays {
		*n = append(*n, "relays, consumers and jobs rest (--relays lets them run; xinglin bench relay measures them)")
	}
	*n = append(*n,
		"PostgreSQL with "+fmt.Sprint(settings)+"; SQLite with synchronous=FULL; servers with GOGC=400",
		"redis: Lua with appendfsync always, then the same rows in one statement and transaction a request; redis-combined: the same Lua, then the rows through the product's combined writer")
}

// build makes the databases, seeds them and starts every server.
func (a *arena) build(ctx context.Context) error {
	a.world = newWorld(max(a.opt.Requests, a.opt.Hot))
	if slices.Contains(a.opt.Engines, db.Postgres) {
		if err := a.buildPostgres(ctx); err != nil {
			return err
		}
	}
	var err error
	if a.lite, err = a.buildSQLite(ctx); err != nil {
		return err
	}
	for _, v := range variants(a.ways(), a.opt.Engines, a.redis != nil) {
		s, err := a.start(ctx, v, a.lite, 0)
		if err != nil {
			return err
		}
		a.servers = append(a.servers, s)
	}
	return nil
}

// ways are those that were asked for and those that every ratio needs.
func (a *arena) ways() []string {
	return slices.DeleteFunc(slices.Clone(Ways), func(w string) bool {
		return w != product && w != echo && w != memory && !slices.Contains(a.opt.Ways, w)
	})
}

func (a *arena) buildPostgres(ctx context.Context) (err error) {
	begin := clock.Mono()
	if a.pg, err = startPostgres(ctx, filepath.Join(a.dir, "pg")); err != nil {
		return err
	}
	a.stopLater(a.pg.child)
	a.report.Machine.PostgreSQL = a.pg.version
	if slices.Contains(a.opt.Ways, redisRows) || slices.Contains(a.opt.Ways, redisCombined) {
		a.redis, err = startRedis(ctx, filepath.Join(a.dir, "redis"))
		if errors.Is(err, errNoRedis) {
			a.report.LeftOut = append(a.report.LeftOut, err.Error())
			a.say("! %v", err)
		} else if err != nil {
			return err
		} else {
			a.report.Machine.Redis = a.redis.version
			a.stopLater(a.redis.child)
		}
	}
	a.say("PostgreSQL %s made and migrated in %.1f s", a.pg.version, clock.Mono().Sub(begin).Seconds())
	raw := make([]byte, 32)
	_, _ = rand.Read(raw) // never fails
	file := filepath.Join(a.dir, "root.key")
	if err := os.WriteFile(file, []byte(hex.EncodeToString(raw)), 0o600); err != nil {
		return err
	}
	a.pgKeys = "file:" + file
	t, err := a.seed(ctx, config.Where{DB: a.pg.dsn(roleApp), Keys: a.pgKeys})
	if err != nil {
		return err
	}
	if a.pgBase, err = openStore(ctx, db.Options{DSN: a.pg.dsn(roleApp)}, t); err != nil {
		return err
	}
	a.later(func() { _ = a.pgBase.srv.Close() })
	if err := a.pg.analyze(ctx); err != nil {
		return err
	}
	if a.broker, a.nats, err = startBroker(ctx, filepath.Join(a.dir, "broker")); err != nil {
		return err
	}
	a.stopLater(a.broker)
	return nil
}

// lite is a seeded folder that every server on SQLite gets a copy of.
type lite struct {
	dir string
	t   tenantID
}

func (a *arena) buildSQLite(ctx context.Context) (l lite, err error) {
	if !slices.Contains(a.opt.Engines, db.SQLite) {
		return l, nil
	}
	l.dir = filepath.Join(a.dir, "sqlite-seed")
	l.t, err = a.seed(ctx, config.Where{Data: l.dir})
	return l, err
}

// seed fills one installation and closes it.
func (a *arena) seed(ctx context.Context, where config.Where) (t tenantID, err error) {
	h, closeAll, err := app.Offline(ctx, where, false)
	if err != nil {
		return t, err
	}
	defer closeAll()
	begin := clock.Mono()
	t, err = a.world.seed(ctx, h)
	a.say("%d people seeded in %.1f s", len(a.world.people), clock.Mono().Sub(begin).Seconds())
	return t, err
}

// start starts one variant; it ends with the run.
func (a *arena) start(ctx context.Context, v variant, l lite, slow time.Duration) (*server, error) {
	s := Serving{Peer: v.Peer, Slow: slow, Relays: a.opt.Relays}
	st := a.pgBase
	if v.Engine == db.Postgres {
		s.DSN, s.Keys, s.NATS = a.pg.dsn(roleApp), a.pgKeys, a.nats
		if a.redis != nil {
			s.Redis = a.redis.socket
		}
	} else {
		s.Dir = filepath.Join(a.dir, fmt.Sprintf("sqlite-%s-%s", v.Peer, slow))
		if err := copyDir(l.dir, s.Dir); err != nil {
			return nil, err
		}
		var err error
		if st, err = openStore(ctx, db.Options{Dir: s.Dir}, l.t); err != nil {
			return nil, err
		}
		a.later(func() { _ = st.srv.Close() })
	}
	out, err := startServer(ctx, v, s, st)
	if err != nil {
		return nil, err
	}
	a.stopLater(out.child)
	a.say("%s is ready on %s", v.name(), out.address)
	return out, nil
}

// find is the running server of a variant, nil when it is left out.
func (a *arena) find(peer string, e db.Engine) *server {
	for _, s := range a.servers {
		if s.Peer == peer && s.Engine == e {
			return s
		}
	}
	return nil
}

// ParseEngines reads pg and sqlite.
func ParseEngines(names []string) (out []db.Engine) {
	for _, n := range names {
		out = append(out, map[string]db.Engine{"pg": db.Postgres, "sqlite": db.SQLite}[n])
	}
	return out
}
