// Package interop brings what other systems know into the contexts that own it (对接).
// It has the words of exchange: institutions, places and people go to the directory, persons
// to patient, rotas to scheduling, codes to terminology, through their use cases. Its own is
// the Import: a file that somebody sent, how far it is read and what came of it.
//
// Invariants: one import of a kind runs at a time; one whose process died does not run; a resource is taken whole or refused with its place and a code; the same
// file twice changes nothing; no value of a resource stands in a report, a log or an error.
package interop

import (
	"context"
	"io"
)

// Import is the noun of files that were sent.
type Import struct{}

// ImportRequest is a set of FHIR R4 files that belong together: what one of them names may stand in another.
type ImportRequest struct {
	// Next gives the next file to read, io.EOF after the last. Its name is for the report only.
	Next   func() (name string, file io.Reader, err error)
	DryRun bool // say what would be and write nothing
}

// Counts says what became of the resources of one type.
type Counts struct {
	Type      string `json:"type"`
	Taken     int    `json:"taken"`
	Updated   int    `json:"updated"`
	Unchanged int    `json:"unchanged"`
	Skipped   int    `json:"skipped"` // types and states that are not for the contexts of today
	Refused   int    `json:"refused"`
}

// Skip says why resources of a type were skipped.
type Skip struct {
	Type   string `json:"type"`
	Reason string `json:"reason"` // not_used, inactive, deceased, replaced, part_of_place, not_a_provider, request
	Count  int    `json:"count"`
}

// Refusal names a place in a file, and why it was refused; never a value.
type Refusal struct {
	File     string `json:"file"`
	Path     string `json:"path"` // Bundle.entry[12].resource.birthDate; empty: the file as a whole
	Code     string `json:"code"`
	ReasonZH string `json:"reason_zh"`
	ReasonEN string `json:"reason_en"`
}

// MaxRefusals is how many refusals a report names; the rest are counted.
const MaxRefusals = 500

// Report is what an import did.
type Report struct {
	DryRun       bool      `json:"dry_run"`
	Files        int       `json:"files"`
	Bytes        int64     `json:"bytes"` // after decompression
	Resources    int       `json:"resources"`
	Types        []Counts  `json:"types"` // by name
	Skipped      []Skip    `json:"skipped"`
	Refused      []Refusal `json:"refused"` // the first MaxRefusals
	RefusedCount int       `json:"refused_count"`
}

// Service is what the doors ask.
type Service interface {
	// ImportFHIR reads the files once, in their order. Persons are taken as they come, in batches; institutions, places and
	// people of care after the last file. The report is whole whatever err says; interop.refused when something was refused.
	ImportFHIR(ctx context.Context, r ImportRequest) (Report, error)
}
