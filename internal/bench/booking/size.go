package booking

import (
	"context"
	"fmt"
	"net/http"

	"xinglin/internal/kernel/clock"
	"xinglin/internal/platform/db"
)

// The part size: how the rate changes with the bookings of past days. They are loaded
// in sets into the appointment table, a day's at a time, with random patients.

var sizes = []int{0, 1_000_000, 10_000_000}

const (
	sizeClients = 256
	perPastDay  = 50_000 // bookings of a past day, as in a large hospital group
)

func (a *arena) size(ctx context.Context) error {
	for _, e := range a.opt.Engines {
		s := a.find(product, e)
		if s == nil {
			continue
		}
		var empty *series
		loaded := 0
		for _, n := range a.sizes() {
			if err := a.past(ctx, s, &loaded, n); err != nil {
				return err
			}
			x := &series{}
			for range a.opt.Rounds {
				if err := a.sizeRound(ctx, s, x); err != nil {
					return err
				}
			}
			load := fmt.Sprintf("%d past bookings", n)
			a.figures(partSize, load, map[variant]*series{s.variant: x})
			if n == 0 {
				empty = x
				continue
			}
			a.sizeRatios(s, load, n, x, empty)
		}
	}
	return nil
}

// sizes are those within the limit; the limit itself stands for one beyond it.
func (a *arena) sizes() []int {
	out := []int{0}
	for _, n := range sizes[1:] {
		if n > a.opt.SizeMax {
			if last := out[len(out)-1]; a.opt.SizeMax > last {
				out = append(out, a.opt.SizeMax)
			}
			break
		}
		out = append(out, n)
	}
	return out
}

func (a *arena) sizeRound(ctx context.Context, s *server, x *series) error {
	b, err := s.store.open(ctx, a.world, warmShape, a.opt.Fee)
	if err != nil {
		return err
	}
	seg, err := a.visit(ctx, s, x, sizeClients, b, a.world.requests(s.address, b, a.opt.Requests, targetAny))
	if err != nil {
		return err
	}
	if sold := seg.count(http.StatusCreated); sold != a.opt.Requests {
		a.fault("%s: %d of %d requests for free seats were booked", s.name(), sold, a.opt.Requests)
	}
	return nil
}

// sizeRatios compare whole series: other sizes cannot take turns with the empty table.
func (a *arena) sizeRatios(s *server, load string, n int, x, empty *series) {
	base := spread(afterFirst(empty.rate)).Median
	var rates []float64
	for _, r := range afterFirst(x.rate) {
		rates = append(rates, r/base)
	}
	big := n == sizes[len(sizes)-1]
	r := Ratio{Part: partSize, Load: load, Name: s.name() + ": rate / rate of the empty table", Value: spread(rates)}
	w := Ratio{Part: partSize, Load: load, Name: s.name() + ": WAL bytes of a booking", Value: spread(afterFirst(x.wal))}
	if big {
		r.Goal, w.Goal = &Goal{Gate: 0.90, Aim: 1}, &Goal{Gate: 700, Aim: 500, AtMost: true}
	}
	a.report.ratio(r)
	if s.Engine == db.Postgres {
		a.report.ratio(w)
	}
}

// past loads bookings of past days until there are n.
func (a *arena) past(ctx context.Context, s *server, loaded *int, n int) error {
	begin := clock.Mono()
	for *loaded < n {
		some := min(perPastDay, n-*loaded)
		if err := s.store.pastDay(ctx, a.world, clock.DateOf(clock.System{}.Now()).Add(-1-*loaded/perPastDay), some); err != nil {
			return err
		}
		*loaded += some
	}
	if n == 0 {
		return nil
	}
	a.say("%s holds %d past bookings after %.0f s", s.name(), n, clock.Mono().Sub(begin).Seconds())
	if s.Engine == db.Postgres {
		return a.pg.analyze(ctx)
	}
	return nil
}
