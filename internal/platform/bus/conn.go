package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"xinglin/internal/kernel/fault"
)

const (
	callTimeout  = 5 * time.Second            // one request to the broker
	closeTimeout = HandleTime + 5*time.Second // Close waits so long for running handlers
)

// conn is the Bus over one NATS connection; both engines are this.
type conn struct {
	nc       *nats.Conn
	js       jetstream.JetStream
	log      *slog.Logger
	embedded bool
	after    func() // stops the embedded server; nil when there is none

	mu        sync.Mutex
	open      context.Context // ends when Drain begins
	shut      context.CancelFunc
	closed    bool
	consuming sync.WaitGroup
	fresh     chan struct{} // closed and replaced when sessions must start anew
	seen      string        // incarnation that Position saw last
	doubt     bool          // a publish failed: look at the stream before the next
	batch     int           // messages in one atomic batch; 0 or 1 when the stream takes none
	asked     string        // incarnation of the stream that was asked to allow atomic batches
}

// open finishes a bus over a connection that options describe: it connects, and makes sure of the stream.
func open(ctx context.Context, url string, log *slog.Logger, opts ...nats.Option) (*conn, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	c := &conn{log: log, fresh: make(chan struct{})}
	c.open, c.shut = context.WithCancel(context.Background())
	nc, err := nats.Connect(url, append(c.options(), opts...)...)
	if err != nil {
		return nil, err
	}
	c.nc = nc
	if c.js, err = jetstream.New(nc, jetstream.WithPublishAsyncTimeout(2*callTimeout)); err == nil {
		_, err = c.Position(ctx)
	}
	if err != nil {
		nc.Close()
		return nil, err
	}
	return c, nil
}

// options are those of both engines: reconnect for ever, buffer nothing while disconnected.
func (c *conn) options() []nats.Option {
	return []nats.Option{
		nats.MaxReconnects(-1),
		nats.IgnoreAuthErrorAbort(),
		nats.CustomReconnectDelay(func(attempts int) time.Duration { return backoff(attempts) }),
		nats.ReconnectBufSize(-1),
		nats.PingInterval(10 * time.Second),
		nats.MaxPingsOutstanding(2),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				c.log.Warn("bus: connection lost", "error", err)
			}
		}),
		nats.ReconnectHandler(func(*nats.Conn) {
			c.log.Info("bus: connected again")
			c.renew()
		}),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			c.log.Warn("bus: connection reports", "error", err)
		}),
	}
}

// backoff is the pause after the nth failure: 50 ms doubling up to 3 s, and half as much again by chance.
func backoff(n int) time.Duration {
	d := 3 * time.Second
	if n < 6 {
		d = 50 * time.Millisecond << max(n, 0)
	}
	return d + rand.N(d/2)
}

// renew wakes every Consume: what it holds on the broker may be gone.
func (c *conn) renew() {
	c.mu.Lock()
	defer c.mu.Unlock()
	close(c.fresh)
	c.fresh = make(chan struct{})
}

// renewal is closed at the next renew.
func (c *conn) renewal() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.fresh
}

// Embedded implements Bus.
func (c *conn) Embedded() bool { return c.embedded }

var topicRE = regexp.MustCompile(`^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$`)

// Signal implements Bus.
func (c *conn) Signal(ctx context.Context, topic string, data []byte) error {
	if !topicRE.MatchString(topic) {
		return fmt.Errorf("bus: malformed topic %q", topic)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if int64(len(data)) > c.limit() {
		return ErrTooLarge.Because("signal of %d bytes", len(data))
	}
	return c.fault(c.nc.Publish("sig."+topic, data))
}

// OnSignal implements Bus.
func (c *conn) OnSignal(topic string, f func(data []byte)) (func(), error) {
	if !topicRE.MatchString(topic) {
		return nil, fmt.Errorf("bus: malformed topic %q", topic)
	}
	sub, err := c.nc.Subscribe("sig."+topic, func(m *nats.Msg) { f(m.Data) })
	if err != nil {
		return nil, c.fault(err)
	}
	// The broker knows of the subscription before this returns, unless the connection is down: then it learns later.
	if c.nc.IsConnected() {
		if err := c.nc.FlushTimeout(callTimeout); err != nil {
			c.log.Warn("bus: subscription not confirmed yet", "topic", topic, "error", err)
		}
	}
	return func() { _ = sub.Unsubscribe() }, nil
}

// limit is the most that one message may hold here; a foreign server may allow less than MaxBytes.
func (c *conn) limit() int64 {
	if n := c.nc.MaxPayload(); n > 0 && n < MaxBytes {
		return n
	}
	return MaxBytes
}

// enter counts one Consume; false when the bus is draining.
func (c *conn) enter() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open.Err() != nil {
		return false
	}
	c.consuming.Add(1)
	return true
}

// Drain implements Bus.
func (c *conn) Drain(ctx context.Context) error {
	c.mu.Lock() // no Consume is between its check and its count
	c.shut()
	c.mu.Unlock()
	done := make(chan struct{})
	go func() {
		c.consuming.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("bus: handlers still run: %w", ctx.Err())
	}
}

// Close implements Bus.
func (c *conn) Close() error {
	c.mu.Lock()
	again := c.closed
	c.closed = true
	c.mu.Unlock()
	if again {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	err := c.Drain(ctx)
	if c.nc.IsConnected() {
		_ = c.nc.FlushTimeout(callTimeout) // a Nak or a signal on its way; losing it costs time only
	}
	c.js.CleanupPublisher()
	c.nc.Close()
	if c.after != nil {
		c.after()
	}
	return err
}

// fault turns an error of the broker's client into one of this package's refusals.
func (c *conn) fault(err error) error {
	switch {
	case err == nil || fault.Of(err) != nil:
		return err
	case errors.Is(err, context.Canceled):
		return err
	case errors.Is(err, nats.ErrMaxPayload), errors.Is(err, jetstream.ErrStreamMessageExceedsMaximum):
		return ErrTooLarge.Wrap(err)
	case errors.Is(err, nats.ErrConnectionClosed), errors.Is(err, jetstream.ErrConnectionClosed),
		errors.Is(err, jetstream.ErrJetStreamPublisherClosed):
		return ErrClosed.Wrap(err)
	}
	return ErrUnreachable.Wrap(err)
}

// bounded gives ctx a deadline when it has none.
func bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, callTimeout)
}

// checkSubject refuses what the stream would not store or a pattern could not name.
func checkSubject(s string, pattern bool) error {
	tokens := strings.Split(s, ".")
	ok := len(tokens) >= 2 && tokens[0] == "ev" && len(s) <= 255
	for i, t := range tokens {
		wild := pattern && i > 0 && (t == "*" || t == ">" && i == len(tokens)-1)
		ok = ok && (wild || topicRE.MatchString(t))
	}
	if !ok || !pattern && len(tokens) < 3 {
		return fmt.Errorf("bus: malformed subject %q", s)
	}
	return nil
}
