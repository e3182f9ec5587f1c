package bus

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"xinglin/internal/kernel/clock"
)

const (
	pullExpiry    = 15 * time.Second // one waiting request for messages
	pullHeartbeat = 3 * time.Second  // two of them missing: the consumer is gone or the broker is silent
	steady        = 10 * time.Second // a session that lasted so long resets the backoff
	panicDelay    = 5 * time.Second  // a message whose handler panicked comes again after it
)

var nameRE = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// Consume implements Bus.
func (c *conn) Consume(ctx context.Context, cons Consumer, handle func(context.Context, []Delivery)) error {
	cons, err := checkConsumer(cons)
	if err != nil {
		return err
	}
	if !c.enter() {
		return ErrClosed.New()
	}
	defer c.consuming.Done()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(c.open, cancel)()

	work := make(chan []jetstream.Msg)
	var workers sync.WaitGroup
	for range cons.Workers {
		workers.Go(func() {
			for ms := range work {
				c.deliver(ctx, cons.Name, ms, handle)
			}
		})
	}
	c.sessions(ctx, cons, work)
	close(work)
	workers.Wait() // a handler's context ends after HandleTime
	return nil
}

// checkConsumer fills the defaults in and refuses what no broker would take.
func checkConsumer(cons Consumer) (Consumer, error) {
	if cons.Workers == 0 {
		cons.Workers = 4
	}
	if cons.Batch == 0 {
		cons.Batch = 1
	}
	cons.Subjects = slices.Compact(slices.Sorted(slices.Values(cons.Subjects)))
	if !nameRE.MatchString(cons.Name) || cons.Workers < 0 || cons.Workers > 256 || cons.Batch < 0 || cons.Batch > 256 || len(cons.Subjects) == 0 {
		return cons, fmt.Errorf("bus: malformed consumer %q: %d workers, %d together, %d subjects", cons.Name, cons.Workers, cons.Batch, len(cons.Subjects))
	}
	for i, a := range cons.Subjects {
		if err := checkSubject(a, true); err != nil {
			return cons, err
		}
		for _, b := range cons.Subjects[:i] {
			if overlap(strings.Split(a, "."), strings.Split(b, ".")) {
				return cons, fmt.Errorf("bus: consumer %q: subjects %q and %q overlap", cons.Name, a, b)
			}
		}
	}
	return cons, nil
}

// overlap tells whether one subject can match both patterns.
func overlap(a, b []string) bool {
	for i := 0; ; i++ {
		switch {
		case i == len(a) || i == len(b):
			return len(a) == len(b)
		case a[i] == ">" || b[i] == ">":
			return true
		case a[i] != b[i] && a[i] != "*" && b[i] != "*":
			return false
		}
	}
}

// sessions runs one session after the other until ctx ends, with growing pauses while they fail.
func (c *conn) sessions(ctx context.Context, cons Consumer, work chan<- []jetstream.Msg) {
	failures := 0
	for ctx.Err() == nil {
		fresh := c.renewal() // taken first: what happens from here on is not missed
		began := clock.Mono()
		err := c.session(ctx, fresh, cons, work)
		if ctx.Err() != nil {
			return
		}
		if err == nil || clock.Mono().Sub(began) > steady {
			failures = 0
		}
		early := fresh // a reconnect during a long pause ends it
		if err != nil {
			c.log.Warn("bus: consumer starts again", "consumer", cons.Name, "error", err)
		} else {
			early = nil // it ended the session: a short pause is due
		}
		pause := time.NewTimer(backoff(failures))
		failures++
		select {
		case <-pause.C:
		case <-early:
		case <-ctx.Done():
		}
		pause.Stop()
	}
}

// session makes sure of the stream and the durable and hands messages over until something breaks (error) or must be
// made anew (nil).
func (c *conn) session(ctx context.Context, fresh <-chan struct{}, cons Consumer, work chan<- []jetstream.Msg) error {
	sctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-fresh:
			cancel()
		case <-sctx.Done():
		}
	}()
	it, err := c.subscribe(sctx, cons)
	if err != nil {
		if sctx.Err() != nil {
			return nil
		}
		return err
	}
	defer giveBack(it)
	next, broke := make(chan jetstream.Msg), make(chan error, 1)
	var pulling sync.WaitGroup
	defer pulling.Wait()
	defer cancel()
	pulling.Go(func() { broke <- pull(sctx, it, next) })
	var waiting []jetstream.Msg // for a handler that is free
	defer func() {
		for _, m := range waiting {
			_ = m.Nak()
		}
	}()
	for {
		in, out := next, work
		if len(waiting) == cons.Batch {
			in = nil
		}
		if len(waiting) == 0 {
			out = nil
		}
		select {
		case m := <-in:
			waiting = append(waiting, m)
		case out <- waiting:
			waiting = nil
		case err := <-broke:
			if sctx.Err() != nil {
				return nil
			}
			return err
		}
	}
}

