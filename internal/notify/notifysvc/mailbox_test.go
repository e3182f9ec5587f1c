package notifysvc

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/id"
	"xinglin/internal/kernel/secret"
	"xinglin/internal/mailsim"
	"xinglin/internal/notify"
	"xinglin/internal/platform/mail"
	"xinglin/internal/scheduling"
	"xinglin/internal/testkit/apitest"
)

const (
	address  = "lin.zhixia@example.com"
	mailPath = "/notice-preferences/mail"
)

var sixDigits = regexp.MustCompile(`\d{6}`)

// prove asks for a code and reads it from the mail.
func (h *house) prove(who auth.Principal, to string) string {
	h.t.Helper()
	h.Do(who, "POST", mailPath, fields{"mail": to}).Want(h.t, 202)
	h.run()
	got := h.post.Mails(1)
	if len(got) != 1 || got[0].To != to {
		h.t.Fatalf("no code came: %s", h.states())
	}
	return sixDigits.FindString(got[0].Text)
}

// confirmed gives the account a mail address.
func (h *house) confirmed(who auth.Principal, to string) {
	h.t.Helper()
	h.Do(who, "POST", mailPath+"/confirm", fields{"code": h.prove(who, to)}).Want(h.t, 200)
	h.run()
}

func wrong(code string) string {
	return string('0'+(code[0]-'0'+1)%10) + code[1:]
}

func TestMailAddress(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.Do(apitest.Nobody(apitest.Main), "POST", mailPath, fields{"mail": address}).Refused(t, 401, "auth.required")
		h.Do(h.who, "POST", mailPath+"/confirm", fields{"code": "123456"}).Refused(t, 410, "notify.code_expired")
		for _, bad := range []string{"", "lin", "Lin <lin@e.cn>", "a@b.cn\r\nBcc: c@d.cn"} {
			h.Do(h.who, "POST", mailPath, fields{"mail": bad}).Refused(t, 422, "notify.invalid")
		}
		code := h.prove(h.who, address)
		m := h.post.Mails(1)[0]
		if !strings.Contains(m.Text, "10分钟") || !strings.Contains(m.Text, "valid for 10 minutes") || !strings.HasPrefix(m.Subject, "邮箱验证码") {
			t.Errorf("%+v", m)
		}
		if got := h.Do(h.who, "GET", "/notice-preferences", nil).Map(t)["mail_masked"]; got != "" {
			t.Errorf("it counts before it was confirmed: %v", got)
		}
		h.Do(h.who, "POST", mailPath+"/confirm", fields{"code": wrong(code)}).Refused(t, 422, "notify.code_wrong")
		for _, who := range []auth.Principal{apitest.Patient(apitest.Main), {Kind: h.who.Kind, Tenant: apitest.Other, Account: h.who.Account}} {
			h.Do(who, "POST", mailPath+"/confirm", fields{"code": code}).Refused(t, 410, "notify.code_expired")
		}
		if got := h.Do(h.who, "POST", mailPath+"/confirm", fields{"code": code}).Want(t, 200).Map(t)["mail_masked"]; got != "l***@example.com" {
			t.Errorf("%v", got)
		}
		h.Do(h.who, "POST", mailPath+"/confirm", fields{"code": code}).Refused(t, 410, "notify.code_expired")
		h.run()
		if got := h.post.Mails(1)[0]; !strings.HasPrefix(got.Subject, "邮箱已绑定") || !strings.Contains(got.Text, "l***@example.com") {
			t.Errorf("%+v", got)
		}
		if got := noticesOf(t, h)["Mail address confirmed"]; got == nil {
			t.Error("no notice")
		}
		all := h.bytesOf()
		for _, plain := range []string{address, "zhixia", code} {
			if bytes.Contains(all, []byte(plain)) {
				t.Errorf("%s is readable in the tables", plain)
			}
		}
		for range 2 {
			h.Do(h.who, "DELETE", mailPath, nil).Want(t, 204)
		}
		if got := h.Do(h.who, "GET", "/notice-preferences", nil).Map(t)["mail_masked"]; got != "" {
			t.Errorf("after it was removed: %v", got)
		}
		h.Do(apitest.Nobody(apitest.Main), "DELETE", mailPath, nil).Refused(t, 401, "auth.required")
		if br := h.broken(); len(br) != 0 {
			t.Errorf("verify: %v", br)
		}
	})
}

