// Package simulate plays a whole 8:00 on a real installation of this binary: thousands
// of people, families, bots, lost replies, double clicks, payments and cancellations,
// while processes, broker and database are killed; then it judges from the outside what
// became of it. `xinglin simulate rush` is its command.
//
// The seed decides the plan: who wants what when, what they do afterwards, and what
// breaks. The processes run freely, so two runs of a seed differ in how they meet. Time
// is the machine's; the servers' clocks stand apart by seconds, step when a process
// comes back, and go on by more than a hold between the two waves, so that holds expire.
//
// What it checks is in judge.go (capacity, one visit per person, department and day,
// money, keys, nothing acknowledged is missing, `xinglin verify`) and history.go (each
// session's history is linearizable, and each person's).
package simulate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/process"
)

// Options of a rush.
type Options struct {
	Seed      uint64
	Processes int           // of serve; more than one needs PostgreSQL
	Kill      bool          // kill -9, lost broker, database restart
	DB        string        // login role's DSN of an empty, migrated database; its server is not restarted
	People    int           // besides the bots
	Duration  time.Duration // of the first wave
	Out       string        // folder for the histories of violations
	Keep      bool          // the installation's folder stays
	Charts    string        // folder for pictures of the first wave; none when empty
}

// Limits of the options.
const (
	maxProcesses = 8
	maxPeople    = 20_000
	minDuration  = 2 * time.Second
	maxDuration  = 40 * time.Second // a hold is a minute: it ends between the waves
)

func (o Options) check() error {
	switch {
	case o.Processes < 1 || o.Processes > maxProcesses:
		return ErrFlags.At("processes", fmt.Sprintf("1..%d", maxProcesses))
	case o.People < 20 || o.People > maxPeople:
		return ErrFlags.At("people", fmt.Sprintf("20..%d", maxPeople))
	case o.Duration < minDuration || o.Duration > maxDuration:
		return ErrFlags.At("duration", fmt.Sprintf("%s..%s", minDuration, maxDuration))
	case o.Out == "":
		return ErrFlags.At("out", "a folder for the histories of violations")
	}
	return nil
}

const (
	operator         = "rush"
	operatorPassword = "correct horse battery 26"
	joinWidth        = 24               // people who join at once
	grace            = 75 * time.Second // after a wave, for those still at the door
	quietTime        = 60 * time.Second // until expired holds and late payments are settled
	maxTrouble       = 5                // errors of the simulation itself that are shown
)

// Rush plays one and judges it. Progress goes to out; the error is of the simulation
// itself, violations are in the report.
func Rush(ctx context.Context, o Options, out io.Writer) (rep *Report, err error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "xinglin-rush-")
	if err != nil {
		return nil, err
	}
	r := &run{o: o, plan: newPlan(o), wire: newWire(), record: newRecord(), keys: map[int]string{}, kept: map[int]visit{}, empty: map[int]bool{}, begin: clock.Mono()}
	say := func(format string, a ...any) {
		fmt.Fprintf(out, "%6.1fs  "+format+"\n", append([]any{clock.Mono().Sub(r.begin).Seconds()}, a...)...)
	}
	defer func() {
		if r.site != nil {
			if err != nil || !rep.Clean() {
				r.lastWords(say)
			}
			err = errors.Join(err, r.site.close())
		}
		if !o.Keep {
			err = errors.Join(err, os.RemoveAll(dir))
		}
	}()
	if r.site, err = build(ctx, dir, o); err != nil {
		return nil, err
	}
	if err := r.hospital(ctx, say); err != nil {
		return nil, err
	}
	return r.day(ctx, say)
}

type sayer func(format string, a ...any)

// lastWords keeps what the processes printed last, for whoever looks for the reason.
func (r *run) lastWords(say sayer) {
	file := filepath.Join(r.o.Out, fmt.Sprintf("rush-%d.log", r.o.Seed))
	err := os.MkdirAll(r.o.Out, 0o750)
	if err == nil {
		err = os.WriteFile(file, []byte(r.site.logs()), 0o600)
	}
	if err != nil {
		say("the processes' last words could not be written: %v", err)
		return
	}
	say("the processes' last words are in %s", file)
}

