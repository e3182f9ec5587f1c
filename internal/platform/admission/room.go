package admission

import (
	"crypto/sha256"
	"slices"
	"sync"
	"time"

	"xinglin/internal/kernel/fault"
)

type roomKey struct {
	tenant     TenantID
	rule       string
	department Thing // zero: one room for all of the rule
}

func (k roomKey) tag() (t tag) {
	h := sha256.New()
	h.Write(k.tenant[:])
	h.Write(k.department[:])
	h.Write([]byte(k.rule))
	copy(t[:], h.Sum(nil))
	return t
}

// State is where a place stands.
type State string

// The states of a place.
const (
	Open     State = "open"     // there is no waiting room now: go on
	Waiting  State = "waiting"  // in line
	Admitted State = "admitted" // has a pass
	Ended    State = "ended"    // released without a pass; the reason says why
)

// Reasons of an end.
const (
	ReasonSoldOut = "sold_out"
	ReasonClosed  = "closed" // the room has closed: no pass is needed any more
	ReasonPast    = "past"   // the pass was not used in time
)

const (
	keepAway   = 3 * time.Minute // a place is kept without a look at it
	idlePass   = 20 * time.Second
	maxSoldOut = 512
	slowHold   = time.Second // of a hold inside: the way in is too wide
	sampleTime = time.Second
)

// place is one account's in one room.
type place struct {
	account  AccountID
	schedule Thing
	arrived  int64 // order
	state    State
	reason   string
	since    time.Time // of the state
	looked   time.Time
	used     bool          // the pass was shown
	news     chan struct{} // closed when the state changes
}

// room is one line of one process.
type room struct {
	key  roomKey
	rule Rule

	mu      sync.Mutex
	line    []*place // waiting, by arrival
	places  map[AccountID]*place
	soldout map[Thing]bool

	width  float64   // people that may be inside with a pass
	inside int       // admitted who have neither taken anything nor let idlePass go by
	credit float64   // of PerSecond
	last   time.Time // of pace

	sampled              time.Time // the pace of a while
	good, bad, let       int
	slowest              time.Duration
	rate                 float64 // admissions a second; 0: unknown
	admitted, turnedAway int64
}

func newRoom(k roomKey, r Rule, now time.Time) *room {
	return &room{key: k, rule: r, places: map[AccountID]*place{}, soldout: map[Thing]bool{}, width: float64(r.AtOnce), last: now, sampled: now}
}

// View is a place as its owner sees it.
type View struct {
	State    State
	Reason   string
	Position int     // 1 is the next
	Rate     float64 // people a second that the room lets in; 0: unknown
	Arrived  int64
	Since    time.Time
	news     <-chan struct{}
}

// take gives the account's place, the same one however often it asks; a new one goes to
// the end, which is the moment today, or to where a token says that it arrived.
func (r *room) take(a AccountID, schedule Thing, arrived, today int64, now time.Time) (View, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.places[a]
	switch {
	case p != nil && p.state == Waiting:
		p.looked = now
		if !schedule.IsZero() && schedule != p.schedule && !r.soldout[schedule] {
			p.schedule = schedule // another wish of the same person; the place stays
		}
		return r.view(p), nil
	case p != nil && p.state == Admitted && now.Sub(p.since) < r.pass():
		return r.view(p), nil
	}
	if p == nil && len(r.places) >= r.rule.Places {
		r.forget(now)
		if len(r.places) >= r.rule.Places {
			r.turnedAway++
			return View{}, ErrFull.After(30 * time.Second)
		}
	}
	if p != nil && arrived <= p.arrived {
		arrived = today // that arrival has had its turn
	}
	p = &place{account: a, schedule: schedule, arrived: arrived, state: Waiting, since: now, looked: now, news: make(chan struct{})}
	r.places[a] = p
	if r.soldout[schedule] {
		p.end(ReasonSoldOut, now)
		return r.view(p), nil
	}
	i, _ := slices.BinarySearchFunc(r.line, arrived+1, func(x *place, at int64) int { return compare(x.arrived, at) })
	r.line = slices.Insert(r.line, i, p)
	return r.view(p), nil
}

func compare(a, b int64) int {
	if a < b {
		return -1
	}
	if a > b {
		return 1
	}
	return 0
}

func (r *room) pass() time.Duration { return time.Duration(r.rule.PassSeconds) * time.Second }

