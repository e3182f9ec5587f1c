package simulate

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/id"
)

const (
	pause    = 100 * time.Millisecond
	payTime  = 8 * time.Second // for a pay page, and for a ticket
	pollEach = 250 * time.Millisecond
	staleTry = 6
)

// run is one simulation.
type run struct {
	o      Options
	plan   *plan
	site   *site
	wire   *wire
	record *record
	begin  time.Time // the doors open
	killed time.Time // the last serve process, by the monotonic clock

	mu    sync.Mutex
	keys  map[int]string // of wishes that are repeated after the sell-out: key by wish
	owing []visit        // whose patients pay when the hold is over
	kept  map[int]visit  // what became of the wishes that their people keep
	empty map[int]bool   // wishes for which there was no seat
}

// now is nanoseconds since the doors opened.
func (r *run) now() int64 { return int64(clock.Mono().Sub(r.begin)) }

// proc is a process by a planned number: every client knows them all.
func (r *run) proc(n int) *proc { return r.site.procs[n%len(r.site.procs)] }

// live plays one wish from its moment to its end.
func (r *run) live(ctx context.Context, i int) {
	w := r.plan.Wishes[i]
	if wait(ctx, w.at-time.Duration(r.now())) != nil {
		return
	}
	key := newKey()
	if w.habit == yesterday {
		r.old(ctx, w)
	}
	t := r.want(ctx, w, key, w.slot)
	for more := w.more; more > 0 && t.full(); more-- {
		if wait(ctx, w.pause) != nil {
			break
		}
		key = newKey()
		t = r.want(ctx, w, key, -1) // any other of the session
	}
	r.mu.Lock()
	switch {
	case t.ok() && w.later, t.Status == 0 && w.habit == gone:
		r.keys[i] = key
	case t.full():
		r.empty[i] = true
	}
	if t.ok() && w.then == keep && w.habit != reuse {
		r.kept[i] = t.Seen
	}
	r.mu.Unlock()
	if t.ok() {
		r.after(ctx, w, t)
	}
}

// want asks for a seat until somebody answers yes or no.
func (r *run) want(ctx context.Context, w wish, key string, slot int) Try {
	if w.habit == double {
		return r.twice(ctx, w, key, slot)
	}
	c := call{}
	switch w.habit {
	case lost, gone:
		c.lose = w.delay
	case slow:
		c.slow = 10*time.Millisecond + w.delay
	}
	t := r.ask(ctx, w, key, w.session, slot, w.process, c)
	if w.habit == gone && t.Status == 0 {
		return t
	}
	return r.insist(ctx, w, key, slot, t)
}

// insist repeats a request with its key, at the next process each time.
func (r *run) insist(ctx context.Context, w wish, key string, slot int, t Try) Try {
	for turn := 1; !t.ok() && (!t.refused() || t.Status == http.StatusTooManyRequests); turn++ {
		if wait(ctx, backoff(turn)) != nil {
			break
		}
		t = r.ask(ctx, w, key, w.session, slot, w.process+turn, call{})
	}
	return t
}

// backoff is the patience of people at a dead door: 0.1 s, then up to 0.8 s.
func backoff(turn int) time.Duration { return pause << min(turn-1, 3) }

// twice is a double click: both requests are on the way at once.
func (r *run) twice(ctx context.Context, w wish, key string, slot int) Try {
	var other Try
	var both sync.WaitGroup
	both.Go(func() { other = r.ask(ctx, w, key, w.session, slot, w.process+1, call{}) })
	t := r.ask(ctx, w, key, w.session, slot, w.process, call{})
	both.Wait()
	if other.ok() && !t.ok() {
		t = other
	}
	return r.insist(ctx, w, key, slot, t)
}

