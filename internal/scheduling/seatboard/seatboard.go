// Package seatboard keeps the calendar of free seats of each tenant in memory. It shows a
// whole hospital: the sessions of the coming days with their free seats, so that reading it
// asks no database. It is loaded when somebody asks, follows the same signals as the live
// streams, and goes when nobody asks any more. Each second one day of it is compared with the
// database: what is behind (a lost signal) is brought up to date, and a difference at the same
// version, which must not happen, is counted and has the whole read anew.
package seatboard

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"xinglin/internal/directory"
	"xinglin/internal/kernel/clock"
	"xinglin/internal/scheduling"
	"xinglin/internal/scheduling/labels"
	"xinglin/internal/scheduling/seatview"
)

const (
	days     = 62 // from today
	gather   = 20 * time.Millisecond
	compare  = time.Second
	idleTime = 10 * time.Minute
	trust    = 5 * time.Second // how long changes may wait for the database before the calendar is refused
	reading  = 10 * time.Second
	atATime  = 512     // sessions in one question
	maxDays  = 31      // of one answer
	maxKept  = 32      // tenants in memory
	maxHeld  = 200_000 // sessions of one tenant in memory, about 40 MB
	// maxReplies is how many answers of a tenant are kept.
	maxReplies = 64
)

// Every in place of a session means that the tenant's plan changed.
var Every seatview.ScheduleID

// Reads are the calendar's questions to the database.
type Reads struct {
	// Of reads sessions, at most 512.
	Of func(ctx context.Context, t scheduling.TenantID, ids []seatview.ScheduleID) ([]seatview.Session, error)
	// On reads the sessions of from..to, at most limit.
	On func(ctx context.Context, t scheduling.TenantID, from, to clock.Date, limit int) ([]seatview.Session, error)
}

// Names tells the names of items.
type Names func(ctx context.Context, t scheduling.TenantID, ids labels.IDs) (directory.Labels, error)

// Boards are the calendars of one process.
type Boards struct {
	reads Reads
	names Names
	clock clock.Clock
	met   *metrics
	log   *slog.Logger
	wake  chan struct{}

	mu      sync.Mutex // before any board's
	known   map[scheduling.TenantID]*board
	running bool
}

// New builds the calendars; Run has them follow the signals. reg may be nil.
func New(reads Reads, names Names, clk clock.Clock, log *slog.Logger, reg prometheus.Registerer) *Boards {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Boards{reads: reads, names: names, clock: clk, met: newMetrics(reg), log: log, wake: make(chan struct{}, 1), known: map[scheduling.TenantID]*board{}}
}

// board is the calendar of one tenant.
type board struct {
	tenant  scheduling.TenantID
	filling sync.Mutex // one loads, the rest wait; before mu

	mu      sync.RWMutex
	full    bool // loaded
	view    *seatview.View
	dirty   map[seatview.ScheduleID]bool
	all     bool       // the whole is to be read
	behind  time.Time  // since when changes wait; zero: none does
	reading time.Time  // the same of those that are being read
	compare clock.Date // the day that was compared last
	used    time.Time

	namedAt time.Time
	replies map[seatview.Query]*seatview.Reply
}

// metrics count what the comparison with the database found.
type metrics struct {
	behind      prometheus.Counter
	differences prometheus.Counter
}

func newMetrics(reg prometheus.Registerer) *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "xinglin_scheduling_calendar_" + name, Help: help})
	}
	m := &metrics{
		behind:      counter("behind_total", "Sessions of the calendar that the comparison with the database found behind: their signal was lost."),
		differences: counter("differences_total", "Sessions of the calendar that differed from the database at the same version: a fault, the calendar was read anew."),
	}
	if reg != nil {
		reg.MustRegister(m.behind, m.differences)
	}
	return m
}

