package simulate

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math/bits"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/anishathalye/porcupine"
)

// The histories. A slot's seats are one object, the number of free seats of a session
// another, one person's day at a department a third; linearizability is local, so each is
// judged alone. An operation is what a client saw between its call and its return, or a
// step that the server made by itself and that the databases show afterwards.
//
// What a client did not learn (no answer, or a failure of the server) is decided by the
// databases: rows are never deleted, so a key without an appointment took no seat, and
// one with an appointment took it after the first request that was not refused and
// before the first answer that told of it; when no answer ever did, before the end of
// time. The seat's number is known when it was told or stored; a hold that never became
// a booking has an unknown number, which counts in its slot only.
//
// "No seat" is a read: at some instant between call and return the slot, or the session,
// had no free seat. Between processes it may be as old as the product's promise about the
// sold-out mark (staleness): a process hears of another one's release a moment later. The
// read's call is moved back by that much when more than one process serves, never its
// return; with one process the histories are strictly linearizable.
const staleness = time.Second

const (
	maxSlots  = 16
	seatTime  = 30 * time.Second // for porcupine and one history
	maxNumber = 128
)

type opKind int

const (
	opTake opKind = iota
	opRelease
	opFull
	opLimit
)

// op is one operation on a session or a person's day.
type op struct {
	kind    opKind
	slot    int // of the seat; of opFull -1: the session
	number  int // 0: unknown
	visit   string
	by      string
	any     bool
	process int // of opFull
	turn    int // in a session's count
	call    int64
	ret     int64
}

// sold is the state of a slot: the seats whose numbers are known, and how many more are
// taken.
type sold struct {
	bits  [maxNumber / 64]uint64
	other int
}

func (s *sold) taken() (n int) {
	for _, w := range s.bits {
		n += bits.OnesCount64(w)
	}
	return n + s.other
}

// seat is where the bit of a number is.
func seat(number int) (word int, bit uint64) { return number / 64, 1 << (number % 64) }

// next is one operation on a slot, or a session, of so many seats.
func (s sold) next(o *op, seats int) (bool, sold) {
	switch o.kind {
	case opFull:
		return s.taken() >= seats, s
	case opTake:
		if s.taken() >= seats {
			return false, s
		}
		if o.number == 0 {
			s.other++
			return true, s
		}
		w, bit := seat(o.number)
		free := s.bits[w]&bit == 0
		s.bits[w] |= bit
		return free, s
	case opRelease:
		if o.number == 0 {
			s.other--
			return s.other >= 0, s
		}
		w, bit := seat(o.number)
		had := s.bits[w]&bit != 0
		s.bits[w] &^= bit
		return had, s
	case opLimit:
	}
	return false, s
}

// seatModel is the sequential slot or session of so many seats.
func seatModel(seats int) porcupine.Model {
	return porcupine.Model{
		Init: func() any { return sold{} },
		Step: func(state, in, _ any) (bool, any) {
			ok, next := state.(sold).next(in.(*op), seats)
			return ok, next
		},
		Hash: func(state any) uint64 {
			s := state.(sold)
			h := uint64(s.other)
			for _, w := range s.bits {
				h = bits.RotateLeft64(h*0x9e3779b97f4a7c15, 31) ^ w*0xbf58476d1ce4e5b9
			}
			return h
		},
		DescribeOperation: func(in, _ any) string { return in.(*op).String() },
		DescribeState: func(state any) string {
			s := state.(sold)
			return fmt.Sprintf("%d/%d", s.taken(), seats)
		},
	}
}

// counted is the state of a session: how many takings and givings back took effect.
type counted struct{ takes, releases int }

// countModel is the sequential session of so many seats, which only counts. See interchange.
func countModel(seats int) porcupine.Model {
	return porcupine.Model{
		Init: func() any { return counted{} },
		Step: func(state, in, _ any) (bool, any) {
			s, o := state.(counted), in.(*op)
			switch o.kind {
			case opTake:
				ok := o.turn == s.takes && s.takes-s.releases < seats
				s.takes++
				return ok, s
			case opRelease:
				ok := o.turn == s.releases && s.takes > s.releases
				s.releases++
				return ok, s
			case opFull:
				return s.takes-s.releases == seats, s
			case opLimit:
			}
			return false, s
		},
		Hash: func(state any) uint64 {
			s := state.(counted)
			return uint64(s.takes)<<32 | uint64(s.releases)
		},
		DescribeOperation: func(in, _ any) string { return in.(*op).String() },
		DescribeState: func(state any) string {
			s := state.(counted)
			return fmt.Sprintf("%d/%d", s.takes-s.releases, seats)
		},
	}
}