// A code dies after five wrong tries, after its time, and when a newer one is asked for.
func TestMailCodeDies(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		code := h.prove(h.who, address)
		for range codeTries {
			h.Do(h.who, "POST", mailPath+"/confirm", fields{"code": wrong(code)}).Refused(t, 422, "notify.code_wrong")
		}
		h.Do(h.who, "POST", mailPath+"/confirm", fields{"code": code}).Refused(t, 410, "notify.code_expired")
		h.clk.Add(codeGap)
		code = h.prove(h.who, address)
		h.clk.Add(codeTime)
		h.Do(h.who, "POST", mailPath+"/confirm", fields{"code": code}).Refused(t, 410, "notify.code_expired")
		code = h.prove(h.who, address)
		h.clk.Add(codeGap)
		if newer := h.prove(h.who, address); newer != code {
			h.Do(h.who, "POST", mailPath+"/confirm", fields{"code": code}).Refused(t, 422, "notify.code_wrong")
		}
	})
}

// TestMailCodeRace: of many that guess at once no more than five are looked at, and a
// right code confirms once.
func TestMailCodeRace(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		code := h.prove(h.who, address)
		var looked, won atomic.Int32
		try := func(text string, n int) {
			var wg sync.WaitGroup
			for range n {
				wg.Go(func() {
					switch r := h.Do(h.who, "POST", mailPath+"/confirm", fields{"code": text}); r.Status {
					case 422:
						looked.Add(1)
					case 200:
						won.Add(1)
					}
				})
			}
			wg.Wait()
		}
		try(wrong(code), 12)
		if looked.Load() != codeTries || won.Load() != 0 {
			t.Errorf("%d were looked at, %d won", looked.Load(), won.Load())
		}
		h.clk.Add(codeGap)
		try(h.prove(h.who, address), 4)
		if won.Load() != 1 {
			t.Errorf("the right code won %d times", won.Load())
		}
	})
}

// TestMailCodeBudgets: one a minute and ten a day, of an account and to an address,
// whoever asks.
func TestMailCodeBudgets(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		ask := func(who auth.Principal, to string) apitest.Response {
			return h.Do(who, "POST", mailPath, fields{"mail": to})
		}
		ask(h.who, address).Want(t, 202)
		r := ask(h.who, "other@example.com").Refused(t, 429, "notify.code_too_often")
		if r.Header.Get("Retry-After") != "60" {
			t.Errorf("Retry-After %q", r.Header.Get("Retry-After"))
		}
		other := apitest.Patient(apitest.Main)
		ask(other, strings.ToUpper(address)).Refused(t, 429, "notify.code_too_often")
		ask(other, "other@example.com").Want(t, 202)
		for range codesADay - 1 {
			h.clk.Add(codeGap)
			ask(h.who, address).Want(t, 202)
		}
		h.clk.Add(codeGap)
		ask(h.who, "third@example.com").Refused(t, 429, "notify.code_too_often")
		ask(apitest.Patient(apitest.Main), address).Refused(t, 429, "notify.code_too_often")
		ask(apitest.Patient(apitest.Other), address).Want(t, 202)
		h.clk.Add(24 * time.Hour)
		ask(h.who, address).Want(t, 202)
		h.clk.Add(codeGap)
		var taken atomic.Int32
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				if ask(h.who, address).Status == 202 {
					taken.Add(1)
				}
			})
		}
		wg.Wait()
		if taken.Load() != 1 {
			t.Errorf("%d codes at the same moment", taken.Load())
		}
	})
}

func TestWithoutMailServer(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.s.ways.Mail = nil
		h.Do(h.who, "POST", mailPath, fields{"mail": address}).Refused(t, 503, "notify.mail_off")
	})
}

// about composes a message about a visit of tomorrow.
func (h *house) about(template string) composeJob {
	h.t.Helper()
	v := visit(h.who.Account)
	v.Appointment = id.New[scheduling.Appointment](h.clk.Now())
	c := composeJob{Tenant: apitest.Main.String(), Message: id.New[id.Any](h.clk.Now()).String(), Template: template, Visit: v}
	if err := h.s.compose(h.t.Context(), c); err != nil {
		h.t.Fatal(err)
	}
	return c
}

// tail is what the deliveries are beyond those before.
func (h *house) tail(before string) string {
	return strings.TrimPrefix(strings.TrimPrefix(h.states(), before), ", ")
}

