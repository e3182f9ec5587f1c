// Package bus carries facts between contexts and short signals between processes. It is one JetStream stream,
// either inside this process (Embed) or on a NATS server elsewhere (Dial; Serve is such a server: `xinglin broker`).
// It knows no context and no database.
//
// What is promised, on both engines:
//   - Publish returns a message's Ack after the stream stored it. JetStream acknowledges before it syncs to disk
//     unless the server runs with sync_interval "always"; Embed and Serve do, a foreign NATS server must be told to.
//     Several messages travel as one atomic batch with one sync; a server before 2.12, or a stream that does not allow
//     it, gets them one by one, and the log says so.
//   - Consume hands every message of its subjects at least once to one of the processes that share its name, in no
//     promised order, again and again until it is acknowledged or terminated.
//   - The broker may lose everything. Then the stream has a new incarnation: whoever keeps the facts (the outbox)
//     sees it in Position and publishes them again; whoever hears them drops repeats (the inbox).
//
// Signals are not facts: they may be lost, and nothing may depend on them but speed.
package bus

import (
	"context"
	"sync"
	"time"

	"xinglin/internal/kernel/fault"
)

// The stream and its limits.
const (
	Stream     = "XINGLIN"               // name of the only stream
	Subjects   = "ev.>"                  // what it stores
	MaxAge     = 8 * 24 * time.Hour      // a day longer than the outbox keeps its rows at least
	Duplicates = 2 * time.Minute         // window in which a repeated Msg.ID is stored once; inboxes drop later repeats
	MaxBytes   = 8 << 20                 // header and data of one message
	AckWait    = 30 * time.Second        // an unacknowledged delivery comes again after it
	HandleTime = AckWait - 5*time.Second // deadline of the context that a handler gets
)

// Refusals of this package.
var (
	ErrUnreachable = fault.Register(fault.Unavailable, "bus.unreachable", "消息服务暂时不可用", "The message broker cannot be reached")
	ErrTooLarge    = fault.Register(fault.TooLarge, "bus.too_large", "消息超过大小限制", "The message is too large")
	ErrClosed      = fault.Register(fault.Unavailable, "bus.closed", "消息服务已关闭", "The message bus is closed")
)

// Msg is one fact on its way.
type Msg struct {
	ID      string            // outbox row id; a repeat within Duplicates is stored once
	Subject string            // ev.<context>.<event name>
	Header  map[string]string // names must not be Status, Description or begin with Nats-
	Data    []byte
}

// Ack says where a message was stored.
type Ack struct {
	Incarnation string // of the stream
	Seq         uint64 // in the stream; of the first copy when Duplicate
	Duplicate   bool   // the stream already held this Msg.ID
	Batched     bool   // stored with others in one atomic batch; otherwise alone, with a sync of its own
}

// Position is how far the stream has come.
type Position struct {
	Incarnation string // another value means another stream: everything kept must be published again
	LastSeq     uint64 // of the newest message, 0 when nothing was ever stored
	FirstSeq    uint64 // of the oldest message that is still there
}

// Consumer says what Consume hears.
type Consumer struct {
	Name     string   // durable, shared by all processes that use it; letters, digits, - and _, at most 64
	Subjects []string // such as ev.payment.> or ev.payment.settled.v1; they must not overlap
	Workers  int      // handlers that run at once; 0 means 4, at most 256
	Batch    int      // messages that wait for a handler are handed over together, at most so many; 0 means 1, at most 256
}

// Delivery is one message handed to a handler, which ends it with exactly one of Ack, Nak and Term. A delivery that is
// not ended comes again after AckWait.
type Delivery struct {
	Msg
	Seq     uint64    // in the stream
	Attempt int       // 1 for the first delivery; the handler bounds it, the broker does not
	At      time.Time // when the stream stored the message, UTC
	end     ending
}

// ending is what the broker does about a delivery.
type ending interface {
	ack(ctx context.Context) error
	nak(delay time.Duration) error
	term() error
}

// Ack ends the delivery for good and waits until the broker confirms it (at most 5 s when ctx has no deadline). After
// an error the message may come again.
func (d Delivery) Ack(ctx context.Context) error { return d.end.ack(ctx) }

// AckAll is Ack for several deliveries, side by side, since each waits for the broker. It gives how many failed and the
// first error.
func AckAll(ctx context.Context, ds []Delivery) (failed int, err error) {
	if len(ds) == 1 {
		if err := ds[0].Ack(ctx); err != nil {
			return 1, err
		}
		return 0, nil
	}
	var mu sync.Mutex
	var all sync.WaitGroup
	next := make(chan Delivery)
	for range min(len(ds), acksAtOnce) {
		all.Go(func() {
			for d := range next {
				if e := d.Ack(ctx); e != nil {
					mu.Lock()
					failed++
					if err == nil {
						err = e
					}
					mu.Unlock()
				}
			}
		})
	}
	for _, d := range ds {
		next <- d
	}
	close(next)
	all.Wait()
	return failed, err
}

// acksAtOnce bounds how many acknowledgements of one AckAll are on their way.
const acksAtOnce = 16

// Nak asks for the message again after delay, with the next Attempt.
func (d Delivery) Nak(delay time.Duration) error { return d.end.nak(delay) }

// Term ends the delivery: the message never comes again to this consumer (it is in the dead letters by then).
func (d Delivery) Term() error { return d.end.term() }

// Bus is the broker as the platform sees it; outbox and inbox use it, contexts never do. It is safe for concurrent use.
// Errors are faults (bus.unreachable, bus.too_large, bus.closed), the context's own error, or plain errors for calls that
// no running program may make (a malformed subject).
type Bus interface {
	// Publish stores msgs in order and returns the acks of the first len(acks) of them. With an error, msgs[len(acks)] is
	// the first that is not known to be stored (with bus.too_large: that can never be); it and later ones may or may not be.
	Publish(ctx context.Context, msgs []Msg) ([]Ack, error)
	// Position reads how far the stream is and creates it if it is missing.
	Position(ctx context.Context) (Position, error)
	// Consume runs handle for the deliveries, one or what waits up to c.Batch at a time, until ctx ends or the bus drains,
	// then waits for the running handlers and returns nil. It outlives broker restarts and lost streams and consumers. The
	// handler's context ends after HandleTime, not with ctx. An error means that c itself is wrong, or that the bus was
	// already closed.
	Consume(ctx context.Context, c Consumer, handle func(ctx context.Context, ds []Delivery)) error
	// AckFloor is the highest sequence up to which the named consumer has ended every message of its subjects; 0 when the
	// consumer does not exist.
	AckFloor(ctx context.Context, consumer string) (incarnation string, seq uint64, err error)
	// Reset makes the named consumer hear everything in the stream again (its database was restored).
	Reset(ctx context.Context, consumer string) error
	// Signal tells all processes, this one included, without any guarantee. Topic is a dotted name.
	Signal(ctx context.Context, topic string, data []byte) error
	// OnSignal calls f, one call at a time, for each signal on topic until stop is called.
	OnSignal(topic string, f func(data []byte)) (stop func(), err error)
	// Embedded tells whether the broker is inside this process, so that no other process can hear it.
	Embedded() bool
	// Drain ends all Consume calls and waits for their handlers; publishing still works. ctx bounds the wait.
	Drain(ctx context.Context) error
	// Close drains for at most 30 s and lets go of everything. A second Close does nothing.
	Close() error
}
