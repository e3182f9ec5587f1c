package rotafile

import (
	"bytes"
	"encoding/csv"
	"errors"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/encoding/simplifiedchinese"
	utf "golang.org/x/text/encoding/unicode"

	"xinglin/internal/kernel/fault"
	"xinglin/internal/scheduling"
)

// Limits of a rota file.
const (
	maxBytes      = 16 << 20
	maxRows       = 50_000
	maxColumns    = 64
	maxHeadingRow = 10 // a title may stand above the headings
)

// readAll reads a bounded file.
func readAll(r io.Reader) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxBytes+1))
	if err != nil {
		return nil, scheduling.ErrImportUnreadable.Wrap(err)
	}
	if len(b) > maxBytes {
		return nil, scheduling.ErrImportTooLarge.New()
	}
	return b, nil
}

// decodeText finds the encoding: a byte order mark decides, then valid UTF-8, then GBK
// (read as its superset GB18030). What is none of them, or a workbook, is refused.
func decodeText(b []byte) (text, encoding string, err error) {
	switch {
	case len(bytes.TrimSpace(b)) == 0:
		return "", "", unreadable("文件是空的", "the file is empty")
	case bytes.HasPrefix(b, []byte("PK\x03\x04")) || bytes.HasPrefix(b, []byte("\xd0\xcf\x11\xe0")):
		return "", "", unreadable("这是 Excel 工作簿，请另存为 CSV", "this is a workbook; save it as CSV")
	case bytes.HasPrefix(b, []byte("\xef\xbb\xbf")):
		encoding = "utf-8-bom"
		b = b[3:]
	case bytes.HasPrefix(b, []byte("\xff\xfe")) || bytes.HasPrefix(b, []byte("\xfe\xff")):
		encoding = "utf-16"
		b, err = utf.UTF16(utf.LittleEndian, utf.ExpectBOM).NewDecoder().Bytes(b)
	case utf8.Valid(b):
		encoding = "utf-8"
	default:
		encoding = "gbk"
		b, err = simplifiedchinese.GB18030.NewDecoder().Bytes(b)
	}
	if err != nil || !utf8.Valid(b) || bytes.ContainsRune(b, utf8.RuneError) || bytes.IndexByte(b, 0) >= 0 {
		return "", "", unreadable("编码不是 UTF-8 或 GBK", "the encoding is neither UTF-8 nor GBK")
	}
	return string(b), encoding, nil
}

func unreadable(zh, en string) error {
	return scheduling.ErrImportUnreadable.With(fault.Detail{Path: "file", Code: scheduling.ErrImportUnreadable.Name, Message: zh + " / " + en})
}

// record is one line of the file with its cells cleaned.
type record struct {
	line  int
	cells []string
}

// records reads comma- or tab-separated lines. A line with broken quotes goes to the
// sink and the reading goes on; empty lines are left out.
func records(text string, sink *RowErrors) ([]record, error) {
	r := csv.NewReader(strings.NewReader(text))
	r.FieldsPerRecord = -1
	r.ReuseRecord = true
	if first, _, _ := strings.Cut(strings.TrimLeft(text, "\r\n"), "\n"); strings.Count(first, "\t") > strings.Count(first, ",") {
		r.Comma = '\t'
	}
	var out []record
	for {
		cells, err := r.Read()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		var pe *csv.ParseError
		if errors.As(err, &pe) {
			sink.Add(pe.StartLine, "", "引号不成对", "the quotes do not pair")
			if sink.Total > maxRows {
				return nil, scheduling.ErrImportTooLarge.New()
			}
			continue
		}
		if err != nil {
			return nil, scheduling.ErrImportUnreadable.Wrap(err)
		}
		line, _ := r.FieldPos(0)
		for len(cells) > 0 && clean(cells[len(cells)-1]) == "" { // spreadsheets export empty columns
			cells = cells[:len(cells)-1]
		}
		if len(cells) == 0 {
			continue
		}
		if len(cells) > maxColumns {
			sink.Add(line, "", "列数过多", "too many columns")
			continue
		}
		rec := record{line: line, cells: make([]string, len(cells))}
		for i, c := range cells {
			rec.cells[i] = clean(c)
		}
		if out = append(out, rec); len(out) > maxRows+maxHeadingRow {
			return nil, scheduling.ErrImportTooLarge.New()
		}
	}
}

// clean trims all kinds of space and folds full-width letters, digits and punctuation.
func clean(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case r >= '！' && r <= '～':
			return r - 0xFEE0
		case unicode.IsControl(r) || r == '\u200b' || r == '\ufeff':
			return ' '
		case unicode.IsSpace(r):
			return ' '
		}
		return r
	}, s)
	return strings.Join(strings.Fields(s), " ")
}

// RowErrors gathers bad rows: the first 200 and the count of all.
type RowErrors struct {
	Rows  []scheduling.RowError
	Total int
}

const maxShownErrors = 200

// Add notes a bad row. column is the heading as the file writes it, empty for the whole
// line; the reasons are Chinese and English and quote at most 24 characters of a cell.
func (s *RowErrors) Add(line int, column, zh, en string) {
	s.Total++
	if len(s.Rows) < maxShownErrors {
		s.Rows = append(s.Rows, scheduling.RowError{Line: line, Column: column, ReasonZH: zh, ReasonEN: en})
	}
}
