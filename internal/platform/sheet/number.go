package sheet

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// number is a cell that a workbook keeps as a number. Dates and times of day are numbers
// there: days since the workbook's epoch, and parts of a day.
type number struct {
	is     bool
	value  float64
	old    bool // counted from 1904, as old programs on the Mac did
	format format
}

// format is what a cell's number format shows.
type format byte

const (
	plain format = iota
	date
	clock
	dateClock
)

// The days that are read as dates: 1954 to 2119. What is smaller is a number.
const (
	firstSerial = 20_000
	lastSerial  = 80_000
	days1904    = 1462
	secondsADay = 86_400
)

var epoch = time.Date(1899, 12, 30, 0, 0, 0, 0, time.UTC)

// Date is the day of a cell that is a number without the format of a date: 2026-03-04. ok is
// false for a text, and for a number that can be no date of this or the last century.
func (r Row) Date(i int) (day string, ok bool) {
	n, ok := r.number(i)
	if !ok || n.value != math.Trunc(n.value) || n.days() < firstSerial || n.days() > lastSerial {
		return "", false
	}
	return n.text(date), true
}

// Clock is the time of day of a cell that is a part of a day without the format of one: 08:00.
func (r Row) Clock(i int) (t string, ok bool) {
	n, ok := r.number(i)
	if !ok || n.value <= 0 || n.value >= 1 {
		return "", false
	}
	return n.text(clock), true
}

func (r Row) number(i int) (number, bool) {
	if i < 0 || i >= len(r.numbers) || i >= len(r.Cells) {
		return number{}, false
	}
	return r.numbers[i], r.numbers[i].is
}

// days is the number counted from the usual epoch.
func (n number) days() float64 {
	if n.old {
		return n.value + days1904
	}
	return n.value
}

// text writes the number as its format does, in one form for dates and times whatever the
// country. Numbers have the 15 digits that a spreadsheet shows.
func (n number) text(f format) string {
	if f != plain && (n.value < 0 || n.days() > 2*lastSerial) {
		f = plain
	}
	seconds := int64(math.Round(math.Mod(n.value, 1) * secondsADay))
	switch f {
	case date, dateClock:
		day := epoch.AddDate(0, 0, int(n.days())).Add(time.Duration(seconds) * time.Second)
		switch {
		case f == date || seconds == 0:
			return day.Format("2006-01-02")
		case seconds%60 == 0:
			return day.Format("2006-01-02 15:04")
		}
		return day.Format("2006-01-02 15:04:05")
	case clock: // more than a day stays more than 24 hours
		seconds = int64(math.Round(n.value * secondsADay))
		if seconds%60 == 0 {
			return fmt.Sprintf("%02d:%02d", seconds/3600, seconds/60%60)
		}
		return fmt.Sprintf("%02d:%02d:%02d", seconds/3600, seconds/60%60, seconds%60)
	}
	shown, err := strconv.ParseFloat(strconv.FormatFloat(n.value, 'g', 15, 64), 64)
	if err != nil {
		shown = n.value
	}
	return strconv.FormatFloat(shown, 'f', -1, 64)
}

// builtin are the formats that a workbook names by number alone, those of China among them.
func builtin(id int) format {
	switch {
	case id >= 14 && id <= 17, id >= 27 && id <= 31, id == 36, id >= 50 && id <= 54, id == 57, id == 58:
		return date
	case id >= 18 && id <= 21, id >= 32 && id <= 35, id >= 45 && id <= 47, id == 55, id == 56:
		return clock
	case id == 22:
		return dateClock
	}
	return plain
}

// formatOf reads a format's code. Texts in it, colours and locales say nothing; [h] does.
func formatOf(code string) format {
	code, _, _ = strings.Cut(code, ";") // the part for positive numbers
	var day, time bool
	for i := 0; i < len(code); i++ {
		switch c := code[i] | 0x20; {
		case code[i] == '"':
			end := strings.IndexByte(code[i+1:], '"')
			if end < 0 {
				return plain
			}
			i += end + 1
		case code[i] == '\\' || code[i] == '_' || code[i] == '*':
			i++
		case code[i] == '[':
			end := strings.IndexByte(code[i:], ']')
			if end < 0 {
				return plain
			}
			inside := strings.ToLower(code[i+1 : i+end])
			time = time || inside != "" && strings.Trim(inside, "hms") == ""
			i += end
		case c == 'y' || c == 'd':
			day = true
		case c == 'h' || c == 's':
			time = true
		case c == 'e' || c == 'g' || c == '0' || c == '#':
			if strings.HasPrefix(strings.ToLower(code[i:]), "general") {
				return plain
			}
		}
	}
	switch {
	case day && time:
		return dateClock
	case day:
		return date
	case time:
		return clock
	}
	return plain
}
