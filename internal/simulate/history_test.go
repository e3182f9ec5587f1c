package simulate

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/anishathalye/porcupine"
)

func takes(number int, call, ret int64) *op {
	return &op{kind: opTake, number: number, visit: "v", by: "hold", call: call, ret: ret}
}

func gives(number int, call, ret int64) *op {
	return &op{kind: opRelease, number: number, visit: "v", by: "cancel", call: call, ret: ret}
}
func full(call, ret int64) *op { return &op{kind: opFull, call: call, ret: ret} }

// A slot of two seats with the numbers 3 and 4.
func TestSlotHistories(t *testing.T) {
	for name, tc := range map[string]struct {
		ops  []*op
		want porcupine.CheckResult
	}{
		"nothing":                               {nil, porcupine.Ok},
		"two seats":                             {[]*op{takes(3, 0, 5), takes(4, 0, 5)}, porcupine.Ok},
		"three owners":                          {[]*op{takes(3, 0, 5), takes(4, 0, 5), takes(0, 6, 7)}, porcupine.Illegal},
		"one number twice":                      {[]*op{takes(3, 0, 5), takes(3, 6, 7)}, porcupine.Illegal},
		"given back and sold again":             {[]*op{takes(3, 0, 5), takes(4, 0, 5), gives(3, 6, 8), takes(3, 7, 9)}, porcupine.Ok},
		"sold again too early":                  {[]*op{takes(3, 0, 5), takes(4, 0, 5), takes(3, 6, 7), gives(3, 8, 9)}, porcupine.Illegal},
		"told full while full":                  {[]*op{takes(3, 0, 5), takes(0, 0, 5), full(6, 7)}, porcupine.Ok},
		"told full while the last is sold":      {[]*op{takes(3, 0, 5), takes(4, 6, 10), full(6, 7)}, porcupine.Ok},
		"told full with a free seat":            {[]*op{takes(3, 0, 5), full(6, 7), takes(4, 8, 9)}, porcupine.Illegal},
		"told full after a release":             {[]*op{takes(3, 0, 5), takes(4, 0, 5), gives(4, 6, 7), full(8, 9)}, porcupine.Illegal},
		"told full before a release":            {[]*op{takes(3, 0, 5), takes(4, 0, 5), gives(4, 6, 9), full(8, 9)}, porcupine.Ok},
		"an unknown outcome that was in time":   {[]*op{takes(3, 0, 5), takes(0, 1, never), full(6, 7)}, porcupine.Ok},
		"an unknown outcome that came later":    {[]*op{takes(3, 0, 5), takes(4, 1, never), takes(0, 6, 7), gives(0, 8, 9)}, porcupine.Ok},
		"gave back what it never had":           {[]*op{gives(3, 0, 5)}, porcupine.Illegal},
		"an unknown number makes the slot full": {[]*op{takes(0, 0, 1), takes(0, 2, 3), takes(3, 4, 5)}, porcupine.Illegal},
	} {
		got, err := checkHistory(seatModel(2), essential(tc.ops), filepath.Join(t.TempDir(), "h"))
		if got != tc.want || err != nil {
			t.Errorf("%s: %s, %v", name, got, err)
		}
		o := object{seats: 2, slot: 0, ops: tc.ops}
		if tc.want == porcupine.Ok && o.explain() != "" {
			t.Errorf("%s is legal and explained%s", name, o.explain())
		}
	}
}

func TestSessionHistories(t *testing.T) {
	for name, tc := range map[string]struct {
		ops  []*op
		want porcupine.CheckResult
	}{
		"sold out":                    {[]*op{takes(0, 0, 5), takes(0, 0, 6), takes(0, 3, 9), full(9, 10)}, porcupine.Ok},
		"oversold":                    {[]*op{takes(0, 0, 5), takes(0, 0, 6), takes(0, 3, 9), takes(0, 10, 11)}, porcupine.Illegal},
		"full with a free seat":       {[]*op{takes(0, 0, 5), takes(0, 0, 6), full(9, 10), takes(0, 12, 13)}, porcupine.Illegal},
		"full after a seat came back": {[]*op{takes(0, 0, 5), takes(0, 0, 6), takes(0, 3, 9), gives(0, 10, 11), full(12, 13)}, porcupine.Illegal},
		"full before it came back":    {[]*op{takes(0, 0, 5), takes(0, 0, 6), takes(0, 3, 9), gives(0, 10, 13), full(12, 13)}, porcupine.Ok},
	} {
		got, err := checkHistory(countModel(3), interchange(essential(tc.ops)), filepath.Join(t.TempDir(), "h"))
		if got != tc.want || err != nil {
			t.Errorf("%s: %s, %v", name, got, err)
		}
	}
}

