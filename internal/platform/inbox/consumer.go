package inbox

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"time"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/event"
	"xinglin/internal/kernel/fault"
	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/bus"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/deadletter"
	"xinglin/internal/platform/obs"
	"xinglin/internal/platform/outbox"
)

// Keep is how long an inbox row drops repeats: longer than any broker or outbox keeps a message.
const Keep = 30 * 24 * time.Hour

const (
	maxAttempts = 8
	firstPause  = 500 * time.Millisecond
	maxPause    = time.Minute
	sweepEach   = time.Hour
	sweepBatch  = 500
	atOnce      = 64               // messages of one transaction
	batchTime   = 10 * time.Second // for it; the rest of bus.HandleTime is for trying each alone
)

// Broker is the part of bus.Bus that the consumer needs.
type Broker interface {
	Consume(ctx context.Context, c bus.Consumer, handle func(ctx context.Context, ds []bus.Delivery)) error
	AckFloor(ctx context.Context, consumer string) (incarnation string, seq uint64, err error)
	Reset(ctx context.Context, consumer string) error
}

// Consumer hears the broker for one context. Run one a context in each process; the
// processes share the messages.
type Consumer struct {
	DB       *db.DB
	Bus      Broker
	Handlers []Handler
	Clock    clock.Clock
	Log      *slog.Logger
	Metrics  *Metrics // nil: none
	Workers  int      // transactions at once; 0 means 4

	keeper keeper
}

// Durable is the name under which a context hears the broker.
func Durable(context string) string { return "ctx_" + context }

