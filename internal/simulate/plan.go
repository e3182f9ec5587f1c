package simulate

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"xinglin/internal/kernel/clock"
)

// plan is everything that the seed decides: the same seed and size give the same plan.
// What the plan does not decide is how the processes meet each other.
type plan struct {
	Offsets  []time.Duration // of the processes' clocks
	Sessions []session
	Accounts []*account
	Wishes   []wish
	Faults   []failure
	Later    time.Duration // how far the clocks go on between the two waves
	Lost     int           // callbacks of the payment channel that never come
}

// session is one scarce session of a doctor. The ids are found when it is there.
type session struct {
	number     int
	department int
	seats      int
	yuan       int
	opens      time.Duration // when its crowd comes

	id    string
	slots []slot
}

// slot is a period of a session; its seats carry the numbers first..first+seats-1.
type slot struct {
	id           string
	first, seats int
}

// habit is how somebody asks.
type habit int

const (
	plain     habit = iota
	double          // an impatient double click: the same key twice at once, at two processes
	lost            // hangs up after sending and asks again with the same key
	gone            // hangs up after sending and comes back after the sell-out, with the same key
	slow            // sends a few bytes at a time
	reuse           // takes the key of a booking for another wish
	yesterday       // a key whose time is two days ago
)

// after is what somebody does with a seat.
type after int

const (
	keep        after = iota
	pay               // pays at once
	payTwice          // opens the pay page at two processes and pays
	payThenGive       // pays, is booked, and cancels
	give              // cancels the hold or the free booking
	payLate           // pays when the hold is over
	forget            // never pays
)

// wish is one person's try to get a seat.
type wish struct {
	account, person, session int
	slot                     int // -1: any of the session
	at                       time.Duration
	habit                    habit
	then                     after
	delay                    time.Duration // before then, and before a lost reply is missed
	process                  int
	more                     int // tries with new keys when there was nothing
	pause                    time.Duration
	later                    bool // asks again after the sell-out, with the same key
	second                   bool // comes back in the second wave when there was nothing
}

// faultKind is what breaks.
type faultKind int

const (
	killServe faultKind = iota
	killBroker
	loseBroker // with its folder
	restartDatabase
)

func (k faultKind) String() string {
	return [...]string{"kill -9 of a serve process", "kill -9 of the broker", "the broker is lost with its folder", "immediate restart of the database"}[k]
}

// failure happens when so many seats are granted, or when the crowd has gone.
type failure struct {
	kind    faultKind
	granted int64
	process int
	rest    time.Duration // before the restart
	clock   time.Duration // the process comes back with its clock here: a step
}

const (
	bigSession   = 100
	smallSession = 40
	botTries     = 100
	botPeople    = 4
	maxFamily    = 5
	maxSkew      = 3 * time.Second // of a process's clock in one wave
	holdMinutes  = 1
)

// waves are when the crowds of the sessions come, in hundredths of the duration.
var waves = []time.Duration{0, 0, 0, 35, 35, 70, 70}

// draw is the plan's dice.
type draw struct{ *rand.Rand }

// upTo is a duration of 0..d.
func (d draw) upTo(x time.Duration) time.Duration { return time.Duration(d.Int64N(int64(x) + 1)) }

// percent is true in n of 100 cases.
func (d draw) percent(n int) bool { return d.IntN(100) < n }

// weigh picks an index by weights.
func (d draw) weigh(weights ...int) int {
	sum := 0
	for _, w := range weights {
		sum += w
	}
	x := d.IntN(sum)
	for i, w := range weights {
		if x -= w; x < 0 {
			return i
		}
	}
	return len(weights) - 1
}

// newPlan makes the plan of a seed.
func newPlan(o Options) *plan {
	d := draw{rand.New(rand.NewPCG(o.Seed, 0x8_00))}
	p := &plan{Later: (holdMinutes*60 + 15) * time.Second, Lost: 5 + d.IntN(10)}
	for range o.Processes {
		p.Offsets = append(p.Offsets, d.upTo(2*maxSkew)-maxSkew)
	}
	fees := []int{25, 0, 60, 25, 0, 0, 25}
	for i, share := range waves {
		s := session{number: i, department: i / 2, seats: smallSession, yuan: fees[i], opens: o.Duration * share / 100}
		if i == 3 {
			s.seats = bigSession
		}
		p.Sessions = append(p.Sessions, s)
	}
	p.families(d, o)
	p.bots(d, o)
	slices.SortStableFunc(p.Wishes, func(a, b wish) int { return int(a.at - b.at) })
	if o.Kill {
		p.breakThings(d, o)
	}
	return p
}

// families are accounts of one to five people; some have somebody else's child as well.
func (p *plan) families(d draw, o Options) {
	people := 0
	for people < o.People {
		a := newAccount(len(p.Accounts), min(1+d.weigh(30, 25, 20, 15, 10), o.People-people))
		for i := range a.people {
			a.people[i].number = people
			people++
		}
		p.Accounts = append(p.Accounts, a)
	}
	taken := map[int]bool{} // one code at a time goes to the phone on file
	for i, a := range p.Accounts {
		with := i - 1 - d.IntN(10)
		if with >= 0 && !taken[with] && len(p.Accounts[with].people) > 1 && len(a.people) < maxFamily && d.percent(10) && p.Accounts[with].shares < 0 {
			a.shares, taken[with] = with, true
		}
	}
	for i, a := range p.Accounts {
		for k := range a.people {
			p.want(d, o, i, k, d.IntN(len(p.Sessions)))
			if d.percent(25) { // a second department, or the other doctor of the same one: once a day only
				p.want(d, o, i, k, d.IntN(len(p.Sessions)))
			}
		}
		if a.shares >= 0 { // both parents want the same child in the same department at the same moment
			s := d.IntN(len(p.Sessions))
			p.want(d, o, a.shares, 1, s)
			at := p.Wishes[len(p.Wishes)-1].at
			p.want(d, o, i, len(a.people), s)
			p.Wishes[len(p.Wishes)-1].at = at
		}
	}
}