func TestPersonHistories(t *testing.T) {
	limit := func(call, ret int64) *op { return &op{kind: opLimit, call: call, ret: ret} }
	for name, tc := range map[string]struct {
		ops  []*op
		want porcupine.CheckResult
	}{
		"one":                       {[]*op{takes(1, 0, 5)}, porcupine.Ok},
		"two at once":               {[]*op{takes(1, 0, 5), takes(2, 3, 7)}, porcupine.Illegal},
		"again after giving back":   {[]*op{takes(1, 0, 5), gives(1, 6, 8), takes(2, 7, 9)}, porcupine.Ok},
		"refused with a visit":      {[]*op{takes(1, 0, 5), limit(4, 9)}, porcupine.Ok},
		"refused without a visit":   {[]*op{limit(0, 3), takes(1, 4, 5)}, porcupine.Illegal},
		"refused after giving back": {[]*op{takes(1, 0, 5), gives(1, 6, 8), limit(9, 10)}, porcupine.Illegal},
	} {
		got, err := checkHistory(personModel(), essential(tc.ops), filepath.Join(t.TempDir(), "h"))
		if got != tc.want || err != nil {
			t.Errorf("%s: %s, %v", name, got, err)
		}
	}
}

// A history of a hundred seats, a thousand refusals and many seats that come back, made
// by a true sequential session and blurred, is judged in time.
func TestLargeHistory(t *testing.T) {
	d := rand.New(rand.NewPCG(1, 2))
	for round := range 20 {
		var sums []*op
		free, at := []int{}, int64(0)
		for n := range 100 {
			free = append(free, n+1)
		}
		var have []int
		for range 3000 {
			at += 10
			call, ret := at-d.Int64N(400), at+d.Int64N(400)
			switch {
			case len(free) == 0 && d.IntN(20) > 0:
				sums = append(sums, full(call, ret))
			case len(free) == 0, len(have) > 90 && d.IntN(10) == 0:
				i := d.IntN(len(have))
				free = append(free, have[i])
				have = append(have[:i], have[i+1:]...)
				sums = append(sums, gives(0, max(call, at-5), ret))
			default:
				have = append(have, free[0])
				free = free[1:]
				sums = append(sums, takes(0, call, min(ret, at+4)))
			}
		}
		if got, err := checkHistory(countModel(100), interchange(essential(sums)), filepath.Join(t.TempDir(), "h")); got != porcupine.Ok || err != nil {
			t.Errorf("round %d, session: %s, %v", round, got, err)
		}
	}
}

// What is not linearizable is written down, line by line and as a picture.
func TestHistoryIsWritten(t *testing.T) {
	file := filepath.Join(t.TempDir(), "deep", "history.jsonl")
	got, err := checkHistory(seatModel(1), []*op{takes(1, 0, 1), takes(1, 2, 3)}, file)
	if got != porcupine.Illegal || err != nil {
		t.Fatal(got, err)
	}
	b, err := os.ReadFile(file)
	if err != nil || strings.Count(string(b), "\n") != 2 || !strings.Contains(string(b), "takes a seat") {
		t.Errorf("%v: %s", err, b)
	}
	if _, err := os.Stat(file + ".html"); err != nil {
		t.Error(err)
	}
}

func TestEarliest(t *testing.T) {
	r := &run{plan: &plan{Sessions: []session{{}}}}
	j := &judgement{r: r}
	any := func(call, ret int64) *op { o := takes(0, call, ret); o.any = true; return o }
	late := &object{name: "slot 1", seats: 1, slot: 1, ops: []*op{any(5, 6)}}
	session := &object{name: "session", seats: 2, slot: -1}
	free := &object{name: "slot 0", seats: 1, slot: 0}
	if n, all := j.earliest([]*object{session, free, late}); n != 1 || all != 1 {
		t.Errorf("an earlier free seat: %d of %d", n, all)
	}
	sold := &object{name: "slot 0", seats: 1, slot: 0, ops: []*op{takes(0, 0, 5)}}
	if n, all := j.earliest([]*object{session, sold, late}); n != 0 || all != 1 {
		t.Errorf("no earlier seat: %d of %d", n, all)
	}
}
