package simulate

import (
	"fmt"
	"io"
	"maps"
	"slices"
)

// Report is what became of a rush.
type Report struct {
	Seed      uint64 `json:"seed"`
	Engine    string `json:"engine"`
	Processes int    `json:"processes"`
	Kill      bool   `json:"kill"`
	Accounts  int    `json:"accounts"`
	People    int    `json:"people"` // besides the bots
	Bots      int    `json:"bots"`   // accounts
	Wishes    int    `json:"wishes"`
	Seats     int    `json:"seats"`

	Requests     int            `json:"requests"`      // for seats
	Unanswered   int            `json:"unanswered"`    // of them
	Appointments int            `json:"appointments"`  // made
	Booked       int            `json:"booked"`        // at the end
	Cancelled    int            `json:"cancelled"`     // by people
	Expired      int            `json:"expired"`       // unpaid, at the end
	Paid         int            `json:"paid"`          // at the channel
	Refunded     int            `json:"refunded"`      // in full
	LatePaid     int            `json:"late_paid"`     // when the hold was over
	Repeats      int            `json:"repeats"`       // answered with a known seat
	AfterSellOut int            `json:"after_sellout"` // of them, keys repeated after the sell-out
	Answers      map[string]int `json:"answers"`       // by status and code
	Faults       []string       `json:"faults"`

	SeatsPerPerson  float64 `json:"seats_per_person"`   // of honest people
	SeatsPerBotHead float64 `json:"seats_per_bot_head"` // of a person that a bot asks for
	BotAdvantage    float64 `json:"bot_advantage"`      // a bot's account over an honest one
	HeadAdvantage   float64 `json:"head_advantage"`     // the same per person

	Any         int `json:"any"`          // seats for requests that named a session
	NotEarliest int `json:"not_earliest"` // of them, of a later slot than the earliest that was free all the time

	HistoryTime string  `json:"history_time"`
	Checks      []check `json:"checks"`
}

// check is one rule and what broke it.
type check struct {
	Name       string   `json:"name"`
	Seen       int      `json:"seen"`
	Operations int      `json:"operations,omitempty"`
	Count      int      `json:"count"`
	Violations []string `json:"violations,omitempty"` // the first ones
}

const maxShown = 20

func (c *check) say(format string, a ...any) {
	c.Count++
	if len(c.Violations) < maxShown {
		c.Violations = append(c.Violations, fmt.Sprintf(format, a...))
	}
}

// Clean reports that no rule was broken.
func (r *Report) Clean() bool {
	return !slices.ContainsFunc(r.Checks, func(c check) bool { return c.Count > 0 })
}

// report counts.
func (j *judgement) report() *Report {
	r := &Report{
		Seed: j.r.o.Seed, Engine: "postgres", Processes: j.r.o.Processes, Kill: j.r.o.Kill, Accounts: len(j.r.plan.Accounts), People: j.r.o.People,
		Wishes: len(j.r.plan.Wishes), Seats: j.r.plan.seats(), Requests: len(j.tries), Appointments: len(j.last.visits), Paid: len(j.r.record.paid),
		LatePaid: len(j.r.owing), AfterSellOut: len(j.r.keys), Answers: map[string]int{},
	}
	if j.r.site.sqlite() {
		r.Engine = "sqlite"
	}
	for _, f := range j.r.plan.Faults {
		r.Faults = append(r.Faults, f.kind.String())
	}
	for _, t := range j.tries {
		r.Answers[fmt.Sprintf("%d %s", t.Status, t.Code)]++
		if t.Status == 0 {
			r.Unanswered++
		}
		if t.Hit {
			r.Repeats++
		}
	}
	j.visits(r)
	return r
}

func (j *judgement) visits(r *Report) {
	seats := [2]int{}
	bots := map[string]bool{} // persons
	heads := 0
	for _, a := range j.r.plan.Accounts {
		if a.bot {
			r.Bots++
			heads += len(a.people)
			for _, p := range a.people {
				bots[p.id] = true
			}
		}
	}
	for _, v := range j.last.visits {
		switch {
		case v.state == "booked":
			r.Booked++
		case v.reason == "patient":
			r.Cancelled++
		case v.reason == "expired":
			r.Expired++
		}
		if bots[v.patient] {
			seats[1]++
		} else {
			seats[0]++
		}
	}
	for _, p := range j.last.payments {
		if p.state == "refunded" {
			r.Refunded++
		}
	}
	honest := r.Accounts - r.Bots
	r.SeatsPerPerson, r.SeatsPerBotHead = float64(seats[0])/float64(r.People), float64(seats[1])/float64(heads)
	if seats[0] > 0 {
		r.BotAdvantage = (float64(seats[1]) / float64(r.Bots)) / (float64(seats[0]) / float64(honest))
		r.HeadAdvantage = r.SeatsPerBotHead / r.SeatsPerPerson
	}
}

// Print writes the report for people.
func (r *Report) Print(w io.Writer) {
	fmt.Fprintf(w, "\nrush of seed %d on %s, %d processes, kill %t: %d people in %d accounts and %d bots, %d wishes for %d seats\n",
		r.Seed, r.Engine, r.Processes, r.Kill, r.People, r.Accounts-r.Bots, r.Bots, r.Wishes, r.Seats)
	for _, f := range r.Faults {
		fmt.Fprintf(w, "  fault    %s\n", f)
	}
	fmt.Fprintf(w, "  requests %d for seats, %d without an answer, %d repeats answered with the known seat, %d keys repeated after the sell-out\n",
		r.Requests, r.Unanswered, r.Repeats, r.AfterSellOut)
	for _, a := range slices.Sorted(maps.Keys(r.Answers)) {
		fmt.Fprintf(w, "  answer   %6d  %s\n", r.Answers[a], a)
	}
	fmt.Fprintf(w, "  visits   %d made, %d booked at the end, %d given back, %d expired; %d payments, %d of late payers, %d went back in full\n",
		r.Appointments, r.Booked, r.Cancelled, r.Expired, r.Paid, r.LatePaid, r.Refunded)
	fmt.Fprintf(w, "  fairness %.3f seats a person, %.3f a person of a bot with 100 requests: advantage %.2f a person, %.2f an account\n",
		r.SeatsPerPerson, r.SeatsPerBotHead, r.HeadAdvantage, r.BotAdvantage)
	fmt.Fprintf(w, "  any      %d seats, %d of a later slot than the earliest free one\n", r.Any, r.NotEarliest)
	for _, c := range r.Checks {
		word := "ok      "
		if c.Count > 0 {
			word = "VIOLATED"
		}
		more := ""
		if c.Operations > 0 {
			more = fmt.Sprintf(", %d operations in %s together", c.Operations, r.HistoryTime)
		}
		fmt.Fprintf(w, "%s %s (%d%s)\n", word, c.Name, c.Seen, more)
		for _, v := range c.Violations {
			fmt.Fprintf(w, "  %s\n", v)
		}
		if n := c.Count - len(c.Violations); n > 0 {
			fmt.Fprintf(w, "  and %d more\n", n)
		}
	}
	if !r.Clean() {
		fmt.Fprintf(w, "the rush of seed %d broke a rule\n", r.Seed)
	}
}
