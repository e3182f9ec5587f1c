// Package rotagen writes the rota of an invented hospital as its clerk would: two
// campuses, 12 departments, 60 doctors, weekly sessions by quarter, leave, extra
// sessions, make-up days and changed seats. The same options give the same bytes.
// Demo, tests and the command line use it; the names are made up.
package rotagen

import (
	"bufio"
	"encoding/csv"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"time"

	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/transform"

	"xinglin/internal/kernel/clock"
	"xinglin/internal/platform/calendar"
)

// Options of a rota file.
type Options struct {
	Seed   uint64
	From   clock.Date // the first day of the rota
	Rows   int        // data rows, 1..20000; 0 = 2000
	Errors bool       // plant 7 errors
	GBK    bool       // GBK without mark instead of UTF-8 with one
}

// Planted is an error in the file, as an importer should name it.
type Planted struct {
	Line   int
	Column string // the Chinese heading
	What   string
}

// Doctors, Departments and Campuses are what a file of at least 300 rows names.
const (
	Campuses    = 2
	Departments = 12
	Doctors     = 60
)

var heading = []string{"院区", "科室", "医生", "执业证号", "职称", "星期/日期", "时段", "号别", "号源数", "每号分钟", "挂号费", "开始时间", "地点", "起始日期", "结束日期", "类型", "节假日", "补班日", "备注"}

// The columns by position.
const (
	cCampus = iota
	cDept
	cDoctor
	cLicence
	cTitle
	cWhen
	cSession
	cClass
	cSeats
	cSlot
	cFee
	cStart
	cPlace
	cFrom
	cTo
	cKind
	cHoliday
	cMakeUp
	cRemark
)

type department struct {
	campus, name, room string
	daily              bool // works on holidays
}

var departments = []department{
	{"本部院区", "心血管内科", "门诊楼3层A区", false},
	{"本部院区", "呼吸与危重症医学科", "门诊楼3层B区", false},
	{"本部院区", "消化内科", "门诊楼4层A区", false},
	{"本部院区", "神经内科", "门诊楼4层B区", false},
	{"本部院区", "骨科", "门诊楼2层A区", false},
	{"本部院区", "普通外科", "门诊楼2层B区", false},
	{"本部院区", "全科医学科", "门诊楼1层", true},
	{"东院区", "儿科", "儿童楼1层", true},
	{"东院区", "妇科", "东门诊2层A区", false},
	{"东院区", "产科", "东门诊2层B区", false},
	{"东院区", "眼科", "东门诊3层", false},
	{"东院区", "皮肤科", "东门诊4层", false},
}

const (
	surnames = "王李张刘陈杨黄赵吴周徐孙马朱胡郭何林罗高梁郑谢宋唐许邓冯韩曹曾彭萧蔡潘田董袁于余叶蒋杜苏魏程吕丁沈任姚卢傅钟姜崔谭廖范汪陆金石戴贾韦夏邱方侯邹熊孟秦白江阎薛尹段雷单解仇"
	given    = "伟芳敏静磊洋勇艳杰娟涛明超霞平刚桂英华玉兰建国文博宇轩子涵晨曦雨桐思远嘉怡若云海峰志强晓东春梅秋实景行知微安然"
)

// title, class, seats, minutes a number and fee belong together.
type grade struct {
	title, class string
	seats, slot  int
	fee          string
}

var grades = []grade{
	{"住院医师", "普通", 40, 6, "15"},
	{"主治医师", "普通", 32, 7, "25"},
	{"副主任医师", "专家", 24, 10, "50.00"},
	{"主任医师", "专家", 20, 12, "80"},
	{"主任医师", "特需", 8, 30, "300元"},
}

type doctor struct {
	name, licence string
	dept          department
	grade         grade
	pattern       [7][3]bool // by time.Weekday and session
	room          int
}

var sessions = [3]string{"上午", "下午", "晚上"}

