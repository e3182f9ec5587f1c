package notifysvc

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/event"
	"xinglin/internal/kernel/id"
	"xinglin/internal/kernel/secret"
	"xinglin/internal/notify"
	"xinglin/internal/payment"
	"xinglin/internal/platform/bus"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/inbox"
	"xinglin/internal/platform/outbox"
	"xinglin/internal/scheduling"
	"xinglin/internal/testkit"
	"xinglin/internal/testkit/apitest"
	"xinglin/internal/testkit/dbtest"
)

func visit(account notify.AccountID) scheduling.Visit {
	return scheduling.Visit{
		Appointment: id.New[scheduling.Appointment](testkit.Start), Account: account, Campus: scheduling.CampusID(eastID), Department: scheduling.DepartmentID(heartID),
		Practitioner: scheduling.PractitionerID(doctorID), Date: clock.NewDate(2026, 3, 9), Session: scheduling.Morning,
		StartsAt: clock.NewDate(2026, 3, 9).At(8*60 + 30),
	}
}

func noticesOf(t *testing.T, h *house) map[string]map[string]any {
	t.Helper()
	out := map[string]map[string]any{}
	for _, n := range h.Do(h.who, "GET", "/notices?limit=100", nil).Want(t, 200).Items(t) {
		out[n["title_en"].(string)] = n
	}
	return out
}

// From the other contexts' outboxes over the broker to the notices and text messages.
func TestFromEventsToMessages(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		if err := h.s.SetContact(t.Context(), apitest.Main, h.who.Account, secret.New(phone)); err != nil {
			t.Fatal(err)
		}
		v, w := visit(h.who.Account), visit(h.who.Account)
		var nobody scheduling.Visit
		h.hear("scheduling", 3, []event.Event{
			scheduling.AppointmentBooked{Visit: v, Number: 18}, scheduling.AppointmentBooked{Visit: w, Number: 19}, // one message of two
			scheduling.AppointmentBooked{Visit: nobody, Number: 20},
		}, []event.Event{scheduling.AppointmentCancelled{Visit: v, Number: 18, Refund: 5050}}, []event.Event{scheduling.AppointmentExpired{Visit: w}})
		h.hear("payment", 1, []event.Event{payment.RefundedEvent{Reference: id.As[id.Any](v.Appointment), Account: h.who.Account, Amount: 5050}})
		for h.run() > 0 {
		}
		got := noticesOf(t, h)
		link := "/m/visits/" + v.Appointment.String()
		for title, want := range map[string][3]string{
			"Booked":             {"3月9日（周一）08:30，东院区心血管内科，林知夏 主任医师，就诊号 A01", "You are booked on Monday, 9 Mar at 08:30, 东院区, Cardiology, 林知夏, number A01", "/m/visits/"},
			"Cancelled":          {"3月9日 08:30 心血管内科 林知夏 主任医师 的预约已取消。挂号费 ¥50.50 将退还：网上支付的原路退回，付现金的请到窗口领取。", "Your appointment 9 Mar 08:30, Cardiology, 林知夏 is cancelled. The fee of ¥50.50 is refunded: the way you paid online; cash is handed out at the desk.", link},
			"The hold has ended": {"3月9日 08:30 心血管内科 林知夏 主任医师 的号源未在规定时间内支付，已释放。", "The seat 9 Mar 08:30, Cardiology, 林知夏 was not paid in time and is free again.", "/m/visits/" + w.Appointment.String()},
			"Refunded":           {"¥50.50 已按您付款的方式退给您。", "¥50.50 was paid back the way you paid.", link},
		} {
			n := got[title]
			if n == nil || !strings.HasPrefix(n["body"].(string), want[0]) || !strings.HasPrefix(n["body_en"].(string), want[1]) || !strings.HasPrefix(n["link"].(string), want[2]) {
				t.Errorf("%s: %v", title, n)
			}
		}
		if n := strings.Count(h.states(), "in_app sent"); n != 5 {
			t.Errorf("%d notices: %s", n, h.states())
		}
		if n := len(h.sim.Messages(0)); n != 5 {
			t.Errorf("%d text messages", n)
		}
		if br := h.broken(); len(br) != 0 {
			t.Errorf("verify: %v", br)
		}
	})
}

