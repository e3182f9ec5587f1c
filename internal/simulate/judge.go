package simulate

import (
	"cmp"
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"xinglin/internal/kernel/clock"
)

// judgement is what the clients saw beside what the databases say.
type judgement struct {
	r           *run
	tries       []Try
	cancels     []Cancel
	first, last *snapshot // after the clocks had gone on, and at the end
	restarted   int64     // when nothing served
	restartWall int64     // the same by the machine's clock, in microseconds

	places      map[string]place // by slot id
	departments []string         // ids by session
	keys        map[string][]*Try
	asked       map[string]asked  // by key: when the seat was taken
	given       map[string]window // by appointment: when the client gave it back
}

type place struct{ session, slot int }

// window is when something took effect: not before call, not after ret.
type window struct{ call, ret int64 }

type asked struct {
	window
	any bool
}

func (r *run) judge(ctx context.Context, restarted int64, first, last *snapshot, say sayer) (*Report, error) {
	j := &judgement{
		r: r, tries: r.record.tries, cancels: r.record.cancels, first: first, last: last, restarted: restarted,
		restartWall: clock.System{}.Now().UnixMicro() - (r.now()-restarted)/1000,
		places:      map[string]place{}, departments: make([]string, len(r.plan.Sessions)),
		keys: map[string][]*Try{}, asked: map[string]asked{}, given: map[string]window{},
	}
	j.prepare()
	rep := j.report()
	rep.Checks = append(rep.Checks, j.capacity(), j.once(), j.idempotency(), j.acknowledged(), j.money(), j.doors(), j.verify(ctx))
	say("porcupine reads the histories")
	begin := clock.Mono()
	seats, persons := j.objects()
	a, b := j.linear(ctx, seats, persons)
	rep.Checks = append(rep.Checks, a, b)
	rep.NotEarliest, rep.Any = j.earliest(seats)
	rep.HistoryTime = clock.Mono().Sub(begin).Round(time.Millisecond).String()
	return rep, ctx.Err()
}

// prepare groups the requests.
func (j *judgement) prepare() {
	byID := map[string]int{}
	for i, s := range j.r.plan.Sessions {
		byID[s.id] = i
		for k, x := range s.slots {
			j.places[x.id] = place{i, k}
		}
	}
	for _, v := range j.last.visits {
		if i, ok := byID[v.schedule]; ok {
			j.departments[i] = v.department
		}
	}
	slices.SortStableFunc(j.tries, func(a, b Try) int { return cmp.Compare(a.Call, b.Call) })
	for i := range j.tries {
		t := &j.tries[i]
		j.keys[t.Key] = append(j.keys[t.Key], t)
	}
	for key, ts := range j.keys {
		a := asked{window: window{never, never}}
		for _, t := range ts {
			if !ts[0].same(*t) {
				continue
			}
			if t.ok() {
				a.ret = min(a.ret, t.Return)
			}
			if !t.refused() {
				a.call = min(a.call, t.Call)
				a.any = t.Slot < 0
			}
		}
		j.asked[key] = a
	}
	for _, c := range j.cancels {
		w, ok := j.given[c.Appointment]
		if !ok {
			w = window{never, never}
		}
		if c.Status < 400 || c.Status >= 500 {
			w.call = min(w.call, c.Call)
		}
		if c.Status == 200 {
			w.ret = min(w.ret, c.Return)
		}
		j.given[c.Appointment] = w
	}
}

// same reports whether two requests ask for the same thing.
func (t Try) same(o Try) bool {
	return t.Person == o.Person && t.Session == o.Session && t.Slot == o.Slot && t.Account == o.Account
}

// file is where the history of a violation goes.
func (j *judgement) file(name string) string {
	return filepath.Join(j.r.o.Out, fmt.Sprintf("rush-%d-%s.jsonl", j.r.o.Seed, strings.ReplaceAll(name, " ", "-")))
}

