// Package terminology keeps the code systems that clinicians write with (术语): today the
// diagnoses of ICD-10 in the Chinese form of GB/T 14396-2016 and its insurance edition
// (I10.x00, J45.900x001, A17.000+G01*). A CodeSystem is a tenant's own edition, loaded from
// a list; a Concept is a code with its name.
//
// Invariants: a code has one name in a tenant's edition; an edition's version counts the
// imports that changed it, and each concept knows at which it last changed; an import takes
// nothing away, since records keep the codes they were written with.
package terminology

import (
	"context"
	"io"
)

// System names a code system.
type System string

// ICD10 are diagnoses.
const ICD10 System = "icd10"

// Concept is a code with its name.
type Concept struct{ Code, Name string }

// ImportRequest is a list of codes and names: CSV, tab-separated, "CODE NAME" lines or a workbook.
type ImportRequest struct {
	System System
	File   io.Reader
	DryRun bool // say what would be and write nothing
}

// RefusedRow names a row that was not taken.
type RefusedRow struct {
	Sheet    string `json:"sheet,omitempty"` // of a workbook
	Line     int    `json:"line"`
	Column   string `json:"column"` // code or name; empty for the row as a whole
	ReasonZH string `json:"reason_zh"`
	ReasonEN string `json:"reason_en"`
}

// MaxRefusals is how many refusals a report names; the rest are counted.
const MaxRefusals = 200

// ImportReport is the outcome: sound rows are taken, whatever others are like.
type ImportReport struct {
	System       System       `json:"system"`
	Encoding     string       `json:"encoding"` // utf-8, utf-8-bom, utf-16, gbk, xlsx
	Rows         int          `json:"rows"`
	New          int          `json:"new"`
	Changed      int          `json:"changed"` // the name is another one
	Same         int          `json:"same"`
	Refused      []RefusedRow `json:"refused"` // the first MaxRefusals
	RefusedCount int          `json:"refused_count"`
	Skipped      []string     `json:"skipped"` // sheets without headings, or hidden
	Version      int64        `json:"version"` // of the edition now
	DryRun       bool         `json:"dry_run"`
}

// MaxFound bounds a search.
const MaxFound = 20

// Service is what other contexts and the doors ask. The tenant is the principal's.
type Service interface {
	// Import loads a list in batches (operator, command line); the same list again changes nothing. The report is whole
	// whatever err says. Codes: terminology.rows when rows were refused, .import_unreadable, .import_too_large, .busy.
	Import(ctx context.Context, r ImportRequest) (ImportReport, error)
	// Search finds concepts by the beginning of the code or by parts of the name, all words of text, at most MaxFound, the
	// nearest first (staff).
	Search(ctx context.Context, s System, text string) ([]Concept, error)
}
