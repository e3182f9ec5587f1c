package booking

import (
	"context"
	"fmt"
	"math/rand/v2"

	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/id"
	"xinglin/internal/scheduling"
)

// crowd is an open loop's demand: each request is of another person, department and
// day than every other, so that nothing but the load refuses it.
type crowd struct {
	people []person
	boards []*board
	order  []int // of the people
}

// passes is how often everybody books on one day, each time in another department: as
// often as the standard rules allow.
const passes = 3

// gather opens as many days as n requests need.
func (a *arena) gather(ctx context.Context, s *store, n int) (*crowd, error) {
	c := &crowd{people: a.world.people, order: rand.Perm(len(a.world.people))}
	for len(c.boards)*passes*len(c.people) < n {
		b, err := s.open(ctx, a.world, wideShape, a.opt.Fee)
		if err != nil {
			return nil, err
		}
		c.boards = append(c.boards, b)
	}
	return c, nil
}

// size is how many requests the crowd has.
func (c *crowd) size() int { return len(c.boards) * passes * len(c.people) }

// want is what request i asks for.
func (c *crowd) want(i int) (day int, p person, s id.ID[scheduling.Schedule]) {
	pass := i / len(c.people)
	n := c.order[i%len(c.people)]
	department := (n + pass%passes*(departments/passes)) % departments
	doctor := department + departments*rand.IntN(practitioners/departments)
	return pass / passes, c.people[n], c.boards[pass/passes].sessions[doctor]
}

// request writes request i behind what dst holds.
func (c *crowd) request(dst []byte, address string, i int) ([]byte, keyOf) {
	_, p, s := c.want(i)
	key := id.New[scheduling.Appointment](clock.System{}.Now())
	const size = len(`{"patient_id":"","schedule_id":"","any":true}`) + 2*36
	dst = fmt.Appendf(dst, "POST /api/v1/appointments HTTP/1.1\r\nHost: %s\r\nOrigin: http://%s\r\nCookie: xinglin_session=%s\r\nIdempotency-Key: %s\r\n"+
		"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n{\"patient_id\":%q,\"schedule_id\":%q,\"any\":true}", address, address, p.token, key, size, p.patient.String(), s.String())
	return dst, key
}