func newAccount(n, people int) *account {
	return &account{number: n, phone: phone(n), address: fmt.Sprintf("10.%d.%d.%d", n>>16&255, n>>8&255, n&255), shares: -1, people: make([]person, people)}
}

// want adds a wish.
func (p *plan) want(d draw, o Options, account, person, session int) {
	s := p.Sessions[session]
	crowd := o.Duration / 10
	w := wish{
		account: account, person: person, session: session, slot: -1, at: s.opens + d.upTo(crowd), process: d.IntN(1 << 16),
		habit: habit(d.weigh(58, 14, 8, 4, 2, 6, 1)), delay: time.Millisecond + d.upTo(30*time.Millisecond), pause: 200*time.Millisecond + d.upTo(o.Duration/8),
		more: d.weigh(40, 35, 25), later: d.percent(35), second: d.percent(30),
	}
	if d.percent(15) { // they come later and hope for seats that come back
		w.at = s.opens + d.upTo(o.Duration-s.opens)
	}
	if d.percent(45) {
		w.slot = d.IntN(1 << 16)
	}
	if s.yuan == 0 {
		w.then = []after{keep, give}[d.weigh(75, 25)]
	} else {
		w.then = []after{pay, payTwice, payThenGive, give, payLate, forget}[d.weigh(48, 5, 12, 10, 12, 13)]
	}
	p.Wishes = append(p.Wishes, w)
}

// bots are accounts whose program asks a hundred times.
func (p *plan) bots(d draw, o Options) {
	for b := range max(2, o.People/300) {
		a := newAccount(len(p.Accounts), botPeople)
		a.bot = true
		for i := range a.people {
			a.people[i].number = o.People + b*botPeople + i
		}
		p.Accounts = append(p.Accounts, a)
		for range botTries {
			s := p.Sessions[d.IntN(len(p.Sessions))]
			w := wish{
				account: a.number, person: d.IntN(botPeople), session: s.number, slot: -1, at: s.opens + d.upTo(o.Duration/20), process: d.IntN(1 << 16),
				delay: time.Millisecond, then: pay,
			}
			if s.yuan == 0 {
				w.then = keep
			}
			p.Wishes = append(p.Wishes, w)
		}
	}
}

// breakThings plans one fault a wave, in the middle of its sale, and the broker's between
// the waves.
func (p *plan) breakThings(d draw, o Options) {
	serve := func(granted int) failure {
		return failure{
			kind: killServe, granted: int64(granted), process: d.IntN(o.Processes),
			rest: 100*time.Millisecond + d.upTo(600*time.Millisecond), clock: d.upTo(2*maxSkew) - maxSkew,
		}
	}
	first, middle, last := serve(10+d.IntN(70)), serve(130+d.IntN(70)), serve(230+d.IntN(50))
	broker := failure{kind: []faultKind{killBroker, loseBroker}[d.IntN(2)], granted: int64(90 + d.IntN(20)), rest: d.upTo(time.Second)}
	if o.Processes == 1 && o.DB == "" { // the broker lives in the process
		middle.kind = loseBroker
		p.Faults = []failure{first, middle, last}
		return
	}
	if o.DB == "" { // the database is ours to restart
		middle.kind, middle.rest = restartDatabase, 0
	}
	p.Faults = []failure{first, broker, middle, last}
	if broker.kind == loseBroker {
		// A process that starts is refused while others still know the lost broker: last,
		// before all of them end.
		broker.granted = 290
		p.Faults = []failure{first, middle, last, broker}
	}
}

// losesBroker reports that the processes outlive a broker with its folder.
func (p *plan) losesBroker(sqlite bool) bool {
	return !sqlite && slices.ContainsFunc(p.Faults, func(f failure) bool { return f.kind == loseBroker })
}

// rota is the hospital's file with these sessions on one day.
func (p *plan) rota(day clock.Date) string {
	out := "院区,科室,医生,执业证号,职称,星期/日期,时段,号别,号源数,每号分钟,挂号费,开始时间,地点,起始日期,结束日期,类型,节假日,补班日,备注\n"
	numerals := []rune("零一二三四五六七八九")
	for _, s := range p.Sessions {
		out += fmt.Sprintf("本部院区,模拟%s科,模拟%s,1103100%08d,副主任医师,%s,上午,普通,%d,30,%d,08:00,1诊室,,,加诊,,,\n",
			string(numerals[1+s.department]), string(numerals[1+s.number]), 1+s.number, day, s.seats, s.yuan)
	}
	return out
}

// seats are how many there are to be had.
func (p *plan) seats() (n int) {
	for _, s := range p.Sessions {
		n += s.seats
	}
	return n
}
