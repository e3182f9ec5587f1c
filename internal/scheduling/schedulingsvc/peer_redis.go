package schedulingsvc

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/batch"
	"xinglin/internal/platform/resp"
	"xinglin/internal/scheduling"
	"xinglin/internal/scheduling/bookingrules"
)

// redisSeats is the way of flash sales: a Lua script decides in Redis, whose log is
// synced before it answers, and then the same rows are written as by everybody else:
// one transaction a request, or with combine through the product's combined writer. A
// seat whose rows cannot be written stays taken in Redis: lost, never sold twice.
type redisSeats struct {
	store   store
	socket  string
	combine *batch.Combiner[scheduling.TenantID, takenSeat, sold]

	mu     sync.Mutex // guards both
	conn   *resp.Conn
	script string // its hash there
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
		return appointmentRow{}, false, noSeat(h.Request)
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
	got := takenSeat{h: h, slot: &h.Session.slots[i], bit: bookingrules.BitOf(n)}
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
	c, script, err := r.connected(ctx)
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
		"EVALSHA", script, "3", "k:" + h.Request.ID.String(),
		fmt.Sprintf("d:%s:%d:%s:%d", t, h.Session.Date, h.Request.Patient, bookingrules.Scope(h.Rules.Limit, h.Session.Schedule)),
		"s:" + id.As[id.Any](h.Session.ID).String(), h.Request.ID.String(), strconv.Itoa(from), strconv.Itoa(to),
	}
	for i := range h.Session.slots {
		args = append(args, strconv.Itoa(h.Session.slots[i].Capacity))
	}
	return c.Do(ctx, args...)
}

// connected gives the connection of all requests, a new one when it broke.
func (r *redisSeats) connected(ctx context.Context) (c *resp.Conn, script string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.conn != nil && !r.conn.Broken() {
		return r.conn, r.script, nil
	}
	if c, err = resp.Dial(ctx, r.socket); err != nil {
		return nil, "", err
	}
	if r.script, err = c.Do(ctx, "SCRIPT", "LOAD", seatScript); err != nil {
		return nil, "", err
	}
	r.conn = c
	return c, r.script, nil
}
