package booking

import (
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"
)

// Report is what a run found.
type Report struct {
	Command   string     `json:"command"`
	Version   string     `json:"version"`
	Machine   Machine    `json:"machine"`
	Quiet     Quiet      `json:"quiet"`
	Short     bool       `json:"short,omitempty"` // a try of the machinery: its figures say nothing
	Notes     []string   `json:"notes"`
	LeftOut   []string   `json:"left_out"`
	Figures   []Figure   `json:"figures"`
	Ratios    []Ratio    `json:"ratios"`
	Overloads []Overload `json:"overloads,omitempty"`
	Checks    int        `json:"checks"` // segments whose tables were compared with their answers
	Faults    []string   `json:"faults"` // deviations: any one fails the run
}

// Figure is one variant under one load.
type Figure struct {
	Part      string `json:"part"`
	Load      string `json:"load"`
	Variant   string `json:"variant"`
	Rate      Spread `json:"per_s"`
	P50       Spread `json:"p50_ms"`
	P99       Spread `json:"p99_ms"`
	P99Booked Spread `json:"p99_booked_ms,omitzero"`
	LastSold  Spread `json:"last_seat_sold_ms,omitzero"`
	Server    Spread `json:"server_us"`
	Database  Spread `json:"database_us"`
	Redis     Spread `json:"redis_us,omitzero"`
	Generator Spread `json:"generator_us"`
	WAL       Spread `json:"wal_bytes,omitzero"` // of a booking
}

// Goal is a floor and what we are after, or with AtMost a ceiling.
type Goal struct {
	Gate   float64 `json:"gate"`
	Aim    float64 `json:"aim"`
	AtMost bool    `json:"at_most,omitempty"`
}

// Ratio compares two series round by round, or is a figure with a goal of its own.
type Ratio struct {
	Part  string `json:"part"`
	Load  string `json:"load"`
	Name  string `json:"name"`
	Value Spread `json:"value"`
	Goal  *Goal  `json:"goal,omitempty"`
	// Verdict is pass or miss in a quiet run, none in a noisy one or without a goal.
	Verdict string `json:"verdict"`
	Aim     bool   `json:"aim_reached"`
}

// The verdicts.
const (
	pass = "pass"
	miss = "miss"
	none = "none"
)

// meets compares by the median.
func (g Goal) meets(v, bound float64) bool {
	if g.AtMost {
		return v <= bound
	}
	return v >= bound
}

// judge gives a ratio its verdict.
func (r *Report) judge(x Ratio) Ratio {
	x.Verdict = none
	if x.Goal == nil || x.Value.N == 0 {
		return x
	}
	if !r.Quiet.Quiet || r.Short {
		return x
	}
	x.Aim = x.Goal.meets(x.Value.Median, x.Goal.Aim)
	x.Verdict = miss
	if x.Goal.meets(x.Value.Median, x.Goal.Gate) {
		x.Verdict = pass
	}
	return x
}

func (r *Report) ratio(x Ratio) { r.Ratios = append(r.Ratios, r.judge(x)) }

// Failed says why the run has failed, empty when it has not.
func (r *Report) Failed() string {
	missed := 0
	for _, x := range r.Ratios {
		if x.Verdict == miss {
			missed++
		}
	}
	switch {
	case len(r.Faults) > 0:
		return fmt.Sprintf("%d deviations between the answers and the tables", len(r.Faults))
	case missed > 0:
		return fmt.Sprintf("%d gates missed", missed)
	}
	return ""
}

// JSON writes the report for programs.
func (r *Report) JSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

func (s Spread) text(digits int) string {
	if s.N == 0 {
		return "-"
	}
	return fmt.Sprintf("%.*f [%.*f-%.*f] (%.*f-%.*f)", digits, s.Median, digits, s.Low, digits, s.High, digits, s.Min, digits, s.Max)
}

func (s Spread) short(digits int) string {
	if s.N == 0 {
		return "-"
	}
	return fmt.Sprintf("%.*f", digits, s.Median)
}

// Text writes the report for people: median [quartiles] (min-max).
func (r *Report) Text(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "%s, xinglin %s\n%s\n", r.Command, r.Version, r.Quiet)
	fmt.Fprintf(t, "%s, %d cores, %s, %s; %s, PostgreSQL %s, Redis %s\n", r.Machine.CPU, r.Machine.Cores, r.Machine.Memory, r.Machine.OS, r.Machine.Go, dash(r.Machine.PostgreSQL), dash(r.Machine.Redis))
	for _, n := range r.Notes {
		fmt.Fprintln(t, "- "+n)
	}
	for _, n := range r.LeftOut {
		fmt.Fprintln(t, "! "+n)
	}
	fmt.Fprint(t, "\nmedian [quartiles] (min-max) over rounds; CPU in us of a request\n")
	fmt.Fprintln(t, "part\tload\tvariant\trequests/s\tp50 ms\tp99 ms\tp99 booked\tlast seat ms\tserver\tdatabase\tredis\tgenerator\tWAL bytes")
	for _, f := range r.Figures {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", f.Part, f.Load, f.Variant, f.Rate.text(0), f.P50.short(1), f.P99.short(1), f.P99Booked.short(1),
			f.LastSold.short(1), f.Server.short(1), f.Database.short(1), f.Redis.short(1), f.Generator.short(1), f.WAL.short(0))
	}
	r.overloads(t)
	fmt.Fprintln(t, "\npart\tload\tratio\tmeasured\tgate\taim\tverdict")
	for _, x := range r.Ratios {
		gate, aim, verdict := "-", "-", "-"
		if g := x.Goal; g != nil {
			sign := ">="
			if g.AtMost {
				sign = "<="
			}
			gate, aim, verdict = fmt.Sprintf("%s %.4g", sign, g.Gate), fmt.Sprintf("%s %.4g", sign, g.Aim), x.Verdict
			if x.Verdict == none {
				verdict = "no verdict"
			}
			if x.Aim {
				verdict += ", aim reached"
			}
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", x.Part, x.Load, x.Name, x.Value.text(2), gate, aim, verdict)
	}
	fmt.Fprintf(t, "\n%d segments checked against the tables, %d deviations\n", r.Checks, len(r.Faults))
	for _, f := range r.Faults {
		fmt.Fprintln(t, "DEVIATION "+f)
	}
	return t.Flush()
}

// overloads are the loads of the part open.
func (r *Report) overloads(w io.Writer) {
	if len(r.Overloads) == 0 {
		return
	}
	fmt.Fprintln(w, "\nopen\tvariant\ttimes\tserver slower by\tcapacity/s\toffered/s\tunsent/s\tgoodput/s\trefused/s\tp99 booked ms\tresident MB\trecovery ms")
	for _, o := range r.Overloads {
		fmt.Fprintf(w, "%s\t%s\t%.0f\t%.1f\t%.0f\t%.0f\t%.0f\t%.0f\t%.0f\t%.1f\t%d\t%.0f\n", o.Where, o.Variant, o.Times, max(o.Slowed, 1), o.Capacity,
			o.Offered, o.Unsent, o.Goodput, o.Refused, o.P99, o.Resident>>20, o.Recovery)
	}
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
