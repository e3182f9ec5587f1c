// Package codefile reads a list of ICD-10 codes with their names as standards bodies,
// insurers and hospitals publish it. It looks nothing up and stores nothing.
package codefile

import (
	"errors"
	"io"
	"regexp"
	"slices"
	"strings"

	"xinglin/internal/kernel/fault"
	"xinglin/internal/platform/sheet"
	"xinglin/internal/terminology"
)

// Limits of a list.
const (
	maxBytes      = 16 << 20
	maxUnpacked   = 128 << 20
	maxRows       = 200_000
	maxColumns    = 60
	maxHeadingRow = 10 // a title may stand above the headings
	maxName       = 300
)

// The forms of a code after Normal: chapters and blocks are none. A dagger code may carry
// its asterisk code; M80000/3 is a morphology of a tumour.
var (
	form  = regexp.MustCompile(`^(?:[A-Z]\d\d(?:\.[\dx]{1,3}(?:x\d{2,3})?)?[+*]?(?:[A-Z]\d\d(?:\.[\dx]{1,3})?\*)?|M\d{4,5}/\d{1,2})$`)
	plain = regexp.MustCompile(`^([A-Za-z]\d\d\S*)\s+(\S.*)$`)
)

// Normal is a code as it is stored: I10.X00 is I10.x00, full-width letters and † are folded.
func Normal(code string) string {
	code = strings.ToUpper(strings.ReplaceAll(sheet.Clean(code), " ", ""))
	code = strings.ReplaceAll(code, "†", "+")
	b := []byte(code)
	for i := range b { // a letter X only begins a code, of this one or of its asterisk code
		if b[i] == 'X' && i > 0 && b[i-1] != '+' {
			b[i] = 'x'
		}
	}
	return string(b)
}

// Valid reports whether a normal code has the form of ICD-10.
func Valid(code string) bool { return len(code) <= 40 && form.MatchString(code) }

var (
	codeHeadings = []string{"诊断编码", "诊断代码", "疾病编码", "疾病代码", "主要编码", "icd编码", "icd代码", "icd10编码", "icd10代码", "icd10", "编码", "代码", "code"}
	nameHeadings = []string{"诊断名称", "疾病名称", "疾病诊断名称", "icd名称", "icd10名称", "中文名称", "名称", "name", "display"}
)

func heading(s string) string {
	s = strings.ToLower(sheet.Clean(s))
	if i := strings.IndexAny(s, "(["); i > 0 {
		s = s[:i]
	}
	return strings.NewReplacer(" ", "", "_", "", "-", "", "*", "").Replace(s)
}

// Entry is a sound row.
type Entry struct {
	Sheet      string
	Line       int
	Code, Name string
}

// Info is what the file was.
type Info struct {
	Encoding string
	Rows     int
	Skipped  []string // sheets without headings, or hidden
}

type reader struct {
	take   func(Entry) error
	refuse func(terminology.RefusedRow)
	info   Info
	seen   map[string]string // name by code
	sheet  string
	begun  bool
	above  int
	code   int // column; -1 until the headings are found
	name   int
	tables []string // sheets with codes
}

// Read gives each sound row to take, once for each code, and tells refuse about the others.
// An error of take ends it. Codes: terminology.import_unreadable, .import_too_large.
func Read(file io.Reader, take func(Entry) error, refuse func(terminology.RefusedRow)) (Info, error) {
	r := &reader{take: take, refuse: refuse, seen: map[string]string{}, code: -1}
	info, err := sheet.Read(file, sheet.Options{Bytes: maxBytes, Unpacked: maxUnpacked, Rows: maxRows + maxHeadingRow, Columns: maxColumns, Plain: plain}, r.row)
	r.info.Encoding = info.Encoding
	var bad *sheet.Refusal
	switch {
	case errors.As(err, &bad) && bad.Large:
		return r.info, terminology.ErrTooLarge.With(detail(terminology.ErrTooLarge, bad.ZH, bad.EN))
	case errors.As(err, &bad):
		return r.info, unreadable(bad.ZH, bad.EN)
	case err != nil && fault.Of(err) == nil && r.info.Rows == 0:
		return r.info, terminology.ErrUnreadable.Wrap(err)
	case err != nil:
		return r.info, err
	case len(r.tables) == 0:
		return r.info, unreadable("找不到编码和名称两列", "no columns of codes and names found")
	}
	for _, s := range info.Sheets {
		if !slices.Contains(r.tables, s) {
			r.info.Skipped = append(r.info.Skipped, s)
		}
	}
	r.info.Skipped = append(r.info.Skipped, info.Hidden...)
	return r.info, nil
}

func unreadable(zh, en string) error {
	return terminology.ErrUnreadable.With(detail(terminology.ErrUnreadable, zh, en))
}

func detail(c *fault.Code, zh, en string) fault.Detail {
	return fault.Detail{Path: "file", Code: c.Name, Message: zh + " / " + en}
}

func (r *reader) row(row sheet.Row) error {
	if !r.begun || row.Sheet != r.sheet {
		r.begun, r.sheet, r.above, r.code, r.name = true, row.Sheet, 0, -1, -1
	}
	if r.code < 0 {
		if r.above++; r.above > maxHeadingRow || row.Bad != nil || !r.columns(row) {
			return nil
		}
		r.tables = append(r.tables, row.Sheet)
		if !Valid(Normal(cell(row, r.code))) {
			return nil // it is the row of headings
		}
	}
	r.info.Rows++
	bad := func(column, zh, en string) error {
		r.refuse(terminology.RefusedRow{Sheet: row.Sheet, Line: row.Line, Column: column, ReasonZH: zh, ReasonEN: en})
		return nil
	}
	if row.Bad != nil {
		return bad("", row.Bad.ZH, row.Bad.EN)
	}
	code, name := Normal(cell(row, r.code)), cell(row, r.name)
	known, again := r.seen[code]
	switch {
	case code == "":
		return bad("code", "编码为空", "the code is empty")
	case !Valid(code):
		return bad("code", "“"+sheet.Clip(code)+"”不是 ICD-10 编码的格式", "\""+sheet.Clip(code)+"\" does not have the form of an ICD-10 code")
	case name == "":
		return bad("name", "名称为空", "the name is empty")
	case len([]rune(name)) > maxName:
		return bad("name", "名称超过 300 个字", "the name has more than 300 characters")
	case again && known != name:
		return bad("code", "同一编码在前面已有另一名称", "the code stands above with another name")
	case again:
		return r.take(Entry{Sheet: row.Sheet, Line: row.Line}) // once more
	}
	r.seen[code] = name
	return r.take(Entry{row.Sheet, row.Line, code, name})
}

func cell(row sheet.Row, i int) string {
	if i < 0 || i >= len(row.Cells) {
		return ""
	}
	return row.Cells[i]
}

// columns finds the two columns by their headings; where several fit, the most special
// wins. A list without headings begins with a code and its name.
func (r *reader) columns(row sheet.Row) bool {
	find := func(names []string) int {
		for _, n := range names {
			for i, c := range row.Cells {
				if heading(c) == n {
					return i
				}
			}
		}
		return -1
	}
	code, name := find(codeHeadings), find(nameHeadings)
	if code < 0 && name < 0 && len(row.Cells) == 2 && Valid(Normal(row.Cells[0])) {
		code, name = 0, 1
	}
	if code < 0 || name < 0 || code == name {
		return false
	}
	r.code, r.name = code, name
	return true
}