// ask sends one request for a seat and records it.
func (r *run) ask(ctx context.Context, w wish, key string, session, slot, process int, c call) Try {
	a, s := r.plan.Accounts[w.account], r.plan.Sessions[session]
	body := map[string]any{"patient_id": a.people[w.person].id}
	if slot < 0 {
		body["schedule_id"], body["any"] = s.id, true
	} else {
		slot %= len(s.slots)
		body["slot_id"] = s.slots[slot].id
	}
	p := r.proc(process)
	t := Try{Key: key, Account: w.account, Bot: a.bot, Person: a.people[w.person].id, Session: session, Slot: slot, Process: p.number, Call: r.now(), Return: never, Slow: c.slow > 0, Left: c.lose > 0}
	c.base, c.method, c.path, c.who, c.body, c.key = p.url(), http.MethodPost, "/appointments", a, body, key
	c.sent = func() { t.Call = r.now() }
	got, err := r.wire.do(ctx, c)
	t.End = r.now()
	if err == nil {
		t.Return, t.Status, t.Code, t.Hit = r.now(), got.status, got.code, got.hit
		if t.ok() {
			if err := json.Unmarshal(got.body, &t.Seen); err != nil {
				r.record.strange(fmt.Sprintf("an answer %d to a hold that is no appointment: %v", got.status, err))
			}
		}
		r.expect(t, got)
	}
	r.record.try(t)
	return t
}

// usual are the refusals that a person at the door may meet.
var usual = map[string]bool{
	"scheduling.slot_taken": true, "scheduling.session_full": true, "scheduling.limit_reached": true, "scheduling.cap_reached": true,
	"scheduling.key_reused": true, "scheduling.key_clock": true,
}

// expect notes answers that nobody should get.
func (r *run) expect(t Try, a answer) {
	if t.refused() && t.Status != http.StatusTooManyRequests && !usual[t.Code] {
		r.record.strange(fmt.Sprintf("a hold was refused with %d %s: %.200s", a.status, a.code, a.body))
	}
}

// old asks with a key of two days ago: refused whatever is free.
func (r *run) old(ctx context.Context, w wish) {
	v := id.New[id.Any](clock.System{}.Now())
	ms := v.Time().AddDate(0, 0, -2).UnixMilli() // New never goes back, so the time is put in by hand
	for i := range 6 {
		v[i] = byte(ms >> (8 * (5 - i)))
	}
	key := v.String()
	t := r.foreign(ctx, w, key, w.session, w.slot)
	if t.ok() {
		r.record.strange("a key of two days ago was taken")
	}
}

// foreign asks with a key that must be refused.
func (r *run) foreign(ctx context.Context, w wish, key string, session, slot int) Try {
	t := r.ask(ctx, w, key, session, slot, w.process+1, call{})
	for turn := 2; !t.ok() && !t.refused() && wait(ctx, backoff(turn)) == nil; turn++ {
		t = r.ask(ctx, w, key, session, slot, w.process+turn, call{})
	}
	return t
}

// after does what somebody does with a seat.
func (r *run) after(ctx context.Context, w wish, t Try) {
	if w.habit == reuse {
		r.other(ctx, w, t)
	}
	if wait(ctx, w.delay) != nil {
		return
	}
	v := t.Seen
	if v.State != "pending" { // free, or known from an earlier try
		if w.then == give || w.then == payThenGive {
			r.give(ctx, w, v)
		}
		return
	}
	switch w.then {
	case pay, payTwice, payThenGive:
		v, ok := r.pay(ctx, w, v)
		if ok && w.then == payThenGive {
			r.give(ctx, w, v)
		}
	case give:
		r.give(ctx, w, v)
	case payLate:
		if r.page(ctx, w, v, w.process) {
			r.mu.Lock()
			r.owing = append(r.owing, v)
			r.mu.Unlock()
		}
	case keep, forget:
	}
}

// other takes the key of a seat for another wish: always refused (when the other session
// is known to be sold out, with that), and the seat stays.
func (r *run) other(ctx context.Context, w wish, t Try) {
	session, slot := w.session, t.Slot+1
	if t.Slot < 0 {
		session, slot = (w.session+1)%len(r.plan.Sessions), -1
	}
	if got := r.foreign(ctx, w, t.Key, session, slot); got.Status != 0 && got.Code != "scheduling.key_reused" && !got.full() {
		r.record.strange(fmt.Sprintf("the key of a seat was used for another wish and answered %d %s", got.Status, got.Code))
	}
}