// hear sends messages from a context's outbox over an embedded broker, twice each, until they were heard.
func (h *house) hear(from string, messages int, batches ...[]event.Event) {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	d, err1 := h.srv.Context(ctx, from)
	b, err2 := bus.Embed(ctx, bus.EmbedOptions{Dir: h.t.TempDir(), Log: quiet})
	if err := errors.Join(err1, err2); err != nil {
		h.t.Fatal(err)
	}
	consumer := &inbox.Consumer{DB: h.base.DB, Bus: b, Clock: h.clk, Log: quiet, Handlers: h.mod.Hears}
	relay := &outbox.Relay{DB: d, Bus: b, Clock: h.clk, Log: quiet, Hearers: []outbox.Hearer{{Consumer: inbox.Durable("notify"), Events: consumer.Events()}}}
	for _, evs := range batches {
		err := d.Write(ctx, apitest.Main, func(ctx context.Context, tx db.Tx) error { return outbox.Add(ctx, tx, evs...) })
		if err != nil {
			h.t.Fatal(err)
		}
	}
	run, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	for _, m := range []interface{ Run(context.Context) error }{consumer, relay} {
		wg.Go(func() {
			if err := m.Run(run); err != nil {
				h.t.Error(err)
			}
		})
	}
	before := h.heard()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for h.heard() < before+messages && ctx.Err() == nil {
		<-tick.C
	}
	stop()
	wg.Wait()
	if err := b.Close(); err != nil {
		h.t.Error(err)
	}
	if ctx.Err() != nil {
		h.t.Fatal("not heard")
	}
}

