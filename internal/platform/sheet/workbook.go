package sheet

import (
	"archive/zip"
	"bufio"
	"bytes"
	"cmp"
	"compress/flate"
	"encoding/xml"
	"errors"
	"io"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Bounds within a workbook that no honest one reaches.
const (
	maxSheets  = 100
	maxStyles  = 70_000    // a spreadsheet allows 65,490
	maxStrings = 2_000_000 // shared by its cells
	maxMerged  = 20_000    // merged cells of a sheet that reach over rows
	maxToken   = 256 << 10 // bytes of one tag or text; a cell has at most 32,767 letters
	maxLine    = 1 << 20
)

var errBroken = refuse("工作簿已损坏", "the workbook is broken")

// workbook is an open .xlsx file.
type workbook struct {
	opt     Options
	parts   map[string]*zip.File // by name in lower case
	left    int64                // bytes that may still be unpacked
	old     bool                 // dates count from 1904
	strings []string
	formats []format // by style
}

type sheetPart struct{ name, part string }

func readWorkbook(b []byte, opt Options, take func(Row) error) (Info, error) {
	z, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		return Info{}, errBroken
	}
	w := &workbook{opt: opt, parts: map[string]*zip.File{}, left: opt.Unpacked}
	for _, f := range z.File {
		w.parts[partName(f.Name)] = f
	}
	info := Info{Encoding: "xlsx"}
	sheets, err := w.open(&info)
	if err == nil && len(sheets) == 0 {
		err = refuse("工作簿中没有可见的工作表", "the workbook shows no sheet")
	}
	for _, s := range sheets {
		info.Sheets = append(info.Sheets, s.name)
	}
	for _, s := range sheets {
		if err == nil {
			err = w.sheet(s, take)
		}
	}
	return info, broken(err)
}

// broken turns errors of the two formats below into a refusal.
func broken(err error) error {
	var syntax *xml.SyntaxError
	switch {
	case errors.As(err, &syntax), isCorrupt(err), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, zip.ErrChecksum), errors.Is(err, zip.ErrAlgorithm), errors.Is(err, zip.ErrFormat):
		return errBroken
	}
	return err
}

func isCorrupt(err error) bool {
	var corrupt flate.CorruptInputError
	return errors.As(err, &corrupt)
}

