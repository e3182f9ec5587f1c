package booking

import (
	"context"
	"fmt"
	"net/http"

	"xinglin/internal/platform/db"
)

// hot is the stampede: one session of 100 seats, and everybody wants it. When it is
// sold out everybody asks again with the same key: who has a seat is told so, and
// nobody else.
func (a *arena) hot(ctx context.Context) error {
	for _, clients := range a.opt.Clients {
		load := fmt.Sprintf("hot, %d clients", clients)
		all := map[variant]*series{}
		for round := range a.opt.Rounds {
			for i := range a.servers {
				s := a.servers[(i+round)%len(a.servers)]
				if all[s.variant] == nil {
					all[s.variant] = &series{}
				}
				if err := a.stampede(ctx, s, all[s.variant], clients); err != nil {
					return err
				}
				x := all[s.variant]
				a.say("%s, round %d: %s %.0f/s", load, round, s.name(), x.rate[len(x.rate)-1])
			}
		}
		a.figures(partHot, load, all)
		a.hotRatios(load, all)
	}
	return nil
}

func (a *arena) stampede(ctx context.Context, s *server, x *series, clients int) error {
	b, err := s.store.open(ctx, a.world, hotShape, a.opt.Fee)
	if err != nil {
		return err
	}
	r := a.world.requests(s.address, b, a.opt.Hot, targetAny)
	seg, err := a.visit(ctx, s, x, clients, b, r)
	if err != nil {
		return err
	}
	if s.Peer == echo {
		return nil
	}
	if sold := seg.count(http.StatusCreated); sold != min(b.capacity, a.opt.Hot) {
		a.fault("%s, %s: %d of %d seats sold to %d requests", s.name(), b.day, sold, b.capacity, a.opt.Hot)
	}
	again, err := visit(ctx, s.address, clients, r.raw)
	if err != nil {
		return s.fault(err.Error())
	}
	lost, won := 0, 0
	for i := range again.outcomes {
		had, has := seg.outcomes[i].status == http.StatusCreated, again.outcomes[i].status == http.StatusCreated
		switch {
		case had && !has:
			lost++
		case has && !had:
			won++
		}
	}
	if lost > 0 || won > 0 {
		a.fault("%s, %s: on repeating, %d of the booked did not get their booking back and %d others got one", s.name(), b.day, lost, won)
	}
	return nil
}

func (a *arena) hotRatios(load string, all map[variant]*series) {
	for _, e := range a.opt.Engines {
		p, base := all[variant{product, e}], all[variant{echo, e}]
		if p == nil || base == nil {
			continue
		}
		name := map[db.Engine]string{db.Postgres: "PostgreSQL", db.SQLite: "SQLite"}[e]
		a.report.ratio(Ratio{
			Part: partHot, Load: load, Name: name + ": p99 of the booked / p99 of echo",
			Value: spread(afterFirst(perRound(p.p99Booked, base.p99))), Goal: &Goal{Gate: 1.5, Aim: 1, AtMost: true},
		})
		a.compare(partHot, load, name+": sold out / echo", p, base, &Goal{Gate: 0.85, Aim: 0.95})
		a.compare(partHot, load, name+": sold out / in memory", p, all[variant{memory, e}], nil)
	}
	a.compare(partHot, load, "PostgreSQL / row lock", all[variant{product, db.Postgres}], all[variant{rowLock, db.Postgres}], nil)
}
