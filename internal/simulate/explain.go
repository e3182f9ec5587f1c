package simulate

import (
	"cmp"
	"fmt"
	"slices"
)

// explain names what contradicts a history whatever the order of its concurrent
// operations: a "no seat" while one was free all the time, or more seats taken at one
// instant than there are. Porcupine is the judge; this is for people.
func (o *object) explain() string {
	if o.seats == 0 {
		return ""
	}
	spans := spansOf(o.ops)
	for _, s := range spans {
		if n := surely(spans, s.surely); n > o.seats {
			return fmt.Sprintf(": %d of %d seats were taken at %d ns", n, o.seats, s.surely)
		}
	}
	for _, x := range o.ops {
		if x.kind != opFull {
			continue
		}
		if n := most(spans, x.call, x.ret); n < o.seats {
			return fmt.Sprintf(": %s was told by process %d that there is no seat between %d and %d ns, when at most %d of %d were taken",
				x.visit, x.process, x.call, x.ret, n, o.seats)
		}
	}
	return ""
}

// spansOf are the times in which the seats were taken.
func spansOf(ops []*op) (out []span) {
	open := map[string]int{} // the last span of a visit
	sorted := slices.Clone(ops)
	slices.SortStableFunc(sorted, func(a, b *op) int { return cmp.Or(cmp.Compare(a.call, b.call), cmp.Compare(a.ret, b.ret)) })
	for _, o := range sorted {
		switch o.kind {
		case opTake:
			open[o.visit] = len(out)
			out = append(out, span{from: o.call, surely: o.ret, mayLeave: never, left: never})
		case opRelease:
			if i, ok := open[o.visit]; ok {
				out[i].mayLeave, out[i].left = o.call, o.ret
			}
		case opFull, opLimit:
		}
	}
	return out
}

// earliest counts requests for any seat of a session, and those of them that got one of a
// later slot though an earlier slot had a free seat all the time. That breaks no rule: in a
// batch a seat may have been meant for somebody who turned out to have a visit already.
func (j *judgement) earliest(seats []*object) (late, all int) {
	bySession := map[int][]*object{}
	session := -1
	for _, o := range seats {
		if o.slot < 0 {
			session++
			continue
		}
		bySession[session] = append(bySession[session], o)
	}
	for _, slots := range bySession {
		var spans [][]span
		for _, o := range slots {
			spans = append(spans, spansOf(o.ops))
		}
		for k, o := range slots {
			for _, x := range o.ops {
				if x.kind != opTake || !x.any || x.by != "hold" {
					continue
				}
				all++
				for e := range k {
					if most(spans[e], x.call, x.ret) < slots[e].seats {
						late++
						break
					}
				}
			}
		}
	}
	return late, all
}

// span is when a seat was taken: perhaps from, surely after surely, perhaps no more
// after mayLeave, surely no more after left.
type span struct{ from, surely, mayLeave, left int64 }

// surely counts the seats that are taken at an instant in every order.
func surely(spans []span, at int64) (n int) {
	for _, s := range spans {
		if s.surely <= at && s.mayLeave > at {
			n++
		}
	}
	return n
}

// most is the largest number of seats that can have been taken at one instant of from..to.
func most(spans []span, from, to int64) (n int) {
	at := func(x int64) (k int) {
		for _, s := range spans {
			if s.from <= x && s.left >= x {
				k++
			}
		}
		return k
	}
	n = at(from)
	for _, s := range spans {
		if s.from >= from && s.from <= to {
			n = max(n, at(s.from))
		}
	}
	return n
}
