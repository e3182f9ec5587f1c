package outbox

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"time"

	"xinglin/internal/kernel/clock"
	"xinglin/internal/platform/bus"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/deadletter"
)

// Keep is how long a published row stays at least.
const Keep = 7 * 24 * time.Hour

const (
	claimRows   = 1000    // what one atomic batch holds
	claimBytes  = 4 << 20 // of payload, in memory at once
	reopenBatch = 1000
	dropRows    = 1000 // one transaction of the sweep: some milliseconds of the only writer on SQLite
	poll        = time.Second
	sweepEach   = 10 * time.Minute
	lookEach    = 10 * time.Minute
	maxPause    = 30 * time.Second
	callTime    = 20 * time.Second // one round with the broker
)

// Broker is the part of bus.Bus that the relay needs.
type Broker interface {
	Publish(ctx context.Context, msgs []bus.Msg) ([]bus.Ack, error)
	Position(ctx context.Context) (bus.Position, error)
	AckFloor(ctx context.Context, consumer string) (incarnation string, seq uint64, err error)
}

// Relay publishes one context's rows. Run one a context in each process; several
// processes share the work on PostgreSQL.
type Relay struct {
	DB      *db.DB
	Bus     Broker
	Hearers []Hearer // every context that hears this one, from the wiring's table
	Clock   clock.Clock
	Log     *slog.Logger
	Metrics *Metrics // nil: none

	seen  bus.Position // of the last look: another incarnation or a lower LastSeq is a lost stream
	top   uint64       // highest sequence that was acknowledged to this relay in seen.Incarnation
	known bool         // the marks in the database were compared with the stream
}

// Hearer is a context that hears this one: its durable consumer and the event names
// that it has handlers for.
type Hearer struct {
	Consumer string
	Events   []string
}

// Run relays until ctx ends. It wakes on commits of this process and looks each second
// for rows of others; the broker's failures make growing pauses.
func (r *Relay) Run(ctx context.Context) error {
	woken, stop := r.DB.Listen(topic)
	defer stop()
	var side sync.WaitGroup
	side.Go(func() { r.sweeps(ctx) })
	defer side.Wait()
	failures := 0
	nextLook := clock.Mono().Add(lookEach)
	for {
		err := r.round(ctx)
		if ctx.Err() != nil {
			return nil
		}
		pause := poll
		wake := woken
		if err != nil {
			r.known = false // a reconnect may find another stream
			pause = min(poll<<min(failures, 10), maxPause)
			pause = pause/2 + rand.N(pause)
			wake = nil
			failures++
			r.Log.Warn("outbox: relay", "context", r.DB.Name(), "error", deadletter.Describe(err))
		} else {
			failures = 0
			if clock.Mono().After(nextLook) {
				nextLook = clock.Mono().Add(lookEach)
				r.known = false // another process may have died between an acknowledgement and a lost stream
			}
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-wake:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// sweeps sweeps beside the relaying, which a long sweep must not hold up.
func (r *Relay) sweeps(ctx context.Context) {
	tick := time.NewTicker(sweepEach)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if _, err := r.Sweep(ctx); err != nil && ctx.Err() == nil {
			r.Log.Warn("outbox: sweep", "context", r.DB.Name(), "error", deadletter.Describe(err))
		}
	}
}

func (r *Relay) round(ctx context.Context) error {
	if err := r.compare(ctx); err != nil {
		return err
	}
	_, err := r.Drain(ctx)
	return errors.Join(err, r.gauge(ctx))
}

// Drain publishes until nothing is open or ctx ends, and says how many rows the broker
// took. While one batch is published, the one before is marked.
func (r *Relay) Drain(ctx context.Context) (total int, err error) {
	type settled struct {
		n   int
		err error
	}
	var marking chan settled
	wait := func() {
		if marking != nil {
			s := <-marking
			total, err, marking = total+s.n, errors.Join(err, s.err), nil
		}
	}
	after := beginning
	for ctx.Err() == nil {
		b, claimErr := r.publish(ctx, after)
		wait()
		if err = errors.Join(err, claimErr); len(b.rows) == 0 {
			return total, err
		}
		after = b.rows[len(b.rows)-1].place()
		next := make(chan settled, 1)
		go func() {
			n, err := r.settle(ctx, b)
			next <- settled{n, err}
		}()
		marking = next
		if err != nil {
			break
		}
		if b.err != nil { // what was given back is behind the place
			if wait(); err != nil {
				return total, err
			}
			after = beginning
		}
	}
	wait()
	return total, err
}

// Once publishes and marks one batch and says how many rows the broker took.
func (r *Relay) Once(ctx context.Context) (int, error) {
	b, err := r.publish(ctx, beginning)
	if err != nil || len(b.rows) == 0 {
		return 0, err
	}
	return r.settle(ctx, b)
}

// sent is a batch after the broker had it: the first len(acks) rows are stored there.
type sent struct {
	rows []row
	acks []bus.Ack
	err  error // of the first row without an acknowledgement
}

// publish claims rows behind a place and hands them to the broker. An error means that
// nothing was claimed.
func (r *Relay) publish(ctx context.Context, after place) (sent, error) {
	rows, err := claim(ctx, r.DB, after)
	if err != nil || len(rows) == 0 {
		return sent{}, err
	}
	slices.SortFunc(rows, func(a, b row) int { // RETURNING has no order
		return cmp.Or(cmp.Compare(a.at, b.at), bytes.Compare(a.id[:], b.id[:]))
	})
	// From here on the outcome must be kept, whether or not the process is told to stop.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), callTime)
	defer cancel()
	msgs := make([]bus.Msg, len(rows))
	for i, x := range rows {
		msgs[i] = message(x)
	}
	b := sent{rows: rows}
	b.acks, b.err = r.Bus.Publish(ctx, msgs)
	for _, a := range b.acks {
		if a.Incarnation != r.seen.Incarnation {
			r.known = false // another stream than the one that the marks were compared with
		}
		r.top = max(r.top, a.Seq)
	}
	return b, nil
}

// settle marks what the broker took, gives the rest back, and buries what it can never take.
func (r *Relay) settle(ctx context.Context, b sent) (int, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), callTime)
	defer cancel()
	markErr := mark(ctx, r.DB, b.rows, b.acks)
	r.Metrics.sent(r.DB.Name(), r.Clock.Now(), b.rows, b.acks)
	n := len(b.acks)
	if b.err == nil || markErr != nil {
		return n, errors.Join(b.err, markErr)
	}
	rest := b.rows[n:]
	if errors.Is(b.err, bus.ErrTooLarge) && len(rest) > 0 {
		// It can never be stored: a person must see it. The others go on.
		r.Log.Error("outbox: message too large for the broker", "context", r.DB.Name(), "row", rest[0].id, "event", rest[0].name)
		return n + 1, errors.Join(bury(ctx, r.DB, rest[0], b.err), release(ctx, r.DB, rest[1:]))
	}
	return n, errors.Join(b.err, release(ctx, r.DB, rest))
}

