package notifysvc

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"xinglin/internal/directory"
	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/fault"
	"xinglin/internal/kernel/id"
	"xinglin/internal/kernel/money"
	"xinglin/internal/kernel/secret"
	"xinglin/internal/notify"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/job"
	"xinglin/internal/scheduling"
)

// How long before a visit a message about it is told even in quiet hours; that there is
// none, so early that nobody sets out from another town.
const (
	wakeBefore  = 3 * time.Hour
	wakeStopped = 8 * time.Hour
)

func (s *Service) jobs() []job.Handler {
	send := func(ctx context.Context, j sendJob) error { return s.deliver(ctx, j.Tenant, j.Delivery) }
	return []job.Handler{
		job.Call(composeKind, s.compose),
		job.Call(smsKind, send),
		job.Call(mailKind, send),
		job.Call(pushKind, send),
		job.Call(remindKind, s.remind),
		job.InTx(sweepKind, func(ctx context.Context, tx db.Tx, _ sweepJob) error { return s.store.sweep(ctx, tx) }),
	}
}

// compose looks up the names that an event does not carry and queues the message. The
// message id is derived from the event's row and the appointment, so a repeat is the same message.
func (s *Service) compose(ctx context.Context, c composeJob) error {
	tenant, err := parseTenant(c)
	if err != nil {
		return err
	}
	message, err := id.Parse[id.Any](c.Message)
	if err != nil {
		return fmt.Errorf("notify: compose: %w", err)
	}
	if c.Visit.Account.IsZero() {
		return nil // booked at the desk for somebody without an account
	}
	for i := range message {
		message[i] ^= c.Visit.Appointment[i] // one row may carry several appointments
	}
	params, err := s.facts(ctx, tenant, c)
	if err != nil {
		return err
	}
	m := dispatch{Message: notify.Message{
		ID: message, Tenant: tenant, Account: c.Visit.Account, Template: c.Template, Params: params,
		Channels: waysOf(c), Expires: c.Until,
	}}
	if m.Expires.IsZero() {
		m.Expires = s.base.Clock.Now().Add(24 * time.Hour)
	}
	m.before = wakeAt(c, s.base.Clock.Now())
	phoneless, err := s.send(ctx, m)
	if err == nil && phoneless {
		// A new account's phone comes by a job of identity's: later tries queue the text message too.
		return notify.ErrRecipient.New()
	}
	return err
}

func parseTenant(c composeJob) (notify.TenantID, error) {
	tenant, err := id.Parse[auth.Tenant](c.Tenant)
	if err != nil {
		return tenant, fmt.Errorf("notify: compose: %w", err)
	}
	return tenant, nil
}

// waysOf are the channels of a message. A first call into the room comes to who sits
// there; the second and third are for who has wandered off, by text message too; whoever
// is called more often gets no more of them.
func waysOf(c composeJob) []notify.Channel {
	ways := templates[c.Template].ways
	if c.Calls == 2 || c.Calls == 3 {
		ways = append(slices.Clone(ways), notify.SMS)
	}
	return ways
}

// wakeAt is until when quiet hours may hold a message about a visit; zero when it has no
// time. A closed clinic is told to who would be on the way: on its day at once.
func wakeAt(c composeJob, now time.Time) time.Time {
	switch {
	case c.Visit.StartsAt.IsZero():
		return time.Time{}
	case c.Template != "scheduling.stopped":
		return c.Visit.StartsAt.Add(-wakeBefore)
	case c.Visit.Date <= clock.DateOf(now):
		return now
	}
	return c.Visit.StartsAt.Add(-wakeStopped)
}

func (s *Service) facts(ctx context.Context, tenant notify.TenantID, c composeJob) (map[string]secret.Text, error) {
	v := c.Visit
	p := map[string]string{
		"appointment": v.Appointment.String(), "schedule": v.Schedule.String(), "number": c.Number, "amount": money.Fen(c.Fen).String(),
		"rank": strconv.Itoa(c.Rank), "of": strconv.Itoa(c.Of), "dept": v.Department.String(), "by": "", "by_en": "",
	}
	if !v.Department.IsZero() {
		if err := s.place(ctx, tenant, v, p); err != nil {
			return nil, err
		}
	}
	switch c.Template {
	case "scheduling.booked":
		p["advice"], p["advice_en"] = "请提前30分钟到院签到。", "Please arrive 30 minutes before."
		if c.Last {
			p["advice"], p["advice_en"] = bringZH, bringEN
		}
	case "scheduling.cancelled", "scheduling.stopped":
		if c.ByStaff {
			p["by"], p["by_en"] = "由医院", " by the hospital"
		}
		p["refund"], p["refund_en"] = "未产生费用。", "Nothing was charged."
		if c.Fen > 0 {
			p["refund"] = "挂号费 ¥" + money.Fen(c.Fen).String() + " 将退还：网上支付的原路退回，付现金的请到窗口领取。"
			p["refund_en"] = "The fee of ¥" + money.Fen(c.Fen).String() + " is refunded: the way you paid online; cash is handed out at the desk."
		}
	case "scheduling.lottery_won":
		p["pay"], p["pay_en"] = payWords(c)
	case "scheduling.lottery_refused":
		p["reason"], p["reason_en"] = reasonWords(c.Reason)
	}
	out := map[string]secret.Text{}
	for k, x := range p {
		out[k] = secret.New(x)
	}
	return out, nil
}