// capacity counts rows, not counters. That it held at every moment is the histories' part.
func (j *judgement) capacity() check {
	c := check{Name: "capacity is never exceeded, no number is given twice"}
	used, numbers := map[string]int{}, map[string]string{}
	for _, v := range j.last.visits {
		if !v.active() {
			continue
		}
		used[v.slot]++
		if v.number == 0 {
			continue
		}
		key := fmt.Sprintf("%s %d", v.schedule, v.number)
		if other, twice := numbers[key]; twice {
			c.say("number %d of session %d belongs to %s and %s", v.number, j.places[v.slot].session, other, v.id)
		}
		numbers[key] = v.id
		if at, ok := j.places[v.slot]; ok {
			s := j.r.plan.Sessions[at.session].slots[at.slot]
			if v.number < s.first || v.number >= s.first+s.seats {
				c.say("%s has number %d, slot %d has %d..%d", v.id, v.number, at.slot, s.first, s.first+s.seats-1)
			}
		}
	}
	for id, at := range j.places {
		c.Seen++
		s := j.r.plan.Sessions[at.session].slots[at.slot]
		if n := used[id] + j.last.waiting[id]; n > s.seats {
			c.say("slot %d of session %d has %d seats and %d owners", at.slot, at.session, s.seats, n)
		}
	}
	return c
}

// once: one active visit a person, department and day (all sessions are of one day).
func (j *judgement) once() check {
	c := check{Name: "once per person, department and day"}
	have := map[string]string{}
	for _, v := range j.last.visits {
		c.Seen++
		if !v.active() {
			continue
		}
		key := v.patient + " " + v.department
		if other, twice := have[key]; twice {
			c.say("%s and %s are active for one person, department and day", other, v.id)
		}
		have[key] = v.id
	}
	return c
}

// flight bounds how long a request whose client has hung up may still be worked on: its wait in the batch, tries that begin within
// the time of one, and the last of them (platform/batch: Wait, Time, Time).
const flight = 25 * time.Second

// idempotency: one key is one appointment, its answers agree, and who has a seat is never
// told that there is none.
func (j *judgement) idempotency() check {
	c := check{Name: "one key is one appointment; a repeat gets it, after the sell-out too; for other content it is refused"}
	for key, ts := range j.keys {
		c.Seen++
		v := j.last.visits[key]
		told := never // the first answer with the seat
		for _, t := range ts {
			if t.ok() {
				told = min(told, t.Return)
			}
		}
		for _, t := range ts {
			if !ts[0].same(*t) {
				if t.ok() {
					c.say("key %s of another wish was answered %d", key, t.Status)
				}
				continue
			}
			switch {
			case t.ok() && (t.Seen.ID != key || t.Seen.PatientID != t.Person || t.Seen.ScheduleID != j.r.plan.Sessions[t.Session].id):
				c.say("key %s was answered with %s for another person or session", key, t.Seen.ID)
			case t.ok() && v != nil && (t.Slot >= 0 && t.Seen.SlotID != j.r.plan.Sessions[t.Session].slots[t.Slot].id || t.Seen.SlotID != v.slot):
				c.say("key %s was answered with another slot", key)
			case t.ok() && t.Seen.number() > 0 && v != nil && v.number > 0 && t.Seen.number() != v.number:
				c.say("key %s was told number %d and has %d", key, t.Seen.number(), v.number)
			case t.full() && j.mayHaveLeft(v, t.Return): // the key's appointment is over: both answers are right
			case t.full() && t.Call > told:
				c.say("key %s has a seat and was told that there is none (process %d)", key, t.Process)
			case t.full() && v != nil && told == never && t.Call-int64(flight) > lastEnd(ts, t):
				c.say("key %s has a seat, whose answer was lost, and was told that there is none (process %d)", key, t.Process)
			case t.refused() && !t.full() && t.Status != 429 && t.Call > told:
				c.say("key %s has a seat and was refused with %s", key, t.Code)
			}
		}
	}
	return c
}

// lastEnd is when the last request before t that may have had its effect was given up; never while one is under way.
func lastEnd(ts []*Try, t *Try) int64 {
	end := int64(0)
	for _, o := range ts {
		if o.Call >= t.Call {
			break // they are in the order of their calls
		}
		if ts[0].same(*o) && !o.refused() {
			end = max(end, o.End)
		}
	}
	if end == 0 {
		return never
	}
	return end
}

// mayHaveLeft reports that an appointment may have given its seat back by an instant.
func (j *judgement) mayHaveLeft(v *row, at int64) bool {
	if v == nil {
		return false
	}
	for _, o := range j.seatOps(v, 0) {
		if o.kind == opRelease && o.call <= at {
			return true
		}
	}
	return false
}

