package simulate

import (
	"cmp"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"xinglin/internal/simulate/chart"
)

// The charts show the first wave as its clients saw it. The steps are wide enough that a
// percentile of a small run is one.
const (
	rateStep    = 200 * time.Millisecond
	latencyStep = 500 * time.Millisecond
	leastCalls  = 10 // of a step that gets percentiles
)

// answerKinds are what a request for a seat came to, in the order of the columns.
var answerKinds = []struct {
	name   chart.Words
	colour chart.Colour
	is     func(Try) bool
}{
	{chart.Words{ZH: "得号", EN: "seat"}, chart.Green, func(t Try) bool { return t.ok() && !t.Hit }},
	{chart.Words{ZH: "重复请求，原号", EN: "repeat, same seat"}, chart.Blue, func(t Try) bool { return t.ok() }},
	{chart.Words{ZH: "已约满", EN: "no seat left"}, chart.Grey, Try.full},
	{chart.Words{ZH: "账户请求过快", EN: "over the account's budget"}, chart.Orange, func(t Try) bool { return t.Status == 429 }},
	{chart.Words{ZH: "违反规则", EN: "refused by a rule"}, chart.Purple, Try.refused},
	{chart.Words{ZH: "客户端断开", EN: "client hung up"}, chart.Teal, func(t Try) bool { return t.Status == 0 && t.Left }},
	{chart.Words{ZH: "无答复或服务器错误", EN: "no answer or a failure"}, chart.Red, func(Try) bool { return true }},
}

// kind is the index of what a request came to.
func (t Try) kind() int {
	for i, k := range answerKinds {
		if k.is(t) {
			return i
		}
	}
	return len(answerKinds) - 1
}

// drawn is the part of a run that the charts show.
type drawn struct {
	tries []Try
	span  time.Duration
	marks []chart.Mark
	notes []string
}

// charts writes the pictures of a run: eight-requests.svg, eight-seats.svg,
// eight-latency.svg and eight-inside.svg in dir.
func (r *run) charts(dir string) error {
	d := r.drawn(r.record.tries)
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	for _, p := range []struct {
		name  string
		chart chart.Chart
	}{{"requests", d.requests()}, {"seats", r.seatsChart(d)}, {"latency", d.latency()}, {"inside", d.inside()}} {
		file := filepath.Join(dir, "eight-"+p.name+".svg")
		if err := os.WriteFile(file, p.chart.SVG(), 0o644); err != nil { //nolint:gosec // pictures for everybody
			return err
		}
	}
	return nil
}

// drawn takes the first wave and a little more, and says what it leaves out.
func (r *run) drawn(tries []Try) drawn {
	d := drawn{span: (r.o.Duration*5/4 + time.Second - 1).Truncate(time.Second)}
	later, bots := 0, 0
	for _, t := range tries {
		switch {
		case t.Call < int64(d.span):
			d.tries = append(d.tries, t)
		case t.Bot:
			later, bots = later+1, bots+1
		default:
			later++
		}
	}
	last := time.Duration(-1)
	for _, s := range r.plan.Sessions {
		if s.opens != last {
			d.marks = append(d.marks, chart.Mark{At: s.opens.Seconds(), Text: chart.Words{ZH: "放号", EN: "release"}})
			last = s.opens
		}
	}
	engine := "PostgreSQL"
	if r.site.sqlite() {
		engine = "SQLite"
	}
	command := fmt.Sprintf("xinglin simulate rush --seed %d --people %d --duration %s", r.o.Seed, r.o.People, r.o.Duration)
	if r.o.Processes > 1 {
		command += fmt.Sprintf(" --processes %d", r.o.Processes)
	}
	if r.o.Kill {
		command += " --kill"
	}
	d.notes = []string{
		fmt.Sprintf("%s · %s, %d × serve", command, engine, r.o.Processes),
		fmt.Sprintf("前 %s 秒内的 %d 次占号请求；其后的 %d 次（脚本 %d 次）未画出", seconds(d.span), len(d.tries), later, bots),
		fmt.Sprintf("%d requests of the first %s s; %d later ones (%d of bots) are not shown", len(d.tries), seconds(d.span), later, bots),
	}
	return d
}

var sinceRelease = chart.Words{ZH: "开门后的秒数", EN: "seconds since the doors opened"}

func (d drawn) chart(title, y chart.Words, step time.Duration) chart.Chart {
	return chart.Chart{Title: title, Y: y, X: sinceRelease, Step: step.Seconds(), Marks: d.marks, Notes: d.notes}
}

func seconds(d time.Duration) string { return strconv.FormatFloat(d.Seconds(), 'f', -1, 64) }

// steps is how many values the axis holds.
func (d drawn) steps(step time.Duration) int { return int(d.span / step) }

// ends is when a request was over: answered, or given up, of which only the beginning is known.
func (t Try) ends() int64 {
	if t.Return == never {
		return t.Call
	}
	return t.Return
}

// requests are the answers a second by what they said.
func (d drawn) requests() chart.Chart {
	c := d.chart(chart.Words{ZH: "每秒答复，按结果", EN: "Answers a second, by outcome"}, chart.Words{ZH: "每秒请求数", EN: "requests per second"}, rateStep)
	c.Stack = true
	n := d.steps(rateStep)
	counts := make([]int, len(answerKinds))
	rates := make([][]float64, len(answerKinds))
	for i := range rates {
		rates[i] = make([]float64, n)
	}
	late := 0
	for _, t := range d.tries {
		k, at := t.kind(), int(t.ends()/int64(rateStep))
		if at >= n {
			late++
			continue
		}
		counts[k]++
		rates[k][at] += 1 / rateStep.Seconds()
	}
	if late > 0 {
		c.Notes = append(slices.Clone(c.Notes), fmt.Sprintf("其中 %d 次在此之后才得到答复 · %d of them were answered later than that", late, late))
	}
	for i, k := range answerKinds {
		name := chart.Words{ZH: k.name.ZH, EN: fmt.Sprintf("%s: %d", k.name.EN, counts[i])}
		c.Series = append(c.Series, chart.Series{Name: name, Colour: k.colour, Values: rates[i]})
	}
	return c
}

