package bus

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// At most so much of one Publish is on its way at once.
const (
	windowMsgs  = 128
	windowBytes = 16 << 20
)

// Publish implements Bus.
func (c *conn) Publish(ctx context.Context, msgs []Msg) ([]Ack, error) {
	if len(msgs) == 0 {
		return nil, nil
	}
	for i := range msgs {
		if err := checkMsg(&msgs[i]); err != nil {
			return nil, err
		}
	}
	born, err := c.known(ctx)
	if err != nil {
		return nil, err
	}
	acks, err := c.store(ctx, msgs, born)
	if len(acks) == 0 {
		return nil, c.publishFault(err)
	}
	// An incarnation never comes back, so seeing the same one before and after proves that all acks are of it.
	p, perr := c.Position(ctx)
	if perr != nil {
		return nil, perr
	}
	if p.Incarnation != born {
		return nil, ErrUnreachable.Because("the stream was replaced while publishing")
	}
	return acks, c.publishFault(err)
}

// known is the incarnation seen last; after a failure the broker is asked, which creates a lost stream.
func (c *conn) known(ctx context.Context) (string, error) {
	c.mu.Lock()
	closed, born, doubt := c.closed, c.seen, c.doubt
	c.mu.Unlock()
	if closed {
		return "", ErrClosed.New()
	}
	if !doubt {
		return born, nil
	}
	p, err := c.Position(ctx)
	return p.Incarnation, err
}

// publishFault is fault, and makes the next Publish look at the stream first.
func (c *conn) publishFault(err error) error {
	err = c.fault(err)
	if err != nil && !errors.Is(err, ErrTooLarge) {
		c.mu.Lock()
		c.doubt = true
		c.mu.Unlock()
	}
	return err
}

// send publishes one by one, in order, with a bounded window and returns the acks of the first messages, up to the first failure.
func (c *conn) send(ctx context.Context, msgs []Msg, born string) ([]Ack, error) {
	acks := make([]Ack, 0, len(msgs))
	var window []jetstream.PubAckFuture
	var failed error
	bytes, next := 0, 0
	for failed == nil || len(window) > 0 {
		for failed == nil && next < len(msgs) && len(window) < windowMsgs && (len(window) == 0 || bytes+size(&msgs[next]) <= windowBytes) {
			f, err := c.sendOne(&msgs[next])
			if err != nil {
				failed = err
				break
			}
			window = append(window, f)
			bytes += size(&msgs[next])
			next++
		}
		if len(window) == 0 {
			break
		}
		ack, err := await(ctx, window[0])
		if err != nil {
			return acks, err
		}
		bytes -= size(&msgs[len(acks)])
		window = window[1:]
		acks = append(acks, Ack{Incarnation: born, Seq: ack.Sequence, Duplicate: ack.Duplicate})
	}
	return acks, failed
}

func (c *conn) sendOne(m *Msg) (jetstream.PubAckFuture, error) {
	if n := size(m); int64(n) > c.limit() {
		return nil, ErrTooLarge.Because("message %s has %d bytes of at most %d", m.ID, n, c.limit())
	}
	return c.js.PublishMsgAsync(wire(m), jetstream.WithExpectStream(Stream))
}

// wire is m as the client sends it.
func wire(m *Msg) *nats.Msg {
	h := make(nats.Header, len(m.Header)+4)
	for k, v := range m.Header {
		h[k] = []string{v}
	}
	h[jetstream.MsgIDHeader] = []string{m.ID}
	return &nats.Msg{Subject: m.Subject, Header: h, Data: m.Data}
}

// await is bounded by ctx and by the client's own acknowledgement timeout.
func await(ctx context.Context, f jetstream.PubAckFuture) (*jetstream.PubAck, error) {
	select {
	case ack := <-f.Ok():
		return ack, nil
	case err := <-f.Err():
		return nil, err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// size is what m takes on the wire after the subject, with the headers that sendOne adds.
func size(m *Msg) int {
	n := len("NATS/1.0\r\n\r\n") + len(jetstream.MsgIDHeader) + len(m.ID) + len(jetstream.ExpectedStreamHeader) + len(Stream) + 8
	for k, v := range m.Header {
		n += len(k) + len(v) + 4
	}
	return n + len(m.Data)
}

// checkMsg refuses what would be stored wrongly or read as the broker's own words.
func checkMsg(m *Msg) error {
	if m.ID == "" || len(m.ID) > 128 || strings.ContainsAny(m.ID, "\r\n") {
		return fmt.Errorf("bus: malformed message id %q", m.ID)
	}
	for k, v := range m.Header {
		reserved := k == "Status" || k == "Description" || strings.HasPrefix(strings.ToLower(k), "nats-")
		if k == "" || reserved || strings.ContainsAny(k, ": \r\n") || strings.ContainsAny(v, "\r\n") {
			return fmt.Errorf("bus: malformed header %q of message %s", k, m.ID)
		}
	}
	return checkSubject(m.Subject, false)
}
