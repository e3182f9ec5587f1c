package bus

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Several messages travel as one atomic batch of JetStream (server 2.12 and later): all of them are stored or none, one
// after the other, with one sync and one acknowledgement. The client has no call for it; the batch is in the headers.
const (
	batchMsgs  = 1000    // the server's own limit, unless its configuration says less
	batchBytes = 8 << 20 // on its way at once, and staged on the broker's disk
	batchTries = 3       // of a batch that the broker lost or has no room for
	batchTime  = 10 * time.Second

	headerBatch  = "Nats-Batch-Id"
	headerSeq    = "Nats-Batch-Sequence"
	headerCommit = "Nats-Batch-Commit"
)

// What a server says when it refuses a batch. Nothing of it is stored then.
const (
	codeDisabled   jetstream.ErrorCode = 10174 // the stream does not take batches
	codeIncomplete jetstream.ErrorCode = 10176 // a part was lost, or the batch waited too long
	codeTooMany    jetstream.ErrorCode = 10199 // messages; this server's limit is lower
	codeDuplicate  jetstream.ErrorCode = 10201 // the stream holds the id of one of the messages
	codeInflight   jetstream.ErrorCode = 10210 // too many batches are on their way
)

// batchAck is the server's answer to the last message of a batch.
type batchAck struct {
	Error *jetstream.APIError `json:"error"`
	Seq   uint64              `json:"seq"` // of the last message
	Batch string              `json:"batch"`
	Count int                 `json:"count"`
}

// store publishes msgs in order, in atomic batches where the broker takes them, and returns the acks of the first of
// them, up to the first failure. What a refused batch holds is published one by one: that tells which message the stream
// already has, or does not take.
func (c *conn) store(ctx context.Context, msgs []Msg, born string) ([]Ack, error) {
	acks := make([]Ack, 0, len(msgs))
	for len(acks) < len(msgs) {
		part := c.portion(msgs[len(acks):])
		got, err := c.storePart(ctx, part, born)
		var no *jetstream.APIError
		if errors.As(err, &no) && no.ErrorCode == codeTooMany {
			c.halve(len(part))
			continue
		}
		acks = append(acks, got...)
		if err != nil {
			return acks, err
		}
	}
	return acks, nil
}

// storePart publishes what fits into one batch.
func (c *conn) storePart(ctx context.Context, part []Msg, born string) ([]Ack, error) {
	if len(part) == 1 {
		return c.send(ctx, part, born)
	}
	for n := 1; ; n++ {
		acks, err := c.sendBatch(ctx, part, born)
		var no *jetstream.APIError
		switch {
		case !errors.As(err, &no):
			return acks, err
		case no.ErrorCode == codeTooMany && len(part) > 2:
			return nil, err
		case (no.ErrorCode == codeIncomplete || no.ErrorCode == codeInflight) && n < batchTries:
			if err := rest(ctx, backoff(n-1)); err != nil {
				return nil, err
			}
			continue
		case no.ErrorCode == codeDisabled:
			c.mu.Lock()
			c.batch, c.doubt = 1, true // until somebody has looked at the stream again
			c.mu.Unlock()
		}
		c.log.Warn("bus: a batch was refused, publishing its messages one by one", "messages", len(part), "code", int(no.ErrorCode))
		return c.send(ctx, part, born)
	}
}

// portion is the first of msgs that fit into one batch, at least one.
func (c *conn) portion(msgs []Msg) []Msg {
	c.mu.Lock()
	most := max(c.batch, 1)
	c.mu.Unlock()
	bytes, limit := 0, c.limit()
	for i := range msgs {
		n := size(&msgs[i]) + batchHeaders
		bytes += n
		if i > 0 && (i == most || bytes > batchBytes || int64(n) > limit) {
			return msgs[:i]
		}
	}
	return msgs
}

// halve lowers how many messages one batch may hold, after one of n was too large. One is always taken.
func (c *conn) halve(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.batch = min(c.batch, n/2)
	c.log.Info("bus: the broker takes smaller batches", "messages", c.batch)
}

// batchHeaders is at most what a batch adds to a message.
const batchHeaders = len(headerBatch) + len(headerSeq) + len(headerCommit) + 26 + 4 + 1 + 3*4

// sendBatch publishes msgs as one atomic batch. After a lost connection no answer comes any more: it ends with the
// connection that is there again, the outcome unknown.
func (c *conn) sendBatch(ctx context.Context, msgs []Msg, born string) ([]Ack, error) {
	short, cancel := context.WithTimeout(ctx, batchTime)
	defer cancel()
	fresh := c.renewal()
	go func() {
		select {
		case <-fresh:
			cancel()
		case <-short.Done():
		}
	}()
	acks, err := c.exchange(short, msgs, born)
	if err != nil && short.Err() != nil && ctx.Err() == nil {
		return nil, ErrUnreachable.Wrap(err)
	}
	return acks, err
}

// exchange sends a batch: the broker answers the first message, so that it refuses before the others are sent, and the
// last one after all of them are on disk.
func (c *conn) exchange(ctx context.Context, msgs []Msg, born string) ([]Ack, error) {
	name, last := strings.ToLower(rand.Text()), len(msgs)-1
	for i := range msgs {
		m := wire(&msgs[i])
		m.Header[headerBatch] = []string{name}
		m.Header[headerSeq] = []string{strconv.Itoa(i + 1)}
		switch i {
		case 0:
			m.Header[jetstream.ExpectedStreamHeader] = []string{Stream}
			if _, err := c.ask(ctx, m); err != nil {
				return nil, err
			}
		case last:
			m.Header[headerCommit] = []string{"1"}
			ack, err := c.ask(ctx, m)
			if err != nil {
				return nil, err
			}
			if ack.Batch != name || ack.Count != len(msgs) || ack.Seq < uint64(ack.Count) {
				return nil, ErrUnreachable.Because("the acknowledgement is of another batch")
			}
			return batchAcks(born, ack), nil
		default:
			if err := c.nc.PublishMsg(m); err != nil {
				return nil, err
			}
		}
	}
	return nil, errors.New("bus: a batch of one message") // storePart sends two at least
}

// ask sends one message of a batch and waits for the answer.
func (c *conn) ask(ctx context.Context, m *nats.Msg) (ack batchAck, err error) {
	answer, err := c.nc.RequestMsgWithContext(ctx, m)
	if err != nil {
		return ack, err
	}
	if len(answer.Data) == 0 { // staged, not committed
		return ack, nil
	}
	if err := json.Unmarshal(answer.Data, &ack); err != nil {
		return ack, ErrUnreachable.Because("an acknowledgement that cannot be read")
	}
	if ack.Error != nil {
		return ack, ack.Error
	}
	return ack, nil
}

func batchAcks(born string, ack batchAck) []Ack {
	out := make([]Ack, ack.Count)
	for i := range out {
		out[i] = Ack{Incarnation: born, Seq: ack.Seq - uint64(ack.Count-1-i), Batched: true}
	}
	return out
}

// rest waits, unless ctx ends first.
func rest(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
