package booking

import (
	"bytes"
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"xinglin/internal/platform/db"
)

func TestSpread(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		in   []float64
		want Spread
	}{
		{nil, Spread{}},
		{[]float64{7}, Spread{7, 7, 7, 7, 7, 1}},
		{[]float64{4, 1, 3, 2}, Spread{2.5, 1.75, 3.25, 1, 4, 4}},
		{[]float64{5, 1, 4, 2, 3}, Spread{3, 2, 4, 1, 5, 5}},
	} {
		if d := cmp.Diff(tc.want, spread(tc.in)); d != "" {
			t.Errorf("%v: %s", tc.in, d)
		}
	}
}

func TestNearestIsAMeasuredValue(t *testing.T) {
	t.Parallel()
	hundred := make([]float64, 100)
	for i := range hundred {
		hundred[i] = float64(i + 1)
	}
	for _, tc := range []struct {
		in   []float64
		q    float64
		want float64
	}{
		{nil, 0.99, 0}, {[]float64{3}, 0.99, 3}, {hundred, 0.99, 99}, {hundred, 0.5, 50}, {hundred, 1, 100}, {hundred, 0, 1}, {hundred[:10], 0.99, 10},
	} {
		if got := nearest(tc.in, tc.q); got != tc.want {
			t.Errorf("%d values, %v: %v, want %v", len(tc.in), tc.q, got, tc.want)
		}
	}
}

func TestRatiosArePerRound(t *testing.T) {
	t.Parallel()
	// The machine became twice as fast from round to round: whole-run means would differ, rounds do not.
	got := afterFirst(perRound([]float64{9, 10, 20, 40}, []float64{1, 20, 40, 80}))
	if d := cmp.Diff([]float64{0.5, 0.5, 0.5}, got); d != "" {
		t.Error(d)
	}
	if got := perRound([]float64{1, 2}, []float64{0, 4, 5}); len(got) != 1 || got[0] != 0.5 {
		t.Errorf("a round without a measurement counts: %v", got)
	}
	if got := afterFirst([]float64{3}); len(got) != 1 {
		t.Errorf("the only round was dropped: %v", got)
	}
}

func TestCalm(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		load  float64
		syncs []float64
		want  bool
	}{
		{0.5, []float64{7000, 8000, 10500}, true},
		{0.51, []float64{7000, 7000, 7000}, false},
		{0.1, []float64{7000, 8000, 10501}, false},
		{0.1, []float64{7000, 7000}, false},
		{0.1, nil, false},
		{0.1, []float64{0, 7000, 7000}, false},
	} {
		if got := calm(tc.load, tc.syncs); got != tc.want {
			t.Errorf("load %v, %v: %v", tc.load, tc.syncs, got)
		}
	}
}

func TestParseStat(t *testing.T) {
	t.Parallel()
	const line = "4242 (a b) c) S 17 4242 4242 0 -1 4194560 1 2 3 4 150 50 7 3 20 0 9 0 100 1 2"
	parent, own, ended := parseStat(line)
	if parent != 17 || own.Milliseconds() != 2000 || ended.Milliseconds() != 100 {
		t.Errorf("parent %d, own %v, ended %v", parent, own, ended)
	}
	for _, bad := range []string{"", "1 (x", "1 (x) S 1 2"} {
		if p, o, e := parseStat(bad); p != 0 || o != 0 || e != 0 {
			t.Errorf("%q: %d %v %v", bad, p, o, e)
		}
	}
}

