package sheet

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/xuri/excelize/v2"
)

var small = Options{Bytes: 16 << 20, Unpacked: 64 << 20, Rows: 1000, Columns: 60}

// read gives rows in short: "sheet!line a|b", "!" for a bad row, "^" before a filled cell.
func read(t testing.TB, file []byte, opt Options) (lines []string, info Info, err error) {
	t.Helper()
	info, err = Read(bytes.NewReader(file), opt, func(r Row) error {
		var cells []string
		for i, c := range r.Cells {
			if r.Filled&(1<<i) != 0 {
				c = "^" + c
			}
			cells = append(cells, c)
		}
		text := strings.Join(cells, "|")
		if r.Bad != nil {
			text = "!" + r.Bad.EN
		}
		lines = append(lines, fmt.Sprintf("%s!%d %s", r.Sheet, r.Line, text))
		return nil
	})
	return lines, info, err
}

func refusal(err error) *Refusal {
	var r *Refusal
	errors.As(err, &r)
	return r
}

func zipped(t testing.TB, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	if _, err := z.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestText(t *testing.T) {
	for name, x := range map[string]struct {
		in   string
		want []string
	}{
		"commas":       {"a, b ,c\n\n,,\n\"x\ny\",,z,,\n", []string{"!1 a|b|c", "!4 x y||z"}},
		"tabs":         {"a\tb,c\td\r\n1\t2", []string{"!1 a|b,c|d", "!2 1|2"}},
		"broken quote": {"a,b\n\"x\"y,2\n3,4\n", []string{"!1 a|b", "!2 !the quotes do not pair", "!3 3|4"}},
		"wide":         {"a,b\n" + strings.Repeat(",", 61) + "x\n", []string{"!1 a|b", "!2 !too many columns"}},
		"full width":   {"Ａ，Ｂ,c\n", []string{"!1 Ａ，Ｂ|c"}},
	} {
		for _, file := range [][]byte{[]byte(x.in), zipped(t, []byte(x.in))} {
			got, _, err := read(t, file, small)
			if d := cmp.Diff(x.want, got); err != nil || d != "" {
				t.Errorf("%s: %v %s", name, err, d)
			}
		}
	}
}

func TestPlain(t *testing.T) {
	opt := small
	opt.Plain = regexp.MustCompile(`^([A-Z]\d\d\.\S+)\s+(.+)$`)
	got, _, err := read(t, []byte("\ufeffA00.000 霍乱，a, \"b\"\r\n\r\nnothing\r\nI10.x00\t高血压\r\n"), opt)
	if d := cmp.Diff([]string{`!1 A00.000|霍乱，a, "b"`, "!3 !the line has another form than the first", "!4 I10.x00|高血压"}, got); err != nil || d != "" {
		t.Errorf("%v %s", err, d)
	}
	if got, _, err := read(t, []byte("code,name\nA00.000 x,y\n"), opt); err != nil || len(got) != 2 || got[1] != "!2 A00.000 x|y" {
		t.Errorf("a first line with separators: %v %v", err, got)
	}
}

func TestRefusals(t *testing.T) {
	gz := zipped(t, bytes.Repeat([]byte("a,b\n"), 1000))
	rotten := bytes.Clone(gz)
	rotten[len(rotten)-5] ^= 1
	for name, x := range map[string]struct {
		in    []byte
		large bool
	}{
		"empty": {nil, false}, "spaces": {[]byte(" \n"), false}, "old workbook": {[]byte("\xd0\xcf\x11\xe0\xa1\xb1"), false},
		"no text": {[]byte("\xff\xff\xff\xfe\x00\x01"), false}, "half a zip": {[]byte("PK\x03\x04xxxx"), false},
		"cut gzip": {gz[:len(gz)-9], false}, "gzip with a wrong sum": {rotten, false}, "gzip head": {[]byte("\x1f\x8b\x09"), false},
		"gzip bomb": {zipped(t, make([]byte, 17<<20)), true}, "large": {make([]byte, 16<<20+1), true}, "rows": {bytes.Repeat([]byte("a\n"), 1001), true},
	} {
		_, _, err := read(t, x.in, small)
		if r := refusal(err); r == nil || r.Large != x.large || r.ZH == "" || r.EN == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err := Read(io.MultiReader(strings.NewReader("a,b\n"), failing{}), small, func(Row) error { return nil })
	if refusal(err) != nil || !errors.Is(err, errReader) {
		t.Errorf("the reader's own error: %v", err)
	}
	if _, err := Read(strings.NewReader("a\nb\n"), small, func(Row) error { return errReader }); !errors.Is(err, errReader) {
		t.Errorf("the taker's error: %v", err)
	}
}

var errReader = errors.New("cannot read")

type failing struct{}

// Read implements io.Reader.
func (failing) Read([]byte) (int, error) { return 0, errReader }

// book writes a workbook with excelize, a program that is not ours.
func book(t testing.TB, make func(f *excelize.File)) []byte {
	t.Helper()
	f := excelize.NewFile()
	defer f.Close()
	make(f)
	var b bytes.Buffer
	if err := f.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func must(t testing.TB, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}

func style(t testing.TB, f *excelize.File, number int, custom string) int {
	t.Helper()
	s := &excelize.Style{NumFmt: number}
	if custom != "" {
		s.CustomNumFmt = &custom
	}
	id, err := f.NewStyle(s)
	must(t, err)
	return id
}

// TestWorkbook: what another program writes is read as a person sees it.
func TestWorkbook(t *testing.T) {
	file := book(t, func(f *excelize.File) {
		day := time.Date(2026, 3, 4, 0, 0, 0, 0, time.UTC)
		must(t, f.SetSheetName("Sheet1", "门诊"), f.SetCellValue("门诊", "A1", "某医院"), f.MergeCell("门诊", "A1", "D1"))
		must(t, f.SetSheetRow("门诊", "A3", &[]any{"院区", "日期", "时间", "数", "费", "真"}))
		must(t, f.SetSheetRow("门诊", "A4", &[]any{" 本部 ", day, 1.0 / 3, 12, 25.3, true}))
		must(t, f.SetSheetRow("门诊", "A5", &[]any{nil, day.Add(8*time.Hour + 30*time.Minute), 25.0 / 24, 0.1 + 0.2, int64(110310000000001), false}))
		must(t, f.SetSheetRow("门诊", "A7", &[]any{nil, "2026年3月4日", "8:00", 46085, 0.28999999999999998, "x"}))
		must(t, f.MergeCell("门诊", "A4", "A9"), f.MergeCell("门诊", "F7", "F8"), f.SetRowVisible("门诊", 7, false))
		for cell, s := range map[string]int{
			"B4": style(t, f, 0, `yyyy"年"m"月"d"日"`), "B5": style(t, f, 22, ""), "C4": style(t, f, 0, "[$-804]h:mm;@"), "C5": style(t, f, 46, ""), "D4": style(t, f, 0, "0.00"),
		} {
			must(t, f.SetCellStyle("门诊", cell, cell, s))
		}
		must(t, f.SetCellRichText("门诊", "G7", []excelize.RichTextRun{{Text: "红"}, {Text: "字", Font: &excelize.Font{Bold: true}}}))
		must(t, f.SetCellFormula("门诊", "G4", "SUM(D4:D5)"))
		for _, s := range []string{"空", "藏", "夜"} {
			_, err := f.NewSheet(s)
			must(t, err)
		}
		must(t, f.SetCellValue("藏", "A1", "secret"), f.SetSheetVisible("藏", false), f.SetSheetRow("夜", "B2", &[]any{"晚", "<&>"}))
	})
	want := []string{
		"门诊!1 某医院", "门诊!3 院区|日期|时间|数|费|真", "门诊!4 本部|2026-03-04|08:00|12|25.3|TRUE", "门诊!5 ^本部|2026-03-04 08:30|25:00|0.3|110310000000001|FALSE",
		"门诊!7 ^本部|2026年3月4日|8:00|46085|0.29|x|红字", "夜!2 |晚|<&>",
	}
	for _, b := range [][]byte{file, zipped(t, file)} {
		got, info, err := read(t, b, small)
		if d := cmp.Diff(want, got); err != nil || d != "" {
			t.Errorf("%v %s", err, d)
		}
		if d := cmp.Diff(Info{"xlsx", []string{"门诊", "空", "夜"}, []string{"藏"}}, info); d != "" {
			t.Error(d)
		}
	}
	_, err := Read(bytes.NewReader(file), small, func(r Row) error {
		day, isDay := r.Date(3)
		at, isTime := r.Clock(2)
		if r.Sheet == "门诊" && r.Line == 7 && (day != "2026-03-04" || !isDay || isTime) || r.Line == 4 && (isDay || at != "08:00" || !isTime) || r.Line == 5 && isTime {
			t.Errorf("row %d: %s %v, %s %v", r.Line, day, isDay, at, isTime)
		}
		return nil
	})
	must(t, err)
}

// TestOldEpoch: workbooks of old Macs count days from 1904.
func TestOldEpoch(t *testing.T) {
	file := book(t, func(f *excelize.File) {
		yes := true
		must(t, f.SetWorkbookProps(&excelize.WorkbookPropsOptions{Date1904: &yes}), f.SetCellValue("Sheet1", "A1", 46085-1462), f.SetCellStyle("Sheet1", "A1", "A1", style(t, f, 14, "")))
	})
	if got, _, err := read(t, file, small); err != nil || got[0] != "Sheet1!1 2026-03-04" {
		t.Errorf("%v %v", got, err)
	}
}

func TestFormats(t *testing.T) {
	for code, want := range map[string]format{
		"yyyy-mm-dd": date, `yyyy"年"m"月"`: date, "[$-409]mmmm d, yyyy;@": date, "h:mm": clock, "[h]:mm:ss": clock, "mm:ss": clock, "上午/下午h:mm": clock,
		"yyyy/m/d h:mm": dateClock, "General": plain, "0.00": plain, `"day"0`: plain, `#,##0"h"`: plain, "[Red]0": plain, `\d0`: plain, "0_);[Red](0)": plain, `"open`: plain, "[open": plain,
	} {
		if got := formatOf(code); got != want {
			t.Errorf("%s: %d, want %d", code, got, want)
		}
	}
}

const (
	types   = `<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"/>`
	oneBook = `<x:workbook xmlns:x="s" xmlns:r="r"><x:workbookPr date1904="false"/><x:sheets><x:sheet name="一" r:id="a"/></x:sheets></x:workbook>`
	oneRel  = `<Relationships><Relationship Id="a" Type="http://purl.oclc.org/ooxml/officeDocument/relationships/worksheet" Target="/xl/s.xml"/>%s</Relationships>`
)

// raw packs parts into a workbook with one sheet.
func raw(t testing.TB, sheet, more string, parts map[string]string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	all := map[string]string{"[Content_Types].xml": types, "xl/workbook.xml": oneBook, "xl/_rels/workbook.xml.rels": fmt.Sprintf(oneRel, more), "xl/s.xml": sheet}
	for name, text := range parts {
		all[name] = text
	}
	for name, text := range all {
		if text == "" {
			continue
		}
		w, err := z.Create(name)
		must(t, err)
		_, err = io.WriteString(w, text)
		must(t, err)
	}
	must(t, z.Close())
	return b.Bytes()
}

// TestForeign: prefixes, parts with a slash, rows and cells without numbers, inline texts, readings.
func TestForeign(t *testing.T) {
	sheet := `<x:worksheet><x:sheetData><x:row><x:c t="inlineStr"><x:is><x:r><x:t>甲</x:t></x:r><x:rPh><x:t>jia</x:t></x:rPh><x:r><x:t>乙</x:t></x:r></x:is></x:c><x:c t="d"><x:v>2026-03-04T00:00:00</x:v></x:c></x:row>` +
		`<x:row/><x:row><x:c t="e"><x:f>1/0</x:f><x:v>#DIV/0!</x:v></x:c><x:c t="str"><x:v> a&#10;b </x:v></x:c><x:c t="s"><x:v>9</x:v></x:c><x:c t="n"><x:v>x</x:v></x:c></x:row></x:sheetData></x:worksheet>`
	got, _, err := read(t, raw(t, sheet, "", nil), small)
	if d := cmp.Diff([]string{"一!1 甲乙|2026-03-04", "一!3 #DIV/0!|a b||x"}, got); err != nil || d != "" {
		t.Errorf("%v %s", err, d)
	}
}

// TestBombs: what claims to be small and is not is refused, from bounded memory.
func TestBombs(t *testing.T) {
	const limit = 8 << 20
	opt := small
	opt.Unpacked = limit
	shared := `<Relationship Id="b" Type="x/sharedStrings" Target="t.xml"/>`
	for name, file := range map[string][]byte{
		"rows":           raw(t, "<w>"+strings.Repeat(`<row><c><v>1</v></c></row>`, limit/20), "", nil),
		"one text":       raw(t, "<w><row><c><v>"+strings.Repeat("1", 2*limit), "", nil),
		"one attribute":  raw(t, `<w><row r="`+strings.Repeat("1", 2*limit), "", nil),
		"depth":          raw(t, strings.Repeat("<a>", limit/2), "", nil),
		"strings":        raw(t, "<w/>", shared, map[string]string{"xl/t.xml": strings.Repeat("<si/>", limit/4)}),
		"merged cells":   raw(t, "<w><mergeCells>"+strings.Repeat(`<mergeCell ref="A1:A9"/>`, limit/20), "", nil),
		"a long mergers": raw(t, "<w><mergeCells "+strings.Repeat("m", 2*limit), "", nil),
	} {
		if len(file) > 1<<20 {
			t.Fatalf("%s: the bomb has %d bytes", name, len(file))
		}
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		_, _, err := read(t, file, opt)
		runtime.ReadMemStats(&after)
		if r := refusal(err); r == nil || !r.Large {
			t.Errorf("%s: %v", name, err)
		}
		if kept := int64(after.HeapInuse) - int64(before.HeapInuse); kept > 100<<20 {
			t.Errorf("%s: %d MiB", name, kept>>20)
		}
	}
}

func TestBroken(t *testing.T) {
	good := `<w><sheetData><row r="1"><c r="A1"><v>1</v></c></row></sheetData></w>`
	file := raw(t, good, "", nil)
	flipped := bytes.Clone(file)
	flipped[bytes.Index(flipped, []byte("xl/s.xml"))+20] ^= 0xff
	for name, b := range map[string][]byte{
		"cut": file[:len(file)-30], "flipped": flipped, "no types": raw(t, good, "", map[string]string{"[Content_Types].xml": ""}), "no workbook": raw(t, good, "", map[string]string{"xl/workbook.xml": ""}),
		"no sheet": raw(t, "", "", nil), "not XML": raw(t, "<w><row<<", "", nil), "ends": raw(t, "<w><row><c><v>1", "", nil), "rows go back": raw(t, `<row r="5"></row><row r="4"></row>`, "", nil),
		"overlapping": raw(t, `<row r="1"><c r="A1"><v>1</v></c></row><mergeCells>`+strings.Repeat(`<mergeCell ref="A1:A9"/>`, 61)+`</mergeCells>`, "", nil),
		"no sheets":   raw(t, good, "", map[string]string{"xl/workbook.xml": "<workbook/>"}), "binary": raw(t, good, "", map[string]string{"_rels/.rels": `<Relationship Id="x" Type="/officeDocument" Target="xl/workbook.bin"/>`, "xl/workbook.bin": "x"}),
	} {
		if _, _, err := read(t, b, small); refusal(err) == nil || refusal(err).Large {
			t.Errorf("%s: %v", name, err)
		}
	}
	wide := `<row r="1"><c r="ZZ1"><v>1</v></c></row><row r="2"><c r="ZZ2"/><c r="!"><v></v></c></row>`
	if got, _, err := read(t, raw(t, wide, "", nil), small); err != nil || len(got) != 1 || got[0] != "一!1 !too many columns" {
		t.Errorf("%v %v", got, err)
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte("a,b\n1,2\n"))
	f.Add(zipped(f, []byte("a,b\n1,2\n")))
	f.Add(raw(f, `<row r="1"><c r="A1"><v>1</v></c></row><mergeCells><mergeCell ref="A1:A9"/></mergeCells>`, "", nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		_, _ = Read(bytes.NewReader(b), small, func(r Row) error {
			if len(r.Cells) > small.Columns || (len(r.Cells) == 0) != (r.Bad != nil) {
				t.Fatalf("%+v", r)
			}
			for i := range r.Cells {
				_, _ = r.Date(i)
				_, _ = r.Clock(i)
			}
			return nil
		})
	})
}
