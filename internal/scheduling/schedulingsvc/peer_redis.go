package schedulingsvc

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/batch"
	"xinglin/internal/scheduling"
)

// redisSeats is the way of flash sales: a Lua script decides in Redis, whose log is
// synced before it answers, and then the same rows are written as by everybody else:
// one transaction a request, or with combine through the product's combined writer. A
// seat whose rows cannot be written stays taken in Redis: lost, never sold twice.
type redisSeats struct {
	store   store
	socket  string
	combine *batch.Combiner[scheduling.TenantID, takenSeat, sold]

	mu   sync.Mutex // guards conn
	conn *redisConn
}

func newRedisSeats(socket string, s store) *redisSeats { return &redisSeats{store: s, socket: socket} }

// seatScript: the key first, then once a day, then the first slot from ARGV[2] to
// ARGV[3] with a seat; ARGV[4...] are the seats of each slot.
const seatScript = `
local known = redis.call('GET', KEYS[1])
if known then return 'known' end
if redis.call('EXISTS', KEYS[2]) == 1 then return 'limit' end
for i = tonumber(ARGV[2]), tonumber(ARGV[3]) do
  local taken = tonumber(redis.call('HGET', KEYS[3], i) or '0')
  if taken < tonumber(ARGV[4 + i]) then
    redis.call('HSET', KEYS[3], i, taken + 1)
    redis.call('SET', KEYS[2], ARGV[1])
    redis.call('SET', KEYS[1], i .. ' ' .. taken)
    return i .. ' ' .. taken
  end
end
return 'full'`

func (r *redisSeats) hold(ctx context.Context, t scheduling.TenantID, h *holding) (appointmentRow, bool, error) {
	answer, err := r.ask(ctx, t, h)
	switch {
	case err != nil:
		return appointmentRow{}, false, batch.ErrBusy.Wrap(err)
	case answer == "full":
		return appointmentRow{}, false, noSeat(h)
	case answer == "limit":
		return appointmentRow{}, false, scheduling.ErrLimitReached.New()
	case answer == "known":
		return r.known(ctx, t, h)
	}
	slot, seat, ok := strings.Cut(answer, " ")
	i, err1 := strconv.Atoi(slot)
	n, err2 := strconv.Atoi(seat)
	if !ok || err1 != nil || err2 != nil || i < 0 || i >= len(h.Session.slots) {
		return appointmentRow{}, false, fmt.Errorf("redis answers %q", answer)
	}
	got := takenSeat{h: h, slot: &h.Session.slots[i], bit: bitOf(n)}
	if r.combine != nil {
		v, err := r.combine.Do(ctx, t, writerOf(h), got)
		return v.row, v.hit, err
	}
	out, err := r.store.writeTaken(ctx, t, []takenSeat{got})
	if err != nil {
		return appointmentRow{}, false, err
	}
	return out[0].Out.row, out[0].Out.hit, out[0].Err
}

// known answers a repeat.
func (r *redisSeats) known(ctx context.Context, t scheduling.TenantID, h *holding) (appointmentRow, bool, error) {
	v, err := r.store.appointment(ctx, t, h.Request.ID)
	switch {
	case errors.Is(err, scheduling.ErrNotFound): // its rows are on the way
		return v, false, batch.ErrBusy.After(time.Second)
	case err == nil && !h.same(v):
		return v, false, scheduling.ErrKeyReused.New()
	}
	return v, err == nil, err
}

// ask runs the script.
func (r *redisSeats) ask(ctx context.Context, t scheduling.TenantID, h *holding) (string, error) {
	c, err := r.connected(ctx)
	if err != nil {
		return "", err
	}
	from, to := 0, len(h.Session.slots)-1
	for i := range h.Session.slots {
		if !h.Request.Any && h.Session.slots[i].ID == h.Request.Slot {
			from, to = i, i
		}
	}
	args := []string{
		"EVALSHA", c.script, "3", "k:" + h.Request.ID.String(),
		fmt.Sprintf("d:%s:%d:%s:%d", t, h.Session.Date, h.Request.Patient, scopeOf(h.Rules.Limit, h.Session.scheduleRow)),
		"s:" + id.As[id.Any](h.Session.ID).String(), h.Request.ID.String(), strconv.Itoa(from), strconv.Itoa(to),
	}
	for i := range h.Session.slots {
		args = append(args, strconv.Itoa(h.Session.slots[i].Capacity))
	}
	return c.do(ctx, args...)
}