// Events are the names that the consumer hears, sorted.
func (c *Consumer) Events() []string {
	var out []string
	for _, h := range c.Handlers {
		out = append(out, h.Event)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func (c *Consumer) subjects() []string {
	var out []string
	for _, name := range c.Events() {
		out = append(out, outbox.Subject(name))
	}
	return out
}

// Run hears until ctx ends; messages in hand are finished. Without handlers it only
// waits.
func (c *Consumer) Run(ctx context.Context) error {
	if len(c.Handlers) == 0 {
		<-ctx.Done()
		return nil
	}
	var side sync.WaitGroup
	ctx, cancel := context.WithCancel(ctx)
	side.Go(func() { c.keep(ctx) })
	side.Go(func() { c.sweeps(ctx) })
	err := c.Bus.Consume(ctx, bus.Consumer{Name: Durable(c.DB.Name()), Subjects: c.subjects(), Workers: c.Workers, Batch: atOnce}, c.handle)
	cancel()
	side.Wait()
	c.last(ctx)
	return err
}

// handle ends deliveries: together what may be, the others one by one.
func (c *Consumer) handle(ctx context.Context, ds []bus.Delivery) {
	for _, d := range c.handleTogether(ctx, ds) {
		c.handleOne(ctx, d)
	}
}

// handleOne ends one delivery.
func (c *Consumer) handleOne(ctx context.Context, d bus.Delivery) {
	if ctx.Err() != nil { // those before it took the time; it has not failed
		c.end(d.Nak(0))
		return
	}
	out := c.take(ctx, d.Msg, d.Attempt)
	c.Metrics.count(c.DB.Name(), out.kind, out.word)
	switch out.word {
	case wordRetry:
		c.end(d.Nak(out.pause))
	case wordDead:
		c.end(d.Term())
	default:
		c.end(d.Ack(ctx))
	}
}

// end says when the broker did not hear how a delivery ended: it comes again, and the inbox drops it.
func (c *Consumer) end(err error) {
	if err != nil {
		c.Log.Warn("inbox: delivery not ended", "context", c.DB.Name(), "error", deadletter.Describe(err))
	}
}

// handleTogether gives each tenant's messages their effect in one transaction where
// their handlers allow it, and returns the deliveries that are still to be handled: those
// that go alone, that came before (one of them may be why a transaction failed), that
// cannot be read, and all of a transaction that failed.
func (c *Consumer) handleTogether(ctx context.Context, ds []bus.Delivery) (rest []bus.Delivery) {
	type group struct {
		ms []told
		ds []bus.Delivery
	}
	groups := map[id.ID[auth.Tenant]]*group{}
	var order []*group
	for _, d := range ds {
		meta, err := readMeta(d.Msg)
		var t told
		if err == nil {
			t, err = c.read(meta, d.Data)
		}
		if err != nil || d.Attempt > 1 || !t.together() {
			rest = append(rest, d)
			continue
		}
		g := groups[meta.Tenant]
		if g == nil {
			g = &group{}
			groups[meta.Tenant] = g
			order = append(order, g)
		}
		g.ms, g.ds = append(g.ms, t), append(g.ds, d)
	}
	for _, g := range order {
		if len(g.ds) == 1 || !c.commit(ctx, g.ms, g.ds) {
			rest = append(rest, g.ds...)
		}
	}
	return rest
}

// commit is one transaction for several messages of one tenant; false when it failed.
func (c *Consumer) commit(ctx context.Context, ms []told, ds []bus.Delivery) bool {
	short, cancel := context.WithTimeout(ctx, batchTime)
	defer cancel()
	fresh, err := c.effect(obs.WithOrigin(obs.WithLog(short, c.Log), "bus"), ms[0].meta.Tenant, ms, nil)
	if err != nil {
		c.Metrics.split(c.DB.Name())
		c.Log.Warn("inbox: a transaction failed, trying its messages one by one", "context", c.DB.Name(), "messages", len(ms), "error", deadletter.Describe(err))
		return false
	}
	c.Metrics.together(c.DB.Name(), len(ms))
	for _, m := range ms {
		word := wordRepeat
		if fresh[m.meta.ID] {
			word = wordDone
		}
		c.Metrics.count(c.DB.Name(), m.meta.Name, word)
	}
	_, err = bus.AckAll(ctx, ds)
	c.end(err)
	return true
}

const (
	wordDone   = "done"
	wordRepeat = "repeat"
	wordRetry  = "retry"
	wordDead   = "dead"
)

type outcome struct {
	word  string
	kind  string // event name, "" when it could not be read
	pause time.Duration
}

// take gives the message its effect, once, and decides what the broker hears.
func (c *Consumer) take(ctx context.Context, m bus.Msg, attempt int) outcome {
	meta, err := readMeta(m)
	ctx = c.enter(ctx, meta)
	ctx, end := obs.Start(ctx, "inbox "+meta.Name)
	defer func() { end(err) }()
	fresh := false
	if err == nil {
		fresh, err = c.effectOne(ctx, meta, m.Data, nil)
	}
	known := meta.Name
	if len(c.of(meta.Name)) == 0 {
		known = "" // labels come from the code, not from messages
	}
	switch {
	case err == nil && fresh:
		return outcome{wordDone, known, 0}
	case err == nil:
		return outcome{wordRepeat, known, 0}
	case !final(err) && attempt < maxAttempts:
		obs.Log(ctx).Warn("inbox: event failed, will come again", "context", c.DB.Name(), "event", known, "attempt", attempt, "error", deadletter.Describe(err))
		return outcome{wordRetry, known, pause(attempt)}
	}
	if lost := c.bury(ctx, meta, m.Data, attempt, err); lost != nil {
		obs.Log(ctx).Error("inbox: dead letter not kept, will come again", "context", c.DB.Name(), "event", known, "error", deadletter.Describe(lost))
		return outcome{wordRetry, known, maxPause}
	}
	obs.Log(ctx).Error("inbox: dead letter", "context", c.DB.Name(), "event", known, "message", meta.ID.String(), "attempts", attempt, "error", deadletter.Describe(err))
	return outcome{wordDead, known, 0}
}

// final tells that trying again cannot help.
func final(err error) bool { return errors.Is(err, ErrPoison) || errors.Is(err, ErrUnknown) }

// pause before the next attempt: doubling to a minute, half of it random.
func pause(attempt int) time.Duration {
	p := min(firstPause<<min(attempt-1, 10), maxPause)
	return p/2 + rand.N(p/2)
}

// enter makes the context that a handler sees: the consumer as principal on the
// message's tenant, with the trace and number of the request that caused it.
func (c *Consumer) enter(ctx context.Context, m event.Meta) context.Context {
	ctx = auth.With(ctx, auth.Principal{Kind: auth.System, Tenant: m.Tenant, Name: "consumer:" + c.DB.Name()})
	ctx = obs.WithLog(ctx, c.Log)
	ctx = obs.WithOrigin(ctx, "bus")
	return obs.WithNumber(obs.WithTrace(ctx, m.Trace), m.Number)
}

// effectOne is effect for one message.
func (c *Consumer) effectOne(ctx context.Context, m event.Meta, payload []byte, also func(context.Context, db.Tx) error) (bool, error) {
	t, err := c.read(m, payload)
	if err != nil {
		return false, err
	}
	fresh, err := c.effect(ctx, m.Tenant, []told{t}, also)
	return fresh[m.ID], err
}

// readMeta reads the envelope. Of a malformed one it gives what a dead letter needs: an
// id that is the same whenever the same message comes.
func readMeta(m bus.Msg) (event.Meta, error) {
	out := event.Meta{Name: m.Header[outbox.HeaderName], Trace: m.Header[outbox.HeaderTrace], Number: m.Header[outbox.HeaderNumber]}
	row, err1 := id.Parse[event.Row](m.ID)
	tenant, err2 := id.Parse[auth.Tenant](m.Header[outbox.HeaderTenant])
	at, err3 := strconv.ParseInt(m.Header[outbox.HeaderAt], 10, 64)
	if err1 != nil || err2 != nil || err3 != nil {
		sum := sha256.Sum256([]byte(m.ID + "\x00" + m.Subject))
		copy(out.ID[:], sum[:])
		return out, ErrPoison.Because("envelope")
	}
	out.ID, out.Tenant, out.At = row, tenant, db.Time(at)
	return out, nil
}

func (c *Consumer) bury(ctx context.Context, m event.Meta, payload []byte, attempts int, why error) error {
	if text, err := outbox.Unpack(payload); err == nil {
		payload = text // a person reads it
	}
	return c.DB.Write(ctx, m.Tenant, func(ctx context.Context, tx db.Tx) error {
		return deadletter.Put(ctx, tx, deadletter.Row{
			Tenant: m.Tenant, ID: id.As[deadletter.Letter](m.ID), Source: deadletter.Inbox, Kind: m.Name, Payload: payload,
			Attempts: attempts, Error: deadletter.Describe(why), Trace: m.Trace, Number: m.Number,
		})
	})
}

// Replay runs the handlers of a dead letter again in one transaction and marks it
// replayed. If the message had its effect in the meantime, it is only marked. Code:
// deadletter.missing, or what the handlers say.
func (c *Consumer) Replay(ctx context.Context, letter id.ID[deadletter.Letter]) error {
	r, err := deadletter.Get(ctx, c.DB, deadletter.Inbox, letter)
	if err != nil {
		return err
	}
	if r.Tenant.IsZero() { // its envelope could not be read: nobody knows whose it is
		return ErrPoison.Because("envelope")
	}
	payload := []byte(r.Payload)
	var text string
	if json.Unmarshal(payload, &text) == nil { // what was no JSON is kept as a text
		payload = []byte(text)
	}
	m := event.Meta{ID: id.As[event.Row](letter), Name: r.Kind, Tenant: r.Tenant, At: r.At, Trace: r.Trace, Number: r.Number}
	_, err = c.effectOne(c.enter(ctx, m), m, payload, func(ctx context.Context, tx db.Tx) error {
		return deadletter.Replayed(ctx, tx, r.Tenant, letter)
	})
	return err
}

// Sweep forgets messages older than Keep, in batches, and says how many.
func (c *Consumer) Sweep(ctx context.Context) (int64, error) {
	var total int64
	for {
		var n int64
		err := c.DB.WriteAll(ctx, func(ctx context.Context, tx db.Tx) (err error) {
			n, err = tx.Exec(ctx, `-- global: a sweep over all tenants
				DELETE FROM inbox WHERE (tenant_id, id) IN (SELECT tenant_id, id FROM inbox WHERE at < $1 ORDER BY at LIMIT $2)`,
				c.Clock.Now().Add(-Keep).UnixMicro(), sweepBatch)
			return err
		})
		total += n
		if err != nil || n < sweepBatch {
			return total, err
		}
	}
}

func (c *Consumer) sweeps(ctx context.Context) {
	tick := time.NewTicker(sweepEach)
	defer tick.Stop()
	for {
		if _, err := c.Sweep(ctx); err != nil && ctx.Err() == nil {
			c.Log.Warn("inbox: sweep", "context", c.DB.Name(), "kind", string(fault.KindOf(err)), "error", deadletter.Describe(err))
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
