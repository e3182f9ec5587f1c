package app

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"xinglin/internal/interop"
	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/fault"
	"xinglin/internal/platform/config"
	"xinglin/internal/platform/obs"
	"xinglin/internal/platform/process"
	"xinglin/internal/tenant"
)

// FHIRImport is what `xinglin import fhir` is asked for.
type FHIRImport struct {
	Tenant string
	Files  []string
	DryRun bool
	JSON   bool // the report as JSON
}

const (
	fhirTime   = 6 * time.Hour
	fhirAnswer = 16 << 20 // bytes of a report
)

// ImportFHIR is `xinglin import fhir`: through the process that serves the folder, or
// directly. The report is printed; the error is of refused resources too.
func ImportFHIR(ctx context.Context, where config.Where, in FHIRImport, out io.Writer) error {
	bar := newProgress(os.Stderr, in.Files...)
	begin := clock.Mono()
	rep, err := importFHIRInto(ctx, where, in, bar)
	bar.end()
	took := clock.Mono().Sub(begin)
	if rep.Files == 0 {
		return err
	}
	if in.JSON {
		enc := json.NewEncoder(out)
		enc.SetIndent("", "  ")
		return errors.Join(enc.Encode(struct {
			interop.Report
			Seconds    float64 `json:"seconds"`
			PeakMemory int64   `json:"peak_memory_bytes,omitempty"`
		}{rep, took.Seconds(), peakMemory()}), err)
	}
	printFHIR(out, rep)
	fmt.Fprintf(out, "  in %.1f s, this command took at most %d MiB of memory\n", took.Seconds(), peakMemory()>>20)
	return err
}

// peakMemory is the most memory that this process had, 0 where the system does not tell.
func peakMemory() int64 {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	_, after, _ := strings.Cut(string(b), "VmHWM:")
	var kib int64
	_, _ = fmt.Sscan(after, &kib)
	return kib << 10
}

func importFHIRInto(ctx context.Context, where config.Where, in FHIRImport, bar *progress) (interop.Report, error) {
	h, closeAll, err := Offline(ctx, where, false)
	if errors.Is(err, process.ErrDirTaken) {
		return importFHIRThrough(ctx, where.Data, in, bar)
	}
	if err != nil {
		return interop.Report{}, err
	}
	defer closeAll()
	if _, err := h.ensureTenant(ctx, nil, false); err != nil && !errors.Is(err, tenant.ErrDemoMixed) {
		return interop.Report{}, err
	}
	files := &fileList{names: in.Files, bar: bar}
	defer files.close()
	return h.importFHIR(ctx, in.Tenant, OSUser(), interop.ImportRequest{Next: files.next, DryRun: in.DryRun})
}

// importFHIR brings the files in for the tenant with this code.
func (h *House) importFHIR(ctx context.Context, code, osUser string, r interop.ImportRequest) (interop.Report, error) {
	ts, err := h.Tenants.List(ctx)
	if err != nil {
		return interop.Report{}, err
	}
	for _, t := range ts {
		if t.Code == code {
			ctx = auth.With(ctx, auth.Principal{Kind: auth.CLI, Tenant: t.ID, Name: osUser})
			return h.Interop.ImportFHIR(obs.WithOrigin(ctx, "cli"), r)
		}
	}
	return interop.Report{}, ErrFlags.At("tenant", "there is no tenant "+code)
}

// fileList opens one file after the other.
type fileList struct {
	names []string
	bar   *progress
	open  *os.File
}

func (l *fileList) next() (string, io.Reader, error) {
	l.close()
	if len(l.names) == 0 {
		return "", nil, io.EOF
	}
	name := l.names[0]
	l.names = l.names[1:]
	f, err := os.Open(name)
	l.open = f
	return name, l.bar.read(filepath.Base(name), f), err
}

func (l *fileList) close() {
	if l.open != nil {
		_ = l.open.Close()
	}
	l.open = nil
}

type fhirReply struct {
	Report interop.Report
	Code   string
	Title  string
}

