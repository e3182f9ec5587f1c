package app

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"

	"xinglin/internal/kernel/clock"
	"xinglin/internal/platform/config"
	"xinglin/internal/terminology"
)

// ImportCodes is `xinglin import icd10`: through the process that serves the folder, or
// directly. The report is printed; the error is of refused rows too.
func ImportCodes(ctx context.Context, where config.Where, tenantCode, file string, dryRun bool, out io.Writer) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	bar := newProgress(os.Stderr, file)
	begin := clock.Mono()
	read := bar.read(filepath.Base(file), f)
	rep, err := importing[terminology.ImportReport]{
		kind: "icd10", within: importTime, answer: 8 << 20, tenant: tenantCode, dryRun: dryRun,
		do: func(ctx context.Context, h *House) (terminology.ImportReport, error) {
			return h.importCodes(ctx, read, dryRun)
		},
		body: func() (io.ReadCloser, string) { return io.NopCloser(read), "" },
	}.into(ctx, where)
	bar.end()
	if rep.Rows > 0 {
		printCodes(out, rep)
		fmt.Fprintf(out, "  in %.1f s, this command took at most %d MiB of memory\n", clock.Mono().Sub(begin).Seconds(), peakMemory()>>20)
	}
	return err
}

// importCodes loads a list for the tenant of ctx.
func (h *House) importCodes(ctx context.Context, file io.Reader, dryRun bool) (terminology.ImportReport, error) {
	return h.Terminology.Import(ctx, terminology.ImportRequest{System: terminology.ICD10, File: file, DryRun: dryRun})
}

func (p *Process) importCodesDoor(ctx context.Context, w http.ResponseWriter, r *http.Request, dryRun bool) (terminology.ImportReport, error) {
	return p.house.importCodes(ctx, http.MaxBytesReader(w, r.Body, maxImport), dryRun)
}

// printCodes says what became of the rows, and names those that were refused.
func printCodes(w io.Writer, r terminology.ImportReport) {
	done := "imported"
	if r.DryRun {
		done = "dry run, nothing was written"
	}
	fmt.Fprintf(w, "%d rows (%s): %s\n", r.Rows, r.Encoding, done)
	fmt.Fprintf(w, "  codes %6d new, %6d changed, %6d as they were, %6d refused; the edition has version %d\n", r.New, r.Changed, r.Same, r.RefusedCount, r.Version)
	for _, s := range r.Skipped {
		fmt.Fprintf(w, "  sheet %s skipped\n", s)
	}
	for _, e := range r.Refused {
		at := "row"
		if e.Sheet != "" {
			at = e.Sheet + " row"
		}
		fmt.Fprintf(w, "  refused %s %d %s: %s / %s\n", at, e.Line, e.Column, e.ReasonZH, e.ReasonEN)
	}
	if n := r.RefusedCount - len(r.Refused); n > 0 {
		fmt.Fprintf(w, "  and %d more refused\n", n)
	}
}
