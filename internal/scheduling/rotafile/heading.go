package rotafile

import (
	"strings"

	"xinglin/internal/platform/sheet"
	"xinglin/internal/scheduling"
)

// column is a column of a rota file, by its English heading.
type column string

const (
	colCampus     column = "campus"
	colDepartment column = "department"
	colDoctor     column = "doctor"
	colLicence    column = "licence_no"
	colTitle      column = "title"
	colWhen       column = "when" // weekdays or a date
	colWeekday    column = "weekday"
	colDate       column = "date"
	colSession    column = "session"
	colClass      column = "class"
	colSeats      column = "seats"
	colSlot       column = "slot_minutes"
	colFee        column = "fee"
	colStart      column = "start"
	colEnd        column = "end"
	colLocation   column = "location"
	colRemark     column = "remark"
	colFrom       column = "valid_from"
	colTo         column = "valid_to"
	colKind       column = "kind"
	colHoliday    column = "holiday"
	colMakeUp     column = "makeup"
)

// headings are the names that hospitals give the columns; the first is ours.
var headings = map[column][]string{
	colCampus:     {"院区", "campus", "院部", "分院"},
	colDepartment: {"科室", "department", "科室名称", "出诊科室"},
	colDoctor:     {"医生", "doctor", "医师", "姓名", "医生姓名", "医师姓名"},
	colLicence:    {"执业证号", "licenceno", "licenseno", "licence", "license", "执业证书编码", "执业证编码", "执业证书编号", "医师执业证书编码"},
	colTitle:      {"职称", "title"},
	colWhen:       {"星期/日期", "weekday/date", "日期/星期", "出诊时间"},
	colWeekday:    {"星期", "weekday", "周几", "出诊星期"},
	colDate:       {"日期", "date", "出诊日期"},
	colSession:    {"时段", "session", "午别", "班次"},
	colClass:      {"号别", "class", "号类", "门诊类型"},
	colSeats:      {"号源数", "seats", "号源", "限号", "限号数"},
	colSlot:       {"每号分钟", "slotminutes", "时段分钟", "分时分钟", "间隔"},
	colFee:        {"挂号费", "fee", "费用", "诊查费"},
	colStart:      {"开始时间", "start", "开诊时间", "时间"},
	colEnd:        {"结束时间", "end", "停诊时间"},
	colLocation:   {"地点", "location", "诊室", "出诊地点"},
	colRemark:     {"备注", "remark", "说明"},
	colFrom:       {"起始日期", "validfrom", "生效日期", "开始日期"},
	colTo:         {"结束日期", "validto", "失效日期", "截止日期"},
	colKind:       {"类型", "kind", "类别"},
	colHoliday:    {"节假日", "holiday", "法定节假日"},
	colMakeUp:     {"补班日", "makeup", "调休上班日"},
}

// The headings that name a doctor, for refusals that only the directory can give.
var (
	DoctorHeading  = headings[colDoctor][0]
	LicenceHeading = headings[colLicence][0]
)

// columnOf maps a normalised heading to its column.
var columnOf = func() map[string]column {
	m := map[string]column{}
	for c, names := range headings {
		for _, n := range names {
			m[n] = c
		}
	}
	return m
}()

// required columns; beside them one of colWhen, colWeekday, colDate.
var required = []column{colCampus, colDepartment, colDoctor, colLicence, colSession, colClass, colSeats, colSlot, colFee}

// normalHeading drops what clerks add: units in brackets, spaces, case, underscores, stars.
func normalHeading(s string) string {
	s = strings.ToLower(s)
	if i := strings.IndexAny(s, "(["); i > 0 {
		s = s[:i]
	}
	return strings.NewReplacer(" ", "", "_", "", "-", "", "*", "").Replace(s)
}

// header knows where the columns of a sheet stand.
type header struct {
	at    map[column]int
	name  map[column]string // as the file writes it
	twice string            // a heading that stands twice
	whole bool              // its end has been seen
}

// findHeader looks whether a row is one of headings.
func findHeader(row sheet.Row) (h header, found bool, err error) {
	h = header{at: map[column]int{}, name: map[column]string{}}
	h.add(row)
	if len(h.at) < 4 {
		return h, false, nil
	}
	return h, true, h.check()
}

// add notes the headings of a row.
func (h *header) add(row sheet.Row) {
	for j, cell := range row.Cells {
		c, ok := columnOf[normalHeading(cell)]
		if !ok || row.Filled&(1<<j) != 0 {
			continue
		}
		if _, again := h.at[c]; again {
			h.twice = cell
			continue
		}
		h.at[c], h.name[c] = j, cell
	}
}