// look is the place of an account; false when it has none.
func (r *room) look(a AccountID, now time.Time) (View, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.places[a]
	if p == nil {
		return View{}, false
	}
	p.looked = now
	if p.state == Admitted && now.Sub(p.since) >= r.pass() {
		p.end(ReasonPast, now)
	}
	return r.view(p), true
}

func (r *room) view(p *place) View {
	v := View{State: p.state, Reason: p.reason, Rate: r.rate, Arrived: p.arrived, Since: p.since, news: p.news}
	if p.state == Waiting {
		i, _ := slices.BinarySearchFunc(r.line, p.arrived, func(x *place, at int64) int { return compare(x.arrived, at) })
		for i < len(r.line) && r.line[i] != p {
			i++
		}
		v.Position = i + 1
	}
	return v
}

func (p *place) become(s State, reason string, now time.Time) {
	p.state, p.reason, p.since = s, reason, now
	close(p.news)
	p.news = make(chan struct{})
}

func (p *place) end(reason string, now time.Time) { p.become(Ended, reason, now) }

// forget drops places that ended, or that nobody has looked at for long.
func (r *room) forget(now time.Time) {
	for a, p := range r.places {
		if p.state == Ended || p.state == Admitted && now.Sub(p.since) >= r.pass() {
			delete(r.places, a)
		}
	}
	r.line = slices.DeleteFunc(r.line, func(p *place) bool {
		gone := now.Sub(p.looked) > keepAway
		if gone {
			delete(r.places, p.account)
		}
		return gone
	})
}

// pace lets in whom the width and the rate allow. When the rule's hours are over
// everybody goes on without a pass.
func (r *room) pace(now time.Time, within bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sample(now)
	r.credit = min(r.credit+now.Sub(r.last).Seconds()*float64(r.rule.PerSecond), float64(r.rule.PerSecond))
	r.last = now
	if !within {
		for _, p := range r.line {
			p.end(ReasonClosed, now)
		}
		r.line, r.inside = nil, 0
		clear(r.soldout)
		return
	}
	for len(r.line) > 0 && r.credit >= 1 && float64(r.inside) < r.width {
		p := r.line[0]
		r.line[0] = nil
		r.line = r.line[1:]
		if now.Sub(p.looked) > keepAway {
			delete(r.places, p.account)
			continue
		}
		p.become(Admitted, "", now)
		r.credit--
		r.inside++
		r.let++
		r.admitted++
	}
}

// sample ends a second: the width follows the goodput of holds. It shrinks by three
// tenths when holds were slow or failed, else it grows by a sixteenth of its most.
func (r *room) sample(now time.Time) {
	took := now.Sub(r.sampled)
	if took < sampleTime {
		return
	}
	rate := float64(r.let) / took.Seconds()
	if r.rate == 0 {
		r.rate = rate
	} else if r.let > 0 || len(r.line) > 0 {
		r.rate = 0.8*r.rate + 0.2*rate
	}
	most := float64(r.rule.AtOnce)
	if r.bad*20 > r.good+r.bad || r.slowest > slowHold {
		r.width = max(1, most/16, r.width*0.7)
	} else {
		r.width = min(most, r.width+max(1, most/16))
	}
	r.sampled, r.good, r.bad, r.let, r.slowest = now, 0, 0, 0, 0
	inside := 0
	for _, p := range r.places {
		if p.state == Admitted && !p.used && now.Sub(p.since) < idlePass {
			inside++
		}
	}
	r.inside = inside
}

// done notes the end of a hold: the place inside is free for the next.
func (r *room) done(a AccountID, took time.Duration, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.slowest = max(r.slowest, took)
	if k := fault.KindOf(err); k == fault.Unavailable || k == fault.Internal {
		r.bad++
		return
	}
	r.good++
	if p := r.places[a]; p != nil && p.state == Admitted && !p.used {
		p.used = true
		r.inside = max(0, r.inside-1)
	}
}

// soldOut ends the places of those who wait for the session.
func (r *room) soldOut(schedule Thing, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if schedule.IsZero() || r.soldout[schedule] {
		return
	}
	if len(r.soldout) >= maxSoldOut {
		clear(r.soldout)
	}
	r.soldout[schedule] = true
	r.line = slices.DeleteFunc(r.line, func(p *place) bool {
		gone := p.schedule == schedule
		if gone {
			p.end(ReasonSoldOut, now)
		}
		return gone
	})
}

func (r *room) back(schedule Thing) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.soldout, schedule)
}
