package app

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"

	"xinglin/internal/kernel/clock"
	"xinglin/internal/platform/config"
	"xinglin/internal/scheduling"
)

// RotaImport is what `xinglin import rota` was asked for.
type RotaImport struct {
	Tenant     string
	File       string
	DryRun     bool
	StopVisits bool // consent: sessions that people have booked may stop
}

// ImportRota is `xinglin import rota`: through the process that serves the folder, or
// directly. The report is printed; the error is of bad rows and refused stops too.
func ImportRota(ctx context.Context, where config.Where, in RotaImport, out io.Writer) error {
	f, err := os.Open(in.File)
	if err != nil {
		return err
	}
	defer f.Close()
	bar := newProgress(os.Stderr, in.File)
	begin := clock.Mono()
	read := bar.read(filepath.Base(in.File), f)
	rep, err := importing[scheduling.ImportReport]{
		kind: "rota", within: importTime, answer: 8 << 20, tenant: in.Tenant, dryRun: in.DryRun,
		more: url.Values{stopVisits: {fmt.Sprint(in.StopVisits)}},
		do: func(ctx context.Context, h *House) (scheduling.ImportReport, error) {
			return h.Scheduling.Import(ctx, scheduling.ImportRequest{File: read, DryRun: in.DryRun, StopVisits: in.StopVisits})
		},
		body: func() (io.ReadCloser, string) { return io.NopCloser(read), "" },
	}.into(ctx, where)
	bar.end()
	printRota(out, rep, in.StopVisits)
	if rep.Rows > 0 {
		fmt.Fprintf(out, "  in %.1f s, this command took at most %d MiB of memory\n", clock.Mono().Sub(begin).Seconds(), peakMemory()>>20)
	}
	return err
}

// stopVisits is the consent on its way to the door.
const stopVisits = "stop_visits"

func (p *Process) importRotaDoor(ctx context.Context, w http.ResponseWriter, r *http.Request, dryRun bool) (scheduling.ImportReport, error) {
	return p.house.Scheduling.Import(ctx, scheduling.ImportRequest{
		File: http.MaxBytesReader(w, r.Body, maxImport), DryRun: dryRun, StopVisits: r.URL.Query().Get(stopVisits) == "true",
	})
}

// printRota says what a file holds, what it changes, which rows are bad and which sessions stop.
func printRota(w io.Writer, r scheduling.ImportReport, consent bool) {
	if r.Rows == 0 && r.ErrorCount == 0 {
		return
	}
	asks := r.StopVisits > 0 && !consent // the real import would be, or is, refused
	done := "imported"
	switch {
	case r.ErrorCount > 0, asks && !r.DryRun:
		done = "refused, nothing was written"
	case r.DryRun:
		done = "dry run, nothing was written"
	}
	fmt.Fprintf(w, "%d rows (%s): %s\n", r.Rows, r.Encoding, done)
	for _, s := range r.Skipped {
		fmt.Fprintf(w, "  sheet %s skipped: %s\n", s.Name, s.Reason)
	}
	for _, e := range r.Errors {
		at := "row"
		if e.Sheet != "" {
			at = e.Sheet + " row"
		}
		fmt.Fprintf(w, "  %s %d, %s: %s / %s\n", at, e.Line, e.Column, e.ReasonZH, e.ReasonEN)
	}
	if n := r.ErrorCount - len(r.Errors); n > 0 {
		fmt.Fprintf(w, "  and %d more\n", n)
	}
	if r.ErrorCount > 0 {
		return
	}
	if r.DryRun || !asks {
		printChanges(w, r)
	}
	printStops(w, r, consent)
}

func printChanges(w io.Writer, r scheduling.ImportReport) {
	for _, l := range []struct {
		name string
		c    scheduling.Change
	}{
		{"campuses", r.Campuses},
		{"departments", r.Departments},
		{"doctors", r.Doctors},
		{"rota rules", r.Rules},
		{"exceptions", r.Exceptions},
		{"schedules", r.Schedules},
	} {
		fmt.Fprintf(w, "  %-12s %5d new, %5d changed, %5d as they were\n", l.name, l.c.New, l.c.Changed, l.c.Same)
	}
}

// sessionWords are the parts of the day for people.
var sessionWords = map[scheduling.Session]string{scheduling.Morning: "上午 / morning", scheduling.Afternoon: "下午 / afternoon", scheduling.Evening: "晚上 / evening"}

// printStops names the sessions that stop, and says how to consent where people have booked.
func printStops(w io.Writer, r scheduling.ImportReport, consent bool) {
	if r.StopCount == 0 {
		return
	}
	verb := "stop"
	if r.DryRun || r.StopVisits > 0 && !consent {
		verb = "would stop"
	}
	fmt.Fprintf(w, "  sessions that %s: %d, visits in them: %d\n", verb, r.StopCount, r.StopVisits)
	for _, v := range r.Stops {
		fmt.Fprintf(w, "    %s %s, %s %s: %d 人已预约 / %d visits\n", v.Date, sessionWords[v.Session], v.Department, v.Doctor, v.Visits, v.Visits)
	}
	if n := r.StopCount - len(r.Stops); n > 0 {
		fmt.Fprintf(w, "    and %d more\n", n)
	}
	switch {
	case r.StopVisits == 0:
	case consent && !r.DryRun:
		fmt.Fprintln(w, "  退号、退款并通知 / the visits are being cancelled, refunded and told")
	default:
		fmt.Fprintln(w, "  同意退号、退款并通知后才导入：加 --stop-visits / the visits would be cancelled, refunded and told: consent with --stop-visits")
	}
}
