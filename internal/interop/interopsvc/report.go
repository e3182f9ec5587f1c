package interopsvc

import (
	"cmp"
	"slices"
	"strings"

	"xinglin/internal/directory"
	"xinglin/internal/interop"
	"xinglin/internal/interop/fhirmap"
	"xinglin/internal/kernel/fault"
	"xinglin/internal/patient"
)

// reporter gathers the report.
type reporter struct {
	interop.Report
	counts  map[string]*interop.Counts
	skipped map[[2]string]int
}

func newReporter(dryRun bool) *reporter {
	return &reporter{Report: interop.Report{DryRun: dryRun}, counts: map[string]*interop.Counts{}, skipped: map[[2]string]int{}}
}

func (r *reporter) of(kind string) *interop.Counts {
	c := r.counts[kind]
	if c == nil {
		c = &interop.Counts{Type: kind}
		r.counts[kind] = c
	}
	return c
}

func (r *reporter) skip(kind string, reason fhirmap.Skipped) {
	if kind == "" {
		kind = "-"
	}
	r.of(kind).Skipped++
	r.skipped[[2]string{kind, string(reason)}]++
}

// became counts what happened to a resource.
func (r *reporter) became(kind string, o directory.Outcome) {
	switch c := r.of(kind); o {
	case directory.Created:
		c.Taken++
	case directory.Changed:
		c.Updated++
	case directory.Same:
		c.Unchanged++
	}
}

// place is where a resource stands.
type place struct{ file, path string }

// refuse notes a refused resource, or a file when kind is empty. The place of a fault's
// first detail is below the resource's.
func (r *reporter) refuse(kind string, at place, err error) {
	below, code := fhirmap.Where(err)
	if kind != "" {
		r.of(kind).Refused++
	}
	r.RefusedCount++
	if len(r.Refused) >= interop.MaxRefusals {
		return
	}
	path := at.path
	if below != "" && kind != "" {
		path += "." + below
	} else if below != "" {
		path = strings.TrimSuffix(below, ".")
	}
	r.Refused = append(r.Refused, interop.Refusal{File: at.file, Path: path, Code: code.Name, ReasonZH: code.ZH, ReasonEN: code.EN})
}

// close orders the report.
func (r *reporter) close() interop.Report {
	out := r.Report
	out.Types, out.Skipped = []interop.Counts{}, []interop.Skip{}
	if out.Refused == nil {
		out.Refused = []interop.Refusal{}
	}
	for _, c := range r.counts {
		out.Types = append(out.Types, *c)
	}
	slices.SortFunc(out.Types, func(a, b interop.Counts) int { return cmp.Compare(a.Type, b.Type) })
	for k, n := range r.skipped {
		out.Skipped = append(out.Skipped, interop.Skip{Type: k[0], Reason: k[1], Count: n})
	}
	slices.SortFunc(out.Skipped, func(a, b interop.Skip) int {
		return cmp.Or(cmp.Compare(a.Type, b.Type), cmp.Compare(a.Reason, b.Reason))
	})
	return out
}

// outcome is patient's word in the directory's.
func outcome(o patient.Outcome) directory.Outcome { return directory.Outcome(o) }

// refusal reports whether an error is about the input; anything else ends the import.
func refusal(err error) bool {
	switch fault.KindOf(err) {
	case fault.Internal, fault.Unavailable, fault.Forbidden, fault.Unauthenticated, fault.Limited, "":
		return false
	}
	return true
}
