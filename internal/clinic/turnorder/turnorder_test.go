package turnorder

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"xinglin/internal/clinic"
	"xinglin/internal/kernel/clock"
)

// TestOrder is the rule by examples.
func TestOrder(t *testing.T) {
	regular := func(n int) Waiting[int] { return Waiting[int]{Key: n, Number: n} }
	special := func(n int, joined int64, passed int64) Waiting[int] {
		return Waiting[int]{Key: n, Number: n, Special: true, Joined: joined, Passed: passed}
	}
	for name, x := range map[string]struct {
		made Made
		all  []Waiting[int]
		want []int
	}{
		"nobody":                                     {Made{}, nil, []int{}},
		"by number":                                  {Made{}, []Waiting[int]{regular(5), regular(2), regular(9)}, []int{2, 5, 9}},
		"late after the next two":                    {Made{}, []Waiting[int]{regular(5), special(1, 0, 0), regular(6), regular(7)}, []int{5, 6, 1, 7}},
		"one call later":                             {Made{Calls: 1}, []Waiting[int]{special(1, 0, 0), regular(6), regular(7)}, []int{6, 1, 7}},
		"two calls later it is the turn":             {Made{Calls: 2}, []Waiting[int]{special(1, 0, 0), regular(7)}, []int{1, 7}},
		"alone at once":                              {Made{}, []Waiting[int]{special(1, 0, 0)}, []int{1}},
		"two between two special ones":               {Made{}, []Waiting[int]{special(1, 0, 0), special(2, 0, 0), regular(5), regular(6), regular(7), regular(8), regular(9)}, []int{5, 6, 1, 7, 8, 2, 9}},
		"special ones in the order of coming":        {Made{Calls: 3}, []Waiting[int]{special(1, 3, 0), special(9, 2, 0)}, []int{9, 1}},
		"not again before whom it overtook":          {Made{Calls: 9, Special: 4}, []Waiting[int]{special(1, 5, 4), {Key: 6, Number: 6, Joined: 1}, {Key: 7, Number: 7, Joined: 6}}, []int{6, 1, 7}},
		"who came after that call was not overtaken": {Made{Calls: 9, Special: 4}, []Waiting[int]{special(1, 5, 4), {Key: 6, Number: 6, Joined: 4}}, []int{1, 6}},
	} {
		t.Run(name, func(t *testing.T) {
			got := []int{}
			for _, w := range Order(x.made, x.all) {
				got = append(got, w.Number)
			}
			if !slices.Equal(got, x.want) {
				t.Errorf("%v, want %v", got, x.want)
			}
		})
	}
}

// person is one who plays in TestLine.
type person struct {
	Waiting[int]
	overtaken map[int]int // by whom, how often, while waiting
	behind    int         // calls while waiting as a special one that nobody holds up whom it has overtaken
	allowed   int         // of them at most
}

// line plays a line with people who come in time, late, and back, at random, and checks
// at each call what is promised.
type line struct {
	t    *rapid.T
	made Made
	wait []*person
	in   *person
	gone []*person // missed
	next int
	used map[int]bool
}

func (l *line) join(p *person, special bool) {
	p.Special, p.Joined, p.Since = special, l.made.Calls, time.Unix(l.made.Calls, int64(l.next))
	p.overtaken, p.behind = map[int]int{}, 0
	l.next++
	if special { // two before, and two between for each special one before it
		ahead := 0
		for _, w := range l.wait {
			if w.Special {
				ahead++
			}
		}
		p.allowed = (Gap + 1) * (ahead + 1)
	}
	l.wait = append(l.wait, p)
}

func (l *line) call() {
	all := make([]Waiting[int], len(l.wait))
	for i, p := range l.wait {
		all[i] = p.Waiting
	}
	rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] }) // the order of rows says nothing
	w, ok := Next(l.made, all)
	if !ok {
		if len(all) > 0 {
			l.t.Fatalf("nobody is called of %v", all)
		}
		return
	}
	if first := Order(l.made, all)[0]; first.Key != w.Key {
		l.t.Fatalf("called %d, the order begins with %d", w.Key, first.Key)
	}
	i := slices.IndexFunc(l.wait, func(p *person) bool { return p.Key == w.Key })
	p := l.wait[i]
	l.wait = slices.Delete(l.wait, i, i+1)
	l.made = After(l.made, w)
	for _, x := range l.wait {
		if w.Special {
			if x.overtaken[w.Key]++; x.overtaken[w.Key] > 1 {
				l.t.Fatalf("%d was overtaken twice because of %d", x.Number, w.Number)
			}
		} else if !x.Special && w.Number > x.Number {
			l.t.Fatalf("%d is called before %d", w.Number, x.Number)
		}
		if x.Special && !blocked(x.Waiting, all) {
			if x.behind++; x.behind > x.allowed {
				l.t.Fatalf("the special %d waits for more than %d calls", x.Number, x.allowed)
			}
		}
	}
	if w.Special {
		p.Passed = l.made.Calls
	}
	l.in = p
}