// interchange gives takings and givings back of a session turns. In a count they are all
// alike, and telling them apart would make the search exponential: the one that takes
// effect as the i-th was called not before the i-th call and returns not before the i-th
// return, whichever it is. Who took which seat is judged in the slots.
func interchange(ops []*op) []*op {
	for _, kind := range []opKind{opTake, opRelease} {
		var alike []*op
		var calls, rets []int64
		for _, o := range ops {
			if o.kind == kind {
				alike, calls, rets = append(alike, o), append(calls, o.call), append(rets, o.ret)
			}
		}
		slices.Sort(calls)
		slices.Sort(rets)
		slices.SortStableFunc(alike, func(a, b *op) int { return cmp.Compare(a.ret, b.ret) })
		for i, o := range alike {
			o.call, o.ret, o.turn = calls[i], rets[i], i
		}
	}
	return ops
}

// personModel is one person's day at a department: one active visit at most.
func personModel() porcupine.Model {
	return porcupine.Model{
		Init: func() any { return false },
		Step: func(state, in, _ any) (bool, any) {
			active := state.(bool)
			switch in.(*op).kind {
			case opTake:
				return !active, true
			case opRelease:
				return active, false
			case opLimit:
				return active, active
			case opFull:
			}
			return false, active
		},
		DescribeOperation: func(in, _ any) string { return in.(*op).String() },
		DescribeState:     func(state any) string { return fmt.Sprintf("visit: %t", state) },
	}
}

// String implements fmt.Stringer.
func (o *op) String() string {
	switch o.kind {
	case opTake:
		return fmt.Sprintf("%s takes a seat of slot %d (any %t, number %d): %s", o.visit, o.slot, o.any, o.number, o.by)
	case opRelease:
		return fmt.Sprintf("%s gives a seat of slot %d back (number %d): %s", o.visit, o.slot, o.number, o.by)
	case opFull:
		return fmt.Sprintf("%s is told by process %d that slot %d (-1: the session) is full", o.visit, o.process, o.slot)
	case opLimit:
	}
	return "has a visit that day already"
}

// checkHistory asks porcupine; what is not Ok is written to a file.
func checkHistory(m porcupine.Model, ops []*op, file string) (porcupine.CheckResult, error) {
	slices.SortStableFunc(ops, func(a, b *op) int { return cmp.Compare(a.call, b.call) })
	history := make([]porcupine.Operation, len(ops))
	for i, o := range ops {
		history[i] = porcupine.Operation{ClientId: i, Input: o, Call: o.call, Return: o.ret}
	}
	v := porcupine.CheckOperationsTimeout(m, history, seatTime)
	if v == porcupine.Ok {
		return v, nil
	}
	return v, writeHistory(m, ops, history, file)
}

// writeHistory writes the operations as lines of JSON and, when it is small enough to be
// looked at, porcupine's picture of how far it came.
func writeHistory(m porcupine.Model, ops []*op, history []porcupine.Operation, file string) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o750); err != nil {
		return err
	}
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	enc := json.NewEncoder(f)
	for _, o := range ops {
		if err = enc.Encode(map[string]any{"op": o.String(), "call_ns": o.call, "return_ns": o.ret}); err != nil {
			break
		}
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err != nil || len(ops) > maxPicture {
		return err
	}
	_, info := porcupine.CheckOperationsVerbose(m, history, pictureTime)
	return porcupine.VisualizePath(m, info, file+".html")
}

const (
	maxPicture  = 4000 // operations
	pictureTime = 10 * time.Second
)

// object is one history with its model.
type object struct {
	name  string
	seats int // 0: a person's day
	slot  int // -1: a session
	ops   []*op
}

// objects gives every slot's, every session's and every person's operations.
func (j *judgement) objects() (seats, persons []*object) {
	slots := map[place]*object{}
	sessions := make([]*object, len(j.r.plan.Sessions))
	for i, s := range j.r.plan.Sessions {
		sessions[i] = &object{name: fmt.Sprintf("session %d", i), seats: s.seats, slot: -1}
		seats = append(seats, sessions[i])
		for k, x := range s.slots {
			o := &object{name: fmt.Sprintf("session %d slot %d", i, k), seats: x.seats, slot: k}
			slots[place{i, k}] = o
			seats = append(seats, o)
		}
	}
	people := map[string]*object{}
	person := func(patient, department string) *object {
		who := patient + " " + department
		if people[who] == nil {
			people[who] = &object{name: "person " + patient}
			persons = append(persons, people[who])
		}
		return people[who]
	}
	for _, v := range j.last.visits {
		at, ok := j.places[v.slot]
		if !ok {
			continue // judged by verify
		}
		who := person(v.patient, v.department)
		for _, o := range j.seatOps(v, at.slot) {
			slots[at].ops, who.ops = append(slots[at].ops, o), append(who.ops, o)
			sum := *o
			sum.number = 0 // the session counts its seats
			sessions[at.session].ops = append(sessions[at.session].ops, &sum)
		}
	}
	stale := int64(0)
	if len(j.r.site.procs) > 1 {
		stale = int64(staleness)
	}
	for _, t := range j.tries {
		switch {
		case t.full():
			o := &op{kind: opFull, slot: t.Slot, visit: t.Key, process: t.Process, call: t.Call - stale, ret: t.Return}
			if t.Slot < 0 {
				sessions[t.Session].ops = append(sessions[t.Session].ops, o)
				continue
			}
			at := place{t.Session, t.Slot}
			slots[at].ops = append(slots[at].ops, o)
		case t.Code == "scheduling.limit_reached":
			who := person(t.Person, j.departments[t.Session])
			who.ops = append(who.ops, &op{kind: opLimit, call: t.Call, ret: t.Return})
		}
	}
	for _, o := range append(slices.Clone(seats), persons...) {
		o.ops = essential(o.ops)
	}
	for _, o := range sessions {
		o.ops = interchange(o.ops)
	}
	return seats, persons
}