// sheet gathers the rows of the file.
type sheet struct {
	rnd     *rand.Rand
	o       Options
	cal     *calendar.Calendar
	doctors []doctor
	rows    [][]string
	used    map[string]bool // doctor and day of exceptions
	extras  int             // attempts to place exceptions, so that the search ends
}

// Write writes the file and tells which errors it holds (none without Options.Errors).
func Write(w io.Writer, o Options) ([]Planted, error) {
	if o.Rows == 0 {
		o.Rows = 2000
	}
	if o.Rows < 1 || o.Rows > 20_000 || o.From <= 0 || (o.Errors && o.Rows < 40) {
		return nil, fmt.Errorf("rotagen: rows 1..20000 (40 at least with errors) and a first day are needed")
	}
	s := &sheet{rnd: rand.New(rand.NewPCG(o.Seed, 0x9e3779b97f4a7c15)), o: o, cal: calendar.Embedded(), used: map[string]bool{}}
	s.hire()
	exceptions := o.Rows / 10
	s.quarters(o.Rows - exceptions)
	s.exceptions()
	s.rows = s.rows[:min(len(s.rows), o.Rows)]
	var planted []Planted
	if o.Errors {
		planted = s.plant()
	}
	return planted, s.write(w)
}

// hire invents the doctors: five a department, of falling grade, with their weekly pattern.
func (s *sheet) hire() {
	sn, gn := []rune(surnames), []rune(given)
	names := map[string]bool{}
	for i := range Doctors {
		name := ""
		for name == "" || names[name] {
			name = string(sn[s.rnd.IntN(len(sn))]) + string(gn[s.rnd.IntN(len(gn))])
			if s.rnd.IntN(3) > 0 {
				name += string(gn[s.rnd.IntN(len(gn))])
			}
		}
		names[name] = true
		d := doctor{name: name, dept: departments[i%Departments], room: 1 + i/Departments}
		d.grade = grades[len(grades)-1-i/Departments%len(grades)]
		d.licence = fmt.Sprintf("1%d31%07d%04d", 1+s.rnd.IntN(2), s.rnd.IntN(10_000_000), i+1)
		for range 7 {
			d.pattern[1+s.rnd.IntN(5)][s.rnd.IntN(2)] = true
		}
		if s.rnd.IntN(3) == 0 {
			d.pattern[6][0] = true // Saturday morning
		}
		if s.rnd.IntN(8) == 0 {
			d.pattern[1+s.rnd.IntN(5)][2] = true // an evening clinic
		}
		s.doctors = append(s.doctors, d)
	}
}

// quarters writes each doctor's weekly sessions quarter by quarter until n rows stand.
func (s *sheet) quarters(n int) {
	for q := 0; len(s.rows) < n; q++ {
		from := s.o.From.Add(q * 91)
		to := from.Add(90)
		for i := range s.doctors {
			d := &s.doctors[i]
			for k := range sessions {
				for _, days := range s.group(d, k) {
					if len(s.rows) >= n {
						return
					}
					row := s.duty(d, k)
					row[cWhen] = days
					row[cFrom], row[cTo] = s.date(from), s.date(to)
					s.rows = append(s.rows, row)
				}
			}
		}
	}
}

var zhDays = [7]string{"日", "一", "二", "三", "四", "五", "六"}

// group writes the weekdays of one session: mostly a row each, sometimes two in a cell.
func (s *sheet) group(d *doctor, session int) []string {
	var out []string
	for w := 1; w <= 6; w++ {
		if !d.pattern[w][session] {
			continue
		}
		prefix := "周"
		if d.dept.campus == "东院区" {
			prefix = "星期"
		}
		if len(out) > 0 && s.rnd.IntN(6) == 0 && !strings.Contains(out[len(out)-1], "、") {
			out[len(out)-1] += "、" + prefix + zhDays[w]
			continue
		}
		out = append(out, prefix+zhDays[w])
	}
	return out
}

