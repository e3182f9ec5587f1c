package booking

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"time"

	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/db"
	"xinglin/internal/scheduling"
	"xinglin/internal/tenant"
)

type tenantID = tenant.ID

// keyOf is a request's idempotency key: the id of its appointment.
type keyOf = id.ID[scheduling.Appointment]

// batch are requests made before the clock starts.
type batch struct {
	raw  [][]byte
	keys []keyOf
}

// requests are n bookings on a board, of n different people in no order.
func (w *world) requests(address string, b *board, n int, target string) batch {
	now := clock.System{}.Now()
	seats := b.draw(n)
	out := batch{raw: make([][]byte, n), keys: make([]keyOf, n)}
	for i, p := range rand.Perm(len(w.people))[:n] {
		out.keys[i] = id.New[scheduling.Appointment](now)
		body := fmt.Sprintf(`{"patient_id":%q,"slot_id":%q}`, w.people[p].patient, seats[i].slot)
		if target == targetAny {
			body = fmt.Sprintf(`{"patient_id":%q,"schedule_id":%q,"any":true}`, w.people[p].patient, seats[i].session)
		}
		var buf bytes.Buffer
		fmt.Fprintf(&buf, "POST /api/v1/appointments HTTP/1.1\r\nHost: %s\r\nOrigin: http://%s\r\nCookie: xinglin_session=%s\r\nIdempotency-Key: %s\r\n"+
			"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", address, address, w.people[p].token, out.keys[i], len(body), body)
		out.raw[i] = buf.Bytes()
	}
	return out
}

// acked are the keys whose answer was a success.
func (b batch) acked(s *segment) (out []keyOf) {
	for i, o := range s.outcomes {
		if o.status == http.StatusCreated {
			out = append(out, b.keys[i])
		}
	}
	return out
}

// series are the measurements of one variant under one load, a value a round.
type series struct {
	rate, p50, p99, p99Booked, lastSold, server, database, redis, generator, wal []float64
}

// usage is the CPU time of everybody at an instant.
type usage struct{ server, database, redis, generator time.Duration }

func (a *arena) usage(s *server) usage {
	u := usage{server: cpu(s.pid()), generator: cpu(os.Getpid())}
	if s.Engine == db.Postgres {
		u.database = cpuTree(a.pg.pid())
	}
	if a.redis != nil && (s.Peer == redisRows || s.Peer == redisCombined) {
		u.redis = cpu(a.redis.pid())
	}
	return u
}

// visit measures one segment and checks it.
func (a *arena) visit(ctx context.Context, s *server, x *series, clients int, b *board, r batch) (*segment, error) {
	begin := clock.System{}.Now()
	wal, err := s.store.wal(ctx)
	if err != nil {
		return nil, err
	}
	before := a.usage(s)
	seg, err := visit(ctx, s.address, clients, r.raw)
	if err != nil {
		return nil, s.fault(err.Error())
	}
	after := a.usage(s)
	after0, err := s.store.wal(ctx)
	if err != nil {
		return nil, err
	}
	if seg.strange != "" {
		a.fault("%s answered %s", s.name(), seg.strange)
	}
	n := float64(len(r.raw))
	each := func(d time.Duration) float64 { return float64(d.Microseconds()) / n }
	all := seg.millis(0)
	x.rate = append(x.rate, seg.rate())
	x.p50, x.p99 = append(x.p50, nearest(all, 0.5)), append(x.p99, nearest(all, 0.99))
	x.p99Booked = append(x.p99Booked, nearest(seg.millis(http.StatusCreated), 0.99))
	x.lastSold = append(x.lastSold, float64(seg.lastSold().Microseconds())/1e3)
	x.server, x.database = append(x.server, each(after.server-before.server)), append(x.database, each(after.database-before.database))
	x.redis, x.generator = append(x.redis, each(after.redis-before.redis)), append(x.generator, each(after.generator-before.generator))
	acked := r.acked(seg)
	if len(acked) > 0 && after0 > 0 && s.durable() {
		x.wal = append(x.wal, float64(after0-wal)/float64(len(acked)))
	}
	return seg, a.check(ctx, s, sale{day: b.day, acked: acked, before: begin.Add(-time.Minute)})
}

