// Package rotafile reads a hospital's own rota file: its encoding, headings, cells and
// rows, and what of it cannot all be true. It looks nothing up and stores nothing; the
// plan names places and people as the file does (README.md of scheduling has the form).
package rotafile

import (
	"cmp"
	"fmt"
	"io"
	"regexp"
	"slices"
	"time"

	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/money"
	"xinglin/internal/platform/calendar"
	"xinglin/internal/platform/sheet"
	"xinglin/internal/scheduling"
	"xinglin/internal/scheduling/rotaplan"
)

// licenceForm is the usual form of a 医师执业证书编码: 15 digits. A hospital whose
// certificates look otherwise configures its own pattern.
var licenceForm = regexp.MustCompile(`^\d{15}$`)

// Options are what the reading of a rota file depends on beside the file.
type Options struct {
	From     clock.Date // the first day of rules that name none
	Calendar *calendar.Calendar
	Licence  *regexp.Regexp // nil: licenceForm
}

// Plan is what a rota file says, in the order of the file. Duties carry no ids
// yet: rows name the campus, department and doctor, for the caller to look up or make.
type Plan struct {
	Encoding    string
	Rows        int
	Skipped     []scheduling.SkippedSheet
	Campuses    []string
	Departments []Department
	Doctors     []Doctor
	Rules       []Rule
	Exceptions  []Exception
}

// Department is a department of a campus, by their names.
type Department struct{ Campus, Name string }

// Doctor is a doctor by licence number. Department is where the first duty is;
// it is empty when the file knows the doctor from leave alone.
type Doctor struct {
	Licence, Name, Title string
	Department           Department
	Line                 int
	Sheet                string // of a workbook
}

// Rule is a weekly row.
type Rule struct {
	Line       int
	Sheet      string
	Licence    string
	Department Department
	Rule       scheduling.RotaRule
}

// Exception is a row about single days.
type Exception struct {
	Line       int
	Sheet      string
	Licence    string
	Department Department // empty for leave and changed seats
	Exception  scheduling.Exception
}

// Read reads a rota file. Bad rows come back by sheet and line (the first 200 and the count
// of all) and then the plan must not be used; err is for a file that cannot be read at all.
func Read(r io.Reader, opt Options) (Plan, *RowErrors, error) {
	sink := &RowErrors{}
	if opt.Licence == nil {
		opt.Licence = licenceForm
	}
	g := &gatherer{opt: opt, sink: sink, campuses: map[string]bool{}, departments: map[Department]bool{}, doctors: map[string]int{}}
	if err := (&reader{g: g}).all(r); err != nil {
		return Plan{}, sink, err
	}
	findClashes(g.claims, opt.Calendar, func(c claim, col column, zh, en string) { sink.Add(c.place, c.head.label(col), zh, en) })
	order := map[string]int{}
	for i, name := range g.sheets {
		order[name] = i
	}
	slices.SortStableFunc(sink.Rows, func(a, b scheduling.RowError) int {
		return cmp.Or(cmp.Compare(order[a.Sheet], order[b.Sheet]), cmp.Compare(a.Line, b.Line))
	})
	return g.plan, sink, nil
}

// gatherer turns rows into the plan.
type gatherer struct {
	plan        Plan
	opt         Options
	sink        *RowErrors
	sheets      []string // in the order of the file
	campuses    map[string]bool
	departments map[Department]bool
	doctors     map[string]int // licence -> index in plan.Doctors
	claims      []claim
}

func (g *gatherer) row(head *header, row sheet.Row) {
	if len(g.sheets) == 0 || g.sheets[len(g.sheets)-1] != row.Sheet {
		g.sheets = append(g.sheets, row.Sheet)
	}
	r := &rowReader{g: g, head: head, row: row}
	kind, ok := kindWords[word(r.cell(colKind))]
	if !ok {
		r.bad(colKind, "类型应为出诊、停诊、加诊、补班或调整", "the kind is duty, leave, extra, makeup or seats")
		return
	}
	doctor := r.doctor()
	when := r.when(kind)
	var duty scheduling.Duty
	var dept Department
	switch kind {
	case rowLeave:
		duty.Session = r.anySession()
	case rowSeats:
		duty.Session = r.anySession()
		duty.Seats = r.number(colSeats, 1, rotaplan.MaxSeats, "个", "号", "人")
	default:
		dept = r.department()
		duty = r.duty()
		doctor.Department = dept
	}
	holidays := pickWord(r, colHoliday, holidayWords)
	makeUp := pickWord(r, colMakeUp, makeUpWords)
	if !r.failed {
		g.meet(r, doctor)
	}
	if r.failed {
		return
	}
	if kind != rowLeave && kind != rowSeats {
		g.note(dept)
	}
	g.keep(claim{
		place: place{row.Sheet, row.Line}, head: head, kind: kind, licence: doctor.Licence, dept: dept, duty: duty,
		from: when.from, to: when.to, holidays: holidays, makeUp: makeUp,
	}, when.weekdays)
}

