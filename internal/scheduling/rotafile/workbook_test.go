package rotafile

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/xuri/excelize/v2"

	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/fault"
	"xinglin/internal/scheduling"
)

// page is a sheet of a workbook: its rows, and areas to merge.
type page struct {
	name   string
	rows   [][]any
	merged []string
	hidden bool
}

// book writes a workbook with excelize, a program that is not ours. Times get the format of a date.
func book(t testing.TB, pages ...page) *bytes.Reader {
	t.Helper()
	f := excelize.NewFile()
	defer f.Close()
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for i, p := range pages {
		if i == 0 {
			check(f.SetSheetName("Sheet1", p.name))
		} else {
			_, err := f.NewSheet(p.name)
			check(err)
		}
		for n, row := range p.rows {
			check(f.SetSheetRow(p.name, fmt.Sprintf("A%d", n+1), &row))
		}
		for _, m := range p.merged {
			a, b, _ := strings.Cut(m, ":")
			check(f.MergeCell(p.name, a, b))
		}
		if p.hidden {
			check(f.SetSheetVisible(p.name, false))
		}
	}
	var b bytes.Buffer
	check(f.Write(&b))
	return bytes.NewReader(b.Bytes())
}

func parseBook(t testing.TB, pages ...page) (Plan, *RowErrors, error) {
	t.Helper()
	return Read(book(t, pages...), Options{From: day("2026-03-01"), Calendar: cal})
}

func at(s string) time.Time {
	v, err := time.Parse(time.DateOnly, s)
	if err != nil {
		panic(err)
	}
	return v
}

// TestWorkbook: two campuses with a sheet and a form of their own each, beside what is no rota.
func TestWorkbook(t *testing.T) {
	cover := page{name: "说明", rows: [][]any{{"填表说明"}, {"请按模板填写"}}}
	main := page{name: "本部", merged: []string{"A1:L1", "A2:A3", "B2:B3", "D2:D3", "E2:E3", "F2:G2", "H2:H3", "I2:I3", "J2:J3", "K2:K3", "L2:L3", "C2:C3", "A4:A6", "B4:B5"}, rows: [][]any{
		{"某医院门诊出诊表"},
		{"院区", "科室", "医生", "执业证号", "星期/日期", "出诊", nil, "号别", "号源数", "每号分钟", "挂号费（元）", "开始时间"},
		{nil, nil, nil, nil, nil, "时段", "职称"},
		{"本部", "内科", "张三", int64(110310000000001), "周一", "上午", "主任医师", "专家", 20, 12, 50, 1.0 / 3},
		{nil, nil, "李四", "110310000000002", at("2026-03-10"), "下午", "主治医师", "普通", 10, 6, 25.5, nil},
		{nil, "外科", "王五", "110310000000003", 46090, "上午", "主治医师", "普通", 10, 6, "免费", "8:00-11:00"},
	}}
	east := page{name: "东院", rows: [][]any{
		{"挂号费", "每号分钟", "号源数", "号别", "时段", "日期", "执业证号", "医生", "科室", "院区", "起始日期", "结束日期", "类型"},
		{80, 30, 8, "特需", "下午", "2026年3月11日", "110310000000003", "王五", "外科", "东院", nil, nil, "加诊"},
		{nil, nil, nil, nil, nil, nil, "110310000000001", "张三", nil, nil, at("2026-03-16"), at("2026-03-17"), "停诊"},
	}}
	plan, sink, err := parseBook(t, cover, main, page{name: "旧", rows: main.rows, hidden: true}, east, page{name: "空"})
	if err != nil || sink.Total != 0 {
		t.Fatal(err, sink.Rows)
	}
	if d := cmp.Diff([]scheduling.SkippedSheet{{Name: "说明", Reason: "no_headings"}, {Name: "空", Reason: "no_headings"}, {Name: "旧", Reason: "hidden"}}, plan.Skipped); d != "" {
		t.Error(d)
	}
	if plan.Encoding != "xlsx" || plan.Rows != 5 || !slices.Equal(plan.Campuses, []string{"本部", "东院"}) {
		t.Errorf("%+v", plan)
	}
	if d := cmp.Diff([]Doctor{
		{"110310000000001", "张三", "主任医师", Department{"本部", "内科"}, 4, "本部"}, {"110310000000002", "李四", "主治医师", Department{"本部", "内科"}, 5, "本部"}, {"110310000000003", "王五", "主治医师", Department{"本部", "外科"}, 6, "本部"},
	}, plan.Doctors); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]Rule{{4, "本部", "110310000000001", Department{"本部", "内科"}, scheduling.RotaRule{Recurrence: "FREQ=WEEKLY;BYDAY=MO", From: day("2026-03-01"), Duty: scheduling.Duty{
		Session: scheduling.Morning, Class: scheduling.Expert, Seats: 20, SlotMinutes: 12, Fee: 5000, Start: 480, End: 720,
	}}}}, plan.Rules); d != "" {
		t.Error(d)
	}
	var got []string
	for _, e := range plan.Exceptions {
		got = append(got, fmt.Sprintf("%s %d %s %s %s %d %d %d-%d", e.Sheet, e.Line, e.Exception.Kind, e.Exception.From, e.Exception.To, e.Exception.Duty.Seats, e.Exception.Duty.Fee, e.Exception.Duty.Start, e.Exception.Duty.End))
	}
	if d := cmp.Diff([]string{
		"本部 5 extra 2026-03-10 2026-03-10 10 2550 840-1050", "本部 6 extra 2026-03-09 2026-03-09 10 0 480-660", "东院 2 extra 2026-03-11 2026-03-11 8 8000 840-1050", "东院 3 leave 2026-03-16 2026-03-17 0 0 0-0",
	}, got); d != "" {
		t.Error(d)
	}
}

