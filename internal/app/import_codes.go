package app

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/fault"
	"xinglin/internal/platform/config"
	"xinglin/internal/platform/obs"
	"xinglin/internal/platform/process"
	"xinglin/internal/tenant"
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
	rep, err := importCodesInto(ctx, where, tenantCode, bar.read(filepath.Base(file), f), dryRun)
	bar.end()
	if rep.Rows > 0 {
		printCodes(out, rep)
		fmt.Fprintf(out, "  in %.1f s, this command took at most %d MiB of memory\n", clock.Mono().Sub(begin).Seconds(), peakMemory()>>20)
	}
	return err
}

func importCodesInto(ctx context.Context, where config.Where, tenantCode string, f io.Reader, dryRun bool) (terminology.ImportReport, error) {
	h, closeAll, err := Offline(ctx, where, false)
	if errors.Is(err, process.ErrDirTaken) {
		return importCodesThrough(ctx, where.Data, tenantCode, f, dryRun)
	}
	if err != nil {
		return terminology.ImportReport{}, err
	}
	defer closeAll()
	if _, err := h.ensureTenant(ctx, nil, false); err != nil && !errors.Is(err, tenant.ErrDemoMixed) {
		return terminology.ImportReport{}, err
	}
	return h.importCodes(ctx, tenantCode, OSUser(), f, dryRun)
}

// importCodes loads a list for the tenant with this code.
func (h *House) importCodes(ctx context.Context, code, osUser string, file io.Reader, dryRun bool) (terminology.ImportReport, error) {
	ts, err := h.Tenants.List(ctx)
	if err != nil {
		return terminology.ImportReport{}, err
	}
	for _, t := range ts {
		if t.Code == code {
			ctx = auth.With(ctx, auth.Principal{Kind: auth.CLI, Tenant: t.ID, Name: osUser})
			return h.Terminology.Import(obs.WithOrigin(ctx, "cli"), terminology.ImportRequest{System: terminology.ICD10, File: file, DryRun: dryRun})
		}
	}
	return terminology.ImportReport{}, ErrFlags.At("tenant", "there is no tenant "+code)
}

type codesReply struct {
	Report terminology.ImportReport
	Code   string
	Title  string
}

// importCodesThrough hands the file to the process that serves the folder.
func importCodesThrough(ctx context.Context, dir, tenantCode string, f io.Reader, dryRun bool) (terminology.ImportReport, error) {
	ctx, cancel := context.WithTimeout(ctx, importTime)
	defer cancel()
	var a codesReply
	q := url.Values{"tenant": {tenantCode}, "user": {OSUser()}, "dry_run": {fmt.Sprint(dryRun)}}
	err := askDoor(ctx, dir, "/cli/import/icd10?"+q.Encode(), "", f, 8<<20, &a)
	if err == nil && a.Code != "" {
		err = fmt.Errorf("%s: %s", a.Code, a.Title)
	}
	return a.Report, err
}

// importCodesDoor is the running process's side of `xinglin import icd10`.
func (p *Process) importCodesDoor(w http.ResponseWriter, r *http.Request) {
	given := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	if p.token == "" || subtle.ConstantTimeCompare([]byte(given), []byte(p.token)) != 1 {
		plain(w, http.StatusUnauthorized, "the command line's token is needed")
		return
	}
	ctx, cancel := context.WithTimeout(obs.WithLog(r.Context(), p.log), importTime)
	defer cancel()
	_ = http.NewResponseController(w).SetReadDeadline(clock.Mono().Add(importTime))
	q := r.URL.Query()
	var a codesReply
	var err error
	a.Report, err = p.house.importCodes(ctx, q.Get("tenant"), q.Get("user"), http.MaxBytesReader(w, r.Body, maxImport), q.Get("dry_run") == "true")
	if f := fault.Of(err); f != nil {
		a.Code, a.Title = f.Code.Name, f.Code.EN
	} else if err != nil {
		obs.Log(ctx).Error("import", "error", err.Error())
		a.Code, a.Title = "http.internal", "see the log of the serving process"
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(a)
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