// keep adds a sound row to the plan and to the claims on the doctor's time.
func (g *gatherer) keep(c claim, weekdays []time.Weekday) {
	if c.kind == rowDuty && len(weekdays) > 0 {
		for _, d := range weekdays {
			c.weekdays |= 1 << d
		}
		rule := scheduling.RotaRule{Duty: c.duty, Recurrence: rotaplan.Weekly(weekdays...), From: c.from, To: c.to, Holidays: c.holidays, MakeUp: c.makeUp}
		g.plan.Rules = append(g.plan.Rules, Rule{Line: c.place.line, Sheet: c.place.sheet, Licence: c.licence, Department: c.dept, Rule: rule})
	} else {
		e := scheduling.Exception{Kind: exceptionKinds[c.kind], From: c.from, To: c.to, Duty: c.duty}
		g.plan.Exceptions = append(g.plan.Exceptions, Exception{Line: c.place.line, Sheet: c.place.sheet, Licence: c.licence, Department: c.dept, Exception: e})
	}
	g.claims = append(g.claims, c)
}

// exceptionKinds: a duty on a date is an extra session.
var exceptionKinds = map[rowKind]scheduling.ExceptionKind{
	rowDuty: scheduling.Extra, rowExtra: scheduling.Extra, rowMakeUp: scheduling.MakeUp, rowLeave: scheduling.Leave, rowSeats: scheduling.Seats,
}

// meet checks the doctor against the rows before: one licence, one name and title.
func (g *gatherer) meet(r *rowReader, d Doctor) {
	i, known := g.doctors[d.Licence]
	if !known {
		g.doctors[d.Licence] = len(g.plan.Doctors)
		g.plan.Doctors = append(g.plan.Doctors, d)
		return
	}
	k := &g.plan.Doctors[i]
	zh, en := place{k.Sheet, k.Line}.from(place{d.Sheet, d.Line})
	if k.Name != d.Name {
		r.bad(colLicence, "该执业证号在"+zh+"属于另一位医生", "on "+en+" this licence belongs to another doctor")
		return
	}
	if k.Title != "" && d.Title != "" && k.Title != d.Title {
		r.bad(colTitle, "职称与"+zh+"不一致", "the title differs from "+en)
		return
	}
	k.Title = cmp.Or(k.Title, d.Title)
	if k.Department == (Department{}) {
		k.Department = d.Department
	}
}

func (g *gatherer) note(d Department) {
	if !g.campuses[d.Campus] {
		g.campuses[d.Campus] = true
		g.plan.Campuses = append(g.plan.Campuses, d.Campus)
	}
	if !g.departments[d] {
		g.departments[d] = true
		g.plan.Departments = append(g.plan.Departments, d)
	}
}

// rowReader reads the cells of one row and notes what is wrong with them.
type rowReader struct {
	g      *gatherer
	head   *header
	row    sheet.Row
	failed bool
}

func (r *rowReader) bad(c column, zh, en string) {
	r.failed = true
	r.g.sink.Add(place{r.row.Sheet, r.row.Line}, r.head.label(c), zh, en)
}

func (r *rowReader) cell(c column) string {
	if i, ok := r.head.at[c]; ok && i < len(r.row.Cells) {
		return r.row.Cells[i]
	}
	return ""
}

// day is a cell that may hold a date: workbooks keep them as numbers, with the format of a date or without.
func (r *rowReader) day(c column) string {
	if i, ok := r.head.at[c]; ok {
		if s, ok := r.row.Date(i); ok {
			return s
		}
	}
	return r.cell(c)
}

// clock is a cell that may hold a time of day, which workbooks keep as a part of a day.
func (r *rowReader) clock(c column) string {
	if i, ok := r.head.at[c]; ok {
		if s, ok := r.row.Clock(i); ok {
			return s
		}
	}
	return r.cell(c)
}

