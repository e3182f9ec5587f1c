package clock

import (
	"database/sql/driver"
	"fmt"
	"time"
)

// Date is a civil date in Asia/Shanghai, counted in days since 1970-01-01. It is an
// integer so that it is one portable column (BIGINT / INTEGER) and sorts as it is;
// on the wire it is YYYY-MM-DD.
type Date int32

// NewDate makes a date from its parts; out-of-range parts are normalised as in time.Date.
func NewDate(y int, m time.Month, d int) Date {
	return Date(time.Date(y, m, d, 0, 0, 0, 0, time.UTC).Unix() / 86400)
}

// DateOf is the civil date of an instant in Asia/Shanghai.
func DateOf(t time.Time) Date {
	y, m, d := t.In(Shanghai).Date()
	return NewDate(y, m, d)
}

// ParseDate reads YYYY-MM-DD and refuses days that do not exist.
func ParseDate(s string) (Date, error) {
	t, err := time.Parse("2006-01-02", s)
	if err != nil {
		return 0, fmt.Errorf("date %q: want YYYY-MM-DD", s)
	}
	return Date(t.Unix() / 86400), nil
}

func (d Date) utc() time.Time { return time.Unix(int64(d)*86400, 0).UTC() }

// String is YYYY-MM-DD.
func (d Date) String() string { return d.utc().Format("2006-01-02") }

// Weekday is the day of the week.
func (d Date) Weekday() time.Weekday { return d.utc().Weekday() }

// Parts are the year, month and day.
func (d Date) Parts() (int, time.Month, int) { return d.utc().Date() }

// Add moves by whole days.
func (d Date) Add(days int) Date { return d + Date(days) }

// At is the instant of minutes after midnight on this date in Asia/Shanghai.
func (d Date) At(minutes int) time.Time {
	y, m, day := d.Parts()
	return time.Date(y, m, day, 0, minutes, 0, 0, Shanghai).UTC()
}

// Age is the number of full years from d to on (R25).
func (d Date) Age(on Date) int {
	y, m, day := d.Parts()
	y2, m2, day2 := on.Parts()
	age := y2 - y
	if m2 < m || (m2 == m && day2 < day) {
		age--
	}
	return age
}

// MarshalText and UnmarshalText are the wire form.
func (d Date) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads YYYY-MM-DD.
func (d *Date) UnmarshalText(b []byte) error {
	v, err := ParseDate(string(b))
	if err != nil {
		return err
	}
	*d = v
	return nil
}

// Value stores the day number.
func (d Date) Value() (driver.Value, error) { return int64(d), nil }

// Scan reads the day number.
func (d *Date) Scan(src any) error {
	switch v := src.(type) {
	case int64:
		*d = Date(v)
	case int32:
		*d = Date(v)
	case nil:
		*d = 0
	default:
		return fmt.Errorf("date: cannot scan %T", src)
	}
	return nil
}