func message(x row) bus.Msg {
	h := map[string]string{HeaderTenant: x.tenant.String(), HeaderName: x.name, HeaderAt: strconv.FormatInt(x.at, 10)}
	if x.trace != "" {
		h[HeaderTrace] = x.trace
	}
	if x.number != "" {
		h[HeaderNumber] = x.number
	}
	return bus.Msg{ID: x.id.String(), Subject: Subject(x.name), Header: h, Data: x.payload}
}

// compare finds out whether the stream still holds what the rows say, and opens those
// again that it does not. The marks are read before the stream's position, so a row
// that another process publishes in between is never taken for lost.
func (r *Relay) compare(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	top := r.top
	pos, err := r.Bus.Position(ctx)
	if err != nil {
		return err
	}
	lost := pos.Incarnation != r.seen.Incarnation || pos.LastSeq < max(r.seen.LastSeq, top)
	r.seen = pos
	if r.known && !lost {
		return nil
	}
	r.top, r.known = 0, false
	marks, err := held(ctx, r.DB)
	if err != nil {
		return err
	}
	if pos, err = r.Bus.Position(ctx); err != nil {
		return err
	}
	for inc, high := range marks {
		above := uint64(0)
		if inc == pos.Incarnation {
			above = pos.LastSeq
		}
		if high <= above {
			continue
		}
		n, err := reopen(context.WithoutCancel(ctx), r.DB, inc, above, high)
		if err != nil {
			return err
		}
		if r.Metrics != nil {
			r.Metrics.reopened.WithLabelValues(r.DB.Name()).Add(float64(n))
		}
		r.Log.Warn("outbox: the broker lost messages, publishing them again", "context", r.DB.Name(), "rows", n)
	}
	r.seen, r.known = pos, true
	return nil
}

// Sweep deletes rows that are older than Keep and that every hearer has acknowledged
// past, and says how many.
func (r *Relay) Sweep(ctx context.Context) (int64, error) {
	pos, err := r.Bus.Position(ctx)
	if err != nil {
		return 0, err
	}
	lowest := map[string]uint64{} // of each event that somebody hears
	for _, h := range r.Hearers {
		inc, seq, err := r.Bus.AckFloor(ctx, h.Consumer)
		if err != nil {
			return 0, err
		}
		if inc != pos.Incarnation {
			return 0, nil // the stream was replaced just now
		}
		for _, e := range h.Events {
			if f, ok := lowest[e]; !ok || seq < f {
				lowest[e] = seq
			}
		}
	}
	floors := make([]floor, 0, len(lowest))
	for _, name := range slices.Sorted(maps.Keys(lowest)) {
		floors = append(floors, floor{name, min(lowest[name], pos.LastSeq)})
	}
	return drop(ctx, r.DB, pos.Incarnation, r.Clock.Now().Add(-Keep), floors, pos.LastSeq)
}

func (r *Relay) gauge(ctx context.Context) error {
	if r.Metrics == nil {
		return nil
	}
	n, oldest, err := open(ctx, r.DB)
	if err != nil {
		return err
	}
	age := 0.0
	if n > 0 {
		age = r.Clock.Now().Sub(oldest).Seconds()
	}
	r.Metrics.waiting.WithLabelValues(r.DB.Name()).Set(float64(n))
	r.Metrics.age.WithLabelValues(r.DB.Name()).Set(age)
	return nil
}