// text reads a cell of at most limit characters.
func (r *rowReader) text(c column, must bool, limit int) string {
	s := r.cell(c)
	switch {
	case s == "" && must:
		r.bad(c, "不能为空", "must not be empty")
	case len([]rune(s)) > limit:
		r.bad(c, fmt.Sprintf("最多 %d 个字", limit), fmt.Sprintf("at most %d characters", limit))
	}
	return s
}

func (r *rowReader) number(c column, low, high int, units ...string) int {
	s := r.cell(c)
	n, ok := count(s, units...)
	if !ok || n < low || n > high {
		r.bad(c, fmt.Sprintf("“%s”应为 %d 到 %d 的整数", clip(s), low, high), fmt.Sprintf("%q: want a whole number from %d to %d", clip(s), low, high))
	}
	return n
}

// pickWord looks a cell up in its table of words.
func pickWord[T any](r *rowReader, c column, words map[string]T) T {
	v, ok := words[word(r.cell(c))]
	if !ok {
		r.bad(c, fmt.Sprintf("不认识“%s”", clip(r.cell(c))), fmt.Sprintf("%q is not known here", clip(r.cell(c))))
	}
	return v
}

func (r *rowReader) doctor() Doctor {
	d := Doctor{Name: personName(r.text(colDoctor, true, 40)), Title: r.text(colTitle, false, 40), Line: r.row.Line, Sheet: r.row.Sheet}
	d.Licence = word(r.text(colLicence, true, 40))
	if d.Licence != "" && !r.g.opt.Licence.MatchString(d.Licence) {
		r.bad(colLicence, fmt.Sprintf("“%s”不符合执业证书编码的格式（15 位数字）", clip(d.Licence)), fmt.Sprintf("%q does not have the form of a licence number (15 digits)", clip(d.Licence)))
	}
	return d
}

func (r *rowReader) department() Department {
	return Department{Campus: r.text(colCampus, true, 60), Name: r.text(colDepartment, true, 60)}
}

// anySession reads a session where empty or 全天 means all of the day.
func (r *rowReader) anySession() scheduling.Session {
	if allDayWords[word(r.cell(colSession))] {
		return ""
	}
	return pickWord(r, colSession, sessionWords)
}

// dutyColumns name the column of each part that rotaplan.CheckDuty refuses.
var dutyColumns = map[string]column{
	"session": colSession, "class": colClass, "seats": colSeats, "fee": colFee, "start": colStart, "slot_minutes": colSlot,
}

func (r *rowReader) duty() scheduling.Duty {
	d := scheduling.Duty{
		Session:     pickWord(r, colSession, sessionWords),
		Class:       pickWord(r, colClass, classWords),
		Seats:       r.number(colSeats, 1, rotaplan.MaxSeats, "个", "号", "人"),
		SlotMinutes: r.number(colSlot, 1, 480, "分钟", "分", "min"),
		Fee:         r.fee(),
		Location:    r.text(colLocation, false, 60),
		Remark:      r.text(colRemark, false, 200),
	}
	hours := rotaplan.Hours[d.Session]
	d.Start, d.End = hours.Start, hours.End
	if s := r.clock(colStart); s != "" {
		start, end, ok := readHours(s)
		if !ok {
			r.bad(colStart, fmt.Sprintf("“%s”不是时间", clip(s)), fmt.Sprintf("%q is not a time", clip(s)))
		}
		d.Start = start
		if end != 0 {
			d.End = end
		}
	}
	if s := r.clock(colEnd); s != "" {
		end, ok := readClock(s)
		if !ok {
			r.bad(colEnd, fmt.Sprintf("“%s”不是时间", clip(s)), fmt.Sprintf("%q is not a time", clip(s)))
		}
		d.End = end
	}
	if r.failed {
		return d
	}
	if err := rotaplan.CheckDuty(d); err != nil {
		path, en := rotaplan.Reason(err)
		zh := map[string]string{
			"start":        fmt.Sprintf("%s-%s 不在该时段允许的 %s-%s 内", d.Start, d.End, hours.Min, hours.Max),
			"slot_minutes": "每号分钟超过了整个时段",
			"seats":        fmt.Sprintf("每个时段最多 %d 个号，请缩短每号分钟或减少号源", scheduling.MaxSlotSeats),
		}[path]
		r.bad(dutyColumns[path], cmp.Or(zh, "不符合要求"), en)
	}
	return d
}

