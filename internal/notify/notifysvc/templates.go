package notifysvc

import (
	"sort"
	"strings"

	"xinglin/internal/notify"
)

// text is one template: {name} is replaced by the parameter.
type text struct {
	titleZH, titleEN string
	bodyZH, bodyEN   string
	link             string // path in the app, with parameters
	params           []string
	topic            notify.Topic     // none: a code, whatever the settings
	ways             []notify.Channel // of what this house itself sends
	urgent           bool             // quiet hours do not hold it
	matters          bool             // when mail or push fails for good, a text message goes instead, once
}

var (
	everyWay  = []notify.Channel{notify.InApp, notify.SMS, notify.Mail, notify.Push}
	silentWay = []notify.Channel{notify.InApp} // nothing to be done about it
)

// bring is what a patient must know on the way: the reminder says it, and the confirmation when no reminder follows.
const (
	bringZH = "请带好身份证和医保卡，提前30分钟到院签到。来不了请尽早取消，把号留给别人。"
	bringEN = "Bring your identity document and insurance card and arrive 30 minutes before. If you cannot come, please cancel early."
)

// templates are all messages. {day} and {day_en} are dates, said as they are seen when the message is read (dayWords). SMS carry the Chinese body behind the signature that the
// gateway adds; no message names a diagnosis or a full name.
var templates = map[string]text{
	"identity.code": {
		titleZH: "验证码", titleEN: "Code",
		bodyZH: "您的验证码是 {code}，5分钟内有效。请勿告诉任何人。",
		bodyEN: "Your code is {code}, valid for 5 minutes. Tell it to nobody.",
		params: []string{"code"},
	},
	"notify.mail_code": {
		titleZH: "邮箱验证码", titleEN: "Code for your mail address",
		bodyZH: "您正在用这个邮箱接收就诊通知，验证码是 {code}，10分钟内有效。不是您本人操作，请不要理会。",
		bodyEN: "You asked for notices at this address. The code is {code}, valid for 10 minutes. If it was not you, do nothing.",
		params: []string{"code"},
	},
	"notify.mail_confirmed": {
		topic: notify.AboutService, ways: []notify.Channel{notify.InApp, notify.Mail},
		titleZH: "邮箱已绑定", titleEN: "Mail address confirmed",
		bodyZH: "就诊通知以后也会发到 {mail}。可在「我的」的通知设置里随时取消。",
		bodyEN: "Notices will also go to {mail}. You can stop them at any time in your notice settings.",
		params: []string{"mail"},
	},
	"patient.claim_code": {
		titleZH: "就诊人验证码", titleEN: "Code for adding a person",
		bodyZH: "有人要把您登记的就诊人加到另一个账号，验证码 {code}，5分钟内有效。不是您同意的，请勿提供。",
		bodyEN: "Another account wants to add a person registered with your phone. Code {code}, valid for 5 minutes. Do not give it away unless you agree.",
		params: []string{"code"},
	},
	"scheduling.booked": {
		topic: notify.AboutVisit, ways: everyWay, matters: true,
		titleZH: "预约成功", titleEN: "Booked",
		bodyZH: "{day}{time}，{campus}{department}，{doctor}，就诊号 {number}。{advice}",
		bodyEN: "You are booked {day_en} at {time}, {campus_en}, {department_en}, {doctor_en}, number {number}. {advice_en}",
		link:   "/m/visits/{appointment}",
		params: []string{"day", "day_en", "time", "campus", "campus_en", "department", "department_en", "doctor", "doctor_en", "number", "advice", "advice_en", "appointment"},
	},
	"scheduling.reminder": {
		topic: notify.AboutVisit, ways: everyWay, matters: true,
		titleZH: "就诊提醒", titleEN: "Your visit",
		bodyZH: "您预约了{day}{time} {campus}{department}，{doctor}，就诊号 {number}。" + bringZH,
		bodyEN: "You have an appointment {day_en} at {time}, {campus_en}, {department_en}, {doctor_en}, number {number}. " + bringEN,
		link:   "/m/visits/{appointment}",
		params: []string{"day", "day_en", "time", "campus", "campus_en", "department", "department_en", "doctor", "doctor_en", "number", "appointment"},
	},
	"scheduling.cancelled": {
		topic: notify.AboutVisit, ways: everyWay, matters: true,
		titleZH: "预约已取消", titleEN: "Cancelled",
		bodyZH: "{date} {time} {department} {doctor} 的预约已{by}取消。{refund}",
		bodyEN: "Your appointment {date_en} {time}, {department_en}, {doctor_en} is cancelled{by_en}. {refund_en}",
		link:   "/m/visits/{appointment}",
		params: []string{"date", "date_en", "time", "department", "department_en", "doctor", "doctor_en", "by", "by_en", "refund", "refund_en", "appointment"},
	},
	"scheduling.stopped": {
		topic: notify.AboutVisit, ways: everyWay, matters: true,
		titleZH: "医生停诊，预约已取消", titleEN: "The clinic is closed",
		bodyZH: "很抱歉，{date} {time} {department} {doctor} 停诊，您的预约已由医院取消，请不要前来。{refund}您可以在手机上重新预约，这次取消不影响您以后挂号。",
		bodyEN: "We are sorry: the clinic {date_en} {time}, {department_en}, {doctor_en} is closed and your appointment is cancelled by the hospital. Please do not come. {refund_en} You can book another time; this does not count against you.",
		link:   "/m/book/{dept}",
		params: []string{"date", "date_en", "time", "department", "department_en", "doctor", "doctor_en", "refund", "refund_en", "dept"},
	},
	"clinic.called": {
		topic: notify.AboutQueue, ways: []notify.Channel{notify.InApp, notify.Push}, urgent: true, matters: true,
		titleZH: "叫到您的号了", titleEN: "It is your turn",
		bodyZH: "现在叫到您的号（{number}号），请马上到诊室就诊。没有到会过号，要重新等候。",
		bodyEN: "Your number {number} is called. Please go to the consulting room now; who does not come is passed over and waits again.",
		link:   "/m/visits/{appointment}", params: []string{"number", "appointment"},
	},
	"clinic.missed": {
		topic: notify.AboutQueue, ways: []notify.Channel{notify.InApp, notify.SMS, notify.Push}, urgent: true, matters: true,
		titleZH: "您已过号", titleEN: "You were passed over",
		bodyZH: "刚才叫到您的号（{number}号）时您没有到，已经过号。今天的号仍然有效，不用重新挂号，请到护士台重新排队。",
		bodyEN: "Your number {number} was called and you did not come. It is still valid today: please go to the nurses' desk to queue again, you need not book anew.",
		link:   "/m/visits/{appointment}", params: []string{"number", "appointment"},
	},
	"scheduling.missed": {
		topic: notify.AboutVisit, ways: everyWay,
		titleZH: "未按时就诊", titleEN: "A visit was missed",
		bodyZH: "{date} {time} {department} {doctor} 的预约没有签到，已记为爽约。来不了请提前取消，把号让给别人。如果您当天到过医院，请联系窗口更正。",
		bodyEN: "Nobody checked in for {date_en} {time}, {department_en}, {doctor_en}: it counts as missed. If you cannot come, please cancel in time. If you were there, please ask the desk to put it right.",
		link:   "/m/visits/{appointment}", params: []string{"date", "date_en", "time", "department", "department_en", "doctor", "doctor_en", "appointment"},
	},
	"scheduling.expired": {
		topic: notify.AboutVisit, ways: everyWay,
		titleZH: "占号已超时", titleEN: "The hold has ended",
		bodyZH: "{date} {time} {department} {doctor} 的号源未在规定时间内支付，已释放。",
		bodyEN: "The seat {date_en} {time}, {department_en}, {doctor_en} was not paid in time and is free again.",
		link:   "/m/visits/{appointment}", params: []string{"date", "date_en", "time", "department", "department_en", "doctor", "doctor_en", "appointment"},
	},
	"scheduling.lottery_won": {
		topic: notify.AboutVisit, ways: everyWay, urgent: true, matters: true,
		titleZH: "已中签", titleEN: "You won a seat",
		bodyZH: "抽签第 {rank} 名（共 {of} 人），号源为您保留：{date} {time}，{campus}{department}，{doctor}。{pay}",
		bodyEN: "Rank {rank} of {of} in the draw. This seat is kept for you: {date_en} {time}, {campus_en}, {department_en}, {doctor_en}.{pay_en}",
		link:   "/m/visits/{appointment}",
		params: []string{"rank", "of", "date", "date_en", "time", "campus", "campus_en", "department", "department_en", "doctor", "doctor_en", "pay", "pay_en", "appointment"},
	},
	"scheduling.lottery_lost": {
		topic: notify.AboutVisit, ways: silentWay,
		titleZH: "未中签", titleEN: "Not drawn",
		bodyZH: "{date}{session} {department} {doctor} 的抽签，您是第 {rank} 名（共 {of} 人），您选的时间在前面的名次已分完。剩余号源已开放普通预约。",
		bodyEN: "Your rank in the draw for {date_en}, {session_en}, {department_en}, {doctor_en} is {rank} of {of}; the times you asked for went to the ranks before. What is left is on ordinary sale.",
		link:   "/m/lottery/{schedule}",
		params: []string{"rank", "of", "date", "date_en", "session", "session_en", "department", "department_en", "doctor", "doctor_en", "schedule"},
	},
	"scheduling.lottery_refused": {
		topic: notify.AboutVisit, ways: silentWay,
		titleZH: "抽签未能给号", titleEN: "The seat could not be given",
		bodyZH: "{date}{session} {department} {doctor} 的抽签，您是第 {rank} 名（共 {of} 人），但号源未能留给您：{reason}。",
		bodyEN: "Your rank in the draw for {date_en}, {session_en}, {department_en}, {doctor_en} is {rank} of {of}, but the seat could not be given to you: {reason_en}.",
		link:   "/m/lottery/{schedule}",
		params: []string{"rank", "of", "date", "date_en", "session", "session_en", "department", "department_en", "doctor", "doctor_en", "reason", "reason_en", "schedule"},
	},
	"payment.refunded": {
		topic: notify.AboutPayment, ways: everyWay, matters: true,
		titleZH: "退款已完成", titleEN: "Refunded",
		bodyZH: "¥{amount} 已按您付款的方式退给您。退到微信的，最晚 3 个工作日到账。",
		bodyEN: "¥{amount} was paid back the way you paid. On WeChat it shows within 3 working days.",
		link:   "/m/visits/{appointment}", params: []string{"amount", "appointment"},
	},
}

func fill(s string, params map[string]string) string {
	names := make([]string, 0, len(params))
	for k := range params {
		names = append(names, k)
	}
	sort.Strings(names)
	pairs := make([]string, 0, 2*len(names))
	for _, k := range names {
		pairs = append(pairs, "{"+k+"}", params[k])
	}
	return strings.NewReplacer(pairs...).Replace(s)
}
