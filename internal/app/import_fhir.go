package app

import (
	"context"
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
	"xinglin/internal/kernel/clock"
	"xinglin/internal/platform/config"
	"xinglin/internal/platform/httpx"
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
	rep, err := in.road(bar).into(ctx, where)
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

// road is how the files go in.
func (in FHIRImport) road(bar *progress) importing[interop.Report] {
	return importing[interop.Report]{
		kind: "fhir", within: fhirTime, answer: fhirAnswer, tenant: in.Tenant, dryRun: in.DryRun,
		do: func(ctx context.Context, h *House) (interop.Report, error) {
			files := &fileList{names: in.Files, bar: bar}
			defer files.close()
			return h.Interop.ImportFHIR(ctx, interop.ImportRequest{Next: files.next, DryRun: in.DryRun})
		},
		body: func() (io.ReadCloser, string) {
			body, to := io.Pipe()
			parts := multipart.NewWriter(to)
			go func() { to.CloseWithError(sendFiles(parts, &fileList{names: in.Files, bar: bar})) }()
			return body, parts.FormDataContentType()
		},
	}
}

// maxFiles bounds the files of one import; a region has hundreds.
const maxFiles = 10_000

// importFHIRDoor takes a multipart body, one part a file.
func (p *Process) importFHIRDoor(ctx context.Context, _ http.ResponseWriter, r *http.Request, dryRun bool) (interop.Report, error) {
	parts, err := r.MultipartReader()
	if err != nil {
		return interop.Report{}, httpx.ErrMedia.Wrap(err)
	}
	taken := 0
	next := func() (string, io.Reader, error) {
		part, err := parts.NextPart()
		if err != nil {
			return "", nil, err
		}
		if taken++; taken > maxFiles {
			return "", nil, httpx.ErrTooLarge.New()
		}
		name, err := url.QueryUnescape(part.FormName())
		return name, part, err
	}
	return p.house.Interop.ImportFHIR(ctx, interop.ImportRequest{Next: next, DryRun: dryRun})
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