// duty fills the cells that every session of a doctor has.
func (s *sheet) duty(d *doctor, session int) []string {
	row := make([]string, len(heading))
	row[cCampus], row[cDept], row[cDoctor], row[cLicence], row[cTitle] = d.dept.campus, d.dept.name, d.name, d.licence, d.grade.title
	if r := []rune(d.name); len(r) == 2 && d.dept.campus == "东院区" {
		row[cDoctor] = string(r[0]) + "　" + string(r[1]) // the clerk aligns short names
	}
	seats := d.grade.seats
	start := [3]string{"8:00", "14:00", "18:00"}[session]
	if session == 2 {
		seats = seats / 2
	}
	row[cSession], row[cClass], row[cSeats], row[cSlot], row[cFee] = sessions[session], d.grade.class, fmt.Sprint(seats), fmt.Sprint(d.grade.slot), d.grade.fee
	row[cStart], row[cPlace] = start, fmt.Sprintf("%s%02d诊室", d.dept.room, d.room)
	row[cKind] = "出诊"
	if d.dept.daily {
		row[cHoliday], row[cMakeUp] = "照常", "按星期"
	}
	if d.grade.class == "普通" && !d.dept.daily {
		row[cMakeUp] = "按工作日"
	}
	return row
}

// date writes a date as this clerk does in this file.
func (s *sheet) date(d clock.Date) string {
	if s.o.GBK {
		y, m, day := d.Parts()
		return fmt.Sprintf("%d/%d/%d", y, int(m), day)
	}
	return d.String()
}

// exceptions fills the file with leave, extra sessions, make-up days and changed seats.
func (s *sheet) exceptions() {
	last := s.o.From.Add(90)
	makeUps := s.cal.MakeUps(s.o.From, s.o.From.Add(364))
	for len(s.rows) < s.o.Rows && s.extras < 50*s.o.Rows {
		s.extras++
		d := &s.doctors[s.rnd.IntN(len(s.doctors))]
		day := s.o.From.Add(s.rnd.IntN(int(last - s.o.From)))
		switch kind := s.rnd.IntN(10); {
		case kind < 5:
			s.leave(d, day)
		case kind < 7:
			s.extra(d, day.Add(int(time.Saturday-day.Weekday())))
		case kind < 8 && len(makeUps) > 0:
			s.makeUp(d, makeUps[s.rnd.IntN(len(makeUps))])
		default:
			s.change(d, day)
		}
	}
	for i := 0; len(s.rows) < s.o.Rows; i++ { // every day is used: leave far ahead
		s.leave(&s.doctors[i%len(s.doctors)], last.Add(2+i/len(s.doctors)))
	}
}

// claim takes a doctor's day (and the three after it) for one exception.
func (s *sheet) claim(d *doctor, day clock.Date, n int) bool {
	for i := range n {
		if s.used[d.licence+day.Add(i).String()] {
			return false
		}
	}
	for i := range n {
		s.used[d.licence+day.Add(i).String()] = true
	}
	return true
}

// person fills the cells of a row that is about the doctor alone.
func (s *sheet) person(d *doctor, kind, remark string) []string {
	row := make([]string, len(heading))
	row[cCampus], row[cDept], row[cDoctor], row[cLicence], row[cTitle] = d.dept.campus, d.dept.name, d.name, d.licence, d.grade.title
	row[cKind], row[cRemark] = kind, remark
	return row
}

func (s *sheet) leave(d *doctor, day clock.Date) {
	n := 1
	if s.rnd.IntN(4) == 0 {
		n = 3
	}
	if !s.claim(d, day, n) {
		return
	}
	row := s.person(d, "停诊", []string{"外出会议", "年休假", "手术", "教学查房"}[s.rnd.IntN(4)])
	row[cSession] = "全天"
	if n == 1 {
		row[cWhen] = s.date(day)
		row[cSession] = []string{"上午", "下午", "全天"}[s.rnd.IntN(3)]
	} else {
		row[cFrom], row[cTo] = s.date(day), s.date(day.Add(n-1))
	}
	s.rows = append(s.rows, row)
}