// goesOn takes a second row of headings: there a heading of the first goes on, as a merged cell.
func (h *header) goesOn(row sheet.Row) bool {
	if h.whole || row.Bad != nil {
		return false
	}
	for c, j := range h.at {
		if j < len(row.Cells) && row.Filled&(1<<j) != 0 && row.Cells[j] == h.name[c] {
			h.add(row)
			return true
		}
	}
	return false
}

func (h *header) check() error {
	if h.twice != "" {
		return unreadable("表头重复："+clip(h.twice), "a heading stands twice: "+clip(h.twice))
	}
	return nil
}

func (h *header) has(c column) bool { _, ok := h.at[c]; return ok }

func (h *header) complete() error {
	var zh, en []string
	for _, c := range required {
		if !h.has(c) {
			zh, en = append(zh, headings[c][0]), append(en, string(c))
		}
	}
	if !h.has(colWhen) && !h.has(colWeekday) && !h.has(colDate) {
		zh, en = append(zh, "星期/日期"), append(en, "weekday/date")
	}
	if len(zh) > 0 {
		return unreadable("缺少列："+strings.Join(zh, "、"), "columns are missing: "+strings.Join(en, ", "))
	}
	return nil
}

// label is the column's heading for messages.
func (h *header) label(c column) string {
	if n, ok := h.name[c]; ok {
		return n
	}
	return headings[c][0]
}

// The words of the cells, normalised to lower case without spaces.
var (
	sessionWords = map[string]scheduling.Session{
		"上午": scheduling.Morning, "am": scheduling.Morning, "morning": scheduling.Morning, "早": scheduling.Morning, "上": scheduling.Morning,
		"下午": scheduling.Afternoon, "pm": scheduling.Afternoon, "afternoon": scheduling.Afternoon, "下": scheduling.Afternoon,
		"晚": scheduling.Evening, "晚上": scheduling.Evening, "晚间": scheduling.Evening, "夜间": scheduling.Evening, "夜门诊": scheduling.Evening, "evening": scheduling.Evening,
	}
	allDayWords = map[string]bool{"": true, "全天": true, "全日": true, "allday": true}
	classWords  = map[string]scheduling.Class{
		"普通": scheduling.Ordinary, "普通号": scheduling.Ordinary, "普通门诊": scheduling.Ordinary, "ordinary": scheduling.Ordinary,
		"专家": scheduling.Expert, "专家号": scheduling.Expert, "专家门诊": scheduling.Expert, "expert": scheduling.Expert,
		"特需": scheduling.Special, "特需号": scheduling.Special, "特需门诊": scheduling.Special, "special": scheduling.Special,
	}
	kindWords = map[string]rowKind{
		"": rowDuty, "出诊": rowDuty, "排班": rowDuty, "duty": rowDuty,
		"停诊": rowLeave, "请假": rowLeave, "休假": rowLeave, "停诊(请假)": rowLeave, "leave": rowLeave,
		"加诊": rowExtra, "加班": rowExtra, "extra": rowExtra,
		"补班": rowMakeUp, "调休": rowMakeUp, "makeup": rowMakeUp,
		"调整": rowSeats, "调整号源": rowSeats, "改号": rowSeats, "seats": rowSeats,
	}
	holidayWords = map[string]scheduling.HolidayPolicy{
		"": scheduling.HolidayRest, "停诊": scheduling.HolidayRest, "休息": scheduling.HolidayRest, "否": scheduling.HolidayRest, "rest": scheduling.HolidayRest,
		"照常": scheduling.HolidayWork, "出诊": scheduling.HolidayWork, "是": scheduling.HolidayWork, "work": scheduling.HolidayWork,
	}
	makeUpWords = map[string]scheduling.MakeUpPolicy{
		"": scheduling.MakeUpRest, "停诊": scheduling.MakeUpRest, "休息": scheduling.MakeUpRest, "否": scheduling.MakeUpRest, "rest": scheduling.MakeUpRest,
		"按工作日": scheduling.MakeUpWorkday, "照常": scheduling.MakeUpWorkday, "是": scheduling.MakeUpWorkday, "workday": scheduling.MakeUpWorkday,
		"按星期": scheduling.MakeUpOwn, "own": scheduling.MakeUpOwn,
	}
)

// rowKind is what a row tells.
type rowKind int

const (
	rowDuty rowKind = iota
	rowLeave
	rowExtra
	rowMakeUp
	rowSeats
)
