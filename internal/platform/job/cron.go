package job

import (
	"fmt"
	"time"

	"xinglin/internal/kernel/clock"
)

// Cron is a period: Every a duration, or At an hour of each day, or At an hour of the
// Day of each month. Hours are civil time in Asia/Shanghai.
type Cron struct {
	Every time.Duration // aligned to the Unix epoch; at least a second
	At    string        // HH:MM
	Day   int           // 1 to 28; 0 means each day
}

func (c Cron) check() error {
	if c.Every >= time.Second && c.At == "" && c.Day == 0 {
		return nil
	}
	if _, err := c.minutes(); err != nil || c.Every != 0 || c.Day < 0 || c.Day > 28 {
		return fmt.Errorf("job: malformed period %+v", c)
	}
	return nil
}

func (c Cron) minutes() (int, error) {
	t, err := time.Parse("15:04", c.At)
	if err != nil {
		return 0, fmt.Errorf("job: hour %q: want HH:MM", c.At)
	}
	return t.Hour()*60 + t.Minute(), nil
}

// Next is the first instant of the period after now.
func (c Cron) Next(now time.Time) time.Time {
	if c.Every > 0 {
		step := c.Every.Microseconds()
		return time.UnixMicro((now.UnixMicro()/step + 1) * step).UTC()
	}
	min, _ := c.minutes() // check has read it
	for d := clock.DateOf(now); ; d = d.Add(1) {
		if _, _, day := d.Parts(); c.Day != 0 && day != c.Day {
			continue
		}
		if t := d.At(min); t.After(now) {
			return t
		}
	}
}