func (r *rowReader) fee() money.Fen {
	s := word(r.cell(colFee))
	if s == "免费" || s == "free" {
		return 0
	}
	if n := len([]rune(s)); n > 0 && string([]rune(s)[n-1]) == "元" {
		s = string([]rune(s)[:n-1])
	}
	f, err := money.Parse(s)
	if err != nil || f < 0 || f > rotaplan.MaxFee {
		r.bad(colFee, fmt.Sprintf("“%s”应为 0 到 %s 元的金额", clip(r.cell(colFee)), money.Fen(rotaplan.MaxFee)), fmt.Sprintf("%q: want an amount from 0 to %s yuan", clip(r.cell(colFee)), money.Fen(rotaplan.MaxFee)))
	}
	return f
}

// when is the time a row is about: weekdays within from..to, or the days from..to.
type when struct {
	weekdays []time.Weekday
	from, to clock.Date
}

// when reads the weekday, date and validity columns as the row's kind needs them.
func (r *rowReader) when(kind rowKind) when {
	days, date := r.dayCells()
	from, to := r.date(colFrom), r.date(colTo)
	if r.failed {
		return when{}
	}
	if from != 0 && to != 0 && from > to {
		r.bad(colTo, "结束日期早于起始日期", "the last day is before the first")
		return when{}
	}
	switch {
	case date != 0 && kind == rowMakeUp && !r.g.opt.Calendar.Day(date).MakeUp:
		r.bad(r.dayColumn(), fmt.Sprintf("%s 不是调休上班日", date), fmt.Sprintf("%s is not a make-up workday", date))
	case date != 0:
		return when{from: date, to: date}
	case kind == rowDuty && len(days) > 0:
		return when{weekdays: days, from: cmp.Or(from, r.g.opt.From), to: r.openEnd(from, to)}
	case (kind == rowLeave || kind == rowSeats) && len(days) == 0 && from != 0 && to != 0:
		if int(to-from) >= rotaplan.MaxDays {
			r.bad(colTo, fmt.Sprintf("最多 %d 天", rotaplan.MaxDays), fmt.Sprintf("at most %d days", rotaplan.MaxDays))
		}
		return when{from: from, to: to}
	case kind == rowDuty:
		r.bad(r.dayColumn(), "请填写星期或日期", "a weekday or a date is needed")
	default:
		r.bad(r.dayColumn(), "请填写日期", "a date is needed")
	}
	return when{}
}

// openEnd refuses a rule that ends before it starts when the start is the default.
func (r *rowReader) openEnd(from, to clock.Date) clock.Date {
	if to != 0 && from == 0 && to < r.g.opt.From {
		r.bad(colTo, "结束日期已过", "the last day is past")
	}
	return to
}

// dayColumn is the column that a message about the day names.
func (r *rowReader) dayColumn() column {
	for _, c := range []column{colDate, colWhen, colWeekday} {
		if r.head.has(c) && r.cell(c) != "" {
			return c
		}
	}
	for _, c := range []column{colWhen, colWeekday, colDate} {
		if r.head.has(c) {
			return c
		}
	}
	return colWhen
}

// dayCells reads weekdays and a date; given both, they must agree.
func (r *rowReader) dayCells() ([]time.Weekday, clock.Date) {
	date := r.date(colDate)
	var days []time.Weekday
	for _, c := range []column{colWeekday, colWhen} {
		s := r.cell(c)
		if c == colWhen {
			s = r.day(c)
		}
		if s == "" {
			continue
		}
		if d, ok := readDate(s); ok && c == colWhen {
			if date != 0 && date != d {
				r.bad(c, "两列日期不一致", "the two dates differ")
			}
			date = d
			continue
		}
		ds, ok := readWeekdays(s)
		if !ok {
			r.bad(c, fmt.Sprintf("“%s”不是星期或日期", clip(s)), fmt.Sprintf("%q is no weekday and no date", clip(s)))
			continue
		}
		days = ds
	}
	if date != 0 && len(days) > 0 && !slices.Contains(days, date.Weekday()) {
		r.bad(colDate, fmt.Sprintf("%s 与所填星期不符", date), fmt.Sprintf("%s is not on that weekday", date))
	}
	return days, date
}

// date reads a date cell; empty (and 长期 as the last day) is 0.
func (r *rowReader) date(c column) clock.Date {
	s := r.day(c)
	if s == "" || c == colTo && word(s) == "长期" {
		return 0
	}
	d, ok := readDate(s)
	if !ok {
		hint := ""
		if n, num := count(s); num && n > 30_000 && n < 80_000 {
			hint = "（像是 Excel 日期序号，请把该列设为日期格式）"
		}
		r.bad(c, fmt.Sprintf("“%s”不是存在的日期%s", clip(s), hint), fmt.Sprintf("%q is not an existing date", clip(s)))
	}
	return d
}
