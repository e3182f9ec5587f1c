package notifysvc

import (
	"fmt"
	"time"

	"xinglin/internal/kernel/clock"
	"xinglin/internal/notify"
)

// choice says on which channels a topic is heard; the app always has it.
type choice struct {
	SMS  bool `json:"sms"`
	Mail bool `json:"mail"`
	Push bool `json:"push"`
}

// topics are the choices of an account.
type topics struct {
	Visit   choice `json:"visit"`
	Queue   choice `json:"queue"`
	Payment choice `json:"payment"`
	Service choice `json:"service"`
}

// preferences are what an account wants. Minutes are of the day in Shanghai.
type preferences struct {
	topics   topics
	quiet    bool
	from, to int
	version  int64 // 0: never changed
}

// usual is what an account has that never chose: every channel that it gave us, and
// quiet from 22:00 to 07:00.
func usual() preferences {
	all := choice{SMS: true, Mail: true, Push: true}
	return preferences{topics: topics{all, all, all, all}, quiet: true, from: 22 * 60, to: 7 * 60}
}

// wants reports whether the account hears the topic on the channel.
func (p preferences) wants(t notify.Topic, c notify.Channel) bool {
	var is choice
	switch t {
	case notify.AboutVisit:
		is = p.topics.Visit
	case notify.AboutQueue:
		is = p.topics.Queue
	case notify.AboutPayment:
		is = p.topics.Payment
	case notify.AboutService:
		is = p.topics.Service
	default:
		return true // codes
	}
	switch c {
	case notify.SMS:
		return is.SMS
	case notify.Mail:
		return is.Mail
	case notify.Push:
		return is.Push
	}
	return true
}

// until is the end of the quiet hours that now lies in; zero outside of them. The first
// minute is quiet, the last is not; hours may pass midnight.
func (p preferences) until(now time.Time) time.Time {
	local := now.In(clock.Shanghai)
	day, minute := clock.DateOf(now), local.Hour()*60+local.Minute()
	switch {
	case !p.quiet || p.from == p.to:
		return time.Time{}
	case p.from < p.to:
		if minute < p.from || minute >= p.to {
			return time.Time{}
		}
	case minute >= p.from:
		day = day.Add(1)
	case minute >= p.to:
		return time.Time{}
	}
	return day.At(p.to)
}

// due is when a message that may ring only outside quiet hours leaves; zero is at once.
// A message whose matter begins before the quiet ends does not wait: nobody sleeps over
// a clinic that is closed when they get there.
func (p preferences) due(now, before time.Time) time.Time {
	end := p.until(now)
	if !before.IsZero() && end.After(before) {
		return time.Time{}
	}
	return end
}

// minutes reads "22:00".
func minutes(text string) (int, bool) {
	t, err := time.Parse("15:04", text)
	if err != nil || len(text) != len("15:04") {
		return 0, false
	}
	return t.Hour()*60 + t.Minute(), true
}

func hours(minute int) string { return fmt.Sprintf("%02d:%02d", minute/60, minute%60) }
