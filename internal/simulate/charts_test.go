package simulate

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"xinglin/internal/simulate/chart"
)

const ms = int64(time.Millisecond)

// A request is of one kind, and only what its client meant is no failure.
func TestAnswerKinds(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		try  Try
		want string
	}{
		{Try{Status: 201}, "seat"},
		{Try{Status: 201, Hit: true}, "repeat, same seat"},
		{Try{Status: 409, Code: "scheduling.session_full"}, "no seat left"},
		{Try{Status: 409, Code: "scheduling.slot_taken"}, "no seat left"},
		{Try{Status: 409, Code: "scheduling.limit_reached"}, "refused by a rule"},
		{Try{Status: 422, Code: "scheduling.key_reused"}, "refused by a rule"},
		{Try{Status: 429, Code: "http.account_rate"}, "over the account's budget"},
		{Try{Status: 503}, "no answer or a failure"},
		{Try{Status: 500}, "no answer or a failure"},
		{Try{Return: never, Left: true}, "client hung up"},
		{Try{Return: never}, "no answer or a failure"},
	} {
		if got := answerKinds[tc.try.kind()].name.EN; got != tc.want {
			t.Errorf("%+v is %q, want %q", tc.try, got, tc.want)
		}
	}
}

// played is a run of one session that opens at once, with these requests.
func played(tries []Try, cancels ...Cancel) *run {
	r := &run{
		o: Options{Seed: 8, Processes: 1, People: 20, Duration: 2 * time.Second}, site: &site{}, record: newRecord(),
		plan: &plan{Sessions: []session{{number: 0, seats: 3}, {number: 1, seats: 2}, {number: 2, seats: 5, opens: time.Second}}},
	}
	r.record.tries, r.record.cancels = tries, cancels
	return r
}

func values(c chart.Chart, name string) []float64 {
	for _, s := range c.Series {
		if strings.HasPrefix(s.Name.EN, name) {
			return s.Values
		}
	}
	return nil
}

func TestChartsOfARecord(t *testing.T) {
	t.Parallel()
	seat := func(id string, session int, call, ret int64) Try {
		return Try{Call: call * ms, Return: ret * ms, Status: 201, Session: session, Seen: visit{ID: id}}
	}
	hit := seat("a", 0, 300, 310)
	hit.Hit = true
	r := played([]Try{
		seat("a", 0, 0, 100), seat("b", 1, 50, 250), hit, seat("c", 2, 1000, 1900), seat("d", 0, 2400, 2600),
		{Call: 90 * ms, Return: never, Left: true},
		{Call: 9 * int64(time.Second), Return: never, Bot: true},
		{Call: 10 * int64(time.Second), Return: 11 * int64(time.Second), Status: 409, Code: "scheduling.session_full"},
	}, Cancel{Appointment: "a", Return: 500 * ms, Status: 200}, Cancel{Appointment: "a", Return: 700 * ms, Status: 200}, Cancel{Appointment: "b", Return: 900 * ms, Status: 412})
	d := r.drawn(r.record.tries)
	if d.span != 3*time.Second || len(d.tries) != 6 || !strings.Contains(strings.Join(d.notes, "\n"), "6 requests of the first 3 s; 2 later ones (1 of bots) are not shown") {
		t.Fatalf("%v, %d requests, %v", d.span, len(d.tries), d.notes)
	}
	requests := d.requests()
	for name, want := range map[string][]float64{
		"seat: 4":              {5, 5, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 5, 0},
		"repeat, same seat: 1": {0, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},
		"client hung up: 1":    {5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},
		"no answer":            {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},
	} {
		if diff := cmp.Diff(want, values(requests, name)); diff != "" {
			t.Errorf("%s: -want +got\n%s", name, diff)
		}
	}
	seats := r.seatsChart(d)
	for name, want := range map[string][]float64{
		"release 1, of 5": {1, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2}, // two sessions; one seat came back, once
		"release 2, of 5": {0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1},
	} {
		if diff := cmp.Diff(want, values(seats, name)); diff != "" {
			t.Errorf("%s: -want +got\n%s", name, diff)
		}
	}
	if diff := cmp.Diff([]float64{2, 1, 0, 0, 0, 1, 1, 1, 1, 1, 0, 0, 1, 1, 0}, values(d.inside(), "requests")); diff != "" {
		t.Errorf("inside: -want +got\n%s", diff)
	}
}

// Percentiles leave out who measures himself, and steps with too few requests.
func TestLatencyChart(t *testing.T) {
	t.Parallel()
	var tries []Try
	for i := range int64(100) {
		tries = append(tries, Try{Call: i * ms, Return: (2*i + 1) * ms, Status: 201}) // 1 to 100 ms
	}
	for range 50 {
		tries = append(tries, Try{Call: 100 * ms, Return: 101 * ms, Status: 429}, Try{Call: 100 * ms, Return: 5000 * ms, Status: 201, Slow: true})
	}
	tries = append(tries, Try{Call: 600 * ms, Return: 700 * ms, Status: 201})
	c := played(tries).drawn(tries).latency()
	for name, want := range map[string]float64{"p50": 50, "p90": 90, "p99": 99} {
		got := values(c, name)
		if len(got) != 6 || got[0] != want || got[1] == got[1] { // a NaN is not itself
			t.Errorf("%s: %v, want %v and nothing", name, got, want)
		}
	}
}

func TestChartFiles(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "new")
	r := played([]Try{{Call: 1, Return: 2, Status: 201, Seen: visit{ID: "a"}}})
	if err := r.charts(dir); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"requests", "seats", "latency", "inside"} {
		b, err := os.ReadFile(filepath.Join(dir, "eight-"+name+".svg"))
		if err != nil || !strings.Contains(string(b), "xinglin simulate rush --seed 8 --people 20 --duration 2s") {
			t.Errorf("%s: %v %.80s", name, err, b)
		}
	}
}