// hospital makes the sessions, the rules and the people.
func (r *run) hospital(ctx context.Context, say sayer) error {
	password := filepath.Join(r.site.dir, "operator.password")
	if err := os.WriteFile(password, []byte(operatorPassword), 0o600); err != nil {
		return err
	}
	made, err := r.site.run(ctx, append([]string{"staff", "add", "--username", operator, "--name", operator, "--role", "operator", "--password", "file:" + password}, r.site.where...)...)
	if err != nil {
		return err
	}
	_, secret, _ := strings.Cut(made, "totp ")
	day := clock.DateOf(clock.System{}.Now()).Add(3)
	file := filepath.Join(r.site.dir, "rota.csv")
	if err := os.WriteFile(file, []byte(r.plan.rota(day)), 0o600); err != nil {
		return err
	}
	if _, err := r.site.run(ctx, append(append([]string{"import", "rota"}, r.site.where...), file)...); err != nil {
		return err
	}
	if err := r.empties(ctx); err != nil {
		return err
	}
	if err := r.site.open(ctx, r.plan.Offsets); err != nil {
		return err
	}
	op, err := r.login(ctx, strings.TrimSpace(secret))
	if err != nil {
		return err
	}
	if err := r.rules(ctx, op); err != nil {
		return err
	}
	if err := r.find(ctx, day); err != nil {
		return err
	}
	say("%d processes serve; people join", len(r.site.procs))
	if err := r.joinAll(ctx); err != nil {
		return err
	}
	say("%d accounts joined", len(r.plan.Accounts))
	return nil
}

// joinAll lets all people join, some at a time, and then those who share a child.
func (r *run) joinAll(ctx context.Context) error {
	err := each(ctx, joinWidth, r.plan.Accounts, func(ctx context.Context, a *account) error { return r.join(ctx, a) })
	if err != nil {
		return err
	}
	return each(ctx, joinWidth, r.plan.Accounts, func(ctx context.Context, a *account) error {
		if a.shares < 0 {
			return nil
		}
		return r.share(ctx, a, r.plan.Accounts[a.shares])
	})
}

// each does something with every item, width at a time; it ends at the first errors.
func each[T any](ctx context.Context, width int, items []T, do func(context.Context, T) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var work sync.WaitGroup
	var mu sync.Mutex
	var errs []error
	next := make(chan T)
	for range width {
		work.Go(func() {
			for item := range next {
				if err := do(ctx, item); err != nil {
					mu.Lock()
					if len(errs) < maxTrouble {
						errs = append(errs, err)
					}
					mu.Unlock()
					cancel()
				}
			}
		})
	}
	for _, item := range items {
		if ctx.Err() != nil {
			break
		}
		next <- item
	}
	close(next)
	work.Wait()
	return errors.Join(errs...)
}

// day plays both waves and judges them.
func (r *run) day(ctx context.Context, say sayer) (*Report, error) {
	if err := r.channel(ctx, map[string]any{"lose_callbacks": r.plan.Lost}); err != nil {
		return nil, err
	}
	r.begin = clock.Mono()
	say("the doors open: %d wishes for %d seats", len(r.plan.Wishes), r.plan.seats())
	if err := r.wave(ctx, say); err != nil {
		return nil, err
	}
	say("%d seats were granted; booked people ask again", r.record.granted.Load())
	r.afterwards(ctx)
	r.comeBack(ctx)
	restarted, err := r.goOn(ctx)
	if err != nil {
		return nil, err
	}
	say("the clocks went on by %s; unpaid holds expire, late payments arrive", r.plan.Later)
	first, err := r.quiet(ctx)
	if err != nil {
		return nil, err
	}
	say("the second wave")
	r.secondWave(ctx)
	last, err := r.quiet(ctx)
	if err != nil {
		return nil, err
	}
	say("all is settled; the judgement begins")
	rep, err := r.judge(ctx, restarted, first, last, say)
	if err == nil && r.o.Charts != "" {
		err = r.charts(r.o.Charts)
	}
	return rep, err
}

// wave plays the first wave and what breaks in it.
func (r *run) wave(ctx context.Context, say sayer) error {
	ctx, cancel := context.WithTimeout(ctx, r.o.Duration+grace)
	defer cancel()
	var people, trouble sync.WaitGroup
	var broken error
	gone := make(chan struct{})
	trouble.Go(func() { broken = r.breakThings(ctx, gone, say) })
	for i := range r.plan.Wishes {
		people.Go(func() { r.live(ctx, i) })
	}
	people.Wait()
	close(gone)
	trouble.Wait()
	return broken
}

// breakThings makes the faults of the plan, one after the other; those whose moment did
// not come follow when the crowd has gone.
func (r *run) breakThings(ctx context.Context, gone <-chan struct{}, say sayer) error {
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for _, f := range r.plan.Faults {
		for waiting := true; waiting && r.record.granted.Load() < f.granted; {
			select {
			case <-gone:
				waiting = false
			case <-tick.C:
			}
		}
		at := r.record.granted.Load()
		if err := r.fail(context.WithoutCancel(ctx), f); err != nil {
			return fmt.Errorf("%s: %w", f.kind, err)
		}
		say("%s after %d seats", f.kind, at)
	}
	return nil
}