// extra adds a session on a Saturday that the doctor's pattern leaves free.
func (s *sheet) extra(d *doctor, day clock.Date) {
	w := day.Weekday()
	v := s.cal.Day(day)
	if v.Off || v.MakeUp || d.pattern[w][0] || !s.claim(d, day, 1) {
		return
	}
	row := s.duty(d, 0)
	row[cWhen], row[cKind], row[cRemark], row[cHoliday], row[cMakeUp] = s.date(day), "加诊", "周末加诊", "", ""
	s.rows = append(s.rows, row)
}

// makeUp adds an afternoon on a make-up workday for doctors whose rules rest then.
func (s *sheet) makeUp(d *doctor, day clock.Date) {
	if d.grade.class == "普通" || d.dept.daily || !s.claim(d, day, 1) {
		return
	}
	row := s.duty(d, 1)
	row[cWhen], row[cKind], row[cRemark], row[cHoliday], row[cMakeUp] = s.date(day), "补班", "调休上班", "", ""
	s.rows = append(s.rows, row)
}

func (s *sheet) change(d *doctor, day clock.Date) {
	if !s.claim(d, day, 1) {
		return
	}
	row := s.person(d, "调整", "号源调整")
	row[cWhen], row[cSession], row[cSeats] = s.date(day), "上午", fmt.Sprint(d.grade.seats/2+s.rnd.IntN(d.grade.seats))
	s.rows = append(s.rows, row)
}

// firstLine is the line of the first data row: a title and the headings stand above.
const firstLine = 3

// plant puts seven errors into weekly rows, as they happen to clerks.
func (s *sheet) plant() []Planted {
	n := len(s.rows)*9/10 - 2
	at := func(i int) int { return 1 + n*(i+1)/8 }
	var out []Planted
	note := func(i, col int, what string) {
		out = append(out, Planted{Line: firstLine + at(i), Column: heading[col], What: what})
	}
	s.rows[at(0)][cLicence] = s.rows[at(0)][cLicence][:14]
	note(0, cLicence, "the licence number lost a digit")
	s.rows[at(1)][cWhen] = "周八"
	note(1, cWhen, "there is no such weekday")
	s.rows[at(2)][cFee] = "5O" // a letter
	note(2, cFee, "a letter for a digit")
	s.rows[at(3)][cSeats] = "0"
	note(3, cSeats, "no seats")
	y, _, _ := s.o.From.Parts()
	s.rows[at(4)][cTo] = fmt.Sprintf("%d-02-30", y+1)
	note(4, cTo, "there is no such date")
	s.rows[at(5)][cClass] = "名医"
	note(5, cClass, "an unknown class")
	twin := append([]string(nil), s.rows[at(6)-1]...) // the row above again, at the other campus
	other := departments[0]
	if twin[cCampus] == other.campus {
		other = departments[len(departments)-1]
	}
	twin[cCampus], twin[cDept], twin[cPlace] = other.campus, other.name, ""
	s.rows[at(6)] = twin
	note(6, cSession, "the doctor works at the other campus at that time")
	return out
}

func (s *sheet) write(w io.Writer) error {
	if s.o.GBK {
		t := transform.NewWriter(w, simplifiedchinese.GBK.NewEncoder())
		if err := s.csv(t); err != nil {
			return err
		}
		return t.Close()
	}
	if _, err := io.WriteString(w, "\ufeff"); err != nil {
		return err
	}
	return s.csv(w)
}

func (s *sheet) csv(w io.Writer) error {
	b := bufio.NewWriter(w)
	c := csv.NewWriter(b)
	c.UseCRLF = true
	title := make([]string, len(heading))
	title[0] = fmt.Sprintf("杏林示范医院门诊出诊表（%s 起）", s.o.From)
	if err := c.WriteAll(append([][]string{title, heading}, s.rows...)); err != nil {
		return err
	}
	return b.Flush()
}