// TestWorkbookErrors names sheet, row and column, and rows of other sheets by their sheet.
func TestWorkbookErrors(t *testing.T) {
	head := []any{"院区", "科室", "医生", "执业证号", "星期/日期", "时段", "号别", "号源数", "每号分钟", "挂号费", "开始时间"}
	row := func(edit map[int]any) []any {
		out := []any{"本部", "内科", "张三", "110310000000001", "周一", "上午", "专家", 20, 12, 50, "8:00"}
		for i, v := range edit {
			out[i] = v
		}
		return out
	}
	_, sink, err := parseBook(t, page{name: "一", rows: [][]any{
		head, row(nil), row(map[int]any{4: 12}), row(map[int]any{4: "周二", 10: 25.0 / 24}), row(map[int]any{4: "周三", 9: -5}), row(map[int]any{4: "周四", 7: 1.5}), row(map[int]any{4: 2958466}),
	}}, page{name: "二", rows: [][]any{
		{}, head, row(nil), row(map[int]any{0: "东院"}), row(map[int]any{2: "李四", 4: "周五"}), {nil, nil, "赵六", "110310000000009"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range sink.Rows {
		got = append(got, fmt.Sprintf("%s %d %s", e.Sheet, e.Line, e.Column))
	}
	want := []string{
		"一 3 星期/日期", "一 4 开始时间", "一 5 挂号费", "一 6 号源数", "一 7 星期/日期", "二 3 医生", "二 4 时段", "二 5 执业证号",
		"二 6 星期/日期", "二 6 院区", "二 6 科室", "二 6 时段", "二 6 号别", "二 6 号源数", "二 6 每号分钟", "二 6 挂号费",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Fatal(d)
	}
	if zh, en := sink.Rows[5].ReasonZH, sink.Rows[5].ReasonEN; zh != "与工作表“一”第 2 行重复" || en != `repeats line 2 of the sheet "一"` {
		t.Errorf("%s, %s", zh, en)
	}
}

func TestWorkbookRefusals(t *testing.T) {
	head := []any{"院区", "科室", "医生", "执业证号", "星期/日期", "时段", "号别", "号源数", "每号分钟", "挂号费"}
	for name, rows := range map[string][][]any{
		"no headings": {{"a", "b"}}, "a column is missing": {head[:9], {"本部"}}, "no rows": {head}, "twice": {append(slices.Clone(head), "科室"), {"x"}},
	} {
		_, _, err := parseBook(t, page{name: "一", rows: rows})
		if f := fault.Of(err); f == nil || f.Code != scheduling.ErrImportUnreadable || len(f.Details) == 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestLongWorkbook: 12,000 rows are read; no bound lies between them and the most that are taken (TestLimits).
func TestLongWorkbook(t *testing.T) {
	const n = 12_000
	long := func() *bytes.Reader {
		f := excelize.NewFile()
		defer f.Close()
		w, err := f.NewStreamWriter("Sheet1")
		if err != nil {
			t.Fatal(err)
		}
		must := func(err error) {
			if err != nil {
				t.Fatal(err)
			}
		}
		must(w.SetRow("A1", []any{"院区", "科室", "医生", "执业证号", "星期/日期", "时段", "号别", "号源数", "每号分钟", "挂号费"}))
		for i := range n {
			must(w.SetRow(fmt.Sprintf("A%d", i+2), []any{"本部", "内科", fmt.Sprintf("医生%d", i/200), fmt.Sprintf("1103%011d", i/200), clock.Date(20600 + i%500).String(), "上午", "专家", 20, 12, 50}))
		}
		must(w.Flush())
		var b bytes.Buffer
		must(f.Write(&b))
		return bytes.NewReader(b.Bytes())
	}
	plan, sink, err := Read(long(), Options{From: day("2026-03-01"), Calendar: cal})
	if err != nil || sink.Total != 0 || plan.Rows != n || len(plan.Doctors) != 60 {
		t.Errorf("%v %+v %d rows", err, sink.Rows, plan.Rows)
	}
}