// TestLine: nobody is overtaken twice because of the same person, nobody is passed by a
// higher number in time, no special one waits for more calls than it was promised,
// whoever comes in between; one that has overtaken somebody waits for them first.
func TestLine(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := &line{t: t, used: map[int]bool{}}
		fresh := func() *person {
			for {
				n := rapid.IntRange(1, 500).Draw(t, "number")
				if !l.used[n] {
					l.used[n] = true
					return &person{Waiting: Waiting[int]{Key: n, Number: n}}
				}
			}
		}
		for range rapid.IntRange(1, 120).Draw(t, "steps") {
			switch rapid.IntRange(0, 6).Draw(t, "step") {
			case 0, 1:
				l.join(fresh(), false)
			case 2:
				l.join(fresh(), true)
			case 3:
				if l.in != nil { // missed
					l.gone, l.in = append(l.gone, l.in), nil
				}
			case 4:
				if len(l.gone) > 0 {
					i := rapid.IntRange(0, len(l.gone)-1).Draw(t, "who")
					p := l.gone[i]
					l.gone = slices.Delete(l.gone, i, i+1)
					l.join(p, true)
				}
			default:
				l.call()
			}
		}
		for n := len(l.wait); n > 0; n-- { // everybody's turn comes
			l.call()
		}
		if len(l.wait) > 0 {
			t.Fatalf("%d starve", len(l.wait))
		}
	})
}

// TestState is the table of a line's states.
func TestState(t *testing.T) {
	day := clock.NewDate(2026, 3, 2)
	f := Facts{Date: day, StartsAt: day.At(9 * 60), EndsAt: day.At(12 * 60)}
	with := func(change func(*Facts)) Facts {
		g := f
		change(&g)
		return g
	}
	for name, x := range map[string]struct {
		facts Facts
		at    time.Time
		want  clinic.LineState
		call  bool
	}{
		"the day before":                {f, day.Add(-1).At(10 * 60), clinic.Planned, false},
		"long before":                   {f, day.At(7 * 60), clinic.Planned, false},
		"an hour before":                {f, day.At(8 * 60), clinic.Planned, true},
		"begun early":                   {with(func(g *Facts) { g.Calls = 1 }), day.At(8*60 + 30), clinic.Running, true},
		"at the start":                  {f, day.At(9 * 60), clinic.Running, true},
		"paused":                        {with(func(g *Facts) { g.PausedUntil = day.At(10 * 60) }), day.At(9*60 + 59), clinic.Paused, true},
		"the pause is over":             {with(func(g *Facts) { g.PausedUntil = day.At(10 * 60) }), day.At(10 * 60), clinic.Running, true},
		"at the end":                    {f, day.At(12 * 60), clinic.Ended, false},
		"past the end, somebody waits":  {with(func(g *Facts) { g.Waiting = 1 }), day.At(13 * 60), clinic.Running, true},
		"past the end, somebody inside": {with(func(g *Facts) { g.Called = 1 }), day.At(13 * 60), clinic.Running, true},
		"the day after, somebody waits": {with(func(g *Facts) { g.Waiting = 1 }), day.Add(1).At(0), clinic.Ended, false},
		"stopped":                       {with(func(g *Facts) { g.Stopped = true }), day.At(10 * 60), clinic.Stopped, false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := State(x.facts, x.at); got != x.want {
				t.Errorf("%s, want %s", got, x.want)
			}
			if got := MayCall(x.facts, x.at); got != x.call {
				t.Errorf("may call: %v", got)
			}
		})
	}
}