// connected gives the connection of all requests, a new one when it broke.
func (r *redisSeats) connected(ctx context.Context) (*redisConn, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.conn != nil && !r.conn.broken() {
		return r.conn, nil
	}
	c, err := dialRedis(ctx, r.socket)
	if err != nil {
		return nil, err
	}
	if c.script, err = c.do(ctx, "SCRIPT", "LOAD", seatScript); err != nil {
		return nil, err
	}
	r.conn = c
	return c, nil
}

// redisConn carries the commands of all requests at once: what waits is written
// together, and answers come in the order of the commands.
type redisConn struct {
	conn   net.Conn
	script string // its hash

	mu      sync.Mutex // guards the fields below
	out     []byte
	waiting []chan redisAnswer // in the order of the commands
	err     error
	wake    chan struct{}
}

type redisAnswer struct {
	text string
	err  error
}

func dialRedis(ctx context.Context, socket string) (*redisConn, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", socket)
	if err != nil {
		return nil, err
	}
	c := &redisConn{conn: conn, wake: make(chan struct{}, 1)}
	go c.write()
	go c.read()
	return c, nil
}

func (c *redisConn) broken() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err != nil
}

// fail ends everybody who waits.
func (c *redisConn) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return
	}
	c.err = err
	_ = c.conn.Close()
	for _, w := range c.waiting {
		w <- redisAnswer{err: err}
	}
	c.waiting = nil
	close(c.wake)
}

func (c *redisConn) do(ctx context.Context, args ...string) (string, error) {
	done := make(chan redisAnswer, 1)
	c.mu.Lock()
	if c.err != nil {
		c.mu.Unlock()
		return "", c.err
	}
	c.out = appendCommand(c.out, args)
	c.waiting = append(c.waiting, done)
	select {
	case c.wake <- struct{}{}:
	default:
	}
	c.mu.Unlock()
	select {
	case a := <-done:
		return a.text, a.err
	case <-ctx.Done(): // the outcome is unknown; the key decides on the repeat
		return "", ctx.Err()
	}
}

func appendCommand(b []byte, args []string) []byte {
	b = append(strconv.AppendInt(append(b, '*'), int64(len(args)), 10), "\r\n"...)
	for _, a := range args {
		b = append(strconv.AppendInt(append(b, '$'), int64(len(a)), 10), "\r\n"...)
		b = append(append(b, a...), "\r\n"...)
	}
	return b
}

// write sends what waits, in one go.
func (c *redisConn) write() {
	var spare []byte
	for range c.wake {
		c.mu.Lock()
		send := c.out
		c.out = spare[:0]
		c.mu.Unlock()
		if _, err := c.conn.Write(send); err != nil {
			c.fail(err)
			return
		}
		spare = send
	}
}

func (c *redisConn) read() {
	r := bufio.NewReaderSize(c.conn, 64<<10)
	for {
		a, err := readAnswer(r)
		if err != nil {
			c.fail(err)
			return
		}
		c.mu.Lock()
		if len(c.waiting) == 0 {
			c.mu.Unlock()
			c.fail(errors.New("redis: an answer to nothing"))
			return
		}
		w := c.waiting[0]
		c.waiting = c.waiting[1:]
		c.mu.Unlock()
		w <- a
	}
}

const maxRedisAnswer = 1 << 16

// readAnswer reads a text, a number or an error.
func readAnswer(r *bufio.Reader) (redisAnswer, error) {
	line, err := r.ReadString('\n')
	if err != nil {
		return redisAnswer{}, err
	}
	if line = strings.TrimSuffix(line, "\r\n"); line == "" {
		return redisAnswer{}, errors.New("redis: an empty answer")
	}
	kind, rest := line[0], line[1:]
	switch kind {
	case '+', ':':
		return redisAnswer{text: rest}, nil
	case '-':
		return redisAnswer{err: errors.New("redis: " + rest)}, nil
	case '$':
		n, err := strconv.Atoi(rest)
		if err != nil || n < 0 || n > maxRedisAnswer {
			return redisAnswer{}, fmt.Errorf("redis: length %q", rest)
		}
		b := make([]byte, n+2)
		if _, err := io.ReadFull(r, b); err != nil {
			return redisAnswer{}, err
		}
		return redisAnswer{text: string(b[:n])}, nil
	}
	return redisAnswer{}, fmt.Errorf("redis: answer %q", line)
}