// pull passes messages on until ctx ends or the subscription breaks.
func pull(ctx context.Context, it jetstream.MessagesContext, next chan<- jetstream.Msg) error {
	for {
		m, err := it.Next(jetstream.NextContext(ctx))
		if err != nil {
			return err
		}
		select {
		case next <- m:
		case <-ctx.Done():
			_ = m.Nak()
			return nil
		}
	}
}

// subscribe creates what is missing on the broker and begins to pull.
func (c *conn) subscribe(ctx context.Context, cons Consumer) (jetstream.MessagesContext, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*callTimeout)
	defer cancel()
	p, err := c.Position(ctx)
	if err != nil {
		return nil, err
	}
	dur, err := c.js.CreateOrUpdateConsumer(ctx, Stream, consumerConfig(cons, p.Incarnation))
	if err != nil {
		return nil, err
	}
	// If the stream was replaced in between, the durable bears the wrong incarnation.
	now, err := c.Position(ctx)
	if err != nil {
		return nil, err
	}
	if now.Incarnation != p.Incarnation {
		_ = c.js.DeleteConsumer(ctx, Stream, durable(cons.Name, p.Incarnation))
		return nil, errors.New("the stream was replaced")
	}
	ahead := max(4, 2*cons.Workers, (cons.Workers+1)*cons.Batch)
	return dur.Messages(jetstream.PullMaxMessages(ahead), jetstream.PullExpiry(pullExpiry), jetstream.PullHeartbeat(pullHeartbeat),
		jetstream.WithMessagesErrOnMissingHeartbeat(true))
}

// giveBack returns what was pulled and not handed over, so that it comes again at once and not after AckWait.
func giveBack(it jetstream.MessagesContext) {
	it.Drain()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	for {
		m, err := it.Next(jetstream.NextContext(ctx))
		if err != nil {
			return
		}
		_ = m.Nak()
	}
}

// deliver runs the handler once. The broker hears first that work begins: the messages may have waited here.
func (c *conn) deliver(ctx context.Context, name string, ms []jetstream.Msg, handle func(context.Context, []Delivery)) {
	ds := make([]Delivery, 0, len(ms))
	for _, m := range ms {
		d, err := c.delivery(m)
		if err != nil {
			c.log.Error("bus: delivery without metadata", "consumer", name, "error", err)
			continue
		}
		ds = append(ds, d)
		_ = m.InProgress() // if it is lost, the message may come twice
	}
	if len(ds) == 0 {
		return
	}
	hctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), HandleTime)
	defer cancel()
	defer func() {
		if p := recover(); p != nil { // its value may quote data: only its type is logged
			c.log.Error("bus: handler panicked", "consumer", name, "message", ds[0].ID, "messages", len(ds), "panic", fmt.Sprintf("%T", p))
			for _, d := range ds {
				_ = d.Nak(panicDelay) // what was ended before stays so
			}
		}
	}()
	handle(hctx, ds)
}

func (c *conn) delivery(m jetstream.Msg) (Delivery, error) {
	meta, err := m.Metadata()
	if err != nil {
		return Delivery{}, err
	}
	d := Delivery{
		Msg:     Msg{ID: m.Headers().Get(jetstream.MsgIDHeader), Subject: m.Subject(), Header: map[string]string{}, Data: m.Data()},
		Seq:     meta.Sequence.Stream,
		Attempt: int(min(meta.NumDelivered, 1<<30)),
		At:      meta.Timestamp.UTC(),
		end:     receipt{c, m},
	}
	for k, v := range m.Headers() {
		if len(v) > 0 && !strings.HasPrefix(k, "Nats-") {
			d.Header[k] = v[0]
		}
	}
	return d, nil
}

// receipt ends a delivery at the broker.
type receipt struct {
	c *conn
	m jetstream.Msg
}

func (r receipt) ack(ctx context.Context) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	return r.c.fault(r.m.DoubleAck(ctx))
}

func (r receipt) nak(delay time.Duration) error { return r.c.fault(r.m.NakWithDelay(max(delay, 0))) }
func (r receipt) term() error                   { return r.c.fault(r.m.Term()) }