// page opens the pay page. The payment may still be on its way to the payment context.
func (r *run) page(ctx context.Context, w wish, v visit, process int) bool {
	ctx, cancel := context.WithTimeout(ctx, payTime)
	defer cancel()
	for turn := 0; ; turn++ {
		a, err := r.wire.do(ctx, call{
			base: r.proc(process + turn).url(), method: http.MethodPost, path: "/payments/" + v.PaymentID + "/prepay", who: r.plan.Accounts[w.account],
			body: map[string]any{"channel": "wechat", "return_url": "/m/"},
		})
		if err == nil && a.status < 300 {
			return true
		}
		if err == nil && a.status == http.StatusConflict { // the hold is over already
			return false
		}
		if wait(ctx, pollEach) != nil {
			return false
		}
	}
}

// pay opens the page, pays at the channel and waits for the ticket.
func (r *run) pay(ctx context.Context, w wish, v visit) (visit, bool) {
	if !r.page(ctx, w, v, w.process) || w.then == payTwice && !r.page(ctx, w, v, w.process+1) {
		return v, false
	}
	if !r.settle(ctx, v) {
		return v, false
	}
	return r.until(ctx, w, v, func(v visit) bool { return v.State != "pending" })
}

// settle pays at the channel, as the person does on its page. A transaction that the
// channel has closed takes no money.
func (r *run) settle(ctx context.Context, v visit) bool {
	for range tries {
		a, err := r.wire.do(ctx, call{base: r.site.payURL, method: http.MethodPost, path: "/sim/transactions/" + tradeNo(v.PaymentID) + "/pay"})
		switch {
		case err == nil && a.status < 300:
			r.record.pay(v.PaymentID)
			return true
		case err == nil && a.status < 500:
			return false
		case wait(ctx, pause) != nil:
			return false
		}
	}
	return false
}

// tradeNo is a payment's number at the channel.
func tradeNo(payment string) string {
	b, err := hex.DecodeString(strings.ReplaceAll(payment, "-", ""))
	if err != nil {
		return ""
	}
	return hex.EncodeToString(b)
}

// until reads an appointment until ok likes it, for a while.
func (r *run) until(ctx context.Context, w wish, v visit, ok func(visit) bool) (visit, bool) {
	ctx, cancel := context.WithTimeout(ctx, payTime)
	defer cancel()
	for turn := 0; ; turn++ {
		got, found := r.see(ctx, w, v.ID, w.process+turn)
		if found && ok(got) {
			return got, true
		}
		if wait(ctx, pollEach) != nil {
			return v, false
		}
	}
}

// see reads an appointment.
func (r *run) see(ctx context.Context, w wish, appointment string, process int) (v visit, ok bool) {
	a, err := r.wire.do(ctx, call{base: r.proc(process).url(), method: http.MethodGet, path: "/appointments/" + appointment, who: r.plan.Accounts[w.account]})
	if err != nil || a.status != http.StatusOK {
		if err == nil && a.status == http.StatusNotFound {
			r.record.strange("an appointment that was acknowledged is not found: " + appointment)
		}
		return v, false
	}
	if json.Unmarshal(a.body, &v) != nil {
		return v, false
	}
	r.record.look(v)
	return v, true
}

// give cancels until somebody answers, with the version of the moment.
func (r *run) give(ctx context.Context, w wish, v visit) {
	for turn := range 4 * staleTry {
		p := r.proc(w.process + turn)
		c := Cancel{Appointment: v.ID, Process: p.number, Call: r.now(), Return: never}
		a, err := r.wire.do(ctx, call{
			base: p.url(), method: http.MethodPost, path: "/appointments/" + v.ID + "/cancel", who: r.plan.Accounts[w.account],
			body: map[string]any{}, match: fmt.Sprintf("%q", fmt.Sprint(v.Version)), sent: func() { c.Call = r.now() },
		})
		if err == nil {
			c.Return, c.Status, c.Code = r.now(), a.status, a.code
			if a.status == http.StatusOK && json.Unmarshal(a.body, &c.Seen) != nil {
				r.record.strange("an answer to a cancellation that is no appointment")
			}
		}
		r.record.cancel(c)
		switch {
		case c.Status == http.StatusOK, c.Status == http.StatusConflict:
			return
		case c.Status == http.StatusPreconditionFailed:
			if got, ok := r.see(ctx, w, v.ID, w.process+turn); ok {
				v = got
			}
		case wait(ctx, pause) != nil:
			return
		}
	}
}