func partName(s string) string {
	return strings.ToLower(strings.TrimPrefix(path.Clean(strings.ReplaceAll(s, `\`, "/")), "/"))
}

// open reads what the sheets need: their names, shared texts and number formats.
func (w *workbook) open(info *Info) (sheets []sheetPart, err error) {
	if w.parts["[content_types].xml"] == nil {
		return nil, refuse("这不是 .xlsx 工作簿，请另存为 .xlsx 或 CSV", "this is no .xlsx workbook; save it as .xlsx or CSV")
	}
	main := "xl/workbook.xml"
	root, err := w.relations("")
	if err != nil {
		return nil, err
	}
	for _, r := range root {
		if strings.HasSuffix(r.kind, "/officeDocument") {
			main = r.part
		}
	}
	if !strings.HasSuffix(main, ".xml") || w.parts[main] == nil {
		return nil, refuse("这不是 .xlsx 工作簿，请另存为 .xlsx 或 CSV", "this is no .xlsx workbook; save it as .xlsx or CSV")
	}
	related, err := w.relations(main)
	if err != nil {
		return nil, err
	}
	for _, r := range related {
		switch {
		case strings.HasSuffix(r.kind, "/sharedStrings"):
			err = w.sharedStrings(r.part)
		case strings.HasSuffix(r.kind, "/styles"):
			err = w.styles(r.part)
		}
		if err != nil {
			return nil, err
		}
	}
	err = w.each(main, func(_ *part, t xml.StartElement) error {
		switch t.Name.Local {
		case "workbookPr":
			w.old = truth(attr(t, "date1904"))
		case "sheet":
			r, ok := related[attr(t, "id")]
			switch name := trim(attr(t, "name")); {
			case len(sheets)+len(info.Hidden) >= maxSheets:
				return tooLarge("工作表过多", "too many sheets")
			case !ok || !strings.HasSuffix(r.kind, "/worksheet"): // a chart
			case attr(t, "state") != "" && attr(t, "state") != "visible":
				info.Hidden = append(info.Hidden, name)
			default:
				sheets = append(sheets, sheetPart{name, r.part})
			}
		}
		return nil
	})
	return sheets, err
}

type relation struct{ kind, part string }

// relations are the parts that a part names, by id.
func (w *workbook) relations(of string) (map[string]relation, error) {
	out := map[string]relation{}
	dir, base := path.Split(of)
	name := partName(dir + "_rels/" + base + ".rels")
	if w.parts[name] == nil {
		return out, nil
	}
	err := w.each(name, func(_ *part, t xml.StartElement) error {
		if t.Name.Local != "Relationship" || len(out) > 10*maxSheets {
			return nil
		}
		target := strings.ReplaceAll(attr(t, "Target"), `\`, "/")
		if !strings.HasPrefix(target, "/") {
			target = dir + target
		}
		out[attr(t, "Id")] = relation{attr(t, "Type"), partName(target)}
		return nil
	})
	return out, err
}

func attr(t xml.StartElement, local string) string {
	for _, a := range t.Attr {
		if a.Name.Local == local {
			return a.Value
		}
	}
	return ""
}

func truth(s string) bool { return s == "1" || s == "true" }

// sharedStrings are the texts that cells name by number. Readings above Chinese and
// Japanese letters (rPh) belong to no text.
func (w *workbook) sharedStrings(name string) error {
	var text strings.Builder
	return w.whole(name, func(p *part, t xml.Token) error {
		switch t := t.(type) {
		case xml.StartElement:
			switch t.Name.Local {
			case "rPh":
				return p.skip("rPh")
			case "t":
				return p.text("t", &text)
			}
		case xml.EndElement:
			if t.Name.Local == "si" {
				if len(w.strings) >= maxStrings {
					return tooLarge("工作簿过大", "the workbook is too large")
				}
				w.strings = append(w.strings, trim(text.String()))
				text.Reset()
			}
		}
		return nil
	})
}

// styles are the number formats of the cells' styles.
func (w *workbook) styles(name string) error {
	own := map[int]format{}
	inside := false
	return w.whole(name, func(_ *part, t xml.Token) error {
		switch t := t.(type) {
		case xml.EndElement:
			if t.Name.Local == "cellXfs" {
				inside = false
			}
		case xml.StartElement:
			switch {
			case len(w.formats) > maxStyles || len(own) > maxStyles:
				return errBroken
			case t.Name.Local == "numFmt":
				if n, err := strconv.Atoi(attr(t, "numFmtId")); err == nil {
					own[n] = formatOf(attr(t, "formatCode"))
				}
			case t.Name.Local == "cellXfs":
				inside = true
			case t.Name.Local == "xf" && inside:
				n, _ := strconv.Atoi(attr(t, "numFmtId"))
				f, ok := own[n]
				if !ok {
					f = builtin(n)
				}
				w.formats = append(w.formats, f)
			}
		}
		return nil
	})
}

// part is one part of the workbook, being read.
type part struct {
	w    *workbook
	file io.ReadCloser
	in   *xml.Decoder
	read int64 // of the token at hand
}

// Read implements io.Reader under the workbook's bounds.
func (p *part) Read(b []byte) (int, error) {
	if p.w.left <= 0 || p.read > maxToken {
		return 0, tooLarge("工作簿解压后过大", "the workbook grows too much when it is unpacked")
	}
	if int64(len(b)) > p.w.left {
		b = b[:p.w.left]
	}
	n, err := p.file.Read(b)
	p.w.left -= int64(n)
	p.read += int64(n)
	return n, err
}

func (w *workbook) part(name string) (*part, error) {
	f := w.parts[name]
	if f == nil {
		return nil, errBroken
	}
	r, err := f.Open()
	if err != nil {
		return nil, errBroken
	}
	p := &part{w: w, file: r}
	p.in = xml.NewDecoder(p)
	return p, nil
}

// next is a token without namespaces and without a memory of what is open: depth costs nothing.
func (p *part) next() (xml.Token, error) {
	p.read = 0
	return p.in.RawToken()
}

// skip reads to the end of the element that has begun.
func (p *part) skip(local string) error { return p.text(local, nil) }

// text reads the text up to the end of the element that has begun.
func (p *part) text(local string, into *strings.Builder) error {
	for {
		t, err := p.next()
		if err != nil {
			return ended(err)
		}
		switch t := t.(type) {
		case xml.CharData:
			if into != nil {
				if into.Len()+len(t) > maxToken {
					return tooLarge("单元格内容过长", "the text of a cell is too long")
				}
				into.Write(t)
			}
		case xml.EndElement:
			if t.Name.Local == local {
				return nil
			}
		}
	}
}

// ended is the error of a part that stops within an element.
func ended(err error) error {
	if errors.Is(err, io.EOF) {
		return errBroken
	}
	return err
}

// whole visits all tokens of a part.
func (w *workbook) whole(name string, visit func(*part, xml.Token) error) error {
	p, err := w.part(name)
	if err != nil {
		return err
	}
	defer p.file.Close()
	for {
		t, err := p.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = visit(p, t)
		}
		if err != nil {
			return err
		}
	}
}

// each visits the beginnings of all elements.
func (w *workbook) each(name string, visit func(*part, xml.StartElement) error) error {
	return w.whole(name, func(p *part, t xml.Token) error {
		if s, ok := t.(xml.StartElement); ok {
			return visit(p, s)
		}
		return nil
	})
}

// merged is a cell that reaches over the rows from..to in column col, and what it says.
type merged struct {
	from, to, col int
	text          string
	number        number
}

// merges reads the merged cells of a sheet, which stand behind its rows, by where they
// begin. It looks for them byte by byte, since most sheets have none.
func (w *workbook) merges(name string) ([]merged, error) {
	left := w.left
	defer func() { w.left = left }() // the rows pay for the part
	p, err := w.part(name)
	if err != nil {
		return nil, err
	}
	defer p.file.Close()
	in := bufio.NewReaderSize(p, 64<<10)
	for {
		p.read = 0
		_, err := in.ReadSlice('<')
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case errors.Is(err, io.EOF):
			return nil, nil
		case err != nil:
			return nil, err
		}
		tag, _ := in.Peek(40)
		if before, _, ok := bytes.Cut(tag, []byte("mergeCells")); ok && !bytes.ContainsAny(before, " />") {
			break
		}
	}
	p.in = xml.NewDecoder(io.MultiReader(strings.NewReader("<"), in))
	var out []merged
	for {
		t, err := p.next()
		if err != nil {
			return nil, ended(err)
		}
		switch t := t.(type) {
		case xml.EndElement:
			if t.Name.Local == "mergeCells" {
				slices.SortFunc(out, func(a, b merged) int { return cmp.Or(cmp.Compare(a.from, b.from), cmp.Compare(a.col, b.col)) })
				return out, nil
			}
		case xml.StartElement:
			if t.Name.Local != "mergeCell" {
				continue
			}
			a, b, _ := strings.Cut(attr(t, "ref"), ":")
			from, col, ok1 := cellAt(a)
			to, _, ok2 := cellAt(b)
			if !ok1 || !ok2 || to <= from || col >= w.opt.Columns {
				continue // within a row, or beyond what is read
			}
			if len(out) >= maxMerged {
				return nil, tooLarge("合并单元格过多", "too many merged cells")
			}
			out = append(out, merged{from: from, to: to, col: col})
		}
	}
}

// cellAt reads a place: C7 is line 7, column 2.
func cellAt(s string) (line, col int, ok bool) {
	s = strings.ReplaceAll(s, "$", "")
	i := 0
	for i < len(s) && s[i]|0x20 >= 'a' && s[i]|0x20 <= 'z' {
		if col = col*26 + int(s[i]|0x20-'a') + 1; col > 1<<20 {
			return 0, 0, false
		}
		i++
	}
	line, err := strconv.Atoi(s[i:])
	return line, col - 1, err == nil && i > 0 && line >= 1 && line <= maxLine
}

// rows is a sheet on its way out.
type rows struct {
	w      *workbook
	sheet  string
	take   func(Row) error
	merges []merged // that have not begun
	open   []merged
	row    Row
	wide   bool
	col    int
}

func (w *workbook) sheet(s sheetPart, take func(Row) error) error {
	merges, err := w.merges(s.part)
	if err != nil {
		return err
	}
	r := &rows{w: w, sheet: s.name, take: take, merges: merges}
	return w.whole(s.part, r.token)
}

func (r *rows) token(p *part, t xml.Token) error {
	switch t := t.(type) {
	case xml.StartElement:
		switch t.Name.Local {
		case "row":
			return r.begin(attr(t, "r"))
		case "c":
			return r.cell(p, t)
		}
	case xml.EndElement:
		if t.Name.Local == "row" && r.row.Line > 0 {
			return r.end()
		}
	}
	return nil
}

// begin starts a row; some programs do not number them.
func (r *rows) begin(number string) error {
	line := r.row.Line + 1
	if n, err := strconv.Atoi(number); err == nil {
		line = n
	}
	if line <= r.row.Line || line > maxLine {
		return errBroken
	}
	r.row = Row{Sheet: r.sheet, Line: line}
	r.wide, r.col = false, 0
	return nil
}

// cell reads one cell: its value as text, a formula's last result.
func (r *rows) cell(p *part, c xml.StartElement) error {
	if _, col, ok := cellAt(attr(c, "r")); ok {
		r.col = col
	}
	col := r.col
	r.col++
	var value strings.Builder
	for {
		t, err := p.next()
		if err != nil {
			return ended(err)
		}
		switch t := t.(type) {
		case xml.StartElement:
			switch t.Name.Local {
			case "v", "t":
				err = p.text(t.Name.Local, &value)
			case "f", "rPh":
				err = p.skip(t.Name.Local)
			}
			if err != nil {
				return err
			}
		case xml.EndElement:
			if t.Name.Local == "c" {
				text, n := r.w.value(attr(c, "t"), attr(c, "s"), value.String())
				r.put(col, text, n)
				return nil
			}
		}
	}
}

// put sets a cell of the row.
func (r *rows) put(col int, text string, n number) {
	switch {
	case text == "":
		return
	case col >= r.w.opt.Columns:
		r.wide = true
		return
	}
	for len(r.row.Cells) <= col {
		r.row.Cells, r.row.numbers = append(r.row.Cells, ""), append(r.row.numbers, number{})
	}
	r.row.Cells[col], r.row.numbers[col] = text, n
}

// value is a cell's text by its type and style.
func (w *workbook) value(kind, style, raw string) (string, number) {
	switch kind {
	case "s":
		if n, err := strconv.Atoi(strings.TrimSpace(raw)); err == nil && n >= 0 && n < len(w.strings) {
			return w.strings[n], number{}
		}
		return "", number{}
	case "b":
		return map[bool]string{true: "TRUE", false: "FALSE"}[truth(strings.TrimSpace(raw))], number{}
	case "d": // ISO 8601
		return trim(strings.Replace(strings.TrimSuffix(strings.TrimSpace(raw), "T00:00:00"), "T", " ", 1)), number{}
	case "", "n":
		v, err := strconv.ParseFloat(strings.TrimSpace(raw), 64)
		if err != nil || v != v || v > 1e300 || v < -1e300 {
			return trim(raw), number{}
		}
		n := number{is: true, value: v, old: w.old}
		if s, err := strconv.Atoi(style); err == nil && s >= 0 && s < len(w.formats) {
			n.format = w.formats[s]
		}
		return n.text(n.format), n
	}
	return trim(raw), number{} // str, inlineStr, e
}

// end gives the row with what merged cells above it say.
func (r *rows) end() error {
	own := false
	for _, c := range r.row.Cells {
		own = own || c != ""
	}
	if err := r.fill(); err != nil {
		return err
	}
	line := r.row.Line
	defer func() { r.row = Row{Line: line} }()
	switch {
	case r.wide:
		return r.take(Row{Sheet: r.sheet, Line: line, Bad: refuse("列数过多", "too many columns")})
	case !own:
		return nil
	}
	return r.take(r.row)
}

func (r *rows) fill() error {
	line := r.row.Line
	r.open = slices.DeleteFunc(r.open, func(m merged) bool { return m.to < line })
	for _, m := range r.open {
		if m.text != "" && (m.col >= len(r.row.Cells) || r.row.Cells[m.col] == "") {
			r.put(m.col, m.text, m.number)
			r.row.Filled |= 1 << m.col
		}
	}
	for len(r.merges) > 0 && r.merges[0].from <= line {
		m := r.merges[0]
		r.merges = r.merges[1:]
		if m.from == line && m.col < len(r.row.Cells) {
			m.text, m.number = r.row.Cells[m.col], r.row.numbers[m.col]
		}
		if m.to > line {
			r.open = append(r.open, m)
		}
	}
	if len(r.open) > r.w.opt.Columns { // they cannot lie beside each other
		return errBroken
	}
	return nil
}