// seatsChart is how many seats were taken, by the hour of their release, beside how many there are.
// A seat that was given back is free again.
func (r *run) seatsChart(d drawn) chart.Chart {
	c := d.chart(chart.Words{ZH: "已占号源（虚线：总数）", EN: "Seats taken, as people were told (dashed: all there are)"}, chart.Words{ZH: "个", EN: "seats"}, rateStep)
	n := d.steps(rateStep)
	group := map[int]int{} // of a session
	var opens []time.Duration
	var seats []int
	for _, s := range r.plan.Sessions {
		if len(opens) == 0 || s.opens != opens[len(opens)-1] {
			opens, seats = append(opens, s.opens), append(seats, 0)
		}
		group[s.number] = len(opens) - 1
		seats[len(seats)-1] += s.seats
	}
	moves := make([][]float64, len(opens))
	for i := range moves {
		moves[i] = make([]float64, n)
	}
	of := map[string]int{} // group of an appointment
	for _, t := range d.tries {
		if _, known := of[t.Seen.ID]; !t.ok() || known {
			continue
		}
		of[t.Seen.ID] = group[t.Session]
		if at := int(t.Return / int64(rateStep)); at < n {
			moves[group[t.Session]][at]++
		}
	}
	gone := map[string]bool{}
	for _, x := range r.record.cancels {
		g, known := of[x.Appointment]
		if at := int(x.Return / int64(rateStep)); known && x.Status == 200 && !gone[x.Appointment] && at < n {
			gone[x.Appointment] = true
			moves[g][at]--
		}
	}
	colours := []chart.Colour{chart.Green, chart.Blue, chart.Purple}
	for g := range opens {
		taken, all := make([]float64, n), make([]float64, n)
		sum := 0.0
		for i := range n {
			sum += moves[g][i]
			taken[i], all[i] = sum, float64(seats[g])
		}
		name := chart.Words{ZH: fmt.Sprintf("第 %d 批", g+1), EN: fmt.Sprintf("release %d, of %d", g+1, seats[g])}
		c.Series = append(c.Series, chart.Series{Name: name, Colour: colours[g%len(colours)], Values: taken})
		c.Series = append(c.Series, chart.Series{Colour: colours[g%len(colours)], Dashed: true, Values: all})
	}
	return c
}

// latency is how long answers took that came of work, by when they were asked for. Refusals of
// a budget cost nothing and would flatter; clients that send slowly measure themselves.
func (d drawn) latency() chart.Chart {
	c := d.chart(chart.Words{ZH: "占号答复时间", EN: "Time to the answer of a hold"}, chart.Words{ZH: "毫秒（对数）", EN: "ms, logarithmic"}, latencyStep)
	c.Log = true
	n := d.steps(latencyStep)
	times := make([][]float64, n)
	for _, t := range d.tries {
		if t.Return == never || t.Slow || t.Status == 429 {
			continue
		}
		if at := int(t.Call / int64(latencyStep)); at < n {
			times[at] = append(times[at], float64(t.Return-t.Call)/1e6)
		}
	}
	for _, p := range []struct {
		share  float64
		colour chart.Colour
	}{{0.5, chart.Green}, {0.9, chart.Blue}, {0.99, chart.Red}} {
		values := make([]float64, n)
		for i, ts := range times {
			slices.Sort(ts)
			values[i] = math.NaN()
			if len(ts) >= leastCalls {
				values[i] = ts[int(math.Ceil(p.share*float64(len(ts))))-1]
			}
		}
		c.Series = append(c.Series, chart.Series{Name: chart.Words{EN: fmt.Sprintf("p%.0f", 100*p.share)}, Colour: p.colour, Values: values})
	}
	c.Notes = append(slices.Clone(c.Notes),
		fmt.Sprintf("不含超限答复（429）和慢速发送者；少于 %d 次的半秒不画", leastCalls),
		fmt.Sprintf("without budget refusals (429) and clients that send slowly; half seconds of fewer than %d are left out", leastCalls))
	return c
}

// inside is how many requests are on the way at once, at most in each step.
func (d drawn) inside() chart.Chart {
	c := d.chart(chart.Words{ZH: "同时等待答复的请求", EN: "Requests that wait for their answer at once"}, chart.Words{ZH: "最多", EN: "at most"}, rateStep)
	type turn struct {
		at int64
		by int
	}
	var turns []turn
	for _, t := range d.tries {
		if t.Return != never {
			turns = append(turns, turn{t.Call, 1}, turn{t.Return, -1})
		}
	}
	slices.SortFunc(turns, func(a, b turn) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.by, b.by)) })
	values := make([]float64, d.steps(rateStep))
	now, k := 0, 0
	for i := range values {
		most := now
		for ; k < len(turns) && turns[k].at < int64(i+1)*int64(rateStep); k++ {
			now += turns[k].by
			most = max(most, now)
		}
		values[i] = float64(most)
	}
	c.Notes = append(slices.Clone(c.Notes), fmt.Sprintf("模拟器同时最多发出 %d 个请求 · the simulator sends at most %d at once", atOnce, atOnce))
	c.Series = []chart.Series{{Name: chart.Words{ZH: "请求", EN: "requests"}, Colour: chart.Blue, Values: values}}
	return c
}
