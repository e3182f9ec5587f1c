package simulate

import (
	"reflect"
	"testing"
	"time"
)

func options(seed uint64) Options {
	return Options{Seed: seed, Processes: 3, Kill: true, People: 500, Duration: 10 * time.Second, Out: "x"}
}

// The same seed is the same plan, another one is another.
func TestPlanOfASeed(t *testing.T) {
	a, b, c := newPlan(options(7)), newPlan(options(7)), newPlan(options(8))
	if !reflect.DeepEqual(a, b) {
		t.Error("one seed, two plans")
	}
	if reflect.DeepEqual(a.Wishes, c.Wishes) || reflect.DeepEqual(a.Faults, c.Faults) {
		t.Error("two seeds, one plan")
	}
}

// A plan has all that a rush is about.
func TestPlanHasEverything(t *testing.T) {
	p := newPlan(options(1))
	habits, afters, bots, people, shared := map[habit]int{}, map[after]int{}, 0, 0, 0
	for _, w := range p.Wishes {
		habits[w.habit]++
		afters[w.then]++
	}
	for _, a := range p.Accounts {
		switch {
		case a.bot:
			bots++
		default:
			people += len(a.people)
		}
		if a.shares >= 0 {
			shared++
		}
	}
	if len(habits) != int(yesterday)+1 || len(afters) != int(forget)+1 {
		t.Errorf("habits %v, afterwards %v", habits, afters)
	}
	if bots < 2 || people != 500 || shared == 0 {
		t.Errorf("%d bots, %d people, %d accounts with somebody else's child", bots, people, shared)
	}
	kinds := map[faultKind]bool{}
	for seed := range uint64(20) {
		for _, f := range newPlan(options(seed)).Faults {
			kinds[f.kind] = true
		}
	}
	if len(kinds) != int(restartDatabase)+1 {
		t.Errorf("only %v break", kinds)
	}
	one := options(1)
	one.Processes = 1
	for _, f := range newPlan(one).Faults {
		if f.kind == restartDatabase || f.process != 0 {
			t.Errorf("%s of process %d with one SQLite process", f.kind, f.process)
		}
	}
}

func TestOptions(t *testing.T) {
	for name, change := range map[string]func(*Options){
		"no process":     func(o *Options) { o.Processes = 0 },
		"many processes": func(o *Options) { o.Processes = 9 },
		"nobody":         func(o *Options) { o.People = 0 },
		"a city":         func(o *Options) { o.People = 1_000_000 },
		"no time":        func(o *Options) { o.Duration = 0 },
		"a hold's time":  func(o *Options) { o.Duration = time.Minute },
		"no folder":      func(o *Options) { o.Out = "" },
	} {
		o := options(1)
		if change(&o); o.check() == nil {
			t.Errorf("%s is allowed", name)
		}
	}
	if err := options(1).check(); err != nil {
		t.Error(err)
	}
}