// fail breaks one thing and mends it.
func (r *run) fail(ctx context.Context, f failure) error {
	p := r.proc(f.process)
	switch f.kind {
	case killServe:
		p.kill()
		r.killed = clock.Mono()
		if err := wait(ctx, f.rest); err != nil {
			return err
		}
		return r.site.start(ctx, p, f.clock)
	case killBroker, loseBroker:
		// A killed process counts as alive with its broker until its lease ends; who starts
		// beside it with a new broker is refused (process.other_broker).
		if rest := process.Lease + time.Second - clock.Mono().Sub(r.killed); f.kind == loseBroker && !r.killed.IsZero() && !r.site.sqlite() && rest > 0 {
			if err := wait(ctx, rest); err != nil {
				return err
			}
		}
		if r.site.sqlite() {
			p.kill()
		} else {
			r.site.broker.kill()
		}
		if f.kind == loseBroker {
			if err := os.RemoveAll(r.site.brokerDir()); err != nil {
				return err
			}
		}
		if err := wait(ctx, f.rest); err != nil {
			return err
		}
		if r.site.sqlite() {
			return r.site.start(ctx, p, f.clock)
		}
		return r.site.startBroker(ctx)
	case restartDatabase:
		return r.site.cluster.restart(ctx)
	}
	return nil
}

// afterwards lets booked people, and those who lost their reply, ask again with their
// keys, while others who ask learn that the sessions are sold out.
func (r *run) afterwards(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, grace)
	defer cancel()
	var people sync.WaitGroup
	for i := range r.empty {
		w := r.plan.Wishes[i]
		w.habit = plain
		people.Go(func() {
			for turn := range 3 {
				r.ask(ctx, w, newKey(), w.session, -1, w.process+turn, call{})
				if wait(ctx, 4*pause+w.delay) != nil {
					return
				}
			}
		})
	}
	for i, key := range r.keys {
		w := r.plan.Wishes[i]
		if w.slot >= 0 && r.wasAny(key) {
			w.slot = -1 // the key is of a later try
		}
		people.Go(func() {
			if wait(ctx, pause+20*w.delay) == nil {
				r.insist(ctx, w, key, w.slot, Try{})
			}
		})
	}
	people.Wait()
}

// comeBack gives one seat of each free session back at one process, while the others know
// that the session is sold out, and lets somebody else ask for it at every other process
// when they must have heard of it.
func (r *run) comeBack(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, grace)
	defer cancel()
	var sessions sync.WaitGroup
	for _, s := range r.plan.Sessions {
		giver, taker := -1, -1
		for i := range r.plan.Wishes { // in the plan's order, so that a seed gives the same people
			if r.plan.Wishes[i].session != s.number {
				continue
			}
			if _, ok := r.kept[i]; ok && giver < 0 {
				giver = i
			}
			if r.empty[i] && taker < 0 {
				taker = i
			}
		}
		if giver < 0 || taker < 0 {
			continue
		}
		sessions.Go(func() { r.passOn(ctx, giver, taker) })
	}
	sessions.Wait()
}

func (r *run) passOn(ctx context.Context, giver, taker int) {
	g, w := r.plan.Wishes[giver], r.plan.Wishes[taker]
	w.habit = plain
	for n := range r.site.procs {
		r.ask(ctx, w, newKey(), w.session, -1, n, call{})
	}
	g.process = 0
	r.give(ctx, g, r.kept[giver])
	if wait(ctx, staleness+pause) != nil {
		return
	}
	for n := range r.site.procs { // the process that knows it best is asked last
		if r.ask(ctx, w, newKey(), w.session, -1, n+1, call{}).ok() {
			return
		}
	}
}

func newKey() string { return id.New[id.Any](clock.System{}.Now()).String() }

// wasAny reports what the first request under a key asked for.
func (r *run) wasAny(key string) bool {
	r.record.mu.Lock()
	defer r.record.mu.Unlock()
	for _, t := range r.record.tries {
		if t.Key == key {
			return t.Slot < 0
		}
	}
	return false
}

// goOn ends every process, lets people pay who are late, and starts the processes with
// clocks that went on by more than a hold. It tells when nothing was serving.
func (r *run) goOn(ctx context.Context) (restarted int64, err error) {
	for _, p := range r.site.procs {
		if r.o.Kill && !r.plan.losesBroker(r.site.sqlite()) {
			p.kill()
		} else if err := p.drain(); err != nil {
			return 0, err
		}
	}
	for _, v := range r.owing {
		r.settle(ctx, v)
	}
	restarted = r.now()
	for _, p := range r.site.procs {
		if err := r.site.start(ctx, p, r.plan.Offsets[p.number]+r.plan.Later); err != nil {
			return 0, err
		}
	}
	return restarted, nil
}

// secondWave lets those who got nothing try for the seats that came back.
func (r *run) secondWave(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, r.o.Duration/4+grace)
	defer cancel()
	begin := time.Duration(r.now())
	var people sync.WaitGroup
	for i := range r.empty {
		w := r.plan.Wishes[i]
		if !w.second {
			continue
		}
		w.at = begin + w.pause/4
		people.Go(func() {
			if wait(ctx, w.at-time.Duration(r.now())) != nil {
				return
			}
			w.habit = plain
			t := r.want(ctx, w, newKey(), -1)
			if t.ok() {
				r.after(ctx, w, t)
			}
		})
	}
	people.Wait()
}