// TestPeriod: the window does not leave the day.
func TestPeriod(t *testing.T) {
	day := clock.NewDate(2026, 3, 2)
	for name, x := range map[string]struct {
		rules            clinic.Rules
		from, to         int
		wantFrom, wantTo time.Time
	}{
		"by the default":  {clinic.DefaultRules, 9 * 60, 10 * 60, day.At(8 * 60), day.At(10*60 + 30)},
		"at midnight":     {clinic.DefaultRules, 30, 60, day.At(0), day.At(90)},
		"late at night":   {clinic.DefaultRules, 23 * 60, 23*60 + 50, day.At(22 * 60), day.Add(1).At(0)},
		"by other rules":  {clinic.Rules{EarlyMinutes: 15}, 9 * 60, 10 * 60, day.At(9*60 - 15), day.At(10 * 60)},
		"the whole night": {clinic.Rules{EarlyMinutes: 720, LateMinutes: 720}, 9 * 60, 15 * 60, day.At(0), day.Add(1).At(0)},
	} {
		t.Run(name, func(t *testing.T) {
			from, until := Period(x.rules, day.At(x.from), day.At(x.to))
			if !from.Equal(x.wantFrom) || !until.Equal(x.wantTo) {
				t.Errorf("%s to %s", from, until)
			}
		})
	}
}

// TestWait: never negative, from is not above to, both grow with the people ahead.
func TestWait(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := Pace{Slot: time.Duration(rapid.Int64Range(-1, int64(time.Hour)).Draw(t, "slot"))}
		for range rapid.IntRange(0, 30).Draw(t, "visits") {
			p.Visits = append(p.Visits, time.Duration(rapid.Int64Range(-int64(time.Minute), int64(3*time.Hour)).Draw(t, "visit")))
		}
		a := Ahead{Busy: rapid.Bool().Draw(t, "busy"), Elapsed: time.Duration(rapid.Int64Range(-int64(time.Minute), int64(5*time.Hour)).Draw(t, "elapsed"))}
		var lastFrom, lastTo time.Duration
		for n := range 40 {
			a.People = n
			from, to := Wait(p, a)
			if from < 0 || to < from || from < lastFrom || to < lastTo {
				t.Fatalf("%d ahead: %s to %s after %s to %s", n, from, to, lastFrom, lastTo)
			}
			lastFrom, lastTo = from, to
		}
	})
	if from, to := Wait(Pace{Slot: 10 * time.Minute}, Ahead{People: 3}); from != 30*time.Minute || to < 35*time.Minute || to > 50*time.Minute {
		t.Errorf("by the plan: %s to %s", from, to)
	}
}

// TestWaitCalibrated (A13): of many mornings whose visits take as long as visits do
// (log-normal, about 7 minutes, some three times as long), 75 to 85 of 100 people are
// called before the end of their range, and most after its beginning.
func TestWaitCalibrated(t *testing.T) {
	r := rand.New(rand.NewPCG(26, 11))
	var within, after, all int
	for range 4000 {
		// Each doctor has a pace of the own.
		mu, sigma := math.Log(6*60)+0.35*r.NormFloat64(), 0.35+0.3*r.Float64()
		visit := func() time.Duration {
			return time.Duration(math.Exp(mu+sigma*r.NormFloat64()) * float64(time.Second))
		}
		var p Pace
		for range 4 + r.IntN(MaxPace-4) {
			p.Visits = append(p.Visits, visit())
		}
		inside, people := visit(), r.IntN(10)
		elapsed := time.Duration(r.Float64() * float64(inside)) // somebody looks at any moment
		wait := inside - elapsed
		for range people {
			wait += visit()
		}
		from, to := Wait(p, Ahead{People: people, Busy: true, Elapsed: elapsed})
		all++
		if wait <= to {
			within++
		}
		if wait >= from {
			after++
		}
	}
	in, out := 100*within/all, 100*after/all
	t.Logf("%d of 100 were called before the end of the range, %d after its beginning", in, out)
	if in < 75 || in > 85 {
		t.Errorf("%d of 100 were called before the end of the range, want 75 to 85", in)
	}
	if out < 50 {
		t.Errorf("%d of 100 were called after its beginning, want at least 50", out)
	}
}

func ExampleOrder() {
	all := []Waiting[string]{
		{Key: "A005", Number: 5},
		{Key: "A006", Number: 6},
		{Key: "A007", Number: 7},
		{Key: "A001 late", Number: 1, Special: true},
	}
	for _, w := range Order(Made{}, all) {
		fmt.Println(w.Key)
	}
	// Output:
	// A005
	// A006
	// A001 late
	// A007
}
