package bus

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go/jetstream"
)

// bornKey is the metadata entry that carries a stream's incarnation.
const bornKey = "xinglin.incarnation"

// streamConfig is how the stream is made. A stream that an operator made before (say with three replicas) is taken as it is.
func streamConfig() jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:        Stream,
		Description: "facts of Xinglin; the outboxes keep the truth",
		Subjects:    []string{Subjects},
		Retention:   jetstream.LimitsPolicy,
		Storage:     jetstream.FileStorage,
		Discard:     jetstream.DiscardOld,
		MaxAge:      MaxAge,
		Duplicates:  Duplicates,
		MaxMsgSize:  MaxBytes,
		Replicas:    1,

		AllowAtomicPublish: true,

		Metadata: map[string]string{bornKey: strings.ToLower(rand.Text())},
	}
}

// Position implements Bus.
func (c *conn) Position(ctx context.Context) (Position, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	info, err := c.info(ctx)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		_, err = c.js.CreateStream(ctx, streamConfig())
		if err == nil || errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) { // another process was faster
			info, err = c.info(ctx)
		}
	}
	if err != nil {
		return Position{}, c.fault(err)
	}
	info = c.allowBatches(ctx, info)
	p := Position{Incarnation: incarnation(info), LastSeq: info.State.LastSeq, FirstSeq: info.State.FirstSeq}
	c.notice(p.Incarnation)
	return p, nil
}

func (c *conn) info(ctx context.Context) (*jetstream.StreamInfo, error) {
	s, err := c.js.Stream(ctx, Stream)
	if err != nil {
		return nil, err
	}
	return s.CachedInfo(), nil // Stream asked the broker just now
}

// allowBatches makes a stream of an earlier version, or of an operator, take atomic batches; once each incarnation. Where
// it cannot, messages are published one by one.
func (c *conn) allowBatches(ctx context.Context, info *jetstream.StreamInfo) *jetstream.StreamInfo {
	born, allowed := incarnation(info), info.Config.AllowAtomicPublish
	c.mu.Lock()
	ask := !allowed && c.asked != born
	if ask {
		c.asked = born
	}
	c.mu.Unlock()
	if ask {
		cfg := info.Config
		cfg.AllowAtomicPublish = true
		s, err := c.js.UpdateStream(ctx, cfg)
		if err == nil {
			info = s.CachedInfo()
		}
		if allowed = info.Config.AllowAtomicPublish; !allowed {
			c.log.Warn("bus: the broker does not take atomic batches; messages are published one by one, which is slower", "error", err)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case !allowed:
		c.batch = 1
	case c.batch <= 1:
		c.batch = batchMsgs
	}
	return info
}

// incarnation is the random id that this package gave the stream, or the instant at which somebody else made it.
func incarnation(info *jetstream.StreamInfo) string {
	if born := info.Config.Metadata[bornKey]; topicRE.MatchString(born) {
		return born
	}
	return fmt.Sprintf("t%x", info.Created.UnixNano())
}

// notice keeps the incarnation and wakes every Consume when it is another one.
func (c *conn) notice(born string) {
	c.mu.Lock()
	before := c.seen
	c.seen, c.doubt = born, false
	c.mu.Unlock()
	if before != "" && before != born {
		c.log.Warn("bus: the stream is a new one", "incarnation", born)
		c.renew()
	}
}

// durable is a consumer's name on the broker. It carries the incarnation, so that a late acknowledgement from a former
// stream cannot end a message with the same sequence in this one.
func durable(name, born string) string { return name + "-" + born }

// AckFloor implements Bus.
func (c *conn) AckFloor(ctx context.Context, consumer string) (string, uint64, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	p, err := c.Position(ctx)
	if err != nil {
		return "", 0, err
	}
	cons, err := c.js.Consumer(ctx, Stream, durable(consumer, p.Incarnation))
	switch {
	case errors.Is(err, jetstream.ErrConsumerNotFound):
		return p.Incarnation, 0, nil
	case err != nil:
		return "", 0, c.fault(err)
	}
	return p.Incarnation, cons.CachedInfo().AckFloor.Stream, nil
}

// Reset implements Bus. A Consume that runs, here or elsewhere, makes the consumer again.
func (c *conn) Reset(ctx context.Context, consumer string) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	p, err := c.Position(ctx)
	if err != nil {
		return err
	}
	err = c.js.DeleteConsumer(ctx, Stream, durable(consumer, p.Incarnation))
	if errors.Is(err, jetstream.ErrConsumerNotFound) {
		return nil
	}
	return c.fault(err)
}

// consumerConfig is how c's durable is made on the broker.
func consumerConfig(c Consumer, born string) jetstream.ConsumerConfig {
	return jetstream.ConsumerConfig{
		Durable:        durable(c.Name, born),
		DeliverPolicy:  jetstream.DeliverAllPolicy,
		AckPolicy:      jetstream.AckExplicitPolicy,
		AckWait:        AckWait,
		MaxDeliver:     -1,
		MaxAckPending:  4096, // delayed messages count; more than any handler's dead-letter bound leaves behind
		MaxWaiting:     512,
		FilterSubjects: c.Subjects,
		ReplayPolicy:   jetstream.ReplayInstantPolicy,
	}
}