// nudge wakes a loop; one wake is enough for many changes.
func nudge(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Touch notes that a session changed, or the plan.
func (b *Boards) Touch(t scheduling.TenantID, schedule seatview.ScheduleID) {
	b.mu.Lock()
	v := b.known[t]
	b.mu.Unlock()
	if v == nil {
		return
	}
	v.mu.Lock()
	if schedule == Every {
		v.all = true
	} else {
		v.dirty[schedule] = true
	}
	v.mark()
	v.mu.Unlock()
	nudge(b.wake)
}

// mark notes since when changes wait; under the lock.
func (v *board) mark() {
	if v.behind.IsZero() {
		v.behind = clock.Mono()
	}
}

// late reports whether changes wait for too long; under the lock.
func (v *board) late(now time.Time) bool {
	return !v.behind.IsZero() && now.Sub(v.behind) > trust || !v.reading.IsZero() && now.Sub(v.reading) > trust
}

// Distrust has every calendar read anew: signals were lost.
func (b *Boards) Distrust() {
	for _, v := range b.all() {
		v.mu.Lock()
		v.all = true
		v.mark()
		v.mu.Unlock()
	}
	nudge(b.wake)
}

func (b *Boards) all() []*board {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := make([]*board, 0, len(b.known))
	for _, v := range b.known {
		out = append(out, v)
	}
	return out
}

// of gives the tenant's calendar, loaded. A process whose machines do not run (a command,
// a test of routes) hears no signals: it reads each time.
func (b *Boards) of(ctx context.Context, t scheduling.TenantID) (*board, error) {
	b.mu.Lock()
	v := b.known[t]
	if v == nil || !b.running {
		v = &board{tenant: t, view: seatview.New(), dirty: map[seatview.ScheduleID]bool{}, replies: map[seatview.Query]*seatview.Reply{}}
		if b.running {
			b.makeRoom()
			b.known[t] = v // before the first read, so that no change falls between
		}
	}
	b.mu.Unlock()
	v.mu.Lock()
	v.used = clock.Mono()
	full, late := v.full, v.late(clock.Mono())
	v.mu.Unlock()
	switch {
	case !full:
		return v, b.fill(ctx, v)
	case late:
		return nil, scheduling.ErrCalendarBehind.After(2 * time.Second)
	}
	return v, nil
}

// makeRoom lets the calendar go that was not used for longest, if there are too many.
func (b *Boards) makeRoom() {
	if len(b.known) < maxKept {
		return
	}
	var oldest *board
	for _, v := range b.known {
		if oldest == nil || v.lastUse().Before(oldest.lastUse()) {
			oldest = v
		}
	}
	delete(b.known, oldest.tenant)
}

func (v *board) lastUse() time.Time {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.used
}

// window is the days that a calendar holds.
func (b *Boards) window() (from, to clock.Date) {
	from = clock.DateOf(b.clock.Now())
	return from, from.Add(days - 1)
}

func (b *Boards) fill(ctx context.Context, v *board) error {
	v.filling.Lock()
	defer v.filling.Unlock()
	v.mu.RLock()
	full := v.full
	v.mu.RUnlock()
	if full {
		return nil
	}
	defer nudge(b.wake) // for what changed meanwhile
	return b.reload(ctx, v)
}

// reload reads the whole calendar and replaces what is in memory unless that is newer.
func (b *Boards) reload(ctx context.Context, v *board) error {
	from, to := b.window()
	v.mu.Lock()
	v.all = false // what changes from here on is read again
	v.mu.Unlock()
	found, err := b.reads.On(ctx, v.tenant, from, to, maxHeld+1)
	if err == nil && len(found) > maxHeld {
		err = scheduling.ErrCalendarBehind.Because("more than %d sessions", maxHeld)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if err != nil {
		v.all = true
		return err
	}
	v.view.Apply(found)
	v.view.Keep(found, from, from, to)
	v.full = true
	return nil
}

// Run follows the signals until ctx ends.
func (b *Boards) Run(ctx context.Context) {
	b.setRunning(true)
	defer b.setRunning(false)
	tick := time.NewTicker(compare)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-b.wake:
			for _, v := range b.all() {
				b.follow(ctx, v)
			}
		case <-tick.C:
			for _, v := range b.all() {
				b.look(ctx, v)
			}
		}
		wait := time.NewTimer(gather)
		select {
		case <-ctx.Done():
		case <-wait.C:
		}
		wait.Stop()
	}
}

func (b *Boards) setRunning(on bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.running = on
	clear(b.known)
}