func (h *house) heard() (n int) {
	h.t.Helper()
	err := h.base.DB.Read(context.Background(), apitest.Main, func(ctx context.Context, tx db.Tx) error {
		return tx.QueryRow(ctx, `SELECT COUNT(*) FROM inbox WHERE tenant_id = $1`, apitest.Main).Scan(&n)
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return n
}

// Each template gets all its parameters from the code that sends it, and each parameter is used.
func TestEveryTemplateIsFilled(t *testing.T) {
	clk := testkit.Clock()
	h := newHouse(t, dbtest.Make(t, db.SQLite, testkit.Sets(Describe())).Open(t, dbtest.WithClock(clk)), clk)
	v := visit(h.who.Account)
	desk := v
	desk.Practitioner = scheduling.PractitionerID{} // an ordinary clinic
	sent := map[string][]composeJob{
		"scheduling.booked":    {{Visit: v, Number: "A018"}, {Visit: desk, Number: "A018", Last: true}},
		"scheduling.cancelled": {{Visit: v, Fen: 100}, {Visit: v}, {Visit: v, ByStaff: true}},
		"scheduling.expired":   {{Visit: v}},
		"scheduling.missed":    {{Visit: v}},
		"scheduling.reminder":  {{Visit: v, Number: "A018"}, {Visit: desk, Number: "A018"}},
		"scheduling.stopped":   {{Visit: v, Fen: 100}, {Visit: desk}},
		"clinic.called":        {{Visit: scheduling.Visit{Account: v.Account, Appointment: v.Appointment}, Number: "18", Calls: 1}},
		"clinic.missed":        {{Visit: scheduling.Visit{Account: v.Account, Appointment: v.Appointment}, Number: "18"}},
		"scheduling.lottery_won": {
			{Visit: v, Fen: 2500, Rank: 1, Of: 9, Until: testkit.Start, Minutes: 30}, {Visit: v, Rank: 1, Of: 9}, {Visit: desk, Fen: 2500, Rank: 1, Of: 9},
		},
		"scheduling.lottery_lost":    {{Visit: v, Rank: 7, Of: 9}},
		"scheduling.lottery_refused": {{Visit: v, Rank: 2, Of: 9, Reason: "scheduling.limit_reached"}, {Visit: desk, Rank: 2, Of: 9, Reason: "of another version"}},
		"payment.refunded":           {{Visit: scheduling.Visit{Account: v.Account, Appointment: v.Appointment}, Fen: 1}},
	}
	plain := map[string]map[string]string{"identity.code": {"code": "123456"}, "patient.claim_code": {"code": "123456"}, // identity's code.go
		codeTemplate: {"code": "123456"}, confirmedTemplate: {"mail": "l***@example.com"}} // mailbox.go
	for name, tpl := range templates {
		var params []map[string]string
		for _, c := range sent[name] {
			c.Template = name
			facts, err := h.s.facts(t.Context(), apitest.Main, c)
			if err != nil {
				t.Fatal(err)
			}
			p := map[string]string{}
			for _, k := range tpl.params { // as Send takes them
				f, ok := facts[k]
				if !ok {
					t.Errorf("%s: %s is not given", name, k)
				}
				p[k] = f.Reveal()
			}
			params = append(params, p)
		}
		if p, ok := plain[name]; ok {
			params = append(params, p)
		}
		if len(params) == 0 {
			t.Errorf("nothing sends %s", name)
		}
		all := tpl.titleZH + tpl.titleEN + tpl.bodyZH + tpl.bodyEN + tpl.link
		for _, k := range tpl.params {
			if !strings.Contains(all, "{"+k+"}") {
				t.Errorf("%s: parameter %s is not used", name, k)
			}
		}
		for _, p := range params {
			for _, text := range []string{tpl.titleZH, tpl.titleEN, tpl.bodyZH, tpl.bodyEN, tpl.link} {
				if got := fill(text, p); strings.ContainsAny(got, "{}") || strings.Contains(got, "，，") || strings.Contains(got, ", ,") {
					t.Errorf("%s: %q", name, got)
				}
			}
			if tpl.titleZH == "" || tpl.titleEN == "" || tpl.bodyZH == "" || tpl.bodyEN == "" {
				t.Errorf("%s lacks a language", name)
			}
		}
	}
	if len(sent)+len(plain) != len(templates) {
		t.Error("a template that does not exist is sent")
	}
}

// A value with braces is shown as it is, not filled again.
func TestFillOnce(t *testing.T) {
	if got := fill("{a}{b}", map[string]string{"a": "{b}", "b": "x"}); got != "{b}x" {
		t.Error(got)
	}
}

// A repeated event or job makes the same message.
func TestComposeIsTheSameMessage(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		v := visit(h.who.Account)
		c := composeJob{Tenant: apitest.Main.String(), Message: id.New[event.Row](testkit.Start).String(), Template: "scheduling.expired", Visit: v}
		// The phone of a new account comes later than its first event: the notice is there, the text follows.
		if err := h.s.compose(t.Context(), c); !errors.Is(err, notify.ErrRecipient) {
			t.Fatalf("without a phone: %v", err)
		}
		if got := h.states(); strings.Count(got, "in_app") != 1 || strings.Contains(got, "sms") {
			t.Fatalf("without a phone: %s", got)
		}
		if err := h.s.SetContact(t.Context(), apitest.Main, h.who.Account, secret.New(phone)); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			if err := h.s.compose(t.Context(), c); err != nil {
				t.Fatal(err)
			}
		}
		if n := strings.Count(h.states(), "sms"); n != 1 {
			t.Errorf("%d text messages", n)
		}
		c.Visit.Appointment = id.New[scheduling.Appointment](testkit.Start)
		if err := h.s.compose(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(h.states(), "in_app"); n != 2 {
			t.Errorf("%d notices", n)
		}
		for _, bad := range []composeJob{{Tenant: "x", Message: c.Message}, {Tenant: c.Tenant, Message: "x", Visit: v}} {
			if err := h.s.compose(t.Context(), bad); err == nil {
				t.Errorf("%+v was composed", bad)
			}
		}
		b, err := json.Marshal(c)
		if err != nil || strings.Contains(string(b), phone) {
			t.Errorf("%s %v", b, err)
		}
	})
}