// What the mail server does, and what becomes of the delivery: a mail that is refused for
// good becomes a text message, when it matters.
func TestMailDeliveries(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		if err := h.s.SetContact(t.Context(), apitest.Main, h.who.Account, secret.New(phone)); err != nil {
			t.Fatal(err)
		}
		h.confirmed(h.who, address)
		off := wish(func(b fields) { b["topics"].(fields)["visit"] = fields{"sms": false, "mail": true, "push": true} })
		h.Do(h.who, "PUT", "/notice-preferences", off, apitest.IfMatch(0)).Want(t, 200)
		for _, tt := range []struct {
			fault    mailsim.Kind
			template string
			first    string
			last     string
			mails    int
		}{
			{"", "scheduling.cancelled", "mail sent", "mail sent", 1},
			{mailsim.Down, "scheduling.cancelled", "mail queued", "mail sent", 1},
			{mailsim.Greylisted, "scheduling.cancelled", "mail queued", "mail sent", 1},
			{mailsim.Dropped, "scheduling.cancelled", "mail queued", "mail sent", 1},
			{mailsim.Lost, "scheduling.cancelled", "mail queued", "mail sent", 2}, // the same Message-ID twice: SMTP knows no repeats
			{mailsim.Refused, "scheduling.cancelled", "mail failed refused, sms sent", "mail failed refused, sms sent", 0},
			{mailsim.Refused, "scheduling.expired", "mail failed refused", "mail failed refused", 0},
		} {
			h.clk.Set(clock.NewDate(2026, 3, 3).At(12 * 60))
			name := fmt.Sprintf("%s of %s", tt.fault, tt.template)
			before, seen, texts := h.states(), len(h.post.Mails(0)), len(h.sim.Messages(0))
			if tt.fault != "" {
				h.post.Fault(tt.fault, 1)
			}
			h.about(tt.template)
			h.run()
			h.run() // the text message that goes instead
			if got := h.tail(before); got != "in_app sent, "+tt.first {
				t.Errorf("%s: %q, want %q", name, got, tt.first)
			}
			for range 6 {
				h.clk.Add(30 * time.Minute)
				h.run()
			}
			mails := h.post.Mails(0)
			if got, n := h.tail(before), len(mails)-seen; got != "in_app sent, "+tt.last || n != tt.mails {
				t.Errorf("%s in the end: %q and %d mails, want %q and %d", name, got, n, tt.last, tt.mails)
			}
			if tt.mails == 2 && mails[0].ID != mails[1].ID {
				t.Errorf("%s: the repeat is %s, the first was %s", name, mails[0].ID, mails[1].ID)
			}
			if n := len(h.sim.Messages(0)) - texts; n > 1 || (n == 1) != strings.Contains(tt.last, "sms") {
				t.Errorf("%s: %d text messages", name, n)
			}
			if br := h.broken(); len(br) != 0 {
				t.Errorf("%s: verify: %v", name, br)
			}
		}
		m := h.post.Mails(1)[0]
		for _, part := range []string{"的预约已取消", "is cancelled", "https://hospital.example/m/visits/", "通知设置"} {
			if !strings.Contains(m.Text, part) {
				t.Errorf("the mail lacks %q: %s", part, m.Text)
			}
		}
	})
}

// A mail that waits when the address is removed is not sent.
func TestRemovedAddressGetsNothing(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.confirmed(h.who, address)
		h.post.Fault(mailsim.Down, 1)
		before, seen := h.states(), len(h.post.Mails(0))
		h.send(dispatchOf(h))
		h.run()
		h.Do(h.who, "DELETE", mailPath, nil).Want(t, 204)
		h.clk.Add(time.Hour)
		h.run()
		if got, n := h.tail(before), len(h.post.Mails(0))-seen; got != "mail failed removed" || n != 0 {
			t.Errorf("%q and %d mails", got, n)
		}
	})
}

var _ Mailer = (*mail.Client)(nil)

// dispatchOf is a refund's mail.
func dispatchOf(h *house) notify.Message {
	return notify.Message{
		ID: id.New[id.Any](h.clk.Now()), Tenant: apitest.Main, Account: h.who.Account, Template: "payment.refunded",
		Params: map[string]secret.Text{"amount": secret.New("1.00"), "appointment": secret.New("x")}, Channels: []notify.Channel{notify.Mail},
	}
}
