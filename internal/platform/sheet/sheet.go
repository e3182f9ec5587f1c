// Package sheet reads the tables that offices write: comma- or tab-separated text in the
// encodings they use, and workbooks (.xlsx) with all their sheets, either of them gzipped
// or not. It gives rows of text cells, knows nothing of what they mean, and takes a bounded
// amount of memory whatever the file claims.
package sheet

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/csv"
	"errors"
	"io"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/encoding/simplifiedchinese"
	utf "golang.org/x/text/encoding/unicode"
)

// Options are the bounds of a file.
type Options struct {
	Bytes    int64 // of the file, and of what it is when it was gzipped
	Unpacked int64 // of a workbook's parts together
	Rows     int   // of all tables together, those with errors too
	Columns  int   // at most 64
	// Plain is the form of a text's lines that have no separator: where the first line has it,
	// every line is taken apart into the groups of the expression. nil: no such texts.
	Plain *regexp.Regexp
}

// Info is what a file was.
type Info struct {
	Encoding string   // utf-8, utf-8-bom, utf-16, gbk, xlsx
	Sheets   []string // of a workbook, in its order, those that were read
	Hidden   []string // sheets that the workbook hides; they are not read
}

// Refusal says why a file, or a row of it, cannot be read: in Chinese and English, without
// the file's content.
type Refusal struct {
	Large  bool // beyond a bound
	ZH, EN string
}

// Error implements error.
func (r *Refusal) Error() string { return r.EN }

func refuse(zh, en string) *Refusal { return &Refusal{ZH: zh, EN: en} }

func tooLarge(zh, en string) *Refusal { return &Refusal{Large: true, ZH: zh, EN: en} }

// Row is one row with at least one cell that says something.
type Row struct {
	Sheet string   // of a workbook; empty for a text
	Line  int      // from 1, as the spreadsheet or editor counts
	Cells []string // spaces around them trimmed; empty ones at the end left out
	// Filled has a bit for each cell that says nothing itself and lies in a merged cell that
	// began rows above: it has that cell's text.
	Filled uint64
	Bad    *Refusal // the row cannot be read; it has no cells

	numbers []number // beside Cells; nil for texts
}

// Read gives each row to take, in the order of the file; an error of take ends it. A
// *Refusal is about the file; other errors are of reading it.
func Read(r io.Reader, opt Options, take func(Row) error) (Info, error) {
	b, err := readAll(r, opt.Bytes)
	if err != nil {
		return Info{}, err
	}
	left := opt.Rows
	counted := func(row Row) error {
		if left--; left < 0 {
			return tooLarge("行数过多", "too many rows")
		}
		return take(row)
	}
	switch {
	case len(bytes.TrimSpace(b)) == 0:
		return Info{}, refuse("文件是空的", "the file is empty")
	case bytes.HasPrefix(b, []byte("\xd0\xcf\x11\xe0")):
		return Info{}, refuse("这是旧版或加密的 Excel 工作簿，请另存为不加密的 .xlsx", "this is an old or encrypted workbook; save it as .xlsx without a password")
	case bytes.HasPrefix(b, []byte("PK\x03\x04")):
		return readWorkbook(b, opt, counted)
	}
	text, encoding, err := decodeText(b)
	if err != nil {
		return Info{}, err
	}
	return Info{Encoding: encoding}, readText(text, opt, counted)
}

// readAll reads a bounded file, and what is in it when it is gzipped.
func readAll(r io.Reader, most int64) ([]byte, error) {
	in := bufio.NewReader(r)
	head, _ := in.Peek(2)
	zipped := string(head) == "\x1f\x8b"
	var from io.Reader = in
	if zipped {
		z, err := gzip.NewReader(in)
		if err != nil {
			return nil, refuse("压缩文件损坏", "the compressed file is broken")
		}
		from = z
	}
	b, err := io.ReadAll(io.LimitReader(from, most+1))
	switch {
	case int64(len(b)) > most:
		return nil, tooLarge("文件过大", "the file is too large")
	case err != nil && zipped && (errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, gzip.ErrChecksum) || errors.Is(err, gzip.ErrHeader) || isCorrupt(err)):
		return nil, refuse("压缩文件损坏或不完整", "the compressed file is broken or ends too early")
	}
	return b, err
}

// decodeText finds the encoding: a byte order mark decides, then valid UTF-8, then GBK
// (read as its superset GB18030).
func decodeText(b []byte) (text, encoding string, err error) {
	switch {
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
		return "", "", refuse("编码不是 UTF-8 或 GBK", "the encoding is neither UTF-8 nor GBK")
	}
	return string(b), encoding, nil
}

// readText reads separated lines. A line with broken quotes is a bad row and the reading
// goes on; empty lines are left out.
func readText(text string, opt Options, take func(Row) error) error {
	first, _, _ := strings.Cut(strings.TrimLeft(text, "\r\n"), "\n")
	if opt.Plain != nil && opt.Plain.MatchString(strings.TrimSpace(first)) {
		return readPlain(text, opt, take)
	}
	r := csv.NewReader(strings.NewReader(text))
	r.FieldsPerRecord = -1
	r.ReuseRecord = true
	if strings.Count(first, "\t") > strings.Count(first, ",") {
		r.Comma = '\t'
	}
	for {
		cells, err := r.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		var pe *csv.ParseError
		if errors.As(err, &pe) {
			if err := take(Row{Line: pe.StartLine, Bad: refuse("引号不成对", "the quotes do not pair")}); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return err
		}
		line, _ := r.FieldPos(0)
		row := Row{Line: line, Cells: make([]string, len(cells))}
		for i, c := range cells {
			row.Cells[i] = trim(c)
		}
		if err := give(row, opt, take); err != nil {
			return err
		}
	}
}

// give drops the empty end of a row and hands it on when something is left.
func give(row Row, opt Options, take func(Row) error) error {
	n := len(row.Cells)
	for n > 0 && row.Cells[n-1] == "" { // spreadsheets export empty columns
		n--
	}
	row.Cells = row.Cells[:n]
	switch {
	case n == 0:
		return nil
	case n > opt.Columns:
		row.Cells, row.Bad = nil, refuse("列数过多", "too many columns")
	}
	return take(row)
}

// readPlain takes lines apart by the expression.
func readPlain(text string, opt Options, take func(Row) error) error {
	n := 0
	for line := range strings.Lines(text) {
		n++
		line = trim(line)
		if line == "" {
			continue
		}
		row := Row{Line: n}
		if m := opt.Plain.FindStringSubmatch(line); m != nil {
			row.Cells = m[1:]
		} else {
			row.Bad = refuse("与其他行的格式不同", "the line has another form than the first")
		}
		if err := take(row); err != nil {
			return err
		}
	}
	return nil
}

// trim drops all kinds of space around a cell; what would break a line within it is a space.
func trim(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == '\ufeff' || r == '\u200b' {
			return ' '
		}
		return r
	}, s)
	return strings.TrimSpace(s)
}

// Clean folds full-width letters, digits and punctuation, and runs of space into one: for
// cells that are compared with words or read as numbers.
func Clean(s string) string {
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

// Clip shortens a cell for a message.
func Clip(s string) string {
	r := []rune(s)
	if len(r) > 24 {
		return string(r[:24]) + "…"
	}
	return s
}