func TestVerdicts(t *testing.T) {
	t.Parallel()
	floor, ceiling := &Goal{Gate: 6, Aim: 8}, &Goal{Gate: 1.5, Aim: 1, AtMost: true}
	for _, tc := range []struct {
		name         string
		quiet, short bool
		goal         *Goal
		value        []float64
		verdict      string
		aim          bool
	}{
		{"the aim", true, false, floor, []float64{1, 8, 9}, pass, true},
		{"the gate by the median", true, false, floor, []float64{1, 6, 99}, pass, false},
		{"below the gate", true, false, floor, []float64{5.9, 5.9, 99}, miss, false},
		{"noisy", false, false, floor, []float64{1}, none, false},
		{"short", true, true, floor, []float64{9}, none, false},
		{"without a goal", true, false, nil, []float64{9}, none, false},
		{"not measured", true, false, floor, nil, none, false},
		{"a ceiling held", true, false, ceiling, []float64{1.5}, pass, false},
		{"a ceiling broken", true, false, ceiling, []float64{1.6}, miss, false},
		{"a ceiling's aim", true, false, ceiling, []float64{0.9}, pass, true},
	} {
		r := &Report{Quiet: Quiet{Quiet: tc.quiet}, Short: tc.short}
		r.ratio(Ratio{Name: tc.name, Value: spread(tc.value), Goal: tc.goal})
		if got := r.Ratios[0]; got.Verdict != tc.verdict || got.Aim != tc.aim {
			t.Errorf("%s: %s, aim %v", tc.name, got.Verdict, got.Aim)
		}
		if failed := r.Failed() != ""; failed != (tc.verdict == miss) {
			t.Errorf("%s: failed %v", tc.name, failed)
		}
	}
}

func TestADeviationFailsWhateverTheSpeed(t *testing.T) {
	t.Parallel()
	r := &Report{Quiet: Quiet{Quiet: false}, Faults: []string{"sold twice"}}
	if !strings.Contains(r.Failed(), "1 deviations") {
		t.Errorf("Failed says %q", r.Failed())
	}
	var text bytes.Buffer
	if err := r.Text(&text); err != nil || !strings.Contains(text.String(), "DEVIATION sold twice") {
		t.Errorf("%v\n%s", err, &text)
	}
}

func TestReportIsJSONAndText(t *testing.T) {
	t.Parallel()
	r := &Report{Command: "bench", Quiet: Quiet{Quiet: true, Syncs: []float64{1}}, LeftOut: []string{"no redis"}}
	r.Figures = append(r.Figures, Figure{Part: partCore, Load: "warm", Variant: "product/pg", Rate: spread([]float64{100, 200})})
	r.ratio(Ratio{Part: partCore, Load: "warm", Name: "x", Value: spread([]float64{0.5}), Goal: &Goal{Gate: 0.45, Aim: 0.6}})
	r.Overloads = append(r.Overloads, Overload{Variant: "product/pg", Where: "http", Times: 3})
	var text, raw bytes.Buffer
	if err := r.Text(&text); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"quiet: ", "! no redis", "150 [125-175] (100-200)", ">= 0.45", pass} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("the text lacks %q:\n%s", want, &text)
		}
	}
	if err := r.JSON(&raw); err != nil {
		t.Fatal(err)
	}
	var back Report
	if err := json.Unmarshal(raw.Bytes(), &back); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(*r, back); d != "" {
		t.Error(d)
	}
}

func TestVariants(t *testing.T) {
	t.Parallel()
	both := []db.Engine{db.Postgres, db.SQLite}
	if got := variants([]string{product, echo, redisRows, rowLock}, both, true); len(got) != 6 {
		t.Errorf("%v", got)
	}
	for _, v := range variants(Ways, both, false) {
		if v.Peer == redisRows || v.Peer == redisCombined {
			t.Errorf("%s without a Redis", v.name())
		}
	}
	if got := variants(Ways, []db.Engine{db.SQLite}, true); len(got) != 3 {
		t.Errorf("peers of PostgreSQL on SQLite: %v", got)
	}
}

func TestQuantileIsBetween(t *testing.T) {
	t.Parallel()
	if got := quantile([]float64{10, 20}, 0.5); math.Abs(got-15) > 1e-9 {
		t.Errorf("%v", got)
	}
}