// importFHIRDoor is the running process's side: a multipart body, one part a file.
func (p *Process) importFHIRDoor(w http.ResponseWriter, r *http.Request) {
	given := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	if p.token == "" || subtle.ConstantTimeCompare([]byte(given), []byte(p.token)) != 1 {
		plain(w, http.StatusUnauthorized, "the command line's token is needed")
		return
	}
	parts, err := r.MultipartReader()
	if err != nil {
		plain(w, http.StatusBadRequest, "want multipart")
		return
	}
	ctx, cancel := context.WithTimeout(obs.WithLog(r.Context(), p.log), fhirTime)
	defer cancel()
	rc := http.NewResponseController(w)
	end := clock.Mono().Add(fhirTime)
	_, _ = rc.SetReadDeadline(end), rc.SetWriteDeadline(end)
	next := func() (string, io.Reader, error) {
		part, err := parts.NextPart()
		if err != nil {
			return "", nil, err
		}
		name, err := url.QueryUnescape(part.FormName())
		return name, part, err
	}
	q := r.URL.Query()
	var a fhirReply
	a.Report, err = p.house.importFHIR(ctx, q.Get("tenant"), q.Get("user"), interop.ImportRequest{Next: next, DryRun: q.Get("dry_run") == "true"})
	if f := fault.Of(err); f != nil {
		a.Code, a.Title = f.Code.Name, f.Code.EN
	} else if err != nil {
		obs.Log(ctx).Error("import", "error", err.Error())
		a.Code, a.Title = "http.internal", "see the log of the serving process"
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(a)
}

// importFHIRThrough hands the files to the process that serves the folder.
func importFHIRThrough(ctx context.Context, dir string, in FHIRImport, bar *progress) (interop.Report, error) {
	ctx, cancel := context.WithTimeout(ctx, fhirTime)
	defer cancel()
	body, to := io.Pipe()
	defer body.Close()
	parts := multipart.NewWriter(to)
	go func() { to.CloseWithError(sendFiles(parts, &fileList{names: in.Files, bar: bar})) }()
	var a fhirReply
	q := url.Values{"tenant": {in.Tenant}, "user": {OSUser()}, "dry_run": {fmt.Sprint(in.DryRun)}}
	err := askDoor(ctx, dir, "/cli/import/fhir?"+q.Encode(), parts.FormDataContentType(), body, fhirAnswer, &a)
	if err == nil && a.Code != "" {
		err = fmt.Errorf("%s: %s", a.Code, a.Title)
	}
	return a.Report, err
}

// sendFiles writes each file as a part.
func sendFiles(parts *multipart.Writer, files *fileList) error {
	defer files.close()
	for {
		name, f, err := files.next()
		if errors.Is(err, io.EOF) {
			return parts.Close()
		}
		if err != nil {
			return err
		}
		w, err := parts.CreateFormField(url.QueryEscape(name))
		if err == nil {
			_, err = io.Copy(w, f)
		}
		if err != nil {
			return err
		}
	}
}

// printFHIR says what became of each type, and names what was refused.
func printFHIR(w io.Writer, r interop.Report) {
	done := "imported"
	if r.DryRun {
		done = "dry run, nothing was written"
	}
	fmt.Fprintf(w, "%d files, %d resources, %.1f MiB: %s\n", r.Files, r.Resources, float64(r.Bytes)/(1<<20), done)
	for _, c := range r.Types {
		if c.Taken+c.Updated+c.Unchanged+c.Refused > 0 {
			fmt.Fprintf(w, "  %-18s %6d taken, %6d updated, %6d unchanged, %6d skipped, %6d refused\n", c.Type, c.Taken, c.Updated, c.Unchanged, c.Skipped, c.Refused)
		}
	}
	for _, s := range r.Skipped {
		fmt.Fprintf(w, "  skipped %-24s %6d  %s\n", s.Type, s.Count, s.Reason)
	}
	for _, e := range r.Refused {
		fmt.Fprintf(w, "  refused %s %s: %s: %s / %s\n", e.File, e.Path, e.Code, e.ReasonZH, e.ReasonEN)
	}
	if n := r.RefusedCount - len(r.Refused); n > 0 {
		fmt.Fprintf(w, "  and %d more refused\n", n)
	}
}