// payWords say how long a seat waits for its payment.
func payWords(c composeJob) (zh, en string) {
	fee, until := "¥"+money.Fen(c.Fen).String(), c.Until.In(clock.Shanghai).Format("15:04")
	switch {
	case c.Fen == 0:
		return "无需支付。", " Nothing is to be paid."
	case c.Minutes > 0:
		return fmt.Sprintf("请在 %d 分钟内（%s 前）支付挂号费 %s，逾期号源将释放。", c.Minutes, until, fee),
			fmt.Sprintf(" Pay the fee of %s within %d min (before %s), or the seat is free again.", fee, c.Minutes, until)
	}
	return "", "" // paid or given up before this was told; the visit says which
}

// reasonWords are the title of a refusal's code.
func reasonWords(code string) (zh, en string) {
	for _, c := range fault.Codes() {
		if c.Name == code {
			return c.ZH, c.EN
		}
	}
	return "不符合预约规则", "the rules of booking do not allow it"
}

// sessionWords name the parts of the day.
var sessionWords = map[scheduling.Session][2]string{
	scheduling.Morning: {"上午", "morning"}, scheduling.Afternoon: {"下午", "afternoon"}, scheduling.Evening: {"晚间", "evening"},
}

// dateWords are a date in both languages: 3月9日, 9 Mar.
func dateWords(day clock.Date) (zh, en string) {
	_, m, d := day.Parts()
	return fmt.Sprintf("%d月%d日", int(m), d), fmt.Sprintf("%d %s", d, m.String()[:3])
}

// dayWords say a date as somebody says it on today, who must not miss it: 明天（3月9日 周一）, 3月9日（周一）.
func dayWords(day, today clock.Date) (zh, en string) {
	zh, en = dateWords(day)
	weekday := day.Weekday()
	switch day {
	case today:
		return "今天（" + zh + " " + weekdays[weekday] + "）", "today (" + weekday.String() + ", " + en + ")"
	case today.Add(1):
		return "明天（" + zh + " " + weekdays[weekday] + "）", "tomorrow (" + weekday.String() + ", " + en + ")"
	}
	return zh + "（" + weekdays[weekday] + "）", "on " + weekday.String() + ", " + en
}

var weekdays = [...]string{"周日", "周一", "周二", "周三", "周四", "周五", "周六"}

// place adds where, when and who of a visit in both languages.
func (s *Service) place(ctx context.Context, tenant notify.TenantID, v scheduling.Visit, p map[string]string) error {
	person, department, campus := directory.PractitionerID(v.Practitioner), directory.DepartmentID(v.Department), directory.CampusID(v.Campus)
	l, err := s.directory.Labels(ctx, tenant, []directory.PractitionerID{person}, []directory.DepartmentID{department}, []directory.CampusID{campus})
	if err != nil {
		return err
	}
	both := func(name string, label directory.Label) {
		p[name], p[name+"_en"] = label.Name, cmp.Or(label.NameEN, label.Name)
	}
	both("department", l.Departments[department])
	both("campus", l.Campuses[campus])
	doctor := l.Practitioners[person]
	p["doctor"] = cmp.Or(strings.TrimSpace(doctor.Name+" "+doctor.Title), "门诊医师")
	p["doctor_en"] = cmp.Or(doctor.NameEN, doctor.Name, "the doctor on duty")
	p["date"], p["date_en"] = dateWords(v.Date)
	p["day"], p["day_en"] = v.Date.String(), v.Date.String()
	p["session"], p["session_en"] = sessionWords[v.Session][0], sessionWords[v.Session][1]
	p["time"] = v.StartsAt.In(clock.Shanghai).Format("15:04")
	return nil
}