// check compares a segment's answers with the tables of a durable variant.
func (a *arena) check(ctx context.Context, s *server, v sale) error {
	if !s.durable() {
		return nil
	}
	faults, err := s.store.check(ctx, v)
	if err != nil {
		return fmt.Errorf("%s: check: %w", s.name(), err)
	}
	a.report.Checks++
	for _, f := range faults {
		a.fault("%s, %s: %s", s.name(), v.day, f)
	}
	return nil
}

func (a *arena) fault(format string, args ...any) {
	a.report.Faults = append(a.report.Faults, fmt.Sprintf(format, args...))
	a.say("DEVIATION "+format, args...)
}

// core is the warm load: 500 sessions of 40 seats, people who want different ones.
func (a *arena) core(ctx context.Context) error {
	for _, clients := range a.opt.Clients {
		for _, target := range a.opt.Targets {
			load := fmt.Sprintf("warm %s, %d clients", target, clients)
			all := map[variant]*series{}
			for round := range a.opt.Rounds {
				for i := range a.servers {
					s := a.servers[(i+round)%len(a.servers)] // nobody is always first
					b, err := s.store.open(ctx, a.world, warmShape, a.opt.Fee)
					if err != nil {
						return err
					}
					if all[s.variant] == nil {
						all[s.variant] = &series{}
					}
					x := all[s.variant]
					if _, err := a.visit(ctx, s, x, clients, b, a.world.requests(s.address, b, a.opt.Requests, target)); err != nil {
						return err
					}
					a.say("%s, round %d: %s %.0f/s", load, round, s.name(), x.rate[len(x.rate)-1])
				}
			}
			a.figures(partCore, load, all)
			a.coreRatios(load, clients, all)
		}
	}
	return nil
}

func (a *arena) figures(part, load string, all map[variant]*series) {
	of := func(xs []float64) Spread { return spread(afterFirst(xs)) }
	for _, s := range a.servers {
		x := all[s.variant]
		if x == nil {
			continue
		}
		f := Figure{
			Part: part, Load: load, Variant: s.name(), Rate: of(x.rate), P50: of(x.p50), P99: of(x.p99),
			Server: of(x.server), Database: of(x.database), Generator: of(x.generator), WAL: of(x.wal),
		}
		if s.Peer == redisRows || s.Peer == redisCombined {
			f.Redis = of(x.redis)
		}
		if part == partHot {
			f.P99Booked, f.LastSold = of(x.p99Booked), of(x.lastSold)
		}
		a.report.Figures = append(a.report.Figures, f)
	}
}

// compare adds a ratio of two rates, if both were measured.
func (a *arena) compare(part, load, name string, above, below *series, g *Goal) {
	if above != nil && below != nil {
		a.report.ratio(Ratio{Part: part, Load: load, Name: name, Value: spread(afterFirst(perRound(above.rate, below.rate))), Goal: g})
	}
}

func (a *arena) coreRatios(load string, clients int, all map[variant]*series) {
	bound := &Goal{Gate: 0.45, Aim: 0.60}
	if clients >= 1024 {
		bound = &Goal{Gate: 0.50, Aim: 0.65}
	}
	pg, lite := all[variant{product, db.Postgres}], all[variant{product, db.SQLite}]
	a.compare(partCore, load, "PostgreSQL / in memory", pg, all[variant{memory, db.Postgres}], bound)
	a.compare(partCore, load, "SQLite / in memory", lite, all[variant{memory, db.SQLite}], bound)
	a.compare(partCore, load, "PostgreSQL / in memory that reads SQLite", pg, all[variant{memory, db.SQLite}], nil)
	a.compare(partCore, load, "PostgreSQL / echo", pg, all[variant{echo, db.Postgres}], nil)
	a.compare(partCore, load, "SQLite / echo", lite, all[variant{echo, db.SQLite}], nil)
	a.compare(partCore, load, "PostgreSQL / row lock", pg, all[variant{rowLock, db.Postgres}], &Goal{Gate: 6, Aim: 8})
	a.compare(partCore, load, "PostgreSQL / conditional update", pg, all[variant{conditional, db.Postgres}], nil)
	a.compare(partCore, load, "PostgreSQL / one statement", pg, all[variant{statement, db.Postgres}], nil)
	a.compare(partCore, load, "PostgreSQL / Redis and rows", pg, all[variant{redisRows, db.Postgres}], &Goal{Gate: 1.5, Aim: 2})
	a.compare(partCore, load, "PostgreSQL / Redis and combined rows", pg, all[variant{redisCombined, db.Postgres}], nil)
}