// reachable are the states that an appointment in a state may come to without its client.
var reachable = map[string]string{"pending": "pending booked cancelled", "booked": "booked arrived fulfilled noshow", "cancelled": "cancelled booked"}

// acknowledged: what a client was told is in the databases, in a state that follows.
func (j *judgement) acknowledged() check {
	c := check{Name: "nothing acknowledged is missing"}
	given := map[string]bool{}
	for _, x := range j.cancels {
		given[x.Appointment] = true
		if x.Status != 200 {
			continue
		}
		c.Seen++
		switch v := j.last.visits[x.Appointment]; {
		case v == nil:
			c.say("%s was cancelled for its client and is not there", x.Appointment)
		case v.state != "cancelled":
			c.say("%s was cancelled for its client and is %s", x.Appointment, v.state)
		}
	}
	for id, seen := range j.r.record.visits {
		c.Seen++
		v := j.last.visits[id]
		switch {
		case v == nil:
			c.say("%s was acknowledged as %s and is not there", id, seen.State)
		case seen.State == "booked" && given[id]:
		case !strings.Contains(reachable[seen.State], v.state):
			c.say("%s was acknowledged as %s and is %s", id, seen.State, v.state)
		case v.state == "booked" && j.r.record.booked[id] > 0 && j.r.record.booked[id] != v.number:
			c.say("%s was told number %d and has %d", id, j.r.record.booked[id], v.number)
		}
	}
	for id, v := range j.last.visits {
		if len(j.keys[id]) == 0 {
			c.say("%s is %s and nobody asked for it", id, v.state)
		}
	}
	return c
}

// money: each payment that the channel took booked one appointment or went back in full,
// nothing else cost money, and the ledger adds up.
func (j *judgement) money() check {
	c := check{Name: "each payment booked one appointment or went back in full; the ledger's postings add up to zero"}
	for _, t := range j.last.unequal {
		c.say("the postings of %s do not add up to zero", t)
	}
	if j.last.balance != 0 {
		c.say("all postings add up to %d fen", j.last.balance)
	}
	for id, v := range j.last.visits {
		p, opened := j.last.payments[id]
		paid := j.r.record.paid[id]
		if v.fee == 0 {
			continue
		}
		c.Seen++
		took := opened && (p.state == "paid" || p.state == "refunding" || p.state == "refunded")
		switch {
		case paid && !took:
			c.say("%s was paid at the channel and its payment is %q", id, p.state)
		case took && p.amount != v.fee:
			c.say("%s cost %d fen and %d were paid", id, v.fee, p.amount)
		case took && v.state == "booked" && (v.settlement != "applied" || p.refunded+p.pending != 0):
			c.say("%s is booked, its payment is settled as %q, %d fen went back", id, v.settlement, p.refunded)
		case took && v.state != "booked" && p.refunded != p.amount:
			c.say("%s is %s and %d of %d fen went back", id, v.state, p.refunded, p.amount)
		case !took && v.state == "booked":
			c.say("%s is booked and nobody paid", id)
		case !took && p.refunded+p.pending != 0:
			c.say("%s was not paid and %d fen went back", id, p.refunded)
		}
	}
	for id := range j.last.payments {
		if j.last.visits[id] == nil {
			c.say("the payment %s has no appointment", id)
		}
	}
	return c
}

// doors: no client saw an answer that nobody should get, and everybody got one.
func (j *judgement) doors() check {
	c := check{Name: "every answer is one that a person at the door may get"}
	c.Seen = len(j.tries)
	for _, odd := range j.r.record.odd {
		c.say("%s", odd)
	}
	failed := 0
	for _, t := range j.tries {
		if t.Status == 500 {
			failed++
		}
	}
	if failed > 0 {
		c.say("%d requests were answered 500", failed)
	}
	return c
}

// verify is the product's own check of every invariant.
func (j *judgement) verify(ctx context.Context) check {
	c := check{Name: "xinglin verify finds nothing", Seen: 1}
	out, err := j.r.site.run(ctx, append([]string{"verify"}, j.r.site.where...)...)
	if err == nil {
		return c
	}
	show := false
	for line := range strings.Lines(out) {
		if !strings.HasPrefix(line, " ") {
			show = !strings.HasPrefix(line, "ok ")
		}
		if show {
			c.say("%s", strings.TrimRight(line, "\n"))
		}
	}
	if c.Count == 0 {
		c.say("%v", err)
	}
	return c
}
