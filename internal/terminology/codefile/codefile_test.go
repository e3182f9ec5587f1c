package codefile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/xuri/excelize/v2"
	"golang.org/x/text/encoding/simplifiedchinese"

	"xinglin/internal/kernel/fault"
	"xinglin/internal/terminology"
)

func read(file io.Reader) (got, refused []string, info Info, err error) {
	info, err = Read(file, func(e Entry) error {
		got = append(got, strings.TrimSpace(e.Code+" "+e.Name))
		return nil
	}, func(r terminology.RefusedRow) {
		refused = append(refused, strings.TrimSpace(fmt.Sprintf("%s %d %s", r.Sheet, r.Line, r.Column)))
	})
	return got, refused, info, err
}

func TestForms(t *testing.T) {
	for code, want := range map[string]string{
		"I10.x00": "I10.x00", "i10.X00": "I10.x00", "Ｉ１０．ｘ００": "I10.x00", "J45.900X001": "J45.900x001", "X60.x00": "X60.x00", "A17.000†G01*": "A17.000+G01*", "A00": "A00",
		"A00.0": "A00.0", " a00.000 x001 ": "A00.000x001", "E10.300x001+H36.0*": "E10.300x001+H36.0*", "M80000/3": "M80000/3", "A17.000+X01.0*": "A17.000+X01.0*",
	} {
		if got := Normal(code); got != want || !Valid(got) {
			t.Errorf("%q: %q, %v", code, got, Valid(got))
		}
	}
	for _, code := range []string{"", "A0", "00.0100", "A00-A09", "A00.", "A00.0000", "霍乱", "A00.000x", "A00.000 霍乱", "I", "A00.000+", "A00;DROP"} {
		if c := Normal(code); Valid(c) && code != "A00.000+" { // a dagger without its asterisk code is one
			t.Errorf("%q is valid", code)
		}
	}
}

func TestLists(t *testing.T) {
	want := []string{"A00.000 霍乱，由于O1群", "I10.x00 特发性 高血压"}
	gbk, err := simplifiedchinese.GBK.NewEncoder().String("名称\t编码\n霍乱，由于O1群\tA00.000\n特发性 高血压\tI10.X00\n")
	if err != nil {
		t.Fatal(err)
	}
	for name, in := range map[string]string{
		"code and name lines": "A00.000 霍乱，由于O1群\nI10.x00   特发性 高血压\n",
		"no headings":         "A00.000,霍乱，由于O1群\n\nI10.x00,特发性 高血压\n",
		"tabs, no headings":   "A00.000\t霍乱，由于O1群\nI10.x00\t特发性 高血压\n",
		"headings, title":     "国家版\n序号,名称(全称),诊断编码\n1,霍乱，由于O1群,a00.000\n2,特发性 高血压,I10.x00\n",
		"many columns":        "章代码,类目编码,类目名称,诊断代码,诊断名称\nI,A00,霍乱,A00.000,霍乱，由于O1群\nIX,I10,特发性,I10.x00,特发性 高血压\n",
		"gbk":                 gbk,
		"repeated":            "A00.000 霍乱，由于O1群\nI10.x00 特发性 高血压\n",
	} {
		got, refused, _, err := read(strings.NewReader(in))
		if d := cmp.Diff(want, got); err != nil || d != "" || len(refused) != 0 {
			t.Errorf("%s: %v %v %s", name, err, refused, d)
		}
	}
}

func TestWorkbook(t *testing.T) {
	f := excelize.NewFile()
	defer f.Close()
	_, err := f.NewSheet("目录")
	errs := []error{err}
	errs = append(errs, f.SetSheetRow("Sheet1", "A1", &[]any{"医保版"}), f.SetSheetRow("Sheet1", "A2", &[]any{"诊断名称", "诊断代码"}),
		f.SetSheetRow("Sheet1", "A3", &[]any{"霍乱", "A00.900"}), f.SetSheetRow("Sheet1", "A4", &[]any{"x", 12}), f.SetCellValue("目录", "A1", "说明"))
	var b bytes.Buffer
	if err := errors.Join(append(errs, f.Write(&b))...); err != nil {
		t.Fatal(err)
	}
	got, refused, info, err := read(&b)
	if err != nil || fmt.Sprint(got, refused, info) != "[A00.900 霍乱] [Sheet1 4 code] {xlsx 2 [目录]}" {
		t.Errorf("%v %v %v %v", err, got, refused, info)
	}
}

func TestRefused(t *testing.T) {
	got, refused, info, err := read(strings.NewReader("code,name\nA00.000,霍乱\nA00.000,霍乱\nA00.000,另一个\n,无\nA0,短\nA01.000,\n\"x\"y,1\nA02.000," + strings.Repeat("长", 301) + "\nA03.900,痢疾\n"))
	if d := cmp.Diff([]string{"A00.000 霍乱", "", "A03.900 痢疾"}, got); err != nil || d != "" {
		t.Errorf("%v %s", err, d)
	}
	if d := cmp.Diff([]string{"4 code", "5 code", "6 code", "7 name", "8", "9 name"}, refused); d != "" || info.Rows != 9 {
		t.Errorf("%d rows %s", info.Rows, d)
	}
	for name, x := range map[string]struct {
		in   string
		code *fault.Code
	}{
		"empty": {"", terminology.ErrUnreadable}, "no columns": {"a,b\n1,2\n", terminology.ErrUnreadable}, "procedures": {"00.0100 头和颈部血管治疗性超声\n", terminology.ErrUnreadable},
		"broken workbook": {"PK\x03\x04", terminology.ErrUnreadable}, "rows": {"code,name\n" + strings.Repeat("A00.000,x\n", maxRows+maxHeadingRow), terminology.ErrTooLarge},
		"bytes": {strings.Repeat("x", maxBytes+1), terminology.ErrTooLarge},
	} {
		_, _, _, err := read(strings.NewReader(x.in))
		if f := fault.Of(err); f == nil || f.Code != x.code || len(f.Details) == 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
	stop := errors.New("stop")
	if _, err := Read(strings.NewReader("A00.000 x\n"), func(Entry) error { return stop }, nil); !errors.Is(err, stop) {
		t.Errorf("%v", err)
	}
}