// follow reads what signals named.
func (b *Boards) follow(ctx context.Context, v *board) {
	ctx, cancel := context.WithTimeout(ctx, reading)
	defer cancel()
	v.mu.Lock()
	if !v.full || v.behind.IsZero() { // the first load reads all of it; what comes meanwhile is read after it
		v.mu.Unlock()
		return
	}
	all, dirty := v.all, slices.Collect(maps.Keys(v.dirty))
	clear(v.dirty)
	v.reading, v.behind = v.behind, time.Time{}
	v.mu.Unlock()
	var err error
	if all {
		err = b.reload(ctx, v)
	}
	for ids := range slices.Chunk(dirty, atATime) {
		found, failed := b.reads.Of(ctx, v.tenant, ids)
		v.mu.Lock()
		if failed != nil { // the comparison, a second later, tries again
			err = failed
			for _, k := range ids {
				v.dirty[k] = true
			}
		} else {
			v.view.Apply(b.within(found))
		}
		v.mu.Unlock()
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if err != nil {
		v.behind = v.reading
		b.log.Debug("scheduling: the calendar was not brought up to date")
	}
	v.reading = time.Time{}
}

// within leaves out the days that a calendar does not hold.
func (b *Boards) within(found []seatview.Session) []seatview.Session {
	from, to := b.window()
	return slices.DeleteFunc(found, func(s seatview.Session) bool { return s.Day < from || s.Day > to })
}

// look compares the next day with the database, and lets a calendar go that nobody uses.
func (b *Boards) look(ctx context.Context, v *board) {
	v.mu.RLock()
	idle, full, waits := clock.Mono().Sub(v.used) > idleTime, v.full, len(v.dirty) > 0 || v.all
	from, to := b.window()
	day := v.compare.Add(1)
	v.mu.RUnlock()
	switch {
	case idle:
		b.mu.Lock()
		delete(b.known, v.tenant)
		b.mu.Unlock()
		return
	case !full:
		return
	case waits:
		b.follow(ctx, v)
		return
	}
	if day < from || day > to {
		day = from
	}
	if _, _, err := b.check(ctx, v, day, day); err != nil {
		b.log.Debug("scheduling: the calendar was not compared")
		return
	}
	v.mu.Lock()
	v.compare = day
	v.mu.Unlock()
}

// Compare compares days of a tenant's calendar with the database, as Run does day by day.
func (b *Boards) Compare(ctx context.Context, t scheduling.TenantID, from, to clock.Date) (behind, differ int, err error) {
	v, err := b.of(ctx, t)
	if err != nil {
		return 0, 0, err
	}
	return b.check(ctx, v, from, to)
}

// check compares days with the database: what is behind is brought up to date, and a
// difference at the same version has the whole read anew. It gives the number of both.
func (b *Boards) check(ctx context.Context, v *board, from, to clock.Date) (behind, differ int, err error) {
	ctx, cancel := context.WithTimeout(ctx, reading)
	defer cancel()
	found, err := b.reads.On(ctx, v.tenant, from, to, maxHeld)
	if err != nil {
		return 0, 0, err
	}
	v.mu.Lock()
	late, differ := v.view.Apply(found)
	today, _ := b.window()
	differ += v.view.Keep(found, today, from, to)
	for _, k := range late {
		if !v.dirty[k] && !v.all { // else its signal has come and it is about to be read
			behind++
		}
	}
	if differ > 0 {
		v.all = true
		v.mark()
	}
	v.mu.Unlock()
	behind = max(0, behind-differ)
	for range behind {
		b.met.behind.Inc()
	}
	if differ > 0 {
		for range differ {
			b.met.differences.Inc()
		}
		b.log.Warn("scheduling: the calendar differed from the database and is read anew", "sessions", differ)
		nudge(b.wake)
	}
	return behind, differ, nil
}

// Reply answers from memory: at most 31 days, from today to 61 days ahead.
func (b *Boards) Reply(ctx context.Context, t scheduling.TenantID, q seatview.Query) (*seatview.Reply, error) {
	from, to := b.window()
	if q.From < from || q.To > to || q.To < q.From || int(q.To-q.From) >= maxDays {
		return nil, scheduling.ErrInput.At("to", "from..to within 31 days, from today to 61 days ahead")
	}
	v, err := b.of(ctx, t)
	if err != nil {
		return nil, err
	}
	now := b.clock.Now()
	v.mu.RLock()
	r := v.replies[q]
	fresh := v.view.Fresh(r, now)
	v.mu.RUnlock()
	if fresh {
		return r, nil
	}
	if err := b.name(ctx, v); err != nil {
		return nil, err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if r = v.replies[q]; v.view.Fresh(r, now) {
		return r, nil
	}
	r = v.view.Write(q, now)
	if len(v.replies) >= maxReplies {
		clear(v.replies)
	}
	v.replies[q] = r
	return r, nil
}

// name asks the directory for the names of the rows, once a minute or when there are new ones.
func (b *Boards) name(ctx context.Context, v *board) error {
	v.mu.Lock()
	rows, missing := v.view.Rows()
	old := clock.Mono().Sub(v.namedAt) > seatview.NameTime
	v.mu.Unlock()
	if !missing && !old {
		return nil
	}
	ids := labels.NewIDs()
	for _, r := range rows {
		ids.Add(r.Practitioner, r.Department, r.Campus)
	}
	l, err := b.names(ctx, v.tenant, ids)
	if err != nil {
		return err
	}
	out := make(map[seatview.Row]seatview.Names, len(rows))
	for _, r := range rows {
		p := l.Practitioners[r.Practitioner]
		out[r] = seatview.Names{Practitioner: p.Name, Title: p.Title, Department: l.Departments[r.Department].Name, Campus: l.Campuses[r.Campus].Name}
	}
	v.mu.Lock()
	v.view.Name(out)
	v.namedAt = clock.Mono()
	v.mu.Unlock()
	return nil
}
