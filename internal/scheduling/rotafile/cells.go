package rotafile

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"xinglin/internal/kernel/clock"
	"xinglin/internal/scheduling"
	"xinglin/internal/scheduling/rotaplan"
)

// word normalises a cell that is looked up in a table.
func word(s string) string { return strings.ToLower(strings.ReplaceAll(s, " ", "")) }

// personName drops the spaces that align short Chinese names (张 三).
func personName(s string) string {
	for _, r := range s {
		if r != ' ' && !unicode.Is(unicode.Han, r) {
			return s
		}
	}
	return strings.ReplaceAll(s, " ", "")
}

// count reads a whole number with an optional unit.
func count(s string, units ...string) (int, bool) {
	s = word(s)
	for _, u := range units {
		if t, ok := strings.CutSuffix(s, u); ok {
			s = t
			break
		}
	}
	if len(s) == 0 || len(s) > 6 || strings.ContainsFunc(s, func(r rune) bool { return r < '0' || r > '9' }) {
		return 0, false
	}
	n, err := strconv.Atoi(s)
	return n, err == nil
}

var dateRE = regexp.MustCompile(`^(\d{4})(?:-|/|\.|年)(\d{1,2})(?:-|/|\.|月)(\d{1,2})日?$`)

// readDate reads a date as clerks write it: 2026-03-04, 2026/3/4, 2026.3.4,
// 2026年3月4日, 20260304. Times of midnight behind it, as spreadsheets add, are dropped.
func readDate(s string) (clock.Date, bool) {
	s, _, _ = strings.Cut(s, " 0:00")
	s, _, _ = strings.Cut(s, " 00:00")
	s = word(s)
	if len(s) == 8 && strings.Trim(s, "0123456789") == "" {
		s = s[:4] + "-" + s[4:6] + "-" + s[6:]
	}
	m := dateRE.FindStringSubmatch(s)
	if m == nil {
		return 0, false
	}
	iso := m[1] + "-" + pad(m[2]) + "-" + pad(m[3])
	d, err := clock.ParseDate(iso)
	return d, err == nil && d >= rotaplan.Earliest
}

func pad(s string) string {
	if len(s) == 1 {
		return "0" + s
	}
	return s
}

var clockRE = regexp.MustCompile(`^(\d{1,2})(?:(?::|点|时)(\d{1,2})?(?::00|分)?)?$`)

// readClock reads a time of day: 8:00, 08:00:00, 8点, 8点30分, 8.
func readClock(s string) (scheduling.Minute, bool) {
	m := clockRE.FindStringSubmatch(word(s))
	if m == nil {
		return 0, false
	}
	h, _ := strconv.Atoi(m[1])
	minute := 0
	if m[2] != "" {
		minute, _ = strconv.Atoi(m[2])
	}
	return scheduling.Minute(h*60 + minute), h < 24 && minute < 60
}

// readHours reads a start and an optional end in one cell: 8:00-12:00.
func readHours(s string) (start, end scheduling.Minute, ok bool) {
	a, b, two := cutRange(s)
	if start, ok = readClock(a); !ok || !two {
		return start, 0, ok
	}
	end, ok = readClock(b)
	return start, end, ok
}

// cutRange splits at the first range sign.
func cutRange(s string) (a, b string, two bool) {
	for _, sep := range []string{"至", "到", "~", "—", "–", "-"} {
		if a, b, two = strings.Cut(s, sep); two {
			return a, strings.TrimLeft(b, "—-"), true
		}
	}
	return s, "", false
}

var weekdayWords = func() map[string]time.Weekday {
	m := map[string]time.Weekday{}
	zh := []string{"日", "一", "二", "三", "四", "五", "六"}
	en := []string{"sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"}
	for i := range 7 {
		d := time.Weekday(i)
		m[zh[i]], m[en[i]], m[en[i][:3]] = d, d, d
		m[strconv.Itoa((i+6)%7+1)] = d // 1..7, Monday first
	}
	m["天"], m["tues"], m["thur"], m["thurs"], m["wednes"] = time.Sunday, time.Tuesday, time.Thursday, time.Thursday, time.Wednesday
	return m
}()

// readWeekdays reads weekdays: 周一, 星期一, 1, Mon, several (周一、周三; 周一三五; 1,3),
// ranges (周一至周五), 工作日, 每天. The result is in the order of the week, without repeats.
func readWeekdays(s string) ([]time.Weekday, bool) {
	s = word(s)
	switch s {
	case "工作日", "weekdays":
		s = "一至五"
	case "每天", "每日", "daily":
		s = "一至日"
	}
	set := map[time.Weekday]bool{}
	for _, part := range strings.FieldsFunc(s, func(r rune) bool { return strings.ContainsRune("、,;/|+和及", r) }) {
		days, ok := readWeekdayPart(part)
		if !ok {
			return nil, false
		}
		for _, d := range days {
			set[d] = true
		}
	}
	var out []time.Weekday
	for i := range 7 {
		if d := time.Weekday((i + 1) % 7); set[d] {
			out = append(out, d)
		}
	}
	return out, len(out) > 0
}

func bareWeekday(s string) string {
	for _, p := range []string{"每周", "星期", "礼拜", "周"} {
		if t, ok := strings.CutPrefix(s, p); ok {
			return t
		}
	}
	return s
}

func readWeekdayPart(s string) ([]time.Weekday, bool) {
	if a, b, two := cutRange(s); two {
		first, ok1 := weekdayWords[bareWeekday(a)]
		last, ok2 := weekdayWords[bareWeekday(b)]
		if !ok1 || !ok2 {
			return nil, false
		}
		out := []time.Weekday{first}
		for d := first; d != last; {
			d = (d + 1) % 7
			out = append(out, d)
		}
		return out, true
	}
	bare := bareWeekday(s)
	if d, ok := weekdayWords[bare]; ok {
		return []time.Weekday{d}, true
	}
	var out []time.Weekday
	for _, r := range bare { // 周一三五; digits run together are too easily a typo
		d, ok := weekdayWords[string(r)]
		if !ok || !unicode.Is(unicode.Han, r) || slices.Contains(out, d) {
			return nil, false
		}
		out = append(out, d)
	}
	return out, len(out) > 0
}