// essential leaves the reads out whose window holds another read's whole window: at the
// instant of that one they are true too.
func essential(ops []*op) []*op {
	var reads, out []*op
	for _, o := range ops {
		if o.kind == opFull || o.kind == opLimit {
			reads = append(reads, o)
		} else {
			out = append(out, o)
		}
	}
	// By return, and the latest call first: what comes later holds an earlier one if its
	// call is not after the latest call so far.
	slices.SortFunc(reads, func(a, b *op) int { return cmp.Or(cmp.Compare(a.ret, b.ret), cmp.Compare(b.call, a.call)) })
	latest := -never
	for _, o := range reads {
		if o.call > latest {
			latest = o.call
			out = append(out, o)
		}
	}
	return out
}

// seatOps are the operations of one appointment on its seat.
func (j *judgement) seatOps(v *row, slot int) (out []*op) {
	end := j.last.at + 1
	retakes := 0
	for _, s := range v.steps {
		if s.from == "cancelled" {
			retakes++
		}
	}
	seen := 0
	for i, s := range v.steps {
		if s.from == "cancelled" {
			seen++
		}
		number := v.number
		if seen < retakes { // the number of an earlier seat is not kept
			number = 0
		}
		o := &op{slot: slot, number: number, visit: v.id, by: s.by}
		switch {
		case s.from == "":
			o.kind, o.any = opTake, j.asked[v.id].any
			o.call, o.ret = j.asked[v.id].call, j.asked[v.id].ret
		case s.to == "cancelled" && s.by == "cancel":
			o.kind = opRelease
			o.call, o.ret = j.given[v.id].call, j.given[v.id].ret
		case s.to == "cancelled":
			o.kind = opRelease
			o.call, o.ret = j.bySelf(v, i)
		case s.from == "cancelled":
			o.kind = opTake
			o.call, o.ret = j.bySelf(v, i)
		default: // pending to booked, and what the waiting line or the end of the session says: the same seat
			continue
		}
		if len(out) > 0 { // an appointment's steps come one after the other
			o.call = max(o.call, out[len(out)-1].call)
		}
		o.ret = min(o.ret, end)
		out = append(out, o)
	}
	for i := len(out) - 2; i >= 0; i-- {
		out[i].ret = min(out[i].ret, out[i+1].ret)
	}
	return out
}

// bySelf bounds a step that the server made by itself: after the restart when the clocks
// had gone on, before the first snapshot that shows it.
func (j *judgement) bySelf(v *row, i int) (call, ret int64) {
	if v.steps[i].at > j.restartWall+maxSkew.Microseconds() {
		call = j.restarted
	}
	ret = j.last.at
	if old := j.first.visits[v.id]; old != nil && len(old.steps) > i {
		ret = j.first.at
	}
	return call, ret
}

// linear checks all histories, two at a time.
func (j *judgement) linear(ctx context.Context, seats, persons []*object) (bySeat, byPerson check) {
	bySeat = check{Name: "each slot's and each session's history is linearizable"}
	byPerson = check{Name: "each person's history is linearizable: once per person, department and day"}
	var mu sync.Mutex
	judge := func(c *check, m porcupine.Model, o *object) {
		v, err := checkHistory(m, o.ops, j.file(o.name))
		mu.Lock()
		defer mu.Unlock()
		c.Seen++
		c.Operations += len(o.ops)
		switch {
		case err != nil:
			c.say("%s: the history could not be written: %v", o.name, err)
		case v == porcupine.Unknown:
			c.say("%s: no verdict in time about %d operations%s; see %s", o.name, len(o.ops), o.explain(), j.file(o.name))
		case v == porcupine.Illegal:
			c.say("%s: not linearizable, %d operations%s; see %s", o.name, len(o.ops), o.explain(), j.file(o.name))
		}
	}
	err := each(ctx, 2, seats, func(_ context.Context, o *object) error {
		m := seatModel(o.seats)
		if o.slot < 0 {
			m = countModel(o.seats)
		}
		judge(&bySeat, m, o)
		return nil
	})
	if err == nil {
		err = each(ctx, 2, persons, func(_ context.Context, o *object) error {
			judge(&byPerson, personModel(), o)
			return nil
		})
	}
	if err != nil || ctx.Err() != nil {
		bySeat.say("the judgement was interrupted")
	}
	return bySeat, byPerson
}
