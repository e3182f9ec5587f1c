package rotafile

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"xinglin/internal/kernel/fault"
	"xinglin/internal/platform/sheet"
	"xinglin/internal/scheduling"
)

// Limits of a rota file.
const (
	maxBytes      = 16 << 20
	maxUnpacked   = 128 << 20 // of a workbook
	maxRows       = 50_000
	maxColumns    = 60
	maxHeadingRow = 10 // a title may stand above the headings
)

// place is a row of the file. The sheet is empty in a text.
type place struct {
	sheet string
	line  int
}

// from names the place for a row at another one: the sheet only where they differ.
func (p place) from(at place) (zh, en string) {
	if p.sheet == at.sheet {
		return fmt.Sprintf("第 %d 行", p.line), fmt.Sprintf("line %d", p.line)
	}
	return fmt.Sprintf("工作表“%s”第 %d 行", sheet.Clip(p.sheet), p.line), fmt.Sprintf("line %d of the sheet %q", p.line, sheet.Clip(p.sheet))
}

func unreadable(zh, en string) error {
	return scheduling.ErrImportUnreadable.With(fault.Detail{Path: "file", Code: scheduling.ErrImportUnreadable.Name, Message: zh + " / " + en})
}

// reader takes the rows of a file, sheet after sheet: each has its own headings.
type reader struct {
	g       *gatherer
	sheet   string
	head    *header // nil until the sheet's headings are found
	above   []sheet.Row
	started bool
	read    []string // sheets with headings
}

// all reads the file. What was not a table of a rota is told in the plan.
func (r *reader) all(file io.Reader) error {
	info, err := sheet.Read(file, sheet.Options{Bytes: maxBytes, Unpacked: maxUnpacked, Rows: maxRows + maxHeadingRow, Columns: maxColumns}, r.row)
	if err == nil {
		err = r.end()
	}
	var refusal *sheet.Refusal
	switch {
	case errors.As(err, &refusal) && refusal.Large:
		return scheduling.ErrImportTooLarge.With(fault.Detail{Path: "file", Code: scheduling.ErrImportTooLarge.Name, Message: refusal.ZH + " / " + refusal.EN})
	case errors.As(err, &refusal):
		return unreadable(refusal.ZH, refusal.EN)
	case err != nil && fault.Of(err) == nil:
		return scheduling.ErrImportUnreadable.Wrap(err)
	case err != nil:
		return err
	}
	p := &r.g.plan
	p.Encoding = info.Encoding
	for _, s := range info.Sheets {
		if !slices.Contains(r.read, s) {
			p.Skipped = append(p.Skipped, scheduling.SkippedSheet{Name: s, Reason: scheduling.NoHeadings})
		}
	}
	for _, s := range info.Hidden {
		p.Skipped = append(p.Skipped, scheduling.SkippedSheet{Name: s, Reason: scheduling.HiddenSheet})
	}
	switch {
	case len(r.read) == 0 && info.Sheets != nil:
		return unreadable("没有一个工作表有排班表头", "no sheet has the headings of a rota")
	case len(r.read) == 0:
		return unreadable("找不到表头行", "no row of headings found")
	case p.Rows > maxRows || r.g.sink.Total > maxRows:
		return scheduling.ErrImportTooLarge.New()
	case p.Rows == 0 && r.g.sink.Total == 0:
		return unreadable("表头下没有数据行", "no rows below the headings")
	}
	return nil
}

// row takes one row: first it looks for the headings, then every row is data.
func (r *reader) row(row sheet.Row) error {
	if !r.started || row.Sheet != r.sheet {
		if err := r.end(); err != nil {
			return err
		}
		r.started, r.sheet, r.head, r.above = true, row.Sheet, nil, nil
	}
	if row.Bad == nil {
		for i, c := range row.Cells {
			row.Cells[i] = sheet.Clean(c)
		}
	}
	switch {
	case r.head != nil && row.Bad != nil:
		r.g.sink.Add(place{row.Sheet, row.Line}, "", row.Bad.ZH, row.Bad.EN)
		return nil
	case r.head != nil && r.head.goesOn(row):
		return r.head.check()
	case r.head != nil:
		if err := r.complete(); err != nil {
			return err
		}
		r.g.plan.Rows++
		r.g.row(r.head, row)
		return nil
	case len(r.above) >= maxHeadingRow:
		return nil // a sheet of something else
	}
	r.above = append(r.above, row)
	head, found, err := findHeader(row)
	if err != nil || !found {
		return err
	}
	r.head = &head
	for _, a := range r.above { // a line that cannot be read is none of a title
		if a.Bad != nil {
			r.g.sink.Add(place{a.Sheet, a.Line}, "", a.Bad.ZH, a.Bad.EN)
		}
	}
	r.read = append(r.read, row.Sheet)
	return nil
}

// complete wants every needed column once the headings have ended.
func (r *reader) complete() error {
	if r.head.whole {
		return nil
	}
	r.head.whole = true
	return r.head.complete()
}

// end closes a sheet.
func (r *reader) end() error {
	if r.head == nil {
		return nil
	}
	return r.complete()
}

// RowErrors gathers bad rows: the first 200 and the count of all.
type RowErrors struct {
	Rows  []scheduling.RowError
	Total int
}

const maxShownErrors = 200

// Add notes a bad row. column is the heading as the file writes it, empty for the whole
// line; the reasons are Chinese and English and quote at most 24 characters of a cell.
func (s *RowErrors) Add(at place, column, zh, en string) {
	s.Total++
	if len(s.Rows) < maxShownErrors {
		s.Rows = append(s.Rows, scheduling.RowError{Sheet: at.sheet, Line: at.line, Column: column, ReasonZH: zh, ReasonEN: en})
	}
}

// AddDoctor notes what only the directory knows of a doctor's row.
func (s *RowErrors) AddDoctor(d Doctor, column, zh, en string) {
	s.Add(place{d.Sheet, d.Line}, column, zh, en)
}

// clip shortens a cell for a message.
func clip(s string) string { return strings.TrimSpace(sheet.Clip(s)) }
