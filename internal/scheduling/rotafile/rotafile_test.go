package rotafile

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/text/encoding/simplifiedchinese"
	utf "golang.org/x/text/encoding/unicode"

	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/fault"
	"xinglin/internal/platform/calendar"
	"xinglin/internal/scheduling"
	"xinglin/internal/scheduling/rotagen"
	"xinglin/internal/scheduling/rotaplan"
)

var cal = calendar.Embedded()

func day(s string) clock.Date {
	d, err := clock.ParseDate(s)
	if err != nil {
		panic(err)
	}
	return d
}

const head = "院区,科室,医生,执业证号,职称,星期/日期,时段,号别,号源数,每号分钟,挂号费,开始时间,起始日期,结束日期,类型\n"

const sound = "本部,内科,张三,110310000000001,主任医师,周一,上午,专家,20,12,50,8:00,2026-03-01,2026-05-31,出诊\n"

func parse(t *testing.T, s string) (Plan, *RowErrors, error) {
	t.Helper()
	return Read(strings.NewReader(s), Options{From: day("2026-03-01"), Calendar: cal})
}

func TestPlan(t *testing.T) {
	plan, sink, err := parse(t, head+sound+
		"东院,儿科,李 四,110310000000002,主治医师,周一、周三,下午,普通号,30个,7分钟,¥25.50,14：00-17：30,2026/3/1,长期,\n"+
		",,张三,110310000000001,,2026年3月9日,全天,,,,,,,,停诊\n"+
		",,张三,110310000000001,,,上午,,,,,,2026.4.6,2026.4.13,请假\n"+
		"本部,内科,张三,110310000000001,主任医师,2026-03-07,上午,特需,8,30,300元,,,,加诊\n"+
		"本部,内科,张三,110310000000001,主任医师,20260509,下午,专家,10,15,免费,,,,补班\n"+
		",,李四,110310000000002,,2026-03-04,下午,,12,,,,,,调整\n")
	if err != nil || sink.Total != 0 {
		t.Fatal(err, sink.Rows)
	}
	if plan.Rows != 7 || plan.Encoding != "utf-8" || !slices.Equal(plan.Campuses, []string{"本部", "东院"}) || len(plan.Departments) != 2 {
		t.Errorf("%+v", plan)
	}
	if d := cmp.Diff([]Doctor{
		{"110310000000001", "张三", "主任医师", Department{"本部", "内科"}, 2, ""}, {"110310000000002", "李四", "主治医师", Department{"东院", "儿科"}, 3, ""},
	}, plan.Doctors); d != "" {
		t.Error(d)
	}
	if len(plan.Rules) != 2 {
		t.Fatalf("%+v", plan.Rules)
	}
	if d := cmp.Diff(scheduling.RotaRule{Recurrence: "FREQ=WEEKLY;BYDAY=MO,WE", From: day("2026-03-01"), Duty: scheduling.Duty{
		Session: scheduling.Afternoon, Class: scheduling.Ordinary, Seats: 30, SlotMinutes: 7, Fee: 2550, Start: 14 * 60, End: 17*60 + 30,
	}}, plan.Rules[1].Rule); d != "" {
		t.Error(d)
	}
	var got []string
	for _, e := range plan.Exceptions {
		got = append(got, fmt.Sprint(e.Line, e.Exception.Kind, e.Exception.From, e.Exception.To, e.Exception.Duty.Session, e.Exception.Duty.Seats, e.Exception.Duty.Fee))
	}
	want := []string{
		"4 leave 2026-03-09 2026-03-09  0 0.00", "5 leave 2026-04-06 2026-04-13 morning 0 0.00", "6 extra 2026-03-07 2026-03-07 morning 8 300.00",
		"7 makeup 2026-05-09 2026-05-09 afternoon 10 0.00", "8 seats 2026-03-04 2026-03-04 afternoon 12 0.00",
	}
	for i := range got { // Sprint puts spaces between non-strings only
		got[i], want[i] = strings.ReplaceAll(got[i], " ", ""), strings.ReplaceAll(want[i], " ", "")
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestHeadings(t *testing.T) {
	english := "Fee\tSlot minutes\tSeats\tClass\tSession\tWeekday\tLicence_No\tDoctor\tDepartment\tCampus\n50\t12\t20\texpert\tAM\tMon, Wed\t110310000000001\tZhang San\tMedicine\tMain\n"
	plan, sink, err := parse(t, english)
	if err != nil || sink.Total != 0 || plan.Rules[0].Rule.Recurrence != "FREQ=WEEKLY;BYDAY=MO,WE" || plan.Doctors[0].Name != "Zhang San" || plan.Rules[0].Rule.From != day("2026-03-01") {
		t.Errorf("english, tabs, other order: %v %+v %+v", err, sink, plan)
	}
	titled := "某医院门诊出诊表,,,\n\n,,\n" + strings.Replace(head, "挂号费", "挂号费（元）", 1) + ",,,,\n" + sound
	if plan, sink, err := parse(t, titled); err != nil || sink.Total != 0 || len(plan.Rules) != 1 || plan.Rules[0].Line != 6 {
		t.Errorf("title above, empty lines: %v %+v %+v", err, sink, plan)
	}
	for name, s := range map[string]string{
		"empty": "", "spaces": " \n\n", "no heading": "a,b,c\n1,2,3\n", "no rows": head, "workbook": "PK\x03\x04xxxx",
		"column missing": strings.Replace(head, "执业证号", "工号", 1) + sound, "no day": strings.Replace(head, "星期/日期", "x", 1) + sound,
		"twice": strings.Replace(head, "职称", "科室", 1) + sound, "no text": "\xff\xff\xff\xfe\x00\x01", "nul": head + "\x00" + sound,
	} {
		_, _, err := parse(t, s)
		if f := fault.Of(err); f == nil || f.Code != scheduling.ErrImportUnreadable || len(f.Details) == 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestEncodings(t *testing.T) {
	gbk, err := simplifiedchinese.GBK.NewEncoder().String(head + sound)
	if err != nil {
		t.Fatal(err)
	}
	u16, err := utf.UTF16(utf.LittleEndian, utf.UseBOM).NewEncoder().String(strings.ReplaceAll(head+sound, ",", "\t"))
	if err != nil {
		t.Fatal(err)
	}
	want, _, _ := parse(t, head+sound)
	for enc, s := range map[string]string{"utf-8": head + sound, "utf-8-bom": "\ufeff" + head + sound, "gbk": gbk, "utf-16": u16, "utf-8 ": strings.ReplaceAll(head+sound, "\n", "\r\n")} {
		plan, sink, err := parse(t, s)
		want.Encoding = strings.TrimSpace(enc)
		if err != nil || sink.Total != 0 {
			t.Errorf("%s: %v %v", enc, err, sink.Rows)
		}
		if d := cmp.Diff(want, plan); d != "" {
			t.Errorf("%s: %s", enc, d)
		}
	}
}

// TestBadRows changes one cell of a sound row and wants it named.
func TestBadRows(t *testing.T) {
	cells := strings.Split(strings.TrimSpace(sound), ",")
	names := strings.Split(strings.TrimSpace(head), ",")
	for _, x := range []struct {
		col  string
		cell string
	}{
		{"院区", ""},
		{"科室", "　"},
		{"科室", strings.Repeat("内", 61)},
		{"医生", ""},
		{"执业证号", ""},
		{"执业证号", "11031000000000"},
		{"执业证号", "1103100000000O1"},
		{"星期/日期", ""},
		{"星期/日期", "周八"},
		{"星期/日期", "2026-02-30"},
		{"星期/日期", "周一、周八"},
		{"时段", "凌晨"},
		{"时段", "全天"},
		{"时段", ""},
		{"号别", "名医"},
		{"号源数", "0"},
		{"号源数", "-1"},
		{"号源数", "1.5"},
		{"号源数", "501"},
		{"号源数", "九"},
		{"号源数", "99999999999999999999"},
		{"每号分钟", "0"},
		{"每号分钟", "481"},
		{"挂号费", ""},
		{"挂号费", "五十"},
		{"挂号费", "50.123"},
		{"挂号费", "-5"},
		{"挂号费", "5001"},
		{"挂号费", "1e3"},
		{"开始时间", "25:00"},
		{"开始时间", "14:00"},
		{"开始时间", "8:00-19:00"},
		{"起始日期", "46082"},
		{"起始日期", "2026-06-01"},
		{"结束日期", "2026-02-29"},
		{"类型", "出差"},
	} {
		i := slices.Index(names, x.col)
		row := slices.Clone(cells)
		row[i] = x.cell
		_, sink, err := parse(t, head+sound+strings.Join(row, ",")+"\n")
		want := x.col
		if x.col == "起始日期" && x.cell == "2026-06-01" {
			want = "结束日期"
		}
		if err != nil || sink.Total == 0 || sink.Rows[0].Line != 3 || sink.Rows[0].Column != want || sink.Rows[0].ReasonZH == "" || sink.Rows[0].ReasonEN == "" {
			t.Errorf("%s %q: %v %+v", x.col, x.cell, err, sink.Rows)
		}
	}
}

func TestClashes(t *testing.T) {
	row := func(edit ...string) string { return strings.NewReplacer(edit...).Replace(sound) }
	for name, x := range map[string]struct {
		rows string
		col  string // "" = sound
	}{
		"repeated":                 {row(), "医生"},
		"other campus, same time":  {row("本部", "东院"), "时段"},
		"other weekday":            {row("周一", "周二"), ""},
		"one weekday shared":       {row("周一", "周三、周一"), "时段"},
		"next quarter":             {row("2026-03-01", "2026-06-01", "2026-05-31", "2026-08-31"), ""},
		"validity meets for a day": {row("2026-03-01", "2026-05-25", "2026-05-31", "2026-08-31"), "时段"},
		"meets, but no Monday":     {row("2026-03-01", "2026-05-26", "2026-05-31", "2026-08-31"), ""},
		"another doctor":           {row("张三", "李四", "000001", "000002"), ""},
		"another doctor's licence": {row("张三", "李四", "周一", "周二"), "执业证号"},
		"another title":            {row("主任医师", "主治医师", "周一", "周二"), "职称"},
		"extra on a working day":   {row("周一", "2026-03-09", "出诊", "加诊"), "时段"},
		"extra on a free day":      {row("周一", "2026-03-10", "出诊", "加诊"), ""},
		"extra on a holiday":       {row("周一", "2026-04-06", "出诊", "加诊"), ""},
		"extra on leave":           {row("周一", "2026-03-09", "出诊", "加诊") + row("周一", "2026-03-09", "出诊", "停诊"), ""},
		"two extras":               {row("周一", "2026-03-10", "出诊", "加诊") + row("周一", "2026-03-10", "出诊", "加诊", "20,12", "10,12"), "时段"},
		"make-up on no such day":   {row("周一", "2026-03-14", "出诊", "补班"), "星期/日期"},
		"make-up":                  {row("周一", "2026-05-09", "出诊", "补班"), ""},
		"leave by weekday":         {row("出诊", "停诊"), "星期/日期"},
		"two changes":              {row("周一", "2026-03-09", "出诊", "调整") + row("周一", "2026-03-09", "出诊", "调整", "20,12", "10,12"), "号源数"},
		"evening beside morning":   {row("上午", "晚上", "8:00", "18:00"), ""},
		"hours meet":               {row("上午", "下午", "8:00", "12:00-13:00", "12,50", "5,50") + row("8:00", "9:00-12:30", "周一", "周二") + row("上午", "下午", "8:00", "12:00-15:00", "周一", "周二"), "时段"},
	} {
		_, sink, err := parse(t, head+sound+x.rows)
		if err != nil || (x.col == "") != (sink.Total == 0) || (x.col != "" && (sink.Total != 1 || sink.Rows[0].Column != x.col)) {
			t.Errorf("%s: %v %+v", name, err, sink.Rows)
		}
	}
}

func TestDayAndDateColumns(t *testing.T) {
	h := strings.Replace(head, "星期/日期", "星期,日期", 1)
	for cells, ok := range map[string]bool{"周一,2026-03-09": true, "周二,2026-03-09": false, ",2026-03-09": true, "周一,": true, ",": false} {
		_, sink, err := parse(t, h+strings.Replace(sound, "周一", cells, 1))
		if err != nil || (sink.Total == 0) != ok {
			t.Errorf("%q: %v %+v", cells, err, sink.Rows)
		}
	}
}

func TestLimits(t *testing.T) {
	bad := strings.Replace(sound, "专家", "名医", 1)
	_, sink, err := parse(t, head+strings.Repeat(bad, 450))
	if err != nil || sink.Total != 450 || len(sink.Rows) != 200 || sink.Rows[199].Line != 201 {
		t.Errorf("%v %d of %d", err, len(sink.Rows), sink.Total)
	}
	for name, s := range map[string]string{"rows": head + strings.Repeat("a,b\n", maxRows+1), "bytes": head + strings.Repeat("x", maxBytes), "quotes": head + strings.Repeat("a\"b\n", maxRows+2)} {
		if _, _, err := parse(t, s); !errors.Is(err, scheduling.ErrImportTooLarge) {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, sink, err = parse(t, head+"\"本部\"x,内科\n"+sound+strings.Repeat(",", 70)+"x\n")
	if err != nil || sink.Total != 2 || sink.Rows[0].Line != 2 || sink.Rows[1].Line != 4 {
		t.Errorf("broken quotes and columns: %v %+v", err, sink)
	}
	own := regexp.MustCompile(`^Y\d+$`)
	_, sink, err = Read(strings.NewReader(head+strings.Replace(sound, "110310000000001", "y77", 1)), Options{From: day("2026-03-01"), Calendar: cal, Licence: own})
	if err != nil || sink.Total != 1 {
		t.Errorf("own pattern is for the number as cleaned: %v %+v", err, sink.Rows)
	}
}

func TestWeekdayWords(t *testing.T) {
	for s, want := range map[string][]time.Weekday{
		"周一": {1}, "星期一": {1}, "礼拜天": {0}, "周日": {0}, "1": {1}, "7": {0}, "Mon": {1}, "sunday": {0}, "一": {1},
		"周一、周三": {1, 3}, "周三,周一": {1, 3}, "周一三五": {1, 3, 5}, "周一至周五": {1, 2, 3, 4, 5}, "1-5": {1, 2, 3, 4, 5}, "周六至周一": {1, 6, 0}, "周一 周一": nil,
		"工作日": {1, 2, 3, 4, 5}, "每天": {1, 2, 3, 4, 5, 6, 0}, "周一/周四": {1, 4}, "Mon/Thu": {1, 4},
		"": nil, "周": nil, "周八": nil, "0": nil, "8": nil, "13": nil, "周一周": nil, "、": nil, "周一至": nil, "month": nil,
	} {
		got, ok := readWeekdays(s)
		if ok != (want != nil) || !slices.Equal(got, want) && want != nil {
			t.Errorf("%q: %v %v", s, got, ok)
		}
	}
}

func TestClockAndDateCells(t *testing.T) {
	for s, want := range map[string]scheduling.Minute{"8:00": 480, "08:30": 510, "8点": 480, "8点30分": 510, "14时": 840, "8:00:00": 480, "8": 480, "24:00": -1, "8:60": -1, "x": -1, "": -1, "8:0a": -1, "-8": -1} {
		got, ok := readClock(s)
		if ok != (want >= 0) || ok && got != want {
			t.Errorf("%q: %v %v", s, got, ok)
		}
	}
	for s, ok := range map[string]bool{
		"2026-03-04": true, "2026/3/4": true, "2026.3.4": true, "2026年3月4日": true, "20260304": true, "2026-03-04 00:00:00": true, "2026/3/4 0:00": true,
		"2026-2-29": false, "2026-13-01": false, "26-3-4": false, "3月4日": false, "1999-01-01": false, "": false,
	} {
		if d, got := readDate(s); got != ok || ok && d != clock.NewDate(2026, 3, 4) {
			t.Errorf("%q: %v %v", s, d, got)
		}
	}
}

// TestGeneratedRota: the clerk's file is read as it was meant, and planned without a conflict.
func TestGeneratedRota(t *testing.T) {
	for _, gbk := range []bool{false, true} {
		for _, from := range []string{"2026-01-05", "2026-11-23"} {
			var b bytes.Buffer
			if _, err := rotagen.Write(&b, rotagen.Options{Seed: 1, From: day(from), Rows: 2000, GBK: gbk}); err != nil {
				t.Fatal(err)
			}
			plan, sink, err := Read(&b, Options{From: day(from), Calendar: cal})
			if err != nil || sink.Total != 0 {
				t.Fatalf("%v %+v", err, sink.Rows)
			}
			if plan.Rows != 2000 || len(plan.Campuses) != rotagen.Campuses || len(plan.Departments) != rotagen.Departments || len(plan.Doctors) != rotagen.Doctors || (plan.Encoding == "gbk") != gbk {
				t.Fatalf("%d rows, %v, %d departments, %d doctors, %s", plan.Rows, plan.Campuses, len(plan.Departments), len(plan.Doctors), plan.Encoding)
			}
			kinds := planAll(t, plan, from)
			for _, k := range []scheduling.ExceptionKind{scheduling.Leave, scheduling.Extra, scheduling.Seats} {
				if kinds[k] == 0 {
					t.Errorf("%s: no %s", from, k)
				}
			}
			if (kinds[scheduling.MakeUp] > 0) != (from == "2026-01-05") { // 2027 has no make-up days yet
				t.Errorf("%s: %d make-up rows", from, kinds[scheduling.MakeUp])
			}
		}
	}
}

// planAll plans a quarter of an import with invented ids and counts its exceptions.
func planAll(t *testing.T, plan Plan, from string) map[scheduling.ExceptionKind]int {
	t.Helper()
	who := map[string]scheduling.PractitionerID{}
	for i, d := range plan.Doctors {
		who[d.Licence] = scheduling.PractitionerID{14: byte(i >> 8), 15: byte(i)}
	}
	var rules []scheduling.RotaRule
	for i, r := range plan.Rules {
		r.Rule.ID[14], r.Rule.ID[15], r.Rule.ID[0] = byte(i>>8), byte(i), 1
		r.Rule.Duty.Practitioner = who[r.Licence]
		rules = append(rules, r.Rule)
	}
	kinds := map[scheduling.ExceptionKind]int{}
	var exs []scheduling.Exception
	for i, e := range plan.Exceptions {
		e.Exception.ID[14], e.Exception.ID[15], e.Exception.ID[0] = byte(i>>8), byte(i), 2
		e.Exception.Duty.Practitioner = who[e.Licence]
		kinds[e.Exception.Kind]++
		exs = append(exs, e.Exception)
	}
	planned, clash, err := rotaplan.Plan(rules, exs, cal, day(from), day(from).Add(90))
	if err != nil || len(clash) != 0 || len(planned) < 1000 {
		t.Fatalf("%d planned, %d conflicts, %v", len(planned), len(clash), err)
	}
	return kinds
}

// TestPlantedErrors: exactly the seven planted errors are named, by line and column.
func TestPlantedErrors(t *testing.T) {
	for seed := range uint64(5) {
		var b bytes.Buffer
		planted, err := rotagen.Write(&b, rotagen.Options{Seed: seed, From: day("2026-01-05"), Rows: 2000, Errors: true})
		if err != nil || len(planted) != 7 {
			t.Fatal(err, planted)
		}
		_, sink, err := Read(&b, Options{From: day("2026-01-05"), Calendar: cal})
		if err != nil {
			t.Fatal(err)
		}
		var got, want []string
		for _, e := range sink.Rows {
			got = append(got, fmt.Sprintf("%d %s", e.Line, e.Column))
		}
		for _, p := range planted {
			want = append(want, fmt.Sprintf("%d %s", p.Line, p.Column))
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("seed %d: %s", seed, d)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(head + sound))
	f.Add([]byte(head + strings.ReplaceAll(sound, ",", "\t")))
	f.Add([]byte("\ufeff" + head + "\"x\n" + sound))
	if b, err := simplifiedchinese.GBK.NewEncoder().Bytes([]byte(head + sound)); err == nil {
		f.Add(b)
	}
	f.Add([]byte("\xff\xfe\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		plan, sink, err := Read(bytes.NewReader(b), Options{From: 20513, Calendar: cal})
		if err != nil && fault.Of(err) == nil {
			t.Fatalf("not a fault: %v", err)
		}
		if err != nil || sink.Total > 0 {
			return
		}
		for _, r := range plan.Rules { // what passes can be planned
			if err := rotaplan.CheckRule(r.Rule); err != nil {
				t.Fatalf("line %d: %v", r.Line, err)
			}
			rotaplan.Cut(20513, r.Rule.Duty)
		}
		for _, e := range plan.Exceptions {
			if err := rotaplan.CheckException(e.Exception); err != nil {
				t.Fatalf("line %d: %v", e.Line, err)
			}
		}
	})
}
